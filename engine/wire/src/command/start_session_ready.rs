//! SSRM.

use crate::error::Malformed;
use crate::field::{FieldReader, FieldWriter};

/// SSRM — Start Session Ready Message (RFC 5024 §5.3.1): the Responder's first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartSessionReady;

const MESSAGE: &[u8; 17] = b"ODETTE FTP READY ";

impl StartSessionReady {
    /// The message is compared without its trailing space; the carriage return may be 0D, 8D or missing.
    pub(super) fn read(f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let message = f.octets("SSRMMSG", MESSAGE.len() - 1)?;
        if message == MESSAGE.trim_ascii_end() {
            Ok(Self)
        } else {
            Err(f.wrong("SSRMMSG", "is not 'ODETTE FTP READY '"))
        }
    }

    pub(super) fn write(f: &mut FieldWriter<'_>) {
        f.octets(MESSAGE);
        f.carriage_return();
    }
}
