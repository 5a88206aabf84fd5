//! Services that the terms with the partner forbid or require, and such as there are no keys for: refused with SFNA,
//! before the line is busy with the file.

use odile_station::SendRequest;
use odile_station::envelope::{Services, Suite};
use odile_station::partner::ServiceWish;
use odile_tests::envelope::{
    COMPRESS, ENCRYPT, SIGN, SIGN_COMPRESS, SIGN_ENCRYPT, Sealing, announced, noise,
};
use odile_tests::peer::{Peer, STATION, sfid};
use odile_tests::pki::issued;
use odile_tests::scene::{Scene, equipped};
use odile_tests::station::TestStation;
use odile_wire::command::{StartFile, StartFileNegativeAnswer};
use odile_wire::{AnswerReason as Reason, Command};

/// Offers a file, which must be refused for this reason.
fn refused(peer: &mut Peer, file: &StartFile, reason: Reason) -> StartFileNegativeAnswer {
    match peer.offer(file) {
        Command::StartFileNegativeAnswer(answer) => {
            assert_eq!(answer.reason, reason, "{file:?}: {}", answer.text);
            assert!(!answer.text.is_empty());
            assert!(!answer.retry, "another attempt with the same file is refused as well: {}", answer.text);
            answer
        }
        other => unreachable!("{file:?} was answered with {other:?}"),
    }
}

/// What is refused on these terms and why; the other services are taken.
fn refuses(terms: &str, refusals: &[(Services, Reason)], told: &str) {
    let scene = Scene::secured(terms);
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let sealing = Sealing::new(&peer_key, &station_key);
    let mut peer = Peer::open(scene.address);
    let mut taken = 0;
    for services in Services::combinations() {
        let suite = if services.sign || services.encrypt { 4 } else { 0 };
        if let Some((_, reason)) = refusals.iter().find(|(refused, _)| *refused == services) {
            refused(&mut peer, &announced("REFUSED", services, suite, 9), *reason);
            continue;
        }
        let content = sealing.seal(services, b"as agreed");
        let file = announced("TAKEN", services, suite, content.len());
        let file = if services == Services::NONE { StartFile { envelope: 0, ..file } } else { file };
        peer.send_file(&file, &content);
        taken += 1;
    }
    assert_eq!(peer.finish().len(), taken);
    scene.assert_told(told);
    scene.assert_unharmed(taken);
}

const ALL: Services = Services::ALL;
const COMPRESS_ENCRYPT: Services = Services { sign: false, ..ALL };

#[test]
fn forbidden_encryption_is_refused() {
    let refusals = [ENCRYPT, SIGN_ENCRYPT, COMPRESS_ENCRYPT, ALL]
        .map(|services| (services, Reason::ENCRYPTED_NOT_ALLOWED));
    refuses(
        "[receive]\nencrypt = \"forbidden\"\n",
        &refusals,
        "refused: SFNA 16, encrypted file not allowed",
    );
}

#[test]
fn missing_encryption_is_refused() {
    let refusals = [Services::NONE, SIGN, COMPRESS, SIGN_COMPRESS]
        .map(|services| (services, Reason::UNENCRYPTED_NOT_ALLOWED));
    refuses(
        "[receive]\nencrypt = \"required\"\n",
        &refusals,
        "refused: SFNA 17, unencrypted file not allowed",
    );
}

#[test]
fn forbidden_compression_is_refused() {
    let refusals = [COMPRESS, SIGN_COMPRESS, COMPRESS_ENCRYPT, ALL]
        .map(|services| (services, Reason::COMPRESSION_NOT_ALLOWED));
    refuses("[receive]\ncompress = \"forbidden\"\n", &refusals, "refused: SFNA 18, compression not allowed");
}

#[test]
fn forbidden_signatures_are_refused() {
    let refusals =
        [SIGN, SIGN_COMPRESS, SIGN_ENCRYPT, ALL].map(|services| (services, Reason::SIGNED_NOT_ALLOWED));
    refuses("[receive]\nsign = \"forbidden\"\n", &refusals, "refused: SFNA 19, signed file not allowed");
}

#[test]
fn missing_signatures_are_refused() {
    let refusals = [Services::NONE, COMPRESS, ENCRYPT, COMPRESS_ENCRYPT]
        .map(|services| (services, Reason::UNSIGNED_NOT_ALLOWED));
    refuses("[receive]\nsign = \"required\"\n", &refusals, "refused: SFNA 20, unsigned file not allowed");
}

