//! What a machine says of each setting.

use std::io;
use std::path::Path;

use super::machine::Machine;
use super::setting::{Facet, Setting, Source, sysctl_path};
use super::storage::Storage;
use super::value::{Shape, Value};

/// What was found of one setting, at one place.
#[derive(Debug)]
pub struct Look {
    /// The setting's name; for an interface with the interface in it: `interface.eth0.mtu`.
    pub name: String,
    pub reading: Reading,
    /// Where, or of what.
    pub note: String,
    /// The files that would change it.
    pub files: Vec<Written>,
    /// The words that they take, if that is told.
    pub offered: Option<Vec<String>>,
    /// The sysctl that counts instead, and its path.
    pub twin: Option<&'static str>,
}

/// A file, and what stands in it.
#[derive(Debug, Clone)]
pub struct Written {
    pub path: String,
    pub text: String,
}

/// A value, or why there is none.
#[derive(Debug)]
pub enum Reading {
    Is(Value),
    /// There is such a value, but another setting counts instead.
    Overridden(Value),
    /// This machine has none, or does not tell.
    Unknown(String),
    Unreadable(String),
}

impl Look {
    pub fn new(name: &str) -> Self {
        let reading = Reading::Unknown(String::new());
        Self {
            name: name.to_owned(),
            reading,
            note: String::new(),
            files: Vec::new(),
            offered: None,
            twin: None,
        }
    }

    pub fn noted(self, note: String) -> Self {
        Self { note, ..self }
    }

    pub fn read(self, value: Value) -> Self {
        Self { reading: Reading::Is(value), ..self }
    }

    pub fn failed(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }

    /// A word in a file that can be written.
    pub fn file(self, machine: &Machine, path: &str) -> Self {
        let look = self.told(machine, path, Shape::Word);
        let Ok(text) = machine.read(path) else { return look };
        Self { files: vec![Written { path: path.to_owned(), text }], ..look }
    }

    /// A value in a file that only tells.
    fn told(self, machine: &Machine, path: &str, shape: Shape) -> Self {
        let reading = match machine.read(path) {
            Ok(text) => match Value::parse(shape, &text) {
                Some(value) => Reading::Is(value),
                None => Reading::Unreadable(format!("{path} holds {:?}", shortened(&text))),
            },
            Err(error) => unread(path, &error),
        };
        Self { reading, ..self }
    }
}

/// What the machine says of a setting: once, or once for each interface.
pub fn look(machine: &Machine, storage: &Storage, setting: &'static Setting) -> Vec<Look> {
    let look = Look::new(setting.name);
    let one = match setting.source {
        Source::Sysctl { offered } => {
            let offered = offered.and_then(|file| machine.word(file));
            let note = offered.as_ref().map(|words| format!("offered: {words}")).unwrap_or_default();
            let offered = offered.map(|words| words.split_whitespace().map(str::to_owned).collect());
            Look { offered, ..sysctl(machine, setting).noted(note) }
        }
        Source::TwinSysctl { twin } => twins(machine, setting, twin),
        Source::File(path) => look.file(machine, path),
        Source::Told(path) => look.told(machine, path, setting.shape),
        Source::CpuFeatures => look.failed(features(machine)),
        Source::CpuGovernor => governor(machine, look),
        Source::NumaNodes => look.failed(nodes(machine)),
        Source::Limit(label) => look.noted("of this process".to_owned()).failed(limit(machine, label)),
        Source::Storage(aspect) => storage.look(machine, aspect, setting.name),
        Source::Interface(facet) => return interfaces(machine, facet, setting.name),
    };
    vec![one]
}

fn sysctl(machine: &Machine, setting: &Setting) -> Look {
    let path = sysctl_path(setting.name);
    let look = Look::new(setting.name).told(machine, &path, setting.shape);
    let files = machine.read(&path).map(|text| vec![Written { path, text }]).unwrap_or_default();
    Look { files, ..look }
}

fn twins(machine: &Machine, setting: &Setting, twin: &'static str) -> Look {
    let look = Look { twin: Some(twin), ..sysctl(machine, setting) };
    let other = machine.word(&sysctl_path(twin)).unwrap_or_default();
    match look.reading {
        Reading::Is(Value::Number(0)) if other != "0" && !other.is_empty() => {
            let note = format!("{twin} = {other} counts instead");
            look.noted(note).failed(Reading::Overridden(Value::Number(0)))
        }
        _ => look,
    }
}

