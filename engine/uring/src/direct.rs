//! Files read and written past the page cache (`O_DIRECT`): what that asks of memory, positions and lengths; and sources
//! that are read so.
//!
//! Purpose: whoever moves more than fits in memory does not push everything else out of it. Whether it is faster depends
//! on the disk.
//!
//! ```text
//! file     ────┤   window N   ├┤  window N+1  ├────
//! memory    [lead│ window N ]   [lead│window N+1]      while one is looked at, a thread reads the next
//!                        └─ what is left of N ─┘       copied before N+1, so that a look may span both
//! ```

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crossbeam::channel::{self, Receiver, Sender};
use memmap2::MmapMut;

use crate::source::{SourceError, SourceIdentity};

/// What direct reads and writes of a file must be aligned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alignment {
    /// Positions and lengths, in octets: whole pages, so that what is direct and what is not never share one.
    pub(crate) granule: usize,
    /// Addresses.
    pub(crate) memory: usize,
    /// The kernel said so; otherwise it is a guess.
    pub(crate) is_told: bool,
}

impl Alignment {
    /// Of an open file.
    ///
    /// # Errors
    ///
    /// If the kernel says that it takes none, or wants more than blocks are aligned to.
    pub(crate) fn of(fd: RawFd) -> io::Result<Self> {
        let page = page_bytes();
        // SAFETY: all zeros is a valid value of this plain C structure.
        let mut found: libc::statx = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, the empty string is static, and the pointer valid for the call.
        let result = unsafe {
            libc::statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN, &raw mut found)
        };
        // Before Linux 6.1, and on filesystems that do not tell.
        if result != 0 || found.stx_mask & libc::STATX_DIOALIGN == 0 {
            return Ok(Self { granule: page.max(GUESS_BYTES), memory: page, is_told: false });
        }
        let wide = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        let (granule, memory) = (wide(found.stx_dio_offset_align), wide(found.stx_dio_mem_align));
        if granule == 0 || memory == 0 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the filesystem has no direct access to it",
            ));
        }
        if granule > GRANULE_MAX || !GRANULE_MAX.is_multiple_of(granule) || memory > page {
            let text = format!("direct access to it wants {granule} octets at addresses of {memory}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(Self { granule: granule.max(page), memory, is_told: true })
    }

    /// How much of `octets`, which stand at `position`, can go directly: whole granules from their beginning on.
    pub(crate) fn part_of(&self, octets: &[u8], position: u64) -> usize {
        let is_aligned = position.is_multiple_of(self.granule as u64)
            && octets.as_ptr().addr().is_multiple_of(self.memory);
        if is_aligned { octets.len() - octets.len() % self.granule } else { 0 }
    }
}

/// A file that is being sent, read past the page cache. It is read from front to back, but may be read again from any
/// position.
pub struct DirectSource {
    descriptors: Arc<Descriptors>,
    identity: SourceIdentity,
    window_bytes: usize,
    current: Option<Window>,
    /// Memory that nobody looks at, unless the reader has it.
    spare: Option<MmapMut>,
    reader: Option<Reader>,
}

struct Descriptors {
    direct: File,
    /// For what is not aligned.
    buffered: File,
    path: PathBuf,
    size: u64,
    alignment: Alignment,
}

/// A part of the file in memory.
struct Window {
    memory: MmapMut,
    /// Where in the file it begins.
    start: u64,
    /// Where in the memory, and where it ends there.
    from: usize,
    end: usize,
}

/// The thread that reads ahead. It ends when this is dropped.
struct Reader {
    wishes: Sender<(MmapMut, u64)>,
    windows: Receiver<Result<Window, SourceError>>,
    /// Where the window begins that it was asked for, and that has not been taken yet.
    asked: Option<u64>,
}

