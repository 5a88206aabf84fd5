//! Cipher and hashes in one loop.
//!
//! AES in CBC mode waits for itself, since each block needs the one before, and so does a hash; but neither needs the
//! whole processor meanwhile. In pieces that are small enough for it to look ahead from one to the other, they fill
//! each other's pauses.
//!
//! ```text
//! source                     ├ hash piece i ┤
//! content in place           ├ encrypt piece i ┤
//! ciphertext   ├ hash piece i - 1 ┤
//! ```
//!
//! What comes out, and the states behind it, are those of doing one after the other. Only SHA-1 and SHA-256 are woven:
//! SHA-512, which has no instructions of its own here, leaves no pauses.

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser};

use crate::cipher::Encryptor;
use crate::digest::{HashAlgorithm, Hasher};
use crate::error::Misuse;
use crate::piecewise::{PIECE_BYTES, Piecewise, Running, begin, missing_bytes};

/// Octets that fit into the nearest cache twice, as source and as content: what is worked on at a time.
pub(crate) const STRETCH_BYTES: usize = 16 * 1024;

const CIPHER_BLOCK_BYTES: usize = 16;

/// Octets that a hash still has to take.
pub(crate) struct Owed<'a> {
    pub hasher: &'a mut Hasher,
    pub octets: &'a [u8],
}

impl Owed<'_> {
    /// Hashes it.
    pub fn settle(self) {
        self.hasher.update(self.octets);
    }

    fn is_sha256(&self) -> bool {
        self.hasher.algorithm() == HashAlgorithm::Sha256
    }
}

/// Encrypts whole blocks, hashes what is owed, and hashes the ciphertext.
pub(crate) fn encrypt(
    encryptor: &mut Encryptor,
    blocks: &mut [u8],
    owed: Option<Owed<'_>>,
    ciphertext: Option<&mut Hasher>,
) -> Result<(), Misuse> {
    let (first, octets) = owed.map_or((None, &[][..]), |owed| (Some(owed.hasher), owed.octets));
    let algorithms = [&first, &ciphertext].map(|hasher| hasher.as_ref().map(|hasher| hasher.algorithm()));
    let algorithm = match algorithms {
        [Some(one), Some(other)] if one != other => None,
        [one, other] => one.or(other),
    };
    match (algorithm, encryptor.weaving()) {
        (Some(HashAlgorithm::Sha256), Some((cipher, chain))) => {
            let (first, last) = (first.and_then(Hasher::sha256), ciphertext.and_then(Hasher::sha256));
            cipher.encrypt_with_backend(Weave { chain, blocks, first, octets, last });
        }
        (Some(HashAlgorithm::Sha1), Some((cipher, chain))) => {
            let (first, last) = (first.and_then(Hasher::sha1), ciphertext.and_then(Hasher::sha1));
            cipher.encrypt_with_backend(Weave { chain, blocks, first, octets, last });
        }
        _ => {
            if let Some(hasher) = first {
                Owed { hasher, octets }.settle();
            }
            encryptor.encrypt(blocks)?;
            if let Some(last) = ciphertext {
                last.update(blocks);
            }
        }
    }
    Ok(())
}

/// Hashes what is owed to one hash and to another. Only two of SHA-256 leave each other pauses.
pub(crate) fn hash(one: Option<Owed<'_>>, other: Option<Owed<'_>>) {
    match (one, other) {
        (Some(one), Some(other)) if pays() && one.is_sha256() && other.is_sha256() => {
            by_turns((one.hasher.sha256(), one.octets), (other.hasher.sha256(), other.octets));
        }
        (one, other) => [one, other].into_iter().flatten().for_each(Owed::settle),
    }
}

