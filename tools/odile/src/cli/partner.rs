//! `odile partner`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use odile_station::envelope::Suite;
use odile_station::partner::{Host, PartnerName, Usage};

use super::services::{USAGES, suite, usage};

#[derive(Debug, Subcommand)]
pub enum PartnerCommand {
    /// Write partners/NAME.toml
    Add(Box<PartnerAddArgs>),
    /// List all partners
    List,
    /// Show one partner, with the terms that hold for it and its certificates
    Show {
        /// The partner's name here
        name: PartnerName,
    },
}

#[derive(Debug, Args)]
#[command(after_help = ADD_HELP)]
pub struct PartnerAddArgs {
    /// The partner's name here: letters, digits, '-', '_' and '.'
    pub name: PartnerName,
    /// The partner's identification code
    #[arg(long)]
    pub code: String,
    /// Where to call the partner; left out: it calls us [default port: 3305, with TLS 6619]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub address: Option<Host>,
    /// Our code towards this partner, if it is not the station's
    #[arg(long, value_name = "CODE")]
    pub our_code: Option<String>,
    /// A station behind the partner, may be repeated [default: the partner's code]
    #[arg(long = "station", value_name = "CODE")]
    pub stations: Vec<String>,
    /// File with the password that we send; '-' reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub our_password_file: Option<PathBuf>,
    /// File with the password that the partner must send; '-' reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub their_password_file: Option<PathBuf>,
    /// Refuse files that the partner sends
    #[arg(long)]
    pub no_send: bool,
    /// Never send files to the partner
    #[arg(long)]
    pub no_receive: bool,
    /// Keep the original names of files to ourselves
    #[arg(long)]
    pub no_describe: bool,
    #[command(flatten)]
    pub security: SecurityArgs,
}

/// What protects sessions and files.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Security")]
pub struct SecurityArgs {
    /// TLS, authentication, and required both ways: signature, encryption, signed receipts; what we send is
    /// compressed, too
    #[arg(long)]
    pub secure: bool,
    /// Sessions go over TLS, whoever calls
    #[arg(long)]
    pub tls: bool,
    /// A certificate of the partner, for every purpose; may be repeated
    #[arg(long = "certificate", value_name = "FILE")]
    pub certificates: Vec<PathBuf>,
    /// An authority whose certificates are trusted for this partner in TLS; may be repeated
    #[arg(long = "authority", value_name = "FILE")]
    pub authorities: Vec<PathBuf>,
    /// Both sides prove in each session that they have their keys
    #[arg(long)]
    pub authentication: bool,
    /// The host name that is called need not stand in the partner's certificate
    #[arg(long)]
    pub no_host_name_check: bool,
    /// Whether the caller shows a certificate in TLS, too, whoever calls [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub client_certificate: Option<Usage>,
    /// Whether files that we send are signed [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub send_sign: Option<Usage>,
    /// Whether files that we send are compressed [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub send_compress: Option<Usage>,
    /// Whether files that we send are encrypted [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub send_encrypt: Option<Usage>,
    /// Whether the partner signs its receipts [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub send_receipt: Option<Usage>,
    /// Whether files that the partner sends are signed [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub receive_sign: Option<Usage>,
    /// Whether files that the partner sends are compressed [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub receive_compress: Option<Usage>,
    /// Whether files that the partner sends are encrypted [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub receive_encrypt: Option<Usage>,
    /// Whether we sign our receipts [default: optional]
    #[arg(long, value_name = USAGES, value_parser = usage)]
    pub receive_receipt: Option<Usage>,
    /// Cipher suite for what we send, 1 to 10 [default: 4]
    #[arg(long, value_name = "N", value_parser = suite)]
    pub suite: Option<Suite>,
}

const ADD_HELP: &str = "\
Passwords never stand on the command line: they are the first line of a file or of standard input.
If a certificate cannot be used, nothing is written at all.

Examples:
  odile partner add supplier --code O0013000002SUPPL --address oftp.supplier.example:3305
  odile partner add supplier --code O0013000002SUPPL --address oftp.supplier.example \\
        --secure --certificate supplier.crt
  odile partner add oem --code O0013000004OEM --address oftp.oem.example --tls \\
        --authority odette-ca.pem --certificate oem.crt --send-encrypt required
  printf SECRET | odile partner add caller --code O0013000003CALLER --their-password-file -";
