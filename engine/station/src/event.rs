//! Things worth knowing, one enum: logs, tests and later metrics read the same one. Never key material, passwords
//! or file content.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use odile_catalog::TransferRef;
use odile_partner::Transport;
use odile_wire::EndSessionReason;

use crate::measure::Measured;

/// Where events go. Called from shards: it must not wait.
pub type EventSink = Arc<dyn Fn(&Event) + Send + Sync>;

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    /// `NORMAL`, or why not.
    pub reason: EndSessionReason,
    /// True if we found the error; false if the peer or the network ended the session.
    pub by_us: bool,
    /// A sentence.
    pub text: String,
}

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the Display text of each says what its fields are")]
pub enum Event {
    Listening {
        address: SocketAddr,
        transport: Transport,
    },
    ListenFailed {
        text: String,
    },
    Connected {
        session: u64,
        peer: SocketAddr,
    },
    Secured {
        session: u64,
        tls: String,
    },
    HandshakeFailed {
        peer: SocketAddr,
        text: String,
    },
    CallFailed {
        partner: String,
        text: String,
    },
    SessionOpened {
        session: u64,
        partner: String,
        level: u8,
        buffer_size: u32,
        credit: u16,
        /// Of the side that called: from its SSID to the answer.
        round_trip: Option<Duration>,
    },
    SessionRefused {
        session: u64,
        peer: SocketAddr,
        code: String,
        reason: EndSessionReason,
    },
    SessionEnded {
        session: u64,
        partner: Option<String>,
        end: SessionEnd,
    },
    FileQueued {
        transfer: TransferRef,
        partner: String,
        dataset_name: String,
        path: String,
    },
    FileOffered {
        transfer: TransferRef,
        partner: String,
        dataset_name: String,
        services: String,
    },
    FileSent {
        transfer: TransferRef,
        octets: u64,
    },
    Measured {
        transfer: TransferRef,
        measured: Box<Measured>,
    },
    FileRefused {
        transfer: TransferRef,
        text: String,
    },
    FileFailed {
        transfer: TransferRef,
        text: String,
    },
    Receiving {
        transfer: TransferRef,
        partner: String,
        dataset_name: String,
        announced_octets: u64,
        from_octet: u64,
        /// SFIDDESC, as the partner wrote it.
        description: String,
    },
    Interrupted {
        transfer: TransferRef,
        text: String,
        safe_octets: u64,
    },
    Resumed {
        transfer: TransferRef,
        place: String,
    },
    StartsAgain {
        transfer: TransferRef,
        text: String,
    },
    Received {
        transfer: TransferRef,
        octets: u64,
        path: String,
        found: String,
    },
    ReceiveFailed {
        transfer: TransferRef,
        text: String,
    },
    OfferRefused {
        session: u64,
        dataset_name: String,
        text: String,
    },
    ReceiptSent {
        transfer: TransferRef,
    },
    ReceiptArrived {
        transfer: TransferRef,
        text: String,
    },
    ReceiptUnproven {
        transfer: TransferRef,
        text: String,
    },
    UnknownReceipt {
        session: u64,
        dataset_name: String,
    },
    OutboxSkipped {
        path: String,
        text: String,
    },
    CertificateExpires {
        text: String,
    },
    Recovered {
        text: String,
    },
    Trouble {
        text: String,
    },
}

