//! One chunk: compressed by libdeflate, or stored if that is of no use.

use libdeflater::{CompressionLvl, Compressor};
use serde::{Deserialize, Serialize};

use super::skim::Skimmer;
use crate::error::Misuse;

/// How hard to compress: 1 (fast) to 12 (small).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CompressionLevel(u8);

impl CompressionLevel {
    /// The fastest level, and the default: deflate is the slowest stage of all.
    pub const FASTEST: Self = Self(1);

    /// A level from 1 to 12.
    pub fn new(level: u8) -> Result<Self, Misuse> {
        if (1..=12).contains(&level) {
            Ok(Self(level))
        } else {
            Err(Misuse::OutOfRange("the compression level"))
        }
    }

    /// Its number.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// What a chunk came to. Its octets are in the buffer that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Octets before compression.
    pub plain_bytes: usize,
    /// Octets after compression.
    pub packed_bytes: usize,
    /// Adler-32 of the octets before compression.
    pub adler: u32,
}

/// Compresses one chunk, replacing what is in `packed`. The result depends on the arguments only.
pub fn compress_chunk(level: CompressionLevel, plain: &[u8], packed: &mut Vec<u8>) -> Result<Chunk, Misuse> {
    ChunkCompressor::new(level)?.compress(plain, packed)
}

/// The same with memory that is kept from chunk to chunk: one for each worker.
pub struct ChunkCompressor {
    compressor: Compressor,
    probe: Compressor,
    scratch: Vec<u8>,
    skimmer: Skimmer,
}

impl ChunkCompressor {
    /// For one level.
    pub fn new(level: CompressionLevel) -> Result<Self, Misuse> {
        let level = CompressionLvl::new(i32::from(level.0))
            .map_err(|_| Misuse::OutOfRange("the compression level"))?;
        let fastest = CompressionLvl::new(1).map_err(|_| Misuse::OutOfRange("the compression level"))?;
        Ok(Self {
            compressor: Compressor::new(level),
            probe: Compressor::new(fastest),
            scratch: Vec::new(),
            skimmer: Skimmer::new(),
        })
    }

    /// Compresses one chunk, replacing what is in `packed`.
    pub fn compress(&mut self, plain: &[u8], packed: &mut Vec<u8>) -> Result<Chunk, Misuse> {
        packed.clear();
        if self.is_worth_it(plain) {
            let room = self.compressor.deflate_compress_bound(plain.len()) + SEAM_BYTES_MAX;
            packed.resize(room, 0);
            let packed_bytes = self
                .compressor
                .deflate_compress(plain, packed)
                .map_err(|_| Misuse::Crypto("deflate ran out of room"))?;
            packed.truncate(packed_bytes);
            seam(packed, plain.len(), &mut self.skimmer)?;
        }
        if packed.is_empty() || packed.len() > stored_bytes(plain.len()) {
            store(plain, packed);
        }
        let adler = zlib_rs::adler32::adler32(1, plain);
        Ok(Chunk { plain_bytes: plain.len(), packed_bytes: packed.len(), adler })
    }

    /// Whether a sample of the chunk becomes smaller. Only where octets are spread evenly is it tried out.
    fn is_worth_it(&mut self, plain: &[u8]) -> bool {
        if plain.len() < 4 * SAMPLE_BYTES || !looks_random(plain) {
            return true;
        }
        let at = plain.len() / 2 - SAMPLE_BYTES / 2;
        let sample = &plain[at..at + SAMPLE_BYTES];
        self.scratch.resize(self.probe.deflate_compress_bound(SAMPLE_BYTES), 0);
        match self.probe.deflate_compress(sample, &mut self.scratch) {
            // Less than 2 %: not worth six times the time of storing.
            Ok(bytes) => bytes < SAMPLE_BYTES - SAMPLE_BYTES / 50,
            Err(_) => true,
        }
    }
}

impl std::fmt::Debug for ChunkCompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkCompressor").finish_non_exhaustive()
    }
}

/// Octets of the sample that is compressed for a try: more than libdeflate's window would be waste.
const SAMPLE_BYTES: usize = 32 * 1024;
/// Most octets that [`seam`] appends.
const SEAM_BYTES_MAX: usize = 5;
/// Longest stored block (RFC 1951 §3.2.4).
const STORED_BYTES_MAX: usize = 65_535;
/// Octets of the header of a stored block that begins on an octet.
const STORED_HEADER_BYTES: usize = 5;

/// Most octets that a chunk of `plain_bytes` can come to.
pub(crate) fn stored_bytes(plain_bytes: usize) -> usize {
    plain_bytes + plain_bytes.div_ceil(STORED_BYTES_MAX).max(1) * STORED_HEADER_BYTES
}

/// Makes the last block of a deflate stream an ordinary one, and ends it on an octet with an empty stored block.
fn seam(packed: &mut Vec<u8>, plain_bytes: usize, skimmer: &mut Skimmer) -> Result<(), Misuse> {
    let last = skimmer.last_block(packed).filter(|last| last.plain_bytes == plain_bytes);
    let last = last.ok_or(Misuse::Crypto("deflate output does not decode to what was compressed"))?;
    packed[last.header_bit / 8] &= !(1 << (last.header_bit % 8));
    // Three zero bits are the header of the stored block; they may fit into the last octet.
    let octets = (last.end_bit + 3).div_ceil(8);
    packed.resize(octets, 0);
    packed.extend_from_slice(&[0x00, 0x00, 0xFF, 0xFF]);
    Ok(())
}

/// Stored blocks; each begins on an octet, because the chunk does.
fn store(plain: &[u8], packed: &mut Vec<u8>) {
    packed.clear();
    for block in plain.chunks(STORED_BYTES_MAX) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        packed.push(0);
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&(!length).to_le_bytes());
        packed.extend_from_slice(block);
    }
}

/// Whether the octets of a sample are spread as evenly as chance spreads them.
///
/// For 16 Ki octets drawn evenly, the sum of squared deviations over the expected count has mean 255 and
/// deviation 23 (chi squared). Text and meshes are at thousands; compressed data at a few hundred.
fn looks_random(plain: &[u8]) -> bool {
    const STRIDES: usize = 16;
    const STRIDE_BYTES: usize = 1024;
    const EXPECTED: i32 = 64;
    const _: () = assert!(STRIDES * STRIDE_BYTES == 256 * EXPECTED as usize);
    let mut counts = [0_i32; 256];
    let step = plain.len() / STRIDES;
    for stride in 0..STRIDES {
        for octet in plain[stride * step..].iter().take(STRIDE_BYTES) {
            counts[usize::from(*octet)] += 1;
        }
    }
    let deviation: i32 = counts.iter().map(|count| (count - EXPECTED).pow(2)).sum();
    deviation / EXPECTED < 600
}
