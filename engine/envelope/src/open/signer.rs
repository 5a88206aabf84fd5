//! SignerInfos: whether one of them is good (RFC 5652 §5.3 to §5.6).
//!
//! One good signature is enough: while a partner changes certificates, a file may carry two (RFC 5024 §6.2).

use std::fmt::Write as _;
use std::sync::Arc;

use cms::signed_data::{SignerIdentifier, SignerInfo};
use const_oid::ObjectIdentifier;
use der::asn1::OctetString;
use der::{Decode, Encode};
use x509_cert::attr::Attributes;
use x509_cert::time::Time;

use crate::algorithm::{self as oid, PssParameters};
use crate::ber::{self, Header};
use crate::certificate::Certificate;
use crate::digest::{HashAlgorithm, HashValue, Hasher};
use crate::error::{Flaw, Limit, OpenError};
use crate::open::frame::{Frame, Item, Kind, Slot};
use crate::open::recipient::object_identifier;
use crate::open::sniff::kind_of;
use crate::suite::SignatureScheme;
use crate::verdict::{SignerProblem, Verified};

/// SignerInfos of one envelope.
const SIGNERS_MAX: usize = 16;
/// Hash functions that one envelope may announce, known and unknown.
const DIGESTS_MAX: usize = 16;

/// Whose signatures are accepted.
#[derive(Clone, Copy)]
pub(super) struct Trust<'a> {
    pub certificates: &'a [Arc<Certificate>],
    /// For the certificates' validity, in seconds since 1970; none: not looked at.
    pub now: Option<u64>,
}

/// What is known of the content when the signatures are judged.
#[derive(Clone, Copy)]
pub(super) struct SignedContent<'a> {
    pub content_type: Option<ObjectIdentifier>,
    pub digests: &'a [HashValue],
    /// Its first [`HEAD_BYTES`] octets, or all of it.
    pub head: &'a [u8],
}

/// Octets of the content that tell whether it is a set of attributes: two headers and a tag.
pub(super) const HEAD_BYTES: usize = 24;

/// The hash functions that a SET of digest algorithms names, as far as we know them.
pub(super) fn announced(set: &[u8]) -> Result<Vec<HashAlgorithm>, OpenError> {
    let der = ber::to_der(set)?;
    let set = ber::take(&mut der.as_slice()).ok_or(OpenError::Malformed(Flaw::Element))?;
    let elements = ber::elements(set.content, DIGESTS_MAX).ok_or(OpenError::Limit(Limit::Digests))?;
    let mut algorithms: Vec<_> = elements
        .iter()
        .filter_map(|element| {
            let first = ber::take(&mut &*element.content)?;
            HashAlgorithm::from_oid(ObjectIdentifier::from_der(first.whole).ok()?)
        })
        .collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    Ok(algorithms)
}

/// Looks for a good signature.
pub(super) fn verify(
    signer_infos: &[u8],
    content: SignedContent<'_>,
    trust: Trust<'_>,
) -> Result<Verified, OpenError> {
    let der = ber::to_der(signer_infos)?;
    let set = ber::take(&mut der.as_slice()).ok_or(OpenError::Malformed(Flaw::Element))?;
    let elements = ber::elements(set.content, SIGNERS_MAX).ok_or(OpenError::Limit(Limit::Signers))?;
    let (mut good, mut problems) = (None, Vec::new());
    for element in elements {
        match verify_one(element.whole, content, trust) {
            Ok(verified) => good = good.or(Some(verified)),
            Err(problem) => problems.push(problem),
        }
    }
    match good {
        Some(verified) => Ok(Verified { others: problems, ..verified }),
        None if problems.is_empty() => Err(OpenError::Signature(vec![SignerProblem::NoSigner])),
        None => Err(OpenError::Signature(problems)),
    }
}

