//! How much something is wanted, in the words of Odette's partner data exchange.

use std::fmt;

use serde::Deserialize;

/// How much a service is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// Never: a file that has it is refused.
    Forbidden,
    /// Whoever sends decides, and does without unless told otherwise.
    Optional,
    /// Whoever sends decides, and has it unless told otherwise.
    Preferred,
    /// Always: a file without it is refused.
    Required,
}

impl Usage {
    /// Whether to do it, given what a person asked for.
    ///
    /// # Errors
    ///
    /// If the wish is not allowed; the text says by which value.
    pub fn decide(self, wish: Option<bool>) -> Result<bool, String> {
        match (self, wish) {
            (Self::Forbidden, Some(true)) | (Self::Required, Some(false)) => Err(self.to_string()),
            (_, Some(wish)) => Ok(wish),
            (Self::Preferred | Self::Required, None) => Ok(true),
            (Self::Forbidden | Self::Optional, None) => Ok(false),
        }
    }

    /// The word in a configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Optional => "optional",
            Self::Preferred => "preferred",
            Self::Required => "required",
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
