//! Files to be written, and the folders they stand in.

use std::cell::Cell;
use std::ffi::{CString, c_int};
use std::fmt::Display;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use io_uring::{opcode, types};

use crate::direct::Alignment;
use crate::error::{About, Error};
use crate::faults::{self, Operation};
use crate::op;
use crate::pool::Block;
use crate::shard;

/// A file open for writing. Clones share it.
#[derive(Clone)]
pub struct File {
    fd: Rc<OwnedFd>,
    path: Rc<Path>,
    direct: Option<Rc<Direct>>,
}

/// The same file, open for writing past the page cache.
struct Direct {
    fd: OwnedFd,
    alignment: Alignment,
    /// The filesystem took it at first, and then would not.
    is_refused: Cell<bool>,
}

/// What tells a file from another on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Inode number.
    pub inode: u64,
    /// Device number.
    pub device: u64,
}

/// Room on a filesystem, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What an ordinary user can still use.
    pub available: u64,
    /// Size of the filesystem.
    pub total: u64,
}

impl File {
    /// Creates a file for writing, mode 0600; one that is there already is emptied.
    pub async fn create(path: &Path) -> Result<Self, Error> {
        faults::check(Operation::Open, path).about("create", path.display())?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NOFOLLOW;
        let fd = open_at(path, flags).await?.about("create", path.display())?;
        faults::done(Operation::Open, path);
        Ok(Self { fd: Rc::new(fd), path: path.into(), direct: None })
    }

