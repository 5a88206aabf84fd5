//! Checkpoints that are moved: as if so much more had gone by, all of it a whole number of the content's periods.
//!
//! ```text
//! content   ├ period ┼ period ┼─ … ─┼ period ┼ period ┤
//! before         ▲ checkpoint
//! after                               ▲ the same content before and behind it, all counts higher
//! ```
//!
//! Nobody can hash petabytes to see whether the last counter holds. Counts, positions and the lengths in the hashes
//! grow by the same at sender and receiver, what is chained (hashes, ciphers, Adler-32) stays as it is: the stream
//! that follows is the one of a file that no one has sent, but whose hashes, lengths and signature both sides must
//! agree on none the less. The content must be the same at both places, or they do not.

use crate::digest::{HashAlgorithm, Midstate};
use crate::open::OpenCheckpoint;
use crate::open::{Frame, WorkState};
use crate::seal::SealCheckpoint;

/// Why a checkpoint cannot be moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShiftError {
    /// Hashes count blocks.
    #[error("{octets} octets are no whole number of blocks of {block_bytes} octets")]
    Blocks {
        /// How far it was to be moved.
        octets: u64,
        /// Octets of a block of the hash.
        block_bytes: u64,
    },
    /// Where it would be, nothing can be counted any more.
    #[error("it would be beyond 64 bits")]
    Overflow,
    /// What is encrypted and not compressed is one unit, whose segments depend on all before them.
    #[error("an envelope that is encrypted, but not compressed, cannot be moved")]
    OneUnit,
    /// It is not what it should be.
    #[error("its form is another")]
    Form,
}

impl Midstate {
    /// As if so many octets more had been hashed: a whole number of the hash's blocks.
    ///
    /// # Errors
    ///
    /// [`ShiftError`] if they are not, or more than can be counted.
    pub fn advanced(&self, octets: u64) -> Result<Self, ShiftError> {
        // As RustCrypto serializes it: the chained words, the count of blocks, what does not fill a block.
        let (chained_bytes, count_bytes, block_bytes) = match self.algorithm {
            HashAlgorithm::Sha1 => (20, 8, 64),
            HashAlgorithm::Sha256 => (32, 8, 64),
            HashAlgorithm::Sha384 | HashAlgorithm::Sha512 => (64, 16, 128),
            // A sponge counts nothing.
            HashAlgorithm::Sha3_512 => return Ok(self.clone()),
        };
        if !octets.is_multiple_of(block_bytes) {
            return Err(ShiftError::Blocks { octets, block_bytes });
        }
        let mut moved = self.clone();
        let place =
            moved.state.get_mut(chained_bytes..chained_bytes + count_bytes).ok_or(ShiftError::Form)?;
        let mut count = [0; 16];
        let count_place = count.get_mut(..count_bytes).ok_or(ShiftError::Form)?;
        count_place.copy_from_slice(place);
        let blocks = u128::from_le_bytes(count) + u128::from(octets / block_bytes);
        // Lengths are stated in bits.
        if blocks.checked_mul(u128::from(block_bytes * 8)).is_none_or(|bits| bits > u128::from(u64::MAX)) {
            return Err(ShiftError::Overflow);
        }
        place.copy_from_slice(blocks.to_le_bytes().get(..count_bytes).ok_or(ShiftError::Form)?);
        Ok(moved)
    }
}

impl SealCheckpoint {
    /// As if so many octets more of the source had been taken, and so many more of the stream had been written. With
    /// compression the two need not be the same.
    ///
    /// # Errors
    ///
    /// [`ShiftError::OneUnit`] for what is encrypted and not compressed, and those of [`Midstate::advanced`].
    pub fn advanced(&self, source: u64, transmitted: u64) -> Result<Self, ShiftError> {
        let mut moved = self.clone();
        if moved.back.encrypt.is_some() && moved.back.pack.is_none() {
            return Err(ShiftError::OneUnit);
        }
        let sign = &mut moved.front.sign;
        sign.source_at = sum(sign.source_at, source)?;
        sign.hash = sign.hash.as_ref().map(|hash| hash.advanced(source)).transpose()?;
        let back = &mut moved.back;
        back.position = sum(back.position, transmitted)?;
        back.transmitted = back.transmitted.as_ref().map(|hash| hash.advanced(transmitted)).transpose()?;
        Ok(moved)
    }
}

