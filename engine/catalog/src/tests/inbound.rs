use odile_wire::{DateStamp, FileId, TimeStamp};

use super::{Fixture, code, file, landing, lower_case_code, nerp, new_inbound, part};
use crate::{
    CatalogError, Inbound, InboundState, Landing, NewInbound, NewReceipt, ReceiptKind, Services, TransferRef,
    Transmitted,
};

impl Fixture {
    fn begun(&mut self, time: [u8; 10]) -> Inbound {
        self.catalog.begin_inbound(&new_inbound("alice", part(time)), 1000).unwrap()
    }

    fn landed(&mut self, time: [u8; 10]) -> Inbound {
        let inbound = self.begun(time);
        self.catalog.landing(inbound.id, &landing(), 2000).unwrap();
        inbound
    }

    fn inbound_state(&self, id: i64) -> InboundState {
        self.catalog.inbound(id).unwrap().unwrap().state
    }
}

#[test]
fn keeps_every_field_octet_for_octet() {
    let mut fixture = Fixture::new();
    let mut new = new_inbound("alice", part(*b"1204050001"));
    new.file.originator = odile_wire::IdentificationCode::from_octets(*b"o0013 \x00\xe4lice  Cast       ");
    new.services = Services { security: 1, compression: 0, suite: 4, signed_receipt: true };
    let stored = fixture.catalog.begin_inbound(&new, 1000).unwrap();
    assert_eq!(stored.file.originator.octets(), new.file.originator.octets());
    assert_eq!((stored.id, stored.state, stored.detail.as_str()), (1, InboundState::Receiving, ""));
    assert_eq!(stored.user, new.user);
    assert_eq!(stored.format, new.format);
    assert_eq!((stored.record_size, stored.announced_blocks), (80, 9_999_999_999_999));
    assert_eq!(stored.description, new.description);
    assert_eq!((stored.position_bytes, stored.created_ms, stored.changed_ms), (0, 1000, 1000));
    assert_eq!((stored.services, &stored.transmitted, &stored.signer), (new.services, &None, &None));
    let landing = Landing {
        final_path: "in/part.stp".to_owned(),
        octets: 1 << 41,
        records: 12,
        digest: Some("sha256:00".to_owned()),
        transmitted: Some(Transmitted { octets: 1 << 40, hash: vec![9; 32] }),
        signer: Some("CN=alice, serial 12".to_owned()),
    };
    fixture.catalog.landing(1, &landing, 2000).unwrap();
    let landed = fixture.reopened().inbound(1).unwrap().unwrap();
    assert_eq!((landed.state, landed.octets, landed.records), (InboundState::Landing, 1 << 41, 12));
    assert_eq!(landed.final_path.as_deref(), Some("in/part.stp"));
    assert_eq!(landed.digest.as_deref(), Some("sha256:00"));
    assert_eq!((&landed.transmitted, &landed.signer), (&landing.transmitted, &landing.signer));
    assert_eq!(landed.services, new.services);
    assert_eq!((landed.created_ms, landed.changed_ms), (1000, 2000));
    assert_eq!(fixture.catalog.inbound(2).unwrap(), None);
}

#[test]
fn received_and_its_receipt_are_one() {
    let mut fixture = Fixture::new();
    let inbound = fixture.landed(*b"1204050001");
    // The debt cannot be written down: then the file is not received either.
    fixture
        .catalog
        .connection
        .execute_batch(
            "CREATE TEMP TRIGGER power_cut BEFORE INSERT ON main.receipt_owed
             BEGIN SELECT raise(ABORT, 'power cut'); END",
        )
        .unwrap();
    fixture.catalog.received(inbound.id, &NewReceipt::positive(), 3000).unwrap_err();
    let after_crash = fixture.reopened();
    assert_eq!(after_crash.inbound_in(InboundState::Landing).unwrap().len(), 1);
    assert_eq!(after_crash.inbound_in(InboundState::Received).unwrap().len(), 0);
    assert!(after_crash.receipts_owed("alice").unwrap().is_empty());
    drop(after_crash);

    fixture.catalog.connection.execute_batch("DROP TRIGGER power_cut").unwrap();
    fixture.catalog.received(inbound.id, &NewReceipt::positive(), 3000).unwrap();
    let after_crash = fixture.reopened();
    assert_eq!(after_crash.inbound_in(InboundState::Received).unwrap().len(), 1);
    assert_eq!(after_crash.receipts_owed("alice").unwrap().len(), 1);
}

