//! Randomness as an argument, and randomness derived from a secret.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use zeroize::{Zeroize, Zeroizing};

use crate::digest::{HASH_BYTES_MAX, HashAlgorithm, Hasher};

/// A source of unpredictable octets, given by the caller.
pub trait Entropy {
    /// Fills all of `octets`.
    fn fill(&mut self, octets: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Entropy for F {
    fn fill(&mut self, octets: &mut [u8]) {
        self(octets);
    }
}

/// Gives the caller's source to the `rsa` crate.
pub(crate) struct Given<'a>(pub &'a mut dyn Entropy);

impl TryRng for Given<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.0.fill(&mut octets);
        Ok(u32::from_le_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.0.fill(&mut octets);
        Ok(u64::from_le_bytes(octets))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(octets);
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}

/// Octets that only the holder of a secret can predict: SHA-512 over secret, purpose and counter.
///
/// It blinds private operations, so that timing tells nothing, and draws the salt of PSS, so that a resumed
/// signature is the same as the first one. Who does not know the secret cannot tell it from chance.
pub(crate) struct Derived {
    start: Hasher,
    block: Zeroizing<[u8; HASH_BYTES_MAX]>,
    used: usize,
    counter: u64,
}

impl Derived {
    /// From a secret, for one purpose and one subject.
    pub fn new(secret: &[u8], purpose: &str, subject: &[u8]) -> Self {
        let mut start = Hasher::new(HashAlgorithm::Sha512);
        for part in [secret, purpose.as_bytes(), subject] {
            start.update(&(part.len() as u64).to_be_bytes());
            start.update(part);
        }
        Self { start, block: Zeroizing::new([0; HASH_BYTES_MAX]), used: HASH_BYTES_MAX, counter: 0 }
    }

    fn octet(&mut self) -> u8 {
        if self.used == HASH_BYTES_MAX {
            let mut hasher = self.start.clone();
            hasher.update(&self.counter.to_be_bytes());
            self.block.zeroize();
            self.block.copy_from_slice(hasher.finish().as_bytes());
            self.counter += 1;
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }
}

impl Entropy for Derived {
    fn fill(&mut self, octets: &mut [u8]) {
        octets.fill_with(|| self.octet());
    }
}
