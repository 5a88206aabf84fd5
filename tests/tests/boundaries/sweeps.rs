//! A cut at every write, sync, rename and commit of either station.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use odile_tests::boundary::{Damage, PowerCut, Side};

use crate::all;
use crate::pair::{Kind, Pair, Party};

/// What has happened before the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Nothing,
    /// The line was cut in the middle of the file.
    LineCut,
    /// The same, and the seal plan got lost: it starts again with other keys.
    PlanLost,
}

/// How a cut went.
enum Outcome {
    /// The run had ended before.
    Unreached(usize),
    Survived,
}

fn run(kind: Kind, party: Party, before: Before, at: usize, side: Side, damage: Damage) -> Outcome {
    let mut pair = Pair::stopped(kind);
    let other = if party == Party::Speaker { Party::Listener } else { Party::Speaker };
    pair.start(other, None).unwrap();
    if before != Before::Nothing {
        pair.start(party, None).unwrap();
        pair.interrupt(60);
        pair.half(party).stop();
    }
    if before == Before::PlanLost {
        std::fs::write(pair.alpha.spool().join("S1.plan"), b"no plan").unwrap();
    }
    let stash = pair.half(party).home.folder().join("stash");
    let cut = Arc::new(PowerCut::new(at, side, Arc::clone(&pair.line), &stash));
    // It may die while it starts.
    let started = pair.start(party, Some(Arc::clone(&cut) as _));
    assert!(started.is_ok() || cut.is_dead(), "{started:?}");
    pair.settle(Some(&cut));
    if !cut.is_dead() {
        return Outcome::Unreached(cut.count());
    }
    pair.half(party).stop();
    cut.damage(damage);
    if party == Party::Speaker {
        let address = pair.beta.handle().address().unwrap();
        pair.line.lead_to(address);
    }
    pair.start(party, None).unwrap();
    let settled = catch_unwind(AssertUnwindSafe(|| pair.settle(None)));
    assert!(settled.is_ok(), "cut at {:?}", cut.last());
    // What is put together from two envelopes is of no use to anybody.
    let told = pair.told();
    assert!(!told.contains("EFNA") && !told.contains("NERP"), "cut at {:?}\n{told}", cut.last());
    Outcome::Survived
}

fn sweep(kind: Kind, party: Party, before: Before) {
    let Outcome::Unreached(boundaries) = run(kind, party, before, 0, Side::Before, Damage::Nothing) else {
        panic!("nothing is cut when it is only counted");
    };
    let all = all();
    let only = std::env::var("ODILE_BOUNDARY").ok().map(|text| text.parse::<usize>().unwrap());
    let (mut cuts, mut unreached, mut failures) = (0, 0, Vec::new());
    let mut number = 0;
    for at in 1..=boundaries {
        for side in [Side::Before, Side::After] {
            number += 1;
            let is_wanted = only.map_or(all || number % EVERY == 1, |only| only == at);
            if !is_wanted {
                continue;
            }
            let damage = DAMAGES[(number / 2 + number % 2) % DAMAGES.len()];
            let outcome = catch_unwind(|| run(kind, party, before, at, side, damage));
            match outcome {
                Ok(Outcome::Survived) => cuts += 1,
                Ok(Outcome::Unreached(_)) => unreached += 1,
                Err(_) => failures.push(format!("{at} {side:?} {damage:?}")),
            }
        }
    }
    println!(
        "{kind:?} {party:?} {before:?}: {boundaries} boundaries, {cuts} cuts survived, {unreached} not reached, {} failed",
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(cuts > 0);
}

macro_rules! sweeps {
    ($($name:ident: $kind:ident, $party:ident, $before:ident;)*) => {$(
        #[test]
        fn $name() {
            sweep(Kind::$kind, Party::$party, Before::$before);
        }
    )*};
}

sweeps! {
    a_plain_file_survives_every_cut_of_its_listener: Plain, Listener, Nothing;
    a_plain_file_survives_every_cut_of_its_speaker: Plain, Speaker, Nothing;
    a_plain_file_that_goes_on_survives_every_cut_of_its_listener: Plain, Listener, LineCut;
    a_plain_file_that_goes_on_survives_every_cut_of_its_speaker: Plain, Speaker, LineCut;
    records_survive_every_cut_of_their_listener: Watched, Listener, Nothing;
    records_survive_every_cut_of_their_speaker: Watched, Speaker, Nothing;
    records_that_go_on_survive_every_cut_of_their_listener: Watched, Listener, LineCut;
    records_that_go_on_survive_every_cut_of_their_speaker: Watched, Speaker, LineCut;
    an_envelope_survives_every_cut_of_its_listener: Sealed, Listener, Nothing;
    an_envelope_survives_every_cut_of_its_speaker: Sealed, Speaker, Nothing;
    an_envelope_that_goes_on_survives_every_cut_of_its_listener: Sealed, Listener, LineCut;
    an_envelope_that_goes_on_survives_every_cut_of_its_speaker: Sealed, Speaker, LineCut;
    an_envelope_whose_keys_are_drawn_again_survives_every_cut_of_its_speaker: Encrypted, Speaker, PlanLost;
}

const DAMAGES: [Damage; 4] = [Damage::Garbage, Damage::Torn, Damage::Unnamed, Damage::Nothing];
/// So many boundaries are left out each time.
const EVERY: usize = 29;
