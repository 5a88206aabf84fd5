//! A file on its way in: `spool/STEM.part`, written behind the link by a task of its own, and its checkpoints.
//!
//! ```text
//! link ──(block, length)──▶ writer task: reserve room, write, sync behind
//!      ──(checkpoint)────▶              sync what was written before it ─▶ write it to the older slot, synced
//!      ◀──── free block ────
//! ```
//!
//! Where content is written past the page cache, whole granules of it are, out of blocks that begin at a multiple of one. A
//! block is therefore filled only as far as to leave the next one there ([`Brim`]): behind a checkpoint, or where a file
//! goes on at any octet, one block goes through the page cache.
//!
//! After an error the task still gives blocks back, without writing, so that the link can read to the end of the
//! file and answer EFNA.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use odile_transfer::ArrivalCheckpoint;
use odile_uring::{Block, Error, File, FileIdentity, JoinHandle, SyntheticContent};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::error::StationError;
use crate::slots::Slots;

/// A `.part` file being written.
pub(crate) struct PartFile {
    items: mpsc::Sender<Item>,
    free: mpsc::Receiver<Block>,
    brim: Brim,
    state: Rc<State>,
    task: JoinHandle<Result<u64, StationError>>,
}

/// How far the next block is to be filled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brim {
    /// Where it begins.
    position: u64,
    /// Where it should end: at a multiple of that.
    granule: u64,
}

/// A block being filled.
pub(crate) struct Filling {
    pub(crate) block: Block,
    /// So far.
    pub(crate) filled: usize,
    /// Then it is full.
    pub(crate) room: usize,
}

/// Told why content is not written past the page cache.
pub(crate) type NotDirect = Box<dyn Fn(&Error)>;

/// What the writer needs to know.
pub(crate) struct PartPlan {
    pub(crate) goal: Goal,
    /// Octets that are there already: the last that a checkpoint tells of. What is beyond is cut off.
    pub(crate) start: u64,
    /// Room is reserved for so many octets in all, as the file grows.
    pub(crate) announced_octets: u64,
    /// Data is synced behind the write position each time so much has been written.
    pub(crate) sync_bytes: u64,
    /// Written past the page cache, if the filesystem can do that.
    pub(crate) direct: Option<NotDirect>,
    /// Where checkpoints go; none: there are none.
    pub(crate) slots: Option<Slots>,
}

/// Where the content goes.
pub(crate) enum Goal {
    /// Into this file.
    File(PathBuf),
    /// It is compared with what it must be, and dropped.
    Check(SyntheticContent),
    /// It is dropped.
    Nowhere,
}

/// A checkpoint as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredArrival {
    /// Inode and device of the `.part` file that it tells of; none: there is no file.
    pub(crate) part: Option<(u64, u64)>,
    pub(crate) checkpoint: ArrivalCheckpoint,
}

enum Item {
    Data(Block, usize),
    /// All data before it is what it tells of.
    Checkpoint(Box<ArrivalCheckpoint>),
    /// No more comes for now: the last checkpoint must be made durable.
    Pause,
}

/// What the link may look at while the task runs.
#[derive(Default)]
struct State {
    failed: Cell<bool>,
    safe: Cell<u64>,
    trouble: RefCell<Option<String>>,
    writing: Cell<Duration>,
}

