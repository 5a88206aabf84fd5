//! One file from one station to the other, and its receipt back.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use odile_station::SendRequest;
use odile_station::catalog::{Catalog, HistoryEntry, HistoryFilter, Transfer, TransferDetail, TransferRef};
use odile_station::control::{Client, Request, Response};
use serde::{Serialize, Serializer};

use super::Sample;
use super::dataset;
use super::stations::{Pair, Station};
use super::trouble::{Trouble, Troubles};
use crate::access::{Standing, ask, unexpected};
use crate::exit::Failure;
use crate::progress::{Meter, Progress};
use crate::signals::Interrupt;

/// Who sends to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A calls B and sends.
    AToB,
    /// A calls B and collects what waits there.
    BToA,
}

/// A file that was delivered, or not.
#[derive(Debug, Serialize)]
pub struct Delivery {
    pub direction: Direction,
    pub dataset_name: String,
    pub octets: u64,
    /// From the offer to the receipt.
    pub seconds: f64,
    /// What was done to the file on its way.
    pub services: String,
    /// `EERP`, if it came.
    pub receipt: Option<String>,
    /// Whether its signature was verified.
    pub proof: String,
    pub digest_equal: bool,
    /// What went wrong on the way.
    pub troubles: Vec<Trouble>,
}

impl Direction {
    pub const fn arrow(self) -> &'static str {
        match self {
            Self::AToB => "A to B",
            Self::BToA => "B to A",
        }
    }
}

impl Serialize for Direction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.arrow())
    }
}

impl Delivery {
    pub fn is_well(&self) -> bool {
        self.digest_equal && self.receipt.is_some()
    }
}

