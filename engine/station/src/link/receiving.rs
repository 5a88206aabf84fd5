//! A file on its way in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odile_catalog::{Inbound, InboundState, NewInbound, ReceiptKind, TransferRef};
use odile_envelope::{Declared, OpenTerms, Services, Suite};
use odile_partner::{Purpose, RefuseWith};
use odile_session::TurnWish;
use odile_transfer::{Incoming, Witness, octets_of_blocks};
use odile_uring::Block;
use odile_wire::command::{EndFile, EndFileNegativeAnswer, StartFile, StartFileNegativeAnswer};
use odile_wire::data::Records;
use odile_wire::{AnswerReason, EndSessionReason, FILE_SIZE_BLOCKS_MAX, Level, Malformed, VariableText};

use super::Link;
use super::terms::{ContentRefusal, Refusal};
use crate::clock::{now_ms, now_seconds};
use crate::event::Event;
use crate::intake::{Intake, Problem, Refused, Unusable, Verdict, Work};
use crate::landing::{self, Landing, NotLanded};
use crate::options::{Options, Target};
use crate::progress::OnBoard;
use crate::spool::{PartFile, PartPlan};
use crate::{receipts, services};

/// The file that is being received.
pub(super) struct Receiving {
    inbound: Inbound,
    meter: OnBoard,
    incoming: Incoming,
    intake: Intake,
    /// The block being filled, and how far.
    filling: Option<(Block, usize)>,
    /// A plain file that is longer was announced as a shorter one: the rest is read and dropped.
    octets_max: u64,
}

