//! What two SSIDs make of each other.

use odile_session::{Agreement, Capabilities, Event, Misuse, Output, Session, State, Tolerance};
use odile_wire::command::{Capability, Command, StartSession, StartSessionReady};
use odile_wire::{EndSessionReason, Level};

use crate::pair::{INITIATOR, Pair, RESPONDER, two_capabilities};
use crate::sample::{TIMERS, capabilities, ssid, toy};

const MODES: [Capability; 3] = [Capability::SendOnly, Capability::ReceiveOnly, Capability::Both];

fn agreements(capabilities: [Capabilities; 2]) -> Option<[Agreement; 2]> {
    let mut pair = Pair::meet(capabilities, [toy(), toy()]);
    if pair.states() == [State::Idle; 2] {
        pair.assert_failed(RESPONDER, EndSessionReason::INCOMPATIBLE);
        return None;
    }
    let agreements = [INITIATOR, RESPONDER].map(|side| {
        let Some(Event::Connected { agreement, .. }) = pair.events(side).pop() else { panic!("side {side}") };
        agreement
    });
    assert_eq!(pair.initiator().agreement(), Some(&agreements[INITIATOR]));
    Some(agreements)
}

#[test]
fn the_lower_level_counts_unless_it_is_below_the_lowest_accepted() {
    for ours_max in Level::ALL {
        for theirs_max in Level::ALL {
            for theirs_min in Level::ALL.into_iter().filter(|min| *min <= theirs_max) {
                let [ours, theirs] = two_capabilities();
                let agreed = agreements([
                    Capabilities { level_max: ours_max, ..ours },
                    Capabilities { level_min: theirs_min, level_max: theirs_max, ..theirs },
                ]);
                let lower = ours_max.min(theirs_max);
                match agreed {
                    Some(agreed) => {
                        assert!(agreed.iter().all(|one| one.level == lower) && lower >= theirs_min);
                    }
                    None => assert!(lower < theirs_min),
                }
            }
        }
    }
}

#[test]
fn the_initiator_too_refuses_a_level_below_its_lowest() {
    let [ours, theirs] = two_capabilities();
    let ours = Capabilities { level_min: Level::V2_0, ..ours };
    let mut pair = Pair::meet([ours, Capabilities { level_max: Level::V1_4, ..theirs }], [None, None]);
    pair.assert_failed(INITIATOR, EndSessionReason::INCOMPATIBLE);
}

#[test]
fn modes_complement_each_other() {
    use Capability::{Both, ReceiveOnly, SendOnly};
    for ours_mode in MODES {
        for theirs_mode in MODES {
            let [ours, theirs] = two_capabilities();
            let agreed = agreements([
                Capabilities { mode: ours_mode, ..ours },
                Capabilities { mode: theirs_mode, ..theirs },
            ])
            .map(|agreed| agreed.map(|one| one.mode));
            let expected = match (ours_mode, theirs_mode) {
                (SendOnly, SendOnly) | (ReceiveOnly, ReceiveOnly) => None,
                (SendOnly, _) | (Both, ReceiveOnly) => Some([SendOnly, ReceiveOnly]),
                (ReceiveOnly, _) | (Both, SendOnly) => Some([ReceiveOnly, SendOnly]),
                (Both, Both) => Some([Both, Both]),
            };
            assert_eq!(agreed, expected, "{ours_mode:?} {theirs_mode:?}");
        }
    }
}

#[test]
fn the_smaller_buffer_and_window_count_and_services_need_both() {
    for bits in 0..64_u8 {
        let bit = |index: u8| bits & (1 << index) != 0;
        let [ours, theirs] = two_capabilities();
        let choose = |capabilities: Capabilities, first: u8| Capabilities {
            buffer_size: if bit(first) { 128 } else { 99_999 },
            credit: if bit(first) { 1 } else { 999 },
            compression: bit(first + 1),
            restart: bit(first + 2),
            ..capabilities
        };
        let agreed = agreements([choose(ours, 0), choose(theirs, 3)]).unwrap();
        assert_eq!(agreed[0], agreed[1]);
        let small = bit(0) || bit(3);
        assert_eq!(agreed[0].buffer_size, if small { 128 } else { 99_999 });
        assert_eq!(agreed[0].credit, if small { 1 } else { 999 });
        assert_eq!(agreed[0].compression, bit(1) && bit(4));
        assert_eq!(agreed[0].restart, bit(2) && bit(5));
    }
}

