//! The database file: opening it, refusing what is not ours, and bringing its schema up to date.
//!
//! `synchronous=FULL` in WAL mode: a committed change is on disk. Some changes need not be there before the next one is,
//! see [`Catalog::write_soon`]. The file is made with mode 0600, because queue and
//! history tell who sends what to whom; SQLite gives its `-wal` and `-shm` companions the same mode.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{CatalogError, Failure};

/// The catalog: one database file, one connection.
///
/// It may be moved to another thread, but is used by one at a time. Other programs may open the same file, to list
/// the history for instance; they wait for each other for up to five seconds.
#[derive(Debug)]
pub struct Catalog {
    pub(crate) connection: Connection,
    path: PathBuf,
    durable: Durable,
}

/// When a committed change is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durable {
    AtCommit,
    /// With the next change that is durable at its commit, or when the system writes it by itself.
    Soon,
}

impl Catalog {
    /// Opens the catalog, and makes an empty one if there is none; its folder must be there.
    ///
    /// Looks through the whole file for damage (`quick_check`): some seconds for a history of millions of files.
    ///
    /// # Errors
    /// [`CatalogError::Corrupt`] for a damaged file or one of another program, [`CatalogError::NewerSchema`] for
    /// one of a newer Odile, and those of the system.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        prepare_file(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| CatalogError::from_sql(path, "open", error))?;
        let mut catalog = Self { connection, path: path.to_path_buf(), durable: Durable::AtCommit };
        catalog.configure().map_err(|failure| failure.at(path, "open"))?;
        catalog.refuse_foreign().map_err(|failure| failure.at(path, "open"))?;
        catalog.check_pages("quick_check").map_err(|failure| failure.at(path, "check"))?;
        catalog.switch_to_wal().map_err(|failure| failure.at(path, "open"))?;
        catalog.migrate()?;
        Ok(catalog)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks everything that can be checked, indices and references included: for `odile doctor`.
    ///
    /// # Errors
    /// [`CatalogError::Corrupt`] with what was found first.
    pub fn check(&self) -> Result<(), CatalogError> {
        self.check_pages("integrity_check").map_err(|failure| failure.at(&self.path, "check"))?;
        self.read("check", |connection| refuse_missing_references(&self.path, connection))
    }

