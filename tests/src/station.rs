//! Stations for tests: real homes in temporary folders, real sockets on loopback, events kept.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use odile_station::{
    Calls, Event, Handle, Home, Listen, Options, SendRequest, SessionEnd, Station, StationError,
};
use tempfile::TempDir;

use crate::pki::issued;

/// A station with a home of its own, which goes with it.
pub struct TestStation {
    station: Option<Station>,
    /// What it told.
    pub events: Events,
    home: Home,
    // Last: the folder goes when the station has stopped.
    folder: TempDir,
}

/// Events of a station, in order; shared.
#[derive(Clone, Default)]
pub struct Events {
    inner: Arc<(Mutex<Vec<Event>>, Condvar)>,
}

impl Events {
    /// Everything so far.
    pub fn all(&self) -> Vec<Event> {
        self.inner.0.lock().expect("no test thread panics with the lock").clone()
    }

    /// Waits until an event is as wanted. The deadline is there for broken code only.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.inner.0.lock().expect("no test thread panics with the lock");
        loop {
            if let Some(event) = events.iter().find(|event| wanted(event)) {
                return event.clone();
            }
            events = self.wait(events, deadline, what);
        }
    }

    /// Waits until so many events are as wanted.
    pub fn wait_for_many(&self, count: usize, what: &str, wanted: impl Fn(&Event) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.inner.0.lock().expect("no test thread panics with the lock");
        while events.iter().filter(|event| wanted(event)).count() < count {
            events = self.wait(events, deadline, &format!("{count} of {what}"));
        }
    }

    fn wait<'a>(
        &'a self,
        events: MutexGuard<'a, Vec<Event>>,
        deadline: Instant,
        what: &str,
    ) -> MutexGuard<'a, Vec<Event>> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let told = events.clone();
            // The station still has something to tell.
            drop(events);
            unreachable!("waited for {what}; events: {told:#?}");
        }
        self.inner.1.wait_timeout(events, left).expect("no test thread panics with the lock").0
    }

    fn push(&self, event: Event) {
        self.inner.0.lock().expect("no test thread panics with the lock").push(event);
        self.inner.1.notify_all();
    }
}

impl TestStation {
    /// A home with this code; not started.
    pub fn new(code: &str) -> Self {
        Self::with(code, "")
    }

    /// The same with more text in `station.toml`.
    pub fn with(code: &str, terms: &str) -> Self {
        Self::within(tempfile::tempdir().expect("a temporary folder"), code, terms)
    }

    /// A home on the disk where this was built, whatever holds temporary files: for what a RAM disk does otherwise.
    pub fn on_disk(code: &str) -> Self {
        // TARGET/PROFILE/deps/THIS-TEST
        let this = std::env::current_exe().expect("a test is a program");
        let scratch = this.ancestors().nth(3).expect("it lies in deps").join("tmp");
        fs::create_dir_all(&scratch).expect("a scratch folder");
        Self::within(tempfile::tempdir_in(scratch).expect("a temporary folder"), code, "")
    }

    fn within(folder: TempDir, code: &str, terms: &str) -> Self {
        let root = folder.path().join("home");
        let config = format!("code = \"{code}\"\noutbox_quiet_seconds = 0\n{terms}");
        let home = Home::create(&root, &config).expect("a new home");
        Self { station: None, events: Events::default(), home, folder }
    }

    /// Adds a partner with the text of its file.
    pub fn add_partner(&self, name: &str, config: &str) {
        self.home.add_partner(&name.parse().expect("a name"), config).expect("a valid partner");
    }

    /// Starts it, listening at a port of its own.
    pub fn start(&mut self) -> SocketAddr {
        self.start_with(options())
    }

    /// Starts it with these options.
    pub fn start_with(&mut self, options: Options) -> SocketAddr {
        self.start_at(options, Listen::plain(LOOPBACK));
        self.handle().address().expect("it listens")
    }

    /// Starts it, listening with TLS at a port of its own, and without at another; gives the former.
    pub fn start_secure(&mut self, options: Options) -> SocketAddr {
        self.start_at(options, Listen { plain: Some(LOOPBACK), tls: Some(LOOPBACK) });
        self.handle().tls_address().expect("it listens")
    }

    /// Starts it, listening there.
    pub fn start_at(&mut self, options: Options, listen: Listen) {
        let events = self.events.clone();
        let sink = Arc::new(move |event: &Event| events.push(event.clone()));
        let station =
            Station::start(self.home.clone(), options, listen, Calls::All, sink).expect("the station starts");
        self.station = Some(station);
    }

    /// Stops it; the home stays.
    pub fn stop(&mut self) {
        self.station = None;
    }

    /// Its handle, while it runs.
    pub fn handle(&self) -> Handle {
        self.station.as_ref().expect("the station runs").handle()
    }

