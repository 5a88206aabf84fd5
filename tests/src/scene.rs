//! A station under test, between a scripted peer and a partner that behaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odile_station::{Event, Options, SessionEnd};

use crate::peer::{PEER, STATION};
use crate::pki::issued;
use crate::station::{PATIENCE, TestStation, options};

/// A station under test. It knows the partner `peer`, which is a [`crate::peer::Peer`], and the partner `good`.
pub struct Scene {
    /// The station under test.
    pub station: TestStation,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it calls the peer, if it does.
    pub port: TcpListener,
    good: TestStation,
}

impl Scene {
    /// The peer calls the station. `terms`: more text for its partner file.
    pub fn new(terms: &str) -> Self {
        Self::with(terms, options())
    }

    /// The same, with options.
    pub fn with(terms: &str, options: Options) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::start(TestStation::new(STATION), &format!("code = \"{PEER}\"\n{terms}"), options, port)
    }

    /// The peer calls the station, whose file has more text.
    pub fn of_station(terms: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let peer = format!("code = \"{PEER}\"\n");
        Self::start(TestStation::with(STATION, terms), &peer, options(), port)
    }

    /// The station calls the peer at [`Scene::port`].
    pub fn calling(terms: &str) -> Self {
        Self::calling_with(terms, options())
    }

    /// The same, with options.
    pub fn calling_with(terms: &str, options: Options) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = port.local_addr().expect("bound");
        let peer = format!("code = \"{PEER}\"\naddress = \"{address}\"\n{terms}");
        Self::start(TestStation::new(STATION), &peer, options, port)
    }

    /// The peer calls the station, which has keys and certificates: it listens with TLS as well.
    pub fn prepared(station: TestStation, terms: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::start(station, &format!("code = \"{PEER}\"\n{terms}"), options(), port)
    }

    /// The station, which has keys and certificates, calls the peer at [`Scene::port`].
    pub fn prepared_calling(station: TestStation, terms: &str) -> Self {
        Self::prepared_calling_with(station, terms, options())
    }

    /// The same, with options.
    pub fn prepared_calling_with(station: TestStation, terms: &str, options: Options) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = port.local_addr().expect("bound");
        let peer = format!("code = \"{PEER}\"\naddress = \"{address}\"\n{terms}");
        Self::start(station, &peer, options, port)
    }

    /// The peer calls the station. Each has a key and the other's certificate.
    pub fn secured(terms: &str) -> Self {
        Self::prepared(equipped(), terms)
    }

    /// The same, but the station calls.
    pub fn secured_calling(terms: &str) -> Self {
        Self::prepared_calling(equipped(), terms)
    }

    fn start(mut station: TestStation, peer: &str, options_: Options, port: TcpListener) -> Self {
        station.add_partner("peer", peer);
        station.add_partner("good", "code = \"O0013GOOD\"\n[session]\ninactivity_seconds = 60\n");
        let has_keys = fs::read_dir(station.home().keys()).expect("a folder").count() > 0;
        if has_keys {
            station.start_secure(options_);
        } else {
            station.start_with(options_);
        }
        let address = station.handle().address().expect("it listens");
        let mut good = TestStation::new("O0013GOOD");
        good.add_partner("station", &format!("code = \"{STATION}\"\naddress = \"{address}\"\n"));
        good.start_with(options());
        Self { station, address, port, good }
    }

    /// Where the station listens with TLS.
    pub fn secure_address(&self) -> SocketAddr {
        self.station.handle().tls_address().expect("it has a key")
    }

    /// All sessions with the peer have ended; how, in the order of their ends.
    pub fn ends(&self) -> Vec<SessionEnd> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (mut open, mut ends) = (BTreeSet::new(), Vec::new());
            for event in self.station.events.all() {
                match event {
                    Event::Connected { session, .. } => drop(open.insert(session)),
                    Event::SessionEnded { session, partner, end } => {
                        open.remove(&session);
                        if partner.as_deref() != Some("good") {
                            ends.push(end);
                        }
                    }
                    _ => {}
                }
            }
            if open.is_empty() {
                return ends;
            }
            assert!(Instant::now() < deadline, "sessions do not end: {:#?}", self.station.events.all());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The one session with the peer has ended; how.
    pub fn end(&self) -> SessionEnd {
        let mut ends = self.ends();
        assert_eq!(ends.len(), 1, "{ends:#?}");
        ends.remove(0)
    }

    /// Whatever the peer did: its sessions have ended, exactly `received` files of it are in the inbox and nothing
    /// else, the spool is empty, and the station serves the partner that behaves.
    pub fn assert_unharmed(&self, received: usize) {
        self.assert_unharmed_while_waiting(received, 0);
    }

    /// The same, but so many files wait in the spool for the peer to go on with them: what came of each, and what
    /// tells of it, and nothing else but what is kept of files that are still to be sent.
    pub fn assert_unharmed_while_waiting(&self, received: usize, waiting: usize) {
        self.ends();
        let inbox = self.station.inbox("peer");
        assert_eq!(inbox.len(), received, "{inbox:?}");
        let folder = self.station.home().inbox(&"peer".parse().expect("a name"));
        let with_sidecars = fs::read_dir(folder).expect("the inbox is there").count();
        assert_eq!(with_sidecars, 2 * received, "a sidecar for each file, and no more");
        let kept = self.station.spool();
        let (mut parts, mut checkpoints) = (BTreeSet::new(), BTreeSet::new());
        for name in &kept {
            match name.rsplit_once('.') {
                Some((transfer, _)) if transfer.starts_with('S') => {
                    let (state, _) = self.state(transfer);
                    assert!(["queued", "held"].contains(&&*state), "{transfer} is {state}: {kept:?}");
                }
                Some((stem, "part")) => drop(parts.insert(stem)),
                Some((stem, "checkpoint-0" | "checkpoint-1")) => drop(checkpoints.insert(stem)),
                _ => unreachable!("{name} is in the spool"),
            }
        }
        assert_eq!(parts, checkpoints, "{kept:?}");
        assert_eq!(parts.len(), waiting, "{kept:?}");
        assert_eq!(self.interrupted().len(), waiting, "{:#?}", self.station.events.all());
        self.assert_serves();
    }

    /// Files that wait for the peer to go on with them, and the octets of each that are safe, as was told last.
    pub fn interrupted(&self) -> BTreeMap<String, u64> {
        let mut safe = BTreeMap::new();
        for event in self.station.events.all() {
            if let Event::Interrupted { transfer, safe_octets, .. } = event {
                safe.insert(transfer.to_string(), safe_octets);
            }
        }
        safe.retain(|transfer, _| self.state(transfer).0 == "receiving");
        safe
    }

    /// The peer has left in the middle of the file that has this number here: so many octets of it are safe.
    pub fn assert_waits(&self, transfer: &str, safe_octets: u64) {
        self.ends();
        assert_eq!(self.interrupted().get(transfer), Some(&safe_octets), "{:#?}", self.station.events.all());
        let (_, detail) = self.state(transfer);
        assert!(detail.starts_with("the session ended in the middle of the file: "), "{detail}");
    }

    /// The station takes a file of a partner that behaves, and sends the receipt.
    pub fn assert_serves(&self) {
        let before = self.station.inbox("good").len();
        let path = self.good.write("good file", b"all is well");
        let transfer = self.good.send("station", &path);
        self.good.wait_state(&transfer, "delivered");
        let inbox = self.station.inbox("good");
        assert_eq!(inbox.len(), before + 1);
        for file in inbox {
            assert_eq!(fs::read(file).expect("readable"), b"all is well");
        }
    }

    /// The station has told this.
    pub fn assert_told(&self, what: &str) {
        self.station.events.wait_for(what, |event| event.to_string().contains(what));
    }

    /// State and detail of a transfer of the station.
    pub fn state(&self, transfer: &str) -> (String, String) {
        let transfer = transfer.parse().expect("a transfer number");
        let (state, detail, _) = self.station.handle().state(transfer).expect("the transfer is known");
        (state, detail)
    }

    /// The operator tries a transfer again.
    pub fn retry(&self, transfer: &str) {
        let transfer = transfer.parse().expect("a transfer number");
        self.station.handle().retry(transfer).expect("it may be tried again");
    }
}

/// A station under test that has a key and the peer's certificate for everything; not started.
pub fn equipped() -> TestStation {
    let station = TestStation::new(STATION);
    station.give_key(&issued("station"));
    station.give_certificate("peer", "shared", &issued("peer"));
    station
}

/// Every path below a folder.
pub fn tree(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}