#[test]
fn a_receipt_is_owed_until_it_is_sent() {
    let mut fixture = Fixture::new();
    let (first, second) = (fixture.landed(*b"1204050001"), fixture.begun(*b"1204050002"));
    let signed = NewReceipt { hash: vec![7; 64], signature: vec![8; 900], ..NewReceipt::positive() };
    fixture.catalog.received(first.id, &signed, 3000).unwrap();
    fixture.catalog.received(second.id, &nerp(), 3001).unwrap();
    let owed = fixture.reopened().receipts_owed("alice").unwrap();
    assert_eq!(owed.len(), 2);
    assert_eq!((owed[0].inbound_id, &owed[0].kind), (first.id, &ReceiptKind::Positive));
    assert_eq!((&owed[0].hash, &owed[0].signature), (&vec![7; 64], &vec![8; 900]));
    assert_eq!((owed[0].file, owed[0].user), (first.file, first.user));
    assert_eq!((owed[0].partner.as_str(), owed[0].created_ms), ("alice", 3000));
    assert_eq!((owed[1].inbound_id, &owed[1].kind), (second.id, &nerp().kind));
    assert!(fixture.catalog.receipts_owed("bob").unwrap().is_empty());

    fixture.catalog.receipt_sent(owed[0].id, 4000).unwrap();
    let still_owed = fixture.reopened().receipts_owed("alice").unwrap();
    assert_eq!(still_owed, owed[1..]);
    for id in [owed[0].id, 99] {
        let error = fixture.catalog.receipt_sent(id, 4001).unwrap_err();
        assert!(matches!(error, CatalogError::NoSuchReceipt { id: named } if named == id), "{error:?}");
    }
}

#[test]
fn a_file_with_a_negative_receipt_counts_as_failed() {
    let mut fixture = Fixture::new();
    let inbound = fixture.begun(*b"1204050001");
    fixture.catalog.received(inbound.id, &nerp(), 3000).unwrap();
    let failed = fixture.catalog.inbound(inbound.id).unwrap().unwrap();
    assert_eq!(failed.state, InboundState::Failed);
    assert_eq!(
        failed.detail,
        "NERP 33, file decryption failed (no key for this recipient) by O0013000001BOBMOTORS"
    );
}

#[test]
fn an_unfinished_file_is_taken_up_again() {
    let mut fixture = Fixture::new();
    let first = fixture.begun(*b"1204050001");
    for fail_before in [false, true] {
        if fail_before {
            fixture.catalog.failed_inbound(first.id, "line broken", 1500).unwrap();
            assert_eq!(fixture.inbound_state(first.id), InboundState::Failed);
        }
        let mut again = new_inbound("alice", part(*b"1204050001"));
        again.part_name = "2.part".to_owned();
        again.announced_blocks = 5;
        let taken_up = fixture.catalog.begin_inbound(&again, 2000).unwrap();
        assert_eq!((taken_up.id, taken_up.state), (first.id, InboundState::Receiving));
        assert_eq!((taken_up.part_name.as_str(), taken_up.announced_blocks), ("1.part", 5));
        assert_eq!((taken_up.detail.as_str(), taken_up.created_ms), ("", 1000));
    }
}

