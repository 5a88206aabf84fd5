//! A file on its way out.
//!
//! A worker seals the source and frames Data Exchange Buffers into a block, while the link writes the block before it.
//! Over TLS a block is sealed just before it is written, into another one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odile_catalog::{Outbound, OutboundChange, OutboundState, TransferRef};
use odile_envelope::seal::Embed;
use odile_envelope::{SealOptions, Services};
use odile_partner::{DeflateLevel, Partner, Purpose, Usage};
use odile_transfer::{Framing, RestartUnit, StagingError, blocks_of};
use odile_uring::{Block, Errand};
use odile_wire::command::StartFile;
use odile_wire::data::Compression;
use odile_wire::{BLOCK_BYTES, Level};

mod ended;

use super::Link;
use super::channel::Channel;
use super::keeping::Keeping;
use super::pump::{Empty, Filled, Full, Prepared, Pump, PumpError, PumpPlan};
use crate::clock::{now_ms, now_seconds};
use crate::error::StationError;
use crate::event::Event;
use crate::measure::{self, Recorder};
use crate::options::Options;
use crate::progress::OnBoard;
use crate::{seal_store, services};

/// The file that is being sent.
pub(super) struct Sending {
    outbound: Outbound,
    meter: OnBoard,
    stage: Stage,
    /// Attempts before this one that moved nothing, as far as is known now.
    fruitless: u32,
    /// It did not begin at the start of the file.
    was_resumed: bool,
    /// Octets of the transmitted file, once it is complete.
    transmitted_octets: u64,
    recorder: Option<Box<Recorder>>,
    /// When EFID was handed over.
    closing: Option<Instant>,
}

enum Stage {
    /// SFID is out.
    Offered(Box<Prepared>),
    /// SFPA came.
    Flowing(Box<Flow>),
    /// EFID is out, or waits for credit.
    Closing,
}

struct Flow {
    pump: Option<Box<Pump>>,
    filling: Errand<Empty, Full>,
    keeping: Keeping,
    free: Vec<Block>,
    ready: Option<Ready>,
}

/// Why a file is not sent on.
enum Halt {
    Cancelled,
    /// No later attempt changes that.
    Final(String),
    /// It may pass.
    Passing(String),
    /// It cannot go on where it was: it may from its start.
    NotThere(String),
}

impl Halt {
    fn of_ours(misuse: odile_session::Misuse) -> Self {
        Self::Final(misuse.to_string())
    }

    fn of_pump(error: PumpError) -> Self {
        match error {
            PumpError::Staging(StagingError::Compress(_)) => Self::Passing(error.to_string()),
            PumpError::Resume(_) => Self::NotThere(error.to_string()),
            _ => Self::Final(error.to_string()),
        }
    }
}

/// Data Exchange Buffers in a block, waiting to be written.
struct Ready {
    block: Block,
    length: usize,
    buffers: u16,
}

impl Link {
    /// Offers a file to the peer.
    pub(super) async fn offer(&mut self, outbound: Outbound) {
        let transfer = TransferRef::Outbound(outbound.id);
        let Some(meter) = self.shared.board.enter(transfer, outbound.source_identity.size) else {
            // Another session has taken it between our look and now.
            self.done_sending = true;
            return;
        };
        let taken =
            self.change(&outbound, OutboundChange::to(OutboundState::Sending).counting_attempt()).await;
        if !taken {
            return;
        }
        let (prepared, file) = match self.open(&outbound).await {
            Ok(opened) => opened,
            Err(halt) => {
                drop(meter);
                return match halt {
                    Halt::Passing(text) => self.put_back(&outbound, text, RETRY_WITHOUT_KEYS).await,
                    Halt::Final(text) => self.fail(&outbound, text).await,
                    Halt::NotThere(text) => self.start_again(&outbound, outbound.fruitless, text).await,
                    Halt::Cancelled => {}
                };
            }
        };
        if let Err(misuse) = self.session.start_file(file, Instant::now()) {
            drop(meter);
            return self.fail(&outbound, format!("{}: {misuse}", self.partner_name())).await;
        }
        self.shared.tell(Event::FileOffered {
            transfer,
            partner: self.partner_name(),
            dataset_name: outbound.file.to_string(),
            services: services::described(outbound.services),
        });
        let fruitless = outbound.fruitless;
        let stage = Stage::Offered(Box::new(prepared));
        self.sending = Some(Sending {
            outbound,
            meter,
            stage,
            fruitless,
            was_resumed: false,
            transmitted_octets: 0,
            recorder: None,
            closing: None,
        });
    }

