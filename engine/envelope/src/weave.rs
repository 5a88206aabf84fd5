//! Ciphers and hashes in one loop.
//!
//! AES in CBC mode waits for itself, since each block needs the one before, and so does a hash; but neither needs the
//! whole processor meanwhile. In pieces that are small enough for it to look ahead from one to the other, they fill
//! each other's pauses: those of one file, and those of several files, each with a key of its own.
//!
//! ```text
//! source                     ├ hash piece i ┤
//! content in place           ├ encrypt piece i ┤
//! ciphertext   ├ hash piece i - 1 ┤
//! ```
//!
//! What comes out, and the states behind it, are those of doing one after the other. Only SHA-1 and SHA-256 are woven:
//! SHA-512, which has no instructions of its own here, leaves no pauses.

mod strand;

use aes::Aes256Enc;

use self::strand::Strand;
use crate::cipher::Encryptor;
use crate::digest::{HashAlgorithm, Hasher};
use crate::error::Misuse;
use crate::piecewise::{Piecewise, Running, begin};

/// Octets that fit into the nearest cache twice, as source and as content: what is worked on at a time.
pub(crate) const STRETCH_BYTES: usize = 16 * 1024;

/// Files whose ciphers run in one loop, at most.
pub const LANES_MAX: usize = 4;

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

/// What one file has to be done: whole blocks to be encrypted, a hash that is owed, the hash of the ciphertext.
pub(crate) struct Lane<'a> {
    pub encryptor: &'a mut Encryptor,
    pub blocks: &'a mut [u8],
    pub owed: Option<Owed<'a>>,
    pub ciphertext: Option<&'a mut Hasher>,
}

impl<'a> Lane<'a> {
    /// Does it without any other.
    pub fn run(self) -> Result<(), Misuse> {
        let [outcome, ..] = encrypt([Some(self), None, None, None]);
        outcome
    }

    /// The hash that it can be woven with; without any hash, that is any.
    fn algorithm(&mut self) -> Option<HashAlgorithm> {
        self.encryptor.weaving()?;
        let owed = self.owed.as_ref().map(|owed| owed.hasher.algorithm());
        let ciphertext = self.ciphertext.as_ref().map(|hasher| hasher.algorithm());
        match (owed, ciphertext) {
            (Some(one), Some(other)) if one != other => None,
            (one, other) => one.or(other).or(Some(HashAlgorithm::Sha256)),
        }
    }

    /// `state` gives the state of its hashes.
    fn strand<H: Piecewise>(self, state: fn(&mut Hasher) -> Option<&mut H>) -> Option<Strand<'a, H>> {
        let Self { encryptor, blocks, owed, ciphertext } = self;
        let (first, octets) = owed.map_or((None, &[][..]), |owed| (state(owed.hasher), owed.octets));
        Some(Strand::new(encryptor.weaving()?, blocks, (first, octets), ciphertext.and_then(state)))
    }

    fn run_unwoven(self) -> Result<(), Misuse> {
        let Self { encryptor, blocks, owed, ciphertext } = self;
        if let Some(owed) = owed {
            owed.settle();
        }
        encryptor.encrypt(blocks)?;
        if let Some(hasher) = ciphertext {
            hasher.update(blocks);
        }
        Ok(())
    }
}