    /// Opens a file that is there for writing, and leaves its content as it is.
    ///
    /// # Errors
    ///
    /// If it is not there, or no regular file; a symbolic link is none.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        faults::check(Operation::Open, path).about("open", path.display())?;
        let fd = open_existing(path, libc::O_WRONLY).await?;
        faults::done(Operation::Open, path);
        Ok(Self { fd: Rc::new(fd), path: path.into(), direct: None })
    }

    /// From now on, what is aligned is written past the page cache: whole granules ([`File::granule`]) out of blocks,
    /// from a position on that is a multiple of one. Everything else goes through it as before, in any order: no octet
    /// is ever written back from the page cache over one that was written directly.
    ///
    /// Durable is what was written so only after [`File::sync_data`]: the drive has a cache of its own, and the metadata
    /// is not there yet.
    ///
    /// # Errors
    ///
    /// If the filesystem takes no such writes; the file goes on as it was.
    pub async fn write_directly(&mut self) -> Result<(), Error> {
        const OPERATION: &str = "write directly to";
        faults::check(Operation::Open, &self.path).about(OPERATION, self.path.display())?;
        let flags = libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_DIRECT;
        let fd = open_at(&self.path, flags).await?.about(OPERATION, self.path.display())?;
        faults::done(Operation::Open, &self.path);
        let (ours, its) = (self.identity()?, identity_of(&fd).map_err(|error| self.error("look up", error))?);
        if ours != its {
            let other = io::Error::other("its name leads to another file by now");
            return Err(self.error(OPERATION, other));
        }
        let alignment = Alignment::of(fd.as_raw_fd()).map_err(|error| self.error(OPERATION, error))?;
        self.direct = Some(Rc::new(Direct { fd, alignment, is_refused: Cell::new(false) }));
        Ok(())
    }

    /// Octets in whose multiples it is written directly; none: it is not, or not any more.
    pub fn granule(&self) -> Option<usize> {
        let direct = self.direct.as_ref().filter(|direct| !direct.is_refused.get())?;
        Some(direct.alignment.granule)
    }

    /// What is told when [`File::granule`] says that it is not written directly any more: the kernel has refused an
    /// aligned write.
    pub fn not_direct(&self) -> Error {
        self.error("write directly to", io::Error::from_raw_os_error(libc::EINVAL))
    }

    /// The path it was opened with.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length, in bytes.
    pub fn length(&self) -> Result<u64, Error> {
        status(&self.fd)
            .map(|stat| length_of(&stat))
            .map_err(|error| self.error("look up the length of", error))
    }

    /// Which file it is, whatever its path says by now.
    pub fn identity(&self) -> Result<FileIdentity, Error> {
        identity_of(&self.fd).map_err(|error| self.error("look up", error))
    }

    /// Writes the first `length` bytes of a block at `position`, all of them.
    ///
    /// # Panics
    ///
    /// If the block is shorter.
    pub async fn write_all_at(
        &self,
        block: Block,
        length: usize,
        position: u64,
    ) -> (Result<(), Error>, Block) {
        self.write_at(block, length, position).await
    }

    /// Writes a whole vector at the beginning of the file, for small files.
    pub async fn write_small(&self, content: Vec<u8>) -> Result<(), Error> {
        let length = content.len();
        self.write_at(content, length, 0).await.0
    }

    pub(crate) async fn write_at<M: Memory>(
        &self,
        mut memory: M,
        length: usize,
        position: u64,
    ) -> (Result<(), Error>, M) {
        assert!(length <= memory.len(), "cannot write more than a block holds");
        let mut written = 0;
        while written < length {
            if let Err(error) = faults::check(Operation::Write, &self.path) {
                return (Err(self.error("write", error)), memory);
            }
            let rest = memory.get(written..length).unwrap_or_default();
            let offset = position + written as u64;
            let (way, rest) = self.way_of(rest, offset);
            let fd = types::Fd(way.map_or(self.fd.as_raw_fd(), |direct| direct.fd.as_raw_fd()));
            let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let entry = match memory.fixed_index() {
                Some(index) => {
                    opcode::WriteFixed::new(fd, rest.as_ptr(), count, index).offset(offset).build()
                }
                None => opcode::Write::new(fd, rest.as_ptr(), count).offset(offset).build(),
            };
            // SAFETY: `Memory` owns what is written at a fixed address; the clone keeps the file open, both ways.
            let (result, held) = unsafe { op::submit((self.clone(), memory), entry) }.await;
            memory = held.1;
            match result {
                Ok(0) => {
                    let stuck = io::Error::new(io::ErrorKind::WriteZero, "the disk takes no more data");
                    return (Err(self.error("write", stuck)), memory);
                }
                Ok(count) => written += usize::try_from(count).unwrap_or_default(),
                // The filesystem took the flag, or had told another alignment: this is no error of the disk.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) && way.is_some() => {
                    way.inspect(|direct| direct.is_refused.set(true));
                    continue;
                }
                Err(error) => return (Err(self.error("write", error)), memory),
            }
            faults::done(Operation::Write, &self.path);
        }
        (Ok(()), memory)
    }

    /// Which way the next octets go, and how many of them.
    ///
    /// Whole granules that begin at a multiple of one go directly, the rest through the page cache. A granule is pages, so
    /// that within a file that is written from front to back no page is written both ways; the one exception is a
    /// direct write that stops short in the middle of a granule. It was complete before the rest is buffered, so that the
    /// page which the kernel then reads, changes and writes back has it. In any order, the kernel writes back and
    /// drops what the page cache has of a direct write's range before it, and after it drops what was read meanwhile.
    fn way_of<'a>(&self, octets: &'a [u8], position: u64) -> (Option<&Direct>, &'a [u8]) {
        let direct = self.direct.as_deref().filter(|direct| !direct.is_refused.get());
        let aligned = direct.map_or(0, |direct| direct.alignment.part_of(octets, position));
        match octets.get(..aligned) {
            Some(whole) if !whole.is_empty() => (direct, whole),
            _ => (None, octets),
        }
    }

    /// Reserves room from `position` on, without changing the file's length. Filesystems that cannot do it are
    /// no error.
    pub async fn allocate(&self, position: u64, length: u64) -> Result<(), Error> {
        faults::check(Operation::Allocate, &self.path)
            .map_err(|error| self.error("reserve room for", error))?;
        let entry = opcode::Fallocate::new(types::Fd(self.fd.as_raw_fd()), length)
            .offset(position)
            .mode(libc::FALLOC_FL_KEEP_SIZE)
            .build();
        // SAFETY: no memory is involved; the Rc keeps the file open.
        let (result, _) = unsafe { op::submit(Rc::clone(&self.fd), entry) }.await;
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            Err(error) => Err(self.error("reserve room for", error)),
            Ok(_) => {
                faults::done(Operation::Allocate, &self.path);
                Ok(())
            }
        }
    }

    /// Makes what was written durable, with the metadata that is needed to read it back (fdatasync).
    pub async fn sync_data(&self) -> Result<(), Error> {
        faults::check(Operation::Sync, &self.path).map_err(|error| self.error("sync", error))?;
        let entry =
            opcode::Fsync::new(types::Fd(self.fd.as_raw_fd())).flags(types::FsyncFlags::DATASYNC).build();
        // SAFETY: no memory is involved; the Rc keeps the file open.
        let (result, _) = unsafe { op::submit(Rc::clone(&self.fd), entry) }.await;
        result.map_err(|error| self.error("sync", error))?;
        faults::done(Operation::Sync, &self.path);
        Ok(())
    }

    /// Cuts the file to `length` bytes, giving back what was reserved beyond it.
    pub fn set_len(&self, length: u64) -> Result<(), Error> {
        faults::check(Operation::Truncate, &self.path).map_err(|error| self.error("cut", error))?;
        let length = libc::off_t::try_from(length).unwrap_or(libc::off_t::MAX);
        // SAFETY: the descriptor is open; no memory is involved.
        let result = unsafe { libc::ftruncate(self.fd.as_raw_fd(), length) };
        if result != 0 {
            return Err(self.error("cut", io::Error::last_os_error()));
        }
        faults::done(Operation::Truncate, &self.path);
        Ok(())
    }

    fn error(&self, operation: &'static str, source: io::Error) -> Error {
        Error::new(operation, self.path.display(), source)
    }
}

