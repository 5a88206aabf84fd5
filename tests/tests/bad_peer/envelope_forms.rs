//! Envelopes that are right, in whatever form other products give them.

use odile_station::Event;
use odile_station::envelope::seal::Embed;
use odile_station::envelope::{SealOptions, Services, Suite};
use odile_tests::asn1::{Node, element};
use odile_tests::envelope::{
    COMPRESS, ENCRYPT, SIGN, SIGN_COMPRESS, SIGN_ENCRYPT, Sealing, announced, compressed, flipped,
    in_one_piece, noise, position, signed, zlib,
};
use odile_tests::peer::{Peer, STATION, sfid};
use odile_tests::pki::{Issued, Validity, issued, issued_for};
use odile_tests::scene::{Scene, equipped};
use odile_tests::station::TestStation;
use odile_wire::command::{FileFormat, Security, StartFile};
use odile_wire::{AnswerReason, Command, Mnemonic};

const ALL: Services = Services::ALL;
const HELLO: &[u8] = b"hello, whatever the form";

/// Sends files, each of which must be taken and be the same when it is opened.
fn taken(scene: Scene, files: &[(StartFile, Vec<u8>)], content: &[u8]) {
    let mut peer = Peer::open(scene.address);
    for (file, octets) in files {
        peer.send_file(file, octets);
    }
    assert_eq!(peer.finish().len(), files.len());
    for path in scene.station.inbox("peer") {
        assert_eq!(std::fs::read(&path).expect("it is there"), content, "{}", path.display());
    }
    scene.assert_unharmed(files.len());
}

/// Octets with what SFID says of them, in suite 04.
fn with_file(services: Services, octets: Vec<u8>) -> (StartFile, Vec<u8>) {
    (announced("FORM", services, 4, octets.len()), octets)
}

fn sealed(services: Services, content: &[u8]) -> Vec<u8> {
    Sealing::new(&issued("peer"), &issued("station")).seal(services, content)
}

#[test]
fn definite_and_indefinite_lengths_are_taken_in_any_layer() {
    let peer = issued("peer");
    let tree = signed(Suite::S04, &peer, HELLO, Embed::Nothing);
    let (definite, indefinite) = (tree.definite(), tree.indefinite());
    let mut files = vec![
        with_file(SIGN, definite.clone()),
        with_file(SIGN, indefinite.clone()),
        with_file(SIGN, sealed(SIGN, HELLO)),
        with_file(COMPRESS, compressed(&zlib(HELLO))),
        with_file(COMPRESS, Node::parse(&compressed(&zlib(HELLO))).indefinite()),
    ];
    for inner in [&definite, &indefinite] {
        let outer = sealed(ENCRYPT, inner);
        files.push(with_file(SIGN_ENCRYPT, in_one_piece(&outer)));
        files.push(with_file(SIGN_ENCRYPT, Node::parse(&outer).definite()));
        files.push(with_file(SIGN_ENCRYPT, outer));
        files.push(with_file(SIGN_COMPRESS, compressed(&zlib(inner))));
        files.push(with_file(ALL, sealed(ENCRYPT, &compressed(&zlib(inner)))));
    }
    taken(Scene::secured(""), &files, HELLO);
}

#[test]
fn segments_of_any_size_are_taken() {
    let (peer, station) = (issued("peer"), issued("station"));
    let content = noise(1, 40_000);
    let mut files = Vec::new();
    for (chunk_bytes, segment_bytes) in [(1024, 1024), (1 << 20, 1 << 20), (1024, 1 << 20), (1 << 20, 1024)] {
        let options = SealOptions { chunk_bytes, segment_bytes, ..SealOptions::default() };
        let sealing = Sealing { options, ..Sealing::new(&peer, &station) };
        files.push(with_file(ALL, sealing.seal(ALL, &content)));
    }
    taken(Scene::secured(""), &files, &content);
}

#[test]
fn strings_within_strings_are_taken() {
    let peer = issued("peer");
    let mut tree = signed(Suite::S04, &peer, HELLO, Embed::Nothing);
    let segment = |octets: &[u8]| Node::Leaf(0x04, octets.to_vec());
    let (one, two) = HELLO.split_at(7);
    let inner = Node::Branch(0x24, vec![segment(b""), segment(two), Node::Branch(0x24, Vec::new())]);
    *tree.at(&[1, 0, 2, 1, 0]) = Node::Branch(0x24, vec![segment(one), inner]);
    taken(Scene::secured(""), &[with_file(SIGN, tree.definite()), with_file(SIGN, tree.indefinite())], HELLO);
}

/// Two signatures over the same content.
fn signed_twice(one: &Issued, other: &Issued) -> Vec<u8> {
    let mut tree = signed(Suite::S04, one, HELLO, Embed::Nothing);
    let signer = signed(Suite::S04, other, HELLO, Embed::Nothing).at(&[1, 0, 3, 0]).clone();
    tree.at(&[1, 0, 3]).children().push(signer);
    tree.definite()
}

