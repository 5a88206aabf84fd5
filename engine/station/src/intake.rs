//! What stands between the link and the `.part` file while a file comes in: nothing, a witness for its receipt, or
//! what opens its envelope.
//!
//! ```text
//! link ──(block, length)──▶ task: open on a worker ──(block, length)──▶ writer
//!      ──(mark)──────────▶                         ──(checkpoint)────▶
//!      ◀──── free block ────                       ◀──── free block ────
//! ```
//!
//! Where a plain file can be taken up again, the link knows, and marks it; where an envelope can, its opener does.
//!
//! After a failure the task still gives blocks back, so that the link can read to the end of the file and answer EFNA.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use odile_envelope::{OpenCheckpoint, OpenError, OpenFinish, Opened, Opener, Suite};
use odile_transfer::{ArrivalCheckpoint, ArrivalState, Place, Transmitted, Witness};
use odile_uring::{Block, Errand, JoinHandle, Workers};
use tokio::sync::mpsc;

use crate::error::StationError;
use crate::pace::Pace;
use crate::spool::{Brim, Filling, PartFile};

/// Takes a file in.
pub(crate) enum Intake {
    /// As it is.
    Plain(PartFile),
    /// By way of a task.
    Watched(Box<Watched>),
}

/// The link's end of the task.
pub(crate) struct Watched {
    items: mpsc::Sender<Item>,
    free: mpsc::Receiver<Block>,
    /// Of the file, where it is only watched: its blocks go all the way.
    brim: Brim,
    state: Rc<State>,
    task: JoinHandle<(PartFile, Result<Verdict, Refused>)>,
}

enum Item {
    Data(Block, usize),
    /// A plain file can be taken up again behind what came before.
    Mark(Place),
    /// No more comes for now: there is no verdict yet. It can be taken up again right here, if what came last is
    /// beyond doubt.
    Pause {
        is_certain: bool,
    },
}

/// What the link may look at while the task runs.
#[derive(Default)]
struct State {
    failed: Cell<bool>,
    safe: Cell<u64>,
    trouble: RefCell<Option<String>>,
    /// Workers were busy with it for so long.
    opening: Cell<Duration>,
}

/// What is done with what comes.
pub(crate) enum Work {
    /// It is written as it is, and watched for the receipt.
    Watch(Box<Witness>),
    /// It is an envelope. Its checkpoints are made at this pace.
    Open(Box<Opener>, Pace),
}

/// What was found at the end of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    /// What the receipt states.
    pub(crate) transmitted: Option<Transmitted>,
    /// What was in the envelope.
    pub(crate) opened: Option<Opened>,
}

/// Why a file cannot be taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is of no use.
    Content(Box<Unusable>),
    /// The fault is ours.
    Worker(std::io::Error),
    /// It was cut off: there is no verdict.
    Paused,
}

/// A file that is of no use.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) problem: Problem,
    /// What a negative receipt states.
    pub(crate) transmitted: Option<Transmitted>,
}

/// What is wrong with an envelope.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error(transparent)]
    Envelope(#[from] OpenError),
    #[error("it is encrypted otherwise than suite {0} says, which was announced")]
    OtherCipher(Suite),
    #[error("it is signed otherwise than suite {0} says, which was announced")]
    OtherSignature(Suite),
}

fn unusable(error: OpenError, transmitted: Option<Transmitted>) -> Refused {
    Refused::Content(Box::new(Unusable { problem: error.into(), transmitted }))
}

impl Intake {
    /// `blocks` circulate between link and task; for [`Work::Watch`] none is needed, since those of the writer go all
    /// the way.
    pub(crate) fn new(part: PartFile, work: Option<Work>, blocks: Vec<Block>, workers: Workers) -> Self {
        let Some(work) = work else { return Self::Plain(part) };
        // For every block that can be on its way.
        let room = blocks.len().max(crate::Options::BLOCKS_PER_TRANSFER);
        let (to_task, from_link) = mpsc::channel(2 * room + 1);
        let (to_link, free) = mpsc::channel(room);
        for block in blocks {
            // The channel has room for every block.
            let _ = to_link.try_send(block);
        }
        let state = Rc::new(State::default());
        let brim = match &work {
            Work::Watch(_) => part.brim(),
            Work::Open(..) => Brim::new(0, None),
        };
        let task = Task { from_link, to_link, part, workers, state: Rc::clone(&state) };
        let task = match work {
            Work::Watch(witness) => odile_uring::spawn(task.watch(witness)),
            Work::Open(opener, pace) => odile_uring::spawn(task.open(opener, pace)),
        };
        Self::Watched(Box::new(Watched { items: to_task, free, brim, state, task }))
    }

