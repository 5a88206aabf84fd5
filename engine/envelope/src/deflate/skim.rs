//! Walks through a deflate stream without producing output, to find its last block (RFC 1951 §3.2).
//!
//! libdeflate has no way to leave the final bit off. Finding that bit means decoding every symbol; doing so also
//! proves that what was compressed decodes.

/// Where the last block is, in bits from the start (the lowest bit of an octet is its first).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LastBlock {
    /// Its BFINAL bit.
    pub header_bit: usize,
    /// The first bit behind it.
    pub end_bit: usize,
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
        loop {
            let header_bit = bits.position();
            bits.refill();
            let is_final = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => skip_stored(&mut bits)?,
                1 => {
                    self.tables.set_fixed()?;
                    skip_symbols(&mut bits, &self.tables)?;
                }
                2 => {
                    self.tables.read_dynamic(&mut bits)?;
                    skip_symbols(&mut bits, &self.tables)?;
                }
                _ => return None,
            }
            if is_final {
                return Some(LastBlock { header_bit, end_bit: bits.position() });
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
    /// Fills up to at least 56 bits.
    fn refill(&mut self) {
        if let Some(chunk) = self.octets.get(self.next..).and_then(|rest| rest.first_chunk::<8>()) {
            self.held |= u64::from_le_bytes(*chunk) << self.count;
            let taken = (63 - self.count) / 8;
            self.next += taken as usize;
            self.count += taken * 8;
            return;
        }
        while self.count <= 56 {
            let octet = self.octets.get(self.next).copied().unwrap_or(0);
            self.held |= u64::from(octet) << self.count;
            self.next += 1;
            self.count += 8;
        }
    }

    fn drop_bits(&mut self, count: u32) {
        self.held >>= count;
        self.count -= count;
    }

    /// Takes up to 16 bits; the caller refilled.
    fn take(&mut self, count: u32) -> Option<u32> {
        if count > self.count {
            return None;
        }
        let value = u32::try_from(self.held & ((1 << count) - 1)).ok()?;
        self.drop_bits(count);
        Some(value)
    }

    fn position(&self) -> usize {
        self.next * 8 - self.count as usize
    }

    fn is_behind_the_end(&self) -> bool {
        self.position() > self.octets.len() * 8
    }
}

/// What a code leads to: how many bits it takes along, and what comes next.
///
/// Low 6 bits: bits to drop, extra bits included. Then: two bits of [`LITERAL`] and so on.
type Entry = u16;

const LITERAL: Entry = 0 << 6;
const MATCH: Entry = 1 << 6;
const END: Entry = 2 << 6;
/// Longer than the table is wide, or no code at all.
const LONG: Entry = 3 << 6;
const BITS: Entry = 0x3F;
/// Width of the tables: most codes are no longer.
const TABLE_BITS: u32 = 11;
/// Longest code (RFC 1951 §3.2.7).
const CODE_BITS_MAX: usize = 15;
const LITERALS_MAX: usize = 288;
const DISTANCES_MAX: usize = 32;
/// Order of the code length codes (RFC 1951 §3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A canonical Huffman code.
struct Code {
    table: Box<[Entry; 1 << TABLE_BITS]>,
    /// Codes of each length.
    counts: [u16; CODE_BITS_MAX + 1],
    /// What symbols lead to, in the order of their codes.
    sorted: [Entry; LITERALS_MAX],
}

impl Code {
    fn new() -> Self {
        Self {
            table: Box::new([LONG; 1 << TABLE_BITS]),
            counts: [0; CODE_BITS_MAX + 1],
            sorted: [LONG; LITERALS_MAX],
        }
    }

    /// Builds the code from the lengths of its symbols; `meaning` says what a symbol leads to, without its code.
    fn build(&mut self, lengths: &[u8], meaning: impl Fn(usize) -> Option<Entry>) -> Option<()> {
        self.table.fill(LONG);
        self.counts.fill(0);
        for length in lengths {
            self.counts[usize::from(*length)] += 1;
        }
        self.counts[0] = 0;
        let mut next_code = [0_u32; CODE_BITS_MAX + 2];
        let mut next_place = [0_usize; CODE_BITS_MAX + 2];
        for length in 1..=CODE_BITS_MAX {
            let count = u32::from(self.counts[length]);
            if next_code[length] + count > 1 << length {
                return None;
            }
            next_code[length + 1] = (next_code[length] + count) << 1;
            next_place[length + 1] = next_place[length] + count as usize;
        }
        for (symbol, &bits) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let length = usize::from(bits);
            // Symbols that must not occur (286, 287, 30, 31) have codes none the less.
            let entry = meaning(symbol).map_or(LONG, |entry| entry + Entry::from(bits));
            let code = next_code[length];
            next_code[length] += 1;
            self.sorted[next_place[length]] = entry;
            next_place[length] += 1;
            if length <= TABLE_BITS as usize {
                let first = code.reverse_bits() >> (32 - length);
                self.table
                    .iter_mut()
                    .skip(first as usize)
                    .step_by(1 << length)
                    .for_each(|place| *place = entry);
            }
        }
        Some(())
    }

    /// Decodes one symbol; the caller refilled. Drops nothing.
    #[inline]
    fn look_up(&self, held: u64) -> Entry {
        let entry = self.table[(held & ((1 << TABLE_BITS) - 1)) as usize];
        if entry & LONG == LONG { self.look_up_long(held) } else { entry }
    }

    /// Bit by bit, for codes that do not fit the table.
    #[cold]
    fn look_up_long(&self, held: u64) -> Entry {
        let (mut code, mut first, mut place) = (0_u32, 0_u32, 0_usize);
        for length in 1..=CODE_BITS_MAX {
            code |= u32::from(held >> (length - 1) & 1 == 1);
            let count = u32::from(self.counts[length]);
            if code < first + count {
                return self.sorted[place + (code - first) as usize];
            }
            place += count as usize;
            first = (first + count) << 1;
            code <<= 1;
        }
        LONG
    }
}

