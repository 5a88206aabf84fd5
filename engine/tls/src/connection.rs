//! One connection.
//!
//! rustls's unbuffered interface makes the handshake: records are read where they lie and written where they are wanted;
//! one that came in part is collected here. After it, [`Records`] carries the content of TLS 1.3, and rustls that of TLS
//! 1.2.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{ClientConfig, ProtocolVersion, ServerConfig};

use crate::error::TlsError;
use crate::records::{Records, Secrets};

/// One TLS connection, of either side.
pub struct Tls {
    side: Side,
    /// What rustls has seen and not discarded: the beginning of a record, or fragments of a handshake message. It
    /// keeps positions in it, and must be shown it at every call.
    pending: Vec<u8>,
    /// Content that came to light while something was sealed.
    stray: Vec<u8>,
    /// The certificates that the peer has shown, and what was agreed on, of [`Side::Records`].
    peer_certificates: Option<Vec<CertificateDer<'static>>>,
    description: Option<String>,
}

enum Side {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
    /// TLS 1.3 after the handshake.
    Records(Box<Records>),
    /// It could not be taken over from rustls.
    Broken,
}

/// What [`Tls::receive_in_place`] found.
#[derive(Debug)]
pub struct InPlace {
    /// Octets of content that stand at the front of the input now.
    pub front: usize,
    /// What [`Tls::receive`] gives.
    pub end: Result<Received, TlsError>,
}

/// What [`Tls::receive`] found besides content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Everything was used up; more may come.
    Open,
    /// The peer has said that nothing more comes.
    Closed,
}

