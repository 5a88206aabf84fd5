//! SFPA.

use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::level::Level;

/// SFPA — Start File Positive Answer (RFC 5024 §5.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartFilePositiveAnswer {
    /// SFPAACNT, in the unit of SFIDREST: where transmission starts.
    pub restart: u64,
}

impl StartFilePositiveAnswer {
    pub(super) fn read(level: Level, f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        Ok(Self { restart: f.number("SFPAACNT", digits(level))? })
    }

    pub(super) fn write(self, level: Level, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        f.number("SFPAACNT", digits(level), self.restart)
    }
}

const fn digits(level: Level) -> usize {
    if level.digit() < 5 { 9 } else { 17 }
}
