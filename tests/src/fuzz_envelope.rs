//! Bodies of the fuzz targets for envelopes, called as those in `fuzz` are. Each panics if an invariant does not hold.
//!
//! Keys are made once in a process, and are gone with it. Where damage to something valid is looked for, that is made
//! at start-up as well, and the input says how to damage it: four octets for each edit (see `edited`). Lengths and
//! positions are the same in every process, so that an input means the same.

use std::sync::{Arc, OnceLock};

use odile_envelope::seal::{ContentKey, Embed};
use odile_envelope::{
    CHALLENGE_BYTES, Certificate, Declared, HashAlgorithm, HashValue, Identity, OpenCheckpoint, OpenError,
    OpenFinish, OpenTerms, Opened, Opener, PrivateKey, SealCheckpoint, SealOptions, SealPlan, SealRequest,
    Sealer, Services, Suite, open_challenge, seal_challenge, sign_message, verify_message,
};

/// Three octets of parameters, then a stream: any split of it gives the same content and the same verdict, the limit
/// of the content holds, and what goes on from a checkpoint comes to the same end.
///
/// The first octet says what is declared, whether the stream is put into an envelope first, so that all of it
/// happens behind decryption, and which limit there is; the second how the stream is split; the third how much room
/// there is, and when the checkpoint is taken.
pub fn ber(data: &[u8]) {
    let Some((&[how, step, room], stream)) = data.split_first_chunk() else { return };
    let services = services(how);
    let declared = match how >> 3 & 3 {
        0 => Declared::AsFound,
        1 | 2 => Declared::Services(services),
        _ => Declared::Services(Services { encrypt: true, ..services }),
    };
    let wrapped = (how >> 3 & 3 == 3 || how >> 5 & 3 == 3).then(|| enveloped(stream));
    let stream = wrapped.as_deref().unwrap_or(stream);
    let limit = if how >> 7 == 0 { 1 << 20 } else { 600 };
    let terms = Arc::new(OpenTerms { output_bytes_max: limit, ..terms(declared) });

    let whole =
        Reading::of(&terms, stream, Steps { input: usize::MAX, room: 1 << 16, checkpoint: usize::MAX });
    let mut ways =
        vec![Steps { input: usize::from(step) + 1, room: usize::from(room) + 1, checkpoint: step.into() }];
    if stream.len() <= 4096 {
        ways.push(Steps {
            input: 1,
            room: 1 << 16,
            checkpoint: usize::from(step) << 3 | usize::from(room & 7),
        });
    }
    for steps in ways {
        let split = Reading::of(&terms, stream, steps);
        split.assert_same(&whole, stream);
        let Some(checkpoint) = &split.checkpoint else { continue };
        checkpoint.assert_goes_on(&terms, stream, steps, &split);
    }
}

/// Which valid stream (one octet), two octets for slices, then edits: what was signed comes back as it was, or not
/// at all.
pub fn envelope(data: &[u8]) {
    let Some((&[which, step, room], edits)) = data.split_first_chunk() else { return };
    let sealed = &sealed()[usize::from(which) % sealed().len()];
    let stream = edited(&sealed.stream, edits);
    let services = sealed.plan.services();
    let terms = Arc::new(terms(Declared::Services(services)));
    let steps =
        Steps { input: usize::from(step) * 16 + 1, room: usize::from(room) * 16 + 1, checkpoint: usize::MAX };
    let reading = Reading::of(&terms, &stream, steps);
    reading.assert_same(&Reading::of(&terms, &stream, Steps::WHOLE), &stream);
    match &reading.verdict {
        Ok(opened) => {
            assert_eq!(opened.services, services);
            assert_eq!(opened.verified.is_some(), services.sign);
            assert!(!services.sign || reading.content == sealed.source, "signed, yet changed");
        }
        Err(error) => assert!(stream != sealed.stream, "{error}"),
    }
}

