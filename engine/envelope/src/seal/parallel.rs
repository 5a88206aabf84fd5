//! The two halves of a seal that compresses: chunks travel between them by way of any worker.

use std::sync::Arc;

use crate::deflate::Chunk;
use crate::digest::{HashValue, Hasher};
use crate::error::{CheckpointError, Misuse};
use crate::key::PrivateKey;
use crate::queue::UpTo;
use crate::seal::checkpoint::{BackCheckpoint, FrontCheckpoint};
use crate::seal::encrypt::{EncryptLayer, Middle, Prepared};
use crate::seal::front::{SignLayer, Source};
use crate::seal::pack::Packer;
use crate::seal::plan::{SealPlan, TransmittedHash};
use crate::weave::{self, Lane, Owed, STRETCH_BYTES};

/// The first half: cuts the source, signed if the plan says so, into chunks.
///
/// Call [`SealFront::fill`] until [`SealFront::is_full`] or [`SealFront::is_done`], hand the chunk on, clear it.
pub struct SealFront {
    plan: Arc<SealPlan>,
    fingerprint: [u8; 8],
    sign: SignLayer,
}

impl SealFront {
    /// At the start of the source.
    pub fn new(plan: Arc<SealPlan>, key: Option<&PrivateKey>) -> Result<Self, Misuse> {
        let (sign, fingerprint) = (SignLayer::new(plan.clone(), key)?, plan.fingerprint()?);
        Ok(Self { plan, fingerprint, sign })
    }

    /// At a checkpoint.
    pub fn resume(
        plan: Arc<SealPlan>,
        key: Option<&PrivateKey>,
        checkpoint: &FrontCheckpoint,
    ) -> Result<Self, CheckpointError> {
        let fingerprint = plan.fingerprint().map_err(|_| CheckpointError::Foreign)?;
        if fingerprint != checkpoint.plan {
            return Err(CheckpointError::Foreign);
        }
        let sign = SignLayer::resume(plan.clone(), key, &checkpoint.sign)?;
        Ok(Self { plan, fingerprint, sign })
    }

    /// Appends to the chunk until it is full; returns how much of `source` was taken.
    pub fn fill(&mut self, source: &[u8], chunk: &mut Vec<u8>) -> Result<usize, Misuse> {
        if self.sign.source_left() < source.len() as u64 {
            return Err(self.wrong_length());
        }
        let mut source = Source::new(source);
        let bytes_max = self.chunk_bytes();
        chunk.reserve_exact(bytes_max.saturating_sub(chunk.len()));
        self.sign.pull(&mut source, &mut UpTo { octets: chunk, bytes_max })?;
        self.sign.settle(&mut source);
        Ok(source.taken())
    }

    /// Whether the chunk must be handed on.
    pub fn is_full(&self, chunk: &[u8]) -> bool {
        chunk.len() >= self.chunk_bytes()
    }

    /// Whether nothing comes any more behind what was filled.
    pub fn is_done(&self) -> bool {
        self.sign.is_done()
    }

    /// Octets of the source still to come.
    pub fn source_left(&self) -> u64 {
        self.sign.source_left()
    }

    /// The half of a checkpoint: valid when a chunk was handed on, and nothing filled behind it.
    pub fn checkpoint(&self) -> FrontCheckpoint {
        FrontCheckpoint { plan: self.fingerprint, sign: self.sign.state() }
    }

    pub(super) fn source_position(&self) -> u64 {
        self.sign.source_at()
    }

    pub(super) fn wrong_length(&self) -> Misuse {
        Misuse::SourceLength { expected: self.plan.terms.source_bytes }
    }

    fn chunk_bytes(&self) -> usize {
        self.plan.terms.options.chunk_bytes as usize
    }
}

/// The second half: compressed chunks in their order become the transmitted stream.
///
/// [`SealBack::put`] a chunk, [`SealBack::pull`] until [`SealBack::is_idle`], again; at the end
/// [`SealBack::finish`], and pull until [`SealBack::is_done`].
pub struct SealBack {
    fingerprint: [u8; 8],
    packer: Packer,
    outlet: Outlet,
}

impl SealBack {
    /// At the start of the stream.
    pub fn new(plan: &SealPlan) -> Result<Self, Misuse> {
        if !plan.terms.services.compress {
            return Err(Misuse::OutOfTurn("the plan does not compress"));
        }
        let (packer, outlet) = (Packer::new(&plan.terms)?, Outlet::new(plan)?);
        Ok(Self { fingerprint: plan.fingerprint()?, packer, outlet })
    }

    /// At a checkpoint.
    pub fn resume(plan: &SealPlan, checkpoint: &BackCheckpoint) -> Result<Self, CheckpointError> {
        let fingerprint = plan.fingerprint().map_err(|_| CheckpointError::Foreign)?;
        let pack = checkpoint.pack.as_ref().ok_or(CheckpointError::Foreign)?;
        if fingerprint != checkpoint.plan {
            return Err(CheckpointError::Foreign);
        }
        Ok(Self { fingerprint, packer: Packer::resume(pack), outlet: Outlet::resume(plan, checkpoint)? })
    }

    /// Takes the next chunk; gives back a buffer for another.
    pub fn put(&mut self, chunk: Chunk, packed: Vec<u8>) -> Result<Vec<u8>, Misuse> {
        self.packer.put(chunk, packed)
    }

    /// There are no more chunks.
    pub fn finish(&mut self) -> Result<(), Misuse> {
        self.packer.finish()
    }

