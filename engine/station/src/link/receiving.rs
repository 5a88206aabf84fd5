//! A file on its way in.

use std::sync::Arc;
use std::time::Instant;

use odile_catalog::{Inbound, ReceiptKind, TransferRef};
use odile_partner::RefuseWith;
use odile_session::TurnWish;
use odile_transfer::{Incoming, octets_of_blocks};
use odile_wire::command::{EndFile, EndFileNegativeAnswer, StartFile, StartFileNegativeAnswer};
use odile_wire::{AnswerReason, EndSessionReason, Level, Malformed, VariableText};

use super::Link;
use super::taking_up::IDLE_LIMIT;
use super::terms::ContentRefusal;
use crate::clock::now_ms;
use crate::event::Event;
use crate::intake::{Intake, NotKept, Problem, Refused, Unusable, Verdict};
use crate::landing::{Landing, NotLanded};
use crate::measure::{Recorder, Stage};
use crate::options::Target;
use crate::pace::Pace;
use crate::progress::OnBoard;
use crate::spool::Filling;
use crate::{arrival, receipts, services, slots};

/// The file that is being received.
pub(super) struct Receiving {
    pub(super) inbound: Inbound,
    pub(super) meter: OnBoard,
    pub(super) incoming: Incoming,
    pub(super) intake: Intake,
    /// The block being filled.
    pub(super) filling: Option<Filling>,
    /// A plain file that is longer was announced as a shorter one: the rest is read and dropped.
    pub(super) octets_max: u64,
    /// When a plain file is marked next; none: whoever opens it knows.
    pub(super) marks: Option<Pace>,
    /// What the catalog knows to be safe.
    pub(super) noted: u64,
    /// The last that came was malformed: who knows what came just before.
    pub(super) is_doubtful: bool,
    pub(super) recorder: Option<Box<Recorder>>,
    /// Some DATA has come in this session.
    pub(super) has_begun: bool,
}

impl Link {
    /// SFID.
    pub(super) async fn on_offer(&mut self, file: StartFile) {
        let answer = match self.begin(&file).await {
            Ok((receiving, position)) => {
                self.shared.tell(Event::Receiving {
                    transfer: TransferRef::Inbound(receiving.inbound.id),
                    partner: self.partner_name(),
                    dataset_name: file.id.to_string(),
                    announced_octets: octets_of_blocks(file.size_blocks).unwrap_or(u64::MAX),
                    from_octet: receiving.incoming.octets(),
                    description: file.description.to_string(),
                });
                self.receiving = Some(receiving);
                Ok(position)
            }
            Err(refusal) => {
                let text = format!("SFNA {}: {}", refusal.reason, refusal.text);
                let dataset_name = file.id.to_string();
                self.shared.tell(Event::OfferRefused { session: self.number, dataset_name, text });
                Err(StartFileNegativeAnswer {
                    reason: refusal.reason,
                    retry: refusal.retry,
                    text: VariableText::truncated(&refusal.text),
                })
            }
        };
        if let Err(misuse) = self.session.answer_start_file(answer, Instant::now()) {
            self.on_trouble(misuse.to_string());
        }
    }

    /// A fragment of a Data Exchange Buffer.
    pub(super) async fn on_data(&mut self, fragment: &[u8], end: bool) {
        let outcome = match &mut self.receiving {
            Some(receiving) => receiving.store(fragment, end).await,
            None => Ok(()),
        };
        if let Err(malformed) = outcome {
            if let Some(receiving) = &mut self.receiving {
                receiving.is_doubtful = true;
            }
            return self.session.on_malformed(&malformed, Instant::now());
        }
        self.note_position();
        if self.receiving.as_ref().is_some_and(Receiving::is_beyond_saving) {
            let text = "the receiving station cannot go on with the file";
            return self.release(EndSessionReason::RESOURCES_NOT_AVAILABLE, text);
        }
        let in_file = self.receiving.is_some();
        if end || !in_file {
            // Whatever is wrong with it, the session has its answer ready.
            let _ = self.session.on_data(Instant::now());
        }
    }

    /// What has become safe is noted, for those who look; nothing waits for it.
    fn note_position(&mut self) {
        let Some(receiving) = &mut self.receiving else { return };
        if let Some(trouble) = receiving.intake.take_trouble() {
            let transfer = TransferRef::Inbound(receiving.inbound.id);
            let text = format!("{transfer} cannot be resumed from here on: {trouble}");
            self.shared.tell(Event::Trouble { text });
        }
        let safe = receiving.intake.safe_position();
        if safe > receiving.noted {
            receiving.noted = safe;
            let id = receiving.inbound.id;
            self.shared.ledger.post(move |catalog| catalog.inbound_position(id, safe, now_ms()));
        }
    }