#[test]
fn both_sides_must_want_authentication_or_neither() {
    for (ours_wants, theirs_wants) in [(false, false), (false, true), (true, false), (true, true)] {
        let [ours, theirs] = two_capabilities();
        let mut pair = Pair::meet(
            [
                Capabilities { authentication: ours_wants, ..ours },
                Capabilities { authentication: theirs_wants, ..theirs },
            ],
            [toy(), toy()],
        );
        if ours_wants == theirs_wants {
            assert_eq!(pair.states(), [State::IdleSp, State::IdleLi]);
        } else {
            pair.assert_failed(RESPONDER, EndSessionReason::AUTHENTICATION_INCOMPATIBLE);
        }
    }
}

#[test]
fn required_authentication_is_never_downgraded() {
    let [ours, theirs] = two_capabilities();
    let ours = Capabilities { level_max: Level::V1_4, ..ours };
    let theirs = Capabilities { authentication: true, ..theirs };
    let mut pair = Pair::meet([ours, theirs], [toy(), toy()]);
    let [Event::Aborted { reason, .. }] = &pair.events(RESPONDER)[..] else { panic!("not told") };
    assert_eq!(*reason, EndSessionReason::AUTHENTICATION_INCOMPATIBLE);
    // Level 4 has no code 12.
    let [Event::Aborted { reason, .. }] = &pair.events(INITIATOR)[..] else { panic!("not told") };
    assert_eq!(*reason, EndSessionReason::UNSPECIFIED);

    // Whatever else is wrong with the level, and whatever the peer says about authentication.
    for level_min in [Level::V1_2, Level::V2_0] {
        for authentication in [false, true] {
            let ours = Capabilities { authentication: true, level_min, ..capabilities() };
            let downgrade = StartSession { level: 4, authentication, ..ssid() };
            let Some(Output::Transmit(Command::EndSession(esid))) = answered(ours, downgrade).poll_output()
            else {
                panic!("no ESID")
            };
            assert_eq!(esid.reason, EndSessionReason::AUTHENTICATION_INCOMPATIBLE);
        }
    }
}

/// An Initiator that has sent its SSID.
fn waiting(ours: Capabilities) -> Session {
    let now = std::time::Instant::now();
    let mut session = Session::new(TIMERS);
    session.connect(ours, toy(), now).unwrap();
    session.on_connected(now);
    session.on_command(Command::StartSessionReady(StartSessionReady), now);
    while session.poll_output().is_some() {}
    session
}

fn answered(ours: Capabilities, answer: StartSession) -> Session {
    let mut session = waiting(ours);
    session.on_command(Command::StartSession(answer), std::time::Instant::now());
    session
}

/// The Responder's reply to an Initiator's SSID.
fn reply_to(theirs: StartSession, ours: Capabilities) -> (Session, Option<Output>) {
    let now = std::time::Instant::now();
    let mut session = Session::new(TIMERS);
    session.on_incoming(now);
    session.on_command(Command::StartSession(theirs), now);
    while session.poll_output().is_some() {}
    session.accept(ours, toy(), now).unwrap();
    let reply = session.poll_output();
    (session, reply)
}

#[test]
fn an_answer_larger_than_the_offer_is_cut_down_to_it() {
    let ours = Capabilities { compression: false, restart: false, level_max: Level::V1_4, ..capabilities() };
    let larger = StartSession { level: 5, buffer_size: 99_999, credit: 999, ..ssid() };
    let session = answered(ours.clone(), larger);
    let agreement = session.agreement().unwrap();
    assert_eq!(agreement.level, Level::V1_4);
    assert_eq!((agreement.buffer_size, agreement.credit), (ours.buffer_size, ours.credit));
    assert!(!agreement.compression && !agreement.restart);
    assert!(session.has_tolerated(Tolerance::LargerAnswer));
    assert!(!answered(capabilities(), ssid()).has_tolerated(Tolerance::LargerAnswer));
}

