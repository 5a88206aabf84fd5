//! Chance that a seed repeats.

use std::ops::RangeInclusive;

use odile_station::{Pattern, SyntheticContent};

/// Numbers that look random: the same seed gives the same ones.
#[derive(Debug, Clone)]
pub struct Random {
    content: SyntheticContent,
    position: u64,
}

impl Random {
    /// From its first number on.
    pub const fn new(seed: u64) -> Self {
        Self { content: SyntheticContent { pattern: Pattern::Random, seed }, position: 0 }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.content.fill(self.position, &mut octets);
        self.position = self.position.wrapping_add(8);
        u64::from_le_bytes(octets)
    }

    /// The next number within a range.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let count = (range.end() - range.start()).saturating_add(1);
        range.start() + self.number() % count
    }

    /// Yes or no.
    pub fn toss(&mut self) -> bool {
        self.number() & 1 == 1
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// Another order of them.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let other = self.index(end + 1);
            items.swap(end, other);
        }
    }

    fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.number() % count as u64).unwrap_or_default()
    }
}
