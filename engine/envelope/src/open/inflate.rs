//! CompressedData undone: any zlib stream (RFC 1950), to be taken up at the boundaries of deflate blocks.

use serde::{Deserialize, Serialize};

use crate::deflate::zlib::{RawInflate, Stop};
use crate::error::{CheckpointError, OpenError};

/// Octets of a zlib header, and of the checksum at the end.
const HEADER_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 4;

/// A zlib stream in the making.
pub(super) struct Inflater {
    raw: RawInflate,
    phase: Phase,
    adler: u32,
    /// Output since the last pause.
    since_pause_bytes: u64,
    boundary: Option<Boundary>,
    is_pausing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Header { octets: [u8; HEADER_BYTES], count: u8 },
    Blocks,
    Checksum { octets: [u8; CHECKSUM_BYTES], count: u8 },
    Done,
}

/// Between two blocks.
#[derive(Clone, Copy)]
struct Boundary {
    left_over_bits: u8,
    bits: u8,
}

/// An [`Inflater`] between two blocks, with the output that the next block may refer to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InflateState {
    phase: Phase,
    adler: u32,
    left_over_bits: u8,
    bits: u8,
    window: Vec<u8>,
}

impl Inflater {
    pub fn new() -> Result<Self, OpenError> {
        let raw = RawInflate::new().ok_or(OpenError::Decompress("out of memory"))?;
        Ok(Self {
            raw,
            phase: Phase::Header { octets: [0; HEADER_BYTES], count: 0 },
            adler: 1,
            since_pause_bytes: 0,
            boundary: None,
            is_pausing: false,
        })
    }

    pub fn resume(state: &InflateState) -> Result<Self, CheckpointError> {
        let raw = RawInflate::resume(state.left_over_bits, state.bits, &state.window);
        let boundary = Boundary { left_over_bits: state.left_over_bits, bits: state.bits };
        Ok(Self {
            raw: raw.ok_or(CheckpointError::Damaged)?,
            phase: state.phase,
            adler: state.adler,
            since_pause_bytes: 0,
            boundary: Some(boundary),
            is_pausing: false,
        })
    }

    /// The state, if it can be stored here: before, between and behind the blocks.
    pub fn state(&self) -> Option<InflateState> {
        let boundary = match self.phase {
            Phase::Blocks => self.boundary?,
            _ => Boundary { left_over_bits: 0, bits: 0 },
        };
        let window = match self.phase {
            Phase::Blocks => self.raw.window()?,
            _ => Vec::new(),
        };
        Some(InflateState {
            phase: self.phase,
            adler: self.adler,
            left_over_bits: boundary.left_over_bits,
            bits: boundary.bits,
            window,
        })
    }

    /// Asks to stop at the first boundary after so many octets of output.
    pub fn pause_after(&mut self, bytes: u64) {
        self.is_pausing = self.boundary.is_some() && self.since_pause_bytes >= bytes;
        if self.is_pausing {
            self.since_pause_bytes = 0;
        }
    }

    pub fn is_pausing(&self) -> bool {
        self.is_pausing
    }

    /// Whether it stopped for a checkpoint. Asking ends the pause.
    pub fn take_pause(&mut self) -> bool {
        std::mem::take(&mut self.is_pausing)
    }

    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Takes from the front of `input`, writes to the front of `out`.
    pub fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), OpenError> {
        let (consumed, written) = match &mut self.phase {
            Phase::Header { octets, count } => {
                let taken = gather(octets, count, input);
                if usize::from(*count) == HEADER_BYTES {
                    check_header(*octets)?;
                    self.phase = Phase::Blocks;
                    self.boundary = Some(Boundary { left_over_bits: 0, bits: 0 });
                }
                (taken, 0)
            }
            Phase::Blocks => self.inflate(input, out)?,
            Phase::Checksum { octets, count } => {
                let taken = gather(octets, count, input);
                if usize::from(*count) == CHECKSUM_BYTES {
                    if u32::from_be_bytes(*octets) != self.adler {
                        return Err(OpenError::Decompress("the checksum differs"));
                    }
                    self.phase = Phase::Done;
                }
                (taken, 0)
            }
            Phase::Done if input.is_empty() => (0, 0),
            Phase::Done => return Err(OpenError::Decompress("there are octets behind its end")),
        };
        Ok((consumed, written))
    }

    fn inflate(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), OpenError> {
        if input.is_empty() && self.boundary.is_some_and(|boundary| boundary.left_over_bits == 0) {
            return Ok((0, 0));
        }
        let step = self.raw.step(input, out).ok_or(OpenError::Decompress("the stream is damaged"))?;
        self.adler = zlib_rs::adler32::adler32(self.adler, &out[..step.written]);
        self.since_pause_bytes += step.written as u64;
        match step.stop {
            Stop::Block { left_over_bits } => {
                // The bits are the upper ones of the last octet that was consumed. A block without any input of its
                // own cannot be, but then its boundary is simply not used.
                self.boundary = match step.consumed.checked_sub(1) {
                    Some(last) if left_over_bits > 0 => {
                        Some(Boundary { left_over_bits, bits: input[last] >> (8 - left_over_bits) })
                    }
                    _ if left_over_bits == 0 => Some(Boundary { left_over_bits, bits: 0 }),
                    _ => None,
                };
            }
            Stop::End => {
                self.boundary = None;
                self.phase = Phase::Checksum { octets: [0; CHECKSUM_BYTES], count: 0 };
            }
            Stop::Starved if step.consumed == 0 && step.written == 0 => {}
            Stop::Starved => self.boundary = None,
        }
        Ok((step.consumed, step.written))
    }
}

fn gather<const N: usize>(octets: &mut [u8; N], count: &mut u8, input: &[u8]) -> usize {
    let at = usize::from(*count);
    let taken = input.len().min(N - at);
    octets[at..at + taken].copy_from_slice(&input[..taken]);
    *count += u8::try_from(taken).unwrap_or(0);
    taken
}

/// RFC 1950 §2.2: deflate, a window of at most 32 KiB, no preset dictionary, and the check bits.
fn check_header([cmf, flags]: [u8; HEADER_BYTES]) -> Result<(), OpenError> {
    let is_checked = (u16::from(cmf) << 8 | u16::from(flags)) % 31 == 0;
    if cmf & 0x0F != 8 || cmf >> 4 > 7 || flags & 0x20 != 0 || !is_checked {
        return Err(OpenError::Decompress("it does not begin as a zlib stream does"));
    }
    Ok(())
}
