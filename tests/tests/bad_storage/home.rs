//! Homes that a station must not start in, each with a message that says what to do.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use odile_station::{Calls, Home, Listen, Station, StationError};
use odile_tests::station::{PATIENCE, TestStation, options};

const PARTNER: &str = "code = \"O0013PARTNER\"\n";

fn start(home: &Home) -> Result<Station, StationError> {
    Station::start(home.clone(), options(), Listen::NOWHERE, Calls::Nobody, Arc::new(|_| {}))
}

/// The message that it does not start with.
fn refused(home: &Home) -> (StationError, String) {
    let error = start(home).err().expect("the station does not start");
    let text = error.to_string();
    (error, text)
}

fn home() -> TestStation {
    let station = TestStation::new("O0013ALPHA");
    station.add_partner("partner", PARTNER);
    station
}

#[test]
fn a_damaged_catalog_says_what_to_do() {
    let station = home();
    start(station.home()).unwrap().stop();
    let good = fs::read(station.home().catalog()).unwrap();
    let mut holed = good.clone();
    holed[4096..8192].fill(0xA5);
    for damaged in [b"this is no database, but long enough to look like one".repeat(40), holed] {
        fs::write(station.home().catalog(), &damaged).unwrap();
        let (error, text) = refused(station.home());
        assert!(matches!(error, StationError::Catalog(_)), "{text}");
        assert!(text.contains("damaged") && text.contains("restore it from a backup"), "{text}");
        assert_eq!(fs::read(station.home().catalog()).unwrap(), damaged, "it is left as it was");
    }
    fs::write(station.home().catalog(), &good).unwrap();
    start(station.home()).unwrap();
}

#[test]
fn a_catalog_of_a_newer_version_says_what_to_do() {
    let station = home();
    start(station.home()).unwrap().stop();
    let mut newer = fs::read(station.home().catalog()).unwrap();
    // The user version of the database header.
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(station.home().catalog(), newer).unwrap();
    let (_, text) = refused(station.home());
    assert!(text.contains("version 99") && text.contains("newer Odile"), "{text}");
}

#[test]
fn a_mistake_in_a_file_is_named_with_its_line() {
    let station = home();
    let root = station.home().root();
    let original = fs::read_to_string(station.home().station_file()).unwrap();
    let cases = [
        ("station.toml", "code = \"O0013ALPHA\"\n\nlisen = \"0.0.0.0:3305\"\n", "line 3", "lisen"),
        ("station.toml", "code = \"O0013ALPHA\"\n[session]\ncredit = 1000\n", "line 3", "credit"),
        ("station.toml", "code = \"O0013ALPHA\"\n[session\n", "line 2", "station.toml"),
        ("partners/partner.toml", "code = \"O0013PARTNER\"\nadress = \"x\"\n", "line 2", "adress"),
        ("partners/partner.toml", "their_password = \"MUCHTOOLONG\"\n", "line 1", "at most 8 characters"),
    ];
    for (file, content, line, told) in cases {
        let path = root.join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, content).unwrap();
        let (error, text) = refused(station.home());
        assert!(error.is_usage(), "{text}");
        for part in [file, line, told] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert!(!text.contains("MUCHTOOLONG"), "{text}");
        fs::write(&path, before).unwrap();
    }
    assert_eq!(fs::read_to_string(station.home().station_file()).unwrap(), original);
    start(station.home()).unwrap();
}

#[test]
fn a_file_that_is_no_partner_name_is_refused() {
    let station = home();
    fs::write(station.home().root().join("partners/two words.toml"), "code = \"O0013X\"\n").unwrap();
    let (error, text) = refused(station.home());
    assert!(error.is_usage() && text.contains("two words"), "{text}");
}

#[test]
fn a_folder_without_a_station_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let (error, text) = refused(&Home::new(folder.path()));
    assert!(matches!(error, StationError::NoStation { .. }) && text.contains("odile init"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_home_that_cannot_be_written_to_is_told_as_such() {
    let station = home();
    let root = station.home().root().to_path_buf();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o500)).unwrap();
    let writable = fs::write(root.join("probe"), b"").is_ok();
    if writable {
        let _ = writeln!(
            std::io::stdout(),
            "skipped: a home that cannot be written: this user may write everywhere"
        );
    } else {
        let (_, text) = refused(station.home());
        assert!(text.contains(&root.display().to_string()), "{text}");
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn leftovers_in_the_spool_go_at_the_next_start_and_nothing_else_does() {
    let station = home();
    let spool = station.home().spool();
    for name in [
        "1-1.part",
        "1-1.json",
        "1-1.checkpoint-0",
        "2-2.checkpoint-1",
        "S9.plan",
        "S9.checkpoint-0",
        "S10.checkpoint-1",
        "note.txt",
        "S9.plan.txt",
    ] {
        fs::write(spool.join(name), b"x").unwrap();
    }
    let _running = start(station.home()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while station.spool().len() > 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    let left: BTreeSet<_> = station.spool().into_iter().collect();
    assert_eq!(left, BTreeSet::from(["S9.plan.txt".to_owned(), "note.txt".to_owned()]));
}

#[test]
fn a_control_socket_that_was_left_over_is_replaced() {
    let station = home();
    fs::write(station.home().control_socket(), b"").unwrap();
    start(station.home()).unwrap().stop();
    assert!(!station.home().control_socket().exists());
}
