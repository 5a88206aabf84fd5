//! What a block of a file costs in allocations: two stations in this process, a file of 64 MiB and one of 256 MiB, and the
//! difference between the two, for each block of 512 KiB more, both stations together. What a session and a file need once
//! is not in it, nor are checkpoints.
//!
//! `ODILE_ALLOCATIONS=MODE cargo test -p odile-tests --test allocations` writes `dhat-heap.json` for one mode instead, which
//! tells where they came from (dh_view.html of Valgrind's DHAT shows it).

#![allow(clippy::cast_precision_loss, reason = "figures of a few digits are compared")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odile_station::catalog::TransferRef;
use odile_station::partner::ServiceWish;
use odile_station::{Direct, Event, Options, SendRequest};
use odile_tests::pki::issued;
use odile_tests::station::{TestStation, options};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

struct Mode {
    name: &'static str,
    is_secure: bool,
    direct: Direct,
    services: ServiceWish,
    /// Allocations for each block, both stations together.
    most: f64,
}

const NOTHING: ServiceWish = ServiceWish {
    sign: Some(false),
    compress: Some(false),
    encrypt: Some(false),
    signed_receipt: Some(false),
    suite: None,
};

/// Half an allocation above what is known, and what a tick of the stations' clocks makes of it: one more for a block
/// is noticed.
const MODES: [Mode; 5] = [
    // Nothing.
    Mode { name: "plain", is_secure: false, direct: Direct::Off, services: NOTHING, most: 0.5 },
    Mode { name: "plain, direct", is_secure: false, direct: Direct::Both, services: NOTHING, most: 0.5 },
    Mode { name: "tls", is_secure: true, direct: Direct::Off, services: NOTHING, most: 0.5 },
    // About seven for each filling of the stage (1 MiB): the state that another attempt would go on from.
    Mode {
        name: "sign+encrypt",
        is_secure: false,
        direct: Direct::Off,
        services: ServiceWish {
            sign: Some(true),
            encrypt: Some(true),
            signed_receipt: Some(true),
            ..NOTHING
        },
        most: 4.5,
    },
    // About eight for each chunk (1 MiB): that state on either side, with the window of the inflate, and what a chunk is
    // framed and passed on in.
    Mode {
        name: "compress",
        is_secure: false,
        direct: Direct::Off,
        services: ServiceWish { compress: Some(true), ..NOTHING },
        most: 4.5,
    },
];

#[derive(Debug, Clone, Copy)]
struct Count {
    allocations: u64,
    octets: u64,
    took: Duration,
}

