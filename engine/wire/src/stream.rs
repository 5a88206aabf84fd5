//! The Stream Transmission Header and the way back from a TCP stream to Exchange Buffers (RFC 5024 §8).
//!
//! ```text
//!  0         4    8                                32
//! | version | flags | length, header included         | Exchange Buffer …
//!    0001      0000     5 to 100003, network byte order
//! ```
//!
//! Commands are handed out whole. `DATA` is handed out in fragments as the octets come, so that it is never
//! copied here.

use crate::command::{Command, Mnemonic};
use crate::error::{Malformed, Unrepresentable};
use crate::level::Level;
use crate::{BUFFER_SIZE_MAX, BUFFER_SIZE_MIN};

/// Octets of a Stream Transmission Header.
pub const HEADER_BYTES: usize = 4;
/// Shortest Stream Transmission Buffer: a header and a command of one octet.
pub const STREAM_BUFFER_MIN: u32 = 5;
/// Longest Stream Transmission Buffer: a header and the largest Exchange Buffer.
pub const STREAM_BUFFER_MAX: u32 = 100_003;

const _: () = assert!(STREAM_BUFFER_MAX == BUFFER_SIZE_MAX + 4 && HEADER_BYTES == 4);

/// The header of a Stream Transmission Buffer for an Exchange Buffer of 1 to 99999 octets.
pub fn header(exchange_buffer_len: usize) -> [u8; HEADER_BYTES] {
    let length = u32::try_from(exchange_buffer_len + HEADER_BYTES).unwrap_or(u32::MAX);
    assert!((STREAM_BUFFER_MIN..=STREAM_BUFFER_MAX).contains(&length), "an Exchange Buffer of 1 to 99999");
    let [_, high, middle, low] = length.to_be_bytes();
    [VERSION_1_NO_FLAGS, high, middle, low]
}

/// Appends a command with its Stream Transmission Header to `out`. On an error `out` is as it was.
pub fn push_command(command: &Command, level: Level, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    if let Err(error) = command.encode(level, out) {
        out.truncate(start);
        return Err(error);
    }
    let length = out.len() - start - HEADER_BYTES;
    if length > BUFFER_SIZE_MAX as usize {
        out.truncate(start);
        return Err(Unrepresentable::TooLong { command: command.mnemonic(), length });
    }
    out[start..start + HEADER_BYTES].copy_from_slice(&header(length));
    Ok(())
}

/// What the stream holds next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole Exchange Buffer that is not `DATA`, its letter included.
    Command(&'a [u8]),
    /// Octets of a Data Exchange Buffer.
    Data {
        /// A fragment of the payload behind the `D`; empty only for a buffer without payload.
        octets: &'a [u8],
        /// True if the Data Exchange Buffer ends with this fragment.
        end: bool,
    },
}

/// Takes a TCP stream apart. Call [`Deframer::next_piece`] until it returns `None`, then bring more octets.
#[derive(Debug)]
pub struct Deframer {
    state: State,
    /// A command whose octets came in several inputs; kept for the next one.
    collected: Vec<u8>,
    /// The largest Data Exchange Buffer allowed, in octets.
    data_limit: u32,
    failed: Option<Malformed>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// `filled` octets of the header are there.
    Header { octets: [u8; HEADER_BYTES], filled: usize },
    /// The header is complete; the Exchange Buffer has `length` octets, none of them seen.
    Letter { length: usize },
    /// `missing` octets of a command are not in `collected` yet.
    Command { missing: usize },
    /// `left` octets of a Data Exchange Buffer's payload are to come.
    Data { left: usize },
}

