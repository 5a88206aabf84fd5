//! Receipts of ours as evidence, for others to check.

use std::sync::Arc;

use odile_station::envelope::HashAlgorithm;
use odile_tests::envelope::{announced, noise};
use odile_tests::openssl::openssl;
use odile_tests::peer::{Peer, sfid, ssid};
use odile_tests::pki::{issued, write_private};
use odile_tests::scene::Scene;
use odile_wire::command::{EndToEndResponse, FileFormat, StartFile, StartSession};
use odile_wire::{EndSessionReason, Mnemonic};

/// The station's receipt for a file of these octets that asked for a signed one.
fn receipt(terms: &str, file: &StartFile, octets: &[u8]) -> EndToEndResponse {
    let scene = Scene::secured(terms);
    let mut peer = Peer::open(scene.address);
    peer.send_file(file, octets);
    let mut receipts = peer.finish_with_receipts().positive;
    assert_eq!(receipts.len(), 1);
    scene.assert_unharmed(1);
    receipts.remove(0)
}

fn asking(file: StartFile, suite: u8) -> StartFile {
    StartFile { signed_response: true, cipher_suite: suite, ..file }
}

/// What RFC 5024 §5.3.13 says is signed, put together by hand.
fn signed_octets(file: &StartFile, hash: &[u8]) -> Vec<u8> {
    let padded = |text: &str, width: usize| format!("{text:width$}").into_bytes();
    [
        padded(&file.id.dataset_name.to_string(), 26),
        b"20260401".to_vec(),
        file.id.time.to_string().into_bytes(),
        padded("O0013PEER", 25),
        padded("O0013STATION", 25),
        hash.to_vec(),
    ]
    .concat()
}

#[test]
fn our_receipts_verify_with_openssl() {
    let scene = Scene::secured("");
    let certificate = scene.station.folder().join("station.crt");
    write_private(&certificate, &issued("station").certificate);
    let mut peer = Peer::open(scene.address);
    let mut expected = Vec::new();
    for (suite, algorithm) in
        [(1, HashAlgorithm::Sha1), (4, HashAlgorithm::Sha256), (6, HashAlgorithm::Sha512)]
    {
        let content = noise(u64::from(suite), 3000);
        let file = asking(sfid("RECEIPT 4 OPENSSL", content.len()), suite);
        peer.send_file(&file, &content);
        expected.push(signed_octets(&file, algorithm.hash(&content).as_bytes()));
    }
    let receipts = peer.finish_with_receipts().positive;
    assert_eq!(receipts.len(), expected.len());
    for (eerp, expected) in receipts.iter().zip(&expected) {
        assert_eq!(&eerp.signed_octets(), expected);
        let path = certificate.to_str().expect("a path of ASCII");
        let arguments = ["cms", "-verify", "-inform", "DER", "-binary", "-noverify", "-certfile", path];
        let Some(verified) = openssl("our_receipts_verify_with_openssl", &arguments, &eerp.signature) else {
            continue;
        };
        assert_eq!(&verified.expect("a right signature"), expected);
        // Without the certificate nothing verifies: it does not travel along unless the terms say so.
        let Some(Err(complaint)) =
            openssl("our_receipts_verify_with_openssl", &arguments[..6], &eerp.signature)
        else {
            unreachable!("openssl was there a moment ago, and has no certificate")
        };
        assert!(complaint.contains("signer certificate not found"), "{complaint}");
    }
    scene.assert_unharmed(expected.len());
}

#[test]
fn our_certificate_travels_along_if_the_terms_say_so() {
    let file = asking(sfid("RECEIPT", 5), 4);
    let eerp = receipt("[send]\nembed_certificate = true\n", &file, b"hello");
    let arguments = ["cms", "-verify", "-inform", "DER", "-binary", "-noverify"];
    let test = "our_certificate_travels_along_if_the_terms_say_so";
    if let Some(verified) = openssl(test, &arguments, &eerp.signature) {
        assert_eq!(verified.expect("a right signature"), eerp.signed_octets());
    }
    assert!(eerp.signature.len() > receipt("", &asking(sfid("RECEIPT", 5), 4), b"hello").signature.len());
}

#[test]
fn every_kind_of_file_gets_a_receipt_over_what_was_transmitted() {
    let hello = HashAlgorithm::Sha256.hash(b"hello");
    for file in [
        sfid("U", 5),
        StartFile { format: FileFormat::Text, ..sfid("T", 5) },
        StartFile { format: FileFormat::Fixed, record_size: 5, ..sfid("F", 5) },
    ] {
        let scene = Scene::secured("");
        let mut peer = Peer::open(scene.address);
        peer.start(&asking(file.clone(), 4));
        peer.send_payload(&odile_tests::peer::subrecords(b"hello"));
        let records = u64::from(file.format.has_records());
        assert_eq!(peer.close(records, 5).mnemonic(), Mnemonic::Efpa);
        let receipts = peer.finish_with_receipts().positive;
        assert_eq!(receipts[0].hash, hello.as_bytes(), "{file:?}");
        scene.assert_unharmed(1);
    }
    let empty = receipt("", &asking(sfid("EMPTY", 0), 4), b"");
    assert_eq!(empty.hash, HashAlgorithm::Sha256.hash(b"").as_bytes());
}

