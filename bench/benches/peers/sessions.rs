//! Many sessions at once with one receiving station.
//!
//! A station holds one session that it has opened with each partner, so the sender has as many partners as there are
//! sessions. All of them are one station: it knows each caller by another code, and answers each with another. What comes
//! is dropped: how fast disks are is not the question here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use odile_bench::homes::write_private;
use odile_bench::measure::median;
use odile_bench::processes::Memory;
use odile_bench::station_process::{Setting, StationProcess};
use odile_station::{Home, Listen};

use crate::Bench;

pub fn run(bench: &Bench) {
    let sessions = bench.plan.sessions;
    let folder = tempfile::tempdir_in(bench.folder()).expect("a scratch folder");
    let source = source(bench);
    let (receiving, sending) = settings(sessions);
    println!(
        "{sessions} sessions at once with one station, plain, to nowhere; blocks of {} KiB; receiver: {} shard(s) of {} \
         blocks on one core",
        BLOCK_BYTES >> 10,
        receiving.shards,
        receiving.pool_blocks
    );
    let home = home(folder.path(), "beta", sessions, |number| {
        format!("code = \"{}\"\nour_code = \"{}\"\n", sender_code(number), receiver_code(number))
    });
    let listen = Listen::plain(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut receiver = StationProcess::start(bench.cores[1], &home, listen, receiving);
    let address = receiver.address().expect("it listens");
    let home = self::home(folder.path(), "alpha", sessions, |number| {
        let (theirs, ours) = (receiver_code(number), sender_code(number));
        format!("code = \"{theirs}\"\nour_code = \"{ours}\"\naddress = \"{address}\"\n")
    });
    let mut sender = StationProcess::start(bench.cores[0], &home, Listen::NOWHERE, sending);
    let idle = [sender.memory(), receiver.memory()];

    let began = Instant::now();
    sender.queue(PREFIX, sessions, &source);
    let first = all_moving(&mut receiver, sessions, began);
    println!("  all of them move after {:.1} s, the queueing included", began.elapsed().as_secs_f64());
    let cpu = [sender.cpu(), receiver.cpu()];
    let window = Instant::now();
    thread::sleep(bench.plan.window);
    let last: BTreeMap<String, u64> = receiver.board().into_iter().collect();
    let seconds = window.elapsed().as_secs_f64();
    let used = [sender.cpu() - cpu[0], receiver.cpu() - cpu[1]].map(odile_bench::processes::CpuTime::total);
    let busy = [sender.memory(), receiver.memory()];

    let mut shares: Vec<f64> = first
        .iter()
        .filter_map(|(transfer, before)| Some((last.get(transfer)?.saturating_sub(*before)) as f64 / 1e6))
        .collect();
    print_shares(&mut shares, sessions, seconds, used);
    for (at, (side, setting)) in [("sender", sending), ("receiver", receiving)].into_iter().enumerate() {
        let pool_bytes = (setting.shards * setting.pool_blocks * setting.block_bytes) as u64;
        print_memory(side, idle[at], busy[at], pool_bytes, sessions);
    }
    println!();
}

/// Waits until each session has moved something; gives how far each is.
fn all_moving(receiver: &mut StationProcess, sessions: usize, began: Instant) -> Vec<(String, u64)> {
    loop {
        let board = receiver.board();
        let moving = board.iter().filter(|(_, octets)| *octets > 0).count();
        if moving == sessions {
            return board;
        }
        assert!(
            began.elapsed() < START_LIMIT,
            "{} of {sessions} sessions have a file open, and {moving} have moved some of it",
            board.len()
        );
        thread::sleep(LOOK_EVERY);
    }
}

fn print_shares(shares: &mut [f64], sessions: usize, seconds: f64, cpu: [f64; 2]) {
    let all: f64 = shares.iter().sum();
    println!(
        "  in {seconds:.1} s: {:.2} GB/s in all; CPU s/GB: sender {:.2}, receiver {:.2}",
        all / 1e3 / seconds,
        cpu[0] / (all / 1e3),
        cpu[1] / (all / 1e3)
    );
    let moved = shares.iter().filter(|share| **share > 0.0).count();
    let share = median(shares);
    println!(
        "  {moved} of {sessions} sessions moved on; MB of a session: {:.2} at least, {:.2} median, {:.2} at most; largest \
         over smallest {:.2}",
        share.least,
        share.middle,
        share.most,
        share.most / share.least
    );
    if shares.len() < sessions {
        println!(
            "  {} sessions were at the end of their file: the source is too short",
            sessions - shares.len()
        );
    }
}

/// What a session costs, with its share of the pool: where the pool is registered with the ring, all of it is there from
/// the start.
fn print_memory(side: &str, before: Memory, after: Memory, pool_bytes: u64, sessions: usize) {
    let mib = |octets: u64| octets as f64 / f64::from(1 << 20);
    println!(
        "  memory of the {side}: {:.1} MiB before, {:.1} MiB with all sessions, {:.2} MiB each; of it at most {:.0} MiB are \
         its pool; besides, {:.1} MiB of mapped files",
        mib(before.own),
        mib(after.own),
        mib(after.own) / sessions as f64,
        mib(pool_bytes),
        mib(after.mapped)
    );
}

/// A home with so many partners, written directly: adding them one by one reads all others each time.
fn home(folder: &Path, name: &str, partners: usize, partner: impl Fn(usize) -> String) -> Home {
    let root = folder.join(name);
    let home =
        Home::create(&root, &format!("code = \"O0013{}\"\n", name.to_uppercase())).expect("a new home");
    for number in 0..partners {
        let name = format!("{PREFIX}{number}").parse().expect("a valid name");
        write_private(&home.partner_file(&name), &partner(number));
    }
    home
}

fn sender_code(number: usize) -> String {
    format!("O0013ALPHA{number}")
}

fn receiver_code(number: usize) -> String {
    format!("O0013BETA{number}")
}

/// What the receiver needs, and the sender. Callers are spread over shards by the kernel, unevenly: a shard is meant for
/// two thirds of what its pool can serve.
fn settings(sessions: usize) -> (Setting, Setting) {
    let of = |shards: usize, sessions: usize, blocks: usize| Setting {
        shards,
        pool_blocks: if shards == 1 {
            (sessions * blocks).clamp(16, POOL_BLOCKS_MAX)
        } else {
            POOL_BLOCKS_MAX
        },
        block_bytes: BLOCK_BYTES,
        is_discarding: true,
    };
    let receivers = sessions.div_ceil(POOL_BLOCKS_MAX / RECEIVING_BLOCKS * 2 / 3);
    let senders = sessions.div_ceil(POOL_BLOCKS_MAX / SENDING_BLOCKS);
    (of(receivers, sessions, RECEIVING_BLOCKS), of(senders, sessions, SENDING_BLOCKS))
}

/// One file for all: it must not end within the window. Holes of a file in memory would fill it.
fn source(bench: &Bench) -> PathBuf {
    if !bench.plan.is_short {
        return bench.step();
    }
    let path = bench.disk.path().join("sparse");
    File::create(&path).and_then(|file| file.set_len(SPARSE_BYTES)).expect("a sparse file");
    fs::canonicalize(path).expect("it is there")
}

const PREFIX: &str = "p";
/// Holds the largest Data Exchange Buffer.
const BLOCK_BYTES: usize = 128 << 10;
/// More a pool does not take.
const POOL_BLOCKS_MAX: usize = 1024;
/// Of a plain file, in a station that receives.
const RECEIVING_BLOCKS: usize = 4;
const SENDING_BLOCKS: usize = 2;
const SPARSE_BYTES: u64 = 8 << 30;
const START_LIMIT: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);
