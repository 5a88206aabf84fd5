//! The disk of the receiving station fails. The file is refused with a reason, nothing of it stays, the station
//! lives, and the sender's next attempt delivers it exactly once.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::{Duration, Instant};

use odile_station::partner::ServiceWish;
use odile_station::{Direct, Event, Faults, Operation, Options, SendRequest};
use odile_tests::faults::{EIO, ENOSPC, FailAlways, FailOnce};
use odile_tests::station::{PATIENCE, TestStation, equipped_pair, options, pair_with};
use odile_wire::EndSessionReason;

fn pair_with_disk(faults: Arc<dyn Faults>) -> (TestStation, TestStation) {
    pair_with_direct_disk(faults, Direct::Off)
}

fn pair_with_direct_disk(faults: Arc<dyn Faults>, direct: Direct) -> (TestStation, TestStation) {
    // Small blocks, syncs and checkpoints: each operation happens several times.
    let theirs =
        Options { faults: Some(faults), sync_bytes: 300_000, checkpoint_bytes: 800_000, direct, ..options() };
    pair_with("", options(), theirs)
}

/// More than what room is reserved for from the beginning.
fn content() -> Vec<u8> {
    (0..2_500_000_u32).map(|n| (n % 251) as u8).collect()
}

/// Waits until an attempt has ended: delivered, refused, or queued again for a reason. Gives the reason.
fn settled(station: &TestStation, transfer: &str) -> (String, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (state, detail, _) = station.handle().state(transfer.parse().expect("a number")).expect("known");
        if state != "sending" && state != "sent" && !(state == "queued" && detail.is_empty()) {
            return (state, detail);
        }
        assert!(Instant::now() < deadline, "{state}: {detail}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whatever is in the folders of the receiving station.
fn left_over(beta: &TestStation) -> Vec<String> {
    let inbox = beta.home().inbox(&"alpha".parse().expect("a name"));
    let entries = fs::read_dir(inbox).expect("the inbox is there");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.extend(beta.spool());
    names
}

fn assert_delivered_once(alpha: &TestStation, beta: &TestStation, transfer: &str, content: &[u8]) {
    alpha.wait_state(transfer, "delivered");
    let inbox = beta.inbox("alpha");
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert_eq!(fs::read(&inbox[0]).expect("it is there"), content);
    assert_eq!(left_over(beta).len(), 2, "the file and its sidecar: {:?}", left_over(beta));
}

/// One operation of the receiving station failed, or none, if fewer were needed than on a good disk.
fn assert_comes_through(
    disk: &FailOnce,
    alpha: &TestStation,
    beta: &mut TestStation,
    transfer: &str,
    content: &[u8],
) {
    let (state, detail) = settled(alpha, transfer);
    let of_checkpoint = match disk.failed() {
        None => true,
        Some((Operation::SyncDirectory, folder)) => folder == beta.home().spool(),
        Some((_, path)) => path.to_string_lossy().contains(".checkpoint-"),
    };
    if state == "delivered" && of_checkpoint {
        // The file is not worse for it. What could not be removed goes at the next start.
        if left_over(beta).len() > 2 {
            assert_eq!(disk.failed().map(|(operation, _)| operation), Some(Operation::Remove));
            beta.stop();
            beta.start();
            let deadline = Instant::now() + PATIENCE;
            while left_over(beta).len() > 2 {
                assert!(Instant::now() < deadline, "{:?}", left_over(beta));
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        return assert_delivered_once(alpha, beta, transfer, content);
    }
    assert_eq!(state, "queued", "{detail}");
    assert!(detail.starts_with("SFNA 12") || detail.starts_with("EFNA 12"), "{detail}");
    assert_eq!(left_over(beta), Vec::<String>::new());
    let (state, detail, _) = beta.handle().state("R1".parse().expect("a number")).expect("known");
    assert!(state == "failed" && detail.contains("os error"), "{state}: {detail}");
    let told = |event: &Event| event.is_trouble() && event.to_string().contains("os error");
    beta.events.wait_for("what the disk said", told);
    alpha.handle().retry(transfer.parse().expect("a number")).expect("it may be tried again");
    assert_delivered_once(alpha, beta, transfer, content);
}

#[test]
fn a_failure_at_any_operation_of_a_large_file_has_a_reason_or_does_not_matter() {
    fails_at_each_operation(Direct::Off);
}

#[test]
fn a_failure_at_any_operation_of_a_file_that_is_written_directly_has_a_reason_or_does_not_matter() {
    fails_at_each_operation(Direct::Targets);
}

fn fails_at_each_operation(direct: Direct) {
    let content = content();
    let counter = Arc::new(FailOnce::new(0, 0));
    let (alpha, beta) = pair_with_direct_disk(Arc::clone(&counter) as Arc<dyn Faults>, direct);
    let transfer = alpha.send("beta", &alpha.write("model", &content));
    assert_delivered_once(&alpha, &beta, &transfer, &content);
    let operations = counter.done();
    for kind in [
        Operation::Open,
        Operation::Allocate,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDirectory,
    ] {
        assert!(operations.contains(&kind), "{kind:?} is not among {operations:?}");
    }
    for victim in 1..=operations.len() {
        println!("operation {victim} of {}: {:?}", operations.len(), operations[victim - 1]);
        let disk = Arc::new(FailOnce::new(victim, ENOSPC));
        let (alpha, mut beta) = pair_with_direct_disk(Arc::clone(&disk) as Arc<dyn Faults>, direct);
        let transfer = alpha.send("beta", &alpha.write("model", &content));
        if direct != Direct::Off && is_not_direct_for_that(&disk, &alpha, &beta, &transfer) {
            assert_delivered_once(&alpha, &beta, &transfer, &content);
            continue;
        }
        assert_comes_through(&disk, &alpha, &mut beta, &transfer, &content);
    }
}

/// The second opening of the `.part` failed: it is told, and written as ever.
fn is_not_direct_for_that(disk: &FailOnce, alpha: &TestStation, beta: &TestStation, transfer: &str) -> bool {
    settled(alpha, transfer);
    let is_of_part = disk.failed().is_some_and(|(operation, path)| {
        operation == Operation::Open && path.extension().is_some_and(|ending| ending == "part")
    });
    is_of_part
        && beta.events.all().iter().any(|event| event.to_string().contains("although --direct was given"))
}

#[test]
fn a_disk_that_stays_broken_delivers_nothing() {
    for operation in [
        Operation::Open,
        Operation::Allocate,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDirectory,
    ] {
        let (alpha, beta) = pair_with_disk(Arc::new(FailAlways { operation, error: EIO }));
        let transfer = alpha.send("beta", &alpha.write("model", &content()));
        let (state, detail) = settled(&alpha, &transfer);
        assert_eq!(state, "queued", "{detail}");
        assert_eq!(left_over(&beta), Vec::<String>::new(), "{operation:?}");
        // It still talks, once the session before has ended: an empty call ends as it should.
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            match alpha.handle().call("beta") {
                Ok(end) => break end,
                Err(busy) => assert!(Instant::now() < deadline, "{operation:?}: {busy}"),
            }
        };
        assert_eq!(end.reason, EndSessionReason::NORMAL, "{operation:?}");
    }
}

#[test]
fn a_file_that_cannot_be_stored_does_not_come_to_its_end() {
    let (alpha, beta) = pair_with_disk(Arc::new(FailAlways { operation: Operation::Write, error: ENOSPC }));
    let path = alpha.folder().join("large");
    File::create(&path).unwrap().set_len(200 << 20).unwrap();
    let transfer = alpha.send("beta", &path);
    let (state, detail) = settled(&alpha, &transfer);
    assert!(state == "queued" && detail.contains("ESID 08"), "{state}: {detail}");
    let ended = |event: &Event| matches!(event, Event::SessionEnded { .. });
    let Event::SessionEnded { end, .. } = beta.events.wait_for("the end", ended) else { unreachable!() };
    assert!(end.by_us && end.reason == EndSessionReason::RESOURCES_NOT_AVAILABLE, "{end:?}");
    assert_eq!(left_over(&beta), Vec::<String>::new());
}

#[test]
fn a_failure_at_any_operation_of_a_sealed_file_has_a_reason_or_does_not_matter() {
    // What cannot be compressed, so that it is written in several blocks.
    let content = odile_tests::envelope::noise(1, 1_300_000);
    let counter = Arc::new(FailOnce::new(0, 0));
    let (alpha, beta) = equipped_with_disk(Arc::clone(&counter) as Arc<dyn Faults>);
    let transfer = send_sealed(&alpha, &content);
    assert_delivered_once(&alpha, &beta, &transfer, &content);
    let operations = counter.done();
    for victim in 1..=operations.len() {
        println!("operation {victim} of {}: {:?}", operations.len(), operations[victim - 1]);
        let disk = Arc::new(FailOnce::new(victim, ENOSPC));
        let (alpha, mut beta) = equipped_with_disk(Arc::clone(&disk) as Arc<dyn Faults>);
        let transfer = send_sealed(&alpha, &content);
        assert_comes_through(&disk, &alpha, &mut beta, &transfer, &content);
    }
}

fn equipped_with_disk(faults: Arc<dyn Faults>) -> (TestStation, TestStation) {
    let (mut alpha, mut beta) = equipped_pair();
    beta.add_partner("alpha", "code = \"O0013ALPHA\"\n");
    let address = beta.start_with(Options {
        faults: Some(faults),
        sync_bytes: 300_000,
        checkpoint_bytes: 400_000,
        block_bytes: 256 << 10,
        ..options()
    });
    alpha.add_partner("beta", &format!("code = \"O0013BETA\"\naddress = \"{address}\"\n"));
    alpha.start();
    (alpha, beta)
}

fn send_sealed(alpha: &TestStation, content: &[u8]) -> String {
    let mut request = SendRequest::new("beta", alpha.write("model", content));
    let yes = Some(true);
    request.services =
        ServiceWish { sign: yes, compress: yes, encrypt: yes, signed_receipt: yes, suite: None };
    format!("S{}", alpha.handle().send(&request).expect("it is queued").id)
}
