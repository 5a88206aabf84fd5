//! The two stations of the demo: their homes and their processes.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use odile_station::Home;
use odile_station::control::{Client, Request, Response};

use super::cannot;
use crate::access::{ask, unexpected};
use crate::commands::{PartnerFile, partner_file, station_file};
use crate::exit::Failure;
use crate::signals::Interrupt;
use crate::tuning::Tuning;

/// Two stations that know each other.
pub struct Pair {
    pub a: Station,
    pub b: Station,
}

/// A station in a process of its own, which ends when this is dropped.
pub struct Station {
    /// `A` or `B`.
    pub name: &'static str,
    pub home: Home,
    code: &'static str,
    address: String,
    log: PathBuf,
    process: Child,
}

impl Pair {
    /// Makes and starts both: B first, because A must know its port.
    pub fn start(folder: &Path, tuning: &Tuning, interrupt: &Interrupt) -> Result<Self, Failure> {
        let b = Station::start(
            folder,
            "B",
            CODE_B,
            &Other { name: "A", code: CODE_A, address: None },
            tuning,
            interrupt,
        )?;
        let to_b = Other { name: "B", code: CODE_B, address: Some(b.address.clone()) };
        let a = Station::start(folder, "A", CODE_A, &to_b, tuning, interrupt)?;
        Ok(Self { a, b })
    }

    /// Who they are, line by line.
    pub fn introduction(&self) -> Vec<String> {
        [&self.a, &self.b]
            .map(|station| {
                let Station { name, code, address, process, .. } = station;
                format!("station {name}  {code}  listens at {address}, process {}", process.id())
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

/// The other station, as one of them knows it.
struct Other {
    name: &'static str,
    code: &'static str,
    address: Option<String>,
}

impl Station {
    fn start(
        folder: &Path,
        name: &'static str,
        code: &'static str,
        other: &Other,
        tuning: &Tuning,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let home = Home::create(&folder.join(name), &station_file(code, Some(anywhere)))?;
        let partner = partner_file(&PartnerFile {
            code: other.code.to_owned(),
            address: other.address.clone(),
            ..PartnerFile::default()
        });
        let other_name = other.name.parse().map_err(|error: String| Failure::usage(error))?;
        home.add_partner(&other_name, &partner)?;
        let log = folder.join(format!("{name}.log"));
        let process = spawn(&home, &log, tuning)?;
        let mut station = Self { name, home, code, address: String::new(), log, process };
        station.address = station.wait_until_it_listens(interrupt)?;
        Ok(station)
    }

    fn wait_until_it_listens(&mut self, interrupt: &Interrupt) -> Result<String, Failure> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            interrupt.check()?;
            if let Ok(Some(mut client)) = Client::connect(&self.home)
                && let Response::Status { address: Some(address), .. } = ask(&mut client, &Request::Status)?
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

fn spawn(home: &Home, log: &Path, tuning: &Tuning) -> Result<Child, Failure> {
    let program = std::env::current_exe().map_err(cannot("find this program"))?;
    let log = File::create_new(log).map_err(cannot("write a log"))?;
    Command::new(program)
        .arg("--home")
        .arg(home.root())
        .args(["--output", "text", "serve", "--until-input-closes"])
        .args(tuning.to_arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(cannot("start a station"))
}

const CODE_A: &str = "O0013ODILE-DEMO-A";
const CODE_B: &str = "O0013ODILE-DEMO-B";
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const ASK_EVERY: Duration = Duration::from_millis(10);
const LAST_LINES: usize = 5;
