//! The last digits of SFIDFSIZ, SFIDOSIZ, SFIDREST, EFIDRCNT and EFIDUCNT (RFC 5024 §5.3.3, §5.3.8), and one more.

use std::io::ErrorKind;

use odile_station::envelope::Services;
use odile_station::partner::ServiceWish;
use odile_station::{Event, Options, SendRequest, SessionEnd, Target};
use odile_tests::peer::{Peer, restarting_ssid, sfid, ssid};
use odile_tests::scene::{Scene, equipped};
use odile_tests::station::options;
use odile_wire::command::{FileFormat, StartFile, StartFileNegativeAnswer, StartSession};
use odile_wire::{AnswerReason, Command, EndSessionReason, Mnemonic, VariableText};

/// 13 digits, and 7 before level 5.
const BLOCKS_MAX: u64 = 9_999_999_999_999;
const BLOCKS_MAX_BEFORE_LEVEL_5: u64 = 9_999_999;
/// 17 digits, and 9 before level 5.
const RESTART_MAX: u64 = 99_999_999_999_999_999;
const RESTART_MAX_BEFORE_LEVEL_5: u64 = 999_999_999;

fn synthetic(octets: u64) -> SendRequest {
    SendRequest::new("peer", format!("synthetic:random:7:{octets}"))
}

fn queue(scene: &Scene, request: &SendRequest) -> String {
    format!("S{}", scene.station.handle().send(request).unwrap().id)
}

/// The peer does not want it, and the session ends well.
fn refuse(mut peer: Peer) {
    let text = VariableText::truncated("too much");
    let answer = StartFileNegativeAnswer { reason: AnswerReason::FILE_TOO_BIG, retry: false, text };
    peer.send(Command::StartFileNegativeAnswer(answer));
    peer.wind_up();
}

#[test]
fn the_largest_file_is_offered_with_all_its_digits() {
    let scene = Scene::calling("");
    let transfer = queue(&scene, &synthetic(BLOCKS_MAX * 1024));
    let mut peer = Peer::opened(&scene.port);
    let file = peer.expect_offer();
    assert_eq!([file.size_blocks, file.original_size_blocks, file.restart], [BLOCKS_MAX, BLOCKS_MAX, 0]);
    refuse(peer);
    assert_eq!(scene.end().reason, EndSessionReason::NORMAL);
    assert_eq!(scene.state(&transfer).0, "refused");
}

#[test]
fn one_octet_more_is_refused_before_any_session() {
    let scene = Scene::calling("");
    let error = scene.station.handle().send(&synthetic(BLOCKS_MAX * 1024 + 1)).unwrap_err().to_string();
    for part in ["10239999999998977 octets", "9999999999999 blocks of 1024 octets"] {
        assert!(error.contains(part), "{error}");
    }
    assert_nobody_calls(&scene);
}

fn assert_nobody_calls(scene: &Scene) {
    scene.port.set_nonblocking(true).unwrap();
    assert_eq!(scene.port.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let events = scene.station.events.all();
    assert!(!events.iter().any(|event| matches!(event, Event::Connected { .. })), "{events:#?}");
}

/// An envelope makes a file longer than it is, and cannot be announced then.
#[test]
fn a_file_whose_envelope_is_too_long_fails_for_good_and_says_why() {
    for services in [Services { sign: true, ..Services::NONE }, Services::ALL] {
        let scene = Scene::prepared_calling(equipped(), "");
        let mut request = synthetic(BLOCKS_MAX * 1024);
        request.services = ServiceWish {
            sign: Some(services.sign),
            compress: Some(services.compress),
            encrypt: Some(services.encrypt),
            ..ServiceWish::default()
        };
        assert_not_offered(&scene, &request, "SFIDFSIZ", ssid().level);
    }
}

#[test]
fn a_file_that_fits_with_its_envelope_is_offered() {
    let scene = Scene::prepared_calling(equipped(), "");
    // The overhead is below a hundredth.
    let mut request = synthetic(BLOCKS_MAX / 100 * 99 * 1024);
    request.services = ServiceWish { sign: Some(true), encrypt: Some(true), ..ServiceWish::default() };
    queue(&scene, &request);
    let mut peer = Peer::opened(&scene.port);
    let file = peer.expect_offer();
    assert_eq!(file.original_size_blocks, BLOCKS_MAX / 100 * 99);
    assert!((file.original_size_blocks + 1..=BLOCKS_MAX).contains(&file.size_blocks), "{}", file.size_blocks);
    refuse(peer);
}

#[test]
fn before_level_5_the_largest_file_has_seven_digits_of_blocks() {
    let level_4 = "[session]\nlevel_max = 4\n";
    let scene = Scene::calling(level_4);
    queue(&scene, &synthetic(BLOCKS_MAX_BEFORE_LEVEL_5 * 1024));
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(&StartSession { level: 4, ..ssid() });
    assert_eq!(peer.expect_offer().size_blocks, BLOCKS_MAX_BEFORE_LEVEL_5);
    refuse(peer);

    let scene = Scene::calling(level_4);
    assert_not_offered(&scene, &synthetic(BLOCKS_MAX_BEFORE_LEVEL_5 * 1024 + 1), "SFIDFSIZ", 4);
}

/// Refused when it is queued, or failed for good without an SFID; either way it says what does not fit.
fn assert_not_offered(scene: &Scene, request: &SendRequest, what: &str, level: u8) {
    let transfer = match scene.station.handle().send(request) {
        Ok(outbound) => format!("S{}", outbound.id),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("block"), "{error}");
            return assert_nobody_calls(scene);
        }
    };
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(&StartSession { level, ..ssid() });
    peer.wind_up();
    let (state, detail) = scene.state(&transfer);
    assert_eq!(state, "failed", "{detail}");
    assert!(detail.contains(what), "{detail}");
    let SessionEnd { reason, .. } = scene.end();
    assert_eq!(reason, EndSessionReason::NORMAL);
}

