//! The states of RFC 5024 §9.3.

use std::fmt;

macro_rules! states {
    ($($(#[$doc:meta])* $variant:ident $name:literal;)*) => {
        /// A state of the protocol machine (RFC 5024 §9.3). Shown under the RFC's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum State {
            $($(#[$doc])* $variant,)*
        }

        impl State {
            /// All states, in the order of a session's life.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The RFC's name, such as `I_WF_SSID`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

states! {
    /// No connection: not yet, or no longer.
    Idle "IDLE";
    /// Initiator, waits for the network connection.
    IWfNc "I_WF_NC";
    /// Initiator, waits for SSRM.
    IWfRm "I_WF_RM";
    /// Initiator, has sent SSID and waits for the Responder's.
    IWfSsid "I_WF_SSID";
    /// Responder, has sent SSRM and waits for SSID.
    ANcOnly "A_NC_ONLY";
    /// Responder, has the Initiator's SSID and waits for its User Monitor.
    AWfConrs "A_WF_CONRS";
    /// Waits for SECD.
    WfSecd "WF_SECD";
    /// Has sent SECD and waits for AUCH.
    WfAuch "WF_AUCH";
    /// Has sent AUCH and waits for AURP.
    WfAurp "WF_AURP";
    /// Speaker, between files.
    IdleSp "IDLESP";
    /// Speaker because the peer just gave up the turn: may end the session, may not give the turn back.
    IdleSpCd "IDLESPCD";
    /// Listener, between files.
    IdleLi "IDLELI";
    /// Listener that just gave up the turn: the peer may end the session.
    IdleLiCd "IDLELICD";
    /// Speaker, has sent EERP or NERP and waits for RTR.
    WfRtr "WF_RTR";
    /// Has asked for the turn in EFPA and waits for CD.
    WfCd "WF_CD";
    /// EERP stored until CD comes.
    ErsTwfCd "ERSTWFCD";
    /// NERP stored until CD comes.
    NrsTwfCd "NRSTWFCD";
    /// SFID stored until CD comes.
    SfsTwfCd "SFSTWFCD";
    /// CD stored until CD comes.
    CdsTwfCd "CDSTWFCD";
    /// Speaker, has sent SFID and waits for the answer.
    OpOp "OPOP";
    /// Speaker, sends data.
    Opo "OPO";
    /// Speaker, waits for credit.
    OpoWfc "OPOWFC";
    /// Speaker, has sent EFID and waits for the answer.
    ClOp "CLOP";
    /// Listener, has SFID and waits for its User Monitor.
    OpIp "OPIP";
    /// Listener, takes data.
    OpI "OPI";
    /// Listener, has EFID and waits for its User Monitor.
    ClIp "CLIP";
    /// Listener, has EERP or NERP and waits for its User Monitor.
    RtrP "RTRP";
    /// Has sent ESID and waits for the network to disconnect.
    WfNDisc "WF_NDISC";
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
