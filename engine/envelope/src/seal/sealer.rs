//! Both halves in one, on the caller's thread.

use std::sync::Arc;

use crate::deflate::ChunkCompressor;
use crate::digest::HashValue;
use crate::error::{CheckpointError, Misuse};
use crate::key::PrivateKey;
use crate::seal::checkpoint::{FrontCheckpoint, SealCheckpoint};
use crate::seal::encrypt::{Middle, Unit};
use crate::seal::front::{SignLayer, Source};
use crate::seal::parallel::{Outlet, SealBack, SealFront};
use crate::seal::plan::SealPlan;
use crate::weave::Owed;

/// Source in, transmitted stream out.
///
/// [`Sealer::push`] the source until it is used up, then [`Sealer::finish`] until [`Sealer::is_done`]. A push
/// returns when the source or the room is used up, or at the end of a chunk: there, a checkpoint can be taken.
/// The stream depends on the plan and the source only, not on how they were sliced.
pub struct Sealer {
    way: Way,
}

enum Way {
    /// Without compression: nothing is kept but what hashes and ciphers keep.
    Direct(Box<Direct>),
    /// With compression.
    Packed(Box<Packed>),
}

struct Direct {
    fingerprint: [u8; 8],
    sign: SignLayer,
    outlet: Outlet,
    is_announced: bool,
    source_bytes: u64,
}

struct Packed {
    front: SealFront,
    back: SealBack,
    compressor: ChunkCompressor,
    chunk: Vec<u8>,
    /// The buffer that the back half gave back.
    spare: Vec<u8>,
    is_finishing: bool,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealProgress {
    /// Octets taken from the source.
    pub consumed: usize,
    /// Octets written.
    pub written: usize,
}

impl Sealer {
    /// At the start. The key is the one of the plan's signer.
    pub fn new(plan: Arc<SealPlan>, key: Option<&PrivateKey>) -> Result<Self, Misuse> {
        let way = if plan.terms.services.compress {
            let back = SealBack::new(&plan)?;
            Way::Packed(Box::new(Packed::new(&plan.clone(), SealFront::new(plan, key)?, back)?))
        } else {
            Way::Direct(Box::new(Direct {
                fingerprint: plan.fingerprint()?,
                source_bytes: plan.terms.source_bytes,
                outlet: Outlet::new(&plan)?,
                sign: SignLayer::new(plan, key)?,
                is_announced: false,
            }))
        };
        Ok(Self { way })
    }

    /// At a checkpoint of the same plan: what follows is the same, octet for octet, as it would have been.
    pub fn resume(
        plan: Arc<SealPlan>,
        key: Option<&PrivateKey>,
        checkpoint: &SealCheckpoint,
    ) -> Result<Self, CheckpointError> {
        let fingerprint = plan.fingerprint().map_err(|_| CheckpointError::Foreign)?;
        if [checkpoint.front.plan, checkpoint.back.plan] != [fingerprint; 2] {
            return Err(CheckpointError::Foreign);
        }
        let way = if plan.terms.services.compress {
            let back = SealBack::resume(&plan, &checkpoint.back)?;
            let front = SealFront::resume(plan.clone(), key, &checkpoint.front)?;
            let packed = Packed::new(&plan, front, back).map_err(|_| CheckpointError::Foreign)?;
            Way::Packed(Box::new(packed))
        } else {
            let outlet = Outlet::resume(&plan, &checkpoint.back)?;
            Way::Direct(Box::new(Direct {
                fingerprint,
                source_bytes: plan.terms.source_bytes,
                // The one unit was announced if encryption had begun.
                is_announced: outlet.encrypt.as_ref().is_some_and(|layer| layer.state().is_last_unit),
                outlet,
                sign: SignLayer::resume(plan, key, &checkpoint.front.sign)?,
            }))
        };
        Ok(Self { way })
    }

    /// Takes from the front of `source`, writes to the front of `out`.
    pub fn push(&mut self, source: &[u8], out: &mut [u8]) -> Result<SealProgress, Misuse> {
        match &mut self.way {
            Way::Direct(direct) => direct.push(source, out),
            Way::Packed(packed) => packed.push(source, out),
        }
    }

    /// Writes what follows the source. Call until [`Sealer::is_done`].
    pub fn finish(&mut self, out: &mut [u8]) -> Result<usize, Misuse> {
        let (left, expected) = match &self.way {
            Way::Direct(direct) => (direct.sign.source_left(), direct.source_bytes),
            Way::Packed(packed) => {
                (packed.front.source_left(), packed.front.source_position() + packed.front.source_left())
            }
        };
        if left > 0 {
            return Err(Misuse::SourceLength { expected });
        }
        Ok(self.push(&[], out)?.written)
    }

