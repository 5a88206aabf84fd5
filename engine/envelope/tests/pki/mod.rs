//! Keys and certificates made by `openssl` for one run of the tests, and the calls of `openssl cms`.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use odile_envelope::{
    Certificate, Declared, Identity, OpenError, OpenFinish, OpenTerms, Opened, Opener, PrivateKey, SealPlan,
    SealRequest, Sealer,
};
use tempfile::TempDir;

/// A station of the tests.
pub struct Station {
    pub identity: Arc<Identity>,
    pub certificate_path: PathBuf,
    pub key_path: PathBuf,
}

impl Station {
    pub fn certificate(&self) -> &Certificate {
        self.identity.certificate()
    }

    pub fn key(&self) -> &PrivateKey {
        self.identity.key()
    }
}

/// What `openssl` made.
pub struct Pki {
    folder: TempDir,
    pub alice: Station,
    pub bob: Station,
    pub carol: Station,
}

impl Pki {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The stations, made once in a process.
pub fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let station = |name, bits| station(folder.path(), name, bits);
        let (alice, bob, carol) = std::thread::scope(|scope| {
            let bob = scope.spawn(|| station("bob", "3072"));
            (station("alice", "2048"), bob.join().unwrap(), station("carol", "2048"))
        });
        Pki { folder, alice, bob, carol }
    })
}

/// From when until when the certificates of the tests are valid: 2024 to 2049, in seconds since 1970.
pub const NOT_BEFORE: u64 = 1_704_067_200;
/// The last second of 2049.
pub const NOT_AFTER: u64 = 2_524_607_999;

/// For `openssl ca`, the one command of OpenSSL 3.0 that lets certificates begin when one likes.
const AUTHORITY: &str = "[ca]\ndefault_ca = self\n\
    [self]\ndatabase = FOLDER/index\nnew_certs_dir = FOLDER\nunique_subject = no\nrand_serial = yes\n\
    policy = any\ndefault_md = sha256\nx509_extensions = extensions\n\
    [any]\ncountryName = optional\norganizationName = optional\ncommonName = supplied\n\
    [extensions]\nsubjectKeyIdentifier = hash\n";

fn station(folder: &Path, name: &str, bits: &str) -> Station {
    let file = |kind: &str| folder.join(format!("{name}.{kind}"));
    let (key_path, certificate_path) = (file("key"), file("crt"));
    make_key(&key_path, &["-algorithm", "RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}")]);
    make_certificate(folder, &key_path, &certificate_path, &format!("/C=DE/O=Station/CN={name}"));
    let certificate = Certificate::from_bytes(&std::fs::read(&certificate_path).unwrap()).unwrap();
    let key = PrivateKey::from_bytes(&std::fs::read(&key_path).unwrap(), None).unwrap();
    Station { identity: Arc::new(Identity::new(certificate, key).unwrap()), certificate_path, key_path }
}

/// Makes a private key in PEM.
pub fn make_key(path: &Path, kind: &[&str]) {
    let arguments = [&["genpkey", "-out", path.to_str().unwrap()], kind].concat();
    openssl(&arguments, &[]).unwrap();
}

/// Makes a certificate for a key, signed by itself, valid from [`NOT_BEFORE`] to [`NOT_AFTER`].
pub fn make_certificate(folder: &Path, key: &Path, certificate: &Path, subject: &str) {
    let name = certificate.file_stem().unwrap().to_str().unwrap();
    let own_folder = folder.join(format!("{name}.authority"));
    std::fs::create_dir_all(&own_folder).unwrap();
    let (request, config) = (own_folder.join("request"), own_folder.join("config"));
    std::fs::write(own_folder.join("index"), "").unwrap();
    std::fs::write(&config, AUTHORITY.replace("FOLDER", own_folder.to_str().unwrap())).unwrap();
    let [key, certificate, request, config] =
        [key, certificate, &request, &config].map(|path| path.to_str().unwrap());
    openssl(&["req", "-new", "-key", key, "-out", request, "-subj", subject], &[]).unwrap();
    let times = ["-startdate", "20240101000000Z", "-enddate", "20491231235959Z"];
    let files = ["-config", config, "-keyfile", key, "-in", request, "-out", certificate];
    let flags = ["ca", "-selfsign", "-batch", "-notext"];
    openssl(&[&flags[..], &files, &times].concat(), &[]).unwrap();
}

