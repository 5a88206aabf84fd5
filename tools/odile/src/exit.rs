//! How the program ends: four exit codes, and one line that says what happened and what to do next.

use std::process::ExitCode;

use odile_station::StationError;
use odile_station::catalog::CatalogError;
use serde_json::json;

use crate::output;

/// The exit codes, as `odile --help` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Refused, failed, cancelled, or not in time.
    Refused = 1,
    /// The command or the configuration is wrong.
    Usage = 2,
    /// A station or partner cannot be reached.
    Unreachable = 3,
}

/// Why the program could not do what was asked.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// `what happened: where; what to do next`, on one line.
    pub text: String,
}

impl Exit {
    /// Of several outcomes, the one that the program ends with.
    pub fn worst(self, other: Self) -> Self {
        let weight = |exit| match exit {
            Self::Done => 0,
            Self::Unreachable => 1,
            Self::Usage => 2,
            Self::Refused => 3,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Failure {
    /// Refused or failed.
    pub fn refused(text: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, text: text.into() }
    }

    /// The command or the configuration is wrong.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }

    /// Somebody cannot be reached.
    pub fn unreachable(text: impl Into<String>) -> Self {
        Self { exit: Exit::Unreachable, text: text.into() }
    }

    /// Tells people on stderr, or programs on stdout, and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            output::json(&json!({ "error": self.text, "exit": self.exit as u8 }));
        } else {
            output::note(&format!("odile: {}", self.text));
        }
        self.exit.into()
    }
}

impl From<StationError> for Failure {
    fn from(error: StationError) -> Self {
        let exit = match &error {
            usage if usage.is_usage() => Exit::Usage,
            // What this machine does not allow is found before anything is sent.
            StationError::Uring(_) => Exit::Usage,
            StationError::InUse { .. } => Exit::Unreachable,
            _ => Exit::Refused,
        };
        Self { exit, text: error.to_string() }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self::refused(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_outweighs_a_partner_that_cannot_be_reached() {
        assert_eq!(Exit::Done.worst(Exit::Unreachable), Exit::Unreachable);
        assert_eq!(Exit::Unreachable.worst(Exit::Refused), Exit::Refused);
        assert_eq!(Exit::Refused.worst(Exit::Done), Exit::Refused);
    }
}
