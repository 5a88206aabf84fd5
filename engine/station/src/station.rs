//! Starting, using and stopping a station.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use odile_catalog::{Outbound, OutboundChange, OutboundState, Transfer, TransferRef};
use odile_partner::{PartnerName, Transport};
use odile_uring::{Listener, Shard, ShardConfig, ShardThread, Workers};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::clock::now_ms;
use crate::control::ControlServer;
use crate::enqueue::SendRequest;
use crate::error::StationError;
use crate::event::{Event, EventSink, SessionEnd};
use crate::expiry;
use crate::home::{Configuration, Home, HomeLock};
use crate::keyring::Keyring;
use crate::landing;
use crate::ledger::{Ledger, LedgerThread};
use crate::leftovers;
use crate::link::{Link, server_config};
use crate::options::Options;
use crate::outbox;
use crate::progress::ProgressBoard;
use crate::scheduler::{Demand, Order, Scheduler};
use crate::shared::{Keys, Shared};

/// Which partners a station calls by itself when there is something for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calls {
    /// All.
    All,
    /// One: a station that runs for one command only.
    Only(PartnerName),
    /// None: files are queued, not sent.
    Nobody,
}

/// A running station. It stops when dropped; [`Station::stop`] does the same and says so.
pub struct Station {
    handle: Handle,
    stop: watch::Sender<bool>,
    shards: Vec<ShardThread<()>>,
    control: Option<ControlServer>,
    // In this order: the lock goes when the catalog is closed.
    _ledger: LedgerThread,
    _lock: HomeLock,
}

/// What other threads may ask of a running station. All calls may wait for the disk.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    demands: mpsc::UnboundedSender<Demand>,
    listen: Listen,
}

/// Where a station listens. Port 0: any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listen {
    /// Over plain TCP.
    pub plain: Option<SocketAddr>,
    /// Over TLS.
    pub tls: Option<SocketAddr>,
}

impl Listen {
    /// Nowhere: it only calls.
    pub const NOWHERE: Self = Self { plain: None, tls: None };

    /// Over plain TCP only.
    pub const fn plain(address: SocketAddr) -> Self {
        Self { plain: Some(address), tls: None }
    }

    /// True if nobody can call.
    pub const fn is_nowhere(&self) -> bool {
        self.plain.is_none() && self.tls.is_none()
    }
}

impl Calls {
    pub(crate) fn includes(&self, partner: &PartnerName) -> bool {
        match self {
            Self::All => true,
            Self::Only(one) => one == partner,
            Self::Nobody => false,
        }
    }
}

impl Station {
    /// Starts the station in `home`. Where it listens, partners may call it (port 0: any); if it listens at all, its
    /// outboxes are watched.
    pub fn start(
        home: Home,
        options: Options,
        listen: Listen,
        calls: Calls,
        sink: EventSink,
    ) -> Result<Self, StationError> {
        let configuration = home.load()?;
        let lock = home.open(&configuration)?;
        let keys = keys(&home, &configuration)?;
        if listen.tls.is_some() && keys.tls_server.is_none() {
            let text = "there is no key to listen with over TLS: `odile cert new` makes one, or take listen_tls out of \
                        station.toml";
            return Err(StationError::Contradiction(text.to_owned()));
        }
        let (ledger, ledger_thread) = Ledger::open(&home.catalog(), options.faults.clone())?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(home, configuration, options, keys, ledger, stopped, sink));
        landing::recover(&shared)?;
        shared.ledger.run_blocking(|catalog| catalog.requeue_interrupted(now_ms()))?;
        let (demands, wanted) = mpsc::unbounded_channel();
        let mut station = Self {
            handle: Handle { shared: Arc::clone(&shared), demands, listen },
            stop,
            shards: Vec::new(),
            control: None,
            _ledger: ledger_thread,
            _lock: lock,
        };
        let orders = station.start_shards()?;
        // The scheduler and the outbox scan live on the first shard, and come last: all shards are there.
        let scheduler =
            Scheduler { shared: Arc::clone(&shared), calls, demands: wanted, shards: orders.senders };
        let _ = orders.first.send((scheduler, !listen.is_nowhere()));
        station.control = Some(ControlServer::start(&shared.home, station.handle.clone())?);
        Ok(station)
    }

    fn start_shards(&mut self) -> Result<Orders, StationError> {
        let shared = Arc::clone(&self.handle.shared);
        let options = &shared.options;
        options.sockets.check()?;
        let workers = Workers::start(options.workers)
            .map_err(StationError::io("start workers for", shared.home.root()))?;
        let mut senders = Vec::new();
        let (first, waiting) = oneshot::channel();
        let mut waiting = Some(waiting);
        for index in 0..options.shards.max(1) {
            let (sender, orders) = mpsc::unbounded_channel();
            senders.push(sender);
            let cpu = options.cpus.get(index % options.cpus.len().max(1)).copied();
            let config = ShardConfig {
                index,
                cpu,
                ring_entries: options.ring_entries,
                polling: options.polling,
                pool_blocks: options.pool_blocks.max(Options::BLOCKS_PER_TRANSFER),
                block_bytes: options.block_bytes,
                huge_pages: options.huge_pages,
                workers: workers.clone(),
                faults: options.faults.clone(),
            };
            let (bound, addresses) = std::sync::mpsc::channel();
            // With port 0 the first shard chooses, and the others listen at the same port.
            let seat = Seat { shared: Arc::clone(&shared), listen: self.handle.listen, bound, orders };
            let on_first = waiting.take();
            self.shards.push(odile_uring::start(config, move |shard| seat.run(shard, on_first))?);
            match addresses.recv() {
                Ok(Ok(listen)) => self.handle.listen = listen,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(StationError::LedgerStopped),
            }
        }
        for (address, transport) in
            [(self.handle.listen.plain, Transport::Plain), (self.handle.listen.tls, Transport::Tls)]
        {
            if let Some(address) = address {
                shared.tell(Event::Listening { address, transport });
            }
        }
        Ok(Orders { senders, first })
    }

    /// For other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends sessions and threads: no new files, running ones are cut off; what is durable stays.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.control = None;
        let _ = self.stop.send(true);
        for shard in self.shards.drain(..) {
            shard.join();
        }
    }
}