/// Runs `openssl`; standard output, or what it complained of.
pub fn openssl(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    run("openssl", arguments, input)
}

/// Runs a program with an input.
pub fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut source = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut source, input).unwrap();
    std::io::Seek::rewind(&mut source).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::from(source))
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Octets that look random and are always the same (SplitMix64).
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut octets = Vec::with_capacity(bytes + 8);
    while octets.len() < bytes {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        octets.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    octets.truncate(bytes);
    octets
}

/// Text as CAD systems write it: compressible, yet not too regular.
pub fn step_text(seed: u64, bytes: usize) -> Vec<u8> {
    let numbers = noise(seed, bytes / 4 + 64);
    let mut text = Vec::with_capacity(bytes + 128);
    for (line, number) in numbers.chunks_exact(12).enumerate().cycle() {
        if text.len() >= bytes {
            break;
        }
        let coordinate = |at: usize| f64::from(u16::from_le_bytes([number[at], number[at + 1]])) / 64.0;
        let text_line = format!(
            "#{}=CARTESIAN_POINT('',({:.3},{:.4},{:.2}));\n",
            line + 10,
            coordinate(0),
            coordinate(4),
            coordinate(8)
        );
        text.extend_from_slice(text_line.as_bytes());
    }
    text.truncate(bytes);
    text
}

/// A repeatable random source.
pub fn entropy(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut calls = seed << 32;
    move |octets: &mut [u8]| {
        calls += 1;
        octets.copy_from_slice(&noise(calls, octets.len()));
    }
}

/// 2026-11-23 12:00:00 UTC.
pub const SIGNING_TIME: u64 = 1_795_435_200;

/// A plan from Alice to Bob.
pub fn request(
    suite: odile_envelope::Suite,
    services: odile_envelope::Services,
    bytes: usize,
) -> SealRequest<'static> {
    SealRequest {
        suite,
        services,
        source_bytes: bytes as u64,
        signing_time: SIGNING_TIME,
        signer: Some(pki().alice.certificate()),
        recipient: Some(pki().bob.certificate()),
        options: odile_envelope::SealOptions::default(),
    }
}

/// Seals a source in one go, with steps of a given size.
pub fn seal(plan: &Arc<SealPlan>, source: &[u8], step_bytes: usize) -> Vec<u8> {
    let mut sealer = Sealer::new(plan.clone(), Some(pki().alice.key())).unwrap();
    drain(&mut sealer, source, step_bytes)
}

/// What a sealer has still to give for the rest of its source.
pub fn drain(sealer: &mut Sealer, mut source: &[u8], step_bytes: usize) -> Vec<u8> {
    let (mut stream, mut room) = (Vec::new(), vec![0; step_bytes]);
    while !source.is_empty() {
        let progress = sealer.push(&source[..source.len().min(step_bytes)], &mut room).unwrap();
        assert!(progress.consumed + progress.written > 0, "no progress at {sealer:?}");
        source = &source[progress.consumed..];
        stream.extend_from_slice(&room[..progress.written]);
    }
    while !sealer.is_done() {
        let written = sealer.finish(&mut room).unwrap();
        stream.extend_from_slice(&room[..written]);
    }
    assert_eq!(sealer.finish(&mut room).unwrap(), 0);
    stream
}

/// Terms on which Bob opens what Alice signed.
pub fn terms(services: odile_envelope::Services) -> OpenTerms {
    let signer = Arc::new(pki().alice.certificate().clone());
    OpenTerms {
        declared: Declared::Services(services),
        recipients: vec![pki().bob.identity.clone()],
        signers: vec![signer],
        now: None,
        output_bytes_max: 1 << 40,
        transmitted_hash: None,
    }
}