impl PartFile {
    /// Creates the file, or opens what is there of it, and starts its writer, which circulates `blocks`.
    pub(crate) async fn open(plan: PartPlan, blocks: Vec<Block>) -> Result<Self, StationError> {
        let mut file = match &plan.goal {
            Goal::File(path) if plan.start == 0 => Some(File::create(path).await?),
            Goal::File(path) => {
                let file = File::open(path).await?;
                if file.length()? < plan.start {
                    let source = std::io::Error::other("it is shorter than its checkpoint says");
                    return Err(StationError::io("go on with", path)(source));
                }
                file.set_len(plan.start)?;
                Some(file)
            }
            Goal::Check(_) | Goal::Nowhere => None,
        };
        let identity = file.as_ref().map(File::identity).transpose()?;
        if let (Some(file), Some(tell)) = (&mut file, &plan.direct)
            && let Err(error) = file.write_directly().await
        {
            tell(&error);
        }
        let granule = file.as_ref().and_then(File::granule);
        let brim = Brim::new(plan.start, granule);
        // Checkpoints are few, and there is never more than one for a block.
        let (to_writer, from_link) = mpsc::channel(2 * blocks.len() + 1);
        let (to_link, free) = mpsc::channel(blocks.len());
        for block in blocks {
            // The channel has room for every block.
            let _ = to_link.try_send(block);
        }
        let state = Rc::new(State::default());
        let writer = Writer {
            position: plan.start,
            reserved: plan.start,
            plan,
            file,
            identity,
            unsynced: 0,
            syncing: None,
            wanted: None,
            skipped: 0,
            writing: None,
            state: Rc::clone(&state),
        };
        let task = odile_uring::spawn(writer.run(from_link, to_link));
        Ok(Self { items: to_writer, free, brim, state, task })
    }

    /// How far the next block is to be filled.
    pub(crate) fn brim(&self) -> Brim {
        self.brim
    }

    /// True once something could not be written: [`PartFile::finish`] says what.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.failed.get()
    }

    /// Octets of the transmitted file that a synced checkpoint tells of, if one was made.
    pub(crate) fn safe_position(&self) -> u64 {
        self.state.safe.get()
    }

    /// Why checkpoints cannot be written, once.
    pub(crate) fn take_trouble(&self) -> Option<String> {
        self.state.trouble.take()
    }

    /// For how long it was busy writing, or comparing.
    pub(crate) fn writing_time(&self) -> Duration {
        self.state.writing.get()
    }

    /// Waits for a block to fill.
    pub(crate) async fn free_block(&mut self) -> Option<Block> {
        self.free.recv().await
    }

    /// A block to fill, if one is free now.
    pub(crate) fn try_free_block(&mut self) -> Option<Block> {
        self.free.try_recv().ok()
    }

    /// Hands over the first `length` bytes of a block; they go behind what was handed over before.
    pub(crate) async fn write(&mut self, block: Block, length: usize) {
        self.brim.pass(length);
        // It can only fail if the task panicked, which `finish` tells.
        let _ = self.items.send(Item::Data(block, length)).await;
    }

    /// Hands over a checkpoint of what was handed over before.
    pub(crate) async fn checkpoint(&mut self, checkpoint: ArrivalCheckpoint) {
        let _ = self.items.send(Item::Checkpoint(Box::new(checkpoint))).await;
    }

    /// Waits until everything is written and durable. Gives the octets in the file.
    pub(crate) async fn finish(self) -> Result<u64, StationError> {
        drop(self.items);
        match self.task.await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Waits until what was handed over is durable, its last checkpoint as well. Gives the octets of the transmitted
    /// file that are safe: even after an error, what was safe before is.
    pub(crate) async fn pause(self) -> (u64, Result<(), StationError>) {
        let state = Rc::clone(&self.state);
        let _ = self.items.send(Item::Pause).await;
        let outcome = self.finish().await.map(|_| ());
        (state.safe.get(), outcome)
    }
}

impl Brim {
    /// From this position on; without a granule, blocks are filled as far as they go.
    pub(crate) fn new(position: u64, granule: Option<usize>) -> Self {
        Self { position, granule: granule.map_or(1, |granule| granule as u64).max(1) }
    }

    /// A block to be filled.
    pub(crate) fn fill(&self, block: Block) -> Filling {
        let room = self.room(block.len());
        Filling { block, filled: 0, room }
    }

    fn room(&self, block_bytes: usize) -> usize {
        let end = self.position + block_bytes as u64;
        let room = (end - end % self.granule).saturating_sub(self.position);
        // A granule that is larger than a block is of no use.
        usize::try_from(room).ok().filter(|&room| room > 0).unwrap_or(block_bytes)
    }

    /// So much was handed over.
    pub(crate) fn pass(&mut self, length: usize) {
        self.position += length as u64;
    }
}

impl Filling {
    /// What is still free.
    pub(crate) fn rest(&mut self) -> &mut [u8] {
        self.block.get_mut(self.filled..self.room).unwrap_or_default()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.room
    }
}

