//! DATA and EFID that are wrong, and what is forgiven.

use odile_tests::peer::{Peer, open_subrecords, sfid, subrecords};
use odile_tests::scene::Scene;
use odile_wire::command::{EndFile, FileFormat, StartFile};
use odile_wire::{AnswerReason, Command, EndSessionReason as Reason, Mnemonic};

/// The file is open; the payloads come; how the session ends.
fn breaks(file: StartFile, payloads: &[&[u8]], reason: Reason, told: &str) {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(&file);
    for payload in payloads {
        peer.send_payload(payload);
    }
    let text = peer.expect_end(reason);
    assert!(text.contains(told), "{text}");
    let end = scene.end();
    assert!(end.by_us && end.reason == reason, "{end:?}");
    // What came with it may be wrong as well.
    scene.assert_told("not received: the session ended in the middle of the file");
    // The same file may come again, whole.
    let mut peer = Peer::open(scene.address);
    peer.send_file(&StartFile { format: FileFormat::Unstructured, record_size: 0, ..file }, b"whole");
    peer.finish();
    scene.assert_unharmed(1);
}

fn fixed(record_size: u32) -> StartFile {
    StartFile { format: FileFormat::Fixed, record_size, ..sfid("FIXED", 100) }
}

#[test]
fn data_beyond_the_credit_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("GREEDY", 1000));
    // Three are allowed; all four come in one piece, so that nobody can have seen new credit.
    let four: Vec<u8> = std::iter::repeat_n([0x10, 0, 0, 8, b'D', 2, b'a', b'b'], 4).flatten().collect();
    peer.send_raw(&four);
    let text = peer.expect_end(Reason::PROTOCOL_VIOLATION);
    assert!(text.contains("beyond the credit of 3"), "{text}");
    scene.assert_waits("R1", 8);
    scene.assert_unharmed_while_waiting(0, 1);
}

#[test]
fn an_end_of_file_that_does_not_wait_for_credit_is_forgiven() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("HASTY", 6));
    let mut all: Vec<u8> = std::iter::repeat_n([0x10, 0, 0, 8, b'D', 2, b'a', b'b'], 3).flatten().collect();
    all.extend(peer.encoded(&Command::EndFile(EndFile { record_count: 0, unit_count: 6 })));
    peer.send_raw(&all);
    // No CDT in between: it would be taken for an error by those who do this.
    peer.expect(Mnemonic::Efpa);
    peer.finish();
    scene.assert_unharmed(1);
}

#[test]
fn data_without_a_file_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.send_payload(&[0x81, b'x']);
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    assert!(scene.end().text.contains("DATA is not allowed in state IDLELI"));
    scene.assert_unharmed(0);
}

#[test]
fn data_after_the_end_of_a_file_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.send_file(&sfid("DONE", 5), b"hello");
    peer.send_payload(&[0x81, b'x']);
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    scene.assert_unharmed(1);
}

#[test]
fn an_end_of_file_without_a_file_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.send(Command::EndFile(EndFile { record_count: 0, unit_count: 0 }));
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    scene.assert_unharmed(0);
}

#[test]
fn a_buffer_longer_than_agreed_is_told_as_such() {
    breaks(sfid("LONG", 5000), &[&[0; 1000]], Reason::BUFFER_SIZE_ERROR, "of 1005 octets");
}

#[test]
fn a_subrecord_beyond_its_buffer_is_told_as_such() {
    breaks(sfid("SUBRECORD", 5), &[&[5, b'a', b'b']], Reason::INVALID_DATA, "reaches beyond");
    breaks(sfid("SUBRECORD", 5), &[&[0x45]], Reason::INVALID_DATA, "reaches beyond");
}

#[test]
fn records_of_another_length_than_announced_are_told_as_such() {
    breaks(fixed(10), &[&subrecords(&[1; 9])], Reason::INVALID_DATA, "shorter than SFIDLRECL");
    breaks(fixed(10), &[&subrecords(&[1; 11])], Reason::INVALID_DATA, "longer than SFIDLRECL");
    // A run that would fill the disk with little data is as long as the record at most.
    breaks(fixed(10), &[&[0x7F, 0, 0x7F, 0]], Reason::INVALID_DATA, "longer than SFIDLRECL");
}

