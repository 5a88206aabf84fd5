//! Odile beside other people's software, in the same rounds, in turns.
//!
//! ```text
//! cargo bench -p odile-bench --bench peers -- [--mib 1024] [--rounds 5] [--only plain,tls,disk,envelope,compress,services,files,sessions]
//!                                             [--files 10000] [--sessions 500] [--window MILLISECONDS]
//! ```
//!
//! Who sends runs on one core, who receives on another: whole processes, all of their threads. `cargo xtask bench-tools`
//! installs what is measured beside; what is not there is left out, and a line says so. With `--test` nothing of that is
//! run at all: Odile's own part shows that it works, with almost nothing to do.

#![allow(clippy::cast_precision_loss, reason = "figures of three digits are printed")]

mod disk;
mod envelope;
mod files;
mod plain;
mod services;
mod sessions;
mod tls;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use odile_bench::cad;
use odile_bench::homes::Key;
use odile_bench::machine::Machine;
use odile_bench::peer::ssh::Ssh;
use odile_bench::rounds::{Contestant, Rounds};
use odile_bench::station_process;
use odile_bench::stations::Place;
use tempfile::TempDir;

/// What was asked for.
struct Plan {
    is_short: bool,
    mib: u64,
    rounds: usize,
    files: usize,
    sessions: usize,
    window: Duration,
    only: Vec<String>,
}

/// What all parts share.
struct Bench {
    plan: Plan,
    cores: [usize; 2],
    /// On a disk; see [`Bench::folder`].
    disk: TempDir,
    /// In memory, where there is such a place.
    memory: TempDir,
    ssh: Option<Ssh>,
    keys: [Key; 2],
    /// What was said already.
    told: RefCell<BTreeSet<String>>,
}

/// Measures something, and prints a table.
type Part = fn(&Bench);

fn main() {
    station_process::serve_if_asked();
    envelope::seal_if_asked();
    let bench = Bench::new(Plan::from_arguments());
    println!("{}", Machine::here());
    if bench.plan.is_short {
        println!("A short run, to see that it works: everything is in memory, and no figure means anything.");
    }
    println!(
        "{} MiB, {} rounds in turns, medians; sender on core {}, receiver on core {}; GB = 10^9 octets\n",
        bench.plan.mib, bench.plan.rounds, bench.cores[0], bench.cores[1]
    );
    let parts: [(&str, Part); 8] = [
        ("plain", plain::run),
        ("tls", tls::run),
        ("disk", disk::run),
        ("envelope", envelope::seal),
        ("compress", envelope::compress),
        ("services", services::run),
        ("files", files::run),
        ("sessions", sessions::run),
    ];
    for name in &bench.plan.only {
        assert!(parts.iter().any(|(part, _)| part == name), "--only: there is no part {name}");
    }
    for (name, part) in parts {
        if bench.plan.wants(name) {
            part(&bench);
        }
    }
}

impl Plan {
    /// `cargo bench -- --test` and `cargo test --benches` ask for a short run.
    fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let value = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1)
        };
        let is_short = has("--test") || !has("--bench");
        let number = |name: &str, short: u64, full: u64| {
            let asked = value(name).map(|text| text.parse::<u64>().expect("a number"));
            asked.unwrap_or(if is_short { short } else { full }).max(1)
        };
        let count = |name: &str, short, full| usize::try_from(number(name, short, full)).expect("it fits");
        let only = value("--only").map(|names| names.split(',').map(str::to_owned).collect());
        Self {
            is_short,
            mib: number("--mib", 4, 1024),
            rounds: count("--rounds", 1, 5),
            files: count("--files", 8, 10_000),
            sessions: count("--sessions", 3, 500),
            window: Duration::from_millis(number("--window", 200, 10_000)),
            only: only.unwrap_or_default(),
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part)
    }

    fn octets(&self) -> u64 {
        self.mib << 20
    }
}

impl Bench {
    fn new(plan: Plan) -> Self {
        let available = odile_station::available_cpus();
        let core = |at: usize| available[at % available.len()];
        let cores = [core(0), core(1)];
        if cores[0] == cores[1] {
            println!("one core only: both sides share it");
        }
        let disk = tempfile::tempdir_in(odile_bench::scratch()).expect("a scratch folder");
        let memory = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| {
            println!("there is no /dev/shm: what should be in memory is on disk");
            tempfile::tempdir_in(disk.path()).expect("a scratch folder")
        });
        let wants_ssh = !plan.is_short && ["tls", "disk"].iter().any(|part| plan.wants(part));
        let keys = [Key::new(), Key::new()];
        let mut bench = Self { plan, cores, disk, memory, ssh: None, keys, told: RefCell::default() };
        if wants_ssh {
            bench.ssh = bench.peer("ssh", || Ssh::start(cores));
        }
        bench
    }

    /// Of sender and receiver.
    fn keys(&self) -> (&Key, &Key) {
        (&self.keys[0], &self.keys[1])
    }

    fn rounds(&self, octets: u64, memory: u64) -> Rounds {
        Rounds { octets, rounds: self.plan.rounds, memory: if self.plan.is_short { 0 } else { memory } }
    }

    /// Where sources and homes are: on a disk. Where nothing is measured, nobody waits for one.
    fn folder(&self) -> &Path {
        if self.plan.is_short { self.memory.path() } else { self.disk.path() }
    }

    /// With everything on disk.
    fn on_disk(&self) -> Place<'_> {
        Place { sender: self.folder(), receiver: self.folder(), cores: self.cores }
    }

    /// With what is received in memory.
    fn in_memory(&self) -> Place<'_> {
        Place { receiver: self.memory.path(), ..self.on_disk() }
    }

    /// A file of STEP text, in the page cache and on disk.
    fn step(&self) -> PathBuf {
        let path = self.folder().join("source.stp");
        if !path.exists() {
            cad::write_step(&path, self.plan.octets());
        }
        settled(&path);
        path
    }

    /// Other people's software, unless only Odile is tried, or it is not there.
    fn peer<T>(&self, name: &str, start: impl FnOnce() -> Result<T, String>) -> Option<T> {
        if self.plan.is_short {
            return None;
        }
        match start() {
            Ok(started) => Some(started),
            Err(text) => {
                if self.told.borrow_mut().insert(name.to_owned()) {
                    println!("skipped: {name}: {text}");
                }
                None
            }
        }
    }
}

/// Writes to disk what is not there yet, or it would be written in the midst of a round; and reads it into the page
/// cache.
fn settled(path: &Path) {
    let mut file = File::open(path).expect("the source");
    file.sync_all().expect("room for it");
    std::io::copy(&mut file, &mut std::io::sink()).expect("the source is readable");
}

/// Writes a source; it is on disk afterwards, and in the page cache.
fn write_source(path: &Path, octets: &[u8]) {
    fs::write(path, octets).expect("room for the source");
    settled(path);
}

/// Adds whoever is there.
fn add<'a>(contestants: &mut Vec<Contestant<'a>>, found: Option<Contestant<'a>>) {
    contestants.extend(found);
}
