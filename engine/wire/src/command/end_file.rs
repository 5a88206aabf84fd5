//! EFID.

use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::level::Level;

/// EFID — End File (RFC 5024 §5.3.8). Both counts cover the whole file, whatever a restart skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndFile {
    /// EFIDRCNT: records of an F or V file, else 0.
    pub record_count: u64,
    /// EFIDUCNT: octets.
    pub unit_count: u64,
}

impl EndFile {
    pub(super) fn read(level: Level, f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let (record_digits, unit_digits) = digits(level);
        let record_count = f.number("EFIDRCNT", record_digits)?;
        let unit_count = f.number("EFIDUCNT", unit_digits)?;
        Ok(Self { record_count, unit_count })
    }

    pub(super) fn write(self, level: Level, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        let (record_digits, unit_digits) = digits(level);
        f.number("EFIDRCNT", record_digits, self.record_count)?;
        f.number("EFIDUCNT", unit_digits, self.unit_count)
    }
}

const fn digits(level: Level) -> (usize, usize) {
    if level.digit() < 5 { (9, 12) } else { (17, 17) }
}
