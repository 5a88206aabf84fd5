//! Our own keys.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odile_envelope::{Identity, Misuse, PrivateKey};
use odile_partner::{KeyName, KeySettings, Purpose};
use zeroize::{Zeroize, Zeroizing};

use super::CertificateFile;
use crate::error::StationError;

/// A private key of ours, and its certificate.
#[derive(Debug, Clone)]
pub struct OwnKey {
    /// The certificate, then the chain.
    pub chain: Vec<CertificateFile>,
    /// For CMS.
    pub identity: Arc<Identity>,
}

/// Our keys, read and decrypted: what a running station holds. Nothing of it is ever shown.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    settings: KeySettings,
    keys: BTreeMap<KeyName, OwnKey>,
    /// What we show in TLS.
    tls: Option<odile_tls::Identity>,
}

impl Keyring {
    /// Reads all keys in `folder`. Keys that others could read are refused.
    pub fn open(folder: &Path, settings: &KeySettings) -> Result<Self, StationError> {
        let names = Self::names(folder)?;
        let passphrase = if names.is_empty() { None } else { passphrase(settings)? };
        let mut keys = BTreeMap::new();
        for name in names {
            if let Some(key) = OwnKey::read(folder, &name, passphrase.as_ref().map(|text| text.as_str()))? {
                keys.insert(name, key);
            }
        }
        let tls = keys.get(settings.name(Purpose::Tls)).map(OwnKey::for_tls).transpose()?;
        Ok(Self { settings: settings.clone(), keys, tls })
    }

    /// The names of all keys in a folder, whether they can be read or not.
    pub fn names(folder: &Path) -> Result<Vec<KeyName>, StationError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(StationError::io("read folder", folder))? {
            let path = entry.map_err(StationError::io("read folder", folder))?.path();
            if path.extension().is_some_and(|ending| ending == "key") {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let name = stem.parse().map_err(|text| StationError::Key { path: path.clone(), text })?;
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The key for a purpose.
    ///
    /// # Errors
    ///
    /// A sentence, if there is none.
    pub fn key(&self, purpose: Purpose) -> Result<&OwnKey, String> {
        let name = self.settings.name(purpose);
        self.keys.get(name).ok_or_else(|| {
            format!("this station has no key {name:?} with a certificate for {purpose}: `odile cert new` makes one")
        })
    }

    /// The identity for a purpose.
    ///
    /// # Errors
    ///
    /// A sentence, if there is none.
    pub fn identity(&self, purpose: Purpose) -> Result<&Arc<Identity>, String> {
        self.key(purpose).map(|key| &key.identity)
    }

    /// All that something may have been encrypted for, the present key first: partners change over when they like.
    pub fn recipients(&self, purpose: Purpose) -> Vec<Arc<Identity>> {
        let present = self.settings.name(purpose);
        let (first, mut others): (Vec<_>, Vec<_>) = self.keys.iter().partition(|(name, _)| *name == present);
        if purpose == Purpose::Authentication {
            // Whoever opens a challenge gives its content away: never with a key that is named for something else.
            let is_named =
                |name: &KeyName| Purpose::ALL.iter().any(|purpose| self.settings.name(*purpose) == name);
            others.retain(|(name, _)| !is_named(name));
        }
        first.into_iter().chain(others).map(|(_, key)| Arc::clone(&key.identity)).collect()
    }

    /// What we show in TLS, if there is a key for it.
    pub fn tls_identity(&self) -> Option<&odile_tls::Identity> {
        self.tls.as_ref()
    }

    /// Every key with its name.
    pub fn all(&self) -> impl Iterator<Item = (&KeyName, &OwnKey)> {
        self.keys.iter()
    }
}

impl OwnKey {
    fn for_tls(&self) -> Result<odile_tls::Identity, StationError> {
        let path = || self.chain.first().map(|file| file.path.clone()).unwrap_or_default();
        let der = self.identity.key().to_pkcs8_der().map_err(|error| key_error(path(), &error))?;
        let chain = self.chain.iter().map(|file| odile_tls::CertificateDer::from(file.der.clone())).collect();
        Ok(odile_tls::Identity::new(chain, &der)?)
    }

    /// Reads `NAME.key` and `NAME.crt`; none if there is a key, but no certificate yet: it was requested.
    pub fn read(
        folder: &Path,
        name: &KeyName,
        passphrase: Option<&str>,
    ) -> Result<Option<Self>, StationError> {
        let path = folder.join(format!("{name}.key"));
        let key = read_key(&path, passphrase)?;
        let beside = folder.join(format!("{name}.crt"));
        if !beside.exists() {
            return Ok(None);
        }
        let chain = CertificateFile::read(&beside)?;
        let certificate = chain.first().and_then(|file| file.rsa.clone()).ok_or_else(|| {
            let text = "its key is no RSA key of 2048 to 4096 bits".to_owned();
            StationError::Certificate { path: beside.clone(), text }
        })?;
        let identity = Identity::new((*certificate).clone(), key).map_err(|error| key_error(path, &error))?;
        Ok(Some(Self { chain, identity: Arc::new(identity) }))
    }
}

/// Reads a private key, unless others could read it too.
pub(crate) fn read_key(path: &Path, passphrase: Option<&str>) -> Result<PrivateKey, StationError> {
    let mode = fs::metadata(path).map_err(StationError::io("look up", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(StationError::ExposedKey { path: path.into() });
    }
    let octets = Zeroizing::new(fs::read(path).map_err(StationError::io("read", path))?);
    PrivateKey::from_bytes(&octets, passphrase).map_err(|error| key_error(path.into(), &error))
}

/// The passphrase of our private keys: the first line of a file or of a systemd credential.
pub(crate) fn passphrase(settings: &KeySettings) -> Result<Option<Zeroizing<String>>, StationError> {
    let path = match (&settings.passphrase_file, &settings.passphrase_credential) {
        (Some(path), _) => path.clone(),
        (None, Some(name)) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                let text = format!(
                    "[keys] passphrase_credential = {name:?}: systemd gives credentials to its services only; \
                     use passphrase_file elsewhere"
                );
                StationError::Contradiction(text)
            })?;
            PathBuf::from(folder).join(name)
        }
        (None, None) => return Ok(None),
    };
    let mode = fs::metadata(&path).map_err(StationError::io("look up", &path))?.permissions().mode();
    // systemd gives credentials the mode 0400 or 0440, in a folder that nobody else enters.
    if settings.passphrase_file.is_some() && mode & 0o077 != 0 {
        return Err(StationError::ExposedKey { path });
    }
    let mut text = fs::read_to_string(&path).map_err(StationError::io("read", &path))?;
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    text.zeroize();
    Ok(Some(line))
}

fn key_error(path: PathBuf, error: &Misuse) -> StationError {
    StationError::Key { path, text: error.to_string() }
}