#[test]
fn everything_required_leaves_one_way() {
    let refusals = [
        (Services::NONE, Reason::UNENCRYPTED_NOT_ALLOWED),
        (SIGN, Reason::UNENCRYPTED_NOT_ALLOWED),
        (COMPRESS, Reason::UNENCRYPTED_NOT_ALLOWED),
        (SIGN_COMPRESS, Reason::UNENCRYPTED_NOT_ALLOWED),
        (ENCRYPT, Reason::UNSIGNED_NOT_ALLOWED),
        (COMPRESS_ENCRYPT, Reason::UNSIGNED_NOT_ALLOWED),
    ];
    refuses("[receive]\nsign = \"required\"\nencrypt = \"required\"\n", &refusals, "SFNA 20");
}

#[test]
fn suites_that_were_not_agreed_are_refused() {
    let scene = Scene::secured("[receive]\nsuites = [4, 6]\n");
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let mut peer = Peer::open(scene.address);
    let mut taken = 0;
    for suite in (0..=12).chain([99]) {
        for services in [SIGN, ENCRYPT, ALL] {
            if [4, 6].contains(&suite) {
                let sealing = Sealing::new(&peer_key, &station_key)
                    .suite(Suite::from_code(suite).expect("it is a suite"));
                let content = sealing.seal(services, b"as agreed");
                peer.send_file(&announced("TAKEN", services, suite, content.len()), &content);
                taken += 1;
            } else {
                let file = announced("REFUSED", services, suite, 9);
                refused(&mut peer, &file, Reason::CIPHER_SUITE_NOT_SUPPORTED);
            }
        }
    }
    peer.finish();
    scene.assert_told(
        "refused: SFNA 15, cipher suite not supported: this cipher suite is not among those agreed",
    );
    scene.assert_unharmed(taken);
}

#[test]
fn a_compressed_file_needs_no_suite_and_may_name_any() {
    let scene = Scene::secured("[receive]\nsuites = [4]\n");
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let content = Sealing::new(&peer_key, &station_key).seal(COMPRESS, &[b'z'; 5000]);
    let mut peer = Peer::open(scene.address);
    for suite in [0, 1, 4, 99] {
        peer.send_file(&announced("COMPRESSED", COMPRESS, suite, content.len()), &content);
    }
    peer.finish();
    for path in scene.station.inbox("peer") {
        assert_eq!(std::fs::read(path).expect("it is there"), [b'z'; 5000]);
    }
    scene.assert_unharmed(4);
}

#[test]
fn a_signed_receipt_that_is_required_needs_an_agreed_suite() {
    let scene = Scene::secured("[receive]\nsigned_receipt = \"required\"\nsuites = [4]\n");
    let mut peer = Peer::open(scene.address);
    for cipher_suite in [0, 1, 99] {
        let file = StartFile { signed_response: true, cipher_suite, ..sfid("RECEIPT", 5) };
        refused(&mut peer, &file, Reason::CIPHER_SUITE_NOT_SUPPORTED);
    }
    let file = StartFile { signed_response: true, cipher_suite: 4, ..sfid("RECEIPT", 5) };
    peer.send_file(&file, b"hello");
    // Nobody is forced to ask for one.
    peer.send_file(&sfid("NO-RECEIPT", 5), b"hello");
    let receipts = peer.finish_with_receipts().positive;
    assert!(!receipts[0].signature.is_empty() && receipts[1].signature.is_empty());
    scene.assert_unharmed(2);
}

#[test]
fn an_encrypted_file_for_a_station_without_a_key_is_refused() {
    let station = TestStation::new(STATION);
    station.give_certificate("peer", "shared", &issued("peer"));
    let scene = Scene::prepared(station, "");
    let mut peer = Peer::open(scene.address);
    for services in [ENCRYPT, SIGN_ENCRYPT, ALL] {
        let answer = refused(&mut peer, &announced("NO-KEY", services, 4, 9), Reason::ENCRYPTED_NOT_ALLOWED);
        assert!(answer.text.to_string().contains("no key to decrypt with"), "{}", answer.text);
    }
    // What needs no key is taken.
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let content = Sealing::new(&peer_key, &station_key).seal(SIGN_COMPRESS, b"signed");
    peer.send_file(&announced("SIGNED", SIGN_COMPRESS, 4, content.len()), &content);
    peer.finish();
    scene.assert_told("`odile cert new` makes one");
    scene.assert_unharmed(1);
}

#[test]
fn a_signed_file_of_a_partner_without_a_certificate_is_refused() {
    let station = TestStation::new(STATION);
    station.give_key(&issued("station"));
    // A certificate for another purpose does not count.
    station.give_certificate("peer", "encryption", &issued("peer"));
    let scene = Scene::prepared(station, "");
    let mut peer = Peer::open(scene.address);
    for services in [SIGN, SIGN_COMPRESS, ALL] {
        let answer =
            refused(&mut peer, &announced("NO-CERTIFICATE", services, 4, 9), Reason::SIGNED_NOT_ALLOWED);
        assert!(answer.text.to_string().contains("no certificate of yours"), "{}", answer.text);
    }
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let content = Sealing::new(&peer_key, &station_key).seal(COMPRESS_ENCRYPT, b"encrypted");
    peer.send_file(&announced("ENCRYPTED", COMPRESS_ENCRYPT, 4, content.len()), &content);
    peer.finish();
    scene.assert_told("`odile cert import` adds one");
    scene.assert_unharmed(1);
}

