//! AUCH.

use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};

/// AUCH — Authentication Challenge (RFC 5024 §5.3.17). Level 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationChallenge {
    /// AUCHCHAL: 20 random octets in a CMS EnvelopedData for the peer's certificate.
    pub challenge: Vec<u8>,
}

impl AuthenticationChallenge {
    pub(super) fn read(f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        Ok(Self { challenge: f.binary("AUCHCHLL", "AUCHCHAL")? })
    }

    pub(super) fn write(&self, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        f.binary("AUCHCHLL", &self.challenge)
    }
}
