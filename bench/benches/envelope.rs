//! Envelopes beside what they are made of: hashes, ciphers, deflate, RSA.
//!
//! ```text
//! cargo bench -p odile-bench --bench envelope              # criterion's figures, then the table
//! cargo bench -p odile-bench --bench envelope -- table     # the tables alone
//! cargo bench -p odile-bench --bench envelope -- together  # the last of them: several files on one core
//! ```
//!
//! The table gives, for each mode, GB/s of content and how much that is of the bound: what the stages that have to
//! be done one after the other on one core would take if nothing else had to be done. In a round bound and mode are
//! measured one after the other, in processor seconds of the thread.

#![allow(clippy::cast_precision_loss, reason = "figures of three digits are printed")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, measurement::WallTime};
use odile_bench::cad;
use odile_bench::machine::Machine;
use odile_bench::measure::{median, thread_seconds};
use odile_bench::primitive::{self, CHUNK_BYTES, Cbc, Deflate, Rsa};
use odile_bench::sealing::{self, BLOCK_BYTES, Party};
use odile_envelope::deflate::{CompressionLevel, compress_chunk};
use odile_envelope::seal::{LANES_MAX, TransmittedHash};
use odile_envelope::{Declared, HashAlgorithm, Hasher, OpenTerms, SealOptions, SealPlan, Services, Suite};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_short = !arguments.iter().any(|a| a == "--bench") || arguments.iter().any(|a| a == "--test");
    let filter = arguments.iter().find(|argument| !argument.starts_with("--"));
    let setup = Setup::new(if is_short { Extent::SHORT } else { Extent::FULL });

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    primitives(&mut criterion, &setup);
    stages(&mut criterion, &setup);
    criterion.final_summary();
    if filter.is_none_or(|filter| filter == "table") {
        println!("\n{}", Machine::here());
        modes_table(&setup);
        stages_table(&setup);
    }
    if filter.is_none_or(|filter| filter == "table" || filter == "together") {
        together_table(&setup);
    }
}

const HASHES: [HashAlgorithm; 4] =
    [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha512, HashAlgorithm::Sha3_512];

/// The suite of the modes: what partners agree on today.
const SUITE: Suite = Suite::S04;

/// How much is measured.
struct Extent {
    /// Octets of each corpus.
    corpus_bytes: usize,
    /// Octets of a copy from memory.
    copy_bytes: usize,
    /// Rounds of the tables.
    rounds: usize,
    /// Processor seconds that a figure takes at least.
    seconds_min: f64,
}

impl Extent {
    const FULL: Self = Self { corpus_bytes: 32 << 20, copy_bytes: 256 << 20, rounds: 7, seconds_min: 0.25 };
    const SHORT: Self = Self { corpus_bytes: 200_000, copy_bytes: 1 << 20, rounds: 1, seconds_min: 0.0 };
}

/// All that is measured with.
struct Setup {
    extent: Extent,
    corpora: Vec<Corpus>,
    party: Party,
    rsa: Rsa,
    aes: Cbc,
    triple_des: Cbc,
}

/// A file of one kind, and its compressed form.
struct Corpus {
    name: &'static str,
    octets: Vec<u8>,
    /// Whether compression is worth it.
    is_compressible: bool,
    /// Raw deflate.
    deflated: Vec<u8>,
    /// What is done to it: all modes for the first corpus, those with compression for the others.
    modes: Vec<Mode>,
}

/// Services, and what they make of the corpus.
struct Mode {
    services: Services,
    plan: Arc<SealPlan>,
    stream: Vec<u8>,
    terms: Arc<OpenTerms>,
}