    /// What the source is opened with.
    fn plan(&self, partner: &Partner, outbound: &Outbound) -> Result<PumpPlan, Halt> {
        let layers = services::layers(outbound.services);
        if outbound.services != odile_catalog::Services::PLAIN && self.session.level() < Level::V2_0 {
            // Never stripped in silence: whoever asked for it would believe that it was there.
            let level = self.session.level();
            return Err(Halt::Final(format!(
                "it is to go {}, which needs level 5; the partner speaks level {level}",
                services::described(outbound.services)
            )));
        }
        let terms = &partner.send;
        let demanded = [
            (terms.sign, layers.sign, "sign"),
            (terms.encrypt, layers.encrypt, "encrypt"),
            (terms.signed_receipt, outbound.services.signed_receipt, "signed_receipt"),
        ];
        for (usage, is_there, key) in demanded {
            if usage == Usage::Required && !is_there {
                let text = format!(
                    "it was queued before [send] {key} = \"required\" held: cancel it and send it again"
                );
                return Err(Halt::Final(text));
            }
        }
        let mut signer = None;
        if layers.sign {
            let identity = self.shared.keyring.identity(Purpose::Signing).map_err(Halt::Passing)?;
            signer = Some(Arc::clone(identity));
        }
        let mut recipient = None;
        if layers.encrypt {
            let certificates = self.shared.configuration.certificates(&partner.name);
            let found = certificates.recipient(Purpose::Encryption, now_seconds());
            recipient = Some(found.map_err(Halt::Passing)?);
        }
        let agreement = self.session.agreement();
        let framing = agreement.map_or(NOTHING_AGREED, |agreed| Framing {
            buffer_size: agreed.buffer_size,
            compression: if agreed.compression { Compression::On } else { Compression::Off },
        });
        let restart_max = match agreement {
            Some(agreed) if agreed.restart && agreed.level >= Level::V2_0 => RESTART_MAX,
            Some(agreed) if agreed.restart => RESTART_MAX_BEFORE_LEVEL_5,
            _ => 0,
        };
        let embed = if partner.send.embed_certificate { Embed::SignerCertificate } else { Embed::Nothing };
        let level = self.shared.options.compression_level;
        let level = level.map_or(partner.send.compression_level, DeflateLevel::level);
        Ok(PumpPlan {
            home: self.shared.home.clone(),
            keyring: self.shared.keyring.clone(),
            outbound: outbound.clone(),
            window_bytes: self.shared.options.window_bytes,
            direct: self.shared.options.direct,
            options: SealOptions { level, embed, ..SealOptions::default() },
            signer,
            recipient,
            framing,
            restart_max,
            interval: self.shared.options.checkpoint_bytes,
            workers: self.shard.workers.clone(),
        })
    }

    async fn open(&mut self, outbound: &Outbound) -> Result<(Prepared, StartFile), Halt> {
        let no_partner = || Halt::Final("there is no partner".to_owned());
        let partner = self.partner.clone().ok_or_else(no_partner)?;
        let plan = self.plan(&partner, outbound)?;
        let opened = self.shard.workers.run(move || Prepared::open(&plan)).await;
        let mut prepared =
            opened.map_err(|error| Halt::Passing(error.to_string()))?.map_err(Halt::of_pump)?;
        if let Some(error) = prepared.not_direct.take() {
            self.shared.tell_not_direct("files to send", &error);
        }
        self.keep(outbound, &mut prepared).await.map_err(|error| Halt::Passing(error.to_string()))?;
        let file = start_file(outbound, blocks_of(prepared.announced_octets), prepared.offer);
        Ok((prepared, file))
    }

