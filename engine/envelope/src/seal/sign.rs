//! SignedData around the source (RFC 5652 §5), and the SignerInfo at its end.

use cms::content_info::CmsVersion;
use cms::signed_data::{SignerIdentifier, SignerInfo};
use der::asn1::{GeneralizedTime, OctetString, SetOfVec, UtcTime};
use der::{Any, Encode};
use std::time::Duration;
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::time::Time;

use crate::algorithm as oid;
use crate::ber;
use crate::certificate::Certificate;
use crate::digest::{HashAlgorithm, HashValue, Hasher};
use crate::error::Misuse;
use crate::key::PrivateKey;
use crate::seal::plan::{Embed, Terms};
use crate::suite::{SignatureScheme, Suite};

/// Everything in front of the content: up to and including the octet string's opening.
pub(super) fn header(suite: Suite) -> Result<Vec<u8>, Misuse> {
    let mut out = Vec::new();
    ber::open(&mut out, ber::SEQUENCE);
    ber::put(&mut out, ber::OBJECT_IDENTIFIER, oid::SIGNED_DATA.as_bytes());
    ber::open(&mut out, ber::CONTEXT_0);
    ber::open(&mut out, ber::SEQUENCE);
    // Version 1: no other than certificates, id-data, and IssuerAndSerialNumber (RFC 5652 §5.1).
    ber::put(&mut out, ber::INTEGER, &[1]);
    ber::put(&mut out, ber::SET, &oid::bare(suite.hash().oid()).to_der()?);
    ber::open(&mut out, ber::SEQUENCE);
    ber::put(&mut out, ber::OBJECT_IDENTIFIER, oid::DATA.as_bytes());
    ber::open(&mut out, ber::CONTEXT_0);
    ber::open(&mut out, ber::CONSTRUCTED_OCTET_STRING);
    Ok(out)
}

/// Everything behind the content.
fn trailer(terms: &Terms, signer_info: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ber::close(&mut out, 3);
    if terms.options.embed == Embed::SignerCertificate {
        ber::put(&mut out, ber::CONTEXT_0, &terms.signer);
    }
    ber::put(&mut out, ber::SET, signer_info);
    ber::close(&mut out, 3);
    out
}

/// Octets of the layer, which do not depend on the content.
pub(super) fn total_bytes(terms: &Terms) -> Result<u64, Misuse> {
    if !terms.services.sign {
        return Ok(terms.source_bytes);
    }
    let certificate = Certificate::from_der(&terms.signer)?;
    let hashed = Hasher::new(terms.suite.hash()).finish();
    let attributes = attributes(&hashed, terms.signing_time)?;
    let signature = vec![0; rsa::traits::PublicKeyParts::size(certificate.public())];
    let info = signer_info(terms.suite, &certificate, attributes, &signature)?;
    let frame = header(terms.suite)?.len() + trailer(terms, &info).len();
    let segment = u64::from(terms.options.segment_bytes);
    let (whole, last) = (terms.source_bytes / segment, terms.source_bytes % segment);
    let last_header = if last == 0 { 0 } else { ber::header_bytes(last) };
    Ok(frame as u64 + terms.source_bytes + whole * ber::header_bytes(segment) + last_header)
}

/// Signs the attributes of a content with this hash.
pub(crate) fn sign(
    suite: Suite,
    certificate: &Certificate,
    key: &PrivateKey,
    hashed: &HashValue,
    signing_time: u64,
) -> Result<Vec<u8>, Misuse> {
    let attributes = attributes(hashed, signing_time)?;
    // What is signed is the DER of a SET, whatever tag it gets inside (RFC 5652 §5.4).
    let message = attributes.to_der()?;
    let signature = key.sign(suite.signature_scheme(), suite.hash(), &message)?;
    signer_info(suite, certificate, attributes, &signature)
}

fn signer_info(
    suite: Suite,
    certificate: &Certificate,
    attributes: Attributes,
    signature: &[u8],
) -> Result<Vec<u8>, Misuse> {
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(certificate.issuer_and_serial()),
        digest_alg: oid::bare(suite.hash().oid()),
        signed_attrs: Some(attributes),
        signature_algorithm: signature_algorithm(suite.signature_scheme(), suite.hash())?,
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    Ok(info.to_der()?)
}

fn signature_algorithm(
    scheme: SignatureScheme,
    hash: HashAlgorithm,
) -> Result<spki::AlgorithmIdentifierOwned, Misuse> {
    match scheme {
        // What everybody understands (RFC 3370 §3.2), whatever the hash.
        SignatureScheme::Pkcs1 => Ok(oid::with_null(oid::RSA)),
        SignatureScheme::Pss => oid::pss(hash),
    }
}

fn attributes(hashed: &HashValue, signing_time: u64) -> Result<Attributes, Misuse> {
    let values = [
        (oid::CONTENT_TYPE, Any::encode_from(&oid::DATA)?),
        (oid::MESSAGE_DIGEST, Any::encode_from(&OctetString::new(hashed.as_bytes())?)?),
        (oid::SIGNING_TIME, Any::encode_from(&time(signing_time)?)?),
    ];
    let mut attributes = SetOfVec::new();
    for (oid, value) in values {
        let mut values = SetOfVec::new();
        values.insert(value)?;
        attributes.insert(Attribute { oid, values })?;
    }
    Ok(attributes)
}

/// UTCTime until 2049, then GeneralizedTime (RFC 5652 §11.3).
fn time(seconds: u64) -> Result<Time, Misuse> {
    let since_1970 = Duration::from_secs(seconds);
    if let Ok(time) = UtcTime::from_unix_duration(since_1970) {
        return Ok(Time::UtcTime(time));
    }
    Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(since_1970)?))
}

/// What stands behind the content, once its hash is known.
pub(super) fn finish(
    terms: &Terms,
    certificate: &Certificate,
    key: &PrivateKey,
    hashed: &HashValue,
) -> Result<Vec<u8>, Misuse> {
    let info = sign(terms.suite, certificate, key, hashed, terms.signing_time)?;
    Ok(trailer(terms, &info))
}