/// Records of one octet, as many as octets: the count of records needs all 17 digits.
#[test]
fn restart_positions_and_counts_have_seventeen_digits() {
    let records = BLOCKS_MAX * 1024;
    let (scene, transfer, mut peer) = cut_records(records, 5);
    let file = peer.expect_offer();
    assert_eq!([file.size_blocks, file.restart], [BLOCKS_MAX, records]);
    // The peer has it all but for a few.
    peer.accept_at(records - 10);
    let (came, end) = peer.take_some(usize::MAX);
    let end = end.unwrap();
    assert_eq!((came.len(), end.unit_count, end.record_count), (10, records, records));
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    peer.send_receipt(&file);
    peer.finish();
    scene.station.wait_state(&transfer, "delivered");
}

#[test]
fn before_level_5_restart_positions_have_nine_digits() {
    for records in
        [RESTART_MAX_BEFORE_LEVEL_5, RESTART_MAX_BEFORE_LEVEL_5 + 1, BLOCKS_MAX_BEFORE_LEVEL_5 * 1024]
    {
        let (_scene, _, mut peer) = cut_records(records, 4);
        assert_eq!(peer.expect_offer().restart, RESTART_MAX_BEFORE_LEVEL_5);
        peer.accept_at(RESTART_MAX_BEFORE_LEVEL_5);
        let (came, _) = peer.take_some(1);
        assert_eq!(came.is_empty(), records == RESTART_MAX_BEFORE_LEVEL_5);
    }
}

/// A file of so many records of one octet, which was cut after a few, and is tried again. Checkpoints are far apart: it
/// may have been sent as a whole. Gives the session in which it is offered again.
fn cut_records(records: u64, level: u8) -> (Scene, String, Peer) {
    let terms = format!("[session]\nlevel_max = {level}\n");
    let scene = Scene::calling_with(&terms, Options { checkpoint_bytes: 1 << 60, ..options() });
    let transfer = queue(&scene, &SendRequest { format: 'F', record_size: 1, ..synthetic(records) });
    let session = StartSession { level, ..restarting_ssid() };
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(&session);
    assert_eq!(peer.expect_offer().restart, 0);
    peer.accept();
    peer.take_some(1000);
    drop(peer);
    scene.ends();
    scene.retry(&transfer);
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(&session);
    (scene, transfer, peer)
}

/// The largest offer that can be written down.
fn largest(name: &str, format: FileFormat) -> StartFile {
    let record_size = if format == FileFormat::Fixed { 99_999 } else { 0 };
    StartFile {
        format,
        record_size,
        size_blocks: BLOCKS_MAX,
        original_size_blocks: BLOCKS_MAX,
        restart: RESTART_MAX,
        ..sfid(name, 0)
    }
}

#[test]
fn the_largest_offer_and_the_largest_counts_are_answered_like_any_other() {
    let scene = Scene::with("", Options { target: Target::Discard, ..options() });
    for format in [FileFormat::Unstructured, FileFormat::Text, FileFormat::Fixed, FileFormat::Variable] {
        let mut peer = Peer::connect(scene.address);
        peer.greet(&restarting_ssid());
        let answer = peer.offer(&largest("largest", format));
        let Command::StartFilePositiveAnswer(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.restart, 0, "nothing of it is here");
        let answer = peer.close(RESTART_MAX, RESTART_MAX);
        let Command::EndFileNegativeAnswer(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.reason, AnswerReason::INVALID_BYTE_COUNT);
        let text = answer.text.to_string();
        assert!(text.contains("99999999999999999 octets"), "{text}");
        peer.finish();
    }
    scene.ends();
    assert!(scene.station.spool().is_empty());
}

#[test]
fn an_offer_of_the_largest_position_is_answered_with_what_is_here() {
    let content = vec![b'x'; 300_000];
    let scene = Scene::with("", options());
    let file = sfid("model", content.len());
    let mut peer = Peer::connect(scene.address);
    peer.greet(&restarting_ssid());
    peer.start(&file);
    peer.send_content(&content[..200_000]);
    drop(peer);
    scene.ends();
    let mut peer = Peer::connect(scene.address);
    peer.greet(&restarting_ssid());
    let answer = peer.offer(&StartFile { restart: RESTART_MAX, ..file.clone() });
    let Command::StartFilePositiveAnswer(answer) = answer else { panic!("{answer:?}") };
    assert_eq!(answer.restart, 200_000 / 1024);
}
