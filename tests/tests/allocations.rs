//! What a block of a file costs in allocations: two stations in this process, a file of 64 MiB and one of 256 MiB, and the
//! difference between the two, for each block of 512 KiB more. What a session and a file need once is not in it.
//!
//! `ODILE_ALLOCATIONS=MODE cargo test -p odile-tests --test allocations` writes `dhat-heap.json` for one mode instead, which
//! tells where they came from (dh_view.html of Valgrind's DHAT shows it).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odile_station::catalog::TransferRef;
use odile_station::partner::ServiceWish;
use odile_station::{Event, Options, SendRequest};
use odile_tests::pki::issued;
use odile_tests::station::{TestStation, options};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

struct Mode {
    name: &'static str,
    is_secure: bool,
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

const MODES: [Mode; 4] = [
    Mode { name: "plain", is_secure: false, services: NOTHING, most: 1000.0 },
    Mode { name: "tls", is_secure: true, services: NOTHING, most: 1000.0 },
    Mode {
        name: "sign+encrypt",
        is_secure: false,
        services: ServiceWish {
            sign: Some(true),
            encrypt: Some(true),
            signed_receipt: Some(true),
            ..NOTHING
        },
        most: 1000.0,
    },
    Mode {
        name: "compress",
        is_secure: false,
        services: ServiceWish { compress: Some(true), ..NOTHING },
        most: 1000.0,
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
        let (alpha, beta) = pair(mode.is_secure);
        let idle = counted(|| std::thread::sleep(Duration::from_secs(1)));
        // What is set up with the first file is there for the second.
        sent(&alpha, &beta, &sources[0], mode);
        let [small, large] = sources.each_ref().map(|source| counted(|| sent(&alpha, &beta, source, mode)));
        let blocks = ((LARGE_MIB - SMALL_MIB) << 20) as f64 / BLOCK_BYTES as f64;
        let more = |large: u64, small: u64| (large as f64 - small as f64) / blocks;
        let each = more(large.allocations, small.allocations);
        println!(
            "{:<14} {each:>8.3} allocations and {:>10.0} octets for each block more; {} for {SMALL_MIB} MiB in {:?}, {} for {LARGE_MIB} MiB in {:?}; idle {} in a second",
            mode.name,
            more(large.octets, small.octets),
            small.allocations,
            small.took,
            large.allocations,
            large.took,
            idle.allocations,
        );
        if each > mode.most {
            offences.push(format!(
                "{}: {each:.3} allocations for each block, {} are known",
                mode.name, mode.most
            ));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
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

fn pair(is_secure: bool) -> (TestStation, TestStation) {
    let (mut alpha, mut beta) = (TestStation::on_disk("O0013ALPHA"), TestStation::on_disk("O0013BETA"));
    for (station, own, other) in [(&alpha, "alpha", "beta"), (&beta, "beta", "alpha")] {
        station.give_key(&issued(own));
        station.give_certificate(other, "shared", &issued(other));
    }
    // A checkpoint is made for hundreds of blocks, or every few seconds: it is not counted here.
    let none = Options { checkpoint_bytes: u64::MAX / 8, checkpoint_time: Duration::MAX, ..options() };
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
        for number in 0.. {
            if text.len() >= 1 << 20 {
                break;
            }
            text.push_str(&format!(
                "#{number}=CARTESIAN_POINT('',({}.{},0.));\n",
                number * 37 % 997,
                number * 7 % 89
            ));
        }
        text.truncate(1 << 20);
        fs::write(&path, text.repeat(mib)).expect("room for it");
    }
    path
}

const SMALL_MIB: usize = 64;
const LARGE_MIB: usize = 256;
const BLOCK_BYTES: usize = 512 << 10;
