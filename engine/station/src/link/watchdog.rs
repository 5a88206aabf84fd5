//! Ends writes to a peer that does not read: io_uring operations are not abandoned, so the socket is shut down.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use odile_uring::{JoinHandle, Stream};

#[derive(Default)]
struct Watched {
    /// When the write under way must have ended, and how long it could take.
    deadline: Cell<Option<(Instant, Duration)>>,
    /// The limit that a write did not keep.
    expired: Cell<Option<Duration>>,
}

/// Watches one link's writes.
pub(super) struct Watchdog {
    watched: Rc<Watched>,
    stream: Stream,
    task: JoinHandle<()>,
}

impl Watchdog {
    pub(super) fn start(stream: Stream) -> Self {
        let watched = Rc::<Watched>::default();
        let seen = Rc::clone(&watched);
        let held = stream.clone();
        let task = odile_uring::spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                if let Some((deadline, limit)) = seen.deadline.get()
                    && Instant::now() >= deadline
                {
                    seen.expired.set(Some(limit));
                    stream.shutdown();
                    return;
                }
            }
        });
        Self { watched, stream: held, task }
    }

    /// A write begins that must end within `limit`.
    pub(super) fn begin(&self, limit: Duration) {
        self.watched.deadline.set(Some((Instant::now() + limit, limit)));
    }

    /// The write has ended.
    pub(super) fn end(&self) {
        self.watched.deadline.set(None);
    }

    /// The limit that a write did not keep, if one did not: the connection is shut down.
    pub(super) fn expired(&self) -> Option<Duration> {
        self.watched.expired.get()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // A sleeping task has nothing in flight.
        self.task.abort();
        // However the link ends, by a mistake of ours as well: the peer must not wait, nor the reader.
        self.stream.shutdown();
    }
}

const TICK: Duration = Duration::from_millis(250);
