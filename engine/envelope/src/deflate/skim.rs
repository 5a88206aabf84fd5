//! Walks through a deflate stream without producing output, to find its last block (RFC 1951 §3.2).
//!
//! libdeflate has no way to leave the final bit off. Finding that bit means decoding every symbol; doing so also
//! proves that what was compressed decodes, and to how many octets.

use super::huffman::{Code, Entry, SYMBOLS_MAX, Table};

/// Where the last block is, in bits from the start (the lowest bit of an octet is its first).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LastBlock {
    /// Its BFINAL bit.
    pub header_bit: usize,
    /// The first bit behind it.
    pub end_bit: usize,
    /// Octets that the whole stream decodes to.
    pub plain_bytes: usize,
}

/// Walks, with tables that are kept from stream to stream.
pub(super) struct Skimmer {
    tables: Tables,
}

impl Skimmer {
    pub fn new() -> Self {
        Self { tables: Tables::new() }
    }

    /// Finds the last block; nothing if the stream does not decode.
    pub fn last_block(&mut self, stream: &[u8]) -> Option<LastBlock> {
        let mut bits = Bits { octets: stream, next: 0, held: 0, count: 0 };
        let mut plain_bytes = 0;
        loop {
            let header_bit = bits.position();
            bits.refill();
            let is_final = bits.take(1)? == 1;
            plain_bytes += match bits.take(2)? {
                0 => skip_stored(&mut bits)?,
                1 => {
                    self.tables.set_fixed()?;
                    skip_symbols(&mut bits, &self.tables)?
                }
                2 => {
                    self.tables.read_dynamic(&mut bits)?;
                    skip_symbols(&mut bits, &self.tables)?
                }
                _ => return None,
            };
            if is_final {
                return Some(LastBlock { header_bit, end_bit: bits.position(), plain_bytes });
            }
        }
    }
}

/// Reads bits, lowest first.
struct Bits<'a> {
    octets: &'a [u8],
    /// Next octet to take into `held`.
    next: usize,
    held: u64,
    /// Valid bits in `held`. May count bits behind the end of the stream, which are zero.
    count: u32,
}

impl Bits<'_> {
    /// Fills up to at least 56 bits, if eight octets are left; true if so.
    #[inline(always)]
    fn refill_at_once(&mut self) -> bool {
        let Some(chunk) = self.octets.get(self.next..).and_then(|rest| rest.first_chunk::<8>()) else {
            return false;
        };
        self.held |= u64::from_le_bytes(*chunk) << self.count;
        self.next += ((63 - self.count) / 8) as usize;
        // As many octets more as fit: 56 is a multiple of eight, what was held beyond one stays.
        self.count |= 0x38;
        true
    }

    /// Fills up to at least 56 bits.
    #[inline]
    fn refill(&mut self) {
        if self.refill_at_once() {
            return;
        }
        while self.count <= 56 {
            let octet = self.octets.get(self.next).copied().unwrap_or(0);
            self.held |= u64::from(octet) << self.count;
            self.next += 1;
            self.count += 8;
        }
    }

    /// Drops what an entry took; the caller refilled, so that so many bits are held.
    #[inline(always)]
    fn drop_bits(&mut self, entry: Entry) {
        self.held >>= entry.bits();
        // Not checked: it would cost as much as the subtraction, twice for every symbol.
        self.count = self.count.wrapping_sub(entry.bits());
    }

    /// Takes up to 16 bits; the caller refilled.
    fn take(&mut self, count: u32) -> Option<u32> {
        if count > self.count {
            return None;
        }
        let value = u32::try_from(self.held & ((1 << count) - 1)).ok()?;
        self.held >>= count;
        self.count -= count;
        Some(value)
    }

    fn position(&self) -> usize {
        self.next * 8 - self.count as usize
    }

    fn is_behind_the_end(&self) -> bool {
        self.position() > self.octets.len() * 8
    }
}

const DISTANCES_MAX: usize = 32;
/// Order of the code length codes (RFC 1951 §3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

struct Tables {
    literals: Code,
    /// The same, with several symbols for a look-up.
    runs: Table,
    distances: Code,
    lengths: Code,
    is_fixed: bool,
}

impl Tables {
    fn new() -> Self {
        Self {
            literals: Code::new(),
            runs: Table::new(),
            distances: Code::new(),
            lengths: Code::new(),
            is_fixed: false,
        }
    }

