//! Files that are signed and encrypted in TLS, one and several at the same time, beside their slowest stage alone; and
//! what every service to disk takes of the processors, beside the sum of its primitives.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use odile_bench::bare::{self, Load};
use odile_bench::homes::Terms;
use odile_bench::measure::{median, thread_seconds};
use odile_bench::primitive::{Cbc, Deflate, hash, inflate};
use odile_bench::processes::CpuTime;
use odile_bench::rounds::{Contestant, Turn, compete};
use odile_bench::station_process::Setting;
use odile_bench::stations::Stations;
use odile_station::envelope::HashAlgorithm::Sha256;
use odile_station::partner::Transport;

use crate::{Bench, settled, write_source};

pub fn run(bench: &Bench) {
    at_once(bench);
    for (name, send, does_compress) in [
        ("sign, encrypt", "sign = \"required\"\nencrypt = \"required\"\n", false),
        (
            "sign, compress, encrypt",
            "sign = \"required\"\ncompress = \"required\"\nencrypt = \"required\"\n",
            true,
        ),
    ] {
        to_disk(bench, name, &format!("{send}signed_receipt = \"required\"\n"), does_compress);
    }
}

/// Sign and encrypt, to nowhere.
fn at_once(bench: &Bench) {
    let content = Content::of(bench);
    let send = "sign = \"required\"\nencrypt = \"required\"\n";
    let terms = Terms { transport: Transport::Tls, send, identities: Some(bench.keys()) };
    // Two blocks for each file on its way out, six on its way in.
    let setting = Setting { is_discarding: true, pool_blocks: 6 * FILES_MAX, ..Setting::default() };
    let stations =
        &std::cell::RefCell::new(Stations::with_lanes(bench.on_disk(), &terms, setting, FILES_MAX));
    let contestant = |files: usize| {
        let sources = content.split(files);
        let name = if files == 1 { "one file".to_owned() } else { format!("{files} files at once") };
        Contestant::new(name, move || stations.borrow_mut().turn_at_once(&sources))
    };
    let mut contestants: Vec<_> = [1, 2, FILES_MAX].into_iter().map(contestant).collect();
    let cbc = Cbc::aes();
    contestants.push(alone("AES-256-CBC alone", &content, move |octets| cbc.encrypt(octets)));
    contestants.push(alone("SHA-256 alone", &content, |octets| hash(Sha256, octets)));
    compete(
        "sign and encrypt over TLS, to nowhere; each side with one core for all it does",
        bench.rounds(content.octets.len() as u64, 0),
        contestants,
    );
}

/// One stage and nothing else, on one core.
fn alone<'a>(name: &'static str, content: &Content, mut stage: impl FnMut(&mut [u8]) + 'a) -> Contestant<'a> {
    let mut octets = content.octets.clone();
    Contestant::new(name, move || {
        let (began, before) = (Instant::now(), thread_seconds());
        stage(&mut octets);
        black_box(&octets);
        turn(began.elapsed(), thread_seconds() - before)
    })
}

