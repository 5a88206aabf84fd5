//! Real processes, whose checkpoints are moved.

use odile_tests::crash::built_program;
use odile_tests::rehearsal::{Services, petabyte, sparse};

fn goes_on_at_nine_petabytes(services: Services) {
    let folder = tempfile::tempdir().unwrap();
    let plan = petabyte::Plan {
        program: built_program().unwrap_or_else(|failure| panic!("{failure}")),
        folder: folder.path().into(),
        services,
        stretch_bytes: 24 << 20,
        tail_bytes: 64 << 20,
    };
    let report =
        petabyte::run(&plan, |line| println!("{line}")).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report}");
    let [far, tail] = report.resumed;
    assert!(far.position > 8_999_900_000_000_000 && far.source > 8_999_900_000_000_000);
    assert!(tail.source + (1 << 30) > petabyte::FILE_BYTES);
    assert!(report.passed >= 2 * plan.stretch_bytes + plan.tail_bytes, "{}", report.passed);
}

#[test]
fn a_plain_file_goes_on_at_nine_petabytes_and_is_delivered() {
    goes_on_at_nine_petabytes(Services::Plain);
}

#[test]
fn a_plain_file_with_a_signed_receipt_goes_on_at_nine_petabytes_and_is_delivered() {
    goes_on_at_nine_petabytes(Services::PlainSignedReceipt);
}

#[test]
fn a_file_with_all_services_goes_on_at_nine_petabytes_and_is_delivered() {
    goes_on_at_nine_petabytes(Services::All);
}

fn reads_from_its_checkpoint_only(services: Services, checkpoint_bytes: u64, again_bytes_max: u64) {
    let folder = tempfile::tempdir().unwrap();
    let plan = sparse::Plan {
        program: built_program().unwrap_or_else(|failure| panic!("{failure}")),
        folder: folder.path().into(),
        services,
        size_bytes: 4 << 30,
        checkpoint_bytes,
        way: sparse::Way::Sent,
    };
    let report = sparse::run(&plan, |line| println!("{line}")).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report}");
    let [first, second] = report.attempts;
    let cut = plan.size_bytes / 5 * 3;
    assert!(second.from + again_bytes_max >= cut, "{} is far behind {cut}", second.from);
    assert_eq!(report.resident_before_bytes, 0);
    assert!(report.looks > 0);
    for (one, other) in [(first.sender, second.sender), (first.receiver, second.receiver)] {
        assert!(other.memory_bytes_max < one.memory_bytes_max + (32 << 20), "{one:?} {other:?}");
        assert!(one.memory_bytes_max < 256 << 20, "{one:?}");
    }
}

#[test]
fn a_sparse_file_that_was_cut_is_read_from_its_checkpoint_only() {
    reads_from_its_checkpoint_only(Services::PlainSignedReceipt, 64 << 20, 256 << 20);
}

#[test]
fn so_is_one_with_all_services() {
    // Zeros become a thousandth.
    reads_from_its_checkpoint_only(Services::All, 64 << 10, 512 << 20);
}
