//! Commands of the right shape at the wrong time.

use odile_tests::peer::{Peer, Said, sfid, ssid};
use odile_tests::scene::Scene;
use odile_wire::command::{
    ChangeDirection, EndFilePositiveAnswer, ReadyToReceive, SecurityChangeDirection, SetCredit,
    StartFilePositiveAnswer, StartSession,
};
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic};

fn sfpa(restart: u64) -> Command {
    Command::StartFilePositiveAnswer(StartFilePositiveAnswer { restart })
}

fn efpa() -> Command {
    Command::EndFilePositiveAnswer(EndFilePositiveAnswer { change_direction: false })
}

/// What the peer answers to the station's offer, and how that ends.
fn offer_answered_with(command: Command, told: &str) {
    let scene = Scene::calling("");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::opened(&scene.port);
    peer.expect_offer();
    peer.send(command);
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    let end = scene.end();
    assert!(end.by_us && end.text.contains(told), "{end:?}");
    let (state, detail) = scene.state(&transfer);
    assert!(state == "queued" && detail.contains("ESID 02"), "{state}: {detail}");
    scene.assert_unharmed(0);
}

#[test]
fn an_offer_while_we_offer_is_a_protocol_violation() {
    offer_answered_with(
        Command::StartFile(Box::new(sfid("CROSSED", 5))),
        "SFID is not allowed in state OPOP",
    );
}

#[test]
fn a_start_beyond_the_offered_position_is_a_protocol_violation() {
    offer_answered_with(sfpa(1), "SFPA restarts at 1, beyond the 0 offered");
}

#[test]
fn answers_to_what_was_not_asked_are_protocol_violations() {
    offer_answered_with(efpa(), "EFPA is not allowed in state OPOP");
    offer_answered_with(Command::ReadyToReceive(ReadyToReceive), "RTR is not allowed in state OPOP");
    offer_answered_with(Command::SetCredit(SetCredit), "CDT is not allowed in state OPOP");
    offer_answered_with(Command::ChangeDirection(ChangeDirection), "CD is not allowed in state OPOP");
    let secd = Command::SecurityChangeDirection(SecurityChangeDirection);
    offer_answered_with(secd, "SECD is not allowed in state OPOP");
}

/// The station waits for credit after three buffers; what comes instead.
fn data_interrupted_with(command: Command, told: &str) {
    let scene = Scene::calling("");
    let transfer = scene.station.send("peer", &scene.station.write("file", &[1; 5000]));
    let mut peer = Peer::opened(&scene.port);
    peer.expect_offer();
    peer.accept();
    for _ in 0..3 {
        assert!(matches!(peer.read(), Said::Data(_)));
    }
    peer.send(command);
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    assert!(scene.end().text.contains(told), "{:?}", scene.end());
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.assert_unharmed(0);
}

#[test]
fn an_offer_in_the_middle_of_our_file_is_a_protocol_violation() {
    data_interrupted_with(
        Command::StartFile(Box::new(sfid("CROSSED", 5))),
        "SFID is not allowed in state OPO",
    );
}

#[test]
fn an_answer_to_an_end_that_was_not_sent_is_a_protocol_violation() {
    data_interrupted_with(efpa(), "EFPA is not allowed in state OPO");
}

#[test]
fn a_second_acceptance_is_a_protocol_violation() {
    data_interrupted_with(sfpa(0), "SFPA is not allowed in state OPO");
}

#[test]
fn credit_that_was_not_used_up_is_a_protocol_violation() {
    let scene = Scene::calling("");
    scene.station.send("peer", &scene.station.write("file", &[1; 5000]));
    let mut peer = Peer::opened(&scene.port);
    peer.expect_offer();
    // With the acceptance: the window is full.
    let mut both = peer.encoded(&sfpa(0));
    both.extend(peer.encoded(&Command::SetCredit(SetCredit)));
    peer.send_raw(&both);
    assert_eq!(peer.read_to_end(), Some(Reason::PROTOCOL_VIOLATION));
    assert!(scene.end().text.contains("CDT while"), "{:?}", scene.end());
    scene.assert_unharmed(0);
}

#[test]
fn late_credit_after_the_end_of_the_file_is_forgiven() {
    let scene = Scene::calling("");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::opened(&scene.port);
    let (file, _) = peer.take_file();
    peer.send(Command::SetCredit(SetCredit));
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    peer.send_receipt(&file);
    peer.finish();
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}

#[test]
fn an_offer_of_one_that_has_just_given_up_the_turn_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    let mut both = peer.encoded(&Command::ChangeDirection(ChangeDirection));
    both.extend(peer.encoded(&Command::StartFile(Box::new(sfid("NO-TURN", 5)))));
    peer.send_raw(&both);
    // The station may have ended the session before it saw the offer, since it has nothing to send.
    let reason = peer.read_to_end();
    assert!(matches!(reason, Some(Reason::PROTOCOL_VIOLATION | Reason::NORMAL)), "{reason:?}");
    scene.assert_unharmed(0);
}

#[test]
fn a_second_offer_before_the_end_of_the_first_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("FIRST", 5));
    peer.send(Command::StartFile(Box::new(sfid("SECOND", 5))));
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    scene.assert_unharmed(0);
}

#[test]
fn the_turn_given_up_in_the_middle_of_a_file_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("TURN", 5));
    peer.give_turn();
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    scene.assert_unharmed(0);
}

#[test]
fn a_session_that_ends_normally_in_the_middle_of_a_file_keeps_what_came() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("ENDED", 5));
    peer.send_payload(&[0x85, b'h', b'e', b'l', b'l', b'o']);
    peer.end(Reason::NORMAL);
    peer.expect_closed();
    scene.assert_waits("R1", 5);
    scene.assert_unharmed_while_waiting(0, 1);
}

#[test]
fn a_reason_that_nobody_knows_is_kept() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.end(Reason::from_code(55).expect("it is there"));
    peer.expect_closed();
    let end = scene.end();
    assert!(!end.by_us && end.reason.code() == 55, "{end:?}");
    scene.assert_unharmed(0);
}

#[test]
fn a_station_that_only_receives_gets_no_offer() {
    let scene = Scene::new("may_receive = false\n");
    let mut peer = Peer::connect(scene.address);
    peer.greet(&StartSession { ..ssid() });
    assert_eq!(peer.finish(), []);
    scene.assert_unharmed(0);
}
