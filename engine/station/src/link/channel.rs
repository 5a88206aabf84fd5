//! What lies between a link and its socket: nothing, or TLS.
//!
//! ```text
//! socket ─▶ records ─▶ Channel::open ─▶ content ─▶ Deframer
//! commands, DATA ─▶ Channel::seal ─▶ records ─▶ socket
//! ```
//!
//! Records are sealed just before they are written, by the one task that writes: they leave in the order of their
//! numbers.

use odile_tls::{CertificateDer, InPlace, Received, Tls, TlsError};
use odile_uring::Block;

/// What lies between a link and its socket.
pub(crate) enum Channel {
    /// Nothing.
    Plain,
    /// TLS, its handshake done.
    Tls(Box<Secure>),
}

/// A TLS connection, and what waits to be read from it and written to it.
pub(crate) struct Secure {
    tls: Tls,
    /// Content that came with the end of the handshake.
    early: Vec<u8>,
    /// Records that answer what was read: they go out with the next write.
    answers: Vec<u8>,
    /// Content of what was read last. Kept, so that reading does not allocate.
    content: Vec<u8>,
}

/// What was read.
pub(super) struct Opened {
    /// What comes first. Give it back with [`Channel::give_back`].
    pub(super) content: Vec<u8>,
    /// Behind it, so many octets at the front of what was read.
    pub(super) front: usize,
    /// Nothing more comes, or why not.
    pub(super) end: Option<Result<(), TlsError>>,
}

impl Channel {
    /// After the handshake. `early`: content that came with its end.
    pub(super) fn secure(tls: Tls, early: Vec<u8>) -> Self {
        Self::Tls(Box::new(Secure { tls, early, answers: Vec::new(), content: Vec::new() }))
    }

    pub(super) fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Version and cipher suite; none over plain TCP.
    pub(super) fn description(&self) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Tls(secure) => secure.tls.description(),
        }
    }

    /// Content that came with the end of the handshake.
    pub(super) fn take_early(&mut self) -> Vec<u8> {
        match self {
            Self::Plain => Vec::new(),
            Self::Tls(secure) => std::mem::take(&mut secure.early),
        }
    }

    /// The certificates that the peer has shown; none over plain TCP.
    pub(super) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match self {
            Self::Plain => None,
            Self::Tls(secure) => secure.tls.peer_certificates(),
        }
    }

    /// Octets of content that a block has room for once they are sealed.
    pub(super) fn room(&self, block_bytes: usize) -> usize {
        match self {
            Self::Plain => block_bytes,
            Self::Tls(secure) => {
                let room = block_bytes.saturating_sub(secure.answers.len());
                // Overhead is the same for each record, so that this comes close.
                let overhead = Tls::sealed_bytes(room).saturating_sub(room);
                room.saturating_sub(overhead)
            }
        }
    }

    /// Decrypts what was read, in place.
    pub(super) fn open(&mut self, records: &mut [u8]) -> Option<Opened> {
        let Self::Tls(secure) = self else { return None };
        let mut content = std::mem::take(&mut secure.content);
        content.clear();
        let InPlace { front, end } = secure.tls.receive_in_place(records, &mut content, &mut secure.answers);
        let end = match end {
            Ok(Received::Open) => None,
            Ok(Received::Closed) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        Some(Opened { content, front, end })
    }

    /// Takes back a buffer. Worth it while a file comes: an idle link needs none.
    pub(super) fn give_back(&mut self, content: Vec<u8>) {
        if let Self::Tls(secure) = self {
            secure.content = content;
        }
    }

    /// True if there are answers of TLS to be written.
    pub(super) fn has_answers(&self) -> bool {
        matches!(self, Self::Tls(secure) if !secure.answers.is_empty())
    }

    /// What is to be written for these commands. `commands` is used up and may be given back by the caller.
    pub(super) fn seal_commands(&mut self, commands: Vec<u8>) -> Result<Vec<u8>, TlsError> {
        let Self::Tls(secure) = self else { return Ok(commands) };
        let mut records = std::mem::take(&mut secure.answers);
        if !commands.is_empty() {
            let start = records.len();
            records.resize(start + Tls::sealed_bytes(commands.len()), 0);
            let count = secure.tls.seal(&commands, records.get_mut(start..).unwrap_or_default())?;
            records.truncate(start + count);
        }
        Ok(records)
    }

    /// Seals content into a block; gives the octets to be written.
    pub(super) fn seal_block(&mut self, content: &[u8], block: &mut Block) -> Result<usize, TlsError> {
        let Self::Tls(secure) = self else { return Ok(0) };
        let start = secure.answers.len();
        if let Some(front) = block.get_mut(..start) {
            front.copy_from_slice(&secure.answers);
        }
        secure.answers.clear();
        let count = secure.tls.seal(content, block.get_mut(start..).unwrap_or_default())?;
        Ok(start + count)
    }

    /// What is to be written before the connection is closed.
    pub(super) fn close(&mut self) -> Vec<u8> {
        let Self::Tls(secure) = self else { return Vec::new() };
        let mut records = std::mem::take(&mut secure.answers);
        secure.tls.close(&mut records);
        records
    }
}
