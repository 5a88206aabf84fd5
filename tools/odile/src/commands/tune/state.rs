//! What `apply` has found and written: a JSON file, on disk before anything is changed.
//!
//! ```text
//! { "format": "odile-tune-1", "entries": [
//!   { "setting": "net.core.rmem_max", "path": "/proc/sys/net/core/rmem_max", "before": "212992\n", "after": "16777216\n" } ] }
//! ```
//!
//! `before` is kept as it was read, to the octet. An entry may not have been carried out yet: whoever reads it compares
//! it with what is there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::exit::Failure;

/// What is saved.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    format: String,
    pub entries: Vec<Entry>,
}

/// One file of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub setting: String,
    pub path: String,
    pub before: String,
    pub after: String,
    /// The setting that writing this one sets to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<Twin>,
}

/// See [`super::setting::Source::TwinSysctl`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Twin {
    pub path: String,
    pub before: String,
}

/// The state file, which no other process changes meanwhile.
pub struct StateFile {
    path: PathBuf,
    _lock: File,
}

impl State {
    pub fn empty() -> Self {
        Self::of(Vec::new())
    }

    pub fn of(entries: Vec<Entry>) -> Self {
        Self { format: FORMAT.to_owned(), entries }
    }

    /// Adds what is about to be written. What was there first stays what was there before.
    pub fn add(&mut self, entry: &Entry) {
        match self.entries.iter_mut().find(|known| known.path == entry.path) {
            Some(known) => known.after.clone_from(&entry.after),
            None => self.entries.push(entry.clone()),
        }
    }
}

impl StateFile {
    /// Takes hold of the file, which need not be there; `None` if there is not even its folder.
    pub fn hold(path: &Path) -> Result<Option<Self>, Failure> {
        let folder = folder_of(path);
        let lock = match File::open(&folder) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&folder, &error)),
        };
        lock.try_lock().map_err(|error| {
            Failure::refused(format!(
                "{}: {error}: another `odile tune` is at work; try again",
                folder.display()
            ))
        })?;
        Ok(Some(Self { path: path.to_path_buf(), _lock: lock }))
    }

    /// As [`StateFile::hold`]; makes the folder.
    pub fn make(path: &Path) -> Result<Self, Failure> {
        let folder = folder_of(path);
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
        Self::hold(path)?.ok_or_else(|| Failure::refused(format!("{} has vanished", folder.display())))
    }

    /// What is saved; `None` if nothing is.
    pub fn load(&self) -> Result<Option<State>, Failure> {
        load(&self.path)
    }

    /// Saves: when this returns, it is on disk.
    pub fn save(&self, state: &State) -> Result<(), Failure> {
        self.replace(state).map_err(|error| failed(&self.path, &error))
    }

    /// Nothing is left to be put back.
    pub fn remove(&self) -> Result<(), Failure> {
        let remove = || {
            fs::remove_file(&self.path)?;
            File::open(folder_of(&self.path))?.sync_all()
        };
        remove().map_err(|error| failed(&self.path, &error))
    }

    fn replace(&self, state: &State) -> io::Result<()> {
        let folder = folder_of(&self.path);
        let mut file = NamedTempFile::new_in(&folder)?;
        file.write_all(serde_json::to_string_pretty(state)?.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }
}

/// Reads a state file without holding it; `None` if there is none.
pub fn load(path: &Path) -> Result<Option<State>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    let wrong = |what: String| {
        Failure::usage(format!("{} is not what `odile tune apply` has saved: {what}", path.display()))
    };
    let state: State = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if state.format != FORMAT {
        return Err(wrong(format!("its format is {:?}, not {FORMAT:?}", state.format)));
    }
    let paths = state
        .entries
        .iter()
        .flat_map(|entry| std::iter::once(&entry.path).chain(entry.twin.iter().map(|twin| &twin.path)));
    for path in paths {
        // Root writes there: a file that somebody has edited must not make it write elsewhere.
        if !(path.starts_with("/proc/sys/") || path.starts_with("/sys/")) || path.contains("/../") {
            return Err(wrong(format!("{path:?} is no file that it writes")));
        }
    }
    Ok(Some(state))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => ": run it as root, or say where with --state",
        _ => "",
    };
    Failure::refused(format!("{}: {error}{remedy}; nothing was changed", path.display()))
}

const FORMAT: &str = "odile-tune-1";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, before: &str, after: &str) -> Entry {
        let (path, before, after) = (path.to_owned(), before.to_owned(), after.to_owned());
        Entry { setting: "x".to_owned(), path, before, after, twin: None }
    }

    #[test]
    fn what_was_there_first_stays_what_was_there_before() {
        let mut state = State::empty();
        state.add(&entry("/proc/sys/a", "1\n", "2\n"));
        state.add(&entry("/proc/sys/a", "2\n", "3\n"));
        state.add(&entry("/proc/sys/b", "7\n", "8\n"));
        assert_eq!(state.entries, [entry("/proc/sys/a", "1\n", "3\n"), entry("/proc/sys/b", "7\n", "8\n")]);
    }

    #[test]
    fn what_is_saved_is_what_is_loaded_and_only_one_can_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/tune.json");
        assert!(StateFile::hold(&path).unwrap().is_none());
        let file = StateFile::make(&path).unwrap();
        assert!(file.load().unwrap().is_none());
        let mut state = State::empty();
        state.add(&entry("/proc/sys/a", "1\t2\n", "3\n"));
        file.save(&state).unwrap();
        assert_eq!(load(&path).unwrap().unwrap().entries, state.entries);
        assert!(StateFile::make(&path).err().unwrap().text.contains("at work"));
        file.remove().unwrap();
        drop(file);
        assert!(StateFile::hold(&path).unwrap().unwrap().load().unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
    }

    #[test]
    fn a_state_that_names_other_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tune.json");
        for wrong in ["/etc/passwd", "/proc/sys/../../etc/passwd", "/proc/sysrq-trigger"] {
            let state = State::of(vec![entry(wrong, "", "")]);
            fs::write(&path, serde_json::to_string(&state).unwrap()).unwrap();
            assert!(load(&path).unwrap_err().text.contains("no file that it writes"), "{wrong}");
        }
        fs::write(&path, r#"{"format":"other","entries":[]}"#).unwrap();
        assert!(load(&path).unwrap_err().text.contains("its format is \"other\""));
        fs::write(&path, "{").unwrap();
        assert!(load(&path).unwrap_err().text.contains("is not what"));
    }
}
