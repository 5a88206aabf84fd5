//! From a source to Data Exchange Buffers, on workers: page faults, hashing, deflating and encrypting never hold up a
//! shard.

use std::sync::Arc;

use odile_catalog::{Outbound, Transmitted};
use odile_envelope::{Certificate, Identity, Misuse, SealOptions, SealPlan, SealRequest, Services};
use odile_transfer::{Compress, Outgoing, PackedChunk, PlainChunk, Staging, StagingError, Witness};
use odile_uring::{Block, MappedSource, SourceError, SourceIdentity, Workers};
use odile_wire::command::{EndFile, FileFormat};
use odile_wire::data::{Compression, End, Records};

use crate::clock::now_seconds;
use crate::{entropy, services};

/// What travels to a worker and back.
pub(super) struct Pump {
    source: MappedSource,
    expected: SourceIdentity,
    outgoing: Outgoing,
    content: Content,
    workers: Workers,
    /// The most that the transmitted stream can be.
    announced_octets: u64,
}

/// What is framed.
enum Content {
    /// The source as it is; watched, if a signed receipt is to be compared with it.
    Plain(Option<Box<Witness>>),
    /// The source in its envelope.
    Sealed(Box<Staging>),
}

/// What is needed to open a source. Made on the shard, used on a worker.
pub(super) struct PumpPlan {
    pub(super) path: std::path::PathBuf,
    pub(super) window_bytes: usize,
    pub(super) expected: SourceIdentity,
    pub(super) format: FileFormat,
    pub(super) record_size: u32,
    pub(super) services: odile_catalog::Services,
    pub(super) options: SealOptions,
    pub(super) signer: Option<Arc<Identity>>,
    pub(super) recipient: Option<Arc<Certificate>>,
    pub(super) buffer_size: u32,
    pub(super) compression: Compression,
    pub(super) workers: Workers,
}

/// Compresses on this thread and on workers that are free.
struct OnWorkers<'a>(&'a Workers);

impl Compress for OnWorkers<'_> {
    fn compress(&mut self, chunks: Vec<PlainChunk>) -> Result<Vec<Result<PackedChunk, Misuse>>, String> {
        self.0.map(chunks, PlainChunk::compress).map_err(|error| error.to_string())
    }
}

/// Why a source cannot be sent, or not sent on.
#[derive(Debug, thiserror::Error)]
pub(super) enum PumpError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{0}")]
    Content(odile_wire::data::SourceError),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error("it cannot be sealed: {0}")]
    Seal(#[from] Misuse),
    #[error("the catalog has it with cipher suite {0}, which does not exist")]
    UnknownSuite(u8),
}

/// Blocks filled.
pub(super) struct Filled {
    pub(super) length: usize,
    pub(super) buffers: u16,
}

impl Pump {
    /// Opens the source, and draws the keys of its envelope. On a worker.
    pub(super) fn open(plan: &PumpPlan) -> Result<Self, PumpError> {
        let source = MappedSource::open(&plan.path, plan.window_bytes)?;
        source.check(&plan.expected)?;
        let records = match plan.format {
            FileFormat::Fixed => Records::Fixed { size: plan.record_size },
            FileFormat::Variable => Records::Variable,
            _ => Records::None,
        };
        let layers = services::layers(plan.services);
        let (content, framed, announced_octets) = if layers == Services::NONE {
            let suite = services::suite(plan.services).filter(|_| plan.services.signed_receipt);
            let witness = suite.map(|suite| Box::new(Witness::new(suite.hash(), records)));
            (Content::Plain(witness), records, plan.expected.size)
        } else {
            let (staging, octets) = staging(plan, layers, records)?;
            // Sealed files go without records (RFC 5024 §6.5).
            (Content::Sealed(Box::new(staging)), Records::None, octets)
        };
        let outgoing = Outgoing::new(framed, plan.buffer_size, plan.compression);
        let workers = plan.workers.clone();
        Ok(Self { source, expected: plan.expected, outgoing, content, workers, announced_octets })
    }

    /// Fills a block with at most `credit` Data Exchange Buffers, in its first `room` octets. On a worker.
    pub(super) fn fill(
        mut self: Box<Self>,
        mut block: Block,
        room: usize,
        credit: u16,
    ) -> (Box<Self>, Block, Result<Filled, PumpError>) {
        let filled = self.fill_block(block.get_mut(..room).unwrap_or_default(), credit);
        (self, block, filled)
    }