    fn build(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        self.literals.build(literals, Entry::literal)?;
        self.distances.build(distances, Entry::distance)?;
        self.runs.join(&self.literals);
        Some(())
    }

    fn set_fixed(&mut self) -> Option<()> {
        if self.is_fixed {
            return Some(());
        }
        let mut lengths = [8; SYMBOLS_MAX];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.build(&lengths, &[5; DISTANCES_MAX])?;
        self.is_fixed = true;
        Some(())
    }

    /// Reads the codes of a dynamic block (RFC 1951 §3.2.7).
    fn read_dynamic(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        self.is_fixed = false;
        bits.refill();
        let literals = bits.take(5)? as usize + 257;
        let distances = bits.take(5)? as usize + 1;
        let codes = bits.take(4)? as usize + 4;
        let mut code_lengths = [0; 19];
        for place in &ORDER[..codes] {
            bits.refill();
            code_lengths[*place] = u8::try_from(bits.take(3)?).ok()?;
        }
        self.lengths.build(&code_lengths, Entry::symbol)?;
        let mut lengths = [0_u8; SYMBOLS_MAX + DISTANCES_MAX];
        let total = literals + distances;
        let mut at = 0;
        while at < total {
            bits.refill();
            let entry = self.lengths.look_up(bits.held);
            if entry.is_long() {
                return None;
            }
            bits.drop_bits(entry);
            let symbol = entry.base();
            let (value, count) = match symbol {
                0..=15 => (u8::try_from(symbol).ok()?, 1),
                16 => (*lengths.get(at.checked_sub(1)?)?, bits.take(2)? as usize + 3),
                17 => (0, bits.take(3)? as usize + 3),
                _ => (0, bits.take(7)? as usize + 11),
            };
            lengths.get_mut(at..at + count).filter(|_| at + count <= total)?.fill(value);
            at += count;
        }
        self.build(lengths.get(..literals.min(SYMBOLS_MAX))?, lengths.get(literals..total)?)
    }
}

/// Walks to the end of a block; gives the octets that it decodes to.
fn skip_symbols(stream: &mut Bits<'_>, tables: &Tables) -> Option<usize> {
    // A copy stays in registers.
    let mut bits = Bits { ..*stream };
    let mut plain_bytes = 0;
    loop {
        if !bits.refill_at_once() {
            if bits.is_behind_the_end() {
                return None;
            }
            bits.refill();
        }
        // 56 bits hold three look-ups (33), or a match with its extra bits (16) and its distance (28), but not both.
        let mut entry = tables.runs.look_up(bits.held);
        if entry.is_literals() {
            plain_bytes += entry.base();
            bits.drop_bits(entry);
            entry = tables.runs.look_up(bits.held);
            if entry.is_literals() {
                plain_bytes += entry.base();
                bits.drop_bits(entry);
                entry = tables.runs.look_up(bits.held);
                if entry.is_literals() {
                    plain_bytes += entry.base();
                    bits.drop_bits(entry);
                    continue;
                }
                if !bits.refill_at_once() {
                    bits.refill();
                }
            }
        }
        if !entry.is_match() {
            if entry.is_long() {
                bits.refill();
                entry = tables.literals.look_up_long(bits.held);
            }
            if entry.is_long() {
                return None;
            }
            if !entry.is_match() {
                bits.drop_bits(entry);
                if entry.is_end() {
                    *stream = bits;
                    return (!stream.is_behind_the_end()).then_some(plain_bytes);
                }
                plain_bytes += entry.base();
                continue;
            }
        }
        plain_bytes += entry.plain_bytes(bits.held);
        bits.drop_bits(entry);
        let distance = tables.distances.look_up(bits.held);
        if distance.is_long() {
            return None;
        }
        bits.drop_bits(distance);
    }
}

/// Skips a stored block; gives its octets.
fn skip_stored(bits: &mut Bits<'_>) -> Option<usize> {
    let at = bits.position().div_ceil(8);
    let header = bits.octets.get(at..at + 4)?;
    let length = u16::from_le_bytes([header[0], header[1]]);
    if length != !u16::from_le_bytes([header[2], header[3]]) {
        return None;
    }
    *bits = Bits { octets: bits.octets, next: at + 4 + usize::from(length), held: 0, count: 0 };
    (bits.next <= bits.octets.len()).then_some(usize::from(length))
}