    /// Writes to the front of `out`.
    pub fn pull(&mut self, out: &mut [u8]) -> Result<usize, Misuse> {
        self.outlet.pull(&mut self.packer, out)
    }

    /// Whether the next chunk may come, and a checkpoint may be taken.
    pub fn is_idle(&self) -> bool {
        self.packer.is_idle() && self.outlet.is_between_units()
    }

    /// Whether the stream is complete.
    pub fn is_done(&self) -> bool {
        self.packer.is_done() && self.outlet.is_done()
    }

    /// The half of a checkpoint; none while a chunk is on its way.
    pub fn checkpoint(&self) -> Option<BackCheckpoint> {
        if !self.is_idle() {
            return None;
        }
        Some(self.outlet.checkpoint(self.fingerprint, Some(self.packer.state()?)))
    }

    /// Whether [`SealBack::finish`] was called, here or before the checkpoint.
    pub fn is_finishing(&self) -> bool {
        self.packer.is_finished()
    }

    /// Octets written so far.
    pub fn position(&self) -> u64 {
        self.outlet.position
    }

    /// The hash over all octets written so far: at the end, what the receipt must state. None if the plan omits it.
    pub fn transmitted_hash(&self) -> Option<HashValue> {
        self.outlet.transmitted_hash()
    }
}

/// The last layer, and the count and hash of what leaves.
pub(super) struct Outlet {
    pub encrypt: Option<EncryptLayer>,
    transmitted: Option<Hasher>,
    pub position: u64,
}

impl Outlet {
    pub fn new(plan: &SealPlan) -> Result<Self, Misuse> {
        let encrypt = if plan.terms.services.encrypt { Some(EncryptLayer::new(plan)?) } else { None };
        let transmitted = match plan.terms.options.transmitted_hash {
            TransmittedHash::Computed => Some(Hasher::new(plan.terms.suite.hash())),
            TransmittedHash::Omitted => None,
        };
        Ok(Self { encrypt, transmitted, position: 0 })
    }

    pub fn resume(plan: &SealPlan, checkpoint: &BackCheckpoint) -> Result<Self, CheckpointError> {
        let encrypt = match (&checkpoint.encrypt, plan.terms.services.encrypt) {
            (Some(state), true) => Some(EncryptLayer::resume(plan, state)?),
            (None, false) => None,
            _ => return Err(CheckpointError::Foreign),
        };
        let transmitted = match (&checkpoint.transmitted, plan.terms.options.transmitted_hash) {
            (Some(midstate), TransmittedHash::Computed) => Some(Hasher::resume(midstate)?),
            (None, TransmittedHash::Omitted) => None,
            _ => return Err(CheckpointError::Foreign),
        };
        Ok(Self { encrypt, transmitted, position: checkpoint.position })
    }

    pub fn pull(&mut self, middle: &mut dyn Middle, out: &mut [u8]) -> Result<usize, Misuse> {
        let mut written = 0;
        loop {
            let Prepared { framing, content } = self.prepare(middle, &mut out[written..])?;
            let blocks = &mut out[written + framing..][..content];
            written += framing + content;
            match self.lane(blocks, middle.owed()) {
                Some(lane) if content > 0 => lane.run()?,
                _ => return Ok(written),
            }
        }
    }

    /// Writes to the front of `out` up to content that [`Outlet::lane`] has to encrypt before anything else.
    pub fn prepare(&mut self, middle: &mut dyn Middle, out: &mut [u8]) -> Result<Prepared, Misuse> {
        let prepared = if let Some(encrypt) = &mut self.encrypt {
            encrypt.prepare(middle, out, self.transmitted.as_mut())?
        } else {
            // Nobody asks for units; they are only there for segments of ciphertext.
            let _ = middle.next_unit();
            Prepared { framing: self.read(middle, out)?, content: 0 }
        };
        self.position += (prepared.framing + prepared.content) as u64;
        Ok(prepared)
    }

    /// What is to be done with content that was prepared. None without encryption.
    pub fn lane<'a>(&'a mut self, blocks: &'a mut [u8], owed: Option<Owed<'a>>) -> Option<Lane<'a>> {
        let Self { encrypt, transmitted, .. } = self;
        let encryptor = encrypt.as_mut()?.encryptor();
        Some(Lane { encryptor, blocks, owed, ciphertext: transmitted.as_mut() })
    }

    fn read(&mut self, middle: &mut dyn Middle, out: &mut [u8]) -> Result<usize, Misuse> {
        let mut written = 0;
        for stretch in out.chunks_mut(STRETCH_BYTES) {
            let count = middle.read(stretch)?;
            let octets = &stretch[..count];
            let transmitted = self.transmitted.as_mut().map(|hasher| Owed { hasher, octets });
            weave::hash(middle.owed(), transmitted);
            written += count;
            if count < stretch.len() {
                break;
            }
        }
        Ok(written)
    }

    pub fn transmitted_hash(&self) -> Option<HashValue> {
        self.transmitted.clone().map(Hasher::finish)
    }

    pub fn is_between_units(&self) -> bool {
        self.encrypt.as_ref().is_none_or(EncryptLayer::is_between_units)
    }

    pub fn is_done(&self) -> bool {
        self.encrypt.as_ref().is_none_or(EncryptLayer::is_done)
    }

    pub fn checkpoint(&self, plan: [u8; 8], pack: Option<super::checkpoint::PackState>) -> BackCheckpoint {
        BackCheckpoint {
            plan,
            pack,
            encrypt: self.encrypt.as_ref().map(EncryptLayer::state),
            transmitted: self.transmitted.as_ref().map(Hasher::midstate),
            position: self.position,
        }
    }
}
