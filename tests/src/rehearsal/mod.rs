//! Sizes that nobody waits for: two real processes, whose checkpoints are moved while they are stopped.
//!
//! ```text
//! petabyte  0 ── runs ── stopped ══ moved ══▶ 9.0 PB ── runs ── stopped ══ moved ══▶ tail ── runs ── end, receipt
//! sparse    0 ── runs, or is moved ── 60 % ── killed ── goes on: what is read, by whom, at what cost ── end, receipt
//! ```
//!
//! What may be moved, and why both sides agree afterwards, [`odile_envelope::rehearsal`] tells. The content is
//! periodic, or zeros, so that it is the same at both places.

mod kept;
mod outside;
pub mod petabyte;
mod scene;
pub mod sparse;
mod station;

use crate::crash::Failure;

/// What is done with the file on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// Nothing; its receipt is not signed either.
    Plain,
    /// Nothing, but its receipt is signed: both sides hash it.
    PlainSignedReceipt,
    /// TLS, authentication, signed, compressed, encrypted, with a signed receipt.
    All,
}

impl Services {
    /// Words for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PlainSignedReceipt => "plain, signed receipt",
            Self::All => "TLS, sign, compress, encrypt, signed receipt",
        }
    }

    /// Whether there is an envelope.
    pub const fn is_sealed(self) -> bool {
        matches!(self, Self::All)
    }

    /// Flags of `odile send`.
    const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::PlainSignedReceipt => &["--signed-receipt"],
            Self::All => &["--sign", "--compress", "--encrypt", "--signed-receipt"],
        }
    }
}

/// What must be, and is not.
fn must_be<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(Failure(format!("{what}: {found:?}, but it must be {expected:?}")))
}

fn failed(subject: &str, error: impl std::fmt::Display) -> Failure {
    Failure(format!("{subject}: {error}"))
}
