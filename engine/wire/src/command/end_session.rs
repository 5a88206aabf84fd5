//! ESID.

use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::level::Level;
use crate::reason::EndSessionReason;
use crate::text::VariableText;

/// ESID — End Session (RFC 5024 §5.3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndSession {
    /// ESIDREAS.
    pub reason: EndSessionReason,
    /// ESIDREAST (level 5).
    pub text: VariableText,
}

impl EndSession {
    /// Takes both layouts at every level: an ESID may come before a level is agreed, so that the two sides can
    /// differ in what they expect (`DEVIATIONS.md`). The carriage return may be 0D, 8D or missing.
    pub(super) fn read(_level: Level, f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let code = f.code("ESIDREAS")?;
        let reason =
            EndSessionReason::from_code(code).ok_or_else(|| f.wrong("ESIDREAS", "is not a number"))?;
        let text = f.variable_text("ESIDREASL", "ESIDREAST").unwrap_or_default();
        Ok(Self { reason, text })
    }

    /// Levels 1 and 2 know the reasons 00 to 10 and 99; 11 and 12 exist from level 5 on.
    pub(super) fn write(&self, level: Level, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        let code = self.reason.code();
        let code = if level < Level::V2_0 && code > 10 { 99 } else { code };
        f.number("ESIDREAS", 2, u64::from(code))?;
        if level >= Level::V2_0 {
            f.variable_text("ESIDREASL", &self.text)?;
        }
        f.carriage_return();
        Ok(())
    }
}