/// Does all lanes; what came of each stands in its place.
pub(crate) fn encrypt(lanes: [Option<Lane<'_>>; LANES_MAX]) -> [Result<(), Misuse>; LANES_MAX] {
    let (mut sha1, mut sha256) = ([const { None }; LANES_MAX], [const { None }; LANES_MAX]);
    let mut outcomes = [const { Ok(()) }; LANES_MAX];
    let has_company = lanes.iter().flatten().count() > 1;
    for (at, lane) in lanes.into_iter().enumerate() {
        let Some(mut lane) = lane else { continue };
        let has_pauses_to_fill = has_company || lane.owed.is_some() || lane.ciphertext.is_some();
        match lane.algorithm().filter(|_| has_pauses_to_fill) {
            Some(HashAlgorithm::Sha1) => sha1[at] = lane.strand(Hasher::sha1),
            Some(HashAlgorithm::Sha256) => sha256[at] = lane.strand(Hasher::sha256),
            _ => outcomes[at] = lane.run_unwoven(),
        }
    }
    strand::weave(sha256);
    strand::weave(sha1);
    outcomes
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
                let ciphertext = has.1.then_some(&mut last);
                let lane = Lane { encryptor: &mut woven, blocks: &mut encrypted, owed: debt, ciphertext };
                lane.run().unwrap();
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

    /// One file of several: its cipher, its hashes, and the sizes of its stretches and debts.
    type Each = (ContentCipher, Option<HashAlgorithm>, Option<HashAlgorithm>, usize, Vec<(usize, usize)>);

    fn each() -> impl Strategy<Value = Each> {
        let hash = || {
            let some =
                prop::sample::select(vec![HashAlgorithm::Sha256, HashAlgorithm::Sha1, HashAlgorithm::Sha512]);
            prop::option::weighted(0.7, some)
        };
        let cipher = prop_oneof![
            4 => Just(ContentCipher::Aes256Cbc),
            1 => Just(ContentCipher::Aes128Cbc),
            1 => Just(ContentCipher::TripleDesCbc),
        ];
        (cipher, hash(), hash(), 0..200_usize, prop::collection::vec((0..60_usize, 0..900_usize), 3))
    }

    proptest! {
        #[test]
        fn several_at_a_time_are_as_if_each_was_alone(
            files in prop::collection::vec(prop::option::of(each()), LANES_MAX),
            seed: u64,
        ) {
            let mut states: Vec<_> = (files.iter().zip(0..))
                .map(|(file, at)| {
                    let (cipher, first, last, seen, _) = file.as_ref()?;
                    let (key, chain) = (octets(seed ^ at, cipher.key_bytes()), octets(at, cipher.block_bytes()));
                    let encryptor = || Encryptor::new(*cipher, &key, &chain).unwrap();
                    let hashers = [first.map(|one| hasher(one, *seen)), last.map(|one| hasher(one, seen / 2))];
                    Some([(encryptor(), hashers.clone()), (encryptor(), hashers)])
                })
                .collect();
            for round in 0..3 {
                let debts: Vec<_> = (files.iter().zip(0..))
                    .map(|(file, at)| file.as_ref().map_or(Vec::new(), |file| octets(seed ^ at ^ 9, file.4[round].1)))
                    .collect();
                let mut contents: Vec<_> = (files.iter().zip(0..))
                    .map(|(file, at)| file.as_ref().map_or(Vec::new(), |file| octets(at ^ 5, file.4[round].0 * 16)))
                    .collect();
                let mut expected = contents.clone();
                let mut left = states.iter_mut().zip(&mut contents).zip(&debts);
                let outcomes = encrypt(std::array::from_fn(|_| {
                    let ((state, content), debt) = left.next()?;
                    let [(encryptor, [first, last]), _] = state.as_mut()?;
                    let owed = first.as_mut().map(|hasher| Owed { hasher, octets: debt });
                    Some(Lane { encryptor, blocks: content, owed, ciphertext: last.as_mut() })
                }));
                prop_assert!(outcomes.iter().all(Result::is_ok));
                for (((state, content), debt), expected) in
                    states.iter_mut().zip(&contents).zip(&debts).zip(&mut expected)
                {
                    let Some([(woven, hashers), (alone, [first, last])]) = state else { continue };
                    alone.encrypt(expected).unwrap();
                    prop_assert!(content == expected);
                    prop_assert_eq!(woven.chain(), alone.chain());
                    if let Some(hasher) = first.as_mut() {
                        hasher.update(debt);
                    }
                    if let Some(hasher) = last.as_mut() {
                        hasher.update(expected);
                    }
                    let state = |hasher: &Option<Hasher>| hasher.as_ref().map(Hasher::midstate);
                    prop_assert_eq!([state(&hashers[0]), state(&hashers[1])], [state(first), state(last)]);
                }
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
