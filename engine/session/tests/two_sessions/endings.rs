//! Every way for a session to end, and every reason that this layer tells.

use std::collections::BTreeSet;

use odile_session::{Capabilities, Event, Misuse, Origin, Output, State};
use odile_wire::command::{Capability, Command, SetCredit};
use odile_wire::{EndSessionReason, Malformed, Mnemonic};

use crate::pair::{INITIATOR, Pair, RESPONDER, two_capabilities};
use crate::sample::{ToyAuthenticator, sfid, toy};

fn established() -> Pair {
    Pair::established(two_capabilities())
}

/// The reason of the ESID that one side sends, drained without delivery.
fn reason_sent(mut pair: Pair, by: usize) -> u8 {
    let session = &mut pair.sides[by].session;
    let mut sent = std::iter::from_fn(|| session.poll_output()).filter_map(|output| match output {
        Output::Transmit(Command::EndSession(esid)) => Some(esid.reason.code()),
        _ => None,
    });
    let reason = sent.next().unwrap();
    assert_eq!(sent.next(), None, "one ESID is enough");
    reason
}

#[test]
fn every_reason_of_this_layer_is_told() {
    let mut told = BTreeSet::new();
    let malformed = [
        (1, Malformed::UnknownCommand(0xFF)),
        (2, Malformed::NotAtThisLevel { command: Mnemonic::Nerp, level: 2 }),
        (6, Malformed::Field { command: Mnemonic::Sfid, field: "SFIDFSIZ", problem: "is not a number" }),
        (7, Malformed::TooShort { command: Mnemonic::Sfid, field: "SFIDDSN", needed: 26, available: 3 }),
    ];
    for (code, malformed) in malformed {
        let mut pair = established();
        let now = pair.now;
        pair.responder().on_malformed(&malformed, now);
        let session = &mut pair.sides[RESPONDER].session;
        let Some(Output::Transmit(Command::EndSession(esid))) = session.poll_output() else {
            panic!("no ESID")
        };
        assert_eq!((esid.reason.code(), esid.text.to_string()), (code, malformed.to_string()));
        told.insert(code);
    }
    // The User Monitor's: user code, password, emergency, resources, time-out of its own, unspecified.
    for code in [3, 4, 5, 8, 9, 99] {
        let mut pair = established();
        let now = pair.now;
        pair.initiator().release(EndSessionReason::from_code(code).unwrap(), "sorry", now).unwrap();
        told.insert(reason_sent(pair, INITIATOR));
    }
    // Normal end.
    let mut pair = established();
    let now = pair.now;
    pair.initiator().change_direction(now).unwrap();
    pair.settle();
    pair.responder().release(EndSessionReason::NORMAL, "", now).unwrap();
    told.insert(reason_sent(pair, RESPONDER));
    // Protocol error, incompatible, invalid response, authentication not required by both.
    let mut pair = established();
    pair.initiator().on_command(Command::SetCredit(SetCredit), now);
    told.insert(reason_sent(pair, INITIATOR));
    let requires = |capabilities: Capabilities| Capabilities { authentication: true, ..capabilities };
    let sends = |capabilities: Capabilities| Capabilities { mode: Capability::SendOnly, ..capabilities };
    let [ours, theirs] = two_capabilities();
    let wrong = ToyAuthenticator { responds_wrongly: true, ..ToyAuthenticator::default() };
    for (capabilities, ours_authenticator) in [
        ([sends(ours.clone()), sends(theirs.clone())], toy()),
        ([requires(ours.clone()), requires(theirs.clone())], Some(Box::new(wrong) as Box<_>)),
        ([requires(ours), theirs], toy()),
    ] {
        let mut pair = Pair::meet(capabilities, [ours_authenticator, toy()]);
        let Some(Event::Aborted { reason, .. }) = pair.events(RESPONDER).pop() else { panic!("no end") };
        told.insert(reason.code());
    }
    let all: BTreeSet<_> = EndSessionReason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(told, all);
}