fn verify_one(
    element: &[u8],
    content: SignedContent<'_>,
    trust: Trust<'_>,
) -> Result<Verified, SignerProblem> {
    let info = SignerInfo::from_der(element).map_err(|_| SignerProblem::Unreadable)?;
    let candidates: Vec<&Arc<Certificate>> =
        trust.certificates.iter().filter(|certificate| is_named(&info.sid, certificate)).collect();
    if candidates.is_empty() {
        return Err(SignerProblem::Unknown { serial: name_of(&info.sid) });
    }
    let hash = HashAlgorithm::from_oid(info.digest_alg.oid).ok_or(SignerProblem::UnknownAlgorithm)?;
    let (scheme, signed_hash) = scheme_of(&info, hash).ok_or(SignerProblem::UnknownAlgorithm)?;
    let digest = content.digests.iter().find(|digest| digest.algorithm() == hash);
    let digest = digest.ok_or(SignerProblem::DigestNotAnnounced)?;
    // What may have been signed: the attributes in DER, or in the order in which they came; or the content.
    let mut signed = Vec::new();
    let mut signing_time = None;
    match &info.signed_attrs {
        Some(attributes) => {
            check_attributes(attributes, content.content_type, digest)?;
            signing_time = time_of(attributes);
            signed.push(signed_hash.hash(&attributes.to_der().map_err(|_| SignerProblem::Unreadable)?));
            signed.extend(attributes_as_sent(element).map(|octets| signed_hash.hash(&octets)));
        }
        None if looks_like_attributes(content.head) => return Err(SignerProblem::Attributes),
        None if signed_hash == hash => signed.push(*digest),
        None => return Err(SignerProblem::UnknownAlgorithm),
    }
    let signature = info.signature.as_bytes();
    let is_signer = |certificate: &&Arc<Certificate>| {
        signed.iter().any(|hash| certificate.verifies(scheme, hash, signature))
    };
    let signer = candidates.into_iter().find(is_signer).ok_or(SignerProblem::SignatureWrong)?;
    check_validity(signer, trust.now)?;
    Ok(Verified {
        signer: signer.as_ref().clone(),
        signing_time,
        hash,
        signed_hash,
        scheme,
        others: Vec::new(),
    })
}

fn is_named(sid: &SignerIdentifier, certificate: &Certificate) -> bool {
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(name) => {
            let issuer = name.issuer.to_der();
            issuer.is_ok_and(|issuer| certificate.is_named(&issuer, name.serial_number.as_bytes()))
        }
        SignerIdentifier::SubjectKeyIdentifier(key_id) => certificate.key_id() == Some(key_id.0.as_bytes()),
    }
}

fn name_of(sid: &SignerIdentifier) -> String {
    let octets = match sid {
        SignerIdentifier::IssuerAndSerialNumber(name) => name.serial_number.as_bytes(),
        SignerIdentifier::SubjectKeyIdentifier(key_id) => key_id.0.as_bytes(),
    };
    octets.iter().fold(String::new(), |mut name, octet| {
        // Writing to a String cannot fail.
        let _ = write!(name, "{octet:02X}");
        name
    })
}

/// The padding, and the hash under the signature: the one of the digest, unless the algorithm names another.
fn scheme_of(info: &SignerInfo, digest: HashAlgorithm) -> Option<(SignatureScheme, HashAlgorithm)> {
    let algorithm = &info.signature_algorithm;
    let pkcs1 = |hash| Some((SignatureScheme::Pkcs1, hash));
    match algorithm.oid {
        oid::RSA => pkcs1(digest),
        oid::RSA_SHA1 => pkcs1(HashAlgorithm::Sha1),
        oid::RSA_SHA256 => pkcs1(HashAlgorithm::Sha256),
        oid::RSA_SHA384 => pkcs1(HashAlgorithm::Sha384),
        oid::RSA_SHA512 => pkcs1(HashAlgorithm::Sha512),
        oid::RSA_SHA3_512 => pkcs1(HashAlgorithm::Sha3_512),
        oid::RSA_PSS => {
            let parameters = algorithm.parameters.as_ref()?.decode_as::<PssParameters>().ok()?;
            let hash = oid::hash_of(parameters.hash.as_ref())?;
            let is_ours = oid::mask_hash_of(parameters.mask.as_ref()) == Some(hash)
                && parameters.trailer.is_none_or(|trailer| trailer == 1);
            is_ours.then_some((SignatureScheme::Pss, hash))
        }
        _ => None,
    }
}

