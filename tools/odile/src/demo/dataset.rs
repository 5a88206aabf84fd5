//! The file of the demo: text like a CAD system's STEP export. The same size gives the same octets everywhere.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cannot;
use crate::exit::Failure;
use crate::signals::Interrupt;

/// Writes a file of exactly so many octets, a piece at a time.
pub fn generate(path: &Path, octets: u64, interrupt: &Interrupt) -> Result<(), Failure> {
    let failed = || cannot(&format!("write {}", path.display()));
    let mut file = BufWriter::with_capacity(PIECE_BYTES, File::create_new(path).map_err(failed())?);
    let mut lines = Lines::new();
    let mut piece = Vec::with_capacity(PIECE_BYTES + LINE_BYTES_MAX);
    let mut left = octets;
    while left > 0 {
        interrupt.check()?;
        piece.clear();
        while piece.len() < PIECE_BYTES {
            lines.write_next(&mut piece);
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        file.write_all(&piece[..wanted]).map_err(failed())?;
        left -= wanted as u64;
    }
    file.flush().map_err(failed())
}

/// SHA-256 of a file, in hexadecimal digits.
pub fn sha256(path: &Path, interrupt: &Interrupt) -> Result<String, Failure> {
    let failed = || cannot(&format!("read {}", path.display()));
    let mut file = File::open(path).map_err(failed())?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        interrupt.check()?;
        match file.read(&mut piece).map_err(failed())? {
            0 => break,
            count => digest.update(&piece[..count]),
        }
    }
    let mut digits = String::with_capacity(64);
    for octet in digest.finalize() {
        // Writing into memory does not fail.
        let _ = write!(digits, "{octet:02x}");
    }
    Ok(digits)
}

/// An endless STEP file.
struct Lines {
    number: u64,
    state: u64,
}

impl Lines {
    const fn new() -> Self {
        Self { number: 0, state: SEED }
    }

    fn write_next(&mut self, to: &mut Vec<u8>) {
        let number = self.number;
        self.number += 1;
        // Writing into memory does not fail.
        let _ = match number % 8 {
            _ if number == 0 => to.write_all(HEAD.as_bytes()),
            0..=4 => {
                let [x, y, z] = [self.coordinate(), self.coordinate(), self.coordinate()];
                writeln!(to, "#{number}=CARTESIAN_POINT('',({x},{y},{z}));")
            }
            5 => {
                let [x, y, z] = [self.coordinate(), self.coordinate(), self.coordinate()];
                writeln!(to, "#{number}=DIRECTION('',({x},{y},{z}));")
            }
            6 => writeln!(to, "#{number}=VECTOR('',#{},1.);", number - 1),
            _ => writeln!(to, "#{number}=LINE('',#{},#{});", number - 3, number - 1),
        };
    }

    /// `-123.456789`.
    fn coordinate(&mut self) -> String {
        // Knuth's MMIX generator: good enough to look like geometry.
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = self.state >> 33;
        let sign = if value & 1 == 0 { "" } else { "-" };
        format!("{sign}{}.{:06}", (value >> 1) % 2000, (value >> 12) % 1_000_000)
    }
}

const PIECE_BYTES: usize = 1 << 20;
const LINE_BYTES_MAX: usize = 512;
const SEED: u64 = 0x0D11_E5EE_D000_0001;

const HEAD: &str = "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION(('odile demo'),'2;1');\n\
    FILE_NAME('crash-front.stp','2000-01-01T00:00:00',(''),(''),'','','');\n\
    FILE_SCHEMA(('AUTOMOTIVE_DESIGN'));\nENDSEC;\nDATA;\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_gives_the_same_octets_and_exactly_so_many() {
        let interrupt = Interrupt::catch().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut digests = Vec::new();
        for (name, octets) in [("one", 3_000_001), ("two", 3_000_001), ("none", 0)] {
            let path = folder.path().join(name);
            generate(&path, octets, &interrupt).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), octets);
            digests.push(sha256(&path, &interrupt).unwrap());
        }
        assert_eq!(digests[0], digests[1]);
        // FIPS 180-4's digest of nothing.
        assert_eq!(digests[2], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn it_looks_like_a_step_file() {
        let mut lines = Lines::new();
        let mut text = Vec::new();
        for _ in 0..9 {
            let before = text.len();
            lines.write_next(&mut text);
            assert!(text.len() - before <= LINE_BYTES_MAX);
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("ISO-10303-21;\n"), "{text}");
        assert!(text.contains("\n#7=LINE('',#4,#6);\n"), "{text}");
    }
}
