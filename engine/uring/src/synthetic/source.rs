//! A synthetic file to be sent.

use std::path::{Path, PathBuf};

use crate::source::{SourceError, SourceIdentity};
use crate::synthetic::SyntheticFile;

/// A synthetic file that is being sent. It is made a buffer at a time, when somebody looks at it.
pub struct SyntheticSource {
    file: SyntheticFile,
    path: PathBuf,
    buffer_bytes: usize,
    buffer: Vec<u8>,
    start: u64,
}

impl SyntheticSource {
    /// Opens the synthetic file that `path` is the name of. `window_bytes` is how much of it is made at a time, at
    /// most 1 MiB.
    ///
    /// # Errors
    ///
    /// If it is no such name.
    pub fn open(path: &Path, window_bytes: usize) -> Result<Self, SourceError> {
        let file = path.to_string_lossy().parse::<SyntheticFile>()?;
        let buffer_bytes = window_bytes.clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
        Ok(Self { file, path: path.into(), buffer_bytes, buffer: Vec::new(), start: 0 })
    }

    /// What the name says: length, seed as the inode, pattern as the device.
    pub fn identity(&self) -> SourceIdentity {
        let SyntheticFile { content, octets } = self.file;
        SourceIdentity { size: octets, mtime_ns: 0, inode: content.seed, device: content.pattern.number() }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether the file is what `expected` says.
    pub fn check(&self, expected: &SourceIdentity) -> Result<(), SourceError> {
        self.identity().compare(expected, &self.path)
    }

    /// Shows `look` the file from `position` on: at least `least` octets, or all that follow; the second
    /// argument tells whether the slice reaches to the end of the file.
    pub fn look<R>(&mut self, position: u64, least: usize, look: impl FnOnce(&[u8], bool) -> R) -> R {
        let rest = self.file.octets.saturating_sub(position);
        if rest == 0 {
            return look(&[], true);
        }
        let rest_bytes = usize::try_from(rest).unwrap_or(usize::MAX);
        let wanted = least.max(1).min(rest_bytes);
        if self.held_from(position).is_none_or(|held| held.len() < wanted) {
            self.make(position, wanted.max(self.buffer_bytes).min(rest_bytes));
        }
        let held = self.held_from(position).unwrap_or_default();
        look(held, held.len() as u64 == rest)
    }

    /// Makes a few octets here and there.
    ///
    /// # Errors
    ///
    /// If the file ends before the buffer is full.
    pub fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let end = position.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.file.octets) {
            return Err(SourceError::Unreadable { path: self.path.clone(), position });
        }
        self.file.content.fill(position, buffer);
        Ok(())
    }

    fn held_from(&self, position: u64) -> Option<&[u8]> {
        let offset = position.checked_sub(self.start)?;
        self.buffer.get(usize::try_from(offset).ok()?..)
    }

    fn make(&mut self, position: u64, length: usize) {
        self.buffer.resize(length, 0);
        self.start = position;
        self.file.content.fill(position, &mut self.buffer);
    }
}

/// Less would be made again and again.
const BUFFER_BYTES_MIN: usize = 4096;
/// More would not be faster, and each transfer has one.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, window_bytes: usize) -> SyntheticSource {
        SyntheticSource::open(Path::new(name), window_bytes).unwrap()
    }

    fn content_of(source: &SyntheticSource, position: u64, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length];
        source.file.content.fill(position, &mut octets);
        octets
    }

    #[test]
    fn shows_every_octet_whatever_is_looked_at() {
        for (window_bytes, least, used) in
            [(0, 1, 777), (4096, 5000, 777), (100_000, 64, 64), (1 << 22, 1, 9999)]
        {
            let mut source = source("synthetic:text:5:100001", window_bytes);
            let mut seen = Vec::new();
            while seen.len() < 100_001 {
                let position = seen.len() as u64;
                source.look(position, least, |slice, end| {
                    assert!(!slice.is_empty() && (slice.len() >= least || end));
                    assert_eq!(end, slice.len() == 100_001 - seen.len());
                    seen.extend_from_slice(&slice[..slice.len().min(used)]);
                });
            }
            assert_eq!(seen, content_of(&source, 0, 100_001));
            source.look(100_001, 1, |slice, end| assert!(slice.is_empty() && end));
            source.look(u64::MAX, 1, |slice, end| assert!(slice.is_empty() && end));
            // And again from the front.
            source.look(3, 1, |slice, _| assert_eq!(slice[0], seen[3]));
        }
    }

    #[test]
    fn holds_no_more_than_a_mebibyte_unless_more_is_looked_at() {
        let mut source = source("synthetic:random:5:18446744073709551615", usize::MAX);
        assert_eq!(source.buffer.capacity(), 0, "nobody has looked yet");
        for position in [0, 9_200_000_000_000_000, u64::MAX - (3 << 20), u64::MAX - 10] {
            let expected = content_of(&source, position, 10);
            source.look(position, 1, |slice, _| assert_eq!(slice[..10], expected));
            assert!(source.buffer.capacity() <= 1 << 20);
        }
        source.look(u64::MAX - 10, 100, |slice, end| assert!(slice.len() == 10 && end));
        source.look(7, (1 << 20) + 1, |slice, end| assert!(slice.len() > 1 << 20 && !end));
    }

    #[test]
    fn reads_up_to_the_end_and_not_beyond() {
        let source = source("synthetic:random:5:1000", 0);
        let mut octets = [0; 100];
        source.read_at(900, &mut octets).unwrap();
        assert_eq!(octets[..], content_of(&source, 900, 100));
        for position in [901, u64::MAX] {
            assert!(matches!(source.read_at(position, &mut octets), Err(SourceError::Unreadable { .. })));
        }
    }

    #[test]
    fn another_name_is_another_file() {
        let expected = source("synthetic:random:5:1000", 0).identity();
        source("synthetic:random:5:1000", 1 << 20).check(&expected).unwrap();
        for other in ["synthetic:text:5:1000", "synthetic:random:6:1000", "synthetic:random:5:1001"] {
            assert!(matches!(source(other, 0).check(&expected), Err(SourceError::Changed { .. })), "{other}");
        }
    }
}
