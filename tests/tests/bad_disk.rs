//! Disks that are full or broken, sources that change, catalogs and configurations with mistakes.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use odile_station::{Calls, Event, Home, Listen, Operation, Options, SendRequest, Station, StationError};
use odile_tests::faults::{EIO, ENOSPC, FailAlways, FailOnce};
use odile_tests::station::{PATIENCE, TestStation, options, pair, pair_with};

/// Operations on storage that the reception of one file of 300 KB takes, counted on a good one.
fn operations_of_one_file() -> Vec<Operation> {
    let counter = Arc::new(FailOnce::new(0, 0));
    let receiving = Options { faults: Some(Arc::clone(&counter) as _), ..options() };
    let (alpha, _beta) = pair_with("", options(), receiving);
    let transfer = alpha.send("beta", &alpha.write("file", &[7; 3000].repeat(100)));
    alpha.wait_state(&transfer, "delivered");
    counter.done()
}

/// Sends a file to a station whose `victim`-th operation on storage fails; whatever happens, it must be delivered
/// exactly once in the end.
fn fails_at(victim: usize, error: i32) {
    let disk = Arc::new(FailOnce::new(victim, error));
    let receiving = Options { faults: Some(Arc::clone(&disk) as _), ..options() };
    let (alpha, beta) = pair_with("", options(), receiving);
    let content = [7; 3000].repeat(100);
    let transfer = alpha.send("beta", &alpha.write("file", &content));
    let number = transfer.parse().expect("a transfer number");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (state, detail, _) = alpha.handle().state(number).expect("it is known");
        match state.as_str() {
            "delivered" => break,
            // It would be tried again by itself; the test does not wait so long.
            "queued" if !detail.is_empty() => drop(alpha.handle().retry(number)),
            "refused" | "failed" | "rejected" => unreachable!("operation {victim}: {state}: {detail}"),
            _ => {}
        }
        assert!(Instant::now() < deadline, "operation {victim}: {:#?}", beta.events.all());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let inbox = beta.inbox("alpha");
    assert_eq!(inbox.len(), 1, "operation {victim}: {inbox:?}");
    assert_eq!(fs::read(&inbox[0]).expect("it is there"), content);
    assert!(inbox[0].with_extension("json").exists() || sidecar(&inbox[0]).exists());
    assert_eq!(beta.spool(), Vec::<String>::new(), "operation {victim}");
    let told = beta.events.all().iter().any(Event::is_trouble);
    // Checkpoints of a file that has landed: if there were any, the next start would remove them.
    let (operation, path) = disk.failed().expect("something failed");
    let is_harmless = operation == Operation::Remove && path.to_string_lossy().contains(".checkpoint-");
    assert!(told || is_harmless, "operation {victim}, {operation:?}: the operator was not told");
}

fn sidecar(path: &Path) -> std::path::PathBuf {
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    path.with_file_name(format!("{name}.json"))
}

#[test]
fn a_full_disk_at_any_operation_loses_nothing_and_delivers_once() {
    let operations = operations_of_one_file();
    assert!(
        operations.contains(&Operation::Write) && operations.contains(&Operation::Rename),
        "{operations:?}"
    );
    for victim in 1..=operations.len() {
        fails_at(victim, ENOSPC);
    }
}

#[test]
fn a_broken_disk_at_any_operation_loses_nothing_and_delivers_once() {
    for victim in 1..=operations_of_one_file().len() {
        fails_at(victim, EIO);
    }
}

