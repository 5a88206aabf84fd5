//! The one timer of a session: for inactivity, and, after ESID, for the disconnection.
//!
//! It only compares instants that the caller passes in.

use std::time::{Duration, Instant};

/// How long a session waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// For any command of the peer or of the User Monitor. A peer may check a large file between EFID and EFPA,
    /// so that anything below a few minutes breaks off healthy sessions.
    pub inactivity: Duration,
    /// For the peer to disconnect after our ESID (state WF_NDISC).
    pub disconnect: Duration,
}

impl Timers {
    /// Inactivity unless configured otherwise: 180 s, as other products do (the RFC gives no value for TCP).
    pub const INACTIVITY_DEFAULT: Duration = Duration::from_secs(180);
    /// Disconnection unless configured otherwise: 5 s, enough to get an ESID across.
    pub const DISCONNECT_DEFAULT: Duration = Duration::from_secs(5);
}

impl Default for Timers {
    fn default() -> Self {
        Self { inactivity: Self::INACTIVITY_DEFAULT, disconnect: Self::DISCONNECT_DEFAULT }
    }
}

/// The running timer.
#[derive(Debug)]
pub(crate) struct Timer {
    timers: Timers,
    deadline: Option<Instant>,
}

impl Timer {
    pub(crate) const fn new(timers: Timers) -> Self {
        Self { timers, deadline: None }
    }

    pub(crate) const fn set_inactivity(&mut self, inactivity: Duration) {
        self.timers.inactivity = inactivity;
    }

    /// An instant beyond what the clock can express means that there is no deadline.
    pub(crate) fn start_inactivity(&mut self, now: Instant) {
        self.deadline = now.checked_add(self.timers.inactivity);
    }

    pub(crate) fn start_disconnect(&mut self, now: Instant) {
        self.deadline = now.checked_add(self.timers.disconnect);
    }

    pub(crate) fn stop(&mut self) {
        self.deadline = None;
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn has_passed(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    pub(crate) const fn inactivity(&self) -> Duration {
        self.timers.inactivity
    }
}