    /// What another attempt needs is durable before the file is offered.
    async fn keep(&mut self, outbound: &Outbound, prepared: &mut Prepared) -> Result<(), StationError> {
        let transfer = TransferRef::Outbound(outbound.id);
        let kept = &mut prepared.kept;
        let notes = std::mem::take(&mut kept.notes);
        if kept.is_fresh && outbound.attempts > 0 {
            seal_store::destroy(&self.shared.home, outbound.id).await?;
        }
        if let Some(plan) = kept.new_plan.take() {
            seal_store::write_plan(&self.shared.home, outbound.id, plan).await?;
        }
        if !notes.is_empty() {
            let text = notes.join("; ");
            self.shared.tell(if outbound.position_bytes > 0 && kept.is_fresh {
                let sent = outbound.position_bytes;
                let text = format!("it starts again, although {sent} octets were sent: {text}");
                Event::StartsAgain { transfer, text }
            } else if kept.is_wanted {
                // As after a crash in the middle of a write.
                Event::Recovered { text: format!("{transfer}: {text}; another one counts") }
            } else {
                Event::Trouble { text: format!("{transfer}: {text}") }
            });
        }
        let (id, total) = (outbound.id, prepared.announced_octets);
        let is_fresh = kept.is_fresh;
        if outbound.total_bytes != Some(total) || (is_fresh && outbound.position_bytes > 0) {
            let mut change = OutboundChange::default().total_bytes(total);
            if is_fresh {
                change = change.position_bytes(0);
            }
            self.shared.ledger.post(move |catalog| catalog.set_outbound(id, &change, now_ms()));
        }
        Ok(())
    }

    /// SFPA.
    pub(super) async fn on_accepted(&mut self, restart: u64) {
        let Some(sending) = &mut self.sending else { return };
        let stage = std::mem::replace(&mut sending.stage, Stage::Closing);
        let Stage::Offered(prepared) = stage else {
            sending.stage = stage;
            return;
        };
        let (offer, unit, is_fresh) = (prepared.offer, prepared.unit(), prepared.kept.is_fresh);
        let (pump, kept) = match prepared.begin(restart) {
            Ok(begun) => begun,
            Err(error) => return self.abandon(Halt::of_pump(error)).await,
        };
        let transfer = TransferRef::Outbound(sending.outbound.id);
        if restart > 0 {
            let place = match unit {
                RestartUnit::Blocks => format!("octet {}", restart.saturating_mul(BLOCK_BYTES)),
                RestartUnit::Records => format!("record {restart}"),
            };
            self.shared.tell(Event::Resumed { transfer, place });
        } else if offer > 0 {
            let text = format!("it starts again: the partner answered 0, and not {offer} or less");
            self.shared.tell(Event::StartsAgain { transfer, text });
        }
        sending.was_resumed = restart > 0;
        sending.recorder = self.shared.options.measure.then(Recorder::start).flatten();
        let mut keeping = Keeping::new(kept, &self.shared.options, pump.measured());
        if restart > keeping.answered() {
            // What the attempt before has sent has arrived.
            sending.fruitless = 0;
            self.moved = true;
        }
        keeping.note_answer(restart);
        if is_fresh {
            // From now on, another attempt may offer as much as may be sent.
            keeping.begin(None, pump.measured(), 0);
        }
        sending.meter.set(pump.source_position());
        let filling = pump.filling();
        let flow = Flow { pump: Some(Box::new(pump)), filling, keeping, free: Vec::new(), ready: None };
        sending.stage = Stage::Flowing(Box::new(flow));
    }

    /// True if there is data to send and credit for it.
    pub(super) fn may_pump(&self) -> bool {
        let flowing = self.sending.as_ref().is_some_and(|sending| matches!(sending.stage, Stage::Flowing(_)));
        flowing && self.session.credit() > 0
    }

    /// True if there is something to send and only credit is missing.
    pub(super) fn is_out_of_credit(&self) -> bool {
        let flowing = self.sending.as_ref().is_some_and(|sending| matches!(sending.stage, Stage::Flowing(_)));
        flowing && self.session.credit() == 0
    }

    pub(super) fn sending_recorder(&mut self) -> Option<&mut Recorder> {
        self.sending.as_mut().and_then(|sending| sending.recorder.as_deref_mut())
    }

    /// Writes one block, while the next is framed.
    pub(super) async fn pump(&mut self) {
        if let Err(halt) = self.pump_block().await {
            // OFTP has no way to give up a file within a session.
            self.abandon(halt).await;
        }
    }