    /// Runs `work` in one transaction, which is committed and on disk when this returns `Ok`, and never happened
    /// when it returns an error.
    pub(crate) fn write<T>(
        &mut self,
        op: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, CatalogError> {
        self.write_durable(Durable::AtCommit, op, work)
    }

    /// As [`Catalog::write`], but what is committed may be lost if the machine fails before the next change that is
    /// written there is on disk: changes are durable in their order. A process that ends loses nothing.
    pub(crate) fn write_soon<T>(
        &mut self,
        op: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, CatalogError> {
        self.write_durable(Durable::Soon, op, work)
    }

    fn write_durable<T>(
        &mut self,
        durable: Durable,
        op: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, CatalogError> {
        if self.durable != durable {
            let synchronous = match durable {
                Durable::AtCommit => "FULL",
                Durable::Soon => "NORMAL",
            };
            self.connection
                .pragma_update(None, "synchronous", synchronous)
                .map_err(|error| CatalogError::from_sql(&self.path, op, error))?;
            self.durable = durable;
        }
        let path = &self.path;
        // Immediate: take the write lock first, so that what was read inside still holds at the commit.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| CatalogError::from_sql(path, op, error))?;
        let result = work(&transaction).map_err(|failure| failure.at(path, op))?;
        transaction.commit().map_err(|error| CatalogError::from_sql(path, op, error))?;
        Ok(result)
    }

    /// Runs `work`, which only reads, on one consistent state of the database.
    pub(crate) fn read<T>(
        &self,
        op: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, CatalogError> {
        let transaction = self
            .connection
            .unchecked_transaction()
            .map_err(|error| CatalogError::from_sql(&self.path, op, error))?;
        work(&transaction).map_err(|failure| failure.at(&self.path, op))
    }

    fn configure(&self) -> Result<(), Failure> {
        let connection = &self.connection;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Damage is noticed when a page is read, and nothing that a foreign file may define is run.
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(())
    }

    fn refuse_foreign(&self) -> Result<(), Failure> {
        let found = read_version(&self.connection)?;
        let application: i64 =
            self.connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let objects: i64 =
            self.connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let is_fresh = application == 0 && found == 0 && objects == 0;
        if !is_fresh && application != APPLICATION_ID {
            return Err(self.corrupt("it is a database of another program".to_owned()).into());
        }
        refuse_newer(&self.path, found)
    }

    /// `pragma`: `quick_check` or `integrity_check`.
    fn check_pages(&self, pragma: &str) -> Result<(), Failure> {
        let finding: String =
            self.connection.query_row(&format!("PRAGMA {pragma}(1)"), [], |row| row.get(0))?;
        if finding == "ok" { Ok(()) } else { Err(self.corrupt(finding.replace('\n', " ")).into()) }
    }

    fn switch_to_wal(&self) -> Result<(), Failure> {
        let mode: String = self.connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode.eq_ignore_ascii_case("wal") {
            return Ok(());
        }
        Err(CatalogError::ReadOnly {
            path: self.path.clone(),
            detail: format!("its journal stays in mode {mode}, where write-ahead logging is needed"),
        }
        .into())
    }

    /// Takes the steps that the file still lacks, all or none.
    fn migrate(&mut self) -> Result<(), CatalogError> {
        let path = self.path.clone();
        let failed = |error| CatalogError::from_sql(&path, "migrate", error);
        if read_version(&self.connection).map_err(failed)? == SCHEMA_VERSION {
            return Ok(());
        }
        // Tables that others refer to are made anew; SQLite ignores this pragma within a transaction.
        self.connection.pragma_update(None, "foreign_keys", false).map_err(failed)?;
        self.write("migrate", |tx| {
            // Asked again, now under the lock: another process may have been faster.
            let found = read_version(tx)?;
            refuse_newer(&path, found)?;
            // Before the steps too: they could hide what was missing.
            refuse_missing_references(&path, tx)?;
            for (version, step) in STEPS {
                if version > found {
                    tx.execute_batch(step)?;
                    tx.pragma_update(None, "user_version", version)?;
                }
            }
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            refuse_missing_references(&path, tx)
        })?;
        self.connection.pragma_update(None, "foreign_keys", true).map_err(failed)
    }

    fn corrupt(&self, detail: String) -> CatalogError {
        CatalogError::Corrupt { path: self.path.clone(), detail }
    }
}

fn read_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn refuse_newer(path: &Path, found: i64) -> Result<(), Failure> {
    if found <= SCHEMA_VERSION {
        return Ok(());
    }
    Err(CatalogError::NewerSchema { path: path.to_path_buf(), found, known: SCHEMA_VERSION }.into())
}

fn refuse_missing_references(path: &Path, connection: &Connection) -> Result<(), Failure> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let table: String = row.get(0)?;
    let detail = format!("a row of table {table} refers to one that is missing");
    Err(CatalogError::Corrupt { path: path.to_path_buf(), detail }.into())
}

/// Makes the file if there is none, and takes it away from group and others.
fn prepare_file(path: &Path) -> Result<(), CatalogError> {
    let is_new = !path.exists();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|error| CatalogError::from_io(path, "open", error))?;
    let metadata = file.metadata().map_err(|error| CatalogError::from_io(path, "look at", error))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
            .map_err(|error| CatalogError::from_io(path, "protect", error))?;
    }
    if is_new {
        // The name must be durable too, not only what is written under it.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| CatalogError::from_io(path, "sync the folder of", error))?;
    }
    Ok(())
}

/// How long to wait for another program's lock. Changes take milliseconds; seconds mean that something is wrong.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements that are kept: more than this crate has.
const STATEMENTS_CACHED_MAX: usize = 64;

/// Read and write for the owner only.
const FILE_MODE: u32 = 0o600;

/// `ODIL`: tells a catalog from databases of other programs.
const APPLICATION_ID: i64 = 0x4F44_494C;

/// Each version with what makes it of the one before. A change of the schema adds a step; what was released is never
/// touched again, because files made by it are out there.
const STEPS: [(i64, &str); 3] =
    [(1, include_str!("schema_1.sql")), (2, include_str!("schema_2.sql")), (3, include_str!("schema_3.sql"))];

/// The version that [`Catalog::open`] brings a file to.
pub(crate) const SCHEMA_VERSION: i64 = STEPS[STEPS.len() - 1].0;
