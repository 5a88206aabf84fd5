//! Which partner is called when: those that files or receipts wait for, and those that a person asks for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use odile_catalog::TransferRef;
use odile_partner::{Address, Partner, PartnerName, RetryTerms};
use odile_uring::{Shard, Stream};
use odile_wire::EndSessionReason;
use tokio::sync::{mpsc, oneshot};

use crate::clock::now_ms;
use crate::event::{Event, SessionEnd};
use crate::link::{Link, LinkReport};
use crate::shared::{Calling, Shared};
use crate::station::Calls;
use crate::{entropy, seal_store};

/// How a call ended: the session's end, or why there was none.
pub(crate) type CallOutcome = Result<SessionEnd, String>;

/// What a person wants.
pub(crate) enum Demand {
    /// A partner is to be called now, and the outcome told.
    Call { partner: Arc<Partner>, done: oneshot::Sender<CallOutcome> },
    /// A partner for which something waits is to be called without waiting after earlier failures.
    Hurry { partner: PartnerName },
    /// What was kept of a file, so that it could go on, is to be destroyed.
    Forget { outbound: i64 },
}

/// A call for a shard to make.
pub(crate) struct Order {
    partner: Arc<Partner>,
    calling: Calling,
    done: Option<oneshot::Sender<CallOutcome>>,
    results: mpsc::UnboundedSender<Outcome>,
    ordered: Instant,
}

/// A call is over.
struct Outcome {
    partner: PartnerName,
    retry: RetryTerms,
    verdict: Verdict,
    /// When the call was ordered.
    ordered: Instant,
}

/// What a call was good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Something moved: call again as soon as there is more.
    Useful,
    /// Something moved, and then it broke.
    Broken,
    /// Nothing moved, or it failed: wait before the next call.
    Useless,
}

/// The scheduler's task.
pub(crate) struct Scheduler {
    pub(crate) shared: Arc<Shared>,
    pub(crate) calls: Calls,
    pub(crate) demands: mpsc::UnboundedReceiver<Demand>,
    /// One for each shard.
    pub(crate) shards: Vec<mpsc::UnboundedSender<Order>>,
}

#[derive(Default)]
struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
    /// When a person wanted no more waiting: what was ordered before does not count.
    hurried: Option<Instant>,
}

