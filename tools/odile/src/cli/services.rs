//! Services of files, and how much they are wanted.

use clap::Args;
use odile_station::envelope::Suite;
use odile_station::partner::{ServiceWish, SuiteNumber, Usage};

/// What is wanted otherwise than the partner's terms say.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Services (left out: as the partner's terms say)")]
pub struct ServiceFlags {
    /// Sign
    #[arg(long)]
    sign: bool,
    /// Do not sign
    #[arg(long, conflicts_with = "sign")]
    no_sign: bool,
    /// Compress
    #[arg(long)]
    compress: bool,
    /// Do not compress
    #[arg(long, conflicts_with = "compress")]
    no_compress: bool,
    /// Encrypt
    #[arg(long)]
    encrypt: bool,
    /// Do not encrypt
    #[arg(long, conflicts_with = "encrypt")]
    no_encrypt: bool,
    /// Ask for a signed receipt
    #[arg(long)]
    signed_receipt: bool,
    /// Do with an unsigned receipt
    #[arg(long, conflicts_with = "signed_receipt")]
    no_signed_receipt: bool,
    /// Cipher suite, 1 to 10
    #[arg(long, value_name = "N", value_parser = suite)]
    suite: Option<Suite>,
}

impl ServiceFlags {
    /// What they ask for.
    pub fn wish(&self) -> ServiceWish {
        let wish = |yes: bool, no: bool| if yes || no { Some(yes) } else { None };
        ServiceWish {
            sign: wish(self.sign, self.no_sign),
            compress: wish(self.compress, self.no_compress),
            encrypt: wish(self.encrypt, self.no_encrypt),
            signed_receipt: wish(self.signed_receipt, self.no_signed_receipt),
            suite: self.suite,
        }
    }
}

/// `4` or `04`.
pub fn suite(text: &str) -> Result<Suite, String> {
    let number: i64 = text.parse().map_err(|_| format!("{text:?} is no cipher suite: 1 to 10 exist"))?;
    SuiteNumber::try_from(number).map(SuiteNumber::suite)
}

/// The four words of partner files.
pub fn usage(text: &str) -> Result<Usage, String> {
    [Usage::Forbidden, Usage::Optional, Usage::Preferred, Usage::Required]
        .into_iter()
        .find(|usage| usage.as_str() == text)
        .ok_or_else(|| format!("{text:?} is none of {USAGES}"))
}

/// How they are shown.
pub const USAGES: &str = "forbidden|optional|preferred|required";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_left_to_the_terms() {
        assert_eq!(ServiceFlags::default().wish(), ServiceWish::default());
        let flags = ServiceFlags { sign: true, no_encrypt: true, ..ServiceFlags::default() };
        let wish = flags.wish();
        assert_eq!((wish.sign, wish.compress, wish.encrypt), (Some(true), None, Some(false)));
    }

    #[test]
    fn suites_and_usages_are_those_of_partner_files() {
        assert_eq!((suite("4"), suite("04"), suite("10")), (Ok(Suite::S04), Ok(Suite::S04), Ok(Suite::S10)));
        for wrong in ["0", "11", "-1", "four", ""] {
            assert!(suite(wrong).is_err(), "{wrong}");
        }
        assert_eq!(usage("preferred"), Ok(Usage::Preferred));
        assert!(usage("always").unwrap_err().contains("required"));
    }
}
