//! Sending a file in its envelope.

use std::sync::Arc;

use odile_envelope::seal::LANES_MAX;
use odile_envelope::{PrivateKey, SealPlan};
use odile_wire::BLOCK_BYTES;
use odile_wire::command::EndFile;
use odile_wire::data::{End, Records};

use super::{CATCH_UP_BYTES, DepartureError, FOREIGN, FillError, Framing, Source};
use crate::checkpoint::{DepartureCheckpoint, DepartureState};
use crate::outgoing::{Filled, Outgoing};
use crate::packed::Compress;
use crate::restart::{RestartUnit, ResumeError};
use crate::staging::{Filling, Staging, StagingCheckpoint};
use crate::witness::Transmitted;

pub(super) struct SealedDeparture {
    records: Records,
    source_bytes: u64,
    staging: Staging,
    outgoing: Outgoing,
    /// Octets of the stream to be dropped before the position to go on at.
    skip: u64,
    position: u64,
    /// The newest checkpoint that is good for a position within what was framed, and one for which that is still to
    /// come: what is offered was sent, and is never behind the end of the file.
    reached: Option<DepartureCheckpoint>,
    ahead: Option<DepartureCheckpoint>,
}

impl SealedDeparture {
    pub fn new(
        records: Records,
        plan: Arc<SealPlan>,
        key: Option<&PrivateKey>,
        batch_max: usize,
        framing: Framing,
    ) -> Result<Self, DepartureError> {
        let source_bytes = plan.source_bytes();
        Ok(Self::of(records, source_bytes, Staging::new(plan, key, records, batch_max)?, framing))
    }

    pub fn resume(
        records: Records,
        plan: Arc<SealPlan>,
        key: Option<&PrivateKey>,
        batch_max: usize,
        framing: Framing,
        checkpoint: &DepartureCheckpoint,
    ) -> Result<Self, ResumeError> {
        let DepartureState::Sealed(state) = &checkpoint.state else { return Err(FOREIGN) };
        if departure_checkpoint(state.as_ref().clone()) != *checkpoint {
            return Err(FOREIGN);
        }
        let source_bytes = plan.source_bytes();
        let staging = Staging::resume(plan, key, records, batch_max, state)?;
        let mut sealed = Self::of(records, source_bytes, staging, framing);
        sealed.outgoing.resume_at(0, 0, checkpoint.transmitted);
        sealed.reached = Some(checkpoint.clone());
        Ok(sealed)
    }

    fn of(records: Records, source_bytes: u64, staging: Staging, framing: Framing) -> Self {
        Self {
            records,
            source_bytes,
            staging,
            outgoing: Outgoing::new(Records::None, framing.buffer_size, framing.compression),
            skip: 0,
            position: 0,
            reached: None,
            ahead: None,
        }
    }

    /// Drops everything before a restart position.
    pub fn skipping_to(mut self, position: u64) -> Result<Self, ResumeError> {
        let octets = position.checked_mul(BLOCK_BYTES).ok_or(ResumeError::BeyondEnd { position })?;
        self.position = position;
        self.skip = octets.checked_sub(self.transmitted_position()).ok_or(FOREIGN)?;
        self.outgoing.resume_at(0, 0, octets);
        Ok(self)
    }

    pub fn catch_up<S: Source>(
        &mut self,
        source: &mut S,
        compress: &mut dyn Compress,
    ) -> Result<(), FillError<S::Error>> {
        let from = self.staging.source_position();
        let budget = CATCH_UP_BYTES as u64;
        let mut dropped = 0;
        while self.skip > 0 && dropped < budget && self.staging.source_position() - from < budget {
            if self.staging.wants_source() {
                self.stage(source, compress)?;
            }
            let (octets, end) = self.staging.staged();
            let (octets, is_over) = (octets.len(), matches!(end, End::Reached));
            let skipped = octets.min(usize::try_from(self.skip).unwrap_or(octets));
            self.staging.used(skipped);
            self.skip -= skipped as u64;
            dropped += skipped as u64;
            if self.skip > 0 && skipped == octets && is_over {
                return Err(ResumeError::BeyondEnd { position: self.position }.into());
            }
        }
        Ok(())
    }

    /// Whether there is too little in the stage to go on framing.
    pub fn wants_source(&self) -> bool {
        self.staging.wants_source()
    }

    /// Whether [`stage_together`] is faster than one after the other.
    pub fn weaves(&self) -> bool {
        self.staging.weaves()
    }

    /// Whether it pays to fill the stage although nobody waits for that: beside another one that is filled.
    pub fn may_be_staged(&self) -> bool {
        self.staging.weaves() && !self.is_catching_up() && self.staging.room() >= WORTH_STAGING_BYTES
    }

    /// Frames what is staged.
    pub fn frame<E>(&mut self, room: &mut [u8], buffers_max: u16) -> Result<Filled, FillError<E>> {
        let (octets, end) = self.staging.staged();
        let filled = self.outgoing.fill(octets, end, room, buffers_max).map_err(FillError::Content)?;
        self.staging.used(filled.consumed);
        Ok(filled)
    }

