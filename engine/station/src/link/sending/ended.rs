//! How a file that was sent ends: delivered to the partner, refused, put back into the queue, given up.

use std::time::Duration;

use odile_catalog::{AfterDelivery, CatalogError, Outbound, OutboundChange, OutboundState, TransferRef};
use odile_wire::command::{EndFileNegativeAnswer, StartFileNegativeAnswer};
use odile_wire::{AnswerReason, EndSessionReason, VariableText};

use super::{Flow, Halt, Sending, Stage};
use crate::clock::now_ms;
use crate::error::StationError;
use crate::event::{Event, SessionEnd};
use crate::link::{Link, pump};
use crate::{entropy, measure, seal_store};

impl Link {
    /// EFPA: the file is safe with the peer.
    pub(in crate::link) async fn on_sent(&mut self) {
        let Some(sending) = self.sending.take() else { return };
        let octets = sending.outbound.source_identity.size;
        let change = OutboundChange::to(OutboundState::Sent)
            .fruitless(0)
            .position_bytes(sending.transmitted_octets)
            .total_bytes(sending.transmitted_octets)
            .detail("sent; the receipt is awaited");
        if self.change(&sending.outbound, change).await {
            let transfer = TransferRef::Outbound(sending.outbound.id);
            self.moved = true;
            if let Some(mut recorder) = sending.recorder {
                let closing = sending.closing.map(|closing| closing.elapsed()).unwrap_or_default();
                recorder.add(measure::Stage::Close, closing);
                let measured = Box::new(recorder.finish(sending.transmitted_octets));
                self.shared.tell(Event::Measured { transfer, measured });
            }
            self.shared.tell(Event::FileSent { transfer, octets });
        }
    }

    /// SFNA.
    pub(in crate::link) async fn on_refused(&mut self, refusal: &StartFileNegativeAnswer) {
        let Some(sending) = self.sending.take() else { return };
        let text = told("SFNA", refusal.reason, &refusal.text);
        if refusal.reason == AnswerReason::DUPLICATE_FILE && sending.outbound.attempts > 0 {
            // An earlier attempt was cut off after the last octet: the peer has the file.
            let octets = sending.outbound.source_identity.size;
            let change = OutboundChange::to(OutboundState::Sent)
                .detail("the partner has it already; the receipt is awaited");
            if self.change(&sending.outbound, change).await {
                let transfer = TransferRef::Outbound(sending.outbound.id);
                self.shared.tell(Event::FileSent { transfer, octets });
            }
            return;
        }
        if refusal.retry {
            return self.try_again(sending, text).await;
        }
        self.refuse_for_good(&sending.outbound, text).await;
    }

    /// EFNA.
    pub(in crate::link) async fn on_close_refused(&mut self, refusal: &EndFileNegativeAnswer) {
        let Some(sending) = self.sending.take() else { return };
        let text = told("EFNA", refusal.reason, &refusal.text);
        // EFNA has no retry flag. What may be the line's or the disk's fault is tried again, a few times.
        let may_pass = matches!(
            refusal.reason,
            AnswerReason::ACCESS_METHOD_FAILURE
                | AnswerReason::INVALID_BYTE_COUNT
                | AnswerReason::INVALID_RECORD_COUNT
                | AnswerReason::UNSPECIFIED
        );
        let failed = sending.fruitless.saturating_add(1);
        // What was put together from two attempts is tried once in one.
        if failed < ATTEMPTS_AFTER_EFNA && (sending.was_resumed || may_pass) {
            // The peer has nothing of it any more.
            return self.start_again(&sending.outbound, sending.fruitless, text).await;
        }
        self.refuse_for_good(&sending.outbound, text).await;
    }

    async fn refuse_for_good(&mut self, outbound: &Outbound, text: String) {
        self.forget(outbound).await;
        let change = OutboundChange::to(OutboundState::Refused).detail(text.clone()).position_bytes(0);
        if self.change(outbound, change).await {
            self.shared.tell(Event::FileRefused { transfer: TransferRef::Outbound(outbound.id), text });
        }
    }

    pub(super) async fn put_back(&mut self, outbound: &Outbound, text: String, after: Duration) {
        self.queue_again(outbound, text, after, OutboundChange::default()).await;
    }

