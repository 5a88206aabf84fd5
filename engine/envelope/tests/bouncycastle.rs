//! Bouncy Castle, which many products are built on, and Odile open each other's envelopes.
//!
//! What Bouncy Castle does is in `bouncycastle/Envelope.java`. Without Java or its jars the tests say so and end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod pki;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use odile_envelope::seal::Embed;
use odile_envelope::{
    CHALLENGE_BYTES, Decrypted, HashAlgorithm, OpenTerms, SealOptions, SealPlan, Services, Suite,
    open_challenge, seal_challenge, sign_message, verify_message,
};
use pki::{entropy, noise, open, pki, request, seal, skipped, step_text, terms};

const SIGN: Services = Services { sign: true, ..Services::NONE };
const ENCRYPT: Services = Services { encrypt: true, ..Services::NONE };

/// Where Debian puts what it has of Bouncy Castle.
const JARS: [(&str, &str); 3] = [
    ("/usr/share/java/bcprov.jar", "libbcprov-java"),
    ("/usr/share/java/bcpkix.jar", "libbcpkix-java"),
    ("/usr/share/java/bcutil.jar", "libbcutil-java"),
];

/// The program, running. It ends when its input does, which is when this process ends.
struct Castle {
    java: Child,
    answers: BufReader<ChildStdout>,
}

/// Compiles and starts the program once for all tests, which take turns; if it cannot be, says what is missing.
fn castle(test: &str) -> Option<&'static Mutex<Castle>> {
    static CASTLE: OnceLock<Result<Mutex<Castle>, String>> = OnceLock::new();
    let castle = CASTLE.get_or_init(|| {
        let jdk = ["java", "javac"].map(|tool| (tool, "default-jdk-headless"));
        let is_there = |tool: &str| {
            if tool.starts_with('/') {
                return Path::new(tool).exists();
            }
            Command::new(tool).arg("-version").output().is_ok_and(|output| output.status.success())
        };
        let missing: Vec<_> = jdk.into_iter().chain(JARS).filter(|(tool, _)| !is_there(tool)).collect();
        if !missing.is_empty() {
            let (what, packages): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
            let packages: std::collections::BTreeSet<_> = packages.into_iter().collect();
            let packages = packages.into_iter().collect::<Vec<_>>().join(" ");
            return Err(format!("{} missing, install the Debian packages {packages}", what.join(" and ")));
        }
        let classes = pki().folder().join("classes");
        let class_path = [&JARS.map(|(jar, _)| jar)[..], &[classes.to_str().unwrap()]].concat().join(":");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bouncycastle/Envelope.java");
        let mut javac = Command::new("javac");
        javac.args(["-nowarn", "-proc:none", "-cp", &class_path, "-d"]).arg(&classes).arg(source);
        let output = javac.output().unwrap();
        assert!(output.status.success(), "javac: {}", String::from_utf8_lossy(&output.stderr));
        let mut java = Command::new("java");
        java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", &class_path]);
        let java = java.arg("Envelope").arg(pki().folder()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut java = java.spawn().unwrap();
        let answers = BufReader::new(java.stdout.take().unwrap());
        Ok(Mutex::new(Castle { java, answers }))
    });
    castle.as_ref().map_err(|missing| skipped(test, missing)).ok()
}

/// How Bouncy Castle writes: in a stream, whole, whole and in DER.
const FORMS: [&str; 3] = ["stream", "ber", "der"];

/// What Bouncy Castle is to do, and what with.
struct Job {
    /// What the test says about it.
    name: String,
    verb: String,
    source: PathBuf,
    target: PathBuf,
}

impl Job {
    fn new(name: String, verb: String, source: &[u8]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = |kind: &str| pki().folder().join(format!("{number}.{kind}"));
        let job = Self { name, verb, source: path("source"), target: path("target") };
        std::fs::write(&job.source, source).unwrap();
        job
    }

    fn seal(form: &str, suite: Suite, services: Services, flags: &str, source: &[u8]) -> Self {
        let verb = format!("seal\t{form}\t{suite}\t{}\t{flags}", letters(services));
        Self::new(format!("{form} {suite} {services:?} {flags}"), verb, source)
    }

    fn open(suite: Suite, services: Services, envelope: &[u8]) -> Self {
        let verb = format!("open\t{suite}\t{}", letters(services));
        Self::new(format!("{suite} {services:?}"), verb, envelope)
    }
}

fn letters(services: Services) -> String {
    let all = [(services.sign, 's'), (services.compress, 'c'), (services.encrypt, 'e')];
    let letters: String = all.into_iter().filter(|(is_done, _)| *is_done).map(|(_, letter)| letter).collect();
    if letters.is_empty() { "-".to_owned() } else { letters }
}

