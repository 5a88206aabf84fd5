//! BER and DER, octet by octet: headers are written here, and small elements that were captured whole are made DER.
//!
//! Decoding of what is inside those elements is the business of the `der` crate.

use crate::error::{Flaw, Limit, OpenError};

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const CONSTRUCTED_OCTET_STRING: u8 = 0x24;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]` constructed.
pub(crate) const CONTEXT_0: u8 = 0xA0;
/// `[0]` primitive.
pub(crate) const CONTEXT_0_PRIMITIVE: u8 = 0x80;
/// `[1]` constructed.
pub(crate) const CONTEXT_1: u8 = 0xA1;

/// The bit of a tag octet that says "constructed".
pub(crate) const CONSTRUCTED: u8 = 0x20;
/// Length octet of the indefinite form.
pub(crate) const INDEFINITE: u8 = 0x80;
/// End-of-contents octets.
pub(crate) const END_OF_CONTENTS: [u8; 2] = [0, 0];
/// Elements within elements, counted where they are captured: three layers of CMS need less than half of it.
pub(crate) const NESTING_MAX: usize = 24;

/// Appends tag and definite length.
pub(crate) fn put_header(out: &mut Vec<u8>, tag: u8, content_bytes: u64) {
    out.push(tag);
    if let Ok(short @ 0..=0x7F) = u8::try_from(content_bytes) {
        out.push(short);
        return;
    }
    let octets = content_bytes.to_be_bytes();
    let skipped = content_bytes.leading_zeros() as usize / 8;
    let count = u8::try_from(octets.len() - skipped).unwrap_or(8);
    out.push(INDEFINITE | count);
    out.extend_from_slice(&octets[skipped..]);
}

/// Octets of tag and definite length.
pub(crate) fn header_bytes(content_bytes: u64) -> u64 {
    if content_bytes < 0x80 { 2 } else { 2 + u64::from((71 - content_bytes.leading_zeros()) / 8) }
}

/// Appends tag and indefinite length.
pub(crate) fn open(out: &mut Vec<u8>, tag: u8) {
    out.extend_from_slice(&[tag, INDEFINITE]);
}

/// Appends `count` ends of contents.
pub(crate) fn close(out: &mut Vec<u8>, count: usize) {
    (0..count).for_each(|_| out.extend_from_slice(&END_OF_CONTENTS));
}

/// Appends a whole element.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    put_header(out, tag, content.len() as u64);
    out.extend_from_slice(content);
}

/// One element of definite length, and what follows it.
pub(crate) struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// Tag, length and content.
    pub whole: &'a [u8],
}

/// Takes one DER element off the front.
pub(crate) fn take<'a>(octets: &mut &'a [u8]) -> Option<Element<'a>> {
    let header = Header::read(octets)?;
    let end = header.bytes.checked_add(usize::try_from(header.content_bytes?).ok()?)?;
    let (whole, rest) = octets.split_at_checked(end)?;
    *octets = rest;
    Some(Element { tag: header.tag, content: &whole[header.bytes..], whole })
}

/// All elements one behind the other.
pub(crate) fn elements(mut octets: &[u8], count_max: usize) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !octets.is_empty() {
        if found.len() == count_max {
            return None;
        }
        found.push(take(&mut octets)?);
    }
    Some(found)
}

/// Tag and length.
pub(crate) struct Header {
    pub tag: u8,
    /// None for the indefinite form.
    pub content_bytes: Option<u64>,
    /// Octets of the header itself.
    pub bytes: usize,
}

impl Header {
    /// Reads a header that is there completely and well formed.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let (&tag, rest) = octets.split_first()?;
        let (&first, rest) = rest.split_first()?;
        if tag & 0x1F == 0x1F {
            return None;
        }
        if first < INDEFINITE {
            return Some(Self { tag, content_bytes: Some(u64::from(first)), bytes: 2 });
        }
        if first == INDEFINITE {
            return Some(Self { tag, content_bytes: None, bytes: 2 });
        }
        let count = usize::from(first & 0x7F);
        let digits = rest.get(..count).filter(|digits| digits.len() <= 8)?;
        let value = digits.iter().fold(0, |value: u64, digit| value << 8 | u64::from(*digit));
        Some(Self { tag, content_bytes: Some(value), bytes: 2 + count })
    }

    /// Octets that the header will have, judged by its first two.
    pub fn bytes_needed(head: &[u8]) -> Result<usize, OpenError> {
        let (Some(tag), Some(length)) = (head.first(), head.get(1)) else { return Ok(2) };
        if tag & 0x1F == 0x1F {
            return Err(OpenError::Malformed(Flaw::LongTag));
        }
        match length {
            0..=0x80 => Ok(2),
            0x81..=0x88 => Ok(2 + usize::from(length & 0x7F)),
            _ => Err(OpenError::Malformed(Flaw::Length)),
        }
    }
}

/// Makes DER of one captured BER element: definite lengths, strings in one piece. Order in sets is left alone.
pub(crate) fn to_der(ber: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (der, consumed) = normalise(ber, 0)?;
    if consumed == ber.len() { Ok(der) } else { Err(OpenError::Malformed(Flaw::Surplus)) }
}

fn normalise(ber: &[u8], depth: usize) -> Result<(Vec<u8>, usize), OpenError> {
    if depth > NESTING_MAX {
        return Err(OpenError::Limit(Limit::Nesting));
    }
    let header = Header::read(ber).ok_or(OpenError::Malformed(Flaw::Length))?;
    let is_string = header.tag == CONSTRUCTED_OCTET_STRING;
    let mut content = Vec::new();
    let mut at = header.bytes;
    let end = match header.content_bytes {
        Some(bytes) => {
            let end = usize::try_from(bytes).ok().and_then(|bytes| bytes.checked_add(at));
            Some(end.filter(|end| *end <= ber.len()).ok_or(OpenError::Malformed(Flaw::Length))?)
        }
        None => None,
    };
    if header.tag & CONSTRUCTED == 0 {
        let end = end.ok_or(OpenError::Malformed(Flaw::Length))?;
        content.extend_from_slice(&ber[at..end]);
        at = end;
    } else {
        loop {
            if Some(at) == end {
                break;
            }
            let rest = &ber[at..end.unwrap_or(ber.len())];
            if end.is_none() && rest.starts_with(&END_OF_CONTENTS) {
                at += END_OF_CONTENTS.len();
                break;
            }
            let (inner, consumed) = normalise(rest, depth + 1)?;
            at += consumed;
            if is_string {
                let mut inner = inner.as_slice();
                let part = take(&mut inner).filter(|part| part.tag == OCTET_STRING);
                content.extend_from_slice(part.ok_or(OpenError::Malformed(Flaw::UnexpectedTag))?.content);
            } else {
                content.extend_from_slice(&inner);
            }
        }
    }
    let mut der = Vec::with_capacity(content.len() + 10);
    put(&mut der, if is_string { OCTET_STRING } else { header.tag }, &content);
    Ok((der, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_as_many_octets_as_announced() {
        for length in [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x1_0000, 0xFF_FFFF, 0x0100_0000, u64::MAX] {
            let mut out = Vec::new();
            put_header(&mut out, SEQUENCE, length);
            assert_eq!(out.len() as u64, header_bytes(length), "{length:x}");
            let header = Header::read(&out).unwrap();
            assert_eq!((header.content_bytes, header.bytes), (Some(length), out.len()));
        }
    }

    #[test]
    fn indefinite_and_constructed_becomes_der() {
        let ber = [
            0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 7, 0x24, 0x03, 0x04, 0x01, 8, 0, 0, 0x02, 0x81, 0x01, 5, 0, 0,
        ];
        assert_eq!(to_der(&ber).unwrap(), [0x30, 0x07, 0x04, 0x02, 7, 8, 0x02, 0x01, 5]);
    }

    #[test]
    fn a_tower_of_elements_is_refused() {
        let ber: Vec<u8> = std::iter::repeat_n([0x30, 0x80], 100).flatten().collect();
        assert_eq!(to_der(&ber), Err(OpenError::Limit(Limit::Nesting)));
    }
}
