//! From a source to Data Exchange Buffers, on workers: page faults, hashing, deflating and encrypting never hold up a
//! shard.

use std::sync::Arc;

use odile_catalog::{Outbound, Transmitted};
use odile_envelope::seal::{LANES_MAX, TransmittedHash};
use odile_envelope::{Certificate, Identity, Misuse, SealOptions, SealPlan, SealRequest, Services, Suite};
use odile_transfer::{
    Compress, Departure, DepartureCheckpoint, DepartureError, Fill, FillError, Form, Framing, PackedChunk,
    PlainChunk, RestartUnit, ResumeError, StagingError,
};
use odile_uring::{Block, Errand, Source, SourceError, SourceIdentity, Workers};
use odile_wire::BLOCK_BYTES;
use odile_wire::command::EndFile;
use odile_wire::data::{End, Records};

use super::keeping::INTERVALS_AHEAD;
use crate::clock::now_seconds;
use crate::home::Home;
use crate::keyring::Keyring;
use crate::options::Direct;
use crate::seal_store::{self, PlanError, StoredDepartures};
use crate::slots::Slots;
use crate::{arrival, entropy, services};

/// What travels to a worker and back.
pub(super) struct Pump {
    source: Mapped,
    expected: SourceIdentity,
    departure: Departure,
    is_sealed: bool,
    workers: Workers,
}

/// What is needed to open a source. Made on the shard, used on a worker.
pub(super) struct PumpPlan {
    pub(super) home: Home,
    pub(super) keyring: Keyring,
    pub(super) outbound: Outbound,
    pub(super) window_bytes: usize,
    pub(super) direct: Direct,
    pub(super) options: SealOptions,
    pub(super) signer: Option<Arc<Identity>>,
    pub(super) recipient: Option<Arc<Certificate>>,
    pub(super) framing: Framing,
    /// The highest restart position that can be offered in this session: 0 if none was agreed on.
    pub(super) restart_max: u64,
    /// Octets between checkpoints: shorter files are sent again from their start.
    pub(super) interval: u64,
    pub(super) workers: Workers,
}

/// A source that is open, and all that is known before the partner has answered where it begins.
pub(super) struct Prepared {
    source: Mapped,
    expected: SourceIdentity,
    records: Records,
    unit: RestartUnit,
    form: Form,
    framing: Framing,
    workers: Workers,
    /// The most that the transmitted stream can be.
    pub(super) announced_octets: u64,
    /// The farthest restart position at which it can go on.
    pub(super) offer: u64,
    pub(super) kept: Kept,
    /// Why it is not read past the page cache, although it was to be.
    pub(super) not_direct: Option<odile_uring::Error>,
}

/// What is on disk of it, or is to be.
pub(super) struct Kept {
    pub(super) slots: Slots,
    pub(super) stored: StoredDepartures,
    /// To be written before the file is offered.
    pub(super) new_plan: Option<Vec<u8>>,
    /// What is there belongs to nothing any more.
    pub(super) is_fresh: bool,
    /// Why it cannot go on where it was, or will not be able to.
    pub(super) notes: Vec<String>,
    /// False: nothing of it is kept.
    pub(super) is_wanted: bool,
}

struct Mapped(Source);

/// Compresses on this thread and on workers that are free.
struct OnWorkers<'a>(&'a Workers);

impl Compress for OnWorkers<'_> {
    fn compress(&mut self, chunks: Vec<PlainChunk>) -> Result<Vec<Result<PackedChunk, Misuse>>, String> {
        self.0.map(chunks, PlainChunk::compress).map_err(|error| error.to_string())
    }
}

impl odile_transfer::Source for Mapped {
    type Error = SourceError;

    fn look(
        &mut self,
        position: u64,
        least: usize,
        look: &mut dyn FnMut(&[u8], End),
    ) -> Result<(), SourceError> {
        self.0
            .look(position, least, |slice, at_end| look(slice, if at_end { End::Reached } else { End::More }))
    }
}

