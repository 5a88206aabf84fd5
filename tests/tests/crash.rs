//! Stations that are killed in the middle of files, for a moment in every test run; `cargo xtask crash` does it for
//! hours, with large files.
//!
//! `ODILE_CRASH_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

use std::sync::atomic::AtomicBool;

use odile_tests::crash::mode::{Filling, Format, Mode, Side};
use odile_tests::crash::{self, Keep, Outcome, Plan};

#[test]
fn files_arrive_whole_and_once_whoever_is_killed() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = std::env::var("ODILE_CRASH_SEED")
        .map_or_else(|_| u64::from(now.subsec_nanos()), |seed| seed.parse().unwrap());
    println!("ODILE_CRASH_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        program: crash::built_program().unwrap_or_else(|failure| panic!("{failure}")),
        folder: folder.path().into(),
        rounds: 8,
        seed,
        size_bytes: 48 << 20,
        // So that every mode has its turn.
        cuts_max: 2,
        modes: modes(),
        keep: Keep::Nothing,
        interrupted: &AtomicBool::new(false),
    };
    let report = crash::run(&plan, |line| println!("{line}")).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report}");
    let went_on = report.cuts().filter(|cut| matches!(cut.outcome, Outcome::From(1..))).count();
    assert!(went_on > 0, "nothing ever went on where it was cut");
}

/// Octets and records, plain and sealed, over both kinds of lines; slow enough to be hit.
fn modes() -> Vec<Mode> {
    let plain = Mode {
        format: Format::Unstructured,
        filling: Filling::Noise,
        sign: false,
        compress: false,
        encrypt: false,
        signed_receipt: false,
        suite: 4,
        tls: false,
        authentication: false,
        buffer_compression: false,
        caller: Side::Sender,
        checkpoint_bytes: 2 << 20,
        checkpoint_ms: 50,
        buffer_size: 4096,
        credit: 2,
    };
    let secure = Mode {
        filling: Filling::Text,
        sign: true,
        compress: true,
        encrypt: true,
        signed_receipt: true,
        tls: true,
        authentication: true,
        ..plain
    };
    let variable = Mode {
        format: Format::Variable(4000),
        filling: Filling::Text,
        buffer_compression: true,
        caller: Side::Receiver,
        ..plain
    };
    let encrypted = Mode { format: Format::Fixed(80), compress: false, suite: 6, tls: false, ..secure };
    vec![plain, secure.clone(), variable, Mode { authentication: false, caller: Side::Receiver, ..encrypted }]
}