/// Whatever keeps the station from signing, the file is taken, and the receipt goes unsigned.
fn unsigned(scene: &Scene, file: &StartFile, told: Option<&str>) {
    let mut peer = Peer::open(scene.address);
    peer.send_file(file, b"hello");
    let receipts = peer.finish_with_receipts().positive;
    assert!(receipts[0].hash.is_empty() && receipts[0].signature.is_empty(), "{receipts:?}");
    if let Some(told) = told {
        scene.assert_told(told);
    }
    scene.assert_unharmed(1);
}

#[test]
fn a_station_that_may_not_or_cannot_sign_sends_its_receipt_unsigned() {
    let file = || asking(sfid("UNSIGNED", 5), 4);
    unsigned(&Scene::secured("[receive]\nsigned_receipt = \"forbidden\"\n"), &file(), None);
    let no_key = "R1: its receipt goes unsigned: this station has no key";
    unsigned(&Scene::new(""), &file(), Some(no_key));
    let no_suite = "R1: its receipt goes unsigned: SFID names no cipher suite for it";
    unsigned(&Scene::secured(""), &asking(sfid("UNSIGNED", 5), 0), Some(no_suite));
    unsigned(&Scene::secured(""), &asking(sfid("UNSIGNED", 5), 99), Some(no_suite));
    let other_suite = "R1: its receipt goes unsigned: SFID names cipher suite 01 for it, which is not among";
    unsigned(
        &Scene::secured("[receive]\nsuites = [4]\n"),
        &asking(sfid("UNSIGNED", 5), 1),
        Some(other_suite),
    );
    unsigned(&Scene::secured(""), &sfid("NOT-ASKED", 5), None);
}

#[test]
fn the_receipt_for_an_envelope_is_over_the_envelope() {
    let content = odile_tests::envelope::Sealing::new(&issued("peer"), &issued("station"))
        .seal(odile_station::envelope::Services::ALL, b"hello");
    let file = asking(announced("SEALED", odile_station::envelope::Services::ALL, 4, content.len()), 4);
    let eerp = receipt("", &file, &content);
    assert_eq!(eerp.hash, HashAlgorithm::Sha256.hash(&content).as_bytes());
    let signers = [Arc::new(issued("station").identity.certificate().clone())];
    odile_station::envelope::verify_message(&eerp.signature, &[&eerp.signed_octets()], &signers, None)
        .expect("a right signature");
}

#[test]
fn a_signed_receipt_for_a_plain_file_is_over_its_octets_without_lengths() {
    let scene = Scene::secured("");
    let mut peer = Peer::open(scene.address);
    let file = StartFile {
        format: FileFormat::Variable,
        record_size: 10,
        signed_response: true,
        cipher_suite: 4,
        ..sfid("RECORDS", 11)
    };
    peer.start(&file);
    let mut payload = odile_tests::peer::subrecords(b"first");
    payload.extend(odile_tests::peer::subrecords(b""));
    payload.extend(odile_tests::peer::subrecords(b"second"));
    peer.send_payload(&payload);
    assert_eq!(peer.close(3, 11).mnemonic(), Mnemonic::Efpa);
    let eerp = peer.finish_with_receipts().positive.remove(0);
    let expected = HashAlgorithm::Sha256.hash(b"firstsecond");
    assert_eq!(eerp.hash, expected.as_bytes());
    let signers = [Arc::new(issued("station").identity.certificate().clone())];
    odile_station::envelope::verify_message(&eerp.signature, &[&eerp.signed_octets()], &signers, None)
        .expect("a right signature");
    scene.assert_unharmed(1);
}

#[test]
fn a_signed_receipt_waits_for_a_session_that_can_carry_its_signature() {
    let scene = Scene::secured("");
    let file = asking(sfid("PATIENT", 5), 4);
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, b"hello");
    // The peer leaves without giving the turn.
    peer.end(EndSessionReason::UNSPECIFIED);
    drop(peer);
    let mut old = Peer::connect(scene.address);
    old.greet(&StartSession { level: 4, ..ssid() });
    assert!(old.finish_with_receipts().positive.is_empty(), "level 4 has no signatures");
    let receipts = Peer::open(scene.address).finish_with_receipts().positive;
    assert_eq!(receipts.len(), 1);
    assert!(!receipts[0].signature.is_empty());
    scene.assert_unharmed(1);
}
