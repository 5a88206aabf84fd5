//! Ends writes to a peer that does not read: io_uring operations are not abandoned, so the socket is shut down.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use odile_uring::{JoinHandle, Stream};

/// Watches one link's writes.
pub(super) struct Watchdog {
    deadline: Rc<Cell<Option<Instant>>>,
    task: JoinHandle<()>,
}

impl Watchdog {
    pub(super) fn start(stream: Stream) -> Self {
        let deadline = Rc::new(Cell::new(None));
        let watched = Rc::clone(&deadline);
        let task = odile_uring::spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                if watched.get().is_some_and(|deadline| Instant::now() >= deadline) {
                    stream.shutdown();
                    return;
                }
            }
        });
        Self { deadline, task }
    }

    /// A write begins that must end within `limit`.
    pub(super) fn begin(&self, limit: Duration) {
        self.deadline.set(Some(Instant::now() + limit));
    }

    /// The write has ended.
    pub(super) fn end(&self) {
        self.deadline.set(None);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // A sleeping task has nothing in flight.
        self.task.abort();
    }
}

const TICK: Duration = Duration::from_millis(250);
