//! Framing beside `memcpy` of the same octets: subrecords out, subrecords in, and the deframer.
//!
//! Two sizes: one that stays in the second-level cache and one that comes from memory. Throughput counts octets
//! of the file; read the figures as ratios to `memcpy` of the same run.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use odile_wire::data::{Compression, Decoder, Encoder, End, Records};
use odile_wire::stream::{Deframer, Piece};

const SIZES: [(&str, usize); 2] = [("256 KiB", 256 << 10), ("64 MiB", 64 << 20)];
const BUFFER_SIZE: u32 = 65_536;

criterion_group!(benches, framing);
criterion_main!(benches);

fn framing(criterion: &mut Criterion) {
    for (size, bytes) in SIZES {
        let random = random(bytes);
        let mut group = criterion.benchmark_group(size);
        group.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);

        let mut copy = vec![0; bytes];
        group.bench_function("memcpy", |b| {
            b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&random)));
        });

        // The stream is written to one piece of memory, as long as the source, as `memcpy` does.
        let mut stream = vec![0; bytes + bytes / 32 + 2 * BUFFER_SIZE as usize];
        for (content, source) in
            [("random", &random), ("step", &step_text(bytes)), ("zeros", &vec![0; bytes])]
        {
            for (name, compression) in [("encode", Compression::Off), ("compress", Compression::On)] {
                if name == "encode" && content != "random" {
                    continue;
                }
                let id = BenchmarkId::new(name, content);
                group.bench_function(id, |b| b.iter(|| encode(source, compression, black_box(&mut stream))));
            }
            for (name, compression) in [("decode", Compression::Off), ("decompress", Compression::On)] {
                if name == "decode" && content != "random" {
                    continue;
                }
                let written = encode(source, compression, &mut stream);
                let input = &stream[..written];
                let id = BenchmarkId::new(name, content);
                group.bench_function(id, |b| b.iter(|| decode(black_box(input), black_box(&mut copy))));
                assert!(copy == *source);
            }
        }
        let written = encode(&random, Compression::Off, &mut stream);
        let input = &stream[..written];
        group.bench_function("deframe", |b| b.iter(|| deframe(black_box(input))));
        group.finish();
    }
}

fn encode(source: &[u8], compression: Compression, stream: &mut [u8]) -> usize {
    let mut encoder = Encoder::new(Records::None, BUFFER_SIZE, compression);
    let (mut read, mut written) = (0, 0);
    while !encoder.is_finished() {
        match encoder.encode(&source[read..], End::Reached, &mut stream[written..]) {
            Ok(encoded) => {
                read += encoded.consumed;
                written += encoded.written;
            }
            Err(error) => unreachable!("{error}"),
        }
    }
    written
}

fn decode(mut stream: &[u8], file: &mut [u8]) -> usize {
    let (mut deframer, mut decoder) = (Deframer::new(), Decoder::new(Records::None));
    let mut written = 0;
    while let Ok(Some(Piece::Data { octets, .. })) = deframer.next_piece(&mut stream) {
        match decoder.decode(octets, &mut file[written..]) {
            Ok(decoded) => written += decoded.written,
            Err(error) => unreachable!("{error}"),
        }
    }
    written
}

fn deframe(mut stream: &[u8]) -> usize {
    let mut deframer = Deframer::new();
    let mut total = 0;
    while let Ok(Some(Piece::Data { octets, .. })) = deframer.next_piece(&mut stream) {
        total += black_box(octets).len();
    }
    total
}

/// Octets without order (xorshift64).
fn random(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut octets = Vec::with_capacity(bytes + 8);
    while octets.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(bytes);
    octets
}

/// What a CAD system writes as STEP (ISO 10303-21): short lines of numbers, some zeros, some indentation.
fn step_text(bytes: usize) -> Vec<u8> {
    use std::io::Write;
    let mut text = Vec::with_capacity(bytes + 128);
    let mut i = 0_u64;
    while text.len() < bytes {
        let (x, y) = (i * 7919 % 100_003, i * 104_729 % 99_991);
        let line = if i.is_multiple_of(4) {
            writeln!(text, "#{i}=DIRECTION('',(0.00000000,0.00000000,1.00000000));\r")
        } else {
            writeln!(text, "#{i}=CARTESIAN_POINT('',({x}.{y:06},-{y}.{x:06},{}.));\r", i % 512)
        };
        assert!(line.is_ok(), "a Vec takes all");
        i += 1;
    }
    text.truncate(bytes);
    text
}