    async fn pump_block(&mut self) -> Result<(), Halt> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let Stage::Flowing(flow) = &mut sending.stage else { return Ok(()) };
        if self.shared.is_cancelled(sending.outbound.id) {
            return Err(Halt::Cancelled);
        }
        if self.shared.is_stopping() {
            return Err(Halt::Passing("the station is being stopped".to_owned()));
        }
        if flow.free.is_empty() && flow.ready.is_none() {
            flow.free = self.shard.pool.reserve(SENDING_BLOCKS).await;
        }
        let mut ready = flow.ready.take();
        let promised = ready.as_ref().map_or(0, |ready| ready.buffers);
        let credit = self.session.credit().saturating_sub(promised);
        if let Some(plain) = ready.take_if(|_| self.channel.is_secure()) {
            let began = Instant::now();
            ready = Some(flow.seal(plain, &mut self.channel).map_err(Halt::Passing)?);
            if let Some(recorder) = &mut sending.recorder {
                recorder.add(measure::Stage::Tls, began.elapsed());
            }
        }
        let room = self.channel.room(self.shard.pool.block_bytes());
        // The next block is framed on a worker …
        let next = match (flow.pump.take(), flow.free.pop()) {
            (Some(pump), Some(block)) if credit > 0 && flow.keeping.may_send(pump.measured()) => {
                Some(Empty { pump, block, room, credit })
            }
            (pump, block) => {
                flow.pump = pump;
                flow.free.extend(block);
                None
            }
        };
        let filling = &mut flow.filling;
        let framing = async {
            match next {
                Some(empty) => Some(filling.run(empty).await),
                None => None,
            }
        };
        // … while this one is written. Neither is ever dropped unfinished.
        let stream = &self.stream;
        let watchdog = &self.watchdog;
        let limit = self.terms.map_or(WRITE_LIMIT, |terms| terms.inactivity);
        let writing = async {
            let Ready { block, length, buffers } = ready?;
            watchdog.begin(limit);
            let (written, block) = stream.write_all(block, length).await;
            watchdog.end();
            Some((written, block, buffers))
        };
        if promised > 0 {
            self.session.take_credit(promised, Instant::now()).map_err(Halt::of_ours)?;
        }
        let began = Instant::now();
        let timed_framing = async { (framing.await, began.elapsed()) };
        let timed_writing = async { (writing.await, began.elapsed()) };
        let ((framed, for_framing), (written, for_writing)) = tokio::join!(timed_framing, timed_writing);
        if let Some(recorder) = &mut sending.recorder {
            // Whoever was waited for longer has the time of both.
            let is_framing = framed.is_some() && for_framing > for_writing;
            let stage = if is_framing { measure::Stage::Prepare } else { measure::Stage::Socket };
            recorder.add(stage, for_framing.max(for_writing));
            recorder.buffers(promised, for_framing.max(for_writing));
        }
        let mut has_failed = false;
        if let Some((written, block, _)) = written {
            flow.free.push(block);
            has_failed = written.is_err();
        }
        // The pump comes back first, whatever else went wrong: it knows where another attempt can go on.
        let mut halt = None;
        match framed {
            None => {}
            Some(Err(error)) => halt = Some(Halt::Passing(error.to_string())),
            Some(Ok(Full { pump, block, filled })) => {
                sending.meter.set(pump.source_position());
                flow.pump = Some(pump);
                match filled {
                    Ok(Filled { length, buffers: buffers @ 1.. }) => {
                        flow.ready = Some(Ready { block, length, buffers });
                    }
                    Ok(_) => flow.free.push(block),
                    Err(error) => halt = Some(Halt::of_pump(error)),
                }
            }
        }
        if has_failed {
            self.on_write_failed();
            return Ok(());
        }
        if let Some(halt) = halt {
            return Err(halt);
        }
        if promised > 0 {
            self.session.touch(Instant::now());
        }
        self.keep_up().await;
        self.close_if_finished().await
    }

    /// Makes a checkpoint if one is due, and waits for one only if no more may be sent without.
    async fn keep_up(&mut self) {
        let Some(Sending { stage: Stage::Flowing(flow), outbound, recorder, .. }) = &mut self.sending else {
            return;
        };
        let Flow { pump: Some(pump), keeping, .. } = flow.as_mut() else { return };
        let measured = pump.measured();
        if keeping.has_written() || (keeping.is_writing() && !keeping.may_send(measured)) {
            let transfer = TransferRef::Outbound(outbound.id);
            let began = Instant::now();
            let settled = keeping.settle().await;
            if let Some(recorder) = recorder {
                recorder.add(measure::Stage::Checkpoint, began.elapsed());
            }
            match settled {
                Ok(Some(written)) => {
                    let id = outbound.id;
                    let change = OutboundChange::default().position_bytes(written.position);
                    self.shared.ledger.post(move |catalog| catalog.set_outbound(id, &change, now_ms()));
                }
                Ok(None) => {}
                Err(error) => {
                    let text = format!("{transfer} cannot be resumed from here on: {error}");
                    self.shared.tell(Event::Trouble { text });
                }
            }
        }
        let checkpoint = if keeping.is_due(measured) { pump.checkpoint() } else { None };
        if checkpoint.is_some() || !keeping.may_send(measured) {
            keeping.begin(checkpoint, measured, pump.transmitted_position());
        }
    }

    async fn close_if_finished(&mut self) -> Result<(), Halt> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let Stage::Flowing(flow) = &mut sending.stage else { return Ok(()) };
        let Flow { pump, keeping, ready: None, .. } = flow.as_mut() else { return Ok(()) };
        let Some(pump) = pump.take_if(|pump| pump.is_finished()) else { return Ok(()) };
        // The receipt may come at once, and nothing must be written behind what it has removed.
        let _ = keeping.settle().await;
        sending.stage = Stage::Closing;
        sending.closing = Some(Instant::now());
        sending.transmitted_octets = pump.transmitted_position();
        let (end, transmitted) = pump.finish();
        if let Some(transmitted) = transmitted {
            // Before EFID: if the answer gets lost, the receipt comes all the same, and is compared with this. The
            // state stays: one may have come already, in another session.
            let change = OutboundChange::default().transmitted(transmitted);
            let outbound = sending.outbound.clone();
            if !self.change(&outbound, change).await {
                return Ok(());
            }
        }
        self.session.close_file(end, Instant::now()).map_err(Halt::of_ours)
    }
}