/// Has all jobs done; gives what came out of each.
fn run(castle: &Mutex<Castle>, jobs: &[Job]) -> Vec<Result<Vec<u8>, String>> {
    let mut castle = castle.lock().unwrap_or_else(PoisonError::into_inner);
    let work = |job: &Job| {
        let (source, target) = (job.source.to_str().unwrap(), job.target.to_str().unwrap());
        let jobs = castle.java.stdin.as_mut().unwrap();
        writeln!(jobs, "{}\t{source}\t{target}", job.verb).unwrap();
        let mut answer = String::new();
        castle.answers.read_line(&mut answer).unwrap();
        match answer.trim_end() {
            "ok" => Ok(std::fs::read(&job.target).unwrap()),
            problem => Err(problem.to_owned()),
        }
    };
    jobs.iter().map(work).collect()
}

fn seal_here(suite: Suite, services: Services, options: SealOptions, source: &[u8]) -> Vec<u8> {
    let mut request = request(suite, services, source.len());
    request.options = options;
    seal(&Arc::new(SealPlan::new(&request, &mut entropy(3)).unwrap()), source, 10_007)
}

#[test]
fn bouncy_castle_opens_every_suite_and_service() {
    let Some(castle) = castle("bouncy_castle_opens_every_suite_and_service") else { return };
    let (mut sources, mut jobs) = (Vec::new(), Vec::new());
    for suite in Suite::ALL {
        for services in Services::combinations() {
            let source = step_text(u64::from(suite.code()), 100_003);
            // Segments and chunks as they are by default, and with all services also small ones.
            let pieces = [SealOptions::default().chunk_bytes, 4096];
            for piece in pieces.into_iter().take(if services == Services::ALL { 2 } else { 1 }) {
                let options =
                    SealOptions { chunk_bytes: piece, segment_bytes: piece, ..SealOptions::default() };
                jobs.push(Job::open(suite, services, &seal_here(suite, services, options, &source)));
                sources.push(source.clone());
            }
        }
    }
    for ((result, source), job) in run(castle, &jobs).into_iter().zip(sources).zip(&jobs) {
        assert!(result.unwrap_or_else(|problem| panic!("{}: {problem}", job.name)) == source, "{}", job.name);
    }
}

#[test]
fn bouncy_castle_opens_every_length_and_an_embedded_certificate() {
    let Some(castle) = castle("bouncy_castle_opens_every_length_and_an_embedded_certificate") else { return };
    let (mut sources, mut jobs) = (Vec::new(), Vec::new());
    let embedding = SealOptions { embed: Embed::SignerCertificate, ..SealOptions::default() };
    for bytes in [0, 1, 7, 8, 15, 16, 17, 1_048_575, 1_048_576, 1_048_577] {
        for (suite, services) in
            [(Suite::S03, Services::ALL), (Suite::S06, Services::ALL), (Suite::S08, SIGN)]
        {
            let source = noise(bytes as u64, bytes);
            jobs.push(Job::open(suite, services, &seal_here(suite, services, embedding, &source)));
            sources.push(source);
        }
    }
    for ((result, source), job) in run(castle, &jobs).into_iter().zip(sources).zip(&jobs) {
        assert!(result.unwrap_or_else(|problem| panic!("{}: {problem}", job.name)) == source, "{}", job.name);
    }
}

#[test]
fn every_suite_and_service_of_bouncy_castle_opens() {
    let Some(castle) = castle("every_suite_and_service_of_bouncy_castle_opens") else { return };
    let mut cases = Vec::new();
    for suite in Suite::ALL {
        for services in Services::combinations() {
            cases.extend(FORMS.map(|form| (form, suite, services)));
        }
    }
    let source = step_text(1, 100_003);
    let jobs: Vec<_> = cases
        .iter()
        .map(|(form, suite, services)| Job::seal(form, *suite, *services, "-", &source))
        .collect();
    for ((result, (form, suite, services)), job) in run(castle, &jobs).into_iter().zip(cases).zip(&jobs) {
        let stream = result.unwrap_or_else(|problem| panic!("{}: {problem}", job.name));
        let (content, opened) = open(&terms(services), &stream, 5003, 4001)
            .unwrap_or_else(|problem| panic!("{}: {problem}", job.name));
        assert!(content == source, "{form} {suite} {services:?}");
        let decrypted = Decrypted { cipher: suite.content_cipher(), transport: suite.key_transport() };
        assert_eq!(opened.decrypted, services.encrypt.then_some(decrypted));
        let verified = opened.verified.map(|verified| (verified.hash, verified.scheme));
        assert_eq!(verified, services.sign.then_some((suite.hash(), suite.signature_scheme())));
    }
}

