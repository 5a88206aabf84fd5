//! What processes have used: processor time, by thread if wanted, and memory.

use std::collections::BTreeMap;
use std::fs;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::path::Path;

/// Processor seconds. Linux counts them in ticks of 10 ms.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    /// In user mode.
    pub user: f64,
    /// In kernel mode.
    pub kernel: f64,
}

impl CpuTime {
    /// Both modes.
    pub fn total(self) -> f64 {
        self.user + self.kernel
    }

    /// What one process, and those that it has waited for, have used so far.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn of_process(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
        let [user, kernel, user_of_children, kernel_of_children] = times(&stat);
        Self { user: user + user_of_children, kernel: kernel + kernel_of_children }
    }

    /// What the processes have used that this one has started and waited for.
    ///
    /// # Panics
    ///
    /// If /proc is not mounted.
    pub fn of_ended_children() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
        let [_, _, user, kernel] = times(&stat);
        Self { user, kernel }
    }

    /// What the threads of a process have used so far, by name; numbers at the end of a name are left out. `main` is the
    /// first, `ended` are those that are gone.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn of_threads(pid: u32) -> BTreeMap<String, Self> {
        let mut found = BTreeMap::<String, Self>::new();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
        for task in tasks.flatten() {
            // It may end just now.
            let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
            let is_main = task.file_name().to_str() == Some(pid.to_string().as_str());
            let name = if is_main { "main" } else { name_without_number(&stat) };
            let [user, kernel, ..] = times(&stat);
            let sum = found.entry(name.to_owned()).or_default();
            *sum = *sum + Self { user, kernel };
        }
        let alive: Self = found.values().copied().sum();
        let ended = Self::of_process(pid) - alive;
        // Less than that is rounding.
        if ended.total() > ENDED_SECONDS_MIN {
            found.insert("ended".to_owned(), ended);
        }
        found
    }
}

/// The name in a line of `stat`.
fn name_without_number(stat: &str) -> &str {
    let name = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(name, _)| name);
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-')
}

/// utime, stime, cutime and cstime of a line of `stat`, in seconds.
fn times(stat: &str) -> [f64; 4] {
    // The second field is a name in parentheses, which may hold spaces.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after.split_whitespace().skip(TIMES_AFTER_NAME);
    [(); 4]
        .map(|()| fields.next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / TICKS_PER_SECOND)
}

impl Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, kernel: self.kernel + other.kernel }
    }
}

/// Never below zero: what was used in two readings a moment apart may be rounded otherwise.
impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { user: (self.user - other.user).max(0.0), kernel: (self.kernel - other.kernel).max(0.0) }
    }
}

impl Sum for CpuTime {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// Resident memory of a process, in octets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Its own: no files.
    pub own: u64,
    /// Pages of files that it has mapped: the page cache has them anyway.
    pub mapped: u64,
}

impl Memory {
    /// Of a process.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn of_process(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        Self { own: kib("RssAnon") << 10, mapped: (kib("RssFile") + kib("RssShmem")) << 10 }
    }
}

/// Whether processes that a process has started, or those, are still there.
pub fn has_children(pid: u32) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries.flatten().any(|entry| parent(&entry.path()) == Some(pid))
}

fn parent(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

/// Field 14 of `proc(5)` is the first of the times, field 2 the name.
const TIMES_AFTER_NAME: usize = 11;
const ENDED_SECONDS_MIN: f64 = 0.05;
/// On every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_behind_a_name_with_spaces_and_parentheses() {
        let stat = "7 (iou) wrk) 1) S 1 7 7 0 -1 0 11 12 13 14 150 25 300 4 20 0 1";
        let hundredths = times(stat).map(|seconds| (seconds * 100.0).round());
        assert_eq!(hundredths.map(|count| format!("{count}")), ["150", "25", "300", "4"]);
    }

    #[test]
    fn knows_this_process_and_its_threads() {
        let pid = std::process::id();
        assert!(Memory::of_process(pid).own > 0);
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = std::sync::mpsc::channel();
        let work = move || begun.send(()).is_ok() && wait.recv().is_err();
        let thread = std::thread::Builder::new().name("some-thread-7".into()).spawn(work).unwrap();
        // Its name is there before its work begins.
        begins.recv().unwrap();
        let found = CpuTime::of_threads(pid);
        drop(end);
        assert!(thread.join().unwrap());
        assert!(found.contains_key("main") && found.contains_key("some-thread"), "{found:?}");
        let before = CpuTime { user: 1.0, kernel: 2.0 };
        assert_eq!(before - (before + before), CpuTime::default());
    }

    #[test]
    fn sees_children() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        assert!(has_children(std::process::id()));
        assert!(!has_children(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
