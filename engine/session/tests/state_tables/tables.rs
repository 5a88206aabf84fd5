//! The five state tables of RFC 5024 §9.8 to §9.12, typed in from the RFC.
//!
//! A grid line is an event and its cells, in the order of the states in the first line. A row is a line of the
//! transition table: letter, predicate, output events, next state. `R` stands for the reason given. Output events
//! without parentheses match with any parameter.

pub struct Table {
    pub clause: &'static str,
    pub grid: &'static str,
    pub rows: &'static [Row],
}

pub struct Row {
    pub letter: &'static str,
    pub predicate: &'static str,
    pub outputs: &'static str,
    pub next: &'static str,
}

const fn row(
    letter: &'static str,
    predicate: &'static str,
    outputs: &'static str,
    next: &'static str,
) -> Row {
    Row { letter, predicate, outputs, next }
}

const VIOLATION: &str = "ESID(02) F_ABORT_IND(02,L)";

pub const TABLES: &[Table] = &[
    Table {
        clause: "9.8",
        grid: "
                      IDLE I_WF_NC I_WF_RM I_WF_SSID A_NC_ONLY A_WF_CONRS WF_AUCH WF_AURP WF_SECD Other
        F_CONNECT_RQ  A    X       X       X         X         X          X       X       X       X
        N_CON_CF      X    C       X       X         X         X          X       X       X       X
        SSRM          X    X       H       X         X         X          L       L       L       X
        SSID          X    X       X       D         E         F          L       L       L       F
        N_CON_IND     B    X       X       X         X         X          X       X       X       X
        F_CONNECT_RS  X    U       U       U         U         G          X       X       X       U
        ESID          X    X       X       F         X         X          F       F       F       X
        AUCH          X    X       U       U         X         X          I       L       L       U
        AURP          X    X       U       U         X         X          L       K       L       U
        SECD          X    X       U       U         X         X          L       L       J       U
        ",
        rows: &[
            row("A", "P1", "F_ABORT_IND", "IDLE"),
            row("A", "!P1", "N_CON_RQ", "I_WF_NC"),
            row("B", "P3", "N_DISC_RQ", "IDLE"),
            row("B", "!P3", "N_CON_RS SSRM", "A_NC_ONLY"),
            row("C", "", "", "I_WF_RM"),
            row("D", "P2 & P8 & P11", "SECD", "WF_AUCH"),
            row("D", "P2 & P8 & !P11", "F_CONNECT_CF", "IDLESP"),
            row("D", "P2 & !P8", "ESID(12) F_ABORT_IND(12,L)", "WF_NDISC"),
            row("D", "else", "ESID(10) F_ABORT_IND(10,L)", "WF_NDISC"),
            row("E", "P4", "N_DISC_RQ", "IDLE"),
            row("E", "!P4", "F_CONNECT_IND", "A_WF_CONRS"),
            row("F", "", "F_ABORT_IND N_DISC_RQ", "IDLE"),
            row("G", "P2 & P9 & P10", "SSID", "WF_SECD"),
            row("G", "P2 & !P9 & P10", "SSID", "IDLELI"),
            row("G", "!P10", "ESID(12) F_ABORT_IND(12,L)", "WF_NDISC"),
            row("G", "else", "ESID(10) F_ABORT_IND(10,L)", "WF_NDISC"),
            row("H", "", "SSID", "I_WF_SSID"),
            row("I", "P5", "AURP", "WF_SECD"),
            row("I", "!P5", "AURP", "IDLELI"),
            row("J", "", "AUCH", "WF_AURP"),
            row("K", "P6", "F_CONNECT_CF", "IDLESP"),
            row("K", "P7", "SECD", "WF_AUCH"),
            row("K", "else", "ESID(11) F_ABORT_IND(11,L)", "WF_NDISC"),
            row("L", "", VIOLATION, "WF_NDISC"),
        ],
    },
    Table {
        clause: "9.9",
        grid: "
                       IDLE I_WF_NC WF_NDISC Other
        TIME-OUT       X    X       A        B
        F_ABORT_RQ     X    A       X        C
        N_RST_IND      X    X       A        D
        N_DISC_IND     X    E       F        G
        Invalid_Buffer X    X       H        I
        ",
        rows: &[
            row("A", "", "N_DISC_RQ", "IDLE"),
            row("B", "", "F_ABORT_IND N_DISC_RQ", "IDLE"),
            row("C", "", "N_DISC_RQ", "IDLE"),
            row("D", "", "N_DISC_RQ F_ABORT_IND", "IDLE"),
            row("E", "", "F_ABORT_IND", "IDLE"),
            row("F", "", "", "IDLE"),
            row("G", "", "F_ABORT_IND", "IDLE"),
            row("H", "", "", "WF_NDISC"),
            row("I", "", "ESID(01) F_ABORT_IND(01,L)", "WF_NDISC"),
        ],
    },
    Table {
        clause: "9.10",
        grid: "
                        IDLESP IDLESPCD WF_RTR WF_CD ERSTWFCD NRSTWFCD SFSTWFCD CDSTWFCD OPOP OPO OPOWFC WF_NDISC Other
        F_EERP_RQ       A      A        W      F     W        W        U        U        U    U   U      U        U
        F_NERP_RQ       Y      Y        W      Z     W        W        U        U        U    U   U      U        U
        F_START_FILE_RQ B      B        W      G     W        W        U        U        U    U   U      X        U
        SFPA            C      C        C      C     C        C        C        C        K    C   C      S        C
        SFNA            C      C        C      C     C        C        C        C        L    C   C      S        C
        CD              C      C        C      H     R        Z1       I        J        C    C   C      S        C
        F_DATA_RQ       U      U        U      U     U        U        U        U        U    M   U      S        U
        CDT             C      C        C      C     C        C        C        C        C    P   O      S        C
        F_CD_RQ         D      U        W      T     W        W        U        U        U    U   U      X        U
        F_REL_RQ(Ok)    U      E        U      U     U        U        U        U        U    U   U      X        U
        F_REL_RQ(Err)   Q      Q        Q      Q     Q        Q        Q        Q        Q    Q   Q      S        Q
        RTR             C      C        N      C     C        C        C        C        C    C   C      S        C
        ",
        rows: &[
            row("A", "P5", "EERP", "WF_RTR"),
            row("A", "!P5", "EERP", "WF_RTR"),
            row("B", "P1", "User_Error", "UE"),
            row("B", "!P1", "SFID", "OPOP"),
            row("C", "", VIOLATION, "WF_NDISC"),
            row("D", "", "CD", "IDLELICD"),
            row("E", "", "ESID(00)", "WF_NDISC"),
            row("F", "", "", "ERSTWFCD"),
            row("G", "P1", "User_Error", "UE"),
            row("G", "!P1", "", "SFSTWFCD"),
            row("H", "", "", "IDLESP"),
            row("I", "", "SFID", "OPOP"),
            row("J", "", "CD", "IDLELICD"),
            row("K", "P2", VIOLATION, "WF_NDISC"),
            row("K", "!P2", "F_START_FILE_CF(+)", "OPO"),
            row("L", "", "F_START_FILE_CF(-)", "IDLESP"),
            row("M", "P3", "DATA", "OPOWFC"),
            row("M", "!P3", "DATA F_DATA_CF", "OPO"),
            row("N", "", "F_RTR_CF", "IDLESP"),
            row("O", "", "F_DATA_CF", "OPO"),
            row("P", "", VIOLATION, "WF_NDISC"),
            row("Q", "", "ESID(R)", "WF_NDISC"),
            row("R", "", "EERP", "WF_RTR"),
            row("S", "", "", "WF_NDISC"),
            row("T", "", "", "CDSTWFCD"),
            row("Y", "P4 & P5", "NERP", "WF_RTR"),
            row("Y", "!P4 & !P5", "NERP", "WF_RTR"),
            row("Y", "P4 & !P5", "NERP", "WF_RTR"),
            row("Y", "!P4 & P5", "NERP", "WF_RTR"),
            row("Z", "", "", "NRSTWFCD"),
            row("Z1", "P4", "NERP", "WF_RTR"),
            row("Z1", "!P4", "NERP", "WF_RTR"),
        ],
    },
    Table {
        clause: "9.11",
        grid: "
                        OPO OPOWFC CLOP
        F_CLOSE_FILE_RQ A   E      U
        EFPA            B   B      C
        EFNA            B   B      D
        ",
        rows: &[
            row("A", "", "EFID", "CLOP"),
            row("B", "", VIOLATION, "WF_NDISC"),
            row("C", "P1", "F_CLOSE_FILE_CF(+,SP=No) CD", "IDLELI"),
            row("C", "!P1", "F_CLOSE_FILE_CF(+,SP=Yes)", "IDLESP"),
            row("D", "", "F_CLOSE_FILE_CF(-)", "IDLESP"),
            row("E", "", "See_Note_1", "Note 1"),
        ],
    },
    Table {
        clause: "9.12",
        grid: "
                        IDLELI IDLELICD OPIP OPI CLIP RTRP
        SFID            A      A        B    B   B    B
        DATA            B      B        B    I   B    B
        EFID            B      B        B    J   B    B
        F_START_FILE_RS U      U        H    U   U    U
        F_CLOSE_FILE_RS U      U        U    U   K    U
        CD              C      B        B    B   B    B
        ESID(Normal)    D      F        D    D   D    D
        ESID(Error)     D      D        D    D   D    D
        EERP            E      E        B    B   B    B
        NERP            L      L        B    B   B    B
        F_RTR_RS        U      U        U    U   U    M
        ",
        rows: &[
            row("A", "P1", VIOLATION, "WF_NDISC"),
            row("A", "!P1", "F_START_FILE_IND", "OPIP"),
            row("B", "", VIOLATION, "WF_NDISC"),
            row("C", "", "F_CD_IND", "IDLESPCD"),
            row("D", "", "F_ABORT_IND(R,D) N_DISC_RQ", "IDLE"),
            row("E", "", "F_EERP_IND", "RTRP"),
            row("F", "", "F_RELEASE_IND N_DISC_RQ", "IDLE"),
            row("H", "P4", "User_Error", "UE"),
            row("H", "P2 & !P4 & !P5", "SFPA", "OPI"),
            row("H", "!P2 & !P4 & !P5", "SFNA", "IDLELI"),
            row("H", "P2 & !P4 & P5", "SFPA", "OPI"),
            row("H", "!P2 & !P4 & P5", "SFNA", "IDLELI"),
            row("I", "P6", VIOLATION, "WF_NDISC"),
            row("I", "!P5 & !P6 & !P7", "F_DATA_IND", "OPI"),
            row("I", "!P5 & !P6 & P7", "F_DATA_IND CDT", "OPI"),
            row("I", "P5 & !P6 & P8", "ESID(07) F_ABORT_IND(07,L)", "WF_NDISC"),
            row("I", "P5 & !P6 & !P7 & !P8", "F_DATA_IND", "OPI"),
            row("I", "P5 & !P6 & P7 & !P8", "F_DATA_IND CDT", "OPI"),
            row("J", "", "F_CLOSE_FILE_IND", "CLIP"),
            row("K", "P2 & P3 & !P5", "EFPA(CD-Req)", "WF_CD"),
            row("K", "P2 & !P3 & !P5", "EFPA(no_CD)", "IDLELI"),
            row("K", "!P2 & !P5", "EFNA", "IDLELI"),
            row("K", "P2 & !P3 & P5", "EFPA(no_CD)", "IDLELI"),
            row("K", "!P2 & P5", "EFNA", "IDLELI"),
            row("K", "P2 & P3 & P5", "EFPA(CD-Req)", "WF_CD"),
            row("L", "", "F_NERP_IND", "RTRP"),
            row("M", "", "RTR", "IDLELI"),
        ],
    },
];

/// Cells in the tables of the RFC, counted by hand: events × states.
pub const CELLS: &[(&str, usize)] =
    &[("9.8", 10 * 10), ("9.9", 5 * 4), ("9.10", 12 * 13), ("9.11", 3 * 3), ("9.12", 11 * 6)];
