use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use odile_wire::{DateStamp, FileId, Level, NegativeEndReason, TimeStamp, VariableText};

use super::{Fixture, arrived, code, eerp, file, landing, lower_case_code, new_inbound, new_outbound, part};
use crate::{CatalogError, NewReceipt, OutboundChange, OutboundState, Services, TransferRef, Transmitted};

impl Fixture {
    fn awaiting(&self, file: &FileId, level: Level) -> Option<i64> {
        self.catalog.outbound_awaiting_receipt("bob", file, level).unwrap().map(|outbound| outbound.id)
    }
}

/// The file as a session of levels 1 and 2 knows it: neither century nor counter.
fn as_seen_before_level_4(file: &FileId) -> FileId {
    FileId {
        date: DateStamp::from_short(file.date.short().try_into().unwrap()).unwrap(),
        time: TimeStamp::from_short(file.time.short().try_into().unwrap()).unwrap(),
        ..*file
    }
}

#[test]
fn keeps_every_field() {
    let mut fixture = Fixture::new();
    let mut new = new_outbound("bob", part(*b"1204050007"));
    new.source = OsString::from_vec(b"/data/out/\xff\xfe name.stp".to_vec()).into();
    new.services = Services { security: 3, compression: 1, suite: 99, signed_receipt: true };
    let stored = fixture.catalog.enqueue(&new, 1000).unwrap();
    assert_eq!(fixture.reopened().outbound(stored.id).unwrap().as_ref(), Some(&stored));
    assert_eq!(stored.id, 1);
    assert_eq!(stored.partner, new.partner);
    assert_eq!(stored.file, new.file);
    assert_eq!(stored.user, new.user);
    assert_eq!(stored.format, new.format);
    assert_eq!(stored.source, new.source);
    assert_eq!(stored.source_identity, new.source_identity);
    assert_eq!(stored.after_delivery, new.after_delivery);
    assert_eq!(stored.description, new.description);
    assert_eq!(stored.original_name, new.original_name);
    assert_eq!((stored.services, &stored.transmitted), (new.services, &None));
    assert_eq!((stored.state, stored.detail.as_str()), (OutboundState::Queued, ""));
    assert_eq!((stored.position_bytes, stored.attempts, stored.first_offered_ms), (0, 0, None));
    assert_eq!((stored.total_bytes, stored.fruitless), (None, 0));
    assert_eq!((stored.not_before_ms, stored.created_ms, stored.changed_ms), (1000, 1000, 1000));
    assert_eq!(fixture.catalog.outbound(99).unwrap(), None);
}

#[test]
fn stamps_stay_unique_in_one_second() {
    let mut fixture = Fixture::new();
    let mut times = Vec::new();
    for _ in 0..3 {
        let new = new_outbound("bob", part(*b"1204050001"));
        times.push(fixture.catalog.enqueue(&new, 1).unwrap().file.time.to_string());
    }
    assert_eq!(times, ["1204050001", "1204050002", "1204050003"]);
    // Another partner, another name and another day have their own counters.
    let others = [
        new_outbound("carol", part(*b"1204050001")),
        new_outbound("bob", file("OTHER", *b"20261123", *b"1204050001")),
        new_outbound("bob", file("CAD.PART", *b"20261124", *b"1204050001")),
    ];
    for new in others {
        assert_eq!(fixture.catalog.enqueue(&new, 1).unwrap().file, new.file);
    }
}

#[test]
fn the_counter_begins_at_one() {
    let mut fixture = Fixture::new();
    let stored = fixture.catalog.enqueue(&new_outbound("bob", part(*b"1204050000")), 1).unwrap();
    assert_eq!(stored.file.time.to_string(), "1204050001");
}

#[test]
fn a_used_up_second_goes_on_in_the_next() {
    let mut fixture = Fixture::new();
    let mut stamps = Vec::new();
    for _ in 0..3 {
        let new = new_outbound("bob", file("CAD.PART", *b"20261231", *b"2359599998"));
        let stored = fixture.catalog.enqueue(&new, 1).unwrap().file;
        stamps.push(format!("{} {}", stored.date, stored.time));
    }
    assert_eq!(stamps, ["20261231 2359599998", "20261231 2359599999", "20270101 0000000001"]);
}

