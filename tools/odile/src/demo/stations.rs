//! The two stations of the demo: their homes and their processes, set up with the commands that an operator uses.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use odile_station::Home;
use odile_station::control::{Client, Request, Response};

use super::cannot;
use super::line::Line;
use crate::access::{ask, unexpected};
use crate::exit::Failure;
use crate::signals::Interrupt;
use crate::tuning::Tuning;

/// Two stations that know each other.
pub struct Pair {
    pub a: Station,
    pub b: Station,
    /// From A to B.
    pub line: Line,
    tuning: Tuning,
}

/// A station in a process of its own, which ends when this is dropped.
pub struct Station {
    /// `A` or `B`.
    pub name: &'static str,
    pub home: Home,
    security: Security,
    code: &'static str,
    address: String,
    log: PathBuf,
    process: Child,
}

/// How the stations deal with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS, authentication, signed, compressed and encrypted files, signed receipts.
    Full,
    /// None.
    None,
}

impl Pair {
    /// Makes and starts both: B first, because A must know its port.
    pub fn start(
        folder: &Path,
        security: Security,
        tuning: Tuning,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let (a, b) = (Plan::new(folder, "A", CODE_A, security), Plan::new(folder, "B", CODE_B, security));
        a.make(interrupt)?;
        b.make(interrupt)?;
        b.add_partner(&a, None, interrupt)?;
        let b_runs = b.start(&tuning, interrupt)?;
        let line = Line::start()?;
        line.lead_to(&b_runs.address);
        a.add_partner(&b, Some(&line.address()), interrupt)?;
        Ok(Self { a: a.start(&tuning, interrupt)?, b: b_runs, line, tuning })
    }

    /// Starts B again after it was killed. It listens at another port then.
    pub fn restart_b(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        self.b.process = spawn(&self.b.home, &self.b.log, &self.tuning)?;
        self.b.address = self.b.wait_until_it_listens(interrupt)?;
        self.line.lead_to(&self.b.address);
        Ok(())
    }

    /// Who they are, line by line.
    pub fn introduction(&self) -> Vec<String> {
        [&self.a, &self.b]
            .map(|station| {
                let Station { name, code, address, process, .. } = station;
                let tls = if station.security == Security::Full { " with TLS" } else { "" };
                format!("station {name}  {code}  listens at {address}{tls}, process {}", process.id())
            })
            .to_vec()
    }

    /// Ends both the way an operator would.
    pub fn stop(&mut self) {
        // A first: it is the one that calls.
        self.a.stop();
        self.b.stop();
    }

    /// Adds what the stations said last to a failure.
    pub fn explain(&self, failure: Failure) -> Failure {
        let said: Vec<String> = [&self.a, &self.b].into_iter().flat_map(Station::last_words).collect();
        if said.is_empty() {
            return failure;
        }
        Failure {
            exit: failure.exit,
            text: format!("{} (the stations said: {})", failure.text, said.join("; ")),
        }
    }
}

/// A station before it runs.
struct Plan {
    name: &'static str,
    code: &'static str,
    security: Security,
    home: Home,
    folder: PathBuf,
}

impl Plan {
    fn new(folder: &Path, name: &'static str, code: &'static str, security: Security) -> Self {
        Self { name, code, security, home: Home::new(folder.join(name)), folder: folder.into() }
    }

    /// Where its certificate lies for the other one.
    fn certificate(&self) -> PathBuf {
        self.folder.join(format!("{}.crt", self.name))
    }

    fn make(&self, interrupt: &Interrupt) -> Result<(), Failure> {
        match self.security {
            Security::None => self.run(&["init", "--code", self.code, "--listen", ANYWHERE], &[], interrupt),
            Security::Full => {
                let init =
                    ["init", "--code", self.code, "--listen-tls", ANYWHERE, "--keys", "--host", "localhost"];
                self.run(&init, &[], interrupt)?;
                self.run(&["cert", "export", "--to"], &[&self.certificate()], interrupt)
            }
        }
    }

