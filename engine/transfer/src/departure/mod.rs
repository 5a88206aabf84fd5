//! Sending one file, from its start or from a restart position: source in, Data Exchange Buffers out.
//!
//! ```text
//!            checkpoint        position                    end of file
//! source ────────┼────────────────┼─────────────────────────────┤
//!                └─ catching up: ─┴─ framed: the octets that the first attempt would have sent
//!                   gone through,
//!                   not sent
//! ```
//!
//! Plain files without a witness need no catching up unless they are V files; sealed ones do, because every octet
//! depends on those before.

mod plain;
mod sealed;

use std::sync::Arc;

use odile_envelope::seal::LANES_MAX;
use odile_envelope::{CheckpointError, HashAlgorithm, Misuse, PrivateKey, SealPlan};
use odile_wire::command::EndFile;
use odile_wire::data::{Compression, End, Records, SourceError};
use odile_wire::{BUFFER_SIZE_MAX, BUFFER_SIZE_MIN};

use self::plain::PlainDeparture;
use self::sealed::SealedDeparture;
use crate::checkpoint::DepartureCheckpoint;
use crate::outgoing::Filled;
use crate::packed::Compress;
use crate::restart::{RestartUnit, ResumeError};
use crate::staging::StagingError;
use crate::witness::Transmitted;

/// A file being sent.
///
/// [`Departure::fill`] blocks with it until [`Departure::is_finished`], then send [`Departure::end_file`]. What
/// [`Departure::checkpoint`] gives on the way is what a later [`Departure::resume`] goes on from. After an error it is
/// of no more use.
pub struct Departure {
    unit: RestartUnit,
    way: Way,
}

enum Way {
    Plain(Box<PlainDeparture>),
    Sealed(Box<SealedDeparture>),
}

/// In which form the file is sent.
pub enum Form {
    /// As it is.
    Plain {
        /// The hash for a signed receipt; none: nobody will ask.
        witness: Option<HashAlgorithm>,
    },
    /// In its envelope. What is framed has no records (RFC 5024 §6.5).
    Sealed {
        /// What makes the stream a function of the source.
        plan: Arc<SealPlan>,
        /// The key of the plan's signer.
        key: Option<PrivateKey>,
        /// So many chunks are compressed at a time.
        batch_max: usize,
    },
}

/// What the session agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Octets of a Data Exchange Buffer: 128 to 99999.
    pub buffer_size: u32,
    /// Whether runs are compressed.
    pub compression: Compression,
}

/// The file, wherever it is.
pub trait Source {
    /// Why it cannot be read.
    type Error;

    /// Calls `look` once, with the file from `position` on: at least `least` octets, or all that follow; nothing
    /// behind its end. [`End::Reached`] if the slice reaches to the end.
    fn look(
        &mut self,
        position: u64,
        least: usize,
        look: &mut dyn FnMut(&[u8], End),
    ) -> Result<(), Self::Error>;
}

/// A file among several, and the block for it.
pub struct Fill<'a, S> {
    /// The file.
    pub departure: &'a mut Departure,
    /// Where it comes from.
    pub source: &'a mut S,
    /// Room for Data Exchange Buffers.
    pub block: &'a mut [u8],
    /// So many at most.
    pub buffers_max: u16,
    /// Used if the file is compressed.
    pub compress: &'a mut dyn Compress,
}

/// Why a file cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DepartureError {
    /// No session agrees on such buffers.
    #[error("Data Exchange Buffers of {0} octets are not within 128 to 99999")]
    BufferSize(u32),
    /// The envelope cannot be made.
    #[error("it cannot be sealed: {0}")]
    Seal(#[from] Misuse),
}

/// Why a block cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError<E> {
    /// The source cannot be read.
    #[error("{0}")]
    Source(E),
    /// The source is not what its record format says.
    #[error("{0}")]
    Content(SourceError),
    /// The source cannot be sealed.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The restart position is not in the file.
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

impl Departure {
    /// At the start of a file with such records.
    pub fn new(records: Records, form: Form, framing: Framing) -> Result<Self, DepartureError> {
        check(framing)?;
        let unit = RestartUnit::of(records, matches!(form, Form::Sealed { .. }));
        let way = match form {
            Form::Plain { witness } => Way::Plain(Box::new(PlainDeparture::new(records, witness, framing))),
            Form::Sealed { plan, key, batch_max } => {
                Way::Sealed(Box::new(SealedDeparture::new(records, plan, key.as_ref(), batch_max, framing)?))
            }
        };
        Ok(Self { unit, way })
    }

