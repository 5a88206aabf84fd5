//! A sealed file on its way out: the source becomes the transmitted stream, staged until it is framed.

use std::sync::Arc;

use odile_envelope::{CheckpointError, Misuse, PrivateKey, SealCheckpoint, SealPlan, Sealer};
use odile_wire::data::{End, Records, SOURCE_WINDOW_BYTES};
use serde::{Deserialize, Serialize};

use crate::packed::{Compress, Packed};
use crate::record_walk::RecordWalk;
use crate::witness::Transmitted;

/// Source in, transmitted stream out, a little at a time.
///
/// [`Staging::fill`] with the source from [`Staging::source_position`] on while [`Staging::wants_source`]; frame what
/// [`Staging::staged`] shows, and say how much of it with [`Staging::used`].
pub struct Staging {
    way: Way,
    walk: Option<RecordWalk>,
    source_position: u64,
    octets: Vec<u8>,
    start: usize,
    end: usize,
}

enum Way {
    /// Without compression.
    Direct(Box<Sealer>),
    /// Several chunks are compressed at a time, by whoever the caller has for it.
    Packed(Box<Packed>),
}

/// Where a [`Staging`] can go on with the same octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagingCheckpoint {
    /// The seal.
    pub seal: SealCheckpoint,
    /// Of a V file: its records up to the seal's position in the source.
    pub walk: Option<RecordWalk>,
}

/// Why a source cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StagingError {
    /// The source is no sequence of records behind their lengths.
    #[error("the file ends within a record: each must stand behind its length in two octets")]
    OpenRecord,
    /// The envelope cannot be made.
    #[error("it cannot be sealed: {0}")]
    Seal(#[from] Misuse),
    /// Whoever compresses has failed.
    #[error("it cannot be compressed: {0}")]
    Compress(String),
}

impl Staging {
    /// At the start of a source with such records. `key` is that of the plan's signer. `batch_max`: so many chunks are
    /// compressed at a time.
    pub fn new(
        plan: Arc<SealPlan>,
        key: Option<&PrivateKey>,
        records: Records,
        batch_max: usize,
    ) -> Result<Self, Misuse> {
        let way = if plan.services().compress {
            Way::Packed(Box::new(Packed::new(plan, key, batch_max)?))
        } else {
            Way::Direct(Box::new(Sealer::new(plan, key)?))
        };
        let walk = has_walk(records).then(RecordWalk::default);
        Ok(Self::of(way, walk, 0))
    }

    /// At a checkpoint of the same plan: what is staged from there on is the same, octet for octet.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Foreign`] if it is of another plan, key or record format.
    pub fn resume(
        plan: Arc<SealPlan>,
        key: Option<&PrivateKey>,
        records: Records,
        batch_max: usize,
        checkpoint: &StagingCheckpoint,
    ) -> Result<Self, CheckpointError> {
        let StagingCheckpoint { seal, walk } = checkpoint;
        if walk.is_some() != has_walk(records) {
            return Err(CheckpointError::Foreign);
        }
        let way = if plan.services().compress {
            Way::Packed(Box::new(Packed::resume(plan, key, batch_max, checkpoint)?))
        } else {
            Way::Direct(Box::new(Sealer::resume(plan, key, seal)?))
        };
        Ok(Self::of(way, walk.clone(), seal.source_position()))
    }

    fn of(way: Way, walk: Option<RecordWalk>, source_position: u64) -> Self {
        Self { way, walk, source_position, octets: vec![0; STAGED_BYTES], start: 0, end: 0 }
    }

    /// The newest place to go on: without compression behind all that was staged, with it behind the last chunk that
    /// was staged as a whole (none before the first).
    pub fn checkpoint(&self) -> Option<StagingCheckpoint> {
        match &self.way {
            Way::Direct(sealer) => {
                let seal = sealer.checkpoint()?;
                Some(StagingCheckpoint { seal, walk: self.walk.clone() })
            }
            Way::Packed(packed) => packed.checkpoint().cloned(),
        }
    }