/// RFC 5652 §5.6: the attributes must name the content's type and its digest, each once.
fn check_attributes(
    attributes: &Attributes,
    content_type: Option<ObjectIdentifier>,
    content: &HashValue,
) -> Result<(), SignerProblem> {
    let named = single(attributes, oid::CONTENT_TYPE)
        .and_then(|value| value.decode_as::<ObjectIdentifier>().ok())
        .ok_or(SignerProblem::Attributes)?;
    let digest = single(attributes, oid::MESSAGE_DIGEST)
        .and_then(|value| value.decode_as::<OctetString>().ok())
        .ok_or(SignerProblem::Attributes)?;
    if Some(named) != content_type {
        return Err(SignerProblem::Attributes);
    }
    if digest.as_bytes() != content.as_bytes() {
        return Err(SignerProblem::DigestDiffers);
    }
    Ok(())
}

fn single(attributes: &Attributes, oid: ObjectIdentifier) -> Option<&der::Any> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    let attribute = found.next()?;
    if found.next().is_some() || attribute.values.len() != 1 {
        return None;
    }
    attribute.values.get(0)
}

fn time_of(attributes: &Attributes) -> Option<u64> {
    let time = single(attributes, oid::SIGNING_TIME)?.decode_as::<Time>().ok()?;
    Some(time.to_unix_duration().as_secs())
}

/// The attributes as a SET in the order in which they came: some products sign that.
fn attributes_as_sent(element: &[u8]) -> Option<Vec<u8>> {
    let info = ber::take(&mut &*element)?;
    let fields = ber::elements(info.content, 8)?;
    // Behind version, signer and digest algorithm.
    let attributes = fields.get(3).filter(|field| field.tag == ber::CONTEXT_0)?;
    let mut set = Vec::with_capacity(attributes.whole.len());
    ber::put(&mut set, ber::SET, attributes.content);
    Some(set)
}

/// Whether a content may be the attributes of another signature. Without attributes the signature is over the content
/// itself, so the attributes of one message could be passed off as the content of another.
fn looks_like_attributes(head: &[u8]) -> bool {
    let mut rest = head;
    for tag in [ber::SET, ber::SEQUENCE] {
        let Some(header) = Header::read(rest).filter(|header| header.tag == tag) else { return false };
        rest = &rest[header.bytes..];
    }
    rest.first() == Some(&ber::OBJECT_IDENTIFIER)
}

fn check_validity(certificate: &Certificate, now: Option<u64>) -> Result<(), SignerProblem> {
    let (Some(now), validity) = (now, certificate.validity()) else { return Ok(()) };
    if now > validity.not_after {
        return Err(SignerProblem::Expired { subject: certificate.subject() });
    }
    if now < validity.not_before {
        return Err(SignerProblem::NotYetValid { subject: certificate.subject() });
    }
    Ok(())
}

/// Verifies a small SignedData that is there completely; gives the content.
pub(crate) fn verify_small(
    envelope: &[u8],
    certificates: &[Arc<Certificate>],
    now: Option<u64>,
) -> Result<(Vec<u8>, Verified), OpenError> {
    let (mut frame, mut input) = (Frame::new(), envelope);
    let (mut algorithms, mut signers, mut inner_type) = (Vec::new(), Vec::new(), None);
    let mut content = Vec::new();
    loop {
        match frame.next(&mut input)? {
            Item::Starved => return Err(OpenError::Truncated),
            Item::Content(count) => {
                let (taken, rest) = input.split_at(count);
                content.extend_from_slice(taken);
                input = rest;
                frame.took(count);
            }
            Item::Captured(Slot::ContentType, octets) => {
                let kind = object_identifier(&octets)
                    .and_then(kind_of)
                    .filter(|kind| *kind == Kind::Signed)
                    .ok_or(OpenError::Malformed(Flaw::ContentType))?;
                frame.set_kind(kind);
            }
            Item::Captured(Slot::DigestAlgorithms, octets) => algorithms = announced(&octets)?,
            Item::Captured(Slot::InnerType, octets) => inner_type = object_identifier(&octets),
            Item::Captured(Slot::SignerInfos, octets) => signers = octets,
            Item::Captured(..) | Item::ContentEnd => {}
            Item::End => break,
        }
    }
    if !input.is_empty() {
        return Err(OpenError::TrailingData);
    }
    let digests: Vec<HashValue> = algorithms
        .into_iter()
        .map(|algorithm| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&content);
            hasher.finish()
        })
        .collect();
    let head = &content[..content.len().min(HEAD_BYTES)];
    let signed = SignedContent { content_type: inner_type, digests: &digests, head };
    let verified = verify(&signers, signed, Trust { certificates, now })?;
    Ok((content, verified))
}