#[cfg(test)]
mod tests {
    use libdeflater::{CompressionLvl, Compressor};
    use proptest::prelude::*;

    use super::*;
    use crate::deflate::zlib::{RawInflate, Stop};

    /// The last block as zlib finds it; none if zlib does not take the stream.
    fn by_zlib(stream: &[u8]) -> Option<(usize, usize, usize)> {
        let mut inflate = RawInflate::new().unwrap();
        let mut room = vec![0; 1 << 16];
        let (mut header_bit, mut consumed, mut written) = (0, 0, 0);
        loop {
            let step = inflate.step(&stream[consumed..], &mut room)?;
            consumed += step.consumed;
            written += step.written;
            match step.stop {
                Stop::Block { left_over_bits } => header_bit = consumed * 8 - usize::from(left_over_bits),
                Stop::End => return Some((header_bit, consumed, written)),
                Stop::Starved if step.consumed + step.written == 0 => return None,
                Stop::Starved => {}
            }
        }
    }

    /// From even to repetitive, so that codes are short and long, and matches near and far.
    fn source(seed: u64, kind: u8, bytes: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut octets: Vec<u8> = Vec::with_capacity(bytes);
        while octets.len() < bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let [low, other, more, ..] = state.to_le_bytes();
            let back = usize::from(other) * 64 + 1;
            match kind {
                0 => octets.push(low),
                1 => octets.push(low.leading_zeros().try_into().unwrap()),
                2 => octets.push(low & other & more),
                _ if more < 40 && back <= octets.len() => {
                    let from = octets.len() - back;
                    (0..usize::from(low) + 3).for_each(|at| octets.push(octets[from + at]));
                }
                _ => octets.push(low & other),
            }
        }
        octets.truncate(bytes);
        octets
    }

    fn compressed(plain: &[u8], level: i32) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap());
        let mut packed = vec![0; compressor.deflate_compress_bound(plain.len())];
        let bytes = compressor.deflate_compress(plain, &mut packed).unwrap();
        packed.truncate(bytes);
        packed
    }

    fn found(skimmer: &mut Skimmer, stream: &[u8]) -> Option<(usize, usize, usize)> {
        let LastBlock { header_bit, end_bit, plain_bytes } = skimmer.last_block(stream)?;
        Some((header_bit, end_bit.div_ceil(8), plain_bytes))
    }

    proptest! {
        #[test]
        fn it_finds_what_zlib_finds(
            sources in prop::collection::vec((any::<u64>(), 0..5_u8, 0..200_000_usize, 0..=12_i32), 1..4),
        ) {
            // Tables are kept from one stream to the next.
            let mut skimmer = Skimmer::new();
            for (seed, kind, bytes, level) in sources {
                let plain = source(seed, kind, bytes);
                let stream = compressed(&plain, level);
                let expected = by_zlib(&stream);
                prop_assert_eq!(expected.map(|(.., plain_bytes)| plain_bytes), Some(bytes));
                prop_assert_eq!(found(&mut skimmer, &stream), expected);
            }
        }

        #[test]
        fn it_takes_what_zlib_takes_of_damaged_streams(
            (seed, kind, bytes, level) in (any::<u64>(), 0..5_u8, 0..3000_usize, 1..=12_i32),
            flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut skimmer = Skimmer::new();
            let stream = compressed(&source(seed, kind, bytes), level);
            prop_assert_eq!(skimmer.last_block(&stream[..cut.index(stream.len())]), None);
            let mut damaged = stream;
            for flip in flips {
                let bit = flip.index(damaged.len() * 8);
                damaged[bit / 8] ^= 1 << (bit % 8);
            }
            let skimmed = found(&mut skimmer, &damaged);
            if let Some(expected) = by_zlib(&damaged) {
                prop_assert_eq!(skimmed, Some(expected));
            }
        }

        #[test]
        fn it_stands_anything(octets in prop::collection::vec(any::<u8>(), 0..400)) {
            let skimmed = found(&mut Skimmer::new(), &octets);
            if let Some(expected) = by_zlib(&octets) {
                prop_assert_eq!(skimmed, Some(expected));
            }
        }
    }
}