    /// Where in the source the next [`Staging::fill`] begins.
    pub fn source_position(&self) -> u64 {
        self.source_position
    }

    /// True if there is too little to frame a Data Exchange Buffer, and more to come.
    pub fn wants_source(&self) -> bool {
        self.end - self.start < SOURCE_WINDOW_BYTES && !self.is_done()
    }

    fn is_done(&self) -> bool {
        match &self.way {
            Way::Direct(sealer) => sealer.is_done(),
            Way::Packed(packed) => packed.is_done(),
        }
    }

    /// Seals from the front of `source` until the stage is full. `end`: whether it reaches to the end of the file.
    pub fn fill(&mut self, source: &[u8], end: End, compress: &mut dyn Compress) -> Result<(), StagingError> {
        self.octets.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let mut rest = source;
        while self.end < self.octets.len() && !self.is_done() {
            if rest.is_empty() && !matches!(end, End::Reached) {
                break;
            }
            let room = self.octets.get_mut(self.end..).unwrap_or_default();
            let (consumed, written) = match &mut self.way {
                Way::Direct(sealer) if rest.is_empty() => (0, sealer.finish(room)?),
                Way::Direct(sealer) => {
                    let progress = sealer.push(rest, room)?;
                    if let Some(walk) = &mut self.walk {
                        walk.walk(rest.get(..progress.consumed).unwrap_or_default(), |_| {});
                    }
                    (progress.consumed, progress.written)
                }
                Way::Packed(packed) => packed.step(rest, room, &mut self.walk, compress)?,
            };
            rest = rest.get(consumed..).unwrap_or_default();
            self.source_position += consumed as u64;
            let is_over = rest.is_empty() && matches!(end, End::Reached);
            if is_over && self.walk.as_ref().is_some_and(|walk| !walk.is_whole()) {
                return Err(StagingError::OpenRecord);
            }
            self.end += written;
            if consumed + written == 0 {
                if is_over && !self.is_done() {
                    return Err(self.too_short().into());
                }
                break;
            }
        }
        Ok(())
    }

    fn too_short(&self) -> Misuse {
        let left = match &self.way {
            // It says so itself.
            Way::Direct(_) => 0,
            Way::Packed(packed) => packed.source_left(),
        };
        Misuse::SourceLength { expected: self.source_position + left }
    }

    /// What is to be framed next, and whether that is all.
    pub fn staged(&self) -> (&[u8], End) {
        let end = if self.is_done() { End::Reached } else { End::More };
        (self.octets.get(self.start..self.end).unwrap_or_default(), end)
    }

    /// So many of the staged octets were framed.
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub fn used(&mut self, octets: usize) {
        assert!(octets <= self.end - self.start, "no more can be used than was staged");
        self.start += octets;
    }

    /// Records of the source so far; 0 if it has none, or they have one length.
    pub fn records(&self) -> u64 {
        self.walk.as_ref().map_or(0, RecordWalk::records)
    }

    /// Octets and hash of the stream so far: at the end, what the receipt must state. None if the plan omits the hash.
    pub fn transmitted(&self) -> Option<Transmitted> {
        let (octets, hash) = match &self.way {
            Way::Direct(sealer) => (sealer.transmitted_position(), sealer.transmitted_hash()),
            Way::Packed(packed) => (packed.transmitted_position(), packed.transmitted_hash()),
        };
        Some(Transmitted { octets, hash: hash? })
    }
}

/// Only what stands behind its length must be walked over to be counted.
fn has_walk(records: Records) -> bool {
    matches!(records, Records::Variable)
}

/// What is left when more is wanted moves to the front: a stage of several windows makes that rare.
const STAGED_BYTES: usize = 1024 * 1024;
const _: () = assert!(STAGED_BYTES >= 2 * SOURCE_WINDOW_BYTES);
