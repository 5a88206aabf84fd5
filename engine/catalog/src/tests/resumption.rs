//! How far files got that were interrupted, of both directions.

use super::{Fixture, landing, nerp, new_inbound, new_outbound, part};
use crate::{
    CatalogError, Inbound, InboundState, NewInbound, NewReceipt, Outbound, OutboundChange, OutboundState,
    Services, TransferRef,
};

const TIME: [u8; 10] = *b"1204050001";

impl Fixture {
    fn outbound(&self, id: i64) -> Outbound {
        self.reopened().outbound(id).unwrap().unwrap()
    }

    fn inbound(&self, id: i64) -> Inbound {
        self.reopened().inbound(id).unwrap().unwrap()
    }

    fn receiving(&mut self) -> i64 {
        self.catalog.begin_inbound(&new_inbound("alice", part(TIME)), 1000).unwrap().id
    }

    fn lines(&self, transfer: TransferRef) -> Vec<String> {
        let shown = self.catalog.show(transfer).unwrap().unwrap();
        shown.events.into_iter().map(|event| event.text).collect()
    }

    fn rows_written(&self) -> u64 {
        self.catalog.connection.total_changes()
    }

    /// In whatever state.
    fn force(&self, table: &str, state: &str) {
        self.catalog.connection.execute(&format!("UPDATE {table} SET state = ?1"), [state]).unwrap();
    }
}

#[test]
fn progress_writes_one_row_and_no_line() {
    let mut fixture = Fixture::new();
    let (outbound, inbound) = (fixture.queued(TIME), fixture.receiving());
    fixture.set(outbound, OutboundState::Sending);
    let story = |fixture: &Fixture| {
        [TransferRef::Outbound(outbound), TransferRef::Inbound(inbound)].map(|it| fixture.lines(it))
    };
    let (before, story_before) = (fixture.rows_written(), story(&fixture));
    let progress = OutboundChange::default().position_bytes(5 << 20).total_bytes(1 << 40).fruitless(0);
    fixture.catalog.set_outbound(outbound, &progress, 3000).unwrap();
    assert_eq!(fixture.rows_written(), before + 1);
    fixture.catalog.inbound_position(inbound, 7 << 20, 3001).unwrap();
    assert_eq!(fixture.rows_written(), before + 2);
    assert_eq!(story(&fixture), story_before);
    let sending = fixture.outbound(outbound);
    assert_eq!((sending.position_bytes, sending.total_bytes), (5 << 20, Some(1 << 40)));
    assert_eq!((sending.state, sending.changed_ms), (OutboundState::Sending, 3000));
    let receiving = fixture.inbound(inbound);
    assert_eq!((receiving.position_bytes, receiving.octets, receiving.changed_ms), (7 << 20, 0, 3001));
}

#[test]
fn fruitless_attempts_count_until_there_is_progress() {
    let mut fixture = Fixture::new();
    let id = fixture.queued(TIME);
    for fruitless in 1..=3 {
        fixture.set(id, OutboundState::Sending);
        let again = OutboundChange::to(OutboundState::Queued).detail("no answer").fruitless(fruitless);
        fixture.catalog.set_outbound(id, &again.counting_attempt(), 2000).unwrap();
        assert_eq!(fixture.outbound(id).fruitless, fruitless);
    }
    fixture.set(id, OutboundState::Sending);
    assert_eq!((fixture.outbound(id).fruitless, fixture.outbound(id).attempts), (3, 3));
    fixture.catalog.set_outbound(id, &OutboundChange::default().fruitless(0), 3000).unwrap();
    assert_eq!((fixture.outbound(id).fruitless, fixture.outbound(id).attempts), (0, 3));
    fixture.catalog.set_outbound(id, &OutboundChange::default().fruitless(u32::MAX), 3000).unwrap();
    assert_eq!(fixture.outbound(id).fruitless, u32::MAX);
}

#[test]
fn a_total_is_kept_until_a_better_one_is_known() {
    let mut fixture = Fixture::new();
    let id = fixture.queued(TIME);
    let total = |octets| OutboundChange::default().total_bytes(octets);
    fixture.catalog.set_outbound(id, &total((1 << 63) - 1), 2000).unwrap();
    fixture.set(id, OutboundState::Sending);
    assert_eq!(fixture.outbound(id).total_bytes, Some((1 << 63) - 1));
    let error = fixture.catalog.set_outbound(id, &total(1 << 63), 2000).unwrap_err();
    assert!(matches!(error, CatalogError::OutOfRange { .. }), "{error:?}");
    fixture.catalog.set_outbound(id, &total(0), 2000).unwrap();
    assert_eq!(fixture.outbound(id).total_bytes, Some(0));
}

#[test]
fn a_detail_alone_leaves_the_state_and_tells_why() {
    let mut fixture = Fixture::new();
    let id = fixture.queued(TIME);
    let change = OutboundChange { detail: Some("busy".to_owned()), ..OutboundChange::default() };
    fixture.catalog.set_outbound(id, &change, 2000).unwrap();
    assert_eq!((fixture.state(id), fixture.outbound(id).detail.as_str()), (OutboundState::Queued, "busy"));
    assert_eq!(fixture.lines(TransferRef::Outbound(id)).last().unwrap(), "queued: busy");
}

