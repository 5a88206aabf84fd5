//! `odile receipt export`: a folder that others can judge with OpenSSL alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use odile_station::catalog::{ReceiptKind, StoredReceipt};
use odile_station::keyring::{CertificateFile, store};
use odile_station::receipts::Audit;
use serde_json::json;

use super::record::{self, hex};
use super::{Dossier, Signers, readme};
use crate::cli::ReceiptExportArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

pub fn run(context: &Context, args: &ReceiptExportArgs) -> Result<Exit, Failure> {
    let dossier = Dossier::find(context, args.transfer)?;
    let signers = Signers::of(context, &dossier);
    let audits = dossier.audits(&signers, None);
    if audits.is_empty() {
        return Err(Failure::refused(dossier.without_receipt()));
    }
    let transfer = dossier.transfer;
    let (receipt, audit) = chosen(&audits).ok_or_else(|| {
        Failure::refused(format!(
            "{transfer} has an unsigned receipt, which proves nothing to others: there is nothing to export; \
             `odile receipt show {transfer}` shows it"
        ))
    })?;
    let evidence = Evidence::new(&dossier, receipt, audit, &signers);
    let mut folder = Folder::make(&args.to)?;
    evidence.write(&mut folder)?;
    for note in &signers.notes {
        context.note(&format!("odile: {note}"));
    }
    if context.is_json() {
        output::json(&json!({
            "transfer": transfer,
            "folder": folder.path.display().to_string(),
            "files": folder.files,
            "receipts": audits.len(),
            "holds": audit.holds(),
        }));
        return Ok(Exit::Done);
    }
    for file in &folder.files {
        output::line(&folder.path.join(file).display().to_string());
    }
    if audits.len() > 1 {
        context.note(&format!(
            "odile: {transfer} has {} receipts; this is the one that {}",
            audits.len(),
            record::whereabouts(receipt)
        ));
    }
    if !audit.holds() {
        context.note(&format!(
            "odile: not everything holds: README.txt says what does not, and `odile receipt verify {transfer}` what \
             to do"
        ));
    }
    Ok(Exit::Done)
}

/// Of several receipts the one that proves something, else the latest that is signed.
fn chosen<'a>(audits: &'a [(&'a StoredReceipt, Audit)]) -> Option<(&'a StoredReceipt, &'a Audit)> {
    let is_signed = |(receipt, _): &&(&StoredReceipt, Audit)| !receipt.signature.is_empty();
    let holding = audits.iter().find(|(_, audit)| audit.holds());
    let found = holding.or_else(|| audits.iter().rev().find(is_signed));
    found.map(|(receipt, audit)| (*receipt, audit))
}

/// What is handed out.
pub struct Evidence<'a> {
    pub dossier: &'a Dossier,
    pub receipt: &'a StoredReceipt,
    pub audit: &'a Audit,
    /// Certificate of the one whose signature it is; if nobody's verifies, the one that was kept.
    pub signer: Option<CertificateFile>,
    /// Certificates of the partner for signatures.
    pub of_partner: &'a [CertificateFile],
    /// The hash that was recorded for what was transmitted, or else the one of the receipt.
    pub hash: &'a [u8],
}

impl<'a> Evidence<'a> {
    fn new(dossier: &'a Dossier, receipt: &'a StoredReceipt, audit: &'a Audit, signers: &'a Signers) -> Self {
        let recorded = dossier.reference.transmitted.as_ref().map(|transmitted| transmitted.hash.as_slice());
        Self {
            dossier,
            receipt,
            audit,
            signer: record::signer(receipt, audit).map(|(file, _)| file),
            of_partner: &signers.of_partner,
            hash: recorded.filter(|hash| !hash.is_empty()).unwrap_or(&receipt.hash),
        }
    }

