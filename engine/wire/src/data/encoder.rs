//! From the source file to Stream Transmission Buffers.
//!
//! What is written depends on the content of the file alone, never on the slices in which it came: a buffer is
//! written only once nothing that may follow could change it.

use super::run::{RUN_MIN, find_run, run_length};
use super::{
    COMPRESSED, COUNT_MAX, Compression, END_OF_RECORD, End, PREFIX_BYTES, Records, SUBRECORD_BYTES,
    WHOLE_SUBRECORD_BYTES,
};
use crate::command::Mnemonic;
use crate::stream::{HEADER_BYTES, header};
use crate::{BUFFER_SIZE_MAX, BUFFER_SIZE_MIN};

/// With so many octets of the source, [`Encoder::encode`] can always write a buffer.
pub const SOURCE_WINDOW_BYTES: usize = SOURCE_BYTES_MAX + 1;

/// Octets of the source that go into one buffer at most. Without this limit a buffer of compressed zeros could
/// stand for 3 MB, and the caller would have to have them all at hand.
const SOURCE_BYTES_MAX: usize = 256 * 1024;

// A buffer without compression is never cut short by the limit. The worst are empty records: two octets of
// prefix for one of subrecord header.
const _: () = assert!(SOURCE_BYTES_MAX >= PREFIX_BYTES * BUFFER_SIZE_MAX as usize);

/// Writes a Virtual File as Stream Transmission Buffers with one Data Exchange Buffer each.
///
/// Call [`Encoder::encode`] with what follows the octets consumed so far, until [`Encoder::is_finished`].
#[derive(Debug)]
pub struct Encoder {
    records: Records,
    buffer_size: usize,
    compression: Compression,
    place: Place,
    finished: bool,
}

/// What one call of [`Encoder::encode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// Octets taken off the source.
    pub consumed: usize,
    /// Octets of the Stream Transmission Buffer. 0: the source slice is too short for a full buffer, or all is
    /// done.
    pub written: usize,
}

/// The source is not what its record format says. Offsets count from the start of the local file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The file ends inside a record.
    #[error("the file ends at octet {at}, {missing} octets before its last record does")]
    RecordCut {
        /// Where the file ends.
        at: u64,
        /// Octets that the record still needs.
        missing: u64,
    },
    /// The file ends inside the length of a record.
    #[error("the file ends at octet {at}, inside the length of a record")]
    PrefixCut {
        /// Where the file ends.
        at: u64,
    },
    /// Records of a fixed length were asked for, and that length is zero.
    #[error("records of a fixed length need a length above zero (offset {at})")]
    NoRecordSize {
        /// Where the source starts.
        at: u64,
    },
}

impl Encoder {
    /// `buffer_size`: octets of a Data Exchange Buffer, `D` included, as SSID agreed: 128 to 99999.
    pub fn new(records: Records, buffer_size: u32, compression: Compression) -> Self {
        assert!((BUFFER_SIZE_MIN..=BUFFER_SIZE_MAX).contains(&buffer_size), "a size that SSID can agree on");
        Self {
            records,
            buffer_size: buffer_size as usize,
            compression,
            place: Place { octets: 0, records: 0, open: None },
            finished: false,
        }
    }

    /// After a restart: the source starts behind so many records and octets. F and V files restart between
    /// records.
    pub fn resume_at(&mut self, records: u64, octets: u64) {
        self.place = Place { octets, records, open: None };
    }

    /// Octets of the Virtual File so far, lengths of V records not counted: EFIDUCNT at the end.
    pub fn octets(&self) -> u64 {
        self.place.octets
    }

    /// Records finished so far of F and V files: EFIDRCNT at the end. 0 for [`Records::None`].
    pub fn records(&self) -> u64 {
        self.place.records
    }