/// Opens a stream in steps.
pub fn open(
    terms: &OpenTerms,
    stream: &[u8],
    input_step: usize,
    output_step: usize,
) -> Result<(Vec<u8>, Opened), OpenError> {
    let mut opener = Opener::new(Arc::new(terms.clone()));
    let mut content = Vec::new();
    let opened = pump(&mut opener, stream, input_step, output_step, &mut content, |_, _| {})?;
    Ok((content, opened))
}

/// Feeds an opener with the rest of a stream; `watch` sees it at every checkpoint.
pub fn pump(
    opener: &mut Opener,
    mut stream: &[u8],
    input_step: usize,
    output_step: usize,
    content: &mut Vec<u8>,
    mut watch: impl FnMut(&Opener, usize),
) -> Result<Opened, OpenError> {
    let mut room = vec![0; output_step];
    let mut idle = 0;
    while !stream.is_empty() {
        let progress = opener.push(&stream[..stream.len().min(input_step)], &mut room)?;
        stream = &stream[progress.consumed..];
        content.extend_from_slice(&room[..progress.written]);
        if progress.is_checkpoint {
            watch(opener, content.len());
        }
        let is_idle = progress.consumed + progress.written == 0 && !progress.is_checkpoint;
        idle = if is_idle { idle + 1 } else { 0 };
        assert!(idle < 2, "no progress at {opener:?}");
    }
    loop {
        match opener.finish(&mut room)? {
            OpenFinish::More { written } => content.extend_from_slice(&room[..written]),
            OpenFinish::Opened(opened) => return Ok(opened),
        }
    }
}

/// CompressedData around a zlib stream, in DER as .NET writes it.
pub fn compressed_data(zlib: &[u8]) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x84][..], &length, content].concat()
    };
    let data = [&[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1][..], &element(0xA0, &element(4, zlib))]
        .concat();
    let algorithm = [0x30, 13, 6, 11, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 16, 3, 8];
    let body = element(0x30, &[&[2, 1, 0][..], &algorithm, &element(0x30, &data)].concat());
    let oid = [6, 11, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 16, 1, 9];
    element(0x30, &[&oid[..], &element(0xA0, &body)].concat())
}

/// CompressedData made by Python's zlib: one stream of Huffman blocks, as Java's and .NET's are.
pub fn python_compressed(source: &[u8], level: u8) -> Vec<u8> {
    compressed_data(&python_zlib(source, level))
}

/// What Python's zlib makes of a source.
pub fn python_zlib(source: &[u8], level: u8) -> Vec<u8> {
    use std::io::{Read, Write};
    // One interpreter for all: starting it takes longer than its work. It ends when its input does.
    static PYTHON: OnceLock<Mutex<Child>> = OnceLock::new();
    const SCRIPT: &str = "import sys,zlib\n\
        i,o=sys.stdin.buffer,sys.stdout.buffer\n\
        while h:=i.read(9):\n\
        \x20 z=zlib.compress(i.read(int.from_bytes(h[1:],'big')),h[0])\n\
        \x20 o.write(len(z).to_bytes(8,'big')+z); o.flush()\n";
    let python = PYTHON.get_or_init(|| {
        let mut command = Command::new("python3");
        command.args(["-S", "-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Mutex::new(command.spawn().unwrap())
    });
    let mut python = python.lock().unwrap();
    let input = python.stdin.as_mut().unwrap();
    input.write_all(&[&[level][..], &(source.len() as u64).to_be_bytes(), source].concat()).unwrap();
    let output = python.stdout.as_mut().unwrap();
    let mut length = [0; 8];
    output.read_exact(&mut length).unwrap();
    let mut zlib = vec![0; usize::try_from(u64::from_be_bytes(length)).unwrap()];
    output.read_exact(&mut zlib).unwrap();
    zlib
}

/// Says that a test, or a part of it, did not take place.
pub fn skipped(test: &str, why: &str) {
    // Past the capture of the test harness: `cargo xtask ci` tells it at the end.
    let _ = writeln!(std::io::stdout(), "skipped: {test}: {why}");
}
