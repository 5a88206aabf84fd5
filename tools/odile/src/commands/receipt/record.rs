//! How a receipt is shown: to people line by line, to programs as JSON.

use std::fmt::Write;
use std::path::Path;

use odile_station::catalog::{ReceiptKind, ReceiptState, StoredReceipt, TransferRef};
use odile_station::described;
use odile_station::keyring::CertificateFile;
use odile_station::receipts::{Audit, Reference, hash_algorithm, hash_name, utc};
use serde_json::{Value, json};

use super::Dossier;
use crate::output::{self, local_time};

/// What holds for all receipts of a transfer.
pub fn transfer(dossier: &Dossier) -> Value {
    let Dossier { transfer, partner, state, reference, .. } = dossier;
    let file = &reference.file;
    let transmitted = reference.transmitted.as_ref().map(|transmitted| {
        json!({
            "octets": transmitted.octets,
            "hash_algorithm": hash_algorithm(&reference.services, &transmitted.hash).map(hash_name),
            "hash": hex(&transmitted.hash),
        })
    });
    json!({
        "transfer": transfer,
        "partner": partner,
        "state": state,
        "dataset_name": file.dataset_name.to_string(),
        "date": file.date.to_string(),
        "time": file.time.to_string(),
        "originator": file.originator.to_string(),
        "destination": file.destination.to_string(),
        "services": described(reference.services),
        "transmitted": transmitted,
    })
}

/// A receipt with the signer that is found for it now.
pub fn json(receipt: &StoredReceipt, audit: &Audit) -> Value {
    let (creator, reason, text) = match &receipt.kind {
        ReceiptKind::Positive => (None, None, None),
        ReceiptKind::Negative { creator, reason, text } => {
            (Some(creator.to_string()), Some((reason.code(), reason.text())), Some(text.to_string()))
        }
    };
    let signing_time = audit.verified.as_ref().and_then(|verified| verified.signing_time);
    json!({
        "kind": receipt.kind.mnemonic(),
        "reason": reason.map(|(code, _)| code),
        "reason_meaning": reason.map(|(_, meaning)| meaning),
        "text": text,
        "creator": creator,
        "dataset_name": receipt.file.dataset_name.to_string(),
        "date": receipt.file.date.to_string(),
        "time": receipt.file.time.to_string(),
        "originator": receipt.file.originator.to_string(),
        "destination": receipt.file.destination.to_string(),
        "user": receipt.user.to_string(),
        "hash": hex(&receipt.hash),
        "state": receipt.state,
        "at_ms": receipt.at_ms,
        "sent_ms": receipt.sent_ms,
        "proof": receipt.proof(),
        "signature_octets": receipt.signature.len(),
        "signing_time": signing_time.map(utc),
        "signer": signer(receipt, audit).map(|(file, origin)| json!({
            "subject": file.subject,
            "issuer": file.issuer,
            "serial": file.serial,
            "fingerprint": file.fingerprint,
            "not_before": utc(file.not_before),
            "not_after": utc(file.not_after),
            "found": origin,
        })),
    })
}

/// The same with what was asked of it.
pub fn json_with_answers(receipt: &StoredReceipt, audit: &Audit) -> Value {
    let answers: Vec<Value> = audit
        .answers
        .iter()
        .map(|answer| {
            let (ok, text) = match &answer.finding {
                Ok(text) => (true, text),
                Err(text) => (false, text),
            };
            json!({ "check": answer.question.as_str(), "ok": ok, "text": text })
        })
        .collect();
    let mut value = json(receipt, audit);
    value["holds"] = audit.holds().into();
    value["checks"] = answers.into();
    value
}

