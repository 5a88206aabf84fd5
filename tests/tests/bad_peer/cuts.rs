//! The connection is cut. What was promised holds, and nothing comes twice.

use std::fs;

use odile_station::Event;
use odile_tests::peer::{Peer, sfid, ssid};
use odile_tests::scene::Scene;
use odile_wire::command::{EndFile, StartFileNegativeAnswer};
use odile_wire::{AnswerReason, Command, EndSessionReason as Reason, Mnemonic, VariableText};

fn assert_cut(scene: &Scene, state: &str) {
    let end = scene.end();
    assert!(!end.by_us && end.reason == Reason::UNSPECIFIED, "{end:?}");
    assert!(end.text.contains(&format!("closed in state {state}")), "{end:?}");
}

#[test]
fn a_cut_before_the_callers_introduction() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    drop(peer);
    assert_cut(&scene, "A_NC_ONLY");
    scene.assert_unharmed(0);
}

#[test]
fn a_cut_after_the_introductions() {
    let scene = Scene::new("");
    drop(Peer::open(scene.address));
    assert_cut(&scene, "IDLELI");
    scene.assert_unharmed(0);
}

#[test]
fn a_cut_before_the_responders_introduction() {
    for state in ["I_WF_RM", "I_WF_SSID"] {
        let scene = Scene::calling("");
        let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
        let mut peer = Peer::answer(&scene.port);
        if state == "I_WF_SSID" {
            peer.send(Command::StartSessionReady(odile_wire::command::StartSessionReady));
            peer.expect(Mnemonic::Ssid);
        }
        drop(peer);
        assert_cut(&scene, state);
        assert_eq!(scene.state(&transfer).0, "queued");
        scene.assert_unharmed(0);
    }
}

#[test]
fn a_cut_in_the_middle_of_a_data_buffer() {
    let scene = Scene::new("");
    let file = sfid("CUT", 40);
    let mut peer = Peer::open(scene.address);
    peer.start(&file);
    peer.send_raw(&[0x10, 0, 0, 46, b'D', 0xA8, b'h', b'a', b'l', b'f']);
    drop(peer);
    assert_cut(&scene, "OPI");
    scene.assert_told("interrupted: the session ended in the middle of the file");
    scene.assert_waits("R1", 4);
    scene.assert_unharmed_while_waiting(0, 1);
    // Who does not ask to go on sends it from its start, and it may have become another.
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, b"the whole of it");
    peer.finish();
    scene.assert_told("R1 it starts again, although 4 octets were safe: the partner begins again");
    assert_eq!(fs::read(&scene.station.inbox("peer")[0]).expect("it is there"), b"the whole of it");
    scene.assert_unharmed(1);
}

#[test]
fn a_cut_after_the_last_octet_but_before_the_end() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("ALMOST", 5));
    peer.send_payload(&[0x85, b'h', b'e', b'l', b'l', b'o']);
    drop(peer);
    assert_cut(&scene, "OPI");
    scene.assert_waits("R1", 5);
    scene.assert_unharmed_while_waiting(0, 1);
}

#[test]
fn a_sender_that_is_gone_before_our_answer_finds_the_file_there() {
    let scene = Scene::new("");
    let file = sfid("GONE", 5);
    let mut peer = Peer::open(scene.address);
    peer.start(&file);
    peer.send_payload(&[0x85, b'h', b'e', b'l', b'l', b'o']);
    peer.send(Command::EndFile(EndFile { record_count: 0, unit_count: 5 }));
    drop(peer);
    scene.ends();
    // It never saw EFPA, so it offers the file again.
    let mut peer = Peer::open(scene.address);
    match peer.offer(&file) {
        Command::StartFileNegativeAnswer(answer) => assert_eq!(answer.reason, AnswerReason::DUPLICATE_FILE),
        other => unreachable!("{other:?}"),
    }
    assert_eq!(peer.finish(), [file.id], "the receipt comes all the same");
    scene.assert_unharmed(1);
}

#[test]
fn a_cut_between_our_efid_and_its_answer_delivers_exactly_once() {
    let scene = Scene::calling("");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::opened(&scene.port);
    let (file, _) = peer.take_file();
    drop(peer);
    assert_cut(&scene, "CLOP");
    scene.station.wait_state(&transfer, "queued");
    scene.retry(&transfer);
    let mut peer = Peer::opened(&scene.port);
    assert_eq!(peer.expect_offer().id, file.id);
    peer.send(Command::StartFileNegativeAnswer(StartFileNegativeAnswer {
        reason: AnswerReason::DUPLICATE_FILE,
        retry: false,
        text: VariableText::default(),
    }));
    peer.expect(Mnemonic::Cd);
    scene.station.wait_state(&transfer, "sent");
    peer.send_receipt(&file);
    peer.finish();
    scene.station.wait_state(&transfer, "delivered");
    let sent =
        scene.station.events.all().iter().filter(|event| matches!(event, Event::FileSent { .. })).count();
    assert_eq!(sent, 1);
    scene.assert_unharmed(0);
}

#[test]
fn a_cut_in_the_middle_of_our_data_keeps_the_file() {
    let scene = Scene::calling("");
    let transfer = scene.station.send("peer", &scene.station.write("file", &vec![9; 200_000]));
    let mut peer = Peer::opened(&scene.port);
    peer.expect_offer();
    peer.accept();
    peer.read();
    drop(peer);
    scene.end();
    scene.station.wait_state(&transfer, "queued");
    scene.retry(&transfer);
    let mut peer = Peer::opened(&scene.port);
    let (file, content) = peer.take_file();
    assert_eq!(content, vec![9; 200_000]);
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    peer.send_receipt(&file);
    peer.finish();
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}

#[test]
fn a_receipt_that_was_not_confirmed_is_sent_again() {
    let scene = Scene::new("");
    let file = sfid("OWED", 5);
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, b"hello");
    peer.give_turn();
    peer.expect(Mnemonic::Eerp);
    drop(peer);
    assert_cut(&scene, "WF_RTR");
    assert_eq!(Peer::open(scene.address).finish(), [file.id]);
    // And once only.
    assert_eq!(Peer::open(scene.address).finish(), []);
    scene.assert_unharmed(1);
}

#[test]
fn a_cut_with_a_reset_is_a_cut() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    peer.send_raw(&peer.encoded(&Command::StartSession(ssid())));
    // SSRM and SSID are there, unread: closing now resets the connection.
    scene.station.events.wait_for("the session", |event| matches!(event, Event::SessionOpened { .. }));
    drop(peer);
    assert_cut(&scene, "IDLELI");
    scene.assert_unharmed(0);
}