struct Writer {
    plan: PartPlan,
    file: Option<File>,
    identity: Option<FileIdentity>,
    position: u64,
    /// Room is reserved up to here.
    reserved: u64,
    unsynced: u64,
    /// A sync of what was written so far, while writing goes on.
    syncing: Option<JoinHandle<Result<(), Error>>>,
    /// The newest checkpoint that is not written yet.
    wanted: Option<Box<ArrivalCheckpoint>>,
    /// So many were wanted, and made way for a newer one, while another was being written.
    skipped: u32,
    writing: Option<JoinHandle<(Slots, Written)>>,
    state: Rc<State>,
}

/// How a checkpoint went.
enum Written {
    /// So many octets of the transmitted file are safe.
    Safe(u64),
    /// The data is not: that is the end of the file.
    Data(Error),
    /// The checkpoint is not: the one before stands.
    Checkpoint(StationError),
}

impl Writer {
    async fn run(
        mut self,
        mut from_link: mpsc::Receiver<Item>,
        to_link: mpsc::Sender<Block>,
    ) -> Result<u64, StationError> {
        let mut outcome = Ok(());
        let mut is_pause = false;
        while let Some(item) = from_link.recv().await {
            let began = Instant::now();
            match item {
                Item::Data(mut block, length) => {
                    if outcome.is_ok() {
                        (outcome, block) = self.append(block, length).await;
                    }
                    let _ = to_link.try_send(block);
                }
                Item::Checkpoint(checkpoint) if self.plan.slots.is_some() || self.writing.is_some() => {
                    self.skipped += u32::from(self.wanted.is_some());
                    self.wanted = Some(checkpoint);
                }
                Item::Checkpoint(_) => {}
                Item::Pause => is_pause = true,
            }
            // What comes faster than the disk syncs it waits here: no more is lost by a cut than a few intervals.
            if outcome.is_ok() && (self.is_free() || self.skipped >= SKIPPED_MAX) {
                outcome = self.next_checkpoint().await;
            }
            self.state.failed.set(outcome.is_err());
            self.state.writing.set(self.state.writing.get() + began.elapsed());
        }
        // Whatever it finds, a checkpoint that is being written is not left behind.
        let written = self.checkpoint_written().await;
        outcome.and(written)?;
        if is_pause && self.wanted.is_some() {
            self.begin_checkpoint();
            self.checkpoint_written().await?;
        }
        self.finish().await
    }

    async fn append(&mut self, block: Block, length: usize) -> (Result<(), StationError>, Block) {
        let (written, block) = match (&self.plan.goal, self.file.clone()) {
            (Goal::Check(content), _) => {
                let octets = block.get(..length).unwrap_or_default();
                let checked = content.check(self.position, octets);
                (checked.map_err(|position| StationError::Unexpected { position }), block)
            }
            (_, None) => (Ok(()), block),
            (_, Some(file)) => {
                if let Err(error) = self.reserve(&file, length as u64).await {
                    return (Err(error.into()), block);
                }
                let was_direct = file.granule().is_some();
                let (written, block) = file.write_all_at(block, length, self.position).await;
                if let (true, None, Some(tell)) = (was_direct, file.granule(), &self.plan.direct) {
                    tell(&file.not_direct());
                }
                (written.map_err(StationError::from), block)
            }
        };
        if written.is_err() {
            return (written, block);
        }
        self.position += length as u64;
        self.unsynced += length as u64;
        if self.unsynced >= self.plan.sync_bytes
            && let Some(file) = self.file.clone()
        {
            self.unsynced = 0;
            if let Err(error) = self.synced().await {
                return (Err(error.into()), block);
            }
            self.syncing = Some(odile_uring::spawn(async move { file.sync_data().await }));
        }
        (Ok(()), block)
    }

    /// Reserves room in large steps: less fragmentation, and a full disk shows before it is full of half a file.
    async fn reserve(&mut self, file: &File, length: u64) -> Result<(), Error> {
        let needed = self.position + length;
        if needed <= self.reserved || self.plan.announced_octets <= RESERVE_FROM_BYTES {
            return Ok(());
        }
        let step = self.plan.announced_octets.saturating_sub(self.reserved).clamp(length, RESERVE_STEP_BYTES);
        file.allocate(self.reserved, step).await?;
        self.reserved += step;
        Ok(())
    }

