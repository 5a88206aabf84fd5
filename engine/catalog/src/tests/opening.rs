use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::{Fixture, landing, new_inbound, new_outbound, part};
use crate::database::SCHEMA_VERSION;
use crate::{Catalog, CatalogError, NewReceipt};

fn flip(path: &Path, at: u64, count: usize) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut octets = vec![0; count];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut octets).unwrap();
    for octet in &mut octets {
        *octet ^= 0xff;
    }
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&octets).unwrap();
}

/// A closed catalog with some files in it.
fn filled() -> Fixture {
    let mut fixture = Fixture::new();
    for _ in 0..200 {
        fixture.catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 1).unwrap();
    }
    let empty = Connection::open_in_memory().unwrap();
    // Closing the last connection moves everything from the log into the file.
    drop(std::mem::replace(&mut fixture.catalog.connection, empty));
    fixture
}

fn assert_corrupt(result: Result<Catalog, CatalogError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, CatalogError::Corrupt { .. }), "{error:?}");
    let text = error.to_string();
    for advice in ["catalog.db", "move the file away", "restore it from a backup", "odile doctor"] {
        assert!(text.contains(advice), "{text}");
    }
}

#[test]
fn makes_an_empty_catalog_for_its_owner_only() {
    let fixture = Fixture::new();
    assert!(fixture.catalog.queue().unwrap().is_empty());
    fixture.catalog.check().unwrap();
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let mode = fs::metadata(fixture.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn takes_a_file_away_from_group_and_others() {
    let fixture = Fixture::new();
    fs::set_permissions(fixture.path(), Permissions::from_mode(0o664)).unwrap();
    drop(fixture.reopened());
    assert_eq!(fs::metadata(fixture.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn syncs_fully_and_logs_ahead() {
    let fixture = Fixture::new();
    let connection = &fixture.catalog.connection;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    let keys: i64 = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0)).unwrap();
    let timeout_ms: i64 = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0)).unwrap();
    assert_eq!((mode.as_str(), synchronous, keys, timeout_ms), ("wal", 2, 1, 5000));
}

#[test]
fn takes_up_a_file_whose_creation_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    File::create(&path).unwrap();
    drop(Catalog::open(&path).unwrap());
    // The same, after the journal mode was set and before the tables were made.
    let path = folder.path().join("later.db");
    Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "wal").unwrap();
    Catalog::open(&path).unwrap().check().unwrap();
}

#[test]
fn refuses_a_damaged_header() {
    for (at, count) in [(0, 16), (3, 1), (16, 2), (100, 8)] {
        let fixture = filled();
        flip(&fixture.path(), at, count);
        assert_corrupt(Catalog::open(&fixture.path()));
    }
}

#[test]
fn refuses_a_damaged_page() {
    // The head of a page, its cell pointers, and the end of the file cut off.
    for offset in [0, 12] {
        let fixture = filled();
        let pages = fs::metadata(fixture.path()).unwrap().len() / 4096;
        assert!(pages > 10);
        for page in 1..pages {
            flip(&fixture.path(), page * 4096 + offset, 6);
        }
        assert_corrupt(Catalog::open(&fixture.path()));
    }
    let fixture = filled();
    OpenOptions::new().write(true).open(fixture.path()).unwrap().set_len(3 * 4096).unwrap();
    assert_corrupt(Catalog::open(&fixture.path()));
}

#[test]
fn refuses_a_text_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let text = "[station]\nname = \"alice\"\n".repeat(100);
    fs::write(&path, &text).unwrap();
    assert_corrupt(Catalog::open(&path));
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "left as it was");
}

#[test]
fn refuses_a_database_of_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    assert_corrupt(Catalog::open(&path));
}

#[test]
fn reports_a_stored_value_that_it_never_writes() {
    let mut fixture = Fixture::new();
    let id = fixture.catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 1).unwrap().id;
    fixture.catalog.connection.execute("UPDATE outbound SET date = '2026-1-1'", []).unwrap();
    assert!(matches!(fixture.catalog.outbound(id), Err(CatalogError::Corrupt { .. })));
}

#[test]
fn refuses_a_newer_schema() {
    let fixture = Fixture::new();
    fixture.catalog.connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    let error = Catalog::open(&fixture.path()).unwrap_err();
    assert!(matches!(error, CatalogError::NewerSchema { found: 4, known: 3, .. }), "{error:?}");
    assert!(error.to_string().contains("newer Odile"));
}

