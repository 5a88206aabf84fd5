//! Many small files in one session, with signed receipts and without: files per second, and which threads work for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use odile_bench::cad;
use odile_bench::homes::Terms;
use odile_bench::measure::median;
use odile_bench::peer::run as run_program;
use odile_bench::processes::CpuTime;
use odile_bench::station_process::Setting;
use odile_bench::stations::Stations;
use odile_station::partner::Transport;

use crate::Bench;

type Threads = BTreeMap<String, CpuTime>;

/// With or without signed receipts.
struct Mode {
    name: &'static str,
    send: &'static str,
    rates: Vec<f64>,
    sessions: Vec<String>,
    /// Of senders and receivers, in all rounds.
    threads: [Threads; 2],
}

pub fn run(bench: &Bench) {
    let files = bench.plan.files;
    let folder = sources(bench.folder(), files);
    let mode = |name, send| Mode {
        name,
        send,
        rates: Vec::new(),
        sessions: Vec::new(),
        threads: [Threads::new(), Threads::new()],
    };
    let mut modes = [mode("receipts", ""), mode("signed receipts", "signed_receipt = \"required\"\n")];
    for round in 0..bench.plan.rounds {
        for turn in 0..modes.len() {
            let at = (round + turn) % 2;
            modes[at].turn(bench, &folder, files);
        }
    }
    println!("{files} files of 10 KB, plain, to disk, each durable with its receipt");
    println!("  {:<42} {:>8} {:>16} {:>18}", "", "files/s", "(in rounds)", "sessions in each");
    for mode in &mut modes {
        let rate = median(&mut mode.rates);
        println!(
            "  {:<42} {:>8.0} {:>16} {:>18}",
            mode.name,
            rate.middle,
            format!("{:.0} - {:.0}", rate.least, rate.most),
            mode.sessions.join(" ")
        );
    }
    for mode in &modes {
        mode.print_threads(bench.plan.rounds, files);
    }
    println!();
}

impl Mode {
    fn turn(&mut self, bench: &Bench, folder: &Path, files: usize) {
        let terms = Terms { transport: Transport::Plain, send: self.send, identities: Some(bench.keys()) };
        // New stations: catalogs grow.
        let mut stations = Stations::start(bench.on_disk(), &terms, Setting::default());
        let before = threads(&stations);
        let (turn, sessions) = stations.turn_with_folder(folder);
        self.rates.push(files as f64 / turn.took.as_secs_f64());
        self.sessions.push(sessions);
        let now = threads(&stations);
        for ((sum, now), before) in self.threads.iter_mut().zip(now).zip(before) {
            for (name, used) in now {
                let sum = sum.entry(name.clone()).or_default();
                *sum = *sum + (used - before.get(&name).copied().unwrap_or_default());
            }
        }
    }

    fn print_threads(&self, rounds: usize, files: usize) {
        println!("  {}: processor time of a file, microseconds, mean of the rounds", self.name);
        println!("    {:<10} {:<24} {:>8} {:>8}", "side", "thread", "user", "kernel");
        let each = |seconds: f64| seconds * 1e6 / (rounds * files) as f64;
        for (side, threads) in ["sender", "receiver"].into_iter().zip(&self.threads) {
            let all: CpuTime = threads.values().copied().sum();
            for (name, used) in threads {
                if used.total() > 0.0 {
                    println!("    {side:<10} {name:<24} {:>8.0} {:>8.0}", each(used.user), each(used.kernel));
                }
            }
            println!("    {side:<10} {:<24} {:>8.0} {:>8.0}", "all", each(all.user), each(all.kernel));
        }
    }
}

fn threads(stations: &Stations) -> [Threads; 2] {
    [stations.sender.pid(), stations.receiver.pid()].map(CpuTime::of_threads)
}

fn sources(folder: &Path, files: usize) -> PathBuf {
    let folder = folder.join("small");
    fs::create_dir(&folder).expect("a scratch folder");
    for number in 0..files {
        let path = folder.join(format!("part{number:05}.dat"));
        fs::write(&path, cad::step_text(10_000, number as u64)).expect("room for the sources");
    }
    // One by one, that would take as long as the benchmark.
    run_program(Command::new("sync").arg("--file-system").arg(&folder));
    folder
}
