//! A failed operation of the operating system, with what it was about.

use std::fmt::Display;
use std::io;

/// An operation that the operating system refused.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {subject}: {source}")]
pub struct Error {
    /// What was tried: `write`, `connect to`, …
    pub operation: &'static str,
    /// The path or the peer.
    pub subject: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl Error {
    pub(crate) fn new(operation: &'static str, subject: impl Display, source: io::Error) -> Self {
        Self { operation, subject: subject.to_string(), source }
    }

    /// True if the disk, the quota or the largest file size is used up.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self.source.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG))
    }

    /// True if the operation was cancelled by us.
    pub fn is_cancelled(&self) -> bool {
        self.source.raw_os_error() == Some(libc::ECANCELED)
    }
}

/// Turns `io::Result` into a result that names operation and subject.
pub(crate) trait About<T> {
    fn about(self, operation: &'static str, subject: impl Display) -> Result<T, Error>;
}

impl<T> About<T> for io::Result<T> {
    fn about(self, operation: &'static str, subject: impl Display) -> Result<T, Error> {
        self.map_err(|source| Error::new(operation, subject, source))
    }
}
