//! File sizes in blocks of 1024 octets (RFC 5024 §5.3.3, SFIDFSIZ).

use odile_wire::BLOCK_BYTES;

/// Blocks that hold this many octets, rounded up.
pub const fn blocks_of(octets: u64) -> u64 {
    octets.div_ceil(BLOCK_BYTES)
}

/// Octets of this many blocks; `None` if they do not fit in 64 bits.
pub const fn octets_of_blocks(blocks: u64) -> Option<u64> {
    blocks.checked_mul(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up() {
        for (octets, blocks) in [(0, 0), (1, 1), (1024, 1), (1025, 2)] {
            assert_eq!(blocks_of(octets), blocks);
        }
        assert_eq!(octets_of_blocks(9_999_999_999_999), Some(10_239_999_999_998_976));
        assert_eq!(octets_of_blocks(u64::MAX), None);
    }
}
