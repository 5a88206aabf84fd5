//! From `DATA` payloads, in fragments of any size, to the local file.

use super::{
    COMPRESSED, COUNT_MAX, END_OF_RECORD, PREFIX_BYTES, Records, SUBRECORD_BYTES, WHOLE_SUBRECORD_BYTES,
};
use crate::command::Mnemonic;
use crate::error::Malformed;

/// Turns the payloads of a Virtual File's Data Exchange Buffers into the local file.
///
/// For every fragment, call [`Decoder::decode`] until the fragment is consumed and [`Decoder::needs_room`] is
/// false; at the end of every Data Exchange Buffer call [`Decoder::end_of_buffer`]. After an error the decoder
/// is of no more use.
#[derive(Debug)]
pub struct Decoder {
    records: Records,
    subrecords: Subrecords,
    /// The V record being collected, behind room for its length. Empty for other files.
    record: Box<[u8]>,
    /// What of `record` waits to be written.
    pending: std::ops::Range<usize>,
    octets: u64,
    finished_records: u64,
    /// Octets since the last end of a record.
    open: u64,
}

/// What one call of [`Decoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Octets taken off the fragment.
    pub consumed: usize,
    /// Octets of the local file written to `out`.
    pub written: usize,
}

impl Decoder {
    /// At the start of a file. Only [`Records::Variable`] allocates, and only here.
    pub fn new(records: Records) -> Self {
        let record_bytes = match records {
            Records::None | Records::Fixed { .. } => 0,
            Records::Variable => PREFIX_BYTES + usize::from(u16::MAX),
        };
        Self {
            records,
            subrecords: Subrecords { state: State::Header, ends_record: false, at: 0, next: PAYLOAD_START },
            record: vec![0; record_bytes].into_boxed_slice(),
            pending: 0..0,
            octets: 0,
            finished_records: 0,
            open: 0,
        }
    }

    /// After a restart: so many records and octets are there already.
    pub fn resume_at(&mut self, records: u64, octets: u64) {
        self.finished_records = records;
        self.octets = octets;
    }

    /// Octets of the Virtual File so far, lengths of V records not counted: to be compared with EFIDUCNT.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Ends of records seen in an F or V file: to be compared with EFIDRCNT. 0 for [`Records::None`].
    pub fn records(&self) -> u64 {
        self.finished_records
    }

    /// True if octets came after the last end of a record. F and V files must not end so.
    pub fn record_is_open(&self) -> bool {
        self.open > 0
    }

    /// True if octets that were consumed still wait for room in `out`: call again, if need be with an empty
    /// fragment.
    pub fn needs_room(&self) -> bool {
        let run = matches!(self.subrecords.state, State::Run { left: 1.., .. });
        !self.pending.is_empty() || run
    }

    /// Takes octets off `fragment` and writes what they stand for to `out`, until one of the two is used up.
    pub fn decode(&mut self, fragment: &[u8], out: &mut [u8]) -> Result<Decoded, Malformed> {
        let mut input = fragment;
        let written = match self.records {
            Records::None => self.decode_stream(&mut input, out),
            Records::Fixed { size } => self.decode_fixed(u64::from(size), &mut input, out)?,
            Records::Variable => self.decode_variable(&mut input, out)?,
        };
        Ok(Decoded { consumed: fragment.len() - input.len(), written })
    }

    /// The Data Exchange Buffer has ended: a subrecord never goes on in the next one (RFC 5024 §7.3).
    pub fn end_of_buffer(&mut self) -> Result<(), Malformed> {
        self.subrecords.end_of_buffer()
    }

    /// Ends of records mean nothing here: some peers forget the last one, some set one for each line of text.
    fn decode_stream(&mut self, input: &mut &[u8], out: &mut [u8]) -> usize {
        let mut written = 0;
        loop {
            let step = self.subrecords.advance(input, &mut out[written..]);
            written += step.written;
            self.octets += step.written as u64;
            self.open += step.written as u64;
            if !step.record_ended {
                return written;
            }
            self.open = 0;
        }
    }

