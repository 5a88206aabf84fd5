//! Keys and certificates for tests: made when they are needed, once in a process.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use odile_station::envelope::{Certificate, Identity, PrivateKey};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};

use crate::station::TestStation;

/// A certificate that signs itself, and its key.
pub struct Issued {
    /// PEM.
    pub certificate: String,
    /// PKCS#8, PEM.
    pub key: String,
    /// Both, for envelopes.
    pub identity: Identity,
}

/// The certificate of this name, for `localhost` and 127.0.0.1; always the same in one process.
pub fn issued(name: &str) -> Arc<Issued> {
    static MADE: Mutex<BTreeMap<String, Arc<Issued>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = made.entry(name.to_owned()).or_insert_with(|| Arc::new(issue(name, Validity::Now)));
    Arc::clone(entry)
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

/// A new one.
pub fn issue(name: &str, validity: Validity) -> Issued {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
    let mut params =
        CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("valid names");
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
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let key = key.serialize_pem();
    let identity = Identity::new(
        Certificate::from_bytes(certificate.as_bytes()).expect("our own certificate"),
        PrivateKey::from_bytes(key.as_bytes(), None).expect("our own key"),
    )
    .expect("they belong together");
    Issued { certificate, key, identity }
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
        let folder = self.home().certificates(&partner.parse().expect("a name")).join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let count = fs::read_dir(&folder).expect("it is there").count();
        let path = folder.join(format!("{count}.crt"));
        write_private(&path, &issued.certificate);
        path
    }
}

fn write_private(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.as_mut().expect("a new file").write_all(text.as_bytes()).expect("room for it");
}
