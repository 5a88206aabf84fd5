//! The frame of one CMS layer, read octet by octet: BER in any form, its content handed out as it comes.
//!
//! What must be known whole (algorithms, recipients, signers) is captured up to a limit; certificates and
//! revocation lists are skipped. The order of elements is a script for each content type (RFC 5652 §5.1, §6.1,
//! RFC 3274 §1.1).

use serde::{Deserialize, Serialize};

use crate::ber::{self, Header, NESTING_MAX};
use crate::error::{Flaw, Limit, OpenError};

/// Largest algorithm identifier, object identifier or version, in octets.
const SMALL_BYTES_MAX: u64 = 1024;
/// Largest set of recipients or signers, in octets: room for 64 of 4096 bits, each with attributes.
const SET_BYTES_MAX: u64 = 256 * 1024;
/// Most octets of certificates and revocation lists. They are not kept, but they delay.
const SKIPPED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An element that is handed out whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Version,
    ContentType,
    DigestAlgorithms,
    InnerType,
    SignerInfos,
    CompressionAlgorithm,
    RecipientInfos,
    ContentEncryption,
    /// Certificates, revocation lists, originator, unprotected attributes: nothing is kept of them.
    Skipped,
}

/// What a frame comes upon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// More input is needed.
    Starved,
    /// So many octets of the input are content. Take some, then tell [`Frame::took`].
    Content(usize),
    /// An element, in BER.
    Captured(Slot, Vec<u8>),
    /// The content is complete.
    ContentEnd,
    /// The frame is complete.
    End,
}

/// The content types that have a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Signed,
    Compressed,
    Enveloped,
}

#[derive(Clone, Copy)]
enum Op {
    /// A constructed element begins.
    Enter(u8),
    /// The explicit tag around the content begins; without it, there is none.
    EnterContent,
    /// A whole element.
    Capture(Slot, u8),
    /// An element that may be missing.
    Skip(u8),
    /// An octet string, primitive or constructed.
    Content { primitive: u8, constructed: u8 },
    /// A constructed element ends.
    Leave,
}

const START: &[Op] = &[Op::Enter(ber::SEQUENCE), Op::Capture(Slot::ContentType, ber::OBJECT_IDENTIFIER)];

const SIGNED: &[Op] = &[
    Op::Enter(ber::CONTEXT_0),
    Op::Enter(ber::SEQUENCE),
    Op::Capture(Slot::Version, ber::INTEGER),
    Op::Capture(Slot::DigestAlgorithms, ber::SET),
    Op::Enter(ber::SEQUENCE),
    Op::Capture(Slot::InnerType, ber::OBJECT_IDENTIFIER),
    Op::EnterContent,
    STRING,
    Op::Leave,
    Op::Leave,
    Op::Skip(ber::CONTEXT_0),
    Op::Skip(ber::CONTEXT_1),
    Op::Capture(Slot::SignerInfos, ber::SET),
    Op::Leave,
    Op::Leave,
    Op::Leave,
];

const COMPRESSED: &[Op] = &[
    Op::Enter(ber::CONTEXT_0),
    Op::Enter(ber::SEQUENCE),
    Op::Capture(Slot::Version, ber::INTEGER),
    Op::Capture(Slot::CompressionAlgorithm, ber::SEQUENCE),
    Op::Enter(ber::SEQUENCE),
    Op::Capture(Slot::InnerType, ber::OBJECT_IDENTIFIER),
    Op::EnterContent,
    STRING,
    Op::Leave,
    Op::Leave,
    Op::Leave,
    Op::Leave,
    Op::Leave,
];

const ENVELOPED: &[Op] = &[
    Op::Enter(ber::CONTEXT_0),
    Op::Enter(ber::SEQUENCE),
    Op::Capture(Slot::Version, ber::INTEGER),
    Op::Skip(ber::CONTEXT_0),
    Op::Capture(Slot::RecipientInfos, ber::SET),
    Op::Enter(ber::SEQUENCE),
    Op::Capture(Slot::InnerType, ber::OBJECT_IDENTIFIER),
    Op::Capture(Slot::ContentEncryption, ber::SEQUENCE),
    Op::Content { primitive: ber::CONTEXT_0_PRIMITIVE, constructed: ber::CONTEXT_0 },
    Op::Leave,
    Op::Skip(ber::CONTEXT_1),
    Op::Leave,
    Op::Leave,
    Op::Leave,
];

