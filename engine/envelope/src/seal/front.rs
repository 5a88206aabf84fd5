//! The first layer: SignedData around the source, or the source as it is.

use std::sync::Arc;

use crate::ber;
use crate::certificate::Certificate;
use crate::digest::Hasher;
use crate::error::{CheckpointError, Misuse};
use crate::key::PrivateKey;
use crate::queue::{Queue, Room};
use crate::seal::checkpoint::SignState;
use crate::seal::plan::SealPlan;
use crate::seal::sign;
use crate::weave::Owed;

/// The layer: source in, SignedData out.
pub(super) struct SignLayer {
    plan: Arc<SealPlan>,
    signing: Option<Signing>,
    queue: Queue,
    source_at: u64,
    segment_left: u64,
    is_trailer_queued: bool,
    total_bytes: u64,
}

/// The source as far as it is there.
pub(super) struct Source<'a> {
    octets: &'a [u8],
    taken: usize,
    /// What was taken behind this is owed to the hash.
    hashed: usize,
}

impl<'a> Source<'a> {
    pub fn new(octets: &'a [u8]) -> Self {
        Self { octets, taken: 0, hashed: 0 }
    }

    /// Octets that were taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    fn take(&mut self, bytes_max: usize) -> &'a [u8] {
        let rest = &self.octets[self.taken..];
        let taken = &rest[..bytes_max.min(rest.len())];
        self.taken += taken.len();
        taken
    }

    fn settled(&mut self) -> &'a [u8] {
        &self.octets[std::mem::replace(&mut self.hashed, self.taken)..self.taken]
    }
}

struct Signing {
    certificate: Certificate,
    key: PrivateKey,
    hasher: Hasher,
}

impl SignLayer {
    pub fn new(plan: Arc<SealPlan>, key: Option<&PrivateKey>) -> Result<Self, Misuse> {
        let hasher = Hasher::new(plan.terms.suite.hash());
        let signing = plan.signer(key)?.map(|(certificate, key)| Signing { certificate, key, hasher });
        let mut queue = Queue::default();
        if signing.is_some() {
            queue.push(&sign::header(plan.terms.suite)?);
        }
        let total_bytes = sign::total_bytes(&plan.terms)?;
        let is_trailer_queued = signing.is_none();
        Ok(Self { plan, signing, queue, source_at: 0, segment_left: 0, is_trailer_queued, total_bytes })
    }

    pub fn resume(
        plan: Arc<SealPlan>,
        key: Option<&PrivateKey>,
        state: &SignState,
    ) -> Result<Self, CheckpointError> {
        let mut layer = Self::new(plan, key).map_err(|_| CheckpointError::Foreign)?;
        match (&mut layer.signing, &state.hash) {
            (Some(signing), Some(hash)) => {
                signing.hasher = Hasher::resume(hash)?;
                layer.is_trailer_queued = state.is_trailer_queued;
            }
            (None, None) => {}
            _ => return Err(CheckpointError::Foreign),
        }
        let source_bytes = layer.plan.terms.source_bytes;
        if source_bytes.checked_sub(state.source_at).is_none_or(|left| left < state.segment_left) {
            return Err(CheckpointError::Foreign);
        }
        layer.queue = Queue::from_stored(&state.queue);
        layer.source_at = state.source_at;
        layer.segment_left = state.segment_left;
        Ok(layer)
    }

    pub fn state(&self) -> SignState {
        SignState {
            source_at: self.source_at,
            segment_left: self.segment_left,
            hash: self.signing.as_ref().map(|signing| signing.hasher.midstate()),
            queue: self.queue.waiting().to_vec(),
            is_trailer_queued: self.is_trailer_queued,
        }
    }

    /// Octets of the layer from first to last.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub fn source_left(&self) -> u64 {
        self.plan.terms.source_bytes - self.source_at
    }

    pub fn source_at(&self) -> u64 {
        self.source_at
    }

    pub fn is_done(&self) -> bool {
        self.source_left() == 0 && self.queue.is_empty() && self.is_trailer_queued
    }

    /// Takes from `source`, writes to `room`. Nothing written: source is missing, or done. What was taken is owed to
    /// the hash when this returns.
    pub fn pull(&mut self, source: &mut Source<'_>, room: &mut impl Room) -> Result<(), Misuse> {
        loop {
            self.queue.drain_to(room);
            if room.left() == 0 {
                return Ok(());
            }
            if self.segment_left > 0 {
                if self.copy(source, room) == 0 {
                    return Ok(());
                }
            } else if self.source_left() > 0 {
                self.open_segment();
            } else if self.is_trailer_queued {
                return Ok(());
            } else {
                self.settle(source);
                self.queue_trailer()?;
            }
        }
    }

    /// Hashes what is owed.
    pub fn settle(&mut self, source: &mut Source<'_>) {
        if let Some(owed) = self.owed(source) {
            owed.settle();
        }
    }

    /// What is owed to the hash; the caller hashes it. None if nothing is signed.
    pub fn owed<'a, 'b: 'a>(&'a mut self, source: &mut Source<'b>) -> Option<Owed<'a>> {
        let octets = source.settled();
        self.signing.as_mut().map(|signing| Owed { hasher: &mut signing.hasher, octets })
    }

    fn copy(&mut self, source: &mut Source<'_>, room: &mut impl Room) -> usize {
        let left = usize::try_from(self.segment_left).unwrap_or(usize::MAX);
        let taken = source.take(left.min(room.left()));
        let count = taken.len();
        room.put(taken);
        self.segment_left -= count as u64;
        self.source_at += count as u64;
        count
    }

    fn open_segment(&mut self) {
        if self.signing.is_none() {
            self.segment_left = self.source_left();
            return;
        }
        self.segment_left = self.source_left().min(u64::from(self.plan.terms.options.segment_bytes));
        let mut header = Vec::with_capacity(8);
        ber::put_header(&mut header, ber::OCTET_STRING, self.segment_left);
        self.queue.push(&header);
    }

    fn queue_trailer(&mut self) -> Result<(), Misuse> {
        if let Some(signing) = &self.signing {
            let hashed = signing.hasher.clone().finish();
            let trailer = sign::finish(&self.plan.terms, &signing.certificate, &signing.key, &hashed)?;
            self.queue.push(&trailer);
        }
        self.is_trailer_queued = true;
        Ok(())
    }
}
