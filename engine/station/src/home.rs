//! A station's home folder.
//!
//! ```text
//! station.toml            our station
//! partners/NAME.toml      one file for each partner
//! keys/                   keys and certificates
//! outbox/NAME/            files put here are sent to the partner
//! inbox/NAME/             files received from the partner, each with NAME.json beside it
//! spool/                  private: files on their way in
//! catalog.sqlite3         queue, history, receipts owed
//! station.lock            held by the process that runs the station
//! control.sock            while it runs: requests of the command line
//! ```

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odile_partner::{Partner, PartnerName, StationConfig};
use odile_wire::IdentificationCode;

use crate::error::StationError;
use crate::keyring::PartnerCertificates;

/// The folder of a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// What the files of a home say, checked as a whole.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Our station.
    pub station: StationConfig,
    /// Our partners, by name.
    pub partners: BTreeMap<PartnerName, Arc<Partner>>,
    /// Their certificates.
    pub certificates: BTreeMap<PartnerName, Arc<PartnerCertificates>>,
}

/// Held by the process that runs a station; the lock goes when it ends, however it ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

impl Home {
    /// The station in this folder. Nothing is looked up yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Makes a station: the folders, and `station.toml` with `config`.
    pub fn create(root: &Path, config: &str) -> Result<Self, StationError> {
        let home = Self::new(root);
        let file = home.station_file();
        if file.exists() {
            return Err(StationError::StationExists { path: root.into() });
        }
        StationConfig::parse(&file.display().to_string(), config)?;
        make_folder(root)?;
        home.make_folders()?;
        write_private(&file, config)?;
        Ok(home)
    }

    /// Adds a partner file, checked against the rest of the configuration; nothing is replaced.
    pub fn add_partner(&self, name: &PartnerName, config: &str) -> Result<(), StationError> {
        let file = self.partner_file(name);
        if file.exists() {
            let text = format!("{} exists already: edit it, or remove it first", file.display());
            return Err(StationError::Contradiction(text));
        }
        let mut configuration = self.load()?;
        let partner =
            Partner::parse(name.clone(), &file.display().to_string(), config, &configuration.station)?;
        configuration.partners.insert(name.clone(), Arc::new(partner));
        configuration.check()?;
        write_private(&file, config)?;
        self.make_partner_folders(name)
    }

