//! Two stations with a line between them that can be cut, and one file on its way.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use odile_station::{
    Calls, Direct, Event, Faults, Handle, Listen, Options, SendRequest, Station, StationError,
};
use odile_tests::boundary::{Line, LineThread, PowerCut};
use odile_tests::envelope::noise;
use odile_tests::pki::issued;
use odile_tests::station::{PATIENCE, TestStation, options};

/// What a file is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Unstructured, without services.
    Plain,
    /// Records, with a signed receipt.
    Watched,
    /// Signed, compressed and encrypted, with a signed receipt.
    Sealed,
    /// Encrypted, nothing else: nobody would notice other octets in the middle.
    Encrypted,
}

/// A station of the pair.
pub struct Half {
    running: Option<Station>,
    events: Arc<Mutex<Vec<Event>>>,
    direct: Direct,
    /// Its home. Last: it goes when the station has stopped.
    pub home: TestStation,
}

/// The two, the line and the file.
pub struct Pair {
    /// Has the file, and calls.
    pub alpha: Half,
    /// Gets the file.
    pub beta: Half,
    pub line: Arc<Line>,
    pub kind: Kind,
    pub content: Vec<u8>,
    pub source: PathBuf,
    _line: LineThread,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    Speaker,
    Listener,
}

impl Half {
    fn new(code: &str, own: &str, partner: &str, direct: Direct) -> Self {
        let home = if direct == Direct::Off { TestStation::new(code) } else { TestStation::on_disk(code) };
        home.give_key(&issued(own));
        home.give_certificate(partner, "shared", &issued(partner));
        Self { home, running: None, events: Arc::default(), direct }
    }

    /// Starts it, listening somewhere. It calls nobody by itself.
    pub fn start(&mut self, faults: Option<Arc<dyn Faults>>) -> Result<SocketAddr, StationError> {
        let events = Arc::clone(&self.events);
        let sink = Arc::new(move |event: &Event| events.lock().unwrap().push(event.clone()));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options {
            checkpoint_bytes: CHECKPOINT_BYTES,
            block_bytes: 128 << 10,
            sync_bytes: 256 << 10,
            direct: self.direct,
            faults,
            ..options()
        };
        let home = self.home.home().clone();
        let station = Station::start(home, options, Listen::plain(address), Calls::Nobody, sink)?;
        let address = station.handle().address().unwrap();
        self.running = Some(station);
        Ok(address)
    }

    pub fn stop(&mut self) {
        self.running = None;
    }