struct Orders {
    senders: Vec<mpsc::UnboundedSender<Order>>,
    first: oneshot::Sender<(Scheduler, bool)>,
}

/// What a shard's main task has.
struct Seat {
    shared: Arc<Shared>,
    listen: Listen,
    bound: std::sync::mpsc::Sender<Result<Listen, odile_uring::Error>>,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Seat {
    async fn run(mut self, shard: Shard, first: Option<oneshot::Receiver<(Scheduler, bool)>>) {
        let listeners = match self.bind() {
            Ok(listeners) => listeners,
            Err(error) => {
                let _ = self.bound.send(Err(error));
                return;
            }
        };
        let at = |wanted| {
            let mut found = listeners.iter().filter(move |(transport, _)| *transport == wanted);
            found.next().map(|(_, listener)| listener.address())
        };
        let _ = self.bound.send(Ok(Listen { plain: at(Transport::Plain), tls: at(Transport::Tls) }));
        if let Some(first) = first {
            self.start_duties(&shard, first);
        }
        let sessions = Arc::new(Semaphore::new(SESSIONS_MAX));
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|(transport, listener)| {
                let (shared, shard) = (Arc::clone(&self.shared), shard.clone());
                let task = accept(listener.share(), transport, shared, shard, Arc::clone(&sessions));
                (listener, odile_uring::spawn(task))
            })
            .collect();
        let mut stop = self.shared.stop.clone();
        while !self.shared.is_stopping() {
            tokio::select! {
                Some(order) = self.orders.recv() => {
                    let (shared, shard, sessions) =
                        (Arc::clone(&self.shared), shard.clone(), Arc::clone(&sessions));
                    odile_uring::spawn(async move {
                        let _permit = sessions.acquire().await;
                        order.run(shared, shard).await;
                    });
                }
                _ = stop.changed() => {}
            }
        }
        for (listener, accepting) in accepting {
            listener.close().await;
            let _ = accepting.await;
        }
        // Every link sees the stop and ends; its own timers bound how long that takes.
        let all = u32::try_from(SESSIONS_MAX).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(STOP_LIMIT, sessions.acquire_many(all)).await;
    }

    fn bind(&self) -> Result<Vec<(Transport, Listener)>, odile_uring::Error> {
        let mut listeners = Vec::new();
        for (transport, address) in [(Transport::Plain, self.listen.plain), (Transport::Tls, self.listen.tls)]
        {
            if let Some(address) = address {
                listeners.push((transport, Listener::bind(address, self.shared.options.sockets)?));
            }
        }
        Ok(listeners)
    }

    fn start_duties(&self, shard: &Shard, first: oneshot::Receiver<(Scheduler, bool)>) {
        let (shared, shard) = (Arc::clone(&self.shared), shard.clone());
        odile_uring::spawn(async move {
            let Ok((scheduler, serves)) = first.await else { return };
            odile_uring::spawn(leftovers::watch(Arc::clone(&shared)));
            if serves {
                odile_uring::spawn(expiry::watch(Arc::clone(&shared)));
                odile_uring::spawn(outbox::watch(shared, shard));
            }
            scheduler.run().await;
        });
    }
}

