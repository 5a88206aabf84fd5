//! How a file goes from one station to the other: what is drawn for each file.

use std::fmt;

use super::random::Random;

/// One of the two stations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The Speaker: it has the file.
    Sender,
    /// The Listener: it gets the file.
    Receiver,
}

/// SFIDFMT, and how long records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// U: a stream of octets.
    Unstructured,
    /// T: lines.
    Text,
    /// F: records of so many octets.
    Fixed(u32),
    /// V: records of at most so many octets.
    Variable(u32),
}

/// What the content is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// What compressors make smaller.
    Text,
    /// What they do not.
    Noise,
}

/// Everything that is chosen for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the protocol")]
pub struct Mode {
    pub format: Format,
    pub filling: Filling,
    pub sign: bool,
    pub compress: bool,
    pub encrypt: bool,
    pub signed_receipt: bool,
    /// Cipher suite, 1 to 10.
    pub suite: u8,
    pub tls: bool,
    /// Both sides prove in each session that they have their keys.
    pub authentication: bool,
    pub buffer_compression: bool,
    /// Who calls; the other one has no address of it.
    pub caller: Side,
    /// A checkpoint each time so much has passed.
    pub checkpoint_bytes: u64,
    /// A checkpoint after so many milliseconds.
    pub checkpoint_ms: u64,
    /// Data Exchange Buffer, in octets.
    pub buffer_size: u32,
    /// Credit window, in buffers: small ones make the line slow.
    pub credit: u16,
}

impl Mode {
    /// Modes without end for files of this size: each format with each set of layers before one comes again.
    pub fn drawn(random: Random, size_bytes: u64) -> impl Iterator<Item = Self> {
        // Of a small file, too, something should be safe before it is whole.
        let checkpoint_mib_max = (size_bytes >> 23).clamp(4, 256);
        Drawn { random, checkpoint_mib_max, waiting: Vec::new() }
    }

    /// True if the stations need keys.
    pub fn needs_keys(&self) -> bool {
        self.tls || self.authentication || self.sign || self.encrypt || self.signed_receipt
    }

    /// True if nothing less than `partner add --secure` is agreed on.
    pub fn is_secure(&self) -> bool {
        self.tls && self.authentication && self.sign && self.encrypt && self.signed_receipt
    }

    /// The layers of the envelope: `sign, compress`; `plain` if there are none.
    pub fn layers(&self) -> String {
        let layers = [(self.sign, "sign"), (self.compress, "compress"), (self.encrypt, "encrypt")];
        let there: Vec<_> = layers.iter().filter(|(is_there, _)| *is_there).map(|(_, name)| *name).collect();
        if there.is_empty() { "plain".to_owned() } else { there.join(", ") }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.format, self.layers())?;
        if self.sign || self.encrypt || self.signed_receipt {
            write!(f, ", suite {:02}", self.suite)?;
        }
        for (is_there, text) in [
            (self.signed_receipt, "signed receipt"),
            (self.tls, "TLS"),
            (self.authentication, "authentication"),
            (self.buffer_compression, "buffer compression"),
            (self.filling == Filling::Text, "compressible"),
        ] {
            if is_there {
                write!(f, ", {text}")?;
            }
        }
        let Self { checkpoint_bytes, checkpoint_ms, caller, .. } = self;
        write!(f, ", {caller} calls, checkpoints each {} KiB or {checkpoint_ms} ms", checkpoint_bytes >> 10)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

impl Format {
    /// As it is said in SFID.
    pub const fn letter(self) -> char {
        match self {
            Self::Unstructured => 'U',
            Self::Text => 'T',
            Self::Fixed(_) => 'F',
            Self::Variable(_) => 'V',
        }
    }

    /// SFIDLRECL.
    pub const fn record_size(self) -> u32 {
        match self {
            Self::Unstructured | Self::Text => 0,
            Self::Fixed(size) | Self::Variable(size) => size,
        }
    }
}

struct Drawn {
    random: Random,
    checkpoint_mib_max: u64,
    waiting: Vec<(Format, [bool; 3])>,
}

impl Iterator for Drawn {
    type Item = Mode;

    fn next(&mut self) -> Option<Mode> {
        let random = &mut self.random;
        if self.waiting.is_empty() {
            self.waiting = combinations();
            random.shuffle(&mut self.waiting);
        }
        let (format, [sign, compress, encrypt]) = self.waiting.pop()?;
        let tls = random.toss();
        Some(Mode {
            format,
            // Lines are text whatever is done to them.
            filling: if format == Format::Text || random.toss() { Filling::Text } else { Filling::Noise },
            sign,
            compress,
            encrypt,
            signed_receipt: random.toss(),
            suite: random.pick(&[2, 4, 6]),
            tls,
            authentication: tls && random.toss(),
            buffer_compression: random.toss(),
            caller: random.pick(&[Side::Sender, Side::Receiver]),
            checkpoint_bytes: random.within(4..=self.checkpoint_mib_max) << 20,
            checkpoint_ms: random.within(100..=5000),
            buffer_size: random.pick(&[4096, 32_768, 99_999]),
            credit: random.pick(&[7, 99, 999]),
        })
    }
}

fn combinations() -> Vec<(Format, [bool; 3])> {
    let formats = [Format::Unstructured, Format::Text, Format::Fixed(80), Format::Variable(4000)];
    let layers = (0..8_u8).map(|bits| [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0]);
    layers.flat_map(|layers| formats.map(|format| (format, layers))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_comes_with_every_layer_before_one_comes_again() {
        for seed in 0..20 {
            let drawn: Vec<Mode> = Mode::drawn(Random::new(seed), 1 << 30).take(64).collect();
            for half in drawn.chunks(32) {
                let mut seen: Vec<_> =
                    half.iter().map(|mode| (mode.format.letter(), mode.layers())).collect();
                seen.sort();
                seen.dedup();
                assert_eq!(seen.len(), 32, "seed {seed}");
            }
            assert!(drawn.iter().all(|mode| mode.tls || !mode.authentication), "seed {seed}");
        }
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_seed_something_else() {
        let drawn = |seed| Mode::drawn(Random::new(seed), 1 << 30).take(8).collect::<Vec<_>>();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }
}
