//! The certificates of one partner.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odile_envelope::Certificate;
use odile_partner::Purpose;

use super::CertificateFile;
use crate::error::StationError;

/// The folder of certificates that serve for every purpose.
pub const SHARED_FOLDER: &str = "shared";
/// The folder of authorities whose TLS certificates are trusted for the partner.
pub const AUTHORITY_FOLDER: &str = "authority";

/// The certificates of one partner.
#[derive(Debug, Clone, Default)]
pub struct PartnerCertificates {
    shared: Vec<CertificateFile>,
    tls: Vec<CertificateFile>,
    authentication: Vec<CertificateFile>,
    signing: Vec<CertificateFile>,
    encryption: Vec<CertificateFile>,
    authorities: Vec<CertificateFile>,
}

impl PartnerCertificates {
    /// Reads the partner's folder; folders that are not there are empty.
    pub fn read(folder: &Path) -> Result<Self, StationError> {
        Ok(Self {
            shared: read_folder(&folder.join(SHARED_FOLDER))?,
            tls: read_folder(&folder.join(Purpose::Tls.as_str()))?,
            authentication: read_folder(&folder.join(Purpose::Authentication.as_str()))?,
            signing: read_folder(&folder.join(Purpose::Signing.as_str()))?,
            encryption: read_folder(&folder.join(Purpose::Encryption.as_str()))?,
            authorities: read_folder(&folder.join(AUTHORITY_FOLDER))?,
        })
    }

    /// Every certificate with the folder that it lies in.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &CertificateFile)> {
        let folders = [
            (SHARED_FOLDER, &self.shared),
            (Purpose::Tls.as_str(), &self.tls),
            (Purpose::Authentication.as_str(), &self.authentication),
            (Purpose::Signing.as_str(), &self.signing),
            (Purpose::Encryption.as_str(), &self.encryption),
            (AUTHORITY_FOLDER, &self.authorities),
        ];
        folders.into_iter().flat_map(|(folder, files)| files.iter().map(move |file| (folder, file)))
    }

    /// Those that serve for a purpose, in any order.
    pub fn for_purpose(&self, purpose: Purpose) -> impl Iterator<Item = &CertificateFile> {
        let own = match purpose {
            Purpose::Tls => &self.tls,
            Purpose::Authentication => &self.authentication,
            Purpose::Signing => &self.signing,
            Purpose::Encryption => &self.encryption,
        };
        own.iter().chain(&self.shared)
    }

    /// Authorities whose TLS certificates are trusted.
    pub fn authorities(&self) -> impl Iterator<Item = &CertificateFile> {
        self.authorities.iter()
    }

    /// Whose signatures are accepted: all that are there; their validity is checked with the signature.
    pub fn signers(&self) -> Vec<Arc<Certificate>> {
        self.for_purpose(Purpose::Signing).filter_map(|file| file.rsa.clone()).collect()
    }

    /// The certificate to encrypt for: of those that are valid now, the one that began last.
    ///
    /// # Errors
    ///
    /// A sentence, if there is none.
    pub fn recipient(&self, purpose: Purpose, now: u64) -> Result<Arc<Certificate>, String> {
        let mut candidates: Vec<_> = self.for_purpose(purpose).filter(|file| file.rsa.is_some()).collect();
        if candidates.is_empty() {
            return Err(format!(
                "there is no certificate of this partner for {purpose}: `odile cert import` adds one"
            ));
        }
        candidates.retain(|file| file.is_valid_at(now));
        let best = candidates.into_iter().max_by_key(|file| (file.not_before, file.not_after));
        best.and_then(|file| file.rsa.clone()).ok_or_else(|| {
            format!("no certificate of this partner for {purpose} is valid now: `odile cert list` shows them")
        })
    }
}

fn read_folder(folder: &Path) -> Result<Vec<CertificateFile>, StationError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StationError::io("read folder", folder)(error)),
    };
    let mut paths = Vec::<PathBuf>::new();
    for entry in entries {
        let path = entry.map_err(StationError::io("read folder", folder))?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        files.extend(CertificateFile::read(&path)?);
    }
    Ok(files)
}
