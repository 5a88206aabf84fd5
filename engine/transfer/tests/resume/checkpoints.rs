//! Checkpoints as values: stored, lowered, and what they are good for.

use odile_envelope::{CheckpointError, HashAlgorithm, Opener, Services, Suite};
use odile_transfer::{
    ArrivalCheckpoint, ArrivalState, Departure, Departures, Form, Framing, Incoming, Place, RestartUnit,
    Slot, Witness,
};
use odile_wire::data::{Compression, Records};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::pki;
use crate::sample::{Backwards, Memory, Noise};

const FIXED: Records = Records::Fixed { size: 100 };

/// The largest position that SFIDREST can express.
const POSITION_MAX: u64 = 99_999_999_999_999_999;

fn plain(received: u64, records: u64) -> ArrivalCheckpoint {
    ArrivalCheckpoint { place: Place { received, records, stored: received }, state: ArrivalState::Plain }
}

fn watched(received: u64, records: u64) -> ArrivalCheckpoint {
    let mut witness = Witness::new(HashAlgorithm::Sha256, Records::None);
    witness.see(b"octets");
    ArrivalCheckpoint { state: ArrivalState::Watched(witness.state()), ..plain(received, records) }
}

fn opened() -> ArrivalCheckpoint {
    let mut opener = Opener::new(pki::terms(Suite::S04, Services { sign: true, ..Services::NONE }));
    opener.push(b"\x30\x80", &mut [0; 100]).unwrap();
    ArrivalCheckpoint::opened(opener.checkpoint().unwrap())
}

/// Checkpoints of a sender, one for each state that there is.
fn departures() -> Departures {
    let content = Noise::new(1).content(700_000);
    let mut all = Departures::new();
    let plan = |services| pki::plan(Suite::S04, services, content.len(), (4096, 4096));
    let sealed = |services| Form::Sealed {
        plan: plan(services),
        key: Some(pki::station().key().clone()),
        batch_max: 2,
    };
    let forms = [
        Form::Plain { witness: None },
        Form::Plain { witness: Some(HashAlgorithm::Sha3_512) },
        sealed(Services { compress: false, ..Services::ALL }),
        sealed(Services::ALL),
    ];
    for (form, position) in forms.into_iter().zip(1..) {
        let framing = Framing { buffer_size: 1000, compression: Compression::Off };
        let mut departure = Departure::new(Records::None, form, framing).unwrap();
        let mut source = Memory { content: &content, slice: 10_000 };
        let goal = position * 20_000;
        while departure.checkpoint().is_none_or(|checkpoint| checkpoint.source_position() < goal) {
            departure.fill(&mut source, &mut [0; 1004], 1, &mut Backwards).unwrap();
        }
        all.push(departure.checkpoint().unwrap());
    }
    assert_eq!(all.len(), 4);
    all
}

