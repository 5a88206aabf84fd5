//! Disk faults by script.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use odile_station::{Faults, Operation};

/// Counts the operations on storage, and lets one of them fail.
#[derive(Default)]
pub struct FailOnce {
    done: Mutex<Vec<Operation>>,
    failed: Mutex<Option<(Operation, PathBuf)>>,
    /// Which one fails, from 1; 0: none.
    victim: AtomicUsize,
    error: i32,
}

impl FailOnce {
    /// The `victim`-th operation fails with this error number; 0: none does.
    pub fn new(victim: usize, error: i32) -> Self {
        Self { victim: AtomicUsize::new(victim), error, ..Self::default() }
    }

    /// What failed, if anything did.
    pub fn failed(&self) -> Option<(Operation, PathBuf)> {
        self.failed.lock().expect("no test thread panics with the lock").clone()
    }

    /// What was done so far.
    pub fn done(&self) -> Vec<Operation> {
        self.done.lock().expect("no test thread panics with the lock").clone()
    }
}

impl Faults for FailOnce {
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        // The catalog is no disk operation: it is cut in a sweep of its own.
        if operation == Operation::Commit {
            return Ok(());
        }
        let mut done = self.done.lock().expect("no test thread panics with the lock");
        done.push(operation);
        if done.len() == self.victim.load(Ordering::Relaxed) {
            *self.failed.lock().expect("no test thread panics with the lock") =
                Some((operation, path.into()));
            return Err(io::Error::from_raw_os_error(self.error));
        }
        Ok(())
    }
}

/// Every operation of one kind fails.
pub struct FailAlways {
    /// The kind.
    pub operation: Operation,
    /// The error number.
    pub error: i32,
}

impl Faults for FailAlways {
    fn before(&self, operation: Operation, _path: &Path) -> io::Result<()> {
        if operation == self.operation { Err(io::Error::from_raw_os_error(self.error)) } else { Ok(()) }
    }
}

/// No space left on device.
pub const ENOSPC: i32 = 28;
/// Input/output error.
pub const EIO: i32 = 5;
