//! Receipts as evidence: ours are signed, those that come are judged, and both can be looked at again at any time.

mod audit;

use odile_catalog::{ArrivedReceipt, Inbound, NewReceipt, Outbound, ReceiptKind, Verdict};
use odile_envelope::seal::Embed;
use odile_envelope::{OpenError, VerifiedMessage, sign_message, verify_message};
use odile_partner::{Partner, Purpose, Usage};
use odile_wire::command::{EndToEndResponse, NegativeEndResponse};
use odile_wire::{FileId, UserData};

use crate::clock::now_seconds;
use crate::event::Event;
use crate::services;
use crate::shared::Shared;

pub use self::audit::{
    Answer, Audit, Candidate, Moment, Question, Reference, hash_algorithm, hash_name, utc,
};

/// The receipt for a file received, signed if that was asked for and the terms with the partner allow it.
///
/// What cannot be signed goes unsigned: its originator decides what that is worth (RFC 5024 §4.3.6).
pub(crate) fn made(shared: &Shared, partner: &Partner, inbound: &Inbound, kind: ReceiptKind) -> NewReceipt {
    let mut receipt = NewReceipt { kind, hash: Vec::new(), signature: Vec::new() };
    if !inbound.services.signed_receipt || partner.receive.signed_receipt == Usage::Forbidden {
        return receipt;
    }
    match signed(shared, partner, inbound, &mut receipt) {
        Ok(()) => {}
        Err(why) => {
            receipt.hash.clear();
            receipt.signature.clear();
            let text = format!("R{}: its receipt goes unsigned: {why}", inbound.id);
            shared.tell(Event::Trouble { text });
        }
    }
    receipt
}

fn signed(
    shared: &Shared,
    partner: &Partner,
    inbound: &Inbound,
    receipt: &mut NewReceipt,
) -> Result<(), String> {
    let identity = shared.keyring.identity(Purpose::Signing)?;
    let suite = services::suite(inbound.services).ok_or("SFID names no cipher suite for it")?;
    if !partner.receive.suites.contains(&suite) {
        return Err(format!("SFID names cipher suite {suite} for it, which is not among those agreed"));
    }
    let transmitted = inbound.transmitted.as_ref().ok_or("the hash of what came is not known")?;
    receipt.hash.clone_from(&transmitted.hash);
    let octets = form(&inbound.file, inbound.user, receipt);
    let embed = if partner.send.embed_certificate { Embed::SignerCertificate } else { Embed::Nothing };
    receipt.signature =
        sign_message(suite, identity, &octets, now_seconds(), embed).map_err(|error| error.to_string())?;
    Ok(())
}

/// Judges a receipt that came for a file of ours.
pub(crate) fn judged(
    shared: &Shared,
    partner: &Partner,
    outbound: &Outbound,
    file: FileId,
    user: UserData,
    receipt: NewReceipt,
) -> ArrivedReceipt {
    let asked = outbound.services.signed_receipt;
    let mut signer = None;
    let verdict = if receipt.signature.is_empty() {
        if asked { Verdict::Unsigned } else { Verdict::NotAsked }
    } else {
        let certificates = shared.configuration.certificates(&partner.name).signers();
        match verified(outbound, &file, user, &receipt, &certificates, now_seconds()) {
            Ok((found, note)) => {
                if let Some(note) = note {
                    shared.tell(Event::Trouble { text: format!("S{}: {note}", outbound.id) });
                }
                signer = Some(found.verified.signer.der().to_vec());
                Verdict::Verified
            }
            // Nobody asked for the signature, and perhaps nobody has the certificate for it.
            Err(_) if !asked => Verdict::NotAsked,
            Err(why) => Verdict::Wrong(why),
        }
    };
    ArrivedReceipt { receipt, file, user, verdict, signer }
}

/// Verifies the signature of a receipt, and that it is for what was sent. With it comes a remark, if the form of the
/// receipt deserves one.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn verified(
    outbound: &Outbound,
    file: &FileId,
    user: UserData,
    receipt: &NewReceipt,
    signers: &[std::sync::Arc<odile_envelope::Certificate>],
    now: u64,
) -> Result<(VerifiedMessage, Option<&'static str>), String> {
    let ours = outbound.transmitted.as_ref().filter(|transmitted| !transmitted.hash.is_empty());
    let ours = ours.ok_or("the hash of what was sent is not known here, so that nothing can be compared")?;
    if !receipt.hash.is_empty() && receipt.hash != ours.hash {
        return Err("its hash is that of another content than was sent".to_owned());
    }
    // A receipt whose hash stands only in what was signed is as good.
    let mut whole = receipt.clone();
    whole.hash.clone_from(&ours.hash);
    let mut bare = receipt.clone();
    bare.hash.clear();
    let octets = form(file, user, &whole);
    let without_hash = form(file, user, &bare);
    let without_creator = form_without_creator(file, &whole);
    let mut accepted = vec![octets.as_slice(), without_hash.as_slice()];
    accepted.extend(without_creator.as_deref());
    let found =
        verify_message(&receipt.signature, &accepted, signers, Some(now)).map_err(|error| explain(&error))?;
    match found.form {
        0 => Ok((found, None)),
        1 => Err("its signature is right, but covers no hash of the file".to_owned()),
        _ => Ok((found, Some("the negative receipt was signed without its creator, as one product does it"))),
    }
}

fn explain(error: &OpenError) -> String {
    error.to_string()
}

/// What is signed of a receipt.
pub fn form(file: &FileId, user: UserData, receipt: &NewReceipt) -> Vec<u8> {
    match &receipt.kind {
        ReceiptKind::Positive => {
            let mut eerp = EndToEndResponse::for_file(file, user);
            eerp.hash.clone_from(&receipt.hash);
            eerp.signed_octets()
        }
        ReceiptKind::Negative { creator, reason, text } => {
            let mut nerp = NegativeEndResponse::for_file(file, *creator, *reason, text.clone());
            nerp.hash.clone_from(&receipt.hash);
            nerp.signed_octets()
        }
    }
}

fn form_without_creator(file: &FileId, receipt: &NewReceipt) -> Option<Vec<u8>> {
    let ReceiptKind::Negative { creator, reason, text } = &receipt.kind else { return None };
    let mut nerp = NegativeEndResponse::for_file(file, *creator, *reason, text.clone());
    nerp.hash.clone_from(&receipt.hash);
    Some(nerp.signed_octets_without_creator())
}
