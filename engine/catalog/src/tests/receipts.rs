//! Receipts as evidence: what comes is kept octet for octet, with what it proves.

use odile_wire::{DateStamp, FileId, IdentificationCode, TimeStamp, UserData};
use rusqlite::ErrorCode;
use serde_json::json;

use super::{Fixture, arrived, code, eerp, landing, lower_case_code, nerp, new_inbound, part};
use crate::{
    ARRIVED_RECEIPTS_PER_FILE_MAX, ArrivedReceipt, CatalogError, NewReceipt, OutboundState, ReceiptKind,
    ReceiptState, ReceiptSummary, TransferRef, Verdict,
};

const TIME: [u8; 10] = *b"1204050001";

fn signed(kind: ReceiptKind, verdict: Verdict) -> ArrivedReceipt {
    let receipt = NewReceipt { kind, hash: vec![1, 0, 255], signature: vec![2; 70_000] };
    ArrivedReceipt { verdict, ..arrived(receipt, TIME) }
}

fn wrong(text: &str) -> Verdict {
    Verdict::Wrong(text.to_owned())
}

impl Fixture {
    fn detail(&self, id: i64) -> String {
        self.catalog.outbound(id).unwrap().unwrap().detail
    }

    fn summaries(&self, transfer: TransferRef) -> Vec<ReceiptSummary> {
        self.catalog.show(transfer).unwrap().unwrap().receipts
    }

    fn proofs(&self, id: i64) -> Vec<String> {
        self.summaries(TransferRef::Outbound(id)).into_iter().map(|summary| summary.proof).collect()
    }

    fn last_line(&self, id: i64) -> String {
        self.catalog.show(TransferRef::Outbound(id)).unwrap().unwrap().events.pop().unwrap().text
    }
}

#[test]
fn every_verdict_has_its_state_its_detail_and_its_line() {
    use OutboundState::{Delivered, Rejected, Unproven};
    let negative = "NERP 33, file decryption failed (no key for this recipient) by O0013000001BOBMOTORS";
    let unsigned = "receipt came unsigned, a signed one was asked for";
    let false_hash = "receipt came, but: the hash is another one";
    let speechless = "receipt came, but its signature or hash is wrong";
    let cases = [
        (Verdict::NotAsked, (Delivered, "", "came"), (Rejected, negative, "came")),
        (
            Verdict::Verified,
            (Delivered, "", "came, signature verified"),
            (Rejected, negative, "came, signature verified"),
        ),
        (
            Verdict::Unsigned,
            (Unproven, unsigned, "came unsigned, a signed one was asked for"),
            (Unproven, unsigned, "came unsigned, a signed one was asked for"),
        ),
        (
            wrong("the hash is another one"),
            (Unproven, false_hash, "came, but: the hash is another one"),
            (Unproven, false_hash, "came, but: the hash is another one"),
        ),
        (
            wrong(""),
            (Unproven, speechless, "came, but its signature or hash is wrong"),
            (Unproven, speechless, "came, but its signature or hash is wrong"),
        ),
    ];
    for (verdict, positive, other) in cases {
        for (kind, what, (state, detail, told)) in
            [(ReceiptKind::Positive, "EERP", positive), (nerp().kind, negative, other)]
        {
            let mut fixture = Fixture::new();
            let id = fixture.sent(TIME);
            let receipt = signed(kind, verdict.clone());
            assert_eq!(fixture.catalog.receipt_arrived(id, &receipt, 3000).unwrap(), state);
            let stored = fixture.reopened().outbound(id).unwrap().unwrap();
            assert_eq!((stored.state, stored.detail.as_str(), stored.changed_ms), (state, detail, 3000));
            assert_eq!(fixture.last_line(id), format!("{state}: {what} {told}"));
        }
    }
}

