//! Two stations in this process, each pinned to a core of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use odile_station::{Calls, Event, EventSink, Home, Listen, Options, SendRequest, Station, Target};
use tempfile::TempDir;

/// A sending and a receiving station. They stop when dropped.
pub struct Pair {
    sender: Station,
    _receiver: Station,
    events: Receiver<Event>,
    sessions: Arc<Mutex<usize>>,
    receiver_home: Home,
    _folder: TempDir,
}

impl Pair {
    /// Starts both in folders below `folder`.
    ///
    /// # Panics
    ///
    /// If a station cannot be started: benchmarks have nothing else to do then.
    pub fn start(folder: &Path, target: Target, cores: &[usize]) -> Self {
        let folder = tempfile::tempdir_in(folder).expect("a scratch folder");
        let home = |name: &str, code: &str| {
            Home::create(&folder.path().join(name), &format!("code = \"{code}\"\n")).expect("a new home")
        };
        let (alpha, beta) = (home("alpha", "O0013ALPHA"), home("beta", "O0013BETA"));
        let options = |core: usize, target| Options {
            cpus: cores.get(core % cores.len().max(1)).copied().into_iter().collect(),
            workers: 1,
            target,
            ..Options::default()
        };
        let name = |name: &str| name.parse().expect("a valid name");
        beta.add_partner(&name("alpha"), "code = \"O0013ALPHA\"").expect("a valid partner");
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let receiver =
            Station::start(beta.clone(), options(1, target), Listen::plain(loopback), Calls::All, quiet())
                .expect("the receiver starts");
        let address = receiver.handle().address().expect("it listens");
        let partner = format!("code = \"O0013BETA\"\naddress = \"{address}\"");
        alpha.add_partner(&name("beta"), &partner).expect("a valid partner");
        let (told, events) = mpsc::channel();
        let told = Mutex::new(told);
        let sessions = Arc::new(Mutex::new(0));
        let count = Arc::clone(&sessions);
        let sink: EventSink = Arc::new(move |event: &Event| {
            if matches!(event, Event::SessionOpened { .. }) {
                *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
            // The benchmark has ended if nobody listens.
            let _ = told.lock().unwrap_or_else(PoisonError::into_inner).send(event.clone());
        });
        let sender = Station::start(alpha, options(0, Target::Inbox), Listen::NOWHERE, Calls::All, sink)
            .expect("the sender starts");
        Self { sender, _receiver: receiver, events, sessions, receiver_home: beta, _folder: folder }
    }

    /// Sends a file; gives the time from SFID to EFPA.
    pub fn send_and_wait(&self, source: &Path) -> Duration {
        self.sender.handle().send(&SendRequest::new("beta", source)).expect("it is queued");
        self.wait_for(|event| matches!(event, Event::FileOffered { .. }));
        let began = Instant::now();
        self.wait_for(|event| matches!(event, Event::FileSent { .. }));
        let took = began.elapsed();
        // The next one in a session of its own, so that each round is the same.
        self.wait_for(|event| matches!(event, Event::SessionEnded { .. }));
        took
    }

    /// Sends files in as few sessions as possible; gives the time from the first SFID to the last receipt.
    pub fn send_all(&self, requests: &[SendRequest]) -> Duration {
        let handle = self.sender.handle();
        let mut began = None;
        for request in requests {
            handle.send(request).expect("it is queued");
        }
        let mut receipts = 0;
        while receipts < requests.len() {
            match self.next() {
                Event::FileOffered { .. } => {
                    began.get_or_insert_with(Instant::now);
                }
                Event::ReceiptArrived { .. } => receipts += 1,
                _ => {}
            }
        }
        began.map(|began| began.elapsed()).unwrap_or_default()
    }

    /// Sessions so far.
    pub fn sessions(&self) -> usize {
        *self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what was received.
    pub fn empty_inbox(&self) {
        let inbox = self.receiver_home.inbox(&"alpha".parse().expect("a valid name"));
        for entry in fs::read_dir(inbox).expect("the inbox is there").flatten() {
            fs::remove_file(entry.path()).expect("it can be removed");
        }
    }

    fn wait_for(&self, wanted: impl Fn(&Event) -> bool) {
        while !wanted(&self.next()) {}
    }

    fn next(&self) -> Event {
        let event = self.events.recv_timeout(PATIENCE).expect("the stations go on");
        assert!(!event.is_trouble(), "{event}");
        event
    }
}

fn quiet() -> EventSink {
    Arc::new(|event: &Event| {
        if let Event::Trouble { text } = event {
            eprintln!("{text}");
        }
    })
}

/// Only something broken takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