impl Deframer {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self { state: State::NEXT_BUFFER, collected: Vec::new(), data_limit: BUFFER_SIZE_MAX, failed: None }
    }

    /// The size of Data Exchange Buffers agreed with SSID, in octets. Commands are not bounded by it: an SFID
    /// with a description can be longer than 128.
    pub fn set_data_limit(&mut self, buffer_size: u32) {
        assert!((BUFFER_SIZE_MIN..=BUFFER_SIZE_MAX).contains(&buffer_size), "a size that SSID can agree on");
        self.data_limit = buffer_size;
    }

    /// Takes the next piece off `input` and advances it. `None`: `input` is used up.
    ///
    /// A wrong header is refused with the first octet that shows it, before anything is stored. After an error
    /// every call returns that error.
    pub fn next_piece<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<Piece<'a>>, Malformed> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let exchange_buffer = match self.next_exchange_buffer(input) {
            Ok(Some(length)) => length,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.failed = Some(error.clone());
                return Err(error);
            }
        };
        match exchange_buffer {
            Body::Data { left } => Ok(Some(self.take_data(left, input))),
            Body::Command { missing } => Ok(self.take_command(missing, input)),
        }
    }

    /// Reads the header and looks at the letter, as far as `input` goes.
    fn next_exchange_buffer(&mut self, input: &mut &[u8]) -> Result<Option<Body>, Malformed> {
        loop {
            match self.state {
                State::Header { mut octets, filled } => {
                    let Some((&octet, rest)) = input.split_first() else { return Ok(None) };
                    octets[filled] = octet;
                    check_header(octets, filled + 1)?;
                    *input = rest;
                    self.state = if filled + 1 < HEADER_BYTES {
                        State::Header { octets, filled: filled + 1 }
                    } else {
                        State::Letter { length: announced(octets) as usize - HEADER_BYTES }
                    };
                }
                State::Letter { length } => {
                    let Some((&letter, rest)) = input.split_first() else { return Ok(None) };
                    if letter != Mnemonic::Data.letter() {
                        self.collected.clear();
                        self.state = State::Command { missing: length };
                        continue;
                    }
                    if length > self.data_limit as usize {
                        return Err(too_long(length + HEADER_BYTES, self.data_limit));
                    }
                    *input = rest;
                    let left = length - 1;
                    self.state = State::Data { left };
                    if left == 0 {
                        return Ok(Some(Body::Data { left }));
                    }
                }
                State::Command { missing } => return Ok(Some(Body::Command { missing })),
                State::Data { .. } if input.is_empty() => return Ok(None),
                State::Data { left } => return Ok(Some(Body::Data { left })),
            }
        }
    }

    fn take_data<'a>(&mut self, left: usize, input: &mut &'a [u8]) -> Piece<'a> {
        let (octets, rest) = input.split_at(left.min(input.len()));
        *input = rest;
        let left = left - octets.len();
        let end = left == 0;
        self.state = if end { State::NEXT_BUFFER } else { State::Data { left } };
        Piece::Data { octets, end }
    }

    fn take_command<'a, 'input: 'a>(
        &'a mut self,
        missing: usize,
        input: &mut &'input [u8],
    ) -> Option<Piece<'a>> {
        let Some((octets, rest)) = input.split_at_checked(missing) else {
            self.collected.extend_from_slice(input);
            self.state = State::Command { missing: missing - input.len() };
            *input = &[];
            return None;
        };
        *input = rest;
        self.state = State::NEXT_BUFFER;
        if self.collected.is_empty() {
            return Some(Piece::Command(octets));
        }
        self.collected.extend_from_slice(octets);
        Some(Piece::Command(&self.collected))
    }
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

/// The body of an Exchange Buffer that goes on in the input.
enum Body {
    Command { missing: usize },
    Data { left: usize },
}

impl State {
    const NEXT_BUFFER: Self = Self::Header { octets: [0; HEADER_BYTES], filled: 0 };
}

/// Checks a header of which `filled` octets are there, the others being zero.
fn check_header(octets: [u8; HEADER_BYTES], filled: usize) -> Result<(), Malformed> {
    let version = octets[0] >> 4;
    if version != VERSION_1_NO_FLAGS >> 4 {
        return Err(Malformed::StreamVersion(version));
    }
    let flags = octets[0] & 0x0F;
    if flags != 0 {
        return Err(Malformed::StreamFlags(flags));
    }
    let length = announced(octets);
    if length > STREAM_BUFFER_MAX || (filled == HEADER_BYTES && length < STREAM_BUFFER_MIN) {
        return Err(Malformed::StreamLength { length, min: STREAM_BUFFER_MIN, max: STREAM_BUFFER_MAX });
    }
    Ok(())
}

/// The length that a header announces; octets that are not there yet count as zero.
fn announced([_, high, middle, low]: [u8; HEADER_BYTES]) -> u32 {
    u32::from_be_bytes([0, high, middle, low])
}

fn too_long(stream_buffer_bytes: usize, data_limit: u32) -> Malformed {
    Malformed::StreamLength {
        length: u32::try_from(stream_buffer_bytes).unwrap_or(u32::MAX),
        min: STREAM_BUFFER_MIN,
        max: data_limit + STREAM_BUFFER_MIN - 1,
    }
}

const VERSION_1_NO_FLAGS: u8 = 0x10;
