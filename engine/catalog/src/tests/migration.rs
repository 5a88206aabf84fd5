//! From versions 1 and 2 on: files that earlier releases made are brought up to date without losing anything.

use std::fs;
use std::path::{Path, PathBuf};

use odile_wire::UserData;
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::{Fixture, arrived, lower_case_code, new_inbound, new_outbound, part};
use crate::database::SCHEMA_VERSION;
use crate::{
    AfterDelivery, ArrivedReceipt, Catalog, CatalogError, InboundState, NewReceipt, OutboundChange,
    OutboundState, ReceiptKind, ReceiptState, Services, Transfer, TransferRef, Verdict,
};

const TABLES: [&str; 5] = ["outbound", "inbound", "receipt_owed", "receipt_arrived", "event"];

/// States of version 1, in the order of their rows.
const OUTBOUND_STATES: [&str; 9] =
    ["queued", "sending", "sent", "delivered", "rejected", "refused", "failed", "cancelled", "held"];

/// A closed catalog as an earlier version left it, with rows in every table.
struct Old {
    folder: TempDir,
    version: i64,
}

impl Old {
    fn both() -> [Self; 2] {
        [Self::version_1(), Self::version_2()]
    }

    /// Version 1 brought up to date, and with what that has besides.
    fn version_2() -> Self {
        let old = Self { version: 2, ..Self::version_1() };
        let connection = old.connection();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.execute_batch("BEGIN").unwrap();
        connection.execute_batch(include_str!("../schema_2.sql")).unwrap();
        connection.execute_batch(ROWS_OF_VERSION_2).unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        old
    }

    fn version_1() -> Self {
        let old = Self { folder: tempfile::tempdir().unwrap(), version: 1 };
        let connection = old.connection();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        connection.execute_batch(include_str!("../schema_1.sql")).unwrap();
        connection.pragma_update(None, "application_id", 0x4F44_494C).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection.execute_batch("BEGIN").unwrap();
        for (state, id) in OUTBOUND_STATES.iter().zip(1..) {
            insert_outbound(&connection, id, state);
        }
        connection.execute_batch(OTHER_ROWS).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        old
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("catalog.db")
    }

    fn connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn migrated(self) -> Fixture {
        let catalog = Catalog::open(&self.path()).unwrap();
        Fixture { folder: self.folder, catalog }
    }

    /// Everything that the version had is still there, and opens with it.
    fn assert_untouched(&self, schema_before: &[String], rows_before: &[Rows]) {
        let connection = self.connection();
        assert_eq!(version(&connection), self.version);
        assert_eq!(schema(&connection), schema_before);
        assert_eq!(&TABLES.map(|table| rows(&connection, table, &columns(&connection, table))), rows_before);
    }
}

type Rows = Vec<Vec<Value>>;

fn insert_outbound(connection: &Connection, id: i64, state: &str) {
    let first_offered_ms = (state != "queued").then_some(1500 + id);
    connection
        .execute(
            "INSERT INTO outbound VALUES (?1, 'bob', CAST('CAD.PART                  ' AS BLOB), '20261123',
                 printf('120405%04d', ?1), CAST('O0013000001BOBMOTORS     ' AS BLOB),
                 CAST('O0013000002ALICE CAST    ' AS BLOB), x'00ff555345522020', 85, 80, x'2f64ff', 1234,
                 -5, -2, ?2, 'delete-source', x'ff00', 'part.stp', ?3, 'why', 77, 3, 1000, ?4, 900 + ?1, 2000)",
            (id, i64::MIN, state, first_offered_ms),
        )
        .unwrap();
}