impl Tls {
    /// A connection that we open. `host`: a name or an IP address.
    pub fn client(config: Arc<ClientConfig>, host: &str) -> Result<Self, TlsError> {
        let name = match host.parse::<std::net::IpAddr>() {
            Ok(address) => ServerName::IpAddress(IpAddr::from(address)),
            Err(_) => {
                ServerName::try_from(host.to_owned()).map_err(|_| TlsError::HostName(host.to_owned()))?
            }
        };
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self::new(Side::Client(Box::new(connection))))
    }

    /// A connection that was opened to us.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self::new(Side::Server(Box::new(connection))))
    }

    fn new(side: Side) -> Self {
        Self { side, pending: Vec::new(), stray: Vec::new(), peer_certificates: None, description: None }
    }

    /// True until both sides may send content.
    pub fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Client(connection) => connection.is_handshaking(),
            Side::Server(connection) => connection.is_handshaking(),
            Side::Records(_) | Side::Broken => false,
        }
    }

    /// The certificates that the peer has shown.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match &self.side {
            Side::Client(connection) => connection.peer_certificates(),
            Side::Server(connection) => connection.peer_certificates(),
            Side::Records(_) | Side::Broken => self.peer_certificates.as_deref(),
        }
    }

    /// `TLSv1_3 TLS13_AES_256_GCM_SHA384`, once the handshake has agreed on it.
    pub fn description(&self) -> Option<String> {
        let (version, suite) = match &self.side {
            Side::Client(connection) => (connection.protocol_version(), connection.negotiated_cipher_suite()),
            Side::Server(connection) => (connection.protocol_version(), connection.negotiated_cipher_suite()),
            Side::Records(_) | Side::Broken => return self.description.clone(),
        };
        Some(format!("{:?} {:?}", version?, suite?.suite()))
    }

    /// Takes octets from the network, which it overwrites. Content is appended to `content`, and what must be sent
    /// (handshake, alerts) to `send`; both must be used even if this fails, since an alert tells the peer why.
    ///
    /// Call it with nothing to begin a handshake.
    pub fn receive(
        &mut self,
        input: &mut [u8],
        content: &mut Vec<u8>,
        send: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        let InPlace { front, end } = self.receive_in_place(input, content, send);
        content.extend_from_slice(input.get(..front).unwrap_or_default());
        end
    }

    /// As [`Tls::receive`], but most of the content stays in `input`: behind what was appended to `content`, it stands at
    /// the front there.
    pub fn receive_in_place(
        &mut self,
        input: &mut [u8],
        content: &mut Vec<u8>,
        send: &mut Vec<u8>,
    ) -> InPlace {
        let mut at = 0;
        let mut end = Ok(Received::Open);
        let mut is_first = true;
        while self.is_handshaking() && matches!(end, Ok(Received::Open)) && (is_first || at < input.len()) {
            is_first = false;
            // One record at a time: what follows the handshake is not for rustls, which would act on it.
            let rest = input.get(at..).unwrap_or_default();
            let count = missing_octets(&self.pending).unwrap_or(rest.len()).min(rest.len());
            self.pending.extend_from_slice(rest.get(..count).unwrap_or_default());
            at += count;
            end = self.process_pending(content, send).and_then(|received| {
                if self.pending.len() > PENDING_BYTES_MAX {
                    return Err(too_many_pieces());
                }
                self.go_on_without_rustls().map(|()| received)
            });
        }
        let rest = input.get_mut(at..).unwrap_or_default();
        if !matches!(end, Ok(Received::Open)) || (rest.is_empty() && !is_first) {
            return InPlace { front: 0, end };
        }
        if let Side::Records(records) = &mut self.side {
            let (front, end) = records.open(rest, content, send);
            input.copy_within(at..at + front, 0);
            return InPlace { front, end: end.map_err(TlsError::from) };
        }
        InPlace { front: 0, end: self.receive_from_rustls(rest, content, send) }
    }

    /// At the end of the handshake of TLS 1.3, if rustls has nothing half read and nothing to say. Not later: then it
    /// may have changed keys already.
    fn go_on_without_rustls(&mut self) -> Result<(), TlsError> {
        let (version, is_busy) = match &self.side {
            Side::Client(connection) => {
                (connection.protocol_version(), connection.is_handshaking() || connection.wants_write())
            }
            Side::Server(connection) => {
                (connection.protocol_version(), connection.is_handshaking() || connection.wants_write())
            }
            Side::Records(_) | Side::Broken => return Ok(()),
        };
        if is_busy || version != Some(ProtocolVersion::TLSv1_3) || !self.pending.is_empty() {
            return Ok(());
        }
        self.description = self.description();
        self.peer_certificates = self.peer_certificates().map(<[_]>::to_vec);
        let (extracted, secrets) = match std::mem::replace(&mut self.side, Side::Broken) {
            Side::Client(connection) => {
                let (extracted, rest) = connection.dangerous_into_kernel_connection()?;
                (extracted, Secrets::Client(rest))
            }
            Side::Server(connection) => {
                let (extracted, rest) = connection.dangerous_into_kernel_connection()?;
                (extracted, Secrets::Server(rest))
            }
            side => {
                self.side = side;
                return Ok(());
            }
        };
        self.side = Side::Records(Box::new(Records::new(extracted, secrets)?));
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn into_records(self) -> Records {
        match self.side {
            Side::Records(records) => *records,
            _ => unreachable!("the handshake is over, and nothing is half read"),
        }
    }

    fn receive_from_rustls(
        &mut self,
        mut input: &mut [u8],
        content: &mut Vec<u8>,
        send: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        content.append(&mut self.stray);
        let mut received = Received::Open;
        let mut is_first = true;
        while received == Received::Open && (is_first || !input.is_empty()) {
            is_first = false;
            if self.pending.is_empty() {
                // In place: what is whole is not copied before it is decrypted.
                let (used, state) = self.side.process(input, content, send)?;
                received = state;
                self.pending.extend_from_slice(input.get(used..).unwrap_or_default());
                break;
            }
            // The rest of one record, if that is what is missing; then whole ones are read in place again.
            let count = missing_octets(&self.pending).unwrap_or(input.len()).min(input.len());
            let (head, rest) = input.split_at_mut(count);
            self.pending.extend_from_slice(head);
            input = rest;
            received = self.process_pending(content, send)?;
        }
        if self.pending.len() > PENDING_BYTES_MAX {
            return Err(too_many_pieces());
        }
        Ok(received)
    }

    fn process_pending(&mut self, content: &mut Vec<u8>, send: &mut Vec<u8>) -> Result<Received, TlsError> {
        let (used, state) = self.side.process(&mut self.pending, content, send)?;
        self.pending.drain(..used.min(self.pending.len()));
        Ok(state)
    }

    /// Encrypts `content` into records at the front of `out`, which must have room for [`Tls::sealed_bytes`].
    /// Gives the octets written.
    pub fn seal(&mut self, content: &[u8], out: &mut [u8]) -> Result<usize, TlsError> {
        if let Side::Records(records) = &mut self.side {
            return Ok(records.seal(content, out)?);
        }
        let mut written = 0;
        // A key update that is due comes out as a record of its own first.
        let mut update = Vec::new();
        let mut stray = std::mem::take(&mut self.stray);
        let processed = self.process_pending(&mut stray, &mut update);
        self.stray = stray;
        processed?;
        let room = out.get_mut(..update.len()).ok_or_else(too_small)?;
        room.copy_from_slice(&update);
        written += update.len();
        let rest = out.get_mut(written..).unwrap_or_default();
        let (used, sealed) = self.side.seal(&mut self.pending, content, rest)?;
        self.pending.drain(..used.min(self.pending.len()));
        Ok(written + sealed)
    }

    /// The most octets that so much content can become.
    pub const fn sealed_bytes(content: usize) -> usize {
        content + (content / FRAGMENT_BYTES + 1) * RECORD_OVERHEAD_BYTES + KEY_UPDATE_BYTES
    }

    /// Says that nothing more comes: appends the alert to `send`.
    pub fn close(&mut self, send: &mut Vec<u8>) {
        if let Side::Records(records) = &mut self.side {
            return records.close(send);
        }
        // Before the end of a handshake there is nothing to close.
        let mut alert = [0; CLOSE_BYTES];
        if let Ok((used, Some(count))) = self.side.close(&mut self.pending, &mut alert) {
            self.pending.drain(..used.min(self.pending.len()));
            send.extend_from_slice(alert.get(..count).unwrap_or_default());
        }
    }
}

