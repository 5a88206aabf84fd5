//! What Odile seals, Odile opens: any source, any services, any suite, any slicing; and from any checkpoint.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod pki;

use std::sync::Arc;

use odile_envelope::seal::{LANES_MAX, Push, SealBack, SealFront, TransmittedHash};
use odile_envelope::{
    CheckpointError, Misuse, OpenCheckpoint, OpenFinish, Opener, SealCheckpoint, SealOptions, SealPlan,
    Sealer, Services, Suite, deflate, stored,
};
use pki::{drain, entropy, noise, open, pki, pump, request, seal, step_text, terms};
use proptest::prelude::*;

fn plan(suite: Suite, services: Services, bytes: usize, options: SealOptions) -> Arc<SealPlan> {
    let mut request = request(suite, services, bytes);
    request.options = options;
    Arc::new(SealPlan::new(&request, &mut entropy(7)).unwrap())
}

fn small_pieces() -> SealOptions {
    SealOptions { chunk_bytes: 4096, segment_bytes: 3000, ..SealOptions::default() }
}

#[test]
fn every_suite_and_service_comes_back() {
    for suite in Suite::ALL {
        for services in Services::combinations() {
            let source = step_text(u64::from(suite.code()), 50_000);
            let stream = seal(&plan(suite, services, source.len(), SealOptions::default()), &source, 7001);
            let (content, opened) = open(&terms(services), &stream, 5003, 4001).unwrap();
            assert!(content == source, "suite {suite} {services:?}");
            assert_eq!(opened.services, services);
            assert_eq!(opened.content_bytes, source.len() as u64);
            let decrypted = opened.decrypted.map(|decrypted| (decrypted.cipher, decrypted.transport));
            assert_eq!(decrypted, services.encrypt.then(|| (suite.content_cipher(), suite.key_transport())));
            let verified =
                opened.verified.map(|verified| (verified.hash, verified.scheme, verified.signing_time));
            let expected = (suite.hash(), suite.signature_scheme(), Some(pki::SIGNING_TIME));
            assert_eq!(verified, services.sign.then_some(expected));
        }
    }
}

#[test]
fn large_text_and_noise_come_back_compressed() {
    for source in [step_text(1, 5_000_000), noise(2, 3_000_000), vec![0; 4_000_001]] {
        let plan = plan(Suite::S04, Services::ALL, source.len(), SealOptions::default());
        let stream = seal(&plan, &source, 100_000);
        assert!(stream.len() as u64 <= plan.transmitted_bytes_max().unwrap());
        let (content, _) = open(&terms(Services::ALL), &stream, 65_536, 65_536).unwrap();
        assert!(content == source);
    }
}

#[test]
fn the_declared_services_are_undone_and_no_others() {
    // A file that is itself an envelope: only the outer one is the file's transport.
    let inner = seal(&plan(Suite::S04, Services::ALL, 10, SealOptions::default()), b"0123456789", 100);
    for services in Services::combinations() {
        let stream = seal(&plan(Suite::S06, services, inner.len(), SealOptions::default()), &inner, 999);
        let (content, opened) = open(&terms(services), &stream, 1000, 1000).unwrap();
        assert!(content == inner, "{services:?}");
        assert_eq!(opened.services, services);
    }
}

