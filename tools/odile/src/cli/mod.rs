//! What can be typed. Topics with many flags have files of their own.

mod cert;
mod envelope;
mod link;
mod partner;
mod receipt;
mod services;
mod tune;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use odile_station::catalog::TransferRef;
use odile_station::keyring::HostName;
use odile_station::partner::PartnerName;
use odile_station::{SyntheticFile, Target};

pub use self::cert::{
    CertCommand, DEFAULT_DAYS, ExportArgs, ImportArgs, ImportPurpose, KeyArgs, KeyPurpose, NewArgs,
    RemoveArgs, RequestArgs, SubjectArgs,
};
pub use self::envelope::{OpenArgs, SealArgs, Service};
pub use self::link::services as link_services;
pub use self::link::{
    Direction, LineKind, LinkCommand, LinkDiskArgs, LinkServeArgs, LinkTestArgs, Services as LinkServices,
};
pub use self::partner::{PartnerAddArgs, PartnerCommand, SecurityArgs};
pub use self::receipt::{ReceiptCommand, ReceiptExportArgs, ReceiptVerifyArgs};
pub use self::services::ServiceFlags;
pub use self::tune::{
    PresetArg, StateArg, TuneApplyArgs, TuneArgs, TuneCheckArgs, TuneCommand, TuneUndoArgs,
};
use crate::size::parse_size;
use crate::tuning::Tuning;

/// Bulk transfer over OFTP2 (RFC 5024) on io_uring
#[derive(Debug, Parser)]
#[command(
    name = "odile",
    version,
    after_help = AFTER_HELP,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// The station's folder [default: ~/.odile]
    #[arg(long, global = true, value_name = "DIR", env = "ODILE_HOME")]
    pub home: Option<PathBuf>,
    /// Results as text for people or JSON for programs
    #[arg(long, global = true, value_name = "text|json", value_enum, default_value_t = Format::Text,
          hide_possible_values = true)]
    pub output: Format,
    /// Tell everything that happens
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Tell results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl Global {
    pub fn is_json(&self) -> bool {
        self.output == Format::Json
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let two stations on this machine exchange a file, to see that it works
    Demo(DemoArgs),
    /// Make a station: its folder and its station.toml
    Init(InitArgs),
    /// Add, list and show partners
    #[command(subcommand)]
    Partner(PartnerCommand),
    /// Make, exchange and check keys and certificates
    #[command(subcommand)]
    Cert(CertCommand),
    /// Check the configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check this machine, the folders and the catalog
    Doctor,
    /// Compare this machine with what fast lines need, change it, and put it back
    Tune(TuneArgs),
    /// Run the station until SIGINT or SIGTERM
    Serve(ServeArgs),
    /// Send files to a partner
    Send(SendArgs),
    /// Call a partner and take what waits there
    Receive(ReceiveArgs),
    /// List what is still to be sent or awaits its receipt
    Queue,
    /// List transfers of both directions, the latest first
    History(HistoryArgs),
    /// Tell everything about one transfer
    Show(TransferArg),
    /// End the transfer of a file for good
    Cancel(TransferArg),
    /// Try a file again that was refused, failed or waits
    Retry(TransferArg),
    /// Show, verify and hand out receipts: the evidence of transfers
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Sign, compress and encrypt a file here, without sending it
    Seal(SealArgs),
    /// Open a sealed file: decrypt, decompress, and verify who signed it
    Open(OpenArgs),
    /// Measure a line or a disk with the real protocol
    #[command(subcommand)]
    Link(LinkCommand),
    /// Write man pages and shell completions
    #[command(subcommand)]
    Generate(GenerateCommand),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  odile demo\n  odile demo --size 2GiB\n  odile demo crash.key --keep")]
pub struct DemoArgs {
    /// The file to exchange [default: one is generated]
    pub file: Option<PathBuf>,
    /// Size of the generated file
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size, conflicts_with = "file")]
    pub size: u64,
    /// Without TLS, authentication, signatures and encryption
    #[arg(long)]
    pub plain: bool,
    /// Leave the line and the stations alone
    #[arg(long)]
    pub uncut: bool,
    /// Keep the folder with both stations and say where it is
    #[arg(long)]
    pub keep: bool,
    #[command(flatten)]
    pub tuning: Tuning,
}

#[derive(Debug, Args)]
#[command(after_help = INIT_HELP)]
pub struct InitArgs {
    /// Our Odette identification code, at most 25 characters
    #[arg(long)]
    pub code: String,
    /// Where partners may call us; left out: we only call
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where partners may call us over TLS
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen_tls: Option<SocketAddr>,
    /// Make a key and its certificate, too, as `odile cert new` does
    #[arg(long)]
    pub keys: bool,
    /// The name by which partners call us, for the certificate
    #[arg(long, value_name = "HOST", requires = "keys")]
    pub host: Option<HostName>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Load all configuration files and say what is wrong
    Check,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  odile serve\n  odile --output json serve --listen 0.0.0.0:3305 --shards 2"
)]
pub struct ServeArgs {
    /// Where to listen, instead of what station.toml says; port 0 takes any
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where to listen with TLS, instead of what station.toml says; port 0 takes any
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen_tls: Option<SocketAddr>,
    /// Where received files go: `inbox`; `discard`, to measure (no receipt is sent); or `synthetic:text:SEED` (or
    /// `random`, `periodic`, `zeros:0`), which compares them with such content and keeps nothing
    #[arg(long, value_name = "TARGET", value_parser = target, default_value = "inbox", hide_default_value = true)]
    pub target: Target,
    /// Stop when standard input is closed: for a parent process that may vanish
    #[arg(long, hide = true)]
    pub until_input_closes: bool,
    #[command(flatten)]
    pub tuning: Tuning,
}