/// Which valid message (one octet), then edits; or, from 128 on, octets that are taken for both messages.
pub fn message(data: &[u8]) {
    let Some((&which, edits)) = data.split_first() else { return };
    let keys = keys();
    let accepted: [&[u8]; 2] = [RECEIPT, b"another"];
    if which >= 128 {
        assert!(verify_message(edits, &accepted, &keys.signers, None).is_err(), "nobody signed this");
        let _ = open_challenge(edits, &keys.recipients);
        return;
    }
    let message = &messages()[usize::from(which) % messages().len()];
    let octets = edited(&message.octets, edits);
    let is_unchanged = octets == message.octets;
    if message.is_receipt {
        match verify_message(&octets, &accepted, &keys.signers, None) {
            Ok(verified) => assert_eq!(verified.form, 0, "only the first was signed"),
            Err(error) => assert!(!is_unchanged, "{error}"),
        }
        assert!(open_challenge(&octets, &keys.recipients).is_err(), "nothing is encrypted");
    } else {
        let opened = open_challenge(&octets, &keys.recipients);
        assert!(!is_unchanged || opened.is_ok_and(|(challenge, _)| *challenge == CHALLENGE));
        assert!(verify_message(&octets, &accepted, &keys.signers, None).is_err(), "nobody signed this");
    }
}

/// What was stored: two octets say what it is, then come edits of a valid one, or the octets themselves. What was altered
/// is refused; even if its check is made right again, taking it up does not panic.
pub fn checkpoint(data: &[u8]) {
    let Some((&[how, which], rest)) = data.split_first_chunk() else { return };
    let sealed = &sealed()[usize::from(which) % sealed().len()];
    let valid = match how & 3 {
        0 | 1 => &sealed.open_checkpoints,
        2 => &sealed.seal_checkpoints,
        _ => &sealed.stored_plan,
    };
    let valid = &valid[usize::from(how >> 2) % valid.len()];
    let is_edited = how & 0x80 == 0;
    let mut octets = if is_edited { edited(valid, rest) } else { rest.to_vec() };
    if how & 0x40 != 0 {
        make_check_right(&mut octets);
    }
    let is_accepted = match how & 3 {
        0 | 1 => resume_opening(&octets),
        2 => resume_seal(&sealed.plan, &octets),
        _ => restore_plan(&sealed.plan, &octets),
    };
    if is_edited && how & 0x40 == 0 {
        assert_eq!(is_accepted, octets == *valid);
    }
}

/// The last eight octets are the first ones of SHA-256 over all before.
fn make_check_right(octets: &mut [u8]) {
    if let Some((stored, check)) = octets.split_last_chunk_mut::<8>() {
        check.copy_from_slice(&HashAlgorithm::Sha256.hash(stored).as_bytes()[..8]);
    }
}

fn resume_opening(octets: &[u8]) -> bool {
    let Ok(checkpoint) = OpenCheckpoint::from_bytes(octets) else { return false };
    let declared = (0..8).map(|bits| Declared::Services(services(bits))).chain([Declared::AsFound]);
    for declared in declared {
        let terms = terms(declared);
        let without_hash = OpenTerms { transmitted_hash: None, ..terms.clone() };
        for terms in [terms, without_hash] {
            let _ = Opener::resume(Arc::new(terms), &checkpoint);
        }
    }
    true
}

fn resume_seal(plan: &Arc<SealPlan>, octets: &[u8]) -> bool {
    let Ok(checkpoint) = SealCheckpoint::from_bytes(octets) else { return false };
    let _ = Sealer::resume(plan.clone(), Some(keys().identity.key()), &checkpoint);
    true
}

fn restore_plan(plan: &SealPlan, octets: &[u8]) -> bool {
    let mut is_accepted = false;
    let key_of_3des = ContentKey::from_bytes(b"\x01\x23\x45\x67\x89\xAB\xCD\xEF8 other octets of a key");
    for key in [None, plan.content_key().cloned(), Some(key_of_3des)] {
        let Ok(plan) = SealPlan::from_bytes(octets, key) else { continue };
        let again =
            plan.to_bytes().ok().map(|octets| SealPlan::from_bytes(&octets, plan.content_key().cloned()));
        assert_eq!(again, Some(Ok(plan.clone())));
        is_accepted = true;
    }
    is_accepted
}

