//! Files, receipts and turns between two sessions that follow the rules.

use odile_session::{Capabilities, Event, Misuse, State, Turn, TurnWish};
use odile_wire::command::{Capability, Security, StartFile};
use odile_wire::{EndSessionReason, Level, Mnemonic};

use crate::pair::{INITIATOR, Pair, RESPONDER, at_level, two_capabilities, with_credit};
use crate::sample::{eerp, efid, efna, nerp, sfid, sfna};

/// File, receipt in the same session, file back, end: at every level.
#[test]
fn carries_files_and_receipts_both_ways_at_every_level() {
    for level in Level::ALL {
        let mut pair = Pair::established(at_level(level));
        let now = pair.now;
        assert_eq!(pair.initiator().level(), level);
        pair.offer_and_send(INITIATOR, &sfid(0), 5);

        pair.responder().answer_close_file(Ok(TurnWish::Want), now).unwrap();
        pair.settle();
        assert_eq!(pair.event(INITIATOR), Event::FileClosed { turn: Turn::Gives });
        assert_eq!(pair.event(RESPONDER), Event::Turn);
        assert_eq!(pair.states(), [State::IdleLi, State::IdleSp]);
        assert!(!pair.responder().may_release(), "the turn was asked for");

        pair.responder().respond(eerp(), now).unwrap();
        pair.settle();
        let Event::EndToEndResponse(received) = pair.event(INITIATOR) else { panic!("no EERP") };
        assert!(received.file().matches_at(&eerp().file(), level));
        pair.initiator().ready_to_receive(now).unwrap();
        pair.settle();
        assert_eq!(pair.event(RESPONDER), Event::ReadyToReceive);

        pair.offer_and_send(RESPONDER, &sfid(3), 2);
        pair.initiator().answer_close_file(Ok(TurnWish::Keep), now).unwrap();
        pair.settle();
        assert_eq!(pair.event(RESPONDER), Event::FileClosed { turn: Turn::Keeps });

        pair.responder().change_direction(now).unwrap();
        pair.settle();
        assert_eq!(pair.event(INITIATOR), Event::Turn);
        assert_eq!(pair.states(), [State::IdleSpCd, State::IdleLiCd]);
        pair.initiator().release(EndSessionReason::NORMAL, "", now).unwrap();
        pair.settle();
        assert_eq!(pair.events(INITIATOR), []);
        assert_eq!(pair.event(RESPONDER), Event::Released);
        assert!(pair.initiator().is_over() && pair.responder().is_over());
    }
}

#[test]
fn negative_responses_exist_from_level_4_on() {
    for level in Level::ALL {
        let mut pair = Pair::established(at_level(level));
        let now = pair.now;
        let reply = pair.initiator().respond_negatively(nerp(), now);
        if level < Level::V1_4 {
            assert!(matches!(reply, Err(Misuse::Unrepresentable(_))), "{reply:?}");
            assert_eq!(pair.states()[INITIATOR], State::IdleSp);
            continue;
        }
        pair.settle();
        assert!(matches!(pair.event(RESPONDER), Event::NegativeEndResponse(_)));
        pair.responder().ready_to_receive(now).unwrap();
        pair.settle();
        assert_eq!(pair.event(INITIATOR), Event::ReadyToReceive);
    }
}

#[test]
fn a_secured_file_is_refused_below_level_5_before_anything_is_sent() {
    let mut pair = Pair::established(at_level(Level::V1_4));
    let now = pair.now;
    let file = StartFile { security: Security::Encrypted, envelope: 1, ..sfid(0) };
    assert!(matches!(pair.initiator().start_file(file, now), Err(Misuse::Unrepresentable(_))));
    assert_eq!(pair.initiator().poll_output(), None);
    pair.initiator().start_file(sfid(0), now).unwrap();
}

#[test]
fn polls_for_files() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    pair.initiator().change_direction(now).unwrap();
    pair.settle();
    assert_eq!(pair.event(RESPONDER), Event::Turn);
    assert!(pair.responder().may_release());
    assert!(pair.responder().change_direction(now).is_err(), "an unsolicited turn is not bounced back");

    pair.offer_and_send(RESPONDER, &sfid(0), 1);
    pair.initiator().answer_close_file(Ok(TurnWish::Keep), now).unwrap();
    pair.settle();
    pair.events(RESPONDER);
    assert!(!pair.responder().may_release(), "the file has ended the special condition");
    pair.responder().change_direction(now).unwrap();
    pair.settle();
    assert_eq!(pair.event(INITIATOR), Event::Turn);
    assert!(pair.initiator().may_release());
}

#[test]
fn ends_at_once_if_nobody_has_anything() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    assert!(pair.initiator().release(EndSessionReason::NORMAL, "", now).is_err());
    pair.initiator().change_direction(now).unwrap();
    pair.settle();
    pair.responder().release(EndSessionReason::NORMAL, "", now).unwrap();
    pair.settle();
    assert_eq!(pair.event(INITIATOR), Event::Released);
    assert!(pair.initiator().is_over() && pair.responder().is_over());
}