#[test]
fn a_right_receipt_settles_an_unproven_file() {
    for (right, settled) in
        [(ReceiptKind::Positive, OutboundState::Delivered), (nerp().kind, OutboundState::Rejected)]
    {
        let mut fixture = Fixture::new();
        let id = fixture.sent(TIME);
        let unsigned = ArrivedReceipt { verdict: Verdict::Unsigned, ..eerp() };
        fixture.catalog.receipt_arrived(id, &unsigned, 3000).unwrap();
        let other = signed(ReceiptKind::Positive, wrong("the certificate is unknown"));
        fixture.catalog.receipt_arrived(id, &other, 3001).unwrap();
        assert_eq!(fixture.detail(id), "receipt came, but: the certificate is unknown");
        let mut verified = signed(right, Verdict::Verified);
        verified.receipt.hash.push(1);
        assert_eq!(fixture.catalog.receipt_arrived(id, &verified, 3002).unwrap(), settled);
        assert_eq!(fixture.state(id), settled);
        assert_eq!(fixture.proofs(id), ["unsigned", "wrong: the certificate is unknown", "verified"]);
        fixture.catalog.check().unwrap();
    }
}

#[test]
fn a_settled_file_takes_no_further_receipt() {
    for settled in [OutboundState::Delivered, OutboundState::Rejected] {
        for verdict in [Verdict::NotAsked, Verdict::Verified, Verdict::Unsigned, wrong("no")] {
            let mut fixture = Fixture::new();
            let id = fixture.sent(TIME);
            fixture.set(id, settled);
            let receipt = signed(ReceiptKind::Positive, verdict);
            let error = fixture.catalog.receipt_arrived(id, &receipt, 3000).unwrap_err();
            assert!(
                matches!(error, CatalogError::IllegalTransition { from, .. } if from == settled.as_str()),
                "{error:?}"
            );
            assert_eq!(fixture.state(id), settled);
            assert!(fixture.catalog.receipts_arrived(id).unwrap().is_empty());
        }
    }
}

#[test]
fn a_file_that_was_never_offered_does_not_become_unproven() {
    let mut fixture = Fixture::new();
    let id = fixture.queued(TIME);
    let unsigned = ArrivedReceipt { verdict: Verdict::Unsigned, ..eerp() };
    let error = fixture.catalog.receipt_arrived(id, &unsigned, 3000).unwrap_err();
    assert!(matches!(error, CatalogError::IllegalTransition { to: "unproven", .. }), "{error:?}");
    assert_eq!(fixture.state(id), OutboundState::Queued);
}

#[test]
fn every_file_that_awaits_a_receipt_may_become_unproven() {
    for &state in OutboundState::ALL.iter().filter(|state| state.awaits_receipt()) {
        let mut fixture = Fixture::new();
        let id = fixture.sent(TIME);
        fixture.catalog.connection.execute("UPDATE outbound SET state = ?1", [state.as_str()]).unwrap();
        let unsigned = ArrivedReceipt { verdict: Verdict::Unsigned, ..eerp() };
        fixture.catalog.receipt_arrived(id, &unsigned, 3000).unwrap();
        assert_eq!(fixture.state(id), OutboundState::Unproven, "from {state}");
        assert_eq!(fixture.catalog.next_outbound("bob", i64::MAX).unwrap(), None, "it is not sent again");
        assert_eq!(fixture.catalog.requeue_interrupted(4000).unwrap(), 0);
    }
}

#[test]
fn an_operator_may_give_up_an_unproven_file() {
    for given_up in [OutboundState::Cancelled, OutboundState::Failed] {
        let mut fixture = Fixture::new();
        let id = fixture.sent(TIME);
        let unsigned = ArrivedReceipt { verdict: Verdict::Unsigned, ..eerp() };
        fixture.catalog.receipt_arrived(id, &unsigned, 3000).unwrap();
        fixture.set(id, given_up);
        assert!(fixture.catalog.queue().unwrap().is_empty());
        let verified = signed(ReceiptKind::Positive, Verdict::Verified);
        fixture.catalog.receipt_arrived(id, &verified, 4000).unwrap();
        assert_eq!(fixture.state(id), OutboundState::Delivered, "the receipt is what counts");
    }
}

