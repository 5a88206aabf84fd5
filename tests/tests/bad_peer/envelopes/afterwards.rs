//! What becomes of a file whose envelope was of no use.

use std::sync::Arc;

use odile_station::Event;
use odile_tests::envelope::{SIGN, announced, flipped, noise, position};
use odile_tests::peer::{Peer, Said, ssid, subrecords};
use odile_tests::pki::issued;
use odile_tests::scene::Scene;
use odile_wire::command::{ReadyToReceive, StartFile};
use odile_wire::{AnswerReason, Command, EndSessionReason, Mnemonic, NegativeEndReason};

use super::{ALL, sealed};

#[test]
fn a_file_that_was_refused_may_come_again() {
    let envelope = sealed(ALL, b"at last");
    for refuse_with in ["efna", "nerp"] {
        let scene = Scene::secured(&format!("[receive]\nrefuse_with = \"{refuse_with}\"\n"));
        let file = announced("AGAIN", ALL, 4, envelope.len());
        let mut peer = Peer::open(scene.address);
        peer.try_file(&file, &flipped(&envelope, envelope.len() / 2));
        peer.send_file(&file, &envelope);
        let receipts = peer.finish_with_receipts();
        // The later receipt takes the place of the one that was not sent yet.
        assert_eq!(receipts.positive.len(), 1, "{receipts:?}");
        assert!(receipts.negative.is_empty(), "{receipts:?}");
        assert_eq!(std::fs::read(&scene.station.inbox("peer")[0]).expect("it is there"), b"at last");
        scene.assert_unharmed(1);
    }
}

#[test]
fn a_negative_receipt_that_was_asked_for_signed_is_signed() {
    let scene = Scene::secured("[receive]\nrefuse_with = \"nerp\"\n");
    let envelope = sealed(SIGN, b"This is what was signed.");
    let envelope = flipped(&envelope, position(&envelope, b"was signed"));
    let file = StartFile { signed_response: true, ..announced("SIGNED-NERP", SIGN, 4, envelope.len()) };
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, &envelope);
    let receipts = peer.finish_with_receipts();
    let nerp = &receipts.negative[0];
    assert_eq!(nerp.reason, NegativeEndReason::INVALID_SIGNATURE);
    let expected = odile_station::envelope::HashAlgorithm::Sha256.hash(&envelope);
    assert_eq!(nerp.hash, expected.as_bytes(), "over the stream as transmitted");
    let signers = [Arc::new(issued("station").identity.certificate().clone())];
    let octets = nerp.signed_octets();
    odile_station::envelope::verify_message(&nerp.signature, &[&octets], &signers, None)
        .expect("a right signature");
    scene.assert_unharmed(0);
}

#[test]
fn an_envelope_that_is_cut_off_by_the_line_leaves_nothing() {
    let scene = Scene::secured("");
    let envelope = sealed(ALL, &noise(8, 5000));
    let file = announced("CUT", ALL, 4, envelope.len());
    let mut peer = Peer::open(scene.address);
    peer.start(&file);
    peer.send_payload(&odile_tests::peer::open_subrecords(&envelope[..900]));
    drop(peer);
    scene.assert_told("not received: the session ended in the middle of the file");
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, &envelope);
    peer.finish();
    scene.assert_unharmed(1);
}

#[test]
fn a_file_that_comes_again_while_its_negative_receipt_is_on_its_way_is_taken() {
    let scene = Scene::secured("[receive]\nrefuse_with = \"nerp\"\n");
    let envelope = sealed(ALL, b"at last");
    let file = announced("CROSSED", ALL, 4, envelope.len());
    let (mut one, mut other) = (Peer::open(scene.address), Peer::open(scene.address));
    one.send_file(&file, &flipped(&envelope, envelope.len() / 2));
    one.give_turn();
    one.expect(Mnemonic::Nerp);
    other.send_file(&file, &envelope);
    one.send(Command::ReadyToReceive(ReadyToReceive));
    let receipts = one.wind_up();
    assert_eq!(receipts.positive.len(), 1, "the later receipt goes as well: {receipts:?}");
    other.finish();
    for end in scene.ends() {
        assert_eq!(end.reason, EndSessionReason::NORMAL, "{end:?}");
    }
    scene.assert_unharmed(1);
}

