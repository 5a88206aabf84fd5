//! Which checkpoints of a sender are kept.

use odile_transfer::{
    DEPARTURES_MAX, Departure, DepartureCheckpoint, Departures, Form, Framing, RestartUnit,
};
use odile_wire::data::{Compression, Records};
use proptest::prelude::*;

use crate::sample::{Backwards, Noise, Zeros};
use crate::transfers::config;

const FRAMING: Framing = Framing { buffer_size: 128, compression: Compression::Off };
const FORM: Form = Form::Plain { witness: None };

/// Of a plain file, at the start of a block.
fn at(block: u64) -> DepartureCheckpoint {
    let mut departure = Departure::resume(Records::None, FORM, FRAMING, None, block).unwrap();
    departure.fill(&mut Zeros::new(u64::MAX), &mut [0; 132], 1, &mut Backwards).unwrap();
    let checkpoint = departure.checkpoint().unwrap();
    assert_eq!(checkpoint.restart_position(RestartUnit::Blocks), block);
    checkpoint
}

fn found(departures: &Departures, block: u64) -> Option<u64> {
    let found = departures.at_or_below(RestartUnit::Blocks, block)?;
    Some(found.restart_position(RestartUnit::Blocks))
}

#[test]
fn none_is_found_below_the_first() {
    let mut departures = Departures::new();
    assert!(departures.is_empty() && departures.newest().is_none());
    assert_eq!(found(&departures, u64::MAX), None);
    departures.push(at(5));
    departures.push(at(9));
    let blocks = [(4, None), (5, Some(5)), (8, Some(5)), (9, Some(9)), (10, Some(9)), (u64::MAX, Some(9))];
    for (block, expected) in blocks {
        assert_eq!(found(&departures, block), expected, "at {block}");
    }
}

#[test]
fn an_attempt_that_starts_lower_forgets_those_behind_it() {
    let mut departures = Departures::new();
    for block in [10, 20, 30, 40] {
        departures.push(at(block));
    }
    departures.push(at(25));
    assert_eq!((departures.len(), departures.newest()), (3, Some(&at(25))));
    assert_eq!(found(&departures, 24), Some(20));
    departures.push(at(25));
    assert_eq!(departures.len(), 3, "the same one twice is one");
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn however_far_back_the_next_one_is_near_in_proportion(
        seed in any::<u64>(),
        pushes in 1..1500_u64,
        step in 1..2000_usize,
    ) {
        let mut noise = Noise::new(seed);
        let (mut departures, mut pushed, mut block) = (Departures::new(), vec![0], 0);
        for _ in 0..pushes {
            block += 1 + noise.below(step) as u64;
            pushed.push(block);
            departures.push(at(block));
            prop_assert_eq!(found(&departures, u64::MAX), Some(block), "the newest is kept");
            prop_assert!(departures.len() <= DEPARTURES_MAX);
        }
        prop_assert_eq!(departures.len(), DEPARTURES_MAX.min(pushed.len() - 1), "no place is wasted");
        for _ in 0..200 {
            let answered = noise.next() % (block + 1);
            let found = found(&departures, answered).unwrap_or(0);
            let nearest = pushed[pushed.partition_point(|pushed| *pushed <= answered) - 1];
            prop_assert!(pushed.contains(&found) && found <= nearest);
            // Nearer than what was lost on the way, or the nearest of all.
            let (again, lost) = (answered - found, block - answered);
            prop_assert!(found == nearest || again <= lost, "{answered} of {block}: from {found}");
        }
    }
}
