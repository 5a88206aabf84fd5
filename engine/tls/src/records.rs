//! Records of TLS 1.3 once the handshake is over (RFC 8446 §5): sealed straight into the block that is written, opened
//! in the block that was read.
//!
//! rustls makes the handshake, judges certificates, and derives every key; through its own records each piece of content
//! goes by way of a vector of its own. What is left to do here: nonces, content types and padding, alerts, and key
//! updates. TLS 1.2 stays with rustls.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription, ConnectionTrafficSecrets, ContentType, Error, ExtractedSecrets, HandshakeType,
    InvalidMessage, PeerMisbehaved,
};

use crate::connection::Received;

/// Both directions of a connection.
pub(crate) struct Records {
    secrets: Secrets,
    sealing: Direction,
    opening: Direction,
    /// The beginning of a record.
    pending: Vec<u8>,
    /// The beginning of a handshake message.
    message: Vec<u8>,
    /// Records since the last content that had none: handshake messages, and what is empty.
    idle: u32,
    /// The peer wants us to change keys, too.
    is_update_asked_for: bool,
    /// Records that a key seals at most.
    key_records_max: u64,
    /// How it ended for whoever reads.
    over: Option<Over>,
    /// Nothing more may be said.
    is_closed: bool,
}

/// What derives the next keys.
pub(crate) enum Secrets {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// Key, nonces and the number of the next record.
struct Direction {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    number: u64,
}

/// Nothing more can be read.
#[derive(Clone, Copy)]
enum Over {
    /// The peer has said so.
    Closed,
    Failed,
}

/// A record without its header, decrypted.
struct Plain {
    kind: u8,
    /// Octets of its content, which stand at its front.
    length: usize,
}

impl Records {
    /// Takes over where rustls stopped. `pending`: octets that it has not seen.
    pub(crate) fn new(extracted: ExtractedSecrets, secrets: Secrets) -> Result<Self, Error> {
        let ExtractedSecrets { tx, rx } = extracted;
        Ok(Self {
            secrets,
            sealing: Direction::new(tx)?,
            opening: Direction::new(rx)?,
            pending: Vec::new(),
            message: Vec::new(),
            idle: 0,
            is_update_asked_for: false,
            key_records_max: RECORDS_MAX,
            over: None,
            is_closed: false,
        })
    }

    /// Opens records. Content of one that came in parts is appended to `content`; what follows it stands at the front of
    /// `input` afterwards, in as many octets as are given. Alerts that must be sent are appended to `send`.
    pub(crate) fn open(
        &mut self,
        input: &mut [u8],
        content: &mut Vec<u8>,
        send: &mut Vec<u8>,
    ) -> (usize, Result<Received, Error>) {
        let mut front = 0;
        match self.over {
            None => {}
            Some(Over::Closed) => return (front, Ok(Received::Closed)),
            Some(Over::Failed) => {
                return (front, Err(Error::General("the connection failed before".to_owned())));
            }
        }
        let opened = self.open_all(input, content, &mut front);
        match &opened {
            Ok(Received::Open) => {}
            Ok(Received::Closed) => self.over = Some(Over::Closed),
            Err(error) => {
                self.over = Some(Over::Failed);
                self.alert(alert_for(error), send);
            }
        }
        (front, opened)
    }

    fn open_all(
        &mut self,
        input: &mut [u8],
        content: &mut Vec<u8>,
        front: &mut usize,
    ) -> Result<Received, Error> {
        let mut at = 0;
        while !self.pending.is_empty() && at < input.len() {
            let missing = missing(&self.pending)?.min(input.len() - at);
            self.pending.extend_from_slice(input.get(at..at + missing).unwrap_or_default());
            at += missing;
            if self::missing(&self.pending)? == 0 {
                let mut record = std::mem::take(&mut self.pending);
                let plain = self.opening.open(&mut record)?;
                let octets = record.get(HEADER_BYTES..HEADER_BYTES + plain.length).unwrap_or_default();
                let received = self.take(plain.kind, octets, |octets| content.extend_from_slice(octets))?;
                record.clear();
                self.pending = record;
                if received == Received::Closed {
                    return Ok(received);
                }
            }
        }
        while at < input.len() {
            let rest = input.get_mut(at..).unwrap_or_default();
            if missing(rest)? > 0 {
                self.pending.extend_from_slice(rest);
                break;
            }
            let length = HEADER_BYTES + body_bytes(rest);
            let record = rest.get_mut(..length).unwrap_or_default();
            let plain = self.opening.open(record)?;
            let start = at + HEADER_BYTES;
            let range = start..start + plain.length;
            at += length;
            if plain.kind == APPLICATION_DATA && plain.length > 0 && self.message.is_empty() {
                self.idle = 0;
                input.copy_within(range, *front);
                *front += plain.length;
                continue;
            }
            let octets = input.get(range).unwrap_or_default();
            if self.take(plain.kind, octets, |_| {})? == Received::Closed {
                return Ok(Received::Closed);
            }
        }
        Ok(Received::Open)
    }