impl DirectSource {
    /// Opens a regular file. `window_bytes` is how much of it is in memory at a time, about.
    ///
    /// # Errors
    ///
    /// The inner one: it cannot be read so.
    pub(crate) fn open(path: &Path, window_bytes: usize) -> Result<Result<Self, io::Error>, SourceError> {
        let cannot_open = |source| SourceError::Open { path: path.into(), source };
        // Without O_NONBLOCK, opening a pipe would wait for its other end.
        let open = |flags| {
            File::options().read(true).custom_flags(flags | libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
        };
        let buffered = open(0).map_err(cannot_open)?;
        let metadata = buffered.metadata().map_err(cannot_open)?;
        if !metadata.is_file() {
            return Err(SourceError::NotAFile { path: path.into() });
        }
        let identity = SourceIdentity::of(&metadata);
        let direct = match open(libc::O_DIRECT) {
            Ok(direct) => direct,
            Err(error) => return Ok(Err(error)),
        };
        // The name may lead to another file by now.
        SourceIdentity::of(&direct.metadata().map_err(cannot_open)?).compare(&identity, path)?;
        let alignment = match Alignment::of(direct.as_raw_fd()) {
            Ok(alignment) => alignment,
            Err(error) => return Ok(Err(error)),
        };
        let window_bytes = (window_bytes / 2).clamp(1, WINDOW_BYTES_MAX).next_multiple_of(alignment.granule);
        let descriptors = Descriptors { direct, buffered, path: path.into(), size: identity.size, alignment };
        if !alignment.is_told
            && let Err(error) = descriptors.try_out()
        {
            return Ok(Err(error));
        }
        Ok(Ok(Self {
            descriptors: Arc::new(descriptors),
            identity,
            window_bytes,
            current: None,
            spare: None,
            reader: None,
        }))
    }

    /// What the file was when it was opened.
    pub fn identity(&self) -> SourceIdentity {
        self.identity
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.descriptors.path
    }

    /// Tells whether the file is still what `expected` says.
    pub fn check(&self, expected: &SourceIdentity) -> Result<(), SourceError> {
        let open_error = |source| SourceError::Open { path: self.path().into(), source };
        let now = SourceIdentity::of(&self.descriptors.buffered.metadata().map_err(open_error)?);
        now.compare(expected, self.path())
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
        let wanted = usize::try_from(rest).unwrap_or(usize::MAX).min(least);
        if !self.current.as_ref().is_some_and(|window| window.holds(position, wanted)) {
            self.move_window(position, wanted)?;
        }
        let slice = self.current.as_ref().map(|window| window.from(position)).unwrap_or_default();
        Ok(look(slice, slice.len() as u64 == rest))
    }

    /// Reads without moving the window, for a few octets here and there.
    pub fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let unreadable = |_| SourceError::Unreadable { path: self.path().into(), position };
        self.descriptors.buffered.read_exact_at(buffer, position).map_err(unreadable)
    }

    fn move_window(&mut self, position: u64, wanted: usize) -> Result<(), SourceError> {
        // A change between windows is found here, before anything of it is sent.
        self.check(&self.identity)?;
        if let Some(before) = self.current.take() {
            let next = before.file_end();
            let kept = before.from(position);
            let follows = (before.start..=next).contains(&position) && kept.len() <= LEAD_BYTES;
            if follows && wanted <= self.window_bytes {
                let mut window = self.take_ahead(next)?;
                window.put_before(kept);
                self.current = Some(window);
                self.read_ahead(before.memory);
                return Ok(());
            }
            self.spare.get_or_insert(before.memory);
        }
        self.recall();
        let granule = self.descriptors.alignment.granule;
        let start = position - position % granule as u64;
        let before = usize::try_from(position - start).unwrap_or(granule);
        let length = before.saturating_add(wanted).max(self.window_bytes);
        let length = length.checked_next_multiple_of(granule).unwrap_or(length);
        let memory = self.memory_of(length)?;
        self.current = Some(self.descriptors.read(memory, start, length)?);
        if self.current.as_ref().is_some_and(|window| window.file_end() < self.identity.size) {
            let memory = self.memory_of(self.window_bytes)?;
            self.read_ahead(memory);
        }
        Ok(())
    }

    /// The window that begins at `start`, which is aligned.
    fn take_ahead(&mut self, start: u64) -> Result<Window, SourceError> {
        if let Some(reader) = self.reader.as_mut().filter(|reader| reader.asked == Some(start)) {
            reader.asked = None;
            // Without its thread, it is read here.
            if let Ok(window) = reader.windows.recv() {
                return window;
            }
        }
        self.recall();
        let memory = self.memory_of(self.window_bytes)?;
        self.descriptors.read(memory, start, self.window_bytes)
    }

    /// Lets the thread read what follows the current window, into this memory.
    fn read_ahead(&mut self, memory: MmapMut) {
        let next = self.current.as_ref().map_or(u64::MAX, Window::file_end);
        if next >= self.identity.size {
            self.spare = Some(memory);
            return;
        }
        if self.reader.is_none() {
            self.reader = Reader::start(Arc::clone(&self.descriptors), self.window_bytes);
        }
        match &mut self.reader {
            Some(reader) if reader.asked.is_none() => match reader.wishes.try_send((memory, next)) {
                Ok(()) => reader.asked = Some(next),
                // It is read when it is needed.
                Err(error) => self.spare = Some(error.into_inner().0),
            },
            _ => self.spare = Some(memory),
        }
    }

    /// Takes back what was read ahead in vain.
    fn recall(&mut self) {
        if let Some(reader) = &mut self.reader
            && reader.asked.take().is_some()
            && let Ok(window) = reader.windows.recv()
        {
            // An error of what nobody wants is none: it shows when it is wanted.
            self.spare = window.ok().map(|window| window.memory).or(self.spare.take());
        }
    }

    /// Memory for a window of so many octets.
    fn memory_of(&mut self, window_bytes: usize) -> Result<MmapMut, SourceError> {
        let length = LEAD_BYTES.saturating_add(window_bytes);
        match self.spare.take() {
            Some(memory) if memory.len() >= length => Ok(memory),
            _ => MmapMut::map_anon(length)
                .map_err(|source| SourceError::Map { path: self.path().into(), source }),
        }
    }
}

