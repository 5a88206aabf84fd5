//! Sending: source octets become Data Exchange Buffers.

use odile_wire::command::EndFile;
use odile_wire::data::{Compression, Encoder, End, Records, SOURCE_WINDOW_BYTES, SourceError};
use odile_wire::stream;

/// A plain file being sent. Fill blocks with it until [`Outgoing::is_finished`], then send [`Outgoing::end_file`].
pub struct Outgoing {
    encoder: Encoder,
    records: Records,
    buffer_bytes: usize,
    position: u64,
}

/// What one call of [`Outgoing::fill`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// Octets of the source that were used up.
    pub consumed: usize,
    /// Octets written to the block.
    pub written: usize,
    /// Data Exchange Buffers among them: so much credit is used.
    pub buffers: u16,
}

impl Outgoing {
    /// For a session with Data Exchange Buffers of `buffer_size` octets.
    pub fn new(records: Records, buffer_size: u32, compression: Compression) -> Self {
        let buffer_bytes =
            usize::try_from(buffer_size).unwrap_or(usize::MAX).saturating_add(stream::HEADER_BYTES);
        Self { encoder: Encoder::new(records, buffer_size, compression), records, buffer_bytes, position: 0 }
    }

    /// So much of the source must be shown to [`Outgoing::fill`], or all that follows, for it to make progress.
    pub const SOURCE_WINDOW_BYTES: usize = SOURCE_WINDOW_BYTES;

    /// Writes as many whole Data Exchange Buffers, with stream headers, as fit in `block`, at most
    /// `buffers_max`. `source` is the file from [`Outgoing::position`] on.
    ///
    /// # Errors
    ///
    /// If the source is no sequence of such records.
    pub fn fill(
        &mut self,
        source: &[u8],
        end: End,
        block: &mut [u8],
        buffers_max: u16,
    ) -> Result<Filled, SourceError> {
        let mut filled = Filled { consumed: 0, written: 0, buffers: 0 };
        while filled.buffers < buffers_max && !self.encoder.is_finished() {
            let rest = source.get(filled.consumed..).unwrap_or_default();
            let Some(room) = block.get_mut(filled.written..) else { break };
            if room.len() < self.buffer_bytes {
                break;
            }
            let encoded = self.encoder.encode(rest, end, room)?;
            if encoded.written == 0 {
                break;
            }
            filled.consumed += encoded.consumed;
            filled.written += encoded.written;
            filled.buffers += 1;
        }
        self.position += filled.consumed as u64;
        Ok(filled)
    }

    /// Where in the source the next call of [`Outgoing::fill`] goes on.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on at a position of the source, behind so many records and octets of the Virtual File.
    pub(crate) fn resume_at(&mut self, position: u64, records: u64, octets: u64) {
        self.position = position;
        self.encoder.resume_at(records, octets);
    }

    /// True if everything was written, the end of the last record included.
    pub fn is_finished(&self) -> bool {
        self.encoder.is_finished()
    }

    /// The counts for EFID.
    pub fn end_file(&self) -> EndFile {
        let record_count = if matches!(self.records, Records::None) { 0 } else { self.encoder.records() };
        EndFile { record_count, unit_count: self.encoder.octets() }
    }
}