impl Sending {
    /// Nothing of it is being written any more.
    async fn settle(&mut self) {
        if let Stage::Flowing(flow) = &mut self.stage {
            // Whatever came of it, it is forgotten.
            let _ = flow.keeping.settle().await;
        }
    }
}

impl Flow {
    /// Seals what is ready into a free block, and frees its own.
    fn seal(&mut self, ready: Ready, channel: &mut Channel) -> Result<Ready, String> {
        let mut block = self.free.pop().ok_or("no block is free to be sealed into")?;
        let content = ready.block.get(..ready.length).unwrap_or_default();
        let length =
            channel.seal_block(content, &mut block).map_err(|error| format!("TLS failed: {error}"))?;
        self.free.push(ready.block);
        Ok(Ready { block, length, buffers: ready.buffers })
    }
}

fn start_file(outbound: &Outbound, size_blocks: u64, restart: u64) -> StartFile {
    let services = outbound.services;
    let layers = services::layers(services);
    StartFile {
        id: outbound.file,
        user: outbound.user,
        format: outbound.format,
        record_size: outbound.record_size,
        size_blocks,
        original_size_blocks: blocks_of(outbound.source_identity.size),
        restart,
        security: services::security(layers),
        cipher_suite: services.suite,
        compression: services.compression,
        envelope: u8::from(layers != Services::NONE),
        signed_response: services.signed_receipt,
        description: outbound.description.clone(),
    }
}

/// One is written while the other is framed.
const SENDING_BLOCKS: usize = 2;
/// A person must do something about it first.
const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(300);
/// SFIDREST has 17 digits, and 9 before level 5 (RFC 2204 §5.3.3).
const RESTART_MAX: u64 = 99_999_999_999_999_999;
const RESTART_MAX_BEFORE_LEVEL_5: u64 = 999_999_999;
/// Of a session that agreed on nothing, in which no file is offered.
const NOTHING_AGREED: Framing = Framing { buffer_size: 128, compression: Compression::Off };
const WRITE_LIMIT: Duration = Duration::from_secs(180);
const _: () = assert!(SENDING_BLOCKS <= Options::BLOCKS_PER_TRANSFER);