#[test]
fn a_file_larger_than_agreed_is_refused_before_it_comes() {
    let scene = Scene::secured("[receive]\noctets_max = 2048\n");
    let mut peer = Peer::open(scene.address);
    // Blocks are counted up: three may be 2049 octets, which are too many, two are at most 2048.
    refused(&mut peer, &sfid("PLAIN", 4000), Reason::FILE_TOO_BIG);
    peer.send_file(&sfid("PLAIN", 2048), &[7; 2048]);
    // Of a secured file, the original counts.
    let mut file = announced("ORIGINAL", COMPRESS, 0, 500);
    file.original_size_blocks = 4;
    refused(&mut peer, &file, Reason::FILE_TOO_BIG);
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let original = noise(1, 2048);
    let content = Sealing::new(&peer_key, &station_key).seal(ALL, &original);
    assert!(content.len() > 3000, "the envelope may be larger");
    let mut file = announced("ORIGINAL", ALL, 4, content.len());
    file.original_size_blocks = 2;
    peer.send_file(&file, &content);
    peer.finish();
    scene.assert_told("refused: SFNA 06, file size is too big: the file is larger than agreed");
    scene.assert_unharmed(2);
}

/// Queues a file for the peer with this wish; what is wrong with that.
fn not_queued(scene: &Scene, services: ServiceWish) -> String {
    let mut request = SendRequest::new("peer", scene.station.write("file", b"hello"));
    request.services = services;
    scene.station.handle().send(&request).expect_err("it must not be queued").to_string()
}

#[test]
fn what_the_terms_forbid_or_require_of_us_is_no_matter_of_wishes() {
    let forbidden = "[send]\nsign = \"forbidden\"\ncompress = \"forbidden\"\nencrypt = \"forbidden\"\n\
                     signed_receipt = \"forbidden\"\n";
    let required = forbidden.replace("forbidden", "required");
    let keys = ["sign", "compress", "encrypt", "signed_receipt"];
    for (terms, wish, word) in [(forbidden, true, "forbidden"), (&required, false, "required")] {
        let scene = Scene::secured(terms);
        let wishes = [
            ServiceWish { sign: Some(wish), ..ServiceWish::default() },
            ServiceWish { compress: Some(wish), ..ServiceWish::default() },
            ServiceWish { encrypt: Some(wish), ..ServiceWish::default() },
            ServiceWish { signed_receipt: Some(wish), ..ServiceWish::default() },
        ];
        for (key, services) in keys.into_iter().zip(wishes) {
            let text = not_queued(&scene, services);
            assert!(text.contains(&format!("[send] {key} = \"{word}\"")), "{text}");
        }
        scene.assert_unharmed(0);
    }
}

#[test]
fn what_the_terms_require_of_us_is_announced() {
    let terms = "[send]\nsign = \"required\"\ncompress = \"preferred\"\nencrypt = \"required\"\n\
                 signed_receipt = \"preferred\"\nsuite = 6\n";
    let scene = Scene::secured_calling(terms);
    scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::opened(&scene.port);
    let file = peer.expect_offer();
    let expected = StartFile {
        cipher_suite: 6,
        size_blocks: file.size_blocks,
        signed_response: true,
        description: file.description.clone(),
        original_size_blocks: 1,
        id: file.id,
        ..announced("FILE", ALL, 6, 0)
    };
    assert_eq!(file, expected);
    peer.end(odile_wire::EndSessionReason::NORMAL);
    peer.expect_closed();
    scene.assert_unharmed(0);
}

#[test]
fn services_without_keys_are_not_queued() {
    let wish = |sign, encrypt, signed_receipt| ServiceWish {
        sign: Some(sign),
        encrypt: Some(encrypt),
        signed_receipt: Some(signed_receipt),
        ..ServiceWish::default()
    };
    let scene = Scene::new("");
    assert!(not_queued(&scene, wish(true, false, false)).contains("`odile cert new` makes one"));
    assert!(not_queued(&scene, wish(false, true, false)).contains("`odile cert import` adds one"));
    assert!(not_queued(&scene, wish(false, false, true)).contains("`odile cert import` adds one"));
    let station = equipped();
    let expired = odile_tests::pki::issued_for("peer", odile_tests::pki::Validity::Expired);
    std::fs::remove_dir_all(station.home().certificates(&"peer".parse().expect("a name")))
        .expect("it is there");
    station.give_certificate("peer", "shared", &expired);
    let scene = Scene::prepared(station, "");
    assert!(not_queued(&scene, wish(false, true, false)).contains("is valid now"));
}