#[test]
fn refuses_a_folder_that_it_may_not_write_to() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    // The superuser may write everywhere: then there is nothing to refuse.
    if File::create(folder.path().join("probe")).is_err() {
        let error = Catalog::open(&folder.path().join("catalog.db")).unwrap_err();
        assert!(matches!(error, CatalogError::ReadOnly { .. }), "{error:?}");
        assert!(error.to_string().contains("write permission"));
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn names_a_folder_that_is_missing_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none/catalog.db"), folder.path().to_path_buf()] {
        let error = Catalog::open(&path).unwrap_err();
        assert!(matches!(error, CatalogError::Io { op: "open", .. }), "{error:?}");
    }
}

#[test]
fn names_a_file_system_that_became_read_only() {
    let mut fixture = Fixture::new();
    fixture.catalog.connection.pragma_update(None, "query_only", true).unwrap();
    let error = fixture.catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 1).unwrap_err();
    assert!(matches!(error, CatalogError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn names_a_full_disk_and_changes_nothing() {
    let mut fixture = Fixture::new();
    let connection = &fixture.catalog.connection;
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    let mut stored = 0;
    let error = loop {
        match fixture.catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 1) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000);
    };
    assert!(matches!(error, CatalogError::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("Free space"));
    assert_eq!(fixture.reopened().queue().unwrap().len(), stored);
    fixture.catalog.check().unwrap();
}

#[test]
fn two_connections_see_each_other() {
    let mut fixture = Fixture::new();
    let mut other = fixture.reopened();
    for now_ms in 0..20 {
        fixture.catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), now_ms).unwrap();
        other.enqueue(&new_outbound("bob", part(*b"1204050001")), now_ms).unwrap();
    }
    assert_eq!(fixture.catalog.queue().unwrap().len(), 40);
    assert_eq!(fixture.catalog.queue().unwrap(), other.queue().unwrap());
}

#[test]
fn two_writers_at_once_wait_for_each_other() {
    let fixture = Fixture::new();
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let mut catalog = fixture.reopened();
            std::thread::spawn(move || {
                for _ in 0..25 {
                    catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 1).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let queue = fixture.catalog.queue().unwrap();
    let counters: Vec<_> = queue.iter().map(|outbound| outbound.file.time.to_string()).collect();
    let expected: Vec<_> = (1..=50).map(|counter| format!("120405{counter:04}")).collect();
    assert_eq!(counters, expected);
}

#[test]
fn names_a_lock_that_is_held_too_long() {
    let mut fixture = Fixture::new();
    let other = fixture.reopened();
    other.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    fixture.catalog.connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    let error = fixture.catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 1).unwrap_err();
    assert!(matches!(error, CatalogError::Busy { waited_s: 5, .. }), "{error:?}");
    assert!(fixture.catalog.queue().unwrap().is_empty(), "reading goes on");
}

#[test]
fn can_be_moved_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Catalog>();
}

#[test]
fn what_a_partner_is_told_is_on_disk_at_its_commit() {
    let mut fixture = Fixture::new();
    let is_synced_at_commit = |catalog: &Catalog| {
        let mode: i64 = catalog.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        // 2: FULL, 1: NORMAL, which syncs the log before it is moved into the file.
        assert!(mode == 2 || mode == 1, "{mode}");
        mode == 2
    };
    assert!(is_synced_at_commit(&fixture.catalog));
    let new = new_inbound("alice", part(*b"1204050001"));
    let inbound = fixture.catalog.begin_inbound(&new, 1).unwrap();
    assert!(!is_synced_at_commit(&fixture.catalog), "nothing depends on it yet");
    fixture.catalog.landing(inbound.id, &landing(), 2).unwrap();
    assert!(is_synced_at_commit(&fixture.catalog));
    fixture.catalog.received(inbound.id, &NewReceipt::positive(), 3).unwrap();
    assert!(is_synced_at_commit(&fixture.catalog));
    let receipt = fixture.catalog.receipts_owed("alice").unwrap().remove(0);
    fixture.catalog.receipt_sent(receipt.id, 4).unwrap();
    assert!(!is_synced_at_commit(&fixture.catalog));
    // As soon as somebody depends on what came before, that is synced with it.
    fixture.catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 5).unwrap();
    assert!(is_synced_at_commit(&fixture.catalog));
}
