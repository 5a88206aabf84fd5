//! Sending a file as it is.

use odile_envelope::HashAlgorithm;
use odile_wire::command::EndFile;
use odile_wire::data::{Records, SOURCE_WINDOW_BYTES};

use super::{CATCH_UP_BYTES, FOREIGN, FillError, Framing, Source};
use crate::checkpoint::{DepartureCheckpoint, DepartureState};
use crate::outgoing::{Filled, Outgoing};
use crate::record_walk::{PREFIX_BYTES, RecordWalk};
use crate::restart::{ResumeError, unit_bytes};
use crate::witness::{Transmitted, Witness};

pub(super) struct PlainDeparture {
    records: Records,
    outgoing: Outgoing,
    /// Of a V file.
    walk: Option<RecordWalk>,
    watch: Option<Box<Watch>>,
    /// Where catching up ends: records of a V file, octets of others.
    goal: u64,
    /// Nothing was seen of the file yet that shows that it goes up to the position.
    is_unproven: bool,
}

struct Watch {
    now: Witness,
    /// As it was at the last restart position.
    at_restart: Witness,
}

impl PlainDeparture {
    pub fn new(records: Records, algorithm: Option<HashAlgorithm>, framing: Framing) -> Self {
        let watch = algorithm.map(|algorithm| Watch::at(Witness::new(algorithm, records)));
        Self {
            records,
            outgoing: Outgoing::new(records, framing.buffer_size, framing.compression),
            walk: matches!(records, Records::Variable).then(RecordWalk::default),
            watch,
            goal: 0,
            is_unproven: false,
        }
    }

    pub fn resume(
        records: Records,
        algorithm: Option<HashAlgorithm>,
        framing: Framing,
        checkpoint: Option<&DepartureCheckpoint>,
        position: u64,
    ) -> Result<Self, ResumeError> {
        let mut plain = Self::new(records, algorithm, framing);
        plain.goal = match unit_bytes(records) {
            Some(bytes) => position.checked_mul(bytes).ok_or(ResumeError::BeyondEnd { position })?,
            None => position,
        };
        if let Some(checkpoint) = checkpoint {
            plain.restore(checkpoint)?;
        }
        if plain.walk.is_none() && plain.watch.is_none() {
            // Nothing depends on what is before it.
            plain.go_to(plain.goal);
            plain.is_unproven = plain.goal > 0;
        }
        Ok(plain)
    }

    fn restore(&mut self, checkpoint: &DepartureCheckpoint) -> Result<(), ResumeError> {
        let DepartureCheckpoint { source, transmitted, records, state } = checkpoint;
        self.walk = self.walk.as_ref().map(|_| RecordWalk::behind(*records));
        match (state, &mut self.watch) {
            (DepartureState::Plain, None) => {}
            (DepartureState::Watched(state), Some(watch)) => {
                let witness = Witness::resume(state)?;
                let is_same = witness.algorithm() == watch.now.algorithm()
                    && witness.octets() == *transmitted
                    && witness.walk() == self.walk.as_ref();
                if !is_same {
                    return Err(FOREIGN);
                }
                *watch = Watch::at(witness);
            }
            _ => return Err(FOREIGN),
        }
        let lengths = match self.records {
            Records::None | Records::Fixed { .. } => Some(0),
            // Without a record there is nothing before it.
            Records::Variable if *records == 0 && *source > 0 => None,
            Records::Variable => records.checked_mul(PREFIX_BYTES),
        };
        let is_same = lengths.and_then(|lengths| transmitted.checked_add(lengths)) == Some(*source)
            && self.records_at(*source) == *records
            && self.open_octets(*source) == 0;
        if !is_same {
            return Err(FOREIGN);
        }
        self.go_to(*source);
        Ok(())
    }

    /// The source and all counts at a position that the walk, if there is one, has reached.
    fn go_to(&mut self, source: u64) {
        self.outgoing.resume_at(source, self.records_at(source), self.transmitted_at(source));
    }

    pub fn catch_up<S: Source>(&mut self, source: &mut S) -> Result<(), FillError<S::Error>> {
        let mut budget = CATCH_UP_BYTES;
        while budget > 0 && self.is_catching_up() {
            let position = self.outgoing.position();
            let goal = self.goal;
            let left = match self.walk {
                Some(_) => budget,
                None => budget.min(usize::try_from(goal - position).unwrap_or(budget)),
            };
            let mut taken = 0;
            source
                .look(position, 1, &mut |octets, _| {
                    taken = self.follow(octets.get(..left).unwrap_or(octets), goal);
                    self.go_to(position + taken as u64);
                })
                .map_err(FillError::Source)?;
            if taken == 0 {
                return Err(self.beyond_end().into());
            }
            budget = budget.saturating_sub(taken);
        }
        Ok(())
    }

