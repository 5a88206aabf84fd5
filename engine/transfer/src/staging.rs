//! A sealed file on its way out: the source becomes the transmitted stream, staged until it is framed.

use std::sync::Arc;

use odile_envelope::seal::{LANES_MAX, Push, SealProgress};
use odile_envelope::{CheckpointError, Misuse, PrivateKey, SealCheckpoint, SealPlan, Sealer, Services};
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
    /// Its ciphers wait for themselves.
    weaves: bool,
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
        let services = plan.services();
        let way = if services.compress {
            Way::Packed(Box::new(Packed::new(plan, key, batch_max)?))
        } else {
            Way::Direct(Box::new(Sealer::new(plan, key)?))
        };
        let walk = has_walk(records).then(RecordWalk::default);
        Ok(Self::of(services, way, walk, 0))
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
        let services = plan.services();
        let way = if services.compress {
            Way::Packed(Box::new(Packed::resume(plan, key, batch_max, checkpoint)?))
        } else {
            Way::Direct(Box::new(Sealer::resume(plan, key, seal)?))
        };
        Ok(Self::of(services, way, walk.clone(), seal.source_position()))
    }

    fn of(services: Services, way: Way, walk: Option<RecordWalk>, source_position: u64) -> Self {
        let weaves = services.encrypt && !services.compress;
        Self { way, weaves, walk, source_position, octets: vec![0; STAGED_BYTES], start: 0, end: 0 }
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
        if matches!(self.way, Way::Direct(_)) {
            let filling = Filling::new(self, source, end);
            let [outcome, ..] = Filling::run([Some(filling), None, None, None]);
            return outcome;
        }
        let mut filling = Filling::new(self, source, end);
        while filling.wants() {
            let Staging { way: Way::Packed(packed), walk, octets, end, .. } = &mut *filling.staging else {
                break;
            };
            let room = octets.get_mut(*end..).unwrap_or_default();
            match packed.step(filling.rest, room, walk, compress) {
                Ok((consumed, written)) => filling.advance(consumed, written),
                Err(error) => filling.stop(error),
            }
        }
        filling.outcome
    }

    /// Whether [`Filling::run`] is faster with this one among others.
    pub(crate) fn weaves(&self) -> bool {
        self.weaves
    }

    /// Octets that it can take before it is full.
    pub(crate) fn room(&self) -> usize {
        if self.is_done() { 0 } else { self.octets.len() - (self.end - self.start) }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.octets.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    fn source_left(&self) -> u64 {
        match &self.way {
            Way::Direct(sealer) => sealer.source_left(),
            Way::Packed(packed) => packed.source_left(),
        }
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

/// A stage that is filled from the front of what there is of its source, and how that ended.
pub(crate) struct Filling<'a> {
    staging: &'a mut Staging,
    rest: &'a [u8],
    end: End,
    outcome: Result<(), StagingError>,
    is_over: bool,
}

impl<'a> Filling<'a> {
    /// `end`: whether `source` reaches to the end of the file.
    pub fn new(staging: &'a mut Staging, source: &'a [u8], end: End) -> Self {
        staging.make_room();
        Self { staging, rest: source, end, outcome: Ok(()), is_over: false }
    }

    /// Fills stages without compression, all at a time.
    pub fn run(mut fillings: [Option<Self>; LANES_MAX]) -> [Result<(), StagingError>; LANES_MAX] {
        loop {
            let pushes = fillings.each_mut().map(|filling| filling.as_mut().and_then(Self::push));
            if pushes.iter().all(Option::is_none) {
                return fillings.map(|filling| filling.map_or(Ok(()), |filling| filling.outcome));
            }
            let progress = Sealer::push_together(pushes);
            for (filling, progress) in fillings.iter_mut().zip(progress) {
                let Some(filling) = filling.as_mut().filter(|filling| !filling.is_over) else { continue };
                match progress {
                    Ok(SealProgress { consumed, written }) => {
                        let taken = filling.rest.get(..consumed).unwrap_or_default();
                        if let Some(walk) = &mut filling.staging.walk {
                            walk.walk(taken, |_| {});
                        }
                        filling.advance(consumed, written);
                    }
                    Err(misuse) => filling.stop(misuse.into()),
                }
            }
        }
    }

    fn push(&mut self) -> Option<Push<'_>> {
        if !self.wants() {
            self.is_over = true;
            return None;
        }
        let Staging { way: Way::Direct(sealer), octets, end, .. } = &mut *self.staging else { return None };
        Some(Push { sealer, source: self.rest, out: octets.get_mut(*end..).unwrap_or_default() })
    }

    /// Whether there is room, and something to fill it with.
    fn wants(&mut self) -> bool {
        let has_source = !self.rest.is_empty() || self.reaches_end();
        if self.is_over || !has_source || self.staging.is_done() {
            return false;
        }
        if self.rest.is_empty()
            && matches!(self.staging.way, Way::Direct(_))
            && self.staging.source_left() > 0
        {
            self.stop(self.too_short());
            return false;
        }
        self.staging.end < self.staging.octets.len()
    }

    fn reaches_end(&self) -> bool {
        matches!(self.end, End::Reached)
    }

    fn advance(&mut self, consumed: usize, written: usize) {
        self.rest = self.rest.get(consumed..).unwrap_or_default();
        self.staging.source_position += consumed as u64;
        let is_used_up = self.rest.is_empty() && self.reaches_end();
        if is_used_up && self.staging.walk.as_ref().is_some_and(|walk| !walk.is_whole()) {
            return self.stop(StagingError::OpenRecord);
        }
        self.staging.end += written;
        if consumed + written == 0 {
            if is_used_up && !self.staging.is_done() {
                return self.stop(self.too_short());
            }
            self.is_over = true;
        }
    }

    fn stop(&mut self, error: StagingError) {
        (self.outcome, self.is_over) = (Err(error), true);
    }

    fn too_short(&self) -> StagingError {
        let expected = self.staging.source_position + self.staging.source_left();
        Misuse::SourceLength { expected }.into()
    }
}

/// Only what stands behind its length must be walked over to be counted.
fn has_walk(records: Records) -> bool {
    matches!(records, Records::Variable)
}

/// What is left when more is wanted moves to the front: a stage of several windows makes that rare.
const STAGED_BYTES: usize = 1024 * 1024;
const _: () = assert!(STAGED_BYTES >= 2 * SOURCE_WINDOW_BYTES);
