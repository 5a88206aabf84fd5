//! What a receipt vouches for: the Virtual File as transmitted, without subrecord headers and buffer compression.

use odile_envelope::{HashAlgorithm, HashValue, Hasher};
use odile_wire::data::Records;

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
pub struct Witness {
    hasher: Hasher,
    /// For V files, whose record lengths are not transmitted in the data.
    walk: Option<RecordWalk>,
    octets: u64,
}

impl Witness {
    /// For a file with such records.
    pub fn new(algorithm: HashAlgorithm, records: Records) -> Self {
        let walk = matches!(records, Records::Variable).then(RecordWalk::default);
        Self { hasher: Hasher::new(algorithm), walk, octets: 0 }
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

    /// What went by.
    pub fn finish(self) -> Transmitted {
        Transmitted { octets: self.octets, hash: self.hasher.finish() }
    }
}