impl OpenCheckpoint {
    /// As if so many octets more of the stream had been taken, and so many more of the content had been written.
    ///
    /// # Errors
    ///
    /// Those of [`Midstate::advanced`].
    pub fn advanced(&self, input: u64, output: u64) -> Result<Self, ShiftError> {
        let mut moved = self.clone();
        moved.input_position = sum(moved.input_position, input)?;
        moved.output_position = sum(moved.output_position, output)?;
        moved.transmitted = moved.transmitted.as_ref().map(|hash| hash.advanced(input)).transpose()?;
        for layer in &mut moved.layers {
            let mut passed = input;
            if let WorkState::Signed { hashes, .. } = &mut layer.work {
                passed = output;
                for hash in hashes {
                    *hash = hash.advanced(output)?;
                }
            }
            layer.frame.advance(passed)?;
        }
        Ok(moved)
    }
}

impl Frame {
    /// Elements of a definite length end as much later.
    fn advance(&mut self, octets: u64) -> Result<(), ShiftError> {
        self.position = sum(self.position, octets)?;
        for level in &mut self.levels {
            level.end = level.end.map(|end| sum(end, octets)).transpose()?;
            if level.limit < u64::MAX {
                level.limit = sum(level.limit, octets)?;
            }
        }
        Ok(())
    }
}

fn sum(position: u64, octets: u64) -> Result<u64, ShiftError> {
    position.checked_add(octets).ok_or(ShiftError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hasher;

    /// Octets of block, of a word, and of the length at the end of the padding (FIPS 180-4 §5.1).
    const HASHES: [(HashAlgorithm, u64, usize, usize); 4] = [
        (HashAlgorithm::Sha1, 64, 4, 8),
        (HashAlgorithm::Sha256, 64, 4, 8),
        (HashAlgorithm::Sha384, 128, 8, 16),
        (HashAlgorithm::Sha512, 128, 8, 16),
    ];

    /// A hash is its last chained value once the padding was hashed like content: so the length can be chosen freely.
    #[test]
    fn the_hash_is_that_of_a_message_as_much_longer() {
        for (algorithm, block_bytes, word_bytes, length_bytes) in HASHES {
            for (seen, moved) in [(0, 0), (1, 1), (3, 1 << 30), (1_000, 9_000_000_000_000_000 / block_bytes)]
            {
                let mut hasher = Hasher::new(algorithm);
                (0..seen).for_each(|_| hasher.update(&vec![0xA5; usize::try_from(block_bytes).unwrap()]));
                hasher.update(b"a rest");
                let midstate = hasher.midstate().advanced(moved * block_bytes).unwrap();
                let hash = Hasher::resume(&midstate).unwrap().finish();

                let mut padding = vec![0x80];
                padding.resize(usize::try_from(block_bytes).unwrap() - 6 - length_bytes, 0);
                let bits = u128::from((seen + moved) * block_bytes + 6) * 8;
                padding.extend_from_slice(&bits.to_be_bytes()[16 - length_bytes..]);
                hasher.update(&padding);
                let chained = hasher.midstate().state;
                let words = chained.chunks(word_bytes).flat_map(|word| word.iter().rev());
                let expected: Vec<u8> = words.take(algorithm.output_bytes()).copied().collect();
                assert_eq!(hash.as_bytes(), expected, "{algorithm:?}, {seen} blocks and {moved} more");
            }
        }
    }

    #[test]
    fn parts_of_a_block_and_lengths_beyond_64_bits_are_refused() {
        for (algorithm, block_bytes, ..) in HASHES {
            let midstate = Hasher::new(algorithm).midstate();
            for octets in [1, block_bytes - 1, block_bytes + 1] {
                assert_eq!(midstate.advanced(octets), Err(ShiftError::Blocks { octets, block_bytes }));
            }
            let most = (u64::MAX >> 3) / block_bytes * block_bytes;
            let moved = midstate.advanced(most).unwrap();
            assert_eq!(moved.advanced(block_bytes), Err(ShiftError::Overflow), "{algorithm:?}");
        }
        let sponge = Hasher::new(HashAlgorithm::Sha3_512).midstate();
        assert_eq!(sponge.advanced(1), Ok(sponge.clone()));
    }
}
