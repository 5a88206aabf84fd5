//! What can go wrong with a station, each with what to do next.

use std::io;
use std::path::PathBuf;

use odile_catalog::CatalogError;
use odile_partner::ConfigError;

/// A station cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StationError {
    /// There is no station in this folder.
    #[error("{} is no station: `odile init` makes one", path.display())]
    NoStation {
        /// The folder.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{} is a station already: choose another folder, or edit its station.toml", path.display())]
    StationExists {
        /// The folder.
        path: PathBuf,
    },
    /// A configuration file has a mistake.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A configuration file contradicts another.
    #[error("{0}")]
    Contradiction(String),
    /// A file with passwords can be read by others.
    #[error("{} holds passwords and can be read by others: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A private key or a passphrase can be read by others.
    #[error("{} is secret and can be read by others: chmod 600 {}", path.display(), path.display())]
    ExposedKey {
        /// The file.
        path: PathBuf,
    },
    /// A private key cannot be used.
    #[error("{}: {text}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        text: String,
    },
    /// A certificate cannot be used.
    #[error("{}: {text}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        text: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] odile_tls::TlsError),
    /// The spool is on another filesystem than the inbox.
    #[error(
        "{} and {} are on different filesystems: received files could not be moved in one step; put both on one",
        spool.display(),
        inbox.display()
    )]
    SpoolElsewhere {
        /// Spool folder.
        spool: PathBuf,
        /// Inbox folder.
        inbox: PathBuf,
    },
    /// Another process runs this station.
    #[error("{} is in use by another process: stop it first, or use it (`odile send` does)", path.display())]
    InUse {
        /// The station's folder.
        path: PathBuf,
    },
    /// Nobody with this name is configured.
    #[error("there is no partner {name:?}; known: {known}")]
    UnknownPartner {
        /// What was asked for.
        name: String,
        /// Who is known.
        known: String,
    },
    /// A file cannot be queued.
    #[error("{0}")]
    CannotSend(String),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog's thread has ended.
    #[error("the catalog has stopped; see the first error in the log")]
    LedgerStopped,
    /// A checkpoint cannot be written down.
    #[error("a checkpoint cannot be written: {text}")]
    Checkpoint {
        /// Why not.
        text: String,
    },
    /// What came is not what was to come.
    #[error("the content differs from what was expected at octet {position}")]
    Unexpected {
        /// Where.
        position: u64,
    },
    /// The runtime refused.
    #[error(transparent)]
    Uring(#[from] odile_uring::Error),
    /// A system call failed.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StationError {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// True if the cause is the command or the configuration, not what happened later.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoStation { .. }
                | Self::StationExists { .. }
                | Self::Config(_)
                | Self::Contradiction(_)
                | Self::Exposed { .. }
                | Self::ExposedKey { .. }
                | Self::Key { .. }
                | Self::Certificate { .. }
                | Self::Tls(_)
                | Self::SpoolElsewhere { .. }
                | Self::UnknownPartner { .. }
        )
    }
}
