//! Files in envelopes, beside `openssl cms` and pigz.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use odile_bench::cad;
use odile_bench::homes::{Terms, write_private};
use odile_bench::peer::{Program, pinned, run};
use odile_bench::processes::CpuTime;
use odile_bench::real::Corpus;
use odile_bench::rounds::{Contestant, Turn, compete};
use odile_bench::station_process::Setting;
use odile_bench::stations::Stations;
use odile_station::envelope::{Certificate, Identity, PrivateKey, SealOptions, Services, Suite};
use odile_station::envelope_file::{self, Existing, SealTerms, Target};
use odile_station::keyring::make::system_entropy;
use odile_station::partner::Transport;

use crate::{Bench, add, write_source};

/// Files: a key, its certificate, and what is made of a source.
struct Workshop {
    key: PathBuf,
    certificate: PathBuf,
    target: PathBuf,
}

/// Makes so many octets; the number varies them.
type Make = fn(usize, u64) -> Vec<u8>;

/// If this process was started to seal a file, it does, and ends. To be called before anything else.
pub fn seal_if_asked() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [ask, services, source, target, key, certificate] = arguments.as_slice()
        && ask == ASK
    {
        let services = match services.as_str() {
            COMPRESS => Services { compress: true, ..Services::NONE },
            _ => Services { sign: true, encrypt: true, ..Services::NONE },
        };
        seal_file(services, Path::new(source), Path::new(target), Path::new(key), Path::new(certificate));
        std::process::exit(0);
    }
}

/// What `odile seal` does.
fn seal_file(services: Services, source: &Path, target: &Path, key: &Path, certificate: &Path) {
    let read = |path: &Path| fs::read(path).expect("the key");
    let certificate = Certificate::from_bytes(&read(certificate)).expect("a certificate");
    let key = PrivateKey::from_bytes(&read(key), None).expect("a key");
    let identity = Arc::new(Identity::new(certificate, key).expect("they belong together"));
    let terms = SealTerms {
        suite: Suite::S04,
        services,
        recipient: services.encrypt.then(|| Arc::new(identity.certificate().clone())),
        signer: services.sign.then_some(identity),
        options: SealOptions::default(),
        signing_time: SIGNING_TIME,
    };
    let mut source = File::open(source).expect("the source");
    let octets = source.metadata().expect("a file").len();
    let mut target = Target::create(target, Existing::Replaced).expect("the target can be made");
    let go_on = &mut |_| ControlFlow::Continue(());
    envelope_file::seal(&mut source, octets, &terms, &mut target, &mut system_entropy, go_on)
        .expect("it can be sealed");
    target.finish().expect("room for it");
}

/// Signed and encrypted, from file to file.
pub fn seal(bench: &Bench) {
    let octets = bench.plan.octets().min(OCTETS_MAX);
    let source = bench.folder().join("envelope.stp");
    write_source(&source, &cad::step_text(usize::try_from(octets).expect("it fits"), 1));
    let workshop = Workshop::new(bench);
    let openssl = bench.peer("openssl", || Program { name: "openssl", package: "openssl" }.find());
    let mut contestants = vec![Contestant::new("Odile: odile seal", || {
        workshop.turn(octets, || run(&mut workshop.seal(&bench.cores, SIGN_AND_ENCRYPT, &source)).0)
    })];
    let cms = openssl.as_ref().map(|openssl| {
        let script = format!(
            "set -e; '{openssl}' cms -sign -binary -nodetach -stream -md sha256 -signer '{certificate}' -inkey '{key}' \
             -in '{source}' -outform DER | '{openssl}' cms -encrypt -binary -stream -aes-256-cbc -outform DER -out \
             '{target}' '{certificate}'",
            openssl = openssl.display(),
            certificate = workshop.certificate.display(),
            key = workshop.key.display(),
            source = source.display(),
            target = workshop.target.display()
        );
        let workshop = &workshop;
        Contestant::new("openssl cms -sign | openssl cms -encrypt", move || {
            workshop.turn(octets, || run(pinned(&bench.cores, "sh").args(["-c", &script])).0)
        })
    });
    add(&mut contestants, cms);
    let heading = format!(
        "signed (SHA-256) and encrypted (AES-256-CBC), {} MiB from file to RAM disk; both cores are there for each",
        octets >> 20
    );
    compete(&heading, bench.rounds(octets, 3 * octets), contestants);
    fs::remove_file(source).expect("it can be removed");
}

/// Compressed, beside pigz; and what cannot be compressed, beside sending it as it is.
pub fn compress(bench: &Bench) {
    let octets = bench.plan.octets().min(OCTETS_MAX);
    let length = usize::try_from(octets).expect("it fits");
    let source = bench.folder().join("compress");
    let kinds: [(&str, Make); 3] =
        [("STEP text", cad::step_text), ("mesh", cad::mesh), ("noise", cad::noise)];
    for (kind, make) in kinds {
        if bench.plan.is_short && kind == "mesh" {
            continue;
        }
        write_source(&source, &make(length, 1));
        pack(bench, kind, &source, octets);
        move_packed(bench, kind, &source, octets);
    }
    if let Some(corpus) = bench.peer("real CAD and FEM files", Corpus::collect) {
        let mut content = Vec::with_capacity(length);
        corpus.write(octets, &mut content).expect("memory");
        write_source(&source, &content);
        let kind =
            format!("{} CAD and FEM files, {:.1} MB, repeated", corpus.files(), corpus.octets() as f64 / 1e6);
        pack(bench, &kind, &source, octets);
        move_packed(bench, &kind, &source, octets);
    }
    fs::remove_file(source).expect("it can be removed");
}