    fn decode_fixed(&mut self, size: u64, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Malformed> {
        let mut written = 0;
        loop {
            let step = self.subrecords.advance(input, &mut out[written..]);
            written += step.written;
            self.octets += step.written as u64;
            self.open += step.written as u64;
            if self.open > size {
                return Err(wrong("holds a record longer than SFIDLRECL"));
            }
            if !step.record_ended {
                return Ok(written);
            }
            if self.open != size {
                return Err(wrong("holds a record shorter than SFIDLRECL"));
            }
            self.open = 0;
            self.finished_records += 1;
        }
    }

    /// The length goes before the record and is known only at its end: each record is collected first.
    fn decode_variable(&mut self, input: &mut &[u8], out: &mut [u8]) -> Result<usize, Malformed> {
        let mut written = 0;
        loop {
            let ready = self.pending.len().min(out.len() - written);
            let (start, end) = (self.pending.start, self.pending.start + ready);
            out[written..written + ready].copy_from_slice(&self.record[start..end]);
            self.pending.start = end;
            written += ready;
            if !self.pending.is_empty() {
                return Ok(written);
            }
            let filled = PREFIX_BYTES + usize::try_from(self.open).unwrap_or(usize::MAX);
            let step = self.subrecords.advance(input, &mut self.record[filled..]);
            self.octets += step.written as u64;
            self.open += step.written as u64;
            if step.record_ended {
                let length = u16::try_from(self.open).map_err(|_| wrong(RECORD_TOO_LONG))?;
                self.record[..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
                self.pending = 0..PREFIX_BYTES + usize::from(length);
                self.open = 0;
                self.finished_records += 1;
            } else if self.subrecords.has_octets_to_place(input) {
                return Err(wrong(RECORD_TOO_LONG));
            } else {
                return Ok(written);
            }
        }
    }
}

/// Reads subrecords, wherever the input is split.
#[derive(Debug)]
struct Subrecords {
    state: State,
    /// The current subrecord carries the End of Record Flag.
    ends_record: bool,
    /// Where its header is in the Exchange Buffer.
    at: usize,
    /// Where the next octet of input is in the Exchange Buffer.
    next: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// A header comes next.
    Header,
    /// `left` octets are to be copied.
    Literal { left: u8 },
    /// The octet of a run comes next.
    RunOctet { count: u8 },
    /// `left` times the octet is to be written.
    Run { octet: u8, left: u8 },
}

struct Step {
    written: usize,
    record_ended: bool,
}

impl Subrecords {
    /// Goes on until `input` is used up, `out` is full, or a record ends.
    fn advance(&mut self, input: &mut &[u8], out: &mut [u8]) -> Step {
        let mut written = 0;
        loop {
            let finished = match self.state {
                State::Header => {
                    written += self.copy_whole_literals(input, &mut out[written..]);
                    let Some(header) = self.take(input) else { break };
                    self.at = self.next - 1;
                    self.ends_record = header & END_OF_RECORD != 0;
                    let count = header & COUNT_MAX;
                    let compressed = header & COMPRESSED != 0;
                    self.state =
                        if compressed { State::RunOctet { count } } else { State::Literal { left: count } };
                    false
                }
                State::RunOctet { count } => {
                    let Some(octet) = self.take(input) else { break };
                    self.state = State::Run { octet, left: count };
                    false
                }
                State::Literal { left } => {
                    let copied = usize::from(left).min(input.len()).min(out.len() - written);
                    let (from, rest) = input.split_at(copied);
                    out[written..written + copied].copy_from_slice(from);
                    *input = rest;
                    self.next += copied;
                    written += copied;
                    let left = left - narrow(copied);
                    self.state = State::Literal { left };
                    if left > 0 {
                        break;
                    }
                    true
                }
                State::Run { octet, left } => {
                    let copied = usize::from(left).min(out.len() - written);
                    out[written..written + copied].fill(octet);
                    written += copied;
                    let left = left - narrow(copied);
                    self.state = State::Run { octet, left };
                    if left > 0 {
                        break;
                    }
                    true
                }
            };
            if finished {
                self.state = State::Header;
                if self.ends_record {
                    return Step { written, record_ended: true };
                }
            }
        }
        Step { written, record_ended: false }
    }

    /// The bulk of a file: literals of 63 octets within a record.
    fn copy_whole_literals(&mut self, input: &mut &[u8], out: &mut [u8]) -> usize {
        let (from, _) = input.as_chunks::<WHOLE_SUBRECORD_BYTES>();
        let (to, _) = out.as_chunks_mut::<SUBRECORD_BYTES>();
        let mut whole = 0;
        for (from, to) in from.iter().zip(to) {
            if from[0] != COUNT_MAX {
                break;
            }
            to.copy_from_slice(&from[1..]);
            whole += 1;
        }
        *input = &input[whole * WHOLE_SUBRECORD_BYTES..];
        self.next += whole * WHOLE_SUBRECORD_BYTES;
        whole * SUBRECORD_BYTES
    }

    fn take(&mut self, input: &mut &[u8]) -> Option<u8> {
        let (&octet, rest) = input.split_first()?;
        *input = rest;
        self.next += 1;
        Some(octet)
    }

    /// After [`Self::advance`]: true if it stopped because `out` was full, with octets still to be placed there.
    fn has_octets_to_place(&self, input: &[u8]) -> bool {
        match self.state {
            State::Header | State::RunOctet { .. } => false,
            State::Literal { left } => left > 0 && !input.is_empty(),
            State::Run { left, .. } => left > 0,
        }
    }

    fn end_of_buffer(&mut self) -> Result<(), Malformed> {
        match self.state {
            State::Header | State::Run { .. } => {
                self.next = PAYLOAD_START;
                Ok(())
            }
            State::Literal { .. } | State::RunOctet { .. } => Err(Malformed::Subrecord { at: self.at }),
        }
    }
}

/// A number of octets of one subrecord: at most 63.
fn narrow(octets: usize) -> u8 {
    u8::try_from(octets).unwrap_or(COUNT_MAX)
}

fn wrong(problem: &'static str) -> Malformed {
    Malformed::Field { command: Mnemonic::Data, field: "DATABUF", problem }
}

const RECORD_TOO_LONG: &str = "holds a record longer than 65535 octets";
/// The octet behind the `D`.
const PAYLOAD_START: usize = 1;
