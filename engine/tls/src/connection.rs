//! One connection.
//!
//! It uses rustls's unbuffered interface: records are read where they lie and written where they are wanted. A record
//! that came in part is collected here; whole ones are not copied before they are decrypted.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, ServerConfig};

use crate::error::TlsError;

/// One TLS connection, of either side.
pub struct Tls {
    side: Side,
    /// The beginning of a record whose rest has not come yet.
    partial: Vec<u8>,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
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
        Ok(Self { side: Side::Client(connection), partial: Vec::new() })
    }

    /// A connection that was opened to us.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self { side: Side::Server(connection), partial: Vec::new() })
    }

    /// True until both sides may send content.
    pub fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Client(connection) => connection.is_handshaking(),
            Side::Server(connection) => connection.is_handshaking(),
        }
    }

    /// The certificates that the peer has shown.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match &self.side {
            Side::Client(connection) => connection.peer_certificates(),
            Side::Server(connection) => connection.peer_certificates(),
        }
    }

    /// `TLSv1_3 TLS13_AES_256_GCM_SHA384`, once the handshake has agreed on it.
    pub fn description(&self) -> Option<String> {
        let (version, suite) = match &self.side {
            Side::Client(connection) => (connection.protocol_version(), connection.negotiated_cipher_suite()),
            Side::Server(connection) => (connection.protocol_version(), connection.negotiated_cipher_suite()),
        };
        Some(format!("{:?} {:?}", version?, suite?.suite()))
    }

    /// Takes octets from the network, which it overwrites. Content is appended to `content`, and what must be sent
    /// (handshake, alerts) to `send`; both must be used even if this fails, since an alert tells the peer why.
    ///
    /// Call it with nothing to begin a handshake.
    pub fn receive(
        &mut self,
        mut input: &mut [u8],
        content: &mut Vec<u8>,
        send: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        let mut received = Received::Open;
        // First what began in an earlier call, a record at a time.
        while !self.partial.is_empty() && !input.is_empty() && received == Received::Open {
            let (head, rest) = input.split_at_mut(missing_octets(&self.partial).min(input.len()));
            self.partial.extend_from_slice(head);
            input = rest;
            if is_whole(&self.partial) {
                let mut records = std::mem::take(&mut self.partial);
                let (used, state) = self.side.process(&mut records, content, send)?;
                received = state;
                // A handshake message may need more records than are there: rustls wants to see them again.
                records.drain(..used.min(records.len()));
                self.partial = records;
            }
        }
        if self.partial.is_empty() && received == Received::Open {
            let (used, state) = self.side.process(input, content, send)?;
            received = state;
            self.partial.extend_from_slice(input.get(used..).unwrap_or_default());
        }
        Ok(received)
    }

    /// Encrypts `content` into records at the front of `out`, which must have room for [`Tls::sealed_bytes`].
    /// Gives the octets written.
    pub fn seal(&mut self, content: &[u8], out: &mut [u8]) -> Result<usize, TlsError> {
        self.side.seal(content, out)
    }

    /// The most octets that so much content can become.
    pub const fn sealed_bytes(content: usize) -> usize {
        content + (content / FRAGMENT_BYTES + 1) * RECORD_OVERHEAD_BYTES + KEY_UPDATE_BYTES
    }

    /// Says that nothing more comes: appends the alert to `send`.
    pub fn close(&mut self, send: &mut Vec<u8>) {
        self.side.close(send);
    }
}

/// Octets that the last record still needs: to know its length, or to be whole. If it is whole, those of the next
/// one's header.
fn missing_octets(records: &[u8]) -> usize {
    let mut rest = records;
    while let [_, _, _, high, low, body @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match body.get(length..) {
            Some(next) => rest = next,
            None => return length - body.len(),
        }
    }
    HEADER_BYTES - rest.len()
}

/// True if there are whole records only.
fn is_whole(records: &[u8]) -> bool {
    let mut rest = records;
    while let [_, _, _, high, low, body @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match body.get(length..) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    rest.is_empty()
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

macro_rules! with_traffic {
    ($connection:expr, $write:expr) => {
        match $connection.process_tls_records(&mut []).state? {
            ConnectionState::WriteTraffic(mut traffic) => Some($write(&mut traffic)),
            _ => None,
        }
    };
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
        }
    }

    fn seal(&mut self, content: &[u8], out: &mut [u8]) -> Result<usize, TlsError> {
        let mut written = 0;
        // A key update that is due comes out as a record of its own first.
        let mut update = Vec::new();
        self.process(&mut [], &mut Vec::new(), &mut update)?;
        let room = out.get_mut(..update.len()).ok_or_else(too_small)?;
        room.copy_from_slice(&update);
        written += update.len();
        let rest = out.get_mut(written..).unwrap_or_default();
        let sealed = match self {
            Self::Client(connection) => {
                with_traffic!(connection, |traffic: &mut rustls::unbuffered::WriteTraffic<'_, _>| traffic
                    .encrypt(content, rest))
            }
            Self::Server(connection) => {
                with_traffic!(connection, |traffic: &mut rustls::unbuffered::WriteTraffic<'_, _>| traffic
                    .encrypt(content, rest))
            }
        };
        match sealed {
            Some(Ok(count)) => Ok(written + count),
            Some(Err(EncryptError::InsufficientSize(_))) => Err(too_small()),
            Some(Err(EncryptError::EncryptExhausted)) => Err(TlsError::Protocol(rustls::Error::EncryptError)),
            None => Err(TlsError::Protocol(rustls::Error::HandshakeNotComplete)),
        }
    }

    fn close(&mut self, send: &mut Vec<u8>) {
        let mut alert = [0; CLOSE_BYTES];
        let closed = || -> Result<Option<usize>, TlsError> {
            let count = match self {
                Self::Client(connection) => {
                    with_traffic!(connection, |traffic: &mut rustls::unbuffered::WriteTraffic<'_, _>| traffic
                        .queue_close_notify(&mut alert))
                }
                Self::Server(connection) => {
                    with_traffic!(connection, |traffic: &mut rustls::unbuffered::WriteTraffic<'_, _>| traffic
                        .queue_close_notify(&mut alert))
                }
            };
            Ok(count.and_then(Result::ok))
        };
        let mut closed = closed;
        // Before the end of a handshake there is nothing to close.
        if let Ok(Some(count)) = closed() {
            send.extend_from_slice(alert.get(..count).unwrap_or_default());
        }
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
const CLOSE_BYTES: usize = 64;
const RECORD_BYTES: usize = 4096;
