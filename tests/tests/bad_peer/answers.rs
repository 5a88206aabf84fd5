//! The peer refuses what the station sends.

use odile_tests::peer::{Peer, code};
use odile_tests::scene::Scene;
use odile_wire::command::{EndFileNegativeAnswer, NegativeEndResponse, StartFile, StartFileNegativeAnswer};
use odile_wire::{
    AnswerReason as Reason, Command, EndSessionReason, Mnemonic, NegativeEndReason, VariableText,
};
use rusqlite::Connection;

fn sfna(reason: Reason, retry: bool) -> Command {
    let text = VariableText::truncated("because");
    Command::StartFileNegativeAnswer(StartFileNegativeAnswer { reason, retry, text })
}

fn efna(reason: Reason) -> Command {
    Command::EndFileNegativeAnswer(EndFileNegativeAnswer { reason, text: VariableText::default() })
}

/// A file of the station for the peer, and the session in which it is offered.
fn offered(scene: &Scene) -> (String, Peer) {
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    (transfer, Peer::opened(&scene.port))
}

/// The wait for the next attempt is over; the station calls.
fn called_when_due(scene: &Scene) -> Peer {
    let catalog = Connection::open(scene.station.home().catalog()).expect("the catalog");
    catalog.execute("UPDATE outbound SET not_before_ms = 0", []).expect("a file that waits");
    let handle = scene.station.handle();
    // Its outcome is in the events.
    std::thread::spawn(move || handle.call("peer"));
    Peer::opened(&scene.port)
}

/// The station has the turn, after it was refused something; it has nothing else to do.
fn leave(mut peer: Peer) {
    peer.expect(Mnemonic::Cd);
    peer.end(EndSessionReason::NORMAL);
    peer.expect_closed();
}

/// The peer takes the file and sends its receipt in the same session.
fn deliver(mut peer: Peer) -> StartFile {
    let (file, content) = peer.take_file();
    assert_eq!(content, b"hello");
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    peer.send_receipt(&file);
    peer.finish();
    file
}

#[test]
fn a_refusal_that_allows_a_retry_keeps_the_file() {
    let scene = Scene::calling("[retry]\njitter_percent = 0\n");
    let (transfer, mut peer) = offered(&scene);
    let first = peer.expect_offer();
    peer.send(sfna(Reason::FILE_TOO_BIG, true));
    leave(peer);
    scene.assert_told("SFNA 06, file size is too big: because; it is tried again in 5.0 s");
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.retry(&transfer);
    let second = deliver(Peer::opened(&scene.port));
    assert_eq!(second.id, first.id, "the identity is the same at each attempt");
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}

#[test]
fn a_refusal_for_good_ends_the_transfer() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    peer.expect_offer();
    peer.send(sfna(Reason::INVALID_DESTINATION, false));
    leave(peer);
    scene.station.wait_state(&transfer, "refused");
    scene.assert_told("refused by the partner: SFNA 02, invalid destination: because");
    // A person may think otherwise.
    scene.retry(&transfer);
    deliver(Peer::opened(&scene.port));
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}

#[test]
fn reasons_that_nobody_knows_are_kept() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    peer.expect_offer();
    peer.send(sfna(Reason::from_code(77).expect("it is there"), false));
    leave(peer);
    scene.station.wait_state(&transfer, "refused");
    assert!(scene.state(&transfer).1.starts_with("SFNA 77"), "{:?}", scene.state(&transfer));
    scene.retry(&transfer);
    let mut peer = Peer::opened(&scene.port);
    peer.take_file();
    peer.send(efna(Reason::from_code(88).expect("it is there")));
    leave(peer);
    scene.station.wait_state(&transfer, "refused");
    assert!(scene.state(&transfer).1.starts_with("EFNA 88"), "{:?}", scene.state(&transfer));
    scene.assert_unharmed(0);
}

#[test]
fn a_duplicate_at_the_first_attempt_is_a_refusal() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    peer.expect_offer();
    peer.send(sfna(Reason::DUPLICATE_FILE, false));
    leave(peer);
    scene.station.wait_state(&transfer, "refused");
    scene.assert_unharmed(0);
}

#[test]
fn a_refusal_after_the_last_octet_is_tried_three_times() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    for attempt in 1..=3 {
        peer.take_file();
        peer.send(efna(Reason::INVALID_BYTE_COUNT));
        leave(peer);
        if attempt == 3 {
            break;
        }
        scene.station.wait_state(&transfer, "queued");
        scene.ends();
        peer = called_when_due(&scene);
    }
    scene.station.wait_state(&transfer, "refused");
    assert!(scene.state(&transfer).1.starts_with("EFNA 11, invalid byte count"));
    scene.assert_unharmed(0);
}

#[test]
fn a_refusal_after_the_last_octet_counts_from_the_start_once_the_operator_tries_again() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    for _ in 1..=4 {
        peer.take_file();
        peer.send(efna(Reason::INVALID_BYTE_COUNT));
        leave(peer);
        scene.station.wait_state(&transfer, "queued");
        scene.ends();
        scene.retry(&transfer);
        peer = Peer::opened(&scene.port);
    }
    deliver(peer);
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}

#[test]
fn a_file_refused_after_the_last_octet_is_delivered_by_the_next_attempt() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    peer.take_file();
    peer.send(efna(Reason::INVALID_BYTE_COUNT));
    leave(peer);
    scene.station.wait_state(&transfer, "queued");
    scene.retry(&transfer);
    deliver(Peer::opened(&scene.port));
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}

#[test]
fn a_refusal_for_its_content_ends_the_transfer_at_once() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    peer.take_file();
    peer.send(efna(Reason::INVALID_SIGNATURE));
    leave(peer);
    scene.station.wait_state(&transfer, "refused");
    scene.assert_unharmed(0);
}

#[test]
fn a_negative_receipt_rejects_the_file() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    let (file, _) = peer.take_file();
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    let reason = NegativeEndReason::PROCESSING_FAILED;
    let text = VariableText::truncated("no mesh in it");
    let nerp = NegativeEndResponse::for_file(&file.id, code("O0013BEHIND"), reason, text);
    peer.send(Command::NegativeEndResponse(Box::new(nerp)));
    peer.expect(Mnemonic::Rtr);
    peer.finish();
    scene.station.wait_state(&transfer, "rejected");
    let (_, detail) = scene.state(&transfer);
    for part in ["NERP 34", "no mesh in it", "O0013BEHIND"] {
        assert!(detail.contains(part), "{detail}");
    }
    scene.assert_unharmed(0);
}

#[test]
fn a_receipt_that_overtakes_the_answer_to_efid_counts() {
    let scene = Scene::calling("");
    let (transfer, mut peer) = offered(&scene);
    let (file, _) = peer.take_file();
    // It has the file, and says so in a session of its own first.
    let mut other = Peer::open(scene.address);
    other.send_receipt(&file);
    scene.station.wait_state(&transfer, "delivered");
    peer.confirm();
    leave(peer);
    other.finish();
    for end in scene.ends() {
        assert_eq!(end.reason.code(), 0, "{end:?}");
    }
    assert_eq!(scene.state(&transfer).0, "delivered");
    scene.assert_unharmed(0);
}
