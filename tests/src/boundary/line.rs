//! A line between two stations that can be cut.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A line between two stations: a port that stays, whatever becomes of the station behind it.
pub struct Line {
    address: SocketAddr,
    target: Mutex<Option<SocketAddr>>,
    /// Both ends of each connection, by its number.
    open: Mutex<HashMap<u64, [TcpStream; 2]>>,
    /// Octets that still pass from caller to called before the line is cut once.
    left: AtomicI64,
    ends: AtomicBool,
}

/// Its thread: the line is gone when this is dropped.
pub struct LineThread {
    line: Arc<Line>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// A new line to nowhere.
    pub fn lay() -> (Arc<Self>, LineThread) {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let line = Arc::new(Self {
            address: port.local_addr().expect("bound"),
            target: Mutex::default(),
            open: Mutex::default(),
            left: AtomicI64::new(i64::MAX),
            ends: AtomicBool::new(false),
        });
        let served = Arc::clone(&line);
        let thread = thread::spawn(move || served.serve(&port));
        (Arc::clone(&line), LineThread { line, thread: Some(thread) })
    }

    /// Where it is called.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it leads there.
    pub fn lead_to(&self, target: SocketAddr) {
        *lock(&self.target) = Some(target);
    }

    /// It is cut once, when so many more octets have come from the caller.
    pub fn cut_after(&self, octets: i64) {
        self.left.store(octets, Ordering::SeqCst);
    }

    /// Ends what goes over it, and leads nowhere.
    pub fn die(&self) {
        *lock(&self.target) = None;
        self.cut();
    }

    /// Ends what goes over it.
    pub fn cut(&self) {
        for stream in lock(&self.open).drain().flat_map(|(_, streams)| streams) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn serve(self: Arc<Self>, port: &TcpListener) {
        for number in 0.. {
            let accepted = port.accept();
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            let called = lock(&self.target).and_then(|target| TcpStream::connect(target).ok());
            let (Ok((caller, _)), Some(called)) = (accepted, called) else { continue };
            let line = Arc::clone(&self);
            thread::spawn(move || line.connect(number, caller, called));
        }
    }

    fn connect(&self, number: u64, caller: TcpStream, called: TcpStream) {
        let _ = caller.set_nodelay(true).and_then(|()| called.set_nodelay(true));
        let (Ok(from), Ok(to)) = (caller.try_clone(), called.try_clone()) else { return };
        {
            // Under one lock with the look: if the line dies meanwhile, this dies as well.
            let mut open = lock(&self.open);
            if lock(&self.target).is_none() {
                return;
            }
            open.insert(number, [from, to]);
        }
        thread::scope(|scope| {
            scope.spawn(|| self.carry(&called, &caller, false));
            self.carry(&caller, &called, true);
        });
        lock(&self.open).remove(&number);
    }

    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, is_counted: bool) {
        let mut room = vec![0; 16 << 10];
        while let Ok(count) = from.read(&mut room) {
            if count == 0 || to.write_all(room.get(..count).unwrap_or_default()).is_err() {
                break;
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            if is_counted && self.left.fetch_sub(count, Ordering::SeqCst) <= count {
                self.left.store(i64::MAX, Ordering::SeqCst);
                self.cut();
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

impl Drop for LineThread {
    fn drop(&mut self) {
        self.line.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.line.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.line.die();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