/// How a stream is given and its content taken.
#[derive(Clone, Copy, Debug)]
struct Steps {
    /// Octets of the stream at a time.
    input: usize,
    /// Octets of room for content.
    room: usize,
    /// The first checkpoint that can be taken after so many steps is taken.
    checkpoint: usize,
}

impl Steps {
    const WHOLE: Self = Self { input: usize::MAX, room: 1 << 16, checkpoint: usize::MAX };
}

/// What came out of a stream.
struct Reading {
    content: Vec<u8>,
    verdict: Result<Opened, OpenError>,
    transmitted: Option<HashValue>,
    checkpoint: Option<Stored>,
}

/// A checkpoint in stored form.
struct Stored {
    octets: Vec<u8>,
    input_position: usize,
    output_position: usize,
}

impl Reading {
    fn of(terms: &Arc<OpenTerms>, stream: &[u8], steps: Steps) -> Self {
        Self::on(Opener::new(terms.clone()), terms, stream, steps)
    }

    /// Reads to the end with an opener that may have begun elsewhere.
    fn on(mut opener: Opener, terms: &OpenTerms, stream: &[u8], steps: Steps) -> Self {
        let before = opener.output_position();
        let (mut content, mut checkpoint) = (Vec::new(), None);
        let verdict = read(&mut opener, stream, steps, &mut content, &mut checkpoint);
        let written = before + content.len() as u64;
        assert!(written <= terms.output_bytes_max, "{written} octets");
        assert_eq!(opener.output_position(), written);
        Self { content, verdict, transmitted: opener.transmitted_hash(), checkpoint }
    }

    /// Of several things that are wrong, the one that is named is the one that is met first, and how far the outer
    /// layers are ahead of the inner ones depends on the slices: errors are compared as errors only.
    fn assert_same(&self, other: &Self, stream: &[u8]) {
        assert_eq!(self.verdict.as_ref().ok(), other.verdict.as_ref().ok());
        if self.verdict.is_ok() {
            assert!(self.content == other.content, "the content depends on the slices");
            assert_eq!(self.transmitted, Some(HashAlgorithm::Sha256.hash(stream)));
        }
    }
}

impl Stored {
    fn take(opener: &Opener) -> Option<Self> {
        let checkpoint = opener.checkpoint()?;
        let position = |position| usize::try_from(position).expect("a stream in memory");
        assert_eq!(checkpoint.input_position(), opener.input_position());
        assert_eq!(checkpoint.output_position(), opener.output_position());
        Some(Self {
            octets: checkpoint.to_bytes().expect("it can be stored"),
            input_position: position(checkpoint.input_position()),
            output_position: position(checkpoint.output_position()),
        })
    }

    fn assert_goes_on(&self, terms: &Arc<OpenTerms>, stream: &[u8], steps: Steps, expected: &Reading) {
        let checkpoint = OpenCheckpoint::from_bytes(&self.octets).expect("it was just stored");
        let opener = Opener::resume(terms.clone(), &checkpoint).expect("on the same terms");
        assert!(opener.checkpoint() == Some(checkpoint), "the same state");
        let rest = Reading::on(opener, terms, &stream[self.input_position..], steps);
        let whole = [&expected.content[..self.output_position], &rest.content].concat();
        Reading { content: whole, ..rest }.assert_same(expected, stream);
    }
}

