//! The octets of synthetic files, each a function of pattern, seed and position.
//!
//! They are made in cells of 64 octets; only the first and the last cell of a stretch are cut.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::synthetic::text;

/// What synthetic content looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// No compressor makes it smaller.
    Random,
    /// Lines like those of a STEP file (ISO 10303-21), of which deflate leaves about a third.
    Text,
    /// The first 16 MiB of [`Pattern::Text`], again and again: who is moved by as much sees the same. For rehearsals
    /// that jump to a place that nobody waits for.
    Periodic,
    /// Nothing but zeros, as in the holes of a sparse file. There is one such content: its seed is 0.
    Zeros,
}

/// Endless content. Position 0 follows the last one, `u64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SyntheticContent {
    /// What it looks like.
    pub pattern: Pattern,
    /// Which of all that look like this.
    pub seed: u64,
}

pub(super) type Cell = [u8; CELL_BYTES];

impl Pattern {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Text => "text",
            Self::Periodic => "periodic",
            Self::Zeros => "zeros",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Random, Self::Text, Self::Periodic, Self::Zeros];
        all.into_iter().find(|pattern| pattern.name() == name)
    }

    pub(super) fn number(self) -> u64 {
        match self {
            Self::Random => 0,
            Self::Text => 1,
            Self::Periodic => 2,
            Self::Zeros => 3,
        }
    }
}

impl SyntheticContent {
    /// Octets after which [`Pattern::Periodic`] begins again.
    pub const PERIOD_BYTES: u64 = 16 * 1024 * 1024;

    /// Fills `out` with the content from `position` on.
    pub fn fill(&self, position: u64, out: &mut [u8]) {
        let seed = self.seed;
        // One loop for each pattern, without a choice inside.
        match self.pattern {
            Pattern::Random => fill_cells(position, out, |index| random_cell(seed, index)),
            Pattern::Text => fill_cells(position, out, |index| text::cell(seed, index)),
            Pattern::Periodic => {
                let Some(period) = period(seed) else {
                    return fill_cells(position, out, |index| text::cell(seed, index % PERIOD_CELLS));
                };
                walk_period(&period, position, out.len(), |range, part| {
                    if let Some(out) = out.get_mut(range) {
                        out.copy_from_slice(part);
                    }
                    true
                });
            }
            Pattern::Zeros => out.fill(0),
        }
    }

    fn is_periodic(&self, position: u64, octets: &[u8]) -> bool {
        period(self.seed).is_some_and(|period| {
            walk_period(&period, position, octets.len(), |range, part| octets.get(range) == Some(part))
        })
    }

    /// Tells whether `octets` are the content from `position` on.
    ///
    /// # Errors
    ///
    /// The position, in the content, of the first octet that differs.
    pub fn check(&self, position: u64, octets: &[u8]) -> Result<(), u64> {
        if self.pattern == Pattern::Periodic && self.is_periodic(position, octets) {
            return Ok(());
        }
        let mut buffer = [0; CHECKED_BYTES];
        let mut position = position;
        for part in octets.chunks(CHECKED_BYTES) {
            let expected = buffer.get_mut(..part.len()).unwrap_or_default();
            self.fill(position, expected);
            if expected != part {
                let equal = part.iter().zip(&*expected).take_while(|(octet, expected)| octet == expected);
                return Err(position.wrapping_add(equal.count() as u64));
            }
            position = position.wrapping_add(part.len() as u64);
        }
        Ok(())
    }
}

/// The period of [`Pattern::Periodic`]. It is kept, so that this content costs no more than a copy: what measures a line
/// must not measure its own text. None: too many are kept already.
fn period(seed: u64) -> Option<Arc<[u8]>> {
    let mut kept = PERIODS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, period)) = kept.iter().find(|(known, _)| *known == seed) {
        return Some(Arc::clone(period));
    }
    if kept.len() >= PERIODS_MAX {
        return None;
    }
    let mut octets = vec![0; usize::try_from(SyntheticContent::PERIOD_BYTES).unwrap_or_default()];
    fill_cells(0, &mut octets, |index| text::cell(seed, index));
    let period: Arc<[u8]> = octets.into();
    kept.push((seed, Arc::clone(&period)));
    Some(period)
}

