//! Homes of two stations that know each other.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use odile_station::partner::Transport;
use odile_station::{Home, Listen};
use tempfile::TempDir;

/// Homes of a sender, `alpha`, and a receiver, `beta`. They are removed when dropped.
pub struct Homes {
    /// The sender's.
    pub sender: Home,
    /// The receiver's.
    pub receiver: Home,
    transport: Transport,
    send: String,
    lanes: usize,
    _folders: [TempDir; 2],
}

/// On what terms two stations exchange files.
pub struct Terms<'a> {
    /// What carries the session.
    pub transport: Transport,
    /// The `[send]` table of the sender's partner file.
    pub send: &'a str,
    /// Keys of sender and receiver, if any are needed.
    pub identities: Option<(&'a Key, &'a Key)>,
}

impl Terms<'_> {
    /// Plain sessions, plain files.
    pub const PLAIN: Self = Self { transport: Transport::Plain, send: "", identities: None };
}

/// A key and its certificate, which signs itself.
pub struct Key {
    /// In PEM.
    pub certificate: String,
    /// PKCS#8 in PEM.
    pub key: String,
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

    /// Makes it the key of a station.
    fn install(&self, owner: &Home) {
        write_private(&owner.keys().join("station.key"), &self.key);
        write_private(&owner.keys().join("station.crt"), &self.certificate);
    }

    /// Makes its certificate known to a station, by the owner's name there.
    fn make_known(&self, station: &Home, name: &str) {
        let folder = station.certificates(&name.parse().expect("a valid name")).join("shared");
        fs::create_dir_all(&folder).expect("a folder");
        write_private(&folder.join("station.crt"), &self.certificate);
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl Homes {
    /// Makes both in folders of their own below `folders`, the sender's first. The sender does not know yet where the
    /// receiver listens: [`Homes::introduce`].
    ///
    /// # Panics
    ///
    /// If they cannot be made: benchmarks have nothing else to do then.
    pub fn create(folders: [&Path; 2], terms: &Terms<'_>) -> Self {
        Self::with_lanes(folders, terms, 1)
    }

    /// As [`Homes::create`], but the sender knows the receiver as so many partners: `beta`, `beta1`, …, since a station
    /// opens one session with a partner at a time.
    ///
    /// # Panics
    ///
    /// If they cannot be made.
    pub fn with_lanes(folders: [&Path; 2], terms: &Terms<'_>, lanes: usize) -> Self {
        let folders = folders.map(|folder| tempfile::tempdir_in(folder).expect("a scratch folder"));
        let home = |at: usize, name: &str, code: &str| {
            let root = folders[at].path().join(name);
            Home::create(&root, &format!("code = \"{code}\"\n")).expect("a new home")
        };
        let (sender, receiver) = (home(0, "alpha", "O0013ALPHA"), home(1, "beta", "O0013BETA"));
        let transport = terms.transport;
        for lane in (0..lanes).map(lane_suffix) {
            let (name, other) = (format!("alpha{lane}"), format!("beta{lane}"));
            let partner = format!(
                "code = \"O0013ALPHA{lane}\"\nour_code = \"O0013BETA{lane}\"\ntransport = \"{transport}\"\n"
            );
            receiver.add_partner(&name.parse().expect("a valid name"), &partner).expect("a valid partner");
            if let Some((ours, theirs)) = terms.identities {
                ours.make_known(&receiver, &name);
                theirs.make_known(&sender, &other);
            }
        }
        if let Some((ours, theirs)) = terms.identities {
            ours.install(&sender);
            theirs.install(&receiver);
        }
        Self { sender, receiver, transport, send: terms.send.to_owned(), lanes, _folders: folders }
    }

    /// Where the receiver is to listen: at any port of loopback.
    pub fn listen(&self) -> Listen {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        match self.transport {
            Transport::Plain => Listen::plain(loopback),
            Transport::Tls => Listen { plain: None, tls: Some(loopback) },
        }
    }

    /// Tells the sender where the receiver listens.
    ///
    /// # Panics
    ///
    /// If the terms are no good.
    pub fn introduce(&self, address: SocketAddr) {
        for lane in (0..self.lanes).map(lane_suffix) {
            let partner = format!(
                "code = \"O0013BETA{lane}\"\nour_code = \"O0013ALPHA{lane}\"\naddress = \"{address}\"\n\
                 transport = \"{}\"\n[send]\n{}",
                self.transport, self.send
            );
            let name = format!("beta{lane}").parse().expect("a valid name");
            self.sender.add_partner(&name, &partner).expect("a valid partner");
        }
    }

    /// Removes what was received.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub fn empty_inbox(&self) {
        for lane in (0..self.lanes).map(lane_suffix) {
            let inbox = self.receiver.inbox(&format!("alpha{lane}").parse().expect("a valid name"));
            for entry in fs::read_dir(inbox).expect("the inbox is there").flatten() {
                fs::remove_file(entry.path()).expect("it can be removed");
            }
        }
    }
}

/// Of a partner's name and codes.
fn lane_suffix(lane: usize) -> String {
    if lane == 0 { String::new() } else { lane.to_string() }
}

/// A new file that nobody else may read.
///
/// # Panics
///
/// If it cannot be written, or is there already.
pub fn write_private(path: &Path, text: &str) {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    file.write_all(text.as_bytes()).expect("room for it");
}