/// Piece by piece of one hash and of the other.
fn by_turns<H: Piecewise>(one: (Option<&mut H>, &[u8]), other: (Option<&mut H>, &[u8])) {
    let ((Some(one), octets), (Some(other), others)) = (one, other) else { return };
    let (pieces, tail) = begin(one, octets);
    let (other_pieces, other_tail) = begin(other, others);
    let both = pieces.len().min(other_pieces.len());
    let (mut running, mut other_running) = (Running::open(one), Running::open(other));
    for (piece, other_piece) in pieces.iter().zip(other_pieces) {
        running.take(piece);
        other_running.take(other_piece);
    }
    let (one, other) = (running.close(), other_running.close());
    one.update(pieces[both..].as_flattened());
    one.update(tail);
    other.update(other_pieces[both..].as_flattened());
    other.update(other_tail);
}

/// A key that can be woven, if that pays on this processor.
pub(crate) fn cipher(key: &[u8]) -> Option<Aes256Enc> {
    use aes::cipher::KeyInit;
    if pays() { Aes256Enc::new_from_slice(key).ok() } else { None }
}

/// Whether cipher and hashes have instructions of their own. Others than these were not measured.
#[cfg(target_arch = "x86_64")]
fn pays() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("sha")
}

#[cfg(not(target_arch = "x86_64"))]
fn pays() -> bool {
    false
}

/// The loop. It runs inside the cipher, which is set up only once that way.
struct Weave<'a, H> {
    chain: &'a mut [u8; CIPHER_BLOCK_BYTES],
    blocks: &'a mut [u8],
    first: Option<&'a mut H>,
    octets: &'a [u8],
    last: Option<&'a mut H>,
}

impl<H> BlockSizeUser for Weave<'_, H> {
    type BlockSize = U16;
}

impl<H: Piecewise> BlockCipherEncClosure for Weave<'_, H> {
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "to be compiled for the instructions of the cipher that calls it"
    )]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { chain, blocks, mut first, octets, mut last } = self;
        let (pieces, tail) = match &mut first {
            Some(hash) => begin(*hash, octets),
            None => Default::default(),
        };
        let mut pieces = pieces.iter();
        let (mut at, mut hashed) = (0, 0);
        if let Some(hash) = &mut last
            && let missing @ 1.. = missing_bytes(*hash)
        {
            // No piece of the ciphertext ends where one of the cipher does: the hash stays one more behind.
            at = PIECE_BYTES.min(blocks.len());
            hashed = missing.min(at);
            chain_blocks(backend, chain, &mut blocks[..at]);
            hash.update(&blocks[..hashed]);
        }
        let (mut first, mut last) = (first.map(Running::open), last.map(Running::open));
        while let (done, Some(piece)) = split(blocks, at) {
            if let Some(hash) = &mut first
                && let Some(piece) = pieces.next()
            {
                hash.take(piece);
            }
            chain_blocks(backend, chain, piece);
            if let Some(hash) = &mut last
                && let Some(piece) = done[hashed..].first_chunk()
            {
                hash.take(piece);
                hashed += PIECE_BYTES;
            }
            at += PIECE_BYTES;
        }
        chain_blocks(backend, chain, &mut blocks[at..]);
        if let Some(hash) = first.map(Running::close) {
            hash.update(pieces.as_slice().as_flattened());
            hash.update(tail);
        }
        if let Some(hash) = last.map(Running::close) {
            hash.update(&blocks[hashed..]);
        }
    }
}

/// CBC (RFC 3602 §2): each block is added to the ciphertext of the one before. Where this is not inlined, the cipher
/// is called for every block, and half of the gain is lost.
#[inline(always)]
#[allow(clippy::inline_always, reason = "to be compiled for the instructions of the cipher that calls it")]
fn chain_blocks<B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    chain: &mut [u8; CIPHER_BLOCK_BYTES],
    blocks: &mut [u8],
) {
    let mut chained = u128::from_ne_bytes(*chain);
    for block in blocks.as_chunks_mut().0 {
        let mut octets = Array((chained ^ u128::from_ne_bytes(*block)).to_ne_bytes());
        backend.encrypt_block((&mut octets).into());
        *block = octets.0;
        chained = u128::from_ne_bytes(*block);
    }
    *chain = chained.to_ne_bytes();
}

