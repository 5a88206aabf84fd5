//! A file on its way in.

use std::time::{Duration, Instant};

use odile_catalog::{Inbound, InboundState, NewInbound, TransferRef};
use odile_session::TurnWish;
use odile_transfer::{Incoming, octets_of_blocks};
use odile_uring::Block;
use odile_wire::command::{
    EndFile, EndFileNegativeAnswer, FileFormat, Security, StartFile, StartFileNegativeAnswer,
};
use odile_wire::data::Records;
use odile_wire::{AnswerReason, EndSessionReason, FILE_SIZE_BLOCKS_MAX, Malformed, VariableText};

use super::Link;
use crate::clock::now_ms;
use crate::event::Event;
use crate::landing::{self, Landing, NotLanded};
use crate::options::{Options, Target};
use crate::progress::OnBoard;
use crate::spool::{PartFile, PartPlan};

/// The file that is being received.
pub(super) struct Receiving {
    inbound: Inbound,
    meter: OnBoard,
    incoming: Incoming,
    part: PartFile,
    /// The block being filled, and how far.
    filling: Option<(Block, usize)>,
}

/// Why a file is not taken, for SFNA.
struct Refusal {
    reason: AnswerReason,
    retry: bool,
    text: String,
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
        self.check_room(file)?;
        let new = NewInbound {
            partner: self.partner_name(),
            file: file.id,
            user: file.user,
            format: file.format,
            record_size: file.record_size,
            announced_blocks: file.size_blocks,
            description: file.description.clone(),
            part_name: format!("{}-{}.part", now_ms(), self.number),
        };
        let begun = self
            .shared
            .ledger
            .run(move |catalog| match catalog.known_inbound(&new.partner, &new.file)? {
                Some(known) if matches!(known.state, InboundState::Landing | InboundState::Received) => {
                    Ok(Err(known))
                }
                _ => catalog.begin_inbound(&new, now_ms()).map(Ok),
            })
            .await
            .map_err(|error| self.no_room_for(error.to_string()))?;
        let inbound = match begun {
            Ok(inbound) => inbound,
            Err(known) => return Err(self.refuse_known(&known).await),
        };
        let announced = octets_of_blocks(file.size_blocks).unwrap_or(u64::MAX);
        let Some(meter) = self.shared.board.enter(TransferRef::Inbound(inbound.id), announced) else {
            return Err(in_another_session());
        };
        let (part, reading) = self.make_part(&inbound, announced).await?;
        self.reader.begin_bulk(reading);
        let limit = octets_of_blocks(FILE_SIZE_BLOCKS_MAX).unwrap_or(u64::MAX);
        let incoming = Incoming::new(records, limit);
        Ok(Receiving { inbound, meter, incoming, part, filling: None })
    }

    /// A file that has landed, or is just about to.
    async fn refuse_known(&self, known: &Inbound) -> Refusal {
        let transfer = TransferRef::Inbound(known.id);
        if known.state == InboundState::Landing {
            if self.shared.board.of(transfer).is_some() {
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

    async fn make_part(
        &mut self,
        inbound: &Inbound,
        announced: u64,
    ) -> Result<(PartFile, Vec<Block>), Refusal> {
        let reserving = self.shard.pool.reserve(Options::BLOCKS_PER_TRANSFER);
        let Ok(mut blocks) = tokio::time::timeout(BLOCKS_LIMIT, reserving).await else {
            let text = "no buffers became free: too many files at a time, or idle partners".to_owned();
            self.set_failed(inbound.id, text.clone()).await;
            return Err(self.no_room_for(text));
        };
        let reading = blocks.split_off(Options::BLOCKS_PER_TRANSFER / 2);
        let path = self.shared.home.spool().join(&inbound.part_name);
        let options = &self.shared.options;
        let plan = PartPlan::new(&path, options.target, announced, options.sync_bytes);
        match PartFile::create(plan, blocks).await {
            Ok(part) => Ok((part, reading)),
            Err(error) => {
                let text = error.to_string();
                self.set_failed(inbound.id, text.clone()).await;
                Err(self.no_room_for(text))
            }
        }
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

    fn check_terms(&self, file: &StartFile) -> Result<Records, Refusal> {
        let no = |reason, text: &str| Err(Refusal { reason, retry: false, text: text.to_owned() });
        let Some(partner) = &self.partner else {
            return no(AnswerReason::UNSPECIFIED, "no partner");
        };
        if !partner.may_send {
            return no(AnswerReason::FILE_DIRECTION_REFUSED, "no files are taken from this partner");
        }
        if file.id.dataset_name.is_blank() || !file.id.dataset_name.is_printable() {
            let text = "the dataset name is empty or holds other characters than printable ASCII";
            return no(AnswerReason::INVALID_FILENAME, text);
        }
        let ours = [partner.our_code, self.shared.configuration.station.code];
        if !ours.contains(&file.id.destination) {
            return no(AnswerReason::INVALID_DESTINATION, "no such station here");
        }
        if !partner.stations.contains(&file.id.originator) {
            return no(AnswerReason::INVALID_ORIGIN, "this originator is not known to belong to you");
        }
        match file.security {
            Security::None => {}
            Security::Encrypted | Security::EncryptedAndSigned => {
                return no(AnswerReason::ENCRYPTED_NOT_ALLOWED, "encrypted files are not taken");
            }
            Security::Signed => return no(AnswerReason::SIGNED_NOT_ALLOWED, "signed files are not taken"),
            Security::Unknown(_) => return no(AnswerReason::UNSPECIFIED, "unknown security level"),
        }
        if file.compression != 0 {
            return no(AnswerReason::COMPRESSION_NOT_ALLOWED, "compressed files are not taken");
        }
        match file.format {
            // A bare CMS file is a file without records, whatever it was before.
            _ if !file.is_plain() => Ok(Records::None),
            FileFormat::Unstructured | FileFormat::Text => Ok(Records::None),
            FileFormat::Variable => Ok(Records::Variable),
            FileFormat::Fixed if file.record_size > 0 => Ok(Records::Fixed { size: file.record_size }),
            FileFormat::Fixed => no(AnswerReason::RECORD_LENGTH_NOT_SUPPORTED, "records of no length"),
            FileFormat::Unknown(_) => {
                no(AnswerReason::RECORD_FORMAT_NOT_SUPPORTED, "F, V, U and T are known")
            }
        }
    }

    fn check_room(&self, file: &StartFile) -> Result<(), Refusal> {
        if self.shared.options.target == Target::Discard {
            return Ok(());
        }
        let announced = octets_of_blocks(file.size_blocks).unwrap_or(u64::MAX);
        // If it cannot be looked up, the write will tell.
        let Ok(space) = odile_uring::free_space(&self.shared.home.spool()) else { return Ok(()) };
        if announced <= space.available {
            return Ok(());
        }
        self.shared.tell(Event::Trouble {
            text: format!(
                "{announced} octets were announced, {} are free in {}: make room",
                space.available,
                self.shared.home.spool().display()
            ),
        });
        let text = "there is not enough room at the receiving station now".to_owned();
        // Levels below 5 have no text: the reason must say it.
        Err(Refusal { reason: AnswerReason::FILE_TOO_BIG, retry: true, text })
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
            let text = "the receiving station cannot store the file";
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
        let Receiving { inbound, incoming, part, meter, .. } = receiving;
        let transfer = TransferRef::Inbound(inbound.id);
        if let Err((reason, text)) = incoming.check(end) {
            let _ = part.finish().await;
            self.give_up(&inbound, &text).await;
            return Some(Err((reason, text)));
        }
        if self.shared.options.target == Target::Discard {
            let _ = part.finish().await;
            self.give_up(&inbound, "discarded on purpose").await;
            drop(meter);
            return Some(Ok(()));
        }
        let partner = self.partner.clone()?;
        let (octets, records) = (incoming.octets(), incoming.records());
        let landing =
            Landing { shared: &self.shared, partner: &partner.name, inbound: &inbound, octets, records };
        match landing.land(part).await {
            Ok(path) => {
                let path = path.display().to_string();
                self.moved = true;
                self.shared.tell(Event::Received { transfer, octets, path });
                Some(Ok(()))
            }
            Err(NotLanded::Nothing(error)) => {
                self.give_up(&inbound, &error.to_string()).await;
                let text = "the receiving station could not store the file".to_owned();
                Some(Err((AnswerReason::ACCESS_METHOD_FAILURE, text)))
            }
            Err(NotLanded::Unnoted(error)) => {
                let text = format!("{transfer} has arrived, but could not be noted: {error}");
                self.on_trouble(text);
                None
            }
        }
    }

    /// The session ended in the middle of a file.
    pub(super) async fn drop_incoming(&mut self, receiving: Receiving, text: &str) {
        let Receiving { inbound, part, meter, filling, .. } = receiving;
        drop(filling);
        let text = match part.finish().await {
            Ok(_) => format!("the session ended in the middle of the file: {text}"),
            Err(error) => error.to_string(),
        };
        drop(meter);
        self.give_up(&inbound, &text).await;
    }

    /// Removes what there is of a file, and notes why. The partner may send it again.
    async fn give_up(&mut self, inbound: &Inbound, text: &str) {
        let path = self.shared.home.spool().join(&inbound.part_name);
        // A sidecar may stand beside it; either may not be there.
        let _ = odile_uring::remove(&path).await;
        let _ = odile_uring::remove(&path.with_extension("json")).await;
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

impl Receiving {
    /// True if it cannot be stored and too much is still to come: otherwise the rest is read and dropped, so that
    /// EFNA ends the file and not the session.
    fn is_beyond_saving(&self) -> bool {
        let announced = octets_of_blocks(self.inbound.announced_blocks).unwrap_or(u64::MAX);
        self.part.has_failed() && announced.saturating_sub(self.incoming.octets()) > DROPPED_OCTETS_MAX
    }

    async fn store(&mut self, mut fragment: &[u8], end: bool) -> Result<(), Malformed> {
        loop {
            let (block, filled) = if let Some(filling) = &mut self.filling {
                filling
            } else {
                let Some(block) = self.part.free_block().await else { return Ok(()) };
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
        if let Some((block, filled)) = self.filling.take()
            && filled > 0
        {
            self.part.write(block, filled).await;
        }
    }
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

/// How long an offer may wait for buffers: shorter than any partner waits for our answer.
const BLOCKS_LIMIT: Duration = Duration::from_secs(30);
