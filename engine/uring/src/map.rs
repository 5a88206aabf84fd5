//! Source files, mapped a window at a time.
//!
//! Reading a mapping can wait for the disk (a page fault), so this belongs on a worker, never on a shard.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::{Advice, Mmap, MmapOptions};

use crate::sigbus;
use crate::source::{SourceError, SourceIdentity};

/// A file that is being sent. It is read from front to back, but may be read again from any position.
pub struct MappedSource {
    file: File,
    path: PathBuf,
    identity: SourceIdentity,
    window_bytes: usize,
    window: Option<Window>,
}

struct Window {
    map: Mmap,
    start: u64,
}

impl MappedSource {
    /// Opens a regular file. `window_bytes` is how much of it is mapped at a time (rounded up to pages).
    pub fn open(path: &Path, window_bytes: usize) -> Result<Self, SourceError> {
        let cannot_open = |source| SourceError::Open { path: path.into(), source };
        // Without O_NONBLOCK, opening a pipe would wait for its other end.
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(cannot_open)?;
        let metadata = file.metadata().map_err(cannot_open)?;
        if !metadata.is_file() {
            return Err(SourceError::NotAFile { path: path.into() });
        }
        let identity = SourceIdentity::of(&metadata);
        let window_bytes = window_bytes.next_multiple_of(PAGE_BYTES);
        Ok(Self { file, path: path.into(), identity, window_bytes, window: None })
    }

    /// What the file was when it was opened.
    pub fn identity(&self) -> SourceIdentity {
        self.identity
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether the file is still what `expected` says.
    pub fn check(&self, expected: &SourceIdentity) -> Result<(), SourceError> {
        let open_error = |source| SourceError::Open { path: self.path.clone(), source };
        let now = SourceIdentity::of(&self.file.metadata().map_err(open_error)?);
        now.compare(expected, &self.path)
    }

    /// Shows `look` the file from `position` on: at least `least` octets, or all that follow; the second
    /// argument tells whether the slice reaches to the end of the file.
    pub fn look<R>(
        &mut self,
        position: u64,
        least: usize,
        look: impl FnOnce(&[u8], bool) -> R,
    ) -> Result<R, SourceError> {
        let rest = self.identity.size.saturating_sub(position);
        if rest == 0 {
            return Ok(look(&[], true));
        }
        let wanted = rest.min(least as u64);
        if !self.window.as_ref().is_some_and(|window| window.holds(position, wanted)) {
            self.move_window(position, wanted)?;
        }
        let Some(window) = &self.window else {
            return Ok(look(&[], true));
        };
        let slice = window.from(position);
        let reaches_end = slice.len() as u64 == rest;
        let start = window.map.as_ptr() as usize;
        sigbus::guarded(start..start + window.map.len(), || look(slice, reaches_end))
            .map_err(|_| SourceError::Unreadable { path: self.path.clone(), position })
    }

    fn move_window(&mut self, position: u64, wanted: u64) -> Result<(), SourceError> {
        // The old window goes first: never two at a time.
        self.window = None;
        // A change between windows is found here, before anything of it is sent.
        self.check(&self.identity)?;
        let start = position - position % PAGE_BYTES as u64;
        let length =
            (position - start + wanted).max(self.window_bytes as u64).min(self.identity.size - start);
        let map_error = |source| SourceError::Map { path: self.path.clone(), source };
        let length = usize::try_from(length).map_err(|_| map_error(io::ErrorKind::OutOfMemory.into()))?;
        // SAFETY: others can change the file under the mapping. Octets that change are what they are: any value
        // is valid; pages that vanish are caught by `sigbus::guarded`, the only way to read the window.
        let map =
            unsafe { MmapOptions::new().offset(start).len(length).map(&self.file) }.map_err(map_error)?;
        // Only a hint.
        let _ = map.advise(Advice::Sequential);
        self.window = Some(Window { map, start });
        Ok(())
    }

    /// Reads without mapping, for a few octets here and there.
    pub fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        self.file
            .read_exact_at(buffer, position)
            .map_err(|_| SourceError::Unreadable { path: self.path.clone(), position })
    }
}

/// Looks whether a regular file is left alone: its identity, or nothing if some process has it open for writing or
/// it is no regular file.
///
/// Where the filesystem cannot tell who has a file open, it counts as left alone.
pub fn quiet_file(path: &Path) -> io::Result<Option<SourceIdentity>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    // A read lease is refused while anybody has the file open for writing.
    // SAFETY: the descriptor is open; no memory is involved.
    let leased = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
    if leased == 0 {
        // SAFETY: as above.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    } else if io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) {
        return Ok(None);
    }
    Ok(Some(SourceIdentity::of(&metadata)))
}

impl Window {
    fn holds(&self, position: u64, wanted: u64) -> bool {
        let end = self.start + self.map.len() as u64;
        self.start <= position && position + wanted <= end
    }

    fn from(&self, position: u64) -> &[u8] {
        let offset = usize::try_from(position - self.start).unwrap_or(usize::MAX);
        self.map.get(offset..).unwrap_or_default()
    }
}

const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_of(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn shows_every_octet_through_small_windows() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let file = file_of(&content);
        let mut source = MappedSource::open(file.path(), 4096).unwrap();
        let mut seen = Vec::new();
        while seen.len() < content.len() {
            source
                .look(seen.len() as u64, 5000, |slice, end| {
                    assert!(slice.len() >= 5000 || end);
                    seen.extend_from_slice(&slice[..slice.len().min(777)]);
                })
                .unwrap();
        }
        assert_eq!(seen, content);
        source.look(content.len() as u64, 1, |slice, end| assert!(slice.is_empty() && end)).unwrap();
    }

    #[test]
    fn a_file_truncated_under_the_mapping_is_an_error_and_not_the_end() {
        let file = file_of(&vec![1; 1 << 20]);
        let mut source = MappedSource::open(file.path(), 1 << 20).unwrap();
        let sum = |slice: &[u8], _| slice.iter().map(|&octet| u64::from(octet)).sum::<u64>();
        assert_eq!(source.look(0, 1, sum).unwrap(), 1 << 20);
        file.as_file().set_len(4096).unwrap();
        assert!(matches!(source.look(0, 1, sum), Err(SourceError::Unreadable { .. })));
        // And the next file is read as if nothing had been.
        let other = file_of(b"abc");
        let mut source = MappedSource::open(other.path(), 4096).unwrap();
        assert_eq!(source.look(0, 1, sum).unwrap(), 294);
    }

    #[test]
    fn a_file_that_grew_is_noticed() {
        let mut file = file_of(b"abc");
        let source = MappedSource::open(file.path(), 4096).unwrap();
        let before = source.identity();
        source.check(&before).unwrap();
        file.write_all(b"d").unwrap();
        assert!(matches!(source.check(&before), Err(SourceError::Changed { what: "size", .. })));
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_not_quiet() {
        let file = file_of(b"abc");
        assert_eq!(quiet_file(file.path()).unwrap(), None);
        let path = file.into_temp_path();
        assert_eq!(quiet_file(&path).unwrap().unwrap().size, 3);
    }

    #[test]
    fn refuses_what_is_no_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(MappedSource::open(folder.path(), 4096), Err(SourceError::NotAFile { .. })));
        let missing = folder.path().join("missing");
        assert!(matches!(MappedSource::open(&missing, 4096), Err(SourceError::Open { .. })));
    }
}