    fn fill_block(&mut self, block: &mut [u8], credit: u16) -> Result<Filled, PumpError> {
        let mut done = Filled { length: 0, buffers: 0 };
        while done.buffers < credit && !self.outgoing.is_finished() {
            let room = block.get_mut(done.length..).unwrap_or_default();
            let filled = self.frame(room, credit - done.buffers)?;
            done.length += filled.written;
            done.buffers += filled.buffers;
            if filled.buffers == 0 {
                break;
            }
        }
        if self.outgoing.is_finished() {
            self.source.check(&self.expected)?;
        }
        Ok(done)
    }

    fn frame(&mut self, room: &mut [u8], buffers: u16) -> Result<odile_transfer::Filled, PumpError> {
        let Self { source, outgoing, content, workers, .. } = self;
        let end = |at_end| if at_end { End::Reached } else { End::More };
        match content {
            Content::Plain(witness) => {
                source.look(outgoing.position(), Outgoing::SOURCE_WINDOW_BYTES, |slice, at_end| {
                    let filled =
                        outgoing.fill(slice, end(at_end), room, buffers).map_err(PumpError::Content)?;
                    if let Some(witness) = witness {
                        witness.see(slice.get(..filled.consumed).unwrap_or_default());
                    }
                    Ok(filled)
                })?
            }
            Content::Sealed(staging) => {
                while staging.wants_source() {
                    source.look(staging.source_position(), 1, |slice, at_end| {
                        staging.fill(slice, end(at_end), &mut OnWorkers(workers))
                    })??;
                }
                let (octets, end) = staging.staged();
                let filled = outgoing.fill(octets, end, room, buffers).map_err(PumpError::Content)?;
                staging.used(filled.consumed);
                Ok(filled)
            }
        }
    }

    /// How much of the source is used up.
    pub(super) fn source_position(&self) -> u64 {
        match &self.content {
            Content::Plain(_) => self.outgoing.position(),
            Content::Sealed(staging) => staging.source_position(),
        }
    }

    /// What SFIDFSIZ announces: an estimate, high rather than low, because an envelope does not exist yet.
    pub(super) fn announced_octets(&self) -> u64 {
        self.announced_octets
    }

    pub(super) fn is_finished(&self) -> bool {
        self.outgoing.is_finished()
    }

    /// The counts for EFID, and what the receipt must state.
    pub(super) fn finish(self, outbound: &Outbound) -> (EndFile, Option<Transmitted>) {
        let mut end = self.outgoing.end_file();
        let transmitted = match self.content {
            Content::Plain(witness) => witness.map(|witness| witness.finish()),
            Content::Sealed(staging) => {
                // The count of the original's records; receivers must not check it (field EFIDRCNT).
                end.record_count = match outbound.format {
                    FileFormat::Fixed => {
                        let size = u64::from(outbound.record_size).max(1);
                        outbound.source_identity.size.div_ceil(size)
                    }
                    _ => staging.records(),
                };
                Some(staging.transmitted())
            }
        };
        (end, transmitted.as_ref().map(services::stored_stream))
    }
}

/// The stage, and the most that comes out of it.
fn staging(plan: &PumpPlan, layers: Services, records: Records) -> Result<(Staging, u64), PumpError> {
    // Compression alone names no suite; any will do, since nothing of it is used.
    let suite = match services::suite(plan.services) {
        Some(suite) => suite,
        None if plan.services.suite == 0 => odile_envelope::Suite::S04,
        None => return Err(PumpError::UnknownSuite(plan.services.suite)),
    };
    let signer = plan.signer.as_ref();
    let request = SealRequest {
        suite,
        services: layers,
        source_bytes: plan.expected.size,
        signing_time: now_seconds(),
        signer: signer.map(|identity| identity.certificate()),
        recipient: plan.recipient.as_deref(),
        options: plan.options,
    };
    let seal = Arc::new(SealPlan::new(&request, &mut entropy::fill)?);
    let octets = seal.transmitted_bytes_max()?;
    let batch = plan.workers.threads().min(CHUNKS_AT_A_TIME_MAX);
    let staging = Staging::new(seal, signer.map(|identity| identity.key()), records, batch)?;
    Ok((staging, octets))
}

/// Chunks that one file has compressed at a time: each costs two buffers of a chunk's size.
const CHUNKS_AT_A_TIME_MAX: usize = 8;
