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
//! SHA-512 leaves no pauses.

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser};
use digest::Digest;
use digest::common::hazmat::SerializableState;

use crate::cipher::Encryptor;
use crate::digest::{HashAlgorithm, Hasher};
use crate::error::Misuse;

/// Octets that fit into the nearest cache twice, as source and as content: what is worked on at a time.
pub(crate) const STRETCH_BYTES: usize = 16 * 1024;

/// Octets of a piece: a block of the hashes, four of the cipher.
const PIECE_BYTES: usize = 64;
const CIPHER_BLOCK_BYTES: usize = 16;

/// Octets that a hash still has to take.
pub(crate) struct Owed<'a> {
    pub hasher: &'a mut Hasher,
    pub octets: &'a [u8],
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
            if let Some(first) = first {
                first.update(octets);
            }
            encryptor.encrypt(blocks)?;
            if let Some(last) = ciphertext {
                last.update(blocks);
            }
        }
    }
    Ok(())
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

/// A hash over blocks of [`PIECE_BYTES`].
trait Piecewise: Digest {
    /// Octets that do not fill a block yet.
    fn open_bytes(&self) -> usize;
}

/// As RustCrypto serializes it: the chained words, the count of blocks, the octets of the open block and what they are.
impl Piecewise for sha1::Sha1 {
    fn open_bytes(&self) -> usize {
        usize::from(self.serialize()[20 + 8])
    }
}

impl Piecewise for sha2::Sha256 {
    fn open_bytes(&self) -> usize {
        usize::from(self.serialize()[32 + 8])
    }
}

/// Octets up to the next whole block.
fn missing_bytes(hash: &impl Piecewise) -> usize {
    (PIECE_BYTES - hash.open_bytes()) % PIECE_BYTES
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
        reason = "it is to be compiled for the instructions of the cipher that calls it"
    )]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { chain, blocks, mut first, octets, mut last } = self;
        let mut chained = u128::from_ne_bytes(*chain);
        let mut encrypt = |blocks: &mut [u8]| {
            for block in blocks.as_chunks_mut().0 {
                let mut octets = Array((chained ^ u128::from_ne_bytes(*block)).to_ne_bytes());
                backend.encrypt_block((&mut octets).into());
                *block = octets.0;
                chained = u128::from_ne_bytes(*block);
            }
        };
        // Where a block of the hash is begun, it is filled first: whole ones are hashed in place.
        let head = first.as_ref().map_or(0, |hash| missing_bytes(&**hash)).min(octets.len());
        let (head, octets) = octets.split_at(head);
        let (pieces, tail) = octets.as_chunks::<PIECE_BYTES>();
        let mut pieces = pieces.iter();
        if let Some(hash) = &mut first {
            hash.update(head);
        }
        let (mut at, mut hashed) = (0, 0);
        let mut missing = last.as_ref().map_or(0, |hash| missing_bytes(&**hash));
        while let (done, Some(piece)) = split(blocks, at) {
            if let Some(hash) = &mut first
                && let Some(piece) = pieces.next()
            {
                hash.update(piece);
            }
            encrypt(piece);
            if let Some(hash) = &mut last {
                if missing > 0 && done.len() >= missing {
                    hash.update(&done[..missing]);
                    (hashed, missing) = (missing, 0);
                } else if missing == 0
                    && let Some(piece) = done[hashed..].first_chunk::<PIECE_BYTES>()
                {
                    hash.update(piece);
                    hashed += PIECE_BYTES;
                }
            }
            at += PIECE_BYTES;
        }
        encrypt(&mut blocks[at..]);
        if let Some(hash) = &mut first {
            pieces.for_each(|piece| hash.update(piece));
            hash.update(tail);
        }
        if let Some(hash) = &mut last {
            hash.update(&blocks[hashed..]);
        }
        *chain = chained.to_ne_bytes();
    }
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

    #[test]
    fn the_open_block_is_known() {
        for seen in 0..130 {
            let (mut sha1, mut sha256) = (sha1::Sha1::new(), sha2::Sha256::new());
            Digest::update(&mut sha1, octets(1, seen));
            Digest::update(&mut sha256, octets(1, seen));
            assert_eq!((sha1.open_bytes(), sha256.open_bytes()), (seen % 64, seen % 64));
        }
    }
}
