//! A station in a process of its own, which can be killed and started again, and the events that it logs.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use odile_station::Home;
use odile_station::control::{Client, Request, Response};
use serde_json::Value;

use super::Failure;

/// A home, and the process that serves it, if one does. It ends when this is dropped.
pub struct Process {
    /// `sender` or `receiver`, as the other one knows it.
    pub name: &'static str,
    /// Its folder.
    pub home: Home,
    /// Where it listens, whenever it runs.
    pub address: SocketAddr,
    program: PathBuf,
    folder: PathBuf,
    flags: Vec<String>,
    child: Option<Child>,
    client: Option<Client>,
    log: Log,
    starts: u32,
}

/// How far a transfer is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The state's name; empty: the station knows of no such transfer, or does not answer.
    pub state: String,
    /// What there is to say about it.
    pub detail: String,
    /// Octets so far, while it runs.
    pub octets: u64,
}

impl Process {
    /// A station that is not made yet, and will be in `folder`.
    pub fn new(program: &Path, folder: &Path, name: &'static str, address: SocketAddr) -> Self {
        Self {
            name,
            home: Home::new(folder.join(name)),
            address,
            program: program.into(),
            folder: folder.into(),
            flags: Vec::new(),
            child: None,
            client: None,
            log: Log::default(),
            starts: 0,
        }
    }

    /// Takes these flags of `serve` whenever it is started from now on.
    pub fn set_flags(&mut self, flags: Vec<String>) {
        self.flags = flags;
    }

    /// Runs a command in the home. Gives what it wrote to standard output.
    ///
    /// # Errors
    ///
    /// What it wrote to standard error, if it did not succeed.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.command().arg("--quiet").args(arguments).stdin(Stdio::null()).output();
        let Output { status, stdout, stderr } =
            output.map_err(|error| Failure::of(&self.program.display(), error))?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&stderr);
        Err(Failure(format!("{}: odile {}: {status}: {}", self.name, arguments.join(" "), said.trim())))
    }

    /// The same with its result as JSON.
    ///
    /// # Errors
    ///
    /// As [`Process::run`], and if it is no JSON.
    pub fn run_json(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let text = self.run(&[&["--output", "json"], arguments].concat())?;
        serde_json::from_str(&text).map_err(|error| Failure::of(&arguments.join(" "), error))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove("ODILE_HOME").arg("--home").arg(self.home.root());
        command
    }

    /// Starts it, without waiting until it is ready.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn start(&mut self) -> Result<(), Failure> {
        self.starts += 1;
        let path = self.folder.join(format!("{}-{:03}.log", self.name, self.starts));
        let log = File::create_new(&path).map_err(|error| Failure::of(&path.display(), error))?;
        let child = self
            .command()
            .args(["--output", "json", "serve", "--no-pin", "--until-input-closes"])
            .args(&self.flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| Failure::of(&self.program.display(), error))?;
        self.child = Some(child);
        self.log.follow(path);
        Ok(())
    }

    /// Waits until it answers.
    ///
    /// # Errors
    ///
    /// If it ends, or does not answer in time.
    pub fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_LIMIT;
        while !matches!(self.ask(&Request::Status), Some(Response::Status { .. })) {
            self.check_alive()?;
            if Instant::now() >= deadline {
                return Err(Failure(format!("the {} does not answer", self.name)));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Fails if it has ended by itself.
    ///
    /// # Errors
    ///
    /// How it ended.
    pub fn check_alive(&mut self) -> Result<(), Failure> {
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => Err(Failure(format!("the {} ended by itself: {status}", self.name))),
            Some(Err(error)) => Err(Failure::of(&self.name, error)),
            Some(Ok(None)) | None => Ok(()),
        }
    }

    /// SIGKILL, and until it is gone.
    pub fn kill(&mut self) {
        self.client = None;
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it the way an operator would.
    ///
    /// # Errors
    ///
    /// If it does not end in time, or not well.
    pub fn stop(&mut self) -> Result<(), Failure> {
        self.client = None;
        let Some(child) = &mut self.child else { return Ok(()) };
        drop(child.stdin.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(None) => thread::sleep(LOOK_EVERY),
                Ok(Some(status)) => {
                    self.child = None;
                    return if status.success() {
                        Ok(())
                    } else {
                        Err(Failure(format!("the {} stopped with {status}", self.name)))
                    };
                }
                Err(error) => return Err(Failure::of(&self.name, error)),
            }
        }
        self.kill();
        Err(Failure(format!("the {} did not stop within {} s", self.name, STOP_LIMIT.as_secs())))
    }

    /// How far a transfer is.
    pub fn standing(&mut self, transfer: &str) -> Standing {
        match self.ask(&Request::Progress { transfer: transfer.to_owned() }) {
            Some(Response::Progress { state, detail, octets, .. }) => Standing { state, detail, octets },
            _ => Standing::default(),
        }
    }

    fn ask(&mut self, request: &Request) -> Option<Response> {
        if self.client.is_none() {
            self.client = Client::connect(&self.home).ok().flatten();
        }
        let answer = self.client.as_mut()?.ask(request);
        // It was stopped or killed, or is about to be.
        if answer.is_err() {
            self.client = None;
        }
        answer.ok()
    }

    /// Events that were logged since the last look, of all its processes.
    pub fn events(&mut self) -> Vec<Value> {
        self.log.read()
    }

    /// The last lines of its logs.
    pub fn last_words(&self) -> String {
        let texts = self.log.paths.iter().map(|path| fs::read_to_string(path).unwrap_or_default());
        let text: String = texts.collect();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        format!("the {} said last:\n  {}\n", self.name, last.join("\n  "))
    }

    /// Names in its spool.
    pub fn spool(&self) -> Vec<String> {
        names(&self.home.spool())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Logs of one process after the other.
#[derive(Default)]
struct Log {
    paths: Vec<PathBuf>,
    offset: u64,
    /// A line that is not complete yet.
    begun: String,
}

impl Log {
    /// What the process before it has not written by now, it never will.
    fn follow(&mut self, path: PathBuf) {
        self.paths.push(path);
        self.offset = 0;
        self.begun.clear();
    }

    fn read(&mut self) -> Vec<Value> {
        let Some(path) = self.paths.last() else { return Vec::new() };
        let mut more = Vec::new();
        let read = File::open(path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_end(&mut more)
        });
        self.offset += read.unwrap_or_default() as u64;
        self.begun.push_str(&String::from_utf8_lossy(&more));
        let complete = self.begun.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.begun.split_off(complete);
        let lines = std::mem::replace(&mut self.begun, rest);
        lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Names in a folder, sorted; none if it is not there.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const LAST_LINES: usize = 40;