#[test]
fn a_receipt_ends_the_special_condition() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    pair.initiator().change_direction(now).unwrap();
    pair.settle();
    pair.responder().respond(eerp(), now).unwrap();
    pair.settle();
    pair.initiator().ready_to_receive(now).unwrap();
    pair.settle();
    assert_eq!(pair.states(), [State::IdleLi, State::IdleSp]);
    assert!(!pair.responder().may_release());
    pair.responder().change_direction(now).unwrap();
}

#[test]
fn a_refused_file_leaves_the_turn_where_it_is() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    pair.initiator().start_file(sfid(0), now).unwrap();
    pair.settle();
    pair.events(RESPONDER);
    pair.responder().answer_start_file(Err(sfna()), now).unwrap();
    pair.settle();
    assert_eq!(pair.event(INITIATOR), Event::FileRefused(sfna()));
    assert_eq!(pair.states(), [State::IdleSp, State::IdleLi]);

    pair.offer_and_send(INITIATOR, &sfid(0), 3);
    pair.responder().answer_close_file(Err(efna()), now).unwrap();
    pair.settle();
    assert_eq!(pair.event(INITIATOR), Event::CloseRefused(efna()));
    assert_eq!(pair.states(), [State::IdleSp, State::IdleLi]);
}

#[test]
fn a_restart_may_be_answered_with_less_but_not_with_more() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    pair.initiator().start_file(sfid(10), now).unwrap();
    pair.settle();
    let beyond = pair.responder().answer_start_file(Ok(11), now);
    assert_eq!(beyond, Err(Misuse::RestartBeyondOffer { position: 11, offered: 10 }));
    pair.responder().answer_start_file(Ok(4), now).unwrap();
    pair.settle();
    assert_eq!(pair.event(INITIATOR), Event::FileAccepted { restart: 4 });
}

#[test]
fn every_window_is_renewed_once_at_its_end() {
    for (credit, buffers, renewals) in [(1, 1, 0), (1, 5, 4), (3, 3, 0), (3, 4, 1), (3, 9, 2), (999, 2000, 2)]
    {
        let mut pair = Pair::established(with_credit(credit));
        let now = pair.now;
        pair.initiator().start_file(sfid(0), now).unwrap();
        pair.settle();
        pair.responder().answer_start_file(Ok(0), now).unwrap();
        pair.settle();
        pair.events(INITIATOR);
        assert_eq!(pair.initiator().credit(), credit);
        assert_eq!(pair.send_data(INITIATOR, buffers), renewals, "credit {credit}, {buffers} buffers");
        let more_than_there_is = pair.initiator().credit() + 1;
        assert!(pair.initiator().take_credit(more_than_there_is, now).is_err());
    }
}

#[test]
fn a_file_that_ends_with_the_credit_waits_for_new_credit_before_its_end() {
    let mut pair = Pair::established(with_credit(4));
    let now = pair.now;
    pair.initiator().start_file(sfid(0), now).unwrap();
    pair.settle();
    pair.events(RESPONDER);
    pair.responder().answer_start_file(Ok(0), now).unwrap();
    pair.settle();
    pair.events(INITIATOR);
    pair.send_data(INITIATOR, 4);
    pair.initiator().close_file(efid(), now).unwrap();
    assert_eq!(pair.states()[INITIATOR], State::OpoWfc);
    assert_eq!(pair.initiator().poll_output(), None, "EFID must wait for CDT");
    pair.settle();
    assert_eq!(pair.states(), [State::ClOp, State::ClIp]);
    assert_eq!(pair.event(RESPONDER), Event::CloseFile(efid()));
    assert_eq!(pair.events(INITIATOR), [], "more credit is of no use");
    assert_eq!(pair.sides[INITIATOR].sent.last(), Some(&Mnemonic::Efid));
    assert_eq!(pair.sides[RESPONDER].sent.last(), Some(&Mnemonic::Cdt));
}

#[test]
fn several_buffers_may_be_taken_at_once() {
    let mut pair = Pair::established(with_credit(10));
    let now = pair.now;
    pair.initiator().start_file(sfid(0), now).unwrap();
    pair.settle();
    pair.responder().answer_start_file(Ok(0), now).unwrap();
    pair.settle();
    pair.initiator().take_credit(7, now).unwrap();
    assert_eq!(pair.initiator().credit(), 3);
    assert_eq!(pair.initiator().take_credit(4, now), Err(Misuse::Credit { asked: 4, left: 3 }));
    pair.initiator().take_credit(3, now).unwrap();
    assert_eq!((pair.initiator().credit(), pair.states()[INITIATOR]), (0, State::OpoWfc));
}

