//! Files that are not taken: names, stations, formats, services, duplicates, sizes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use odile_station::SessionEnd;
use odile_tests::peer::{Peer, code, sfid, ssid, subrecords};
use odile_tests::scene::{Scene, tree};
use odile_wire::command::{FileFormat, Security, StartFile, StartSession};
use odile_wire::{AnswerReason as Reason, Command, DatasetName, EndSessionReason, Mnemonic};

/// Offers a file, which must be refused for this reason, and gives the retry flag.
fn refused(peer: &mut Peer, file: &StartFile, reason: Reason) -> bool {
    match peer.offer(file) {
        Command::StartFileNegativeAnswer(answer) => {
            assert_eq!(answer.reason, reason, "{file:?}");
            assert!(!answer.text.is_empty());
            answer.retry
        }
        other => unreachable!("{file:?} was answered with {other:?}"),
    }
}

fn named(octets: &[u8]) -> StartFile {
    let mut name = [b' '; 26];
    name[..octets.len()].copy_from_slice(octets);
    let mut file = sfid("X", 5);
    file.id.dataset_name = DatasetName::from_octets(name);
    file
}

#[test]
fn a_name_never_becomes_a_path() {
    let scene = Scene::new("");
    let before = tree(scene.station.folder());
    let names: &[&[u8]] = &[
        b"../../etc/passwd",
        b"/etc/passwd",
        b"..",
        b".",
        b"a/b/c",
        b".hidden",
        b"C:\\WINDOWS",
        b"-rf",
        b"~",
        b"%2E",
    ];
    let mut peer = Peer::open(scene.address);
    for name in names {
        peer.send_file(&named(name), b"hello");
    }
    peer.finish();
    scene.ends();
    let inbox = scene.station.home().inbox(&"peer".parse().expect("it is there"));
    let (spool, root) = (scene.station.home().spool(), scene.station.home().root().to_path_buf());
    let is_catalog =
        |path: &Path| path.parent() == Some(&root) && path.to_string_lossy().contains("catalog.sqlite3");
    for path in tree(scene.station.folder()).difference(&before) {
        assert!(path.parent() == Some(&inbox) || is_catalog(path), "{} is new", path.display());
        assert!(!path.starts_with(&spool));
    }
    for path in scene.station.inbox("peer") {
        let name = path.file_name().expect("it is there").to_string_lossy().into_owned();
        assert!(!name.starts_with('.') && !name.contains(['\\', '~', ':']), "{name}");
    }
    assert!(!Path::new("/etc/passwd.20260401-0000000001").exists());
    scene.assert_unharmed(names.len());
}

#[test]
fn names_that_cannot_be_shown_are_refused() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    let names: &[&[u8]] = &[
        b"",
        b"\0",
        b"NUL\0INSIDE",
        b"LINE\nFEED",
        b"TAB\t",
        b"\x1b[2JCLEAR",
        b"DEL\x7f",
        b"T\xdcR",
        "TÜR".as_bytes(),
        &[0xFF; 26],
    ];
    for name in names {
        assert!(!refused(&mut peer, &named(name), Reason::INVALID_FILENAME));
    }
    peer.send_file(&named(b"GOOD"), b"hello");
    peer.finish();
    scene.assert_told("refused: SFNA 01, invalid filename");
    // Nothing that a terminal would obey reaches the operator's.
    for event in scene.station.events.all() {
        assert!(!event.to_string().contains(|c: char| c.is_control()), "{event:?}");
    }
    scene.assert_unharmed(1);
}

#[test]
fn files_for_others_and_from_others_are_refused() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    let mut file = sfid("ELSEWHERE", 5);
    file.id.destination = code("O0013NOBODY");
    assert!(!refused(&mut peer, &file, Reason::INVALID_DESTINATION));
    let mut file = sfid("FORGED", 5);
    file.id.originator = code("O0013GOOD");
    assert!(!refused(&mut peer, &file, Reason::INVALID_ORIGIN));
    peer.finish();
    scene.assert_told("refused: SFNA 02");
    scene.assert_told("refused: SFNA 03");
    scene.assert_unharmed(0);
}

#[test]
fn formats_and_services_that_are_not_known_are_refused() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    let plain = sfid("SERVICES", 5);
    let of_level =
        |security, cipher_suite| StartFile { security, cipher_suite, envelope: 1, ..plain.clone() };
    let unknown_format = StartFile { format: FileFormat::Unknown(b'Q'), ..plain.clone() };
    let cases = [
        (unknown_format.clone(), Reason::RECORD_FORMAT_NOT_SUPPORTED),
        (
            StartFile { compression: 1, envelope: 1, ..unknown_format.clone() },
            Reason::RECORD_FORMAT_NOT_SUPPORTED,
        ),
        (StartFile { envelope: 1, ..unknown_format }, Reason::RECORD_FORMAT_NOT_SUPPORTED),
        (StartFile { format: FileFormat::Fixed, ..plain.clone() }, Reason::RECORD_LENGTH_NOT_SUPPORTED),
        (of_level(Security::Encrypted, 0), Reason::CIPHER_SUITE_NOT_SUPPORTED),
        (of_level(Security::Encrypted, 11), Reason::CIPHER_SUITE_NOT_SUPPORTED),
        (of_level(Security::Signed, 99), Reason::CIPHER_SUITE_NOT_SUPPORTED),
        (of_level(Security::EncryptedAndSigned, 77), Reason::CIPHER_SUITE_NOT_SUPPORTED),
        // Known, but not among those that are taken unless the terms say so.
        (of_level(Security::EncryptedAndSigned, 8), Reason::CIPHER_SUITE_NOT_SUPPORTED),
        (of_level(Security::Unknown(4), 4), Reason::UNSPECIFIED),
        (of_level(Security::Unknown(77), 4), Reason::UNSPECIFIED),
        (StartFile { compression: 2, envelope: 1, ..plain.clone() }, Reason::COMPRESSION_NOT_ALLOWED),
        (StartFile { compression: 9, ..plain.clone() }, Reason::COMPRESSION_NOT_ALLOWED),
    ];
    for (file, reason) in &cases {
        assert!(!refused(&mut peer, file, *reason));
    }
    // What was refused for its form may come in another.
    peer.send_file(&plain, b"hello");
    peer.finish();
    scene.assert_unharmed(1);
}