/// Renames without replacing anything: if `to` is there, it fails with `AlreadyExists`.
pub async fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let subject = Arrow(from, to);
    faults::check(Operation::Rename, to).about("rename", &subject)?;
    let names = (c_path(from)?, c_path(to)?);
    let here = types::Fd(libc::AT_FDCWD);
    let entry = opcode::RenameAt::new(here, names.0.as_ptr(), here, names.1.as_ptr())
        .flags(libc::RENAME_NOREPLACE)
        .build();
    // SAFETY: the strings own the paths, on the heap.
    let (result, _) = unsafe { op::submit(names, entry) }.await;
    result.about("rename", subject)?;
    faults::done(Operation::Rename, to);
    Ok(())
}

/// Removes a file.
pub async fn remove(path: &Path) -> Result<(), Error> {
    faults::check(Operation::Remove, path).about("remove", path.display())?;
    let name = c_path(path)?;
    let entry = opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr()).build();
    // SAFETY: the string owns the path, on the heap.
    let (result, _) = unsafe { op::submit(name, entry) }.await;
    result.about("remove", path.display())?;
    faults::done(Operation::Remove, path);
    Ok(())
}

/// Makes the entries of a folder durable: what was renamed into it stays there after a power cut.
pub async fn sync_directory(path: &Path) -> Result<(), Error> {
    faults::check(Operation::SyncDirectory, path).about("sync folder", path.display())?;
    let fd = open_at(path, libc::O_RDONLY | libc::O_DIRECTORY).await?.about("open folder", path.display())?;
    let entry = opcode::Fsync::new(types::Fd(fd.as_raw_fd())).build();
    // SAFETY: no memory is involved; the operation owns the descriptor.
    let (result, _) = unsafe { op::submit(fd, entry) }.await;
    result.about("sync folder", path.display())?;
    faults::done(Operation::SyncDirectory, path);
    Ok(())
}

/// Room on the filesystem that holds `path`.
pub fn free_space(path: &Path) -> Result<Space, Error> {
    let name = c_path(path)?;
    // SAFETY: all zeros is a valid value of this plain C structure.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    let result = unsafe { libc::statvfs(name.as_ptr(), &raw mut stat) };
    if result != 0 {
        return Err(Error::new("look up free space of", path.display(), io::Error::last_os_error()));
    }
    Ok(Space {
        available: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

/// True if both folders are on one filesystem, so that a file can be renamed from one to the other.
pub fn same_filesystem(one: &Path, other: &Path) -> Result<bool, Error> {
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev());
    Ok(device(one).about("look up", one.display())? == device(other).about("look up", other.display())?)
}

struct Arrow<'a>(&'a Path, &'a Path);

impl Display for Arrow<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.0.display(), self.1.display())
    }
}

/// Memory to be written out of.
///
/// # Safety
///
/// Until it is changed or dropped, what it derefs to stays at its address, also when its owner is moved.
pub(crate) unsafe trait Memory: Deref<Target = [u8]> + Unpin + 'static {
    /// Its number among the memory that is registered with this shard's ring.
    fn fixed_index(&self) -> Option<u16>;
}

// SAFETY: a block is a pointer into its pool's area.
unsafe impl Memory for Block {
    fn fixed_index(&self) -> Option<u16> {
        self.registered_index(shard::current())
    }
}

// SAFETY: a vector's elements are on the heap.
unsafe impl Memory for Vec<u8> {
    fn fixed_index(&self) -> Option<u16> {
        None
    }
}

/// Opens a regular file that is there, and no symbolic link to one.
pub(crate) async fn open_existing(path: &Path, access: c_int) -> Result<OwnedFd, Error> {
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    let flags = access | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let fd = open_at(path, flags).await?.about("open", path.display())?;
    let stat = status(&fd).about("open", path.display())?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        let other = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(Error::new("open", path.display(), other));
    }
    // With O_NONBLOCK, some filesystems would answer EAGAIN where others wait for the disk.
    // SAFETY: the descriptor is open; no memory is involved.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, 0) };
    if result == -1 {
        return Err(Error::new("open", path.display(), io::Error::last_os_error()));
    }
    Ok(fd)
}

/// The inner result is the system's: the caller knows what to call it.
async fn open_at(path: &Path, flags: c_int) -> Result<io::Result<OwnedFd>, Error> {
    let name = c_path(path)?;
    let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr())
        .flags(flags | libc::O_CLOEXEC)
        .mode(0o600)
        .build();
    // SAFETY: the string owns the path, on the heap.
    let (result, _) = unsafe { op::submit(name, entry) }.await;
    Ok(result.map(owned))
}

pub(crate) fn status(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: all zeros is a valid value of this plain C structure.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the pointer valid for the call.
    let result = unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) };
    if result == 0 { Ok(stat) } else { Err(io::Error::last_os_error()) }
}

pub(crate) fn length_of(stat: &libc::stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

fn identity_of(fd: &OwnedFd) -> io::Result<FileIdentity> {
    status(fd).map(|stat| FileIdentity { inode: stat.st_ino, device: stat.st_dev })
}

fn c_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path holds a NUL"))
        .about("use", PathBuf::from(path).display())
}

fn owned(fd: u32) -> OwnedFd {
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd).unwrap_or(-1)) }
}