impl Event {
    /// True for what an operator should look at.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::SessionEnded { end, .. } => end.reason != EndSessionReason::NORMAL,
            Self::ListenFailed { .. }
            | Self::HandshakeFailed { .. }
            | Self::CallFailed { .. }
            | Self::SessionRefused { .. }
            | Self::FileRefused { .. }
            | Self::FileFailed { .. }
            | Self::ReceiveFailed { .. }
            | Self::Interrupted { .. }
            | Self::StartsAgain { .. }
            | Self::OfferRefused { .. }
            | Self::ReceiptUnproven { .. }
            | Self::UnknownReceipt { .. }
            | Self::OutboxSkipped { .. }
            | Self::CertificateExpires { .. }
            | Self::Trouble { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { address, transport: Transport::Plain } => write!(f, "listening at {address}"),
            Self::Listening { address, transport: Transport::Tls } => {
                write!(f, "listening at {address} with TLS")
            }
            Self::ListenFailed { text } => write!(f, "cannot listen: {text}"),
            Self::Connected { session, peer } => write!(f, "session {session}: connected with {peer}"),
            Self::Secured { session, tls } => write!(f, "session {session}: secured by {tls}"),
            Self::HandshakeFailed { peer, text } => write!(f, "no TLS with {peer}: {text}"),
            Self::CallFailed { partner, text } => write!(f, "{partner} cannot be called: {text}"),
            Self::SessionOpened { session, partner, level, buffer_size, credit, .. } => write!(
                f,
                "session {session} with {partner}: level {level}, buffers of {buffer_size} octets, credit {credit}"
            ),
            Self::SessionRefused { session, peer, code, reason } => {
                write!(f, "session {session}: {peer} as {code:?} was refused (ESID {reason})")
            }
            Self::SessionEnded { session, partner, end } => {
                let partner = partner.as_deref().unwrap_or("unknown");
                if end.reason == EndSessionReason::NORMAL {
                    return write!(f, "session {session} with {partner}: ended");
                }
                let who = if end.by_us { "we" } else { "the peer or the network" };
                write!(f, "session {session} with {partner}: {who} ended it (ESID {})", end.reason)?;
                if end.text.is_empty() { Ok(()) } else { write!(f, ": {}", end.text) }
            }
            Self::FileQueued { transfer, partner, dataset_name, path } => {
                write!(f, "{transfer} queued for {partner} as {dataset_name}: {path}")
            }
            Self::FileOffered { transfer, partner, dataset_name, services } => {
                write!(f, "{transfer} {dataset_name}: sending to {partner}, {services}")
            }
            Self::FileSent { transfer, octets } => {
                write!(f, "{transfer} sent, {octets} octets; receipt awaited")
            }
            Self::Measured { transfer, measured } => write!(f, "{transfer} {measured}"),
            Self::FileRefused { transfer, text } => write!(f, "{transfer} refused by the partner: {text}"),
            Self::FileFailed { transfer, text } => write!(f, "{transfer} not sent: {text}"),
            Self::Receiving { transfer, partner, dataset_name, announced_octets, from_octet, .. } => {
                write!(
                    f,
                    "{transfer} {dataset_name}: receiving from {partner}, about {announced_octets} octets"
                )?;
                if *from_octet > 0 { write!(f, ", from octet {from_octet} on") } else { Ok(()) }
            }
            Self::Interrupted { transfer, text, safe_octets } => {
                write!(
                    f,
                    "{transfer} interrupted: {text}; {safe_octets} octets are safe, the partner goes on there"
                )
            }
            Self::Resumed { transfer, place } => write!(f, "{transfer} goes on from {place} on"),
            Self::StartsAgain { transfer, text } => write!(f, "{transfer} {text}"),
            Self::Received { transfer, octets, path, found } => {
                write!(f, "{transfer} received, {octets} octets: {path}")?;
                if found.is_empty() { Ok(()) } else { write!(f, "; {found}") }
            }
            Self::ReceiveFailed { transfer, text } => write!(f, "{transfer} not received: {text}"),
            Self::OfferRefused { session, dataset_name, text } => {
                write!(f, "session {session}: {dataset_name} refused: {text}")
            }
            Self::ReceiptSent { transfer } => write!(f, "{transfer} receipt sent"),
            Self::ReceiptArrived { transfer, text } | Self::ReceiptUnproven { transfer, text } => {
                write!(f, "{transfer} {text}")
            }
            Self::UnknownReceipt { session, dataset_name } => {
                write!(f, "session {session}: receipt for {dataset_name}, which nobody here waits for")
            }
            Self::OutboxSkipped { path, text } => write!(f, "{path} is left in the outbox: {text}"),
            Self::CertificateExpires { text } | Self::Recovered { text } | Self::Trouble { text } => {
                f.write_str(text)
            }
        }
    }
}