const STRING: Op = Op::Content { primitive: ber::OCTET_STRING, constructed: ber::CONSTRUCTED_OCTET_STRING };

/// The reader of one frame. Its stored form is the whole of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Frame {
    kind: Option<Kind>,
    op: u8,
    /// Octets of this layer that were read.
    pub(crate) position: u64,
    /// The header that is being gathered.
    head: Vec<u8>,
    /// A header that was read, but belongs to a later element.
    pending: Option<(u8, Option<u64>)>,
    pub(crate) levels: Vec<Level>,
    /// Levels when the capture or content began.
    base: u8,
    mode: Mode,
    captured: Vec<u8>,
    /// Octets captured or skipped of the present element.
    captured_bytes: u64,
}

/// An element that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Level {
    /// Where it ends, if it has a definite length.
    pub(crate) end: Option<u64>,
    /// Where the innermost element of definite length around here ends.
    pub(crate) limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mode {
    /// Between elements of the script.
    Script,
    /// Inside an element of indefinite length that is captured.
    Capturing,
    /// Octets that are captured as they are.
    CapturingRaw(u64),
    /// Inside a constructed string.
    Content,
    /// Octets of content.
    ContentRaw(u64),
}

impl Frame {
    pub fn new() -> Self {
        Self {
            kind: None,
            op: 0,
            position: 0,
            head: Vec::new(),
            pending: None,
            levels: Vec::new(),
            base: 0,
            mode: Mode::Script,
            captured: Vec::new(),
            captured_bytes: 0,
        }
    }

    /// Chooses the script, once the content type was captured.
    pub fn set_kind(&mut self, kind: Kind) {
        self.kind = Some(kind);
        self.op = 0;
    }

    pub fn is_done(&self) -> bool {
        self.kind.is_some() && self.current().is_none()
    }

    /// The octets announced as content that were taken.
    pub fn took(&mut self, count: usize) {
        if let Mode::ContentRaw(left) = &mut self.mode {
            *left = left.saturating_sub(count as u64);
            self.position += count as u64;
        }
    }

