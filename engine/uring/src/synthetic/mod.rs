//! Files that exist by their name only: any length, made while they are read, checked while they arrive.
//!
//! They are for rehearsing sizes that no disk holds, and for measuring links without the disk. The name says it
//! all, so that both ends of a link know the content:
//!
//! ```text
//! synthetic:random:7:1000000000000    pattern, seed, octets
//! ```

mod content;
mod source;
mod text;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

pub use content::{Pattern, SyntheticContent};
pub use source::SyntheticSource;

/// A synthetic file. Its text form, `synthetic:PATTERN:SEED:OCTETS`, has `random`, `text`, `periodic` or `zeros` for the
/// pattern, and decimal numbers without sign or leading zeros. The seed of `zeros` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SyntheticFile {
    /// What it consists of.
    pub content: SyntheticContent,
    /// Its length.
    pub octets: u64,
}

/// A text that is not the name of a synthetic file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text}: {what}; write synthetic:random:SEED:OCTETS, or text or periodic instead of random, or \
     synthetic:zeros:0:OCTETS, with numbers from 0 to {}",
    u64::MAX
)]
pub struct SyntheticFileError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub what: &'static str,
}

impl SyntheticFile {
    /// True if the path is meant as the name of a synthetic file; it may be a wrong one.
    pub fn is_named_by(path: &Path) -> bool {
        path.as_os_str().as_encoded_bytes().starts_with(SCHEME.as_bytes())
    }
}

impl FromStr for SyntheticFile {
    type Err = SyntheticFileError;

    fn from_str(text: &str) -> Result<Self, SyntheticFileError> {
        let wrong = |what| SyntheticFileError { text: text.to_owned(), what };
        let parts = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with synthetic:"))?;
        let mut parts = parts.split(':');
        let pattern = parts.next().and_then(Pattern::named);
        let pattern = pattern.ok_or_else(|| wrong("its pattern is none of random, text, periodic, zeros"))?;
        let seed = parts.next().and_then(number).ok_or_else(|| wrong("its seed is not such a number"))?;
        if pattern == Pattern::Zeros && seed != 0 {
            return Err(wrong("its seed is not 0, and zeros are all alike"));
        }
        let octets = parts.next().and_then(number);
        let octets = octets.ok_or_else(|| wrong("its count of octets is not such a number"))?;
        match parts.next() {
            None => Ok(Self { content: SyntheticContent { pattern, seed }, octets }),
            Some(_) => Err(wrong("something follows the count of octets")),
        }
    }
}

impl fmt::Display for SyntheticFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SyntheticContent { pattern, seed } = self.content;
        write!(f, "{SCHEME}{}:{seed}:{}", pattern.name(), self.octets)
    }
}

/// As `Display` writes it, so that a file has one name.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

const SCHEME: &str = "synthetic:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for (text, pattern, seed, octets) in [
            ("synthetic:random:0:0", Pattern::Random, 0, 0),
            ("synthetic:text:7:9300000000000000", Pattern::Text, 7, 9_300_000_000_000_000),
            ("synthetic:periodic:7:1", Pattern::Periodic, 7, 1),
            ("synthetic:zeros:0:1000000000000", Pattern::Zeros, 0, 1_000_000_000_000),
            (
                "synthetic:random:18446744073709551615:18446744073709551615",
                Pattern::Random,
                u64::MAX,
                u64::MAX,
            ),
        ] {
            let file: SyntheticFile = text.parse().unwrap();
            assert_eq!(file, SyntheticFile { content: SyntheticContent { pattern, seed }, octets });
            assert_eq!(file.to_string(), text);
        }
    }

    #[test]
    fn a_wrong_name_is_told_what_is_wrong() {
        for (text, what) in [
            ("", "does not begin"),
            ("Synthetic:random:1:1", "does not begin"),
            ("synthetic:", "pattern"),
            ("synthetic:Random:1:1", "pattern"),
            ("synthetic:zero:0:1", "pattern"),
            ("synthetic:zeros:1:1", "seed"),
            ("synthetic:random", "seed"),
            ("synthetic:random::1", "seed"),
            ("synthetic:random:+1:1", "seed"),
            ("synthetic:random:-1:1", "seed"),
            ("synthetic:random:01:1", "seed"),
            ("synthetic:random:1", "octets"),
            ("synthetic:random:1:", "octets"),
            ("synthetic:random:1: 1", "octets"),
            ("synthetic:random:1:1k", "octets"),
            ("synthetic:random:1:18446744073709551616", "octets"),
            ("synthetic:random:1:1:", "follows"),
        ] {
            let error = text.parse::<SyntheticFile>().unwrap_err();
            assert!(error.what.contains(what), "{text}: {error}");
            assert!(error.to_string().contains("synthetic:random:SEED:OCTETS"), "{error}");
        }
    }
}