#[test]
fn says_so_when_time_ends() {
    let mut fixture = Fixture::new();
    let new = new_outbound("bob", file("CAD.PART", *b"99991231", *b"2359599999"));
    fixture.catalog.enqueue(&new, 1).unwrap();
    let error = fixture.catalog.enqueue(&new, 1).unwrap_err();
    assert!(matches!(error, CatalogError::NoStampLeft { .. }), "{error:?}");
}

#[test]
fn before_level_4_each_file_has_its_own_second() {
    for level in [Level::V1_2, Level::V1_3] {
        let mut fixture = Fixture::new();
        let mut seconds = HashSet::new();
        for _ in 0..50 {
            let new = new_outbound("bob", part(*b"1204050001"));
            let stored = fixture.catalog.enqueue_for_level(&new, level, 1).unwrap();
            assert!(seconds.insert(stored.file.time.short().to_vec()), "{}", stored.file);
        }
        assert!(seconds.contains(b"120454".as_slice()));
    }
}

#[test]
fn refuses_a_size_beyond_63_bits() {
    let mut fixture = Fixture::new();
    let mut new = new_outbound("bob", part(*b"1204050001"));
    new.source_identity.size = 1 << 63;
    assert!(matches!(fixture.catalog.enqueue(&new, 1), Err(CatalogError::OutOfRange { .. })));
    new.source_identity.size -= 1;
    let id = fixture.catalog.enqueue(&new, 1).unwrap().id;
    let beyond = OutboundChange::default().position_bytes(1 << 63);
    assert!(matches!(fixture.catalog.set_outbound(id, &beyond, 2), Err(CatalogError::OutOfRange { .. })));
    let last = OutboundChange::default().position_bytes((1 << 63) - 1);
    fixture.catalog.set_outbound(id, &last, 2).unwrap();
    assert_eq!(fixture.catalog.outbound(id).unwrap().unwrap().position_bytes, (1 << 63) - 1);
}

#[test]
fn the_lowest_number_that_is_due_is_next() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.catalog.next_due_ms().unwrap(), None);
    let (first, second) = (fixture.queued(*b"1204050001"), fixture.queued(*b"1204050002"));
    let next = |fixture: &Fixture, now_ms| {
        fixture.catalog.next_outbound("bob", now_ms).unwrap().map(|outbound| outbound.id)
    };
    assert_eq!(next(&fixture, 999), None);
    assert_eq!(next(&fixture, 1000), Some(first));
    let later = OutboundChange::to(OutboundState::Queued).not_before_ms(5000).detail("busy");
    fixture.catalog.set_outbound(first, &later, 1500).unwrap();
    assert_eq!(next(&fixture, 4999), Some(second));
    assert_eq!(next(&fixture, 5000), Some(first));
    assert_eq!(fixture.catalog.next_due_ms().unwrap(), Some(1000));
    fixture.set(second, OutboundState::Sending);
    assert_eq!(next(&fixture, 4999), None);
    assert_eq!(fixture.catalog.next_due_ms().unwrap(), Some(5000));
    assert_eq!(fixture.catalog.next_outbound("carol", 9999).unwrap(), None);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_file_waiting() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let mut fixture = Fixture::new();
    let id = fixture.queued(*b"1204050001");
    let later = OutboundChange::to(OutboundState::Queued).not_before_ms(10 * DAY_MS);
    fixture.catalog.set_outbound(id, &later, 1500).unwrap();
    for (now_ms, is_due) in
        [(10 * DAY_MS, true), (9 * DAY_MS, false), (8 * DAY_MS, false), (7 * DAY_MS, true)]
    {
        assert_eq!(fixture.catalog.next_outbound("bob", now_ms).unwrap().is_some(), is_due, "{now_ms}");
        assert_eq!(!fixture.catalog.partners_with_work(now_ms).unwrap().is_empty(), is_due, "{now_ms}");
    }
}

