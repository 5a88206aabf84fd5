//! Receiving: Data Exchange Buffers become file content.

use odile_wire::AnswerReason;
use odile_wire::Malformed;
use odile_wire::command::EndFile;
use odile_wire::data::{Decoder, Records};

/// A plain file being received. Hand it every fragment of DATA, then check [`Incoming::check`] at EFID.
pub struct Incoming {
    decoder: Decoder,
    records: Records,
    limit_octets: u64,
    stored: u64,
}

/// What one call of [`Incoming::take`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Octets of the fragment that were used up; if fewer than there were, the output is full.
    pub consumed: usize,
    /// Octets written to the output.
    pub written: usize,
    /// True if more is to be written although the fragment is used up: give another output.
    pub wants_room: bool,
}

/// Why an incoming file cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncomingError {
    /// The peer sent something that is no Data Exchange Buffer.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The file is longer than agreed.
    #[error("the file is longer than {limit} octets, more than was announced and allowed")]
    TooLong {
        /// Octets allowed.
        limit: u64,
    },
}

impl Incoming {
    /// `limit_octets`: where a file that is longer than announced is cut off.
    pub fn new(records: Records, limit_octets: u64) -> Self {
        Self { decoder: Decoder::new(records), records, limit_octets, stored: 0 }
    }

    /// Decodes a fragment of a Data Exchange Buffer into `output`. Call it again with the rest as long as less
    /// than everything was consumed or it wants room.
    pub fn take(&mut self, fragment: &[u8], output: &mut [u8]) -> Result<Taken, IncomingError> {
        let decoded = self.decoder.decode(fragment, output)?;
        self.stored += decoded.written as u64;
        if self.decoder.octets() > self.limit_octets {
            return Err(IncomingError::TooLong { limit: self.limit_octets });
        }
        let wants_room = self.decoder.needs_room();
        Ok(Taken { consumed: decoded.consumed, written: decoded.written, wants_room })
    }

    /// The Data Exchange Buffer has ended.
    pub fn end_of_buffer(&mut self) -> Result<(), IncomingError> {
        Ok(self.decoder.end_of_buffer()?)
    }

    /// Octets of the Virtual File so far.
    pub fn octets(&self) -> u64 {
        self.decoder.octets()
    }

    /// Octets written to outputs so far: with V files more than [`Incoming::octets`], by two for each record.
    pub fn stored_octets(&self) -> u64 {
        self.stored
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.decoder.records()
    }

    /// Compares the counts of EFID with what came. The reason and a text for EFNA if they differ.
    pub fn check(&self, end: &EndFile) -> Result<(), (AnswerReason, String)> {
        if end.unit_count != self.octets() {
            let text = format!("EFID says {} octets, {} were received", end.unit_count, self.octets());
            return Err((AnswerReason::INVALID_BYTE_COUNT, text));
        }
        let has_records = !matches!(self.records, Records::None);
        if has_records && self.decoder.record_is_open() {
            let text = "the last record has no end".to_owned();
            return Err((AnswerReason::INVALID_RECORD_COUNT, text));
        }
        if has_records && end.record_count != self.records() {
            let text = format!("EFID says {} records, {} were received", end.record_count, self.records());
            return Err((AnswerReason::INVALID_RECORD_COUNT, text));
        }
        Ok(())
    }
}