/// Calls `see` with each stretch of the content that lies in one period, and where it belongs, until it says no.
fn walk_period(
    period: &[u8],
    position: u64,
    length: usize,
    mut see: impl FnMut(Range<usize>, &[u8]) -> bool,
) -> bool {
    let mut at = 0;
    // Positions wrap around at a multiple of the period.
    let mut from = usize::try_from(position % SyntheticContent::PERIOD_BYTES).unwrap_or_default();
    while at < length {
        let rest = period.get(from..).unwrap_or_default();
        let part = rest.get(..rest.len().min(length - at)).unwrap_or_default();
        if part.is_empty() || !see(at..at + part.len(), part) {
            return false;
        }
        at += part.len();
        from = 0;
    }
    true
}

fn fill_cells(position: u64, out: &mut [u8], cell: impl Fn(u64) -> Cell) {
    let mut index = position / CELL_BYTES as u64;
    let skipped = usize::try_from(position % CELL_BYTES as u64).unwrap_or_default();
    let mut out = out;
    if skipped > 0 {
        let first = out.split_off_mut(..out.len().min(CELL_BYTES - skipped)).unwrap_or_default();
        copy(cell(index).get(skipped..).unwrap_or_default(), first);
        index = after(index);
    }
    let (whole, last) = out.as_chunks_mut();
    for place in whole {
        *place = cell(index);
        index = after(index);
    }
    if !last.is_empty() {
        copy(&cell(index), last);
    }
}

fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

fn after(index: u64) -> u64 {
    (index + 1) % CELLS
}

fn random_cell(seed: u64, index: u64) -> Cell {
    let mut cell = [0; CELL_BYTES];
    for (place, word) in cell.as_chunks_mut().0.iter_mut().zip(index * WORDS_IN_CELL..) {
        *place = random_word(seed, word).to_le_bytes();
    }
    cell
}

