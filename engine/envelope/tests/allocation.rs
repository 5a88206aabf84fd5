//! Sealing and opening take the same memory for any length. What C allocates for itself is not counted: that is
//! libdeflate's and AWS-LC's state, of fixed size.

#![allow(unsafe_code, reason = "a counting allocator is an allocator")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod pki;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use odile_envelope::{
    HashAlgorithm, OpenFinish, OpenTerms, Opened, Opener, SealPlan, Sealer, Services, Suite,
};
use pki::{entropy, pki, request, step_text, terms};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
    TOTAL.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came; counting touches nothing but numbers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test counts at a time.
static TURN: Mutex<()> = Mutex::new(());

const MIB: usize = 1024 * 1024;

/// What was allocated while something was done.
struct Use {
    /// Most octets alive at once, beyond those before.
    peak: usize,
    /// Octets allocated in all.
    total: usize,
}

fn counted<T>(work: impl FnOnce() -> T) -> (T, Use) {
    let (live, total) = (LIVE.load(Ordering::Relaxed), TOTAL.load(Ordering::Relaxed));
    PEAK.store(live, Ordering::Relaxed);
    let result = work();
    let peak = PEAK.load(Ordering::Relaxed) - live;
    (result, Use { peak, total: TOTAL.load(Ordering::Relaxed) - total })
}

/// A source of any length: one block, again and again.
struct Source {
    block: Vec<u8>,
    length: usize,
}

impl Source {
    /// Some octets from a position on.
    fn at(&self, position: usize, bytes: usize) -> &[u8] {
        let start = position % self.block.len();
        &self.block[start..self.block.len().min(start + bytes.min(self.length - position))]
    }
}

/// A sealer whose stream goes into an opener at once, and a check of what comes out.
struct Pipe<'a> {
    source: &'a Source,
    sealer: Sealer,
    opener: Opener,
    stream: Vec<u8>,
    content: Vec<u8>,
    taken: usize,
    given: usize,
}

impl<'a> Pipe<'a> {
    fn new(source: &'a Source, services: Services) -> Self {
        let plan = SealPlan::new(&request(Suite::S06, services, source.length), &mut entropy(1)).unwrap();
        let terms = OpenTerms { transmitted_hash: Some(HashAlgorithm::Sha512), ..terms(services) };
        Self {
            source,
            sealer: Sealer::new(Arc::new(plan), Some(pki().alice.key())).unwrap(),
            opener: Opener::new(Arc::new(terms)),
            stream: vec![0; 64 * 1024],
            content: vec![0; 64 * 1024],
            taken: 0,
            given: 0,
        }
    }

    /// Goes on until so much of the source was taken.
    fn run(&mut self, until: usize) {
        while self.taken < until {
            let progress = self.sealer.push(self.source.at(self.taken, 100_000), &mut self.stream).unwrap();
            self.taken += progress.consumed;
            self.open(progress.written);
        }
    }

    fn open(&mut self, bytes: usize) {
        let mut at = 0;
        while at < bytes {
            let progress = self.opener.push(&self.stream[at..bytes], &mut self.content).unwrap();
            at += progress.consumed;
            self.check(progress.written);
        }
    }

    fn check(&mut self, bytes: usize) {
        let mut rest = &self.content[..bytes];
        while !rest.is_empty() {
            let expected = self.source.at(self.given, rest.len());
            assert!(rest.starts_with(expected), "the content differs at {}", self.given);
            self.given += expected.len();
            rest = &rest[expected.len()..];
        }
    }

    fn finish(mut self) -> Opened {
        while !self.sealer.is_done() {
            let written = self.sealer.finish(&mut self.stream).unwrap();
            self.open(written);
        }
        loop {
            match self.opener.finish(&mut self.content).unwrap() {
                OpenFinish::More { written } => self.check(written),
                OpenFinish::Opened(opened) => return opened,
            }
        }
    }
}

#[test]
fn a_long_file_takes_no_more_memory_than_a_short_one() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let source = Source { block: step_text(1, 3 * MIB - 17), length: 64 * MIB };
    pki();
    for services in [Services::ALL, Services { compress: false, ..Services::ALL }] {
        let (pipe, start) = counted(|| {
            let mut pipe = Pipe::new(&source, services);
            pipe.run(4 * MIB);
            pipe
        });
        let (opened, rest) = counted(|| {
            let mut pipe = pipe;
            pipe.run(source.length);
            pipe.finish()
        });
        assert_eq!(opened.content_bytes, source.length as u64);
        assert!(opened.verified.is_some());
        println!(
            "{services:?}: {} to begin with, then {} more, {} in all",
            start.peak, rest.peak, rest.total
        );
        assert!(start.peak < 8 * MIB, "{services:?}: {} octets to begin with", start.peak);
        assert!(rest.peak < MIB / 16, "{services:?}: {} octets more on the way", rest.peak);
        // What is left: the signature, and its verification.
        assert!(rest.total < MIB / 16, "{services:?}: {} octets in all on the way", rest.total);
    }
}

#[test]
fn what_inflates_a_thousandfold_takes_no_memory() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let services = Services { compress: true, ..Services::NONE };
    let bomb = pki::python_compressed(&vec![0; 64 * MIB], 9);
    assert!(bomb.len() < 128 * 1024);
    let (written, used) = counted(|| {
        let mut opener = Opener::new(Arc::new(terms(services)));
        let (mut rest, mut room, mut written) = (bomb.as_slice(), vec![0; 64 * 1024], 0);
        while !rest.is_empty() {
            let progress = opener.push(rest, &mut room).unwrap();
            rest = &rest[progress.consumed..];
            written += progress.written;
        }
        while let OpenFinish::More { written: more } = opener.finish(&mut room).unwrap() {
            written += more;
        }
        written
    });
    assert_eq!(written, 64 * MIB);
    assert!(used.peak < MIB && used.total < MIB, "{} octets, {} in all", used.peak, used.total);
}

#[test]
fn a_hostile_stream_takes_no_memory() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let signed_data = [
        &[0x30, 0x80, 6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2, 0xA0, 0x80, 0x30, 0x80, 2, 1, 1][..],
        &[0x31, 0, 0x30, 0x80, 6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1, 0xA0, 0x80, 0x24, 0x80],
    ];
    let header = signed_data.concat();
    let certificates = [&header[..], &[4, 1, b'x', 0, 0, 0, 0, 0, 0, 0xA0, 0x80]].concat();
    let signers = [&header[..], &[4, 1, b'x', 0, 0, 0, 0, 0, 0, 0x31, 0x80]].concat();
    for (head, again) in [
        // Empty segments without end, empty certificates, empty signers.
        (&header, &[4, 0][..]),
        (&header, &[0x24, 0x80, 0, 0]),
        (&certificates, &[0x30, 0]),
        (&certificates, &[0x30, 0x80, 0, 0]),
        (&signers, &[0x30, 0]),
    ] {
        let pieces = again.repeat(16 * 1024);
        let ((), used) = counted(|| {
            let mut opener = Opener::new(Arc::new(terms(Services { sign: true, ..Services::NONE })));
            let mut room = vec![0; 1024];
            assert!(opener.push(head, &mut room).is_ok());
            for _ in 0..64 {
                let mut rest = pieces.as_slice();
                while !rest.is_empty() {
                    let Ok(progress) = opener.push(rest, &mut room) else { return };
                    rest = &rest[progress.consumed..];
                }
            }
        });
        assert!(used.peak < 2 * MIB, "{again:x?}: {} octets", used.peak);
    }
}
