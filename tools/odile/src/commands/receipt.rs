//! `odile receipt`: what the catalog has kept of receipts, looked at again. A station may run or not; no private key
//! is touched.

mod export;
mod readme;
mod record;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use odile_station::StationError;
use odile_station::catalog::{
    CatalogError, OutboundState, ReceiptKind, ReceiptState, StoredReceipt, TransferRef,
};
use odile_station::envelope::Certificate;
use odile_station::keyring::{CertificateFile, PartnerCertificates, store};
use odile_station::partner::{PartnerName, Purpose};
use odile_station::receipts::{Audit, Candidate, Moment, Question, Reference};
use odile_station::wire::command::FileFormat;
use serde_json::json;

pub use self::record::hex;
use super::open_catalog;
use crate::cli::{ReceiptCommand, ReceiptVerifyArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

pub fn run(context: &Context, command: ReceiptCommand) -> Result<Exit, Failure> {
    match command {
        ReceiptCommand::Show(args) => show(context, args.transfer),
        ReceiptCommand::Verify(args) => verify(context, &args),
        ReceiptCommand::Export(args) => export::run(context, &args),
    }
}

fn show(context: &Context, transfer: TransferRef) -> Result<Exit, Failure> {
    let dossier = Dossier::find(context, transfer)?;
    let signers = Signers::of(context, &dossier);
    let audits: Vec<(&StoredReceipt, Audit)> =
        dossier.receipts.iter().map(|receipt| (receipt, dossier.audit(receipt, &signers, None))).collect();
    if context.is_json() {
        let mut result = record::transfer(&dossier);
        result["receipts"] = audits.iter().map(|(receipt, audit)| record::json(receipt, audit)).collect();
        output::json(&result);
        return Ok(Exit::Done);
    }
    record::print_transfer(&dossier);
    for (receipt, audit) in &audits {
        record::print(receipt, audit, &dossier.reference);
    }
    if audits.is_empty() {
        context.note(&dossier.without_receipt());
    }
    Ok(Exit::Done)
}

fn verify(context: &Context, args: &ReceiptVerifyArgs) -> Result<Exit, Failure> {
    let dossier = Dossier::find(context, args.transfer)?;
    let signers = match &args.signer {
        Some(path) => Signers::only(path)?,
        None => Signers::of(context, &dossier),
    };
    let audits = dossier.audits(&signers, args.at);
    if audits.is_empty() {
        return Err(Failure::refused(dossier.without_receipt()));
    }
    let proof = audits.iter().find(|(_, audit)| audit.holds());
    let next = match proof {
        Some(_) => None,
        // The latest tells best what is missing.
        None => {
            audits.last().and_then(|(receipt, audit)| Some(next_step(&dossier, receipt, audit.failed()?)))
        }
    };
    if context.is_json() {
        let mut result = record::transfer(&dossier);
        result["receipts"] =
            audits.iter().map(|(receipt, audit)| record::json_with_answers(receipt, audit)).collect();
        result["proven"] = proof.is_some().into();
        result["notes"] = json!(signers.notes);
        result["next"] = json!(next);
        output::json(&result);
    } else {
        for (receipt, audit) in &audits {
            output::line(&output::clean(&format!(
                "{}  {}, {}",
                dossier.transfer,
                receipt.kind,
                record::whereabouts(receipt)
            )));
            record::print_answers(audit);
        }
        for note in &signers.notes {
            context.note(&format!("odile: {note}"));
        }
        conclude(context, &dossier, proof.map(|(receipt, _)| *receipt), next.as_deref());
    }
    Ok(if proof.is_some() { Exit::Done } else { Exit::Refused })
}

fn conclude(context: &Context, dossier: &Dossier, proof: Option<&StoredReceipt>, next: Option<&str>) {
    let Dossier { transfer, partner, .. } = dossier;
    match (proof, transfer) {
        (Some(receipt), TransferRef::Outbound(_)) => {
            let says = match receipt.kind {
                ReceiptKind::Positive => "has what was transmitted",
                ReceiptKind::Negative { .. } => "could not deliver or use what was transmitted",
            };
            output::line(&format!("{transfer}: everything holds: {partner} has signed that it {says}"));
        }
        (Some(_), TransferRef::Inbound(_)) => {
            output::line(&format!("{transfer}: everything holds: the receipt is ours"));
        }
        (None, _) => {
            let next = next.unwrap_or_default();
            output::note(&format!("odile: {transfer}: not everything holds: {next}"));
        }
    }
    if proof.is_some() && dossier.state == OutboundState::Unproven.as_str() {
        context.note(&format!(
            "odile: {transfer} stays unproven all the same: a station judges receipts when they come. Import the \
             certificate (`odile cert import {partner} FILE`), and ask {partner} to send the receipt again"
        ));
    }
}

/// What to do about a receipt that does not hold.
fn next_step(dossier: &Dossier, receipt: &StoredReceipt, failed: Question) -> String {
    let Dossier { transfer, partner, .. } = dossier;
    if receipt.signature.is_empty() {
        return match transfer {
            TransferRef::Outbound(_) => format!(
                "an unsigned receipt proves nothing to others; `signed_receipt = \"required\"` under [send] in \
                 partners/{partner}.toml asks for signed ones from now on"
            ),
            TransferRef::Inbound(_) => format!(
                "the receipt was not signed: {partner} did not ask for it, our terms forbid it, or our key was \
                 missing; `odile show {transfer}` tells the story"
            ),
        };
    }
    match (failed, transfer) {
        (Question::File, _) => {
            "the receipt is for another file, or the catalog was changed; compare it with a backup".to_owned()
        }
        (Question::Hash, _) => format!(
            "ask {partner} which octets were received; if the hash was changed here, compare the catalog with a \
             backup"
        ),
        (Question::Signature, TransferRef::Outbound(_)) => format!(
            "if the signer's certificate is missing, ask {partner} for it, compare its fingerprint by telephone, and \
             try `odile receipt verify {transfer} --signer FILE`; if it is there, the receipt was changed, here or \
             on its way"
        ),
        (Question::Signature, TransferRef::Inbound(_)) => format!(
            "if our certificate of that time is no longer in keys/, try `odile receipt verify {transfer} --signer \
             FILE`; if it is there, the receipt was changed"
        ),
        (Question::Content, _) => {
            "the signature is for another file or another receipt, or the catalog was changed; compare it with a \
             backup"
                .to_owned()
        }
        (Question::Certificate, _) => format!(
            "the signature itself is right, but its certificate was out of its time; ask {partner} for a receipt \
             signed with a valid one, or ask about another time with --at"
        ),
    }
}

/// A transfer with all that the catalog has of it.
struct Dossier {
    transfer: TransferRef,
    partner: String,
    state: String,
    reference: Reference,
    format: FileFormat,
    /// Oldest first.
    receipts: Vec<StoredReceipt>,
}

impl Dossier {
    fn find(context: &Context, transfer: TransferRef) -> Result<Self, Failure> {
        let missing = || CatalogError::NoSuchTransfer { transfer };
        let catalog = open_catalog(context)?.ok_or_else(missing)?;
        match transfer {
            TransferRef::Outbound(id) => {
                let file = catalog.outbound(id)?.ok_or_else(missing)?;
                Ok(Self {
                    transfer,
                    reference: Reference::from(&file),
                    format: file.format,
                    partner: file.partner,
                    state: file.state.to_string(),
                    receipts: catalog.receipts_arrived(id)?,
                })
            }
            TransferRef::Inbound(id) => {
                let file = catalog.inbound(id)?.ok_or_else(missing)?;
                Ok(Self {
                    transfer,
                    reference: Reference::from(&file),
                    format: file.format,
                    partner: file.partner,
                    state: file.state.to_string(),
                    receipts: catalog.receipts_given(id)?,
                })
            }
        }
    }

    fn audit(&self, receipt: &StoredReceipt, signers: &Signers, at: Option<u64>) -> Audit {
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
        let came = u64::try_from(receipt.at_ms / 1000).unwrap_or(0);
        let moment = Moment { at: at.unwrap_or(came), now };
        Audit::of(receipt, &self.reference, &signers.candidates(receipt), moment)
    }

    /// The receipts that count: what was withdrawn before it was sent is not evidence of anything.
    fn audits(&self, signers: &Signers, at: Option<u64>) -> Vec<(&StoredReceipt, Audit)> {
        let counts = |receipt: &&StoredReceipt| receipt.state != ReceiptState::Withdrawn;
        let audited = |receipt| (receipt, self.audit(receipt, signers, at));
        self.receipts.iter().filter(counts).map(audited).collect()
    }

    fn without_receipt(&self) -> String {
        let Self { transfer, partner, state, .. } = self;
        match transfer {
            TransferRef::Outbound(_) => format!(
                "{transfer} is {state} and has no receipt yet: it comes from {partner}, in a later session perhaps; \
                 `odile show {transfer}` tells the story"
            ),
            TransferRef::Inbound(_) => format!(
                "{transfer} is {state} and has no receipt: one is owed as soon as a file is received; `odile show \
                 {transfer}` tells the story"
            ),
        }
    }
}

/// Certificates that may be the signer's.
struct Signers {
    /// Those that were kept with receipts count.
    with_kept: bool,
    known: Vec<Candidate>,
    /// Certificates of the partner that serve for signatures.
    of_partner: Vec<CertificateFile>,
    /// What could not be read.
    notes: Vec<String>,
}

impl Signers {
    /// What this home knows: certificates of the partner for its receipts, ours for our own.
    fn of(context: &Context, dossier: &Dossier) -> Self {
        let mut signers =
            Self { with_kept: true, known: Vec::new(), of_partner: Vec::new(), notes: Vec::new() };
        match dossier.transfer {
            TransferRef::Outbound(_) => signers.add_partner(context, &dossier.partner),
            TransferRef::Inbound(_) => signers.add_own(context),
        }
        signers
    }

    /// Those of one file.
    fn only(path: &Path) -> Result<Self, Failure> {
        let octets = fs::read(path).map_err(|error| {
            Failure::usage(format!("cannot read the signer's certificate: {}: {error}", path.display()))
        })?;
        let files = store::certificates_in(path, &octets)?;
        let origin = format!("in {}", path.display());
        let known: Vec<Candidate> = files.iter().filter_map(|file| candidate(file, &origin)).collect();
        if known.is_empty() {
            let text =
                "it is for no RSA key of 2048 to 4096 bits, and nobody else can sign a receipt".to_owned();
            return Err(StationError::Certificate { path: path.into(), text }.into());
        }
        Ok(Self { with_kept: false, known, of_partner: Vec::new(), notes: Vec::new() })
    }

    fn add_partner(&mut self, context: &Context, partner: &str) {
        let Ok(name) = partner.parse::<PartnerName>() else { return };
        let folder = context.home.certificates(&name);
        match PartnerCertificates::read(&folder) {
            Ok(certificates) => {
                self.of_partner = certificates.for_purpose(Purpose::Signing).cloned().collect();
            }
            // What was kept with the receipt may do.
            Err(error) => self.notes.push(error.to_string()),
        }
        for file in &self.of_partner {
            let origin = format!("in {}", within_home(context, &file.path));
            self.known.extend(candidate(file, &origin));
        }
    }

    /// All of ours, those that were replaced too: they lie beside as `NAME.crt.` and digits.
    fn add_own(&mut self, context: &Context) {
        let folder = context.home.keys();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => return self.notes.push(format!("cannot read {}: {error}", folder.display())),
        };
        let is_certificate = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with('.') && (name.ends_with(".crt") || name.contains(".crt."))
        };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| is_certificate(path));
        paths.sort();
        for path in paths {
            match CertificateFile::read(&path) {
                Ok(chain) => {
                    let origin = format!("in {}", within_home(context, &path));
                    self.known.extend(chain.first().and_then(|file| candidate(file, &origin)));
                }
                Err(error) => self.notes.push(error.to_string()),
            }
        }
    }

    /// For one receipt: what was kept with it goes first.
    fn candidates(&self, receipt: &StoredReceipt) -> Vec<Candidate> {
        let kept = receipt.signer.as_deref().filter(|_| self.with_kept);
        let kept = kept.and_then(|der| Certificate::from_der(der).ok()).map(|certificate| Candidate {
            certificate: Arc::new(certificate),
            origin: "kept with the receipt".to_owned(),
        });
        kept.into_iter().chain(self.known.iter().cloned()).collect()
    }
}

fn candidate(file: &CertificateFile, origin: &str) -> Option<Candidate> {
    Some(Candidate { certificate: file.rsa.clone()?, origin: origin.to_owned() })
}

fn within_home(context: &Context, path: &Path) -> String {
    path.strip_prefix(context.home.root()).unwrap_or(path).display().to_string()
}
