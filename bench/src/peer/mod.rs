//! Other people's software: found, started on a core, and ended again.

pub mod iperf;
pub mod ssh;
pub mod web;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::processes::{CpuTime, has_children};
use crate::rounds::Turn;

/// A program of somebody else.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

impl Program {
    /// Where it is; as an error, a line that tells what to install.
    pub fn find(self) -> Result<PathBuf, String> {
        let path = env::var_os("PATH").unwrap_or_default();
        // Daemons are where only root's path leads.
        let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        folders.map(|folder| folder.join(self.name)).find(|file| file.is_file()).ok_or_else(|| {
            let Self { name, package } = self;
            format!("{name} is missing; install the package {package} (cargo xtask bench-tools)")
        })
    }
}

/// A command that runs on these cores only, and that does not outlive the thread which starts it.
pub fn pinned(cores: &[usize], program: impl AsRef<OsStr>) -> Command {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    // Both replace themselves with what they start: the process is the program's.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "--cpu-list", &cores.join(",")]).arg(program);
    command
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    name: &'static str,
}

impl Daemon {
    /// Starts it and waits until it listens.
    pub fn start(name: &'static str, command: &mut Command, ports: &[u16]) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{name} cannot be started: {error}"))?;
        let mut daemon = Self { child, name };
        let began = Instant::now();
        while !ports.iter().all(|port| is_listening(*port)) {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                return Err(format!("{name} ended at once: {status}"));
            }
            if began.elapsed() > START_LIMIT {
                return Err(format!("{name} does not listen after {} s", START_LIMIT.as_secs()));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(daemon)
    }

    /// Processor time of it and of its children that are gone.
    pub fn cpu(&self) -> CpuTime {
        CpuTime::of_process(self.child.id())
    }

    /// Waits until its children are gone: before, what they have used is not counted.
    pub fn settle(&self) {
        let began = Instant::now();
        while has_children(self.child.id()) {
            assert!(began.elapsed() < START_LIMIT, "a child of {} does not end", self.name);
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Runs `client` to its end; the daemon is the side that receives.
    pub fn turn(&self, client: impl FnOnce() -> Duration) -> Turn {
        let before = (CpuTime::of_ended_children(), self.cpu());
        let took = client();
        self.settle();
        let now = (CpuTime::of_ended_children(), self.cpu());
        Turn { took, sender: now.0 - before.0, receiver: now.1 - before.1 }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end; gives the time it took and what it wrote.
///
/// # Panics
///
/// If it fails: what it says goes to standard error.
pub fn run(command: &mut Command) -> (Duration, String) {
    let began = Instant::now();
    let output = command.stderr(Stdio::inherit()).output().expect("it is installed");
    let took = began.elapsed();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    (took, String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A port of loopback that was free a moment ago.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
    listener.local_addr().expect("it is bound").port()
}

/// Looked up, not tried: some take one connection only.
fn is_listening(port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = fs::read_to_string(table).unwrap_or_default();
        table.lines().skip(1).any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
            state == LISTENING && local.ends_with(&format!(":{port:04X}"))
        })
    })
}

/// As text for configuration files.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// TCP_LISTEN in the tables of the kernel.
const LISTENING: &str = "0A";
const START_LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_gone_when_its_guard_is() {
        let daemon = Daemon::start("sleep", Command::new("sleep").arg("600"), &[]).unwrap();
        let stat = PathBuf::from(format!("/proc/{}/stat", daemon.child.id()));
        assert!(stat.exists());
        drop(daemon);
        assert!(!stat.exists());
    }

    #[test]
    fn a_daemon_that_ends_at_once_is_told_of() {
        let port = free_port();
        assert!(
            Daemon::start("false", &mut Command::new("false"), &[port])
                .unwrap_err()
                .contains("ended at once")
        );
    }

    #[test]
    fn sees_who_listens() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(is_listening(listener.local_addr().unwrap().port()));
        assert!(!is_listening(0));
    }

    #[test]
    fn tells_what_to_install() {
        assert!(Program { name: "sh", package: "dash" }.find().is_ok());
        let missing = Program { name: "no-such-program", package: "no-such-package" }.find().unwrap_err();
        assert!(missing.contains("install the package no-such-package"), "{missing}");
    }
}
