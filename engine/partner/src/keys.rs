//! Which of our keys serve for what, and where their passphrase is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use crate::partner::checked_name;

/// The name of one of our keys: `keys/NAME.key` and `keys/NAME.crt`. Letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyName(String);

/// What a key or a certificate is for (RFC 5024 §2.3.6; one may serve for all).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Connections.
    Tls,
    /// Challenges of session authentication: encrypted for it.
    Authentication,
    /// Files and receipts: signed with it.
    Signing,
    /// Files: encrypted for it.
    Encryption,
}

/// The `[keys]` table of `station.toml`. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// For connections.
    pub tls: KeyName,
    /// For session authentication.
    pub authentication: KeyName,
    /// For signatures of files and receipts.
    pub signing: KeyName,
    /// Whose certificate partners encrypt for. What was encrypted for another key in `keys/` is opened all the same.
    pub encryption: KeyName,
    /// A file whose first line is the passphrase of the private keys.
    pub passphrase_file: Option<PathBuf>,
    /// The systemd credential (`LoadCredential=`) that is the passphrase of the private keys.
    pub passphrase_credential: Option<String>,
}

impl Default for KeySettings {
    fn default() -> Self {
        let name = || KeyName(DEFAULT_NAME.to_owned());
        Self {
            tls: name(),
            authentication: name(),
            signing: name(),
            encryption: name(),
            passphrase_file: None,
            passphrase_credential: None,
        }
    }
}

impl KeySettings {
    /// The key for a purpose.
    pub const fn name(&self, purpose: Purpose) -> &KeyName {
        match purpose {
            Purpose::Tls => &self.tls,
            Purpose::Authentication => &self.authentication,
            Purpose::Signing => &self.signing,
            Purpose::Encryption => &self.encryption,
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.passphrase_file.is_some() && self.passphrase_credential.is_some() {
            return Err("[keys] passphrase_file and passphrase_credential: only one of them can hold".into());
        }
        if self.passphrase_file.as_ref().is_some_and(|path| path.is_relative()) {
            return Err("[keys] passphrase_file: give the whole path, from / on".into());
        }
        if self.passphrase_credential.as_ref().is_some_and(|name| name.is_empty() || name.contains('/')) {
            return Err("[keys] passphrase_credential: this is no name of a credential".into());
        }
        Ok(())
    }
}

impl KeyName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        checked_name("key", text).map(Self)
    }
}

impl TryFrom<String> for KeyName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tls, Self::Authentication, Self::Signing, Self::Encryption];

    /// The word in a configuration file, and the name of the folder of a partner's certificates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Authentication => "authentication",
            Self::Signing => "signing",
            Self::Encryption => "encryption",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One key for everything, unless `station.toml` says otherwise.
const DEFAULT_NAME: &str = "station";
