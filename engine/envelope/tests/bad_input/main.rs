//! What is wrong is refused, and for the right reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod asn1;
mod content;
mod edits;
mod flips;
mod keys;
mod messages;
#[path = "../pki/mod.rs"]
mod pki;
mod shape;
mod signers;

use std::sync::Arc;

use asn1::Node;
use odile_envelope::seal::Embed;
use odile_envelope::{
    OpenError, OpenTerms, Opened, SealOptions, SealPlan, SealRequest, Sealer, Services, Suite,
    seal_challenge, sign_message,
};
use pki::{drain, entropy, open, pki, terms};

const SIGN: Services = Services { sign: true, ..Services::NONE };
const COMPRESS: Services = Services { compress: true, ..Services::NONE };
const ENCRYPT: Services = Services { encrypt: true, ..Services::NONE };
const SIGN_ENCRYPT: Services = Services { compress: false, ..Services::ALL };
const SIGN_COMPRESS: Services = Services { encrypt: false, ..Services::ALL };
const COMPRESS_ENCRYPT: Services = Services { sign: false, ..Services::ALL };

/// Seals from Alice to Carol, in small pieces.
fn seal(suite: Suite, services: Services, source: &[u8]) -> Vec<u8> {
    let request = SealRequest {
        recipient: Some(pki().carol.certificate()),
        options: SealOptions { chunk_bytes: 1024, segment_bytes: 1024, ..SealOptions::default() },
        ..pki::request(suite, services, source.len())
    };
    let plan = SealPlan::new(&request, &mut entropy(11)).unwrap();
    let mut sealer = Sealer::new(Arc::new(plan), Some(pki().alice.key())).unwrap();
    drain(&mut sealer, source, 4096)
}

/// Terms on which Carol opens what Alice signed.
fn to_carol(services: Services) -> OpenTerms {
    OpenTerms { recipients: vec![pki().carol.identity.clone()], ..terms(services) }
}

/// Opens in steps large and small, with the same outcome.
fn outcome(terms: &OpenTerms, stream: &[u8]) -> Result<(Vec<u8>, Opened), OpenError> {
    let outcome = open(terms, stream, 1 << 16, 1 << 16);
    if stream.len() < 10_000 {
        assert_eq!(outcome, open(terms, stream, 3, 1), "the outcome depends on how the stream is sliced");
    }
    outcome
}

fn refused(terms: &OpenTerms, stream: &[u8]) -> OpenError {
    outcome(terms, stream).unwrap_err()
}

/// SignedData of Alice in DER.
///
/// ```text
/// ContentInfo ─ 1 ─ 0 ─┬─ 0 version
///                      ├─ 1 digest algorithms
///                      ├─ 2 ─ 1 ─ 0 content
///                      └─ 3 ─ 0 ─┬─ 1 ─ 1 serial number
///                                ├─ 2 digest algorithm
///                                ├─ 3 attributes: content type, signing time, message digest
///                                ├─ 4 signature algorithm
///                                └─ 5 signature
/// ```
fn signed(content: &[u8]) -> Node {
    let alice = &pki().alice.identity;
    let envelope = sign_message(Suite::S04, alice, content, pki::SIGNING_TIME, Embed::Nothing).unwrap();
    Node::parse(&envelope)
}

/// EnvelopedData of [`CHALLENGE`] for Carol in DER.
///
/// ```text
/// ContentInfo ─ 1 ─ 0 ─┬─ 0 version
///                      ├─ 1 recipients ─ 0 ─┬─ 1 name, 2 algorithm, 3 wrapped key
///                      └─ 2 ─┬─ 1 ─ 1 initialisation vector
///                            └─ 2 content
/// ```
fn enveloped(suite: Suite) -> Node {
    let carol = pki().carol.certificate();
    Node::parse(&seal_challenge(suite, carol, CHALLENGE, &mut entropy(5)).unwrap())
}

const CHALLENGE: &[u8; 20] = b"twenty octets, just.";
