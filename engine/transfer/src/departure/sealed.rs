//! Sending a file in its envelope.

use std::sync::Arc;

use odile_envelope::{PrivateKey, SealPlan};
use odile_wire::BLOCK_BYTES;
use odile_wire::command::EndFile;
use odile_wire::data::{End, Records};

use super::{CATCH_UP_BYTES, DepartureError, FOREIGN, FillError, Framing, Source};
use crate::checkpoint::{DepartureCheckpoint, DepartureState};
use crate::outgoing::{Filled, Outgoing};
use crate::packed::Compress;
use crate::restart::{RestartUnit, ResumeError};
use crate::staging::{Staging, StagingCheckpoint};
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

    pub fn frame<S: Source>(
        &mut self,
        source: &mut S,
        room: &mut [u8],
        buffers_max: u16,
        compress: &mut dyn Compress,
    ) -> Result<Filled, FillError<S::Error>> {
        while self.staging.wants_source() {
            self.stage(source, compress)?;
        }
        let (octets, end) = self.staging.staged();
        let filled = self.outgoing.fill(octets, end, room, buffers_max).map_err(FillError::Content)?;
        self.staging.used(filled.consumed);
        Ok(filled)
    }

    /// Fills the stage.
    fn stage<S: Source>(
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

fn departure_checkpoint(state: StagingCheckpoint) -> DepartureCheckpoint {
    DepartureCheckpoint {
        source: state.seal.source_position(),
        transmitted: state.seal.transmitted_position(),
        records: state.walk.as_ref().map_or(0, crate::RecordWalk::records),
        state: DepartureState::Sealed(Box::new(state)),
    }
}
