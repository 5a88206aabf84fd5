//! `README.txt` of an exported receipt: how to verify it without Odile, and what that proves.
//!
//! Lines that begin with four spaces are commands, complete but for words in capitals. What partners send stands in
//! the heading only, and never in a command.

use std::fmt::Write;

use odile_station::catalog::{ReceiptKind, TransferRef};
use odile_station::described;
use odile_station::envelope::HashAlgorithm;
use odile_station::receipts::{hash_algorithm, hash_name, utc};
use odile_station::wire::command::FileFormat;

use super::export::Evidence;
use super::record;
use crate::output::clean;

/// The signer's certificate.
pub const SIGNER: &str = "signer.pem";
/// Certificates of the partner.
pub const PARTNER_CERTIFICATES: &str = "partner-certificates";

/// The whole text.
pub fn text(evidence: &Evidence<'_>) -> String {
    let mut out = Text::default();
    heading(&mut out, evidence);
    contents(&mut out, evidence);
    commands(&mut out, evidence);
    about_the_file(&mut out, evidence);
    meaning(&mut out, evidence);
    out.0
}

fn heading(out: &mut Text, evidence: &Evidence<'_>) {
    let Evidence { dossier, receipt, audit, signer, .. } = evidence;
    out.title("A receipt of OFTP2 (RFC 5024), and what proves it");
    let arrived = matches!(dossier.transfer, TransferRef::Outbound(_));
    match &receipt.kind {
        ReceiptKind::Positive => out.row("receipt", "EERP, End to End Response: the file has arrived"),
        ReceiptKind::Negative { creator, reason, text } => {
            out.row("receipt", "NERP, Negative End Response: the file could not be delivered or used");
            out.row("reason", &reason.to_string());
            out.row("text", &text.to_string());
            out.row("creator", &creator.to_string());
        }
    }
    out.row("for the file", &receipt.file.to_string());
    out.row("originator", &format!("{} (has sent the file)", receipt.file.originator));
    out.row("destination", &format!("{} (has made the receipt)", receipt.file.destination));
    if let Some(transmitted) = &dossier.reference.transmitted {
        let octets = transmitted.octets;
        out.row("transmitted", &format!("{octets} octets, {}", described(dossier.reference.services)));
    }
    out.row("hash", &record::named_hash(&dossier.reference, evidence.hash));
    out.row(if arrived { "came" } else { "made" }, &utc_ms(receipt.at_ms));
    if let Some(sent_ms) = receipt.sent_ms {
        out.row("sent", &utc_ms(sent_ms));
    }
    if let Some(time) = audit.verified.as_ref().and_then(|verified| verified.signing_time) {
        out.row("signed", &format!("{}, as the signer says", utc(time)));
    }
    if let Some(signer) = signer {
        out.row("signer", &signer.subject);
        out.row("fingerprint, SHA-256", &in_pairs(&signer.fingerprint));
        out.row("valid", &format!("from {} until {}", utc(signer.not_before), utc(signer.not_after)));
    }
    out.row("known here as", &format!("{} with {}, {}", dossier.transfer, dossier.partner, dossier.state));
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    out.row("exported", &format!("{} by Odile {}", utc(now), env!("CARGO_PKG_VERSION")));
    if !audit.holds() {
        out.paragraph("NOT EVERYTHING HOLDS. This is what Odile found when it wrote this folder:");
        for answer in &audit.answers {
            let (word, text) = match &answer.finding {
                Ok(text) => ("ok", text),
                Err(text) => ("not ok", text),
            };
            out.bullet(&format!("{word}: {}: {text}", answer.question.as_str()));
        }
    }
}

fn contents(out: &mut Text, evidence: &Evidence<'_>) {
    out.heading("What is in this folder");
    out.row(
        "signature.p7s",
        "the signature as it is: CMS SignedData (RFC 5652), with what was signed inside",
    );
    out.row("signed-octets.bin", "what must have been signed: the receipt's fields and the hash");
    out.row("hash.txt", "the hash of what was transmitted, as this station recorded it");
    match &evidence.signer {
        Some(_) if evidence.audit.verified.is_some() => out.row(SIGNER, "the signer's certificate"),
        Some(_) => out.row(SIGNER, "the certificate that was kept; the signature is NOT valid with it"),
        None => {}
    }
    if !evidence.of_partner.is_empty() {
        out.row(PARTNER_CERTIFICATES, "all certificates of the partner for signatures that are known here");
    }
    out.row("receipt.json", "every field, for programs");
}

