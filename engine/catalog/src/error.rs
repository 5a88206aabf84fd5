//! What can go wrong with the catalog, and what the operator can do about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::transfer_ref::TransferRef;

/// An error of the catalog. Each text says what happened and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file is damaged, or is no catalog.
    #[error(
        "the catalog {path} is damaged or not a catalog of Odile: {detail}. Stop the station, move the file away \
         together with its -wal and -shm companions, restore it from a backup and run `odile doctor`; without a \
         backup the station starts with an empty catalog, and forgets its queue and the receipts it owes",
        path = path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file was written by a later version of Odile.
    #[error(
        "the catalog {path} has schema version {found}, this program knows versions up to {known}: it was used by \
         a newer Odile. Install that version again, or restore a backup from before the update",
        path = path.display()
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// No space is left.
    #[error(
        "no space is left for the catalog {path}: nothing was changed. Free space on its file system and try again",
        path = path.display()
    )]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// File, folder or file system cannot be written to.
    #[error(
        "the catalog {path} cannot be written to: {detail}. The user that runs the station needs write permission \
         on the file and on its folder, on a file system that is mounted for writing",
        path = path.display()
    )]
    ReadOnly {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Somebody else held the lock for too long.
    #[error(
        "the catalog {path} is locked by another program for longer than {waited_s} seconds. Find it with \
         `fuser {path}`, end it, and try again",
        path = path.display()
    )]
    Busy {
        /// The database file.
        path: PathBuf,
        /// Seconds that were waited.
        waited_s: u64,
    },
    /// The system failed to read or write.
    #[error("cannot {op} the catalog {path}: {source}. Check that the folder exists and that the disk is healthy", path = path.display())]
    Io {
        /// What was tried: a verb.
        op: &'static str,
        /// The database file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused for a reason that has no name here.
    #[error("the catalog {path} failed to {op}: {source}. This is a defect of Odile: please report it", path = path.display())]
    Database {
        /// What was tried: a verb.
        op: &'static str,
        /// The database file.
        path: PathBuf,
        /// What the database said.
        source: rusqlite::Error,
    },
    /// There is no such transfer.
    #[error("there is no transfer {transfer}; `odile history` lists those that there are")]
    NoSuchTransfer {
        /// The transfer asked for.
        transfer: TransferRef,
    },
    /// There is no such receipt owed.
    #[error("there is no receipt {id} owed: it was never there, was sent or was withdrawn")]
    NoSuchReceipt {
        /// The receipt asked for.
        id: i64,
    },
    /// Misuse: the state machine has no such transition.
    #[error("transfer {transfer} is {from} and cannot become {to}")]
    IllegalTransition {
        /// The transfer.
        transfer: TransferRef,
        /// Its state.
        from: &'static str,
        /// The state asked for.
        to: &'static str,
    },
    /// Misuse: a file is begun that was already received, or is just being moved to its place.
    #[error("the file is already known as transfer {transfer}, which is {state}")]
    AlreadyKnown {
        /// The earlier transfer.
        transfer: TransferRef,
        /// Its state.
        state: &'static str,
    },
    /// Misuse: a file is taken up again of which nothing is here.
    #[error("there is no file {file} of {partner} that could go on: none is being received")]
    NothingToResume {
        /// The partner.
        partner: String,
        /// The file, as announced.
        file: String,
    },
    /// Misuse: a number that the database cannot hold.
    #[error("{what} {value} is beyond what the catalog can store")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// No date and time are left to tell this file from others of its name.
    #[error(
        "no time stamp is left for a file named {dataset_name} after {date} {time}: send it under another name, or \
         with an earlier date"
    )]
    NoStampLeft {
        /// The name of the file.
        dataset_name: String,
        /// Where the search began.
        date: String,
        /// Where the search began.
        time: String,
    },
}

/// What a closure that works on the database can end with: the database's error, which still lacks the path, or
/// one of ours.
#[derive(Debug)]
pub(crate) enum Failure {
    Sql(rusqlite::Error),
    Catalog(CatalogError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl Failure {
    pub(crate) fn at(self, path: &Path, op: &'static str) -> CatalogError {
        match self {
            Self::Sql(error) => CatalogError::from_sql(path, op, error),
            Self::Catalog(error) => error,
        }
    }
}

impl CatalogError {
    pub(crate) fn from_sql(path: &Path, op: &'static str, error: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Corrupt { path, detail: error.to_string() }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path, detail: error.to_string() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy { path, waited_s: crate::database::BUSY_TIMEOUT.as_secs() }
            }
            Some(
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Io { op, path, source: io::Error::other(error) },
            None if is_unreadable_value(&error) => Self::Corrupt { path, detail: error.to_string() },
            Some(_) | None => Self::Database { op, path, source: error },
        }
    }

    pub(crate) fn from_io(path: &Path, op: &'static str, error: io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path, detail: error.to_string() }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { op, path, source: error },
        }
    }
}

/// True if a stored value has not the shape that this crate writes.
fn is_unreadable_value(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
    )
}
