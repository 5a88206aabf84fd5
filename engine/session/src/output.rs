//! What a session hands out.

use odile_wire::EndSessionReason;
use odile_wire::command::{
    Command, EndFile, EndFileNegativeAnswer, EndToEndResponse, NegativeEndResponse, StartFile,
    StartFileNegativeAnswer, StartSession,
};

use crate::negotiation::Agreement;

/// Something that must be done, in the order handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// `N_CON_RQ`: open the network connection.
    Connect,
    /// `N_CON_RS`: accept the network connection.
    Accept,
    /// `N_DISC_RQ`: close the network connection, once everything transmitted before has left.
    Disconnect,
    /// `N_DATA_RQ`: send this command.
    Transmit(Command),
    /// Tell the User Monitor.
    Event(Event),
}

/// What the User Monitor is told: the `IND` and `CF` primitives of RFC 5024 §3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `F_CONNECT_IND` at the Responder: the Initiator's SSID. Answer with [`crate::Session::accept`], or with
    /// [`crate::Session::release`] and reason 03 or 04.
    ConnectIndication(StartSession),
    /// At the Initiator: the Responder's SSID, successfully negotiated, not yet authenticated. Check code and
    /// password now; [`crate::Session::release`] with reason 03 or 04 if they are wrong. No primitive of the RFC:
    /// there they come with `F_CONNECT_CF`, which is too late for a check before authentication.
    PeerIdentified(StartSession),
    /// `F_CONNECT_CF`: the session is set up. The Responder gets it too: at its SSID, or when both sides are
    /// authenticated as far as it can see.
    Connected {
        /// What both agreed on.
        agreement: Agreement,
        /// The peer's SSID.
        peer: StartSession,
    },
    /// `F_START_FILE_IND`: answer with [`crate::Session::answer_start_file`].
    StartFile(Box<StartFile>),
    /// `F_START_FILE_CF(+)`.
    FileAccepted {
        /// Where transmission starts, in the unit of SFIDREST; never above the position offered.
        restart: u64,
    },
    /// `F_START_FILE_CF(-)`.
    FileRefused(StartFileNegativeAnswer),
    /// `F_DATA_CF` after waiting for credit: the whole window is available again.
    CreditRenewed,
    /// `F_CLOSE_FILE_IND`: answer with [`crate::Session::answer_close_file`].
    CloseFile(EndFile),
    /// `F_CLOSE_FILE_CF(+)`.
    FileClosed {
        /// Who speaks now.
        turn: Turn,
    },
    /// `F_CLOSE_FILE_CF(-)`. The turn stays.
    CloseRefused(EndFileNegativeAnswer),
    /// `F_CD_IND`: this side speaks now. It comes for an unsolicited CD and for the one that was asked for in
    /// EFPA; not if a verb was already stored for that moment, because then the stored command goes out.
    Turn,
    /// `F_EERP_IND`: answer with [`crate::Session::ready_to_receive`].
    EndToEndResponse(Box<EndToEndResponse>),
    /// `F_NERP_IND`: answer with [`crate::Session::ready_to_receive`].
    NegativeEndResponse(Box<NegativeEndResponse>),
    /// `F_RTR_CF`: the peer has our EERP or NERP.
    ReadyToReceive,
    /// `F_RELEASE_IND`: the peer has ended the session normally. The side that called
    /// [`crate::Session::release`] gets no event for it (§9.10, transition E).
    Released,
    /// `F_ABORT_IND`: the session has failed.
    Aborted {
        /// Who ended it.
        origin: Origin,
        /// ESIDREAS, sent or received; 99 if the connection went without an ESID.
        reason: EndSessionReason,
        /// A sentence for the operator: ours, or the peer's ESIDREAST.
        text: String,
    },
}

/// Abort Origin (§3.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `AO=L`: this side found the error.
    Local,
    /// `AO=D`: the peer or the network ended the session.
    Distant,
}

/// Who speaks after a file (`F_CLOSE_FILE_CF`, parameter Speaker).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Turn {
    /// The Speaker goes on.
    Keeps,
    /// The Listener asked for the turn; the CD is already on its way.
    Gives,
}

/// Whether the Listener wants to speak after a file (`F_CLOSE_FILE_RS`, parameter Speaker).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TurnWish {
    /// The turn stays where it is.
    Keep,
    /// Ask for the turn (EFPACD = Y).
    Want,
}
