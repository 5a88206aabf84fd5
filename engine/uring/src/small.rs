//! Small files, held whole: reading them, and making sure that nobody reads them again.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use io_uring::{opcode, types};

use crate::error::{About, Error};
use crate::faults::{self, Operation};
use crate::file::{self, File};
use crate::op;

/// Reads a whole file of at most `bytes_max` bytes; `None` if there is none.
///
/// # Errors
///
/// Besides what the system says: if the file is longer, or no regular file; a symbolic link is none.
pub async fn read_small(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
    faults::check(Operation::Read, path).about("read", path.display())?;
    let fd = match file::open_existing(path, libc::O_RDONLY).await {
        Ok(fd) => fd,
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let content = read_whole(fd, bytes_max).await.about("read", path.display())?;
    faults::done(Operation::Read, path);
    Ok(Some(content))
}

/// Makes a file unreadable before it goes: overwrites its content with zeros, syncs, and removes it. A file that is
/// not there is no error.
///
/// It reaches what the filesystem overwrites in place; copies that a filesystem, a snapshot or a disk keeps for
/// itself are beyond it. The folder's entries are not synced.
pub async fn destroy(path: &Path) -> Result<(), Error> {
    let overwritten = overwrite(path).await;
    let removed = match overwritten {
        Ok(()) => file::remove(path).await,
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

async fn overwrite(path: &Path) -> Result<(), Error> {
    let file = File::open(path).await?;
    let length = file.length()?;
    let chunk = length.min(ZEROS_BYTES);
    let mut zeros = vec![0; usize::try_from(chunk).unwrap_or_default()];
    let mut position = 0;
    while position < length {
        let count = chunk.min(length - position);
        let (written, back) =
            file.write_at(zeros, usize::try_from(count).unwrap_or_default(), position).await;
        written?;
        zeros = back;
        position += count;
    }
    file.sync_data().await
}

async fn read_whole(mut fd: OwnedFd, bytes_max: usize) -> io::Result<Vec<u8>> {
    let too_long = || {
        let text = format!("it has more than the {bytes_max} bytes that such a file may have");
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let length = usize::try_from(file::length_of(&file::status(&fd)?)).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(too_long());
    }
    // One more than the file has, so that its end is found; it may be growing.
    let mut content = vec![0; length.saturating_add(1)];
    let mut filled = 0;
    loop {
        let rest = content.get_mut(filled..).unwrap_or_default();
        let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let entry = opcode::Read::new(types::Fd(fd.as_raw_fd()), rest.as_mut_ptr(), count)
            .offset(filled as u64)
            .build();
        // SAFETY: the vector owns the memory, on the heap, and nobody else uses it; the descriptor stays open.
        let (result, held) = unsafe { op::submit((fd, content), entry) }.await;
        (fd, content) = held;
        let count = usize::try_from(result?).unwrap_or_default();
        if count == 0 {
            content.truncate(filled);
            return Ok(content);
        }
        filled += count;
        if filled > bytes_max {
            return Err(too_long());
        }
        if filled == content.len() {
            content.resize(filled.saturating_mul(2).min(bytes_max.saturating_add(1)), 0);
        }
    }
}

const ZEROS_BYTES: u64 = 64 * 1024;
