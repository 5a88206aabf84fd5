//! Who we talk to, and on what terms: configuration, parsed into types that cannot be wrong.
//!
//! The caller reads the files; this crate turns their text into values, and mistakes into a sentence with line,
//! column and key.

mod error;
mod file_terms;
mod keys;
mod partner;
mod retry_terms;
mod session_terms;
mod station;
mod tls_terms;
mod usage;
mod value;

pub use error::ConfigError;
pub use file_terms::{
    FileServices, ReceiveSettings, ReceiveTerms, RefuseWith, SendSettings, SendTerms, ServiceWish,
};
pub use keys::{KeyName, KeySettings, Purpose};
pub use partner::{Partner, PartnerName};
pub use retry_terms::{RetrySettings, RetryTerms};
pub use session_terms::{SessionSettings, SessionTerms};
pub use station::StationConfig;
pub use tls_terms::{TlsSettings, TlsTerms, Transport};
pub use usage::Usage;
pub use value::{
    Address, BufferSize, Code, CreditWindow, DeflateLevel, Host, JitterPercent, LevelNumber, RetrySeconds,
    Secret, SuiteNumber,
};
