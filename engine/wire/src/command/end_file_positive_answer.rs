//! EFPA.

use crate::error::Malformed;
use crate::field::{FieldReader, FieldWriter};

/// EFPA — End File Positive Answer (RFC 5024 §5.3.9): the file is safe with the Listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndFilePositiveAnswer {
    /// EFPACD: the Listener asks for the turn.
    pub change_direction: bool,
}

impl EndFilePositiveAnswer {
    pub(super) fn read(f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        Ok(Self { change_direction: f.yes_no("EFPACD")? })
    }

    pub(super) fn write(self, f: &mut FieldWriter<'_>) {
        f.yes_no(self.change_direction);
    }
}
