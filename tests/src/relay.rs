//! A line that is longer or slower than loopback: relays TCP with a delay each way, and at most so many octets a second.
//!
//! ```text
//! client ─▶ read ─▶ queue, each piece with the time when it may go on ─▶ write ─▶ server     (and back)
//! ```

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the line is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// Each way.
    pub delay: Duration,
    /// Each way; none: as fast as it goes.
    pub octets_per_second: Option<f64>,
}

/// A running relay; it ends when dropped, and cuts what it carries.
pub struct Relay {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    /// From a free port of this machine to `target`.
    pub fn start(target: SocketAddr, line: Line) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let stop = Arc::new(AtomicBool::new(false));
        let accepting = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut open = Vec::new();
                for client in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (Ok(client), Ok(server)) = (client, TcpStream::connect(target)) else { continue };
                    open.extend(carry(&client, &server, line));
                    open.extend(carry(&server, &client, line));
                    open.retain(|(_, task): &(TcpStream, JoinHandle<()>)| !task.is_finished());
                }
                for (socket, task) in open {
                    let _ = socket.shutdown(Shutdown::Both);
                    let _ = task.join();
                }
            }
        });
        Self { address, stop, accepting: Some(accepting) }
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// One way: a thread that reads, and one that writes.
fn carry(from: &TcpStream, to: &TcpStream, line: Line) -> [(TcpStream, JoinHandle<()>); 2] {
    let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
    for stream in [from, to] {
        stream.set_nodelay(true).expect("a socket");
    }
    // What is on the way at once: enough for any window at the longest delay.
    let (sender, receiver) = mpsc::sync_channel(PIECES_MAX);
    let reading = clone(from);
    let writing = clone(to);
    [
        (clone(from), thread::spawn(move || read(reading, &sender, line))),
        (clone(to), thread::spawn(move || write(writing, &receiver))),
    ]
}

fn read(mut from: TcpStream, to: &SyncSender<(Instant, Vec<u8>)>, line: Line) {
    let mut free_at = Instant::now();
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let count = match from.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        piece.truncate(count);
        let now = Instant::now();
        free_at = free_at.max(now);
        if let Some(rate) = line.octets_per_second {
            #[allow(clippy::cast_precision_loss, reason = "64 KiB at most")]
            let takes = Duration::from_secs_f64(count as f64 / rate);
            free_at += takes;
            // A line holds no more than is under way.
            thread::sleep(free_at.saturating_duration_since(now));
        }
        if to.send((free_at + line.delay, piece)).is_err() {
            return;
        }
    }
}

fn write(mut to: TcpStream, from: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((at, piece)) = from.recv() {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 8192;
