//! The peer was cut in the middle of its file, and asks to go on: where both have it, or from its start.

use std::fs;

use odile_station::Event;
use odile_tests::envelope::{SIGN_ENCRYPT, Sealing, announced, noise};
use odile_tests::peer::{Peer, restarting_ssid, sfid, subrecords};
use odile_tests::pki::issued;
use odile_tests::scene::Scene;
use odile_wire::command::{FileFormat, StartFile, StartSession};
use odile_wire::{AnswerReason, Command, Mnemonic};

/// Octets of a file, and how many of them have come when the line is cut.
const OCTETS: usize = 100_000;
const CUT: usize = 50_000;
/// The last block that has come whole.
const OURS: u64 = 48;

fn called(scene: &Scene, ssid: &StartSession) -> Peer {
    let mut peer = Peer::connect(scene.address);
    let theirs = peer.greet(ssid);
    assert!(theirs.restart);
    peer
}

/// The peer brings the beginning of a file, and is gone.
fn cut(scene: &Scene, file: &StartFile, payloads: &[Vec<u8>]) {
    let mut peer = called(scene, &restarting_ssid());
    peer.start(file);
    peer.send_payloads(payloads);
    drop(peer);
    scene.ends();
}

/// An unstructured file of which the first half has come.
fn half(scene: &Scene) -> (StartFile, Vec<u8>) {
    let (file, content) = (sfid("HALF", OCTETS), noise(1, OCTETS));
    let payloads: Vec<_> = content[..CUT].chunks(900).map(subrecords).collect();
    cut(scene, &file, &payloads);
    scene.assert_waits("R1", CUT as u64);
    scene.assert_unharmed_while_waiting(0, 1);
    (file, content)
}

/// Offers a file from this position on; gives the answer.
fn answer(peer: &mut Peer, file: &StartFile, restart: u64) -> u64 {
    match peer.offer(&StartFile { restart, ..file.clone() }) {
        Command::StartFilePositiveAnswer(answer) => answer.restart,
        other => unreachable!("{other:?}"),
    }
}

/// Sends a file without records from this position to its end, and leaves.
fn send_rest(mut peer: Peer, content: &[u8], position: u64) {
    let start = usize::try_from(position).expect("small") * 1024;
    peer.send_content(&content[start..]);
    assert_eq!(peer.close(0, content.len() as u64).mnemonic(), Mnemonic::Efpa);
    peer.finish();
}

fn assert_received(scene: &Scene, content: &[u8]) {
    scene.assert_unharmed(1);
    assert!(fs::read(&scene.station.inbox("peer")[0]).expect("it is there") == content);
}

fn starts_again(scene: &Scene) -> Vec<String> {
    let events = scene.station.events.all();
    let again = events.iter().filter(|event| matches!(event, Event::StartsAgain { .. }));
    again.map(ToString::to_string).collect()
}

#[test]
fn goes_on_at_the_lower_of_both_positions() {
    for (offer, expected) in [
        (1, 1),
        (10, 10),
        (OURS - 1, OURS - 1),
        (OURS, OURS),
        (OURS + 1, OURS),
        (98, OURS),
        (99_999_999_999_999_999, OURS),
    ] {
        let scene = Scene::new("");
        let (file, content) = half(&scene);
        let mut peer = called(&scene, &restarting_ssid());
        assert_eq!(answer(&mut peer, &file, offer), expected);
        send_rest(peer, &content, expected);
        assert_received(&scene, &content);
        assert_eq!(starts_again(&scene), Vec::<String>::new());
    }
}

#[test]
fn goes_on_before_level_5_with_as_many_digits_as_it_has() {
    let scene = Scene::new("");
    let (file, content) = half(&scene);
    let mut peer = called(&scene, &StartSession { level: 4, ..restarting_ssid() });
    assert_eq!(answer(&mut peer, &file, 999_999_999), OURS);
    send_rest(peer, &content, OURS);
    assert_received(&scene, &content);
}

#[test]
fn goes_on_after_every_cut() {
    let scene = Scene::new("");
    let (file, content) = half(&scene);
    // Less than was here already; a little more; nothing at all.
    for (offer, octets) in [(10, 5_000), (OURS, 20_000), (60, 0)] {
        let mut peer = called(&scene, &restarting_ssid());
        let position = answer(&mut peer, &file, offer);
        assert_eq!(position, offer);
        let start = usize::try_from(position).expect("small") * 1024;
        peer.send_content(&content[start..start + octets]);
        drop(peer);
        scene.ends();
        scene.assert_unharmed_while_waiting(0, 1);
    }
    scene.assert_waits("R1", OURS * 1024 + 20_000);
    let mut peer = called(&scene, &restarting_ssid());
    let farthest = (OURS * 1024 + 20_000) / 1024;
    assert_eq!(answer(&mut peer, &file, 98), farthest);
    send_rest(peer, &content, farthest);
    assert_received(&scene, &content);
}