#[test]
fn what_comes_is_kept_octet_for_octet() {
    let mut fixture = Fixture::new();
    let id = fixture.sent(TIME);
    let as_it_came = FileId {
        date: DateStamp::from_short(*b"261123").unwrap(),
        time: TimeStamp::from_short(*b"120405").unwrap(),
        originator: IdentificationCode::from_octets(*b"o0013000002alice \x00\xe4      "),
        destination: lower_case_code("O0013000001BOBMOTORS"),
        ..part(TIME)
    };
    let first = ArrivedReceipt {
        file: as_it_came,
        user: UserData::from_octets(*b"\x00\xffUSER  "),
        signer: Some(vec![0x30, 0x82, 0x00]),
        ..signed(ReceiptKind::Positive, wrong("it expired,\n\"long\" ago"))
    };
    let second = ArrivedReceipt {
        user: UserData::BLANK,
        signer: Some(vec![0x30; 3000]),
        ..signed(nerp().kind, Verdict::Verified)
    };
    fixture.catalog.receipt_arrived(id, &first, 3000).unwrap();
    fixture.catalog.receipt_arrived(id, &second, 3001).unwrap();
    let kept = fixture.reopened().receipts_arrived(id).unwrap();
    assert_eq!(kept.len(), 2);
    for (stored, came, at_ms) in [(&kept[0], &first, 3000), (&kept[1], &second, 3001)] {
        assert_eq!((stored.transfer, stored.partner.as_str()), (TransferRef::Outbound(id), "bob"));
        assert_eq!((stored.file, stored.user), (came.file, came.user));
        assert_eq!(stored.file.originator.octets(), came.file.originator.octets());
        assert_eq!(stored.file.destination.octets(), came.file.destination.octets());
        assert_eq!(stored.kind, came.receipt.kind);
        assert_eq!((&stored.hash, &stored.signature), (&came.receipt.hash, &came.receipt.signature));
        assert_eq!((stored.verdict.as_ref(), &stored.signer), (Some(&came.verdict), &came.signer));
        assert_eq!((stored.state, stored.at_ms, stored.sent_ms), (ReceiptState::Arrived, at_ms, None));
    }
    assert!(fixture.catalog.receipts_arrived(99).unwrap().is_empty());
}

#[test]
fn the_same_octets_are_kept_once() {
    let mut fixture = Fixture::new();
    let id = fixture.sent(TIME);
    let unsigned = ArrivedReceipt { verdict: Verdict::Unsigned, ..eerp() };
    for now_ms in 3000..3005 {
        fixture.catalog.receipt_arrived(id, &unsigned, now_ms).unwrap();
    }
    let kept = fixture.catalog.receipts_arrived(id).unwrap();
    assert_eq!((kept.len(), kept[0].at_ms), (1, 3000), "when it first came");
    // One octet anywhere makes another receipt.
    let mut others = vec![unsigned.clone(); 7];
    others[0].receipt.hash = vec![0];
    others[1].receipt.signature = vec![0];
    others[2].user = UserData::from_octets(*b"RUN42  \0");
    others[3].file.originator = lower_case_code("O0013000002ALICE CAST");
    others[4].file.time = TimeStamp::from_short(*b"120405").unwrap();
    others[5].receipt = nerp();
    others[6].receipt = NewReceipt::negative(
        code("O0013000001BOBMOTORS"),
        odile_wire::NegativeEndReason::DECRYPTION_FAILED,
        odile_wire::VariableText::default(),
    );
    for (expected, other) in (2..).zip(&others) {
        for _ in 0..2 {
            fixture.catalog.receipt_arrived(id, other, 4000).unwrap();
            assert_eq!(fixture.catalog.receipts_arrived(id).unwrap().len(), expected, "{other:?}");
        }
    }
}

