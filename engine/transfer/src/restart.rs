//! Restart positions (RFC 5024 §5.3.3, SFIDREST).
//!
//! | file | a position counts |
//! |---|---|
//! | F and V, as it is | records |
//! | U and T, and everything sealed | blocks of 1024 octets of transmitted user data |

use odile_envelope::CheckpointError;
use odile_wire::BLOCK_BYTES;
use odile_wire::data::Records;

use crate::departure::DepartureError;

/// What a restart position counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestartUnit {
    /// 1024 octets of the transmitted file, without subrecord headers and before buffer compression.
    Blocks,
    /// Records.
    Records,
}

/// Why nobody can go on there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The file could not even be sent from its start.
    #[error(transparent)]
    Departure(#[from] DepartureError),
    /// What was stored does not belong to this file, or is no use.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint stands behind the position: an earlier one is needed, or none.
    #[error("a checkpoint of restart position {checkpoint} is no use to go on at {position}")]
    Above {
        /// The lowest position that the checkpoint is good for.
        checkpoint: u64,
        /// The position that was answered.
        position: u64,
    },
    /// The file ends before the position.
    #[error("the file ends before restart position {position}")]
    BeyondEnd {
        /// The position that was answered.
        position: u64,
    },
    /// The receiver does not have what is before the position.
    #[error("restart position {position} is beyond {received}, where what was received ends")]
    NotReceived {
        /// The restart position of what was received.
        received: u64,
        /// The position that was answered.
        position: u64,
    },
}

impl RestartUnit {
    /// Of a file with such records. What is sealed has none, whatever SFIDFMT says.
    pub fn of(records: Records, is_sealed: bool) -> Self {
        match records {
            Records::Fixed { .. } | Records::Variable if !is_sealed => Self::Records,
            _ => Self::Blocks,
        }
    }
}

/// Octets of the transmitted file from one restart position to the next; none if that differs from record to record.
pub(crate) fn unit_bytes(records: Records) -> Option<u64> {
    match records {
        Records::None => Some(BLOCK_BYTES),
        // A size of zero is refused when the first record is framed.
        Records::Fixed { size } => Some(u64::from(size).max(1)),
        Records::Variable => None,
    }
}