    /// Takes the content of a record.
    fn take(&mut self, kind: u8, octets: &[u8], content: impl FnOnce(&[u8])) -> Result<Received, Error> {
        if kind != HANDSHAKE && !self.message.is_empty() {
            // RFC 8446 §5.1: nothing stands between the parts of a handshake message.
            return Err(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into());
        }
        self.idle = if kind == APPLICATION_DATA && !octets.is_empty() { 0 } else { self.idle + 1 };
        if self.idle > IDLE_MAX {
            return Err(PeerMisbehaved::TooManyEmptyFragments.into());
        }
        match kind {
            APPLICATION_DATA => content(octets),
            ALERT => {
                let [_, description] = octets else {
                    return Err(InvalidMessage::MessageTooShort.into());
                };
                match AlertDescription::from(*description) {
                    AlertDescription::CloseNotify => return Ok(Received::Closed),
                    // The end comes with an alert of its own.
                    AlertDescription::UserCanceled => {}
                    other => return Err(Error::AlertReceived(other)),
                }
            }
            HANDSHAKE => self.take_messages(octets)?,
            other => {
                return Err(Error::InappropriateMessage {
                    expect_types: vec![
                        ContentType::ApplicationData,
                        ContentType::Alert,
                        ContentType::Handshake,
                    ],
                    got_type: ContentType::from(other),
                });
            }
        }
        Ok(Received::Open)
    }

    fn take_messages(&mut self, octets: &[u8]) -> Result<(), Error> {
        if octets.is_empty() {
            return Err(InvalidMessage::InvalidEmptyPayload.into());
        }
        self.message.extend_from_slice(octets);
        while let [kind, rest @ ..] = self.message.as_slice()
            && let Some((length, rest)) = rest.split_first_chunk::<3>()
        {
            let [high, middle, low] = *length;
            let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            if length > MESSAGE_BYTES_MAX {
                return Err(InvalidMessage::HandshakePayloadTooLarge.into());
            }
            let Some(body) = rest.get(..length) else { return Ok(()) };
            let is_last = rest.len() == length;
            match (*kind, body, &mut self.secrets) {
                // Its tickets are of no use: no session is resumed.
                (NEW_SESSION_TICKET, _, Secrets::Client(_)) => {}
                // Behind it, other keys hold: nothing else fits into its record (RFC 8446 §5.1).
                (KEY_UPDATE, [_], _) if !is_last => {
                    return Err(PeerMisbehaved::KeyEpochWithPendingFragment.into());
                }
                (KEY_UPDATE, [asks @ (0 | 1)], secrets) => {
                    self.is_update_asked_for |= *asks == 1;
                    self.opening = Direction::new(secrets.next_opening()?)?;
                }
                (KEY_UPDATE, ..) => return Err(InvalidMessage::InvalidKeyUpdate.into()),
                (other, ..) => {
                    return Err(Error::InappropriateHandshakeMessage {
                        expect_types: vec![HandshakeType::KeyUpdate, HandshakeType::NewSessionTicket],
                        got_type: HandshakeType::from(other),
                    });
                }
            }
            self.message.drain(..4 + length);
        }
        Ok(())
    }

    /// Seals content into records at the front of `out`. Gives the octets written.
    ///
    /// # Errors
    ///
    /// If the connection was closed, or `out` is too small.
    pub(crate) fn seal(&mut self, content: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        if self.is_closed {
            return Err(Error::General("nothing can be said after the connection was closed".to_owned()));
        }
        let mut written = 0;
        for piece in content.chunks(FRAGMENT_BYTES) {
            if self.is_update_asked_for || self.sealing.number >= self.key_records_max {
                written += self.update_keys(out.get_mut(written..).unwrap_or_default())?;
            }
            written +=
                self.sealing.seal(APPLICATION_DATA, piece, out.get_mut(written..).unwrap_or_default())?;
        }
        Ok(written)
    }

    /// Tells the peer that other keys hold from now on.
    fn update_keys(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        const UPDATE_NOT_REQUESTED: u8 = 0;
        let written = self.sealing.seal(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, UPDATE_NOT_REQUESTED], out)?;
        self.sealing = Direction::new(self.secrets.next_sealing()?)?;
        self.is_update_asked_for = false;
        Ok(written)
    }

