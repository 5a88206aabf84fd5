//! Two files that take turns, beside what they tell of: `spool/STEM.checkpoint-0` and `-1`.
//!
//! A checkpoint is written over the older one and synced, so that whatever happens meanwhile, the newer is there.
//! Each is bound to one transfer (its subject), numbered, and checked; a torn one, one of another transfer or of
//! another version is never used.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use odile_envelope::HashAlgorithm;
use odile_transfer::Slot;
use odile_uring::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StationError;

/// What a checkpoint belongs to: nothing else ever goes on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject([u8; 32]);

/// The two files of one transfer.
#[derive(Debug)]
pub(crate) struct Slots {
    folder: PathBuf,
    paths: [PathBuf; 2],
    subject: Subject,
    /// Of the newest.
    sequence: u64,
    /// Where the next goes.
    next: usize,
    /// Slots that were made new: their names must be made durable too.
    new_names: u32,
}

/// What was found in the two files.
#[derive(Debug)]
pub(crate) struct Found<T> {
    /// Those that can be used, the newest first.
    pub(crate) usable: Vec<Numbered<T>>,
    /// Why others cannot, in sentences.
    pub(crate) refused: Vec<String>,
}

/// A checkpoint, and where it stands.
#[derive(Debug)]
pub(crate) struct Numbered<T> {
    pub(crate) sequence: u64,
    slot: usize,
    pub(crate) body: T,
}

impl Subject {
    /// Of these parts, in this order.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut all = Vec::new();
        for part in parts {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
            all.extend_from_slice(part);
        }
        let mut subject = [0; 32];
        subject.copy_from_slice(HashAlgorithm::Sha256.hash(&all).as_bytes());
        Self(subject)
    }
}

impl Slots {
    /// The slots of what is called `stem` in this folder. Nothing is looked up yet.
    pub(crate) fn new(folder: &Path, stem: &str, subject: Subject) -> Self {
        Self {
            folder: folder.into(),
            paths: paths(folder, stem),
            subject,
            sequence: 0,
            next: 0,
            new_names: 2,
        }
    }

    /// Reads both. From now on the newest is the one that is not written over. May wait for the disk.
    pub(crate) fn read<T: DeserializeOwned>(&mut self) -> Found<T> {
        let mut found = Found { usable: Vec::new(), refused: Vec::new() };
        self.new_names = 0;
        for (slot, path) in self.paths.iter().enumerate() {
            match read_slot(path, self.subject) {
                Ok(None) => self.new_names += 1,
                Ok(Some(Slot { sequence, body, .. })) => found.usable.push(Numbered { sequence, slot, body }),
                Err(text) => found.refused.push(text),
            }
        }
        found.usable.sort_by_key(|numbered| std::cmp::Reverse(numbered.sequence));
        if let Some(newest) = found.usable.first() {
            self.follow(newest);
        }
        found
    }

    /// The next is written over the other.
    fn follow<T>(&mut self, newest: &Numbered<T>) {
        (self.sequence, self.next) = (newest.sequence, 1 - newest.slot);
    }

    /// What was read may not have been synced: somebody is about to rely on it.
    pub(crate) async fn make_durable<T>(&self, numbered: &Numbered<T>) -> Result<(), Error> {
        if let Some(path) = self.paths.get(numbered.slot) {
            odile_uring::File::open(path).await?.sync_data().await?;
            odile_uring::sync_directory(&self.folder).await?;
        }
        Ok(())
    }

    /// Forgets all but one, durably: what is written from now on must not be taken for what others tell of.
    pub(crate) async fn keep_only<T>(&mut self, kept: Option<&Numbered<T>>) -> Result<(), Error> {
        let mut is_changed = false;
        for (slot, path) in self.paths.iter().enumerate() {
            if kept.is_none_or(|kept| kept.slot != slot) {
                is_changed |= remove_if_there(path).await?;
            }
        }
        if is_changed {
            odile_uring::sync_directory(&self.folder).await?;
        }
        self.new_names = if kept.is_some() { 1 } else { 2 };
        if let Some(kept) = kept {
            self.follow(kept);
        }
        Ok(())
    }

    /// Writes the next, over the older one. It is durable when this returns.
    pub(crate) async fn write<T: Serialize>(&mut self, body: &T) -> Result<(), StationError> {
        let slot = Slot { subject: self.subject.0, sequence: self.sequence + 1, body };
        let octets = slot.to_bytes().map_err(|error| StationError::Checkpoint { text: error.to_string() })?;
        let Some(path) = self.paths.get(self.next) else { return Ok(()) };
        remove_foreign(path).await?;
        let file = odile_uring::File::create(path).await?;
        file.write_small(octets).await?;
        file.sync_data().await?;
        if self.new_names > 0 {
            odile_uring::sync_directory(&self.folder).await?;
            self.new_names -= 1;
        }
        self.sequence += 1;
        self.next = 1 - self.next;
        Ok(())
    }
}

/// Removes both files of a transfer, if they are there.
pub(crate) async fn remove(folder: &Path, stem: &str) -> Result<(), Error> {
    for path in paths(folder, stem) {
        remove_if_there(&path).await?;
    }
    Ok(())
}

/// True for names that slots have.
pub(crate) fn stem_of(name: &str) -> Option<&str> {
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))
}

/// Removes what is no regular file: it is none of ours, and opening a pipe would wait for its other end. A folder is
/// an error.
pub(crate) async fn remove_foreign(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => odile_uring::remove(path).await,
        _ => Ok(()),
    }
}

async fn remove_if_there(path: &Path) -> Result<bool, Error> {
    // Mostly there is none, and a look costs less than a thread of the kernel.
    if let Err(error) = fs::symlink_metadata(path)
        && error.kind() == io::ErrorKind::NotFound
    {
        return Ok(false);
    }
    match odile_uring::remove(path).await {
        Ok(()) => Ok(true),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn paths(folder: &Path, stem: &str) -> [PathBuf; 2] {
    ENDINGS.map(|ending| folder.join(format!("{stem}{ending}")))
}

/// None if there is no file; an error is a sentence.
fn read_slot<T: DeserializeOwned>(path: &Path, subject: Subject) -> Result<Option<Slot<T>>, String> {
    let shown = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(octets) = read_small(path).map_err(|error| format!("{shown} cannot be read: {error}"))? else {
        return Ok(None);
    };
    let slot: Slot<T> = Slot::from_bytes(&octets).map_err(|error| format!("{shown}: {error}"))?;
    if slot.subject == subject.0 { Ok(Some(slot)) } else { Err(format!("{shown} belongs to something else")) }
}

/// A whole file that is known to be small; none if there is none.
pub(crate) fn read_small(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let file = File::open(path)?;
    let mut octets = Vec::new();
    file.take(SMALL_BYTES_MAX + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > SMALL_BYTES_MAX {
        return Err(io::Error::other("it is larger than anything that is written there"));
    }
    Ok(Some(octets))
}

const ENDINGS: [&str; 2] = [".checkpoint-0", ".checkpoint-1"];
/// Far more than a checkpoint of any kind has.
const SMALL_BYTES_MAX: u64 = 16 << 20;