    /// Reads and checks all configuration files.
    pub fn load(&self) -> Result<Configuration, StationError> {
        let file = self.station_file();
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StationError::NoStation { path: self.root.clone() });
            }
            other => other.map_err(StationError::io("read", &file))?,
        };
        let station = StationConfig::parse(&file.display().to_string(), &text)?;
        let mut partners = BTreeMap::new();
        for file in self.partner_files()? {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let name: PartnerName = stem
                .parse()
                .map_err(|error| StationError::Contradiction(format!("{}: {error}", file.display())))?;
            let text = fs::read_to_string(&file).map_err(StationError::io("read", &file))?;
            let partner = Partner::parse(name.clone(), &file.display().to_string(), &text, &station)?;
            refuse_exposed(&file, &partner)?;
            partners.insert(name, Arc::new(partner));
        }
        let mut certificates = BTreeMap::new();
        for name in partners.keys() {
            let read = PartnerCertificates::read(&self.certificates(name))?;
            certificates.insert(name.clone(), Arc::new(read));
        }
        let configuration = Configuration { station, partners, certificates };
        configuration.check()?;
        Ok(configuration)
    }

    /// Makes what is missing, checks what must hold for folders, and takes the lock.
    pub fn open(&self, configuration: &Configuration) -> Result<HomeLock, StationError> {
        self.make_folders()?;
        let lock = self.lock()?;
        for name in configuration.partners.keys() {
            self.make_partner_folders(name)?;
            let inbox = self.inbox(name);
            if !odile_uring::same_filesystem(&self.spool(), &inbox)? {
                return Err(StationError::SpoolElsewhere { spool: self.spool(), inbox });
            }
        }
        Ok(lock)
    }

    fn lock(&self) -> Result<HomeLock, StationError> {
        let path = self.root.join("station.lock");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(StationError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StationError::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(StationError::Io { operation: "lock", path, source }),
        }
    }

    fn make_folders(&self) -> Result<(), StationError> {
        for name in ["partners", "keys", "certificates", "outbox", "inbox", "spool"] {
            make_folder(&self.root.join(name))?;
        }
        Ok(())
    }

    fn make_partner_folders(&self, name: &PartnerName) -> Result<(), StationError> {
        make_folder(&self.inbox(name))?;
        make_folder(&self.outbox(name))
    }

    fn partner_files(&self) -> Result<Vec<PathBuf>, StationError> {
        let folder = self.root.join("partners");
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(StationError::io("read folder", &folder))? {
            let path = entry.map_err(StationError::io("read folder", &folder))?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `station.toml`.
    pub fn station_file(&self) -> PathBuf {
        self.root.join("station.toml")
    }

    /// `partners/NAME.toml`.
    pub fn partner_file(&self, name: &PartnerName) -> PathBuf {
        self.root.join("partners").join(format!("{name}.toml"))
    }

    /// `inbox/NAME`.
    pub fn inbox(&self, name: &PartnerName) -> PathBuf {
        self.root.join("inbox").join(name.as_str())
    }

    /// `outbox/NAME`.
    pub fn outbox(&self, name: &PartnerName) -> PathBuf {
        self.root.join("outbox").join(name.as_str())
    }

    /// `keys`.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// `certificates/NAME`.
    pub fn certificates(&self, name: &PartnerName) -> PathBuf {
        self.root.join("certificates").join(name.as_str())
    }

    /// `spool`.
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// `catalog.sqlite3`.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog.sqlite3")
    }

    /// `control.sock`.
    pub fn control_socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }
}

impl Configuration {
    /// The partner with this name.
    pub fn partner(&self, name: &str) -> Result<&Arc<Partner>, StationError> {
        let found = name.parse::<PartnerName>().ok().and_then(|name| self.partners.get(&name));
        found.ok_or_else(|| StationError::UnknownPartner { name: name.to_owned(), known: self.known() })
    }

    /// The partner that introduces itself with this code.
    pub fn partner_with_code(&self, code: &IdentificationCode) -> Option<&Arc<Partner>> {
        self.partners.values().find(|partner| partner.code == *code)
    }

    /// The certificates of a partner.
    pub fn certificates(&self, name: &PartnerName) -> Arc<PartnerCertificates> {
        self.certificates.get(name).cloned().unwrap_or_default()
    }

    fn known(&self) -> String {
        if self.partners.is_empty() {
            return "none; `odile partner add` makes one".to_owned();
        }
        self.partners.keys().map(PartnerName::as_str).collect::<Vec<_>>().join(", ")
    }

    fn check(&self) -> Result<(), StationError> {
        let mut seen: BTreeMap<String, &PartnerName> = BTreeMap::new();
        for partner in self.partners.values() {
            if let Some(other) = seen.insert(partner.code.key(), &partner.name) {
                let text = format!(
                    "partners {other} and {} have the same code {}: a caller could not be told from the other",
                    partner.name, partner.code
                );
                return Err(StationError::Contradiction(text));
            }
        }
        Ok(())
    }
}

fn refuse_exposed(file: &Path, partner: &Partner) -> Result<(), StationError> {
    let mode = fs::metadata(file).map_err(StationError::io("look up", file))?.permissions().mode();
    let has_password = partner.their_password.is_some() || !partner.our_password.is_blank();
    if has_password && mode & 0o077 != 0 {
        return Err(StationError::Exposed { path: file.into() });
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), StationError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(StationError::io("make folder", path))
}

fn write_private(path: &Path, text: &str) -> Result<(), StationError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(StationError::io("write", path))
}
