//! Receipts as they lie in a catalog: whole, changed, or not there.

use std::fs;

use odile_station::catalog::{NewReceipt, Verdict};
use odile_station::envelope::Suite;
use odile_station::envelope::seal::Embed;
use odile_tests::pki::{Validity, issued, issued_for};

use crate::evidence::{SENT_MS, Sent, Signed, digits, fields, hash};
use crate::program::odile;

/// A right EERP of suite 04, kept with its signer's certificate.
fn proven() -> Sent {
    let (sent, beta) = (Sent::new(Suite::S04), issued("beta"));
    let receipt = sent.positive(&beta, hash(Suite::S04), Embed::Nothing);
    sent.arrives(receipt, Verdict::Verified, Some(&beta), SENT_MS);
    sent
}

/// `receipt verify S1`, as programs see it: the questions whose answer is no.
#[track_caller]
fn failed(sent: &Sent, code: i32) -> Vec<String> {
    let run = odile(sent.station.home(), &["--output", "json", "receipt", "verify", "S1"]).expect(code);
    let json = run.json();
    assert_eq!(json["proven"], code == 0, "{json}");
    assert_eq!(json["next"].is_null(), code == 0, "{json}");
    let checks = json["receipts"][0]["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["ok"] == false);
    failed.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_octet_that_matters_is_noticed_when_it_changes() {
    let sent = proven();
    assert_eq!(failed(&sent, 0), Vec::<String>::new());
    let signature = sent.positive(&issued("beta"), hash(Suite::S04), Embed::Nothing).signature;
    let content = fields(&sent.outbound.file, None, &hash(Suite::S04));
    let inside = signature.windows(content.len()).position(|octets| octets == content).unwrap();
    let changed = |at: usize| {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        digits(&changed)
    };
    let other_hash = |at: usize| {
        let mut hash = hash(Suite::S04);
        hash[at] ^= 1;
        digits(&hash)
    };
    let arrived = |what: String| format!("UPDATE receipt_arrived SET {what}");
    let outbound = |what: String| format!("UPDATE outbound SET {what}");
    for (statement, wrong) in [
        // In the signature itself, in the content's first octet and in the hash at its end.
        (arrived(format!("signature = x'{}'", changed(signature.len() - 1))), &["signature"][..]),
        (arrived(format!("signature = x'{}'", changed(inside))), &["signature", "content"]),
        (arrived(format!("signature = x'{}'", changed(inside + 125))), &["signature", "content"]),
        (arrived("signature = substr(signature, 1, 200)".to_owned()), &["signature"]),
        (arrived("signature = x'30'".to_owned()), &["signature"]),
        (arrived(format!("hash = x'{}'", other_hash(0))), &["hash", "content"]),
        (arrived(format!("hash = x'{}'", other_hash(31))), &["hash", "content"]),
        (arrived("hash = x'00'".to_owned()), &["hash", "content"]),
        (outbound(format!("transmitted_hash = x'{}'", other_hash(31))), &["hash"]),
        (outbound("transmitted_hash = NULL, transmitted_octets = NULL".to_owned()), &["hash"]),
        (arrived("time = '1200000002'".to_owned()), &["file", "content"]),
        (arrived("date = '20200602'".to_owned()), &["file", "content"]),
        (outbound("time = '1200000002'".to_owned()), &["file"]),
        (arrived("kind = 'NERP', creator = originator, reason = 9, reason_text = x''".to_owned()), &[]),
    ] {
        let home = sent.station.home().catalog();
        let kept = fs::read(&home).unwrap();
        sent.meddle(&statement);
        let wrong: Vec<_> = wrong.iter().map(|name| (*name).to_owned()).collect();
        // One product signs negative receipts like this: README.txt of an export says so.
        let code = i32::from(!wrong.is_empty());
        assert_eq!(failed(&sent, code), wrong, "{statement}");
        fs::write(&home, kept).unwrap();
    }
    assert_eq!(failed(&sent, 0), Vec::<String>::new());
}

#[test]
fn a_hash_that_stands_only_in_what_was_signed_is_as_good() {
    let sent = proven();
    sent.meddle("UPDATE receipt_arrived SET hash = x''");
    assert_eq!(failed(&sent, 0), Vec::<String>::new());
}

#[test]
fn the_certificate_that_was_kept_is_no_proof_if_another_has_signed() {
    let sent = proven();
    let another = issued("another").identity.certificate().der().to_vec();
    sent.meddle(&format!("UPDATE receipt_arrived SET signer = x'{}'", digits(&another)));
    assert_eq!(failed(&sent, 1), ["signature"]);
    // With the partner's own in its folder nobody needs the one that was kept.
    sent.station.give_certificate("beta", "signing", &issued("beta"));
    let run = odile(sent.station.home(), &["receipt", "verify", "S1"]).expect(0);
    assert!(run.stdout.contains("in certificates/beta/signing/0.crt"), "{run:#?}");
    sent.meddle("UPDATE receipt_arrived SET signer = x'00'");
    odile(sent.station.home(), &["receipt", "verify", "S1"]).expect(0);
}

#[test]
fn an_unsigned_receipt_is_shown_but_proves_nothing() {
    for (verdict, state) in [(Verdict::NotAsked, "delivered"), (Verdict::Unsigned, "unproven")] {
        let sent = Sent::new(Suite::S04);
        sent.arrives(NewReceipt::positive(), verdict, None, SENT_MS);
        let shown = odile(sent.station.home(), &["receipt", "show", "S1"]).expect(0).stdout;
        assert!(shown.contains(state) && shown.contains("EERP") && !shown.contains("signer"), "{shown}");
        assert_eq!(failed(&sent, 1), ["hash", "signature"]);
        let folder = sent.station.folder().join("evidence");
        let run = odile(sent.station.home(), &["receipt", "export", "S1", "--to", folder.to_str().unwrap()]);
        assert!(run.expect(1).stderr.contains("unsigned"));
        assert!(!folder.exists());
    }
}

#[test]
fn a_negative_receipt_is_told_with_reason_text_and_creator() {
    let (sent, beta) = (Sent::new(Suite::S04), issued("beta"));
    sent.arrives(sent.negative(&beta, Signed::Too), Verdict::Verified, Some(&beta), SENT_MS);
    let shown = odile(sent.station.home(), &["--output", "json", "receipt", "show", "S1"]).expect(0).json();
    let receipt = &shown["receipts"][0];
    assert_eq!((&shown["state"], &receipt["kind"]), (&"rejected".into(), &"NERP".into()));
    assert_eq!((&receipt["reason"], &receipt["text"]), (&22.into(), &"disk full".into()));
    assert_eq!(receipt["creator"], "O0013BETA");
    let run = odile(sent.station.home(), &["receipt", "verify", "S1"]).expect(0);
    assert!(run.stdout.contains("could not deliver or use what was transmitted"), "{run:#?}");
    let text = odile(sent.station.home(), &["receipt", "show", "S1"]).expect(0).stdout;
    assert!(text.contains("22, file refused") && text.contains("disk full"), "{text}");
}

#[test]
fn a_certificate_that_comes_later_still_proves_it() {
    let sent = Sent::new(Suite::S04);
    let receipt = sent.positive(&issued("beta"), hash(Suite::S04), Embed::Nothing);
    sent.arrives(receipt, Verdict::Wrong("the signer is not known".to_owned()), None, SENT_MS);
    let run = odile(sent.station.home(), &["receipt", "verify", "S1"]).expect(1);
    let serial = issued("beta").identity.certificate().serial().to_vec();
    let serial = digits(&serial).to_ascii_uppercase();
    assert!(run.stdout.contains(&serial) && run.stderr.contains("by telephone"), "{run:#?}");
    let file = sent.station.write("beta.crt", issued("beta").certificate.as_bytes());
    let run = odile(sent.station.home(), &["receipt", "verify", "S1", "--signer", file.to_str().unwrap()]);
    assert!(run.expect(0).stderr.contains("S1 stays unproven all the same"));
    // Only the one that is named counts.
    sent.station.give_certificate("beta", "shared", &issued("beta"));
    odile(sent.station.home(), &["receipt", "verify", "S1"]).expect(0);
    let file = sent.station.write("another.crt", issued("another").certificate.as_bytes());
    odile(sent.station.home(), &["receipt", "verify", "S1", "--signer", file.to_str().unwrap()]).expect(1);
}

#[test]
fn a_certificate_counts_at_the_time_of_arrival_unless_another_time_is_asked_about() {
    let (sent, beta) = (Sent::new(Suite::S04), issued_for("beta", Validity::Expired));
    let receipt = sent.positive(&beta, hash(Suite::S04), Embed::Nothing);
    // It came in 2023.
    sent.arrives(receipt, Verdict::Wrong("expired".to_owned()), Some(&beta), SENT_MS + 94_608_000_000);
    assert_eq!(failed(&sent, 1), ["certificate"]);
    let verify_at = |date: &str| odile(sent.station.home(), &["receipt", "verify", "S1", "--at", date]);
    assert!(verify_at("2020-06-01").expect(0).stdout.contains("it has expired since"));
    assert!(verify_at("2019-12-31T00:00:00Z").expect(1).stdout.contains("not valid yet"));
    verify_at("2021-01-01T00:00:00Z").expect(0);
    verify_at("2021-01-01T00:00:01Z").expect(1);
    verify_at("yesterday").expect(2);
}

#[test]
fn of_several_receipts_one_that_holds_is_enough() {
    let (sent, beta) = (Sent::new(Suite::S04), issued("beta"));
    sent.arrives(NewReceipt::positive(), Verdict::Unsigned, None, SENT_MS);
    let receipt = sent.positive(&beta, hash(Suite::S04), Embed::Nothing);
    sent.arrives(receipt, Verdict::Verified, Some(&beta), SENT_MS + 1000);
    let json = odile(sent.station.home(), &["--output", "json", "receipt", "verify", "S1"]).expect(0).json();
    let holds: Vec<_> =
        json["receipts"].as_array().unwrap().iter().map(|receipt| &receipt["holds"]).collect();
    assert_eq!(holds, [false, true]);
    let folder = sent.station.folder().join("evidence");
    let run = odile(sent.station.home(), &["receipt", "export", "S1", "--to", folder.to_str().unwrap()]);
    assert!(run.expect(0).stderr.contains("has 2 receipts"));
    assert!(fs::metadata(folder.join("signature.p7s")).unwrap().len() > 400);
}

#[test]
fn without_a_receipt_or_a_transfer_there_is_nothing_to_verify() {
    let sent = Sent::new(Suite::S04);
    let folder = sent.station.folder().join("evidence");
    let to = folder.to_str().unwrap();
    let run = odile(sent.station.home(), &["receipt", "show", "S1"]).expect(0);
    assert!(run.stdout.contains("S1 to beta, sent") && run.stderr.contains("no receipt yet"), "{run:#?}");
    for command in [&["receipt", "verify", "S1"][..], &["receipt", "export", "S1", "--to", to]] {
        let run = odile(sent.station.home(), command).expect(1);
        assert!(run.stderr.contains("S1 is sent and has no receipt yet"), "{run:#?}");
    }
    for transfer in ["S2", "R1"] {
        for command in [
            &["receipt", "show", transfer][..],
            &["receipt", "verify", transfer],
            &["receipt", "export", transfer, "--to", to],
        ] {
            let run = odile(sent.station.home(), command).expect(1);
            assert!(run.stderr.contains(&format!("there is no transfer {transfer}")), "{run:#?}");
        }
    }
    assert!(!folder.exists());
    odile(sent.station.home(), &["receipt", "show", "12"]).expect(2);
    odile(sent.station.home(), &["receipt", "verify", "S1", "--signer", to]).expect(2);
}
