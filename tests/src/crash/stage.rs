//! Two stations that know each other, made with the commands that a person types.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use super::Failure;
use super::mode::{Mode, Side};
use super::process::Process;

/// Both stations.
pub struct Stage {
    /// It has the file.
    pub sender: Process,
    /// It gets the file.
    pub receiver: Process,
}

impl Stage {
    /// Makes both homes; nothing runs yet.
    ///
    /// # Errors
    ///
    /// What the system or a command says.
    pub fn make(program: &Path, folder: &Path, mode: &Mode) -> Result<Self, Failure> {
        let [to_sender, to_receiver] = addresses();
        let mut stage = Self {
            sender: Process::new(program, folder, "sender", to_sender),
            receiver: Process::new(program, folder, "receiver", to_receiver),
        };
        for (station, code) in [(&stage.sender, SENDER_CODE), (&stage.receiver, RECEIVER_CODE)] {
            init(station, code, mode)?;
            if mode.needs_keys() {
                station.run(&["cert", "export", "--to", &certificate(folder, station)])?;
            }
        }
        let Self { sender, receiver } = &stage;
        for (side, station, other, code) in
            [(Side::Sender, sender, receiver, RECEIVER_CODE), (Side::Receiver, receiver, sender, SENDER_CODE)]
        {
            let mut arguments = vec!["partner", "add", other.name, "--code", code];
            let (address, suite) = (other.address.to_string(), mode.suite.to_string());
            let certificate = certificate(folder, other);
            if mode.caller == side {
                arguments.extend(["--address", &address]);
            }
            if mode.needs_keys() {
                arguments.extend(["--certificate", &certificate, "--suite", &suite]);
            }
            if mode.is_secure() {
                arguments.push("--secure");
            } else {
                arguments.extend(mode.tls.then_some("--tls"));
                arguments.extend(mode.authentication.then_some("--authentication"));
            }
            station.run(&arguments)?;
        }
        for station in [&mut stage.sender, &mut stage.receiver] {
            station.set_flags(flags(mode));
        }
        Ok(stage)
    }

    /// The station of a side.
    pub fn station(&mut self, side: Side) -> &mut Process {
        match side {
            Side::Sender => &mut self.sender,
            Side::Receiver => &mut self.receiver,
        }
    }

    /// Queues the file; gives its number, such as `S1`.
    ///
    /// # Errors
    ///
    /// What the command says.
    pub fn queue(&self, file: &Path, mode: &Mode) -> Result<String, Failure> {
        let (format, record_size) = (mode.format.letter().to_string(), mode.format.record_size().to_string());
        let (path, suite) = (file.display().to_string(), mode.suite.to_string());
        let mut arguments = vec!["send", self.receiver.name, &path, "--wait", "none", "--format", &format];
        arguments.extend(["--record-size", &record_size]);
        let services = [
            (mode.sign, "--sign", "--no-sign"),
            (mode.compress, "--compress", "--no-compress"),
            (mode.encrypt, "--encrypt", "--no-encrypt"),
            (mode.signed_receipt, "--signed-receipt", "--no-signed-receipt"),
        ];
        arguments.extend(services.map(|(is_wanted, yes, no)| if is_wanted { yes } else { no }));
        if mode.sign || mode.encrypt || mode.signed_receipt {
            arguments.extend(["--suite", &suite]);
        }
        let queued = self.sender.run_json(&arguments)?;
        let transfer = queued[0]["transfer"].as_str();
        transfer.map(str::to_owned).ok_or_else(|| Failure(format!("odile send gave no transfer: {queued}")))
    }

    /// What both said last.
    pub fn last_words(&self) -> String {
        self.sender.last_words() + &self.receiver.last_words()
    }
}

fn init(station: &Process, code: &str, mode: &Mode) -> Result<(), Failure> {
    let address = station.address.to_string();
    let mut arguments = vec!["init", "--code", code, if mode.tls { "--listen-tls" } else { "--listen" }];
    arguments.push(&address);
    if mode.needs_keys() {
        arguments.extend(["--keys", "--host", "localhost"]);
    }
    station.run(&arguments)?;
    // A process that was killed is back at once: nobody should wait longer for it than he must.
    let path = station.home.station_file();
    let failed = |error| Failure::of(&path.display(), error);
    let text = fs::read_to_string(&path).map_err(failed)?;
    let text = match text.split_once("\n[retry]\n") {
        Some((before, after)) => format!("{before}\n[retry]\n{QUICKLY}{after}"),
        None => format!("{text}\n[retry]\n{QUICKLY}"),
    };
    fs::write(&path, text).map_err(failed)
}

fn certificate(folder: &Path, station: &Process) -> String {
    folder.join(format!("{}.crt", station.name)).display().to_string()
}

fn flags(mode: &Mode) -> Vec<String> {
    let Mode { buffer_compression, checkpoint_bytes, checkpoint_ms, buffer_size, credit, .. } = mode;
    let flags = [
        ("--buffer-compression", if *buffer_compression { "on" } else { "off" }.to_owned()),
        ("--checkpoint-bytes", checkpoint_bytes.to_string()),
        ("--checkpoint-ms", checkpoint_ms.to_string()),
        ("--buffer-size", buffer_size.to_string()),
        ("--credit", credit.to_string()),
    ];
    flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

/// Where both listen: the partner files say it, so that it must be free again after a restart. Ports below those that
/// systems give away, at an address that only this process uses.
fn addresses() -> [SocketAddr; 2] {
    static USED: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = process::id().to_be_bytes();
    let host = IpAddr::V4(Ipv4Addr::new(127, 64 | (high & 63), middle, low));
    let port = FIRST_PORT + 2 * (USED.fetch_add(1, Ordering::Relaxed) % PAIRS);
    [port, port + 1].map(|port| SocketAddr::new(host, port))
}

const SENDER_CODE: &str = "O0013ODILE-CRASH-S";
const RECEIVER_CODE: &str = "O0013ODILE-CRASH-R";
const QUICKLY: &str = "first_seconds = 1\nlongest_seconds = 2\n";
const FIRST_PORT: u16 = 20_000;
const PAIRS: u16 = 5000;
