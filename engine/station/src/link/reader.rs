//! The one task that reads a link's socket, so that no read is ever dropped in flight.
//!
//! Between files it reads into small buffers, so that an idle session costs little; while a file comes in it
//! reads into the blocks that the transfer has reserved.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use odile_uring::{Block, Error, JoinHandle, Stream};
use tokio::sync::{Notify, mpsc};

/// What the reader found.
pub(super) enum Received {
    /// Octets in a small buffer.
    Small(Vec<u8>, usize),
    /// Octets in a block; give it back with [`Reader::give_back`].
    Block(Block, usize),
    /// The peer has closed the connection.
    Closed,
    /// The network failed.
    Failed(Error),
}

/// The link's end of its reader.
pub(super) struct Reader {
    pub(super) received: mpsc::Receiver<Received>,
    stream: Stream,
    blocks: Rc<Blocks>,
    task: JoinHandle<()>,
    /// Lets the task go when the link is gone.
    _leave: Leave,
}

/// Ends a wait for blocks when dropped.
struct Leave(Rc<Blocks>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.leave_bulk();
    }
}

#[derive(Default)]
struct Blocks {
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// True while a file comes in.
    bulk: bool,
    free: VecDeque<Block>,
    /// True while a read into a block waits for the peer.
    waiting: bool,
}

impl Reader {
    pub(super) fn start(stream: Stream) -> Self {
        let (sender, received) = mpsc::channel(READ_AHEAD);
        let blocks = Rc::<Blocks>::default();
        let task = odile_uring::spawn(read(stream.clone(), sender, Rc::clone(&blocks)));
        let leave = Leave(Rc::clone(&blocks));
        Self { received, stream, blocks, task, _leave: leave }
    }

    /// From the next read on, these blocks are used.
    pub(super) fn begin_bulk(&self, blocks: Vec<Block>) {
        let mut state = self.blocks.state.borrow_mut();
        state.bulk = true;
        state.free.extend(blocks);
    }

    /// From now on small buffers are used. No block stays behind in a read that waits for the peer: it may have
    /// nothing to say for long, and others need blocks. Nothing may be written meanwhile.
    pub(super) async fn end_bulk(&self) {
        self.blocks.leave_bulk();
        if self.blocks.state.borrow().waiting {
            self.stream.cancel().await;
        }
    }

    /// Gives back a block whose octets were used.
    pub(super) fn give_back(&self, block: Block) {
        let mut state = self.blocks.state.borrow_mut();
        if state.bulk {
            state.free.push_back(block);
            self.blocks.changed.notify_one();
        }
    }

    /// Waits for the end of the task; shut the stream down first.
    pub(super) async fn finish(mut self) {
        self.blocks.leave_bulk();
        self.received.close();
        while self.received.recv().await.is_some() {}
        let _ = self.task.await;
    }
}

async fn read(stream: Stream, sender: mpsc::Sender<Received>, blocks: Rc<Blocks>) {
    loop {
        let received = if let Some(block) = blocks.next().await {
            blocks.set_waiting(true);
            let (result, block) = stream.read(block).await;
            blocks.set_waiting(false);
            if result.as_ref().is_err_and(Error::is_cancelled) {
                continue;
            }
            result.map(|count| (count, Received::Block(block, count)))
        } else {
            let (result, buffer) = stream.read_small(vec![0; SMALL_BYTES]).await;
            if result.as_ref().is_err_and(Error::is_cancelled) {
                continue;
            }
            result.map(|count| (count, Received::Small(buffer, count)))
        };
        let (item, last) = match received {
            Ok((0, _)) => (Received::Closed, true),
            Ok((_, received)) => (received, false),
            Err(error) => (Received::Failed(error), true),
        };
        if sender.send(item).await.is_err() || last {
            return;
        }
    }
}

impl Blocks {
    fn leave_bulk(&self) {
        let mut state = self.state.borrow_mut();
        state.bulk = false;
        state.free.clear();
        self.changed.notify_one();
    }

    fn set_waiting(&self, waiting: bool) {
        self.state.borrow_mut().waiting = waiting;
    }

    /// A block while a file comes in, else nothing.
    async fn next(&self) -> Option<Block> {
        loop {
            {
                let mut state = self.state.borrow_mut();
                if !state.bulk {
                    return None;
                }
                if let Some(block) = state.free.pop_front() {
                    return Some(block);
                }
            }
            self.changed.notified().await;
        }
    }
}

/// The largest command without signatures, several times over.
const SMALL_BYTES: usize = 4096;
/// Buffers read before the link has looked at the first.
const READ_AHEAD: usize = 1;
