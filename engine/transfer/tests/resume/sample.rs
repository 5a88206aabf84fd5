//! Content of every format, and where its restart positions are.

use odile_envelope::Misuse;
use odile_transfer::{Compress, PackedChunk, PlainChunk, Source};
use odile_wire::data::{End, Records};

/// Octets that look random and are always the same (SplitMix64).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    pub fn fill(&mut self, octets: &mut [u8]) {
        for eight in octets.chunks_mut(8) {
            eight.copy_from_slice(&self.next().to_le_bytes()[..eight.len()]);
        }
    }

    /// Noise, text and runs by turns: some compresses well, some not at all.
    pub fn content(&mut self, octets: usize) -> Vec<u8> {
        let mut content = Vec::with_capacity(octets);
        while content.len() < octets {
            let piece = 1 + self.below(2000).min(octets - content.len() - 1);
            let from = content.len();
            content.resize(from + piece, b' ');
            match self.below(3) {
                0 => self.fill(&mut content[from..]),
                1 => content[from..].fill(self.next().to_le_bytes()[0]),
                _ => {
                    for octet in &mut content[from..] {
                        *octet = b"abcdefgh  01.;\n\n"[self.below(16)];
                    }
                }
            }
        }
        content
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Unstructured,
    Text,
    Fixed,
    Variable,
}

/// A file as it is stored.
#[derive(Debug, Clone)]
pub struct Sample {
    pub content: Vec<u8>,
    pub records: Records,
}

impl Sample {
    pub fn new(format: Format, seed: u64, octets: usize) -> Self {
        let mut noise = Noise::new(seed);
        match format {
            Format::Unstructured | Format::Text => {
                Self { content: noise.content(octets), records: Records::None }
            }
            Format::Fixed => {
                let most = [200, 20_000][noise.below(2)];
                let size = 1 + noise.below(most);
                let content = noise.content(octets / size * size);
                Self { content, records: Records::Fixed { size: u32::try_from(size).unwrap() } }
            }
            Format::Variable => {
                let mut content = Vec::new();
                while content.len() < octets {
                    let most = [0, 1, 80, 80, 80, 3000, 3000, 65_535][noise.below(8)];
                    let length = noise.below(most + 1).min(octets - content.len());
                    content.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
                    content.extend_from_slice(&noise.content(length));
                }
                Self { content, records: Records::Variable }
            }
        }
    }

    /// Where records or blocks of what is sent without an envelope start, and where the last one ends.
    pub fn restart_offsets(&self) -> Vec<usize> {
        match self.records {
            Records::None => offsets_of_blocks(self.content.len()),
            Records::Fixed { size } => (0..=self.content.len()).step_by(size as usize).collect(),
            Records::Variable => {
                let mut offsets = vec![0];
                let mut at = 0;
                while at < self.content.len() {
                    at += 2 + usize::from(u16::from_be_bytes([self.content[at], self.content[at + 1]]));
                    offsets.push(at);
                }
                offsets
            }
        }
    }

    /// What is sent without an envelope: V files without their lengths.
    pub fn transmitted(&self) -> Vec<u8> {
        if self.records != Records::Variable {
            return self.content.clone();
        }
        let offsets = self.restart_offsets();
        offsets.windows(2).flat_map(|pair| self.content[pair[0] + 2..pair[1]].to_vec()).collect()
    }
}

/// Only whole blocks: what is behind the last is no position.
pub fn offsets_of_blocks(octets: usize) -> Vec<usize> {
    (0..=octets).step_by(1024).collect()
}

/// A file in memory that is shown in slices.
pub struct Memory<'a> {
    pub content: &'a [u8],
    pub slice: usize,
}

impl Source for Memory<'_> {
    type Error = std::convert::Infallible;

    fn look(
        &mut self,
        position: u64,
        least: usize,
        look: &mut dyn FnMut(&[u8], End),
    ) -> Result<(), Self::Error> {
        let from = usize::try_from(position).unwrap().min(self.content.len());
        let rest = &self.content[from..];
        let shown = rest.len().min(least.max(self.slice));
        look(&rest[..shown], if shown == rest.len() { End::Reached } else { End::More });
        Ok(())
    }
}

/// Compresses in the wrong order, and gives the right one back.
pub struct Backwards;

impl Compress for Backwards {
    fn compress(&mut self, chunks: Vec<PlainChunk>) -> Result<Vec<Result<PackedChunk, Misuse>>, String> {
        let mut packed: Vec<_> = chunks.into_iter().rev().map(PlainChunk::compress).collect();
        packed.reverse();
        Ok(packed)
    }
}

/// A file of zeros that takes no memory.
pub struct Zeros {
    pub octets: u64,
    /// The lowest position that was looked at.
    pub lowest: u64,
}

impl Zeros {
    pub fn new(octets: u64) -> Self {
        Self { octets, lowest: u64::MAX }
    }
}

impl Source for Zeros {
    type Error = std::convert::Infallible;

    fn look(
        &mut self,
        position: u64,
        least: usize,
        look: &mut dyn FnMut(&[u8], End),
    ) -> Result<(), Self::Error> {
        static SHOWN: [u8; 1024 * 1024] = [0; 1024 * 1024];
        assert!(least <= SHOWN.len());
        self.lowest = self.lowest.min(position);
        let rest = self.octets.saturating_sub(position);
        let shown = usize::try_from(rest).unwrap_or(usize::MAX).min(SHOWN.len());
        look(&SHOWN[..shown], if shown as u64 == rest { End::Reached } else { End::More });
        Ok(())
    }
}
