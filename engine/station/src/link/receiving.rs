//! A file on its way in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odile_catalog::{Inbound, InboundState, NewInbound, ReceiptKind, TransferRef};
use odile_envelope::{CheckpointError, Declared, OpenTerms, Opener, Services, Suite};
use odile_partner::{Purpose, RefuseWith};
use odile_session::TurnWish;
use odile_transfer::{
    ArrivalCheckpoint, ArrivalState, Incoming, Place, RestartUnit, Witness, octets_of_blocks,
};
use odile_uring::Block;
use odile_wire::command::{EndFile, EndFileNegativeAnswer, StartFile, StartFileNegativeAnswer};
use odile_wire::data::Records;
use odile_wire::{AnswerReason, EndSessionReason, FILE_SIZE_BLOCKS_MAX, Level, Malformed, VariableText};

use super::Link;
use super::terms::{ContentRefusal, Refusal};
use crate::clock::{now_ms, now_seconds};
use crate::event::Event;
use crate::intake::{Intake, NotKept, Problem, Refused, Unusable, Verdict, Work};
use crate::landing::{self, Landing, NotLanded};
use crate::options::{Options, Target};
use crate::pace::Pace;
use crate::progress::OnBoard;
use crate::slots::Slots;
use crate::spool::{Goal, PartFile, PartPlan, StoredArrival};
use crate::{arrival, entropy, receipts, services, slots};

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
    /// When a plain file is marked next; none: whoever opens it knows.
    marks: Option<Pace>,
    /// What the catalog knows to be safe.
    noted: u64,
    /// The last that came was malformed: who knows what came just before.
    is_doubtful: bool,
}

/// A file in the catalog.
struct Known {
    inbound: Inbound,
    /// It was begun before, and there may be something of it.
    was_cut_off: bool,
}

/// What a file is taken in with.
struct Taken {
    incoming: Incoming,
    work: Option<Work>,
}

/// Where a file is taken in from.
struct Start {
    inbound: Inbound,
    /// What SFPA answers.
    position: u64,
    /// None: from its first octet.
    checkpoint: Option<ArrivalCheckpoint>,
    slots: Option<Slots>,
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

    async fn begin(&mut self, file: &StartFile) -> Result<(Receiving, u64), Refusal> {
        let records = self.check_terms(file)?;
        let room_octets = self.check_room(file).await?;
        let known = self.known_or_new(file).await?;
        if let Some(text) = self.shared.take_refused(known.inbound.id) {
            let text = format!("{text}, as it was found when it came before");
            self.set_failed(known.inbound.id, text.clone()).await;
            return Err(Refusal { reason: AnswerReason::UNSPECIFIED, retry: false, text });
        }
        let announced = octets_of_blocks(file.size_blocks).unwrap_or(u64::MAX);
        let Some(meter) = self.shared.board.enter(TransferRef::Inbound(known.inbound.id), announced) else {
            return Err(in_another_session());
        };
        let start = self.start_of(known, file, records).await.map_err(|text| self.no_room_for(text))?;
        let (start, taken) = match self.take_up(&start, records, room_octets) {
            Ok(taken) => (start, taken),
            Err(error) if start.checkpoint.is_some() => {
                let text = format!("it starts again, although a part of it is here: {error}");
                self.shared
                    .tell(Event::StartsAgain { transfer: TransferRef::Inbound(start.inbound.id), text });
                let start = self.begin_again(file).await.map_err(|text| self.no_room_for(text))?;
                let taken = self.take_up(&start, records, room_octets);
                (start, taken.map_err(|error| self.no_room_for(error))?)
            }
            Err(error) => return Err(self.no_room_for(error)),
        };
        let Taken { incoming, work } = taken;
        let Start { inbound, position, checkpoint, slots } = start;
        let nothing = Place { received: 0, records: 0, stored: 0 };
        let place = checkpoint.map_or(nothing, |checkpoint| checkpoint.place);
        let (intake, reading) = self.make_intake(&inbound, work, announced, place.stored, slots).await?;
        self.reader.begin_bulk(reading);
        // Of an envelope, what is in it counts, and whoever opens it counts that.
        let is_plain = services::layers(inbound.services) == Services::NONE;
        let octets_max = self.partner.as_ref().and_then(|partner| partner.receive.octets_max);
        let marks = is_plain.then(|| Pace::new(&self.shared.options, place.received));
        let receiving = Receiving {
            inbound,
            meter,
            incoming,
            intake,
            filling: None,
            octets_max: octets_max.filter(|_| is_plain).unwrap_or(u64::MAX),
            marks,
            noted: place.received,
            is_doubtful: false,
        };
        Ok((receiving, position))
    }

