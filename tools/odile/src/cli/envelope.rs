//! `odile seal` and `odile open`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use odile_station::envelope::Suite;
use odile_station::partner::{DeflateLevel, PartnerName};

use super::cert::KeyArgs;
use super::services::suite;

#[derive(Debug, Args)]
#[command(after_help = SEAL_HELP)]
pub struct SealArgs {
    /// The file; '-' for standard input, which must be a file then
    pub file: PathBuf,
    /// Where the envelope goes; '-' for standard output
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Replace that file if it is there
    #[arg(long)]
    pub force: bool,
    /// As for this partner: by its terms, encrypted for its certificate
    #[arg(long = "for", value_name = "PARTNER", conflicts_with = "recipient")]
    pub partner: Option<PartnerName>,
    /// Encrypt for the holder of this certificate
    #[arg(long, value_name = "FILE")]
    pub recipient: Option<PathBuf>,
    /// Sign with our key
    #[arg(long)]
    pub sign: bool,
    /// Compress
    #[arg(long)]
    pub compress: bool,
    /// Encrypt
    #[arg(long)]
    pub encrypt: bool,
    /// Cipher suite, 1 to 10 [default: the partner's, else 4]
    #[arg(long, value_name = "N", value_parser = suite)]
    pub suite: Option<Suite>,
    /// How hard to compress, 1 (fast) to 12 (small) [default: the partner's, else 1]
    #[arg(long, value_name = "N", value_parser = level)]
    pub level: Option<DeflateLevel>,
    /// Put our certificate beside the signature [default: as the partner's terms say, else not]
    #[arg(long)]
    pub embed_certificate: bool,
    #[command(flatten)]
    pub key: KeyArgs,
}

#[derive(Debug, Args)]
#[command(after_help = OPEN_HELP)]
pub struct OpenArgs {
    /// The sealed file; '-' for standard input
    pub file: PathBuf,
    /// Where the content goes; '-' for standard output
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Replace that file if it is there
    #[arg(long)]
    pub force: bool,
    /// It comes from this partner: signed with its certificates, and as its terms say
    #[arg(long, value_name = "PARTNER", conflicts_with = "signer")]
    pub from: Option<PartnerName>,
    /// It must be signed by the holder of this certificate
    #[arg(long, value_name = "FILE")]
    pub signer: Option<PathBuf>,
    /// It must be just that [default: whatever it is]
    #[arg(
        long,
        value_name = "sign,compress,encrypt",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub expect: Vec<Service>,
    /// Show the hash of this suite over the sealed file, as receipts state it [default: the partner's, else 4]
    #[arg(long, value_name = "N", value_parser = suite)]
    pub suite: Option<Suite>,
    #[command(flatten)]
    pub key: KeyArgs,
}

/// What an envelope does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Service {
    Sign,
    Compress,
    Encrypt,
}

fn level(text: &str) -> Result<DeflateLevel, String> {
    let number: i64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    DeflateLevel::try_from(number)
}

const SEAL_HELP: &str = "\
The envelope is what `odile send` would transmit: CMS (RFC 5652), signed, compressed and encrypted
in this order. With --for, the partner's terms hold, and what is asked for comes on top.

Examples:
  odile seal crash.key --to crash.key.p7m --for supplier
  odile seal crash.key --to crash.key.p7m --sign --compress --recipient supplier.crt
  odile seal crash.key --to crash.key.p7m --sign --suite 6 --embed-certificate";

const OPEN_HELP: &str = "\
Nothing appears under the name of --to before everything is verified. Whatever was encrypted for
one of our keys is opened. Signatures are accepted of the partner or certificate that is named,
else of all partners and of ourselves; the result tells whose it is.

Examples:
  odile open crash.key.p7m --to crash.key --from supplier
  odile open crash.key.p7m --to crash.key --signer supplier.crt --expect sign,encrypt
  odile open crash.key.p7m --to - | sha256sum";