#[test]
fn nothing_of_the_earlier_attempt_is_left_when_a_file_comes_again() {
    let mut fixture = Fixture::new();
    let secured = Services { security: 3, compression: 1, suite: 2, signed_receipt: true };
    let first = NewInbound { services: secured, ..new_inbound("alice", part(*b"1204050001")) };
    let id = fixture.catalog.begin_inbound(&first, 1000).unwrap().id;
    let transmitted = Some(Transmitted { octets: 5, hash: vec![1; 20] });
    let landed = Landing { transmitted, signer: Some("CN=alice".to_owned()), ..landing() };
    fixture.catalog.landing(id, &landed, 2000).unwrap();
    fixture.catalog.received(id, &nerp(), 3000).unwrap();
    let again = fixture.begun(*b"1204050001");
    assert_eq!((again.id, again.services), (id, Services::PLAIN));
    assert_eq!((again.transmitted, again.signer, again.digest, again.octets), (None, None, None, 0));
    fixture.catalog.failed_inbound(id, "line broken", 4000).unwrap();
    assert_eq!(fixture.catalog.begin_inbound(&first, 5000).unwrap().services, secured);
}

#[test]
fn a_negative_receipt_that_was_not_sent_is_withdrawn_when_the_file_comes_again() {
    let mut fixture = Fixture::new();
    let inbound = fixture.begun(*b"1204050001");
    fixture.catalog.received(inbound.id, &nerp(), 1500).unwrap();
    let owed = fixture.catalog.receipts_owed("alice").unwrap();
    fixture.landed(*b"1204050001");
    assert!(fixture.catalog.receipts_owed("alice").unwrap().is_empty());
    assert!(fixture.catalog.receipt_sent(owed[0].id, 1600).is_err());
    fixture.catalog.received(inbound.id, &NewReceipt::positive(), 3000).unwrap();
    let owed = fixture.catalog.receipts_owed("alice").unwrap();
    assert_eq!(owed.len(), 1);
    assert_eq!(owed[0].kind, ReceiptKind::Positive);
}

#[test]
fn a_duplicate_is_known_and_never_begun() {
    let mut fixture = Fixture::new();
    let inbound = fixture.landed(*b"1204050001");
    for expected in [InboundState::Landing, InboundState::Received] {
        let known = fixture.catalog.known_inbound("alice", &part(*b"1204050001")).unwrap().unwrap();
        assert_eq!((known.id, known.state), (inbound.id, expected));
        let error =
            fixture.catalog.begin_inbound(&new_inbound("alice", part(*b"1204050001")), 9000).unwrap_err();
        let expected_transfer = TransferRef::Inbound(inbound.id);
        assert!(
            matches!(error, CatalogError::AlreadyKnown { transfer, .. } if transfer == expected_transfer),
            "{error:?}"
        );
        if expected == InboundState::Landing {
            fixture.catalog.received(inbound.id, &NewReceipt::positive(), 3000).unwrap();
        }
    }
}

#[test]
fn every_part_of_the_identity_counts() {
    let mut fixture = Fixture::new();
    let known = fixture.landed(*b"1204050001").file;
    let others = [
        FileId { destination: code("O0013000001ELSE"), ..known },
        FileId { originator: code("O0013000002ELSE"), ..known },
        FileId { date: DateStamp::new(*b"20261124").unwrap(), ..known },
        FileId { time: TimeStamp::new(*b"1204060001").unwrap(), ..known },
        file("CAD.PARTS", *b"20261123", *b"1204050001"),
    ];
    for other in others {
        assert_eq!(fixture.catalog.known_inbound("alice", &other).unwrap(), None, "{other}");
        fixture.catalog.begin_inbound(&new_inbound("alice", other), 5000).unwrap();
    }
    assert_eq!(fixture.catalog.known_inbound("bob", &known).unwrap(), None);
    let other_case = FileId { originator: lower_case_code("O0013000002ALICE CAST"), ..known };
    assert!(fixture.catalog.known_inbound("alice", &other_case).unwrap().is_some());
}