#[test]
fn the_same_octets_may_prove_it_later() {
    let mut fixture = Fixture::new();
    let id = fixture.sent(TIME);
    let unknown = signed(ReceiptKind::Positive, wrong("the certificate is unknown"));
    fixture.catalog.receipt_arrived(id, &unknown, 3000).unwrap();
    let verified = ArrivedReceipt { verdict: Verdict::Verified, signer: Some(vec![0x30]), ..unknown };
    fixture.catalog.receipt_arrived(id, &verified, 4000).unwrap();
    assert_eq!(fixture.state(id), OutboundState::Delivered);
    let kept = fixture.catalog.receipts_arrived(id).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].verdict.as_ref(), &kept[0].signer), (Some(&Verdict::Verified), &Some(vec![0x30])));
    assert_eq!(kept[0].at_ms, 3000);
}

#[test]
fn receipts_of_one_file_have_an_end_but_the_proof_is_always_kept() {
    let mut fixture = Fixture::new();
    fixture.catalog.connection.pragma_update(None, "synchronous", "OFF").unwrap();
    let id = fixture.sent(TIME);
    let with_hash = |count: u32, verdict| {
        let hash = count.to_be_bytes().to_vec();
        ArrivedReceipt { verdict, ..arrived(NewReceipt { hash, ..NewReceipt::positive() }, TIME) }
    };
    let kept = |fixture: &Fixture| fixture.catalog.receipts_arrived(id).unwrap().len();
    for count in 0..ARRIVED_RECEIPTS_PER_FILE_MAX {
        fixture.catalog.receipt_arrived(id, &with_hash(count, Verdict::Unsigned), 3000).unwrap();
    }
    let full = usize::try_from(ARRIVED_RECEIPTS_PER_FILE_MAX).unwrap();
    assert_eq!(kept(&fixture), full);
    let one_more = with_hash(ARRIVED_RECEIPTS_PER_FILE_MAX, Verdict::Unsigned);
    fixture.catalog.receipt_arrived(id, &one_more, 3001).unwrap();
    assert_eq!(kept(&fixture), full);
    assert_eq!(
        fixture.last_line(id),
        "unproven: EERP came unsigned, a signed one was asked for; it is not kept, too many came"
    );
    let proof = with_hash(u32::MAX, Verdict::Verified);
    fixture.catalog.receipt_arrived(id, &proof, 3002).unwrap();
    assert_eq!(kept(&fixture), full + 1);
    assert_eq!(fixture.state(id), OutboundState::Delivered);
}

#[test]
fn a_receipt_and_the_new_state_are_one() {
    let mut fixture = Fixture::new();
    let id = fixture.sent(TIME);
    fixture
        .catalog
        .connection
        .execute_batch(
            "CREATE TEMP TRIGGER power_cut BEFORE UPDATE ON main.outbound
             BEGIN SELECT raise(ABORT, 'power cut'); END",
        )
        .unwrap();
    let verified = signed(ReceiptKind::Positive, Verdict::Verified);
    fixture.catalog.receipt_arrived(id, &verified, 3000).unwrap_err();
    let after_crash = fixture.reopened();
    assert_eq!(after_crash.outbound(id).unwrap().unwrap().state, OutboundState::Sent);
    assert!(after_crash.receipts_arrived(id).unwrap().is_empty());
}

#[test]
fn the_database_itself_refuses_verdicts_that_are_none() {
    let mut fixture = Fixture::new();
    let id = fixture.sent(TIME);
    fixture.catalog.receipt_arrived(id, &eerp(), 3000).unwrap();
    for wrong in ["verdict = 'fine'", "verdict_text = 'x'", "user = x'00'", "outbound_id = 99"] {
        let result = fixture.catalog.connection.execute(&format!("UPDATE receipt_arrived SET {wrong}"), []);
        let code = result.unwrap_err().sqlite_error_code();
        assert_eq!(code, Some(ErrorCode::ConstraintViolation), "{wrong}");
    }
}