impl Setup {
    fn new(extent: Extent) -> Self {
        let party = Party::new();
        let bytes = extent.corpus_bytes;
        let corpora = [
            ("STEP text", cad::step_text(bytes, 1), true),
            ("mesh", cad::mesh(bytes, 1), true),
            ("noise", cad::noise(bytes, 1), false),
        ];
        let corpora = corpora
            .into_iter()
            .enumerate()
            .map(|(index, (name, octets, is_compressible))| Corpus {
                deflated: deflated(&octets),
                modes: Services::combinations()
                    .filter(|services| index == 0 || services.compress)
                    .map(|services| Mode::new(&party, services, &octets))
                    .collect(),
                name,
                octets,
                is_compressible,
            })
            .collect();
        let rsa = Rsa::new(&party.pkcs8);
        Self { extent, corpora, rsa, party, aes: Cbc::aes(), triple_des: Cbc::triple_des() }
    }

    fn text(&self) -> &[u8] {
        &self.corpora[0].octets
    }

    /// Processor seconds of one run; of several, if it is short.
    fn seconds(&self, mut run: impl FnMut()) -> f64 {
        let (began, mut runs) = (thread_seconds(), 0.0);
        loop {
            run();
            runs += 1.0;
            let took = thread_seconds() - began;
            if took >= self.extent.seconds_min {
                return took.max(1e-9) / runs;
            }
        }
    }

    /// Processor seconds for each octet.
    fn per_octet(&self, octets: usize, run: impl FnMut()) -> f64 {
        self.seconds(run) / octets as f64
    }
}

impl Mode {
    fn new(party: &Party, services: Services, source: &[u8]) -> Self {
        let plan = party.plan(SUITE, services, source.len());
        let mut stream = Vec::new();
        party.seal(&plan, source, &mut vec![0; BLOCK_BYTES], |written| stream.extend_from_slice(written));
        let terms = party.terms(Declared::Services(services), Some(SUITE.hash()));
        Self { services, plan, stream, terms }
    }

    fn name(&self) -> String {
        let Services { sign, compress, encrypt } = self.services;
        let names = [(sign, "sign"), (compress, "compress"), (encrypt, "encrypt")];
        let names: Vec<_> = names.into_iter().filter_map(|(is_on, name)| is_on.then_some(name)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(" + ") }
    }

    fn seal(&self, party: &Party, source: &[u8], room: &mut [u8]) {
        party.seal(&self.plan, source, room, |written| {
            black_box(written);
        });
    }

    fn open(&self, room: &mut [u8]) {
        let (_, is_good) = sealing::open(&self.terms, &self.stream, room);
        assert!(is_good, "it was just sealed");
    }
}

/// Raw deflate, from first to last block, in the chunks that envelopes are made of.
fn deflated(octets: &[u8]) -> Vec<u8> {
    let (mut stream, mut packed) = (Vec::new(), Vec::new());
    for chunk in octets.chunks(CHUNK_BYTES) {
        compress_chunk(CompressionLevel::FASTEST, chunk, &mut packed).expect("a chunk");
        stream.extend_from_slice(&packed);
    }
    // An empty last block with fixed codes.
    stream.extend_from_slice(&[3, 0]);
    stream
}