/// What is in front of a place, and the piece behind it, if there is a whole one.
fn split(blocks: &mut [u8], at: usize) -> (&[u8], Option<&mut [u8; PIECE_BYTES]>) {
    let (done, ahead) = blocks.split_at_mut(at);
    (done, ahead.first_chunk_mut())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::suite::ContentCipher;

    /// The bytes of a number that is moved on.
    fn octets(seed: u64, count: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..count).map(|_| next()).collect()
    }

    fn hasher(algorithm: HashAlgorithm, seen: usize) -> Hasher {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&octets(7, seen));
        hasher
    }

    proptest! {
        #[test]
        fn it_is_as_if_one_was_done_after_the_other(
            algorithms in prop::sample::select(vec![
                (HashAlgorithm::Sha1, HashAlgorithm::Sha1),
                (HashAlgorithm::Sha256, HashAlgorithm::Sha256),
                (HashAlgorithm::Sha512, HashAlgorithm::Sha512),
                (HashAlgorithm::Sha256, HashAlgorithm::Sha1),
            ]),
            has in (any::<bool>(), any::<bool>()),
            seen in (0..200_usize, 0..200_usize),
            sizes in prop::collection::vec((0..60_usize, 0..900_usize), 1..5),
            triple in any::<bool>(),
            seed: u64,
        ) {
            let cipher = if triple { ContentCipher::TripleDesCbc } else { ContentCipher::Aes256Cbc };
            let (key, chain) = (octets(seed, cipher.key_bytes()), octets(3, cipher.block_bytes()));
            let mut woven = Encryptor::new(cipher, &key, &chain).unwrap();
            let mut plain = Encryptor::new(cipher, &key, &chain).unwrap();
            let hashers = [hasher(algorithms.0, seen.0), hasher(algorithms.1, seen.1)];
            let [mut first, mut last] = hashers.clone();
            let [mut first_plain, mut last_plain] = hashers;
            for (blocks, owed) in sizes {
                let owed = octets(seed ^ 9, owed);
                let content = octets(seed ^ 5, blocks * 16);
                let mut encrypted = content.clone();
                let debt = has.0.then_some(Owed { hasher: &mut first, octets: &owed });
                encrypt(&mut woven, &mut encrypted, debt, has.1.then_some(&mut last)).unwrap();
                let mut expected = content;
                plain.encrypt(&mut expected).unwrap();
                prop_assert!(encrypted == expected);
                prop_assert_eq!(woven.chain(), plain.chain());
                if has.0 {
                    first_plain.update(&owed);
                }
                if has.1 {
                    last_plain.update(&expected);
                }
                prop_assert_eq!(first.midstate(), first_plain.midstate());
                prop_assert_eq!(last.midstate(), last_plain.midstate());
            }
        }
    }

    proptest! {
        #[test]
        fn two_hashes_are_as_if_one_was_done_after_the_other(
            algorithms in prop::sample::select(vec![
                (HashAlgorithm::Sha1, HashAlgorithm::Sha1),
                (HashAlgorithm::Sha256, HashAlgorithm::Sha256),
                (HashAlgorithm::Sha512, HashAlgorithm::Sha512),
                (HashAlgorithm::Sha256, HashAlgorithm::Sha1),
            ]),
            has in (any::<bool>(), any::<bool>()),
            seen in (0..200_usize, 0..200_usize),
            sizes in prop::collection::vec((0..900_usize, 0..900_usize), 1..5),
        ) {
            let mut woven = [hasher(algorithms.0, seen.0), hasher(algorithms.1, seen.1)];
            let mut plain = woven.clone();
            for (one, other) in sizes {
                let owed = [octets(11, one), octets(12, other)];
                let [first, last] = &mut woven;
                let debt = |is_there: bool, hasher, octets| is_there.then_some(Owed { hasher, octets });
                hash(debt(has.0, first, &owed[0]), debt(has.1, last, &owed[1]));
                for ((hasher, octets), is_there) in plain.iter_mut().zip(&owed).zip([has.0, has.1]) {
                    hasher.update(if is_there { octets } else { &[] });
                }
                prop_assert_eq!(woven.each_ref().map(Hasher::midstate), plain.each_ref().map(Hasher::midstate));
            }
        }
    }
}
