//! Receipts looked at again, long after they came: from what the catalog has kept of them, without the partner, a
//! private key or a running station.
//!
//! When a receipt comes, one verdict decides what becomes of the file. Here each question has an answer of its own,
//! because who reads this wants to know what exactly a receipt proves, and what it lacks. Nothing is written.

use std::sync::Arc;

use jiff::Timestamp;
use odile_catalog::{Inbound, NewReceipt, Outbound, ReceiptKind, Services, StoredReceipt, Transmitted};
use odile_envelope::{
    Certificate, Declared, HashAlgorithm, MESSAGE_BYTES_MAX, OpenError, OpenFinish, OpenTerms, Opener,
    Services as Layers, SignatureScheme, SignerProblem, Suite, Verified, verify_message,
};
use odile_wire::{FileId, Level};

use super::{form, form_without_creator};
use crate::keyring::hexadecimal;

/// A certificate that may be the signer's.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The certificate.
    pub certificate: Arc<Certificate>,
    /// Where it was found, in words that follow "the certificate".
    pub origin: String,
}

/// What the catalog knows of a file, for its receipts to be held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its identity.
    pub file: FileId,
    /// Its services.
    pub services: Services,
    /// The stream as it crossed the network.
    pub transmitted: Option<Transmitted>,
}

/// What is asked of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Is it for this file?
    File,
    /// Is its hash the one of what was transmitted?
    Hash,
    /// Is the signature valid?
    Signature,
    /// Is what was signed what the receipt says?
    Content,
    /// Was the certificate valid then?
    Certificate,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was asked.
    pub question: Question,
    /// Yes or no, and why, in a few words.
    pub finding: Result<String, String>,
}

/// The answers to all questions that make sense for a receipt. One without signature has nothing that could be
/// asked about it; without a valid one, nobody's certificate is in question.
#[derive(Debug, Clone)]
pub struct Audit {
    /// In the order of [`Question`].
    pub answers: Vec<Answer>,
    /// What must have been signed: the receipt's fields and the hash, in the form that the signer has chosen.
    pub expected_octets: Vec<u8>,
    /// The content of the signature, valid or not. `None` if there is none that can be read.
    pub signed_octets: Option<Vec<u8>>,
    /// Whose signature it is, if it is valid.
    pub verified: Option<Verified>,
    /// Where his certificate was found.
    pub origin: Option<String>,
}

/// The times that count, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When the certificate must have been valid.
    pub at: u64,
    /// Now.
    pub now: u64,
}

impl From<&Outbound> for Reference {
    fn from(file: &Outbound) -> Self {
        Self { file: file.file, services: file.services, transmitted: file.transmitted.clone() }
    }
}

impl From<&Inbound> for Reference {
    fn from(file: &Inbound) -> Self {
        Self { file: file.file, services: file.services, transmitted: file.transmitted.clone() }
    }
}

impl Reference {
    /// The hash of what was transmitted, if it is known.
    fn hash(&self) -> Option<&[u8]> {
        let transmitted = self.transmitted.as_ref()?;
        if transmitted.hash.is_empty() { None } else { Some(&transmitted.hash) }
    }
}

impl Question {
    /// One word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Hash => "hash",
            Self::Signature => "signature",
            Self::Content => "content",
            Self::Certificate => "certificate",
        }
    }
}

impl Audit {
    /// Asks everything about a receipt of either direction. The first of several `candidates` that fits is the
    /// signer.
    pub fn of(
        receipt: &StoredReceipt,
        reference: &Reference,
        candidates: &[Candidate],
        moment: Moment,
    ) -> Self {
        let whole = whole(receipt, reference);
        let mut audit = Self {
            answers: Vec::new(),
            expected_octets: form(&receipt.file, receipt.user, &whole),
            signed_octets: None,
            verified: None,
            origin: None,
        };
        audit.answer(Question::File, file(receipt, &reference.file));
        audit.answer(Question::Hash, hash(receipt, reference));
        if receipt.signature.is_empty() {
            audit.answer(Question::Signature, Err("it is not signed".to_owned()));
            return audit;
        }
        audit.signed_octets = content_of(&receipt.signature);
        match verify(receipt, audit.signed_octets.as_deref(), candidates, moment.at) {
            Ok(verified) => {
                let found = candidates.iter().find(|candidate| *candidate.certificate == verified.signer);
                let origin = found.map_or_else(String::new, |candidate| candidate.origin.clone());
                audit.answer(Question::Signature, Ok(described(&verified, &origin)));
                audit.origin = Some(origin);
                audit.verified = Some(verified);
            }
            Err(why) => audit.answer(Question::Signature, Err(why)),
        }
        if let Some(octets) = &audit.signed_octets {
            let without_creator = form_without_creator(&receipt.file, &whole);
            if let Some(other) = without_creator.filter(|form| form == octets) {
                audit.expected_octets = other;
            }
            let finding = content(octets, &audit.expected_octets, receipt, &whole);
            audit.answer(Question::Content, finding);
        }
        if let Some(verified) = &audit.verified {
            let finding = certificate(&verified.signer, moment);
            audit.answer(Question::Certificate, finding);
        }
        audit
    }