fn primitives(criterion: &mut Criterion, setup: &Setup) {
    let text = setup.text();
    let mut group = group(criterion, "hash", text.len());
    for algorithm in HASHES {
        let name = format!("{algorithm:?}");
        group.bench_function(BenchmarkId::new(&name, "RustCrypto"), |b| {
            b.iter(|| primitive::hash(algorithm, black_box(text)));
        });
        group.bench_function(BenchmarkId::new(&name, "AWS-LC"), |b| {
            b.iter(|| primitive::hash_of_aws_lc(algorithm, black_box(text)));
        });
        group.bench_function(BenchmarkId::new(&name, "with midstates"), |b| {
            b.iter(|| hash_with_midstates(algorithm, black_box(text)));
        });
    }
    group.finish();

    let mut blocks = whole_blocks(text);
    let mut group = self::group(criterion, "cipher", blocks.len());
    group.bench_function("AES-256-CBC encrypt", |b| b.iter(|| setup.aes.encrypt(&mut blocks)));
    group.bench_function("AES-256-CBC decrypt", |b| b.iter(|| setup.aes.decrypt(&mut blocks)));
    let short = blocks.len() / 16;
    group.throughput(Throughput::Bytes(short as u64));
    group.bench_function("3DES-CBC encrypt", |b| b.iter(|| setup.triple_des.encrypt(&mut blocks[..short])));
    group.finish();

    let (source, mut target) = copy_buffers(setup);
    let mut group = self::group(criterion, "memory", source.len());
    group.bench_function("memcpy", |b| b.iter(|| black_box(&mut target).copy_from_slice(black_box(&source))));
    group.finish();

    let mut room = vec![0; BLOCK_BYTES];
    for Corpus { name, octets, deflated, .. } in &setup.corpora {
        let mut group = self::group(criterion, "deflate", octets.len());
        for level in [1, 3, 6] {
            let mut deflate = Deflate::new(level);
            let id = BenchmarkId::new(format!("libdeflate {level}"), name);
            group.bench_function(id, |b| b.iter(|| deflate.compress(black_box(octets))));
        }
        let id = BenchmarkId::new("zlib-rs inflate", name);
        group.bench_function(id, |b| b.iter(|| primitive::inflate(black_box(deflated), &mut room)));
        let id = BenchmarkId::new("Adler-32", name);
        group.bench_function(id, |b| b.iter(|| primitive::adler(black_box(octets))));
        group.finish();
    }

    let rsa = &setup.rsa;
    let mut group = criterion.benchmark_group("RSA 2048");
    group.bench_function("sign", |b| b.iter(|| rsa.sign()));
    group.bench_function("verify", |b| b.iter(|| rsa.verify()));
    group.bench_function("wrap", |b| b.iter(|| rsa.wrap()));
    group.bench_function("unwrap", |b| b.iter(|| rsa.unwrap()));
    group.finish();
}

fn stages(criterion: &mut Criterion, setup: &Setup) {
    let mut room = vec![0; BLOCK_BYTES];
    for corpus in &setup.corpora {
        for (stage, is_seal) in [("seal", true), ("open", false)] {
            let mut group = group(criterion, stage, corpus.octets.len());
            for mode in &corpus.modes {
                group.bench_function(BenchmarkId::new(mode.name(), corpus.name), |b| {
                    b.iter(|| {
                        if is_seal {
                            mode.seal(&setup.party, &corpus.octets, &mut room);
                        } else {
                            mode.open(&mut room);
                        }
                    });
                });
            }
            group.finish();
        }
    }

    let terms = frame_terms(&setup.party);
    let mut group = group(criterion, "frame alone", setup.text().len());
    for segment_bytes in SEGMENTS {
        let stream = sealing::frame_alone(setup.text(), segment_bytes);
        group.bench_function(BenchmarkId::new("segments", segment_bytes), |b| {
            b.iter(|| sealing::open(&terms, &stream, &mut room));
        });
    }
    group.finish();

    let party = &setup.party;
    let mut group = criterion.benchmark_group("message");
    group.bench_function("receipt, sign", |b| b.iter(|| party.sign_receipt()));
    group.bench_function("receipt, verify", |b| b.iter(|| party.verify_receipt()));
    group.bench_function("challenge, seal", |b| b.iter(|| party.seal_challenge()));
    group.bench_function("challenge, open", |b| b.iter(|| party.open_challenge()));
    group.finish();
}

fn group<'a>(criterion: &'a mut Criterion, name: &str, octets: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(octets as u64)).sampling_mode(SamplingMode::Flat);
    group
}

/// Segments of octet strings: ours, OpenSSL's, and small ones.
const SEGMENTS: [usize; 3] = [1 << 20, 4096, 64];

fn frame_terms(party: &Party) -> Arc<OpenTerms> {
    party.terms(Declared::Services(Services { sign: true, ..Services::NONE }), None)
}