    /// Says that nothing more comes.
    pub(crate) fn close(&mut self, send: &mut Vec<u8>) {
        self.alert(AlertDescription::CloseNotify, send);
    }

    fn alert(&mut self, description: AlertDescription, send: &mut Vec<u8>) {
        const WARNING: u8 = 1;
        const FATAL: u8 = 2;
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        let level = if description == AlertDescription::CloseNotify { WARNING } else { FATAL };
        let mut record = [0; HEADER_BYTES + 2 + OVERHEAD_BYTES];
        if let Ok(length) = self.sealing.seal(ALERT, &[level, description.into()], &mut record) {
            send.extend_from_slice(record.get(..length).unwrap_or_default());
        }
    }
}

impl Secrets {
    fn next_sealing(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(connection) => connection.update_tx_secret(),
            Self::Server(connection) => connection.update_tx_secret(),
        }
    }

    fn next_opening(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(connection) => connection.update_rx_secret(),
            Self::Server(connection) => connection.update_rx_secret(),
        }
    }
}

impl Direction {
    fn new((number, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Error> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::General("a cipher suite that is not known here".to_owned())),
        };
        let unusable = || Error::General("a traffic secret of a wrong length".to_owned());
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| unusable())?;
        let iv = iv.as_ref().try_into().map_err(|_| unusable())?;
        Ok(Self { key: LessSafeKey::new(key), iv, number })
    }

    /// RFC 8446 §5.3: each number once.
    fn next_nonce(&mut self) -> Result<Nonce, Error> {
        let mut nonce = self.iv;
        for (octet, number) in nonce.iter_mut().skip(NONCE_LEN - 8).zip(self.number.to_be_bytes()) {
            *octet ^= number;
        }
        self.number = self.number.checked_add(1).ok_or(Error::EncryptError)?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    /// One record; the cipher is the copy.
    fn seal(&mut self, kind: u8, content: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let length = content.len() + OVERHEAD_BYTES;
        let out = out.get_mut(..HEADER_BYTES + length).ok_or_else(no_room)?;
        let [high, low] = u16::try_from(length).map_err(|_| Error::EncryptError)?.to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        let (head, body) = out.split_at_mut(HEADER_BYTES);
        let (ciphertext, end) = body.split_at_mut(content.len());
        head.copy_from_slice(&header);
        let nonce = self.next_nonce()?;
        self.key
            .seal_out_of_place_scatter(nonce, Aad::from(header), content, ciphertext, &[kind], end)
            .map_err(|_| Error::EncryptError)?;
        Ok(HEADER_BYTES + length)
    }

    /// Opens a whole record in place.
    fn open(&mut self, record: &mut [u8]) -> Result<Plain, Error> {
        let (header, body) = record.split_first_chunk_mut::<HEADER_BYTES>().ok_or(Error::DecryptError)?;
        let plaintext_bytes = body.len().checked_sub(TAG_BYTES).ok_or(Error::DecryptError)?;
        let (octets, tag) = body.split_at_mut(plaintext_bytes);
        let nonce = self.next_nonce()?;
        self.key
            .open_in_place_separate_tag(nonce, Aad::from(*header), tag, octets)
            .map_err(|_| Error::DecryptError)?;
        // Content, its type, and as many zeros as the peer likes (RFC 8446 §5.4).
        let end = octets.iter().rposition(|octet| *octet != 0);
        let (Some(length), Some(kind)) = (end, end.and_then(|end| octets.get(end))) else {
            return Err(PeerMisbehaved::IllegalTlsInnerPlaintext.into());
        };
        if plaintext_bytes > FRAGMENT_BYTES + 1 {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok(Plain { kind: *kind, length })
    }
}

/// Octets that a record still needs, to know its length or to be whole.
fn missing(record: &[u8]) -> Result<usize, Error> {
    let Some(header) = record.first_chunk::<HEADER_BYTES>() else {
        return Ok(HEADER_BYTES - record.len());
    };
    if header[0] != APPLICATION_DATA {
        return Err(Error::InappropriateMessage {
            expect_types: vec![ContentType::ApplicationData],
            got_type: ContentType::from(header[0]),
        });
    }
    let length = body_bytes(record);
    if length > CIPHERTEXT_BYTES_MAX {
        return Err(Error::PeerSentOversizedRecord);
    }
    Ok((HEADER_BYTES + length).saturating_sub(record.len()))
}

/// What the header says; 0 without one.
fn body_bytes(record: &[u8]) -> usize {
    match record {
        [_, _, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}

fn alert_for(error: &Error) -> AlertDescription {
    match error {
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        Error::InvalidMessage(_) => AlertDescription::DecodeError,
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_) => AlertDescription::UnexpectedMessage,
        // An alert is not answered by another one than the end.
        Error::AlertReceived(_) => AlertDescription::CloseNotify,
        _ => AlertDescription::InternalError,
    }
}

fn no_room() -> Error {
    Error::General("no room for TLS records".to_owned())
}

/// Content types (RFC 8446 §5.1) and handshake messages (§4).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

const HEADER_BYTES: usize = 5;
const TAG_BYTES: usize = 16;
/// Content type and tag.
const OVERHEAD_BYTES: usize = 1 + TAG_BYTES;
/// Content of one record at most (RFC 8446 §5.1).
const FRAGMENT_BYTES: usize = 16_384;
/// RFC 8446 §5.2.
const CIPHERTEXT_BYTES_MAX: usize = FRAGMENT_BYTES + 256;
/// Of AES-GCM about 2^24.5 full records are safe under one key (RFC 8446 §5.5); with others it does no harm.
const RECORDS_MAX: u64 = 1 << 24;
/// A ticket is the longest that comes now, and has at most 64 KiB and some octets.
const MESSAGE_BYTES_MAX: usize = 0x1_1000;
/// Honest peers send a few tickets at the beginning, and key updates far apart.
const IDLE_MAX: u32 = 32;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn direction(key: u8) -> Direction {
        let key = UnboundKey::new(&AES_256_GCM, &[key; 32]).unwrap();
        Direction { key: LessSafeKey::new(key), iv: [3; NONCE_LEN], number: 0 }
    }

    #[test]
    fn each_record_has_a_nonce_of_its_own_that_ends_with_its_number() {
        let mut sealing = direction(1);
        sealing.number = 0x0102;
        let nonce = sealing.next_nonce().unwrap();
        assert_eq!(nonce.as_ref(), &[3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3 ^ 1, 3 ^ 2]);
        assert_eq!(sealing.number, 0x0103);
        sealing.number = u64::MAX;
        assert!(sealing.next_nonce().is_err(), "never one twice");
    }

    #[test]
    fn a_key_is_changed_before_it_has_sealed_too_much() {
        // Both ends are ours here; what rustls says to a change of keys, tests/records.rs tells.
        let (mut client, mut server) = connected();
        client.key_records_max = 4;
        let mut updates = 0;
        let sent: Vec<u8> = (0..=250).cycle().take(10 * FRAGMENT_BYTES).collect();
        for _ in 0..3 {
            let mut records = vec![0; crate::Tls::sealed_bytes(sent.len()) + 10 * 64];
            let count = client.seal(&sent, &mut records).unwrap();
            let plain = 10 * (HEADER_BYTES + FRAGMENT_BYTES + OVERHEAD_BYTES);
            updates += (count - plain) / (HEADER_BYTES + 5 + OVERHEAD_BYTES);
            let (mut content, mut send) = (Vec::new(), Vec::new());
            let (front, end) = server.open(&mut records[..count], &mut content, &mut send);
            assert_eq!((end.unwrap(), content.len(), send.len()), (Received::Open, 0, 0));
            assert!(records[..front] == sent);
        }
        // Thirty records, four to a key.
        assert_eq!(updates, 7);
        assert!(!server.is_update_asked_for, "nobody was asked to change, too");
    }

    /// A client and a server behind a handshake of rustls.
    fn connected() -> (Records, Records) {
        use crate::{ClientAuthentication, HostNameCheck, Identity, Policy, Trust};
        let issued = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let certificate = issued.cert.der().clone();
        let identity = Identity::new(vec![certificate.clone()], &issued.signing_key.serialize_der()).unwrap();
        let trust = Trust { pinned: vec![certificate], ..Trust::default() };
        let policy = Policy::new(trust, HostNameCheck::On).unwrap();
        let client = Arc::clone(&crate::client_config(policy, None).unwrap());
        let server = crate::server_config(&identity, ClientAuthentication::NotAsked).unwrap();
        let (mut client, mut server) =
            (crate::Tls::client(client, "a.example").unwrap(), crate::Tls::server(server).unwrap());
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        client.receive(&mut [], &mut Vec::new(), &mut to_server).unwrap();
        while !(to_server.is_empty() && to_client.is_empty()) {
            server.receive(&mut std::mem::take(&mut to_server), &mut Vec::new(), &mut to_client).unwrap();
            client.receive(&mut std::mem::take(&mut to_client), &mut Vec::new(), &mut to_server).unwrap();
        }
        (client.into_records(), server.into_records())
    }
}
