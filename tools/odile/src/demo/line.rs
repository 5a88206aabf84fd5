//! The line from A to B: a relay that can be cut, so that the demo shows what happens then.
//!
//! ```text
//! A ──▶ relay ──▶ B      octets from A are counted; at a limit they are held up, and the line may be cut
//!   ◀──       ◀──
//! ```

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::cannot;
use crate::exit::Failure;

/// The relay. It ends, and with it every connection, when this is dropped.
pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    target: Mutex<Option<SocketAddr>>,
    connections: Mutex<Vec<TcpStream>>,
    /// Octets from the caller.
    carried: AtomicU64,
    /// So many may pass.
    limit: AtomicU64,
    is_held: AtomicBool,
    is_over: AtomicBool,
}

impl Line {
    /// Listens on this machine.
    pub fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(cannot("listen"))?;
        listener.set_nonblocking(true).map_err(cannot("listen"))?;
        let address = listener.local_addr().map_err(cannot("listen"))?;
        let shared = Arc::new(Shared { limit: AtomicU64::new(u64::MAX), ..Shared::default() });
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || accept(&listener, &of_thread));
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where A calls.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where B is.
    pub fn lead_to(&self, address: &str) {
        *lock(&self.shared.target) = address.parse().ok();
    }

    /// Octets that A has sent.
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Relaxed)
    }

    /// Holds up what A sends after so many octets in all; none: no more.
    pub fn hold_at(&self, limit: Option<u64>) {
        self.shared.limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.shared.is_held.store(false, Ordering::Relaxed);
    }

    /// True once it was held up.
    pub fn is_held(&self) -> bool {
        self.shared.is_held.load(Ordering::Relaxed)
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for connection in lock(&self.shared.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.cut();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.is_over.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((caller, _)) => {
                // A caller that cannot be connected finds the line dead, as it would be.
                let _ = connect(&caller, shared);
            }
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

fn connect(caller: &TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let target = lock(&shared.target).ok_or(io::ErrorKind::NotConnected)?;
    let called = TcpStream::connect(target)?;
    caller.set_nonblocking(false)?;
    for stream in [caller, &called] {
        stream.set_nodelay(true)?;
        lock(&shared.connections).push(stream.try_clone()?);
    }
    let (from, to) = (caller.try_clone()?, called.try_clone()?);
    let counted = Arc::clone(shared);
    thread::spawn(move || carry(from, to, Some(&counted)));
    let (from, to) = (called, caller.try_clone()?);
    thread::spawn(move || carry(from, to, None));
    Ok(())
}

/// Carries octets until one side ends, which ends both.
fn carry(mut from: TcpStream, mut to: TcpStream, counted: Option<&Shared>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(shared) = counted {
            let carried = shared.carried.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
            while carried > shared.limit.load(Ordering::Relaxed) && !shared.is_over.load(Ordering::Relaxed) {
                shared.is_held.store(true, Ordering::Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        }
        if to.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const BUFFER_BYTES: usize = 256 << 10;
const LOOK_EVERY: Duration = Duration::from_millis(2);
