//! CAD-like data: STEP text, deterministic.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// STEP-like text of exactly so many octets; `seed` varies the numbers.
pub fn step_text(octets: usize, seed: u64) -> Vec<u8> {
    let mut text = String::with_capacity(octets + LINE_MAX);
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut number = 1_u64;
    while text.len() < octets {
        let mut coordinate = || {
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % 2_000_000) as f64 / 1000.0 - 1000.0
        };
        let (x, y, z) = (coordinate(), coordinate(), coordinate());
        // Writing to a string cannot fail.
        let _ = match number % 3 {
            0 => writeln!(text, "#{number}=CARTESIAN_POINT('',({x:.3},{y:.3},{z:.3}));"),
            1 => writeln!(text, "#{number}=VERTEX_POINT('',#{});", number - 1),
            _ => writeln!(
                text,
                "#{number}=EDGE_CURVE('',#{},#{},#{},.T.);",
                number - 1,
                number / 2,
                number + 7
            ),
        };
        number += 1;
    }
    text.truncate(octets);
    text.into_bytes()
}

/// Writes a STEP-like file of exactly so many octets: one stretch of text again and again.
pub fn write_step(path: &Path, octets: u64) {
    let stretch = step_text(4 << 20, 1);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("the source can be made"));
    let mut left = octets;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(stretch.len());
        file.write_all(&stretch[..count]).expect("the source can be written");
        left -= count as u64;
    }
    file.flush().expect("the source can be written");
}

const LINE_MAX: usize = 100;