fn commands(out: &mut Text, evidence: &Evidence<'_>) {
    let Evidence { receipt, audit, hash, dossier, .. } = evidence;
    out.heading("How to verify it");
    out.paragraph(
        "OpenSSL 3.0 or later and the usual programs of any Unix are enough. Give the commands in this folder. They \
         do not rely on anything that Odile says. A word in capitals stands for a file that is not here.",
    );
    if evidence.signer.is_none() {
        out.paragraph(
            "signer.pem is missing: no certificate that is known here verifies the signature. Ask the signer for \
             his, and save it under this name, as PEM. These came along with the signature, if any; alone they \
             prove nothing:",
        );
        out.command("openssl pkcs7 -inform DER -in signature.p7s -print_certs -noout");
    }
    out.step("1. The signature is valid, and made with the key of signer.pem:");
    out.command(
        "openssl cms -verify -binary -inform DER -in signature.p7s -certfile signer.pem -nointern -noverify -out \
         content.bin",
    );
    out.indented(
        "It must say \"CMS Verification successful\". -nointern: no certificate that came along with the signature \
         takes the place of signer.pem. -noverify: whose certificate that is, is question 5, not this one.",
    );
    if uses_sha1(evidence) {
        out.indented(
            "The signature uses SHA-1. Where a system's policy forbids that, this fails with \"invalid digest\": \
             take another machine.",
        );
    }
    out.step("2. What was signed, now in content.bin, are the fields and the hash of this receipt:");
    out.command("cmp content.bin signed-octets.bin && echo same");
    let creator = matches!(receipt.kind, ReceiptKind::Negative { .. })
        && audit.expected_octets.len() == FIELDS_BYTES + CODE_BYTES + hash.len();
    let fields = FIELDS_BYTES + if creator { CODE_BYTES } else { 0 };
    let creator = if creator { ", creator (25)" } else { "" };
    out.indented(&format!(
        "Its first {fields} octets are the fields, each in full width: dataset name (26), date (8), time (10), \
         originator of the file (25), its destination (25){creator}. To see them:"
    ));
    out.command(&format!("head -c {fields} content.bin; echo"));
    if !hash.is_empty() {
        let name = hash_algorithm(&dossier.reference.services, hash).map_or("the hash", hash_name);
        out.step(&format!(
            "3. Its last {} octets are the hash of what was transmitted, {name}. Both lines must be the same:",
            hash.len()
        ));
        out.command(&format!("tail -c {} content.bin | od -An -v -tx1 | tr -d ' \\n'; echo", hash.len()));
        out.command("cat hash.txt");
    }
    out.step("4. When the signer says that he signed:");
    out.command("openssl cms -cmsout -print -noout -inform DER -in signature.p7s | grep -A 2 signingTime");
    out.step("5. Whose key it is:");
    out.command("openssl x509 -in signer.pem -noout -subject -issuer -serial -dates -fingerprint -sha256");
    out.indented(
        "Compare the fingerprint with the one that the signer tells you himself, by telephone or on paper. If an \
         authority that you trust has issued the certificate, this asks whether it was valid at the time:",
    );
    let at = receipt.at_ms / 1000;
    out.command(&format!("openssl verify -attime {at} -CAfile AUTHORITY.pem signer.pem"));
}

fn about_the_file(out: &mut Text, evidence: &Evidence<'_>) {
    let Evidence { dossier, hash, .. } = evidence;
    let algorithm = hash_algorithm(&dossier.reference.services, hash);
    let Some(option) = algorithm.and_then(openssl_option) else { return };
    let services = dossier.reference.services;
    out.step("6. The file itself:");
    if services.security == 0 && services.compression == 0 {
        out.indented(match dossier.format {
            FileFormat::Variable => {
                "The file travelled as it is. The hash is over its records, without the two octets of length in \
                 front of each. Whoever has these octets can compute it again, and must get what is in hash.txt:"
            }
            _ => {
                "The file travelled as it is. Whoever has it can compute the hash again, and must get what is in \
                 hash.txt:"
            }
        });
        out.command(&format!("openssl dgst {option} -r FILE"));
        return;
    }
    out.indented(&format!(
        "The file travelled in an envelope ({}). The hash is over the envelope, octet for octet as it was \
         transmitted, not over the content: sealing the same file again gives other octets. Whoever has kept the \
         envelope can compute the hash again, and must get what is in hash.txt:",
        described(services)
    ));
    out.command(&format!("openssl dgst {option} -r ENVELOPE"));
}