#[test]
fn one_known_signer_of_two_is_enough() {
    let (peer, stranger) = (issued("peer"), issued("stranger"));
    let files = [
        with_file(SIGN, signed_twice(&peer, &stranger)),
        with_file(SIGN, signed_twice(&stranger, &peer)),
        with_file(ALL, sealed(ENCRYPT, &compressed(&zlib(&signed_twice(&stranger, &peer))))),
    ];
    taken(Scene::secured(""), &files, HELLO);
}

#[test]
fn an_old_and_a_new_certificate_count_side_by_side() {
    let station = equipped();
    station.give_certificate("peer", "signing", &issued("peer, renewed"));
    station.give_certificate("peer", "signing", &issued_for("peer of old", Validity::Expired));
    let sign = |signer: &Issued| signed(Suite::S04, signer, HELLO, Embed::Nothing).definite();
    let files = [
        with_file(SIGN, sign(&issued("peer"))),
        with_file(SIGN, sign(&issued("peer, renewed"))),
        // Who signs with both, because he does not know which we have, may be expired with one.
        with_file(
            SIGN,
            signed_twice(&issued_for("peer of old", Validity::Expired), &issued("peer, renewed")),
        ),
    ];
    let scene = Scene::prepared(station, "");
    let mut peer = Peer::open(scene.address);
    for (file, octets) in &files {
        peer.send_file(file, octets);
    }
    peer.finish();
    let found = |event: &Event| match event {
        Event::Received { found, .. } => Some(found.clone()),
        _ => None,
    };
    let found: Vec<_> = scene.station.events.all().iter().filter_map(found).collect();
    assert_eq!(found, ["signed by CN=peer", "signed by CN=peer\\, renewed", "signed by CN=peer\\, renewed"]);
    scene.assert_unharmed(3);
}

#[test]
fn what_is_encrypted_for_an_earlier_key_is_opened() {
    let station = TestStation::with(STATION, "[keys]\nencryption = \"renewed\"\n");
    station.give_key(&issued("station"));
    station.give_key_named("renewed", &issued("station, renewed"));
    station.give_certificate("peer", "shared", &issued("peer"));
    let peer = issued("peer");
    let (old, new) = (issued("station"), issued("station, renewed"));
    let files = [&old, &new].map(|recipient| with_file(ALL, Sealing::new(&peer, recipient).seal(ALL, HELLO)));
    taken(Scene::prepared(station, ""), &files, HELLO);
}

#[test]
fn one_recipient_of_several_is_enough() {
    let (peer, other) = (issued("peer"), issued("somebody else"));
    let for_us = sealed(ALL, HELLO);
    let mut tree = Node::parse(&for_us);
    let stranger = Node::parse(&Sealing::new(&peer, &other).seal(ALL, HELLO)).at(&[1, 0, 1, 0]).clone();
    tree.at(&[1, 0, 1]).children().insert(0, stranger);
    // A recipient of a kind that we do not know.
    tree.at(&[1, 0, 1]).children().push(Node::Raw(element(0xA3, b"\x02\x01\x03")));
    // With one recipient and one key, the name does not matter: some products get it wrong.
    let misnamed = flipped(&for_us, position(&for_us, b"station") + 2);
    taken(
        Scene::secured(""),
        &[with_file(ALL, tree.indefinite()), with_file(ALL, tree.definite()), with_file(ALL, misnamed)],
        HELLO,
    );
}

#[test]
fn an_embedded_certificate_does_no_harm() {
    let peer = issued("peer");
    let (signed_for_all, sealed_for_us) = (
        signed(Suite::S04, &peer, HELLO, Embed::SignerCertificate).definite(),
        Sealing {
            options: SealOptions { embed: Embed::SignerCertificate, ..SealOptions::default() },
            ..Sealing::new(&peer, &issued("station"))
        }
        .seal(ALL, HELLO),
    );
    taken(Scene::secured(""), &[with_file(SIGN, signed_for_all), with_file(ALL, sealed_for_us)], HELLO);
}

#[test]
fn an_envelope_that_sfidenv_does_not_announce_is_opened_all_the_same() {
    let file = |services: Services| {
        let (file, octets) = with_file(services, sealed(services, HELLO));
        (StartFile { envelope: 0, ..file }, octets)
    };
    taken(Scene::secured(""), &[file(SIGN), file(COMPRESS), file(ALL)], HELLO);
}

#[test]
fn a_bare_cms_file_is_stored_as_it_is() {
    let envelope = sealed(ALL, HELLO);
    let file = StartFile { envelope: 1, ..sfid("BARE", envelope.len()) };
    taken(Scene::secured(""), &[(file, envelope.clone())], &envelope);
    // Nor is an envelope opened that nobody announced.
    let file = sfid("PLAIN", envelope.len());
    taken(Scene::secured(""), &[(file, envelope.clone())], &envelope);
}

#[test]
fn more_layers_than_announced_are_the_files_own() {
    let inner = sealed(SIGN, HELLO);
    let outer = sealed(COMPRESS, &inner);
    taken(Scene::secured(""), &[with_file(COMPRESS, outer)], &inner);
}

