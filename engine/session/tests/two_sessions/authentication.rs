//! Secure authentication (RFC 5024 §4.2.4).

use std::cell::Cell;
use std::rc::Rc;

use odile_session::{Authenticator, Capabilities, Event, State};
use odile_wire::{EndSessionReason, Mnemonic};

use crate::pair::{INITIATOR, Pair, RESPONDER, two_capabilities};
use crate::sample::ToyAuthenticator;

fn meet(ours: ToyAuthenticator, theirs: ToyAuthenticator) -> Pair {
    let capabilities =
        two_capabilities().map(|capabilities| Capabilities { authentication: true, ..capabilities });
    let authenticators: [Option<Box<dyn Authenticator>>; 2] = [Some(Box::new(ours)), Some(Box::new(theirs))];
    Pair::meet(capabilities, authenticators)
}

#[test]
fn each_side_challenges_the_other_once_the_responder_first() {
    use Mnemonic::{Auch, Aurp, Secd, Ssid, Ssrm};

    let challenges = Rc::new(Cell::new(0));
    let toy = || ToyAuthenticator { challenges: Rc::clone(&challenges), ..ToyAuthenticator::default() };
    let mut pair = meet(toy(), toy());
    assert_eq!(pair.states(), [State::IdleSp, State::IdleLi]);
    assert_eq!(challenges.get(), 2);
    assert_eq!(pair.sides[INITIATOR].sent, [Ssid, Secd, Aurp, Auch]);
    assert_eq!(pair.sides[RESPONDER].sent, [Ssrm, Ssid, Auch, Secd, Aurp]);
    let [Event::PeerIdentified(_), Event::Connected { agreement, .. }] = &pair.events(INITIATOR)[..] else {
        panic!("identified before authenticated")
    };
    assert!(agreement.authentication);
    assert!(matches!(pair.event(RESPONDER), Event::Connected { .. }));
}

#[test]
fn a_wrong_response_ends_the_session() {
    let wrong = || ToyAuthenticator { responds_wrongly: true, ..ToyAuthenticator::default() };
    let mut pair = meet(wrong(), ToyAuthenticator::default());
    pair.assert_failed(RESPONDER, EndSessionReason::INVALID_CHALLENGE_RESPONSE);
    let mut pair = meet(ToyAuthenticator::default(), wrong());
    pair.assert_failed(INITIATOR, EndSessionReason::INVALID_CHALLENGE_RESPONSE);
}

#[test]
fn without_a_certificate_of_the_peer_there_is_no_session() {
    let without = || ToyAuthenticator { has_no_certificate: true, ..ToyAuthenticator::default() };
    let mut pair = meet(ToyAuthenticator::default(), without());
    let Some(Event::Aborted { text, .. }) = pair.sides[INITIATOR].events.last() else { panic!("not told") };
    assert_eq!(text, "no certificate for this partner");
    pair.assert_failed(RESPONDER, EndSessionReason::INVALID_CHALLENGE_RESPONSE);
    let mut pair = meet(without(), ToyAuthenticator::default());
    pair.assert_failed(INITIATOR, EndSessionReason::INVALID_CHALLENGE_RESPONSE);
}

#[test]
fn a_challenge_that_cannot_be_opened_ends_the_session() {
    let cannot = || ToyAuthenticator { cannot_open: true, ..ToyAuthenticator::default() };
    let mut pair = meet(cannot(), ToyAuthenticator::default());
    pair.assert_failed(INITIATOR, EndSessionReason::INVALID_CHALLENGE_RESPONSE);
    let mut pair = meet(ToyAuthenticator::default(), cannot());
    pair.assert_failed(RESPONDER, EndSessionReason::INVALID_CHALLENGE_RESPONSE);
}

#[test]
fn a_challenge_has_a_limit() {
    for (bytes, fits) in [(65_535, true), (65_536, false)] {
        let large = ToyAuthenticator { challenge_bytes: Some(bytes), ..ToyAuthenticator::default() };
        let pair = meet(ToyAuthenticator::default(), large);
        let was_sent = pair.sides[RESPONDER].sent.contains(&Mnemonic::Auch);
        assert_eq!(was_sent, fits);
    }
}