#[test]
fn a_partner_that_may_not_send_is_refused_file_by_file() {
    let scene = Scene::new("may_send = false\nmay_receive = false\n");
    let mut peer = Peer::open(scene.address);
    assert!(!refused(&mut peer, &sfid("FORBIDDEN", 5), Reason::FILE_DIRECTION_REFUSED));
    peer.finish();
    scene.assert_unharmed(0);
}

#[test]
fn a_duplicate_is_refused_for_good() {
    let scene = Scene::new("");
    let file = sfid("TWICE", 5);
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, b"hello");
    assert!(!refused(&mut peer, &file, Reason::DUPLICATE_FILE));
    assert_eq!(peer.finish(), [file.id]);
    // Nor in another session, after the receipt.
    let mut peer = Peer::open(scene.address);
    assert!(!refused(&mut peer, &file, Reason::DUPLICATE_FILE));
    assert_eq!(peer.finish(), []);
    scene.assert_unharmed(1);
}

#[test]
fn a_file_that_comes_in_two_sessions_at_once_is_taken_once() {
    let scene = Scene::new("");
    let file = sfid("TWO-SESSIONS", 5);
    let (mut one, mut other) = (Peer::open(scene.address), Peer::open(scene.address));
    one.start(&file);
    // Slow, but alive: the other waits, and is refused.
    let is_answered = AtomicBool::new(false);
    let octets = std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let mut sent = 0;
            while !is_answered.load(Ordering::Relaxed) {
                one.send_payload(&subrecords(b"x"));
                sent += 1;
                if sent % u64::from(ssid().credit) == 0 {
                    one.expect(Mnemonic::Cdt);
                }
                std::thread::sleep(Duration::from_millis(500));
            }
            sent
        });
        let may_be_tried_again = refused(&mut other, &file, Reason::UNSPECIFIED);
        is_answered.store(true, Ordering::Relaxed);
        assert!(may_be_tried_again);
        slow.join().expect("it is taken")
    });
    assert_eq!(one.close(0, octets).mnemonic(), Mnemonic::Efpa);
    assert!(!refused(&mut other, &file, Reason::DUPLICATE_FILE));
    one.finish();
    other.finish();
    scene.assert_unharmed(1);
}

#[test]
fn a_file_that_broke_off_in_another_session_may_come_again() {
    let scene = Scene::new("");
    let file = sfid("SECOND-TRY", 5);
    let (mut one, mut other) = (Peer::open(scene.address), Peer::open(scene.address));
    one.start(&file);
    drop(one);
    // Whether the station has noticed that yet or not.
    other.send_file(&file, b"hello");
    other.finish();
    scene.assert_unharmed(1);
}

#[test]
fn a_file_is_taken_over_from_a_session_that_is_silent() {
    let scene = Scene::new("");
    let file = sfid("SILENT", 5);
    let (mut one, mut other) = (Peer::open(scene.address), Peer::open(scene.address));
    one.start(&file);
    other.send_file(&file, b"hello");
    other.finish();
    one.expect_closed();
    let ends = scene.ends();
    let is_left = |end: &SessionEnd| end.by_us && end.reason == EndSessionReason::TIME_OUT;
    assert_eq!(ends.iter().filter(|end| is_left(end)).count(), 1, "{ends:?}");
    scene.assert_unharmed(1);
}

#[test]
fn a_file_larger_than_the_disk_is_refused_before_it_comes() {
    let scene = Scene::new("");
    let mut file = sfid("HUGE", 5);
    file.size_blocks = 9_999_999_999_999;
    let mut peer = Peer::open(scene.address);
    assert!(refused(&mut peer, &file, Reason::FILE_TOO_BIG), "there may be room later");
    peer.finish();
    scene.assert_told("make room");
    scene.assert_unharmed(0);
}

#[test]
fn a_restart_that_was_not_agreed_is_a_protocol_violation() {
    // Either side can be the one that does not want it.
    for (terms, restart) in [("", false), ("[session]\nrestart = false\n", true)] {
        let scene = Scene::new(terms);
        let mut peer = Peer::connect(scene.address);
        let answer = peer.greet(&StartSession { restart, ..ssid() });
        assert!(!answer.restart);
        peer.send(Command::StartFile(Box::new(StartFile { restart: 7, ..sfid("RESTART", 90_000) })));
        peer.expect_end(EndSessionReason::PROTOCOL_VIOLATION);
        assert!(scene.end().text.contains("restart position 7"));
        scene.assert_unharmed(0);
    }
}