    /// True if every answer is yes.
    pub fn holds(&self) -> bool {
        self.failed().is_none()
    }

    /// The first question whose answer is no.
    pub fn failed(&self) -> Option<Question> {
        self.answers.iter().find(|answer| answer.finding.is_err()).map(|answer| answer.question)
    }

    fn answer(&mut self, question: Question, finding: Result<String, String>) {
        self.answers.push(Answer { question, finding });
    }
}

fn file(receipt: &StoredReceipt, file: &FileId) -> Result<String, String> {
    // Only level 5 has signatures; what is unsigned may have come with the short stamps of an older level.
    let level = if receipt.signature.is_empty() { Level::V1_2 } else { Level::V2_0 };
    let FileId { originator, destination, .. } = receipt.file;
    let named = format!("{}, from {originator} to {destination}", receipt.file);
    if receipt.file.matches_at(file, level) { Ok(named) } else { Err(format!("it is for another: {named}")) }
}

fn hash(receipt: &StoredReceipt, reference: &Reference) -> Result<String, String> {
    let Some(transmitted) = &reference.transmitted else {
        return Err("what was transmitted was not recorded: nothing can be compared".to_owned());
    };
    let Some(expected) = reference.hash() else {
        return Err("no hash was made of what was transmitted: nothing can be compared".to_owned());
    };
    let name = |hash: &[u8]| {
        let algorithm = hash_algorithm(&reference.services, hash).map_or("hash", hash_name);
        format!("{algorithm} {}", hexadecimal(hash).to_ascii_lowercase())
    };
    let octets = transmitted.octets;
    if receipt.hash.is_empty() && receipt.signature.is_empty() {
        return Err("it states none".to_owned());
    }
    if receipt.hash.is_empty() {
        return Ok("stated in what was signed only".to_owned());
    }
    if receipt.hash != expected {
        return Err(format!(
            "it states {}, but the {octets} octets that were transmitted have {}",
            name(&receipt.hash),
            name(expected)
        ));
    }
    Ok(format!("{}, as recorded for the {octets} octets that were transmitted", name(expected)))
}