    /// Fills the stage.
    pub fn stage<S: Source>(
        &mut self,
        source: &mut S,
        compress: &mut dyn Compress,
    ) -> Result<(), FillError<S::Error>> {
        self.keep();
        let mut outcome = Ok(());
        source
            .look(self.staging.source_position(), 1, &mut |octets, end| {
                // What compresses well takes all that it is given.
                let (octets, end) = match octets.get(..CATCH_UP_BYTES) {
                    Some(first) if first.len() < octets.len() => (first, End::More),
                    _ => (octets, end),
                };
                outcome = self.staging.fill(octets, end, compress);
            })
            .map_err(FillError::Source)?;
        Ok(outcome?)
    }

    /// Takes a checkpoint, unless the last one still lies ahead.
    fn keep(&mut self) {
        if self.ahead.as_ref().is_some_and(|ahead| self.has_reached(ahead)) {
            self.reached = self.ahead.take();
        }
        if self.ahead.is_none() {
            self.ahead = self.staging.checkpoint().map(departure_checkpoint);
        }
    }

    fn has_reached(&self, checkpoint: &DepartureCheckpoint) -> bool {
        let position = checkpoint.restart_position(RestartUnit::Blocks);
        position.checked_mul(BLOCK_BYTES).is_some_and(|octets| octets <= self.transmitted_position())
    }

    pub fn checkpoint(&self) -> Option<DepartureCheckpoint> {
        let ahead = self.ahead.as_ref().filter(|ahead| self.has_reached(ahead));
        ahead.or(self.reached.as_ref()).cloned()
    }

    pub fn source_position(&self) -> u64 {
        self.staging.source_position()
    }

    pub fn transmitted_position(&self) -> u64 {
        self.outgoing.end_file().unit_count - self.skip
    }

    pub fn records(&self) -> u64 {
        self.staging.records()
    }

    pub fn is_catching_up(&self) -> bool {
        self.skip > 0
    }

    pub fn is_finished(&self) -> bool {
        self.outgoing.is_finished()
    }

    pub fn end_file(&self) -> EndFile {
        let record_count = match self.records {
            Records::None => 0,
            Records::Fixed { size } => self.source_bytes.div_ceil(u64::from(size).max(1)),
            Records::Variable => self.staging.records(),
        };
        EndFile { record_count, ..self.outgoing.end_file() }
    }

    pub fn transmitted(&self) -> Option<Transmitted> {
        self.staging.transmitted()
    }
}

/// Fills the stages of several files without compression, whose ciphers run in one loop. An error is that of one file
/// only.
pub(super) fn stage_together<S: Source>(
    mut files: [Option<(&mut SealedDeparture, &mut S)>; LANES_MAX],
) -> [Result<(), FillError<S::Error>>; LANES_MAX] {
    files.iter_mut().flatten().for_each(|(sealed, _)| sealed.keep());
    let mut outcomes = [const { Ok(()) }; LANES_MAX];
    // One source at a time can be looked at, so that what goes together is copied first.
    let mut pieces: [_; LANES_MAX] = std::array::from_fn(|at| Piece::new(files[at].is_some()));
    while files.iter().any(Option::is_some) {
        for ((file, piece), outcome) in files.iter_mut().zip(&mut pieces).zip(&mut outcomes) {
            if let Some((sealed, source)) = file
                && let Err(error) = piece.read(*source, sealed.staging.source_position())
            {
                (*outcome, *file) = (Err(FillError::Source(error)), None);
            }
        }
        let before = files.each_ref().map(|file| file.as_ref().map(|(sealed, _)| sealed.staging.room()));
        let mut left = files.iter_mut().zip(&pieces);
        let staged = Filling::run(std::array::from_fn(|_| {
            let (file, piece) = left.next()?;
            let (sealed, _) = file.as_mut()?;
            Some(Filling::new(&mut sealed.staging, piece.octets(), piece.end))
        }));
        for (((file, outcome), staged), before) in files.iter_mut().zip(&mut outcomes).zip(staged).zip(before)
        {
            let room = file.as_ref().map(|(sealed, _)| sealed.staging.room());
            if let Err(error) = staged {
                (*outcome, *file) = (Err(error.into()), None);
            } else if room == Some(0) || room == before {
                *file = None;
            }
        }
    }
    outcomes
}

/// Some of a source, copied.
struct Piece {
    room: Vec<u8>,
    length: usize,
    end: End,
}

impl Piece {
    fn new(is_wanted: bool) -> Self {
        Self { room: vec![0; if is_wanted { PIECE_BYTES } else { 0 }], length: 0, end: End::More }
    }

    fn read<S: Source>(&mut self, source: &mut S, position: u64) -> Result<(), S::Error> {
        let Self { room, length, end } = self;
        source.look(position, 1, &mut |octets, reached| {
            *length = octets.len().min(room.len());
            if let (Some(room), Some(octets)) = (room.get_mut(..*length), octets.get(..*length)) {
                room.copy_from_slice(octets);
            }
            *end = if *length == octets.len() { reached } else { End::More };
        })
    }

    fn octets(&self) -> &[u8] {
        self.room.get(..self.length).unwrap_or_default()
    }
}

/// What fits into the nearest caches for all of them.
const PIECE_BYTES: usize = 16 * 1024;
/// Less room than this waits until more of the stage is used up.
const WORTH_STAGING_BYTES: usize = 256 * 1024;

fn departure_checkpoint(state: StagingCheckpoint) -> DepartureCheckpoint {
    DepartureCheckpoint {
        source: state.seal.source_position(),
        transmitted: state.seal.transmitted_position(),
        records: state.walk.as_ref().map_or(0, crate::RecordWalk::records),
        state: DepartureState::Sealed(Box::new(state)),
    }
}
