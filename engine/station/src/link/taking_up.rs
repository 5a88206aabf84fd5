//! A file that is offered: what is known of it, whether something of it is here, and what it is taken in with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odile_catalog::{Inbound, InboundState, NewInbound, TransferRef};
use odile_envelope::{CheckpointError, Declared, OpenTerms, Opener, Services, Suite};
use odile_partner::Purpose;
use odile_transfer::{
    ArrivalCheckpoint, ArrivalState, Incoming, Place, RestartUnit, Witness, octets_of_blocks,
};
use odile_uring::Block;
use odile_wire::command::StartFile;
use odile_wire::data::Records;
use odile_wire::{AnswerReason, FILE_SIZE_BLOCKS_MAX};

use super::Link;
use super::receiving::Receiving;
use super::terms::Refusal;
use crate::clock::{now_ms, now_seconds};
use crate::event::Event;
use crate::intake::{Intake, Work};
use crate::landing;
use crate::measure::Recorder;
use crate::options::{Options, Target};
use crate::pace::Pace;
use crate::slots::Slots;
use crate::spool::{Goal, NotDirect, PartFile, PartPlan, StoredArrival};
use crate::{arrival, entropy, services};

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
    pub(super) async fn begin(&mut self, file: &StartFile) -> Result<(Receiving, u64), Refusal> {
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
        let recorder = self.shared.options.measure.then(Recorder::start).flatten();
        let receiving = Receiving {
            recorder,
            has_begun: false,
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
            direct: options.direct.has_targets().then(|| {
                let shared = Arc::clone(&self.shared);
                Box::new(move |error: &_| shared.tell_not_direct("received files", error)) as NotDirect
            }),
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
            // Only a signed receipt states it.
            transmitted_hash: suite.filter(|_| stored.signed_receipt).map(Suite::hash),
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
    pub(super) async fn set_failed(&self, id: i64, detail: String) {
        let _ = self.shared.ledger.run(move |catalog| catalog.failed_inbound(id, &detail, now_ms())).await;
    }

    /// What is wrong here is told to our operator, not to the peer.
    pub(super) fn no_room_for(&self, text: String) -> Refusal {
        self.shared.tell(Event::Trouble { text: format!("session {}: {text}", self.number) });
        let text = "the receiving station cannot store files now".to_owned();
        Refusal { reason: AnswerReason::ACCESS_METHOD_FAILURE, retry: true, text }
    }
}

fn in_another_session() -> Refusal {
    let text = "this file is being received in another session".to_owned();
    Refusal { reason: AnswerReason::UNSPECIFIED, retry: true, text }
}

/// How long an offer waits for the session that has the file open: shorter than any partner waits for our answer.
const GIVEN_UP_LIMIT: Duration = Duration::from_secs(15);
/// Whoever sends nothing for so long, while it offers the same file elsewhere, does not send there any more.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);

const READING_BLOCKS: usize = 2;
const WRITING_BLOCKS: usize = 2;
const PLAIN_BLOCKS: usize = READING_BLOCKS + WRITING_BLOCKS;
const _: () = assert!(PLAIN_BLOCKS + WRITING_BLOCKS == Options::BLOCKS_PER_TRANSFER);

/// How long an offer may wait for buffers: shorter than any partner waits for our answer.
const BLOCKS_LIMIT: Duration = Duration::from_secs(30);
