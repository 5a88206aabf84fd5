//! EFNA.

use super::start_file_negative_answer::{read_reason, read_reason_text};
use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::level::Level;
use crate::reason::AnswerReason;
use crate::text::VariableText;

/// EFNA — End File Negative Answer (RFC 5024 §5.3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndFileNegativeAnswer {
    /// EFNAREAS.
    pub reason: AnswerReason,
    /// EFNAREAST (level 5).
    pub text: VariableText,
}

impl EndFileNegativeAnswer {
    pub(super) fn read(level: Level, f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let reason = read_reason(f, "EFNAREAS")?;
        let text = read_reason_text(level, f, ["EFNAREASL", "EFNAREAST"])?;
        Ok(Self { reason, text })
    }

    pub(super) fn write(&self, level: Level, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        f.number("EFNAREAS", 2, u64::from(self.reason.at(level).code()))?;
        if level < Level::V2_0 {
            return Ok(());
        }
        f.variable_text("EFNAREASL", &self.text)
    }
}
