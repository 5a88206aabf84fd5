//! One end of a measurement: a station in a folder of its own that nobody keeps.

use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime};

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
pub fn request(
    partner: &str,
    name: &str,
    octets: u64,
    services: LinkServices,
    description: Option<String>,
) -> SendRequest {
    let file = SyntheticFile { content: CONTENT, octets };
    let mut request = SendRequest::new(partner, file.to_string());
    // Each end begins with an empty catalog: without the time, names would come again within a second.
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    request.dataset_name = Some(format!("{name}.{:013}", time % 10_000_000_000_000));
    request.description = description;
    request.services.sign = Some(services.sign);
    request.services.compress = Some(services.compress);
    request.services.encrypt = Some(services.encrypt);
    request
}

/// What is measured of the file that passes next, and how it is told.
pub fn measured(event: &Event) -> Option<Measured> {
    match event {
        Event::Measured { measured, .. } => Some((**measured).clone()),
        _ => None,
    }
}

/// Processor seconds of this process so far, and of its busiest thread (proc(5)).
pub fn processor_seconds() -> (f64, f64) {
    let seconds = |stat: &str| {
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum();
        // 100 ticks a second on every Linux of today.
        ticks / 100.0
    };
    let all = fs::read_to_string("/proc/self/stat").map(|stat| seconds(&stat)).unwrap_or_default();
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let busiest = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok())
        .map(|stat| seconds(&stat))
        .fold(0.0, f64::max);
    (all, busiest)
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