/// The kernel writes a line for each core; the first stands for all.
fn features(machine: &Machine) -> Reading {
    let text = match machine.read(CPUS) {
        Ok(text) => text,
        Err(error) => return unread(CPUS, &error),
    };
    let line = text.lines().find_map(|line| {
        let (key, words) = line.split_once(':')?;
        matches!(key.trim(), "flags" | "Features").then_some(words)
    });
    match line {
        // Only those that matter: there are more than a hundred.
        Some(words) => {
            let known = words.split_whitespace().filter(|word| FEATURES.contains(word));
            Reading::Is(Value::Set(known.map(str::to_owned).collect()))
        }
        None => Reading::Unknown(format!("{CPUS} names no features")),
    }
}

fn governor(machine: &Machine, look: Look) -> Look {
    let mut files = Vec::new();
    for cpu in numbered(machine, "/sys/devices/system/cpu", "cpu") {
        let path = format!("/sys/devices/system/cpu/{cpu}/cpufreq/scaling_governor");
        match machine.read(&path) {
            Ok(text) => files.push(Written { path, text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return look.failed(unread(&path, &error)),
        }
    }
    let mut words: Vec<String> = files.iter().map(|file| file.text.trim().to_owned()).collect();
    words.sort();
    words.dedup();
    if words.is_empty() {
        let text = "the kernel does not set the frequency here, as on most virtual machines";
        return look.failed(Reading::Unknown(text.to_owned()));
    }
    let offered = machine.word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors");
    let offered = offered.map(|words| words.split_whitespace().map(str::to_owned).collect());
    Look { files, offered, ..look.read(Value::Word(words.join(", "))) }
}

fn nodes(machine: &Machine) -> Reading {
    let nodes = numbered(machine, "/sys/devices/system/node", "node");
    match nodes.len() {
        0 => Reading::Unknown("the kernel does not tell".to_owned()),
        1 => Reading::Is(Value::Number(1)),
        count => {
            let cards: Vec<String> = cards(machine)
                .into_iter()
                .filter_map(|card| {
                    let node = machine.word(&format!("/sys/class/net/{card}/device/numa_node"))?;
                    let cores = machine.word(&format!("/sys/devices/system/node/node{node}/cpulist"))?;
                    Some(format!("{card} is at node {node}, with cores {cores}"))
                })
                .collect();
            let cards = if cards.is_empty() {
                "where the cards are is not told".to_owned()
            } else {
                cards.join("; ")
            };
            Reading::Unknown(format!("{count} nodes; {cards}; whether shards run there is for --cpus to say"))
        }
    }
}

/// The soft limit.
fn limit(machine: &Machine, label: &str) -> Reading {
    let text = match machine.read(LIMITS) {
        Ok(text) => text,
        Err(error) => return unread(LIMITS, &error),
    };
    let soft = text.lines().find_map(|line| line.strip_prefix(label)?.split_whitespace().next());
    match soft {
        Some("unlimited") => Reading::Is(Value::Number(u64::MAX)),
        Some(number) => match number.parse() {
            Ok(number) => Reading::Is(Value::Number(number)),
            Err(_) => Reading::Unreadable(format!("{LIMITS}: {label} is {number:?}")),
        },
        None => Reading::Unknown(format!("{LIMITS} has no line {label:?}")),
    }
}

fn interfaces(machine: &Machine, facet: Facet, name: &str) -> Vec<Look> {
    let word = name.rsplit('.').next().unwrap_or(name);
    let cards = cards(machine);
    if cards.is_empty() {
        let text = "no network card is there".to_owned();
        return vec![Look::new(name).failed(Reading::Unknown(text))];
    }
    cards
        .into_iter()
        .map(|card| {
            let look = Look::new(&format!("interface.{card}.{word}"));
            let folder = format!("/sys/class/net/{card}");
            let driver = machine.link(&format!("{folder}/device/driver"));
            let driver =
                driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
            let driver = driver.map(|driver| format!("driver {driver}")).unwrap_or_default();
            match facet {
                Facet::Mtu => look.told(machine, &format!("{folder}/mtu"), Shape::Number),
                Facet::Speed => match speed(machine, &card) {
                    Some(speed) => look.noted("Mbit/s".to_owned()).read(Value::Number(speed)),
                    None => {
                        look.failed(Reading::Unknown("the driver does not tell".to_owned())).noted(driver)
                    }
                },
                Facet::Queues => {
                    let queues = machine.list(&format!("{folder}/queues"));
                    match queues.iter().filter(|queue| queue.starts_with("rx-")).count() {
                        0 => look.failed(Reading::Unknown("the driver does not tell".to_owned())),
                        count => look.read(Value::Number(count as u64)),
                    }
                    .noted(driver)
                }
                Facet::Ring => {
                    let text = format!("neither /proc nor /sys tells it: ethtool -g {card}");
                    look.failed(Reading::Unknown(text)).noted(driver)
                }
            }
        })
        .collect()
}

/// Network cards: interfaces with a device behind them; where none has, as in a container, all that are up.
pub fn cards(machine: &Machine) -> Vec<String> {
    let mut all = machine.list("/sys/class/net");
    all.retain(|name| name != "lo" && machine.exists(&format!("/sys/class/net/{name}/mtu")));
    let (cards, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|name| machine.exists(&format!("/sys/class/net/{name}/device")));
    if !cards.is_empty() {
        return cards;
    }
    let is_up =
        |name: &String| machine.word(&format!("/sys/class/net/{name}/operstate")).as_deref() == Some("up");
    others.into_iter().filter(is_up).collect()
}

/// In Mbit/s; -1 and nothing at all mean that the driver does not tell.
pub fn speed(machine: &Machine, card: &str) -> Option<u64> {
    machine.word(&format!("/sys/class/net/{card}/speed"))?.parse().ok().filter(|&speed| speed > 0)
}

/// `cpu0`, `cpu1`, …: not `cpufreq`.
pub fn numbered(machine: &Machine, folder: &str, start: &str) -> Vec<String> {
    let mut names = machine.list(folder);
    let number = |name: &String| name.strip_prefix(start).and_then(|rest| rest.parse::<u32>().ok());
    names.retain(|name| number(name).is_some());
    names.sort_by_key(number);
    names
}

fn unread(path: &str, error: &io::Error) -> Reading {
    match error.kind() {
        io::ErrorKind::NotFound => Reading::Unknown(format!("this kernel has no {path}")),
        _ => Reading::Unreadable(format!("{path}: {error}")),
    }
}

fn shortened(text: &str) -> String {
    text.trim_end().chars().take(SHOWN_MAX).collect()
}

/// Features of processors that something here is faster with.
const FEATURES: &[&str] = &[
    "aes",
    "avx",
    "avx2",
    "avx512bw",
    "avx512f",
    "avx512vl",
    "pclmulqdq",
    "pmull",
    "sha1",
    "sha2",
    "sha3",
    "sha512",
    "sha_ni",
    "ssse3",
    "vaes",
    "vpclmulqdq",
];
const CPUS: &str = "/proc/cpuinfo";
const LIMITS: &str = "/proc/self/limits";
const SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::super::setting::SETTINGS;
    use super::*;

    fn look_at_all(machine: &Machine, path: &Path) -> Vec<Look> {
        let storage = Storage::at(machine, path);
        SETTINGS.iter().flat_map(|setting| look(machine, &storage, setting)).collect()
    }

    #[test]
    fn a_machine_that_tells_nothing_is_unknown_throughout() {
        let folder = tempfile::tempdir().unwrap();
        let looks = look_at_all(&Machine::new(folder.path()), folder.path());
        assert!(looks.len() >= SETTINGS.len());
        for look in looks {
            let is_space = look.name == "storage.free";
            assert_eq!(matches!(look.reading, Reading::Is(_) | Reading::Overridden(_)), is_space, "{look:?}");
            assert!(look.files.is_empty(), "{look:?}");
        }
    }

    #[test]
    fn this_machine_tells_what_every_linux_tells() {
        let looks = look_at_all(&Machine::new(Path::new("/")), Path::new("/"));
        for name in
            ["kernel.release", "cpu.features", "limits.open_files", "storage.filesystem", "storage.free"]
        {
            let look = looks.iter().find(|look| look.name == name).unwrap();
            assert!(matches!(look.reading, Reading::Is(_)), "{look:?}");
        }
    }
}
