//! What a certificate says, for people and for checks.

use std::net::IpAddr;

use const_oid::ObjectIdentifier;
use const_oid::db::DB;
use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};
use odile_partner::Purpose;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::{Certificate, TbsCertificate};

use super::CertificateFile;
use super::certificate_file::common_name;

/// What a certificate says besides names, validity and fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateDetails {
    /// Common name of the subject.
    pub common_name: Option<String>,
    /// Algorithm and size of its key, such as `RSA 3072`.
    pub key: String,
    /// How it was signed.
    pub signature: String,
    /// What its key may do, in the words of X.509; none: anything.
    pub key_usage: Option<Vec<&'static str>>,
    /// What for; none: anything.
    pub extended_key_usage: Option<Vec<String>>,
    /// The subject's serialNumber: its identification code, by Odette's policy.
    pub subject_code: Option<String>,
    /// Other names of the subject: hosts, addresses, e-mail.
    pub names: Vec<String>,
    /// Subject key identifier, in hexadecimal.
    pub key_id: Option<String>,
    /// It may issue certificates.
    pub is_authority: bool,
    /// Issuer and subject are the same.
    pub is_self_issued: bool,
}

impl CertificateDetails {
    /// Of a certificate in a file.
    pub fn of(file: &CertificateFile) -> Self {
        // It was decoded before: nothing is left to fail.
        Self::from_der(&file.der).unwrap_or_else(|_| Self::unknown())
    }

    /// Of a certificate in DER.
    ///
    /// # Errors
    ///
    /// If it does not decode.
    pub fn from_der(octets: &[u8]) -> Result<Self, der::Error> {
        let certificate = Certificate::from_der(octets)?;
        let tbs = certificate.tbs_certificate();
        let usage: Option<KeyUsage> = extension(tbs);
        let extended: Option<ExtendedKeyUsage> = extension(tbs);
        let names: Option<SubjectAltName> = extension(tbs);
        let key_id: Option<SubjectKeyIdentifier> = extension(tbs);
        let constraints: Option<BasicConstraints> = extension(tbs);
        Ok(Self {
            common_name: common_name(tbs),
            subject_code: subject_code(tbs),
            key: key_kind(tbs),
            signature: oid_name(&certificate.signature_algorithm().oid),
            key_usage: usage.map(key_usages),
            extended_key_usage: extended.map(|usages| usages.0.iter().map(extended_name).collect()),
            names: names.map(|names| names.0.iter().filter_map(general_name).collect()).unwrap_or_default(),
            key_id: key_id.map(|id| super::certificate_file::hexadecimal(id.0.as_bytes())),
            is_authority: constraints.is_some_and(|constraints| constraints.ca),
            is_self_issued: tbs.subject() == tbs.issuer(),
        })
    }

    /// Why the certificate does not serve for a purpose, as far as it says so itself; none if it does.
    pub fn unfit_for(&self, purpose: Purpose) -> Option<String> {
        let any_of = |wanted: &[&str]| match &self.key_usage {
            Some(usages) => wanted.iter().any(|wanted| usages.contains(wanted)),
            None => true,
        };
        let wanted: &[&str] = match purpose {
            // Keys are agreed on with ECDHE, which the certificate's key signs.
            Purpose::Tls => &["digitalSignature"],
            Purpose::Signing => &["digitalSignature", "nonRepudiation"],
            Purpose::Authentication | Purpose::Encryption => &["keyEncipherment"],
        };
        if !any_of(wanted) {
            return Some(format!("its keyUsage does not allow {purpose}: it has no {}", wanted.join(" or ")));
        }
        let serves_tls = |usages: &Vec<String>| {
            usages.iter().any(|usage| ["serverAuth", "clientAuth", "any"].contains(&usage.as_str()))
        };
        match (&self.extended_key_usage, purpose) {
            (Some(usages), Purpose::Tls) if !serves_tls(usages) => {
                Some("its extKeyUsage does not allow TLS: it has no serverAuth or clientAuth".to_owned())
            }
            _ => None,
        }
    }

    fn unknown() -> Self {
        Self {
            common_name: None,
            subject_code: None,
            key: "unknown".to_owned(),
            signature: "unknown".to_owned(),
            key_usage: None,
            extended_key_usage: None,
            names: Vec::new(),
            key_id: None,
            is_authority: false,
            is_self_issued: false,
        }
    }
}

fn subject_code(tbs: &TbsCertificate) -> Option<String> {
    let attribute = tbs.subject().iter().find(|attribute| attribute.oid == SERIAL_NUMBER)?;
    let text = String::from_utf8_lossy(attribute.value.value()).trim_end().to_owned();
    (!text.is_empty()).then_some(text)
}

/// serialNumber, of a subject (X.520).
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");

/// An extension; one that does not decode counts as not there, like one that nobody knows.
fn extension<'a, T: Decode<'a> + const_oid::AssociatedOid>(tbs: &'a TbsCertificate) -> Option<T> {
    tbs.get_extension::<T>().ok().flatten().map(|(_, value)| value)
}

fn key_kind(tbs: &TbsCertificate) -> String {
    let info = tbs.subject_public_key_info();
    if info.algorithm.oid == RSA {
        let modulus = info.subject_public_key.as_bytes().and_then(|octets| {
            RsaPublicKey::from_der(octets).ok().map(|key| key.modulus.as_bytes().to_vec())
        });
        return match modulus.as_deref() {
            Some([first, rest @ ..]) => {
                let bits = 8 * (rest.len() + 1) - usize::try_from(first.leading_zeros()).unwrap_or(0);
                format!("RSA {bits}")
            }
            _ => "RSA".to_owned(),
        };
    }
    let curve = info
        .algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| ObjectIdentifier::from_der(&parameters.to_der().ok()?).ok());
    match curve {
        Some(P256) => "EC P-256".to_owned(),
        Some(P384) => "EC P-384".to_owned(),
        Some(P521) => "EC P-521".to_owned(),
        Some(curve) => format!("{} {}", oid_name(&info.algorithm.oid), oid_name(&curve)),
        None => oid_name(&info.algorithm.oid),
    }
}

fn key_usages(usage: KeyUsage) -> Vec<&'static str> {
    [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| is_set.then_some(name))
    .collect()
}

fn extended_name(oid: &ObjectIdentifier) -> String {
    if *oid == ANY_EXTENDED_KEY_USAGE {
        return "any".to_owned();
    }
    let name = oid_name(oid);
    name.strip_prefix("id-kp-").map(str::to_owned).unwrap_or(name)
}

fn general_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::Rfc822Name(text)
        | GeneralName::DnsName(text)
        | GeneralName::UniformResourceIdentifier(text) => Some(text.as_str().to_owned()),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        GeneralName::DirectoryName(name) => Some(name.to_string()),
        _ => None,
    }
}

/// The name of an object identifier, or else its numbers.
fn oid_name(oid: &ObjectIdentifier) -> String {
    DB.by_oid(oid).map_or_else(|| oid.to_string(), str::to_owned)
}

/// RSAPublicKey (RFC 8017, appendix A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