#[test]
fn a_block_of_a_file_costs_no_more_allocations_than_are_known() {
    let only = std::env::var("ODILE_ALLOCATIONS").ok();
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch folder");
    let profiler = dhat::Profiler::builder();
    let _profiler = if only.is_some() { profiler.build() } else { profiler.testing().build() };
    let mut offences = Vec::new();
    for mode in MODES.iter().filter(|mode| only.as_ref().is_none_or(|only| only == mode.name)) {
        let sources = [SMALL_MIB, LARGE_MIB].map(|mib| source(scratch.path(), mib));
        let (alpha, beta) = pair(mode);
        // What is set up with the first file is there for the second.
        sent(&alpha, &beta, &sources[0], mode);
        // A session that is opened with one of the files alone has hundreds of its own: then once more.
        let mut each = f64::NEG_INFINITY;
        for _ in 0..ATTEMPTS {
            each = compared(mode, &sources, &alpha, &beta);
            if (-0.5..=mode.most).contains(&each) {
                break;
            }
        }
        if each > mode.most {
            offences.push(format!(
                "{}: {each:.3} allocations for each block, {} are known",
                mode.name, mode.most
            ));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

/// Allocations for each block by which the large file is longer than the small one.
fn compared(mode: &Mode, sources: &[PathBuf; 2], alpha: &TestStation, beta: &TestStation) -> f64 {
    let [small, large] = sources.each_ref().map(|source| counted(|| sent(alpha, beta, source, mode)));
    // Clocks tick meanwhile.
    let idle = counted(|| std::thread::sleep(large.took.saturating_sub(small.took)));
    let blocks = ((LARGE_MIB - SMALL_MIB) << 20) as f64 / BLOCK_BYTES as f64;
    let more = |of: fn(&Count) -> u64| (of(&large) as f64 - of(&small) as f64 - of(&idle) as f64) / blocks;
    let each = more(|count| count.allocations);
    println!(
        "{:<14} {each:>7.3} allocations and {:>10.0} octets for each block; {} for {SMALL_MIB} MiB in {:?}, {} for \
         {LARGE_MIB} MiB in {:?}, {} of them by clocks",
        mode.name,
        more(|count| count.octets),
        small.allocations,
        small.took,
        large.allocations,
        large.took,
        idle.allocations,
    );
    each
}

fn counted(work: impl FnOnce()) -> Count {
    let (before, began) = (dhat::HeapStats::get(), Instant::now());
    work();
    let (after, took) = (dhat::HeapStats::get(), began.elapsed());
    Count {
        allocations: after.total_blocks - before.total_blocks,
        octets: after.total_bytes - before.total_bytes,
        took,
    }
}

/// Sends a file, waits for its receipt, and leaves nothing behind.
fn sent(alpha: &TestStation, beta: &TestStation, source: &Path, mode: &Mode) {
    let mut request = SendRequest::new("beta", source);
    request.services = mode.services;
    let id = alpha.handle().send(&request).expect("it is queued").id;
    let number = TransferRef::Outbound(id);
    let is_receipt =
        |event: &Event| matches!(event, Event::ReceiptArrived { transfer, .. } if *transfer == number);
    alpha.events.wait_for("the receipt", is_receipt);
    for file in beta.inbox("alpha") {
        fs::remove_file(file).expect("it is there");
    }
}

fn pair(mode: &Mode) -> (TestStation, TestStation) {
    let (mut alpha, mut beta) = (TestStation::on_disk("O0013ALPHA"), TestStation::on_disk("O0013BETA"));
    for (station, own, other) in [(&alpha, "alpha", "beta"), (&beta, "beta", "alpha")] {
        station.give_key(&issued(own));
        station.give_certificate(other, "shared", &issued(other));
    }
    // A checkpoint is made for hundreds of blocks, or every few seconds: it is not counted here.
    let none = Options {
        checkpoint_bytes: u64::MAX / 8,
        checkpoint_time: Duration::MAX,
        direct: mode.direct,
        ..options()
    };
    let is_secure = mode.is_secure;
    let transport = if is_secure { "transport = \"tls\"\n" } else { "" };
    beta.add_partner("alpha", &format!("code = \"O0013ALPHA\"\n{transport}"));
    let address = if is_secure { beta.start_secure(none.clone()) } else { beta.start_with(none.clone()) };
    alpha.add_partner("beta", &format!("code = \"O0013BETA\"\naddress = \"{address}\"\n{transport}"));
    if is_secure {
        alpha.start_secure(none)
    } else {
        alpha.start_with(none)
    };
    (alpha, beta)
}

/// Text that can be compressed.
fn source(folder: &Path, mib: usize) -> PathBuf {
    let path = folder.join(format!("{mib}"));
    if !path.exists() {
        let mut text = String::new();
        for number in 0_u64.. {
            if text.len() >= 1 << 20 {
                break;
            }
            let (x, y) = (number * 37 % 997, number * 7 % 89);
            text.extend(["#", &number.to_string(), &format!("=CARTESIAN_POINT('',({x}.{y},0.));\n")]);
        }
        text.truncate(1 << 20);
        fs::write(&path, text.repeat(mib)).expect("room for it");
    }
    path
}

const ATTEMPTS: usize = 4;
const SMALL_MIB: usize = 64;
const LARGE_MIB: usize = 256;
const BLOCK_BYTES: usize = 512 << 10;