fn read(
    opener: &mut Opener,
    mut stream: &[u8],
    steps: Steps,
    content: &mut Vec<u8>,
    checkpoint: &mut Option<Stored>,
) -> Result<Opened, OpenError> {
    let mut room = vec![0; steps.room];
    let (mut count, mut is_stuck) = (0, false);
    while !stream.is_empty() {
        let progress = opener.push(&stream[..stream.len().min(steps.input)], &mut room)?;
        stream = &stream[progress.consumed..];
        content.extend_from_slice(&room[..progress.written]);
        let is_idle = progress.consumed + progress.written == 0 && !progress.is_checkpoint;
        assert!(!is_idle || !is_stuck, "no progress");
        is_stuck = is_idle;
        if count >= steps.checkpoint && checkpoint.is_none() {
            *checkpoint = Stored::take(opener);
        }
        count += 1;
    }
    loop {
        match opener.finish(&mut room)? {
            OpenFinish::More { written } => content.extend_from_slice(&room[..written]),
            OpenFinish::Opened(opened) => return Ok(opened),
        }
    }
}

/// Each edit: what to do, where (two octets, taken modulo the length), and an octet to do it with.
fn edited(valid: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut octets = valid.to_vec();
    for &[what, high, low, value] in edits.as_chunks().0 {
        let at = usize::from(u16::from_be_bytes([high, low])) % (octets.len() + 1);
        match what % 5 {
            0 if at < octets.len() => octets[at] ^= value,
            1 if at < octets.len() => octets[at] = value,
            2 => octets.insert(at, value),
            3 => {
                let end = octets.len().min(at + usize::from(value));
                octets.drain(at..end);
            }
            4 if value == 0 => octets.truncate(at),
            4 => {
                let end = octets.len().min(at + usize::from(value));
                octets.extend_from_within(at..end);
            }
            _ => {}
        }
    }
    octets
}

fn services(bits: u8) -> Services {
    Services { sign: bits & 1 != 0, compress: bits & 2 != 0, encrypt: bits & 4 != 0 }
}

/// The one identity of this process: it sends to itself.
struct Keys {
    identity: Arc<Identity>,
    signers: Vec<Arc<Certificate>>,
    recipients: Vec<Arc<Identity>>,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        let mut parameters = rcgen::CertificateParams::default();
        parameters.serial_number = Some(rcgen::SerialNumber::from(1_u64));
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let certificate = Certificate::from_der(certificate.der()).expect("a certificate");
        let key = PrivateKey::from_bytes(&key.serialize_der(), None).expect("a key");
        let signers = vec![Arc::new(certificate.clone())];
        let identity = Arc::new(Identity::new(certificate, key).expect("they belong together"));
        Keys { recipients: vec![identity.clone()], identity, signers }
    })
}

fn terms(declared: Declared) -> OpenTerms {
    OpenTerms {
        declared,
        recipients: keys().recipients.clone(),
        signers: keys().signers.clone(),
        now: None,
        output_bytes_max: 1 << 20,
        transmitted_hash: Some(HashAlgorithm::Sha256),
    }
}

/// A valid stream, and what is stored while it is made and read.
struct Sealed {
    plan: Arc<SealPlan>,
    /// One.
    stored_plan: Vec<Vec<u8>>,
    source: Vec<u8>,
    stream: Vec<u8>,
    seal_checkpoints: Vec<Vec<u8>>,
    open_checkpoints: Vec<Vec<u8>>,
}

/// Every combination of services, and all of them with the other kinds of suites.
fn sealed() -> &'static [Sealed] {
    static SEALED: OnceLock<Vec<Sealed>> = OnceLock::new();
    SEALED.get_or_init(|| {
        let usual = Services::combinations().map(|services| (Suite::S04, services));
        let unusual = [Suite::S01, Suite::S07, Suite::S09].map(|suite| (suite, Services::ALL));
        usual.chain(unusual).map(|(suite, services)| Sealed::new(suite, services)).collect()
    })
}

