//! Hashes block by block, with their state at hand: between two blocks there is nothing but the block itself.

use digest::Digest;
use digest::common::hazmat::{SerializableState, SerializedState};

/// Octets of a block of SHA-1 and SHA-256.
pub(crate) const PIECE_BYTES: usize = 64;

/// A hash over blocks of [`PIECE_BYTES`] whose state is words of 32 bits.
///
/// RustCrypto serializes it as the chained words, the count of blocks (64 bits), and the block that is begun: the
/// number of its octets, then these; all of it little-endian.
pub(crate) trait Piecewise: Digest + SerializableState {
    /// The chained words.
    type Words: AsRef<[u32]> + AsMut<[u32]> + Default;

    /// Hashes one block.
    fn compress(words: &mut Self::Words, block: &[u8; PIECE_BYTES]);
}

impl Piecewise for sha1::Sha1 {
    type Words = [u32; 5];

    #[inline]
    fn compress(words: &mut Self::Words, block: &[u8; PIECE_BYTES]) {
        sha1::block_api::compress(words, std::slice::from_ref(block));
    }
}

impl Piecewise for sha2::Sha256 {
    type Words = [u32; 8];

    #[inline]
    fn compress(words: &mut Self::Words, block: &[u8; PIECE_BYTES]) {
        sha2::block_api::compress256(words, std::slice::from_ref(block));
    }
}

/// A hash that takes whole blocks, until it is closed.
pub(crate) struct Running<'a, H: Piecewise> {
    hash: &'a mut H,
    words: H::Words,
    /// Blocks before, and since.
    blocks: u64,
    taken: u64,
    is_begun: bool,
}

impl<'a, H: Piecewise> Running<'a, H> {
    /// Goes on with a hash. If its last block is not whole, it can only be closed again.
    pub fn open(hash: &'a mut H) -> Self {
        let stored = hash.serialize();
        let mut words = H::Words::default();
        let (chained, rest) = stored.split_at(words.as_ref().len() * 4);
        for (word, octets) in words.as_mut().iter_mut().zip(chained.as_chunks().0) {
            *word = u32::from_le_bytes(*octets);
        }
        let Some((count, begun)) = rest.split_first_chunk() else { unreachable!("it counts its blocks") };
        let is_begun = begun.first() != Some(&0);
        Self { hash, words, blocks: u64::from_le_bytes(*count), taken: 0, is_begun }
    }

    /// Hashes one block.
    #[inline]
    pub fn take(&mut self, block: &[u8; PIECE_BYTES]) {
        H::compress(&mut self.words, block);
        self.taken += 1;
    }

    /// Gives the hash its state back.
    ///
    /// # Panics
    ///
    /// If blocks were taken in the middle of another one.
    pub fn close(self) -> &'a mut H {
        if self.taken == 0 {
            return self.hash;
        }
        assert!(!self.is_begun, "a block that is begun is filled before whole ones are taken");
        let mut stored = SerializedState::<H>::default();
        let (chained, rest) = stored.split_at_mut(self.words.as_ref().len() * 4);
        for (word, octets) in self.words.as_ref().iter().zip(chained.as_chunks_mut().0) {
            *octets = word.to_le_bytes();
        }
        if let Some(count) = rest.first_chunk_mut() {
            *count = (self.blocks + self.taken).to_le_bytes();
        }
        match H::deserialize(&stored) {
            Ok(hash) => *self.hash = hash,
            Err(_) => unreachable!("whole blocks are a state of the hash"),
        }
        self.hash
    }
}

/// Octets up to the next whole block.
pub(crate) fn missing_bytes<H: Piecewise>(hash: &H) -> usize {
    let begun = hash.serialize()[H::Words::default().as_ref().len() * 4 + 8];
    (PIECE_BYTES - usize::from(begun)) % PIECE_BYTES
}

/// Fills the block that is begun; gives the whole ones behind it, and what is left.
pub(crate) fn begin<'a>(hash: &mut impl Piecewise, octets: &'a [u8]) -> (&'a [[u8; PIECE_BYTES]], &'a [u8]) {
    let (head, octets) = octets.split_at(missing_bytes(hash).min(octets.len()));
    hash.update(head);
    octets.as_chunks()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{HashAlgorithm, Hasher};

    #[test]
    fn what_is_missing_is_known() {
        for seen in 0..130 {
            let (mut sha1, mut sha256) = (sha1::Sha1::new(), sha2::Sha256::new());
            Digest::update(&mut sha1, vec![1; seen]);
            Digest::update(&mut sha256, vec![1; seen]);
            let missing = seen.next_multiple_of(64) - seen;
            assert_eq!((missing_bytes(&sha1), missing_bytes(&sha256)), (missing, missing));
        }
    }

    #[test]
    fn block_by_block_comes_to_the_same() {
        let octets: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for (before, behind) in [(0, 900), (1, 62), (1, 63), (63, 0), (64, 64), (65, 700), (130, 1)] {
            let (head, octets) = octets[..before + behind].split_at(before);
            for algorithm in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
                let mut expected = Hasher::new(algorithm);
                expected.update(head);
                let mut hasher = expected.clone();
                expected.update(octets);
                if let Some(hash) = hasher.sha256() {
                    run(hash, octets);
                }
                if let Some(hash) = hasher.sha1() {
                    run(hash, octets);
                }
                assert_eq!(hasher.midstate(), expected.midstate(), "{algorithm:?} behind {before}");
            }
        }
    }

    fn run(hash: &mut impl Piecewise, octets: &[u8]) {
        let (pieces, tail) = begin(hash, octets);
        let mut running = Running::open(hash);
        for piece in pieces {
            running.take(piece);
        }
        running.close().update(tail);
    }
}