/// Sends the sample, waits for its receipt, and compares what arrived with it.
pub fn run(
    pair: &mut Pair,
    direction: Direction,
    sample: &Sample,
    mut troubles: Troubles,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Delivery, Failure> {
    troubles.prepare(pair);
    let (from, to) = ends(pair, direction);
    let (transfer, dataset_name) = from.queue(SendRequest::new(to.name, &sample.path))?;
    let mut meter = progress.meter(format!("{}  {dataset_name}", direction.arrow()));
    while let Followed::Held = follow(pair, direction, &transfer, &dataset_name, &mut meter, interrupt)? {
        troubles.strike(pair, &transfer, progress, interrupt)?;
    }
    meter.finish();
    let (from, to) = ends(pair, direction);
    let delivery = judge(from, to, direction, &transfer, dataset_name, sample, interrupt)?;
    Ok(Delivery { troubles: troubles.done, ..delivery })
}

fn ends(pair: &Pair, direction: Direction) -> (&Station, &Station) {
    match direction {
        Direction::AToB => (&pair.a, &pair.b),
        Direction::BToA => (&pair.b, &pair.a),
    }
}

/// Why a file is not followed any more.
enum Followed {
    Delivered,
    /// The line is held up: something is to go wrong now.
    Held,
}

fn follow(
    pair: &Pair,
    direction: Direction,
    transfer: &str,
    dataset_name: &str,
    meter: &mut Meter,
    interrupt: &Interrupt,
) -> Result<Followed, Failure> {
    let (from, _) = ends(pair, direction);
    let mut calls = match direction {
        // A calls by itself.
        Direction::AToB => None,
        Direction::BToA => Some(Collector::new(&pair.a, "B")?),
    };
    let mut client = from.client()?;
    let mut last = Standing { state: String::new(), detail: String::new(), octets: 0, total: 0 };
    let mut moved = Instant::now();
    while last.state != "delivered" {
        interrupt.check()?;
        if pair.line.is_held() {
            return Ok(Followed::Held);
        }
        let now = standing(&mut client, transfer)?;
        meter.show(&now);
        if now != last {
            moved = Instant::now();
            last = now;
        }
        if matches!(last.state.as_str(), "rejected" | "refused" | "failed" | "cancelled" | "unproven") {
            let text = format!("{}: {dataset_name} is {}: {}", direction.arrow(), last.state, last.detail);
            return Err(Failure::refused(text));
        }
        if moved.elapsed() >= STALL_LIMIT {
            let text = format!("{}: {dataset_name} is {} and nothing moves", direction.arrow(), last.state);
            return Err(Failure::unreachable(text));
        }
        if let Some(calls) = &mut calls {
            calls.call_again_if_over()?;
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(Followed::Delivered)
}

fn judge(
    from: &Station,
    to: &Station,
    direction: Direction,
    transfer: &str,
    dataset_name: String,
    sample: &Sample,
    interrupt: &Interrupt,
) -> Result<Delivery, Failure> {
    let sent = sent(from, transfer)?;
    let receipt = sent.receipts.iter().find(|receipt| receipt.state == "arrived");
    let offered_ms = match &sent.file {
        Transfer::Outbound(outbound) => outbound.first_offered_ms.unwrap_or(sent.entry.created_ms),
        Transfer::Inbound(inbound) => inbound.created_ms,
    };
    let millis = u32::try_from(sent.entry.changed_ms.saturating_sub(offered_ms)).unwrap_or_default();
    let received = received(to)?;
    let digest_equal = match received.as_ref().and_then(|entry| entry.path.as_deref()) {
        Some(path) => dataset::sha256(Path::new(path), interrupt)? == sample.digest,
        None => false,
    };
    Ok(Delivery {
        direction,
        dataset_name,
        octets: received.map_or(0, |entry| entry.octets),
        // Shorter than a millisecond does not exist here.
        seconds: f64::from(millis.max(1)) / 1000.0,
        services: described(&sent.file),
        receipt: receipt.map(|receipt| receipt.what.clone()),
        proof: receipt.map(|receipt| receipt.proof.clone()).unwrap_or_default(),
        digest_equal,
        troubles: Vec::new(),
    })
}

fn described(file: &Transfer) -> String {
    let services = match file {
        Transfer::Outbound(outbound) => outbound.services,
        Transfer::Inbound(inbound) => inbound.services,
    };
    odile_station::described(services)
}

fn standing(client: &mut Client, transfer: &str) -> Result<Standing, Failure> {
    match ask(client, &Request::Progress { transfer: transfer.to_owned() })? {
        Response::Progress { state, detail, octets, total } => Ok(Standing { state, detail, octets, total }),
        other => Err(unexpected(&other)),
    }
}

fn sent(station: &Station, transfer: &str) -> Result<TransferDetail, Failure> {
    let missing = || Failure::refused(format!("station {} has lost transfer {transfer}", station.name));
    let reference: TransferRef = transfer.parse().map_err(|_| missing())?;
    Catalog::open(&station.home.catalog())?.show(reference)?.ok_or_else(missing)
}

/// The file that a station received; there is one at most.
fn received(station: &Station) -> Result<Option<HistoryEntry>, Failure> {
    let entries = Catalog::open(&station.home.catalog())?.history(&HistoryFilter::default())?;
    let is_received =
        |entry: &HistoryEntry| matches!(entry.transfer, TransferRef::Inbound(_)) && entry.state == "received";
    Ok(entries.into_iter().find(is_received))
}

/// Lets a station call the other one until the file is there: the first call may come while the last session is
/// still open.
struct Collector<'a> {
    caller: &'a Station,
    partner: &'static str,
    running: Receiver<()>,
    called: Instant,
}

impl<'a> Collector<'a> {
    fn new(caller: &'a Station, partner: &'static str) -> Result<Self, Failure> {
        Ok(Self { caller, partner, running: call(caller, partner)?, called: Instant::now() })
    }

    fn call_again_if_over(&mut self) -> Result<(), Failure> {
        let is_over = !matches!(self.running.try_recv(), Err(mpsc::TryRecvError::Empty));
        if is_over && self.called.elapsed() >= CALL_AGAIN {
            self.running = call(self.caller, self.partner)?;
            self.called = Instant::now();
        }
        Ok(())
    }
}

/// Calls on a thread of its own; something comes, or the channel closes, when the session has ended.
fn call(caller: &Station, partner: &str) -> Result<Receiver<()>, Failure> {
    let mut client = caller.client()?;
    let request = Request::Call { partner: partner.to_owned() };
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        // How it ended is seen in the state of the file.
        let _ = client.ask(&request);
        let _ = done.send(());
    });
    Ok(ended)
}

const LOOK_EVERY: Duration = Duration::from_millis(20);
const CALL_AGAIN: Duration = Duration::from_millis(200);
/// Nothing between two processes of one machine takes so long, a sync of a slow disk included.
const STALL_LIMIT: Duration = Duration::from_secs(120);
