//! What can be wrong with octets from a peer, and with values that do not fit the wire.

use crate::command::Mnemonic;
use crate::reason::EndSessionReason;

/// A peer sent octets that are no valid command. [`Malformed::reason`] is what ends the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first octet of the Exchange Buffer names no command.
    #[error("unknown command octet 0x{0:02X}")]
    UnknownCommand(u8),
    /// The Exchange Buffer holds no octet at all.
    #[error("empty Exchange Buffer")]
    Empty,
    /// The Exchange Buffer ends before the command does.
    #[error("{command} ends inside {field}: {needed} octets needed, {available} there")]
    TooShort {
        /// The command being read.
        command: Mnemonic,
        /// The field that is cut off.
        field: &'static str,
        /// Octets that the field needs.
        needed: usize,
        /// Octets that are left.
        available: usize,
    },
    /// A field holds something that its definition does not allow.
    #[error("{command}: {field} {problem}")]
    Field {
        /// The command being read.
        command: Mnemonic,
        /// The field, as the RFC names it.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The command does not exist at the level that was agreed for the session.
    #[error("{command} does not exist at protocol level {level}")]
    NotAtThisLevel {
        /// The command.
        command: Mnemonic,
        /// The level's digit.
        level: u8,
    },
    /// A subrecord reaches beyond the end of its Data Exchange Buffer.
    #[error("a subrecord at octet {at} reaches beyond its Data Exchange Buffer")]
    Subrecord {
        /// Offset of the subrecord header in the Exchange Buffer.
        at: usize,
    },
    /// The Stream Transmission Header has another version than 1.
    #[error("Stream Transmission Header of version {0}, not 1: the other end does not speak OFTP")]
    StreamVersion(u8),
    /// The Stream Transmission Header has reserved flags set.
    #[error("Stream Transmission Header with reserved flags 0x{0:X}")]
    StreamFlags(u8),
    /// The Stream Transmission Header announces a length outside of what is allowed.
    #[error("Stream Transmission Buffer of {length} octets, outside {min} to {max}")]
    StreamLength {
        /// Announced length, header included; octets that were not there yet count as zero.
        length: u32,
        /// Smallest length allowed.
        min: u32,
        /// Largest length allowed.
        max: u32,
    },
}

impl Malformed {
    /// The reason code that tells the peer (RFC 5024 §5.3.11).
    pub fn reason(&self) -> EndSessionReason {
        match self {
            Self::UnknownCommand(_) | Self::Empty => EndSessionReason::COMMAND_NOT_RECOGNISED,
            Self::TooShort { .. }
            | Self::StreamLength { .. }
            | Self::StreamVersion(_)
            | Self::StreamFlags(_) => EndSessionReason::BUFFER_SIZE_ERROR,
            Self::Field { .. } | Self::Subrecord { .. } => EndSessionReason::INVALID_DATA,
            Self::NotAtThisLevel { .. } => EndSessionReason::PROTOCOL_VIOLATION,
        }
    }
}

/// A value cannot be written at the agreed level. Nothing is ever cut off silently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrepresentable {
    /// A number has more digits than its field.
    #[error("{field}: {value} does not fit in {digits} digits at protocol level {level}")]
    TooLarge {
        /// The field, as the RFC names it.
        field: &'static str,
        /// The value.
        value: u64,
        /// Digits of the field.
        digits: usize,
        /// The level's digit.
        level: u8,
    },
    /// The command does not exist at this level.
    #[error("{command} does not exist at protocol level {level}")]
    NotAtThisLevel {
        /// The command.
        command: Mnemonic,
        /// The level's digit.
        level: u8,
    },
    /// The command is longer than any Exchange Buffer may be.
    #[error("{command} would have {length} octets, more than the 99999 of an Exchange Buffer")]
    TooLong {
        /// The command.
        command: Mnemonic,
        /// Octets that it would have.
        length: usize,
    },
    /// A service was asked for that the level cannot express.
    #[error("{what} needs protocol level 5 (OFTP 2.0), the session has level {level}")]
    NeedsLevel5 {
        /// What was asked for.
        what: &'static str,
        /// The level's digit.
        level: u8,
    },
}
