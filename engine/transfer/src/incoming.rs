//! Receiving: Data Exchange Buffers become file content.

use odile_envelope::CheckpointError;
use odile_wire::AnswerReason;
use odile_wire::Malformed;
use odile_wire::command::EndFile;
use odile_wire::data::{Decoder, Records};

use crate::checkpoint::Place;
use crate::record_walk::{PREFIX_BYTES, RecordWalk};
use crate::restart::{RestartUnit, ResumeError, unit_bytes};

/// A plain file being received. Hand it every fragment of DATA, then check [`Incoming::check`] at EFID.
pub struct Incoming {
    decoder: Decoder,
    records: Records,
    limit_octets: u64,
    stored: u64,
    known: Option<Known>,
}

/// What comes although it is in the target already: restart positions are coarser than octets, and the peer may offer
/// a lower one. It is dropped.
enum Known {
    Octets { left: u64 },
    Records(Box<KnownRecords>),
}

struct KnownRecords {
    walk: RecordWalk,
    until: u64,
    /// Octets of all records before `until`, dropped ones included.
    received: u64,
    /// Octets of those that were dropped.
    dropped: u64,
}

/// What one call of [`Incoming::take`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Octets of the fragment that were used up; if fewer than there were, the output is full.
    pub consumed: usize,
    /// Octets written to the output. What is in the target already is not among them.
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
        Self { decoder: Decoder::new(records), records, limit_octets, stored: 0, known: None }
    }

    /// Goes on at `position`, as it was answered to the sender: at or below the restart position of `place`, up to which
    /// the file is in the target. What comes of that is dropped.
    ///
    /// # Errors
    ///
    /// [`ResumeError::NotReceived`] if the position is above the place, [`CheckpointError::Damaged`] if there is no such
    /// place.
    pub fn resume(
        records: Records,
        limit_octets: u64,
        place: &Place,
        position: u64,
    ) -> Result<Self, ResumeError> {
        let unit = RestartUnit::of(records, false);
        let received = place.restart_position(unit);
        if position > received {
            return Err(ResumeError::NotReceived { received, position });
        }
        let mut incoming = Self::new(records, limit_octets);
        let no_such_place = ResumeError::Checkpoint(CheckpointError::Damaged);
        if let Some(bytes) = unit_bytes(records) {
            // Above what was received only if the place counts more records than its octets hold.
            let octets = position.checked_mul(bytes).filter(|octets| *octets <= place.received);
            let octets = octets.ok_or(no_such_place)?;
            let finished = if unit == RestartUnit::Records { position } else { 0 };
            incoming.decoder.resume_at(finished, octets);
            let left = place.received - octets;
            incoming.known = (left > 0).then_some(Known::Octets { left });
            incoming.stored = place.received;
            return Ok(incoming);
        }
        let lengths = place.records.checked_mul(PREFIX_BYTES);
        let stored = lengths.and_then(|lengths| lengths.checked_add(place.received));
        incoming.stored = stored.ok_or(no_such_place)?;
        if position == place.records {
            incoming.decoder.resume_at(place.records, place.received);
        } else {
            // How many octets are before the position, nobody remembers: they are known again when all has come.
            incoming.decoder.resume_at(position, 0);
            incoming.known = Some(Known::Records(Box::new(KnownRecords {
                walk: RecordWalk::behind(position),
                until: place.records,
                received: place.received,
                dropped: 0,
            })));
        }
        Ok(incoming)
    }

    /// Decodes a fragment of a Data Exchange Buffer into `output`. Call it again with the rest as long as less
    /// than everything was consumed or it wants room.
    pub fn take(&mut self, fragment: &[u8], output: &mut [u8]) -> Result<Taken, IncomingError> {
        let mut taken = Taken { consumed: 0, written: 0, wants_room: false };
        loop {
            let rest = fragment.get(taken.consumed..).unwrap_or_default();
            let room = output.get_mut(taken.written..).unwrap_or_default();
            let decoded = self.decoder.decode(rest, room)?;
            let was_known = self.known.is_some();
            let written = self.drop_known(room.get_mut(..decoded.written).unwrap_or_default());
            self.stored += written as u64;
            if self.decoder.octets() > self.limit_octets {
                return Err(IncomingError::TooLong { limit: self.limit_octets });
            }
            taken.consumed += decoded.consumed;
            taken.written += written;
            taken.wants_room = self.decoder.needs_room();
            let is_used_up = taken.consumed == fragment.len() && !taken.wants_room;
            if !was_known || is_used_up || taken.written == output.len() {
                return Ok(taken);
            }
        }
    }

    /// Takes what is known off the front of what was written; gives how much is left.
    fn drop_known(&mut self, written: &mut [u8]) -> usize {
        let dropped = match &mut self.known {
            None => return written.len(),
            Some(Known::Octets { left }) => {
                let dropped = written.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= dropped as u64;
                if *left == 0 {
                    self.known = None;
                }
                dropped
            }
            Some(Known::Records(known)) => {
                let KnownRecords { walk, until, received, dropped: data } = known.as_mut();
                let dropped = walk.walk_until(*until, written, |record| *data += record.len() as u64);
                if walk.records() == *until {
                    // What came behind them in the same buffer counts from where they end.
                    let behind = self.decoder.octets().saturating_sub(*data);
                    self.decoder.resume_at(self.decoder.records(), received.saturating_add(behind));
                    self.known = None;
                }
                dropped
            }
        };
        written.copy_within(dropped.., 0);
        written.len() - dropped
    }

    /// The Data Exchange Buffer has ended.
    pub fn end_of_buffer(&mut self) -> Result<(), IncomingError> {
        Ok(self.decoder.end_of_buffer()?)
    }

    /// How far the file has come, if that is a place to go on from: everything that came is in the outputs, or, of a V
    /// file, every whole record, and it is more than what was there before. `stored` is what was written to outputs,
    /// those of earlier sessions included.
    pub fn place(&self) -> Option<Place> {
        if self.known.is_some() || self.decoder.needs_room() {
            return None;
        }
        let (stored, records) = (self.stored, self.decoder.records());
        let received = match self.records {
            Records::None | Records::Fixed { .. } => self.decoder.octets(),
            Records::Variable => stored.checked_sub(records.checked_mul(PREFIX_BYTES)?)?,
        };
        Some(Place { received, records, stored })
    }

    /// Octets of the Virtual File so far. While what is known comes again, only up to there; of a V file not even that.
    pub fn octets(&self) -> u64 {
        self.decoder.octets()
    }

    /// Octets written to outputs so far, in earlier sessions as well: with V files more than [`Incoming::octets`], by
    /// two for each record.
    pub fn stored_octets(&self) -> u64 {
        self.stored
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.decoder.records()
    }

    /// Compares the counts of EFID with what came. The reason and a text for EFNA if they differ.
    pub fn check(&self, end: &EndFile) -> Result<(), (AnswerReason, String)> {
        if self.known.is_some() {
            let text = "the file ends before what was received of it in an earlier session".to_owned();
            return Err((AnswerReason::INVALID_BYTE_COUNT, text));
        }
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
