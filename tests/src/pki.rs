//! Keys and certificates for tests: made when they are needed, once in a process.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use odile_station::envelope::{Certificate, Identity, PrivateKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};

use crate::station::TestStation;

/// A certificate that signs itself, and its key.
pub struct Issued {
    /// PEM.
    pub certificate: String,
    /// PKCS#8, PEM.
    pub key: String,
    /// Both, for envelopes.
    pub identity: Arc<Identity>,
}

/// The certificate of this name, for `localhost` and 127.0.0.1; always the same in one process.
pub fn issued(name: &str) -> Arc<Issued> {
    issued_for(name, Validity::Now)
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From 2020 to 2099.
    Now,
    /// It was, in 2020.
    Expired,
    /// It will be, in 2098.
    NotYet,
}

/// A new one, which signs itself.
pub fn issue(name: &str, validity: Validity) -> Issued {
    let key = new_key();
    let certificate = params(name, &["localhost", "127.0.0.1"], validity).self_signed(&key);
    Issued::new(certificate.expect("a certificate").pem(), &key)
}

/// The one of this name and validity; always the same in one process.
pub fn issued_for(name: &str, validity: Validity) -> Arc<Issued> {
    static MADE: Mutex<BTreeMap<String, Arc<Issued>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = made.entry(format!("{name} {validity:?}")).or_insert_with(|| Arc::new(issue(name, validity)));
    Arc::clone(entry)
}

/// An authority for TLS certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        Self { issuer: issuer.expect("a certificate") }
    }

    /// A certificate for a host.
    pub fn issue(&self, name: &str, host: &str, validity: Validity) -> Issued {
        let key = new_key();
        let certificate = params(name, &[host], validity).signed_by(&key, &self.issuer);
        Issued::new(certificate.expect("a certificate").pem(), &key)
    }

    /// A certificate whose subject has an identification code, as Odette's policy asks.
    pub fn issue_with_code(&self, name: &str, code: &str) -> Issued {
        let key = new_key();
        let mut params = params(name, &["a.example.com"], Validity::Now);
        // serialNumber (X.520).
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), code);
        let certificate = params.signed_by(&key, &self.issuer);
        Issued::new(certificate.expect("a certificate").pem(), &key)
    }

    /// Its own certificate, PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }
}

impl Issued {
    fn new(certificate: String, key: &KeyPair) -> Self {
        let key = key.serialize_pem();
        let identity = Identity::new(
            Certificate::from_bytes(certificate.as_bytes()).expect("our own certificate"),
            PrivateKey::from_bytes(key.as_bytes(), None).expect("our own key"),
        );
        Self { certificate, key, identity: Arc::new(identity.expect("they belong together")) }
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key")
}

fn params(name: &str, hosts: &[&str], validity: Validity) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("valid names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let (from, until) = match validity {
        Validity::Now => (2020, 2099),
        Validity::Expired => (2020, 2021),
        Validity::NotYet => (2098, 2099),
    };
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}

impl TestStation {
    /// Gives the station a key, by the name that `station.toml` expects.
    pub fn give_key(&self, issued: &Issued) {
        self.give_key_named("station", issued);
    }

    /// The same under another name.
    pub fn give_key_named(&self, name: &str, issued: &Issued) {
        write_private(&self.home().keys().join(format!("{name}.key")), &issued.key);
        write_private(&self.home().keys().join(format!("{name}.crt")), &issued.certificate);
    }

    /// Gives the station a certificate of a partner, for one purpose or `shared`.
    pub fn give_certificate(&self, partner: &str, folder: &str, issued: &Issued) -> PathBuf {
        self.give_pem(partner, folder, &issued.certificate)
    }

    /// Gives the station an authority to trust for a partner.
    pub fn give_authority(&self, partner: &str, authority: &Authority) -> PathBuf {
        self.give_pem(partner, "authority", &authority.certificate())
    }

    fn give_pem(&self, partner: &str, folder: &str, pem: &str) -> PathBuf {
        let folder = self.home().certificates(&partner.parse().expect("a name")).join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let count = fs::read_dir(&folder).expect("it is there").count();
        let path = folder.join(format!("{count}.crt"));
        write_private(&path, pem);
        path
    }
}

/// Writes a file that nobody else may read.
pub fn write_private(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.as_mut().expect("a new file").write_all(text.as_bytes()).expect("room for it");
}