    /// The file in the catalog: as it is known, if it was cut off; otherwise begun.
    async fn known_or_new(&mut self, file: &StartFile) -> Result<Known, Refusal> {
        match self.look_up(file).await? {
            Ok(known) => Ok(known),
            Err(known) if known.state == InboundState::Receiving && self.is_given_up(&known).await => {
                match self.look_up(file).await? {
                    Ok(known) => Ok(known),
                    Err(known) => Err(self.refuse_known(&known).await),
                }
            }
            Err(known) => Err(self.refuse_known(&known).await),
        }
    }

    /// A partner that lost its connection offers the file again before the session that it was in has noticed. That
    /// one ends when the connection does; if nothing comes any more, it is asked to.
    async fn is_given_up(&self, known: &Inbound) -> bool {
        let transfer = TransferRef::Inbound(known.id);
        let deadline = Instant::now() + GIVEN_UP_LIMIT;
        while let Some(idle) = self.shared.board.idle(transfer) {
            if Instant::now() >= deadline || self.shared.is_stopping() {
                return false;
            }
            if idle >= IDLE_LIMIT {
                self.shared.board.ask_to_leave(transfer);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        true
    }

    /// The file as it is in the catalog now; as an error, if it is not to be begun.
    async fn look_up(&mut self, file: &StartFile) -> Result<Result<Known, Inbound>, Refusal> {
        let new = self.new_inbound(file);
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
                Some(inbound) if inbound.state == InboundState::Receiving => {
                    Ok(Ok(Known { inbound, was_cut_off: true }))
                }
                _ => {
                    let inbound = catalog.begin_inbound(&new, now_ms())?;
                    Ok(Ok(Known { inbound, was_cut_off: false }))
                }
            })
            .await;
        begun.map_err(|error| self.no_room_for(error.to_string()))
    }

    fn new_inbound(&self, file: &StartFile) -> NewInbound {
        let mut unique = [0; 8];
        entropy::fill(&mut unique);
        NewInbound {
            partner: self.partner_name(),
            file: file.id,
            user: file.user,
            format: file.format,
            record_size: file.record_size,
            announced_blocks: file.size_blocks,
            description: file.description.clone(),
            // Not the time: a clock that is set back must not name two files alike.
            part_name: format!("{:016x}.part", u64::from_be_bytes(unique)),
            services: services::announced(file),
        }
    }

    /// Decides where a file is taken in from, and leaves only what tells of that.
    async fn start_of(&mut self, known: Known, file: &StartFile, records: Records) -> Result<Start, String> {
        let Known { inbound: known, was_cut_off } = known;
        if !was_cut_off {
            return self.begun(known).await;
        }
        let is_same = known.format == file.format
            && known.record_size == file.record_size
            && known.announced_blocks == file.size_blocks
            && known.services == services::announced(file);
        let (home, of) = (self.shared.home.clone(), known.clone());
        let wants_part = self.shared.options.target == Target::Inbox;
        let looking =
            self.shard.workers.run(move || arrival::Remains::of(&home, &of, Some(wants_part))).await;
        let remains = looking.map_err(|error| error.to_string())?;
        // What is sealed was given no records.
        let unit = RestartUnit::of(records, false);
        // Who is answered 0 begins anew, and may seal anew: nothing of before fits to that.
        let newest = remains.newest().filter(|stored| {
            is_same && file.restart > 0 && stored.body.checkpoint.restart_position(unit) > 0
        });
        let Some((stored, checkpoint)) = newest.map(|stored| (stored, stored.body.checkpoint.clone())) else {
            self.tell_why_again(&known, file, &remains, is_same);
            return self.begin_again(file).await;
        };
        // Behind what the partner can go on from: it sends again what is here, and that is dropped.
        let position = checkpoint.restart_position(unit).min(file.restart);
        let mut slots = arrival::slots(&self.shared.home, &known);
        slots.make_durable(stored).await.map_err(|error| error.to_string())?;
        slots.keep_only(Some(stored)).await.map_err(|error| error.to_string())?;
        let new = self.new_inbound(file);
        let received = checkpoint.place.received;
        let note =
            move |catalog: &mut odile_catalog::Catalog| catalog.resume_inbound(&new, received, now_ms());
        let inbound = self.shared.ledger.run(note).await.map_err(|error| error.to_string())?;
        Ok(Start { inbound, position, checkpoint: Some(checkpoint), slots: Some(slots) })
    }