    pub fn frame<S: Source>(
        &mut self,
        source: &mut S,
        room: &mut [u8],
        buffers_max: u16,
    ) -> Result<Filled, FillError<S::Error>> {
        let position = self.outgoing.position();
        if self.is_unproven {
            let mut is_there = false;
            source
                .look(position - 1, 1, &mut |octets, _| is_there = !octets.is_empty())
                .map_err(FillError::Source)?;
            if !is_there {
                return Err(self.beyond_end().into());
            }
            self.is_unproven = false;
        }
        let mut outcome = Ok(Filled { consumed: 0, written: 0, buffers: 0 });
        source
            .look(position, SOURCE_WINDOW_BYTES, &mut |octets, end| {
                outcome = self.outgoing.fill(octets, end, room, buffers_max);
                if let Ok(filled) = &outcome {
                    self.follow_from(position, octets.get(..filled.consumed).unwrap_or_default(), u64::MAX);
                }
            })
            .map_err(FillError::Source)?;
        outcome.map_err(FillError::Content)
    }

    /// Walks over the next octets of the source, not beyond so many records of a V file, and shows them to the
    /// witness. Gives how many were taken.
    fn follow(&mut self, octets: &[u8], records_max: u64) -> usize {
        self.follow_from(self.outgoing.position(), octets, records_max)
    }

    fn follow_from(&mut self, position: u64, octets: &[u8], records_max: u64) -> usize {
        let taken = match &mut self.walk {
            Some(walk) => walk.walk_until(records_max, octets, |_| {}),
            None => octets.len(),
        };
        let open = usize::try_from(self.open_octets(position + taken as u64)).unwrap_or(usize::MAX);
        if let Some(watch) = &mut self.watch {
            watch.see(octets.get(..taken).unwrap_or_default(), open);
        }
        taken
    }

    pub fn checkpoint(&self) -> Option<DepartureCheckpoint> {
        if self.is_unproven {
            return None;
        }
        let source = self.outgoing.position() - self.open_octets(self.outgoing.position());
        let records = self.records_at(source);
        let transmitted = match self.records {
            Records::None | Records::Fixed { .. } => source,
            Records::Variable => source - records * PREFIX_BYTES,
        };
        let state = match &self.watch {
            Some(watch) => DepartureState::Watched(watch.at_restart.state()),
            None => DepartureState::Plain,
        };
        Some(DepartureCheckpoint { source, transmitted, records, state })
    }

    pub fn source_position(&self) -> u64 {
        self.outgoing.position()
    }

    pub fn transmitted_position(&self) -> u64 {
        self.transmitted_at(self.outgoing.position())
    }

    pub fn records(&self) -> u64 {
        self.records_at(self.outgoing.position())
    }

    pub fn is_catching_up(&self) -> bool {
        match &self.walk {
            Some(walk) => walk.records() < self.goal,
            None => self.outgoing.position() < self.goal,
        }
    }

    pub fn is_finished(&self) -> bool {
        self.outgoing.is_finished()
    }

    pub fn end_file(&self) -> EndFile {
        self.outgoing.end_file()
    }

    pub fn transmitted(&self) -> Option<Transmitted> {
        self.watch.as_ref().map(|watch| watch.now.clone().finish())
    }

    /// Octets of the source between the last restart position and this one.
    fn open_octets(&self, position: u64) -> u64 {
        match (&self.walk, unit_bytes(self.records)) {
            (Some(walk), _) => walk.open_octets(),
            (None, Some(bytes)) => position % bytes,
            (None, None) => 0,
        }
    }

    fn records_at(&self, position: u64) -> u64 {
        match self.records {
            Records::None => 0,
            Records::Fixed { size } => position / u64::from(size).max(1),
            Records::Variable => self.walk.as_ref().map_or(0, RecordWalk::records),
        }
    }

    fn transmitted_at(&self, position: u64) -> u64 {
        let Some(walk) = &self.walk else { return position };
        position - walk.records() * PREFIX_BYTES - walk.open_octets().min(PREFIX_BYTES)
    }

    fn beyond_end(&self) -> ResumeError {
        let bytes = unit_bytes(self.records).unwrap_or(1);
        ResumeError::BeyondEnd { position: self.goal / bytes }
    }
}

impl Watch {
    fn at(witness: Witness) -> Box<Self> {
        Box::new(Self { at_restart: witness.clone(), now: witness })
    }

    /// Takes the next octets; the last `open` of what was seen then are behind the last restart position.
    fn see(&mut self, octets: &[u8], open: usize) {
        let Some(closed) = octets.len().checked_sub(open) else { return self.now.see(octets) };
        let (before, behind) = octets.split_at(closed);
        self.now.see(before);
        self.at_restart = self.now.clone();
        self.now.see(behind);
    }
}