/// Everything, to disk with checkpoints. Processor seconds of both sides together.
fn to_disk(bench: &Bench, name: &str, send: &str, does_compress: bool) {
    let content = Content::of(bench);
    let source = content.split(1).remove(0);
    let terms = Terms { transport: Transport::Tls, send, identities: Some(bench.keys()) };
    let mut stations = Stations::start(bench.on_disk(), &terms, Setting::default());
    let gb = content.octets.len() as f64 / 1e9;
    let (mut ours, mut sums, mut ratios, mut speeds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut parts: Vec<(&'static str, Vec<f64>)> = Vec::new();
    for _ in 0..bench.plan.rounds {
        let turn = stations.turn(&source);
        let used = (turn.sender.total() + turn.receiver.total()) / gb;
        let primitives = primitives(bench, &content, &source, does_compress);
        let sum: f64 = primitives.iter().map(|(_, seconds)| seconds / gb).sum();
        speeds.push(gb / turn.took.as_secs_f64());
        ours.push(used);
        sums.push(sum);
        ratios.push(used / sum);
        for (at, (name, seconds)) in primitives.into_iter().enumerate() {
            if parts.len() <= at {
                parts.push((name, Vec::new()));
            }
            parts[at].1.push(seconds / gb);
        }
    }
    let (ours, sums, ratios) = (median(&mut ours), median(&mut sums), median(&mut ratios));
    println!(
        "{name}, signed receipt, TLS, to disk with checkpoints: processor seconds per GB of both sides together"
    );
    println!("  {:<42} {:>8.2}   at {:.3} GB/s", "Odile", ours.middle, median(&mut speeds).middle);
    println!("  {:<42} {:>8.2}", "sum of the primitives", sums.middle);
    println!(
        "  {:<42} {:>8.2}   ({:.2} - {:.2} in rounds)",
        "ratio", ratios.middle, ratios.least, ratios.most
    );
    for (name, mut seconds) in parts {
        println!("    {name:<40} {:>8.3}", median(&mut seconds).middle);
    }
    println!();
}

/// Processor seconds of each alone, one after the other.
fn primitives(
    bench: &Bench,
    content: &Content,
    source: &Path,
    does_compress: bool,
) -> Vec<(&'static str, f64)> {
    let mut seconds = Vec::new();
    let mut add = |name, work: &mut dyn FnMut()| {
        let before = thread_seconds();
        work();
        seconds.push((name, thread_seconds() - before));
    };
    add("SHA-256 of the source, to sign", &mut || hash(Sha256, &content.octets));
    let mut packed = content.octets.clone();
    if does_compress {
        let mut deflate = Deflate::new(1);
        let mut count = 0;
        add("deflate, level 1", &mut || count = deflate.compress(&content.octets));
        packed.truncate(count.next_multiple_of(16));
    }
    let cbc = Cbc::aes();
    add("AES-256-CBC, to encrypt", &mut || cbc.encrypt(&mut packed));
    add("SHA-256 of what is sent, for the receipt", &mut || hash(Sha256, &packed));
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("a key"));
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let mut tags = Vec::new();
    add("AES-256-GCM of records, to send", &mut || {
        for record in packed.chunks_mut(RECORD_BYTES) {
            tags.push(key.seal_in_place_separate_tag(nonce(), Aad::empty(), record).expect("room"));
        }
    });
    add("AES-256-GCM of records, received", &mut || {
        for (record, tag) in packed.chunks_mut(RECORD_BYTES).zip(&tags) {
            key.open_in_place_separate_tag(nonce(), Aad::empty(), tag.as_ref(), record).expect("just sealed");
        }
    });
    let wire = bench.folder().join("wire");
    write_source(&wire, &packed);
    let sent = bare::send(Load::File(wire.clone()));
    fs::remove_file(wire).expect("it is there");
    add("SHA-256 of what came, for the receipt", &mut || hash(Sha256, &packed));
    add("AES-256-CBC, to decrypt", &mut || cbc.decrypt(&mut packed));
    if does_compress {
        let mut deflate = Deflate::new(1);
        let chunks = deflate.chunks(&content.octets);
        let mut room = vec![0; 2 << 20];
        add("inflate", &mut || {
            for chunk in &chunks {
                black_box(inflate(chunk, &mut room));
            }
        });
    }
    add("SHA-256 of the content, to verify", &mut || hash(Sha256, &content.octets));
    let target = bench.folder().join("target");
    add("writing to disk, and a sync", &mut || {
        let mut file = File::create(&target).expect("a scratch file");
        content.octets.chunks(WRITE_BYTES).for_each(|block| file.write_all(block).expect("room"));
        file.sync_data().expect("a disk");
    });
    fs::remove_file(target).expect("it is there");
    if does_compress {
        // The bare loop has read what is sent; the source was read besides.
        let mut block = vec![0; WRITE_BYTES];
        add("reading the source", &mut || {
            let mut file = File::open(source).expect("the source");
            while file.read(&mut block).expect("the source") > 0 {}
        });
    }
    seconds.push(("reading and sending what is sent", sent.sender_seconds));
    seconds.push(("receiving it", sent.receiver_seconds));
    seconds
}

/// What is sent.
struct Content {
    octets: Vec<u8>,
    folder: PathBuf,
}

impl Content {
    /// STEP text.
    fn of(bench: &Bench) -> Self {
        let octets = fs::read(bench.step()).expect("the source");
        let whole = octets.len() / 16 * 16;
        Self { octets: octets[..whole].to_vec(), folder: bench.folder().to_owned() }
    }

    /// In so many files, which are on disk and in the page cache.
    fn split(&self, files: usize) -> Vec<PathBuf> {
        let part = |(number, octets): (usize, &[u8])| {
            let path = self.folder.join(format!("part-{number}-of-{files}"));
            if !path.exists() {
                write_source(&path, octets);
            }
            settled(&path);
            path
        };
        self.octets.chunks(self.octets.len().div_ceil(files)).enumerate().map(part).collect()
    }
}

fn turn(took: Duration, seconds: f64) -> Turn {
    let sender = CpuTime { user: seconds, kernel: 0.0 };
    Turn { took, sender, receiver: CpuTime::default() }
}

const FILES_MAX: usize = 4;
/// Of TLS.
const RECORD_BYTES: usize = 16_384;
/// As a station writes.
const WRITE_BYTES: usize = 512 << 10;