/// Octets that the first record still needs, to know its length or to be whole. None if it is whole, or if this is no
/// beginning of a record: then it is something that rustls keeps. A mistake here costs a copy and nothing else.
fn missing_octets(pending: &[u8]) -> Option<usize> {
    match pending {
        [kind, rest @ ..] if !(20..=23).contains(kind) || rest.first().is_some_and(|major| *major != 3) => {
            None
        }
        [_, _, _, high, low, body @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            length.checked_sub(body.len()).filter(|missing| *missing > 0)
        }
        _ => HEADER_BYTES.checked_sub(pending.len()),
    }
}

macro_rules! process {
    ($connection:expr, $input:expr, $content:expr, $send:expr) => {{
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state, .. } =
                $connection.process_tls_records($input.get_mut(used..).unwrap_or_default());
            let mut stay = true;
            let mut received = Received::Open;
            match state {
                // An error leaves an alert to be sent, which the next call hands out.
                Err(error) => {
                    used += discard;
                    drain_alerts!($connection, $input.get_mut(used..).unwrap_or_default(), $send);
                    return Err(error.into());
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let AppDataRecord { payload, .. } = record?;
                        $content.extend_from_slice(payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut encode)) => {
                    append($send, |out| match encode.encode(out) {
                        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                            Err(required_size)
                        }
                        Err(EncodeError::AlreadyEncoded) => Ok(0),
                        Ok(count) => Ok(count),
                    });
                }
                Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    received = Received::Closed;
                    stay = false;
                }
                // Blocked, ready to write, or a state that this version does not know: nothing more to read.
                Ok(_) => stay = false,
            }
            used += discard;
            if !stay {
                break Ok((used, received));
            }
        }
    }};
}

macro_rules! drain_alerts {
    ($connection:expr, $rest:expr, $send:expr) => {
        // rustls wants to see what it has not discarded. Once the alert is out it must not be asked again: it would
        // read the same octets again.
        let rest: &mut [u8] = $rest;
        while let UnbufferedStatus { state: Ok(ConnectionState::EncodeTlsData(mut encode)), .. } =
            $connection.process_tls_records(rest)
        {
            let start = $send.len();
            append($send, |out| match encode.encode(out) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    Err(required_size)
                }
                Err(EncodeError::AlreadyEncoded) => Ok(0),
                Ok(count) => Ok(count),
            });
            if matches!($send.get(start), Some(&(ALERT | APPLICATION_DATA))) {
                break;
            }
        }
    };
}