    pub fn handle(&self) -> Handle {
        self.running.as_ref().expect("it runs").handle()
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// What it told, a line each.
    pub fn told(&self) -> String {
        let lines: Vec<_> = self.events().iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    pub fn forget_events(&self) {
        self.events.lock().unwrap().clear();
    }

    pub fn spool(&self) -> PathBuf {
        self.home.home().spool()
    }

    /// Names in the spool, sorted.
    pub fn spooled(&self) -> Vec<String> {
        names(&self.spool())
    }

    /// State and detail of a transfer; none while it is unknown, or the catalog cannot be asked.
    pub fn state(&self, transfer: &str) -> Option<(String, String)> {
        let found = self.running.as_ref()?.handle().state(transfer.parse().unwrap());
        found.ok().map(|(state, detail, _)| (state, detail))
    }
}

impl Pair {
    /// Both run, and the file is not queued yet.
    pub fn new(kind: Kind) -> Self {
        let mut pair = Self::stopped(kind);
        pair.start(Party::Listener, None).unwrap();
        pair.start(Party::Speaker, None).unwrap();
        pair
    }

    /// Neither runs.
    pub fn stopped(kind: Kind) -> Self {
        Self::stopped_with(kind, Direct::Off)
    }

    /// Neither runs. Unless nothing goes past the page cache, they are on a disk.
    pub fn stopped_with(kind: Kind, direct: Direct) -> Self {
        let (line, thread) = Line::lay();
        let alpha = Half::new("O0013ALPHA", "alpha", "beta", direct);
        let beta = Half::new("O0013BETA", "beta", "alpha", direct);
        let terms = kind.terms();
        beta.home.add_partner("alpha", "code = \"O0013ALPHA\"\n");
        let address = line.address();
        alpha.home.add_partner("beta", &format!("code = \"O0013BETA\"\naddress = \"{address}\"\n{terms}"));
        let content = kind.content();
        let source = if kind == Kind::Watched {
            alpha.home.folder().join("model")
        } else {
            alpha.home.home().outbox(&"beta".parse().unwrap()).join("model")
        };
        fs::write(&source, &content).unwrap();
        Self { alpha, beta, line, kind, content, source, _line: thread }
    }

    /// How both do it from their next start on.
    pub fn set_direct(&mut self, direct: Direct) {
        (self.alpha.direct, self.beta.direct) = (direct, direct);
    }

    pub fn half(&mut self, party: Party) -> &mut Half {
        match party {
            Party::Speaker => &mut self.alpha,
            Party::Listener => &mut self.beta,
        }
    }

    pub fn start(&mut self, party: Party, faults: Option<Arc<dyn Faults>>) -> Result<(), StationError> {
        let address = self.half(party).start(faults)?;
        if party == Party::Listener {
            self.line.lead_to(address);
        }
        Ok(())
    }

    /// This attempt is cut after `percent` of the file, and both stations know.
    pub fn interrupt(&self, percent: usize) {
        self.alpha.forget_events();
        self.beta.forget_events();
        self.line.cut_after(i64::try_from(self.content.len() * percent / 100).unwrap());
        let has_failed = |event: &Event| matches!(event, Event::FileFailed { .. });
        self.until("the line is cut", |pair| {
            let is_cut = pair.alpha.events().iter().any(has_failed);
            if !is_cut {
                pair.push_on();
            }
            is_cut
        });
        let is_kept = |event: &Event| matches!(event, Event::Interrupted { .. });
        self.until("what came is safe", |pair| pair.beta.events().iter().any(is_kept));
    }

    /// Both are stopped in the middle of the file.
    pub fn interrupted(kind: Kind, percent: usize) -> Self {
        let mut pair = Self::new(kind);
        pair.interrupt(percent);
        pair.alpha.stop();
        pair.beta.stop();
        pair
    }

    /// Both are started again, and the file is delivered.
    pub fn goes_on(&mut self) {
        self.start(Party::Listener, None).unwrap();
        self.start(Party::Speaker, None).unwrap();
        self.settle(None);
    }

    /// Lets the two talk until the file is where it belongs, and nothing else is anywhere; or until the power is gone.
    pub fn settle(&self, cut: Option<&PowerCut>) {
        self.until("it is settled", |pair| {
            if cut.is_some_and(PowerCut::is_dead) {
                return true;
            }
            let state = pair.alpha.state(FILE).unwrap_or_default();
            let is_lost = ["failed", "refused", "rejected", "unproven", "held"].contains(&state.0.as_str());
            assert!(!is_lost || cut.is_some_and(PowerCut::is_dead), "{state:?}\n{}", pair.told());
            let is_settled = state.0 == "delivered" && pair.left().is_none();
            if !is_settled {
                pair.push_on();
            }
            is_settled
        });
    }

    /// Waits until it is so. The deadline is there for broken code only.
    pub fn until(&self, what: &str, is_there: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE / 4;
        while !is_there(self) {
            let state = self.alpha.state(FILE);
            let left = self.left();
            assert!(Instant::now() < deadline, "{what}: {state:?}, {left:?}\n{}", self.told());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Calls, without waiting for what would be tried again later.
    pub fn push_on(&self) {
        if !self.alpha.is_running() {
            return;
        }
        let alpha = self.alpha.handle();
        match self.alpha.state(FILE) {
            None if self.kind == Kind::Watched => {
                let mut request = SendRequest::new("beta", &self.source);
                request.format = 'V';
                let _ = alpha.send(&request);
            }
            Some((state, detail)) if state == "queued" && !detail.is_empty() => {
                let _ = alpha.retry(FILE.parse().unwrap());
            }
            _ => {}
        }
        let _ = alpha.call("beta");
    }

    /// What is not as it must be in the end.
    pub fn left(&self) -> Option<String> {
        let folder = self.beta.home.home().inbox(&"alpha".parse().unwrap());
        let inbox = names(&folder);
        let [content, sidecar] = inbox.as_slice() else { return Some(format!("inbox: {inbox:?}")) };
        if *sidecar != format!("{content}.json") {
            return Some(format!("inbox: {inbox:?}"));
        }
        let found = fs::read(folder.join(content)).unwrap();
        assert!(found == self.content, "{} octets, not the same\n{}", found.len(), self.told());
        for half in [&self.alpha, &self.beta] {
            let spooled = half.spooled();
            if !spooled.is_empty() {
                return Some(format!("spool: {spooled:?}"));
            }
        }
        if self.kind != Kind::Watched && self.source.exists() {
            return Some("the outbox".to_owned());
        }
        // A file that was queued twice is sent twice.
        self.alpha.state("S2").map(|state| format!("S2: {state:?}"))
    }

    /// What both told.
    pub fn told(&self) -> String {
        format!("alpha:\n{}\nbeta:\n{}", self.alpha.told(), self.beta.told())
    }
}

impl Kind {
    fn terms(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Watched => "[send]\nsigned_receipt = \"required\"\n",
            Self::Sealed => {
                "[send]\nsign = \"required\"\ncompress = \"required\"\nencrypt = \"required\"\n\
                 signed_receipt = \"required\"\n"
            }
            Self::Encrypted => "[send]\nencrypt = \"required\"\n",
        }
    }

    fn content(self) -> Vec<u8> {
        // Where it is compressed, a file is gone on with at the end of a chunk of 1 MiB.
        let octets = noise(self as u64 + 1, if self == Self::Sealed { 3_300_000 } else { 1_200_000 });
        if self != Self::Watched {
            return octets;
        }
        let mut records = Vec::new();
        for record in octets.chunks(3000) {
            records.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
            records.extend(record);
        }
        records
    }
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The number of the one file.
pub const FILE: &str = "S1";
const CHECKPOINT_BYTES: u64 = 128 << 10;
