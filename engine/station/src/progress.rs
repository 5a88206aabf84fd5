//! How far running transfers are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use odile_catalog::TransferRef;
use tokio::sync::Notify;

/// Running transfers, by number.
#[derive(Default)]
pub struct ProgressBoard {
    running: Mutex<HashMap<TransferRef, Arc<Meter>>>,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Octets of the file so far.
    pub octets: u64,
    /// Octets of the file in all, as far as known.
    pub total: u64,
}

/// A transfer's counter, written by the link that runs it. It leaves the board when dropped.
pub(crate) struct Meter {
    octets: AtomicU64,
    total: u64,
    began: Instant,
    /// When it moved last, in milliseconds since it began.
    moved_ms: AtomicU64,
    /// Another session wants the transfer.
    leave: Notify,
}

/// Keeps a transfer on the board.
pub(crate) struct OnBoard {
    board: Arc<ProgressBoard>,
    transfer: TransferRef,
    meter: Arc<Meter>,
}

impl ProgressBoard {
    /// How far a transfer is; `None` if it is not running.
    pub fn of(&self, transfer: TransferRef) -> Option<Progress> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&transfer).map(|meter| meter.progress())
    }

    /// All running transfers.
    pub fn all(&self) -> Vec<(TransferRef, Progress)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().map(|(transfer, meter)| (*transfer, meter.progress())).collect()
    }

    /// Puts a transfer on the board; `None` if it is there already, that is, running in another session.
    pub(crate) fn enter(self: &Arc<Self>, transfer: TransferRef, total: u64) -> Option<OnBoard> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(&transfer) {
            return None;
        }
        let meter = Arc::new(Meter {
            octets: AtomicU64::new(0),
            total,
            began: Instant::now(),
            moved_ms: AtomicU64::new(0),
            leave: Notify::new(),
        });
        running.insert(transfer, Arc::clone(&meter));
        Some(OnBoard { board: Arc::clone(self), transfer, meter })
    }

    /// For how long nothing of a transfer has moved; `None` if it is not running.
    pub(crate) fn idle(&self, transfer: TransferRef) -> Option<Duration> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&transfer).map(|meter| meter.idle())
    }

    /// Asks the session that runs a transfer to end: another one wants it.
    pub(crate) fn ask_to_leave(&self, transfer: TransferRef) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = running.get(&transfer) {
            meter.leave.notify_one();
        }
    }
}

impl Meter {
    fn idle(&self) -> Duration {
        let moved = Duration::from_millis(self.moved_ms.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(moved)
    }

    fn progress(&self) -> Progress {
        Progress { octets: self.octets.load(Ordering::Relaxed), total: self.total }
    }
}

impl OnBoard {
    /// So far is the transfer now.
    pub(crate) fn set(&self, octets: u64) {
        self.meter.octets.store(octets, Ordering::Relaxed);
        let moved_ms = u64::try_from(self.meter.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.meter.moved_ms.store(moved_ms, Ordering::Relaxed);
    }

    /// What waits until another session wants the transfer, if nothing has moved for so long by then.
    pub(crate) fn leaving(&self, idle: Duration) -> impl Future<Output = ()> + use<> {
        let meter = Arc::clone(&self.meter);
        async move {
            loop {
                meter.leave.notified().await;
                // Something may have come since it was asked.
                if meter.idle() >= idle {
                    return;
                }
            }
        }
    }
}

impl Drop for OnBoard {
    fn drop(&mut self) {
        self.board.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.transfer);
    }
}
