//! Date and time stamps of Virtual Files (RFC 5024 §5.3.3, SFIDDATE and SFIDTIME).
//!
//! ```text
//! level 1, 2   YYMMDD     HHMMSS
//! level 4, 5   CCYYMMDD   HHMMSScccc   (cccc: counter 0001 to 9999)
//! ```

use std::fmt;

/// Date stamp, `CCYYMMDD`. Eight digits; that they form a calendar date is not checked, because nothing but the
/// file's identity depends on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateStamp([u8; 8]);

/// Time stamp, `HHMMSScccc`. Ten digits, the last four a counter that tells files of one second apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeStamp([u8; 10]);

impl DateStamp {
    /// From `CCYYMMDD`; `None` if one of the octets is no digit.
    pub fn new(digits: [u8; 8]) -> Option<Self> {
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// From `YYMMDD` of levels 1 and 2: years from 70 on belong to the 20th century.
    pub fn from_short(digits: [u8; 6]) -> Option<Self> {
        let century: [u8; 2] = if digits[0] >= b'7' { *b"19" } else { *b"20" };
        let mut long = [0; 8];
        long[..2].copy_from_slice(&century);
        long[2..].copy_from_slice(&digits);
        Self::new(long)
    }

    /// `CCYYMMDD`.
    pub const fn digits(&self) -> &[u8; 8] {
        &self.0
    }

    /// `YYMMDD`, as levels 1 and 2 carry it.
    pub fn short(&self) -> &[u8] {
        &self.0[2..]
    }
}

impl TimeStamp {
    /// From `HHMMSScccc`; `None` if one of the octets is no digit.
    pub fn new(digits: [u8; 10]) -> Option<Self> {
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// From `HHMMSS` of levels 1 and 2: the counter becomes 0000.
    pub fn from_short(digits: [u8; 6]) -> Option<Self> {
        let mut long = [b'0'; 10];
        long[..6].copy_from_slice(&digits);
        Self::new(long)
    }

    /// `HHMMSScccc`.
    pub const fn digits(&self) -> &[u8; 10] {
        &self.0
    }

    /// `HHMMSS`, as levels 1 and 2 carry it.
    pub fn short(&self) -> &[u8] {
        &self.0[..6]
    }
}

macro_rules! shows_digits {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(std::str::from_utf8(&self.0).map_err(|_| fmt::Error)?)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

shows_digits!(DateStamp);
shows_digits!(TimeStamp);