    /// Goes on; takes from the front of `input` all but content.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Item, OpenError> {
        loop {
            let item = match self.mode {
                Mode::Script => self.on_script(input)?,
                Mode::Capturing => self.on_capturing(input)?,
                Mode::CapturingRaw(left) => self.on_capturing_raw(left, input),
                Mode::Content => self.on_content(input)?,
                Mode::ContentRaw(0) => {
                    self.mode = Mode::Content;
                    self.end_content()
                }
                Mode::ContentRaw(_) if input.is_empty() => Some(Item::Starved),
                Mode::ContentRaw(left) => {
                    Some(Item::Content(usize::try_from(left).unwrap_or(usize::MAX).min(input.len())))
                }
            };
            if let Some(item) = item {
                return Ok(item);
            }
        }
    }

    fn current(&self) -> Option<Op> {
        let script = match self.kind {
            None => START,
            Some(Kind::Signed) => SIGNED,
            Some(Kind::Compressed) => COMPRESSED,
            Some(Kind::Enveloped) => ENVELOPED,
        };
        script.get(usize::from(self.op)).copied()
    }

    fn on_script(&mut self, input: &mut &[u8]) -> Result<Option<Item>, OpenError> {
        let Some(op) = self.current() else { return Ok(Some(Item::End)) };
        if self.pending.is_none() && self.is_level_over() {
            return self.at_level_end(op).map(|()| None);
        }
        let Some((tag, length)) = self.header(input)? else { return Ok(Some(Item::Starved)) };
        let is_end = self.is_end_of_contents(tag, length);
        match op {
            Op::Leave if is_end => self.leave(),
            Op::Leave => return Err(OpenError::Malformed(Flaw::Surplus)),
            Op::Skip(expected) if tag != expected => {
                self.pending = Some((tag, length));
                self.op += 1;
            }
            Op::EnterContent if tag != ber::CONTEXT_0 => return Err(OpenError::Malformed(Flaw::Detached)),
            Op::Content { .. } if is_end => return Err(OpenError::Malformed(Flaw::Detached)),
            Op::Enter(expected) | Op::Capture(_, expected) if tag != expected => {
                return Err(OpenError::Malformed(Flaw::UnexpectedTag));
            }
            Op::Enter(_) | Op::EnterContent => {
                self.push(length)?;
                self.op += 1;
            }
            Op::Capture(..) | Op::Skip(_) => return self.begin_capture(tag, length),
            Op::Content { primitive, constructed } => {
                self.base = self.depth();
                if tag == primitive {
                    self.mode = Mode::ContentRaw(length.ok_or(OpenError::Malformed(Flaw::Length))?);
                } else if tag == constructed {
                    self.push(length)?;
                    self.mode = Mode::Content;
                } else {
                    return Err(OpenError::Malformed(Flaw::UnexpectedTag));
                }
            }
        }
        Ok(None)
    }

    /// An element of definite length is over: what the script wanted must be optional, or the end.
    fn at_level_end(&mut self, op: Op) -> Result<(), OpenError> {
        match op {
            Op::Leave => self.leave(),
            Op::Skip(_) => self.op += 1,
            Op::EnterContent | Op::Content { .. } => return Err(OpenError::Malformed(Flaw::Detached)),
            Op::Enter(_) | Op::Capture(..) => return Err(OpenError::Malformed(Flaw::UnexpectedTag)),
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.levels.pop();
        self.op += 1;
    }

    fn begin_capture(&mut self, tag: u8, length: Option<u64>) -> Result<Option<Item>, OpenError> {
        self.base = self.depth();
        self.captured.clear();
        self.captured_bytes = 0;
        self.capture_header(tag, length)?;
        if length.is_none() {
            self.mode = Mode::Capturing;
        }
        Ok(None)
    }

    /// Captures a header, and gets ready for what is behind it.
    fn capture_header(&mut self, tag: u8, length: Option<u64>) -> Result<(), OpenError> {
        self.count_captured(ber::header_bytes(length.unwrap_or(0)) + length.unwrap_or(0))?;
        if let Some(length) = length {
            if self.is_keeping() {
                ber::put_header(&mut self.captured, tag, length);
            }
            self.mode = Mode::CapturingRaw(length);
            return Ok(());
        }
        if tag & ber::CONSTRUCTED == 0 {
            return Err(OpenError::Malformed(Flaw::Length));
        }
        self.keep(&[tag, ber::INDEFINITE]);
        self.push(None)
    }

    fn on_capturing(&mut self, input: &mut &[u8]) -> Result<Option<Item>, OpenError> {
        if self.depth() == self.base {
            return Ok(Some(self.end_capture()));
        }
        let Some((tag, length)) = self.header(input)? else { return Ok(Some(Item::Starved)) };
        if self.is_end_of_contents(tag, length) {
            self.keep(&ber::END_OF_CONTENTS);
            self.levels.pop();
        } else {
            self.capture_header(tag, length)?;
        }
        Ok(None)
    }

    fn on_capturing_raw(&mut self, left: u64, input: &mut &[u8]) -> Option<Item> {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (taken, rest) = input.split_at(count);
        self.keep(taken);
        *input = rest;
        self.position += count as u64;
        let left = left - count as u64;
        self.mode = if left == 0 { Mode::Capturing } else { Mode::CapturingRaw(left) };
        (left > 0).then_some(Item::Starved)
    }

    fn end_capture(&mut self) -> Item {
        let slot = match self.current() {
            Some(Op::Capture(slot, _)) => slot,
            _ => Slot::Skipped,
        };
        self.op += 1;
        self.mode = Mode::Script;
        Item::Captured(slot, std::mem::take(&mut self.captured))
    }

    fn is_keeping(&self) -> bool {
        !matches!(self.current(), Some(Op::Skip(_)))
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.is_keeping() {
            self.captured.extend_from_slice(octets);
        }
    }

    fn count_captured(&mut self, bytes: u64) -> Result<(), OpenError> {
        self.captured_bytes = self.captured_bytes.saturating_add(bytes);
        let (max, limit) = match self.current() {
            Some(Op::Capture(Slot::RecipientInfos | Slot::SignerInfos, _)) => {
                (SET_BYTES_MAX, Limit::ElementBytes)
            }
            Some(Op::Capture(..)) => (SMALL_BYTES_MAX, Limit::ElementBytes),
            _ => (SKIPPED_BYTES_MAX, Limit::SkippedBytes),
        };
        if self.captured_bytes > max { Err(OpenError::Limit(limit)) } else { Ok(()) }
    }

    fn on_content(&mut self, input: &mut &[u8]) -> Result<Option<Item>, OpenError> {
        if self.is_level_over() {
            self.levels.pop();
            return Ok(self.end_content());
        }
        let Some((tag, length)) = self.header(input)? else { return Ok(Some(Item::Starved)) };
        if self.is_end_of_contents(tag, length) {
            self.levels.pop();
            return Ok(self.end_content());
        }
        match (tag, length) {
            (ber::OCTET_STRING, Some(length)) => self.mode = Mode::ContentRaw(length),
            (ber::OCTET_STRING, None) => return Err(OpenError::Malformed(Flaw::Length)),
            (ber::CONSTRUCTED_OCTET_STRING, length) => self.push(length)?,
            _ => return Err(OpenError::Malformed(Flaw::UnexpectedTag)),
        }
        Ok(None)
    }

    /// Ends the content if no string is open any more.
    fn end_content(&mut self) -> Option<Item> {
        if self.depth() != self.base {
            return None;
        }
        self.mode = Mode::Script;
        self.op += 1;
        Some(Item::ContentEnd)
    }

    /// Reads a header; none if the input ends before it.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<(u8, Option<u64>)>, OpenError> {
        if let Some(pending) = self.pending.take() {
            return Ok(Some(pending));
        }
        loop {
            let needed = Header::bytes_needed(&self.head)?;
            if self.head.len() >= 2 && self.head.len() == needed {
                break;
            }
            let Some((&octet, rest)) = input.split_first() else { return Ok(None) };
            self.head.push(octet);
            *input = rest;
        }
        let header = Header::read(&self.head).ok_or(OpenError::Malformed(Flaw::Length))?;
        self.head.clear();
        self.position += header.bytes as u64;
        let end = self.position.checked_add(header.content_bytes.unwrap_or(0));
        if end.is_none_or(|end| end > self.limit()) {
            return Err(OpenError::Malformed(Flaw::Length));
        }
        Ok(Some((header.tag, header.content_bytes)))
    }

    fn push(&mut self, length: Option<u64>) -> Result<(), OpenError> {
        if self.levels.len() == NESTING_MAX {
            return Err(OpenError::Limit(Limit::Nesting));
        }
        let end = length.map(|length| self.position + length);
        let limit = end.unwrap_or_else(|| self.limit());
        self.levels.push(Level { end, limit });
        Ok(())
    }

    fn limit(&self) -> u64 {
        self.levels.last().map_or(u64::MAX, |level| level.limit)
    }

    fn depth(&self) -> u8 {
        u8::try_from(self.levels.len()).unwrap_or(u8::MAX)
    }

    /// Whether the innermost element has a definite length, and ends here.
    fn is_level_over(&self) -> bool {
        self.head.is_empty() && self.levels.last().is_some_and(|level| level.end == Some(self.position))
    }

    /// Whether a header is the end of the innermost element, which has no definite length.
    fn is_end_of_contents(&self, tag: u8, length: Option<u64>) -> bool {
        tag == 0 && length == Some(0) && self.levels.last().is_some_and(|level| level.end.is_none())
    }
}

const _: () = assert!(NESTING_MAX < u8::MAX as usize);
