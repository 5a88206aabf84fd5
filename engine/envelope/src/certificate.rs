//! Certificates: who signed, for whom to encrypt. Chains and revocation lists are not looked at here.

use std::sync::Arc;

use der::{Decode, Encode};
use rsa::RsaPublicKey;
use rsa::traits::PublicKeyParts;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use crate::digest::HashAlgorithm;
use crate::error::{Misuse, RSA_BITS_MAX, RSA_BITS_MIN};

/// An X.509 certificate with an RSA key. Copies share what was decoded.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    /// DER of the issuer's name, as it stands in the certificate.
    issuer: Vec<u8>,
    serial: Vec<u8>,
    key_id: Option<Vec<u8>>,
    parsed: x509_cert::Certificate,
    public: RsaPublicKey,
    /// DER of RSAPublicKey, which is what AWS-LC takes.
    public_der: Vec<u8>,
}

/// From when until when a certificate may be used, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: u64,
    /// Last second.
    pub not_after: u64,
}

impl Certificate {
    /// Reads DER, or the first certificate of a PEM file.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, Misuse> {
        let is_pem = octets.trim_ascii_start().starts_with(b"-----BEGIN");
        if !is_pem {
            return Self::from_der(octets);
        }
        let chain = x509_cert::Certificate::load_pem_chain(octets).map_err(|error| unreadable(&error))?;
        let first = chain.first().ok_or_else(|| Misuse::Certificate("the file has none".to_owned()))?;
        Self::from_der(&first.to_der()?)
    }

    /// Reads DER.
    pub fn from_der(der: &[u8]) -> Result<Self, Misuse> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(|error| unreadable(&error))?;
        let tbs = parsed.tbs_certificate();
        let spki = tbs.subject_public_key_info();
        let public_der = spki.subject_public_key.as_bytes().ok_or(Misuse::KeyKind)?.to_vec();
        let spki = spki.to_der()?;
        let spki = spki::SubjectPublicKeyInfoRef::try_from(spki.as_slice()).map_err(|_| Misuse::KeyKind)?;
        let public = RsaPublicKey::try_from(spki).map_err(|_| Misuse::KeyKind)?;
        let bits = usize::try_from(public.n().bits()).unwrap_or(usize::MAX);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(Misuse::KeyKind);
        }
        let key_id = match tbs.get_extension::<SubjectKeyIdentifier>() {
            Ok(Some((_, key_id))) => Some(key_id.0.as_bytes().to_vec()),
            _ => None,
        };
        Ok(Self(Arc::new(Inner {
            der: der.to_vec(),
            issuer: tbs.issuer().to_der()?,
            serial: tbs.serial_number().as_bytes().to_vec(),
            key_id,
            public,
            public_der,
            parsed,
        })))
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The issuer's name in DER.
    pub fn issuer_der(&self) -> &[u8] {
        &self.0.issuer
    }

    /// The issuer's name as text (RFC 4514).
    pub fn issuer(&self) -> String {
        self.0.parsed.tbs_certificate().issuer().to_string()
    }

    /// The subject's name as text (RFC 4514).
    pub fn subject(&self) -> String {
        self.0.parsed.tbs_certificate().subject().to_string()
    }

    /// The serial number: content octets of the INTEGER.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// The subject key identifier, if the certificate has one.
    pub fn key_id(&self) -> Option<&[u8]> {
        self.0.key_id.as_deref()
    }

    /// When it may be used.
    pub fn validity(&self) -> Validity {
        let validity = self.0.parsed.tbs_certificate().validity();
        Validity {
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
        }
    }

    /// SHA-256 over the DER: how people compare certificates.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(HashAlgorithm::Sha256.hash(&self.0.der).as_bytes());
        fingerprint
    }

    pub(crate) fn public(&self) -> &RsaPublicKey {
        &self.0.public
    }

    pub(crate) fn public_der(&self) -> &[u8] {
        &self.0.public_der
    }

    /// How CMS names this certificate.
    pub(crate) fn issuer_and_serial(&self) -> cms::cert::IssuerAndSerialNumber {
        let tbs = self.0.parsed.tbs_certificate();
        cms::cert::IssuerAndSerialNumber {
            issuer: tbs.issuer().clone(),
            serial_number: tbs.serial_number().clone(),
        }
    }

    /// Whether CMS means this certificate.
    pub(crate) fn is_named(&self, issuer_der: &[u8], serial: &[u8]) -> bool {
        self.0.issuer == issuer_der && self.0.serial == serial
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject())
            .field("issuer", &self.issuer())
            .field("serial", &self.0.parsed.tbs_certificate().serial_number().to_string())
            .finish_non_exhaustive()
    }
}

fn unreadable(error: &der::Error) -> Misuse {
    Misuse::Certificate(error.to_string())
}
