//! End to end over loopback with everything that secures a file, in one run with the primitives that limit it: one
//! file from a sender on one core to a discarding receiver on another.
//!
//! ```text
//! cargo bench -p odile-bench --bench secured -- [--mib 1024] [--rounds 3]
//! ```
//!
//! The bound of a mode is what one core could do that has nothing to do but its primitives, one after the other:
//! the reciprocal of the sum of their times for each octet of source. It is a limit for one worker, not for a machine.

#![allow(clippy::cast_precision_loss, reason = "figures of three digits are printed")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use odile_bench::machine::Machine;
use odile_bench::measure::{Measured, cpu_seconds, median};
use odile_bench::pair::{Key, Pair, Terms};
use odile_bench::{cad, primitive};
use odile_station::Target;
use odile_station::envelope::HashAlgorithm;
use odile_station::partner::Transport;

struct Plan {
    mib: u64,
    rounds: usize,
}

/// Seconds for a GB of what goes in.
struct Primitives {
    sha256: f64,
    cbc_encrypt: f64,
    deflate: f64,
    /// Octets out for one in.
    ratio: f64,
}

/// How a file goes.
struct Mode {
    name: &'static str,
    transport: Transport,
    send: &'static str,
    /// Seconds for a GB on the sender's worker, at the least.
    bound: fn(&Primitives) -> Option<f64>,
}

fn main() {
    let plan = Plan::from_arguments();
    let folder = tempfile::tempdir_in(odile_bench::scratch()).expect("a scratch folder");
    println!("{}", Machine::here());
    println!(
        "{} MiB of each kind, {} rounds, median; suite 04, compression level 1\n",
        plan.mib, plan.rounds
    );
    let (ours, theirs) = (Key::new(), Key::new());
    let octets = usize::try_from(plan.mib << 20).expect("it fits");
    let kinds: [(&str, Vec<u8>); 2] =
        [("STEP text", cad::step_text(octets, 1)), ("mesh", cad::mesh(octets, 1))];
    for (kind, content) in kinds {
        let source = folder.path().join("source");
        fs::write(&source, &content).expect("a scratch file");
        let primitives = Primitives::measure(&content);
        drop(content);
        println!(
            "{kind}: SHA-256 {:.2} GB/s, AES-256-CBC {:.2} GB/s, deflate {:.3} GB/s ({:.2} to 1)",
            1.0 / primitives.sha256,
            1.0 / primitives.cbc_encrypt,
            1.0 / primitives.deflate,
            1.0 / primitives.ratio
        );
        println!("{:<44} {:>8} {:>8} {:>8} {:>10}", "mode", "GB/s", "bound", "ratio", "CPU s/GB");
        for mode in &MODES {
            measure(mode, &plan, folder.path(), &source, (&ours, &theirs), &primitives);
        }
        println!();
    }
}

fn measure(
    mode: &Mode,
    plan: &Plan,
    folder: &Path,
    source: &Path,
    keys: (&Key, &Key),
    primitives: &Primitives,
) {
    let terms = Terms { transport: mode.transport, send: mode.send, identities: Some(keys) };
    let cores = odile_station::available_cpus();
    let pair = Pair::start_with(folder, Target::Discard, &cores, &terms);
    let gb = (plan.mib << 20) as f64 / 1e9;
    let (mut speeds, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let before = cpu_seconds();
        let took = pair.send_and_wait(source);
        speeds.push(gb / took.as_secs_f64());
        cpu.push((cpu_seconds() - before) / gb);
    }
    let Measured { middle, .. } = median(&mut speeds);
    let bound = (mode.bound)(primitives).map(|seconds| 1.0 / seconds);
    let shown = bound.map_or_else(|| "-".to_owned(), |bound| format!("{bound:.2}"));
    let ratio = bound.map_or_else(|| "-".to_owned(), |bound| format!("{:.2}", middle / bound));
    println!("{:<44} {middle:>8.2} {shown:>8} {ratio:>8} {:>10.2}", mode.name, median(&mut cpu).middle);
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
        let default = if short { (8, 1) } else { (1024, 3) };
        Self {
            mib: number("--mib").unwrap_or(default.0),
            rounds: usize::try_from(number("--rounds").unwrap_or(default.1)).unwrap_or(1).max(1),
        }
    }
}

impl Primitives {
    fn measure(content: &[u8]) -> Self {
        let gb = |octets: usize| octets as f64 / 1e9;
        let sample = &content[..content.len().min(SAMPLE_BYTES)];
        let began = Instant::now();
        primitive::hash(HashAlgorithm::Sha256, sample);
        let sha256 = began.elapsed().as_secs_f64() / gb(sample.len());

        let mut blocks = sample[..sample.len() / 16 * 16].to_vec();
        let cbc = primitive::Cbc::aes();
        let began = Instant::now();
        cbc.encrypt(black_box(&mut blocks));
        let cbc_encrypt = began.elapsed().as_secs_f64() / gb(blocks.len());

        let mut deflate = primitive::Deflate::new(1);
        let began = Instant::now();
        let packed: usize = sample.chunks(primitive::CHUNK_BYTES).map(|chunk| deflate.compress(chunk)).sum();
        let deflate = began.elapsed().as_secs_f64() / gb(sample.len());
        Self { sha256, cbc_encrypt, deflate, ratio: packed as f64 / sample.len() as f64 }
    }
}

const MODES: [Mode; 8] = [
    Mode { name: "plain", transport: Transport::Plain, send: "", bound: |_| None },
    Mode { name: "TLS", transport: Transport::Tls, send: "", bound: |_| None },
    Mode {
        name: "TLS, signed receipt",
        transport: Transport::Tls,
        send: "signed_receipt = \"required\"\n",
        bound: |p| Some(p.sha256),
    },
    Mode {
        name: "TLS, signed, signed receipt",
        transport: Transport::Tls,
        send: "sign = \"required\"\nsigned_receipt = \"required\"\n",
        bound: |p| Some(2.0 * p.sha256),
    },
    Mode {
        name: "TLS, encrypted, signed receipt",
        transport: Transport::Tls,
        send: "encrypt = \"required\"\nsigned_receipt = \"required\"\n",
        bound: |p| Some(p.cbc_encrypt + p.sha256),
    },
    Mode {
        name: "TLS, signed, encrypted, signed receipt",
        transport: Transport::Tls,
        send: "sign = \"required\"\nencrypt = \"required\"\nsigned_receipt = \"required\"\n",
        bound: |p| Some(2.0 * p.sha256 + p.cbc_encrypt),
    },
    Mode {
        name: "TLS, compressed, signed receipt",
        transport: Transport::Tls,
        send: "compress = \"required\"\nsigned_receipt = \"required\"\n",
        bound: |p| Some(p.deflate + p.ratio * p.sha256),
    },
    Mode {
        name: "TLS, signed, compressed, encrypted, receipt",
        transport: Transport::Tls,
        send: "sign = \"required\"\ncompress = \"required\"\nencrypt = \"required\"\nsigned_receipt = \"required\"\n",
        bound: |p| Some(p.sha256 + p.deflate + p.ratio * (p.cbc_encrypt + p.sha256)),
    },
];

/// Enough to be out of every cache.
const SAMPLE_BYTES: usize = 256 << 20;