/// §9.3: the User Monitor does not see WF_CD, so that it may speak too early.
#[test]
fn what_is_asked_for_before_the_turn_comes_goes_out_with_it() {
    for (verb, expected) in
        [("file", Mnemonic::Sfid), ("eerp", Mnemonic::Eerp), ("nerp", Mnemonic::Nerp), ("cd", Mnemonic::Cd)]
    {
        let mut pair = Pair::established(two_capabilities());
        let now = pair.now;
        pair.offer_and_send(INITIATOR, &sfid(0), 1);
        pair.responder().answer_close_file(Ok(TurnWish::Want), now).unwrap();
        assert_eq!(pair.states()[RESPONDER], State::WfCd);
        let responder = pair.responder();
        match verb {
            "file" => responder.start_file(sfid(0), now),
            "eerp" => responder.respond(eerp(), now),
            "nerp" => responder.respond_negatively(nerp(), now),
            _ => responder.change_direction(now),
        }
        .unwrap();
        assert!(pair.responder().start_file(sfid(0), now).is_err(), "one at a time");
        pair.settle();
        assert_eq!(pair.sides[RESPONDER].sent.last(), Some(&expected));
        assert!(!pair.events(RESPONDER).contains(&Event::Turn));
    }
}

#[test]
fn a_station_that_only_receives_offers_no_file_but_may_send_receipts() {
    let [ours, theirs] = two_capabilities();
    let mut pair = Pair::established([Capabilities { mode: Capability::ReceiveOnly, ..ours }, theirs]);
    let now = pair.now;
    assert_eq!(pair.initiator().start_file(sfid(0), now), Err(Misuse::ReceiveOnly));
    pair.initiator().respond(eerp(), now).unwrap();
}

#[test]
fn a_restart_position_needs_an_agreement_on_restart() {
    let [ours, theirs] = two_capabilities();
    let mut pair = Pair::established([ours, Capabilities { restart: false, ..theirs }]);
    let now = pair.now;
    assert_eq!(pair.initiator().start_file(sfid(1), now), Err(Misuse::RestartNotAgreed { position: 1 }));
    pair.initiator().start_file(sfid(0), now).unwrap();
}

/// Opens a file from the initiator to the responder, with early credit where it is on, in windows of 10.
fn open_with_early_credit(speaker: bool, listener: bool) -> Pair {
    let mut pair = Pair::established(with_credit(10));
    let now = pair.now;
    pair.initiator().set_early_credit(speaker);
    pair.responder().set_early_credit(listener);
    pair.initiator().start_file(sfid(0), now).unwrap();
    pair.settle();
    pair.events(RESPONDER);
    pair.responder().answer_start_file(Ok(0), now).unwrap();
    pair.settle();
    pair.events(INITIATOR);
    pair
}

#[test]
fn early_credit_comes_at_half_of_the_window_and_nothing_waits() {
    let mut pair = open_with_early_credit(true, true);
    let now = pair.now;
    for buffer in 1..=100_u16 {
        assert!(pair.initiator().credit() > 0, "it never waits");
        pair.initiator().take_credit(1, now).unwrap();
        pair.responder().on_data(now).unwrap();
        pair.settle();
        let renewed = pair.events(INITIATOR) == [Event::CreditRenewed];
        assert_eq!(renewed, buffer.is_multiple_of(5), "{buffer}");
    }
    pair.initiator().close_file(efid(), now).unwrap();
    pair.settle();
    assert_eq!(pair.event(RESPONDER), Event::CloseFile(efid()));
}

#[test]
fn with_early_credit_never_more_than_a_window_is_on_its_way() {
    let mut pair = open_with_early_credit(true, true);
    let now = pair.now;
    let mut on_its_way = 0;
    for _ in 0..20 {
        // Whatever may be sent is sent at once, and arrives in batches of half a window.
        let credit = pair.initiator().credit();
        pair.initiator().take_credit(credit, now).unwrap();
        on_its_way += credit;
        assert!(on_its_way <= 10, "{on_its_way}");
        for _ in 0..5 {
            pair.responder().on_data(now).unwrap();
        }
        on_its_way -= 5;
        pair.settle();
        assert_eq!(pair.event(INITIATOR), Event::CreditRenewed);
    }
    // All of it at once, before the credit for its first half could be handed out.
    let credit = pair.initiator().credit();
    pair.initiator().take_credit(credit, now).unwrap();
    for _ in 0..on_its_way + credit {
        pair.responder().on_data(now).unwrap();
    }
    assert!(pair.responder().on_data(now).is_err(), "so much was never granted");
}

#[test]
fn early_credit_that_was_not_agreed_ends_the_session() {
    let mut pair = open_with_early_credit(false, true);
    let now = pair.now;
    pair.initiator().take_credit(5, now).unwrap();
    for _ in 0..5 {
        pair.responder().on_data(now).unwrap();
    }
    pair.settle();
    let Some(Event::Aborted { reason, .. }) = pair.events(INITIATOR).pop() else { panic!("it was taken") };
    assert_eq!(reason, EndSessionReason::PROTOCOL_VIOLATION);
}
