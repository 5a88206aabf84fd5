//! Protocol release levels (RFC 5024 §5.3.2, SSIDLEV).

use std::fmt;

/// A protocol release level that Odile speaks. Ordered: older is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Level 1: revision 1.2 (and what RFC 2204 implementations announce for 1.3).
    V1_2,
    /// Level 2: revision 1.3.
    V1_3,
    /// Level 4: revision 1.4, with century, time counter and NERP.
    V1_4,
    /// Level 5: revision 2.0, OFTP2.
    V2_0,
}

impl Level {
    /// All levels, oldest first.
    pub const ALL: [Self; 4] = [Self::V1_2, Self::V1_3, Self::V1_4, Self::V2_0];

    /// The digit of SSIDLEV.
    pub const fn digit(self) -> u8 {
        match self {
            Self::V1_2 => 1,
            Self::V1_3 => 2,
            Self::V1_4 => 4,
            Self::V2_0 => 5,
        }
    }

    /// The level with this digit, if Odile speaks it.
    pub const fn from_digit(digit: u8) -> Option<Self> {
        match digit {
            1 => Some(Self::V1_2),
            2 => Some(Self::V1_3),
            4 => Some(Self::V1_4),
            5 => Some(Self::V2_0),
            _ => None,
        }
    }

    /// The highest level that is not above `digit`: what to answer to a peer that announces it. A peer of the
    /// future (6 and above) gets 5; the unused 3 gets 2; 0 gets nothing.
    pub fn at_most(digit: u8) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|level| level.digit() <= digit)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.digit())
    }
}
