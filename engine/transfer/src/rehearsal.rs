//! Checkpoints that are moved by whole periods of the content: how, [`odile_envelope::rehearsal`] tells. Only files
//! without records.

use odile_envelope::rehearsal::ShiftError;
use odile_wire::BLOCK_BYTES;

use crate::checkpoint::{ArrivalCheckpoint, ArrivalState, DepartureCheckpoint, DepartureState};
use crate::departures::Departures;
use crate::witness::WitnessState;

/// How far a checkpoint is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Octets of the source: of a plain file, those that are transmitted as well.
    pub source: u64,
    /// Octets of the transmitted file, a multiple of 1024.
    pub transmitted: u64,
}

impl Shift {
    /// Both positions that much farther.
    ///
    /// # Errors
    ///
    /// [`ShiftError::Blocks`] if it is no whole number of restart positions.
    pub fn of(octets: u64) -> Result<Self, ShiftError> {
        if !octets.is_multiple_of(BLOCK_BYTES) {
            return Err(ShiftError::Blocks { octets, block_bytes: BLOCK_BYTES });
        }
        Ok(Self { source: octets, transmitted: octets })
    }

    /// Restart positions.
    pub fn blocks(&self) -> u64 {
        self.transmitted / BLOCK_BYTES
    }

    fn of_plain(self) -> Result<u64, ShiftError> {
        if self.source == self.transmitted { Ok(self.source) } else { Err(ShiftError::Form) }
    }
}

impl Departures {
    /// All of them moved.
    ///
    /// # Errors
    ///
    /// As [`DepartureCheckpoint::advanced`].
    pub fn advanced(&self, shift: Shift) -> Result<Self, ShiftError> {
        let checkpoints = self.checkpoints.iter().map(|checkpoint| checkpoint.advanced(shift));
        Ok(Self { checkpoints: checkpoints.collect::<Result<_, _>>()? })
    }
}

impl DepartureCheckpoint {
    /// As if so much more had been sent.
    ///
    /// # Errors
    ///
    /// [`ShiftError::Form`] for files with records, and for plain ones that would not be sent as they are; those of
    /// the envelope.
    pub fn advanced(&self, shift: Shift) -> Result<Self, ShiftError> {
        if self.records > 0 {
            return Err(ShiftError::Form);
        }
        let state = match &self.state {
            DepartureState::Plain => {
                shift.of_plain()?;
                DepartureState::Plain
            }
            DepartureState::Watched(witness) => DepartureState::Watched(witness.advanced(shift.of_plain()?)?),
            DepartureState::Sealed(staging) => {
                let mut moved = staging.clone();
                moved.seal = staging.seal.advanced(shift.source, shift.transmitted)?;
                DepartureState::Sealed(moved)
            }
        };
        let source = sum(self.source, shift.source)?;
        Ok(Self { source, transmitted: sum(self.transmitted, shift.transmitted)?, records: 0, state })
    }
}

impl ArrivalCheckpoint {
    /// As if so much more had come.
    ///
    /// # Errors
    ///
    /// As [`DepartureCheckpoint::advanced`].
    pub fn advanced(&self, shift: Shift) -> Result<Self, ShiftError> {
        if self.place.records > 0 {
            return Err(ShiftError::Form);
        }
        let mut moved = self.clone();
        moved.place.received = sum(self.place.received, shift.transmitted)?;
        moved.place.stored = sum(self.place.stored, shift.source)?;
        moved.state = match &self.state {
            ArrivalState::Plain => {
                shift.of_plain()?;
                ArrivalState::Plain
            }
            ArrivalState::Watched(witness) => ArrivalState::Watched(witness.advanced(shift.of_plain()?)?),
            ArrivalState::Opened(opened) => {
                ArrivalState::Opened(opened.advanced(shift.transmitted, shift.source)?)
            }
        };
        Ok(moved)
    }
}

impl WitnessState {
    fn advanced(&self, octets: u64) -> Result<Self, ShiftError> {
        if self.walk.is_some() {
            return Err(ShiftError::Form);
        }
        Ok(Self { hasher: self.hasher.advanced(octets)?, walk: None, octets: sum(self.octets, octets)? })
    }
}

fn sum(position: u64, octets: u64) -> Result<u64, ShiftError> {
    position.checked_add(octets).ok_or(ShiftError::Overflow)
}
