//! What all parts of a station share. None of it is touched per octet.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use odile_partner::PartnerName;
use odile_tls::ServerConfig;
use tokio::sync::{Notify, watch};

use crate::event::{Event, EventSink};
use crate::home::{Configuration, Home};
use crate::keyring::Keyring;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::progress::ProgressBoard;

pub(crate) struct Shared {
    pub(crate) home: Home,
    pub(crate) configuration: Configuration,
    pub(crate) options: Options,
    /// Our keys.
    pub(crate) keyring: Keyring,
    /// How we answer over TLS; none: we cannot.
    pub(crate) tls_server: Option<Arc<ServerConfig>>,
    pub(crate) ledger: Ledger,
    pub(crate) board: Arc<ProgressBoard>,
    /// True once the station is to end.
    pub(crate) stop: watch::Receiver<bool>,
    /// Wakes the scheduler: there may be something to do.
    pub(crate) wake: Notify,
    sink: EventSink,
    /// Partners that a call is under way to or a session open with because we called.
    calling: Mutex<HashSet<PartnerName>>,
    /// Outbound transfers that a person wants to end while they run.
    cancelled: Mutex<HashSet<i64>>,
    /// Inbound transfers that were of no use, but too long to be read to their end: what their partner is told when it
    /// offers them again.
    refused: Mutex<HashMap<i64, &'static str>>,
    /// What was told for every file alike, and is told once.
    told: Mutex<HashSet<&'static str>>,
    sessions: AtomicU64,
}

/// What a station can prove with.
pub(crate) struct Keys {
    pub(crate) keyring: Keyring,
    pub(crate) tls_server: Option<Arc<ServerConfig>>,
}

/// A partner that is being called; it may be called again when this is dropped.
pub(crate) struct Calling {
    shared: Arc<Shared>,
    partner: PartnerName,
}

impl Shared {
    pub(crate) fn new(
        home: Home,
        configuration: Configuration,
        options: Options,
        keys: Keys,
        ledger: Ledger,
        stop: watch::Receiver<bool>,
        sink: EventSink,
    ) -> Self {
        Self {
            home,
            configuration,
            options,
            keyring: keys.keyring,
            tls_server: keys.tls_server,
            ledger,
            board: Arc::default(),
            stop,
            wake: Notify::new(),
            sink,
            calling: Mutex::default(),
            cancelled: Mutex::default(),
            refused: Mutex::default(),
            told: Mutex::default(),
            sessions: AtomicU64::new(1),
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.sink)(&event);
    }

    /// A wish that this machine cannot fulfil: it goes on without. Told once as long as the station runs.
    pub(crate) fn tell_not_direct(&self, what: &'static str, error: &odile_uring::Error) {
        if lock(&self.told).insert(what) {
            let text = format!("{what} go through the page cache, although --direct was given: {error}");
            self.tell(Event::Trouble { text });
        }
    }

    pub(crate) fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Claims a partner for a call; `None` if it is being called already: a station holds one session that it
    /// opened with each partner, because many products take no second one.
    pub(crate) fn claim(self: &Arc<Self>, partner: &PartnerName) -> Option<Calling> {
        let new = lock(&self.calling).insert(partner.clone());
        new.then(|| Calling { shared: Arc::clone(self), partner: partner.clone() })
    }

    pub(crate) fn cancel(&self, outbound: i64) {
        lock(&self.cancelled).insert(outbound);
    }

    /// True once for each cancelled transfer.
    pub(crate) fn take_cancelled(&self, outbound: i64) -> bool {
        lock(&self.cancelled).remove(&outbound)
    }

    pub(crate) fn remember_refused(&self, inbound: i64, text: &'static str) {
        let mut refused = lock(&self.refused);
        // Whoever never offers them again shall not fill the memory.
        if refused.len() < REFUSED_MAX {
            refused.insert(inbound, text);
        }
    }

    pub(crate) fn take_refused(&self, inbound: i64) -> Option<&'static str> {
        lock(&self.refused).remove(&inbound)
    }

    pub(crate) fn is_cancelled(&self, outbound: i64) -> bool {
        lock(&self.cancelled).contains(&outbound)
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        lock(&self.shared.calling).remove(&self.partner);
        self.shared.wake.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const REFUSED_MAX: usize = 4096;