    async fn synced(&mut self) -> Result<(), Error> {
        match self.syncing.take() {
            Some(task) => outcome_of(task).await,
            None => Ok(()),
        }
    }

    /// True if no checkpoint is being written.
    fn is_free(&self) -> bool {
        self.writing.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Takes note of the one that was written, and begins with the next.
    async fn next_checkpoint(&mut self) -> Result<(), StationError> {
        self.checkpoint_written().await?;
        self.begin_checkpoint();
        Ok(())
    }

    /// Syncs what was written so far, then writes the checkpoint, while writing goes on.
    fn begin_checkpoint(&mut self) {
        let Some(mut slots) = self.plan.slots.take_if(|_| self.wanted.is_some()) else { return };
        let Some(checkpoint) = self.wanted.take() else { return };
        self.skipped = 0;
        let file = self.file.clone();
        // An error of writing back is told to one sync only: that one counts here too.
        let before = self.syncing.take();
        let part = self.identity.map(|identity| (identity.inode, identity.device));
        self.writing = Some(odile_uring::spawn(async move {
            if let Some(before) = before
                && let Err(error) = outcome_of(before).await
            {
                return (slots, Written::Data(error));
            }
            if let Some(file) = file
                && let Err(error) = file.sync_data().await
            {
                return (slots, Written::Data(error));
            }
            let received = checkpoint.place.received;
            let body = StoredArrival { part, checkpoint: *checkpoint };
            match slots.write(&body).await {
                Ok(()) => (slots, Written::Safe(received)),
                Err(error) => (slots, Written::Checkpoint(error)),
            }
        }));
    }

    /// Waits for the checkpoint that is being written.
    async fn checkpoint_written(&mut self) -> Result<(), StationError> {
        let Some(task) = self.writing.take() else { return Ok(()) };
        let (slots, written) = match task.await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        match written {
            Written::Safe(position) => {
                self.state.safe.set(position);
                self.plan.slots = Some(slots);
                Ok(())
            }
            Written::Data(error) => Err(error.into()),
            // The file itself is not worse for it: it goes on without, from the last good one after a cut.
            Written::Checkpoint(error) => {
                self.wanted = None;
                self.state.trouble.replace(Some(error.to_string()));
                Ok(())
            }
        }
    }

    async fn finish(mut self) -> Result<u64, StationError> {
        self.synced().await?;
        if let Some(file) = &self.file {
            if self.reserved > self.position {
                file.set_len(self.position)?;
            }
            file.sync_data().await?;
        }
        Ok(self.position)
    }
}

async fn outcome_of(task: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    match task.await {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// So many checkpoints may make way for newer ones before writing waits for the disk.
const SKIPPED_MAX: u32 = 2;
/// Below this a reservation costs more than it gains.
const RESERVE_FROM_BYTES: u64 = 1 << 20;
const RESERVE_STEP_BYTES: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_handed_over_the_block_after_the_next_begins_aligned() {
        const BLOCK_BYTES: usize = 128 << 10;
        for granule in [512, 4096, 16_384] {
            for position in [0, 1, 4095, 4096, 4097, 131_071, 131_072, 1_000_001] {
                let mut brim = Brim::new(position, Some(granule));
                for short in [0, 1, granule - 1, granule, 5000] {
                    let room = brim.room(BLOCK_BYTES);
                    assert!(room > BLOCK_BYTES - granule && room <= BLOCK_BYTES, "{room}");
                    brim.pass(room);
                    assert!(brim.position.is_multiple_of(granule as u64), "{brim:?}");
                    assert_eq!(brim.room(BLOCK_BYTES), BLOCK_BYTES);
                    // As at a checkpoint.
                    brim.pass(short);
                }
            }
        }
        let mut brim = Brim::new(1, None);
        brim.pass(5);
        assert_eq!(brim.room(BLOCK_BYTES), BLOCK_BYTES);
        assert_eq!(Brim::new(1, Some(1 << 20)).room(BLOCK_BYTES), BLOCK_BYTES);
    }
}
