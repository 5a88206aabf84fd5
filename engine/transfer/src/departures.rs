//! The checkpoints of a sender that are kept: whatever lower position a peer answers, one is near.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::checkpoint::DepartureCheckpoint;
use crate::restart::RestartUnit;

/// Checkpoints of one file that are kept.
///
/// With 64, a gap that is left when one is dropped is at most 0.6 of the way from its lower end to the newest, even if
/// that way is 2^40 times as long as the shortest step; from then on the way grows, and the gap does not.
pub const DEPARTURES_MAX: usize = 64;

/// A sender's checkpoints, oldest first: the newest ones, and older ones ever farther apart. The start of the source
/// needs none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departures {
    pub(crate) checkpoints: Vec<DepartureCheckpoint>,
}

impl Departures {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a checkpoint as the newest. Others at its place or behind it are of an attempt that got farther: they go.
    pub fn push(&mut self, checkpoint: DepartureCheckpoint) {
        let place = place(&checkpoint);
        self.checkpoints.retain(|kept| self::place(kept) < place);
        self.checkpoints.push(checkpoint);
        while self.checkpoints.len() > DEPARTURES_MAX {
            self.thin_out();
        }
    }

    /// The newest.
    pub fn newest(&self) -> Option<&DepartureCheckpoint> {
        self.checkpoints.last()
    }

    /// The newest that is good for a restart position.
    pub fn at_or_below(&self, unit: RestartUnit, position: u64) -> Option<&DepartureCheckpoint> {
        self.checkpoints.iter().rev().find(|checkpoint| checkpoint.restart_position(unit) <= position)
    }

    /// How many there are: at most [`DEPARTURES_MAX`].
    pub fn len(&self) -> usize {
        self.checkpoints.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.checkpoints.is_empty()
    }

    /// Drops the one whose absence leaves the smallest gap, in proportion to how far back it is.
    fn thin_out(&mut self) {
        let Some(newest) = self.newest().map(|newest| newest.source) else { return };
        let source = |at: usize| self.checkpoints.get(at).map_or(newest, |checkpoint| checkpoint.source);
        // The gap, and how far its lower end is behind the newest. Both in octets of the source: that is what must be
        // gone through again.
        let gap = |at: usize| {
            let lower = if at == 0 { 0 } else { source(at - 1) };
            let behind = newest.saturating_sub(lower).max(1);
            (u128::from(source(at + 1).saturating_sub(lower)), u128::from(behind))
        };
        let smaller = |one: &usize, other: &usize| -> Ordering {
            let ((gap_one, behind_one), (gap_other, behind_other)) = (gap(*one), gap(*other));
            (gap_one * behind_other).cmp(&(gap_other * behind_one))
        };
        // Never the newest.
        if let Some(at) = (0..self.checkpoints.len() - 1).min_by(smaller) {
            self.checkpoints.remove(at);
        }
    }
}

/// V files can have empty records, sealed streams a header: the source, or what is transmitted, may stand still.
fn place(checkpoint: &DepartureCheckpoint) -> (u64, u64) {
    (checkpoint.source, checkpoint.transmitted)
}