#[test]
fn the_counter_tells_files_apart_from_level_4_on() {
    let mut fixture = Fixture::new();
    fixture.landed(*b"1204050001");
    assert_eq!(fixture.catalog.known_inbound("alice", &part(*b"1204050002")).unwrap(), None);
    // At levels 1 and 2 the stamps come without century and counter; the same ones are the same file.
    let at_level_2 = FileId {
        date: DateStamp::from_short(*b"261123").unwrap(),
        time: TimeStamp::from_short(*b"120405").unwrap(),
        ..part(*b"1204050001")
    };
    assert_eq!(fixture.catalog.known_inbound("alice", &at_level_2).unwrap(), None);
    let begun = fixture.catalog.begin_inbound(&new_inbound("alice", at_level_2), 5000).unwrap();
    assert_eq!(fixture.catalog.known_inbound("alice", &at_level_2).unwrap().unwrap().id, begun.id);
}

#[test]
fn every_illegal_transition_is_refused() {
    use InboundState::{Failed, Landing, Received, Receiving};
    let legal: [(InboundState, &[InboundState]); 4] = [
        (Receiving, &[Receiving, Landing, Failed]),
        (Landing, &[Landing, Received, Failed]),
        (Received, &[]),
        (Failed, &[Receiving, Failed]),
    ];
    let mut fixture = Fixture::new();
    let id = fixture.begun(*b"1204050001").id;
    for (from, nexts) in legal {
        for &to in InboundState::ALL {
            fixture.catalog.connection.execute("UPDATE inbound SET state = ?1", [from.as_str()]).unwrap();
            assert_eq!(fixture.inbound_state(id), from);
            let catalog = &mut fixture.catalog;
            let result = match to {
                Receiving => catalog.begin_inbound(&new_inbound("alice", part(*b"1204050001")), 2).map(drop),
                Landing => catalog.landing(id, &landing(), 2),
                Received => catalog.received(id, &NewReceipt::positive(), 2),
                Failed => catalog.failed_inbound(id, "no use", 2),
            };
            assert_eq!(result.is_ok(), nexts.contains(&to), "{from} to {to}: {result:?}");
            assert_eq!(fixture.inbound_state(id), if result.is_ok() { to } else { from });
        }
    }
}

#[test]
fn an_unknown_number_is_named() {
    let mut fixture = Fixture::new();
    let catalog = &mut fixture.catalog;
    for error in [
        catalog.landing(7, &landing(), 1).unwrap_err(),
        catalog.received(7, &NewReceipt::positive(), 1).unwrap_err(),
        catalog.failed_inbound(7, "", 1).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "there is no transfer R7; `odile history` lists those that there are");
    }
}

#[test]
fn recovery_finds_the_files_of_each_state() {
    let mut fixture = Fixture::new();
    let receiving = fixture.begun(*b"1204050001").id;
    let landing = fixture.landed(*b"1204050002").id;
    let also_landing = fixture.landed(*b"1204050003").id;
    let catalog = fixture.reopened();
    let ids = |state| -> Vec<i64> {
        catalog.inbound_in(state).unwrap().into_iter().map(|inbound| inbound.id).collect()
    };
    assert_eq!(ids(InboundState::Receiving), [receiving]);
    assert_eq!(ids(InboundState::Landing), [landing, also_landing]);
    assert!(ids(InboundState::Received).is_empty());
    assert!(ids(InboundState::Failed).is_empty());
}

#[test]
fn numbers_beyond_63_bits_are_refused() {
    let mut fixture = Fixture::new();
    let id = fixture.begun(*b"1204050001").id;
    for (octets, records, transmitted) in [(1 << 63, 0, 0), (0, 1 << 63, 0), (0, 0, 1 << 63)] {
        let transmitted = Some(Transmitted { octets: transmitted, hash: Vec::new() });
        let landing = Landing { octets, records, transmitted, ..landing() };
        let error = fixture.catalog.landing(id, &landing, 2).unwrap_err();
        assert!(matches!(error, CatalogError::OutOfRange { .. }), "{error:?}");
    }
    let mut new = new_inbound("alice", part(*b"1204050002"));
    new.announced_blocks = u64::MAX;
    assert!(matches!(fixture.catalog.begin_inbound(&new, 2), Err(CatalogError::OutOfRange { .. })));
}