    /// True once something went wrong: [`Intake::conclude`] or [`PartFile::finish`] says what.
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            Self::Plain(part) => part.has_failed(),
            Self::Watched(watched) => watched.state.failed.get(),
        }
    }

    /// Octets of the transmitted file that a synced checkpoint tells of, if one was made.
    pub(crate) fn safe_position(&self) -> u64 {
        match self {
            Self::Plain(part) => part.safe_position(),
            Self::Watched(watched) => watched.state.safe.get(),
        }
    }

    /// Why checkpoints cannot be written, once.
    pub(crate) fn take_trouble(&self) -> Option<String> {
        match self {
            Self::Plain(part) => part.take_trouble(),
            Self::Watched(watched) => watched.state.trouble.take(),
        }
    }

    /// For how long workers were busy with it so far.
    pub(crate) fn opening_time(&self) -> Duration {
        match self {
            Self::Plain(_) => Duration::ZERO,
            Self::Watched(watched) => watched.state.opening.get(),
        }
    }

    /// Waits for a block to fill.
    pub(crate) async fn free_block(&mut self) -> Option<Filling> {
        let (block, brim) = match self {
            Self::Plain(part) => (part.free_block().await?, part.brim()),
            Self::Watched(watched) => (watched.free.recv().await?, watched.brim),
        };
        Some(brim.fill(block))
    }

    /// Hands over the first `length` bytes of a block.
    pub(crate) async fn write(&mut self, block: Block, length: usize) {
        match self {
            Self::Plain(part) => part.write(block, length).await,
            // It can only fail if the task panicked, which `conclude` tells.
            Self::Watched(watched) => {
                watched.brim.pass(length);
                let _ = watched.items.send(Item::Data(block, length)).await;
            }
        }
    }

    /// A plain file can be taken up again behind what was handed over.
    pub(crate) async fn mark(&mut self, place: Place) {
        match self {
            Self::Plain(part) => {
                part.checkpoint(ArrivalCheckpoint { place, state: ArrivalState::Plain }).await;
            }
            Self::Watched(watched) => {
                let _ = watched.items.send(Item::Mark(place)).await;
            }
        }
    }

    /// After the last octet: what was found. The file itself may still have to be written.
    pub(crate) async fn conclude(self) -> (PartFile, Result<Verdict, Refused>) {
        match self {
            Self::Plain(part) => (part, Ok(Verdict::default())),
            Self::Watched(watched) => {
                let Watched { items, task, .. } = *watched;
                drop(items);
                match task.await {
                    Ok(outcome) => outcome,
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                }
            }
        }
    }

    /// In the middle of the file: what came is kept. Gives the octets of the transmitted file that are safe, and what
    /// went wrong before.
    pub(crate) async fn pause(self, is_certain: bool) -> (u64, Result<(), NotKept>) {
        let (part, verdict) = match self {
            Self::Plain(part) => (part, Err(Refused::Paused)),
            Self::Watched(watched) => {
                let _ = watched.items.send(Item::Pause { is_certain }).await;
                Self::Watched(watched).conclude().await
            }
        };
        let (safe, written) = part.pause().await;
        let outcome = match (written, verdict) {
            (Err(error), _) => Err(NotKept::Storage(error)),
            (Ok(()), Err(Refused::Content(found))) => Err(NotKept::Content(found)),
            (Ok(()), Err(Refused::Worker(error))) => Err(NotKept::Worker(error)),
            (Ok(()), Err(Refused::Paused) | Ok(_)) => Ok(()),
        };
        (safe, outcome)
    }
}

/// What was wrong with a file before it was cut off.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// It is of no use.
    Content(Box<Unusable>),
    /// The fault is ours.
    Worker(std::io::Error),
    /// It could not be stored.
    Storage(StationError),
}

struct Task {
    from_link: mpsc::Receiver<Item>,
    to_link: mpsc::Sender<Block>,
    part: PartFile,
    workers: Workers,
    state: Rc<State>,
}