/// What holds for all receipts of a transfer.
pub fn print_transfer(dossier: &Dossier) {
    let Dossier { transfer, partner, state, reference, .. } = dossier;
    let direction = match transfer {
        TransferRef::Outbound(_) => "to",
        TransferRef::Inbound(_) => "from",
    };
    line("transfer", &format!("{transfer} {direction} {partner}, {state}"));
    line("dataset name", &reference.file.to_string());
    line("originator", &reference.file.originator.to_string());
    line("destination", &reference.file.destination.to_string());
    line("services", &described(reference.services));
    if let Some(transmitted) = &reference.transmitted {
        line("transmitted", &format!("{} octets", transmitted.octets));
        line("hash", &named_hash(reference, &transmitted.hash));
    }
}

/// One receipt.
pub fn print(receipt: &StoredReceipt, audit: &Audit, reference: &Reference) {
    output::line("");
    line("receipt", receipt.kind.mnemonic());
    if let ReceiptKind::Negative { creator, reason, text } = &receipt.kind {
        line("reason", &reason.to_string());
        line("text", &text.to_string());
        line("creator", &creator.to_string());
    }
    line("state", &whereabouts(receipt));
    line("for", &receipt.file.to_string());
    line("originator", &receipt.file.originator.to_string());
    line("destination", &receipt.file.destination.to_string());
    line("user", &receipt.user.to_string());
    line("hash", &named_hash(reference, &receipt.hash));
    line("proof", &receipt.proof());
    if !receipt.signature.is_empty() {
        line("signature", &format!("{} octets", receipt.signature.len()));
    }
    if let Some(time) = audit.verified.as_ref().and_then(|verified| verified.signing_time) {
        line("signed", &format!("{}, as the signer says", utc(time)));
    }
    if let Some((file, origin)) = signer(receipt, audit) {
        line("signer", &format!("{} ({origin})", file.subject));
        line("issuer", &file.issuer);
        line("serial", &file.serial);
        line("fingerprint", &file.fingerprint);
        line("valid", &format!("from {} until {}", utc(file.not_before), utc(file.not_after)));
    }
}

/// Each answer on a line.
pub fn print_answers(audit: &Audit) {
    for answer in &audit.answers {
        let (word, text) = match &answer.finding {
            Ok(text) => ("ok", text),
            Err(text) => ("not ok", text),
        };
        let question = answer.question.as_str();
        output::line(&format!("  {word:<7} {question:<12} {}", output::clean(text)));
    }
}

/// When it came, was sent, or since when it is owed.
pub fn whereabouts(receipt: &StoredReceipt) -> String {
    match (receipt.state, receipt.sent_ms) {
        (ReceiptState::Arrived, _) => format!("came {}", local_time(receipt.at_ms)),
        (ReceiptState::Sent, Some(sent_ms)) => format!("sent {}", local_time(sent_ms)),
        (ReceiptState::Sent, None) => "sent".to_owned(),
        (ReceiptState::Owed, _) => format!("owed since {}", local_time(receipt.at_ms)),
        (ReceiptState::Withdrawn, _) => {
            format!("made {}, withdrawn before it was sent", local_time(receipt.at_ms))
        }
    }
}

/// The signer's certificate and where it was found; if nobody's verifies now, the one that was kept.
pub fn signer(receipt: &StoredReceipt, audit: &Audit) -> Option<(CertificateFile, String)> {
    let (der, origin) = match (&audit.verified, &audit.origin) {
        (Some(verified), Some(origin)) => (verified.signer.der(), origin.clone()),
        _ => (receipt.signer.as_deref()?, "kept with the receipt, but the signature is not valid".to_owned()),
    };
    let file = CertificateFile::parse(Path::new("the signer's certificate"), der).ok()?.into_iter().next()?;
    Some((file, origin))
}

/// A hash with the name of its function.
pub fn named_hash(reference: &Reference, hash: &[u8]) -> String {
    match hash_algorithm(&reference.services, hash) {
        _ if hash.is_empty() => String::new(),
        Some(algorithm) => format!("{} {}", hash_name(algorithm), hex(hash)),
        None => hex(hash),
    }
}

/// Octets in hexadecimal digits, as `od` and `sha256sum` write them.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn line(key: &str, value: &str) {
    if !value.is_empty() {
        output::line(&format!("{key:<14} {}", output::clean(value)));
    }
}