#[test]
fn a_disk_that_stays_full_refuses_every_file_with_a_reason_and_the_station_lives() {
    let faults = FailAlways { operation: Operation::Write, error: ENOSPC };
    let receiving = Options { faults: Some(Arc::new(faults)), ..options() };
    let (alpha, beta) = pair_with("", options(), receiving);
    for name in ["one", "two"] {
        alpha.send("beta", &alpha.write(name, b"content"));
    }
    for number in ["S1", "S2"] {
        alpha.events.wait_for("both refusals", |event| {
            matches!(event, Event::FileFailed { transfer, text }
                if transfer.to_string() == number && text.contains("EFNA 12"))
        });
    }
    assert!(beta.inbox("alpha").is_empty());
    assert!(beta.spool().is_empty());
    let told = beta.events.all();
    assert!(told.iter().any(|event| event.to_string().contains("No space left")), "{told:#?}");
}

#[test]
fn a_source_that_vanishes_before_it_is_sent_is_named() {
    let mut alpha = TestStation::new("O0013ALPHA");
    let mut beta = TestStation::new("O0013BETA");
    beta.add_partner("alpha", "code = \"O0013ALPHA\"");
    let address = beta.start();
    alpha.add_partner("beta", "code = \"O0013BETA\"");
    alpha.start();
    let path = alpha.write("gone", b"content");
    let transfer = alpha.send("beta", &path);
    alpha.stop();
    fs::remove_file(&path).expect("it was there");
    let partner = format!("code = \"O0013BETA\"\naddress = \"{address}\"");
    fs::write(alpha.home().partner_file(&"beta".parse().expect("a name")), partner).expect("a partner file");
    alpha.start();
    alpha.wait_state(&transfer, "failed");
    let (_, detail, _) = alpha.handle().state(transfer.parse().expect("a number")).expect("it is known");
    assert!(detail.contains("gone") && detail.contains("No such file"), "{detail}");
    // The station lives.
    let next = alpha.send("beta", &alpha.write("here", b"content"));
    alpha.wait_state(&next, "delivered");
}

#[test]
fn a_source_that_was_changed_since_it_was_queued_is_refused_by_name() {
    let mut beta = TestStation::new("O0013BETA");
    beta.add_partner("alpha", "code = \"O0013ALPHA\"");
    let address = beta.start();
    for change in ["grew", "shrank", "was replaced"] {
        let mut alpha = TestStation::new("O0013ALPHA");
        alpha.add_partner("beta", "code = \"O0013BETA\"");
        alpha.start();
        let path = alpha.write("source", b"content");
        let transfer = alpha.send("beta", &path);
        alpha.stop();
        match change {
            "grew" => fs::write(&path, b"more content").expect("writable"),
            "shrank" => fs::write(&path, b"less").expect("writable"),
            _ => fs::rename(alpha.write("other", b"CONTENT"), &path).expect("writable"),
        }
        let partner = format!("code = \"O0013BETA\"\naddress = \"{address}\"");
        fs::write(alpha.home().partner_file(&"beta".parse().expect("a name")), partner)
            .expect("a partner file");
        alpha.start();
        alpha.wait_state(&transfer, "failed");
        let (_, detail, _) = alpha.handle().state(transfer.parse().expect("a number")).expect("it is known");
        assert!(detail.contains("changed"), "{change}: {detail}");
    }
    assert!(beta.inbox("alpha").is_empty());
}

#[test]
fn what_is_no_regular_file_cannot_be_queued() {
    let (alpha, _beta) = pair();
    for path in [alpha.folder().to_path_buf(), alpha.folder().join("missing"), "/dev/null".into()] {
        let refused = alpha.handle().send(&SendRequest::new("beta", &path));
        assert!(matches!(refused, Err(StationError::CannotSend(_))), "{}: {refused:?}", path.display());
    }
}

