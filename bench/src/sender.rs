//! A station that sends, and what it tells of that.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use odile_station::{Calls, Event, EventSink, Handle, Home, Listen, Options, SendRequest, Station, Target};

/// A station that sends to others. It stops when dropped.
pub struct Sender {
    station: Station,
    events: Receiver<Event>,
    seen: Arc<Mutex<Seen>>,
}

/// What was told besides the files.
#[derive(Default)]
struct Seen {
    sessions: usize,
    /// The last session's TLS.
    secured: Option<String>,
}

impl Sender {
    /// Starts it. Its partners must be known.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(home: Home, options: Options) -> Self {
        let (told, events) = mpsc::channel();
        let told = Mutex::new(told);
        let seen = Arc::<Mutex<Seen>>::default();
        let noted = Arc::clone(&seen);
        let sink: EventSink = Arc::new(move |event: &Event| {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Event::SessionOpened { .. } => noted.sessions += 1,
                Event::Secured { tls, .. } => noted.secured = Some(tls.clone()),
                _ => {}
            }
            // The benchmark has ended if nobody listens.
            let _ = told.lock().unwrap_or_else(PoisonError::into_inner).send(event.clone());
        });
        let options = Options { target: Target::Inbox, ..options };
        let station =
            Station::start(home, options, Listen::NOWHERE, Calls::All, sink).expect("the sender starts");
        Self { station, events, seen }
    }

    /// For what else may be asked of it.
    pub fn handle(&self) -> Handle {
        self.station.handle()
    }

    /// Sends a file; gives the time from SFID to EFPA.
    ///
    /// # Panics
    ///
    /// If it does not arrive.
    pub fn send_and_wait(&self, partner: &str, source: &Path) -> Duration {
        self.handle().send(&SendRequest::new(partner, source)).expect("it is queued");
        self.wait_for(|event| matches!(event, Event::FileOffered { .. }));
        let began = Instant::now();
        self.wait_for(|event| matches!(event, Event::FileSent { .. }));
        let took = began.elapsed();
        // The next one in a session of its own, so that each round is the same.
        self.wait_for(|event| matches!(event, Event::SessionEnded { .. }));
        took
    }

    /// Sends files in as few sessions as possible; gives the time from the first SFID to the last receipt.
    ///
    /// # Panics
    ///
    /// If one does not arrive.
    pub fn send_all(&self, requests: &[SendRequest]) -> Duration {
        let handle = self.handle();
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

    /// Sends a file to each of some partners; gives the time from the first SFID to the last EFPA.
    ///
    /// # Panics
    ///
    /// If one does not arrive.
    pub fn send_at_once(&self, requests: &[SendRequest]) -> Duration {
        for request in requests {
            self.handle().send(request).expect("it is queued");
        }
        let (mut began, mut took) = (None, Duration::ZERO);
        let (mut sent, mut ended) = (0, 0);
        // The next ones in sessions of their own.
        while sent < requests.len() || ended < requests.len() {
            match self.next() {
                Event::FileOffered { .. } => {
                    began.get_or_insert_with(Instant::now);
                }
                Event::FileSent { .. } => {
                    sent += 1;
                    took = began.map(|began| began.elapsed()).unwrap_or_default();
                }
                Event::SessionEnded { .. } => ended += 1,
                _ => {}
            }
        }
        took
    }

    /// Sessions so far.
    pub fn sessions(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).sessions
    }

    /// Version and suite of the last session's TLS.
    pub fn secured(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).secured.clone()
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

/// Only something broken takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