const OTHER_ROWS: &str = "
    INSERT INTO inbound VALUES
        (3, 'alice', CAST('CAD.PART                  ' AS BLOB), '20261123', '1204050001',
         CAST('O0013000001BOBMOTORS     ' AS BLOB), CAST('o0013000002alice cast    ' AS BLOB),
         CAST('O0013000001BOBMOTORS     ' AS BLOB), CAST('O0013000002ALICE CAST    ' AS BLOB),
         x'00ff555345522020', 86, 80, 9, x'ff', '1.part', 'received', '', 'in/part', 5, 1, 'sha256:00', 1, 2),
        (7, 'alice', CAST('CAD.PART                  ' AS BLOB), '20261123', '1204050002',
         CAST('O0013000001BOBMOTORS     ' AS BLOB), CAST('O0013000002ALICE CAST    ' AS BLOB),
         CAST('O0013000001BOBMOTORS     ' AS BLOB), CAST('O0013000002ALICE CAST    ' AS BLOB),
         CAST('        ' AS BLOB), 85, 0, 9, x'', '2.part', 'receiving', '', NULL, 0, 0, NULL, 1, 2);
    INSERT INTO receipt_owed VALUES
        (2, 3, 'alice', 'NERP', CAST('O0013000001BOBMOTORS     ' AS BLOB), 33, x'ff', x'', x'', 'withdrawn', 5, NULL),
        (4, 3, 'alice', 'EERP', NULL, NULL, NULL, x'01', x'02', 'sent', 6, 7),
        (5, 7, 'alice', 'NERP', CAST('O0013000001BOBMOTORS     ' AS BLOB), 22, x'', x'', x'', 'owed', 8, NULL);
    INSERT INTO receipt_arrived VALUES
        (6, 5, 'NERP', CAST('O0013000001BOBMOTORS     ' AS BLOB), 31, x'ff', x'', x'', 2900),
        (8, 4, 'EERP', NULL, NULL, NULL, x'00ff', x'0102', 3000);
    INSERT INTO event VALUES (10, 4, NULL, 1, 'queued'), (11, NULL, 3, 2, 'offered'), (12, 4, NULL, 3, 'sent');
    DELETE FROM event WHERE id = 12;";

const ROWS_OF_VERSION_2: &str = "
    UPDATE outbound SET security = 3, suite = 4, compression = 1, signed_receipt = 1, transmitted_octets = 99,
        transmitted_hash = x'ab', state = CASE id WHEN 3 THEN 'unproven' ELSE state END WHERE id < 5;
    UPDATE inbound SET security = 2, suite = 6, transmitted_octets = 5, transmitted_hash = x'', signer = 'CN=alice'
        WHERE id = 3;
    INSERT INTO receipt_arrived SELECT 9, 3, dataset_name, date, time, destination, originator, user, 'EERP', NULL,
        NULL, NULL, x'ab', x'cd', 'wrong', 'other hash', x'30', 4000 FROM outbound WHERE id = 3;";

