use serde_json::json;

use super::{Fixture, eerp, landing, new_inbound, new_outbound, part};
use crate::{
    CatalogError, EVENT_TEXT_BYTES_MAX, EVENTS_PER_TRANSFER_MAX, HistoryFilter, NewReceipt, OutboundChange,
    OutboundState, TransferRef,
};

/// S1 for bob (1000), R1 from alice (2000), S2 for alice (3000).
fn three_transfers() -> Fixture {
    let mut fixture = Fixture::new();
    let catalog = &mut fixture.catalog;
    catalog.enqueue(&new_outbound("bob", part(*b"1204050001")), 1000).unwrap();
    catalog.begin_inbound(&new_inbound("alice", part(*b"1204050001")), 2000).unwrap();
    catalog.enqueue(&new_outbound("alice", part(*b"1204050001")), 3000).unwrap();
    fixture
}

fn listed(fixture: &Fixture, partner: Option<&str>, limit: u32) -> Vec<String> {
    let filter = HistoryFilter { partner: partner.map(str::to_owned), limit };
    let entries = fixture.catalog.history(&filter).unwrap();
    entries.into_iter().map(|entry| entry.transfer.to_string()).collect()
}

#[test]
fn lists_both_directions_newest_first() {
    let mut fixture = three_transfers();
    assert_eq!(listed(&fixture, None, 100), ["S2", "R1", "S1"]);
    assert_eq!(listed(&fixture, None, 2), ["S2", "R1"]);
    assert_eq!(listed(&fixture, None, 0), [""; 0]);
    assert_eq!(listed(&fixture, Some("alice"), 100), ["S2", "R1"]);
    assert_eq!(listed(&fixture, Some("nobody"), 100), [""; 0]);
    let sending = OutboundChange::to(OutboundState::Sending);
    fixture.catalog.set_outbound(1, &sending, 4000).unwrap();
    assert_eq!(listed(&fixture, None, 100), ["S1", "S2", "R1"], "what changed last is newest");
}

#[test]
fn an_entry_speaks_plainly() {
    let mut fixture = three_transfers();
    fixture.catalog.landing(1, &landing(), 2500).unwrap();
    let entries = fixture.catalog.history(&HistoryFilter::default()).unwrap();
    assert_eq!(
        serde_json::to_value(&entries[1]).unwrap(),
        json!({
            "transfer": "R1",
            "partner": "alice",
            "dataset_name": "CAD.PART",
            "date": "20261123",
            "time": "1204050001",
            "originator": "O0013000002ALICE CAST",
            "destination": "O0013000001BOBMOTORS",
            "services": { "security": 0, "compression": 0, "suite": 0, "signed_receipt": false },
            "state": "landing",
            "detail": "",
            "octets": 123,
            "path": "in/part.stp",
            "created_ms": 2000,
            "changed_ms": 2500,
        })
    );
    assert_eq!(entries[0].path.as_deref(), Some("/data/out/part.stp"));
    assert_eq!(entries[0].octets, 1 << 40);
}

#[test]
fn shows_a_sent_file_with_its_story() {
    let mut fixture = three_transfers();
    let catalog = &mut fixture.catalog;
    let sending = OutboundChange::to(OutboundState::Sending).detail("session with bob").counting_attempt();
    catalog.set_outbound(1, &sending, 2000).unwrap();
    catalog.set_outbound(1, &OutboundChange::default().position_bytes(5), 2001).unwrap();
    catalog.note(TransferRef::Outbound(1), "restarted at block 7", 2002).unwrap();
    catalog.set_outbound(1, &OutboundChange::to(OutboundState::Sent), 2003).unwrap();
    catalog.receipt_arrived(1, &eerp(), 2004).unwrap();
    let shown = catalog.show(TransferRef::Outbound(1)).unwrap().unwrap();
    let lines: Vec<_> = shown.events.iter().map(|event| (event.at_ms, event.text.as_str())).collect();
    assert_eq!(
        lines,
        [
            (1000, "queued for bob as CAD.PART 20261123 1204050001"),
            (2000, "sending: session with bob"),
            (2002, "restarted at block 7"),
            (2003, "sent"),
            (2004, "delivered: EERP came"),
        ]
    );
    let value = serde_json::to_value(&shown).unwrap();
    assert_eq!(value["entry"]["transfer"], "S1");
    assert_eq!(value["file"]["id"], "S1");
    assert_eq!(value["file"]["file"]["dataset_name"], "CAD.PART");
    assert_eq!(value["file"]["format"], "U");
    assert_eq!(value["file"]["user"], "RUN42");
    assert_eq!(value["file"]["description"], "Türrahmen, Stand 7");
    assert_eq!(value["file"]["after_delivery"], "delete-source");
    assert_eq!(value["file"]["state"], "delivered");
    assert_eq!(
        value["receipts"],
        json!([{ "what": "EERP", "state": "arrived", "proof": "not asked", "at_ms": 2004, "sent_ms": null }])
    );
}

