//! The way of a sealed file that is compressed: chunks are cut, compressed by whoever the caller has for it, and put
//! together again in their order.
//!
//! ```text
//! source ─▶ front ─▶ chunk, cut ─▶ any worker ─▶ packed chunk, cut ─▶ back ─▶ stream
//!                                                              └─ back is idle: checkpoint
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use odile_envelope::deflate::{Chunk, ChunkCompressor, CompressionLevel};
use odile_envelope::seal::{FrontCheckpoint, SealBack, SealFront};
use odile_envelope::{CheckpointError, HashValue, Misuse, PrivateKey, SealCheckpoint, SealPlan};

use crate::record_walk::RecordWalk;
use crate::staging::{StagingCheckpoint, StagingError};

/// Both halves of a seal, and the chunks between them.
pub(crate) struct Packed {
    front: SealFront,
    back: SealBack,
    level: CompressionLevel,
    /// Chunks of one batch.
    batch_max: usize,
    filling: Vec<u8>,
    batch: Vec<PlainChunk>,
    ready: VecDeque<Ready>,
    /// Behind the chunk that is on its way through the back half.
    passing: Option<Cut>,
    newest: Option<StagingCheckpoint>,
    /// Buffers and compressors to be used again.
    spare_chunks: Vec<Vec<u8>>,
    spare_rooms: Vec<Vec<u8>>,
    spare_compressors: Vec<ChunkCompressor>,
    is_finishing: bool,
}

struct Ready {
    chunk: Chunk,
    packed: Vec<u8>,
    cut: Cut,
}

/// The source behind a chunk.
struct Cut {
    front: FrontCheckpoint,
    walk: Option<RecordWalk>,
}

/// Some of a file that is compressed on its own.
pub struct PlainChunk {
    compressor: ChunkCompressor,
    plain: Vec<u8>,
    room: Vec<u8>,
    cut: Cut,
}

/// A chunk that was compressed.
pub struct PackedChunk {
    compressor: ChunkCompressor,
    chunk: Chunk,
    packed: Vec<u8>,
    /// The buffer of the plain one.
    plain: Vec<u8>,
    cut: Cut,
}

/// Compresses chunks, in any order and on any thread, and gives what came of them in the order of the chunks.
pub trait Compress {
    /// As [`PlainChunk::compress`] does each. An error is a sentence.
    fn compress(&mut self, chunks: Vec<PlainChunk>) -> Result<Vec<Result<PackedChunk, Misuse>>, String>;
}

impl PlainChunk {
    /// Compresses it.
    pub fn compress(self) -> Result<PackedChunk, Misuse> {
        let Self { mut compressor, plain, room: mut packed, cut } = self;
        let chunk = compressor.compress(&plain, &mut packed)?;
        Ok(PackedChunk { compressor, chunk, packed, plain, cut })
    }
}

impl Packed {
    /// At the start of a source.
    pub fn new(plan: Arc<SealPlan>, key: Option<&PrivateKey>, batch_max: usize) -> Result<Self, Misuse> {
        let (back, level) = (SealBack::new(&plan)?, plan.options().level);
        Ok(Self::of(SealFront::new(plan, key)?, back, level, batch_max))
    }

    /// Behind a chunk.
    pub fn resume(
        plan: Arc<SealPlan>,
        key: Option<&PrivateKey>,
        batch_max: usize,
        checkpoint: &StagingCheckpoint,
    ) -> Result<Self, CheckpointError> {
        let StagingCheckpoint { seal, .. } = checkpoint;
        let (back, level) = (SealBack::resume(&plan, seal.back())?, plan.options().level);
        let front = SealFront::resume(plan, key, seal.front())?;
        Ok(Self { newest: Some(checkpoint.clone()), ..Self::of(front, back, level, batch_max) })
    }

    fn of(front: SealFront, back: SealBack, level: CompressionLevel, batch_max: usize) -> Self {
        Self {
            is_finishing: back.is_finishing(),
            front,
            back,
            level,
            batch_max: batch_max.max(1),
            filling: Vec::new(),
            batch: Vec::new(),
            ready: VecDeque::new(),
            passing: None,
            newest: None,
            spare_chunks: Vec::new(),
            spare_rooms: Vec::new(),
            spare_compressors: Vec::new(),
        }
    }