/// From file to file.
fn pack(bench: &Bench, kind: &str, source: &Path, octets: u64) {
    let workshop = Workshop::new(bench);
    let core = [bench.cores[0]];
    let pigz = bench.peer("pigz", || PIGZ.find());
    let sizes = std::cell::Cell::new([0_u64; 2]);
    let mut contestants = vec![Contestant::new("Odile: odile seal, compressed", || {
        let turn = workshop.turn(0, || run(&mut workshop.seal(&core, COMPRESS, source)).0);
        sizes.set([workshop.target_bytes(), sizes.get()[1]]);
        turn
    })];
    let pigz = pigz.as_ref().map(|pigz| {
        let (workshop, sizes) = (&workshop, &sizes);
        Contestant::new("pigz -1", move || {
            let turn = workshop.turn(0, || {
                let target = File::create(&workshop.target).expect("the target can be made");
                let mut command = pinned(&core, pigz);
                command.args(["-1", "-p", "1", "-c"]).arg(source).stdout(target);
                let began = std::time::Instant::now();
                assert!(command.status().expect("pigz starts").success(), "pigz");
                began.elapsed()
            });
            sizes.set([sizes.get()[0], workshop.target_bytes()]);
            turn
        })
    });
    add(&mut contestants, pigz);
    let heading = format!("{kind}, {} MiB: packed to a RAM disk, one core", octets >> 20);
    compete(&heading, bench.rounds(octets, octets), contestants);
    for (name, size) in ["Odile", "pigz -1"].into_iter().zip(sizes.get()) {
        if size > 0 {
            println!("  {name}: {:.3} to 1", octets as f64 / size as f64);
        }
    }
    println!();
}

/// Packed on one core, unpacked and dropped on another; and not packed at all.
fn move_packed(bench: &Bench, kind: &str, source: &Path, octets: u64) {
    let setting = Setting { is_discarding: true, ..Setting::default() };
    let start = |send: &str| {
        let terms = Terms { transport: Transport::Plain, send, identities: None };
        Stations::start(bench.on_disk(), &terms, setting)
    };
    let (mut packed, mut as_it_is) = (start("compress = \"required\"\n"), start(""));
    let mut preferred = start("compress = \"preferred\"\n");
    let pigz = bench.peer("pigz", || PIGZ.find());
    let mut contestants = vec![
        Contestant::new("Odile, compressed", || packed.turn(source)),
        Contestant::new("Odile, compressed if samples say so", || preferred.turn(source)),
        Contestant::new("Odile, as it is", || as_it_is.turn(source)),
    ];
    let pipe = pigz.as_ref().map(|pigz| Contestant::new("pigz -1 | pigz -d", || piped(bench, pigz, source)));
    add(&mut contestants, pipe);
    let heading =
        format!("{kind}, {} MiB: packed, moved, unpacked to nowhere, a core for each side", octets >> 20);
    compete(&heading, bench.rounds(octets, 0), contestants);
}

fn piped(bench: &Bench, pigz: &Path, source: &Path) -> Turn {
    let before = CpuTime::of_ended_children();
    let began = std::time::Instant::now();
    let mut packing = pinned(&[bench.cores[0]], pigz)
        .args(["-1", "-p", "1", "-c"])
        .arg(source)
        .stdout(Stdio::piped())
        .spawn()
        .expect("pigz starts");
    let mut unpacking = pinned(&[bench.cores[1]], pigz)
        .args(["-d", "-c"])
        .stdin(packing.stdout.take().expect("it is piped"))
        .stdout(Stdio::null())
        .spawn()
        .expect("pigz starts");
    assert!(packing.wait().expect("it was started").success(), "pigz");
    let between = CpuTime::of_ended_children();
    assert!(unpacking.wait().expect("it was started").success(), "pigz -d");
    let took = began.elapsed();
    Turn { took, sender: between - before, receiver: CpuTime::of_ended_children() - between }
}

impl Workshop {
    fn new(bench: &Bench) -> Self {
        let key = bench.keys().0;
        let folder = bench.memory.path();
        let at = |name: &str| folder.join(name);
        let workshop = Self { key: at("key.pem"), certificate: at("certificate.pem"), target: at("sealed") };
        write_private(&workshop.key, &key.key);
        write_private(&workshop.certificate, &key.certificate);
        workshop
    }

    /// This program, started again to seal a file.
    fn seal(&self, cores: &[usize], services: &str, source: &Path) -> Command {
        let mut command = pinned(cores, std::env::current_exe().expect("this program has a path"));
        command.args([ASK, services]).args([source, &self.target, &self.key, &self.certificate]);
        command
    }

    /// Works for a target with at least so many octets. There are no sides.
    fn turn(&self, octets_min: u64, work: impl FnOnce() -> std::time::Duration) -> Turn {
        // Not written over: the other one's memory is not there either.
        let _ = fs::remove_file(&self.target);
        let before = CpuTime::of_ended_children();
        let took = work();
        let sender = CpuTime::of_ended_children() - before;
        assert!(self.target_bytes() > octets_min, "an envelope is longer than what is in it");
        Turn { took, sender, receiver: CpuTime::default() }
    }

    fn target_bytes(&self) -> u64 {
        fs::metadata(&self.target).expect("the target").len()
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        for path in [&self.key, &self.certificate, &self.target] {
            let _ = fs::remove_file(path);
        }
    }
}

const PIGZ: Program = Program { name: "pigz", package: "pigz" };
/// The first argument that asks for a file to be sealed.
const ASK: &str = "--seal-a-file";
const COMPRESS: &str = "compress";
const SIGN_AND_ENCRYPT: &str = "sign-and-encrypt";
/// openssl holds all of it in memory; and compression takes its time.
const OCTETS_MAX: u64 = 256 << 20;
const SIGNING_TIME: u64 = 1_795_435_200;
