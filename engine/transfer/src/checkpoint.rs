//! Where a sender or a receiver can go on, in stored form.
//!
//! ```text
//! Slot   version │ subject (32) │ sequence │ body │ check      (see odile_envelope::stored)
//! ```
//!
//! Two slots are written in turns: one that was torn does not count, and of two whole ones the higher sequence does.
//! Neither kind of checkpoint holds a key; both may hold some of the content.

use odile_envelope::{CheckpointError, OpenCheckpoint, stored};
use odile_wire::BLOCK_BYTES;
use odile_wire::data::Records;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::restart::{RestartUnit, unit_bytes};
use crate::staging::StagingCheckpoint;
use crate::witness::WitnessState;

/// First octet of a stored slot.
const VERSION: u8 = 2;

/// Where a sender can go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepartureCheckpoint {
    pub(crate) source: u64,
    pub(crate) transmitted: u64,
    pub(crate) records: u64,
    pub(crate) state: DepartureState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DepartureState {
    Plain,
    Watched(WitnessState),
    Sealed(Box<StagingCheckpoint>),
}

/// Where a receiver can go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalCheckpoint {
    /// How far it is.
    pub place: Place,
    /// What looks at the file while it comes.
    pub state: ArrivalState,
}

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Octets of the transmitted file: no subrecord headers, no lengths of V records.
    pub received: u64,
    /// Records of an F or V file that are complete. 0 for others, and for everything sealed.
    pub records: u64,
    /// Octets in the target.
    pub stored: u64,
}

/// What looks at a file while it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArrivalState {
    /// Nobody.
    Plain,
    /// A [`crate::Witness`].
    Watched(WitnessState),
    /// An [`odile_envelope::Opener`].
    Opened(OpenCheckpoint),
}

/// What one slot of two holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot<T> {
    /// Hash of what it belongs to: a slot of another transfer must not be used.
    pub subject: [u8; 32],
    /// The newer slot has the higher number.
    pub sequence: u64,
    /// What is stored.
    pub body: T,
}

impl DepartureCheckpoint {
    /// The next octet of the source.
    pub fn source_position(&self) -> u64 {
        self.source
    }

    /// The next octet of the transmitted file.
    pub fn transmitted_position(&self) -> u64 {
        self.transmitted
    }

    /// Records of an F or V file before it; of sealed files, those of a V file only.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The lowest restart position that it is good for.
    pub fn restart_position(&self, unit: RestartUnit) -> u64 {
        match unit {
            RestartUnit::Blocks => self.transmitted.div_ceil(BLOCK_BYTES),
            RestartUnit::Records => self.records,
        }
    }
}

impl ArrivalCheckpoint {
    /// Of an envelope: what is received is what was opened, and the content is in the target.
    pub fn opened(checkpoint: OpenCheckpoint) -> Self {
        let place =
            Place { received: checkpoint.input_position(), records: 0, stored: checkpoint.output_position() };
        Self { place, state: ArrivalState::Opened(checkpoint) }
    }

    /// The highest restart position that can be answered from here.
    pub fn restart_position(&self, unit: RestartUnit) -> u64 {
        self.place.restart_position(unit)
    }

    /// A checkpoint that is not above what was offered: this one, or, where nothing but counts depends on it, this one
    /// lowered. None: the target must be begun anew, or [`crate::Incoming::resume`] at a position below its place.
    pub fn lowered_to(&self, unit: RestartUnit, records: Records, offer: u64) -> Option<Self> {
        if self.restart_position(unit) <= offer {
            return Some(self.clone());
        }
        if self.state != ArrivalState::Plain || unit != RestartUnit::of(records, false) {
            return None;
        }
        let octets = offer.checked_mul(unit_bytes(records)?)?;
        let records = match unit {
            RestartUnit::Blocks => 0,
            RestartUnit::Records => offer,
        };
        let place = Place { received: octets, records, stored: octets };
        // A place that was made up can count more records than its octets hold.
        (octets <= self.place.received).then_some(Self { place, state: ArrivalState::Plain })
    }
}

impl Place {
    /// The highest restart position that can be answered from here.
    pub fn restart_position(&self, unit: RestartUnit) -> u64 {
        match unit {
            RestartUnit::Blocks => self.received / BLOCK_BYTES,
            RestartUnit::Records => self.records,
        }
    }
}

impl<T: Serialize> Slot<T> {
    /// For storage.
    ///
    /// # Errors
    ///
    /// If the body has no stored form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        stored::write(self, VERSION)
    }
}

impl<T: DeserializeOwned> Slot<T> {
    /// Out of storage.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Version`] if another version wrote it, [`CheckpointError::Damaged`] if it was torn or altered.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, CheckpointError> {
        stored::read(octets, VERSION)
    }
}
