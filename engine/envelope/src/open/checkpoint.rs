//! What an opening needs to go on, in stored form.
//!
//! ```text
//! version │ input position │ output position │ layers: frame, hashes or cipher chain or inflate state │ pending
//! ```
//!
//! Inflate needs the 32 KiB of its output before the boundary. They are in here, because what is in the target file
//! is not the same octets if another layer stands in between. A checkpoint holds content in the clear, as the
//! target file does, but no key: the wrapped key is unwrapped again.

use serde::{Deserialize, Serialize};

use crate::digest::Midstate;
use crate::error::CheckpointError;
use crate::open::layer::LayerState;
use crate::stored;
use crate::suite::Services;

/// First octet of a stored checkpoint.
const VERSION: u8 = 1;

/// A position in the stream, and all that is needed to go on from it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCheckpoint {
    pub(super) declared: Option<Services>,
    pub(crate) input_position: u64,
    pub(crate) output_position: u64,
    pub(crate) layers: Vec<LayerState>,
    /// Octets between the layers.
    pub(super) pending: Vec<Vec<u8>>,
    pub(super) is_plain: bool,
    pub(crate) transmitted: Option<Midstate>,
}

impl OpenCheckpoint {
    /// The next octet of the stream.
    pub fn input_position(&self) -> u64 {
        self.input_position
    }

    /// The next octet of the content.
    pub fn output_position(&self) -> u64 {
        self.output_position
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

impl std::fmt::Debug for OpenCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCheckpoint")
            .field("input_position", &self.input_position)
            .field("output_position", &self.output_position)
            .finish_non_exhaustive()
    }
}
