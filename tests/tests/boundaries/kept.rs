//! What is kept of a file on its way out, what ends that, and disks that are full at the wrong moment.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use odile_station::{Faults, Operation, StationError};
use odile_tests::faults::ENOSPC;
use odile_tests::pki::issued;

use crate::pair::{FILE, Kind, Pair, Party};

/// The disk is full for some writes to files of one kind.
struct FullFor {
    ending: &'static str,
    /// Writes that go well before, and that fail then.
    spared: usize,
    failing: usize,
    seen: AtomicUsize,
}

impl Faults for FullFor {
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if operation == Operation::Write && path.to_string_lossy().contains(self.ending) {
            let seen = self.seen.fetch_add(1, Ordering::SeqCst);
            if (self.spared..self.spared + self.failing).contains(&seen) {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
        }
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_for_a_moment_harms_no_octet() {
    for (party, ending, writes) in [
        (Party::Speaker, ".checkpoint-", 4),
        (Party::Speaker, ".plan", 1),
        (Party::Listener, ".checkpoint-", 2),
        (Party::Listener, ".part", 4),
    ] {
        for spared in 0..writes {
            println!("{party:?} {ending} {spared}");
            let mut pair = Pair::stopped(Kind::Sealed);
            let other = if party == Party::Speaker { Party::Listener } else { Party::Speaker };
            let disk = Arc::new(FullFor { ending, spared, failing: 1, seen: AtomicUsize::new(0) });
            pair.start(other, None).unwrap();
            pair.start(party, Some(Arc::clone(&disk) as _)).unwrap();
            pair.line.cut_after(800_000);
            pair.settle(None);
            assert!(disk.seen.load(Ordering::SeqCst) > spared, "{}", pair.told());
        }
    }
}

#[test]
fn a_source_that_is_another_between_attempts_is_refused_and_nothing_is_kept() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("same size", |source| {
            let mut octets = fs::read(source).unwrap();
            octets[700_000] ^= 1;
            fs::write(source, octets).unwrap();
        }),
        ("grew", |source| fs::write(source, vec![7; 4_000_000]).unwrap()),
        ("shrank", |source| fs::write(source, b"less").unwrap()),
        ("replaced", |source| {
            let aside = source.with_file_name(".aside");
            fs::copy(source, &aside).unwrap();
            fs::rename(aside, source).unwrap();
        }),
        ("vanished", |source| fs::remove_file(source).unwrap()),
    ];
    for kind in [Kind::Watched, Kind::Sealed] {
        for (name, change) in changes {
            println!("{kind:?} {name}");
            let mut pair = Pair::interrupted(kind, 60);
            change(&pair.source);
            pair.start(Party::Listener, None).unwrap();
            pair.start(Party::Speaker, None).unwrap();
            let failed = |pair: &Pair| pair.alpha.state(FILE).filter(|(state, _)| state == "failed");
            pair.until("it has failed", |pair| {
                pair.push_on();
                failed(pair).is_some()
            });
            let (_, detail) = failed(&pair).unwrap();
            assert!(detail.contains("model"), "{detail}");
            let kept: Vec<_> =
                pair.alpha.spooled().into_iter().filter(|kept| kept.starts_with("S1.")).collect();
            assert!(kept.is_empty(), "{kept:?}");
        }
    }
}

#[test]
fn a_content_key_is_kept_for_this_station_only_and_destroyed_when_it_is_cancelled() {
    let mut pair = Pair::interrupted(Kind::Sealed, 60);
    let plan = pair.alpha.spool().join("S1.plan");
    assert_eq!(fs::metadata(&plan).unwrap().permissions().mode() & 0o777, 0o600);
    pair.start(Party::Speaker, None).unwrap();
    pair.alpha.handle().cancel(FILE.parse().unwrap()).unwrap();
    pair.until("nothing is kept", |pair| pair.alpha.spooled().is_empty());
    assert_eq!(pair.alpha.state(FILE).unwrap().0, "cancelled");
}

#[test]
fn a_plan_whose_key_nobody_can_read_any_more_is_drawn_again() {
    let mut pair = Pair::interrupted(Kind::Encrypted, 60);
    pair.alpha.home.give_key(&issued("another"));
    pair.goes_on();
    let told = pair.alpha.told();
    assert!(told.contains("not among the keys of this station any more"), "{told}");
}

#[test]
fn a_home_has_one_station_at_a_time() {
    let mut pair = Pair::new(Kind::Plain);
    for party in [Party::Speaker, Party::Listener] {
        let second = pair.half(party).start(None);
        assert!(matches!(second, Err(StationError::InUse { .. })), "{second:?}");
    }
    pair.settle(None);
}
