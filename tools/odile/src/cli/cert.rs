//! `odile cert`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use odile_station::keyring::{AUTHORITY_FOLDER, HostName, KeyBits, SHARED_FOLDER};
use odile_station::partner::{KeyName, PartnerName, Purpose};

#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Make a key, and a certificate that it signs itself
    New(NewArgs),
    /// Make a key, or take one that is there, and write a request for an authority
    Request(RequestArgs),
    /// Take a partner's certificates, or the one that an authority has issued for us
    Import(ImportArgs),
    /// List our certificates and those of our partners
    List {
        /// Only those of this partner
        partner: Option<PartnerName>,
    },
    /// Tell everything about certificates
    #[command(after_help = SHOW_HELP)]
    Show {
        /// The name of a key of ours, a partner, or a file
        #[arg(value_name = "NAME|PARTNER|FILE")]
        what: String,
    },
    /// Write our certificate, to give it to a partner
    Export(ExportArgs),
    /// Remove a certificate of a partner
    Remove(RemoveArgs),
    /// Check keys and certificates, and whether they are all that the configuration needs
    #[command(after_help = CHECK_HELP)]
    Check {
        #[command(flatten)]
        key: KeyArgs,
    },
}

/// Where the passphrase of our keys is.
#[derive(Debug, Clone, Default, Args)]
pub struct KeyArgs {
    /// File with the passphrase of our keys; '-' reads it from standard input [default: what station.toml names]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = NEW_HELP)]
pub struct NewArgs {
    /// The key's name here: letters, digits, '-', '_' and '.'
    #[arg(default_value = DEFAULT_KEY)]
    pub name: KeyName,
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Days that the certificate is valid
    #[arg(long, value_name = "N", default_value_t = DEFAULT_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    pub days: u32,
    #[command(flatten)]
    pub key: KeyArgs,
}

#[derive(Debug, Args)]
#[command(after_help = REQUEST_HELP)]
pub struct RequestArgs {
    /// The key's name here; one that is there is used again
    #[arg(default_value = DEFAULT_KEY)]
    pub name: KeyName,
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Write the request to standard output instead of keys/NAME.csr
    #[arg(long)]
    pub stdout: bool,
    #[command(flatten)]
    pub key: KeyArgs,
}

/// What stands in a certificate, and how large its key is.
#[derive(Debug, Args)]
pub struct SubjectArgs {
    /// The name by which partners call us: common name and alternative name of the certificate
    #[arg(long)]
    pub host: Option<HostName>,
    /// Common name [default: the host, else our code]
    #[arg(long, value_name = "TEXT")]
    pub common_name: Option<String>,
    /// What the key is for; one may serve for all
    #[arg(long, value_name = "all|tls|authentication|signing|encryption", value_enum,
          default_value_t = KeyPurpose::All, hide_possible_values = true)]
    pub purpose: KeyPurpose,
    /// Bits of a new key: 2048, 3072 or 4096
    #[arg(long, value_name = "N", default_value_t = KeyBits::default())]
    pub bits: KeyBits,
    /// Our organisation
    #[arg(long, value_name = "TEXT")]
    pub organisation: Option<String>,
    /// Our country, two letters
    #[arg(long, value_name = "XX")]
    pub country: Option<String>,
    /// An e-mail address for people
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
}

