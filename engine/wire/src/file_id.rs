//! What identifies a Virtual File between stations (RFC 5024 §1.5.2).

use std::fmt;

use crate::identification_code::IdentificationCode;
use crate::level::Level;
use crate::stamp::{DateStamp, TimeStamp};
use crate::text::DatasetName;

/// The identity of a Virtual File: it must stay the same over every attempt to send it and in its receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// SFIDDSN.
    pub dataset_name: DatasetName,
    /// SFIDDATE.
    pub date: DateStamp,
    /// SFIDTIME.
    pub time: TimeStamp,
    /// SFIDDEST: the final recipient.
    pub destination: IdentificationCode,
    /// SFIDORIG: where the file comes from.
    pub originator: IdentificationCode,
}

impl FileId {
    /// True if both are the same file as far as a session of this level can tell: levels 1 and 2 carry neither
    /// century nor counter.
    pub fn matches_at(&self, other: &Self, level: Level) -> bool {
        let stamps = if level < Level::V1_4 {
            self.date.short() == other.date.short() && self.time.short() == other.time.short()
        } else {
            self.date == other.date && self.time == other.time
        };
        stamps
            && self.dataset_name == other.dataset_name
            && self.destination == other.destination
            && self.originator == other.originator
    }
}

/// `NAME 20261123 1204050001`.
impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.dataset_name, self.date, self.time)
    }
}
