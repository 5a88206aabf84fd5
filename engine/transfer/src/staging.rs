//! A sealed file on its way out: the source becomes the transmitted stream, staged until it is framed.

use std::collections::VecDeque;
use std::sync::Arc;

use odile_envelope::deflate::{Chunk, ChunkCompressor, CompressionLevel};
use odile_envelope::seal::{SealBack, SealFront};
use odile_envelope::{Misuse, PrivateKey, SealPlan, Sealer};
use odile_wire::data::{End, Records, SOURCE_WINDOW_BYTES};

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

struct Packed {
    front: SealFront,
    back: SealBack,
    level: CompressionLevel,
    /// Chunks of one batch.
    batch_max: usize,
    filling: Vec<u8>,
    batch: Vec<PlainChunk>,
    ready: VecDeque<(Chunk, Vec<u8>)>,
    /// Buffers and compressors to be used again.
    spare_chunks: Vec<Vec<u8>>,
    spare_rooms: Vec<Vec<u8>>,
    spare_compressors: Vec<ChunkCompressor>,
    is_finishing: bool,
}

/// Some of a file that is compressed on its own.
pub struct PlainChunk {
    compressor: ChunkCompressor,
    plain: Vec<u8>,
    room: Vec<u8>,
}

/// A chunk that was compressed.
pub struct PackedChunk {
    compressor: ChunkCompressor,
    chunk: Chunk,
    packed: Vec<u8>,
    /// The buffer of the plain one.
    plain: Vec<u8>,
}

/// Compresses chunks, in any order and on any thread, and gives what came of them in the order of the chunks.
pub trait Compress {
    /// As [`PlainChunk::compress`] does each. An error is a sentence.
    fn compress(&mut self, chunks: Vec<PlainChunk>) -> Result<Vec<Result<PackedChunk, Misuse>>, String>;
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

impl PlainChunk {
    /// Compresses it.
    pub fn compress(self) -> Result<PackedChunk, Misuse> {
        let Self { mut compressor, plain, room: mut packed } = self;
        let chunk = compressor.compress(&plain, &mut packed)?;
        Ok(PackedChunk { compressor, chunk, packed, plain })
    }
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
            let back = SealBack::new(&plan)?;
            Way::Packed(Box::new(Packed {
                back,
                level: plan.options().level,
                front: SealFront::new(plan, key)?,
                batch_max: batch_max.max(1),
                filling: Vec::new(),
                batch: Vec::new(),
                ready: VecDeque::new(),
                spare_chunks: Vec::new(),
                spare_rooms: Vec::new(),
                spare_compressors: Vec::new(),
                is_finishing: false,
            }))
        } else {
            Way::Direct(Box::new(Sealer::new(plan, key)?))
        };
        let walk = matches!(records, Records::Variable).then(RecordWalk::default);
        Ok(Self { way, walk, source_position: 0, octets: vec![0; STAGED_BYTES], start: 0, end: 0 })
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
            Way::Packed(packed) => packed.back.is_done(),
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
                    (progress.consumed, progress.written)
                }
                Way::Packed(packed) => packed.step(rest, room, compress)?,
            };
            let (taken, left) = rest.split_at(consumed);
            if let Some(walk) = &mut self.walk {
                walk.walk(taken, |_| {});
            }
            self.source_position += consumed as u64;
            rest = left;
            let is_over = rest.is_empty() && matches!(end, End::Reached);
            if is_over && self.walk.as_ref().is_some_and(|walk| !walk.is_whole()) {
                return Err(StagingError::OpenRecord);
            }
            self.end += written;
            if consumed + written == 0 {
                break;
            }
        }
        Ok(())
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

    /// Octets and hash of the stream so far: at the end, what the receipt must state.
    pub fn transmitted(&self) -> Transmitted {
        match &self.way {
            Way::Direct(sealer) => {
                Transmitted { octets: sealer.transmitted_position(), hash: sealer.transmitted_hash() }
            }
            Way::Packed(packed) => {
                Transmitted { octets: packed.back.position(), hash: packed.back.transmitted_hash() }
            }
        }
    }
}

impl Packed {
    /// Takes from the front of `source`, writes to the front of `out`; gives how much of both.
    fn step(
        &mut self,
        source: &[u8],
        out: &mut [u8],
        compress: &mut dyn Compress,
    ) -> Result<(usize, usize), StagingError> {
        let (mut consumed, mut written) = (0, 0);
        loop {
            written += self.back.pull(out.get_mut(written..).unwrap_or_default())?;
            if written == out.len() || !self.back.is_idle() || self.is_finishing {
                return Ok((consumed, written));
            }
            if let Some((chunk, packed)) = self.ready.pop_front() {
                self.spare_rooms.push(self.back.put(chunk, packed)?);
                continue;
            }
            consumed += self.gather(source.get(consumed..).unwrap_or_default())?;
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

    /// Cuts chunks off the source until there are enough for a batch; gives how much of it was used.
    fn gather(&mut self, source: &[u8]) -> Result<usize, Misuse> {
        let mut consumed = 0;
        while self.batch.len() < self.batch_max {
            let rest = source.get(consumed..).unwrap_or_default();
            consumed += self.front.fill(rest, &mut self.filling)?;
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
                self.batch.push(PlainChunk { compressor, plain, room });
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
            let PackedChunk { compressor, chunk, packed, plain } = packed?;
            self.spare_compressors.push(compressor);
            self.spare_chunks.push(plain);
            self.ready.push_back((chunk, packed));
        }
        Ok(())
    }
}

/// What is left when more is wanted moves to the front: a stage of several windows makes that rare.
const STAGED_BYTES: usize = 1024 * 1024;
const _: () = assert!(STAGED_BYTES >= 2 * SOURCE_WINDOW_BYTES);