#[test]
fn a_caller_that_is_not_welcome_learns_why() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.initiator().connect(two_capabilities()[0].clone(), None, now).unwrap();
    pair.settle();
    assert!(matches!(pair.event(RESPONDER), Event::ConnectIndication(_)));
    pair.responder().release(EndSessionReason::INVALID_PASSWORD, "wrong password", now).unwrap();
    pair.settle();
    let Event::Aborted { origin, reason, text } = pair.event(INITIATOR) else { panic!("not told") };
    assert_eq!((origin, reason), (Origin::Distant, EndSessionReason::INVALID_PASSWORD));
    assert_eq!(text, "wrong password");
    assert_eq!(pair.events(RESPONDER), [], "who releases needs not be told");
    assert!(pair.responder().is_over());
}

#[test]
fn the_initiator_may_refuse_the_responder_before_it_authenticates() {
    let capabilities = two_capabilities().map(|one| Capabilities { authentication: true, ..one });
    let [ours, theirs] = capabilities;
    let mut pair = Pair::new();
    let now = pair.now;
    pair.initiator().connect(ours, toy(), now).unwrap();
    pair.settle();
    pair.responder().accept(theirs, toy(), now).unwrap();
    while pair.step(RESPONDER) {}
    pair.step(INITIATOR);
    let Event::PeerIdentified(peer) = pair.event(INITIATOR) else { panic!("not identified") };
    assert_eq!(peer.code, two_capabilities()[1].code);
    pair.initiator().release(EndSessionReason::USER_CODE_NOT_KNOWN, "who are you?", now).unwrap();
    pair.settle();
    assert_eq!(pair.states(), [State::Idle; 2]);
    assert!(!pair.events(RESPONDER).iter().any(|event| matches!(event, Event::Connected { .. })));
}

#[test]
fn an_end_that_crosses_another_disconnects_at_once() {
    let mut pair = established();
    let now = pair.now;
    pair.initiator().release(EndSessionReason::EMERGENCY_CLOSE_DOWN, "", now).unwrap();
    pair.responder().release(EndSessionReason::EMERGENCY_CLOSE_DOWN, "", now).unwrap();
    pair.settle();
    assert!(pair.initiator().is_over() && pair.responder().is_over());
}

#[test]
fn an_abort_closes_the_connection_without_a_word() {
    let mut pair = established();
    let now = pair.now;
    pair.initiator().start_file(sfid(0), now).unwrap();
    pair.settle();
    pair.events(RESPONDER);
    pair.initiator().abort(now);
    pair.settle();
    assert_eq!(pair.events(INITIATOR), []);
    let Event::Aborted { origin, reason, .. } = pair.event(RESPONDER) else { panic!("not told") };
    assert_eq!((origin, reason), (Origin::Distant, EndSessionReason::UNSPECIFIED));
}

#[test]
fn a_listener_too_may_end_a_session_with_an_error() {
    let mut pair = established();
    let now = pair.now;
    pair.initiator().start_file(sfid(0), now).unwrap();
    pair.settle();
    pair.responder().release(EndSessionReason::RESOURCES_NOT_AVAILABLE, "disk full", now).unwrap();
    pair.settle();
    let Event::Aborted { origin, text, .. } = pair.event(INITIATOR) else { panic!("not told") };
    assert_eq!((origin, text.as_str()), (Origin::Distant, "disk full"));
    assert!(pair.responder().is_over());
}

#[test]
fn a_misuse_names_call_and_state() {
    let mut pair = established();
    let now = pair.now;
    let misuse = pair.initiator().ready_to_receive(now).unwrap_err();
    assert_eq!(misuse, Misuse::State { call: "F_RTR_RS", state: State::IdleSp });
    assert_eq!(misuse.to_string(), "F_RTR_RS is not allowed in state IDLESP");
    pair.initiator().abort(now);
    assert_eq!(pair.initiator().ready_to_receive(now), Err(Misuse::Over { call: "F_RTR_RS" }));
}
