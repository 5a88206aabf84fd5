//! Requests of the command line to a running station: one JSON value a line, over a Unix socket in its home, and
//! one JSON value back for each.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use odile_catalog::TransferRef;
use serde::{Deserialize, Serialize};

use crate::enqueue::SendRequest;
use crate::error::StationError;
use crate::home::Home;
use crate::station::Handle;

/// What the command line may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Queue a file.
    Send(SendRequest),
    /// Call a partner, and take what waits there.
    Call {
        /// The partner's name.
        partner: String,
    },
    /// How far is a transfer?
    Progress {
        /// Its number, such as `S12`.
        transfer: String,
    },
    /// End a transfer for good.
    Cancel {
        /// Its number.
        transfer: String,
    },
    /// Try a transfer again now.
    Retry {
        /// Its number.
        transfer: String,
    },
    /// Is anybody there?
    Status,
}

/// What it is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// The file is in the queue.
    Queued {
        /// Its number.
        transfer: String,
        /// The name it is sent under.
        dataset_name: String,
    },
    /// The session with the partner has ended.
    Called {
        /// True if it ended normally.
        normal: bool,
        /// ESIDREAS, and a text.
        text: String,
    },
    /// A transfer, as it is now.
    Progress {
        /// The state's name.
        state: String,
        /// What there is to say about the state.
        detail: String,
        /// Octets so far, while it runs.
        octets: u64,
        /// Octets in all.
        total: u64,
    },
    /// Done.
    Done,
    /// The station runs.
    Status {
        /// Where it listens.
        address: Option<String>,
        /// Where it listens with TLS.
        #[serde(default)]
        tls_address: Option<String>,
        /// Transfers that are running.
        running: u64,
    },
    /// It was not done.
    Failed {
        /// Why, and what to do.
        text: String,
        /// True if the command or the configuration is the cause.
        usage: bool,
    },
}

/// Serves requests until it is stopped.
pub(crate) struct ControlServer {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    pub(crate) fn start(home: &Home, handle: Handle) -> Result<Self, StationError> {
        let path = home.control_socket();
        // The lock is ours, so that a socket that is there is a leftover.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StationError::Io { operation: "remove", path, source: error });
            }
            _ => {}
        }
        let listener = through_folder(&path, |short| UnixListener::bind(short))
            .map_err(StationError::io("listen at", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(StationError::io("protect", &path))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopping);
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn(move || serve(&listener, &handle, &seen))
            .map_err(StationError::io("start a thread for", &path))?;
        Ok(Self { path, stopping, thread: Some(thread) })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = connect(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn serve(listener: &UnixListener, handle: &Handle, stopping: &AtomicBool) {
    for connection in listener.incoming() {
        if stopping.load(Ordering::Acquire) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let handle = handle.clone();
        // A thread that cannot be started drops the connection, which the other end sees.
        let _ =
            thread::Builder::new().name("control-client".into()).spawn(move || answer(connection, &handle));
    }
}

fn answer(connection: UnixStream, handle: &Handle) {
    let Ok(writer) = connection.try_clone() else { return };
    let mut writer = writer;
    for line in BufReader::new(connection).lines() {
        let Ok(line) = line else { return };
        let response = match serde_json::from_str(&line) {
            Ok(request) => perform(request, handle),
            Err(error) => Response::Failed { text: format!("unknown request: {error}"), usage: true },
        };
        let Ok(mut text) = serde_json::to_string(&response) else { return };
        text.push('\n');
        if writer.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn perform(request: Request, handle: &Handle) -> Response {
    let done = match request {
        Request::Send(request) => handle.send(&request).map(|outbound| Response::Queued {
            transfer: TransferRef::Outbound(outbound.id).to_string(),
            dataset_name: outbound.file.to_string(),
        }),
        Request::Call { partner } => handle.call(&partner).map(|end| Response::Called {
            normal: end.reason == odile_wire::EndSessionReason::NORMAL,
            text: format!("ESID {} {}", end.reason, end.text),
        }),
        Request::Progress { transfer } => progress(handle, &transfer),
        Request::Cancel { transfer } => {
            parse(&transfer).and_then(|id| handle.cancel(id)).map(|()| Response::Done)
        }
        Request::Retry { transfer } => {
            parse(&transfer).and_then(|id| handle.retry(id)).map(|()| Response::Done)
        }
        Request::Status => Ok(Response::Status {
            address: handle.address().map(|address| address.to_string()),
            tls_address: handle.tls_address().map(|address| address.to_string()),
            running: handle.board().all().len() as u64,
        }),
    };
    done.unwrap_or_else(|error| Response::Failed { text: error.to_string(), usage: error.is_usage() })
}

fn progress(handle: &Handle, transfer: &str) -> Result<Response, StationError> {
    let transfer = parse(transfer)?;
    let (state, detail, size) = handle.state(transfer)?;
    let running = handle.board().of(transfer);
    let octets = running.map_or(0, |running| running.octets);
    Ok(Response::Progress { state, detail, octets, total: size })
}

fn parse(transfer: &str) -> Result<TransferRef, StationError> {
    transfer
        .parse()
        .map_err(|error: odile_catalog::InvalidTransferRef| StationError::Contradiction(error.to_string()))
}

/// A connection to a running station.
pub struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Client {
    /// Connects to the station in this home; `None` if none runs.
    pub fn connect(home: &Home) -> io::Result<Option<Self>> {
        match connect(&home.control_socket()) {
            Ok(stream) => Ok(Some(Self { reader: BufReader::new(stream.try_clone()?), writer: stream })),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a request and waits for the answer.
    pub fn ask(&mut self, request: &Request) -> io::Result<Response> {
        let mut text = serde_json::to_string(request)?;
        text.push('\n');
        self.writer.write_all(text.as_bytes())?;
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the station was stopped"));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    through_folder(path, |short| UnixStream::connect(short))
}

/// The name of a Unix socket has room for 107 octets: a deep home is reached through its open folder.
fn through_folder<T>(path: &Path, use_path: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return use_path(path);
    };
    let folder = fs::File::open(folder)?;
    use_path(&Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}
