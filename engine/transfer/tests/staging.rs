//! The stage gives what the sealer alone gives, however the source is cut and however many chunks go at a time.

use std::sync::Arc;

use odile_envelope::seal::TransmittedHash;
use odile_envelope::{Misuse, SealOptions, SealPlan, SealRequest, Sealer, Services, Suite};
use odile_transfer::{Compress, PackedChunk, PlainChunk, Staging, StagingError};
use odile_wire::data::{End, Records};

/// Compresses in the wrong order, and gives the right one back.
struct Backwards;

impl Compress for Backwards {
    fn compress(&mut self, chunks: Vec<PlainChunk>) -> Result<Vec<Result<PackedChunk, Misuse>>, String> {
        let mut packed: Vec<_> = chunks.into_iter().rev().map(PlainChunk::compress).collect();
        packed.reverse();
        Ok(packed)
    }
}

struct Broken;

impl Compress for Broken {
    fn compress(&mut self, _: Vec<PlainChunk>) -> Result<Vec<Result<PackedChunk, Misuse>>, String> {
        Err("no worker is left".to_owned())
    }
}

fn plan(source: &[u8], compress: bool) -> Arc<SealPlan> {
    plan_with(source, compress, SealOptions { chunk_bytes: 4096, ..SealOptions::default() })
}

fn plan_with(source: &[u8], compress: bool, options: SealOptions) -> Arc<SealPlan> {
    let request = SealRequest {
        suite: Suite::S04,
        services: Services { compress, ..Services::NONE },
        source_bytes: source.len() as u64,
        signing_time: 0,
        signer: None,
        recipient: None,
        options,
    };
    Arc::new(SealPlan::new(&request, &mut |_: &mut [u8]| {}).expect("it needs no keys"))
}

fn source(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| u8::try_from(at * at / 997 % 251).expect("below 251")).collect()
}

fn sealed(plan: &Arc<SealPlan>, source: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(Arc::clone(plan), None).expect("it needs no keys");
    let (mut rest, mut stream, mut room) = (source, Vec::new(), vec![0; 10_000]);
    while !sealer.is_done() {
        let progress = sealer.push(rest, &mut room).expect("as the plan says");
        rest = &rest[progress.consumed..];
        stream.extend_from_slice(&room[..progress.written]);
    }
    stream
}

/// Shows the source in slices, and frames some octets at a time.
fn staged(staging: &mut Staging, source: &[u8], slice: usize, take: usize) -> Result<Vec<u8>, StagingError> {
    let mut stream = Vec::new();
    loop {
        while staging.wants_source() {
            let at = usize::try_from(staging.source_position()).expect("it fits");
            let until = source.len().min(at + slice);
            let end = if until == source.len() { End::Reached } else { End::More };
            staging.fill(&source[at..until], end, &mut Backwards)?;
        }
        let (octets, end) = staging.staged();
        let taken = octets.len().min(take);
        stream.extend_from_slice(&octets[..taken]);
        let is_all = end == End::Reached && taken == octets.len();
        staging.used(taken);
        if is_all {
            return Ok(stream);
        }
    }
}

#[test]
fn any_batch_and_any_slices_give_the_stream_of_the_sealer() {
    for compress in [false, true] {
        for octets in [0, 1, 4095, 4096, 4097, 3 * 4096, 700_000, 2_500_000] {
            let source = source(octets);
            let plan = plan(&source, compress);
            let expected = sealed(&plan, &source);
            for (batch, slice, take) in
                [(1, 1000, 50_000), (2, 9999, 300_000), (3, 70_000, 7777), (8, 1 << 20, 1 << 20)]
            {
                let mut staging = Staging::new(Arc::clone(&plan), None, Records::None, batch).unwrap();
                let stream = staged(&mut staging, &source, slice, take).unwrap();
                assert!(stream == expected, "{octets} octets, {batch} at a time");
                assert_eq!(staging.source_position(), octets as u64);
                let transmitted = staging.transmitted().unwrap();
                assert_eq!(transmitted.octets, stream.len() as u64);
                assert_eq!(transmitted.hash, Suite::S04.hash().hash(&stream));
            }
        }
    }
}

#[test]
fn a_hash_that_the_plan_omits_is_not_told() {
    let source = source(10_000);
    for compress in [false, true] {
        let expected = sealed(&plan(&source, compress), &source);
        let options =
            SealOptions { transmitted_hash: TransmittedHash::Omitted, ..plan(&source, compress).options() };
        let mut staging =
            Staging::new(plan_with(&source, compress, options), None, Records::None, 2).unwrap();
        assert!(staged(&mut staging, &source, 1000, 3000).unwrap() == expected);
        assert_eq!(staging.transmitted(), None);
    }
}

#[test]
fn records_are_counted_and_an_open_one_is_refused() {
    let whole = b"\x00\x03abc\x00\x00\x00\x01x";
    for compress in [false, true] {
        let mut staging = Staging::new(plan(whole, compress), None, Records::Variable, 2).unwrap();
        staged(&mut staging, whole, 3, 100).unwrap();
        assert_eq!(staging.records(), 3);
        let open = &whole[..9];
        let mut staging = Staging::new(plan(open, compress), None, Records::Variable, 2).unwrap();
        assert_eq!(staged(&mut staging, open, 3, 100), Err(StagingError::OpenRecord));
    }
}

#[test]
fn whoever_fails_to_compress_is_heard() {
    let source = source(10_000);
    let mut staging = Staging::new(plan(&source, true), None, Records::None, 1).unwrap();
    let error = staging.fill(&source, End::Reached, &mut Broken).unwrap_err();
    assert_eq!(error.to_string(), "it cannot be compressed: no worker is left");
}