    async fn begin_again(&mut self, file: &StartFile) -> Result<Start, String> {
        let new = self.new_inbound(file);
        let begun = self.shared.ledger.run(move |catalog| catalog.begin_inbound(&new, now_ms())).await;
        self.begun(begun.map_err(|error| error.to_string())?).await
    }

    async fn begun(&mut self, inbound: Inbound) -> Result<Start, String> {
        if self.shared.options.target == Target::Discard {
            return Ok(Start { inbound, position: 0, checkpoint: None, slots: None });
        }
        // What an earlier attempt may have left would be taken for what is to come.
        let mut slots = arrival::slots(&self.shared.home, &inbound);
        if let Err(error) = slots.keep_only::<StoredArrival>(None).await {
            self.set_failed(inbound.id, error.to_string()).await;
            return Err(error.to_string());
        }
        Ok(Start { inbound, position: 0, checkpoint: None, slots: Some(slots) })
    }

    /// What counts the file, and what opens or watches it, from there on.
    fn take_up(&self, start: &Start, records: Records, room_octets: u64) -> Result<Taken, String> {
        let limit = octets_of_blocks(FILE_SIZE_BLOCKS_MAX).unwrap_or(u64::MAX);
        let place = start.checkpoint.as_ref().map(|checkpoint| &checkpoint.place);
        let incoming = match place {
            Some(place) => {
                Incoming::resume(records, limit, place, start.position).map_err(|error| error.to_string())?
            }
            None => Incoming::new(records, limit),
        };
        // What is here of it takes no more room, but counts against what was agreed.
        let agreed = self.partner.as_ref().and_then(|partner| partner.receive.octets_max);
        let room_octets = room_octets.saturating_add(place.map_or(0, |place| place.stored));
        let output_bytes_max = room_octets.min(agreed.unwrap_or(u64::MAX));
        let state = start.checkpoint.as_ref().map(|checkpoint| &checkpoint.state);
        let work = self.work(&start.inbound, records, output_bytes_max, state);
        Ok(Taken { incoming, work: work.map_err(|error| error.to_string())? })
    }

    /// A file that was begun before, and does not go on: our operator learns why.
    fn tell_why_again(&self, known: &Inbound, file: &StartFile, remains: &arrival::Remains, is_same: bool) {
        let safe = remains.safe_position();
        let mut reasons = remains.refused.clone();
        if safe == 0 && reasons.is_empty() {
            return;
        }
        if !is_same {
            reasons.push("it is announced otherwise than before".to_owned());
        } else if file.restart == 0 {
            reasons.push("the partner begins again".to_owned());
        }
        let text = format!("it starts again, although {safe} octets were safe: {}", reasons.join("; "));
        self.shared.tell(Event::StartsAgain { transfer: TransferRef::Inbound(known.id), text });
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
        work: Option<Work>,
        announced: u64,
        stored: u64,
        slots: Option<Slots>,
    ) -> Result<(Intake, Vec<Block>), Refusal> {
        // An envelope needs blocks on both sides of what opens it.
        let opens = matches!(work, Some(Work::Open(..)));
        let wanted = if opens { Options::BLOCKS_PER_TRANSFER } else { PLAIN_BLOCKS };
        let reserving = self.shard.pool.reserve(wanted);
        let Ok(mut blocks) = tokio::time::timeout(BLOCKS_LIMIT, reserving).await else {
            let text = "no buffers became free: too many files at a time, or idle partners".to_owned();
            self.not_begun(inbound, stored, text.clone()).await;
            return Err(self.no_room_for(text));
        };
        let reading = blocks.split_off(blocks.len() - READING_BLOCKS);
        let between = if opens { blocks.split_off(WRITING_BLOCKS) } else { Vec::new() };
        let options = &self.shared.options;
        let plan = PartPlan {
            goal: match options.target {
                Target::Inbox => Goal::File(self.shared.home.spool().join(&inbound.part_name)),
                Target::Check(content) => Goal::Check(content),
                Target::Discard => Goal::Nowhere,
            },
            start: stored,
            // What is compressed says nothing of how long it will be.
            announced_octets: if inbound.services.compression == 0 { announced } else { 0 },
            sync_bytes: options.sync_bytes.max(1),
            slots,
        };
        match PartFile::open(plan, blocks).await {
            Ok(part) => Ok((Intake::new(part, work, between, self.shard.workers.clone()), reading)),
            Err(error) => {
                let text = error.to_string();
                self.not_begun(inbound, stored, text.clone()).await;
                Err(self.no_room_for(text))
            }
        }
    }

