//! What is sent: a file, or content that is made while it is read.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::direct::DirectSource;
use crate::error::Error;
use crate::map::MappedSource;
use crate::synthetic::{SyntheticFile, SyntheticFileError, SyntheticSource};

/// A source of a transfer. It is read from front to back, but may be read again from any position.
///
/// Opening and reading can wait for the disk, so this belongs on a worker, never on a shard.
pub enum Source {
    /// A regular file.
    Mapped(MappedSource),
    /// A regular file, read past the page cache.
    Direct(DirectSource),
    /// A file that exists by its name only.
    Synthetic(SyntheticSource),
}

/// What tells a source from another, or from itself before it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceIdentity {
    /// Octets.
    pub size: u64,
    /// Time of last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Inode number.
    pub inode: u64,
    /// Device number.
    pub device: u64,
}

/// A source that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder, a device, a pipe.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// It changed since it was queued or opened.
    #[error("{} changed while it was being sent: its {what} is another; send it again when nobody writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is not as it was.
        what: &'static str,
    },
    /// It was cut shorter, or its disk failed, under the mapping.
    #[error("{} cannot be read at octet {position}: it was truncated, or its disk has an error", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where reading was, in octets.
        position: u64,
    },
    /// It cannot be mapped.
    #[error("cannot map {}: {source}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its name says that it is synthetic, and does not say what.
    #[error(transparent)]
    Synthetic(#[from] SyntheticFileError),
}

impl Source {
    /// Opens a synthetic file if the path says `synthetic:…` (see [`SyntheticFile`]), else a regular file.
    /// `window_bytes` is how much of it is in memory at a time, about.
    pub fn open(path: &Path, window_bytes: usize) -> Result<Self, SourceError> {
        if SyntheticFile::is_named_by(path) {
            SyntheticSource::open(path, window_bytes).map(Self::Synthetic)
        } else {
            MappedSource::open(path, window_bytes).map(Self::Mapped)
        }
    }

    /// Opens it as [`Source::open`] does, but a regular file so that it is read past the page cache. Where the system
    /// cannot do that, it is mapped all the same, and the error says why.
    pub fn open_direct(path: &Path, window_bytes: usize) -> Result<(Self, Option<Error>), SourceError> {
        if SyntheticFile::is_named_by(path) {
            return Ok((Self::open(path, window_bytes)?, None));
        }
        match DirectSource::open(path, window_bytes)? {
            Ok(source) => Ok((Self::Direct(source), None)),
            Err(refusal) => {
                let refusal = Error::new("read directly", path.display(), refusal);
                Ok((Self::open(path, window_bytes)?, Some(refusal)))
            }
        }
    }

    /// What the source was when it was opened.
    pub fn identity(&self) -> SourceIdentity {
        match self {
            Self::Mapped(source) => source.identity(),
            Self::Direct(source) => source.identity(),
            Self::Synthetic(source) => source.identity(),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Mapped(source) => source.path(),
            Self::Direct(source) => source.path(),
            Self::Synthetic(source) => source.path(),
        }
    }

    /// Tells whether the source is still what `expected` says.
    ///
    /// # Errors
    ///
    /// [`SourceError::Changed`] names the first thing that is not.
    pub fn check(&self, expected: &SourceIdentity) -> Result<(), SourceError> {
        match self {
            Self::Mapped(source) => source.check(expected),
            Self::Direct(source) => source.check(expected),
            Self::Synthetic(source) => source.check(expected),
        }
    }

    /// Shows `look` the source from `position` on: at least `least` octets, or all that follow; the second
    /// argument tells whether the slice reaches to the end.
    pub fn look<R>(
        &mut self,
        position: u64,
        least: usize,
        look: impl FnOnce(&[u8], bool) -> R,
    ) -> Result<R, SourceError> {
        match self {
            Self::Mapped(source) => source.look(position, least, look),
            Self::Direct(source) => source.look(position, least, look),
            Self::Synthetic(source) => Ok(source.look(position, least, look)),
        }
    }

    /// Reads a few octets here and there, without moving what [`Source::look`] holds.
    ///
    /// # Errors
    ///
    /// If the source ends before the buffer is full.
    pub fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        match self {
            Self::Mapped(source) => source.read_at(position, buffer),
            Self::Direct(source) => source.read_at(position, buffer),
            Self::Synthetic(source) => source.read_at(position, buffer),
        }
    }
}

impl SourceIdentity {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        let mtime_ns = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Self { size: metadata.len(), mtime_ns, inode: metadata.ino(), device: metadata.dev() }
    }

    /// Tells whether this is `expected`; `path` is whose identity it is.
    pub(crate) fn compare(&self, expected: &Self, path: &Path) -> Result<(), SourceError> {
        let what = if self.size != expected.size {
            "size"
        } else if self.mtime_ns != expected.mtime_ns {
            "time of modification"
        } else if (self.inode, self.device) != (expected.inode, expected.device) {
            "inode"
        } else {
            return Ok(());
        };
        Err(SourceError::Changed { path: path.into(), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whether_it_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("synthetic:text:1:5");
        std::fs::write(&path, b"a file").unwrap();
        let mapped = Source::open(&path, 4096).unwrap();
        assert!(matches!(mapped, Source::Mapped(_)));
        assert_eq!(mapped.identity().size, 6);
        let synthetic = Source::open(Path::new("synthetic:text:1:5"), 4096).unwrap();
        assert!(matches!(synthetic, Source::Synthetic(_)));
        let identity = SourceIdentity { size: 5, mtime_ns: 0, inode: 1, device: 1 };
        assert_eq!(synthetic.identity(), identity);
        let wrong = Source::open(Path::new("synthetic:text:1"), 4096);
        assert!(matches!(wrong, Err(SourceError::Synthetic(_))));
    }

    #[test]
    fn files_and_synthetic_files_are_read_alike() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let name = Path::new("synthetic:text:1:10000");
        let mut octets = vec![0; 10_000];
        Source::open(name, 4096).unwrap().read_at(0, &mut octets).unwrap();
        std::fs::write(file.path(), &octets).unwrap();
        for path in [file.path(), name] {
            let mut source = Source::open(path, 4096).unwrap();
            assert_eq!(source.path(), path);
            source.check(&source.identity()).unwrap();
            source.look(0, 10_000, |slice, end| assert!(slice == octets && end)).unwrap();
            source.look(5000, 1, |slice, _| assert_eq!(slice[0], octets[5000])).unwrap();
            let mut some = [0; 10];
            source.read_at(9990, &mut some).unwrap();
            assert_eq!(some[..], octets[9990..]);
            assert!(source.read_at(9991, &mut some).is_err());
        }
    }
}
