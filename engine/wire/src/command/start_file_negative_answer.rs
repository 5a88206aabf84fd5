//! SFNA.

use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::level::Level;
use crate::reason::AnswerReason;
use crate::text::VariableText;

/// SFNA — Start File Negative Answer (RFC 5024 §5.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFileNegativeAnswer {
    /// SFNAREAS.
    pub reason: AnswerReason,
    /// SFNARRTR: may be tried again in a later session.
    pub retry: bool,
    /// SFNAREAST (level 5).
    pub text: VariableText,
}

impl StartFileNegativeAnswer {
    pub(super) fn read(level: Level, f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let reason = read_reason(f, "SFNAREAS")?;
        let retry = f.yes_no("SFNARRTR")?;
        let text = read_reason_text(level, f, ["SFNAREASL", "SFNAREAST"])?;
        Ok(Self { reason, retry, text })
    }

    pub(super) fn write(&self, level: Level, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        f.number("SFNAREAS", 2, u64::from(self.reason.at(level).code()))?;
        f.yes_no(self.retry);
        if level < Level::V2_0 {
            return Ok(());
        }
        f.variable_text("SFNAREASL", &self.text)
    }
}

/// Reads a reason code of SFNA or EFNA.
pub(super) fn read_reason(f: &mut FieldReader<'_>, field: &'static str) -> Result<AnswerReason, Malformed> {
    let code = f.code(field)?;
    AnswerReason::from_code(code).ok_or_else(|| f.wrong(field, "is not a number"))
}

/// Reads the text of a refusal, which level 5 has and some peers leave out altogether (`DEVIATIONS.md`).
/// `fields`: names of length and text.
pub(super) fn read_reason_text(
    level: Level,
    f: &mut FieldReader<'_>,
    fields: [&'static str; 2],
) -> Result<VariableText, Malformed> {
    if level < Level::V2_0 || f.is_empty() {
        return Ok(VariableText::default());
    }
    f.variable_text(fields[0], fields[1])
}