impl Scheduler {
    pub(crate) async fn run(mut self) {
        let mut stop = self.shared.stop.clone();
        let mut backoffs: HashMap<PartnerName, Backoff> = HashMap::new();
        let (results, mut finished) = mpsc::unbounded_channel();
        let mut next_shard = 0;
        while !self.shared.is_stopping() {
            // A call's outcome counts before its partner is looked at again.
            while let Ok(outcome) = finished.try_recv() {
                note(&mut backoffs, outcome);
            }
            let looked = Instant::now();
            let mut wait = self.call_those_with_work(&mut backoffs, &results, &mut next_shard).await;
            wait = wait.clamp(WAIT_MIN, WAIT_MAX);
            tokio::select! {
                // Thousands of files that are queued at once are not as many reasons to look.
                () = self.shared.wake.notified() => {
                    tokio::time::sleep(WAIT_MIN.saturating_sub(looked.elapsed())).await;
                }
                Some(outcome) = finished.recv() => note(&mut backoffs, outcome),
                Some(demand) = self.demands.recv() => match demand {
                    Demand::Call { partner, done } => {
                        self.order(partner, Some(done), &results, &mut next_shard);
                    }
                    Demand::Hurry { partner } => {
                        let hurried = Some(Instant::now());
                        backoffs.insert(partner, Backoff { hurried, ..Backoff::default() });
                    }
                    Demand::Forget { outbound } => {
                        if let Err(error) = seal_store::destroy(&self.shared.home, outbound).await {
                            let text = format!("what was kept of {}: {error}", TransferRef::Outbound(outbound));
                            self.shared.tell(Event::Trouble { text });
                        }
                    }
                },
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Gives the time until something may be due.
    async fn call_those_with_work(
        &self,
        backoffs: &mut HashMap<PartnerName, Backoff>,
        results: &mpsc::UnboundedSender<Outcome>,
        next_shard: &mut usize,
    ) -> Duration {
        let now = now_ms();
        let looked = self
            .shared
            .ledger
            .run(move |catalog| Ok((catalog.partners_with_work(now)?, catalog.next_due_ms()?)))
            .await;
        let (partners, due) = match looked {
            Ok(found) => found,
            Err(error) => {
                self.shared.tell(Event::Trouble { text: error.to_string() });
                return WAIT_MAX;
            }
        };
        // What is due already is called below, or waits for something else than the clock.
        let mut wait = due.map_or(WAIT_MAX, |due| {
            let left = u64::try_from(due.saturating_sub(now)).unwrap_or_default();
            if left == 0 { LOOK_AGAIN } else { Duration::from_millis(left) }
        });
        for name in partners {
            let Ok(partner) = self.shared.configuration.partner(&name).cloned() else { continue };
            if partner.address.is_none() || !self.calls.includes(&partner.name) {
                continue;
            }
            match backoffs.get(&partner.name).and_then(|backoff| backoff.not_before) {
                Some(at) if at > Instant::now() => {
                    wait = wait.min(at.saturating_duration_since(Instant::now()));
                }
                _ => self.order(partner, None, results, next_shard),
            }
        }
        wait
    }

    fn order(
        &self,
        partner: Arc<Partner>,
        done: Option<oneshot::Sender<CallOutcome>>,
        results: &mpsc::UnboundedSender<Outcome>,
        next_shard: &mut usize,
    ) {
        let Some(calling) = self.shared.claim(&partner.name) else {
            if let Some(done) = done {
                let _ = done.send(Err(format!("{} is being called already", partner.name)));
            }
            return;
        };
        let order = Order { partner, calling, done, results: results.clone(), ordered: Instant::now() };
        *next_shard = (*next_shard + 1) % self.shards.len().max(1);
        if let Some(shard) = self.shards.get(*next_shard) {
            let _ = shard.send(order);
        }
    }
}

fn note(backoffs: &mut HashMap<PartnerName, Backoff>, outcome: Outcome) {
    let backoff = backoffs.entry(outcome.partner).or_default();
    match outcome.verdict {
        Verdict::Useful => *backoff = Backoff::default(),
        Verdict::Useless | Verdict::Broken
            if backoff.hurried.is_some_and(|hurried| hurried > outcome.ordered) => {}
        Verdict::Broken | Verdict::Useless => {
            if outcome.verdict == Verdict::Broken {
                backoff.failures = 0;
            }
            let mut dice = [0; 8];
            entropy::fill(&mut dice);
            let wait = outcome.retry.delay(backoff.failures, u64::from_be_bytes(dice));
            backoff.failures = backoff.failures.saturating_add(1);
            backoff.not_before = Some(Instant::now() + wait);
        }
    }
}

impl Order {
    /// Makes the call, on the shard that got it.
    pub(crate) async fn run(self, shared: Arc<Shared>, shard: Shard) {
        let outcome = call(&shared, shard, &self.partner).await;
        let verdict = match &outcome {
            Ok(report) if report.end.reason == EndSessionReason::NORMAL && report.moved => Verdict::Useful,
            Ok(report) if report.moved => Verdict::Broken,
            _ => Verdict::Useless,
        };
        if let Err(text) = &outcome {
            let (partner, detail) = (self.partner.name.to_string(), text.clone());
            shared.tell(Event::CallFailed { partner: partner.clone(), text: text.clone() });
            let noted =
                shared.ledger.run(move |catalog| catalog.explain_waiting(&partner, &detail, now_ms()));
            if let Err(error) = noted.await {
                shared.tell(Event::Trouble { text: error.to_string() });
            }
        }
        let (partner, retry, ordered) = (self.partner.name.clone(), self.partner.retry, self.ordered);
        let _ = self.results.send(Outcome { partner, retry, verdict, ordered });
        // Only now may it be called again.
        drop(self.calling);
        if let Some(done) = self.done {
            let _ = done.send(outcome.map(|report| report.end));
        }
    }
}

async fn call(shared: &Arc<Shared>, shard: Shard, partner: &Arc<Partner>) -> Result<LinkReport, String> {
    let Some(address) = partner.address.clone() else {
        return Err(format!("{} has no address: it calls us", partner.name));
    };
    let terms = partner.terms(&shared.options.session)?;
    let mut failure = format!("{address} has no network address");
    for candidate in resolve(&shard, address).await? {
        match Stream::connect(candidate, shared.options.sockets, terms.connect).await {
            Ok(stream) => {
                return Link::call(Arc::clone(shared), shard, stream, Arc::clone(partner), terms).await;
            }
            Err(error) => failure = error.to_string(),
        }
    }
    Err(failure)
}

/// Looks a name up, on a worker, since the system's resolver waits.
async fn resolve(shard: &Shard, address: Address) -> Result<Vec<SocketAddr>, String> {
    let shown = address.to_string();
    let looked_up = shard
        .workers
        .run(move || {
            use std::net::ToSocketAddrs;
            (address.host.as_str(), address.port).to_socket_addrs().map(Vec::from_iter)
        })
        .await;
    looked_up.and_then(|found| found).map_err(|error| format!("cannot look up {shown}: {error}"))
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);
const WAIT_MIN: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_secs(30);
