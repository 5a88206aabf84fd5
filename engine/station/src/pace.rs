//! How often checkpoints are made.

use std::time::{Duration, Instant};

use crate::options::Options;

/// Tells when the next checkpoint is due: after so many octets, or so much time with any.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    bytes: u64,
    time: Duration,
    position: u64,
    at: Instant,
}

impl Pace {
    /// From a position on, where there is one now.
    pub(crate) fn new(options: &Options, position: u64) -> Self {
        Self { bytes: options.checkpoint_bytes, time: options.checkpoint_time, position, at: Instant::now() }
    }

    /// Whether one should be made at this position.
    pub(crate) fn is_due(&self, position: u64) -> bool {
        let moved = position.saturating_sub(self.position);
        moved >= self.bytes || (moved > 0 && self.at.elapsed() >= self.time)
    }

    /// One was made.
    pub(crate) fn made(&mut self, position: u64) {
        (self.position, self.at) = (position, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(bytes: u64, time: Duration) -> Pace {
        Pace::new(&Options { checkpoint_bytes: bytes, checkpoint_time: time, ..Options::default() }, 1000)
    }

    #[test]
    fn is_due_after_so_many_octets_and_again_after_as_many() {
        let mut pace = pace(100, Duration::MAX);
        assert!(!pace.is_due(1099));
        assert!(pace.is_due(1100));
        pace.made(1150);
        assert!(!pace.is_due(1249) && pace.is_due(1250));
    }

    #[test]
    fn is_due_after_some_time_but_not_if_nothing_has_moved() {
        let pace = pace(u64::MAX, Duration::ZERO);
        assert!(pace.is_due(1001));
        assert!(!pace.is_due(1000));
    }
}