impl Task {
    async fn watch(mut self, mut witness: Box<Witness>) -> (PartFile, Result<Verdict, Refused>) {
        // The link fills the writer's blocks: one while another is looked at.
        let mut lent = 0_usize;
        let mut seeing = Errand::new(&self.workers, see);
        loop {
            while let Some(block) = self.part.try_free_block() {
                let _ = self.to_link.try_send(block);
                lent += 1;
            }
            if lent == 0 {
                let Some(block) = self.part.free_block().await else { break };
                let _ = self.to_link.try_send(block);
                lent += 1;
            }
            let (block, length) = match self.from_link.recv().await {
                Some(Item::Data(block, length)) => (block, length),
                Some(Item::Mark(place)) => {
                    let state = ArrivalState::Watched(witness.state());
                    self.part.checkpoint(ArrivalCheckpoint { place, state }).await;
                    continue;
                }
                Some(Item::Pause { .. }) => return (self.part, Err(Refused::Paused)),
                None => break,
            };
            lent -= 1;
            if let Some(block) = self.part.try_free_block() {
                let _ = self.to_link.try_send(block);
                lent += 1;
            }
            let began = Instant::now();
            let seen = seeing.run((witness, block, length)).await;
            self.state.opening.set(self.state.opening.get() + began.elapsed());
            match seen {
                Ok((back, block, length)) => {
                    witness = back;
                    self.part.write(block, length).await;
                    self.tell(false);
                }
                Err(error) => {
                    self.tell(true);
                    return (self.part, Err(Refused::Worker(error)));
                }
            }
        }
        let transmitted = Some(witness.finish());
        (self.part, Ok(Verdict { transmitted, opened: None }))
    }

    async fn open(mut self, opener: Box<Opener>, pace: Pace) -> (PartFile, Result<Verdict, Refused>) {
        let mut opening = Opening {
            opener: Some(opener),
            errand: Errand::new(&self.workers, step),
            room: None,
            is_refused: false,
            pace,
            newest: None,
            busy: Duration::ZERO,
        };
        let mut outcome = Ok(());
        while let Some(item) = self.from_link.recv().await {
            let (mut block, length) = match item {
                Item::Data(block, length) => (block, length),
                // Where an envelope can be taken up again, its opener knows.
                Item::Mark(_) => continue,
                Item::Pause { is_certain } if outcome.is_ok() && !opening.is_refused => {
                    if is_certain {
                        opening.hand_on(&mut self.part).await;
                    }
                    return (self.part, Err(Refused::Paused));
                }
                Item::Pause { .. } => break,
            };
            if outcome.is_ok() {
                (outcome, block) = opening.push(block, length, &mut self.part).await;
                self.state.opening.set(opening.busy);
                self.tell(outcome.is_err() || opening.is_refused);
            }
            let _ = self.to_link.try_send(block);
        }
        let verdict = match outcome {
            Ok(()) => opening.finish(&mut self.part, &self.workers).await,
            Err(refused) => Err(refused),
        };
        (self.part, verdict)
    }

    fn tell(&self, has_failed: bool) {
        self.state.failed.set(has_failed || self.part.has_failed());
        self.state.safe.set(self.part.safe_position());
        if let Some(trouble) = self.part.take_trouble() {
            self.state.trouble.replace(Some(trouble));
        }
    }
}

/// An opener, and the block that it writes to.
struct Opening {
    /// Away only while it is on a worker.
    opener: Option<Box<Opener>>,
    errand: Errand<Closed, Step>,
    room: Option<Filling>,
    /// It is of no use: what comes is hashed for a negative receipt.
    is_refused: bool,
    pace: Pace,
    /// With compression, the newest checkpoint that was not handed on; otherwise there is one anywhere.
    newest: Option<OpenCheckpoint>,
    /// Workers were busy with it for so long.
    busy: Duration,
}

/// What travels to a worker.
struct Closed {
    opener: Box<Opener>,
    input: Block,
    range: Range<usize>,
    output: Filling,
}

/// What comes back.
struct Step {
    opener: Box<Opener>,
    input: Option<Block>,
    consumed: usize,
    output: Filling,
    result: Result<Option<Opened>, OpenError>,
    checkpoint: Option<OpenCheckpoint>,
}

impl Opening {
    /// Opens what is in a block.
    async fn push(
        &mut self,
        block: Block,
        length: usize,
        part: &mut PartFile,
    ) -> (Result<(), Refused>, Block) {
        let (mut input, mut at) = (block, 0);
        while at < length {
            let Some((opener, output)) = self.take(part).await else { return (Ok(()), input) };
            let began = Instant::now();
            let run = self.errand.run(Closed { opener, input, range: at..length, output }).await;
            self.busy += began.elapsed();
            let step = match run {
                Ok(step) => step,
                // The block is gone with the worker: the link notices, because it gets none back.
                Err(error) => {
                    let spare = part.free_block().await;
                    return match spare {
                        Some(spare) => (Err(Refused::Worker(error)), spare),
                        None => unreachable!("a writer gives its blocks back until it is finished"),
                    };
                }
            };
            let Some(back) = step.input else { unreachable!("a step gives its input back") };
            input = back;
            at += step.consumed;
            self.is_refused |= step.result.is_err();
            let position = step.opener.input_position();
            self.put_back(step.opener, step.output, part).await;
            if step.checkpoint.is_some() {
                self.newest = step.checkpoint;
            }
            if self.pace.is_due(position) {
                self.hand_on(part).await;
            }
        }
        (Ok(()), input)
    }

