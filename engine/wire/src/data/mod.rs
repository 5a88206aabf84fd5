//! The payload of `DATA`: Virtual Files as subrecords in Data Exchange Buffers (RFC 5024 §7).
//!
//! ```text
//! 'D'  header subrecord  header subrecord  …
//!       │
//!       ├─ 0x80  end of record: the record ends with this subrecord
//!       ├─ 0x40  compressed: one octet follows, it stands for `count` of them
//!       └─ 0x3F  count, 0 to 63
//! ```
//!
//! Both directions work on borrowed slices and allocate nothing once they are made.

mod decoder;
mod encoder;
mod run;

pub use decoder::{Decoded, Decoder};
pub use encoder::{Encoded, Encoder, SOURCE_WINDOW_BYTES, SourceError};

/// How the local file is divided into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Records {
    /// Not at all: U and T files and every secured file. The whole file is one record.
    None,
    /// F files.
    Fixed {
        /// Octets of each record.
        size: u32,
    },
    /// V files. In the local file every record follows its length: two octets, network byte order, themselves
    /// not counted (the form of RFC 5024 §6.5). The lengths are not transmitted.
    Variable,
}

/// Whether runs of one octet are sent as compressed subrecords (SSIDCMPR).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Never.
    Off,
    /// Where it makes the record shorter. The stream never gets longer, but for F and V files: records that move
    /// may be split at the ends of buffers, which takes an octet for each buffer at most.
    On,
}

/// Whether the source goes on behind a slice of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It may.
    More,
    /// It ends with the slice.
    Reached,
}

/// End of Record Flag.
const END_OF_RECORD: u8 = 0x80;
/// Compression Flag.
const COMPRESSED: u8 = 0x40;
/// Largest count of a subrecord header.
const COUNT_MAX: u8 = 0x3F;
/// Octets that one subrecord stands for at most.
const SUBRECORD_BYTES: usize = COUNT_MAX as usize;
/// A whole literal subrecord and its header.
const WHOLE_SUBRECORD_BYTES: usize = 1 + SUBRECORD_BYTES;
/// Octets of the length before each record of a local V file.
const PREFIX_BYTES: usize = 2;
