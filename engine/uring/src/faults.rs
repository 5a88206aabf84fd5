//! The seam for simulated disk faults: every operation on storage asks here first, and tells here when it is done.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// An operation on storage that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Creating or opening a file.
    Open,
    /// Reserving room on the disk.
    Allocate,
    /// Writing.
    Write,
    /// Making data durable.
    Sync,
    /// Renaming.
    Rename,
    /// Making a folder's entries durable.
    SyncDirectory,
    /// Removing a file.
    Remove,
    /// Cutting a file to a length.
    Truncate,
    /// Reading a small file as a whole.
    Read,
    /// Committing a transaction of a database: asked about by whoever has the database, not by this crate.
    Commit,
}

/// Simulated faults, for tests. The real thing has none.
pub trait Faults: Send + Sync {
    /// Called before each operation; an error is what the operation then gives, without being done.
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()>;

    /// Called after each operation that was carried out, never after one that failed: with it, a test knows what is
    /// durable. For a rename, `path` is the new name, as it is for [`Faults::before`].
    fn after(&self, _operation: Operation, _path: &Path) {}
}

thread_local! {
    static FAULTS: RefCell<Option<Arc<dyn Faults>>> = const { RefCell::new(None) };
}

pub(crate) fn install(faults: Option<Arc<dyn Faults>>) {
    FAULTS.with_borrow_mut(|installed| *installed = faults);
}

pub(crate) fn check(operation: Operation, path: &Path) -> io::Result<()> {
    FAULTS.with_borrow(|faults| faults.as_ref().map_or(Ok(()), |faults| faults.before(operation, path)))
}

/// Tells that an operation was carried out.
pub(crate) fn done(operation: Operation, path: &Path) {
    FAULTS.with_borrow(|faults| {
        if let Some(faults) = faults {
            faults.after(operation, path);
        }
    });
}