    /// EFID.
    pub(super) async fn on_close(&mut self, end: &EndFile) {
        self.reader.end_bulk().await;
        let Some(receiving) = self.receiving.take() else {
            return self.on_trouble("EFID without an open file".to_owned());
        };
        let Some(answer) = self.close(receiving, end).await else { return };
        let answer = answer
            .map(|()| TurnWish::Keep)
            .map_err(|(reason, text)| EndFileNegativeAnswer { reason, text: VariableText::truncated(&text) });
        if let Err(misuse) = self.session.answer_close_file(answer, Instant::now()) {
            self.on_trouble(misuse.to_string());
        }
    }

    /// The answer for EFID; none if there is none to give, and the session ends.
    async fn close(
        &mut self,
        mut receiving: Receiving,
        end: &EndFile,
    ) -> Option<Result<(), (AnswerReason, String)>> {
        receiving.hand_over().await;
        let is_too_long = receiving.is_too_long();
        let Receiving { inbound, incoming, intake, meter, recorder, .. } = receiving;
        let transfer = TransferRef::Inbound(inbound.id);
        let opening = intake.opening_time();
        let (part, verdict) = intake.conclude().await;
        if let Some(mut recorder) = recorder {
            let stage =
                if self.shared.options.target == Target::Inbox { Stage::Disk } else { Stage::Compare };
            recorder.add(Stage::Open, opening);
            recorder.add(stage, part.writing_time());
            let measured = Box::new(recorder.finish(incoming.octets()));
            self.shared.tell(Event::Measured { transfer, measured });
        }
        if let Err(Refused::Worker(error)) = &verdict {
            // Nothing that was counted means anything then.
            let failed = part.finish().await.err();
            let detail = failed.map_or_else(|| error.to_string(), |error| error.to_string());
            return Some(Err(self.not_stored(&inbound, &detail).await));
        }
        if is_too_long {
            let _ = part.finish().await;
            let text = "the file is larger than agreed".to_owned();
            self.give_up(&inbound, &format!("{text}, and than announced")).await;
            return Some(Err((AnswerReason::FILE_TOO_BIG, text)));
        }
        if let Err((reason, text)) = incoming.check(end) {
            let _ = part.finish().await;
            self.give_up(&inbound, &text).await;
            return Some(Err((reason, text)));
        }
        let verdict = match verdict.and_then(|verdict| as_announced(&inbound, verdict)) {
            Ok(verdict) => verdict,
            Err(refused) => {
                let _ = part.finish().await;
                return match refused {
                    Refused::Worker(error) => Some(Err(self.not_stored(&inbound, &error.to_string()).await)),
                    Refused::Content(found) => self.refuse_content(&inbound, *found).await,
                    Refused::Paused => None,
                };
            }
        };
        if self.shared.options.target == Target::Discard {
            let _ = part.finish().await;
            self.give_up(&inbound, "discarded on purpose").await;
            drop(meter);
            return Some(Ok(()));
        }
        let partner = self.partner.clone()?;
        let octets = verdict.opened.as_ref().map_or(incoming.octets(), |opened| opened.content_bytes);
        let landing = Landing {
            shared: &self.shared,
            partner: &partner,
            inbound: &inbound,
            octets,
            records: incoming.records(),
            verdict: &verdict,
        };
        let landed = match self.shared.options.target {
            Target::Check(content) => match part.finish().await {
                Ok(_) => landing.check_off(content).await,
                Err(error) => Err(NotLanded::Nothing(error)),
            },
            Target::Inbox | Target::Discard => landing.land(part).await,
        };
        match landed {
            Ok(path) => {
                let path = path.display().to_string();
                self.moved = true;
                let found = services::found(&verdict);
                self.shared.tell(Event::Received { transfer, octets, path, found });
                Some(Ok(()))
            }
            Err(NotLanded::Nothing(error)) => Some(Err(self.not_stored(&inbound, &error.to_string()).await)),
            Err(NotLanded::Unnoted(error)) => {
                let text = format!("{transfer} has arrived, but could not be noted: {error}");
                self.on_trouble(text);
                None
            }
        }
    }

    /// The fault is ours: the answer for EFNA.
    async fn not_stored(&mut self, inbound: &Inbound, detail: &str) -> (AnswerReason, String) {
        self.give_up(inbound, detail).await;
        (AnswerReason::ACCESS_METHOD_FAILURE, "the receiving station could not store the file".to_owned())
    }