#[test]
fn partners_have_work_if_files_are_due_or_receipts_owed() {
    let mut fixture = Fixture::new();
    fixture.queued(*b"1204050001");
    fixture.queued(*b"1204050002");
    let inbound = fixture.catalog.begin_inbound(&new_inbound("alice", part(*b"1204050001")), 1).unwrap();
    assert!(fixture.catalog.partners_with_work(999).unwrap().is_empty());
    fixture.catalog.landing(inbound.id, &landing(), 2).unwrap();
    fixture.catalog.received(inbound.id, &NewReceipt::positive(), 3).unwrap();
    assert_eq!(fixture.catalog.partners_with_work(999).unwrap(), ["alice"]);
    assert_eq!(fixture.catalog.partners_with_work(1000).unwrap(), ["alice", "bob"]);
    let receipt = fixture.catalog.receipts_owed("alice").unwrap().remove(0);
    fixture.catalog.receipt_sent(receipt.id, 4).unwrap();
    assert_eq!(fixture.catalog.partners_with_work(1000).unwrap(), ["bob"]);
}

#[test]
fn a_change_leaves_alone_what_it_does_not_name() {
    let mut fixture = Fixture::new();
    let id = fixture.queued(*b"1204050001");
    let sending = OutboundChange::to(OutboundState::Sending).counting_attempt().detail("session 1");
    fixture.catalog.set_outbound(id, &sending, 2000).unwrap();
    fixture.catalog.set_outbound(id, &OutboundChange::default().position_bytes(1 << 20), 3000).unwrap();
    let stored = fixture.catalog.outbound(id).unwrap().unwrap();
    assert_eq!((stored.state, stored.detail.as_str()), (OutboundState::Sending, "session 1"));
    assert_eq!((stored.attempts, stored.position_bytes), (1, 1 << 20));
    assert_eq!((stored.not_before_ms, stored.created_ms, stored.changed_ms), (1000, 1000, 3000));
    assert_eq!(stored.first_offered_ms, Some(2000));
    // A new state without a detail does not keep the reason of the old one.
    fixture.set(id, OutboundState::Sent);
    let stored = fixture.catalog.outbound(id).unwrap().unwrap();
    assert_eq!((stored.detail.as_str(), stored.position_bytes), ("", 1 << 20));
}

#[test]
fn what_was_transmitted_stays_until_it_is_transmitted_again() {
    let mut fixture = Fixture::new();
    let id = fixture.queued(*b"1204050001");
    fixture.set(id, OutboundState::Sending);
    let first = Transmitted { octets: (1 << 63) - 1, hash: vec![0xab; 64] };
    fixture.catalog.set_outbound(id, &OutboundChange::default().transmitted(first.clone()), 2000).unwrap();
    let stored = |fixture: &Fixture| fixture.reopened().outbound(id).unwrap().unwrap().transmitted;
    assert_eq!(stored(&fixture), Some(first.clone()));
    fixture.set(id, OutboundState::Queued);
    fixture.set(id, OutboundState::Sending);
    assert_eq!(stored(&fixture), Some(first), "the partner may have all of it, and tell of it later");
    let not_hashed = Transmitted { octets: 0, hash: Vec::new() };
    let sent = OutboundChange::to(OutboundState::Sent).transmitted(not_hashed.clone());
    fixture.catalog.set_outbound(id, &sent, 3000).unwrap();
    assert_eq!(stored(&fixture), Some(not_hashed.clone()));
    let beyond = OutboundChange::default().transmitted(Transmitted { octets: 1 << 63, hash: Vec::new() });
    let error = fixture.catalog.set_outbound(id, &beyond, 4000).unwrap_err();
    assert!(matches!(error, CatalogError::OutOfRange { .. }), "{error:?}");
    assert_eq!(stored(&fixture), Some(not_hashed));
}