    /// True once nothing is left to write, the last End of Record Flag included.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Writes one Stream Transmission Buffer (header, `D`, subrecords) to the front of `out`, which must hold
    /// the buffer size and four octets.
    ///
    /// `source` goes on where the last call stopped consuming. With [`End::More`], nothing is consumed or
    /// written if it is too short to know the whole buffer; [`SOURCE_WINDOW_BYTES`] are always enough. An F or
    /// V file without records gives no buffer at all, any other empty file one.
    pub fn encode(&mut self, source: &[u8], end: End, out: &mut [u8]) -> Result<Encoded, SourceError> {
        let nothing = Encoded { consumed: 0, written: 0 };
        if self.finished {
            return Ok(nothing);
        }
        let (source, edge) = match end {
            _ if source.len() > SOURCE_BYTES_MAX => (&source[..SOURCE_BYTES_MAX], Edge::Cut),
            End::Reached => (source, Edge::End),
            End::More => (source, Edge::Unknown),
        };
        let (head, payload) = out[..HEADER_BYTES + self.buffer_size].split_at_mut(HEADER_BYTES + 1);
        let payload = Payload { octets: payload, filled: 0, last_header: 0, compression: self.compression };
        let mut buffer = Buffer { source, edge, consumed: 0, payload, place: self.place };
        let complete = match self.records {
            Records::None => buffer.fill_with_stream(),
            Records::Fixed { .. } | Records::Variable => buffer.fill_with_records(self.records)?,
        };
        if !complete {
            return Ok(nothing);
        }
        let Buffer { consumed, place, payload: Payload { filled, .. }, .. } = buffer;
        self.place = place;
        self.finished = edge == Edge::End && consumed == source.len() && place.open.is_none();
        if filled == 0 {
            return Ok(nothing);
        }
        head[..HEADER_BYTES].copy_from_slice(&header(1 + filled));
        head[HEADER_BYTES] = Mnemonic::Data.letter();
        Ok(Encoded { consumed, written: HEADER_BYTES + 1 + filled })
    }
}

/// How far the file was encoded.
#[derive(Debug, Clone, Copy)]
struct Place {
    octets: u64,
    records: u64,
    /// Octets that are left of a record that has begun. Never zero.
    open: Option<u64>,
}

/// What is behind the last octet of the source slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// It is not known yet, and what is written may depend on it.
    Unknown,
    /// More; but this buffer takes none of it.
    Cut,
    /// Nothing.
    End,
}

/// One buffer being filled. Nothing of it counts before it is complete.
struct Buffer<'a> {
    source: &'a [u8],
    edge: Edge,
    consumed: usize,
    payload: Payload<'a>,
    place: Place,
}

impl Buffer<'_> {
    /// Returns whether the buffer is complete: false if that depends on what follows the source slice.
    fn fill_with_stream(&mut self) -> bool {
        self.consumed = self.payload.put(self.source);
        self.place.octets += self.consumed as u64;
        let all = self.consumed == self.source.len();
        match self.edge {
            // Whether the last subrecord carries the flag shows only with the next octet.
            Edge::Unknown => !all && self.payload.is_settled(self.consumed, self.source.len()),
            Edge::Cut => true,
            Edge::End => {
                if all {
                    self.payload.end_record(self.source.len());
                }
                true
            }
        }
    }

    /// As [`Self::fill_with_stream`], for F and V files.
    fn fill_with_records(&mut self, records: Records) -> Result<bool, SourceError> {
        while self.payload.room() > 0 {
            let left = match self.place.open {
                Some(left) => left,
                None => match self.start_record(records)? {
                    Start::Record(length) => length,
                    Start::Wait => return Ok(false),
                    Start::Stop => return Ok(true),
                },
            };
            let available = self.source.len() - self.consumed;
            let segment_bytes = usize::try_from(left).map_or(available, |left| left.min(available));
            let taken = self.payload.put(&self.source[self.consumed..self.consumed + segment_bytes]);
            self.consumed += taken;
            self.place.octets += taken as u64;
            let left = left - taken as u64;
            if left == 0 {
                self.payload.end_record(segment_bytes);
                self.place.records += 1;
                self.place.open = None;
                continue;
            }
            self.place.open = Some(left);
            if taken < segment_bytes {
                let record_is_cut = left > (segment_bytes - taken) as u64;
                let waits = record_is_cut && self.edge == Edge::Unknown;
                return Ok(!waits || self.payload.is_settled(taken, segment_bytes));
            }
            return match self.edge {
                Edge::Unknown => Ok(false),
                Edge::Cut => Ok(true),
                Edge::End => Err(SourceError::RecordCut { at: self.offset(records), missing: left }),
            };
        }
        Ok(true)
    }

    /// The length of the record that starts here; a V record's prefix is consumed.
    fn start_record(&mut self, records: Records) -> Result<Start, SourceError> {
        let rest = &self.source[self.consumed..];
        let (prefix_bytes, length) = match records {
            Records::None => (0, None),
            Records::Fixed { size: 0 } => {
                return Err(SourceError::NoRecordSize { at: self.offset(records) });
            }
            Records::Fixed { size } => (0, (!rest.is_empty()).then_some(u64::from(size))),
            Records::Variable => {
                let length = rest.first_chunk().map(|&prefix| u64::from(u16::from_be_bytes(prefix)));
                (PREFIX_BYTES, length)
            }
        };
        let Some(length) = length else {
            return match self.edge {
                Edge::Unknown => Ok(Start::Wait),
                Edge::End if !rest.is_empty() => {
                    Err(SourceError::PrefixCut { at: self.offset(records) + rest.len() as u64 })
                }
                Edge::Cut | Edge::End => Ok(Start::Stop),
            };
        };
        if length > 0 && self.payload.room() < 2 {
            return Ok(Start::Stop);
        }
        self.consumed += prefix_bytes;
        Ok(Start::Record(length))
    }

    /// Where the encoder is in the local file.
    fn offset(&self, records: Records) -> u64 {
        let Place { octets, records: finished, open } = self.place;
        match records {
            Records::None | Records::Fixed { .. } => octets,
            Records::Variable => octets + PREFIX_BYTES as u64 * (finished + u64::from(open.is_some())),
        }
    }
}

