//! What crosses the network in OFTP2, byte for byte (RFC 5024 §5, §7, §8; RFC 2204 for the older levels).
//!
//! This crate turns octets into values and back. It performs no I/O, reads no clock, starts no thread, and
//! never panics on what a peer sent. Tolerances towards other implementations are listed, each with its
//! reason, in `DEVIATIONS.md` beside this crate.
//!
//! ```text
//! TCP stream ─▶ stream::Deframer ─▶ Exchange Buffer ─┬─▶ command::Command::decode
//!                                                    └─▶ data::Decoder (DATA, on borrowed slices)
//! ```

pub mod command;
pub mod data;
mod error;
mod field;
mod file_id;
mod identification_code;
mod level;
mod reason;
mod stamp;
pub mod stream;
mod text;

pub use command::{Command, Mnemonic};
pub use error::{Malformed, Unrepresentable};
pub use file_id::FileId;
pub use identification_code::IdentificationCode;
pub use level::Level;
pub use reason::{AnswerReason, EndSessionReason, NegativeEndReason};
pub use stamp::{DateStamp, TimeStamp};
pub use text::{DatasetName, InvalidText, Password, Text, UserData, VariableText};

/// Smallest Data Exchange Buffer that can be negotiated, in octets (RFC 5024 §5.3.2, SSIDSDEB).
pub const BUFFER_SIZE_MIN: u32 = 128;
/// Largest Data Exchange Buffer that can be negotiated, in octets (RFC 5024 §5.3.2, SSIDSDEB).
pub const BUFFER_SIZE_MAX: u32 = 99_999;
/// Largest credit window, in Data Exchange Buffers (RFC 5024 §5.3.2, SSIDCRED).
pub const CREDIT_MAX: u16 = 999;
/// Largest file size, in blocks of 1024 octets (RFC 5024 §5.3.3, SFIDFSIZ: 13 digits).
pub const FILE_SIZE_BLOCKS_MAX: u64 = 9_999_999_999_999;
/// Largest file size at levels 1 to 4, in blocks of 1024 octets (RFC 2204 §5.3.3: 7 digits).
pub const FILE_SIZE_BLOCKS_MAX_BEFORE_LEVEL_5: u64 = 9_999_999;
/// Octets in one block of SFIDFSIZ, SFIDOSIZ and of the restart positions of U and T files.
pub const BLOCK_BYTES: u64 = 1024;
