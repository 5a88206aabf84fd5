//! Power cuts below the seam of storage: at an operation of choice a station is dead, its line as well, and what was
//! not durable by then is damaged before it starts again.
//!
//! ```text
//! before(operation) ─▶ journal ─▶ the operation ─▶ after(operation) ─▶ journal: written, synced, named
//!                                                                     cut ─▶ line cut, every operation fails (EIO)
//! station dropped ─▶ PowerCut::damage ─▶ station started again
//! ```
//!
//! The catalog is a database with durability of its own: its commits are counted and cut, its file is not damaged.

mod line;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odile_station::{Faults, Operation};

use crate::envelope::noise;
use crate::faults::EIO;

pub use line::{Line, LineThread};

/// On which side of the operation the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It is not done.
    Before,
    /// It is the last that is done.
    After,
}

/// What becomes of what was not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Nothing is lost: the process died, the machine lives.
    Nothing,
    /// Octets that were not synced are others.
    Garbage,
    /// Octets that were not synced are gone; of files that were written over, the second half.
    Torn,
    /// As [`Damage::Torn`]; and names that were made, changed or removed since their folder was synced are as before.
    Unnamed,
}

/// Counts the operations of one station, and cuts its power at one of them.
pub struct PowerCut {
    /// From 1; 0: never.
    at: usize,
    side: Side,
    done: AtomicUsize,
    dead: AtomicBool,
    line: Arc<Line>,
    /// Where removed files are kept until their removal is durable.
    stash: PathBuf,
    disk: Mutex<Disk>,
}

/// What is durable, and what is not.
#[derive(Default)]
struct Disk {
    last: Option<(Operation, PathBuf)>,
    files: HashMap<PathBuf, Content>,
    names: Vec<Name>,
    stashed: usize,
}

/// What is known of a file that was opened for writing.
#[derive(Default)]
struct Content {
    inode: u64,
    /// So many octets at its front are durable.
    synced: u64,
    is_dirty: bool,
    /// Lengths when syncs began that are under way.
    syncing: Vec<u64>,
}

/// A change of a folder that is not durable.
enum Name {
    Made(PathBuf),
    Renamed { from: PathBuf, to: PathBuf },
    Removed { path: PathBuf, kept: PathBuf },
}

impl PowerCut {
    /// The power of the station goes at the `at`-th operation (from 1; 0: never), and `line` with it. `stash`: a folder
    /// on the same filesystem as the home.
    pub fn new(at: usize, side: Side, line: Arc<Line>, stash: &Path) -> Self {
        fs::create_dir_all(stash).expect("a folder");
        Self {
            at,
            side,
            done: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
            line,
            stash: stash.into(),
            disk: Mutex::default(),
        }
    }

