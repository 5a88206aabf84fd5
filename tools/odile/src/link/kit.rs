//! A key for one measurement, that both ends have: nobody needs to set up certificates to measure a line.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use odile_station::Home;
use odile_station::envelope::Validity;
use odile_station::keyring::make::system_entropy;
use odile_station::keyring::{CertificateFile, CertificateSubject, KeyBits, NewKey, store};
use odile_station::partner::PartnerName;
use odile_station::wire::IdentificationCode;
use zeroize::Zeroizing;

use super::side::CODE_SERVER;
use crate::exit::Failure;

/// A key and a certificate for it, in PEM.
#[derive(Clone)]
pub struct Kit {
    key: Zeroizing<String>,
    certificate: String,
}

impl Kit {
    pub fn make() -> Result<Self, Failure> {
        let cannot = |error: &dyn std::fmt::Display| Failure::refused(format!("cannot make a key: {error}"));
        let key = NewKey::generate(KeyBits::Rsa2048).map_err(|error| cannot(&error))?;
        let subject = CertificateSubject {
            code: IdentificationCode::new(CODE_SERVER).map_err(|error| cannot(&error))?,
            purpose: None,
            host: None,
            common_name: Some("odile link".to_owned()),
            organisation: None,
            country: None,
            email: None,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let validity =
            Validity { not_before: now.saturating_sub(DAY_SECONDS), not_after: now + DAYS * DAY_SECONDS };
        let der = key.self_signed(&subject, validity, &mut system_entropy).map_err(|error| cannot(&error))?;
        let certificate = store::to_pem(&CertificateFile::parse(Path::new("link"), &der)?)?;
        let key = key.to_pem(None, &mut system_entropy).map_err(|error| cannot(&error))?;
        Ok(Self { key, certificate })
    }

    /// Reads it; makes it, if there is none and it may be made.
    pub fn at(path: &Path, may_make: bool) -> Result<Self, Failure> {
        let named = |what: &str, error: &dyn std::fmt::Display| {
            Failure::usage(format!("{what} {}: {error}", path.display()))
        };
        match fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_make => {
                let kit = Self::make()?;
                let text = Zeroizing::new(format!("{}{}", kit.certificate, *kit.key));
                write_private(path, &text).map_err(|error| named("cannot write", &error))?;
                return Ok(kit);
            }
            Err(error) => return Err(named("cannot read", &error)),
            Ok(found) if found.permissions().mode() & 0o077 != 0 => {
                let text = "others can read it, and it holds a key: chmod 600 it";
                return Err(named("will not use", &text));
            }
            Ok(_) => {}
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| named("cannot read", &error))?);
        let parts = text.find(KEY_BEGINS).and_then(|at| text.split_at_checked(at));
        let (certificate, key) =
            parts
                .filter(|(certificate, _)| certificate.contains("BEGIN CERTIFICATE"))
                .ok_or_else(|| named("cannot use", &"it is none that `odile link serve --kit` has made"))?;
        Ok(Self { certificate: certificate.to_owned(), key: Zeroizing::new(key.to_owned()) })
    }

    /// Makes it the key of a station, and its partners' certificate.
    pub fn install(&self, home: &Home, partners: &[PartnerName]) -> Result<(), Failure> {
        let write = || -> std::io::Result<()> {
            write_private(&home.keys().join("station.key"), &self.key)?;
            write_private(&home.keys().join("station.crt"), &self.certificate)?;
            for name in partners {
                let folder = home.certificates(name).join("shared");
                fs::create_dir_all(&folder)?;
                write_private(&folder.join("station.crt"), &self.certificate)?;
            }
            Ok(())
        };
        write().map_err(|error| Failure::refused(format!("cannot set up a station to measure with: {error}")))
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

const KEY_BEGINS: &str = "-----BEGIN PRIVATE KEY-----";
/// Long enough for a measurement that takes its time.
const DAYS: u64 = 30;
const DAY_SECONDS: u64 = 86_400;