#[test]
fn every_way_in_which_bouncy_castle_writes_opens() {
    let Some(castle) = castle("every_way_in_which_bouncy_castle_writes_opens") else { return };
    let source = step_text(2, 30_001);
    let flags = ["noattr", "keyid", "certs", "certs,crls", "two", "two,keyid,noattr", "sha", "sha,noattr"];
    let mut jobs = Vec::new();
    for suite in [Suite::S01, Suite::S04, Suite::S07, Suite::S10] {
        for form in FORMS {
            jobs.extend(flags.map(|flags| Job::seal(form, suite, Services::ALL, flags, &source)));
        }
    }
    for (result, job) in run(castle, &jobs).into_iter().zip(&jobs) {
        let stream = result.unwrap_or_else(|problem| panic!("{}: {problem}", job.name));
        let (content, opened) = open(&terms(Services::ALL), &stream, 5003, 4001)
            .unwrap_or_else(|problem| panic!("{}: {problem}", job.name));
        assert!(content == source, "{}", job.name);
        let verified = opened.verified.unwrap();
        assert_eq!(verified.others.len(), usize::from(job.name.contains("two")));
        assert_eq!(verified.signing_time.is_none(), job.name.contains("noattr"));
        if job.name.contains("two") {
            // Another partner's signature, with another hash.
            let carol = Arc::new(pki().carol.certificate().clone());
            let terms = OpenTerms { signers: vec![carol], ..terms(Services::ALL) };
            let (_, opened) = open(&terms, &stream, 4096, 4096).unwrap();
            assert_eq!(opened.verified.unwrap().hash, HashAlgorithm::Sha1);
        }
    }
}

#[test]
fn megabytes_travel_in_both_directions() {
    let Some(castle) = castle("megabytes_travel_in_both_directions") else { return };
    let source = [step_text(4, 2_000_000), noise(4, 2_000_000)].concat();
    let stream = seal_here(Suite::S06, Services::ALL, SealOptions::default(), &source);
    let jobs = [
        Job::open(Suite::S06, Services::ALL, &stream),
        Job::seal("stream", Suite::S06, Services::ALL, "-", &source),
        Job::seal("der", Suite::S06, Services::ALL, "-", &source),
    ];
    let mut results = run(castle, &jobs).into_iter();
    assert!(results.next().unwrap().unwrap() == source);
    for stream in results {
        let (content, _) = open(&terms(Services::ALL), &stream.unwrap(), 65_536, 65_536).unwrap();
        assert!(content == source);
    }
}

#[test]
fn receipts_and_challenges_travel_in_both_directions() {
    let Some(castle) = castle("receipts_and_challenges_travel_in_both_directions") else { return };
    let (alice, bob) = (&pki().alice, &pki().bob);
    let signers = [Arc::new(alice.certificate().clone())];
    let challenge: [u8; CHALLENGE_BYTES] = noise(5, CHALLENGE_BYTES).try_into().unwrap();
    let message = |suite: Suite| {
        [&b"DATA-SET".to_vec()[..], &[b' '; 86], &noise(6, suite.hash().output_bytes())].concat()
    };
    let mut jobs = Vec::new();
    for suite in Suite::ALL {
        for embed in [Embed::Nothing, Embed::SignerCertificate] {
            let receipt =
                sign_message(suite, &alice.identity, &message(suite), pki::SIGNING_TIME, embed).unwrap();
            jobs.push((suite, Job::open(suite, SIGN, &receipt)));
        }
        let sealed = seal_challenge(suite, bob.certificate(), &challenge, &mut entropy(9)).unwrap();
        jobs.push((suite, Job::open(suite, ENCRYPT, &sealed)));
        for form in FORMS {
            jobs.push((suite, Job::seal(form, suite, SIGN, "-", &message(suite))));
            jobs.push((suite, Job::seal(form, suite, ENCRYPT, "-", &challenge)));
        }
    }
    let (suites, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
    for ((result, suite), job) in run(castle, &jobs).into_iter().zip(suites).zip(&jobs) {
        let octets = result.unwrap_or_else(|problem| panic!("{}: {problem}", job.name));
        match (job.verb.split('\t').next().unwrap(), job.verb.contains("\te")) {
            ("open", true) => assert_eq!(octets, challenge),
            ("open", false) => assert_eq!(octets, message(suite)),
            (_, true) => {
                let (opened, decrypted) =
                    open_challenge(&octets, std::slice::from_ref(&bob.identity)).unwrap();
                assert_eq!(*opened, challenge, "{}", job.name);
                assert_eq!(decrypted.cipher, suite.content_cipher());
            }
            (_, false) => {
                let verified = verify_message(&octets, &[&message(suite)], &signers, None).unwrap();
                assert_eq!((verified.form, verified.verified.hash), (0, suite.hash()), "{}", job.name);
            }
        }
    }
}
