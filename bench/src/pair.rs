//! Two stations in this process, each pinned to a core of its own.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use odile_station::partner::Transport;
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

/// On what terms they exchange files.
pub struct Terms<'a> {
    /// What carries the session.
    pub transport: Transport,
    /// The `[send]` table of the sender's partner file.
    pub send: &'a str,
    /// Keys of sender and receiver, if any are needed.
    pub identities: Option<(&'a Key, &'a Key)>,
}

/// A key and its certificate, which signs itself.
pub struct Key {
    certificate: String,
    key: String,
}

impl Key {
    /// A new one, RSA of 2048 bits, for 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If none can be made.
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        Self { certificate, key: key.serialize_pem() }
    }

    /// Makes it the key of one station, and its certificate known to the other, by the owner's name there.
    fn install(&self, owner: &Home, other: &Home, name: &str) {
        private(&owner.keys().join("station.key"), &self.key);
        private(&owner.keys().join("station.crt"), &self.certificate);
        let folder = other.certificates(&name.parse().expect("a valid name")).join("shared");
        fs::create_dir_all(&folder).expect("a folder");
        private(&folder.join("station.crt"), &self.certificate);
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

fn private(path: &Path, text: &str) {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    file.write_all(text.as_bytes()).expect("room for it");
}

impl Pair {
    /// Starts both in folders below `folder`.
    ///
    /// # Panics
    ///
    /// If a station cannot be started: benchmarks have nothing else to do then.
    pub fn start(folder: &Path, target: Target, cores: &[usize]) -> Self {
        Self::start_with(
            folder,
            target,
            cores,
            &Terms { transport: Transport::Plain, send: "", identities: None },
        )
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
        let folder = tempfile::tempdir_in(folder).expect("a scratch folder");
        let home = |name: &str, code: &str| {
            Home::create(&folder.path().join(name), &format!("code = \"{code}\"\n")).expect("a new home")
        };
        let (alpha, beta) = (home("alpha", "O0013ALPHA"), home("beta", "O0013BETA"));
        let options = |core: usize, target| Options {
            cpus: cores.get(core % cores.len().max(1)).copied().into_iter().collect(),
            workers: 1,
            target,
            ..base.clone()
        };
        let name = |name: &str| name.parse().expect("a valid name");
        let transport = terms.transport;
        let partner = format!("code = \"O0013ALPHA\"\ntransport = \"{transport}\"\n");
        beta.add_partner(&name("alpha"), &partner).expect("a valid partner");
        if let Some((ours, theirs)) = terms.identities {
            ours.install(&alpha, &beta, "alpha");
            theirs.install(&beta, &alpha, "beta");
        }
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = match transport {
            Transport::Plain => Listen::plain(loopback),
            Transport::Tls => Listen { plain: None, tls: Some(loopback) },
        };
        let receiver = Station::start(beta.clone(), options(1, target), listen, Calls::All, quiet())
            .expect("the receiver starts");
        let handle = receiver.handle();
        let address = handle.address().or(handle.tls_address()).expect("it listens");
        let partner = format!(
            "code = \"O0013BETA\"\naddress = \"{address}\"\ntransport = \"{transport}\"\n[send]\n{}",
            terms.send
        );
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
