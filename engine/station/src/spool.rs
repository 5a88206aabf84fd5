//! A file on its way in: `spool/NUMBER.part`, written behind the link by a task of its own.
//!
//! ```text
//! link ──(block, length)──▶ writer task: reserve room, write, sync behind
//!      ◀──── free block ────
//! ```
//!
//! After an error the task still gives blocks back, without writing, so that the link can read to the end of the
//! file and answer EFNA.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use odile_uring::{Block, Error, File, JoinHandle};
use tokio::sync::mpsc;

use crate::options::Target;

/// A `.part` file being written.
pub(crate) struct PartFile {
    blocks: mpsc::Sender<(Block, usize)>,
    free: mpsc::Receiver<Block>,
    failed: Rc<Cell<bool>>,
    task: JoinHandle<Result<u64, Error>>,
}

/// What the writer needs to know.
pub(crate) struct PartPlan {
    /// Where to; `None` drops the content.
    path: Option<PathBuf>,
    announced_octets: u64,
    sync_bytes: u64,
}

impl PartPlan {
    pub(crate) fn new(path: &Path, target: Target, announced_octets: u64, sync_bytes: u64) -> Self {
        let path = match target {
            Target::Inbox => Some(path.into()),
            Target::Discard => None,
        };
        Self { path, announced_octets, sync_bytes: sync_bytes.max(1) }
    }
}

impl PartFile {
    /// Creates the file and starts its writer, which circulates `blocks`.
    pub(crate) async fn create(plan: PartPlan, blocks: Vec<Block>) -> Result<Self, Error> {
        let file = match &plan.path {
            Some(path) => Some(File::create(path).await?),
            None => None,
        };
        let (to_writer, from_link) = mpsc::channel(blocks.len());
        let (to_link, free) = mpsc::channel(blocks.len());
        for block in blocks {
            // The channel has room for every block.
            let _ = to_link.try_send(block);
        }
        let failed = Rc::new(Cell::new(false));
        let task = odile_uring::spawn(write_blocks(plan, file, from_link, to_link, Rc::clone(&failed)));
        Ok(Self { blocks: to_writer, free, failed, task })
    }

    /// True once something could not be written: [`PartFile::finish`] says what.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get()
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
        // It can only fail if the task panicked, which `finish` tells.
        let _ = self.blocks.send((block, length)).await;
    }

    /// Waits until everything is written and durable. Gives the octets written.
    pub(crate) async fn finish(self) -> Result<u64, Error> {
        drop(self.blocks);
        match self.task.await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

async fn write_blocks(
    plan: PartPlan,
    file: Option<File>,
    mut from_link: mpsc::Receiver<(Block, usize)>,
    to_link: mpsc::Sender<Block>,
    failed: Rc<Cell<bool>>,
) -> Result<u64, Error> {
    let Some(file) = file else {
        let mut octets = 0;
        while let Some((block, length)) = from_link.recv().await {
            octets += length as u64;
            let _ = to_link.try_send(block);
        }
        return Ok(octets);
    };
    let mut writer = Writer { plan, file, position: 0, reserved: 0, unsynced: 0, syncing: None };
    let mut outcome = Ok(());
    while let Some((mut block, length)) = from_link.recv().await {
        if outcome.is_ok() {
            (outcome, block) = writer.append(block, length).await;
            failed.set(outcome.is_err());
        }
        let _ = to_link.try_send(block);
    }
    outcome?;
    writer.finish().await
}

struct Writer {
    plan: PartPlan,
    file: File,
    position: u64,
    /// Room is reserved up to here.
    reserved: u64,
    unsynced: u64,
    /// A sync of what was written so far, while writing goes on.
    syncing: Option<JoinHandle<Result<(), Error>>>,
}

impl Writer {
    async fn append(&mut self, block: Block, length: usize) -> (Result<(), Error>, Block) {
        if let Err(error) = self.reserve(length as u64).await {
            return (Err(error), block);
        }
        let (written, block) = self.file.write_all_at(block, length, self.position).await;
        if let Err(error) = written {
            return (Err(error), block);
        }
        self.position += length as u64;
        self.unsynced += length as u64;
        if self.unsynced >= self.plan.sync_bytes {
            self.unsynced = 0;
            if let Err(error) = self.synced().await {
                return (Err(error), block);
            }
            let file = self.file.clone();
            self.syncing = Some(odile_uring::spawn(async move { file.sync_data().await }));
        }
        (Ok(()), block)
    }

    /// Reserves room in large steps: less fragmentation, and a full disk shows before it is full of half a file.
    async fn reserve(&mut self, length: u64) -> Result<(), Error> {
        let needed = self.position + length;
        if needed <= self.reserved || self.plan.announced_octets <= RESERVE_FROM_BYTES {
            return Ok(());
        }
        let step = self.plan.announced_octets.saturating_sub(self.reserved).clamp(length, RESERVE_STEP_BYTES);
        self.file.allocate(self.reserved, step).await?;
        self.reserved += step;
        Ok(())
    }

    async fn synced(&mut self) -> Result<(), Error> {
        match self.syncing.take() {
            Some(task) => task.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    async fn finish(mut self) -> Result<u64, Error> {
        self.synced().await?;
        if self.reserved > self.position {
            self.file.set_len(self.position)?;
        }
        self.file.sync_data().await?;
        Ok(self.position)
    }
}

/// Below this a reservation costs more than it gains.
const RESERVE_FROM_BYTES: u64 = 1 << 20;
const RESERVE_STEP_BYTES: u64 = 256 << 20;
