//! What is done to a file on its way, and what is asked for in return.

use rusqlite::Row;
use serde::Serialize;

use crate::column;
use crate::error::CatalogError;

/// The services of one file, as the numbers of its SFID (RFC 5024 §5.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Services {
    /// SFIDSEC: 0 none, 1 encrypted, 2 signed, 3 both.
    pub security: u8,
    /// SFIDCOMP: 0 none, 1 compressed.
    pub compression: u8,
    /// SFIDCIPH: the number of the cipher suite, 0 to 99; 0 is none.
    pub suite: u8,
    /// SFIDSIGN: a signed receipt is asked for.
    pub signed_receipt: bool,
}

impl Services {
    /// None at all.
    pub const PLAIN: Self = Self { security: 0, compression: 0, suite: 0, signed_receipt: false };

    /// Refuses numbers that are none of an SFID.
    pub(crate) fn require_storable(self) -> Result<(), CatalogError> {
        for (what, value, max) in [
            ("SFIDSEC", self.security, SECURITY_MAX),
            ("SFIDCOMP", self.compression, COMPRESSION_MAX),
            ("SFIDCIPH", self.suite, SUITE_MAX),
        ] {
            if value > max {
                return Err(CatalogError::OutOfRange { what, value: value.into() });
            }
        }
        Ok(())
    }

    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            security: column::unsigned(row, "security")?,
            compression: column::unsigned(row, "compression")?,
            suite: column::unsigned(row, "suite")?,
            signed_receipt: row.get("signed_receipt")?,
        })
    }
}

/// Largest SFIDSEC: encrypted and signed.
const SECURITY_MAX: u8 = 3;

/// Largest SFIDCOMP: compressed.
const COMPRESSION_MAX: u8 = 1;

/// Largest SFIDCIPH: two digits.
const SUITE_MAX: u8 = 99;