    /// A file that came whole, but whose envelope is of no use: nothing of it is kept.
    async fn refuse_content(
        &mut self,
        inbound: &Inbound,
        found: Unusable,
    ) -> Option<Result<(), (AnswerReason, String)>> {
        let refusal = ContentRefusal::new(&found, inbound);
        let partner = self.partner.clone()?;
        if partner.receive.refuse_with == RefuseWith::Efna || self.session.level() < Level::V2_0 {
            self.give_up(inbound, &refusal.detail).await;
            return Some(Err((refusal.answer, refusal.public.to_owned())));
        }
        self.remove_part(inbound).await;
        let mut judged = inbound.clone();
        judged.transmitted = found.transmitted.as_ref().map(services::stored_stream);
        let kind = ReceiptKind::Negative {
            creator: inbound.file.destination,
            reason: refusal.response,
            text: VariableText::truncated(refusal.public),
        };
        let (id, detail) = (inbound.id, refusal.detail);
        let shared = Arc::clone(&self.shared);
        let note = move |catalog: &mut odile_catalog::Catalog| {
            let receipt = receipts::made(&shared, &partner, &judged, kind);
            catalog.received(id, &receipt, now_ms())
        };
        let noted = self.shared.ledger.run(note).await;
        self.shared.tell(Event::ReceiveFailed { transfer: TransferRef::Inbound(id), text: detail });
        match noted {
            Ok(()) => {
                self.moved = true;
                Some(Ok(()))
            }
            Err(error) => {
                self.on_trouble(error.to_string());
                None
            }
        }
    }

    /// The session ended in the middle of a file: what came of it is kept.
    pub(super) async fn drop_incoming(&mut self, mut receiving: Receiving, text: &str) {
        let is_kept = self.shared.options.target != Target::Discard && !receiving.is_too_long();
        if is_kept && !receiving.is_doubtful {
            receiving.hand_over().await;
            receiving.mark().await;
        }
        let Receiving { inbound, intake, meter, filling, is_doubtful, .. } = receiving;
        drop(filling);
        let (mut safe, outcome) = intake.pause(!is_doubtful).await;
        // An earlier session's checkpoint stands until there is a newer one.
        safe = safe.max(inbound.position_bytes);
        let text = match outcome {
            Ok(()) => format!("the session ended in the middle of the file: {text}"),
            Err(NotKept::Content(found)) => {
                let refusal = ContentRefusal::new(&found, &inbound);
                self.shared.remember_refused(inbound.id, refusal.public);
                safe = 0;
                refusal.detail
            }
            Err(NotKept::Worker(error)) => error.to_string(),
            Err(NotKept::Storage(error)) => error.to_string(),
        };
        // Until it is noted, nobody may begin it again.
        if is_kept && safe > 0 {
            self.interrupt(&inbound, safe, text).await;
        } else {
            self.give_up(&inbound, &text).await;
        }
        drop(meter);
    }

    /// Notes that a file waits for its partner to go on.
    async fn interrupt(&mut self, inbound: &Inbound, safe: u64, text: String) {
        let (id, detail) = (inbound.id, text.clone());
        let note = move |catalog: &mut odile_catalog::Catalog| {
            catalog.interrupt_inbound(id, &detail, safe, now_ms())
        };
        let noted = self.shared.ledger.run(note).await;
        let transfer = TransferRef::Inbound(id);
        self.shared.tell(Event::Interrupted { transfer, text, safe_octets: safe });
        if let Err(error) = noted {
            self.on_trouble(error.to_string());
        }
    }

    /// Removes what there is of a file, and notes why. The partner may send it again.
    async fn give_up(&mut self, inbound: &Inbound, text: &str) {
        let (id, detail) = (inbound.id, text.to_owned());
        // First: without its `.part`, a file that is about to land would be taken for one that has.
        let noted =
            self.shared.ledger.run(move |catalog| catalog.failed_inbound(id, &detail, now_ms())).await;
        self.remove_part(inbound).await;
        let transfer = TransferRef::Inbound(id);
        self.shared.tell(Event::ReceiveFailed { transfer, text: text.to_owned() });
        if let Err(error) = noted {
            self.on_trouble(error.to_string());
        }
    }
}

impl Link {
    async fn remove_part(&self, inbound: &Inbound) {
        let path = self.shared.home.spool().join(&inbound.part_name);
        // First what tells of it. A sidecar may stand beside it; any may not be there.
        let _ = slots::remove(&self.shared.home.spool(), arrival::stem(inbound)).await;
        let _ = odile_uring::remove(&path).await;
        let _ = odile_uring::remove(&path.with_extension("json")).await;
    }
}

