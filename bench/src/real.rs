//! Real CAD and FEM files, from Debian's packages `gmsh-doc` and `calculix-ccx-test`, as one stream.
//!
//! ```text
//! ┌ repeat 0 ───────────────────────────┐┌ repeat 1 ──── …
//! │ head │ file │ head │ file │ …       ││ head │ file │ …
//! └─────────────────────────────────────┘└────────────── …
//! head: one line with the repeat, the octets and the name
//! ```
//!
//! All files together are tens of MB, so that a repeat is out of reach of every deflate window, and of a cache; no two
//! repeats are equal.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use libdeflater::Decompressor;
use sha2::{Digest, Sha256};

/// The files, in the order of their names.
pub struct Corpus {
    files: Vec<(String, Vec<u8>)>,
}

impl Corpus {
    /// Collects what is installed; as an error, a line that tells what to install.
    pub fn collect() -> Result<Self, String> {
        let mut paths = Vec::new();
        for package in PACKAGES {
            let folder = Path::new("/usr/share/doc").join(package);
            let before = paths.len();
            find(&folder, &mut paths);
            if paths.len() == before {
                return Err(format!(
                    "no files of {package} are there; install the package {package} (cargo xtask bench-tools)"
                ));
            }
        }
        paths.sort();
        let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
        for path in paths {
            let content = read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            // The packages have some files twice.
            if !content.is_empty() && seen.insert(Sha256::digest(&content)) {
                files.push((path.display().to_string(), content));
            }
        }
        Ok(Self { files })
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Octets of all files.
    pub fn octets(&self) -> u64 {
        self.files.iter().map(|(_, content)| content.len() as u64).sum()
    }

    /// Writes exactly so many octets of the stream.
    ///
    /// # Panics
    ///
    /// If there is nothing to write.
    pub fn write(&self, octets: u64, target: &mut impl Write) -> io::Result<()> {
        assert!(!self.files.is_empty(), "files were collected");
        let mut target = BufWriter::with_capacity(1 << 20, target);
        let mut left = octets;
        let mut put = |piece: &[u8]| -> io::Result<bool> {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            target.write_all(&piece[..count])?;
            left -= count as u64;
            Ok(left == 0)
        };
        'all: for repeat in 0_u64.. {
            for (name, content) in &self.files {
                let head = format!("{repeat:016} {:016} {name}\n", content.len());
                if put(head.as_bytes())? || put(content)? {
                    break 'all;
                }
            }
        }
        target.flush()
    }
}

/// Adds the files below a folder whose endings tell that they are models, meshes or results.
fn find(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => find(&path, paths),
            Ok(kind) if kind.is_file() && is_model(&path) => paths.push(path),
            _ => {}
        }
    }
}

fn is_model(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    ENDINGS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|stem| stem.ends_with('.')))
}

/// A file without the compression that Debian gives to documentation.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let octets = fs::read(path)?;
    if path.extension().is_none_or(|ending| ending != "gz") {
        return Ok(octets);
    }
    let damaged = || io::Error::other("it is no gzip file");
    let length = *octets.last_chunk::<4>().ok_or_else(damaged)?;
    let mut content = vec![0; usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?];
    let count = Decompressor::new().gzip_decompress(&octets, &mut content).map_err(|_| damaged())?;
    content.truncate(count);
    Ok(content)
}

const PACKAGES: [&str; 2] = ["calculix-ccx-test", "gmsh-doc"];
/// Models, meshes, views and results of Gmsh, OpenCASCADE and CalculiX.
const ENDINGS: [&str; 12] =
    ["brep", "geo", "inp", "iges", "msh", "pos", "step", "stl", "stp", "frd", "frd.ref", "dat.ref"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_numbered_and_the_end_is_where_it_was_asked_for() {
        let files = vec![("a".to_owned(), b"xyz".to_vec()), ("b".to_owned(), b"12345".to_vec())];
        let corpus = Corpus { files };
        assert_eq!((corpus.files(), corpus.octets()), (2, 8));
        let all = "0000000000000000 0000000000000003 a\nxyz0000000000000000 0000000000000005 b\n12345\
                   0000000000000001 0000000000000003 a\nxyz";
        for octets in [0, 1, 36, 39, all.len()] {
            let mut stream = Vec::new();
            corpus.write(octets as u64, &mut stream).unwrap();
            assert_eq!(stream, &all.as_bytes()[..octets]);
        }
    }

    #[test]
    fn takes_models_and_nothing_else() {
        for name in ["a.stl", "a.stl.gz", "beam.frd.ref.gz", "beam.dat.ref", "as1-tu-203.stp.gz"] {
            assert!(is_model(Path::new(name)), "{name}");
        }
        for name in ["a.py", "gmsh.pdf.gz", "stl", "a.nostl", "changelog.gz"] {
            assert!(!is_model(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn reads_what_was_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.inp.gz");
        let content = b"*NODE, NSET=Nall\n".repeat(100);
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut room = vec![0; compressor.gzip_compress_bound(content.len())];
        let count = compressor.gzip_compress(&content, &mut room).unwrap();
        fs::write(&path, &room[..count]).unwrap();
        assert_eq!(read(&path).unwrap(), content);
        fs::write(&path, b"no gzip").unwrap();
        assert!(read(&path).is_err());
    }
}