fn hash_with_midstates(algorithm: HashAlgorithm, octets: &[u8]) {
    let mut hasher = Hasher::new(algorithm);
    for block in octets.chunks(BLOCK_BYTES) {
        hasher.update(block);
        black_box(hasher.midstate());
    }
    black_box(hasher.finish());
}

fn whole_blocks(octets: &[u8]) -> Vec<u8> {
    octets[..octets.len() / 256 * 256].to_vec()
}

fn copy_buffers(setup: &Setup) -> (Vec<u8>, Vec<u8>) {
    (vec![7; setup.extent.copy_bytes], vec![0; setup.extent.copy_bytes])
}

/// What the primitives take for each octet, in one round.
struct Limits {
    copy: f64,
    hash: f64,
    encrypt: f64,
    decrypt: f64,
    adler: f64,
    /// For each corpus.
    deflate: Vec<f64>,
    inflate: Vec<f64>,
}

impl Limits {
    fn measure(setup: &Setup, copies: &mut (Vec<u8>, Vec<u8>), blocks: &mut [u8], room: &mut [u8]) -> Self {
        let text = setup.text();
        let (source, target) = copies;
        let mut deflate = Deflate::new(1);
        Self {
            copy: setup
                .per_octet(source.len(), || black_box(&mut *target).copy_from_slice(black_box(source))),
            hash: setup.per_octet(text.len(), || primitive::hash(SUITE.hash(), black_box(text))),
            encrypt: setup.per_octet(blocks.len(), || setup.aes.encrypt(blocks)),
            decrypt: setup.per_octet(blocks.len(), || setup.aes.decrypt(blocks)),
            adler: setup.per_octet(text.len(), || primitive::adler(black_box(text))),
            deflate: (setup.corpora.iter())
                .map(|corpus| {
                    setup.per_octet(corpus.octets.len(), || {
                        black_box(deflate.compress(&corpus.octets));
                    })
                })
                .collect(),
            inflate: (setup.corpora.iter())
                .map(|corpus| {
                    setup.per_octet(corpus.octets.len(), || {
                        black_box(primitive::inflate(&corpus.deflated, room));
                    })
                })
                .collect(),
        }
    }

    /// The least that sealing takes for an octet. The stream is hashed for the receipt, whatever the services.
    fn seal(&self, index: usize, corpus: &Corpus, mode: &Mode) -> f64 {
        let share = mode.stream.len() as f64 / corpus.octets.len() as f64;
        let compress = if corpus.is_compressible { self.deflate[index] } else { self.copy };
        share * self.hash
            + only(mode.services.sign, self.hash)
            + only(mode.services.compress, compress + self.adler)
            + only(mode.services.encrypt, share * self.encrypt)
            + only(mode.services == Services::NONE, self.copy)
    }

    /// The least that opening takes for an octet.
    fn open(&self, index: usize, corpus: &Corpus, mode: &Mode) -> f64 {
        let share = mode.stream.len() as f64 / corpus.octets.len() as f64;
        share * self.hash
            + only(mode.services.sign, self.hash)
            + only(mode.services.compress, self.inflate[index] + self.adler)
            + only(mode.services.encrypt, share * self.decrypt)
            + only(mode.services == Services::NONE, self.copy)
    }
}

fn only(is_done: bool, seconds: f64) -> f64 {
    if is_done { seconds } else { 0.0 }
}

/// Figures of all rounds for one mode: seconds for each octet, and the bound's.
#[derive(Default)]
struct Figures {
    seal: Vec<(f64, f64)>,
    open: Vec<(f64, f64)>,
}

