//! Runs the program in homes that vanish with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Far beyond what anything here takes: a test that hangs ends, a slow machine does not fail.
const DEADLINE: Duration = Duration::from_secs(120);

/// A station's folder.
pub struct Home {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Home {
    /// A folder without a station.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A station with this code.
    pub fn station(code: &str) -> Self {
        let home = Self::empty();
        home.run(&["init", "--code", code]).expect(0);
        home
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with_input(arguments, "")
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut child = self.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let mut child = Guard(child);
        let code = child.wait();
        Run { code, stdout: stdout.recv().unwrap(), stderr: stderr.recv().unwrap() }
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[&["--output", "json"], arguments].concat()).expect(0).json()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_odile"));
        command.env_remove("ODILE_HOME").env("TMPDIR", self.folder.path()).current_dir(self.folder.path());
        command.arg("--home").arg(self.root()).args(arguments).stderr(Stdio::piped());
        command
    }

    /// `odile serve`, once it listens.
    pub fn serve(&self) -> Serve {
        let arguments = ["--output", "json", "serve", "--listen", "127.0.0.1:0", "--shards", "1", "--no-pin"];
        let mut child = self.command(&arguments).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str::<Value>(&line) {
                    let _ = sender.send(event);
                }
            }
        });
        let mut serve = Serve { child: Guard(child), events, address: String::new() };
        let listening = serve.wait_for("listening");
        listening["address"].as_str().unwrap().clone_into(&mut serve.address);
        serve
    }

    /// Files in `inbox/PARTNER`, without their companions.
    pub fn inbox(&self, partner: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root().join("inbox").join(partner)).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_none_or(|ending| ending != "json"));
        files.sort();
        files
    }
}

/// A running station.
pub struct Serve {
    child: Guard,
    events: Receiver<Value>,
    pub address: String,
}

impl Serve {
    /// The next event of this name.
    #[track_caller]
    pub fn wait_for(&self, name: &str) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("no {name} came"));
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Sends SIGTERM and gives the exit code.
    pub fn terminate(mut self) -> i32 {
        let pid = self.child.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait()
    }
}

/// A process that does not outlive the test.
struct Guard(Child);

impl Guard {
    fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "the program does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, text) = mpsc::channel();
    thread::spawn(move || {
        let mut all = String::new();
        let _ = from.read_to_string(&mut all);
        let _ = sender.send(all);
    });
    text
}

/// Asks again until it is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// An address where nobody listens.
pub fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