impl Descriptors {
    /// Reads at most `length` octets from `start` on, both aligned, behind the lead of this memory: all of them, or to
    /// the end that the file had when it was opened.
    fn read(&self, mut memory: MmapMut, start: u64, length: usize) -> Result<Window, SourceError> {
        let rest = usize::try_from(self.size.saturating_sub(start)).unwrap_or(usize::MAX);
        let wanted = rest.min(length);
        // To the end of the granule: the kernel stops at the end of the file by itself.
        let room = memory.get_mut(LEAD_BYTES..LEAD_BYTES + wanted.next_multiple_of(self.alignment.granule));
        let room = room.unwrap_or_default();
        let mut filled = 0;
        while filled < wanted {
            let position = start + filled as u64;
            let unreadable = || SourceError::Unreadable { path: self.path.clone(), position };
            let is_aligned = filled.is_multiple_of(self.alignment.granule);
            let file = if is_aligned { &self.direct } else { &self.buffered };
            let read = file.read_at(room.get_mut(filled..).unwrap_or_default(), position);
            let read = match read {
                // What was agreed to when it was opened is refused none the less.
                Err(error) if is_aligned && error.raw_os_error() == Some(libc::EINVAL) => {
                    self.buffered.read_at(room.get_mut(filled..).unwrap_or_default(), position)
                }
                read => read,
            };
            match read {
                Ok(0) => return Err(unreadable()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(unreadable()),
            }
        }
        // A file that has grown meanwhile may have given more.
        Ok(Window { memory, start, from: LEAD_BYTES, end: LEAD_BYTES + wanted })
    }

    /// Whether such reads are possible at all, where nobody tells.
    fn try_out(&self) -> io::Result<()> {
        let mut memory = MmapMut::map_anon(self.alignment.granule)?;
        self.direct.read_at(&mut memory, 0).map(|_| ())
    }
}

impl Window {
    fn holds(&self, position: u64, wanted: usize) -> bool {
        self.start <= position && position + wanted as u64 <= self.file_end()
    }

    fn file_end(&self) -> u64 {
        self.start + (self.end - self.from) as u64
    }

    fn from(&self, position: u64) -> &[u8] {
        let offset = usize::try_from(position.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.memory.get(self.from.saturating_add(offset)..self.end).unwrap_or_default()
    }

    /// Puts what stands in front of it in the file there in memory, too. There is room for so much as the lead has.
    fn put_before(&mut self, octets: &[u8]) {
        let from = self.from - octets.len();
        if let Some(lead) = self.memory.get_mut(from..self.from) {
            lead.copy_from_slice(octets);
            (self.from, self.start) = (from, self.start - octets.len() as u64);
        }
    }
}

impl Reader {
    /// None if there is no thread to be had: then nothing is read ahead.
    fn start(descriptors: Arc<Descriptors>, window_bytes: usize) -> Option<Self> {
        let (wishes, asked_for) = channel::bounded::<(MmapMut, u64)>(1);
        let (to_source, windows) = channel::bounded(1);
        let read = move || {
            for (memory, start) in asked_for {
                if to_source.send(descriptors.read(memory, start, window_bytes)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("read-ahead".to_owned()).spawn(read).ok()?;
        Some(Self { wishes, windows, asked: None })
    }
}

pub(crate) fn page_bytes() -> usize {
    // SAFETY: a plain system call without memory.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(GUESS_BYTES)
}

/// Enough for every disk whose filesystem does not tell.
const GUESS_BYTES: usize = 4096;
/// More than any filesystem wants, and a divisor of every sensible size of a block.
const GRANULE_MAX: usize = 64 << 10;
/// So much of a window can be kept when the next one comes: more than a look asks for.
const LEAD_BYTES: usize = 512 << 10;
/// More at a time makes no disk faster, and costs memory for each transfer.
const WINDOW_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_while_it_is_read_is_an_error_and_not_the_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![1; 20_000]).unwrap();
        let Ok(source) = DirectSource::open(file.path(), 16_384).unwrap() else {
            eprintln!("skipped: the filesystem of temporary files has no direct access");
            return;
        };
        for (cut, position) in [(12_288, 12_288), (9000, 9000), (0, 0)] {
            file.as_file().set_len(cut).unwrap();
            let memory = MmapMut::map_anon(LEAD_BYTES + 32_768).unwrap();
            let error = source.descriptors.read(memory, 0, 32_768).err().unwrap();
            assert!(
                matches!(error, SourceError::Unreadable { position: at, .. } if at == position),
                "{error}"
            );
        }
    }

    #[test]
    fn only_whole_granules_at_multiples_of_one_go_directly() {
        let alignment = Alignment { granule: 8192, memory: 4096, is_told: true };
        let memory = MmapMut::map_anon(1 << 20).unwrap();
        for (from, length, position, part) in [
            (0, 0, 0, 0),
            (0, 8191, 0, 0),
            (0, 8192, 0, 8192),
            (0, 8193, 0, 8192),
            (0, 24_575, 8192, 16_384),
            (4096, 8192, 8192, 8192),
            (512, 8192, 8192, 0),
            (0, 8192, 4096, 0),
            (0, 8192, 1, 0),
        ] {
            assert_eq!(alignment.part_of(&memory[from..from + length], position), part, "{from} {length}");
        }
    }
}
