//! Both halves in one, on the caller's thread.

use std::sync::Arc;

use crate::deflate::ChunkCompressor;
use crate::digest::HashValue;
use crate::error::{CheckpointError, Misuse};
use crate::key::PrivateKey;
use crate::seal::checkpoint::{FrontCheckpoint, SealCheckpoint};
use crate::seal::front::SignLayer;
use crate::seal::parallel::{Outlet, SealBack, SealFront};
use crate::seal::plan::SealPlan;
use crate::seal::together;
use crate::weave::LANES_MAX;

/// Source in, transmitted stream out.
///
/// [`Sealer::push`] the source until it is used up, then [`Sealer::finish`] until [`Sealer::is_done`]. A push
/// returns when the source or the room is used up, or at the end of a chunk: there, a checkpoint can be taken.
/// The stream depends on the plan and the source only, not on how they were sliced.
pub struct Sealer {
    pub(super) way: Way,
}

pub(super) enum Way {
    /// Without compression: nothing is kept but what hashes and ciphers keep.
    Direct(Box<Direct>),
    /// With compression.
    Packed(Box<Packed>),
}

pub(super) struct Direct {
    fingerprint: [u8; 8],
    pub sign: SignLayer,
    pub outlet: Outlet,
    pub is_announced: bool,
    pub source_bytes: u64,
}

pub(super) struct Packed {
    front: SealFront,
    back: SealBack,
    compressor: ChunkCompressor,
    chunk: Vec<u8>,
    /// The buffer that the back half gave back.
    spare: Vec<u8>,
    is_finishing: bool,
}

/// A step of one sealer among several: takes from the front of `source`, writes to the front of `out`.
pub struct Push<'a> {
    /// Who seals.
    pub sealer: &'a mut Sealer,
    /// What follows in the source; nothing, once it is used up.
    pub source: &'a [u8],
    /// Room for the stream.
    pub out: &'a mut [u8],
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
        let [outcome, ..] = together::push([Some(Push { sealer: self, source, out }), None, None, None]);
        outcome
    }

    /// [`Sealer::push`] for several at a time, which is faster than one after the other where they encrypt without
    /// compression. Each gives what it would have given alone, in its place; an error is that of one only.
    pub fn push_together(pushes: [Option<Push<'_>>; LANES_MAX]) -> [Result<SealProgress, Misuse>; LANES_MAX] {
        together::push(pushes)
    }

    /// Writes what follows the source. Call until [`Sealer::is_done`].
    pub fn finish(&mut self, out: &mut [u8]) -> Result<usize, Misuse> {
        let left = self.source_left();
        if left > 0 {
            return Err(Misuse::SourceLength { expected: self.source_position() + left });
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

    /// Octets of the source still to come.
    pub fn source_left(&self) -> u64 {
        match &self.way {
            Way::Direct(direct) => direct.sign.source_left(),
            Way::Packed(packed) => packed.front.source_left(),
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

    pub fn push(&mut self, source: &[u8], out: &mut [u8]) -> Result<SealProgress, Misuse> {
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
