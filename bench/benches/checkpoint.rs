//! What checkpoints cost, and what it gives to write past the page cache: the same file with and without, in turns, in one
//! run.
//!
//! ```text
//! cargo bench -p odile-bench --bench checkpoint -- [--mib 3000] [--rounds 7]
//! ```
//!
//! The ratios are to the first line of each mode. "None" has the same syncs of the data (`sync_bytes`), and no checkpoints of either side. Received files go to disk: what
//! is dropped needs no checkpoint.

#![allow(clippy::cast_precision_loss, reason = "figures of three digits are printed")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use odile_bench::cad;
use odile_bench::machine::{Machine, touch_memory};
use odile_bench::measure::{Measured, cpu_seconds, median};
use odile_bench::pair::{Key, Pair, Terms};
use odile_station::partner::Transport;
use odile_station::{Direct, Options, Target};

struct Plan {
    mib: u64,
    rounds: usize,
}

/// How files are written.
struct Way {
    name: &'static str,
    options: Options,
}

struct Mode {
    name: &'static str,
    transport: Transport,
    send: &'static str,
}

fn main() {
    let plan = Plan::from_arguments();
    let folder = tempfile::tempdir_in(odile_bench::scratch()).expect("a scratch folder");
    println!("{}", Machine::here());
    println!("{} MiB of STEP text, {} rounds in turns, median; to disk\n", plan.mib, plan.rounds);
    let source = folder.path().join("source");
    let octets = usize::try_from(plan.mib << 20).expect("it fits");
    fs::write(&source, cad::step_text(octets, 1)).expect("a scratch file");
    // What is not on disk yet would be written in the midst of the first rounds, and count against their limit.
    fs::File::open(&source).and_then(|file| file.sync_all()).expect("room for it");
    let keys = (Key::new(), Key::new());
    println!(
        "{:<44} {:<16} {:>8} {:>8} {:>15} {:>10}",
        "mode", "written", "GB/s", "ratio", "(in all rounds)", "CPU s/GB"
    );
    for mode in &MODES {
        measure(mode, &plan, folder.path(), &source, (&keys.0, &keys.1));
    }
}

fn measure(mode: &Mode, plan: &Plan, folder: &Path, source: &Path, keys: (&Key, &Key)) {
    let cores = odile_station::available_cpus();
    let terms = Terms { transport: mode.transport, send: mode.send, identities: Some(keys) };
    let default = Options::default();
    let way = |name, options| Way { name, options };
    let none = Options { checkpoint_bytes: u64::MAX / 8, checkpoint_time: Duration::MAX, ..default.clone() };
    let ways = [
        way("none", none),
        way("default", default.clone()),
        way("every 64 MiB", Options { checkpoint_bytes: 64 << 20, ..default.clone() }),
        way("default, direct", Options { direct: Direct::Targets, ..default }),
    ];
    let pairs =
        ways.each_ref().map(|way| Pair::start_from(folder, Target::Inbox, &cores, &terms, &way.options));
    let octets = plan.mib << 20;
    let gb = octets as f64 / 1e9;
    let mut speeds = [const { Vec::new() }; 4];
    let mut cpu = [const { Vec::new() }; 4];
    for round in 0..plan.rounds {
        // Whoever comes first pays for the page cache: that is another one in each round.
        for turn in 0..pairs.len() {
            let at = (round + turn) % pairs.len();
            let pair = &pairs[at];
            touch_memory(octets + (octets >> 2));
            let before = cpu_seconds();
            let took = pair.send_and_wait(source);
            speeds[at].push(gb / took.as_secs_f64());
            cpu[at].push((cpu_seconds() - before) / gb);
            pair.empty_inbox();
        }
    }
    let base = speeds[0].clone();
    for (at, way) in ways.iter().enumerate() {
        // Within a round, disk and machine are as alike as they get.
        let mut ratios: Vec<f64> = speeds[at].iter().zip(&base).map(|(speed, base)| speed / base).collect();
        let Measured { middle: ratio, least, most } = median(&mut ratios);
        println!(
            "{:<44} {:<16} {:>8.3} {ratio:>8.3} {:>15} {:>10.2}",
            mode.name,
            way.name,
            median(&mut speeds[at]).middle,
            format!("{least:.3} - {most:.3}"),
            median(&mut cpu[at]).middle
        );
    }
}

impl Plan {
    /// `cargo bench -- --test` and `cargo test --benches` ask for a short run.
    fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let short = arguments.iter().any(|argument| argument == "--test")
            || !arguments.iter().any(|argument| argument == "--bench");
        let number = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1)?.parse::<u64>().ok()
        };
        let default = if short { (8, 1) } else { (3000, 7) };
        Self {
            mib: number("--mib").unwrap_or(default.0),
            rounds: usize::try_from(number("--rounds").unwrap_or(default.1)).unwrap_or(1).max(1),
        }
    }
}

const MODES: [Mode; 3] = [
    Mode { name: "plain", transport: Transport::Plain, send: "" },
    Mode {
        name: "TLS, encrypted, signed receipt",
        transport: Transport::Tls,
        send: "encrypt = \"required\"\nsigned_receipt = \"required\"\n",
    },
    Mode {
        name: "TLS, signed, compressed, encrypted, receipt",
        transport: Transport::Tls,
        send: "sign = \"required\"\ncompress = \"required\"\nencrypt = \"required\"\nsigned_receipt = \"required\"\n",
    },
];