#[test]
fn a_file_that_was_refused_with_a_receipt_may_come_again_in_another_session() {
    let scene = Scene::secured("[receive]\nrefuse_with = \"nerp\"\n");
    let envelope = sealed(ALL, b"at last");
    let file = announced("LATER", ALL, 4, envelope.len());
    for (octets, refusals) in [(flipped(&envelope, envelope.len() / 2), 1), (envelope, 0)] {
        let mut peer = Peer::open(scene.address);
        peer.send_file(&file, &octets);
        let receipts = peer.finish_with_receipts();
        assert_eq!(receipts.negative.len(), refusals, "{receipts:?}");
        assert_eq!(receipts.positive.len(), 1 - refusals, "{receipts:?}");
    }
    scene.assert_unharmed(1);
}

#[test]
fn a_sealed_file_waits_for_the_blocks_of_another() {
    // There are blocks for one.
    let scene = Scene::secured("");
    let envelope = sealed(ALL, b"one after the other");
    let (mut one, mut other) = (Peer::open(scene.address), Peer::open(scene.address));
    let files = ["ONE", "OTHER"].map(|name| announced(name, ALL, 4, envelope.len()));
    one.start(&files[0]);
    other.send(Command::StartFile(Box::new(files[1].clone())));
    for piece in envelope.chunks(900) {
        one.send_payload(&subrecords(piece));
    }
    assert_eq!(one.close(0, envelope.len() as u64).mnemonic(), Mnemonic::Efpa);
    other.expect(Mnemonic::Sfpa);
    for piece in envelope.chunks(900) {
        other.send_payload(&subrecords(piece));
    }
    assert_eq!(other.close(0, envelope.len() as u64).mnemonic(), Mnemonic::Efpa);
    one.finish();
    other.finish();
    scene.assert_unharmed(2);
}

#[test]
fn the_hash_of_a_negative_receipt_is_that_of_the_whole_stream_wherever_it_went_wrong() {
    let scene = Scene::secured("[receive]\nrefuse_with = \"nerp\"\n");
    // No envelope at all: that is clear from the first octets, and more than a block follows.
    let octets = noise(9, 700_000);
    let file = StartFile { signed_response: true, ..announced("NONE", SIGN, 4, octets.len()) };
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, &octets);
    let receipts = peer.finish_with_receipts();
    let expected = odile_station::envelope::HashAlgorithm::Sha256.hash(&octets);
    assert_eq!(receipts.negative[0].hash, expected.as_bytes());
    scene.assert_unharmed(0);
}

#[test]
fn a_useless_file_that_is_too_long_to_be_read_is_refused_when_it_comes_again() {
    let scene = Scene::secured("");
    let file = announced("ENDLESS", SIGN, 4, 1 << 30);
    let mut peer = Peer::open(scene.address);
    peer.start(&file);
    let piece = subrecords(&noise(10, 900));
    let reason = loop {
        for _ in 0..ssid().credit {
            peer.send_payload(&piece);
        }
        match peer.read() {
            Said::Command(Command::SetCredit(_)) => {}
            Said::Command(Command::EndSession(end)) => break end.reason,
            other => unreachable!("credit or the end was expected, not {other:?}"),
        }
    };
    assert_eq!(reason, EndSessionReason::RESOURCES_NOT_AVAILABLE);
    drop(peer);
    scene.station.events.wait_for(
        "the reason",
        |event| matches!(event, Event::ReceiveFailed { text, .. } if text.contains("announced as signed")),
    );

    let mut peer = Peer::open(scene.address);
    let Command::StartFileNegativeAnswer(answer) = peer.offer(&file) else {
        unreachable!("SFNA was expected")
    };
    assert_eq!((answer.reason, answer.retry), (AnswerReason::UNSPECIFIED, false));
    assert!(answer.text.to_string().contains("as it was found when it came before"), "{}", answer.text);
    peer.finish();
    scene.assert_unharmed(0);
}
