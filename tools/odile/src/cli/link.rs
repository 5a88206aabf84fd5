//! `odile link`: what can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::size::parse_size;
use crate::tuning::Tuning;

#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Be the far end of a measurement: takes in, checks and drops what `odile link test` sends
    Serve(LinkServeArgs),
    /// Measure the line to another machine, with the real protocol and no disk
    Test(LinkTestArgs),
    /// Measure what writing and checkpoints cost on a disk, through the page cache and past it
    Disk(LinkDiskArgs),
}

#[derive(Debug, Args)]
#[command(after_help = SERVE_HELP)]
pub struct LinkServeArgs {
    /// Where to listen over plain TCP, where nobody proves who he is [default: 0.0.0.0:3305 without a kit, else nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where to listen over TLS, if there is a kit
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:6619")]
    pub listen_tls: SocketAddr,
    /// A key for this measurement only, made if the file is not there: copy it to the other machine
    #[arg(long, value_name = "FILE")]
    pub kit: Option<PathBuf>,
    /// Write what arrives below this folder instead of dropping it, so that the far disk counts, too
    #[arg(long, value_name = "DIR")]
    pub to_disk: Option<PathBuf>,
    /// End when standard input is closed
    #[arg(long, hide = true)]
    pub until_input_closes: bool,
    #[command(flatten)]
    pub tuning: Tuning,
}

#[derive(Debug, Args)]
#[command(after_help = TEST_HELP)]
pub struct LinkTestArgs {
    /// HOST or HOST:PORT where `odile link serve` runs; a partner's name: at its host, with its buffers and credit;
    /// `here` starts it on this machine
    #[arg(value_name = "PARTNER|HOST")]
    pub target: String,
    /// Port of plain TCP there [default: 3305]
    #[arg(long, value_name = "PORT")]
    pub plain_port: Option<u16>,
    /// Port of TLS there
    #[arg(long, value_name = "PORT", default_value_t = 6619)]
    pub tls_port: u16,
    /// The file that `odile link serve --kit` has made: without it, only plain TCP is measured
    #[arg(long, value_name = "FILE")]
    pub kit: Option<PathBuf>,
    /// Which way the files go
    #[arg(long, value_enum, value_name = "WAY", value_delimiter = ',', default_value = "send")]
    pub direction: Vec<Direction>,
    /// plain, tls [default: tls if there is a kit]
    #[arg(long, value_enum, value_name = "TRANSPORT", value_delimiter = ',')]
    pub transport: Vec<LineKind>,
    /// What is done with the files: none, or some of sign+compress+encrypt; several sets with commas
    #[arg(long, value_name = "SERVICES", value_delimiter = ',', default_value = "none", value_parser = services)]
    pub services: Vec<Services>,
    /// Data Exchange Buffers, octets [default: the partner's, else 99999]
    #[arg(long, value_name = "OCTETS", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(128..=99_999))]
    pub buffers: Vec<u32>,
    /// Credit windows, buffers [default: the partner's, else 999]
    #[arg(long, value_name = "BUFFERS", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..=999))]
    pub credits: Vec<u16>,
    /// Sessions at the same time, 1 to 16
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u16).range(1..=16))]
    pub sessions: Vec<u16>,
    /// Change one thing after another, instead of all combinations of what is given
    #[arg(long)]
    pub sweep: bool,
    /// Seconds for each measurement, about
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600),
          conflicts_with = "amount")]
    pub seconds: u64,
    /// Octets for each measurement, instead of a time
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub amount: Option<u64>,
    /// Draw the result as a picture
    #[arg(long, value_name = "FILE.svg")]
    pub chart: Option<PathBuf>,
    #[command(flatten)]
    pub tuning: Tuning,
}

#[derive(Debug, Args)]
pub struct LinkDiskArgs {
    /// A folder on the disk
    pub path: PathBuf,
    /// Octets for each measurement
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub amount: u64,
    /// Measurements of each kind
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub rounds: u16,
    #[command(flatten)]
    pub tuning: Tuning,
}

/// Which way files go, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    Send,
    Receive,
}

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LineKind {
    Plain,
    Tls,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Services {
    pub sign: bool,
    pub compress: bool,
    pub encrypt: bool,
}

/// `none`, or words joined by `+`.
pub fn services(text: &str) -> Result<Services, String> {
    let mut services = Services::default();
    if text == "none" || text == "plain" {
        return Ok(services);
    }
    for word in text.split('+') {
        match word {
            "sign" => services.sign = true,
            "compress" => services.compress = true,
            "encrypt" => services.encrypt = true,
            "all" => services = Services { sign: true, compress: true, encrypt: true },
            other => {
                return Err(format!(
                    "{other:?} is no service: sign, compress and encrypt can be joined by +"
                ));
            }
        }
    }
    Ok(services)
}

const SERVE_HELP: &str = "\
Nothing of what comes is kept. Over plain TCP, everybody who reaches the port can send, and have files of up to 18 TB sent:
run it while you measure, no longer. With a kit only those who have it can.

Examples:
  odile link serve
  odile link serve --kit link.kit      (copy link.kit to the other machine, by a way that keeps it secret)
  odile link serve --kit link.kit --listen 0.0.0.0:3305      (plain TCP as well)";

const TEST_HELP: &str = "\
Examples:
  odile link test here
  odile link test 192.0.2.7 --sessions 1,2,4 --credits 64,999
  odile link test acme --kit link.kit      (`odile link serve` runs at the host of partner acme, beside its station)
  odile link test 192.0.2.7 --kit link.kit --services none,sign+encrypt --direction send,receive
  odile link test 192.0.2.7 --kit link.kit --sweep --chart line.svg --output json > line.json";
