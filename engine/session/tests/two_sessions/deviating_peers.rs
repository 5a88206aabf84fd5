//! Peers that do not follow the rules: what is forgiven, and what is not.

use odile_session::{Event, Origin, Output, ProtocolError, State, Tolerance};
use odile_wire::EndSessionReason;
use odile_wire::command::{
    ChangeDirection, Command, EndFilePositiveAnswer, SetCredit, StartFilePositiveAnswer,
};

use crate::pair::{INITIATOR, Pair, RESPONDER, two_capabilities, with_credit};
use crate::sample::{efid, esid, sfid};

/// The Responder takes data; what the Initiator's end does is up to the test.
fn receiving(credit: u16) -> Pair {
    let mut pair = Pair::established(with_credit(credit));
    let now = pair.now;
    pair.initiator().start_file(sfid(0), now).unwrap();
    pair.settle();
    pair.responder().answer_start_file(Ok(0), now).unwrap();
    pair.settle();
    pair.events(RESPONDER);
    pair.events(INITIATOR);
    pair
}

#[test]
fn an_end_of_file_without_credit_is_taken_and_no_credit_follows_it() {
    let mut pair = receiving(3);
    let now = pair.now;
    for _ in 0..3 {
        pair.responder().on_data(now).unwrap();
    }
    pair.responder().on_command(Command::EndFile(efid()), now);
    assert_eq!(pair.responder().poll_output(), Some(Output::Event(Event::CloseFile(efid()))));
    assert_eq!(pair.responder().poll_output(), None);
    assert!(pair.responder().has_tolerated(Tolerance::EndFileWithoutCredit));
}

#[test]
fn an_end_of_file_that_crosses_our_credit_is_taken() {
    let mut pair = receiving(3);
    let now = pair.now;
    for _ in 0..3 {
        pair.responder().on_data(now).unwrap();
    }
    assert_eq!(pair.responder().poll_output(), Some(Output::Transmit(Command::SetCredit(SetCredit))));
    pair.responder().on_command(Command::EndFile(efid()), now);
    assert_eq!(pair.states()[RESPONDER], State::ClIp);
}

#[test]
fn data_beyond_the_credit_is_a_protocol_error_and_not_to_be_used() {
    let mut pair = receiving(3);
    let now = pair.now;
    for _ in 0..3 {
        pair.responder().on_data(now).unwrap();
    }
    assert_eq!(pair.responder().on_data(now), Err(ProtocolError::CreditExceeded { window: 3 }));
    assert_eq!(pair.responder().on_data(now), Err(ProtocolError::Over));
    assert_eq!(pair.states()[RESPONDER], State::WfNDisc);
}

#[test]
fn data_without_a_file_is_a_protocol_error() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    assert_eq!(pair.responder().on_data(now), Err(ProtocolError::Unexpected { state: State::IdleLi }));
    pair.settle();
    pair.assert_failed(RESPONDER, EndSessionReason::PROTOCOL_VIOLATION);
}

#[test]
fn late_credit_is_ignored_between_the_end_of_a_file_and_its_answer() {
    let mut pair = receiving(3);
    let now = pair.now;
    pair.initiator().close_file(efid(), now).unwrap();
    let deadline = pair.initiator().deadline();
    for _ in 0..2 {
        pair.initiator().on_command(Command::SetCredit(SetCredit), now + std::time::Duration::from_secs(9));
    }
    assert_eq!((pair.states()[INITIATOR], pair.initiator().deadline()), (State::ClOp, deadline));
    assert!(pair.initiator().has_tolerated(Tolerance::LateCredit));
    let efpa = EndFilePositiveAnswer { change_direction: false };
    pair.initiator().on_command(Command::EndFilePositiveAnswer(efpa), now);
    assert_eq!(pair.states()[INITIATOR], State::IdleSp);
    pair.initiator().on_command(Command::SetCredit(SetCredit), now);
    assert_eq!(pair.states()[INITIATOR], State::WfNDisc, "after the answer it is too late");
}

#[test]
fn early_credit_is_a_protocol_error() {
    let mut pair = receiving(3);
    let now = pair.now;
    pair.initiator().take_credit(2, now).unwrap();
    pair.initiator().on_command(Command::SetCredit(SetCredit), now);
    pair.settle();
    pair.assert_failed(INITIATOR, EndSessionReason::PROTOCOL_VIOLATION);
}

#[test]
fn an_answer_beyond_the_offered_restart_is_a_protocol_error() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    pair.initiator().start_file(sfid(5), now).unwrap();
    pair.settle();
    let sfpa = StartFilePositiveAnswer { restart: 6 };
    pair.initiator().on_command(Command::StartFilePositiveAnswer(sfpa), now);
    pair.settle();
    pair.assert_failed(INITIATOR, EndSessionReason::PROTOCOL_VIOLATION);
}

#[test]
fn a_refusal_instead_of_the_ready_message_keeps_its_reason() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.initiator().connect(two_capabilities()[0].clone(), None, now).unwrap();
    pair.step(INITIATOR);
    pair.initiator().on_command(esid(EndSessionReason::RESOURCES_NOT_AVAILABLE), now);
    let Some(Output::Event(Event::Aborted { origin, reason, text })) = pair.initiator().poll_output() else {
        panic!("not told")
    };
    assert_eq!((origin, reason), (Origin::Distant, EndSessionReason::RESOURCES_NOT_AVAILABLE));
    assert_eq!(text, "because");
    assert!(pair.initiator().has_tolerated(Tolerance::EndSessionBeforeIdentification));
}

#[test]
fn a_connection_test_that_ends_right_after_identification_is_a_normal_end() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    pair.responder().on_command(esid(EndSessionReason::NORMAL), now);
    assert_eq!(pair.responder().poll_output(), Some(Output::Event(Event::Released)));
    assert!(pair.responder().has_tolerated(Tolerance::EarlyEndSession));
}

#[test]
fn a_normal_end_within_a_file_is_no_normal_end() {
    let mut pair = receiving(3);
    let now = pair.now;
    pair.responder().on_command(esid(EndSessionReason::NORMAL), now);
    let Some(Output::Event(Event::Aborted { origin: Origin::Distant, reason, .. })) =
        pair.responder().poll_output()
    else {
        panic!("taken for a normal end")
    };
    assert_eq!(reason, EndSessionReason::NORMAL);
}

#[test]
fn two_speakers_are_a_protocol_error() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    pair.initiator().on_command(Command::ChangeDirection(ChangeDirection), now);
    pair.settle();
    pair.assert_failed(INITIATOR, EndSessionReason::PROTOCOL_VIOLATION);
}
