//! Two stations in processes of their own, one on each of two cores.

use std::path::{Path, PathBuf};

use crate::homes::{Homes, Terms};
use crate::processes::CpuTime;
use crate::rounds::Turn;
use crate::station_process::{Setting, StationProcess};

/// A sender and a receiver.
pub struct Stations {
    /// The sender's process.
    pub sender: StationProcess,
    /// The receiver's process.
    pub receiver: StationProcess,
    homes: Homes,
}

/// Where contestants run and put their files.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Of senders.
    pub sender: &'a Path,
    /// Of receivers.
    pub receiver: &'a Path,
    /// The sender's core, then the receiver's.
    pub cores: [usize; 2],
}

impl Stations {
    /// Starts both.
    ///
    /// # Panics
    ///
    /// If one does not start.
    pub fn start(place: Place<'_>, terms: &Terms<'_>, setting: Setting) -> Self {
        Self::with_lanes(place, terms, setting, 1)
    }

    /// As [`Stations::start`], for so many sessions at the same time.
    ///
    /// # Panics
    ///
    /// If one does not start.
    pub fn with_lanes(place: Place<'_>, terms: &Terms<'_>, setting: Setting, lanes: usize) -> Self {
        let homes = Homes::with_lanes([place.sender, place.receiver], terms, lanes);
        let receiver = StationProcess::start(place.cores[1], &homes.receiver, homes.listen(), setting);
        homes.introduce(receiver.address().expect("it listens"));
        let nowhere = odile_station::Listen::NOWHERE;
        let sender = StationProcess::start(place.cores[0], &homes.sender, nowhere, setting);
        Self { sender, receiver, homes }
    }

    /// Sends a file, and removes what was received.
    ///
    /// # Panics
    ///
    /// If it does not arrive, or over TLS with another cipher than AES-256-GCM.
    pub fn turn(&mut self, source: &Path) -> Turn {
        let before = self.cpu();
        let (took, tls) = self.sender.send("beta", source);
        let turn = self.since(before, took);
        assert!(tls.is_empty() || tls == SECURED, "the contest is about {SECURED}, not {tls}");
        self.homes.empty_inbox();
        turn
    }

    /// Sends files at the same time, each in a session of its own, and removes what was received.
    ///
    /// # Panics
    ///
    /// If one does not arrive.
    pub fn turn_at_once(&mut self, sources: &[PathBuf]) -> Turn {
        let before = self.cpu();
        let took = self.sender.send_at_once("beta", sources);
        let turn = self.since(before, took);
        self.homes.empty_inbox();
        turn
    }

    /// Sends all files of a folder, and removes what was received.
    ///
    /// # Panics
    ///
    /// If one does not arrive.
    pub fn turn_with_folder(&mut self, folder: &Path) -> (Turn, String) {
        let before = self.cpu();
        let (took, sessions) = self.sender.send_folder("beta", folder);
        let turn = self.since(before, took);
        self.homes.empty_inbox();
        (turn, sessions)
    }

    fn cpu(&self) -> [CpuTime; 2] {
        [self.sender.cpu(), self.receiver.cpu()]
    }

    fn since(&self, before: [CpuTime; 2], took: std::time::Duration) -> Turn {
        let now = self.cpu();
        Turn { took, sender: now[0] - before[0], receiver: now[1] - before[1] }
    }
}

/// What both sides agree on by themselves.
const SECURED: &str = "TLSv1_3 TLS13_AES_256_GCM_SHA384";
