//! A machine beside a preset: one row for each thing that the preset wants.

use std::path::Path;

use serde::Serialize;

use super::look::{Look, Reading, cards, look, numbered, speed};
use super::machine::Machine;
use super::preset::{Preset, Want};
use super::storage::Storage;

/// A preset, and why it is this one.
pub struct Chosen {
    pub preset: Preset,
    /// Empty if the person has named it.
    pub why: String,
}

/// How a value compares with what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    #[serde(rename = "good")]
    Good,
    #[serde(rename = "differs")]
    Differs,
    #[serde(rename = "unknown")]
    Unknown,
    #[serde(rename = "cannot be read")]
    Unreadable,
}

/// One thing that the preset wants, and what is there.
#[derive(Debug, Serialize)]
pub struct Row {
    pub setting: String,
    pub state: State,
    /// The value, or why there is none.
    pub found: String,
    pub wanted: String,
    pub why: String,
    pub measure: String,
    pub change: String,
    #[serde(skip)]
    pub look: Look,
    #[serde(skip)]
    pub want: Want,
}

impl State {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Differs => "differs",
            Self::Unknown => "unknown",
            Self::Unreadable => "cannot be read",
        }
    }
}

/// Looks at everything that the preset wants, at this machine and for files at `path`.
pub fn compare(machine: &Machine, path: &Path, preset: Preset) -> Vec<Row> {
    let storage = Storage::at(machine, path);
    let mut rows = Vec::new();
    for want in preset.wants {
        for look in look(machine, &storage, want.setting) {
            rows.push(row(look, want.clone()));
        }
    }
    rows
}

fn row(look: Look, want: Want) -> Row {
    let (state, found) = match &look.reading {
        Reading::Is(value) if want.wish.holds(value) => (State::Good, value.to_string()),
        Reading::Is(value) | Reading::Overridden(value) => (State::Differs, value.to_string()),
        Reading::Unknown(text) => (State::Unknown, text.clone()),
        Reading::Unreadable(text) => (State::Unreadable, text.clone()),
    };
    let found = if look.note.is_empty() { found } else { format!("{found} ({})", look.note) };
    let card = look.name.strip_prefix("interface.").and_then(|name| name.split('.').next());
    let named = |text: &str| card.map_or_else(|| text.to_owned(), |card| text.replace("INTERFACE", card));
    let why = want
        .why
        .as_ref()
        .map_or_else(|| want.setting.why.to_owned(), |why| format!("{}; here: {why}", want.setting.why));
    Row {
        setting: look.name.clone(),
        state,
        found,
        wanted: want.wish.to_string(),
        why,
        measure: named(want.setting.measure),
        change: named(&want.setting.remedy()).replace("VALUE", &want.wish.value()),
        look,
        want,
    }
}

/// The preset for a machine of which a person has said nothing: by its fastest card, and its cores.
pub fn fitting(machine: &Machine) -> (&'static str, String) {
    let speeds = cards(machine).into_iter().filter_map(|card| Some((speed(machine, &card)?, card)));
    let fastest = speeds.max();
    let cores = numbered(machine, "/sys/devices/system/cpu", "cpu").len();
    let (name, why) = match fastest {
        Some((speed, card)) if speed >= 100_000 => {
            ("lan-100g", format!("{card} is a card of {} Gbit/s", speed / 1000))
        }
        Some((speed, card)) if speed >= 10_000 && cores >= CORES_OF_A_SERVER => {
            ("lan-25g", format!("{card} is a card of {} Gbit/s, and there are {cores} cores", speed / 1000))
        }
        Some((speed, card)) => {
            ("small-vm", format!("{card}, the fastest card, has {speed} Mbit/s, and there are {cores} cores"))
        }
        None => ("small-vm", "no network card tells its speed".to_owned()),
    };
    (name, format!("{why}. How far partners are cannot be seen from here: wan-100ms is for those far away"))
}

const CORES_OF_A_SERVER: usize = 8;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with(speed: &str, cores: usize) -> &'static str {
        let folder = tempfile::tempdir().unwrap();
        let card = folder.path().join("sys/class/net/eth7");
        fs::create_dir_all(card.join("device")).unwrap();
        fs::write(card.join("mtu"), "1500\n").unwrap();
        fs::write(card.join("speed"), speed).unwrap();
        for core in 0..cores {
            fs::create_dir_all(folder.path().join(format!("sys/devices/system/cpu/cpu{core}"))).unwrap();
        }
        let (name, why) = fitting(&Machine::new(folder.path()));
        assert!(why.contains("card"), "{why}");
        name
    }

    #[test]
    fn the_fastest_card_and_the_cores_decide_where_nobody_has_chosen() {
        assert_eq!(with("100000\n", 2), "lan-100g");
        assert_eq!(with("99999\n", 8), "lan-25g");
        assert_eq!(with("10000\n", 8), "lan-25g");
        assert_eq!(with("10000\n", 7), "small-vm");
        assert_eq!(with("9999\n", 64), "small-vm");
        assert_eq!(with("-1\n", 64), "small-vm");
    }
}