fn version(connection: &Connection) -> i64 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// The whole schema, in runs of single spaces.
fn schema(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name")
        .unwrap();
    let objects = statement.query_map([], |row| {
        let words = [row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?].join(" ");
        Ok(words.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    objects.unwrap().collect::<Result<_, _>>().unwrap()
}

fn columns(connection: &Connection, table: &str) -> String {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
    let names = statement.query_map([table], |row| row.get(0)).unwrap();
    names.collect::<Result<Vec<String>, _>>().unwrap().join(", ")
}

fn rows(connection: &Connection, table: &str, columns: &str) -> Rows {
    let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table} ORDER BY id")).unwrap();
    let count = statement.column_count();
    let rows = statement.query_map([], |row| (0..count).map(|index| row.get(index)).collect()).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_row_of_every_version_is_kept() {
    Old::both().into_iter().for_each(assert_every_row_is_kept);
}

fn assert_every_row_is_kept(old: Old) {
    let connection = old.connection();
    let before = TABLES.map(|table| {
        let columns = columns(&connection, table);
        let rows = rows(&connection, table, &columns);
        assert!(!rows.is_empty(), "{table}");
        (table, columns, rows)
    });
    drop(connection);
    let fixture = old.migrated();
    let connection = &fixture.catalog.connection;
    assert_eq!(version(connection), SCHEMA_VERSION);
    for (table, columns, rows_before) in before {
        assert_eq!(rows(connection, table, &columns), rows_before, "{table}");
    }
    fixture.catalog.check().unwrap();
    let enforced: bool = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0)).unwrap();
    assert!(enforced, "references are enforced again");
    assert!(connection.execute("DELETE FROM outbound", []).is_err());
    assert!(connection.execute("DELETE FROM inbound", []).is_err());
}

#[test]
fn a_migrated_catalog_has_the_schema_of_a_fresh_one() {
    let fresh = Fixture::new();
    for old in Old::both() {
        let migrated = old.migrated();
        assert_eq!(schema(&migrated.catalog.connection), schema(&fresh.catalog.connection));
    }
    assert_eq!(version(&fresh.catalog.connection), SCHEMA_VERSION);
    let leftovers = schema(&fresh.catalog.connection).into_iter().filter(|object| object.contains("_2"));
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn what_version_1_knew_nothing_of_is_plain_and_unasked() {
    let fixture = Old::version_1().migrated();
    let catalog = &fixture.catalog;
    for (state, id) in OUTBOUND_STATES.iter().zip(1..) {
        let outbound = catalog.outbound(id).unwrap().unwrap();
        assert_eq!((outbound.services, outbound.transmitted), (Services::PLAIN, None));
        assert_eq!(outbound.state.as_str(), *state);
        assert_eq!(outbound.user, UserData::from_octets(*b"\x00\xffUSER  "));
        assert_eq!(outbound.source_identity.inode, u64::MAX - 1);
        assert_eq!(outbound.source_identity.device, 1 << 63);
        assert_eq!(outbound.after_delivery, AfterDelivery::DeleteSource);
    }
    let inbound = catalog.inbound(3).unwrap().unwrap();
    assert_eq!((inbound.services, inbound.transmitted, inbound.signer), (Services::PLAIN, None, None));
    assert_eq!((inbound.state, inbound.digest.as_deref()), (InboundState::Received, Some("sha256:00")));

    let delivered = catalog.receipts_arrived(4).unwrap().remove(0);
    assert_eq!((&delivered.kind, &delivered.verdict), (&ReceiptKind::Positive, &Some(Verdict::NotAsked)));
    assert_eq!((delivered.file, delivered.at_ms), (part(*b"1204050004"), 3000));
    assert_eq!(delivered.user, UserData::from_octets(*b"\x00\xffUSER  "));
    assert_eq!((delivered.hash, delivered.signature, delivered.signer), (vec![0, 255], vec![1, 2], None));
    let rejected = catalog.receipts_arrived(5).unwrap().remove(0);
    assert_eq!((rejected.kind.mnemonic(), rejected.user), ("NERP", UserData::BLANK));

    let given = catalog.receipts_given(3).unwrap();
    let states: Vec<_> = given.iter().map(|receipt| receipt.state).collect();
    assert_eq!(states, [ReceiptState::Withdrawn, ReceiptState::Sent]);
    assert_eq!(given[1].file.originator.octets(), lower_case_code("O0013000002ALICE CAST").octets());
    assert_eq!((given[1].user, given[1].sent_ms), (inbound.user, Some(7)));
    assert_eq!(catalog.receipts_owed("alice").unwrap()[0].id, 5);
    let shown = catalog.show(TransferRef::Outbound(4)).unwrap().unwrap();
    assert!(matches!(shown.file, Transfer::Outbound(_)));
    assert_eq!((shown.receipts.len(), shown.events.len()), (1, 1));
}

#[test]
fn what_version_2_knew_nothing_of_is_at_its_beginning() {
    let fixture = Old::version_2().migrated();
    for id in 1..=9 {
        let outbound = fixture.catalog.outbound(id).unwrap().unwrap();
        assert_eq!((outbound.fruitless, outbound.total_bytes), (0, None));
        assert_eq!((outbound.position_bytes, outbound.attempts), (77, 3));
    }
    for id in [3, 7] {
        assert_eq!(fixture.catalog.inbound(id).unwrap().unwrap().position_bytes, 0);
    }
    assert_eq!(fixture.state(3), OutboundState::Unproven);
    let judged = fixture.catalog.receipts_arrived(3).unwrap().remove(0);
    assert_eq!(judged.verdict, Some(Verdict::Wrong("other hash".to_owned())));
}

#[test]
fn numbers_go_on_after_the_migration() {
    let mut fixture = Old::version_1().migrated();
    let catalog = &mut fixture.catalog;
    let outbound = catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 5000).unwrap();
    assert_eq!((outbound.id, outbound.file.time.to_string().as_str()), (10, "1204050010"));
    let inbound = catalog.begin_inbound(&new_inbound("alice", part(*b"1204050003")), 5000).unwrap();
    assert_eq!(inbound.id, 8);
    catalog.received(7, &super::nerp(), 6000).unwrap();
    assert_eq!(catalog.receipts_given(7).unwrap().len(), 2);
    assert_eq!(catalog.receipts_owed("alice").unwrap()[0].id, 6);
    let verified =
        ArrivedReceipt { verdict: Verdict::Unsigned, ..arrived(NewReceipt::positive(), *b"1204050003") };
    catalog.receipt_arrived(3, &verified, 7000).unwrap();
    assert_eq!(catalog.outbound(3).unwrap().unwrap().state, OutboundState::Unproven);
    catalog.set_outbound(10, &OutboundChange::to(OutboundState::Sending), 8000).unwrap();
    catalog.check().unwrap();
}

#[test]
fn a_migration_happens_once() {
    let fixture = Old::version_1().migrated();
    let mut other = fixture.reopened();
    other.enqueue(&new_outbound("bob", part(*b"1204050001")), 5000).unwrap();
    assert_eq!(fixture.reopened().outbound(10).unwrap().unwrap().partner, "bob");
}

#[test]
fn a_migration_that_fails_leaves_version_1() {
    let old = Old::version_1();
    let connection = old.connection();
    // In the way of the last statement of the first step.
    connection.execute_batch("CREATE TABLE receipt_arrived_by_outbound (x)").unwrap();
    let schema_before = schema(&connection);
    let rows_before = TABLES.map(|table| rows(&connection, table, &columns(&connection, table)));
    drop(connection);
    let error = Catalog::open(&old.path()).unwrap_err();
    assert!(matches!(error, CatalogError::Database { op: "migrate", .. }), "{error:?}");
    old.assert_untouched(&schema_before, &rows_before);

    old.connection().execute_batch("DROP TABLE receipt_arrived_by_outbound").unwrap();
    old.migrated().catalog.check().unwrap();
}

#[test]
fn a_migration_that_fails_leaves_version_2() {
    let old = Old::version_2();
    let connection = old.connection();
    // In the way of the very last statement.
    connection.execute_batch("ALTER TABLE inbound ADD COLUMN position_bytes INTEGER").unwrap();
    let schema_before = schema(&connection);
    let rows_before = TABLES.map(|table| rows(&connection, table, &columns(&connection, table)));
    drop(connection);
    let error = Catalog::open(&old.path()).unwrap_err();
    assert!(matches!(error, CatalogError::Database { op: "migrate", .. }), "{error:?}");
    old.assert_untouched(&schema_before, &rows_before);

    old.connection().execute_batch("ALTER TABLE inbound DROP COLUMN position_bytes").unwrap();
    old.migrated().catalog.check().unwrap();
}

#[test]
fn a_migration_that_a_power_cut_ends_leaves_version_1() {
    let old = Old::version_1();
    let connection = old.connection();
    connection.execute_batch("BEGIN").unwrap();
    for id in 100..1100 {
        insert_outbound(&connection, id, "queued");
    }
    connection.execute_batch("COMMIT").unwrap();
    let schema_before = schema(&connection);
    let rows_before = TABLES.map(|table| rows(&connection, table, &columns(&connection, table)));
    // A small cache: most of the migration is in the log already when the power goes. How much, other connections of
    // the process have a say in.
    connection.pragma_update(None, "cache_size", 5).unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    let log = old.folder.path().join("catalog.db-wal");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection.execute_batch(include_str!("../schema_2.sql")).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    assert!(fs::metadata(&log).unwrap().len() > 50 * 4096);
    let after = Old { folder: tempfile::tempdir().unwrap(), version: 1 };
    for name in ["catalog.db", "catalog.db-wal"] {
        fs::copy(old.folder.path().join(name), after.folder.path().join(name)).unwrap();
    }
    drop(connection);

    after.assert_untouched(&schema_before, &rows_before);
    let fixture = after.migrated();
    fixture.catalog.check().unwrap();
    assert_eq!(fixture.catalog.queue().unwrap().len(), 1004);
}

#[test]
fn a_reference_that_goes_nowhere_is_damage_and_nothing_is_migrated() {
    for (wrong, table) in [
        ("INSERT INTO event VALUES (99, 77, NULL, 1, 'of nothing')", "event"),
        ("UPDATE receipt_arrived SET outbound_id = 77 WHERE id = 8", "receipt_arrived"),
        ("UPDATE receipt_owed SET inbound_id = 77 WHERE id = 2", "receipt_owed"),
    ] {
        let old = Old::version_1();
        let connection = old.connection();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.execute_batch(wrong).unwrap();
        let schema_before = schema(&connection);
        let rows_before = TABLES.map(|table| rows(&connection, table, &columns(&connection, table)));
        drop(connection);
        let error = Catalog::open(&old.path()).unwrap_err();
        assert!(matches!(error, CatalogError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("table {table} refers")), "{error}");
        old.assert_untouched(&schema_before, &rows_before);
    }
}

#[test]
fn two_processes_may_open_an_old_catalog_at_once() {
    let old = Old::version_1();
    let open = |path: &Path| {
        let path = path.to_path_buf();
        std::thread::spawn(move || Catalog::open(&path).map(|catalog| catalog.queue().unwrap().len()))
    };
    let openers: Vec<_> = (0..4).map(|_| open(&old.path())).collect();
    for opener in openers {
        assert_eq!(opener.join().unwrap().unwrap(), 4);
    }
    old.migrated().catalog.check().unwrap();
}