    /// Operations so far.
    pub fn count(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Whether the power is gone.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// The operation at which it went.
    pub fn last(&self) -> Option<(Operation, PathBuf)> {
        self.disk().last.clone()
    }

    /// Damages what was not durable. The station must be gone.
    pub fn damage(&self, damage: Damage) {
        if damage == Damage::Nothing {
            return;
        }
        let mut disk = self.disk();
        let (files, names) = (std::mem::take(&mut disk.files), std::mem::take(&mut disk.names));
        for (path, content) in &files {
            if content.is_dirty && inode(path) == Some(content.inode) {
                content.damage(path, damage);
            }
        }
        if damage == Damage::Unnamed {
            for name in names.iter().rev() {
                name.undo();
            }
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn die(&self) {
        if !self.dead.swap(true, Ordering::SeqCst) {
            self.line.die();
        }
    }

    fn refusal() -> io::Result<()> {
        Err(io::Error::from_raw_os_error(EIO))
    }
}

impl Faults for PowerCut {
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        if self.is_dead() {
            return Self::refusal();
        }
        let number = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.at {
            disk.last = Some((operation, path.into()));
            if self.side == Side::Before {
                self.die();
                return Self::refusal();
            }
        }
        disk.begin(operation, path, &self.stash);
        Ok(())
    }

    fn after(&self, operation: Operation, path: &Path) {
        let mut disk = self.disk();
        if self.is_dead() {
            return;
        }
        disk.end(operation, path);
        let is_last = disk.last.as_ref().is_some_and(|(last, at)| (*last, at.as_path()) == (operation, path));
        if self.side == Side::After && is_last {
            self.die();
        }
    }
}

impl Disk {
    fn begin(&mut self, operation: Operation, path: &Path, stash: &Path) {
        match operation {
            Operation::Open if !path.exists() => self.names.push(Name::Made(path.into())),
            Operation::Open => {
                let content = self.files.entry(path.into()).or_default();
                content.synced = content.synced.min(length(path));
                if content.inode == 0 {
                    (content.inode, content.synced) = (inode(path).unwrap_or_default(), length(path));
                }
            }
            Operation::Write => self.files.entry(path.into()).or_default().is_dirty = true,
            Operation::Sync => {
                let length = length(path);
                self.files.entry(path.into()).or_default().syncing.push(length);
            }
            Operation::Remove if path.exists() => {
                self.stashed += 1;
                let kept = stash.join(self.stashed.to_string());
                let _ = fs::remove_file(&kept);
                if fs::hard_link(path, &kept).is_ok() {
                    self.names.push(Name::Removed { path: path.into(), kept });
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, operation: Operation, path: &Path) {
        match operation {
            Operation::Open => {
                let content = self.files.entry(path.into()).or_default();
                content.inode = inode(path).unwrap_or_default();
                // What was created over an old one is as long as nothing.
                content.is_dirty |= length(path) < content.synced;
                content.synced = content.synced.min(length(path));
            }
            Operation::Truncate => {
                let content = self.files.entry(path.into()).or_default();
                content.synced = content.synced.min(length(path));
            }
            Operation::Sync => {
                let content = self.files.entry(path.into()).or_default();
                content.syncing.sort_unstable();
                if !content.syncing.is_empty() {
                    content.synced = content.synced.max(content.syncing.remove(0));
                }
                content.is_dirty = content.synced < length(path);
            }
            Operation::Rename => {
                let number = inode(path);
                let from = self.files.iter().find(|(_, content)| Some(content.inode) == number);
                if let Some(from) = from.map(|(from, _)| from.clone()) {
                    if let Some(content) = self.files.remove(&from) {
                        self.files.insert(path.into(), content);
                    }
                    self.names.push(Name::Renamed { from, to: path.into() });
                }
            }
            Operation::SyncDirectory => self.names.retain(|name| name.folder() != Some(path)),
            _ => {}
        }
    }
}

impl Content {
    fn damage(&self, path: &Path, damage: Damage) {
        let is_appended = path.extension().is_some_and(|ending| ending == "part");
        let kept = if is_appended { self.synced } else { 0 };
        let length = length(path);
        let Ok(file) = OpenOptions::new().write(true).open(path) else { return };
        let outcome = if damage == Damage::Garbage {
            let garbage = noise(length, usize::try_from(length.saturating_sub(kept)).unwrap_or_default());
            file.write_all_at(&garbage, kept)
        } else if is_appended {
            file.set_len(kept.min(length))
        } else {
            file.set_len(length / 2)
        };
        outcome.expect("a file of the test can be damaged");
    }
}

impl Name {
    /// The folder that makes it durable.
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Made(path) | Self::Renamed { to: path, .. } | Self::Removed { path, .. } => path.parent(),
        }
    }

    fn undo(&self) {
        // Whatever is not there any more was undone by what came later.
        let _ = match self {
            Self::Made(path) => fs::remove_file(path),
            Self::Renamed { from, to } => fs::rename(to, from),
            Self::Removed { path, kept } => fs::hard_link(kept, path),
        };
    }
}

fn length(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |metadata| metadata.len())
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}