#[test]
fn a_level_nobody_speaks_means_the_next_lower_one() {
    for (digit, expected) in [(1, Level::V1_2), (3, Level::V1_3), (6, Level::V2_0), (9, Level::V2_0)] {
        let theirs = StartSession { level: digit, ..ssid() };
        let session = answered(capabilities(), theirs.clone());
        assert_eq!(session.agreement().unwrap().level, expected);
        assert_eq!(session.has_tolerated(Tolerance::UnknownLevel), digit != 1);
        let (session, reply) = reply_to(theirs, capabilities());
        assert_eq!(session.level(), expected);
        let Some(Output::Transmit(Command::StartSession(reply))) = reply else { panic!("{reply:?}") };
        assert_eq!(reply.level, expected.digit());
    }
    let (_, reply) = reply_to(StartSession { level: 0, ..ssid() }, capabilities());
    assert!(matches!(reply, Some(Output::Transmit(Command::EndSession(_)))));
}

#[test]
fn special_logic_is_declined_and_never_accepted_as_an_answer() {
    let special = StartSession { special_logic: true, ..ssid() };
    let (_, reply) = reply_to(special.clone(), capabilities());
    let Some(Output::Transmit(Command::StartSession(reply))) = reply else { panic!("{reply:?}") };
    assert!(!reply.special_logic);
    let mut session = answered(capabilities(), special);
    let Some(Output::Transmit(Command::EndSession(esid))) = session.poll_output() else { panic!("no ESID") };
    assert_eq!(esid.reason, EndSessionReason::INCOMPATIBLE);
    assert!(!esid.text.is_empty());
}

#[test]
fn values_that_no_session_can_have_are_incompatible() {
    for impossible in [StartSession { credit: 0, ..ssid() }, StartSession { buffer_size: 127, ..ssid() }] {
        assert_eq!(answered(capabilities(), impossible.clone()).state(), State::WfNDisc);
        assert_eq!(reply_to(impossible, capabilities()).0.state(), State::WfNDisc);
    }
}

/// Both too low a level and the wrong authentication: §9.8.2, D and G differ.
#[test]
fn the_responder_names_authentication_first_and_the_initiator_capabilities() {
    let theirs = StartSession { authentication: true, capability: Capability::SendOnly, ..ssid() };
    let ours = Capabilities { mode: Capability::SendOnly, ..capabilities() };
    let (_, reply) = reply_to(theirs.clone(), ours.clone());
    let Some(Output::Transmit(Command::EndSession(esid))) = reply else { panic!("{reply:?}") };
    assert_eq!(esid.reason, EndSessionReason::AUTHENTICATION_INCOMPATIBLE);
    let Some(Output::Transmit(Command::EndSession(esid))) = answered(ours, theirs).poll_output() else {
        panic!("no ESID")
    };
    assert_eq!(esid.reason, EndSessionReason::INCOMPATIBLE);
}

#[test]
fn capabilities_that_contradict_themselves_are_a_misuse() {
    let now = std::time::Instant::now();
    let good = capabilities();
    let bad = [
        Capabilities { level_min: Level::V2_0, level_max: Level::V1_4, ..good.clone() },
        Capabilities { buffer_size: 127, ..good.clone() },
        Capabilities { buffer_size: 100_000, ..good.clone() },
        Capabilities { credit: 0, ..good.clone() },
        Capabilities { credit: 1000, ..good.clone() },
        Capabilities { authentication: true, level_max: Level::V1_4, ..good.clone() },
    ];
    for bad in bad {
        let mut session = Session::new(TIMERS);
        assert!(matches!(session.connect(bad, toy(), now), Err(Misuse::Capabilities(_))));
        session.connect(good.clone(), None, now).unwrap();
    }
    let unable = Capabilities { authentication: true, ..good };
    assert!(matches!(Session::new(TIMERS).connect(unable, None, now), Err(Misuse::Capabilities(_))));
}
