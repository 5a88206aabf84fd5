//! CAD-like data: STEP text, meshes, and what nothing makes shorter; deterministic.

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

/// A mesh of exactly so many octets, as binary STL writes it: fifty octets for each triangle of an uneven surface.
pub fn mesh(octets: usize, seed: u64) -> Vec<u8> {
    const CELLS: u64 = 250;
    let mut mesh = Vec::with_capacity(octets + 100);
    let point = |x: u64, y: u64| {
        let random = next(next((y * CELLS + x + 1).wrapping_mul(seed | 1)));
        let [bumps, along, across, ..] = random.to_le_bytes().map(|octet| f32::from(octet) / 3000.0);
        let (x, y) = (x as f32 * 0.25 + along, y as f32 * 0.25 + across);
        [x, y, (x * 0.03).sin() * (y * 0.02).cos() * 20.0 + bumps]
    };
    let cells = (0_u64..).flat_map(|y| (0..CELLS).map(move |x| (x, y)));
    for (x, y) in cells {
        let (a, b, c, d) = (point(x, y), point(x + 1, y), point(x, y + 1), point(x + 1, y + 1));
        for triangle in [[a, b, c], [b, d, c]] {
            for number in [normal(triangle), triangle[0], triangle[1], triangle[2]].as_flattened() {
                mesh.extend_from_slice(&number.to_le_bytes());
            }
            mesh.extend_from_slice(&[0, 0]);
        }
        if mesh.len() >= octets {
            break;
        }
    }
    mesh.truncate(octets);
    mesh
}

/// The direction that a triangle faces, of length 1.
fn normal([corner, left, right]: [[f32; 3]; 3]) -> [f32; 3] {
    let [left, right] = [left, right].map(|end| [0, 1, 2].map(|axis| end[axis] - corner[axis]));
    let cross = [(1, 2), (2, 0), (0, 1)].map(|(i, j)| left[i] * right[j] - left[j] * right[i]);
    let length = cross.iter().map(|part| part * part).sum::<f32>().sqrt();
    cross.map(|part| part / length)
}

/// Octets that nothing makes shorter.
pub fn noise(octets: usize, seed: u64) -> Vec<u8> {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = Vec::with_capacity(octets + 8);
    while noise.len() < octets {
        random = next(random);
        noise.extend_from_slice(&random.to_le_bytes());
    }
    noise.truncate(octets);
    noise
}

/// xorshift64
fn next(mut random: u64) -> u64 {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    random
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