impl Default for SubjectArgs {
    fn default() -> Self {
        Self {
            host: None,
            common_name: None,
            purpose: KeyPurpose::All,
            bits: KeyBits::default(),
            organisation: None,
            country: None,
            email: None,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = IMPORT_HELP,
    override_usage = "odile cert import [OPTIONS] <PARTNER> <FILE>...\n       odile cert import --own <NAME> <FILE>..."
)]
pub struct ImportArgs {
    /// The partner's name here; with --own, the first file
    #[arg(value_name = "PARTNER")]
    pub first: PathBuf,
    /// Files with certificates, PEM or DER; '-' for standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The files hold the certificate of our key with this name, and perhaps its chain
    #[arg(long, value_name = "NAME", conflicts_with_all = ["purpose", "force"])]
    pub own: Option<KeyName>,
    /// What the partner's certificates are for: everything, one purpose; or an authority, whom TLS trusts for it
    #[arg(long, value_name = "shared|tls|authentication|signing|encryption|authority", value_enum,
          default_value_t = ImportPurpose::Shared, hide_possible_values = true)]
    pub purpose: ImportPurpose,
    /// Take expired certificates, too
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub key: KeyArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  odile cert export --to ours.crt\n  odile cert export signing --der --to signing.der"
)]
pub struct ExportArgs {
    /// The key's name here
    #[arg(default_value = DEFAULT_KEY)]
    pub name: KeyName,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Replace that file if it is there
    #[arg(long, requires = "to")]
    pub force: bool,
    /// In DER instead of PEM
    #[arg(long)]
    pub der: bool,
    /// With the certificates that lead to the authority
    #[arg(long, conflicts_with = "der")]
    pub chain: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  odile cert remove supplier 5ba1c0de")]
pub struct RemoveArgs {
    /// The partner's name here
    pub partner: PartnerName,
    /// How its fingerprint begins: at least four digits
    #[arg(value_name = "FINGERPRINT-PREFIX")]
    pub fingerprint: String,
}

/// What a key of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyPurpose {
    /// One for everything
    All,
    /// Connections
    Tls,
    /// Session authentication
    Authentication,
    /// Signatures of files and receipts
    Signing,
    /// What partners encrypt files for
    Encryption,
}

/// What a certificate of a partner is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportPurpose {
    /// One for everything
    Shared,
    /// Connections
    Tls,
    /// Session authentication
    Authentication,
    /// Signatures of files and receipts
    Signing,
    /// What we encrypt files for
    Encryption,
    /// An authority: whom it certifies is trusted as this partner, in TLS only
    Authority,
}

impl KeyPurpose {
    pub const fn purpose(self) -> Option<Purpose> {
        match self {
            Self::All => None,
            Self::Tls => Some(Purpose::Tls),
            Self::Authentication => Some(Purpose::Authentication),
            Self::Signing => Some(Purpose::Signing),
            Self::Encryption => Some(Purpose::Encryption),
        }
    }
}

impl ImportPurpose {
    /// The one purpose, if it is one.
    pub const fn purpose(self) -> Option<Purpose> {
        match self {
            Self::Shared | Self::Authority => None,
            Self::Tls => Some(Purpose::Tls),
            Self::Authentication => Some(Purpose::Authentication),
            Self::Signing => Some(Purpose::Signing),
            Self::Encryption => Some(Purpose::Encryption),
        }
    }

    /// The folder in `certificates/PARTNER`.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Shared => SHARED_FOLDER,
            Self::Authority => AUTHORITY_FOLDER,
            Self::Tls => Purpose::Tls.as_str(),
            Self::Authentication => Purpose::Authentication.as_str(),
            Self::Signing => Purpose::Signing.as_str(),
            Self::Encryption => Purpose::Encryption.as_str(),
        }
    }
}

/// What station.toml takes if it names no key.
const DEFAULT_KEY: &str = "station";
/// Three years.
pub const DEFAULT_DAYS: u32 = 1095;
/// A hundred years: more is a mistake.
const DAYS_MAX: i64 = 36_500;

const NEW_HELP: &str = "\
The key lies in keys/NAME.key, for its owner only, and encrypted if there is a passphrase: the one
that station.toml names under [keys], or the one of --passphrase-file. The certificate beside it,
keys/NAME.crt, is what partners get.

Examples:
  odile cert new --host oftp.example.com --organisation 'Example GmbH' --country DE
  odile cert new signing --purpose signing
  odile cert export --to ours.crt";

const REQUEST_HELP: &str = "\
Examples:
  odile cert request --host oftp.example.com --organisation 'Example GmbH' --country DE
  odile cert import --own station issued.crt chain.pem";

const IMPORT_HELP: &str = "\
Compare the fingerprint with the partner by telephone if the certificate came by mail.

Examples:
  odile cert import supplier supplier.crt
  odile cert import supplier odette-ca.pem --purpose authority
  odile cert import --own station issued.crt chain.pem";

const SHOW_HELP: &str = "\
Examples:
  odile cert show station
  odile cert show supplier
  odile cert show ./received.crt";

const CHECK_HELP: &str = "\
Exit codes:
  0  all is well, or there are warnings only
  1  something does not work, or will not when it is needed
  2  the command or the configuration is wrong";