#[test]
fn an_outbox_file_that_is_still_being_written_is_left_alone() {
    let (alpha, beta) = pair();
    let folder = alpha.home().outbox(&"beta".parse().expect("a name"));
    let mut slow =
        OpenOptions::new().create_new(true).append(true).open(folder.join("slow")).expect("a new file");
    slow.write_all(b"first half, ").expect("writable");
    // Others are taken meanwhile, in looks that come after.
    for name in ["a", "b"] {
        fs::write(folder.join(name), b"quick").expect("writable");
        alpha.events.wait_for(
            "the quick file",
            |event| matches!(event, Event::FileQueued { path, .. } if path.ends_with(&format!("/{name}"))),
        );
    }
    let taken = alpha.events.all().iter().any(|event| event.to_string().contains("slow"));
    assert!(!taken, "a file that is open for writing was taken");
    slow.write_all(b"second half").expect("writable");
    drop(slow);
    alpha.events.wait_for(
        "the slow file",
        |event| matches!(event, Event::FileQueued { path, .. } if path.ends_with("/slow")),
    );
    let deadline = Instant::now() + PATIENCE;
    while folder.join("slow").exists() {
        assert!(Instant::now() < deadline, "{:#?}", alpha.events.all());
        std::thread::yield_now();
    }
    let contents: Vec<_> =
        beta.inbox("alpha").iter().map(|path| fs::read(path).expect("it is there")).collect();
    assert!(contents.contains(&b"first half, second half".to_vec()));
}

fn start(home: &Home) -> Result<Station, StationError> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    Station::start(home.clone(), options(), Listen::plain(loopback), Calls::All, Arc::new(|_: &Event| {}))
}

fn start_error(home: &Home) -> String {
    match start(home) {
        Ok(_) => unreachable!("the station started"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_second_station_on_the_same_home_is_refused() {
    let (alpha, _beta) = pair();
    let error = start_error(alpha.home());
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn a_corrupt_catalog_is_named_with_what_to_do() {
    let mut alpha = TestStation::new("O0013ALPHA");
    alpha.start();
    alpha.stop();
    fs::write(alpha.home().catalog(), b"this is no database, whatever it was before".repeat(200))
        .expect("writable");
    let error = start_error(alpha.home());
    assert!(error.contains("catalog.sqlite3") && error.contains("move the file away"), "{error}");
}

#[test]
fn mistakes_in_configuration_are_named_and_nothing_starts() {
    let alpha = TestStation::new("O0013ALPHA");
    alpha.add_partner("one", "code = \"O0013ONE\"");
    let refused = alpha.home().add_partner(&"two".parse().expect("a name"), "code = \"o0013one\"");
    assert!(refused.expect_err("the same code").to_string().contains("same code"));
    let file = alpha.home().partner_file(&"one".parse().expect("a name"));
    fs::write(&file, "code = \"O0013ONE\"\nspeed = 9\n").expect("writable");
    let error = start_error(alpha.home());
    assert!(error.contains("one.toml, line 2") && error.contains("speed"), "{error}");
    fs::write(&file, "code = \"O0013ONE\"\ntheir_password = \"GEHEIM\"\n").expect("writable");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("ours");
    let error = start_error(alpha.home());
    assert!(error.contains("chmod 600") && !error.contains("GEHEIM"), "{error}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
    drop(start(alpha.home()).expect("now it starts"));
}

#[test]
fn an_inbox_on_another_filesystem_is_refused() {
    let alpha = TestStation::new("O0013ALPHA");
    alpha.add_partner("one", "code = \"O0013ONE\"");
    let elsewhere = Path::new("/dev/shm");
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).unwrap_or_default();
    if !elsewhere.is_dir() || device(elsewhere) == device(alpha.home().root()) {
        let _ = writeln!(
            std::io::stdout(),
            "skipped: an_inbox_on_another_filesystem_is_refused: /dev/shm is no other filesystem here"
        );
        return;
    }
    let other = tempfile::tempdir_in(elsewhere).expect("a folder there");
    let inbox = alpha.home().inbox(&"one".parse().expect("a name"));
    fs::remove_dir(&inbox).expect("it is empty");
    std::os::unix::fs::symlink(other.path(), &inbox).expect("a link");
    let error = start_error(alpha.home());
    assert!(error.contains("different filesystems"), "{error}");
}
