//! Compression in independent chunks that join into one zlib stream (RFC 1950, RFC 3274).
//!
//! ```text
//! 78 xx │ chunk │ chunk │ … │ 03 00 │ Adler-32
//!         └ deflate blocks without a final one, ending on an octet
//! ```
//!
//! A chunk knows nothing of its neighbours, so chunks can be compressed on several cores and in any order.

mod chunk;
#[allow(clippy::inline_always, reason = "called for every symbol: not inlined, the call costs as much")]
mod huffman;
#[allow(clippy::inline_always, reason = "called for every symbol: not inlined, the call costs as much")]
mod skim;
pub(crate) mod zlib;

/// What packs a chunk: another one packs the same content into other octets, so that a stream cannot go on with it.
pub const COMPRESSOR: &str = "libdeflate 1.26.1";

pub use chunk::{Chunk, ChunkCompressor, CompressionLevel, compress_chunk};

/// The two octets in front of a zlib stream: window of 32 KiB, and the level as RFC 1950 §2.2 classifies it.
pub(crate) fn zlib_header(level: CompressionLevel) -> [u8; 2] {
    match level.get() {
        0..=1 => [0x78, 0x01],
        2..=5 => [0x78, 0x5E],
        6 => [0x78, 0x9C],
        _ => [0x78, 0xDA],
    }
}

/// The end of a zlib stream: an empty final block (fixed codes, end of block) and the checksum.
pub(crate) fn zlib_trailer(adler: u32) -> [u8; 6] {
    let [a, b, c, d] = adler.to_be_bytes();
    [0x03, 0x00, a, b, c, d]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_compressor_is_the_one_that_is_linked() {
        let lock = include_str!("../../../../Cargo.lock");
        let version = super::COMPRESSOR.strip_prefix("libdeflate ").unwrap();
        let locked = format!("name = \"libdeflate-sys\"\nversion = \"{version}\"");
        assert!(lock.contains(&locked), "{locked}: whoever changes the compressor says so in COMPRESSOR");
    }
}
