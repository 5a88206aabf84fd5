//! One certificate in a file.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use der::{Decode, Encode};
use odile_envelope::Certificate;
use x509_cert::TbsCertificate;

use crate::error::StationError;

/// A certificate, and what people want to know of it.
#[derive(Debug, Clone)]
pub struct CertificateFile {
    /// Where it is.
    pub path: PathBuf,
    /// The certificate.
    pub der: Vec<u8>,
    /// The holder's name (RFC 4514).
    pub subject: String,
    /// The holder's common name, if it has one.
    pub common_name: Option<String>,
    /// The issuer's name (RFC 4514).
    pub issuer: String,
    /// The serial number, in hexadecimal.
    pub serial: String,
    /// SHA-256 over the DER, in hexadecimal.
    pub fingerprint: String,
    /// First second of its validity, unix time.
    pub not_before: u64,
    /// Last second of its validity, unix time.
    pub not_after: u64,
    /// For CMS; none if its key is not RSA of 2048 to 4096 bits: then it serves for TLS only.
    pub rsa: Option<Arc<Certificate>>,
}

impl CertificateFile {
    /// All certificates of a file: DER, or PEM with one or more.
    pub fn read(path: &Path) -> Result<Vec<Self>, StationError> {
        let octets = fs::read(path).map_err(StationError::io("read", path))?;
        Self::parse(path, &octets)
    }

    /// The same, of what was read already. `path` is for messages.
    pub fn parse(path: &Path, octets: &[u8]) -> Result<Vec<Self>, StationError> {
        let unreadable = |text: String| StationError::Certificate { path: path.into(), text };
        let blocks = certificate_blocks(octets);
        if blocks.is_empty() {
            let certificate = x509_cert::Certificate::from_der(octets)
                .map_err(|error| unreadable(format!("it is neither PEM nor DER: {error}")))?;
            return Ok(vec![Self::new(path, octets.to_vec(), &certificate)]);
        }
        let chain =
            x509_cert::Certificate::load_pem_chain(&blocks).map_err(|error| unreadable(error.to_string()))?;
        if chain.is_empty() {
            return Err(unreadable("it holds no certificate".to_owned()));
        }
        let read = chain.iter().map(|certificate| {
            let der = certificate.to_der().map_err(|error| unreadable(error.to_string()))?;
            Ok(Self::new(path, der, certificate))
        });
        read.collect()
    }

    fn new(path: &Path, der: Vec<u8>, certificate: &x509_cert::Certificate) -> Self {
        let tbs = certificate.tbs_certificate();
        let validity = tbs.validity();
        let fingerprint = odile_envelope::HashAlgorithm::Sha256.hash(&der);
        Self {
            path: path.into(),
            subject: tbs.subject().to_string(),
            common_name: common_name(tbs),
            issuer: tbs.issuer().to_string(),
            serial: hexadecimal(tbs.serial_number().as_bytes()),
            fingerprint: hexadecimal(fingerprint.as_bytes()),
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
            rsa: Certificate::from_der(&der).ok().map(Arc::new),
            der,
        }
    }

    /// True if it may be used at this time, unix seconds.
    pub fn is_valid_at(&self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// The name people use: the common name, else the whole subject.
    pub fn short_name(&self) -> &str {
        self.common_name.as_deref().unwrap_or(&self.subject)
    }
}

/// The certificates of a PEM file, without what other programs write around them; empty if it has none.
pub(super) fn certificate_blocks(octets: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(octets);
    let mut blocks = String::new();
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        is_inside |= line == "-----BEGIN CERTIFICATE-----";
        if is_inside {
            blocks.push_str(line);
            blocks.push('\n');
        }
        is_inside &= line != "-----END CERTIFICATE-----";
    }
    blocks.into_bytes()
}

pub(super) fn common_name(tbs: &TbsCertificate) -> Option<String> {
    let name = tbs.subject().common_name().ok().flatten()?;
    Some(name.value().into_owned())
}

/// Octets as hexadecimal digits.
pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02X}");
        text
    })
}