struct Tables {
    literals: Code,
    distances: Code,
    lengths: Code,
    is_fixed: bool,
}

impl Tables {
    fn new() -> Self {
        Self { literals: Code::new(), distances: Code::new(), lengths: Code::new(), is_fixed: false }
    }

    fn set_fixed(&mut self) -> Option<()> {
        if self.is_fixed {
            return Some(());
        }
        let mut lengths = [8; LITERALS_MAX];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.literals.build(&lengths, literal)?;
        self.distances.build(&[5; DISTANCES_MAX], distance)?;
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
        // The symbol itself is what we want: it travels in the upper bits of the entry.
        self.lengths.build(&code_lengths, |symbol| Some(Entry::try_from(symbol).ok()? << 8))?;
        let mut lengths = [0_u8; LITERALS_MAX + DISTANCES_MAX];
        let total = literals + distances;
        let mut at = 0;
        while at < total {
            bits.refill();
            let entry = self.lengths.look_up(bits.held);
            if entry & LONG == LONG {
                return None;
            }
            bits.take(u32::from(entry & BITS))?;
            let symbol = entry >> 8;
            let (value, count) = match symbol {
                0..=15 => (u8::try_from(symbol).ok()?, 1),
                16 => (*lengths.get(at.checked_sub(1)?)?, bits.take(2)? as usize + 3),
                17 => (0, bits.take(3)? as usize + 3),
                _ => (0, bits.take(7)? as usize + 11),
            };
            lengths.get_mut(at..at + count).filter(|_| at + count <= total)?.fill(value);
            at += count;
        }
        self.literals.build(lengths.get(..literals.min(LITERALS_MAX))?, literal)?;
        self.distances.build(lengths.get(literals..total)?, distance)
    }
}

/// What a literal or length symbol leads to, with its extra bits (RFC 1951 §3.2.5).
fn literal(symbol: usize) -> Option<Entry> {
    match symbol {
        0..=255 => Some(LITERAL),
        256 => Some(END),
        257..=264 | 285 => Some(MATCH),
        265..=284 => Some(MATCH + Entry::try_from((symbol - 261) / 4).ok()?),
        _ => None,
    }
}

/// What a distance symbol leads to, with its extra bits.
fn distance(symbol: usize) -> Option<Entry> {
    match symbol {
        0..=3 => Some(LITERAL),
        4..=29 => Some(LITERAL + Entry::try_from(symbol / 2 - 1).ok()?),
        _ => None,
    }
}

fn skip_symbols(bits: &mut Bits<'_>, tables: &Tables) -> Option<()> {
    loop {
        if bits.is_behind_the_end() {
            return None;
        }
        bits.refill();
        // 56 bits hold two literals (30), or a match (20 with its extra bits) and its distance (28), but not both.
        let mut entry = tables.literals.look_up(bits.held);
        if entry & LONG == LITERAL {
            bits.drop_bits(u32::from(entry & BITS));
            entry = tables.literals.look_up(bits.held);
            if entry & LONG == LITERAL {
                bits.drop_bits(u32::from(entry & BITS));
                continue;
            }
            bits.refill();
        }
        match entry & LONG {
            MATCH => {
                bits.drop_bits(u32::from(entry & BITS));
                let distance = tables.distances.look_up(bits.held);
                if distance & LONG == LONG {
                    return None;
                }
                bits.drop_bits(u32::from(distance & BITS));
            }
            END => {
                bits.drop_bits(u32::from(entry & BITS));
                return (!bits.is_behind_the_end()).then_some(());
            }
            _ => return None,
        }
    }
}

fn skip_stored(bits: &mut Bits<'_>) -> Option<()> {
    let at = bits.position().div_ceil(8);
    let header = bits.octets.get(at..at + 4)?;
    let length = u16::from_le_bytes([header[0], header[1]]);
    if length != !u16::from_le_bytes([header[2], header[3]]) {
        return None;
    }
    *bits = Bits { octets: bits.octets, next: at + 4 + usize::from(length), held: 0, count: 0 };
    (bits.next <= bits.octets.len()).then_some(())
}
