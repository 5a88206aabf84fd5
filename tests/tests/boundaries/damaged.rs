//! Checkpoints, seal plans and `.part` files that are not what they were when the stations stopped. At worst the file
//! starts again, and somebody says why.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use odile_station::Event;

use crate::all;
use crate::pair::{FILE, Kind, Pair, Party, names};

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Emptied,
    Halved,
    ShorterByOne,
    LongerByOne,
    /// A bit of this per cent of it.
    Flipped(usize),
    OtherVersion,
    Gone,
    Pipe,
    Link,
}

const HARMS: [Harm; 12] = [
    Harm::Emptied,
    Harm::Halved,
    Harm::ShorterByOne,
    Harm::LongerByOne,
    Harm::Flipped(3),
    Harm::Flipped(30),
    Harm::Flipped(60),
    Harm::Flipped(99),
    Harm::OtherVersion,
    Harm::Gone,
    Harm::Pipe,
    Harm::Link,
];

impl Harm {
    fn on(self, path: &Path) {
        let octets = fs::read(path).unwrap();
        let changed = match self {
            Self::Emptied => Vec::new(),
            Self::Halved => octets[..octets.len() / 2].to_vec(),
            Self::ShorterByOne => octets[..octets.len() - 1].to_vec(),
            Self::LongerByOne => [&octets[..], &[0]].concat(),
            Self::Flipped(percent) => odile_tests::envelope::flipped(&octets, octets.len() * percent / 100),
            Self::OtherVersion => [&[octets[0] + 1], &octets[1..]].concat(),
            Self::Gone | Self::Pipe | Self::Link => {
                fs::remove_file(path).unwrap();
                if let Self::Pipe = self {
                    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
                } else if let Self::Link = self {
                    let elsewhere = path.parent().unwrap().with_file_name("elsewhere");
                    fs::write(&elsewhere, octets).unwrap();
                    symlink(elsewhere, path).unwrap();
                }
                return;
            }
        };
        fs::write(path, changed).unwrap();
    }
}

/// The files of a kind in a spool.
fn found(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let names = names(folder).into_iter().filter(|name| name.contains(ending));
    names.map(|name| folder.join(name)).collect()
}

fn each_harm(kind: Kind, party: Party, ending: &str) {
    // Which are left out without the variable differs from file to file.
    let (first, step) = if all() { (0, 1) } else { (ending.len() % 2, 2) };
    for harm in HARMS.into_iter().skip(first).step_by(step) {
        println!("{kind:?} {party:?} {ending} {harm:?}");
        let mut pair = Pair::interrupted(kind, 60);
        let files = found(&pair.half(party).spool(), ending);
        assert!(!files.is_empty(), "{:?}", pair.half(party).spooled());
        for path in &files {
            harm.on(path);
        }
        pair.goes_on();
    }
}

#[test]
fn one_bad_checkpoint_of_the_listener_costs_an_interval_at_most() {
    each_harm(Kind::Plain, Party::Listener, ".checkpoint-0");
    each_harm(Kind::Plain, Party::Listener, ".checkpoint-1");
}

#[test]
fn bad_checkpoints_of_the_listener_make_the_file_start_again() {
    each_harm(Kind::Plain, Party::Listener, ".checkpoint-");
    each_harm(Kind::Sealed, Party::Listener, ".checkpoint-");
}

#[test]
fn one_bad_checkpoint_of_the_speaker_costs_an_interval_at_most() {
    each_harm(Kind::Sealed, Party::Speaker, ".checkpoint-0");
    each_harm(Kind::Sealed, Party::Speaker, ".checkpoint-1");
}

#[test]
fn bad_checkpoints_of_the_speaker_harm_no_octet() {
    each_harm(Kind::Watched, Party::Speaker, ".checkpoint-");
    each_harm(Kind::Sealed, Party::Speaker, ".checkpoint-");
}

#[test]
fn a_bad_seal_plan_makes_the_file_start_again() {
    each_harm(Kind::Sealed, Party::Speaker, ".plan");
    each_harm(Kind::Encrypted, Party::Speaker, ".plan");
}

#[test]
fn why_a_file_starts_again_is_told() {
    for (party, ending) in [(Party::Speaker, ".plan"), (Party::Listener, ".checkpoint-")] {
        let mut pair = Pair::interrupted(Kind::Sealed, 60);
        for path in found(&pair.half(party).spool(), ending) {
            Harm::Halved.on(&path);
        }
        pair.goes_on();
        let events = pair.half(party).events();
        let told = |event: &Event| {
            matches!(event, Event::StartsAgain { .. } | Event::ReceiveFailed { .. })
                && event.to_string().contains("again")
        };
        assert!(events.iter().any(told), "{}", pair.told());
    }
}