fn assert_guarded<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(body: T) {
    let slot = Slot { subject: [0xA5; 32], sequence: u64::MAX, body };
    let octets = slot.to_bytes().unwrap();
    assert_eq!(Slot::from_bytes(&octets).as_ref(), Ok(&slot));
    let read = |octets: &[u8]| Slot::<T>::from_bytes(octets).map(|_| ());
    for end in 0..octets.len() {
        assert_eq!(read(&octets[..end]), Err(CheckpointError::Damaged), "{end} octets of {}", octets.len());
    }
    let mut damaged = octets.clone();
    for bit in 0..octets.len() * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit {
            0..8 => CheckpointError::Version { found: damaged[0], known: octets[0] },
            _ => CheckpointError::Damaged,
        };
        assert_eq!(read(&damaged), Err(expected), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    damaged.push(0);
    assert_eq!(read(&damaged), Err(CheckpointError::Damaged), "an octet too many");
}

#[test]
fn what_was_torn_or_altered_is_refused() {
    assert_guarded(departures());
    assert_guarded(Departures::new());
    assert_guarded(plain(5000, 3));
    assert_guarded(watched(5000, 3));
    assert_guarded(opened());
}

#[test]
fn another_version_is_refused_by_number() {
    let slot = Slot { subject: [0; 32], sequence: 1, body: plain(1, 0) };
    let mut octets = slot.to_bytes().unwrap();
    octets[0] = 9;
    let error = Slot::<ArrivalCheckpoint>::from_bytes(&octets).unwrap_err();
    assert_eq!(error.to_string(), "the checkpoint has version 9, this program writes 2");
}

#[test]
fn what_is_sealed_counts_blocks_whatever_its_format() {
    use RestartUnit::{Blocks, Records as ByRecords};
    for (records, is_sealed, unit) in [
        (Records::None, false, Blocks),
        (FIXED, false, ByRecords),
        (Records::Variable, false, ByRecords),
        (Records::None, true, Blocks),
        (FIXED, true, Blocks),
        (Records::Variable, true, Blocks),
    ] {
        assert_eq!(RestartUnit::of(records, is_sealed), unit, "{records:?} {is_sealed}");
    }
}

#[test]
fn a_receiver_answers_whole_blocks_and_records() {
    for (received, blocks) in [(0, 0), (1023, 0), (1024, 1), (2047, 1), (2048, 2)] {
        assert_eq!(plain(received, 7).restart_position(RestartUnit::Blocks), blocks);
        assert_eq!(plain(received, 7).restart_position(RestartUnit::Records), 7);
    }
}

#[test]
fn an_offer_at_or_above_changes_nothing() {
    for checkpoint in [plain(2500, 25), watched(2500, 25)] {
        for offer in [2, 3, POSITION_MAX] {
            let same = checkpoint.lowered_to(RestartUnit::Blocks, Records::None, offer);
            assert_eq!(same.as_ref(), Some(&checkpoint));
        }
        for offer in [25, 26, POSITION_MAX] {
            let same = checkpoint.lowered_to(RestartUnit::Records, FIXED, offer);
            assert_eq!(same.as_ref(), Some(&checkpoint));
        }
    }
    assert_eq!(opened().lowered_to(RestartUnit::Blocks, Records::None, 0), Some(opened()));
}

#[test]
fn only_what_is_mere_counting_is_lowered() {
    let lowered = |checkpoint: ArrivalCheckpoint, unit, records, offer| {
        checkpoint.lowered_to(unit, records, offer).map(|checkpoint| checkpoint.place)
    };
    let (blocks, by_records) = (RestartUnit::Blocks, RestartUnit::Records);
    for offer in [0, 1] {
        let place = Place { received: offer * 1024, records: 0, stored: offer * 1024 };
        assert_eq!(lowered(plain(2500, 0), blocks, Records::None, offer), Some(place));
        assert_eq!(lowered(watched(2500, 0), blocks, Records::None, offer), None);
    }
    let place = Place { received: 2400, records: 24, stored: 2400 };
    assert_eq!(lowered(plain(2550, 25), by_records, FIXED, 24), Some(place));
    assert_eq!(lowered(watched(2550, 25), by_records, FIXED, 24), None);
    assert_eq!(lowered(plain(2500, 25), by_records, Records::Variable, 24), None);
    // Counts that do not belong together must not become octets that are not there.
    let made_up = plain(2500, POSITION_MAX);
    assert_eq!(lowered(made_up.clone(), by_records, FIXED, 26), None);
    let long = Records::Fixed { size: u32::MAX };
    assert_eq!(lowered(made_up, by_records, long, POSITION_MAX - 1), None);
}

#[test]
fn there_is_no_place_while_octets_wait_for_room() {
    // A run of nine, a record of three, and what is behind it.
    for (records, fragment, place) in [
        (Records::None, &b"\xC9x"[..], Place { received: 9, records: 0, stored: 9 }),
        (Records::Fixed { size: 9 }, b"\xC9x", Place { received: 9, records: 1, stored: 9 }),
        (Records::Variable, b"\x83abc", Place { received: 3, records: 1, stored: 5 }),
        (Records::Variable, b"\x83abc\x02de", Place { received: 3, records: 1, stored: 5 }),
    ] {
        let mut incoming = Incoming::new(records, u64::MAX);
        let taken = incoming.take(fragment, &mut [0; 4]).unwrap();
        assert!(taken.wants_room || taken.consumed < fragment.len());
        assert_eq!(incoming.place(), None, "{records:?}");
        let rest = &fragment[taken.consumed..];
        incoming.take(rest, &mut [0; 100]).unwrap();
        assert_eq!(incoming.place(), Some(place), "{records:?}");
        assert_eq!(incoming.stored_octets(), place.stored);
    }
}