#[test]
fn what_is_not_final_is_unsettled() {
    let mut fixture = Fixture::new();
    let mut expected = Vec::new();
    for &state in OutboundState::ALL {
        let id = fixture.catalog.enqueue(&new_outbound("bob", part(TIME)), 1).unwrap().id;
        let change = "UPDATE outbound SET state = ?1 WHERE id = ?2";
        fixture.catalog.connection.execute(change, (state.as_str(), id)).unwrap();
        if !state.is_final() {
            expected.push(id);
        }
    }
    assert_eq!(fixture.catalog.outbound_unsettled().unwrap(), expected);
    assert_eq!(expected.len(), 5);
    fixture.force("outbound", "delivered");
    assert!(fixture.catalog.outbound_unsettled().unwrap().is_empty());
}

#[test]
fn an_interrupted_file_says_why_and_how_far_it_got() {
    let mut fixture = Fixture::new();
    let id = fixture.receiving();
    fixture.catalog.inbound_position(id, 9999, 2000).unwrap();
    fixture.catalog.interrupt_inbound(id, "line broken", 8192, 3000).unwrap();
    let interrupted = fixture.inbound(id);
    assert_eq!((interrupted.state, interrupted.detail.as_str()), (InboundState::Receiving, "line broken"));
    assert_eq!((interrupted.position_bytes, interrupted.changed_ms), (8192, 3000));
    assert_eq!(fixture.lines(TransferRef::Inbound(id))[1..], ["interrupted: line broken"]);
    let listed = fixture.catalog.history(&crate::HistoryFilter::default()).unwrap();
    assert_eq!((listed[0].state.as_str(), listed[0].detail.as_str()), ("receiving", "line broken"));
}

#[test]
fn an_interrupted_file_goes_on_where_it_was_cut() {
    let mut fixture = Fixture::new();
    let id = fixture.receiving();
    fixture.catalog.interrupt_inbound(id, "line broken", 8193, 2000).unwrap();
    let again = NewInbound {
        part_name: "2.part".to_owned(),
        announced_blocks: 5,
        services: Services { signed_receipt: true, ..Services::PLAIN },
        ..new_inbound("alice", part(TIME))
    };
    let resumed = fixture.catalog.resume_inbound(&again, 8192, 3000).unwrap();
    assert_eq!((resumed.id, resumed.state, resumed.position_bytes), (id, InboundState::Receiving, 8192));
    assert_eq!((resumed.part_name.as_str(), resumed.detail.as_str()), ("1.part", ""));
    assert_eq!((resumed.announced_blocks, resumed.services), (5, again.services));
    assert_eq!((resumed.created_ms, resumed.changed_ms), (1000, 3000));
    assert_eq!(fixture.inbound(id), resumed);
    assert_eq!(
        fixture.lines(TransferRef::Inbound(id))[1..],
        ["interrupted: line broken", "offered again, goes on from octet 8192"]
    );
    fixture.catalog.landing(id, &landing(), 4000).unwrap();
    assert_eq!(fixture.inbound(id).position_bytes, 8192, "as it was");
}

#[test]
fn a_file_that_begins_again_begins_at_its_first_octet() {
    let mut fixture = Fixture::new();
    let id = fixture.receiving();
    fixture.catalog.interrupt_inbound(id, "line broken", 8192, 2000).unwrap();
    assert_eq!(fixture.receiving(), id);
    assert_eq!((fixture.inbound(id).position_bytes, fixture.inbound(id).detail.as_str()), (0, ""));
    assert_eq!(fixture.lines(TransferRef::Inbound(id)).last().unwrap(), "offered again");
}

#[test]
fn only_a_file_that_is_received_has_a_position() {
    let mut fixture = Fixture::new();
    let id = fixture.receiving();
    for &state in InboundState::ALL {
        fixture.force("inbound", state.as_str());
        let lines_before = fixture.lines(TransferRef::Inbound(id));
        let noted = fixture.catalog.inbound_position(id, 7, 2000);
        let interrupted = fixture.catalog.interrupt_inbound(id, "line broken", 8, 2000);
        let message = format!("transfer R1 is {state} and cannot become interrupted");
        match state {
            InboundState::Receiving => {
                noted.unwrap();
                interrupted.unwrap();
                continue;
            }
            // It did not land after all.
            InboundState::Landing => {
                assert_eq!(noted.unwrap_err().to_string(), message);
                interrupted.unwrap();
                assert_eq!(fixture.inbound(id).state, InboundState::Receiving);
                continue;
            }
            _ => {}
        }
        for error in [noted.unwrap_err(), interrupted.unwrap_err()] {
            assert_eq!(error.to_string(), message);
        }
        assert_eq!(fixture.inbound(id).position_bytes, 8);
        assert_eq!(fixture.lines(TransferRef::Inbound(id)), lines_before);
    }
}

