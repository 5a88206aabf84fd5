//! A station of a rehearsal: its home, made with the commands that a person types, and its process.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use odile_station::Home;
use odile_station::control::{Client, Request, Response};
use serde_json::Value;

use super::{Services, failed};
use crate::crash::Failure;

/// A home, and the process that serves it, if one does. It ends when this is dropped.
pub struct Station {
    /// As the other one knows it.
    pub name: &'static str,
    pub home: Home,
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    flags: Vec<String>,
    process: Option<Child>,
    starts: u32,
}

impl Station {
    /// Makes its home in `folder`, with keys if the services need any.
    pub fn make(
        program: &Path,
        folder: &Path,
        name: &'static str,
        services: Services,
    ) -> Result<Self, Failure> {
        let station = Self {
            name,
            home: Home::new(folder.join(name)),
            program: program.into(),
            folder: folder.into(),
            address: free_address()?,
            flags: Vec::new(),
            process: None,
            starts: 0,
        };
        let (address, code) = (station.address.to_string(), station.code());
        let listen = if services.is_sealed() { "--listen-tls" } else { "--listen" };
        let init = ["init", "--code", &code, listen, &address];
        if services == Services::Plain {
            station.run(&init)?;
        } else {
            station.run(&[&init[..], &["--keys", "--host", "localhost"]].concat())?;
            station.run(&["cert", "export", "--to", &station.certificate()])?;
        }
        // Who was killed is called again at once.
        let path = station.home.station_file();
        let text = fs::read_to_string(&path).map_err(|error| failed("station.toml", error))?;
        let quickly = "\n[retry]\nfirst_seconds = 1\nlongest_seconds = 2\n";
        fs::write(&path, text.replace("\n[retry]\n", "\n") + quickly)
            .map_err(|error| failed("station.toml", error))?;
        Ok(station)
    }

    /// Adds the other one as a partner, to be called there or not.
    pub fn add_partner(&self, other: &Self, services: Services, is_called: bool) -> Result<(), Failure> {
        let (code, address, certificate) = (other.code(), other.address.to_string(), other.certificate());
        let mut arguments = vec!["partner", "add", other.name, "--code", &code];
        if is_called {
            arguments.extend(["--address", &address]);
        }
        if services != Services::Plain {
            arguments.extend(["--certificate", &certificate, "--suite", "4"]);
        }
        if services.is_sealed() {
            arguments.push("--secure");
        }
        self.run(&arguments).map(drop)
    }

    fn code(&self) -> String {
        format!("O0013{}", self.name.to_uppercase())
    }

    fn certificate(&self) -> String {
        self.folder.join(format!("{}.crt", self.name)).display().to_string()
    }

    /// Takes these flags of `serve` from now on.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Runs a command in the home. Gives what it wrote to standard output; a failure says what it wrote to standard
    /// error.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.command().args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| failed("odile", error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failed(&arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// The same with its result as JSON.
    pub fn run_json(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let text = self.run(&[&["--output", "json"], arguments].concat())?;
        serde_json::from_str(&text).map_err(|error| failed(&arguments.join(" "), error))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove("ODILE_HOME").arg("--home").arg(self.home.root());
        command
    }

    /// Starts it, and waits until it answers.
    pub fn start(&mut self) -> Result<(), Failure> {
        self.starts += 1;
        let log = File::create(self.log()).map_err(|error| failed("a log", error))?;
        let process = self
            .command()
            .args(["--output", "json", "serve", "--no-pin", "--shards", "1", "--until-input-closes"])
            .args(&self.flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.map_err(|error| failed("odile serve", error))?);
        let deadline = Instant::now() + PATIENCE;
        while !matches!(self.ask(&Request::Status), Some(Response::Status { .. })) {
            self.check_alive()?;
            if Instant::now() >= deadline {
                return Err(failed(self.name, "it does not answer"));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// The number of its process; 0 if none runs.
    pub fn process(&self) -> u32 {
        self.process.as_ref().map_or(0, Child::id)
    }

    /// Fails if it has ended by itself.
    pub fn check_alive(&mut self) -> Result<(), Failure> {
        match self.process.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => Err(failed(self.name, format!("{status}\n{}", self.last_words()))),
            Some(Err(error)) => Err(failed(self.name, error)),
            Some(Ok(None)) | None => Ok(()),
        }
    }

    /// SIGKILL, and until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Ends it the way an operator would.
    pub fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        drop(process.stdin.take());
        let status = process.wait().map_err(|error| failed(self.name, error))?;
        if status.success() { Ok(()) } else { Err(failed(self.name, status)) }
    }

    /// State and octets of a transfer, while it runs.
    pub fn standing(&self, transfer: &str) -> (String, u64) {
        match self.ask(&Request::Progress { transfer: transfer.to_owned() }) {
            Some(Response::Progress { state, octets, .. }) => (state, octets),
            _ => (String::new(), 0),
        }
    }

    fn ask(&self, request: &Request) -> Option<Response> {
        Client::connect(&self.home).ok().flatten()?.ask(request).ok()
    }

    /// What the present process has told so far.
    pub fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
        last.map(|line| format!("  {}: {line}\n", self.name)).collect::<Vec<_>>().concat()
    }

    /// Names in its spool.
    pub fn spool(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.spool()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}-{}.log", self.name, self.starts))
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Free now; it must be free again after a restart, because the partner's file says it. An address of the process's
/// own makes that likely enough.
fn free_address() -> Result<SocketAddr, Failure> {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = std::net::Ipv4Addr::new(127, 128 | (high & 63), middle, low);
    let bound = TcpListener::bind((host, 0)).and_then(|listener| listener.local_addr());
    bound.map_err(|error| failed("a free port", error))
}

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const LAST_LINES: usize = 40;
