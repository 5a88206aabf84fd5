//! Names: dataset names out of file names, and file names out of dataset names.
//!
//! A dataset name from a peer never becomes a path. It becomes *one* file name, in which everything but letters,
//! digits, `-`, `_` and inner dots is written as `%XX`, so that different names stay different.

use std::fmt::Write;

use odile_wire::{DatasetName, FileId, InvalidText};

/// A dataset name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is too long or holds characters that the network cannot carry.
    #[error("{name:?} is no dataset name: {problem}")]
    Text {
        /// What was given.
        name: String,
        /// What is wrong with it.
        problem: InvalidText,
    },
    /// It holds a character outside of what RFC 5024 allows.
    #[error(
        "{name:?} is no dataset name: {character:?} is not among A-Z 0-9 / - . & ( ) _ and space; leave the name \
         out and one is derived from the file's name"
    )]
    Character {
        /// What was given.
        name: String,
        /// The character.
        character: char,
    },
    /// It is empty.
    #[error("an empty dataset name; leave the name out and one is derived from the file's name")]
    Empty,
}

/// Checks a dataset name that a person gave: 1 to 26 characters of those that RFC 5024 §5.3 allows, and the
/// underscore that the standard names of certificate exchange need.
pub fn checked_dataset_name(name: &str) -> Result<DatasetName, NameError> {
    let checked =
        DatasetName::new(name).map_err(|problem| NameError::Text { name: name.to_owned(), problem })?;
    if checked.is_blank() {
        return Err(NameError::Empty);
    }
    match name.chars().find(|&c| !is_allowed(c) && c != '_') {
        Some(character) => Err(NameError::Character { name: name.to_owned(), character }),
        None => Ok(checked),
    }
}

/// Derives a dataset name from a file's name: upper case, other characters as `-`, and if it is too long the
/// beginning and the end, so that the ending survives. Date and time make it unique.
pub fn dataset_name_from(file_name: &str) -> DatasetName {
    let mut derived = String::with_capacity(file_name.len());
    for character in file_name.trim().chars() {
        for upper in character.to_uppercase() {
            let upper = if is_allowed(upper) && upper != '/' && upper != ' ' { upper } else { '-' };
            if !(upper == '-' && derived.ends_with('-')) {
                derived.push(upper);
            }
        }
    }
    let derived = derived.trim_matches(['-', '.']);
    let derived = if derived.is_empty() { "FILE" } else { derived };
    // All ASCII by now, so that octets are characters.
    let short = if derived.len() <= NAME_OCTETS {
        derived.to_owned()
    } else {
        let tail_from = derived.rfind('.').filter(|&dot| derived.len() - dot <= ENDING_OCTETS);
        let tail = tail_from.map_or("", |dot| &derived[dot..]);
        format!("{}{tail}", &derived[..NAME_OCTETS - tail.len()])
    };
    DatasetName::new(&short).unwrap_or(DatasetName::BLANK)
}

/// The name of a received file in the inbox: `NAME.20261123-1204050001`, and for a copy that arrives under a
/// taken name `NAME.20261123-1204050001.1`, `.2`, …
pub fn inbox_file_name(file: &FileId, copy: u32) -> String {
    let name = file.dataset_name.trimmed();
    let mut safe = String::with_capacity(name.len() + 24);
    for (at, &octet) in name.iter().enumerate() {
        let inner_dot = octet == b'.' && at > 0;
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_') || inner_dot {
            safe.push(char::from(octet));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(safe, "%{octet:02X}");
        }
    }
    let _ = write!(safe, ".{}-{}", file.date, file.time);
    if copy > 0 {
        let _ = write!(safe, ".{copy}");
    }
    safe
}

/// What RFC 5024 §5.3 allows in a string.
fn is_allowed(character: char) -> bool {
    matches!(character, 'A'..='Z' | '0'..='9' | '/' | '-' | '.' | '&' | '(' | ')' | ' ')
}

const NAME_OCTETS: usize = 26;
/// An ending such as `.CATPART` is kept, something longer is no ending.
const ENDING_OCTETS: usize = 10;

#[cfg(test)]
mod tests {
    use odile_wire::{DateStamp, IdentificationCode, TimeStamp};

    use super::*;

    fn file(name: [u8; 26]) -> FileId {
        FileId {
            dataset_name: DatasetName::from_octets(name),
            date: DateStamp::new(*b"20261123").unwrap(),
            time: TimeStamp::new(*b"1204050001").unwrap(),
            destination: IdentificationCode::new("A").unwrap(),
            originator: IdentificationCode::new("B").unwrap(),
        }
    }

    #[test]
    fn derives_dataset_names_of_26_allowed_characters() {
        for (from, name) in [
            ("crash.key", "CRASH.KEY"),
            ("Crash Simulation 2026_v2.key.gz", "CRASH-SIMULATION-2026-V.GZ"),
            ("türblatt.CATPart", "T-RBLATT.CATPART"),
            ("...", "FILE"),
            ("", "FILE"),
            ("ß", "SS"),
            ("a-very-long-name-without-any-ending", "A-VERY-LONG-NAME-WITHOUT-A"),
            ("name.with_a_very_long_ending_indeed", "NAME.WITH-A-VERY-LONG-ENDI"),
        ] {
            assert_eq!(dataset_name_from(from).to_string(), name, "{from:?}");
            checked_dataset_name(name).unwrap();
        }
    }

    #[test]
    fn checks_given_names() {
        assert!(checked_dataset_name("ODETTE_CERTIFICATE_REQUEST").is_ok());
        assert!(checked_dataset_name("DUC.SIDKEY.VDA4987.CS(1)/A&").is_err(), "27 characters");
        assert!(checked_dataset_name("DUC.SIDKEY.VDA498.CS(1)/A&").is_ok());
        for name in ["", "  ", "lower", "A*", "Ä", "A\n"] {
            assert!(checked_dataset_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_dataset_name_never_becomes_a_path() {
        for (name, shown) in [
            (b"../../etc/passwd          ", "%2E.%2F..%2Fetc%2Fpasswd"),
            (b"..                        ", "%2E."),
            (b"/etc/passwd               ", "%2Fetc%2Fpasswd"),
            (b"A\0B\nC\x1b[2J                 ", "A%00B%0AC%1B%5B2J"),
            (b"T\xc3\xbcr                      ", "T%C3%BCr"),
            (b"%2E                       ", "%252E"),
            (b"CRASH.KEY                 ", "CRASH.KEY"),
            (b"                          ", ""),
        ] {
            let file_name = inbox_file_name(&file(*name), 0);
            assert_eq!(file_name, format!("{shown}.20261123-1204050001"));
            let path = std::path::Path::new("inbox").join(&file_name);
            assert_eq!(path.parent(), Some(std::path::Path::new("inbox")));
        }
        assert!(inbox_file_name(&file(*b"A                         "), 2).ends_with("0001.2"));
    }
}