    /// Goes on at `position`, as the receiver answered it, from a checkpoint at or below it (none: from the start of
    /// the source). What follows are the octets that [`Departure::new`] would have sent from there on.
    ///
    /// # Errors
    ///
    /// [`ResumeError::Above`] or [`ResumeError::Checkpoint`] if the checkpoint is no use: without one it may go.
    /// [`ResumeError::BeyondEnd`] if no file is so long; whether this one is, shows in [`Departure::fill`].
    pub fn resume(
        records: Records,
        form: Form,
        framing: Framing,
        checkpoint: Option<&DepartureCheckpoint>,
        position: u64,
    ) -> Result<Self, ResumeError> {
        check(framing)?;
        let unit = RestartUnit::of(records, matches!(form, Form::Sealed { .. }));
        if let Some(checkpoint) = checkpoint.map(|checkpoint| checkpoint.restart_position(unit))
            && checkpoint > position
        {
            return Err(ResumeError::Above { checkpoint, position });
        }
        let way = match form {
            Form::Plain { witness } => {
                Way::Plain(Box::new(PlainDeparture::resume(records, witness, framing, checkpoint, position)?))
            }
            Form::Sealed { plan, key, batch_max } => {
                let key = key.as_ref();
                let sealed = match checkpoint {
                    Some(checkpoint) => {
                        SealedDeparture::resume(records, plan, key, batch_max, framing, checkpoint)?
                    }
                    None => SealedDeparture::new(records, plan, key, batch_max, framing)?,
                };
                Way::Sealed(Box::new(sealed.skipping_to(position)?))
            }
        };
        Ok(Self { unit, way })
    }

    /// Writes as many whole Data Exchange Buffers, with stream headers, as fit in `block`, at most `buffers_max`.
    ///
    /// While [`Departure::is_catching_up`], it goes through a few MiB of what is not sent instead, and gives no buffers.
    ///
    /// # Errors
    ///
    /// [`FillError::Resume`] with [`ResumeError::BeyondEnd`] if the file ends before the position to go on at.
    pub fn fill<S: Source>(
        &mut self,
        source: &mut S,
        block: &mut [u8],
        buffers_max: u16,
        compress: &mut dyn Compress,
    ) -> Result<Filled, FillError<S::Error>> {
        let fill = Fill { departure: self, source, block, buffers_max, compress };
        let [outcome, ..] = Self::fill_together([Some(fill), None, None, None]);
        outcome
    }

    /// [`Departure::fill`] for several files: what each comes to, in its place. Faster than one after the other where
    /// they [`Departure::weaves`]. Each gets the octets that it would have got alone; an error is that of one file only,
    /// although with the others it may be found a block earlier than alone.
    pub fn fill_together<S: Source>(
        fills: [Option<Fill<'_, S>>; LANES_MAX],
    ) -> [Result<Filled, FillError<S::Error>>; LANES_MAX] {
        let mut filling = fills.map(|fill| fill.map(Filling::new));
        loop {
            filling.iter_mut().flatten().for_each(Filling::go_on);
            let wanting = filling.iter().flatten().filter(|one| one.wants_source()).count();
            let beside = filling.iter().flatten().filter(|one| one.may_be_staged()).count();
            if wanting == 0 {
                break;
            }
            if wanting == 1 && beside == 0 {
                filling.iter_mut().flatten().for_each(Filling::stage);
                continue;
            }
            let staged =
                sealed::stage_together(filling.each_mut().map(|one| one.as_mut()?.lend_for_staging()));
            for (one, staged) in filling.iter_mut().zip(staged) {
                if let (Some(one), Err(error)) = (one, staged) {
                    one.stop(error);
                }
            }
        }
        filling.map(|one| match one {
            Some(one) => one.finish(),
            None => Ok(NOTHING_FILLED),
        })
    }

    /// Whether [`Departure::fill_together`] is faster with this file among others: it is encrypted and not compressed.
    pub fn weaves(&self) -> bool {
        matches!(&self.way, Way::Sealed(sealed) if sealed.weaves())
    }

    /// The newest place to go on, if there is one: of F and V files the end of the last whole record, of others that
    /// of the last whole block, of sealed ones some place before what was framed.
    pub fn checkpoint(&self) -> Option<DepartureCheckpoint> {
        match &self.way {
            Way::Plain(plain) => plain.checkpoint(),
            Way::Sealed(sealed) => sealed.checkpoint(),
        }
    }

    /// What restart positions of this file count.
    pub fn restart_unit(&self) -> RestartUnit {
        self.unit
    }

    /// Octets of the source that were used up.
    pub fn source_position(&self) -> u64 {
        match &self.way {
            Way::Plain(plain) => plain.source_position(),
            Way::Sealed(sealed) => sealed.source_position(),
        }
    }

    /// Octets of the transmitted file that were framed, including those that need not be sent again.
    pub fn transmitted_position(&self) -> u64 {
        match &self.way {
            Way::Plain(plain) => plain.transmitted_position(),
            Way::Sealed(sealed) => sealed.transmitted_position(),
        }
    }

    /// Records of the source so far, as far as they are counted: not those of a sealed F file.
    pub fn records(&self) -> u64 {
        match &self.way {
            Way::Plain(plain) => plain.records(),
            Way::Sealed(sealed) => sealed.records(),
        }
    }

    /// True until everything before the position to go on at was gone through.
    pub fn is_catching_up(&self) -> bool {
        match &self.way {
            Way::Plain(plain) => plain.is_catching_up(),
            Way::Sealed(sealed) => sealed.is_catching_up(),
        }
    }

    /// True if everything was written, the end of the last record included.
    pub fn is_finished(&self) -> bool {
        match &self.way {
            Way::Plain(plain) => plain.is_finished(),
            Way::Sealed(sealed) => sealed.is_finished(),
        }
    }

    /// The counts for EFID, over the whole file (RFC 5024 §5.3.8). A sealed F or V file states the records of the
    /// original, which receivers must not check.
    pub fn end_file(&self) -> EndFile {
        match &self.way {
            Way::Plain(plain) => plain.end_file(),
            Way::Sealed(sealed) => sealed.end_file(),
        }
    }

    /// Octets and hash of what the receipt must state, over the whole file, once it is finished. None for a plain file
    /// without a witness, and for a sealed one whose plan omits the hash.
    pub fn transmitted(&self) -> Option<Transmitted> {
        match &self.way {
            Way::Plain(plain) => plain.transmitted(),
            Way::Sealed(sealed) => sealed.transmitted(),
        }
    }
}

/// How far a block is filled.
struct Filling<'a, S: Source> {
    fill: Fill<'a, S>,
    /// Where the source was.
    from: u64,
    filled: Filled,
    next: Next,
    outcome: Result<(), FillError<S::Error>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Frame,
    /// Nothing is staged any more that could be framed.
    Stage,
    Nothing,
}