#[test]
fn a_folder_in_the_place_of_a_checkpoint_of_the_speaker_does_not_stop_the_file() {
    for ending in [".checkpoint-0", ".checkpoint-1"] {
        let mut pair = with_folder_for(Party::Speaker, ending);
        pair.start(Party::Listener, None).unwrap();
        pair.start(Party::Speaker, None).unwrap();
        pair.until("it is delivered", |pair| {
            pair.push_on();
            pair.alpha.state(FILE).is_some_and(|(state, _)| state == "delivered")
        });
    }
}

#[test]
fn a_folder_in_the_place_of_a_seal_plan_is_named() {
    let mut pair = with_folder_for(Party::Speaker, ".plan");
    pair.start(Party::Listener, None).unwrap();
    pair.start(Party::Speaker, None).unwrap();
    pair.until("it says what is in the way", |pair| {
        pair.push_on();
        pair.alpha.state(FILE).is_some_and(|(_, detail)| detail.contains("S1.plan: Is a directory"))
    });
}

fn with_folder_for(party: Party, ending: &str) -> Pair {
    let mut pair = Pair::interrupted(Kind::Sealed, 60);
    for path in found(&pair.half(party).spool(), ending) {
        fs::remove_file(&path).unwrap();
        fs::create_dir(path).unwrap();
    }
    pair
}

#[test]
fn checkpoints_in_each_others_places_are_as_good() {
    for party in [Party::Speaker, Party::Listener] {
        let mut pair = Pair::interrupted(Kind::Plain, 60);
        let files = found(&pair.half(party).spool(), ".checkpoint-");
        let [one, other] = files.as_slice() else { panic!("{files:?}") };
        let aside = one.with_file_name("aside");
        for (from, to) in [(one, &aside), (other, one), (&aside, other)] {
            fs::rename(from, to).unwrap();
        }
        pair.goes_on();
        assert!(pair.alpha.told().contains("goes on from"), "{}", pair.told());
    }
}

#[test]
fn older_copies_that_were_put_back_harm_no_octet() {
    for kind in [Kind::Plain, Kind::Watched, Kind::Sealed] {
        for party in [Party::Speaker, Party::Listener] {
            println!("{kind:?} {party:?}");
            let mut pair = Pair::interrupted(kind, 35);
            let files = found(&pair.half(party).spool(), ".checkpoint-");
            let older: Vec<_> = files.iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
            pair.start(Party::Listener, None).unwrap();
            pair.start(Party::Speaker, None).unwrap();
            pair.interrupt(35);
            pair.alpha.stop();
            pair.beta.stop();
            for (path, octets) in older {
                fs::write(path, octets).unwrap();
            }
            pair.goes_on();
        }
    }
}

#[test]
fn what_another_transfer_left_is_not_taken_up() {
    for kind in [Kind::Plain, Kind::Sealed] {
        for party in [Party::Speaker, Party::Listener] {
            println!("{kind:?} {party:?}");
            let (mut pair, mut other) = (Pair::interrupted(kind, 60), Pair::interrupted(kind, 40));
            for ending in [".checkpoint-0", ".checkpoint-1", ".plan"] {
                let (ours, theirs) =
                    (found(&pair.half(party).spool(), ending), found(&other.half(party).spool(), ending));
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    fs::copy(theirs, ours).unwrap();
                }
            }
            pair.goes_on();
        }
    }
}

#[test]
fn a_part_file_that_is_not_what_its_checkpoint_tells_of_is_not_gone_on_with() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("shorter", |part| OpenOptions::new().write(true).open(part).unwrap().set_len(70_000).unwrap()),
        ("gone", |part| fs::remove_file(part).unwrap()),
        ("another", |part| {
            let octets = vec![7; usize::try_from(fs::metadata(part).unwrap().len()).unwrap()];
            let aside = part.with_file_name("aside");
            fs::write(&aside, octets).unwrap();
            fs::rename(aside, part).unwrap();
        }),
        ("longer", |part| {
            let file = OpenOptions::new().write(true).open(part).unwrap();
            file.write_all_at(&[7; 5000], file.metadata().unwrap().len()).unwrap();
        }),
    ];
    for kind in [Kind::Plain, Kind::Sealed] {
        for (name, change) in changes {
            println!("{kind:?} {name}");
            let mut pair = Pair::interrupted(kind, 60);
            for part in found(&pair.beta.spool(), ".part") {
                change(&part);
            }
            pair.goes_on();
            let goes_on = pair.alpha.told().contains("goes on from");
            assert_eq!(goes_on, name == "longer", "{}", pair.told());
        }
    }
}
