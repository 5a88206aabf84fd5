//! AURP.

use std::fmt;

use crate::error::Malformed;
use crate::field::{FieldReader, FieldWriter};

/// AURP — Authentication Response (RFC 5024 §5.3.18). Level 5.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthenticationResponse {
    /// AURPRSP: the challenge, decrypted.
    pub response: [u8; 20],
}

impl AuthenticationResponse {
    pub(super) fn read(f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        Ok(Self { response: f.array("AURPRSP")? })
    }

    pub(super) fn write(self, f: &mut FieldWriter<'_>) {
        f.octets(&self.response);
    }
}

impl fmt::Debug for AuthenticationResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticationResponse(hidden)")
    }
}
