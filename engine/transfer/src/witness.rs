//! What a receipt vouches for: the Virtual File as transmitted, without subrecord headers and buffer compression.

use odile_envelope::{CheckpointError, HashAlgorithm, HashValue, Hasher, Midstate};
use odile_wire::data::Records;
use serde::{Deserialize, Serialize};

use crate::record_walk::RecordWalk;

/// Octets and hash of a stream as transmitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmitted {
    /// Octets.
    pub octets: u64,
    /// The hash that EERPHSH states.
    pub hash: HashValue,
}

/// Watches a plain file go by, in the form in which it is stored. (A sealed stream is watched by what seals it.)
#[derive(Clone)]
pub struct Witness {
    hasher: Hasher,
    /// For V files, whose record lengths are not transmitted in the data.
    walk: Option<RecordWalk>,
    octets: u64,
}

/// A [`Witness`] in stored form. Holds up to a block of the content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessState {
    pub(crate) hasher: Midstate,
    pub(crate) walk: Option<RecordWalk>,
    pub(crate) octets: u64,
}

impl Witness {
    /// For a file with such records.
    pub fn new(algorithm: HashAlgorithm, records: Records) -> Self {
        let walk = matches!(records, Records::Variable).then(RecordWalk::default);
        Self { hasher: Hasher::new(algorithm), walk, octets: 0 }
    }

    /// Goes on where the state was taken.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`] if it is no state of that hash.
    pub fn resume(state: &WitnessState) -> Result<Self, CheckpointError> {
        let WitnessState { hasher, walk, octets } = state;
        Ok(Self { hasher: Hasher::resume(hasher)?, walk: walk.clone(), octets: *octets })
    }

    /// All that is needed to go on later.
    pub fn state(&self) -> WitnessState {
        WitnessState { hasher: self.hasher.midstate(), walk: self.walk.clone(), octets: self.octets }
    }

    /// Takes the next octets of the file.
    pub fn see(&mut self, octets: &[u8]) {
        let Self { hasher, walk, octets: count } = self;
        let mut take = |data: &[u8]| {
            hasher.update(data);
            *count += data.len() as u64;
        };
        match walk {
            Some(walk) => walk.walk(octets, take),
            None => take(octets),
        }
    }

    /// The hash that it makes.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.hasher.algorithm()
    }

    /// Octets that went by, lengths of V records not counted.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// What went by.
    pub fn finish(self) -> Transmitted {
        Transmitted { octets: self.octets, hash: self.hasher.finish() }
    }

    /// The records of a V file; none for the others.
    pub(crate) fn walk(&self) -> Option<&RecordWalk> {
        self.walk.as_ref()
    }
}
