//! One end of a measurement: a station in a folder of its own that nobody keeps.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime};

use odile_station::catalog::TransferRef;
use odile_station::partner::{PartnerName, Transport};
use odile_station::{
    Calls, Event, Handle, Home, Listen, Measured, Options, Pattern, SendRequest, Station, SyntheticContent,
    SyntheticFile,
};
use tempfile::TempDir;

use super::kit::Kit;
use crate::cli::LinkServices;
use crate::exit::Failure;

/// A running end, and what it tells.
pub struct Side {
    station: Station,
    pub events: Receiver<Event>,
    // Last: the station must have ended.
    _folder: TempDir,
}

/// A partner of an end.
pub struct Peer {
    pub name: String,
    pub code: String,
    /// None: it calls.
    pub address: Option<String>,
    pub transport: Transport,
}

impl Side {
    /// Makes and starts it below `parent`, where disks are to be measured, else where temporary files are.
    pub fn start(
        parent: Option<&Path>,
        code: &str,
        peers: &[Peer],
        kit: Option<&Kit>,
        options: Options,
        listen: Listen,
    ) -> Result<Self, Failure> {
        let cannot = |what: &Path, error: &dyn std::fmt::Display| {
            Failure::usage(format!("cannot make a folder in {}: {error}", what.display()))
        };
        let folder = match parent {
            Some(parent) => tempfile::Builder::new()
                .prefix(FOLDER_PREFIX)
                .tempdir_in(parent)
                .map_err(|error| cannot(parent, &error))?,
            None => tempfile::Builder::new()
                .prefix(FOLDER_PREFIX)
                .tempdir()
                .map_err(|error| cannot(&std::env::temp_dir(), &error))?,
        };
        let home = Home::create(&folder.path().join("home"), &format!("code = \"{code}\"\n"))?;
        let mut names = Vec::new();
        for peer in peers {
            let name = PartnerName::from_str(&peer.name).map_err(Failure::usage)?;
            let Peer { code, transport, .. } = peer;
            let address = peer
                .address
                .as_ref()
                .map_or_else(String::new, |address| format!("address = \"{address}\"\n"));
            let tls = if *transport == Transport::Tls { "[tls]\nhost_name_check = false\n" } else { "" };
            home.add_partner(
                &name,
                &format!("code = \"{code}\"\n{address}transport = \"{transport}\"\n{tls}"),
            )?;
            names.push(name);
        }
        if let Some(kit) = kit {
            kit.install(&home, &names)?;
        }
        let (told, events) = mpsc::channel();
        let sink = Arc::new(move |event: &Event| {
            // Nobody listens any more once the measurement has ended.
            let _ = told.send(event.clone());
        });
        let station = Station::start(home, Options { measure: true, ..options }, listen, Calls::All, sink)?;
        Ok(Self { station, events, _folder: folder })
    }

    pub fn handle(&self) -> Handle {
        self.station.handle()
    }

    /// Waits for the first event that `wanted` finds something in; none, if it does not come in time.
    ///
    /// # Errors
    ///
    /// If something comes that says that it will not.
    pub fn wait<T>(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else { return Ok(None) };
            if let Some(found) = wanted(&event) {
                return Ok(Some(found));
            }
            match &event {
                Event::CallFailed { text, .. } | Event::HandshakeFailed { text, .. } => {
                    return Err(Failure::unreachable(format!("{text}; does `odile link serve` run there?")));
                }
                Event::FileRefused { text, .. }
                | Event::FileFailed { text, .. }
                | Event::ReceiveFailed { text, .. } => {
                    return Err(Failure::refused(text.clone()));
                }
                Event::SessionEnded { end, .. } if event.is_trouble() => {
                    return Err(Failure::refused(format!("the session ended: {} {}", end.reason, end.text)));
                }
                _ => {}
            }
        }
    }
}

/// A file that exists by its name only, and what is done with it.
///
/// `name`: a whole dataset name, see [`new_name`].
pub fn request(
    partner: &str,
    name: String,
    octets: u64,
    services: LinkServices,
    description: Option<String>,
) -> SendRequest {
    let file = SyntheticFile { content: CONTENT, octets };
    let mut request = SendRequest::new(partner, file.to_string());
    request.dataset_name = Some(name);
    request.description = description;
    request.services.sign = Some(services.sign);
    request.services.compress = Some(services.compress);
    request.services.encrypt = Some(services.encrypt);
    request
}

/// A dataset name that was never used. Each end begins with an empty catalog: without the time, names would come again
/// within a second.
pub fn new_name(kind: &str) -> String {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("{kind}.{:013}", time % 10_000_000_000_000)
}

/// What is measured of a file.
pub fn measured(event: &Event, of: TransferRef) -> Option<Measured> {
    match event {
        Event::Measured { transfer, measured } if *transfer == of => Some((**measured).clone()),
        _ => None,
    }
}

/// Processor seconds that this process has used (proc(5)).
pub struct Processor {
    all: f64,
    threads: HashMap<OsString, f64>,
}

impl Processor {
    pub fn now() -> Self {
        let seconds = |stat: &str| {
            let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let used = fields.split_whitespace().skip(11).take(2);
            // 100 ticks a second on every Linux of today.
            used.filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() / 100.0
        };
        let all = fs::read_to_string("/proc/self/stat").map(|stat| seconds(&stat)).unwrap_or_default();
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let threads = threads
            .filter_map(|thread| {
                let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
                Some((thread.file_name(), seconds(&stat)))
            })
            .collect();
        Self { all, threads }
    }

    /// Since then: of all, and of the busiest thread that still runs.
    pub fn since(&self, before: &Self) -> (f64, f64) {
        let used = |(thread, seconds): (&OsString, &f64)| {
            seconds - before.threads.get(thread).copied().unwrap_or_default()
        };
        (self.all - before.all, self.threads.iter().map(used).fold(0.0, f64::max))
    }
}

/// Text as in CAD files, which costs no more than a copy.
pub const CONTENT: SyntheticContent = SyntheticContent { pattern: Pattern::Periodic, seed: 1 };
/// Of whoever is called.
pub const CODE_SERVER: &str = "O0013ODILE-LINK";
const FOLDER_PREFIX: &str = "odile-link-";

/// The code of a session's caller.
pub fn code_of(transport: Transport, number: u16) -> String {
    let letter = if transport == Transport::Tls { 'T' } else { 'P' };
    format!("{CODE_SERVER}-{letter}{number:02}")
}

/// Sessions at the same time.
pub const SESSIONS_MAX: u16 = 16;
