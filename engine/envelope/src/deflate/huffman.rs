//! Canonical Huffman codes (RFC 1951 §3.2.2) for walking over symbols: what counts is how far they reach.

/// What one look-up leads to: a symbol, or several.
///
/// ```text
/// 30     29    28      16             8           0
/// long │ end │ match │ plain octets │ code bits │ bits
/// ```
///
/// *Bits* are all that are to be dropped, extra bits included; *code bits* are those in front of the extra bits, which
/// there are with a match only. A run of literals, and a match behind it, are one entry where their codes fit the
/// table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(u32);

const CODE_SHIFT: u32 = 8;
const PLAIN_SHIFT: u32 = 16;
const BITS: u32 = 0x3F;
const PLAIN: u32 = 0xFFF;
const MATCH: u32 = 1 << 28;
const END: u32 = 1 << 29;

impl Entry {
    /// Longer than the table is wide, or no code at all.
    pub const LONG: Self = Self(1 << 30);

    /// A symbol that stands for itself.
    pub fn symbol(symbol: usize) -> Option<Self> {
        Some(Self(u32::try_from(symbol).ok()? << PLAIN_SHIFT))
    }

    /// What a literal or length symbol leads to, without its code (RFC 1951 §3.2.5).
    pub fn literal(symbol: usize) -> Option<Self> {
        let symbol = u32::try_from(symbol).ok()?;
        let (base, extra_bits) = match symbol {
            0..=255 => return Some(Self(1 << PLAIN_SHIFT)),
            256 => return Some(Self(END)),
            257..=264 => (symbol - 254, 0),
            265..=284 => {
                let extra_bits = (symbol - 261) / 4;
                ((((symbol - 265) % 4 + 4) << extra_bits) + 3, extra_bits)
            }
            285 => (258, 0),
            _ => return None,
        };
        Some(Self(MATCH | base << PLAIN_SHIFT | extra_bits))
    }

    /// What a distance symbol leads to, without its code.
    pub fn distance(symbol: usize) -> Option<Self> {
        match symbol {
            0..=3 => Some(Self(0)),
            4..=29 => Some(Self(u32::try_from(symbol / 2 - 1).ok()?)),
            _ => None,
        }
    }

    fn with_code(self, bits: u8) -> Self {
        Self(self.0 + u32::from(bits) * (1 + (1 << CODE_SHIFT)))
    }

    /// All of both, if this has literals only, and the codes fit the table.
    fn followed_by(self, next: Self) -> Option<Self> {
        let fits = self.bits() + next.code_bits() <= TABLE_BITS;
        (self.is_literals() && next.0 < END && fits).then(|| Self(self.0 + next.0))
    }

    /// Bits to drop.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        self.0 & BITS
    }

    #[inline(always)]
    fn code_bits(self) -> u32 {
        self.0 >> CODE_SHIFT & BITS
    }

    /// The number in front of the extra bits: octets, or the symbol itself.
    #[inline(always)]
    pub fn base(self) -> usize {
        (self.0 >> PLAIN_SHIFT & PLAIN) as usize
    }

    /// Octets that it stands for, with the extra bits as they are held.
    #[inline(always)]
    pub fn plain_bytes(self, held: u64) -> usize {
        let extra = (held & ((1 << self.bits()) - 1)) >> self.code_bits();
        self.base() + usize::try_from(extra).unwrap_or(0)
    }

    /// Nothing but literals.
    #[inline(always)]
    pub fn is_literals(self) -> bool {
        self.0 < MATCH
    }

    /// A match, perhaps behind literals; false if it must be looked up otherwise.
    #[inline(always)]
    pub fn is_match(self) -> bool {
        self.0 & (MATCH | END | Self::LONG.0) == MATCH
    }

    #[inline(always)]
    pub fn is_end(self) -> bool {
        self.0 & END != 0
    }

    #[inline(always)]
    pub fn is_long(self) -> bool {
        self.0 & Self::LONG.0 != 0
    }
}

/// Width of the tables: most codes are no longer.
const TABLE_BITS: u32 = 11;
const TABLE_LENGTH: usize = 1 << TABLE_BITS;
/// Longest code (RFC 1951 §3.2.7).
const CODE_BITS_MAX: usize = 15;
/// Most symbols of a code.
pub(super) const SYMBOLS_MAX: usize = 288;

/// Entries by the next bits of the stream.
pub(super) struct Table(Box<[Entry; TABLE_LENGTH]>);

impl Table {
    pub fn new() -> Self {
        Self(Box::new([Entry::LONG; TABLE_LENGTH]))
    }

    #[inline(always)]
    pub fn look_up(&self, held: u64) -> Entry {
        // The mask makes it fit, so that nothing is checked.
        self.0[(held & ((1 << TABLE_BITS) - 1)) as usize]
    }

    /// Joins literals with what follows them, as far as the bits of a look-up tell.
    pub fn join(&mut self, code: &Code) {
        let single = &code.table.0;
        self.0[0] = single[0];
        for at in 0..TABLE_LENGTH {
            let first = single[at];
            let rest = if first.is_literals() { at >> first.bits() } else { 0 };
            // What is behind was joined before, since its place is lower; but that may be too long.
            let joined = first.followed_by(self.0[rest]).or_else(|| first.followed_by(single[rest]));
            self.0[at] = joined.unwrap_or(first);
        }
    }
}

/// A canonical Huffman code.
pub(super) struct Code {
    table: Table,
    /// Codes of each length.
    counts: [u16; CODE_BITS_MAX + 1],
    /// What symbols lead to, in the order of their codes.
    sorted: [Entry; SYMBOLS_MAX],
}

impl Code {
    pub fn new() -> Self {
        Self { table: Table::new(), counts: [0; CODE_BITS_MAX + 1], sorted: [Entry::LONG; SYMBOLS_MAX] }
    }

    /// Builds the code from the lengths of its symbols; `meaning` says what a symbol leads to, without its code.
    pub fn build(&mut self, lengths: &[u8], meaning: impl Fn(usize) -> Option<Entry>) -> Option<()> {
        self.table.0.fill(Entry::LONG);
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
            let entry = meaning(symbol).map_or(Entry::LONG, |entry| entry.with_code(bits));
            let code = next_code[length];
            next_code[length] += 1;
            self.sorted[next_place[length]] = entry;
            next_place[length] += 1;
            if length <= TABLE_BITS as usize {
                let mut at = (code.reverse_bits() >> (32 - length)) as usize;
                while let Some(place) = self.table.0.get_mut(at) {
                    *place = entry;
                    at += 1 << length;
                }
            }
        }
        Some(())
    }

    /// Decodes one symbol; the caller refilled. Drops nothing.
    #[inline(always)]
    pub fn look_up(&self, held: u64) -> Entry {
        let entry = self.table.look_up(held);
        if entry.is_long() { self.look_up_long(held) } else { entry }
    }

    /// Bit by bit, for codes that do not fit the table.
    #[cold]
    pub fn look_up_long(&self, held: u64) -> Entry {
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
        Entry::LONG
    }
}