    fn add_partner(&self, other: &Self, address: Option<&str>, interrupt: &Interrupt) -> Result<(), Failure> {
        let mut arguments = vec!["partner", "add", other.name, "--code", other.code];
        if let Some(address) = address {
            arguments.extend(["--address", address]);
        }
        let certificate = other.certificate();
        let mut paths: Vec<&Path> = Vec::new();
        if self.security == Security::Full {
            arguments.extend(["--secure", "--client-certificate", "required", "--certificate"]);
            paths.push(&certificate);
        }
        self.run(&arguments, &paths, interrupt)
    }

    /// Runs a command of this program in the station's home.
    fn run(&self, arguments: &[&str], paths: &[&Path], interrupt: &Interrupt) -> Result<(), Failure> {
        interrupt.check()?;
        let mut command = this_program(&self.home)?;
        let output = command.args(["--quiet"]).args(arguments).args(paths).stdin(Stdio::null()).output();
        let output = output.map_err(cannot("start a command"))?;
        interrupt.check()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::refused(format!("odile {}: {said}", arguments.join(" "))))
    }

    fn start(&self, tuning: &Tuning, interrupt: &Interrupt) -> Result<Station, Failure> {
        let log = self.folder.join(format!("{}.log", self.name));
        let process = spawn(&self.home, &log, tuning)?;
        let mut station = Station {
            name: self.name,
            home: self.home.clone(),
            security: self.security,
            code: self.code,
            address: String::new(),
            log,
            process,
        };
        station.address = station.wait_until_it_listens(interrupt)?;
        Ok(station)
    }
}

impl Station {
    fn wait_until_it_listens(&mut self, interrupt: &Interrupt) -> Result<String, Failure> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            interrupt.check()?;
            if let Ok(Some(mut client)) = Client::connect(&self.home)
                && let Response::Status { address, tls_address, .. } = ask(&mut client, &Request::Status)?
                && let Some(address) = tls_address.or(address)
            {
                return Ok(address);
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(Failure::refused(format!(
                    "station {} ended at once ({status}): {}",
                    self.name,
                    self.last_words().join("; ")
                )));
            }
            thread::sleep(ASK_EVERY);
        }
        Err(Failure::unreachable(format!(
            "station {} did not start within {} s",
            self.name,
            START_LIMIT.as_secs()
        )))
    }

    /// A connection to it.
    pub fn client(&self) -> Result<Client, Failure> {
        let gone = || Failure::unreachable(format!("station {} has ended", self.name));
        Client::connect(&self.home).ok().flatten().ok_or_else(gone)
    }

    /// Asks it to send a file to the other one; gives the transfer and the dataset name.
    pub fn queue(&self, request: odile_station::SendRequest) -> Result<(String, String), Failure> {
        match ask(&mut self.client()?, &Request::Send(request))? {
            Response::Queued { transfer, dataset_name } => Ok((transfer, dataset_name)),
            other => Err(unexpected(&other)),
        }
    }

    fn last_words(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..]
            .iter()
            .map(|line| format!("{}: {}", self.name, line.trim()))
            .collect()
    }

    /// Ends it as a power cut would: it can do nothing about it.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Closes its standard input, which it takes as a wish to stop, and waits; not for ever.
    fn stop(&mut self) {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(ASK_EVERY),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.stop();
    }
}

fn this_program(home: &Home) -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(cannot("find this program"))?;
    let mut command = Command::new(program);
    command.arg("--home").arg(home.root());
    Ok(command)
}

fn spawn(home: &Home, log: &Path, tuning: &Tuning) -> Result<Child, Failure> {
    let log = File::options().create(true).append(true).open(log).map_err(cannot("write a log"))?;
    this_program(home)?
        .args(["--output", "text", "serve", "--until-input-closes"])
        .args(tuning.to_arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(cannot("start a station"))
}

const ANYWHERE: &str = "127.0.0.1:0";
const CODE_A: &str = "O0013ODILE-DEMO-A";
const CODE_B: &str = "O0013ODILE-DEMO-B";
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const ASK_EVERY: Duration = Duration::from_millis(10);
const LAST_LINES: usize = 5;