fn modes_table(setup: &Setup) {
    let mut copies = copy_buffers(setup);
    let (mut blocks, mut room) = (whole_blocks(setup.text()), vec![0; BLOCK_BYTES]);
    let mut figures: Vec<Vec<Figures>> = (setup.corpora.iter())
        .map(|corpus| corpus.modes.iter().map(|_| Figures::default()).collect())
        .collect();
    let mut limits = Vec::new();
    for _ in 0..setup.extent.rounds {
        let limit = Limits::measure(setup, &mut copies, &mut blocks, &mut room);
        for (index, corpus) in setup.corpora.iter().enumerate() {
            let octets = corpus.octets.len();
            for (mode, figures) in corpus.modes.iter().zip(&mut figures[index]) {
                let took = setup.per_octet(octets, || mode.seal(&setup.party, &corpus.octets, &mut room));
                figures.seal.push((took, limit.seal(index, corpus, mode)));
                let took = setup.per_octet(octets, || mode.open(&mut room));
                figures.open.push((took, limit.open(index, corpus, mode)));
            }
        }
        limits.push(limit);
    }

    println!(
        "suite {SUITE}, {} MiB, blocks of {} KiB, medians of {} rounds; GB/s of a core\n",
        setup.extent.corpus_bytes >> 20,
        BLOCK_BYTES >> 10,
        setup.extent.rounds
    );
    print_limits(setup, &limits);
    println!(
        "\n{:<26} {:<10} {:>6} {:>8} {:>8} {:>6} {:>8} {:>8} {:>6}",
        "mode", "content", "size", "seal", "bound", "ratio", "open", "bound", "ratio"
    );
    for (corpus, figures) in setup.corpora.iter().zip(&figures) {
        for (mode, figures) in corpus.modes.iter().zip(figures) {
            let share = mode.stream.len() as f64 / corpus.octets.len() as f64;
            let [seal, open] = [&figures.seal, &figures.open].map(|rounds| Row::of(rounds));
            println!("{:<26} {:<10} {share:>6.3} {seal} {open}", mode.name(), corpus.name);
        }
    }
}

fn print_limits(setup: &Setup, limits: &[Limits]) {
    let line = |name: &str, of: &dyn Fn(&Limits) -> f64| {
        let mut speeds: Vec<f64> = limits.iter().map(|limit| 1e-9 / of(limit)).collect();
        println!("{name:<36} {:>8.3}", median(&mut speeds).middle);
    };
    line("memcpy", &|limit| limit.copy);
    line("SHA-256", &|limit| limit.hash);
    line("AES-256-CBC encrypt", &|limit| limit.encrypt);
    line("AES-256-CBC decrypt", &|limit| limit.decrypt);
    line("Adler-32", &|limit| limit.adler);
    for (index, corpus) in setup.corpora.iter().enumerate() {
        line(&format!("libdeflate 1, {}", corpus.name), &|limit| limit.deflate[index]);
        line(&format!("zlib-rs inflate, {}", corpus.name), &|limit| limit.inflate[index]);
    }
}

/// Speed, bound, and the ratio of the two, each the median of its own.
struct Row {
    speed: f64,
    bound: f64,
    ratio: f64,
}

impl Row {
    /// From seconds of the stage and of its bound, for each octet or operation.
    fn of(rounds: &[(f64, f64)]) -> Self {
        let middle =
            |of: fn(&(f64, f64)) -> f64| median(&mut rounds.iter().map(of).collect::<Vec<_>>()).middle;
        Self {
            speed: 1e-9 / middle(|(took, _)| *took),
            bound: 1e-9 / middle(|(_, bound)| *bound),
            ratio: middle(|(took, bound)| bound / took),
        }
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>8.3} {:>8.3} {:>6.2}", self.speed, self.bound, self.ratio)
    }
}