    async fn queue_again(
        &mut self,
        outbound: &Outbound,
        text: String,
        after: Duration,
        with: OutboundChange,
    ) {
        let wait = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        let change = OutboundChange { state: Some(OutboundState::Queued), ..with }
            .detail(text.clone())
            .not_before_ms(now_ms().saturating_add(wait));
        if self.change(outbound, change).await {
            self.shared.tell(Event::FileFailed {
                transfer: TransferRef::Outbound(outbound.id),
                text: format!("{text}; it is tried again in {:.1} s", after.as_secs_f64()),
            });
        } else if self.is_settled(outbound.id).await {
            // Its receipt has come in another session: what was kept since goes, too.
            self.forget(outbound).await;
        }
    }

    async fn is_settled(&self, id: i64) -> bool {
        let found = self.shared.ledger.run(move |catalog| catalog.outbound(id)).await;
        matches!(found, Ok(Some(outbound)) if outbound.state.is_final())
    }

    /// A file that was cut off waits for its next attempt: longer with each one that moved nothing, and held after as
    /// many as were agreed on.
    async fn try_again(&mut self, sending: Sending, text: String) {
        let retry = self.partner.as_ref().map(|partner| partner.retry).unwrap_or_default();
        let Sending { outbound, fruitless, stage, .. } = sending;
        let position = match stage {
            Stage::Flowing(flow) => self.keep_at_the_end(&outbound, *flow).await,
            Stage::Offered(_) | Stage::Closing => None,
        };
        let mut change = OutboundChange::default().fruitless(fruitless.saturating_add(1));
        if let Some(position) = position {
            change = change.position_bytes(position);
        }
        let failed = fruitless.saturating_add(1);
        if retry.attempts_max.is_some_and(|most| failed >= most) {
            let text = format!("{failed} attempts in a row moved nothing, the last: {text}");
            let change = OutboundChange { state: Some(OutboundState::Held), ..change }.detail(text.clone());
            if self.change(&outbound, change).await {
                let transfer = TransferRef::Outbound(outbound.id);
                let text = format!("{text}; it is held, `odile retry {transfer}` goes on");
                self.shared.tell(Event::FileFailed { transfer, text });
            }
            return;
        }
        let mut dice = [0; 8];
        entropy::fill(&mut dice);
        let after = retry.delay(fruitless, u64::from_be_bytes(dice));
        self.queue_again(&outbound, text, after, change).await;
    }

    /// A file that waits for an attempt from its start.
    pub(super) async fn start_again(&mut self, outbound: &Outbound, fruitless: u32, text: String) {
        self.forget(outbound).await;
        let change = OutboundChange::default().fruitless(fruitless.saturating_add(1)).position_bytes(0);
        self.queue_again(outbound, text, RETRY_AFTER_REFUSAL, change).await;
    }

    /// The last checkpoint of an attempt, at its very end. Gives the octets of the transmitted file that were sent, if
    /// that is durable.
    async fn keep_at_the_end(&mut self, outbound: &Outbound, flow: Flow) -> Option<u64> {
        let Flow { pump, mut keeping, .. } = flow;
        // Nothing is written any more when the next attempt begins.
        let mut written = keeping.settle().await;
        if let (Some(pump), true) = (pump, written.is_ok()) {
            let (measured, position) = (pump.measured(), pump.transmitted_position());
            keeping.begin(pump.checkpoint(), measured, position);
            written = match (keeping.settle().await, written) {
                (Ok(None), before) => before,
                (last, _) => last,
            };
        }
        match written {
            Ok(written) => written.map(|written| written.position),
            Err(error) => {
                let text =
                    format!("{}: its last checkpoint is lost: {error}", TransferRef::Outbound(outbound.id));
                self.shared.tell(Event::Trouble { text });
                None
            }
        }
    }

    /// Destroys what was kept so that the file could go on.
    async fn forget(&mut self, outbound: &Outbound) {
        if let Err(error) = seal_store::destroy(&self.shared.home, outbound.id).await {
            let text = format!("what was kept of {}: {error}", TransferRef::Outbound(outbound.id));
            self.shared.tell(Event::Trouble { text });
        }
        let (id, change) = (outbound.id, OutboundChange::default().position_bytes(0));
        if outbound.position_bytes > 0 {
            self.shared.ledger.post(move |catalog| catalog.set_outbound(id, &change, now_ms()));
        }
    }