impl Link {
    /// SFID.
    pub(super) async fn on_offer(&mut self, file: StartFile) {
        let answer = match self.begin(&file).await {
            Ok(receiving) => {
                self.shared.tell(Event::Receiving {
                    transfer: TransferRef::Inbound(receiving.inbound.id),
                    partner: self.partner_name(),
                    dataset_name: file.id.to_string(),
                    announced_octets: octets_of_blocks(file.size_blocks).unwrap_or(u64::MAX),
                });
                self.receiving = Some(receiving);
                Ok(0)
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

    async fn begin(&mut self, file: &StartFile) -> Result<Receiving, Refusal> {
        let records = self.check_terms(file)?;
        let room_octets = self.check_room(file)?;
        let new = NewInbound {
            partner: self.partner_name(),
            file: file.id,
            user: file.user,
            format: file.format,
            record_size: file.record_size,
            announced_blocks: file.size_blocks,
            description: file.description.clone(),
            part_name: format!("{}-{}.part", now_ms(), self.number),
            services: services::announced(file),
        };
        let board = Arc::clone(&self.shared.board);
        let begun = self
            .shared
            .ledger
            .run(move |catalog| match catalog.known_inbound(&new.partner, &new.file)? {
                Some(known) if matches!(known.state, InboundState::Landing | InboundState::Received) => {
                    Ok(Err(known))
                }
                // Looked at before anything of it is changed.
                Some(known) if board.of(TransferRef::Inbound(known.id)).is_some() => Ok(Err(known)),
                _ => catalog.begin_inbound(&new, now_ms()).map(Ok),
            })
            .await
            .map_err(|error| self.no_room_for(error.to_string()))?;
        let inbound = match begun {
            Ok(inbound) => inbound,
            Err(known) => return Err(self.refuse_known(&known).await),
        };
        if let Some(text) = self.shared.take_refused(inbound.id) {
            let text = format!("{text}, as it was found when it came before");
            self.set_failed(inbound.id, text.clone()).await;
            return Err(Refusal { reason: AnswerReason::UNSPECIFIED, retry: false, text });
        }
        let announced = octets_of_blocks(file.size_blocks).unwrap_or(u64::MAX);
        let Some(meter) = self.shared.board.enter(TransferRef::Inbound(inbound.id), announced) else {
            return Err(in_another_session());
        };
        let (intake, reading) = self.make_intake(&inbound, records, announced, room_octets).await?;
        self.reader.begin_bulk(reading);
        let limit = octets_of_blocks(FILE_SIZE_BLOCKS_MAX).unwrap_or(u64::MAX);
        let incoming = Incoming::new(records, limit);
        // Of an envelope, what is in it counts, and whoever opens it counts that.
        let octets_max = match self.partner.as_ref().and_then(|partner| partner.receive.octets_max) {
            Some(octets_max) if services::layers(inbound.services) == Services::NONE => octets_max,
            _ => u64::MAX,
        };
        Ok(Receiving { inbound, meter, incoming, intake, filling: None, octets_max })
    }

    /// A file that has landed, or is just about to.
    async fn refuse_known(&self, known: &Inbound) -> Refusal {
        let transfer = TransferRef::Inbound(known.id);
        if known.state != InboundState::Received {
            if known.state != InboundState::Landing || self.shared.board.of(transfer).is_some() {
                return in_another_session();
            }
            match landing::settle(&self.shared, known).await {
                Ok(true) => {}
                Ok(false) => return self.no_room_for(format!("{transfer} has neither landed nor failed")),
                Err(error) => return self.no_room_for(error.to_string()),
            }
        }
        let text = format!("this file was received before, as {transfer}");
        Refusal { reason: AnswerReason::DUPLICATE_FILE, retry: false, text }
    }

    async fn make_intake(
        &mut self,
        inbound: &Inbound,
        records: Records,
        announced: u64,
        room_octets: u64,
    ) -> Result<(Intake, Vec<Block>), Refusal> {
        let work = self.work(inbound, records, room_octets);
        // An envelope needs blocks on both sides of what opens it.
        let opens = matches!(work, Some(Work::Open(_)));
        let wanted = if opens { Options::BLOCKS_PER_TRANSFER } else { PLAIN_BLOCKS };
        let reserving = self.shard.pool.reserve(wanted);
        let Ok(mut blocks) = tokio::time::timeout(BLOCKS_LIMIT, reserving).await else {
            let text = "no buffers became free: too many files at a time, or idle partners".to_owned();
            self.set_failed(inbound.id, text.clone()).await;
            return Err(self.no_room_for(text));
        };
        let reading = blocks.split_off(blocks.len() - READING_BLOCKS);
        let between = if opens { blocks.split_off(WRITING_BLOCKS) } else { Vec::new() };
        let path = self.shared.home.spool().join(&inbound.part_name);
        let options = &self.shared.options;
        // What is compressed says nothing of how long it will be.
        let reserved = if inbound.services.compression == 0 { announced } else { 0 };
        let plan = PartPlan::new(&path, options.target, reserved, options.sync_bytes);
        match PartFile::create(plan, blocks).await {
            Ok(part) => Ok((Intake::new(part, work, between, self.shard.workers.clone()), reading)),
            Err(error) => {
                let text = error.to_string();
                self.set_failed(inbound.id, text.clone()).await;
                Err(self.no_room_for(text))
            }
        }
    }

    /// What is done with the file while it comes; nothing, if it is plain and its receipt as well.
    fn work(&self, inbound: &Inbound, records: Records, room_octets: u64) -> Option<Work> {
        let stored = inbound.services;
        let suite = services::suite(stored);
        let layers = services::layers(stored);
        if layers == Services::NONE {
            let suite = suite.filter(|_| stored.signed_receipt)?;
            return Some(Work::Watch(Box::new(Witness::new(suite.hash(), records))));
        }
        let partner = self.partner.as_ref()?;
        Some(Work::open(OpenTerms {
            declared: Declared::Services(layers),
            recipients: self.shared.keyring.recipients(Purpose::Encryption),
            signers: self.shared.configuration.certificates(&partner.name).signers(),
            now: Some(now_seconds()),
            output_bytes_max: room_octets,
            transmitted_hash: suite.map(Suite::hash),
        }))
    }

    /// A file that was refused after it got its number.
    async fn set_failed(&self, id: i64, detail: String) {
        let _ = self.shared.ledger.run(move |catalog| catalog.failed_inbound(id, &detail, now_ms())).await;
    }

    /// What is wrong here is told to our operator, not to the peer.
    fn no_room_for(&self, text: String) -> Refusal {
        self.shared.tell(Event::Trouble { text: format!("session {}: {text}", self.number) });
        let text = "the receiving station cannot store files now".to_owned();
        Refusal { reason: AnswerReason::ACCESS_METHOD_FAILURE, retry: true, text }
    }

    /// A fragment of a Data Exchange Buffer.
    pub(super) async fn on_data(&mut self, fragment: &[u8], end: bool) {
        let outcome = match &mut self.receiving {
            Some(receiving) => receiving.store(fragment, end).await,
            None => Ok(()),
        };
        if let Err(malformed) = outcome {
            return self.session.on_malformed(&malformed, Instant::now());
        }
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
        let Receiving { inbound, incoming, intake, meter, .. } = receiving;
        let transfer = TransferRef::Inbound(inbound.id);
        let (part, verdict) = intake.conclude().await;
        if let Err(Refused::Worker(error)) = &verdict {
            // Nothing that was counted means anything then.
            let detail =
                part.finish().await.err().map_or_else(|| error.to_string(), |error| error.to_string());
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
        match landing.land(part).await {
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

    /// The session ended in the middle of a file.
    pub(super) async fn drop_incoming(&mut self, receiving: Receiving, text: &str) {
        let Receiving { inbound, intake, meter, filling, .. } = receiving;
        drop(filling);
        let has_failed = intake.has_failed();
        let (part, verdict) = intake.conclude().await;
        let text = match (part.finish().await, verdict) {
            (Err(error), _) => error.to_string(),
            // A stream that was cut off is no fault of the envelope; what was wrong before, is.
            (Ok(_), Err(Refused::Content(found))) if has_failed => {
                let refusal = ContentRefusal::new(&found, &inbound);
                self.shared.remember_refused(inbound.id, refusal.public);
                refusal.detail
            }
            (Ok(_), Err(Refused::Worker(error))) => error.to_string(),
            (Ok(_), _) => format!("the session ended in the middle of the file: {text}"),
        };
        // Until it is noted, nobody may begin it again.
        self.give_up(&inbound, &text).await;
        drop(meter);
    }

    /// Removes what there is of a file, and notes why. The partner may send it again.
    async fn give_up(&mut self, inbound: &Inbound, text: &str) {
        self.remove_part(inbound).await;
        let (id, detail) = (inbound.id, text.to_owned());
        let noted =
            self.shared.ledger.run(move |catalog| catalog.failed_inbound(id, &detail, now_ms())).await;
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
        // A sidecar may stand beside it; either may not be there.
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

    fn is_too_long(&self) -> bool {
        self.incoming.octets() > self.octets_max
    }

    async fn store(&mut self, mut fragment: &[u8], end: bool) -> Result<(), Malformed> {
        loop {
            let (block, filled) = if let Some(filling) = &mut self.filling {
                filling
            } else {
                let Some(block) = self.intake.free_block().await else { return Ok(()) };
                self.filling.insert((block, 0))
            };
            let room = block.get_mut(*filled..).unwrap_or_default();
            let taken = self.incoming.take(fragment, room).map_err(malformed)?;
            fragment = fragment.get(taken.consumed..).unwrap_or_default();
            *filled += taken.written;
            if *filled == block.len() || (taken.wants_room && taken.written == 0) {
                self.hand_over().await;
                self.meter.set(self.incoming.octets());
            } else if fragment.is_empty() && !taken.wants_room {
                break;
            }
        }
        if end { self.incoming.end_of_buffer().map_err(malformed) } else { Ok(()) }
    }

    async fn hand_over(&mut self) {
        if self.is_too_long() {
            // The block is filled again.
            self.filling = self.filling.take().map(|(block, _)| (block, 0));
        } else if let Some((block, filled)) = self.filling.take()
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

fn in_another_session() -> Refusal {
    let text = "this file is being received in another session".to_owned();
    Refusal { reason: AnswerReason::UNSPECIFIED, retry: true, text }
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

const READING_BLOCKS: usize = 2;
const WRITING_BLOCKS: usize = 2;
const PLAIN_BLOCKS: usize = READING_BLOCKS + WRITING_BLOCKS;
const _: () = assert!(PLAIN_BLOCKS + WRITING_BLOCKS == Options::BLOCKS_PER_TRANSFER);

/// How long an offer may wait for buffers: shorter than any partner waits for our answer.
const BLOCKS_LIMIT: Duration = Duration::from_secs(30);
