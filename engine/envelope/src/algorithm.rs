//! Object identifiers and algorithm identifiers of the profile (RFC 3370, 3565, 4055, 5754, 3274, 8702).

use const_oid::ObjectIdentifier;
use der::asn1::OctetString;
use spki::AlgorithmIdentifierOwned;

use crate::digest::HashAlgorithm;
use crate::error::Misuse;

macro_rules! oids {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) const $name: ObjectIdentifier = ObjectIdentifier::new_unwrap($text);)*
    };
}

oids! {
    DATA = "1.2.840.113549.1.7.1";
    SIGNED_DATA = "1.2.840.113549.1.7.2";
    ENVELOPED_DATA = "1.2.840.113549.1.7.3";
    COMPRESSED_DATA = "1.2.840.113549.1.9.16.1.9";
    ZLIB = "1.2.840.113549.1.9.16.3.8";
    CONTENT_TYPE = "1.2.840.113549.1.9.3";
    MESSAGE_DIGEST = "1.2.840.113549.1.9.4";
    SIGNING_TIME = "1.2.840.113549.1.9.5";
    SHA1 = "1.3.14.3.2.26";
    SHA256 = "2.16.840.1.101.3.4.2.1";
    SHA384 = "2.16.840.1.101.3.4.2.2";
    SHA512 = "2.16.840.1.101.3.4.2.3";
    SHA3_512 = "2.16.840.1.101.3.4.2.10";
    RSA = "1.2.840.113549.1.1.1";
    RSA_SHA1 = "1.2.840.113549.1.1.5";
    RSA_OAEP = "1.2.840.113549.1.1.7";
    MGF1 = "1.2.840.113549.1.1.8";
    RSA_PSS = "1.2.840.113549.1.1.10";
    RSA_SHA256 = "1.2.840.113549.1.1.11";
    RSA_SHA384 = "1.2.840.113549.1.1.12";
    RSA_SHA512 = "1.2.840.113549.1.1.13";
    RSA_SHA3_512 = "2.16.840.1.101.3.4.3.16";
    DES_EDE3_CBC = "1.2.840.113549.3.7";
    AES128_CBC = "2.16.840.1.101.3.4.1.2";
    AES192_CBC = "2.16.840.1.101.3.4.1.22";
    AES256_CBC = "2.16.840.1.101.3.4.1.42";
}

/// An algorithm identifier without parameters.
pub(crate) fn bare(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: None }
}

/// An algorithm identifier with NULL as parameters (RFC 4055 §1.2 for rsaEncryption).
pub(crate) fn with_null(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(der::Any::null()) }
}

/// A content cipher with its initialisation vector (RFC 3565 §4.1).
pub(crate) fn with_iv(oid: ObjectIdentifier, iv: &[u8]) -> Result<AlgorithmIdentifierOwned, Misuse> {
    let parameters = der::Any::encode_from(&OctetString::new(iv)?)?;
    Ok(AlgorithmIdentifierOwned { oid, parameters: Some(parameters) })
}

/// RSASSA-PSS-params with one hash for everything and the salt as long as its output (RFC 4055 §3.1).
#[derive(Clone, Debug, PartialEq, Eq, der::Sequence)]
pub(crate) struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    pub mask: Option<AlgorithmIdentifierOwned>,
    /// More than an octet: OpenSSL fills up the modulus unless it is told not to.
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    pub salt_bytes: Option<u32>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub trailer: Option<u8>,
}

/// RSAES-OAEP-params (RFC 4055 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, der::Sequence)]
pub(crate) struct OaepParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    pub mask: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    pub label: Option<AlgorithmIdentifierOwned>,
}

/// The identifier of RSASSA-PSS as a suite uses it.
pub(crate) fn pss(hash: HashAlgorithm) -> Result<AlgorithmIdentifierOwned, Misuse> {
    let parameters = PssParameters {
        hash: explicit(hash),
        mask: explicit_mask(hash)?,
        // The default is 20, which DER leaves out (RFC 4055 §3.1).
        salt_bytes: u32::try_from(hash.output_bytes()).ok().filter(|bytes| *bytes != 20),
        trailer: None,
    };
    Ok(AlgorithmIdentifierOwned { oid: RSA_PSS, parameters: Some(der::Any::encode_from(&parameters)?) })
}

/// The identifier of RSAES-OAEP as a suite uses it.
pub(crate) fn oaep(hash: HashAlgorithm) -> Result<AlgorithmIdentifierOwned, Misuse> {
    let parameters = OaepParameters { hash: explicit(hash), mask: explicit_mask(hash)?, label: None };
    Ok(AlgorithmIdentifierOwned { oid: RSA_OAEP, parameters: Some(der::Any::encode_from(&parameters)?) })
}

/// The hash that parameters name; SHA-1 if they leave it out (the DEFAULT of RFC 4055).
pub(crate) fn hash_of(parameter: Option<&AlgorithmIdentifierOwned>) -> Option<HashAlgorithm> {
    parameter.map_or(Some(HashAlgorithm::Sha1), |identifier| HashAlgorithm::from_oid(identifier.oid))
}

/// The hash inside a mask generation function; MGF1 with SHA-1 if it is left out.
pub(crate) fn mask_hash_of(parameter: Option<&AlgorithmIdentifierOwned>) -> Option<HashAlgorithm> {
    let Some(identifier) = parameter else { return Some(HashAlgorithm::Sha1) };
    if identifier.oid != MGF1 {
        return None;
    }
    let inner = identifier.parameters.as_ref()?.decode_as::<AlgorithmIdentifierOwned>().ok()?;
    HashAlgorithm::from_oid(inner.oid)
}

/// SHA-1 is the default everywhere in RFC 4055, and DER leaves defaults out.
fn explicit(hash: HashAlgorithm) -> Option<AlgorithmIdentifierOwned> {
    (hash != HashAlgorithm::Sha1).then(|| bare(hash.oid()))
}

fn explicit_mask(hash: HashAlgorithm) -> Result<Option<AlgorithmIdentifierOwned>, Misuse> {
    let Some(inner) = explicit(hash) else { return Ok(None) };
    Ok(Some(AlgorithmIdentifierOwned { oid: MGF1, parameters: Some(der::Any::encode_from(&inner)?) }))
}