    /// Its home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// A folder beside the home for files to send.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file to send.
    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("a temporary file");
        path
    }

    /// Queues a file for a partner; gives its number such as `S1`.
    pub fn send(&self, partner: &str, path: &Path) -> String {
        let outbound = self.handle().send(&SendRequest::new(partner, path)).expect("it is queued");
        format!("S{}", outbound.id)
    }

    /// Calls a partner, as soon as no other call to it is under way, and waits for the end of the session.
    pub fn call(&self, partner: &str) -> SessionEnd {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.handle().call(partner) {
                Ok(end) => return end,
                Err(StationError::CannotSend(text)) if text.ends_with("is being called already") => {}
                Err(error) => unreachable!("{partner} cannot be called: {error}"),
            }
            assert!(
                Instant::now() < deadline,
                "{partner} is being called for ever: {:#?}",
                self.events.all()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a transfer is in this state.
    pub fn wait_state(&self, transfer: &str, state: &str) {
        let transfer = transfer.parse().expect("a transfer number");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (now, detail, _) = self.handle().state(transfer).expect("the transfer is known");
            if now == state {
                return;
            }
            let events = self.events.all();
            assert!(Instant::now() < deadline, "{transfer} is {now} ({detail}), not {state}: {events:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a transfer has something to say of its state.
    pub fn wait_detail(&self, transfer: &str, wanted: &str) {
        let transfer = transfer.parse().expect("a transfer number");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (state, detail, _) = self.handle().state(transfer).expect("the transfer is known");
            if detail.contains(wanted) {
                return;
            }
            let events = self.events.all();
            assert!(Instant::now() < deadline, "{transfer} is {state} ({detail}), not {wanted}: {events:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Files in the inbox of a partner, without sidecars, sorted.
    pub fn inbox(&self, partner: &str) -> Vec<PathBuf> {
        let folder = self.home.inbox(&partner.parse().expect("a name"));
        let mut files: Vec<_> = fs::read_dir(folder)
            .expect("the inbox is there")
            .map(|entry| entry.expect("a readable inbox").path())
            .filter(|path| path.extension().is_none_or(|ending| ending != "json"))
            .collect();
        files.sort();
        files
    }

    /// Names in the spool.
    pub fn spool(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.spool()).expect("the spool is there");
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect()
    }
}

/// Two stations that know each other and run; the first one calls the second, which has no address for it.
pub fn pair() -> (TestStation, TestStation) {
    pair_with("", options(), options())
}

/// The same with more text in both partner files, and options.
pub fn pair_with(terms: &str, ours: Options, theirs: Options) -> (TestStation, TestStation) {
    let mut alpha = TestStation::new("O0013ALPHA");
    let mut beta = TestStation::new("O0013BETA");
    beta.add_partner("alpha", &format!("code = \"O0013ALPHA\"\n{terms}"));
    let address = beta.start_with(theirs);
    alpha.add_partner("beta", &format!("code = \"O0013BETA\"\naddress = \"{address}\"\n{terms}"));
    alpha.start_with(ours);
    (alpha, beta)
}

/// The same over TLS: each has a key, and the other's certificate for everything. `ours` and `theirs` are more text
/// for the partner files of the first and of the second.
pub fn secure_pair(ours: &str, theirs: &str) -> (TestStation, TestStation) {
    let (alpha, beta) = equipped_pair();
    joined(alpha, beta, ours, theirs)
}

/// Two stations, each with a key and the other's certificate for everything; not started.
pub fn equipped_pair() -> (TestStation, TestStation) {
    let (alpha, beta) = (TestStation::new("O0013ALPHA"), TestStation::new("O0013BETA"));
    alpha.give_key(&issued("alpha"));
    alpha.give_certificate("beta", "shared", &issued("beta"));
    beta.give_key(&issued("beta"));
    beta.give_certificate("alpha", "shared", &issued("alpha"));
    (alpha, beta)
}

/// Makes them partners over TLS and starts them; the first one calls the second, which has no address for it.
pub fn joined(
    mut alpha: TestStation,
    mut beta: TestStation,
    ours: &str,
    theirs: &str,
) -> (TestStation, TestStation) {
    beta.add_partner("alpha", &format!("code = \"O0013ALPHA\"\ntransport = \"tls\"\n{theirs}"));
    let address = beta.start_secure(options());
    let partner = format!("code = \"O0013BETA\"\naddress = \"{address}\"\ntransport = \"tls\"\n{ours}");
    alpha.add_partner("beta", &partner);
    alpha.start_secure(options());
    (alpha, beta)
}

/// Small and unpinned: many tests run beside each other.
pub fn options() -> Options {
    Options { pool_blocks: 8, workers: 1, ..Options::default() }
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// How long a test waits for what must happen: only broken code gets there.
pub const PATIENCE: Duration = Duration::from_secs(60);
