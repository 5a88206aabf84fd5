//! When a file that was interrupted is tried again, and when no more: from partner file and station file, the first
//! that says it.

use std::time::Duration;

use serde::Deserialize;

use crate::value::{JitterPercent, RetrySeconds};

/// The `[retry]` table of `station.toml` and of a partner file. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySettings {
    /// Seconds before the first attempt again.
    pub first_seconds: Option<RetrySeconds>,
    /// Seconds before an attempt at most.
    pub longest_seconds: Option<RetrySeconds>,
    /// Attempts in a row that may move nothing before the file is held; 0: no limit.
    pub attempts_max: Option<u32>,
    /// How far a wait may be off by chance, to either side, in percent.
    pub jitter_percent: Option<JitterPercent>,
}

/// What holds for one partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryTerms {
    /// Wait before the first attempt again.
    pub first: Duration,
    /// Longest wait before an attempt, apart from jitter.
    pub longest: Duration,
    /// Attempts in a row that may move nothing before the file is held; none: no limit.
    pub attempts_max: Option<u32>,
    /// How far a wait may be off by chance, to either side, 0 to 100 percent.
    pub jitter: u8,
}

impl RetrySettings {
    /// Takes from `other` what is not set here.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            first_seconds: self.first_seconds.or(other.first_seconds),
            longest_seconds: self.longest_seconds.or(other.longest_seconds),
            attempts_max: self.attempts_max.or(other.attempts_max),
            jitter_percent: self.jitter_percent.or(other.jitter_percent),
        }
    }

    /// The terms, with the defaults for what is not set.
    ///
    /// # Errors
    ///
    /// A sentence, if the settings contradict each other.
    pub fn terms(&self) -> Result<RetryTerms, String> {
        let default = RetryTerms::default();
        let first = self.first_seconds.map_or(default.first, RetrySeconds::duration);
        let longest = self.longest_seconds.map_or(default.longest, RetrySeconds::duration);
        if first > longest {
            return Err(format!(
                "[retry] first_seconds = {} is above longest_seconds = {}",
                first.as_secs(),
                longest.as_secs()
            ));
        }
        Ok(RetryTerms {
            first,
            longest,
            attempts_max: self.attempts_max.filter(|&attempts| attempts > 0),
            jitter: self.jitter_percent.map_or(default.jitter, JitterPercent::percent),
        })
    }
}

/// What holds if nothing is set.
impl Default for RetryTerms {
    fn default() -> Self {
        Self {
            first: DEFAULT_FIRST,
            longest: DEFAULT_LONGEST,
            attempts_max: None,
            jitter: DEFAULT_JITTER_PERCENT,
        }
    }
}

impl RetryTerms {
    /// How long to wait after `fruitless` attempts in a row that moved nothing: `first`, doubled with each of them up
    /// to `longest`, and off by the jitter. `dice` is any random number. Never below half a second.
    pub fn delay(&self, fruitless: u32, dice: u64) -> Duration {
        let wait = self.first.saturating_mul(2_u32.saturating_pow(fruitless)).min(self.longest);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let spread_ms = wait_ms.saturating_mul(u64::from(self.jitter.min(100))) / 100;
        let shift_ms = dice % spread_ms.saturating_mul(2).saturating_add(1);
        // At most all of the wait is taken off it.
        Duration::from_millis((wait_ms - spread_ms).saturating_add(shift_ms)).max(DELAY_MIN)
    }
}

/// A line that is back at once loses little; a partner that restarts takes about so long.
const DEFAULT_FIRST: Duration = Duration::from_secs(5);
/// Soon enough after a night without a line, and no load for anybody.
const DEFAULT_LONGEST: Duration = Duration::from_secs(300);
/// Many files of one outage must not come back all at once.
const DEFAULT_JITTER_PERCENT: u8 = 20;
/// A partner that fails at once is not called in a tight loop.
const DELAY_MIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    /// Without chance.
    const EXACT: RetryTerms = RetryTerms {
        first: Duration::from_secs(5),
        longest: Duration::from_secs(300),
        attempts_max: None,
        jitter: 0,
    };

    #[test]
    fn waits_double_up_to_the_longest() {
        let seconds = |fruitless| EXACT.delay(fruitless, u64::MAX).as_secs();
        let waits: Vec<u64> = (0..9).map(seconds).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        for fruitless in [31, 32, 33, 63, 64, 65, u32::MAX] {
            assert_eq!(seconds(fruitless), 300, "{fruitless}");
        }
    }

    #[test]
    fn chance_reaches_both_ends_and_stays_between_them() {
        // 5 s and 20 percent: 4000 to 6000 ms, each as likely.
        let terms = RetryTerms { jitter: 20, ..EXACT };
        let waits: Vec<u128> = (0..2001).map(|dice| terms.delay(0, dice).as_millis()).collect();
        assert_eq!(waits, (4000..=6000).collect::<Vec<_>>());
        assert_eq!(terms.delay(0, 2001), terms.delay(0, 0));
        assert_eq!(terms.delay(20, 0), Duration::from_secs(240));
        assert_eq!(terms.delay(20, 120_000), Duration::from_secs(360), "off the longest too");
        for dice in [1 << 32, 1 << 63, u64::MAX - 1, u64::MAX] {
            assert!((4000..=6000).contains(&terms.delay(0, dice).as_millis()), "{dice}");
        }
    }

    #[test]
    fn there_is_half_a_second_at_least() {
        let second = Duration::from_secs(1);
        let terms = RetryTerms { first: second, longest: second, jitter: 100, ..EXACT };
        assert_eq!(terms.delay(0, 0), Duration::from_millis(500));
        assert_eq!(terms.delay(0, 500), Duration::from_millis(500));
        assert_eq!(terms.delay(0, 501), Duration::from_millis(501));
        assert_eq!(terms.delay(0, 2000), Duration::from_secs(2));
    }

    #[test]
    fn any_terms_give_a_time() {
        for time in [Duration::ZERO, Duration::MAX] {
            for jitter in [0, 100, u8::MAX] {
                let terms = RetryTerms { first: time, longest: time, jitter, ..EXACT };
                for (fruitless, dice) in [(0, 0), (u32::MAX, u64::MAX)] {
                    assert!(terms.delay(fruitless, dice) >= DELAY_MIN);
                }
            }
        }
    }
}