/// Number `index`, from 0, of what SplitMix64 gives for a seed (Steele, Lea, Flood: Fast Splittable Pseudorandom
/// Number Generators, 2014, with the constants of Vigna's splitmix64.c).
pub(super) fn random_word(seed: u64, index: u64) -> u64 {
    let state = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A power of two, so that the positions of `u64` are a whole number of cells.
pub(super) const CELL_BYTES: usize = 64;
/// How many there are before position 0 comes again.
pub(super) const CELLS: u64 = u64::MAX / CELL_BYTES as u64 + 1;
const PERIOD_CELLS: u64 = SyntheticContent::PERIOD_BYTES / CELL_BYTES as u64;
/// It goes on evenly where position 0 comes again.
const _: () = assert!(CELLS.is_multiple_of(PERIOD_CELLS));
const WORDS_IN_CELL: u64 = CELL_BYTES as u64 / 8;
/// Stays in the first-level cache.
const CHECKED_BYTES: usize = 4096;
/// Periods that are kept, with their seeds: a process rarely needs more than one.
static PERIODS: Mutex<Vec<(u64, Arc<[u8]>)>> = Mutex::new(Vec::new());
const PERIODS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Pattern; 4] = [Pattern::Random, Pattern::Text, Pattern::Periodic, Pattern::Zeros];
    /// The beginning, odd places, beyond what OFTP2 can express, the last octets, and around the end.
    const PLACES: [u64; 8] = [
        0,
        61,
        SyntheticContent::PERIOD_BYTES - 300,
        u32::MAX as u64 - 5,
        9_200_000_000_000_001,
        1 << 63,
        u64::MAX - 599,
        u64::MAX - 299,
    ];

    /// The octet at a position, by the definition and one at a time.
    fn octet(content: SyntheticContent, position: u64) -> u8 {
        match content.pattern {
            Pattern::Random => random_word(content.seed, position / 8).to_le_bytes()[(position % 8) as usize],
            Pattern::Text => {
                text::tests::line(content.seed, position / 64).as_bytes()[(position % 64) as usize]
            }
            Pattern::Periodic => {
                octet(SyntheticContent { pattern: Pattern::Text, ..content }, position % (16 << 20))
            }
            Pattern::Zeros => 0,
        }
    }

    #[test]
    fn words_are_those_of_splitmix64() {
        // The first five for seed 1234567, as published with other implementations.
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([0, 1, 2, 3, 4].map(|index| random_word(1_234_567, index)), published);
        let mut out = [0; 40];
        SyntheticContent { pattern: Pattern::Random, seed: 1_234_567 }.fill(0, &mut out);
        assert_eq!(out[..], published.map(u64::to_le_bytes).concat());
    }

    #[test]
    fn any_slicing_gives_the_same_octets() {
        for (pattern, place) in ALL.into_iter().flat_map(|pattern| PLACES.map(|place| (pattern, place))) {
            let content = SyntheticContent { pattern, seed: place ^ 7 };
            let expected: Vec<u8> =
                (0..600).map(|offset| octet(content, place.wrapping_add(offset))).collect();
            for start in 0..=130 {
                for length in [0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 300, 469] {
                    let mut out = vec![0xEE; length];
                    content.fill(place.wrapping_add(start as u64), &mut out);
                    assert_eq!(out, expected[start..start + length], "{pattern:?} {place} {start} {length}");
                }
            }
        }
    }

    #[test]
    fn the_first_wrong_octet_is_found_wherever_it_is() {
        const LENGTH: usize = 2 * CHECKED_BYTES + 100;
        let places = PLACES.into_iter().chain([u64::MAX - LENGTH as u64 + 1]);
        for (place, pattern) in places.flat_map(|place| ALL.map(|pattern| (place, pattern))) {
            let content = SyntheticContent { pattern, seed: 3 };
            let mut octets = vec![0; LENGTH];
            content.fill(place, &mut octets);
            assert_eq!(content.check(place, &octets), Ok(()));
            assert_eq!(content.check(place, &[]), Ok(()));
            let edges = [0, 1, 2].map(|part| part * CHECKED_BYTES);
            let near_edges = edges.iter().flat_map(|edge| [edge.saturating_sub(1), *edge, edge + 1]);
            for wrong in near_edges.chain((0..LENGTH).step_by(97)).chain([LENGTH - 1]) {
                octets[wrong] ^= 0x10;
                // A later one does not hide it.
                octets[LENGTH - 1] ^= 0x01;
                assert_eq!(content.check(place, &octets), Err(place.wrapping_add(wrong as u64)));
                octets[LENGTH - 1] ^= 0x01;
                octets[wrong] ^= 0x10;
            }
            let is_everywhere_alike = pattern == Pattern::Zeros;
            assert_eq!(content.check(place.wrapping_add(1), &octets).is_ok(), is_everywhere_alike);
            let other = SyntheticContent { seed: 4, ..content };
            assert_eq!(other.check(place, &octets).is_ok(), is_everywhere_alike);
        }
    }

    #[test]
    fn deflate_would_leave_all_of_random_and_a_third_or_so_of_text() {
        for place in PLACES {
            let left = |pattern| {
                let mut octets = vec![0; usize::from(u16::MAX)];
                SyntheticContent { pattern, seed: 11 }.fill(place, &mut octets);
                left_by_a_compressor(&octets)
            };
            let (random, text) = (left(Pattern::Random), left(Pattern::Text));
            assert!(random > 0.99, "{random} at {place}");
            assert!((0.25..0.5).contains(&text), "{text} at {place}");
        }
    }

    #[test]
    fn only_periodic_content_is_the_same_a_period_farther_and_no_other_step() {
        for place in [0, 61, 9_200_000_000_000_001] {
            let mut octets = vec![0; 300];
            for (pattern, is_same) in [(Pattern::Periodic, true), (Pattern::Text, false)] {
                let content = SyntheticContent { pattern, seed: 7 };
                content.fill(place, &mut octets);
                for periods in [1, 3, 548_000_000] {
                    let farther = place + periods * SyntheticContent::PERIOD_BYTES;
                    assert_eq!(content.check(farther, &octets).is_ok(), is_same, "{pattern:?} {periods}");
                }
                for step in [64, 1024, 1 << 20, 8 << 20, 24 << 20] {
                    assert!(content.check(place + step, &octets).is_err(), "{pattern:?} {step}");
                }
            }
        }
    }

    /// About what LZ77 with an entropy code leaves: literals at their entropy, repetitions at 20 bits.
    fn left_by_a_compressor(octets: &[u8]) -> f64 {
        let mut last_seen = std::collections::HashMap::new();
        let (mut literals, mut repetitions, mut at) = ([0_u32; 256], 0_u32, 0);
        while at + 4 <= octets.len() {
            let before = last_seen.insert(&octets[at..at + 4], at);
            if let Some(before) = before.filter(|before| at - before <= 32 * 1024) {
                repetitions += 1;
                let repeated = octets[at..].iter().zip(&octets[before..]).take_while(|(a, b)| a == b);
                at += repeated.count();
            } else {
                literals[usize::from(octets[at])] += 1;
                at += 1;
            }
        }
        let total = f64::from(literals.iter().sum::<u32>());
        let bits_of = |&count: &u32| f64::from(count) * (total / f64::from(count)).log2();
        let bits: f64 = literals.iter().filter(|&&count| count > 0).map(bits_of).sum();
        (bits + 20.0 * f64::from(repetitions)) / (8.0 * f64::from(u16::try_from(octets.len()).unwrap()))
    }
}
