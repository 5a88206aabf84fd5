//! The only way to `/proc` and `/sys`: a folder that holds both, so that a test can make a machine up.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A machine, seen through its files.
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Where a file is that is named as on a real machine: `/proc/sys/…`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name.trim_start_matches('/'))
    }

    /// The whole text of a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is longer than any file of the kernel that is looked at here.
    pub fn read(&self, name: &str) -> io::Result<String> {
        let mut text = String::new();
        let file = fs::File::open(self.path(name))?;
        file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > TEXT_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
        }
        Ok(text)
    }

    /// What a file says, without the space around it; `None` if it cannot be read.
    pub fn word(&self, name: &str) -> Option<String> {
        self.read(name).ok().map(|text| text.trim().to_owned())
    }

    /// The names in a folder, in order; none if there is no such folder.
    pub fn list(&self, name: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(name)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Where a symbolic link leads to.
    pub fn link(&self, name: &str) -> Option<PathBuf> {
        fs::read_link(self.path(name)).ok()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Whether a file may be written to; writes nothing.
    pub fn check_writable(&self, name: &str) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.path(name)).map(drop)
    }

    /// Writes a value as it was read, or as it is to be read. Of a choice (`always [madvise] never`), the kernel
    /// takes the chosen word, and moves the brackets.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        match chosen(text) {
            None => self.write_text(name, text),
            Some(word) => {
                self.write_text(name, word)?;
                // Where no kernel has moved them, they are moved here.
                if chosen(&self.read(name)?).is_none() { self.write_text(name, text) } else { Ok(()) }
            }
        }
    }

    fn write_text(&self, name: &str, text: &str) -> io::Result<()> {
        // The kernel takes a value in one write only.
        OpenOptions::new().write(true).truncate(true).open(self.path(name))?.write_all(text.as_bytes())
    }
}

/// The word in brackets.
pub fn chosen(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word)
}

/// A choice with the brackets around another word.
pub fn choose(text: &str, word: &str) -> String {
    let plain = text.replace(['[', ']'], "");
    let words: Vec<String> = plain
        .split_whitespace()
        .map(|offered| if offered == word { format!("[{offered}]") } else { offered.to_owned() })
        .collect();
    format!("{}\n", words.join(" "))
}

/// What a text of the kernel means: the chosen word, or the words without the space around them.
pub fn effective(text: &str) -> String {
    match chosen(text) {
        Some(word) => word.to_owned(),
        None => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// `/proc/cpuinfo` of a machine with a thousand cores.
const TEXT_BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brackets_of_a_choice_can_be_read_and_moved() {
        let text = "always [madvise] never\n";
        assert_eq!(effective(text), "madvise");
        assert_eq!(choose(text, "always"), "[always] madvise never\n");
        assert_eq!(choose(&choose(text, "always"), "madvise"), text);
        assert_eq!(effective("4096\t131072\t6291456\n"), "4096 131072 6291456");
    }

    #[test]
    fn a_value_is_written_over_and_a_missing_file_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(folder.path());
        assert!(machine.write("/proc/x", "1\n").is_err());
        fs::create_dir(folder.path().join("proc")).unwrap();
        fs::write(folder.path().join("proc/x"), "100000\n").unwrap();
        machine.write("/proc/x", "1\n").unwrap();
        assert_eq!(machine.read("/proc/x").unwrap(), "1\n");
        fs::write(folder.path().join("proc/x"), "[a] b\n").unwrap();
        machine.write("/proc/x", "a [b]\n").unwrap();
        assert_eq!(machine.read("/proc/x").unwrap(), "a [b]\n");
        assert!(machine.write("/proc/y", "1\n").is_err() && !machine.exists("/proc/y"));
    }
}
