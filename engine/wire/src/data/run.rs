//! Finds runs of one octet, for compressed subrecords.

/// Shortest run that is compressed. A run between literals costs two octets, and one more for the header of the
/// literal behind it: from four octets on it always pays, with three it gains nothing.
pub(super) const RUN_MIN: usize = 4;

/// Where the first run of at least [`RUN_MIN`] equal octets starts.
pub(super) fn find_run(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(block) = octets[at..].first_chunk() {
        if has_run(block) {
            break;
        }
        at += BLOCK_BYTES;
    }
    let mut equal = 1;
    for (end, pair) in octets[at..].windows(2).enumerate() {
        equal = if pair[0] == pair[1] { equal + 1 } else { 1 };
        if equal == RUN_MIN {
            return Some(at + end + 2 - RUN_MIN);
        }
    }
    None
}

/// How many octets at the start of `octets` equal the first one.
pub(super) fn run_length(octets: &[u8]) -> usize {
    let Some(&octet) = octets.first() else { return 0 };
    let (blocks, _) = octets.as_chunks::<BLOCK_BYTES>();
    let equal = |block: &&[u8; BLOCK_BYTES]| block.iter().fold(0, |seen, &other| seen | (octet ^ other)) == 0;
    let sure = blocks.iter().take_while(equal).count() * BLOCK_BYTES;
    sure + octets[sure..].iter().take_while(|&&other| other == octet).count()
}

/// Whether a run starts in the first [`BLOCK_BYTES`] octets. Without branches and with lengths known to the
/// compiler, so that it becomes vector code.
fn has_run(block: &[u8; BLOCK_BYTES + RUN_MIN - 1]) -> bool {
    let mut least = u8::MAX;
    for i in 0..BLOCK_BYTES {
        let [a, b, c, d] = [block[i], block[i + 1], block[i + 2], block[i + 3]];
        least = least.min((a ^ b) | (b ^ c) | (c ^ d));
    }
    least == 0
}

const BLOCK_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_run_wherever_it_starts_and_no_shorter_one() {
        for length in 1..150 {
            for start in 0..length {
                for run in 1..=(length - start).min(RUN_MIN + 1) {
                    let mut octets: Vec<u8> = (0..length).map(|i| u8::try_from(i % 2).unwrap()).collect();
                    octets[start..start + run].fill(7);
                    assert_eq!(
                        find_run(&octets),
                        (run >= RUN_MIN).then_some(start),
                        "{length} {start} {run}"
                    );
                }
            }
        }
    }

    #[test]
    fn measures_a_run_up_to_the_first_other_octet() {
        for length in 0..150 {
            let mut octets = vec![9; length];
            assert_eq!(run_length(&octets), length);
            octets.extend_from_slice(b"x9999999999999999999999999999999999999");
            assert_eq!(run_length(&octets), if length == 0 { 1 } else { length });
        }
    }
}