    /// The file cannot be sent, and no later attempt would change that.
    pub(super) async fn fail(&mut self, outbound: &Outbound, text: String) {
        self.forget(outbound).await;
        let change = OutboundChange::to(OutboundState::Failed).detail(text.clone()).position_bytes(0);
        if self.change(outbound, change).await {
            self.shared.tell(Event::FileFailed { transfer: TransferRef::Outbound(outbound.id), text });
        }
    }

    /// Gives up a file in the middle, and with it the session: OFTP knows no other way.
    pub(super) async fn abandon(&mut self, halt: Halt) {
        if let Some(mut sending) = self.sending.take() {
            if !matches!(halt, Halt::Passing(_)) {
                sending.settle().await;
            }
            match halt {
                Halt::Cancelled => self.cancelled(&sending.outbound).await,
                Halt::Final(text) => self.fail(&sending.outbound, text).await,
                Halt::Passing(text) => self.try_again(sending, text).await,
                Halt::NotThere(text) => self.start_again(&sending.outbound, sending.fruitless, text).await,
            }
        }
        if self.shared.is_stopping() {
            return self.stop_if_asked();
        }
        // The peer learns that it was not its fault, but no path of ours.
        let public = "the sender cannot go on with this file";
        self.release(EndSessionReason::UNSPECIFIED, public);
    }

    async fn cancelled(&mut self, outbound: &Outbound) {
        self.shared.take_cancelled(outbound.id);
        self.forget(outbound).await;
        let change = OutboundChange::to(OutboundState::Cancelled).detail(CANCELLED);
        self.change(outbound, change).await;
    }

    /// After EERP or NERP: what was kept of the file is destroyed.
    pub(in crate::link) async fn release_kept(&mut self, outbound: &Outbound) {
        let is_kept = pump::is_kept(outbound, self.shared.options.checkpoint_bytes);
        if is_kept || outbound.attempts > 1 {
            self.forget(outbound).await;
        }
    }

    /// After EERP: an outbox file has done its service.
    pub(in crate::link) async fn release_source(&mut self, outbound: &Outbound) {
        if outbound.after_delivery != AfterDelivery::DeleteSource {
            return;
        }
        if let Err(error) = odile_uring::remove(&outbound.source).await
            && error.source.kind() != std::io::ErrorKind::NotFound
        {
            self.shared.tell(Event::Trouble { text: format!("delivered, but: {error}") });
        }
    }

    /// The session is over: what was under way goes back into the queue.
    pub(in crate::link) async fn drop_transfers(&mut self, end: &SessionEnd) {
        if let Some(mut sending) = self.sending.take() {
            if self.shared.take_cancelled(sending.outbound.id) {
                sending.settle().await;
                self.cancelled(&sending.outbound).await;
            } else {
                let text = format!("the session ended (ESID {}) {}", end.reason, end.text);
                self.try_again(sending, text).await;
            }
        }
        if let Some(receiving) = self.receiving.take() {
            self.drop_incoming(receiving, &end.text).await;
        }
    }

    /// Changes a transfer in the catalog. False if that failed, which ends the session; or if its receipt has come
    /// in another session meanwhile, which counts more than what happens in this one.
    pub(super) async fn change(&mut self, outbound: &Outbound, change: OutboundChange) -> bool {
        let id = outbound.id;
        let changed =
            self.shared.ledger.run(move |catalog| catalog.set_outbound(id, &change, now_ms())).await;
        match changed {
            Ok(()) => true,
            Err(StationError::Catalog(CatalogError::IllegalTransition { from, .. })) if has_receipt(from) => {
                false
            }
            Err(error) => {
                self.on_trouble(error.to_string());
                false
            }
        }
    }
}

fn has_receipt(state: &str) -> bool {
    OutboundState::from_name(state)
        .is_some_and(|state| !state.awaits_receipt() || state == OutboundState::Unproven)
}

fn told(command: &str, reason: AnswerReason, text: &VariableText) -> String {
    if text.is_empty() { format!("{command} {reason}") } else { format!("{command} {reason}: {text}") }
}

const CANCELLED: &str = "cancelled by the operator";
const RETRY_AFTER_REFUSAL: Duration = Duration::from_secs(60);
const ATTEMPTS_AFTER_EFNA: u32 = 3;