#[derive(Debug, Args)]
#[command(after_help = SEND_HELP)]
pub struct SendArgs {
    /// The partner's name here
    pub partner: PartnerName,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub wish: Wish,
    /// What to wait for: nothing, the partner's answer that it has the file, or its receipt
    #[arg(long, value_name = "none|sent|receipt", value_enum, default_value_t = Wait::Receipt,
          hide_possible_values = true, help_heading = "Waiting")]
    pub wait: Wait,
    /// Stop waiting when nothing has moved for so long
    #[arg(long, value_name = "SECONDS", default_value_t = WAIT_SECONDS,
          value_parser = clap::value_parser!(u64).range(1..), help_heading = "Waiting")]
    pub wait_seconds: u64,
    #[command(flatten)]
    pub tuning: Tuning,
}

/// How files are announced to the partner.
#[derive(Debug, Args)]
#[command(next_help_heading = "Announcement")]
pub struct Wish {
    /// Dataset name [default: derived from the file's name]
    #[arg(long, value_name = "DSN")]
    pub name: Option<String>,
    /// U unstructured, T text, F fixed records, V variable records
    #[arg(long, value_name = "U|T|F|V", value_enum, default_value_t = RecordFormat::U, ignore_case = true,
          hide_possible_values = true)]
    pub format: RecordFormat,
    /// Octets of a record, for F; of the longest one, for V
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub record_size: u32,
    /// The station behind the partner [default: its first one]
    #[arg(long, value_name = "CODE")]
    pub destination: Option<String>,
    /// What to say instead of the file's name
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// User data, at most 8 characters
    #[arg(long, value_name = "TEXT")]
    pub user: Option<String>,
    /// Remove the file once its receipt is there
    #[arg(long)]
    pub delete: bool,
    #[command(flatten)]
    pub services: ServiceFlags,
}

/// What `send` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    None,
    Sent,
    Receipt,
}

/// SFIDFMT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    #[value(name = "U")]
    U,
    #[value(name = "T")]
    T,
    #[value(name = "F")]
    F,
    #[value(name = "V")]
    V,
}

impl RecordFormat {
    pub const fn letter(self) -> char {
        match self {
            Self::U => 'U',
            Self::T => 'T',
            Self::F => 'F',
            Self::V => 'V',
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  odile receive supplier\n\nFiles that wait here for the partner are sent in the same session."
)]
pub struct ReceiveArgs {
    /// The partner's name here
    pub partner: PartnerName,
    #[command(flatten)]
    pub tuning: Tuning,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only transfers with this partner
    #[arg(long, value_name = "NAME")]
    pub partner: Option<PartnerName>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
}

#[derive(Debug, Args)]
pub struct TransferArg {
    /// Its number, such as S12 for one sent or R7 for one received
    pub transfer: TransferRef,
}

#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Write the man pages into a folder
    Man {
        /// The folder
        dir: PathBuf,
    },
    /// Write shell completions to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Longer than a peer takes between two answers; a receipt that is written by a person takes longer.
const WAIT_SECONDS: u64 = 240;

const AFTER_HELP: &str = "\
Examples:
  odile demo                                        two stations here exchange a file
  odile init --code O0013000001PLANT7 --listen 0.0.0.0:3305
  odile partner add supplier --code O0013000002SUPPL --address oftp.supplier.example:3305
  odile cert new --host oftp.example.com            a key of ours, for TLS, signatures and encryption
  odile send supplier crash.key                     now, and wait for the receipt
  odile serve                                       run the station
  odile history --partner supplier

Exit codes:
  0  done: delivered, received, listed
  1  refused, failed, cancelled, or not in time
  2  the command or the configuration is wrong, or this machine does not allow it
  3  the partner or the station cannot be reached";

const INIT_HELP: &str = "\
Examples:
  odile init --code O0013000001PLANT7 --listen 0.0.0.0:3305
  odile init --code O0013000001PLANT7 --listen-tls 0.0.0.0:6619 --keys --host oftp.example.com";

const SEND_HELP: &str = "\
A station that runs in this home sends the files; else this command does it alone.
What it cannot send stays queued for the next `odile serve` or `odile send`.

Examples:
  odile send supplier crash.key
  odile send supplier *.stp --wait sent
  odile send supplier crash.key --sign --compress --encrypt --signed-receipt
  odile send supplier prices.txt --format T --name PRICES --destination O0013000002WORKS2

Exit codes:
  0  delivered (with --wait sent: sent; with --wait none: queued)
  1  refused, failed, cancelled, or the receipt did not come in time or proves nothing
  2  the command or the configuration is wrong
  3  the partner cannot be reached; the file stays queued";

fn target(text: &str) -> Result<Target, String> {
    match text {
        "inbox" => Ok(Target::Inbox),
        "discard" => Ok(Target::Discard),
        // A content is a file whose length does not matter.
        other => match format!("{other}:0").parse::<SyntheticFile>() {
            Ok(file) => Ok(Target::Check(file.content)),
            Err(_) => {
                Err("inbox, discard, synthetic:text:SEED (or random, periodic, zeros:0) are known".to_owned())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn transfers_and_partners_are_checked_where_they_are_typed() {
        for wrong in [&["odile", "show", "12"][..], &["odile", "show", "X1"], &["odile", "send", "../x", "f"]]
        {
            assert_eq!(Cli::try_parse_from(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        assert!(Cli::try_parse_from(["odile", "show", "r7"]).is_ok());
    }
}