/// Why a source cannot be sent, or not sent on.
#[derive(Debug, thiserror::Error)]
pub(super) enum PumpError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Departure(#[from] DepartureError),
    #[error(transparent)]
    Resume(#[from] ResumeError),
    #[error("{0}")]
    Content(odile_wire::data::SourceError),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error("it cannot be sealed: {0}")]
    Seal(#[from] Misuse),
    #[error("the catalog has it with cipher suite {0}, which does not exist")]
    UnknownSuite(u8),
}

impl From<FillError<SourceError>> for PumpError {
    fn from(error: FillError<SourceError>) -> Self {
        match error {
            FillError::Source(error) => Self::Source(error),
            FillError::Content(error) => Self::Content(error),
            FillError::Staging(error) => Self::Staging(error),
            FillError::Resume(error) => Self::Resume(error),
        }
    }
}

/// A block that goes to a worker.
pub(super) struct Empty {
    pub(super) pump: Box<Pump>,
    pub(super) block: Block,
    pub(super) room: usize,
    pub(super) credit: u16,
}

/// What comes back.
pub(super) struct Full {
    pub(super) pump: Box<Pump>,
    pub(super) block: Block,
    pub(super) filled: Result<Filled, PumpError>,
}

/// Blocks filled.
pub(super) struct Filled {
    pub(super) length: usize,
    pub(super) buffers: u16,
}

impl Prepared {
    /// Opens the source; takes up the plan of its envelope, or draws its keys. On a worker.
    pub(super) fn open(plan: &PumpPlan) -> Result<Self, PumpError> {
        let outbound = &plan.outbound;
        let (source, not_direct) = if plan.direct.has_sources() {
            Source::open_direct(&outbound.source, plan.window_bytes)?
        } else {
            (Source::open(&outbound.source, plan.window_bytes)?, None)
        };
        let expected = expected(outbound);
        source.check(&expected)?;
        let records = arrival::records(outbound.format, outbound.record_size);
        let layers = services::layers(outbound.services);
        let is_sealed = layers != Services::NONE;
        let mut kept = Kept {
            slots: seal_store::slots(&plan.home, outbound, None),
            stored: StoredDepartures::default(),
            new_plan: None,
            is_fresh: outbound.attempts == 0,
            notes: Vec::new(),
            is_wanted: is_kept(outbound, plan.interval),
        };
        let (form, announced_octets) = if is_sealed {
            let (seal, signer) = seal_plan(plan, layers, &mut kept)?;
            let seal = Arc::new(seal);
            let announced = seal.transmitted_bytes_max()?;
            kept.slots = seal_store::slots(&plan.home, outbound, Some(&seal.to_bytes()?));
            let batch_max = plan.workers.threads().min(CHUNKS_AT_A_TIME_MAX);
            let key = signer.map(|identity| identity.key().clone());
            (Form::Sealed { plan: seal, key, batch_max }, announced)
        } else {
            let suite = services::suite(outbound.services).filter(|_| outbound.services.signed_receipt);
            (Form::Plain { witness: suite.map(Suite::hash) }, expected.size)
        };
        let unit = RestartUnit::of(records, is_sealed);
        let mut prepared = Self {
            source: Mapped(source),
            expected,
            records,
            unit,
            form,
            framing: plan.framing,
            workers: plan.workers.clone(),
            announced_octets,
            offer: 0,
            kept,
            not_direct,
        };
        prepared.read_checkpoints(plan);
        Ok(prepared)
    }

    fn read_checkpoints(&mut self, plan: &PumpPlan) {
        let ahead = plan.interval.saturating_mul(INTERVALS_AHEAD);
        self.kept.stored.reach = ahead;
        if self.kept.is_fresh {
            return;
        }
        let found = self.kept.slots.read::<StoredDepartures>();
        let is_nothing_there = found.usable.is_empty() && found.refused.is_empty();
        self.kept.notes.extend(found.refused);
        if let Some(newest) = found.usable.into_iter().next() {
            self.kept.stored = newest.body;
        } else if matches!(self.form, Form::Sealed { .. }) {
            // Perhaps nothing was sent with this plan yet: what the partner has may be of the one before.
            return;
        } else if is_nothing_there {
            // Nothing may have been sent, or it was refused after it was.
            self.kept.is_fresh = true;
            return;
        }
        self.offer = self.farthest().min(plan.restart_max);
    }

    /// The farthest restart position that may have been sent.
    fn farthest(&self) -> u64 {
        let StoredDepartures { departures, reach, .. } = &self.kept.stored;
        match (self.unit, self.records) {
            (RestartUnit::Blocks, _) => (*reach).min(self.announced_octets) / BLOCK_BYTES,
            (RestartUnit::Records, Records::Fixed { size }) => {
                (*reach).min(self.expected.size) / u64::from(size).max(1)
            }
            // Each record has a length of two octets in the source.
            (RestartUnit::Records, _) => {
                let newest = departures.newest();
                let (source, records) =
                    newest.map_or((0, 0), |newest| (newest.source_position(), newest.records()));
                records + (*reach).min(self.expected.size).saturating_sub(source) / 2
            }
        }
    }

    /// Begins at the restart position that was answered.
    pub(super) fn begin(self, position: u64) -> Result<(Pump, Kept), PumpError> {
        let Self { source, expected, records, unit, form, framing, workers, kept, .. } = self;
        let is_sealed = matches!(form, Form::Sealed { .. });
        let departure = if position == 0 {
            Departure::new(records, form, framing)?
        } else {
            let checkpoint = kept.stored.departures.at_or_below(unit, position);
            Departure::resume(records, form, framing, checkpoint, position)?
        };
        Ok((Pump { source, expected, departure, is_sealed, workers }, kept))
    }

    pub(super) fn unit(&self) -> RestartUnit {
        self.unit
    }
}

impl Pump {
    /// Fills a block with at most `credit` Data Exchange Buffers, in its first `room` octets. On a worker.
    fn fill(empty: Empty) -> Full {
        let Empty { mut pump, mut block, room, credit } = empty;
        let Self { source, departure, workers, .. } = pump.as_mut();
        let room = block.get_mut(..room).unwrap_or_default();
        let outcome = departure.fill(source, room, credit, &mut OnWorkers(workers));
        let filled = pump.finished(outcome);
        Full { pump, block, filled }
    }

    /// Several at once, whose ciphers wait for themselves and not for each other.
    fn fill_together(mut batch: Vec<Empty>) -> Vec<Full> {
        let workers: Vec<_> = batch.iter().map(|empty| empty.pump.workers.clone()).collect();
        let mut compress: Vec<_> = workers.iter().map(OnWorkers).collect();
        let mut left = batch.iter_mut().zip(&mut compress);
        let fills = std::array::from_fn(|_| {
            let (Empty { pump, block, room, credit }, compress) = left.next()?;
            let Self { source, departure, .. } = pump.as_mut();
            let block = block.get_mut(..*room).unwrap_or_default();
            Some(Fill { departure, source, block, buffers_max: *credit, compress })
        });
        let outcomes = Departure::fill_together(fills);
        let finish = |(Empty { pump, block, .. }, outcome)| {
            let filled = pump.finished(outcome);
            Full { pump, block, filled }
        };
        batch.into_iter().zip(outcomes).map(finish).collect()
    }

    /// What fills blocks on workers.
    pub(super) fn filling(&self) -> Errand<Empty, Full> {
        // One that has to catch up first would hold up the others.
        if self.departure.weaves() && !self.departure.is_catching_up() {
            return Errand::together(&self.workers, Self::fill, LANES_MAX, Self::fill_together);
        }
        Errand::new(&self.workers, Self::fill)
    }

    /// The source must be what it was when its last octet is framed.
    fn finished(
        &self,
        outcome: Result<odile_transfer::Filled, FillError<SourceError>>,
    ) -> Result<Filled, PumpError> {
        let filled = outcome?;
        if self.departure.is_finished() {
            self.source.0.check(&self.expected)?;
        }
        Ok(Filled { length: filled.written, buffers: filled.buffers })
    }

    /// How much of the source is used up.
    pub(super) fn source_position(&self) -> u64 {
        self.departure.source_position()
    }

    /// Octets of the transmitted file that were framed.
    pub(super) fn transmitted_position(&self) -> u64 {
        self.departure.transmitted_position()
    }

    /// What a reach is measured in: the source for plain files, whose records need not count in what is transmitted.
    pub(super) fn measured(&self) -> u64 {
        if self.is_sealed { self.transmitted_position() } else { self.source_position() }
    }

    /// Where another attempt can go on, if that is possible here.
    pub(super) fn checkpoint(&self) -> Option<DepartureCheckpoint> {
        self.departure.checkpoint()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.departure.is_finished()
    }

    /// The counts for EFID, and what the receipt must state.
    pub(super) fn finish(self) -> (EndFile, Option<Transmitted>) {
        let transmitted = self.departure.transmitted();
        (self.departure.end_file(), transmitted.as_ref().map(services::stored_stream))
    }
}

/// Whether something of a file is kept while it is sent, with such an interval of checkpoints.
pub(super) fn is_kept(outbound: &Outbound, interval: u64) -> bool {
    outbound.source_identity.size >= interval.min(KEPT_FROM_BYTES)
}

fn expected(outbound: &Outbound) -> SourceIdentity {
    let of_queue = outbound.source_identity;
    SourceIdentity {
        size: of_queue.size,
        mtime_ns: of_queue.mtime_ns,
        inode: of_queue.inode,
        device: of_queue.device,
    }
}

/// The plan that the file was begun with; if there is none that can be used, a new one.
fn seal_plan(
    plan: &PumpPlan,
    layers: Services,
    kept: &mut Kept,
) -> Result<(SealPlan, Option<Arc<Identity>>), PumpError> {
    let outbound = &plan.outbound;
    if !kept.is_fresh {
        match seal_store::read_plan(&plan.home, &plan.keyring, outbound.id) {
            Ok(Some(found)) if fits(&found, plan, layers) => match signer_of(&found, &plan.keyring) {
                Ok(signer) => return Ok((found, signer)),
                Err(text) => kept.notes.push(text),
            },
            Ok(Some(_)) => kept.notes.push("its seal plan is for another envelope".to_owned()),
            Ok(None) if outbound.position_bytes == 0 => {}
            Ok(None) => kept.notes.push("its seal plan is gone".to_owned()),
            Err(error) => kept.notes.push(format!("its seal plan is of no use: {error}")),
        }
        kept.is_fresh = true;
    }
    // Compression alone names no suite; any will do, since nothing of it is used.
    let suite = match services::suite(outbound.services) {
        Some(suite) => suite,
        None if outbound.services.suite == 0 => Suite::S04,
        None => return Err(PumpError::UnknownSuite(outbound.services.suite)),
    };
    let request = SealRequest {
        suite,
        services: layers,
        source_bytes: outbound.source_identity.size,
        signing_time: now_seconds(),
        signer: plan.signer.as_ref().map(|identity| identity.certificate()),
        recipient: plan.recipient.as_deref(),
        options: SealOptions { transmitted_hash: transmitted_hash(outbound), ..plan.options },
    };
    let seal = SealPlan::new(&request, &mut entropy::fill)?;
    if kept.is_wanted {
        match seal_store::plan_to_store(&plan.keyring, outbound.id, &seal) {
            Ok(octets) => kept.new_plan = Some(octets),
            Err(error @ PlanError::NoKey) => {
                kept.notes.push(format!("it cannot go on where it may be cut: {error}"));
                kept.is_wanted = false;
            }
            Err(error) => return Err(PumpError::Seal(Misuse::Encoding(error.to_string()))),
        }
    }
    Ok((seal, plan.signer.clone()))
}

/// Whether a plan is still what is wanted.
fn fits(found: &SealPlan, plan: &PumpPlan, layers: Services) -> bool {
    let suite = services::suite(plan.outbound.services);
    found.services() == layers
        && suite.is_none_or(|suite| suite == found.suite())
        && found.source_bytes() == plan.outbound.source_identity.size
        && found.options().transmitted_hash == transmitted_hash(&plan.outbound)
        // A certificate that was exchanged meanwhile may have been so because its key is lost.
        && plan.recipient.as_ref().is_none_or(|recipient| found.is_for(recipient))
}

/// Only a signed receipt states the hash of what was transmitted.
fn transmitted_hash(outbound: &Outbound) -> TransmittedHash {
    if outbound.services.signed_receipt { TransmittedHash::Computed } else { TransmittedHash::Omitted }
}

/// The key that the plan is to be signed with: not always the one that new files are signed with now.
fn signer_of(found: &SealPlan, keyring: &Keyring) -> Result<Option<Arc<Identity>>, String> {
    if !found.services().sign {
        return Ok(None);
    }
    let mut identities = keyring.all().map(|(_, key)| &key.identity);
    let signer = identities.find(|identity| found.is_signed_by(identity.certificate()));
    signer.cloned().map(Some).ok_or_else(|| "the key that it is to be signed with is gone".to_owned())
}

/// Chunks that one file has compressed at a time: each costs two buffers of a chunk's size.
const CHUNKS_AT_A_TIME_MAX: usize = 8;
/// What is smaller is sent again faster than it is kept.
const KEPT_FROM_BYTES: u64 = 1 << 20;