    /// Whether the stream is complete.
    pub fn is_done(&self) -> bool {
        match &self.way {
            Way::Direct(direct) => direct.sign.is_done() && direct.outlet.is_done(),
            Way::Packed(packed) => packed.back.is_done(),
        }
    }

    /// A checkpoint, if one can be taken here: with compression at the end of a chunk, otherwise anywhere.
    pub fn checkpoint(&self) -> Option<SealCheckpoint> {
        match &self.way {
            Way::Direct(direct) => {
                let front = FrontCheckpoint { plan: direct.fingerprint, sign: direct.sign.state() };
                Some(SealCheckpoint::join(front, direct.outlet.checkpoint(direct.fingerprint, None)))
            }
            Way::Packed(packed) if packed.chunk.is_empty() => {
                Some(SealCheckpoint::join(packed.front.checkpoint(), packed.back.checkpoint()?))
            }
            Way::Packed(_) => None,
        }
    }

    /// Octets taken from the source so far.
    pub fn source_position(&self) -> u64 {
        match &self.way {
            Way::Direct(direct) => direct.sign.source_at(),
            Way::Packed(packed) => packed.front.source_position(),
        }
    }

    /// Octets written so far.
    pub fn transmitted_position(&self) -> u64 {
        match &self.way {
            Way::Direct(direct) => direct.outlet.position,
            Way::Packed(packed) => packed.back.position(),
        }
    }

    /// The hash over all octets written so far: at the end, what the receipt must state. None if the plan omits it.
    pub fn transmitted_hash(&self) -> Option<HashValue> {
        match &self.way {
            Way::Direct(direct) => direct.outlet.transmitted_hash(),
            Way::Packed(packed) => packed.back.transmitted_hash(),
        }
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("source_position", &self.source_position())
            .field("transmitted_position", &self.transmitted_position())
            .finish_non_exhaustive()
    }
}

impl Direct {
    fn push(&mut self, source: &[u8], out: &mut [u8]) -> Result<SealProgress, Misuse> {
        if self.sign.source_left() < source.len() as u64 {
            return Err(Misuse::SourceLength { expected: self.source_bytes });
        }
        let source = Source::new(source);
        let mut middle = Signed { sign: &mut self.sign, source, is_announced: &mut self.is_announced };
        let written = self.outlet.pull(&mut middle, out)?;
        middle.sign.settle(&mut middle.source);
        Ok(SealProgress { consumed: middle.source.taken(), written })
    }
}

/// The signed source, whose length is known from the start: one unit.
struct Signed<'a> {
    sign: &'a mut SignLayer,
    source: Source<'a>,
    is_announced: &'a mut bool,
}

impl Middle for Signed<'_> {
    fn next_unit(&mut self) -> Option<Unit> {
        let is_first = !std::mem::replace(self.is_announced, true);
        is_first.then(|| Unit { bytes: self.sign.total_bytes(), is_last: true })
    }

    fn read(&mut self, out: &mut [u8]) -> Result<usize, Misuse> {
        let mut room = &mut *out;
        self.sign.pull(&mut self.source, &mut room)?;
        let left = room.len();
        Ok(out.len() - left)
    }

    fn owed(&mut self) -> Option<Owed<'_>> {
        self.sign.owed(&mut self.source)
    }
}

impl Packed {
    fn new(plan: &SealPlan, front: SealFront, back: SealBack) -> Result<Self, Misuse> {
        let options = plan.terms.options;
        let is_finishing = back.is_finishing();
        Ok(Self {
            front,
            back,
            compressor: ChunkCompressor::new(options.level)?,
            chunk: Vec::with_capacity(options.chunk_bytes as usize),
            spare: Vec::new(),
            is_finishing,
        })
    }

    fn push(&mut self, source: &[u8], out: &mut [u8]) -> Result<SealProgress, Misuse> {
        if self.front.source_left() < source.len() as u64 {
            return Err(self.front.wrong_length());
        }
        let mut progress = SealProgress::default();
        loop {
            let pulled = self.back.pull(&mut out[progress.written..])?;
            progress.written += pulled;
            let is_chunk_done = pulled > 0 && self.back.is_idle();
            if self.is_finishing || !self.back.is_idle() || is_chunk_done {
                return Ok(progress);
            }
            progress.consumed += self.front.fill(&source[progress.consumed..], &mut self.chunk)?;
            if !self.front.is_done() && !self.front.is_full(&self.chunk) {
                return Ok(progress);
            }
            if self.chunk.is_empty() {
                self.back.finish()?;
                self.is_finishing = true;
                continue;
            }
            let mut packed = std::mem::take(&mut self.spare);
            let chunk = self.compressor.compress(&self.chunk, &mut packed)?;
            self.spare = self.back.put(chunk, packed)?;
            self.chunk.clear();
        }
    }
}