#[test]
fn every_state_is_stored_and_every_illegal_transition_refused() {
    use OutboundState::{
        Cancelled, Delivered, Failed, Held, Queued, Refused, Rejected, Sending, Sent, Unproven,
    };
    // Typed in from the diagram, not asked of the code.
    let legal: [(OutboundState, &[OutboundState]); 10] = [
        (Queued, &[Queued, Sending, Held, Failed, Cancelled]),
        (Sending, &[Sending, Sent, Queued, Held, Refused, Failed, Cancelled, Delivered, Rejected]),
        (Sent, &[Sent, Delivered, Rejected, Failed, Cancelled]),
        (Unproven, &[Delivered, Rejected, Failed, Cancelled]),
        (Held, &[Held, Queued, Failed, Cancelled]),
        (Refused, &[Queued, Cancelled]),
        (Failed, &[Queued, Cancelled]),
        (Delivered, &[]),
        (Rejected, &[]),
        (Cancelled, &[]),
    ];
    let mut fixture = Fixture::new();
    let id = fixture.queued(*b"1204050001");
    for (from, nexts) in legal {
        for &to in OutboundState::ALL {
            fixture.catalog.connection.execute("UPDATE outbound SET state = ?1", [from.as_str()]).unwrap();
            assert_eq!(fixture.state(id), from);
            let result = fixture.catalog.set_outbound(id, &OutboundChange::to(to), 2000);
            if nexts.contains(&to) {
                result.unwrap();
                assert_eq!(fixture.state(id), to);
            } else {
                let error = result.unwrap_err();
                assert_eq!(error.to_string(), format!("transfer S1 is {from} and cannot become {to}"));
                assert_eq!(fixture.state(id), from);
            }
        }
    }
}

#[test]
fn an_unknown_number_is_named() {
    let mut fixture = Fixture::new();
    let change = OutboundChange::to(OutboundState::Sending);
    for error in [
        fixture.catalog.set_outbound(7, &change, 1).unwrap_err(),
        fixture.catalog.receipt_arrived(7, &eerp(), 1).unwrap_err(),
    ] {
        assert!(
            matches!(error, CatalogError::NoSuchTransfer { transfer: TransferRef::Outbound(7) }),
            "{error:?}"
        );
    }
}

#[test]
fn the_queue_holds_what_is_not_final() {
    let mut fixture = Fixture::new();
    for &state in OutboundState::ALL {
        let id = fixture.queued(*b"1204050001");
        fixture
            .catalog
            .connection
            .execute("UPDATE outbound SET state = ?1 WHERE id = ?2", (state.as_str(), id))
            .unwrap();
    }
    let states: Vec<_> =
        fixture.catalog.queue().unwrap().into_iter().map(|outbound| outbound.state).collect();
    let expected: Vec<_> = OutboundState::ALL.iter().copied().filter(|state| !state.is_final()).collect();
    assert_eq!(states, expected);
    assert!(states.contains(&OutboundState::Unproven));
    assert_eq!(states.len(), 5);
}

#[test]
fn interrupted_files_are_queued_again_with_their_position() {
    let mut fixture = Fixture::new();
    let (sending, sent, queued) =
        (fixture.queued(*b"1204050001"), fixture.sent(*b"1204050002"), fixture.queued(*b"1204050003"));
    let change = OutboundChange::to(OutboundState::Sending).counting_attempt();
    fixture.catalog.set_outbound(sending, &change, 2000).unwrap();
    fixture
        .catalog
        .set_outbound(sending, &OutboundChange::default().position_bytes(77 * 1024), 2500)
        .unwrap();
    assert_eq!(fixture.catalog.requeue_interrupted(9000).unwrap(), 1);
    let again = fixture.catalog.outbound(sending).unwrap().unwrap();
    assert_eq!((again.state, again.position_bytes), (OutboundState::Queued, 77 * 1024));
    assert_eq!((again.attempts, again.not_before_ms), (1, 9000));
    assert_eq!(fixture.state(sent), OutboundState::Sent);
    assert_eq!(fixture.state(queued), OutboundState::Queued);
    assert_eq!(fixture.catalog.requeue_interrupted(9001).unwrap(), 0);
}