#[test]
fn records_go_on_where_one_begins() {
    for format in [FileFormat::Fixed, FileFormat::Variable] {
        let records: Vec<_> = (1..=400).map(|seed| noise(seed, 250)).collect();
        let payloads: Vec<_> = records.iter().map(|record| subrecords(record)).collect();
        let mut content = Vec::new();
        for record in &records {
            if format == FileFormat::Variable {
                content.extend([0, 250]);
            }
            content.extend(record);
        }
        for (offer, expected) in [(400, 200), (200, 200), (77, 77)] {
            let scene = Scene::new("");
            let file = StartFile { format, record_size: 250, ..sfid("RECORDS", OCTETS) };
            // And half of the next record.
            let mut sent = payloads[..200].to_vec();
            sent.push(payloads[200][..64].to_vec());
            cut(&scene, &file, &sent);
            let mut peer = called(&scene, &restarting_ssid());
            assert_eq!(answer(&mut peer, &file, offer), expected, "{format:?}");
            peer.send_payloads(&payloads[usize::try_from(expected).expect("small")..]);
            assert_eq!(peer.close(400, OCTETS as u64).mnemonic(), Mnemonic::Efpa);
            peer.finish();
            assert_received(&scene, &content);
        }
    }
}

#[test]
fn an_envelope_goes_on_in_the_middle() {
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let content = noise(5, OCTETS);
    let envelope = Sealing::new(&peer_key, &station_key).seal(SIGN_ENCRYPT, &content);
    for offer in [3, 97] {
        let scene = Scene::secured("");
        let file = announced("SEALED", SIGN_ENCRYPT, 4, envelope.len());
        let payloads: Vec<_> = envelope[..CUT].chunks(900).map(subrecords).collect();
        cut(&scene, &file, &payloads);
        scene.assert_unharmed_while_waiting(0, 1);
        let safe = scene.interrupted()["R1"];
        assert!((10_000..=CUT as u64).contains(&safe), "{safe}");
        let mut peer = called(&scene, &restarting_ssid());
        let position = answer(&mut peer, &file, offer);
        assert_eq!(position, offer.min(safe / 1024));
        send_rest(peer, &envelope, position);
        assert_received(&scene, &content);
    }
}

/// What was here is no use; it comes from its start, with this content.
fn comes_again(scene: &Scene, file: &StartFile, restart: u64, content: &[u8], why: &[&str]) {
    let mut peer = called(scene, &restarting_ssid());
    assert_eq!(answer(&mut peer, file, restart), 0);
    send_rest(peer, content, 0);
    assert_received(scene, content);
    assert_eq!(starts_again(scene), why);
}

#[test]
fn a_file_that_is_announced_otherwise_comes_from_its_start() {
    const OTHERWISE: &str =
        "R1 it starts again, although 50000 octets were safe: it is announced otherwise than before";
    let change: [fn(&mut StartFile); 3] = [
        |file| file.size_blocks += 1,
        |file| file.format = FileFormat::Text,
        |file| (file.cipher_suite, file.signed_response) = (4, true),
    ];
    for change in change {
        let scene = Scene::secured("");
        let (mut file, _) = half(&scene);
        change(&mut file);
        comes_again(&scene, &file, OURS, &noise(2, 90_000), &[OTHERWISE]);
    }
}

#[test]
fn a_peer_that_begins_again_may_bring_another_content() {
    let scene = Scene::new("");
    let (file, _) = half(&scene);
    let why = "R1 it starts again, although 50000 octets were safe: the partner begins again";
    comes_again(&scene, &file, 0, &noise(2, 30_000), &[why]);
}

#[test]
fn a_file_that_was_never_here_comes_from_its_start() {
    for restart in [1, OURS, 99_999_999_999_999_999] {
        let scene = Scene::new("");
        comes_again(&scene, &sfid("NEVER", OCTETS), restart, &noise(1, OCTETS), &[]);
    }
}

#[test]
fn a_file_goes_on_where_a_session_that_is_silent_has_left_it() {
    let scene = Scene::new("");
    let (file, content) = half(&scene);
    let mut silent = called(&scene, &restarting_ssid());
    assert_eq!(answer(&mut silent, &file, OURS), OURS);
    silent.send_content(&content[48 * 1024..60 * 1024]);
    let mut peer = called(&scene, &restarting_ssid());
    assert_eq!(answer(&mut peer, &file, 98), 60);
    silent.expect_closed();
    send_rest(peer, &content, 60);
    assert_received(&scene, &content);
}

#[test]
fn a_file_that_ends_before_what_was_here_is_refused_and_forgotten() {
    let scene = Scene::new("");
    let (file, content) = half(&scene);
    let mut peer = called(&scene, &restarting_ssid());
    assert_eq!(answer(&mut peer, &file, 10), 10);
    peer.send_content(&content[10 * 1024..20_000]);
    match peer.close(0, 20_000) {
        Command::EndFileNegativeAnswer(answer) => assert_eq!(answer.reason, AnswerReason::INVALID_BYTE_COUNT),
        other => unreachable!("{other:?}"),
    }
    peer.finish();
    scene.assert_unharmed(0);
    comes_again(&scene, &file, OURS, &content, &[]);
}