impl<'a, S: Source> Filling<'a, S> {
    fn new(fill: Fill<'a, S>) -> Self {
        let from = fill.departure.source_position();
        Self { fill, from, filled: NOTHING_FILLED, next: Next::Frame, outcome: Ok(()) }
    }

    /// Goes on until the block is full, or what encrypts its file may do so beside others.
    fn go_on(&mut self) {
        if self.next == Next::Nothing {
            return;
        }
        match self.frame() {
            Ok(next) => self.next = next,
            Err(error) => self.stop(error),
        }
    }

    fn frame(&mut self) -> Result<Next, FillError<S::Error>> {
        let Fill { departure, source, block, buffers_max, compress } = &mut self.fill;
        let filled = &mut self.filled;
        if self.next == Next::Frame && departure.is_catching_up() {
            match &mut departure.way {
                Way::Plain(plain) => plain.catch_up(*source)?,
                Way::Sealed(sealed) => sealed.catch_up(*source, *compress)?,
            }
            return Ok(Next::Nothing);
        }
        while filled.buffers < *buffers_max && !departure.is_finished() {
            let (room, buffers) =
                (block.get_mut(filled.written..).unwrap_or_default(), *buffers_max - filled.buffers);
            let more = match &mut departure.way {
                Way::Plain(plain) => plain.frame(*source, room, buffers)?,
                Way::Sealed(sealed) if sealed.wants_source() => {
                    if sealed.weaves() {
                        return Ok(Next::Stage);
                    }
                    sealed.stage(*source, *compress)?;
                    continue;
                }
                Way::Sealed(sealed) => sealed.frame(room, buffers)?,
            };
            filled.written += more.written;
            filled.buffers += more.buffers;
            if more.buffers == 0 {
                break;
            }
        }
        Ok(Next::Nothing)
    }

    fn wants_source(&self) -> bool {
        self.next == Next::Stage
    }

    /// Whether it could use the company of one that wants source.
    fn may_be_staged(&self) -> bool {
        let Way::Sealed(sealed) = &self.fill.departure.way else { return false };
        self.next == Next::Nothing && self.outcome.is_ok() && sealed.may_be_staged()
    }

    fn lend_for_staging(&mut self) -> Option<(&mut SealedDeparture, &mut S)> {
        let is_wanted = self.wants_source() || self.may_be_staged();
        let Way::Sealed(sealed) = &mut self.fill.departure.way else { return None };
        is_wanted.then_some((&mut **sealed, &mut *self.fill.source))
    }

    /// Fills its stage without any other, if it wants that.
    fn stage(&mut self) {
        if let (Next::Stage, Way::Sealed(sealed)) = (self.next, &mut self.fill.departure.way)
            && let Err(error) = sealed.stage(self.fill.source, self.fill.compress)
        {
            self.stop(error);
        }
    }

    fn stop(&mut self, error: FillError<S::Error>) {
        (self.outcome, self.next) = (Err(error), Next::Nothing);
    }

    fn finish(self) -> Result<Filled, FillError<S::Error>> {
        self.outcome?;
        let consumed = self.fill.departure.source_position() - self.from;
        Ok(Filled { consumed: usize::try_from(consumed).unwrap_or(usize::MAX), ..self.filled })
    }
}

fn check(framing: Framing) -> Result<(), DepartureError> {
    if (BUFFER_SIZE_MIN..=BUFFER_SIZE_MAX).contains(&framing.buffer_size) {
        Ok(())
    } else {
        Err(DepartureError::BufferSize(framing.buffer_size))
    }
}

const NOTHING_FILLED: Filled = Filled { consumed: 0, written: 0, buffers: 0 };

/// Goes through at most this much in one call, so that its caller can look after other things.
const CATCH_UP_BYTES: usize = 4 * 1024 * 1024;

/// The checkpoint is of a file in another form.
const FOREIGN: ResumeError = ResumeError::Checkpoint(CheckpointError::Foreign);