#[test]
fn a_record_without_end_is_no_variable_record() {
    let file = StartFile { format: FileFormat::Variable, record_size: 100, ..sfid("VARIABLE", 70_000) };
    let run = [0x7F, b'x'].repeat(499);
    let payload: &[u8] = &run;
    breaks(file, &[payload, payload, payload], Reason::INVALID_DATA, "longer than 65535");
}

/// EFID does not say what came; the session goes on.
fn miscounted(file: &StartFile, payload: &[u8], counts: (u64, u64), reason: AnswerReason) {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(file);
    if !payload.is_empty() {
        peer.send_payload(payload);
    }
    match peer.close(counts.0, counts.1) {
        Command::EndFileNegativeAnswer(answer) => assert_eq!(answer.reason, reason, "{}", answer.text),
        other => unreachable!("{other:?}"),
    }
    peer.send_file(&sfid("NEXT", 5), b"hello");
    peer.finish();
    scene.assert_told("not received: ");
    scene.assert_unharmed(1);
}

#[test]
fn a_wrong_octet_count_refuses_the_file_and_the_next_one_is_taken() {
    for octets in [4, 6, 0, 99_999_999_999_999_999] {
        miscounted(&sfid("OCTETS", 5), &subrecords(b"hello"), (0, octets), AnswerReason::INVALID_BYTE_COUNT);
    }
}

#[test]
fn a_file_that_claims_octets_but_brings_none_is_refused() {
    miscounted(&sfid("NONE", 5), &[], (0, 5), AnswerReason::INVALID_BYTE_COUNT);
}

#[test]
fn a_wrong_record_count_refuses_the_file_and_the_next_one_is_taken() {
    let mut payload = subrecords(&[1; 10]);
    payload.extend(subrecords(&[2; 10]));
    for records in [0, 1, 3] {
        miscounted(&fixed(10), &payload, (records, 20), AnswerReason::INVALID_RECORD_COUNT);
    }
}

#[test]
fn a_last_record_without_an_end_refuses_the_file() {
    let mut payload = subrecords(&[1; 10]);
    payload.extend(open_subrecords(&[2; 10]));
    miscounted(&fixed(10), &payload, (2, 20), AnswerReason::INVALID_RECORD_COUNT);
}

/// Not what the RFC says, but what others do; the content is what is expected.
fn forgiven(payloads: &[&[u8]], content: &[u8]) {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("FORGIVEN", content.len()));
    for payload in payloads {
        peer.send_payload(payload);
    }
    let answer = peer.close(0, content.len() as u64);
    assert_eq!(answer.mnemonic(), Mnemonic::Efpa, "{answer:?}");
    peer.finish();
    assert_eq!(std::fs::read(&scene.station.inbox("peer")[0]).expect("it is there"), content);
    scene.assert_unharmed(1);
}

#[test]
fn a_missing_end_of_record_is_forgiven() {
    forgiven(&[&open_subrecords(b"hello")], b"hello");
}

#[test]
fn an_empty_file_may_come_in_three_ways() {
    forgiven(&[&[0x80]], b"");
    forgiven(&[&[]], b"");
    forgiven(&[], b"");
}

#[test]
fn compression_that_was_not_agreed_is_forgiven() {
    forgiven(&[&[0x43, b'x', 0x82, b'y', b'z']], b"xxxyz");
}

#[test]
fn a_file_much_longer_than_announced_is_what_its_end_says() {
    let scene = Scene::new("");
    let content = vec![7; 50_000];
    let mut file = sfid("LONGER", 1);
    file.size_blocks = 0;
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, &content);
    peer.finish();
    assert_eq!(std::fs::read(&scene.station.inbox("peer")[0]).expect("it is there"), content);
    scene.assert_unharmed(1);
}
