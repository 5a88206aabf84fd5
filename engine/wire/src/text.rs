//! Text fields: fixed width, left justified, padded with spaces (RFC 5024 §5.3, `X(n)`), and UTF-8 of
//! variable length (`T(n)`).
//!
//! What a peer sent is kept octet for octet, because receipts must echo it. What *we* send is checked when the
//! value is made.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A text that cannot become a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// More octets than the field has.
    #[error("{length} characters, at most {max} are allowed")]
    TooLong {
        /// Octets given.
        length: usize,
        /// Octets that fit.
        max: usize,
    },
    /// A character outside of printable ASCII.
    #[error("character {character:?} at position {at} is not printable ASCII")]
    Character {
        /// The character.
        character: char,
        /// Its position, in characters from 0.
        at: usize,
    },
    /// Nothing but spaces.
    #[error("empty")]
    Empty,
}

/// `N` octets of text, padded with spaces on the right. Compared octet for octet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// All spaces.
    pub const BLANK: Self = Self([b' '; N]);

    /// From text of our own: printable ASCII, at most `N` characters; trailing spaces do not count.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let text = text.trim_end_matches(' ');
        if let Some((at, character)) = text.chars().enumerate().find(|(_, c)| !(' '..='~').contains(c)) {
            return Err(InvalidText::Character { character, at });
        }
        if text.len() > N {
            return Err(InvalidText::TooLong { length: text.len(), max: N });
        }
        let mut octets = [b' '; N];
        octets[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(octets))
    }

    /// From octets of the wire, kept as they are.
    pub const fn from_octets(octets: [u8; N]) -> Self {
        Self(octets)
    }

    /// All `N` octets, padding included.
    pub const fn octets(&self) -> &[u8; N] {
        &self.0
    }

    /// The octets without the padding on the right.
    pub fn trimmed(&self) -> &[u8] {
        self.0.trim_ascii_end()
    }

    /// True if there is nothing but padding.
    pub fn is_blank(&self) -> bool {
        self.trimmed().is_empty()
    }

    /// True if every octet is printable ASCII.
    pub fn is_printable(&self) -> bool {
        self.0.iter().all(|octet| (b' '..=b'~').contains(octet))
    }
}

/// Shows the text without padding; octets that are not printable ASCII appear as `\xNN`.
impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = String::with_capacity(N);
        for &octet in self.trimmed() {
            if (b' '..=b'~').contains(&octet) {
                shown.push(char::from(octet));
            } else {
                use fmt::Write;
                write!(shown, "\\x{octet:02X}")?;
            }
        }
        f.pad(&shown)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Virtual File Dataset Name (SFIDDSN), 26 octets.
pub type DatasetName = Text<26>;

/// User Data (SSIDUSER, SFIDUSER, EERPUSER), 8 octets.
pub type UserData = Text<8>;

/// A password of SSID, 8 octets. Wiped when dropped, never shown, compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password([u8; 8]);

impl Password {
    /// From configuration: printable ASCII, at most 8 characters.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        Text::<8>::new(text).map(|text| Self(text.0))
    }

    /// From octets of the wire.
    pub const fn from_octets(octets: [u8; 8]) -> Self {
        Self(octets)
    }

    /// All spaces: no password.
    pub const fn blank() -> Self {
        Self([b' '; 8])
    }

    /// True if there is nothing but padding.
    pub fn is_blank(&self) -> bool {
        self.0.trim_ascii_end().is_empty()
    }

    /// Compares in a time that does not depend on where the two differ.
    pub fn matches(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(&other.0).into()
    }

    pub(crate) const fn octets(&self) -> &[u8; 8] {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other)
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// UTF-8 text of variable length, at most 999 octets (`T(n)`): descriptions and reason texts.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct VariableText(Vec<u8>);

impl VariableText {
    /// Octets that the length field of three digits can express.
    pub const MAX_BYTES: usize = 999;

    /// From text of our own; what does not fit is cut at a character boundary.
    pub fn truncated(text: &str) -> Self {
        let mut end = text.len().min(Self::MAX_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(text.as_bytes()[..end].to_vec())
    }

    /// From octets of the wire, kept as they are, valid UTF-8 or not.
    ///
    /// Returns `None` for more than 999 octets.
    pub fn from_octets(octets: Vec<u8>) -> Option<Self> {
        (octets.len() <= Self::MAX_BYTES).then_some(Self(octets))
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shows the text for a person: invalid UTF-8 as `�`, control characters escaped.
impl fmt::Display for VariableText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in String::from_utf8_lossy(&self.0).chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for VariableText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