async fn accept(
    listener: Listener,
    transport: Transport,
    shared: Arc<Shared>,
    shard: Shard,
    sessions: Arc<Semaphore>,
) {
    loop {
        // More callers than that wait in the kernel's queue.
        let Ok(permit) = Arc::clone(&sessions).acquire_owned().await else { return };
        match listener.accept().await {
            Ok(stream) => {
                let (shared, shard) = (Arc::clone(&shared), shard.clone());
                odile_uring::spawn(async move {
                    let _permit = permit;
                    Link::answer(shared, shard, stream, transport).await;
                });
            }
            Err(_) if shared.is_stopping() => return,
            Err(error) => {
                shared.tell(Event::Trouble { text: error.to_string() });
                // Such as too many open files: it may pass.
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

impl Handle {
    /// Where partners reach this station over plain TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.plain
    }

    /// Where partners reach this station over TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.listen.tls
    }

    /// How far running transfers are.
    pub fn board(&self) -> &Arc<ProgressBoard> {
        &self.shared.board
    }

    /// Queues a file.
    pub fn send(&self, request: &SendRequest) -> Result<Outbound, StationError> {
        enqueue(&self.shared, request)
    }

    /// Calls a partner now and waits for the end of the session.
    pub fn call(&self, partner: &str) -> Result<SessionEnd, StationError> {
        let partner = Arc::clone(self.shared.configuration.partner(partner)?);
        let (done, outcome) = oneshot::channel();
        let stopped = || StationError::CannotSend("the station is being stopped".to_owned());
        self.demands.send(Demand::Call { partner, done }).map_err(|_| stopped())?;
        let outcome = outcome.blocking_recv().map_err(|_| stopped())?;
        outcome.map_err(StationError::CannotSend)
    }

    /// State, detail and size of a transfer.
    pub fn state(&self, transfer: TransferRef) -> Result<(String, String, u64), StationError> {
        let found = self.shared.ledger.run_blocking(move |catalog| catalog.show(transfer))?;
        let Some(found) = found else {
            return Err(StationError::Contradiction(format!("there is no transfer {transfer}")));
        };
        let size = match &found.file {
            Transfer::Outbound(outbound) => outbound.source_identity.size,
            Transfer::Inbound(inbound) => inbound.octets,
        };
        Ok((found.entry.state, found.entry.detail, size))
    }

    /// Ends an outbound transfer for good.
    pub fn cancel(&self, transfer: TransferRef) -> Result<(), StationError> {
        let id = outbound_number(transfer)?;
        let change = OutboundChange::to(OutboundState::Cancelled).detail("cancelled by the operator");
        let running = self.shared.ledger.run_blocking(move |catalog| {
            let running =
                catalog.outbound(id)?.is_some_and(|outbound| outbound.state == OutboundState::Sending);
            if !running {
                catalog.set_outbound(id, &change, now_ms())?;
            }
            Ok(running)
        })?;
        if running {
            // The link that sends it ends it.
            self.shared.cancel(id);
        } else {
            let _ = self.demands.send(Demand::Forget { outbound: id });
        }
        Ok(())
    }

    /// Puts an outbound transfer back into the queue, to be tried now.
    pub fn retry(&self, transfer: TransferRef) -> Result<(), StationError> {
        let id = outbound_number(transfer)?;
        let change = OutboundChange::to(OutboundState::Queued)
            .not_before_ms(0)
            .fruitless(0)
            .detail("tried again by the operator");
        let before = self.shared.ledger.run_blocking(move |catalog| {
            let before = catalog.outbound(id)?;
            if before.as_ref().is_none_or(|outbound| outbound.state != OutboundState::Sending) {
                catalog.set_outbound(id, &change, now_ms())?;
            }
            Ok(before)
        })?;
        let Some(outbound) = before else { return Ok(()) };
        if outbound.state == OutboundState::Sending {
            return Err(StationError::Contradiction(format!("{transfer} is being sent now")));
        }
        if let Ok(partner) = outbound.partner.parse() {
            // The scheduler ends with the station only.
            let _ = self.demands.send(Demand::Hurry { partner });
        }
        Ok(())
    }
}

fn outbound_number(transfer: TransferRef) -> Result<i64, StationError> {
    match transfer {
        TransferRef::Outbound(id) => Ok(id),
        TransferRef::Inbound(_) => {
            let text = format!("{transfer} is a file that a partner sends: only the partner can do that");
            Err(StationError::Contradiction(text))
        }
    }
}

/// Our keys, and what they are used for at once.
fn keys(home: &Home, configuration: &Configuration) -> Result<Keys, StationError> {
    let keyring = Keyring::open(&home.keys(), &configuration.station.keys)?;
    let tls_server = server_config(&keyring, configuration.partners.values().cloned())?;
    Ok(Keys { keyring, tls_server })
}

/// Checks a wish, stores it in the queue, and wakes the scheduler.
pub(crate) fn enqueue(shared: &Shared, request: &SendRequest) -> Result<Outbound, StationError> {
    let new = request.prepare(&shared.configuration, &shared.keyring)?;
    let level = shared
        .configuration
        .partner(&request.partner)?
        .terms(&shared.options.session)
        .map_err(StationError::Contradiction)?
        .level_max;
    let outbound =
        shared.ledger.run_blocking(move |catalog| catalog.enqueue_for_level(&new, level, now_ms()))?;
    shared.tell(Event::FileQueued {
        transfer: TransferRef::Outbound(outbound.id),
        partner: outbound.partner.clone(),
        dataset_name: outbound.file.to_string(),
        path: outbound.source.display().to_string(),
    });
    shared.wake.notify_one();
    Ok(outbound)
}

/// Sessions of one shard.
const SESSIONS_MAX: usize = 1024;
const STOP_LIMIT: Duration = Duration::from_secs(15);
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