#[test]
fn a_file_that_did_not_land_after_all_waits_for_its_partner_as_if_it_never_had() {
    let mut fixture = Fixture::new();
    let id = fixture.receiving();
    fixture.catalog.landing(id, &landing(), 2000).unwrap();
    fixture.catalog.interrupt_inbound(id, "line broken", 8192, 3000).unwrap();
    let inbound = fixture.inbound(id);
    assert_eq!((inbound.state, inbound.position_bytes), (InboundState::Receiving, 8192));
    assert_eq!((inbound.final_path, inbound.octets, inbound.records), (None, 0, 0));
    assert_eq!((inbound.transmitted, inbound.signer), (None, None));
    assert_eq!(inbound.detail, "line broken");
    fixture.catalog.resume_inbound(&new_inbound("alice", part(TIME)), 8192, 4000).unwrap();
    fixture.catalog.landing(id, &landing(), 5000).unwrap();
    fixture.catalog.received(id, &NewReceipt::positive(), 6000).unwrap();
}

#[test]
fn only_a_file_that_is_received_goes_on() {
    let mut fixture = Fixture::new();
    let new = new_inbound("alice", part(TIME));
    let error = fixture.catalog.resume_inbound(&new, 8192, 1000).unwrap_err();
    assert!(matches!(error, CatalogError::NothingToResume { .. }), "{error:?}");
    assert!(error.to_string().contains("CAD.PART"), "{error}");
    let id = fixture.receiving();
    let other = new_inbound("bob", part(TIME));
    let error = fixture.catalog.resume_inbound(&other, 8192, 1000).unwrap_err();
    assert!(matches!(error, CatalogError::NothingToResume { .. }), "{error:?}");
    fixture.catalog.received(id, &nerp(), 2000).unwrap();
    let error = fixture.catalog.resume_inbound(&new, 8192, 3000).unwrap_err();
    assert!(matches!(error, CatalogError::NothingToResume { .. }), "{error:?}");
    assert_eq!(fixture.catalog.receipts_owed("alice").unwrap().len(), 1, "still owed");
    fixture.receiving();
    fixture.catalog.landing(id, &landing(), 4000).unwrap();
    for _ in 0..2 {
        let error = fixture.catalog.resume_inbound(&new, 8192, 5000).unwrap_err();
        assert!(matches!(error, CatalogError::AlreadyKnown { .. }), "{error:?}");
        if fixture.inbound(id).state == InboundState::Landing {
            fixture.catalog.received(id, &NewReceipt::positive(), 6000).unwrap();
        }
    }
    assert_eq!(fixture.inbound(id).state, InboundState::Received);
}

#[test]
fn positions_have_63_bits() {
    let mut fixture = Fixture::new();
    let id = fixture.receiving();
    let new = new_inbound("alice", part(TIME));
    fixture.catalog.inbound_position(id, (1 << 63) - 1, 2000).unwrap();
    for error in [
        fixture.catalog.inbound_position(id, 1 << 63, 2000).unwrap_err(),
        fixture.catalog.interrupt_inbound(id, "", 1 << 63, 2000).unwrap_err(),
        fixture.catalog.resume_inbound(&new, 1 << 63, 2000).unwrap_err(),
    ] {
        assert!(matches!(error, CatalogError::OutOfRange { .. }), "{error:?}");
    }
    assert_eq!(fixture.inbound(id).position_bytes, (1 << 63) - 1);
}

#[test]
fn an_unknown_number_is_named() {
    let mut fixture = Fixture::new();
    let position = OutboundChange::default().position_bytes(1);
    for (error, transfer) in [
        (fixture.catalog.set_outbound(7, &position, 1).unwrap_err(), "S7"),
        (fixture.catalog.inbound_position(7, 1, 1).unwrap_err(), "R7"),
        (fixture.catalog.interrupt_inbound(7, "", 1, 1).unwrap_err(), "R7"),
    ] {
        assert!(error.to_string().starts_with(&format!("there is no transfer {transfer};")), "{error}");
    }
}

#[test]
fn programs_read_positions_and_attempts() {
    let mut fixture = Fixture::new();
    let (outbound, inbound) = (fixture.queued(TIME), fixture.receiving());
    let change = OutboundChange::default().position_bytes(5).fruitless(2);
    fixture.catalog.set_outbound(outbound, &change, 2000).unwrap();
    fixture.catalog.inbound_position(inbound, 6, 2000).unwrap();
    let json = serde_json::to_value(fixture.outbound(outbound)).unwrap();
    assert_eq!((&json["position_bytes"], &json["fruitless"]), (&5.into(), &2.into()));
    assert!(json["total_bytes"].is_null());
    fixture.catalog.set_outbound(outbound, &OutboundChange::default().total_bytes(7), 2000).unwrap();
    assert_eq!(serde_json::to_value(fixture.outbound(outbound)).unwrap()["total_bytes"], 7);
    assert_eq!(serde_json::to_value(fixture.inbound(inbound)).unwrap()["position_bytes"], 6);
}