#[test]
fn receipts_given_keep_what_was_signed() {
    let mut fixture = Fixture::new();
    let catalog = &mut fixture.catalog;
    let begun = catalog.begin_inbound(&new_inbound("alice", part(TIME)), 1000).unwrap();
    let signed_nerp = NewReceipt { hash: vec![3; 32], signature: vec![4; 600], ..nerp() };
    catalog.received(begun.id, &signed_nerp, 2000).unwrap();
    let owed = catalog.receipts_owed("alice").unwrap().remove(0);
    catalog.receipt_sent(owed.id, 2500).unwrap();
    // The file comes again, written in other case, twice.
    let mut again = new_inbound("alice", part(TIME));
    again.file.originator = lower_case_code("O0013000002ALICE CAST");
    again.user = UserData::BLANK;
    catalog.begin_inbound(&again, 3000).unwrap();
    catalog.received(begun.id, &nerp(), 4000).unwrap();
    catalog.begin_inbound(&again, 5000).unwrap();
    catalog.landing(begun.id, &landing(), 6000).unwrap();
    catalog.received(begun.id, &NewReceipt::positive(), 7000).unwrap();

    let given = fixture.reopened().receipts_given(begun.id).unwrap();
    assert_eq!(given.len(), 3);
    let standing: Vec<_> = given.iter().map(|given| (given.state, given.at_ms, given.sent_ms)).collect();
    assert_eq!(
        standing,
        [
            (ReceiptState::Sent, 2000, Some(2500)),
            (ReceiptState::Withdrawn, 4000, None),
            (ReceiptState::Owed, 7000, None),
        ]
    );
    assert_eq!(given[0].file.originator.octets(), part(TIME).originator.octets(), "as it was signed");
    assert_eq!(given[0].user, begun.user);
    assert_eq!((&given[0].kind, &given[2].kind), (&nerp().kind, &ReceiptKind::Positive));
    assert_eq!((&given[0].hash, &given[0].signature), (&vec![3; 32], &vec![4; 600]));
    assert_eq!(given[2].file.originator.octets(), again.file.originator.octets());
    for receipt in &given {
        assert_eq!((receipt.transfer, receipt.partner.as_str()), (TransferRef::Inbound(begun.id), "alice"));
        assert_eq!((&receipt.verdict, &receipt.signer), (&None, &None));
    }
    let proofs: Vec<_> = given.iter().map(crate::StoredReceipt::proof).collect();
    assert_eq!(proofs, ["signed", "unsigned", "unsigned"]);
    assert_eq!(
        serde_json::to_value(fixture.summaries(TransferRef::Inbound(begun.id))).unwrap()[2],
        json!({ "what": "EERP", "state": "owed", "proof": "unsigned", "at_ms": 7000, "sent_ms": null })
    );
    assert!(fixture.catalog.receipts_given(99).unwrap().is_empty());
}

#[test]
fn the_next_receipt_owed_is_the_oldest_that_a_session_can_carry() {
    let mut fixture = Fixture::new();
    let plain = NewReceipt::positive();
    let signed = NewReceipt { signature: vec![1], ..NewReceipt::positive() };
    for (minute, receipt) in [signed, nerp(), plain].into_iter().enumerate() {
        let time = format!("12{minute:02}050001").into_bytes().try_into().unwrap();
        let inbound = fixture.catalog.begin_inbound(&new_inbound("alice", part(time)), 1).unwrap();
        fixture.catalog.landing(inbound.id, &landing(), 2).unwrap();
        fixture.catalog.received(inbound.id, &receipt, 3).unwrap();
    }
    let next = |negative, signed| {
        let next = fixture.catalog.next_receipt_owed("alice", negative, signed).unwrap();
        next.map(|receipt| receipt.inbound_id)
    };
    assert_eq!((next(true, true), next(true, false), next(false, false)), (Some(1), Some(2), Some(3)));
    assert_eq!(fixture.catalog.next_receipt_owed("bob", true, true).unwrap(), None);
}