#[test]
fn a_receipt_finds_its_file_at_every_level() {
    let mut fixture = Fixture::new();
    let (first, second) = (fixture.sent(*b"1204050001"), fixture.sent(*b"1204050002"));
    for level in [Level::V1_4, Level::V2_0] {
        assert_eq!(fixture.awaiting(&part(*b"1204050001"), level), Some(first));
        assert_eq!(fixture.awaiting(&part(*b"1204050002"), level), Some(second));
        assert_eq!(fixture.awaiting(&part(*b"1204050003"), level), None);
        assert_eq!(fixture.awaiting(&as_seen_before_level_4(&part(*b"1204050002")), level), None);
    }
    for level in [Level::V1_2, Level::V1_3] {
        assert_eq!(fixture.awaiting(&as_seen_before_level_4(&part(*b"1204050002")), level), Some(first));
        assert_eq!(fixture.awaiting(&as_seen_before_level_4(&part(*b"1204060001")), level), None);
    }
    fixture.catalog.receipt_arrived(first, &eerp(), 3000).unwrap();
    let short = as_seen_before_level_4(&part(*b"1204050001"));
    assert_eq!(fixture.awaiting(&short, Level::V1_2), Some(second), "the first has its receipt");
    let elsewhere = FileId { originator: code("O0013000003CAROL"), ..part(*b"1204050002") };
    assert_eq!(fixture.awaiting(&elsewhere, Level::V2_0), None);
    let other_case = FileId { originator: lower_case_code("O0013000002ALICE CAST"), ..part(*b"1204050002") };
    assert_eq!(fixture.awaiting(&other_case, Level::V2_0), Some(second));
    fixture.catalog.connection.execute("UPDATE outbound SET state = 'unproven'", []).unwrap();
    assert_eq!(fixture.awaiting(&part(*b"1204050002"), Level::V2_0), Some(second), "a right one may come");
    let third = fixture.sent(*b"1204050003");
    let short = as_seen_before_level_4(&part(*b"1204050003"));
    assert_eq!(fixture.awaiting(&short, Level::V1_2), Some(third), "those without any come first");
    let none = fixture.catalog.outbound_awaiting_receipt("carol", &part(*b"1204050002"), Level::V2_0);
    assert_eq!(none.unwrap(), None, "not this partner's");
}

#[test]
fn a_receipt_settles_a_file_whose_answer_was_lost() {
    let mut fixture = Fixture::new();
    let id = fixture.queued(*b"1204050001");
    assert_eq!(fixture.awaiting(&part(*b"1204050001"), Level::V2_0), None, "never offered");
    assert!(matches!(
        fixture.catalog.receipt_arrived(id, &eerp(), 1),
        Err(CatalogError::IllegalTransition { .. })
    ));
    fixture.set(id, OutboundState::Sending);
    fixture.catalog.requeue_interrupted(3000).unwrap();
    assert_eq!(fixture.awaiting(&part(*b"1204050001"), Level::V2_0), Some(id));
    fixture.catalog.receipt_arrived(id, &eerp(), 4000).unwrap();
    assert_eq!(fixture.state(id), OutboundState::Delivered);
    assert_eq!(fixture.catalog.next_outbound("bob", 9999).unwrap(), None, "not sent a second time");
}

#[test]
fn receipts_that_came_end_the_file_once() {
    let mut fixture = Fixture::new();
    let (good, bad) = (fixture.sent(*b"1204050001"), fixture.sent(*b"1204050002"));
    let signed = NewReceipt { hash: vec![1; 32], signature: vec![2; 500], ..NewReceipt::positive() };
    fixture.catalog.receipt_arrived(good, &arrived(signed, *b"1204050001"), 3000).unwrap();
    let nerp = NewReceipt::negative(
        code("O0013000001BOBMOTORS"),
        NegativeEndReason::INVALID_SIGNATURE,
        VariableText::truncated("certificate expired"),
    );
    let nerp = arrived(nerp, *b"1204050002");
    fixture.catalog.receipt_arrived(bad, &nerp, 3001).unwrap();
    assert_eq!(fixture.state(good), OutboundState::Delivered);
    let rejected = fixture.reopened().outbound(bad).unwrap().unwrap();
    assert_eq!(rejected.state, OutboundState::Rejected);
    assert_eq!(
        rejected.detail,
        "NERP 31, file signature not valid (certificate expired) by O0013000001BOBMOTORS"
    );
    for id in [good, bad] {
        let error = fixture.catalog.receipt_arrived(id, &nerp, 4000).unwrap_err();
        assert!(matches!(error, CatalogError::IllegalTransition { .. }), "{error:?}");
    }
    let kept: Vec<(i64, String, Vec<u8>, Vec<u8>)> = fixture
        .catalog
        .connection
        .prepare("SELECT outbound_id, kind, hash, signature FROM receipt_arrived ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        kept,
        [(good, "EERP".into(), vec![1; 32], vec![2; 500]), (bad, "NERP".into(), vec![], vec![])]
    );
}