    /// A file that cannot be taken in now. What is there of it stays.
    async fn not_begun(&mut self, inbound: &Inbound, stored: u64, text: String) {
        if stored == 0 {
            return self.set_failed(inbound.id, text).await;
        }
        let (id, position) = (inbound.id, inbound.position_bytes);
        let note = move |catalog: &mut odile_catalog::Catalog| {
            catalog.interrupt_inbound(id, &text, position, now_ms())
        };
        let _ = self.shared.ledger.run(note).await;
    }

    /// What is done with the file while it comes; nothing, if it is plain and its receipt as well.
    fn work(
        &self,
        inbound: &Inbound,
        records: Records,
        output_bytes_max: u64,
        state: Option<&ArrivalState>,
    ) -> Result<Option<Work>, CheckpointError> {
        let stored = inbound.services;
        let suite = services::suite(stored);
        let layers = services::layers(stored);
        if layers == Services::NONE {
            let Some(suite) = suite.filter(|_| stored.signed_receipt) else { return Ok(None) };
            let witness = match state {
                None => Witness::new(suite.hash(), records),
                Some(ArrivalState::Watched(state)) => Witness::resume(state)?,
                Some(_) => return Err(CheckpointError::Foreign),
            };
            return Ok(Some(Work::Watch(Box::new(witness))));
        }
        let Some(partner) = &self.partner else { return Ok(None) };
        let terms = Arc::new(OpenTerms {
            declared: Declared::Services(layers),
            recipients: self.shared.keyring.recipients(Purpose::Encryption),
            signers: self.shared.configuration.certificates(&partner.name).signers(),
            now: Some(now_seconds()),
            output_bytes_max,
            transmitted_hash: suite.map(Suite::hash),
        });
        let opener = match state {
            None => Opener::new(terms),
            Some(ArrivalState::Opened(checkpoint)) => Opener::resume(terms, checkpoint)?,
            Some(_) => return Err(CheckpointError::Foreign),
        };
        let pace = Pace::new(&self.shared.options, opener.input_position());
        Ok(Some(Work::Open(Box::new(opener), pace)))
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
        let Receiving { inbound, incoming, intake, meter, .. } = receiving;
        let transfer = TransferRef::Inbound(inbound.id);
        let (part, verdict) = intake.conclude().await;
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

/// How long an offer waits for the session that has the file open: shorter than any partner waits for our answer.
const GIVEN_UP_LIMIT: Duration = Duration::from_secs(15);
/// Whoever sends nothing for so long, while it offers the same file elsewhere, does not send there any more.
const IDLE_LIMIT: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);

const READING_BLOCKS: usize = 2;
const WRITING_BLOCKS: usize = 2;
const PLAIN_BLOCKS: usize = READING_BLOCKS + WRITING_BLOCKS;
const _: () = assert!(PLAIN_BLOCKS + WRITING_BLOCKS == Options::BLOCKS_PER_TRANSFER);

/// How long an offer may wait for buffers: shorter than any partner waits for our answer.
const BLOCKS_LIMIT: Duration = Duration::from_secs(30);
