//! What a seal needs to go on, in stored form.
//!
//! A checkpoint holds no key, but it does hold up to a block of the content (in hash and cipher): it belongs where
//! the plan is.

use serde::{Deserialize, Serialize};

use crate::digest::Midstate;
use crate::error::CheckpointError;
use crate::stored;

/// First octet of a stored checkpoint.
const VERSION: u8 = 2;

/// A position between two chunks (without compression: anywhere), and all that is needed to go on from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealCheckpoint {
    pub(crate) front: FrontCheckpoint,
    pub(crate) back: BackCheckpoint,
}

/// The half of a checkpoint that belongs to [`super::SealFront`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontCheckpoint {
    pub(super) plan: [u8; 8],
    pub(crate) sign: SignState,
}

/// The half of a checkpoint that belongs to [`super::SealBack`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackCheckpoint {
    pub(super) plan: [u8; 8],
    pub(crate) pack: Option<PackState>,
    pub(crate) encrypt: Option<EncryptState>,
    /// Of what was transmitted, if the plan wants its hash.
    pub(crate) transmitted: Option<Midstate>,
    pub(crate) position: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignState {
    pub source_at: u64,
    pub segment_left: u64,
    pub hash: Option<Midstate>,
    pub queue: Vec<u8>,
    pub is_trailer_queued: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackState {
    pub adler: u32,
    pub is_started: bool,
    pub queue: Vec<u8>,
    pub is_finished: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EncryptState {
    pub chain: Vec<u8>,
    pub carry: Vec<u8>,
    pub queue: Vec<u8>,
    pub segment_left: u64,
    pub unit_left: u64,
    pub is_last_unit: bool,
    pub is_padded: bool,
    pub is_closed: bool,
}

impl std::fmt::Debug for EncryptState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncryptState").field("unit_left", &self.unit_left).finish_non_exhaustive()
    }
}

impl SealCheckpoint {
    /// Joins the halves that belong to the same chunk boundary.
    pub fn join(front: FrontCheckpoint, back: BackCheckpoint) -> Self {
        Self { front, back }
    }

    /// The half for [`super::SealFront`].
    pub fn front(&self) -> &FrontCheckpoint {
        &self.front
    }

    /// The half for [`super::SealBack`].
    pub fn back(&self) -> &BackCheckpoint {
        &self.back
    }

    /// The next octet of the source.
    pub fn source_position(&self) -> u64 {
        self.front.sign.source_at
    }

    /// The next octet of the transmitted stream.
    pub fn transmitted_position(&self) -> u64 {
        self.back.position
    }

    /// For storage.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        stored::write(self, VERSION)
    }

    /// Out of storage.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, CheckpointError> {
        stored::read(octets, VERSION)
    }
}