#[test]
fn shows_a_received_file_with_its_receipt() {
    let mut fixture = three_transfers();
    let catalog = &mut fixture.catalog;
    catalog.failed_inbound(1, "line broken", 2100).unwrap();
    catalog.begin_inbound(&new_inbound("alice", part(*b"1204050001")), 2200).unwrap();
    catalog.landing(1, &landing(), 2500).unwrap();
    catalog.received(1, &NewReceipt::positive(), 2600).unwrap();
    let receipt = catalog.receipts_owed("alice").unwrap().remove(0);
    catalog.receipt_sent(receipt.id, 2700).unwrap();
    let shown = catalog.show(TransferRef::Inbound(1)).unwrap().unwrap();
    let lines: Vec<_> = shown.events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(
        lines,
        [
            "offered by alice as CAD.PART 20261123 1204050001",
            "failed: line broken",
            "offered again",
            "landing: 123 octets as in/part.stp",
            "received",
            "EERP sent",
        ]
    );
    let value = serde_json::to_value(&shown).unwrap();
    assert_eq!(value["file"]["id"], "R1");
    assert_eq!(value["file"]["user"], "\\x00\\xFFUSER");
    assert_eq!(
        value["receipts"],
        json!([{ "what": "EERP", "state": "sent", "proof": "unsigned", "at_ms": 2600, "sent_ms": 2700 }])
    );
}

#[test]
fn an_unknown_transfer_is_none_to_show_and_an_error_to_note() {
    let mut fixture = three_transfers();
    for transfer in [TransferRef::Outbound(9), TransferRef::Inbound(9)] {
        assert_eq!(fixture.catalog.show(transfer).unwrap(), None);
        let error = fixture.catalog.note(transfer, "x", 1).unwrap_err();
        assert!(matches!(error, CatalogError::NoSuchTransfer { .. }), "{error:?}");
    }
}

#[test]
fn a_story_has_an_end() {
    let mut fixture = three_transfers();
    let connection = &fixture.catalog.connection;
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    let long = "ü".repeat(EVENT_TEXT_BYTES_MAX);
    for at_ms in 0..i64::from(EVENTS_PER_TRANSFER_MAX) {
        fixture.catalog.note(TransferRef::Outbound(1), &long, at_ms).unwrap();
    }
    fixture.catalog.note(TransferRef::Outbound(1), "last", 9999).unwrap();
    let events = fixture.catalog.show(TransferRef::Outbound(1)).unwrap().unwrap().events;
    assert_eq!(events.len(), usize::try_from(EVENTS_PER_TRANSFER_MAX).unwrap());
    assert_eq!((events[0].at_ms, events[0].text.len()), (1, EVENT_TEXT_BYTES_MAX), "the oldest went first");
    assert_eq!(events.last().unwrap().text, "last");
    let others = fixture.catalog.show(TransferRef::Outbound(2)).unwrap().unwrap().events;
    assert_eq!(others.len(), 1, "stories of others stay");
}

#[test]
fn transfers_are_named_as_they_are_shown() {
    for (text, transfer) in [
        ("S12", TransferRef::Outbound(12)),
        ("R7", TransferRef::Inbound(7)),
        ("r007", TransferRef::Inbound(7)),
        ("s9223372036854775807", TransferRef::Outbound(i64::MAX)),
    ] {
        assert_eq!(text.parse(), Ok(transfer));
        assert_eq!(transfer.to_string().parse(), Ok(transfer));
    }
    for text in ["", "S", "12", "X1", "S-1", "S+1", "S 1", "S1 ", "ü1", "S9223372036854775808"] {
        let error = text.parse::<TransferRef>().unwrap_err();
        assert!(error.to_string().contains("names no transfer"), "{text}");
    }
}
