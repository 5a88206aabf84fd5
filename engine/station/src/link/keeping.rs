//! The checkpoints of a file while it is sent.
//!
//! ```text
//! block framed ─▶ checkpoint due? ─▶ written to the older slot, synced, while sending goes on
//!              ◀─ not farther than the reach of the one that is durable
//! ```
//!
//! The partner can only have received what may have been sent. So the reach bounds what it can have, and nothing more
//! is offered after a crash.

use odile_transfer::DepartureCheckpoint;
use odile_uring::JoinHandle;

use super::pump::Kept;
use crate::error::StationError;
use crate::options::Options;
use crate::pace::Pace;
use crate::seal_store::StoredDepartures;
use crate::slots::Slots;

pub(super) struct Keeping {
    /// Away while a checkpoint is written; gone if one could not be.
    slots: Option<Slots>,
    stored: StoredDepartures,
    pace: Pace,
    /// So far may be sent.
    reach: u64,
    /// The farthest that a checkpoint lets it be sent beyond itself.
    ahead: u64,
    writing: Option<JoinHandle<(Slots, Result<Written, StationError>)>>,
}

/// A checkpoint that is durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    reach: u64,
    /// Octets of the transmitted file that were sent when it was made.
    pub(super) position: u64,
}

impl Keeping {
    pub(super) fn new(kept: Kept, options: &Options, measured: u64) -> Self {
        let Kept { slots, stored, is_wanted, .. } = kept;
        let ahead = options.checkpoint_bytes.saturating_mul(INTERVALS_AHEAD);
        let reach = if is_wanted { stored.reach } else { u64::MAX };
        let slots = is_wanted.then_some(slots);
        Self { slots, reach, ahead, stored, pace: Pace::new(options, measured), writing: None }
    }

    /// How far the partner said to be when it was asked last.
    pub(super) fn answered(&self) -> u64 {
        self.stored.answered
    }

    pub(super) fn note_answer(&mut self, position: u64) {
        self.stored.answered = position;
    }

    /// Whether a checkpoint should be made now, and can be.
    pub(super) fn is_due(&self, measured: u64) -> bool {
        self.slots.is_some() && self.pace.is_due(measured)
    }

    /// Whether more may be sent before a checkpoint is durable.
    pub(super) fn may_send(&self, measured: u64) -> bool {
        measured < self.reach
    }

    /// True if a checkpoint is being written.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// True if one was being written, and is not any more.
    pub(super) fn has_written(&self) -> bool {
        self.writing.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Begins to write one; without, only the reach grows.
    pub(super) fn begin(&mut self, checkpoint: Option<DepartureCheckpoint>, measured: u64, position: u64) {
        let Some(mut slots) = self.slots.take() else { return };
        if let Some(checkpoint) = checkpoint {
            self.pace.made(measured);
            self.stored.departures.push(checkpoint);
        }
        self.stored.reach = self.reach.max(measured.saturating_add(self.ahead));
        let stored = self.stored.clone();
        self.writing = Some(odile_uring::spawn(async move {
            let written = slots.write(&stored).await;
            (slots, written.map(|()| Written { reach: stored.reach, position }))
        }));
    }

    /// Waits for the one that is being written. An error is told once; then the file goes on without.
    pub(super) async fn settle(&mut self) -> Result<Option<Written>, StationError> {
        let Some(task) = self.writing.take() else { return Ok(None) };
        let (slots, written) = match task.await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        match written {
            Ok(written) => {
                self.slots = Some(slots);
                self.reach = self.reach.max(written.reach);
                Ok(Some(written))
            }
            Err(error) => {
                self.reach = u64::MAX;
                Err(error)
            }
        }
    }
}

/// How many intervals may be sent beyond a checkpoint: a disk that is slow for a moment does not hold up the line.
pub(super) const INTERVALS_AHEAD: u64 = 4;