    /// Hands the newest checkpoint on, behind all that was opened.
    async fn hand_on(&mut self, part: &mut PartFile) {
        let newest = self.newest.take().or_else(|| self.opener.as_ref()?.checkpoint());
        let Some(newest) = newest else { return };
        // The writer must have got what the checkpoint tells of.
        if let Some(room) = self.room.take_if(|room| room.filled > 0) {
            part.write(room.block, room.filled).await;
        }
        self.pace.made(newest.input_position());
        let place = Place { received: newest.input_position(), records: 0, stored: newest.output_position() };
        part.checkpoint(ArrivalCheckpoint { place, state: ArrivalState::Opened(newest) }).await;
    }

    /// Gets the verdict.
    async fn finish(&mut self, part: &mut PartFile, workers: &Workers) -> Result<Verdict, Refused> {
        loop {
            let Some((opener, output)) = self.take(part).await else {
                return Err(Refused::Worker(std::io::Error::other("the writer has ended")));
            };
            let step = workers.run(move || conclude(opener, output)).await.map_err(Refused::Worker)?;
            let transmitted = transmitted(&step.opener);
            match step.result {
                Err(error) => return Err(unusable(error, transmitted)),
                Ok(None) => self.put_back(step.opener, step.output, part).await,
                Ok(Some(opened)) => {
                    if step.output.filled > 0 {
                        part.write(step.output.block, step.output.filled).await;
                    }
                    return Ok(Verdict { transmitted, opened: Some(opened) });
                }
            }
        }
    }

    async fn take(&mut self, part: &mut PartFile) -> Option<(Box<Opener>, Filling)> {
        let room = if let Some(room) = self.room.take() {
            room
        } else {
            let block = part.free_block().await?;
            part.brim().fill(block)
        };
        Some((self.opener.take()?, room))
    }

    /// A block that is full goes to the writer.
    async fn put_back(&mut self, opener: Box<Opener>, room: Filling, part: &mut PartFile) {
        self.opener = Some(opener);
        if room.is_full() {
            part.write(room.block, room.filled).await;
        } else {
            self.room = Some(room);
        }
    }
}

/// Shows a witness what is in a block. On a worker.
fn see((mut witness, block, length): (Box<Witness>, Block, usize)) -> (Box<Witness>, Block, usize) {
    witness.see(block.get(..length).unwrap_or_default());
    (witness, block, length)
}

/// Opens until the input is used up or the output is full. On a worker.
fn step(closed: Closed) -> Step {
    let Closed { mut opener, input, range, mut output } = closed;
    let mut consumed = 0;
    let octets = input.get(range).unwrap_or_default();
    let mut result = Ok(None);
    let mut checkpoint = None;
    while consumed < octets.len() && !output.is_full() {
        let rest = octets.get(consumed..).unwrap_or_default();
        match opener.push(rest, output.rest()) {
            Ok(progress) => {
                consumed += progress.consumed;
                output.filled += progress.written;
                if progress.is_checkpoint {
                    checkpoint = opener.checkpoint();
                }
            }
            Err(error) => {
                // The opener has taken all of it, and keeps the error for the end.
                consumed = octets.len();
                result = Err(error);
            }
        }
    }
    Step { opener, input: Some(input), consumed, output, result, checkpoint }
}

/// Writes what is left, as far as there is room; with the verdict, if that was all. On a worker.
fn conclude(mut opener: Box<Opener>, mut output: Filling) -> Step {
    let mut result = Ok(None);
    while !output.is_full() {
        match opener.finish(output.rest()) {
            Ok(OpenFinish::More { written }) => output.filled += written,
            Ok(OpenFinish::Opened(opened)) => {
                result = Ok(Some(opened));
                break;
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    Step { opener, input: None, consumed: 0, output, result, checkpoint: None }
}

fn transmitted(opener: &Opener) -> Option<Transmitted> {
    let hash = opener.transmitted_hash()?;
    Some(Transmitted { octets: opener.input_position(), hash })
}
