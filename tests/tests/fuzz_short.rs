//! The fuzz targets for a moment in every test run: all seeds, then mutations of them.
//!
//! `ODILE_FUZZ_SEED` repeats a run, `ODILE_FUZZ_RUNS` makes it longer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

use std::path::Path;

use odile_tests::{fuzz, fuzz_envelope};

const RUNS: u64 = 30_000;
/// Each run does some operations with RSA keys.
const RUNS_WITH_KEYS: u64 = 2_000;

#[test]
fn mutated_commands_keep_their_invariants() {
    run("command", RUNS, fuzz::command);
}

#[test]
fn mutated_streams_keep_their_invariants() {
    run("stream", RUNS, fuzz::stream);
}

#[test]
fn mutated_data_keeps_its_invariants() {
    run("data", RUNS, fuzz::data);
}

#[test]
fn mutated_envelopes_keep_their_invariants() {
    run("ber", RUNS_WITH_KEYS, fuzz_envelope::ber);
}

#[test]
fn damaged_envelopes_keep_their_invariants() {
    run("envelope", RUNS_WITH_KEYS, fuzz_envelope::envelope);
}

#[test]
fn damaged_messages_keep_their_invariants() {
    run("message", RUNS_WITH_KEYS, fuzz_envelope::message);
}

#[test]
fn damaged_checkpoints_keep_their_invariants() {
    run("checkpoint", RUNS_WITH_KEYS, fuzz_envelope::checkpoint);
}

fn run(target: &str, runs: u64, body: fn(&[u8])) {
    let seeds = seeds(target);
    for seed in &seeds {
        body(seed);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    let seed = number("ODILE_FUZZ_SEED").unwrap_or(u64::try_from(now).unwrap());
    println!("{target}: ODILE_FUZZ_SEED={seed}");
    let mut random = Random(seed);
    for run in 0..number("ODILE_FUZZ_RUNS").unwrap_or(runs) {
        let input = mutated(&seeds, &mut random);
        let result = std::panic::catch_unwind(|| body(&input));
        assert!(result.is_ok(), "{target}: run {run} with seed {seed}: {}", input.escape_ascii());
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A seed with one to eight changes.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 => input.truncate(at),
            1 => input.insert(at, random.octet()),
            2 => {
                // A run, as long as a subrecord and longer.
                let run = vec![random.octet(); random.below(140)];
                input.splice(at..at, run);
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let start = random.below(other.len() + 1);
                input.splice(at.., other[start..].iter().copied());
            }
            4 if at < input.len() => {
                input.remove(at);
            }
            _ if at < input.len() => input[at] = random.octet(),
            _ => {}
        }
    }
    input
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// Any octet, but often one that means something in some field.
    fn octet(&mut self) -> u8 {
        const MEANINGFUL: &[u8] = b" 0159YNDFTUV\r\x8D\x00\x01\x3F\x40\x7F\x80\xBF\xC1\xFF\x10";
        if self.below(2) == 0 {
            MEANINGFUL[self.below(MEANINGFUL.len())]
        } else {
            self.next().to_le_bytes()[0]
        }
    }
}