enum Start {
    /// A record of this length.
    Record(u64),
    /// It depends on what follows the source slice.
    Wait,
    /// The buffer ends here.
    Stop,
}

/// The subrecords of one Data Exchange Buffer.
struct Payload<'a> {
    octets: &'a mut [u8],
    filled: usize,
    /// Where the last subrecord header is.
    last_header: usize,
    compression: Compression,
}

impl Payload<'_> {
    fn room(&self) -> usize {
        self.octets.len() - self.filled
    }

    /// Writes subrecords for `source` as far as there is room. Returns the octets taken.
    fn put(&mut self, source: &[u8]) -> usize {
        match self.compression {
            Compression::Off => self.put_literals(source),
            Compression::On => self.put_compressed(source),
        }
    }

    /// Whether taking `taken` octets of a slice of `length` was right whatever follows the slice. A run can
    /// begin unseen in the last octets.
    fn is_settled(&self, taken: usize, length: usize) -> bool {
        match self.compression {
            Compression::Off => true,
            Compression::On => taken + (RUN_MIN - 1) <= length,
        }
    }

    /// Marks the last subrecord as the end of a record; a record whose last `taken` octets are none gets an
    /// empty subrecord.
    fn end_record(&mut self, taken: usize) {
        if taken == 0 {
            self.push_header(0, 1);
        }
        self.octets[self.last_header] |= END_OF_RECORD;
    }

    /// Notes a header at the end; `whole` octets of subrecord and header are accounted for.
    fn push_header(&mut self, header: u8, whole: usize) {
        self.last_header = self.filled;
        self.octets[self.filled] = header;
        self.filled += whole;
    }

    fn put_literals(&mut self, source: &[u8]) -> usize {
        let (from, _) = source.as_chunks::<SUBRECORD_BYTES>();
        let (to, _) = self.octets[self.filled..].as_chunks_mut::<WHOLE_SUBRECORD_BYTES>();
        let whole = from.len().min(to.len());
        for (to, from) in to.iter_mut().zip(from) {
            to[0] = COUNT_MAX;
            to[1..].copy_from_slice(from);
        }
        self.filled += whole * WHOLE_SUBRECORD_BYTES;
        if whole > 0 {
            self.last_header = self.filled - WHOLE_SUBRECORD_BYTES;
        }
        let rest = &source[whole * SUBRECORD_BYTES..];
        let short = rest.len().min(SUBRECORD_BYTES).min(self.room().saturating_sub(1));
        if short > 0 {
            let start = self.filled + 1;
            self.octets[start..start + short].copy_from_slice(&rest[..short]);
            self.push_header(count(short), 1 + short);
        }
        whole * SUBRECORD_BYTES + short
    }

    fn put_compressed(&mut self, source: &[u8]) -> usize {
        let mut at = 0;
        while at < source.len() && self.room() >= 2 {
            // More literals than there is room for need not be searched for runs.
            let window = &source[at..source.len().min(at + self.room() + RUN_MIN)];
            let literals = find_run(window).unwrap_or(window.len());
            let taken = self.put_literals(&window[..literals]);
            at += taken;
            if taken < literals {
                break;
            }
            at += self.put_run(&source[at..]);
        }
        at
    }

    /// Writes the run that `source` starts with as compressed subrecords; what is left over and too short to
    /// be worth one is not taken.
    fn put_run(&mut self, source: &[u8]) -> usize {
        let Some(&octet) = source.first() else { return 0 };
        let fits = self.room() / 2 * SUBRECORD_BYTES;
        let length = run_length(&source[..source.len().min(fits)]);
        let mut left = length;
        while left >= RUN_MIN {
            let run = left.min(SUBRECORD_BYTES);
            self.octets[self.filled + 1] = octet;
            self.push_header(COMPRESSED | count(run), 2);
            left -= run;
        }
        length - left
    }
}

/// The count of a header for up to 63 octets.
fn count(octets: usize) -> u8 {
    u8::try_from(octets).unwrap_or(COUNT_MAX).min(COUNT_MAX)
}