fn verify(
    receipt: &StoredReceipt,
    content: Option<&[u8]>,
    candidates: &[Candidate],
    at: u64,
) -> Result<Verified, String> {
    let signers: Vec<_> = candidates.iter().map(|candidate| Arc::clone(&candidate.certificate)).collect();
    let accepted = [content.unwrap_or_default()];
    // Of two signers, one whose certificate was valid goes first.
    let found = verify_message(&receipt.signature, &accepted, &signers, Some(at))
        .or_else(|_| verify_message(&receipt.signature, &accepted, &signers, None));
    match found {
        Ok(found) => Ok(found.verified),
        Err(OpenError::Signature(problems)) => {
            Err(problems.iter().map(SignerProblem::to_string).collect::<Vec<_>>().join("; "))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn described(verified: &Verified, origin: &str) -> String {
    let scheme = match verified.scheme {
        SignatureScheme::Pkcs1 => "RSA PKCS#1 v1.5",
        SignatureScheme::Pss => "RSASSA-PSS",
        _ => "RSA",
    };
    let mut text = format!(
        "valid, {scheme} with {}, by {} (the certificate {origin})",
        hash_name(verified.hash),
        verified.signer.subject()
    );
    for other in &verified.others {
        text.push_str("; another signer: ");
        text.push_str(&other.to_string());
    }
    text
}

/// The receipt with its hash, wherever that is stated.
fn whole(receipt: &StoredReceipt, reference: &Reference) -> NewReceipt {
    let mut hash = receipt.hash.clone();
    if hash.is_empty() {
        hash = reference.hash().map(<[u8]>::to_vec).unwrap_or_default();
    }
    NewReceipt { kind: receipt.kind.clone(), hash, signature: Vec::new() }
}

/// Holds what was signed against what the receipt says.
fn content(
    octets: &[u8],
    expected: &[u8],
    receipt: &StoredReceipt,
    whole: &NewReceipt,
) -> Result<String, String> {
    let length = octets.len();
    let bare = NewReceipt { hash: Vec::new(), ..whole.clone() };
    if octets == form(&receipt.file, receipt.user, &bare) {
        return Err(format!("the receipt's fields, {length} octets, but no hash of the file"));
    }
    if octets == expected {
        let regular = form(&receipt.file, receipt.user, whole);
        let remark = if octets == regular { "" } else { "; without the creator, as one product does it" };
        return Ok(format!("exactly the receipt's fields and the hash, {length} octets{remark}"));
    }
    if length != expected.len() {
        return Err(format!("something else was signed: {length} octets, not {}", expected.len()));
    }
    Err(format!("something else was signed: {} differs", differing(octets, expected, receipt).join(", ")))
}

/// Fields in which two forms of the same length differ.
fn differing(octets: &[u8], expected: &[u8], receipt: &StoredReceipt) -> Vec<&'static str> {
    let creator = match receipt.kind {
        ReceiptKind::Positive => None,
        ReceiptKind::Negative { .. } => Some(("the creator", 25)),
    };
    let fixed = [
        ("the dataset name", 26),
        ("the date", 8),
        ("the time", 10),
        ("the destination", 25),
        ("the originator", 25),
    ];
    let (mut at, mut names) = (0, Vec::new());
    for (name, length) in fixed.into_iter().chain(creator).chain([("the hash", usize::MAX)]) {
        let end = expected.len().min(at + length.min(expected.len()));
        if octets[at..end] != expected[at..end] {
            names.push(name);
        }
        at = end;
    }
    names
}

fn certificate(signer: &Certificate, moment: Moment) -> Result<String, String> {
    let validity = signer.validity();
    let (from, until) = (utc(validity.not_before), utc(validity.not_after));
    let at = utc(moment.at);
    if moment.at < validity.not_before {
        return Err(format!("it was not valid yet on {at}: it is from {from} until {until}"));
    }
    if moment.at > validity.not_after {
        return Err(format!("it had expired on {at}: it was valid from {from} until {until}"));
    }
    let since = if moment.now > validity.not_after { "; it has expired since" } else { "" };
    Ok(format!("valid on {at}: from {from} until {until}{since}"))
}

/// The content of a signature, whether that is valid or not; `None` if it cannot be read.
fn content_of(signature: &[u8]) -> Option<Vec<u8>> {
    let terms = OpenTerms {
        declared: Declared::Services(Layers { sign: true, ..Layers::NONE }),
        recipients: Vec::new(),
        signers: Vec::new(),
        now: None,
        output_bytes_max: MESSAGE_BYTES_MAX as u64,
        transmitted_hash: None,
    };
    let mut opener = Opener::new(Arc::new(terms));
    // The content is shorter than what it is in: there is always room.
    let mut content = vec![0; signature.len() + 1];
    let (mut rest, mut written) = (signature, 0);
    while !rest.is_empty() {
        let progress = opener.push(rest, &mut content[written..]).ok()?;
        if progress.consumed == 0 && progress.written == 0 {
            return None;
        }
        rest = &rest[progress.consumed..];
        written += progress.written;
    }
    loop {
        match opener.finish(&mut content[written..]) {
            Ok(OpenFinish::More { written: 0 }) => return None,
            Ok(OpenFinish::More { written: more }) => written += more,
            // Nobody's signature is accepted here: only the content is wanted.
            Ok(OpenFinish::Opened(_)) | Err(OpenError::Signature(_)) => break,
            Err(_) => return None,
        }
    }
    content.truncate(written);
    Some(content)
}

/// The hash function of a file's receipts: the one of its suite, or else what its length tells.
pub fn hash_algorithm(services: &Services, hash: &[u8]) -> Option<HashAlgorithm> {
    let suite = Suite::from_code(services.suite).map(Suite::hash);
    let by_length = [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384];
    suite.into_iter().chain(by_length).find(|algorithm| algorithm.output_bytes() == hash.len())
}

/// A hash function's name for people.
pub const fn hash_name(algorithm: HashAlgorithm) -> &'static str {
    match algorithm {
        HashAlgorithm::Sha1 => "SHA-1",
        HashAlgorithm::Sha256 => "SHA-256",
        HashAlgorithm::Sha384 => "SHA-384",
        HashAlgorithm::Sha512 => "SHA-512",
        HashAlgorithm::Sha3_512 => "SHA3-512",
        _ => "an unknown hash function",
    }
}

/// Unix seconds as `2026-04-01T12:00:00Z`.
pub fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "the end of time".to_owned(), |time| time.to_string())
}