#[test]
fn an_empty_file_may_be_in_an_envelope() {
    let files: Vec<_> = Services::combinations()
        .filter(|services| *services != Services::NONE)
        .map(|services| with_file(services, sealed(services, b"")))
        .collect();
    taken(Scene::secured(""), &files, b"");
}

#[test]
fn a_sealed_file_of_records_has_them_as_they_were_sealed() {
    // Three records behind their lengths, one of them empty.
    let variable = b"\0\x05first\0\0\0\x06second";
    let fixed = b"aaaabbbbcccc";
    let scene = Scene::secured("");
    let mut peer = Peer::open(scene.address);
    for (format, record_size, content) in [
        (FileFormat::Variable, 10, &variable[..]),
        (FileFormat::Fixed, 4, fixed),
        (FileFormat::Text, 0, b"a\r\n"),
    ] {
        let octets = sealed(ALL, content);
        let file = StartFile { format, record_size, ..announced("RECORDS", ALL, 4, octets.len()) };
        // EFIDRCNT is the count of the original's records, or 0, or whatever else products make of it.
        for records in [3, 0, 77, octets.len() as u64] {
            let file = StartFile { id: sfid("RECORDS", 0).id, ..file.clone() };
            assert_eq!(sent(&mut peer, &file, &octets, records).mnemonic(), Mnemonic::Efpa);
        }
        // EFIDUCNT counts.
        let file = StartFile { id: sfid("RECORDS", 0).id, ..file };
        peer.start(&file);
        match peer.close(0, 5) {
            Command::EndFileNegativeAnswer(answer) => {
                assert_eq!(answer.reason, AnswerReason::INVALID_BYTE_COUNT);
            }
            other => unreachable!("{other:?}"),
        }
    }
    peer.finish();
    let mut contents: Vec<_> =
        scene.station.inbox("peer").iter().map(|path| std::fs::read(path).expect("it is there")).collect();
    contents.sort();
    let expected: Vec<Vec<u8>> =
        [&variable[..], b"a\r\n", fixed].iter().flat_map(|content| vec![content.to_vec(); 4]).collect();
    assert_eq!(contents, expected);
    scene.assert_unharmed(12);
}

/// Sends a small file with so many records in EFID.
fn sent(peer: &mut Peer, file: &StartFile, octets: &[u8], records: u64) -> Command {
    peer.start(file);
    for (at, piece) in octets.chunks(900).enumerate() {
        if at > 0 && at % 3 == 0 {
            peer.expect(Mnemonic::Cdt);
        }
        peer.send_payload(&odile_tests::peer::subrecords(piece));
    }
    if octets.len().div_ceil(900).is_multiple_of(3) {
        peer.expect(Mnemonic::Cdt);
    }
    peer.close(records, octets.len() as u64)
}

#[test]
fn every_suite_that_was_agreed_is_opened() {
    let (peer, station) = (issued("peer"), issued("station"));
    let terms = "[receive]\nsuites = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n";
    let files: Vec<_> = Suite::ALL
        .into_iter()
        .map(|suite| {
            let octets = Sealing::new(&peer, &station).suite(suite).seal(ALL, HELLO);
            (announced("SUITE", ALL, suite.code(), octets.len()), octets)
        })
        .collect();
    taken(Scene::secured(terms), &files, HELLO);
}

#[test]
fn the_operator_reads_what_was_found() {
    let scene = Scene::secured("");
    let octets = sealed(ALL, HELLO);
    let mut peer = Peer::open(scene.address);
    peer.send_file(&announced("FOUND", ALL, 4, octets.len()), &octets);
    peer.finish();
    scene.assert_told("decrypted, decompressed, signed by CN=peer");
    let sidecar = scene.station.inbox("peer")[0].with_extension("");
    let folder = sidecar.parent().expect("a folder");
    let json = std::fs::read_dir(folder)
        .expect("it is there")
        .map(|entry| entry.expect("readable").path())
        .find(|path| path.extension().is_some_and(|ending| ending == "json"))
        .expect("a sidecar");
    let text = std::fs::read_to_string(json).expect("it is there");
    let fingerprint = issued("peer").identity.certificate().fingerprint();
    let fingerprint = fingerprint.iter().fold(String::new(), |text, octet| format!("{text}{octet:02X}"));
    for part in [
        "\"services\":\"signed, compressed, encrypted (suite 04)\"".to_owned(),
        format!("\"signer\":\"CN=peer, certificate {fingerprint}\""),
        format!("\"octets\":{}", HELLO.len()),
    ] {
        assert!(text.contains(&part), "{part} is not in {text}");
    }
    scene.assert_unharmed(1);
}

#[test]
fn security_without_its_envelope_is_never_taken_for_it() {
    // SFIDSEC says signed, SFIDENV says no envelope, and there is none.
    let scene = Scene::secured("");
    let mut peer = Peer::open(scene.address);
    let file = StartFile { security: Security::Signed, cipher_suite: 4, ..sfid("NAKED", 5) };
    assert_eq!(peer.try_file(&file, b"hello").mnemonic(), Mnemonic::Efna);
    peer.finish();
    scene.assert_unharmed(0);
}
