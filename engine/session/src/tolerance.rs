//! What is forgiven to a peer, by name. `DEVIATIONS.md` gives the reason for each.

macro_rules! tolerances {
    ($($(#[$doc:meta])* $variant:ident;)*) => {
        /// Something that the state tables forbid and that real peers do. Always on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Tolerance {
            $($(#[$doc])* $variant,)*
        }

        impl Tolerance {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, as `DEVIATIONS.md` lists it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }
        }
    };
}

tolerances! {
    /// CDT after our EFID, before its answer (CLOP): ignored.
    LateCredit;
    /// EFID although the Speaker had no credit left: accepted, and a CDT not yet handed out is withdrawn.
    EndFileWithoutCredit;
    /// ESID with reason 00 while no file is open, from a Speaker that was not given the turn (IDLELI), or instead
    /// of the CD that we asked for (WF_CD): a normal end.
    EarlyEndSession;
    /// ESID before the identification is complete (I_WF_RM, A_NC_ONLY, A_WF_CONRS): the peer's refusal.
    EndSessionBeforeIdentification;
    /// SSID of a Responder that asks for more than we offered: our offer counts.
    LargerAnswer;
    /// SSIDLEV 3, or 6 and above: the next lower level that Odile speaks counts.
    UnknownLevel;
}

/// The tolerances that a session has made use of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tolerated(u8);

impl Tolerated {
    pub(crate) fn insert(&mut self, tolerance: Tolerance) {
        self.0 |= 1 << tolerance as u8;
    }

    pub(crate) const fn contains(self, tolerance: Tolerance) -> bool {
        self.0 & (1 << tolerance as u8) != 0
    }
}

const _: () = assert!(Tolerance::ALL.len() <= 8, "one bit each");
