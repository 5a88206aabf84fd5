//! Receipts that nobody waits for.

use odile_tests::peer::{Peer, framed, sfid, ssid};
use odile_tests::scene::Scene;
use odile_wire::command::{EndToEndResponse, NegativeEndResponse, ReadyToReceive, StartSession};
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic, NegativeEndReason, VariableText};

#[test]
fn a_receipt_for_a_file_that_nobody_sent_is_taken_and_told() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    let file = sfid("NEVER-SENT", 5);
    peer.send_receipt(&file);
    let (creator, reason) = (file.id.originator, NegativeEndReason::UNSPECIFIED);
    let nerp = NegativeEndResponse::for_file(&file.id, creator, reason, VariableText::default());
    peer.send(Command::NegativeEndResponse(Box::new(nerp)));
    peer.expect(Mnemonic::Rtr);
    peer.finish();
    scene.assert_told("receipt for NEVER-SENT, which nobody here waits for");
    scene.assert_unharmed(0);
}

#[test]
fn a_second_receipt_changes_nothing() {
    let scene = Scene::calling("");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::opened(&scene.port);
    let (file, _) = peer.take_file();
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    peer.send_receipt(&file);
    scene.station.wait_state(&transfer, "delivered");
    peer.send_receipt(&file);
    let (creator, reason) = (file.id.destination, NegativeEndReason::UNSPECIFIED);
    let nerp = NegativeEndResponse::for_file(&file.id, creator, reason, VariableText::default());
    peer.send(Command::NegativeEndResponse(Box::new(nerp)));
    peer.expect(Mnemonic::Rtr);
    peer.finish();
    assert_eq!(scene.state(&transfer).0, "delivered");
    scene.assert_told("which nobody here waits for");
    scene.assert_unharmed(0);
}

#[test]
fn the_receipt_of_another_partner_delivers_nothing() {
    let scene = Scene::new("");
    // A file for the partner that behaves, which does not take it: it has no address here.
    let transfer = scene.station.send("good", &scene.station.write("file", b"hello"));
    let mut peer = Peer::open(scene.address);
    let mut forged = sfid("FILE", 5);
    std::mem::swap(&mut forged.id.destination, &mut forged.id.originator);
    peer.send_receipt(&forged);
    peer.finish();
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.ends();
}

#[test]
fn a_negative_receipt_does_not_exist_at_level_2() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    peer.greet(&StartSession { level: 2, ..ssid() });
    peer.send_raw(&framed(b'N', &[b' '; 130]));
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    assert!(scene.end().text.contains("NERP does not exist at protocol level 2"));
    scene.assert_unharmed(0);
}

#[test]
fn a_receipt_from_one_that_has_not_the_turn_is_a_protocol_violation() {
    let scene = Scene::calling("");
    scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::opened(&scene.port);
    let file = peer.expect_offer();
    let eerp = EndToEndResponse::for_file(&file.id, file.user);
    peer.send(Command::EndToEndResponse(Box::new(eerp)));
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    scene.assert_unharmed(0);
}

#[test]
fn a_confirmation_of_no_receipt_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.send(Command::ReadyToReceive(ReadyToReceive));
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    scene.assert_unharmed(0);
}

#[test]
fn a_receipt_that_goes_in_two_sessions_at_once_ends_neither() {
    let scene = Scene::new("");
    let (mut one, mut other) = (Peer::open(scene.address), Peer::open(scene.address));
    one.send_file(&sfid("TWICE", 5), b"hello");
    one.give_turn();
    one.expect(Mnemonic::Eerp);
    other.give_turn();
    other.expect(Mnemonic::Eerp);
    for mut peer in [other, one] {
        peer.send(Command::ReadyToReceive(ReadyToReceive));
        assert!(peer.wind_up().positive.is_empty(), "it is sent once more nowhere");
    }
    for end in scene.ends() {
        assert_eq!(end.reason, Reason::NORMAL, "{end:?}");
    }
    scene.assert_unharmed(1);
}