fn meaning(out: &mut Text, evidence: &Evidence<'_>) {
    let Evidence { dossier, receipt, audit, hash, .. } = evidence;
    let sealed = dossier.reference.services.security != 0 || dossier.reference.services.compression != 0;
    let what = if sealed { "envelope" } else { "file" };
    out.heading("What this proves");
    out.paragraph("If 1, 2 and 3 succeed:");
    out.bullet(
        "The holder of the private key that belongs to signer.pem has signed these very fields and this hash. \
         Nobody can make or change such a signature without that key.",
    );
    out.bullet(&format!(
        "The signature is about one file: this name, date and time, from this originator to this destination. The \
         hash is about one sequence of octets: {}.",
        if uses_sha1(evidence) {
            format!("no other {what} has it, unless its maker has prepared two, which SHA-1 does not exclude")
        } else {
            format!("nobody can make another {what} that has it")
        }
    ));
    out.heading("What it does not prove");
    out.bullet(
        "Who the signer is. That is what 5 is for: a certificate proves as much as the way on which it was \
         compared, or its authority, is worth. Nobody has looked whether it was revoked.",
    );
    out.bullet(
        "When it was signed. The time in the signature is the signer's own word, the time of arrival that of this \
         station. No third party has stamped it.",
    );
    if sealed {
        out.bullet(
            "What was in the envelope. That takes the envelope itself, and, if it is encrypted, somebody who can \
             open it.",
        );
    }
    let has_creator = audit.expected_octets.len() > FIELDS_BYTES + hash.len();
    match (&receipt.kind, has_creator) {
        (ReceiptKind::Positive, _) => out.bullet(
            "By the octets alone, that the receipt was a positive one. RFC 5024 signs more octets in a negative one \
             (25, its creator), but there is a product that leaves them out.",
        ),
        (ReceiptKind::Negative { .. }, true) => {
            out.bullet("Reason and text: they stand in the receipt, but RFC 5024 does not sign them.");
        }
        (ReceiptKind::Negative { .. }, false) => out.bullet(
            "By the octets alone, that the receipt was a negative one: its creator was not signed, as one product \
             does it. Reason and text are never signed.",
        ),
    }
    if receipt.kind == ReceiptKind::Positive {
        out.bullet("The user data (EERPUSER): they are not signed.");
    }
    out.bullet("That anybody has read or used the file. A receipt is made by a station, when it has a file.");
}

fn uses_sha1(evidence: &Evidence<'_>) -> bool {
    let signed = evidence.audit.verified.as_ref().map(|verified| verified.hash);
    let hashed = hash_algorithm(&evidence.dossier.reference.services, evidence.hash);
    [signed, hashed].contains(&Some(HashAlgorithm::Sha1))
}

/// How `openssl dgst` calls a hash function.
fn openssl_option(algorithm: HashAlgorithm) -> Option<&'static str> {
    match algorithm {
        HashAlgorithm::Sha1 => Some("-sha1"),
        HashAlgorithm::Sha256 => Some("-sha256"),
        HashAlgorithm::Sha384 => Some("-sha384"),
        HashAlgorithm::Sha512 => Some("-sha512"),
        HashAlgorithm::Sha3_512 => Some("-sha3-512"),
        _ => None,
    }
}

/// Digits as `openssl x509 -fingerprint` writes them.
fn in_pairs(digits: &str) -> String {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(String::from_utf8_lossy).collect::<Vec<_>>().join(":")
}

fn utc_ms(unix_ms: i64) -> String {
    u64::try_from(unix_ms / 1000).map_or_else(|_| "-".to_owned(), utc)
}

/// Lines of text, filled up to [`WIDTH`].
#[derive(Default)]
struct Text(String);

impl Text {
    fn title(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}\n{}\n", "=".repeat(text.len()));
    }

    fn heading(&mut self, text: &str) {
        self.gap();
        let _ = writeln!(self.0, "{text}\n{}\n", "-".repeat(text.len()));
    }

    /// A word and what is to be said about it; nothing, if that is empty.
    fn row(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            let _ = writeln!(self.0, "{key:<21} {}", clean(value));
        }
    }

    fn paragraph(&mut self, text: &str) {
        self.gap();
        self.fill("", "", text);
        self.gap();
    }

    fn step(&mut self, text: &str) {
        self.gap();
        self.fill("", "   ", text);
    }

    fn indented(&mut self, text: &str) {
        self.fill("   ", "   ", text);
    }

    fn bullet(&mut self, text: &str) {
        self.fill("- ", "  ", &clean(text));
    }

    fn command(&mut self, text: &str) {
        self.gap();
        let _ = writeln!(self.0, "    {text}\n");
    }

    /// One empty line, not two.
    fn gap(&mut self) {
        if !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }

    fn fill(&mut self, first: &str, next: &str, text: &str) {
        let mut line = first.to_owned();
        let mut is_new = true;
        for word in text.split_whitespace() {
            if !is_new && line.len() + 1 + word.len() > WIDTH {
                let _ = writeln!(self.0, "{line}");
                next.clone_into(&mut line);
                is_new = true;
            }
            if !is_new {
                line.push(' ');
            }
            line.push_str(word);
            is_new = false;
        }
        let _ = writeln!(self.0, "{line}");
    }
}

/// Characters of a line.
const WIDTH: usize = 88;
/// Octets that are signed in front of the hash: 26 + 8 + 10 + 25 + 25.
const FIELDS_BYTES: usize = 94;
/// NERPCREA.
const CODE_BYTES: usize = 25;
