//! Who we talk to, and on what terms: configuration, parsed into types that cannot be wrong.
//!
//! The caller reads the files; this crate turns their text into values, and mistakes into a sentence with line,
//! column and key.

mod error;
mod partner;
mod session_terms;
mod station;
mod value;

pub use error::ConfigError;
pub use partner::{Partner, PartnerName};
pub use session_terms::{SessionSettings, SessionTerms};
pub use station::StationConfig;
pub use value::{Address, BufferSize, Code, CreditWindow, LevelNumber, Secret};