#[test]
fn the_parallel_halves_give_the_same_stream() {
    let source = step_text(3, 300_000);
    let plan = plan(Suite::S04, Services::ALL, source.len(), small_pieces());
    let expected = seal(&plan, &source, 10_000);

    let mut front = SealFront::new(plan.clone(), Some(pki().alice.key())).unwrap();
    let mut chunks = Vec::new();
    let mut rest = source.as_slice();
    while !front.is_done() {
        let mut chunk = Vec::new();
        while !front.is_full(&chunk) && !front.is_done() {
            let taken = front.fill(&rest[..rest.len().min(1000)], &mut chunk).unwrap();
            rest = &rest[taken..];
        }
        chunks.push(chunk);
    }
    let level = plan.options().level;
    let packed = std::thread::scope(|scope| {
        let work = chunks.iter().map(|chunk| {
            scope.spawn(move || {
                let mut packed = Vec::new();
                let summary = deflate::compress_chunk(level, chunk, &mut packed).unwrap();
                (summary, packed)
            })
        });
        work.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mut back = SealBack::new(&plan).unwrap();
    let (mut stream, mut room) = (Vec::new(), vec![0; 777]);
    let mut pull = |back: &mut SealBack| loop {
        let written = back.pull(&mut room).unwrap();
        stream.extend_from_slice(&room[..written]);
        if written == 0 {
            break;
        }
    };
    for (summary, octets) in packed {
        pull(&mut back);
        assert!(back.is_idle() && back.checkpoint().is_some());
        back.put(summary, octets).unwrap();
    }
    pull(&mut back);
    back.finish().unwrap();
    pull(&mut back);
    assert!(back.is_done());
    assert!(stream == expected);
}

/// Every checkpoint of a seal, with where it was taken.
/// Where several sealers that go together are in their sources and streams.
struct Beside {
    plan: Arc<SealPlan>,
    source: Vec<u8>,
    sealer: Sealer,
    stream: Vec<u8>,
    taken: usize,
}

impl Beside {
    fn new(suite: Suite, services: Services, bytes: usize) -> Self {
        let source = step_text(bytes as u64, bytes);
        let plan = plan(suite, services, bytes, small_pieces());
        let sealer = Sealer::new(plan.clone(), services.sign.then(|| pki().alice.key())).unwrap();
        Self { plan, source, sealer, stream: Vec::new(), taken: 0 }
    }

    fn push<'a>(&'a mut self, step: usize, out: &'a mut [u8]) -> Option<Push<'a>> {
        let source = &self.source[self.taken..];
        let is_done = self.sealer.is_done();
        (!is_done).then_some(Push {
            sealer: &mut self.sealer,
            source: &source[..step.min(source.len())],
            out,
        })
    }
}

#[test]
fn several_sealed_together_are_what_each_is_alone_and_so_are_their_checkpoints() {
    let sign = Services { sign: true, encrypt: true, ..Services::NONE };
    let encrypt = Services { encrypt: true, ..Services::NONE };
    let kinds = [
        (Suite::S04, sign, 200_000),
        (Suite::S04, encrypt, 90_001),
        (Suite::S01, sign, 5_000),
        (Suite::S02, sign, 120_007),
        (Suite::S06, sign, 70_000),
        (Suite::S04, Services::ALL, 60_000),
        (Suite::S04, Services { sign: true, ..Services::NONE }, 33_333),
        (Suite::S08, encrypt, 0),
    ];
    for (first, step) in (0..kinds.len()).zip([100_000, 1000, 7001, 16_400, 64, 333, 20_000, 4096]) {
        let mut beside: [Beside; LANES_MAX] = std::array::from_fn(|at| {
            let (suite, services, bytes) = kinds[(first + at) % kinds.len()];
            Beside::new(suite, services, bytes)
        });
        let mut rooms: [Vec<u8>; LANES_MAX] = std::array::from_fn(|at| vec![0; 300 + at * 9001]);
        while beside.iter().any(|one| !one.sealer.is_done()) {
            let mut left = beside.iter_mut().zip(&mut rooms);
            let pushes = std::array::from_fn(|_| left.next().and_then(|(one, room)| one.push(step, room)));
            let outcomes = Sealer::push_together(pushes);
            for ((one, room), progress) in beside.iter_mut().zip(&rooms).zip(outcomes) {
                let progress = progress.unwrap();
                one.taken += progress.consumed;
                one.stream.extend_from_slice(&room[..progress.written]);
                if let Some(checkpoint) = one.sealer.checkpoint() {
                    let key = one.plan.services().sign.then(|| pki().alice.key());
                    one.sealer = Sealer::resume(one.plan.clone(), key, &checkpoint).unwrap();
                }
            }
        }
        for one in &beside {
            assert!(one.stream == seal(&one.plan, &one.source, 5000), "from kind {first} in steps of {step}");
        }
    }
}

#[test]
fn a_source_that_is_too_long_stops_nobody_else() {
    let encrypt = Services { encrypt: true, ..Services::NONE };
    let (mut good, mut bad) =
        (Beside::new(Suite::S04, encrypt, 9000), Beside::new(Suite::S04, encrypt, 9000));
    bad.source.push(0);
    let (mut room, mut other) = (vec![0; 20_000], vec![0; 20_000]);
    let pushes = [bad.push(9001, &mut room), None, good.push(9000, &mut other), None];
    let [refused, _, sealed, _] = Sealer::push_together(pushes);
    assert_eq!(refused, Err(Misuse::SourceLength { expected: 9000 }));
    let sealed = sealed.unwrap();
    assert_eq!(sealed.consumed, 9000);
    assert!(other[..sealed.written] == seal(&good.plan, &good.source, 30_000));
}

fn seal_checkpoints(plan: &Arc<SealPlan>, source: &[u8], step: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut sealer = Sealer::new(plan.clone(), Some(pki().alice.key())).unwrap();
    let (mut stream, mut checkpoints, mut rest) = (Vec::new(), Vec::new(), source);
    let mut room = vec![0; step];
    let mut take = |sealer: &Sealer| {
        checkpoints.extend(sealer.checkpoint().map(|checkpoint| checkpoint.to_bytes().unwrap()));
    };
    take(&sealer);
    while !sealer.is_done() {
        if rest.is_empty() {
            let written = sealer.finish(&mut room).unwrap();
            stream.extend_from_slice(&room[..written]);
        } else {
            let progress = sealer.push(&rest[..rest.len().min(step)], &mut room).unwrap();
            rest = &rest[progress.consumed..];
            stream.extend_from_slice(&room[..progress.written]);
        }
        take(&sealer);
    }
    (stream, checkpoints)
}

#[test]
fn a_seal_goes_on_from_every_checkpoint_with_the_same_octets() {
    for suite in [Suite::S01, Suite::S04, Suite::S07, Suite::S09] {
        for services in Services::combinations() {
            let source = step_text(9, 40_000);
            let plan = plan(suite, services, source.len(), small_pieces());
            let stored = plan.to_bytes().unwrap();
            let (stream, checkpoints) = seal_checkpoints(&plan, &source, 1531);
            assert!(checkpoints.len() > 8, "{services:?}: {} checkpoints", checkpoints.len());
            for octets in checkpoints {
                let checkpoint = SealCheckpoint::from_bytes(&octets).unwrap();
                let plan = SealPlan::from_bytes(&stored, plan.content_key().cloned()).unwrap();
                let mut sealer =
                    Sealer::resume(Arc::new(plan), Some(pki().alice.key()), &checkpoint).unwrap();
                let at = usize::try_from(checkpoint.transmitted_position()).unwrap();
                let rest = &source[usize::try_from(checkpoint.source_position()).unwrap()..];
                assert!(drain(&mut sealer, rest, 999) == stream[at..], "{services:?} at {at}");
                assert_eq!(sealer.transmitted_hash(), Some(suite.hash().hash(&stream)));
            }
        }
    }
}

#[test]
fn a_hash_that_nobody_asks_for_is_not_made_and_changes_nothing_else() {
    let source = step_text(15, 40_000);
    for services in Services::combinations() {
        let omitted = SealOptions { transmitted_hash: TransmittedHash::Omitted, ..small_pieces() };
        let hashed = plan(Suite::S04, services, source.len(), small_pieces());
        let bare = plan(Suite::S04, services, source.len(), omitted);
        let (stream, of_hashed) = seal_checkpoints(&hashed, &source, 1531);
        let (same, of_bare) = seal_checkpoints(&bare, &source, 1531);
        assert!(stream == same, "{services:?}");
        assert_eq!(of_hashed.len(), of_bare.len());
        for octets in &of_bare {
            let checkpoint = SealCheckpoint::from_bytes(octets).unwrap();
            let mut sealer = Sealer::resume(bare.clone(), Some(pki().alice.key()), &checkpoint).unwrap();
            let at = usize::try_from(checkpoint.transmitted_position()).unwrap();
            let rest = &source[usize::try_from(checkpoint.source_position()).unwrap()..];
            assert!(drain(&mut sealer, rest, 999) == stream[at..], "{services:?} at {at}");
            assert_eq!(sealer.transmitted_hash(), None);
        }
        for (plan, checkpoints) in [(&hashed, &of_bare), (&bare, &of_hashed)] {
            let checkpoint = SealCheckpoint::from_bytes(&checkpoints[1]).unwrap();
            let resumed = Sealer::resume(plan.clone(), Some(pki().alice.key()), &checkpoint);
            assert_eq!(resumed.err(), Some(CheckpointError::Foreign), "{services:?}");
        }
    }
}

#[test]
fn what_an_earlier_version_stored_is_told_apart() {
    let earlier = stored::write(&vec![7_u8; 100], 1).unwrap();
    let expected = Some(CheckpointError::Version { found: 1, known: 2 });
    assert_eq!(SealPlan::from_bytes(&earlier, None).err(), expected);
    assert_eq!(SealCheckpoint::from_bytes(&earlier).err(), expected);
}

#[test]
fn a_checkpoint_of_another_plan_is_refused() {
    let source = step_text(9, 10_000);
    let one = plan(Suite::S04, Services::ALL, source.len(), small_pieces());
    let other = plan(Suite::S04, Services::ALL, source.len(), SealOptions::default());
    let (_, checkpoints) = seal_checkpoints(&one, &source, 1000);
    let checkpoint = SealCheckpoint::from_bytes(&checkpoints[1]).unwrap();
    assert!(Sealer::resume(other, Some(pki().alice.key()), &checkpoint).is_err());
    assert!(Sealer::resume(one, Some(pki().bob.key()), &checkpoint).is_err());
}

type Read<'a> = &'a dyn Fn(&[u8]) -> Result<(), CheckpointError>;

#[test]
fn what_was_stored_and_damaged_is_refused() {
    let source = step_text(14, 10_000);
    let plan = plan(Suite::S04, Services::ALL, source.len(), small_pieces());
    let (stream, checkpoints) = seal_checkpoints(&plan, &source, 1000);
    let mut opener = Opener::new(Arc::new(terms(Services::ALL)));
    opener.push(&stream[..200], &mut [0; 100]).unwrap();
    let key = plan.content_key().cloned();
    let read_plan = |octets: &[u8]| SealPlan::from_bytes(octets, key.clone()).map(|_| ());
    let read_seal = |octets: &[u8]| SealCheckpoint::from_bytes(octets).map(|_| ());
    let read_open = |octets: &[u8]| OpenCheckpoint::from_bytes(octets).map(|_| ());
    let stored: [(Vec<u8>, Read<'_>); 3] = [
        (plan.to_bytes().unwrap(), &read_plan),
        (checkpoints[1].clone(), &read_seal),
        (opener.checkpoint().unwrap().to_bytes().unwrap(), &read_open),
    ];
    for (octets, read) in stored {
        let known = octets[0];
        assert_eq!(read(&octets), Ok(()));
        for end in 0..octets.len() {
            assert_eq!(read(&octets[..end]), Err(CheckpointError::Damaged), "{end}");
        }
        for bit in 0..octets.len() * 8 {
            let mut damaged = octets.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit {
                0..8 => CheckpointError::Version { found: damaged[0], known },
                _ => CheckpointError::Damaged,
            };
            assert_eq!(read(&damaged), Err(expected), "bit {bit}");
        }
    }
}

#[test]
fn an_opening_goes_on_from_every_checkpoint_with_the_same_content() {
    let source = step_text(11, 6_000_000);
    for services in Services::combinations() {
        let stream =
            seal(&plan(Suite::S04, services, source.len(), SealOptions::default()), &source, 1 << 20);
        assert_resumes(services, &stream, &source, 2);
    }
}

#[test]
fn a_stream_whose_blocks_end_inside_octets_goes_on_from_every_checkpoint() {
    // Python's zlib makes one stream of Huffman blocks, as Java's and .NET's do.
    let source = step_text(12, 9_000_000);
    for level in [1, 6, 9] {
        let stream = pki::python_compressed(&source, level);
        let services = Services { compress: true, ..Services::NONE };
        assert_resumes(services, &stream, &source, 3);
    }
}

fn assert_resumes(services: Services, stream: &[u8], source: &[u8], at_least: usize) {
    let terms = Arc::new(terms(services));
    let mut checkpoints = Vec::new();
    let mut content = Vec::new();
    let mut opener = Opener::new(terms.clone());
    let mut without_compression = 0;
    let opened = pump(&mut opener, stream, 30_011, 50_021, &mut content, |opener, written| {
        let checkpoint = opener.checkpoint().expect("announced");
        checkpoints.push((checkpoint.to_bytes().unwrap(), written));
    })
    .unwrap();
    assert!(content == source);
    if !services.compress {
        // Anywhere: take them after every step.
        let mut opener = Opener::new(terms.clone());
        let (mut rest, mut room, mut written) = (stream, vec![0; 50_021], 0);
        while !rest.is_empty() {
            let progress = opener.push(&rest[..rest.len().min(700_001)], &mut room).unwrap();
            (rest, written) = (&rest[progress.consumed..], written + progress.written);
            if without_compression % 20 == 0 {
                checkpoints.push((opener.checkpoint().unwrap().to_bytes().unwrap(), written));
            }
            without_compression += 1;
        }
    }
    assert!(checkpoints.len() >= at_least, "{services:?}: only {} checkpoints", checkpoints.len());
    for (octets, written) in checkpoints {
        let checkpoint = OpenCheckpoint::from_bytes(&octets).unwrap();
        assert_eq!(checkpoint.output_position(), written as u64);
        let mut opener = Opener::resume(terms.clone(), &checkpoint).unwrap();
        let mut rest = Vec::new();
        let at = usize::try_from(checkpoint.input_position()).unwrap();
        let again = pump(&mut opener, &stream[at..], 20_000, 30_000, &mut rest, |_, _| {}).unwrap();
        assert!(rest == source[written..], "{services:?} at {written}");
        assert_eq!(again, opened);
    }
}

#[test]
fn python_inflates_the_stream_and_finds_its_checksum_right() {
    for source in [step_text(5, 3_000_000), noise(5, 2_500_000), Vec::new(), vec![7; 100]] {
        let services = Services { compress: true, ..Services::NONE };
        let stream =
            seal(&plan(Suite::S04, services, source.len(), SealOptions::default()), &source, 1 << 16);
        let script = "import sys,zlib\n\
            d=sys.stdin.buffer.read(); p=d.index(b'\\x24\\x80')+2; z=b''\n\
            while d[p]==4:\n\
            \x20 n=d[p+1]; p+=2\n\
            \x20 if n>127:\n\
            \x20  k=n-128; n=int.from_bytes(d[p:p+k],'big'); p+=k\n\
            \x20 z+=d[p:p+n]; p+=n\n\
            assert d[p:]==b'\\0'*12, d[p:]\n\
            sys.stdout.buffer.write(zlib.decompress(z))";
        let content = pki::run("python3", &["-c", script], &stream).unwrap();
        assert!(content == source);
    }
}

#[test]
fn without_room_there_is_no_verdict() {
    let source = step_text(13, 5000);
    for services in Services::combinations() {
        let stream = seal(&plan(Suite::S04, services, source.len(), small_pieces()), &source, 4096);
        let mut opener = Opener::new(Arc::new(terms(services)));
        let mut rest = stream.as_slice();
        let mut room = vec![0; 100];
        let mut content = Vec::new();
        while !rest.is_empty() {
            let progress = opener.push(rest, &mut room).unwrap();
            content.extend_from_slice(&room[..progress.written]);
            rest = &rest[progress.consumed..];
        }
        assert_eq!(opener.finish(&mut []).unwrap(), OpenFinish::More { written: 0 });
        let opened = pump(&mut opener, &[], 1, 100, &mut content, |_, _| {}).unwrap();
        assert!(content == source && opened.content_bytes == 5000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_source_comes_back_whatever_the_slices(
        seed in any::<u64>(),
        kind in 0..3_u8,
        bytes in 0..40_000_usize,
        bits in 0..8_usize,
        code in 1..=10_u8,
        chunk in 1024..9000_u32,
        segment in 1024..9000_u32,
        level in 1..=12_u8,
        steps in (1..3000_usize, 1..3000_usize, 1..3000_usize),
    ) {
        let source = match kind {
            0 => noise(seed, bytes),
            1 => step_text(seed, bytes),
            _ => vec![seed.to_le_bytes()[0]; bytes],
        };
        let services = Services::combinations().nth(bits).unwrap();
        let suite = Suite::from_code(code).unwrap();
        let options = SealOptions {
            chunk_bytes: chunk,
            segment_bytes: segment,
            level: deflate::CompressionLevel::new(level).unwrap(),
            ..SealOptions::default()
        };
        let plan = plan(suite, services, bytes, options);
        let stream = seal(&plan, &source, steps.0);
        prop_assert!(stream.len() as u64 <= plan.transmitted_bytes_max().unwrap());
        prop_assert!(seal(&plan, &source, steps.1) == stream);
        let (content, opened) = open(&terms(services), &stream, steps.1, steps.2).unwrap();
        prop_assert!(content == source);
        prop_assert_eq!(opened.services, services);
    }
}
