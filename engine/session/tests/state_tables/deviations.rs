//! Where the session does something else than the tables, or where these are silent: the first line that matches
//! counts. The same list, for people, is in `DEVIATIONS.md`.

pub struct Deviation {
    /// A table, `*` for any, `gap` for pairs of state and event that no table has.
    pub clause: &'static str,
    pub letter: &'static str,
    pub predicate: &'static str,
    /// Events, separated by spaces; `PEER`: every command of the peer; `*`: any.
    pub events: &'static str,
    /// States, separated by spaces; `*`: any.
    pub states: &'static str,
    pub does: Does,
    pub why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Nothing comes out, the state stays.
    Ignores,
    /// The verb is refused, the state stays.
    Refuses,
    /// These outputs and this next state.
    Gives(&'static str, &'static str),
    /// There is no input that could bring it about.
    CannotBe,
}

use Does::{CannotBe, Gives, Ignores, Refuses};

/// Clause, letter, predicate, events, states.
type At = (&'static str, &'static str, &'static str, &'static str, &'static str);

const fn at(at: At, does: Does, why: &'static str) -> Deviation {
    let (clause, letter, predicate, events, states) = at;
    Deviation { clause, letter, predicate, events, states, does, why }
}

const SPECIAL_LOGIC: &str = "special logic does not exist on TCP and is never agreed";
const VIOLATION: Does = Gives("ESID(02) F_ABORT_IND(02,L)", "WF_NDISC");

pub const DEVIATIONS: &[Deviation] = &[
    // Events that the User Monitor needs, besides those of the table.
    at(
        ("9.8", "D", "P2 & P8 & P11", "SSID", "*"),
        Gives("PEER_IDENTIFIED SECD", "WF_AUCH"),
        "code and password can be checked before authentication",
    ),
    at(
        ("9.8", "D", "P2 & P8 & !P11", "SSID", "*"),
        Gives("PEER_IDENTIFIED F_CONNECT_CF", "IDLESP"),
        "code and password can be checked before authentication",
    ),
    at(
        ("9.8", "G", "P2 & !P9 & P10", "F_CONNECT_RS", "*"),
        Gives("SSID F_CONNECT_CF", "IDLELI"),
        "the Responder is told what was agreed",
    ),
    at(
        ("9.8", "I", "!P5", "AUCH", "*"),
        Gives("AURP F_CONNECT_CF", "IDLELI"),
        "the Responder is told what was agreed",
    ),
    at(
        ("9.10", "H", "*", "CD", "WF_CD"),
        Gives("F_CD_IND", "IDLESP"),
        "the User Monitor is told that it may speak",
    ),
    // Predicates that are somebody else's.
    at(("9.8", "A", "P1", "F_CONNECT_RQ", "*"), Refuses, "told by the returned error instead of F_ABORT_IND"),
    at(("9.8", "B", "P3", "N_CON_IND", "*"), CannotBe, "who must not be called does not listen"),
    at(
        ("9.8", "E", "P4", "SSID", "*"),
        Gives("F_CONNECT_IND", "A_WF_CONRS"),
        "capabilities depend on who calls: ESID 10 follows at F_CONNECT_RS",
    ),
    at(("9.10", "Y", "!P4 & !P5", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.10", "Y", "!P4 & P5", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.10", "Z1", "!P4", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.12", "H", "P2 & !P4 & P5", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.12", "H", "!P2 & !P4 & P5", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.12", "I", "P5 & !P6 & P8", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.12", "I", "P5 & !P6 & !P7 & !P8", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.12", "I", "P5 & !P6 & P7 & !P8", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.12", "K", "P2 & !P3 & P5", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.12", "K", "!P2 & P5", "*", "*"), CannotBe, SPECIAL_LOGIC),
    at(("9.12", "K", "P2 & P3 & P5", "*", "*"), CannotBe, SPECIAL_LOGIC),
    // Credit.
    at(
        ("9.11", "E", "*", "F_CLOSE_FILE_RQ", "OPOWFC"),
        Gives("", "OPOWFC"),
        "Note 1: EFID is held back until CDT comes",
    ),
    at(("9.10", "C", "*", "CDT", "CLOP"), Ignores, "LateCredit"),
    // ESID.
    at(("9.8", "X", "*", "ESID", "IDLE I_WF_NC"), Ignores, "there is no connection that it could come from"),
    at(
        ("9.8", "X", "*", "ESID", "WF_NDISC"),
        Gives("N_DISC_RQ", "IDLE"),
        "two ESID crossed: the peer waits for the disconnection too",
    ),
    at(
        ("9.8", "X", "*", "ESID(Normal)", "WF_CD"),
        Gives("F_RELEASE_IND N_DISC_RQ", "IDLE"),
        "EarlyEndSession",
    ),
    at(
        ("9.8", "X", "*", "ESID", "I_WF_RM A_NC_ONLY A_WF_CONRS"),
        Gives("F_ABORT_IND(R,D) N_DISC_RQ", "IDLE"),
        "EndSessionBeforeIdentification",
    ),
    at(
        ("9.8", "X", "*", "ESID", "*"),
        Gives("F_ABORT_IND(R,D) N_DISC_RQ", "IDLE"),
        "a Listener too may end a session with an error (9.10, C and Q), so that a Speaker gets ESID",
    ),
    at(
        ("9.12", "D", "*", "ESID(Normal)", "IDLELI"),
        Gives("F_RELEASE_IND N_DISC_RQ", "IDLE"),
        "EarlyEndSession",
    ),
    at(("9.10", "Q", "*", "F_REL_RQ(Err)", "IDLE"), Refuses, "there is no connection to send ESID on"),
    at(
        ("9.10", "Q", "*", "F_REL_RQ(Err)", "I_WF_NC"),
        Gives("N_DISC_RQ", "IDLE"),
        "there is no connection to send ESID on",
    ),
    at(
        ("9.10", "S", "*", "F_DATA_RQ F_REL_RQ(Err)", "WF_NDISC"),
        Refuses,
        "nothing happens, and the caller is told",
    ),
    // Time-outs, aborts, the network.
    at(("9.9", "X", "*", "TIME-OUT", "IDLE"), Ignores, "no timer runs"),
    at(
        ("9.9", "X", "*", "TIME-OUT", "I_WF_NC"),
        Gives("F_ABORT_IND(09,L) N_DISC_RQ", "IDLE"),
        "9.8, A starts the timer in this state, so that it can run out",
    ),
    at(("9.9", "X", "*", "F_ABORT_RQ", "IDLE"), Ignores, "there is nothing to abort"),
    at(("9.9", "X", "*", "F_ABORT_RQ", "WF_NDISC"), Gives("N_DISC_RQ", "IDLE"), "the caller need not wait"),
    at(
        ("9.9", "X", "*", "N_RST_IND N_DISC_IND Invalid_Buffer", "IDLE I_WF_NC"),
        Ignores,
        "there is no connection that it could come from",
    ),
    at(("9.8", "X", "*", "N_CON_CF N_CON_IND", "*"), Ignores, "the network never does this"),
    // Commands where the tables have none of a peer's errors in mind.
    at(("*", "*", "*", "PEER", "IDLE I_WF_NC"), Ignores, "there is no connection that it could come from"),
    at(
        ("9.8", "*", "*", "PEER", "WF_NDISC"),
        Ignores,
        "the session has ended; 9.10 says so of other commands",
    ),
    at(
        ("gap", "*", "*", "PEER", "WF_NDISC"),
        Ignores,
        "the session has ended; 9.10 says so of other commands",
    ),
    at(("9.8", "X", "*", "PEER", "*"), VIOLATION, "a peer can do what is impossible by design"),
    at(
        ("9.8", "U", "*", "PEER", "*"),
        VIOLATION,
        "AUCH, AURP and SECD come from the peer, not from the user",
    ),
    at(("gap", "*", "*", "PEER", "*"), VIOLATION, "a command that no table allows in this state"),
];
