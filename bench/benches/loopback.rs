//! End to end over loopback, in one run: a bare send loop as the limit, then two stations with a discarding and with
//! a writing target, then many small files. Sender and receiver are pinned to a core each.
//!
//! ```text
//! cargo bench -p odile-bench --bench loopback -- [--mib 4096] [--rounds 5] [--files 1000]
//! ```
//!
//! Speeds are GB/s (10^9 octets of source), medians of the rounds. Processor seconds are of the whole process: both
//! sides together.

#![allow(clippy::cast_precision_loss, reason = "figures of three digits are printed")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use odile_bench::machine::Machine;
use odile_bench::measure::{Measured, cpu_seconds, median};
use odile_bench::{bare, cad, pair::Pair};
use odile_station::{SendRequest, Target};

struct Plan {
    mib: u64,
    rounds: usize,
    files: usize,
}

fn main() {
    let plan = Plan::from_arguments();
    let folder = tempfile::tempdir_in(odile_bench::scratch()).expect("a scratch folder");
    println!("{}", Machine::here());
    println!("{} MiB, {} rounds, median; ratios are to the bare loop of this run\n", plan.mib, plan.rounds);

    let source = folder.path().join("source.stp");
    let octets = plan.mib << 20;
    cad::write_step(&source, octets);
    warm(&source);

    println!("{:<34} {:>8} {:>8} {:>12}", "what", "GB/s", "ratio", "CPU s/GB");
    let limit = report(None, "bare io_uring send loop", octets, plan.rounds, || {
        bare::send(bare::Load::OneBlock(octets)).took
    });
    let cores = odile_station::available_cpus();
    for (name, target) in
        [("plain, discarding target", Target::Discard), ("plain, writing target", Target::Inbox)]
    {
        let pair = Pair::start(folder.path(), target, &cores);
        report(Some(limit), name, octets, plan.rounds, || {
            let done = pair.send_and_wait(&source);
            pair.empty_inbox();
            done
        });
    }
    small_files(folder.path(), &plan, &cores);
}

impl Plan {
    /// `cargo bench -- --test` and `cargo test --benches` ask for a short run.
    fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let short = arguments.iter().any(|argument| argument == "--test")
            || !arguments.iter().any(|a| a == "--bench");
        let number = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1)?.parse::<u64>().ok()
        };
        let default = if short { (16, 1, 20) } else { (4096, 5, 1000) };
        Self {
            mib: number("--mib").unwrap_or(default.0),
            rounds: usize::try_from(number("--rounds").unwrap_or(default.1)).unwrap_or(1).max(1),
            files: usize::try_from(number("--files").unwrap_or(default.2)).unwrap_or(1),
        }
    }
}

/// Runs and prints one line; gives the median GB/s.
fn report(
    limit: Option<f64>,
    name: &str,
    octets: u64,
    rounds: usize,
    mut run: impl FnMut() -> Duration,
) -> f64 {
    let gb = octets as f64 / 1e9;
    let mut speeds = Vec::new();
    let mut cpu = Vec::new();
    for _ in 0..rounds {
        let before = cpu_seconds();
        let took = run();
        speeds.push(gb / took.as_secs_f64());
        cpu.push((cpu_seconds() - before) / gb);
    }
    let Measured { middle, .. } = median(&mut speeds);
    let ratio = limit.map_or_else(|| "1.00".to_owned(), |limit| format!("{:.2}", middle / limit));
    println!("{name:<34} {middle:>8.2} {ratio:>8} {:>12.2}", median(&mut cpu).middle);
    middle
}

fn small_files(folder: &Path, plan: &Plan, cores: &[usize]) {
    let pair = Pair::start(folder, Target::Inbox, cores);
    let sources = folder.join("small");
    fs::create_dir(&sources).expect("a scratch folder");
    let mut requests = Vec::new();
    for number in 0..plan.files {
        let path = sources.join(format!("part{number:05}.dat"));
        let mut file = fs::File::create(&path).expect("a small file");
        file.write_all(&cad::step_text(10_000, number as u64)).expect("a small file");
        requests.push(SendRequest::new("beta", path));
    }
    let began = Instant::now();
    let took = pair.send_all(&requests);
    let rate = plan.files as f64 / took.as_secs_f64();
    println!(
        "\n{} files of 10 KB, each durable with its receipt: {rate:.0} files/s ({} session(s), {:.2} s with queueing)",
        plan.files,
        pair.sessions(),
        began.elapsed().as_secs_f64()
    );
}

/// Reads the source once, so that every round finds it in the page cache.
fn warm(path: &Path) {
    let mut file = fs::File::open(path).expect("the source");
    std::io::copy(&mut file, &mut std::io::sink()).expect("the source is readable");
}