/// Single stages beside their primitive.
fn stages_table(setup: &Setup) {
    println!("\n{:<36} {:>8} {:>8} {:>6}", "stage", "GB/s", "alone", "ratio");
    let text = setup.text();
    for algorithm in HASHES {
        let rounds = rounds(
            setup,
            text.len(),
            || primitive::hash(algorithm, text),
            || {
                hash_with_midstates(algorithm, text);
            },
        );
        println!("{:<36} {}", format!("{algorithm:?} with midstates"), Row::of(&rounds));
        let rounds = self::rounds(
            setup,
            text.len(),
            || primitive::hash_of_aws_lc(algorithm, text),
            || {
                primitive::hash(algorithm, text);
            },
        );
        println!("{:<36} {}", format!("{algorithm:?}, RustCrypto beside AWS-LC"), Row::of(&rounds));
    }
    let (terms, mut room, mut copy) = (frame_terms(&setup.party), vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    for segment_bytes in SEGMENTS {
        let stream = sealing::frame_alone(text, segment_bytes);
        let alone = || {
            for block in text.chunks(BLOCK_BYTES) {
                black_box(&mut copy)[..block.len()].copy_from_slice(black_box(block));
            }
        };
        let rounds = rounds(setup, text.len(), alone, || {
            black_box(sealing::open(&terms, &stream, &mut room));
        });
        println!("{:<36} {}", format!("frame alone, segments of {segment_bytes}"), Row::of(&rounds));
    }

    println!("\n{:<36} {:>8} {:>8} {:>6}", "message", "1000/s", "alone", "ratio");
    let (party, rsa) = (&setup.party, &setup.rsa);
    let line = |name: &str, alone: &dyn Fn() -> usize, run: &dyn Fn() -> usize| {
        let rounds = rounds(setup, 1_000_000, || _ = black_box(alone()), || _ = black_box(run()));
        println!("{name:<36} {}", Row::of(&rounds));
    };
    line("receipt, sign", &|| rsa.sign().len(), &|| party.sign_receipt().len());
    line("receipt, verify", &|| rsa.verify(), &|| party.verify_receipt());
    line("challenge, seal (wrap)", &|| rsa.wrap().len(), &|| party.seal_challenge().len());
    line("challenge, open (unwrap)", &|| rsa.unwrap(), &|| party.open_challenge());
}

/// Files that are sealed at the same time on one core, beside one file.
fn together_table(setup: &Setup) {
    println!("\n{:<36} {:>8} {:>8} {:>6}", "files sealed on one core", "in all", "one", "ratio");
    let (text, party) = (setup.text(), &setup.party);
    let sign = Services { sign: true, encrypt: true, ..Services::NONE };
    let encrypt = Services { encrypt: true, ..Services::NONE };
    let omitted = (TransmittedHash::Omitted, "");
    let computed = (TransmittedHash::Computed, ", signed receipt");
    let modes = [
        (encrypt, "encrypt", omitted),
        (sign, "sign + encrypt", omitted),
        (sign, "sign + encrypt", computed),
    ];
    for (services, name, (transmitted_hash, receipt)) in modes {
        let options = SealOptions { transmitted_hash, ..SealOptions::default() };
        let plan = party.plan_with(SUITE, services, text.len(), options);
        for count in 1..=LANES_MAX {
            let (mut one, mut rooms) = (vec![vec![0; BLOCK_BYTES]], vec![vec![0; BLOCK_BYTES]; count]);
            let rounds: Vec<_> = (0..setup.extent.rounds)
                .map(|_| {
                    let one = setup.per_octet(text.len(), || party.seal_together(&plan, text, &mut one));
                    let together = count * text.len();
                    (setup.per_octet(together, || party.seal_together(&plan, text, &mut rooms)), one)
                })
                .collect();
            println!("{:<36} {}", format!("{count} × {name}{receipt}"), Row::of(&rounds));
        }
    }
}

/// Seconds of a stage and of what it is compared with, in turns.
fn rounds(setup: &Setup, octets: usize, mut alone: impl FnMut(), mut run: impl FnMut()) -> Vec<(f64, f64)> {
    (0..setup.extent.rounds)
        .map(|_| {
            let alone = setup.per_octet(octets, &mut alone);
            (setup.per_octet(octets, &mut run), alone)
        })
        .collect()
}
