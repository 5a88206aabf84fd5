//! Two stations in this process, each pinned to a core of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use odile_station::{Calls, Event, EventSink, Options, SendRequest, Station, Target};

pub use crate::homes::{Key, Terms};

use crate::homes::Homes;
use crate::sender::Sender;

/// A sending and a receiving station. They stop when dropped.
pub struct Pair {
    sender: Sender,
    _receiver: Station,
    homes: Homes,
}

impl Pair {
    /// Starts both in folders below `folder`.
    ///
    /// # Panics
    ///
    /// If a station cannot be started: benchmarks have nothing else to do then.
    pub fn start(folder: &Path, target: Target, cores: &[usize]) -> Self {
        Self::start_with(folder, target, cores, &Terms::PLAIN)
    }

    /// Starts both on these terms.
    ///
    /// # Panics
    ///
    /// If a station cannot be started.
    pub fn start_with(folder: &Path, target: Target, cores: &[usize], terms: &Terms<'_>) -> Self {
        Self::start_from(folder, target, cores, terms, &Options::default())
    }

    /// Starts both on these terms, with options that are not pinned or aimed yet.
    ///
    /// # Panics
    ///
    /// If a station cannot be started.
    pub fn start_from(
        folder: &Path,
        target: Target,
        cores: &[usize],
        terms: &Terms<'_>,
        base: &Options,
    ) -> Self {
        let homes = Homes::create([folder, folder], terms);
        let options = |core: usize, target| Options {
            cpus: cores.get(core % cores.len().max(1)).copied().into_iter().collect(),
            workers: 1,
            target,
            ..base.clone()
        };
        let receiver =
            Station::start(homes.receiver.clone(), options(1, target), homes.listen(), Calls::All, quiet())
                .expect("the receiver starts");
        let handle = receiver.handle();
        homes.introduce(handle.address().or(handle.tls_address()).expect("it listens"));
        let sender = Sender::start(homes.sender.clone(), options(0, Target::Inbox));
        Self { sender, _receiver: receiver, homes }
    }

    /// Sends a file; gives the time from SFID to EFPA.
    pub fn send_and_wait(&self, source: &Path) -> Duration {
        self.sender.send_and_wait("beta", source)
    }

    /// Sends files in as few sessions as possible; gives the time from the first SFID to the last receipt.
    pub fn send_all(&self, requests: &[SendRequest]) -> Duration {
        self.sender.send_all(requests)
    }

    /// Sessions so far.
    pub fn sessions(&self) -> usize {
        self.sender.sessions()
    }

    /// Removes what was received.
    pub fn empty_inbox(&self) {
        self.homes.empty_inbox();
    }
}

/// Tells of nothing but trouble.
pub(crate) fn quiet() -> EventSink {
    Arc::new(|event: &Event| {
        if let Event::Trouble { text } = event {
            eprintln!("{text}");
        }
    })
}
