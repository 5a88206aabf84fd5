//! Lines like those of a STEP file, one to a cell:
//!
//! ```text
//! #000000000000000042=VERTEX('',(650.16028,716.97421,524.34594));
//!  18 digits: the number of the line; three coordinates of eight random digits
//! ```

use crate::synthetic::content::{CELL_BYTES, CELLS, Cell, random_word};

/// Line number `index`, which is below [`CELLS`].
pub(super) fn cell(seed: u64, index: u64) -> Cell {
    let one = random_word(seed, 2 * index);
    let other = random_word(seed, 2 * index + 1);
    let [name, ..] = other.to_le_bytes();
    let mut line = [0; CELL_BYTES];
    let rest = put(&mut line, *b"#");
    let rest = put(rest, two_digits(index / 10_u64.pow(16)));
    let rest = put(rest, eight_digits(index / 10_u64.pow(8) % 10_u64.pow(8)));
    let rest = put(rest, eight_digits(index % 10_u64.pow(8)));
    let rest = put(rest, NAMES[usize::from(name) % NAMES.len()]);
    let rest = put_coordinate(rest, one & 0xFFFF_FFFF);
    let rest = put(rest, *b",");
    let rest = put_coordinate(rest, one >> 32);
    let rest = put(rest, *b",");
    let rest = put_coordinate(rest, other >> 32);
    put(rest, *b"));\n");
    line
}

/// Gives the room behind what was put.
fn put<const N: usize>(room: &mut [u8], octets: [u8; N]) -> &mut [u8] {
    match room.split_first_chunk_mut() {
        Some((place, behind)) => {
            *place = octets;
            behind
        }
        None => &mut [],
    }
}

/// Three digits, a point, five digits, out of 32 random bits.
fn put_coordinate(room: &mut [u8], random: u64) -> &mut [u8] {
    let digits = eight_digits((random * 10_u64.pow(8)) >> 32);
    let [whole @ .., _, _, _, _, _] = digits;
    let [_, _, _, fraction @ ..] = digits;
    put(put(put(room, whole), *b"."), fraction)
}

fn two_digits(number: u64) -> [u8; 2] {
    let [.., tens, ones] = eight_digits(number);
    [tens, ones]
}

/// The decimal digits of a number below 10^8: halves, then quarters, then digits side by side in one word.
fn eight_digits(number: u64) -> [u8; 8] {
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    // Multiplying and shifting divides: by 100 what is below 10,000, by 10 what is below 100.
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let quarters = hundreds | ((halves - 100 * hundreds) << 16);
    let tens = ((quarters * 103) >> 10) & 0x000F_000F_000F_000F;
    let digits = tens | ((quarters - 10 * tens) << 8);
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}

const NAMES: [[u8; 12]; 4] = [*b"=VERTEX('',(", *b"=VECTOR('',(", *b"=CIRCLE('',(", *b"=NORMAL('',("];
/// The number of a line fits in its 18 digits.
const _: () = assert!(CELLS <= 10_u64.pow(18));

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The same line in the plain way.
    pub(in crate::synthetic) fn line(seed: u64, index: u64) -> String {
        let words = [random_word(seed, 2 * index), random_word(seed, 2 * index + 1)];
        let coordinate = |random: u64| {
            let number = (random * 100_000_000) >> 32;
            format!("{:03}.{:05}", number / 100_000, number % 100_000)
        };
        format!(
            "#{index:018}={}('',({},{},{}));\n",
            ["VERTEX", "VECTOR", "CIRCLE", "NORMAL"][(words[1] % 4) as usize],
            coordinate(words[0] % (1 << 32)),
            coordinate(words[0] >> 32),
            coordinate(words[1] >> 32),
        )
    }

    #[test]
    fn lines_are_as_described() {
        for index in [0, 1, 9, 10, 99_999_999, 100_000_000, 10_u64.pow(16), CELLS / 3, CELLS - 1] {
            for seed in [0, 1, u64::MAX] {
                assert_eq!(std::str::from_utf8(&cell(seed, index)), Ok(line(seed, index).as_str()));
            }
        }
    }

    #[test]
    fn digits_are_those_of_the_number() {
        let edges =
            (0..8).flat_map(|power| [10_u64.pow(power) - 1, 10_u64.pow(power), 9 * 10_u64.pow(power)]);
        for number in edges.chain((0..100_000_000).step_by(997)).chain([99_999_999]) {
            assert_eq!(std::str::from_utf8(&eight_digits(number)), Ok(format!("{number:08}").as_str()));
        }
    }
}