    /// Behind the last chunk that has become part of the stream as a whole.
    pub fn checkpoint(&self) -> Option<&StagingCheckpoint> {
        self.newest.as_ref()
    }

    pub fn is_done(&self) -> bool {
        self.back.is_done()
    }

    /// Octets of the source that are still to come.
    pub fn source_left(&self) -> u64 {
        self.front.source_left()
    }

    pub fn transmitted_position(&self) -> u64 {
        self.back.position()
    }

    pub fn transmitted_hash(&self) -> Option<HashValue> {
        self.back.transmitted_hash()
    }

    /// Takes from the front of `source`, writes to the front of `out`; gives how much of both. `walk` follows what is
    /// taken.
    pub fn step(
        &mut self,
        source: &[u8],
        out: &mut [u8],
        walk: &mut Option<RecordWalk>,
        compress: &mut dyn Compress,
    ) -> Result<(usize, usize), StagingError> {
        let (mut consumed, mut written) = (0, 0);
        loop {
            written += self.back.pull(out.get_mut(written..).unwrap_or_default())?;
            self.note();
            if written == out.len() || !self.back.is_idle() || self.is_finishing {
                return Ok((consumed, written));
            }
            if let Some(Ready { chunk, packed, cut }) = self.ready.pop_front() {
                self.spare_rooms.push(self.back.put(chunk, packed)?);
                self.passing = Some(cut);
                continue;
            }
            consumed += self.gather(source.get(consumed..).unwrap_or_default(), walk)?;
            let is_over = self.front.is_done();
            if self.batch.len() == self.batch_max || (is_over && !self.batch.is_empty()) {
                self.compress(compress)?;
            } else if is_over {
                self.back.finish()?;
                self.is_finishing = true;
            } else {
                return Ok((consumed, written));
            }
        }
    }

    /// Joins the halves of a checkpoint when the chunk behind which the source was cut has gone through.
    fn note(&mut self) {
        if self.passing.is_some()
            && let Some(back) = self.back.checkpoint()
            && let Some(Cut { front, walk }) = self.passing.take()
        {
            self.newest = Some(StagingCheckpoint { seal: SealCheckpoint::join(front, back), walk });
        }
    }

    /// Cuts chunks off the source until there are enough for a batch; gives how much of it was used.
    fn gather(&mut self, source: &[u8], walk: &mut Option<RecordWalk>) -> Result<usize, Misuse> {
        let mut consumed = 0;
        while self.batch.len() < self.batch_max {
            let rest = source.get(consumed..).unwrap_or_default();
            let taken = self.front.fill(rest, &mut self.filling)?;
            consumed += taken;
            if let Some(walk) = walk {
                walk.walk(rest.get(..taken).unwrap_or_default(), |_| {});
            }
            let is_over = self.front.is_done();
            if !self.front.is_full(&self.filling) && !is_over {
                break;
            }
            if !self.filling.is_empty() {
                let mut plain = self.spare_chunks.pop().unwrap_or_default();
                plain.clear();
                let plain = std::mem::replace(&mut self.filling, plain);
                let room = self.spare_rooms.pop().unwrap_or_default();
                let compressor = match self.spare_compressors.pop() {
                    Some(compressor) => compressor,
                    None => ChunkCompressor::new(self.level)?,
                };
                let cut = Cut { front: self.front.checkpoint(), walk: walk.clone() };
                self.batch.push(PlainChunk { compressor, plain, room, cut });
            }
            if is_over {
                break;
            }
        }
        Ok(consumed)
    }

    fn compress(&mut self, compress: &mut dyn Compress) -> Result<(), StagingError> {
        let batch = std::mem::take(&mut self.batch);
        for packed in compress.compress(batch).map_err(StagingError::Compress)? {
            let PackedChunk { compressor, chunk, packed, plain, cut } = packed?;
            self.spare_compressors.push(compressor);
            self.spare_chunks.push(plain);
            self.ready.push_back(Ready { chunk, packed, cut });
        }
        Ok(())
    }
}
