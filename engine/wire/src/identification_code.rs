//! Identification Codes of stations (RFC 5024 §5.4).

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::text::{InvalidText, Text};

/// An Identification Code, 25 octets: `O`, International Code Designator (4), Organisation Code (14), Computer
/// Subaddress (6), each padded. **Inner spaces are real**; only trailing ones are padding.
///
/// Two codes are equal if they differ in nothing but case: that is how stations in the field compare. The
/// octets are kept as they came, so that receipts can echo them.
#[derive(Clone, Copy)]
pub struct IdentificationCode(Text<25>);

impl IdentificationCode {
    /// From configuration: printable ASCII, at most 25 characters, not empty; turned to upper case.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let text = Text::new(&text.to_ascii_uppercase())?;
        if text.is_blank() {
            return Err(InvalidText::Empty);
        }
        Ok(Self(text))
    }

    /// From octets of the wire, kept as they are.
    pub const fn from_octets(octets: [u8; 25]) -> Self {
        Self(Text::from_octets(octets))
    }

    /// All 25 octets, padding included.
    pub const fn octets(&self) -> &[u8; 25] {
        self.0.octets()
    }

    /// True if there is nothing but padding.
    pub fn is_blank(&self) -> bool {
        self.0.is_blank()
    }

    /// True if every octet is printable ASCII.
    pub fn is_printable(&self) -> bool {
        self.0.is_printable()
    }

    /// The code in upper case without padding: a key for look-ups.
    pub fn key(&self) -> String {
        self.0.to_string().to_ascii_uppercase()
    }
}

impl PartialEq for IdentificationCode {
    fn eq(&self, other: &Self) -> bool {
        self.octets().eq_ignore_ascii_case(other.octets())
    }
}

impl Eq for IdentificationCode {}

impl Hash for IdentificationCode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().to_ascii_uppercase().hash(state);
    }
}

impl fmt::Display for IdentificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for IdentificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