/// Does something with a connection that may write. Gives the octets of `pending` to be discarded, and what came of it;
/// nothing if it may not write now.
macro_rules! with_traffic {
    ($connection:expr, $pending:expr, $write:expr) => {{
        let UnbufferedStatus { discard, state, .. } = $connection.process_tls_records($pending);
        match state? {
            ConnectionState::WriteTraffic(mut traffic) => (discard, Some($write(&mut traffic))),
            _ => (discard, None),
        }
    }};
}

impl Side {
    /// Processes whole records; gives the octets used up.
    fn process(
        &mut self,
        input: &mut [u8],
        content: &mut Vec<u8>,
        send: &mut Vec<u8>,
    ) -> Result<(usize, Received), TlsError> {
        match self {
            Self::Client(connection) => process!(connection, input, content, send),
            Self::Server(connection) => process!(connection, input, content, send),
            Self::Records(_) | Self::Broken => Err(broken()),
        }
    }

    /// Gives the octets of `pending` to be discarded, and those written.
    fn seal(
        &mut self,
        pending: &mut [u8],
        content: &[u8],
        out: &mut [u8],
    ) -> Result<(usize, usize), TlsError> {
        let (used, sealed) = match self {
            Self::Client(connection) => {
                with_traffic!(connection, pending, |traffic: &mut WriteTraffic<'_, _>| traffic
                    .encrypt(content, out))
            }
            Self::Server(connection) => {
                with_traffic!(connection, pending, |traffic: &mut WriteTraffic<'_, _>| traffic
                    .encrypt(content, out))
            }
            Self::Records(_) | Self::Broken => return Err(broken()),
        };
        match sealed {
            Some(Ok(count)) => Ok((used, count)),
            Some(Err(EncryptError::InsufficientSize(_))) => Err(too_small()),
            Some(Err(EncryptError::EncryptExhausted)) => Err(TlsError::Protocol(rustls::Error::EncryptError)),
            None => Err(TlsError::Protocol(rustls::Error::HandshakeNotComplete)),
        }
    }

    fn close(&mut self, pending: &mut [u8], alert: &mut [u8]) -> Result<(usize, Option<usize>), TlsError> {
        let (used, closed) = match self {
            Self::Client(connection) => {
                with_traffic!(connection, pending, |traffic: &mut WriteTraffic<'_, _>| traffic
                    .queue_close_notify(alert))
            }
            Self::Server(connection) => {
                with_traffic!(connection, pending, |traffic: &mut WriteTraffic<'_, _>| traffic
                    .queue_close_notify(alert))
            }
            Self::Records(_) | Self::Broken => return Err(broken()),
        };
        Ok((used, closed.and_then(Result::ok)))
    }
}

/// Appends what `write` writes, with the room that it asks for.
fn append(send: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, usize>) {
    let start = send.len();
    let mut room = RECORD_BYTES;
    loop {
        send.resize(start + room, 0);
        match write(send.get_mut(start..).unwrap_or_default()) {
            Ok(count) => return send.truncate(start + count),
            Err(required) if required > room => room = required,
            // Cannot be: it asked for less than it had.
            Err(_) => return send.truncate(start),
        }
    }
}

fn broken() -> TlsError {
    TlsError::Protocol(rustls::Error::General("the connection failed before".to_owned()))
}

fn too_many_pieces() -> TlsError {
    TlsError::Protocol(rustls::Error::General(
        "the peer's handshake message has more pieces than any that is honest".to_owned(),
    ))
}

fn too_small() -> TlsError {
    TlsError::Protocol(rustls::Error::General("no room for TLS records".to_owned()))
}

/// Content types of an alert, in the clear and encrypted (RFC 8446 §5.1).
const ALERT: u8 = 21;
const APPLICATION_DATA: u8 = 23;
const HEADER_BYTES: usize = 5;
/// Content of one record at most (RFC 8446 §5.1).
const FRAGMENT_BYTES: usize = 16_384;
/// Header, nonce (TLS 1.2), content type (TLS 1.3) and tag.
const RECORD_OVERHEAD_BYTES: usize = 5 + 8 + 1 + 16;
const KEY_UPDATE_BYTES: usize = 64;
/// The largest chain of certificates that rustls takes is 64 KiB; what is larger is a message cut into records of
/// almost nothing.
const PENDING_BYTES_MAX: usize = 256 * 1024;
const CLOSE_BYTES: usize = 64;
const RECORD_BYTES: usize = 4096;
