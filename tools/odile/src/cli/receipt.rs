//! `odile receipt`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use odile_station::catalog::TransferRef;

use super::TransferArg;

#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Show every receipt of a transfer
    Show(TransferArg),
    /// Verify the receipts of a transfer again, as they are stored
    Verify(ReceiptVerifyArgs),
    /// Write a receipt and all that proves it into a folder, for people who have no Odile
    Export(ReceiptExportArgs),
}

#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub struct ReceiptVerifyArgs {
    /// Its number, such as S12 for one sent or R7 for one received
    pub transfer: TransferRef,
    /// Take this certificate, PEM or DER, and no other
    #[arg(long, value_name = "CERT")]
    pub signer: Option<PathBuf>,
    /// When the certificate must have been valid [default: when the receipt came or was made]
    #[arg(long, value_name = "DATE", value_parser = unix_seconds)]
    pub at: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = EXPORT_HELP)]
pub struct ReceiptExportArgs {
    /// Its number, such as S12 for one sent or R7 for one received
    pub transfer: TransferRef,
    /// The folder: a new or an empty one
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

/// `2026-04-01`, `2026-04-01T12:00` in local time, or `2026-04-01T12:00:00Z`.
fn unix_seconds(text: &str) -> Result<u64, String> {
    let local = |time: DateTime| time.to_zoned(TimeZone::system()).ok().map(|zoned: Zoned| zoned.timestamp());
    // What names its zone first: a civil time would be read out of it without.
    let time = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(local))
        .or_else(|| text.parse::<Date>().ok().and_then(|date| local(date.at(0, 0, 0, 0))));
    let seconds = time.and_then(|time| u64::try_from(time.as_second()).ok());
    seconds
        .ok_or_else(|| format!("{text:?} is no time like 2026-04-01 or 2026-04-01T12:00:00Z, from 1970 on"))
}

const VERIFY_HELP: &str = "\
This takes the catalog and a certificate: the one that was kept with the receipt, one of the
partner's for signatures, or the one of --signer. Receipts that we gave are verified with our own
certificates. If a file has several receipts, one that holds is enough.

Examples:
  odile receipt verify S12
  odile receipt verify S12 --signer supplier-2026.crt --at 2026-04-01

Exit codes:
  0  everything holds
  1  something does not, or there is no receipt
  2  the command or the configuration is wrong";

const EXPORT_HELP: &str = "\
README.txt in that folder says how to verify the receipt with OpenSSL alone, and what it proves.

Example:
  odile receipt export S12 --to receipt-S12";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_zone() {
        assert_eq!(unix_seconds("2026-04-01T12:00:00Z"), Ok(1_775_044_800));
        assert_eq!(unix_seconds("2026-04-01T14:00:00+02:00"), Ok(1_775_044_800));
        let midnight = unix_seconds("2026-04-01").expect("a date");
        assert_eq!(unix_seconds("2026-04-01T12:00").expect("a local time"), midnight + 12 * 3600);
        for wrong in ["", "yesterday", "2026-13-01", "1969-12-30T00:00:00Z", "20260401x"] {
            assert!(unix_seconds(wrong).is_err(), "{wrong}");
        }
    }
}
