//! The file that is sent, and whether what arrived is the same.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use odile_station::{Pattern, SyntheticContent};

use super::mode::{Filling, Format, Mode};
use super::random::Random;

/// Writes a file of about so many octets, as whole records.
///
/// # Errors
///
/// What the system says.
pub fn write(path: &Path, mode: &Mode, size_bytes: u64, seed: u64) -> io::Result<()> {
    let pattern = match mode.filling {
        Filling::Text => Pattern::Text,
        Filling::Noise => Pattern::Random,
    };
    let content = SyntheticContent { pattern, seed };
    let mut file = BufWriter::with_capacity(PIECE_BYTES, File::create_new(path)?);
    match mode.format {
        Format::Unstructured | Format::Text => stream(&mut file, content, size_bytes)?,
        Format::Fixed(record) => stream(&mut file, content, size_bytes.next_multiple_of(u64::from(record)))?,
        Format::Variable(longest) => records(&mut file, content, size_bytes, longest)?,
    }
    file.flush()
}

fn stream(file: &mut impl Write, content: SyntheticContent, size_bytes: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut position = 0;
    while position < size_bytes {
        let wanted = usize::try_from(size_bytes - position).unwrap_or(usize::MAX).min(PIECE_BYTES);
        content.fill(position, &mut piece[..wanted]);
        file.write_all(&piece[..wanted])?;
        position += wanted as u64;
    }
    Ok(())
}

/// Each record with its length in two octets before it.
fn records(
    file: &mut impl Write,
    content: SyntheticContent,
    size_bytes: u64,
    longest: u32,
) -> io::Result<()> {
    let mut lengths = Random::new(content.seed ^ size_bytes);
    let mut record = vec![0; usize::from(u16::MAX)];
    let mut position = 0;
    while position < size_bytes {
        let length = u16::try_from(lengths.within(0..=u64::from(longest))).unwrap_or(u16::MAX);
        let record = &mut record[..usize::from(length)];
        content.fill(position, record);
        file.write_all(&length.to_be_bytes())?;
        file.write_all(record)?;
        position += 2 + u64::from(length);
    }
    Ok(())
}

/// Where two files begin to differ; none: nowhere.
///
/// # Errors
///
/// What the system says.
pub fn difference(one: &Path, other: &Path) -> io::Result<Option<u64>> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut here, mut there) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut position = 0;
    loop {
        let (here, there) = (filled(&mut one, &mut here)?, filled(&mut other, &mut there)?);
        if here != there {
            let equal = here.iter().zip(there).take_while(|(here, there)| here == there).count();
            return Ok(Some(position + equal as u64));
        }
        if here.is_empty() {
            return Ok(None);
        }
        position += here.len() as u64;
    }
}

/// As much as fits, or is left.
fn filled<'a>(file: &mut File, piece: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut length = 0;
    while length < piece.len() {
        match file.read(&mut piece[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(&piece[..length])
}

const PIECE_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use super::*;

    #[test]
    fn finds_the_first_octet_that_differs_and_a_file_that_is_shorter() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        let content = vec![7; PIECE_BYTES + 100];
        std::fs::write(&one, &content).unwrap();
        for (len, changed, expected) in [
            (content.len(), None, None),
            (content.len(), Some(0), Some(0)),
            (content.len(), Some(PIECE_BYTES + 3), Some(PIECE_BYTES as u64 + 3)),
            (content.len() - 1, None, Some(content.len() as u64 - 1)),
            (PIECE_BYTES, None, Some(PIECE_BYTES as u64)),
        ] {
            let mut content = content[..len].to_vec();
            if let Some(at) = changed {
                content[at] = 8;
            }
            std::fs::write(&other, content).unwrap();
            assert_eq!(difference(&one, &other).unwrap(), expected);
        }
    }
}
