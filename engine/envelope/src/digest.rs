//! Hashes with a midstate that can be stored: what makes signing resumable.
//!
//! The state that [`Hasher::midstate`] returns is the one of RustCrypto (`SerializableState`), behind the name of
//! the algorithm. It holds up to one block of the hashed content.

use const_oid::ObjectIdentifier;
use digest::Digest;
use digest::common::hazmat::{SerializableState, SerializedState};
use serde::{Deserialize, Serialize};

use crate::algorithm as oid;
use crate::error::CheckpointError;

/// Longest output of a [`HashAlgorithm`], in octets.
pub const HASH_BYTES_MAX: usize = 64;

/// A hash function that a suite or a partner's envelope names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// SHA-1: suites 01 and 02.
    Sha1,
    /// SHA-256: suites 03, 04 and 08.
    Sha256,
    /// SHA-384: in no suite, yet some partners' products offer it.
    Sha384,
    /// SHA-512: suites 05, 06 and 09.
    Sha512,
    /// SHA3-512: suites 07 and 10.
    Sha3_512,
}

impl HashAlgorithm {
    /// Octets of the output.
    pub const fn output_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    /// The object identifier (RFC 5754 §2, RFC 8702 §3).
    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => oid::SHA1,
            Self::Sha256 => oid::SHA256,
            Self::Sha384 => oid::SHA384,
            Self::Sha512 => oid::SHA512,
            Self::Sha3_512 => oid::SHA3_512,
        }
    }

    /// The algorithm that an identifier stands for, if it is one that we know.
    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512, Self::Sha3_512]
            .into_iter()
            .find(|algorithm| algorithm.oid() == oid)
    }

    /// The hash of one message.
    pub fn hash(self, message: &[u8]) -> HashValue {
        let mut hasher = Hasher::new(self);
        hasher.update(message);
        hasher.finish()
    }
}

/// The output of a hash function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashValue {
    octets: [u8; HASH_BYTES_MAX],
    algorithm: HashAlgorithm,
}

impl HashValue {
    /// The function that it came out of.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Its octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.algorithm.output_bytes()]
    }
}

impl std::fmt::Debug for HashValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}:", self.algorithm)?;
        self.as_bytes().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A hash in the making.
#[derive(Clone)]
pub struct Hasher {
    state: State,
}

#[derive(Clone)]
enum State {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Sha3_512(sha3::Sha3_512),
}

/// What [`Hasher::midstate`] stores.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Midstate {
    pub(crate) algorithm: HashAlgorithm,
    pub(crate) state: Vec<u8>,
}

impl std::fmt::Debug for Midstate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Midstate").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Hasher {
    /// A hash over nothing yet.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        let state = match algorithm {
            HashAlgorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            HashAlgorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            HashAlgorithm::Sha384 => State::Sha384(sha2::Sha384::new()),
            HashAlgorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            HashAlgorithm::Sha3_512 => State::Sha3_512(sha3::Sha3_512::new()),
        };
        Self { state }
    }

    /// The hash function.
    pub fn algorithm(&self) -> HashAlgorithm {
        match self.state {
            State::Sha1(_) => HashAlgorithm::Sha1,
            State::Sha256(_) => HashAlgorithm::Sha256,
            State::Sha384(_) => HashAlgorithm::Sha384,
            State::Sha512(_) => HashAlgorithm::Sha512,
            State::Sha3_512(_) => HashAlgorithm::Sha3_512,
        }
    }

    /// Hashes more.
    pub fn update(&mut self, octets: &[u8]) {
        match &mut self.state {
            State::Sha1(state) => state.update(octets),
            State::Sha256(state) => state.update(octets),
            State::Sha384(state) => state.update(octets),
            State::Sha512(state) => state.update(octets),
            State::Sha3_512(state) => state.update(octets),
        }
    }

    /// Its state, if it is SHA-1.
    pub(crate) fn sha1(&mut self) -> Option<&mut sha1::Sha1> {
        if let State::Sha1(state) = &mut self.state { Some(state) } else { None }
    }

    /// Its state, if it is SHA-256.
    pub(crate) fn sha256(&mut self) -> Option<&mut sha2::Sha256> {
        if let State::Sha256(state) = &mut self.state { Some(state) } else { None }
    }

    /// The hash of all that was given.
    pub fn finish(self) -> HashValue {
        let algorithm = self.algorithm();
        let mut octets = [0; HASH_BYTES_MAX];
        let place = &mut octets[..algorithm.output_bytes()];
        match self.state {
            State::Sha1(state) => place.copy_from_slice(&state.finalize()),
            State::Sha256(state) => place.copy_from_slice(&state.finalize()),
            State::Sha384(state) => place.copy_from_slice(&state.finalize()),
            State::Sha512(state) => place.copy_from_slice(&state.finalize()),
            State::Sha3_512(state) => place.copy_from_slice(&state.finalize()),
        }
        HashValue { octets, algorithm }
    }

    /// All that is needed to go on later.
    pub fn midstate(&self) -> Midstate {
        let state = match &self.state {
            State::Sha1(state) => state.serialize().to_vec(),
            State::Sha256(state) => state.serialize().to_vec(),
            State::Sha384(state) => state.serialize().to_vec(),
            State::Sha512(state) => state.serialize().to_vec(),
            State::Sha3_512(state) => state.serialize().to_vec(),
        };
        Midstate { algorithm: self.algorithm(), state }
    }

    /// Goes on from a midstate.
    pub fn resume(midstate: &Midstate) -> Result<Self, CheckpointError> {
        let octets = midstate.state.as_slice();
        let state = match midstate.algorithm {
            HashAlgorithm::Sha1 => State::Sha1(restore(octets)?),
            HashAlgorithm::Sha256 => State::Sha256(restore(octets)?),
            HashAlgorithm::Sha384 => State::Sha384(restore(octets)?),
            HashAlgorithm::Sha512 => State::Sha512(restore(octets)?),
            HashAlgorithm::Sha3_512 => State::Sha3_512(restore(octets)?),
        };
        Ok(Self { state })
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

fn restore<H: SerializableState>(octets: &[u8]) -> Result<H, CheckpointError> {
    let stored = SerializedState::<H>::try_from(octets).map_err(|_| CheckpointError::Damaged)?;
    H::deserialize(&stored).map_err(|_| CheckpointError::Damaged)
}