    fn write(&self, folder: &mut Folder) -> Result<(), Failure> {
        folder.add("signature.p7s", &self.receipt.signature)?;
        folder.add("signed-octets.bin", &self.audit.expected_octets)?;
        folder.add("hash.txt", format!("{}\n", hex(self.hash)).as_bytes())?;
        if let Some(signer) = &self.signer {
            folder.add(readme::SIGNER, store::to_pem(std::slice::from_ref(signer))?.as_bytes())?;
        }
        if !self.of_partner.is_empty() {
            folder.add_folder(readme::PARTNER_CERTIFICATES)?;
        }
        for (number, certificate) in self.of_partner.iter().enumerate() {
            let digits = store::short_fingerprint(certificate);
            let name = format!("{}/{}-{digits}.pem", readme::PARTNER_CERTIFICATES, number + 1);
            folder.add(&name, store::to_pem(std::slice::from_ref(certificate))?.as_bytes())?;
        }
        let json = serde_json::to_string_pretty(&self.json()).map_err(io::Error::from);
        let json = json.map_err(|error| folder.cannot("receipt.json", &error))?;
        folder.add("receipt.json", format!("{json}\n").as_bytes())?;
        folder.add("README.txt", readme::text(self).as_bytes())
    }

    fn json(&self) -> serde_json::Value {
        let Self { receipt, audit, .. } = self;
        let mut value = record::transfer(self.dossier);
        let mut inner = record::json_with_answers(receipt, audit);
        inner["fields"] = fields(receipt);
        inner["signed_octets"] = json!(audit.signed_octets.as_deref().map(hex));
        value["receipt"] = inner;
        value
    }
}

/// The fields of the command by the RFC's names (§5.3.13, §5.3.14), in hexadecimal digits.
fn fields(receipt: &StoredReceipt) -> serde_json::Value {
    let file = &receipt.file;
    let common = [
        ("DSN", file.dataset_name.octets().as_slice()),
        ("DATE", file.date.digits()),
        ("TIME", file.time.digits()),
        // The other way round than in the file's SFID.
        ("DEST", file.originator.octets()),
        ("ORIG", file.destination.octets()),
    ];
    let user = receipt.user;
    let reason;
    let others: Vec<(&str, &[u8])> = match &receipt.kind {
        ReceiptKind::Positive => vec![("USER", user.octets())],
        ReceiptKind::Negative { creator, reason: code, text } => {
            reason = format!("{:02}", code.code());
            vec![("CREA", creator.octets()), ("REAS", reason.as_bytes()), ("REAST", text.octets())]
        }
    };
    let evidence = [("HSH", receipt.hash.as_slice()), ("SIG", receipt.signature.as_slice())];
    let named = |(field, octets): (&str, &[u8])| {
        (format!("{}{field}", receipt.kind.mnemonic()), serde_json::Value::from(hex(octets)))
    };
    common.into_iter().chain(others).chain(evidence).map(named).collect()
}

/// A folder in which nothing is overwritten.
struct Folder {
    path: PathBuf,
    /// What was written, in order.
    files: Vec<String>,
}

impl Folder {
    /// A new folder, or one that is empty. What is in it tells who sends what to whom: it is for the owner only.
    fn make(path: &Path) -> Result<Self, Failure> {
        let cannot =
            |error: io::Error| Failure::usage(format!("cannot write to {}: {error}", path.display()));
        let path = std::path::absolute(path).map_err(cannot)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(cannot)?;
        if fs::read_dir(&path).map_err(cannot)?.next().is_some() {
            return Err(Failure::usage(format!(
                "{} is not empty, and nothing is overwritten: name a new folder",
                path.display()
            )));
        }
        Ok(Self { path, files: Vec::new() })
    }

    fn add(&mut self, name: &str, octets: &[u8]) -> Result<(), Failure> {
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path.join(name))?;
            file.write_all(octets)?;
            file.sync_all()
        };
        write().map_err(|error| self.cannot(name, &error))?;
        self.files.push(name.to_owned());
        Ok(())
    }

    fn add_folder(&self, name: &str) -> Result<(), Failure> {
        let made = DirBuilder::new().mode(0o700).create(self.path.join(name));
        made.map_err(|error| self.cannot(name, &error))
    }

    fn cannot(&self, name: &str, error: &io::Error) -> Failure {
        Failure::refused(format!(
            "cannot write {}: {error}; remove the folder and try again",
            self.path.join(name).display()
        ))
    }
}