impl Receiving {
    /// True if it cannot be stored and too much is still to come: otherwise the rest is read and dropped, so that
    /// EFNA ends the file and not the session.
    fn is_beyond_saving(&self) -> bool {
        let announced = octets_of_blocks(self.inbound.announced_blocks).unwrap_or(u64::MAX);
        let is_useless = self.intake.has_failed() || self.is_too_long();
        is_useless && announced.saturating_sub(self.incoming.octets()) > DROPPED_OCTETS_MAX
    }

    /// What waits until another session wants the file.
    pub(super) fn leaving(&self) -> impl Future<Output = ()> + use<> {
        self.meter.leaving(IDLE_LIMIT)
    }

    fn is_too_long(&self) -> bool {
        self.incoming.octets() > self.octets_max
    }

    async fn store(&mut self, mut fragment: &[u8], end: bool) -> Result<(), Malformed> {
        if !self.has_begun {
            self.has_begun = true;
            if let Some(recorder) = &mut self.recorder {
                recorder.restart();
            }
        }
        loop {
            let filling = if let Some(filling) = &mut self.filling {
                filling
            } else {
                let began = Instant::now();
                let Some(filling) = self.intake.free_block().await else { return Ok(()) };
                if let Some(recorder) = &mut self.recorder {
                    recorder.add(Stage::Store, began.elapsed());
                }
                self.filling.insert(filling)
            };
            let taken = self.incoming.take(fragment, filling.rest()).map_err(malformed)?;
            fragment = fragment.get(taken.consumed..).unwrap_or_default();
            filling.filled += taken.written;
            if filling.is_full() || (taken.wants_room && taken.written == 0) {
                self.hand_over().await;
            } else if fragment.is_empty() && !taken.wants_room {
                break;
            }
        }
        // On a slow line, a block takes longer than others wait for any sign of life.
        self.meter.set(self.incoming.octets());
        if self.marks.as_ref().is_some_and(|pace| pace.is_due(self.incoming.octets())) {
            self.hand_over().await;
            self.mark().await;
        }
        if end { self.incoming.end_of_buffer().map_err(malformed) } else { Ok(()) }
    }

    /// Marks a plain file as one that can be taken up again here, if it can.
    async fn mark(&mut self) {
        if self.is_too_long() {
            return;
        }
        if let Some(pace) = &mut self.marks
            && let Some(place) = self.incoming.place()
        {
            pace.made(self.incoming.octets());
            self.intake.mark(place).await;
        }
    }

    async fn hand_over(&mut self) {
        if self.is_too_long() {
            // The block is filled again.
            self.filling = self.filling.take().map(|filling| Filling { filled: 0, ..filling });
        } else if let Some(Filling { block, filled, .. }) = self.filling.take()
            && filled > 0
        {
            self.intake.write(block, filled).await;
        }
    }
}

/// Refuses what the envelope says otherwise than SFID: who agrees on a suite wants that one.
fn as_announced(inbound: &Inbound, verdict: Verdict) -> Result<Verdict, Refused> {
    let (Some(suite), Some(opened)) = (services::suite(inbound.services), &verdict.opened) else {
        return Ok(verdict);
    };
    let is_other_cipher = opened.decrypted.as_ref().is_some_and(|found| {
        found.cipher != suite.content_cipher() || found.transport != suite.key_transport()
    });
    let is_other_hash = opened.verified.as_ref().is_some_and(|found| {
        [found.hash, found.signed_hash] != [suite.hash(); 2] || found.scheme != suite.signature_scheme()
    });
    let problem = match (is_other_cipher, is_other_hash) {
        (true, _) => Problem::OtherCipher(suite),
        (false, true) => Problem::OtherSignature(suite),
        (false, false) => return Ok(verdict),
    };
    Err(Refused::Content(Box::new(Unusable { problem, transmitted: verdict.transmitted })))
}

fn malformed(error: odile_transfer::IncomingError) -> Malformed {
    match error {
        odile_transfer::IncomingError::Malformed(malformed) => malformed,
        odile_transfer::IncomingError::TooLong { .. } => Malformed::Field {
            command: odile_wire::Mnemonic::Data,
            field: "DATABUF",
            problem: "makes the file longer than OFTP2 can express",
        },
    }
}

/// Reading and dropping so much takes a moment; more would waste the line for hours.
const DROPPED_OCTETS_MAX: u64 = 64 << 20;