impl Sealed {
    fn new(suite: Suite, services: Services) -> Self {
        let source: Vec<u8> = (0..2600_u32).flat_map(|i| [b'#', b'0' + (i * i % 10) as u8, b' ']).collect();
        let plan = plan(suite, services, source.len());
        let mut sealer = Sealer::new(plan.clone(), Some(keys().identity.key())).expect("a plan of ours");
        let (mut stream, mut seal_checkpoints) = (Vec::new(), Vec::new());
        let (mut rest, mut room) = (source.as_slice(), [0; 700]);
        while !sealer.is_done() {
            let given = &rest[..rest.len().min(500)];
            let progress = sealer.push(given, &mut room).expect("as the plan says");
            rest = &rest[progress.consumed..];
            stream.extend_from_slice(&room[..progress.written]);
            let checkpoint = sealer.checkpoint();
            seal_checkpoints
                .extend(checkpoint.map(|checkpoint| checkpoint.to_bytes().expect("it can be stored")));
        }
        let terms = Arc::new(terms(Declared::Services(services)));
        let steps = |checkpoint| Steps { input: 97, room: 1000, checkpoint };
        let readings =
            (0..stream.len() / 97).step_by(3).map(|step| Reading::of(&terms, &stream, steps(step)));
        let open_checkpoints = readings.filter_map(|reading| Some(reading.checkpoint?.octets)).collect();
        let stored_plan = vec![plan.to_bytes().expect("it can be stored")];
        Self { plan, stored_plan, source, stream, seal_checkpoints, open_checkpoints }
    }
}

/// A plan from us to ourselves, with many small pieces.
fn plan(suite: Suite, services: Services, source_bytes: usize) -> Arc<SealPlan> {
    let request = SealRequest {
        suite,
        services,
        source_bytes: source_bytes as u64,
        signing_time: SIGNING_TIME,
        signer: Some(keys().identity.certificate()),
        recipient: Some(keys().identity.certificate()),
        options: SealOptions {
            chunk_bytes: 1024,
            segment_bytes: 1024,
            embed: Embed::SignerCertificate,
            ..SealOptions::default()
        },
    };
    Arc::new(SealPlan::new(&request, &mut entropy()).expect("keys for everything"))
}

/// EnvelopedData around these octets.
fn enveloped(content: &[u8]) -> Vec<u8> {
    let plan = plan(Suite::S04, Services { encrypt: true, ..Services::NONE }, content.len());
    let mut room = vec![0; usize::try_from(plan.transmitted_bytes_max().expect("a sum")).expect("little")];
    let mut sealer = Sealer::new(plan, None).expect("nobody signs");
    let progress = sealer.push(content, &mut room).expect("as the plan says");
    let mut written = progress.written;
    while !sealer.is_done() {
        written += sealer.finish(&mut room[written..]).expect("the source is used up");
    }
    room.truncate(written);
    room
}

/// A valid receipt or challenge.
struct Message {
    octets: Vec<u8>,
    is_receipt: bool,
}

/// Receipts and challenges with every suite.
fn messages() -> &'static [Message] {
    static MESSAGES: OnceLock<Vec<Message>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let receipt = |suite, embed| Message {
            octets: sign_message(suite, &keys().identity, RECEIPT, SIGNING_TIME, embed)
                .expect("a key of ours"),
            is_receipt: true,
        };
        let challenge = |suite| Message {
            octets: seal_challenge(suite, keys().identity.certificate(), &CHALLENGE, &mut entropy())
                .expect("a certificate of ours"),
            is_receipt: false,
        };
        Suite::ALL
            .into_iter()
            .flat_map(|suite| {
                [receipt(suite, Embed::Nothing), receipt(suite, Embed::SignerCertificate), challenge(suite)]
            })
            .collect()
    })
}

/// Octets that are the same in every process (Weyl sequence, multiplied).
fn entropy() -> impl FnMut(&mut [u8]) {
    let mut state = 0_u64;
    move |octets: &mut [u8]| {
        for octet in octets {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            *octet = (state ^ state >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes()[0];
        }
    }
}

const SIGNING_TIME: u64 = 1_795_435_200;
const RECEIPT: &[u8] = b"PARTS FOR ASSEMBLY        20261123120000.0001";
const CHALLENGE: [u8; CHALLENGE_BYTES] = *b"twenty octets, as it";
