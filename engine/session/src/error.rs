//! Whose fault: the caller's ([`Misuse`]) or the peer's ([`ProtocolError`]).

use odile_wire::Unrepresentable;

use crate::state::State;

/// The caller asked for something that the session does not allow now. Nothing has changed: the cells `U` and `W`
/// of the state tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// The state does not allow the call.
    #[error("{call} is not allowed in state {state}")]
    State {
        /// The service primitive of §3, such as `F_START_FILE_RQ`.
        call: &'static str,
        /// The state.
        state: State,
    },
    /// The session has ended: sent or received ESID, or lost its connection.
    #[error("{call}: the session is over")]
    Over {
        /// The service primitive of §3.
        call: &'static str,
    },
    /// A file cannot be sent: this station or its peer only does the opposite in this session (§9.10.3, P1).
    #[error("this station may not send files in this session")]
    ReceiveOnly,
    /// A restart position although restart was not agreed (§9.10.3, P1).
    #[error("restart at {position}, but restart was not agreed for this session")]
    RestartNotAgreed {
        /// The position asked for.
        position: u64,
    },
    /// The answer to SFID lies beyond the position offered (§9.12.3, P4).
    #[error("restart at {position}, beyond the {offered} that the peer offered")]
    RestartBeyondOffer {
        /// The position answered.
        position: u64,
        /// The position in SFID.
        offered: u64,
    },
    /// More Data Exchange Buffers than there is credit.
    #[error("{asked} Data Exchange Buffers with a credit of {left}")]
    Credit {
        /// Buffers asked for.
        asked: u16,
        /// Buffers left.
        left: u16,
    },
    /// Capabilities that contradict themselves.
    #[error("capabilities: {0}")]
    Capabilities(&'static str),
    /// A command that the agreed level cannot express.
    #[error(transparent)]
    Unrepresentable(#[from] Unrepresentable),
}

/// The peer sent a Data Exchange Buffer that it was not allowed to send. It must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// DATA while no file is being received. The outputs hold the ESID.
    #[error("DATA is not allowed in state {state}")]
    Unexpected {
        /// The state.
        state: State,
    },
    /// More DATA than the credit allows. The outputs hold the ESID.
    #[error("DATA beyond the credit of {window} Data Exchange Buffers")]
    CreditExceeded {
        /// The agreed window.
        window: u16,
    },
    /// The session is ending or over: the data is ignored.
    #[error("DATA after the end of the session")]
    Over,
}
