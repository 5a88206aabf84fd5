//! The limit: blocks sent and received over loopback with nothing around it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odile_uring::{Block, Listener, Shard, ShardConfig, SocketOptions, Source, Stream, Workers};

use crate::measure::thread_seconds;

/// What it took.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// From the first octet to the last.
    pub took: Duration,
    /// Processor seconds of the sender.
    pub sender_seconds: f64,
    /// Processor seconds of the receiver.
    pub receiver_seconds: f64,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Load {
    /// So many octets: one block again and again, which stays in the cache of the core.
    OneBlock(u64),
    /// A file that is in memory already, block after block.
    InMemory(PathBuf),
    /// A file, copied from where it is mapped into a block, block after block.
    File(PathBuf),
}

/// Sends from a shard on one core to a shard on another. Reading into memory what is to be there does not count.
pub fn send(load: Load) -> Sent {
    let blocks = match &load {
        Load::InMemory(path) => blocks_of(path),
        Load::OneBlock(_) | Load::File(_) => 4,
    };
    let cores = odile_uring::available_cpus();
    let workers = Workers::start(1).expect("threads can be started");
    let config = |index: usize, pool_blocks: usize| ShardConfig {
        index,
        cpu: cores.get(index % cores.len().max(1)).copied(),
        ring_entries: 64,
        pool_blocks,
        block_bytes: BLOCK_BYTES,
        polling: None,
        huge_pages: None,
        workers: workers.clone(),
        faults: None,
    };
    let (bound, address) = std::sync::mpsc::channel();
    let receiver = odile_uring::start(config(1, 4), move |shard| async move {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, SocketOptions::default()).expect("loopback");
        bound.send(listener.address()).expect("the sender waits");
        let stream = listener.accept().await.expect("a connection");
        discard(shard, stream).await
    })
    .expect("io_uring");
    let address = address.recv().expect("an address");
    let sender = odile_uring::start(config(0, blocks), move |shard| async move {
        let stream = Stream::connect(address, SocketOptions::default(), Duration::from_secs(5)).await;
        let stream = stream.expect("a connection");
        let prepared = match &load {
            Load::InMemory(path) => read(path, shard.pool.reserve(blocks).await),
            Load::OneBlock(_) | Load::File(_) => shard.pool.reserve(1).await.into_iter().map(full).collect(),
        };
        let (began, before) = (Instant::now(), thread_seconds());
        let sent = match load {
            Load::OneBlock(octets) => send_one(&stream, prepared, octets).await,
            Load::InMemory(_) => send_all(&stream, prepared).await,
            Load::File(path) => send_file(&stream, prepared, &path).await,
        };
        (began, thread_seconds() - before, sent)
    })
    .expect("io_uring");
    let (began, sender_seconds, octets) = sender.join();
    let (received, ended, receiver_seconds) = receiver.join();
    assert_eq!(received, octets, "everything arrived");
    Sent { took: ended - began, sender_seconds, receiver_seconds }
}

async fn send_one(stream: &Stream, prepared: Vec<(Block, usize)>, octets: u64) -> u64 {
    let (mut block, length) = prepared.into_iter().next().expect("one block");
    let mut left = octets;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(length);
        block = write(stream, block, count).await;
        left -= count as u64;
    }
    octets
}

async fn send_all(stream: &Stream, prepared: Vec<(Block, usize)>) -> u64 {
    let mut sent = 0;
    // They go back all at once: who frees one may touch the others.
    let mut done = Vec::with_capacity(prepared.len());
    for (block, length) in prepared {
        done.push(write(stream, block, length).await);
        sent += length as u64;
    }
    sent
}

async fn send_file(stream: &Stream, prepared: Vec<(Block, usize)>, path: &Path) -> u64 {
    let (mut block, _) = prepared.into_iter().next().expect("one block");
    let mut source = Source::open(path, WINDOW_BYTES).expect("the source is readable");
    let mut sent = 0;
    loop {
        let count = copy(&mut source, sent, &mut block);
        if count == 0 {
            return sent;
        }
        block = write(stream, block, count).await;
        sent += count as u64;
    }
}

async fn write(stream: &Stream, block: Block, count: usize) -> Block {
    let (sent, block) = stream.write_all(block, count).await;
    sent.expect("the receiver reads");
    block
}

/// Fills the blocks with a file, and gives how far each is filled.
fn read(path: &Path, blocks: Vec<Block>) -> Vec<(Block, usize)> {
    let mut source = Source::open(path, WINDOW_BYTES).expect("the source is readable");
    let mut position = 0;
    let fill = |mut block: Block| {
        let count = copy(&mut source, position, &mut block);
        position += count as u64;
        (block, count)
    };
    blocks.into_iter().map(fill).collect()
}

fn copy(source: &mut Source, position: u64, block: &mut Block) -> usize {
    let mut count = 0;
    let fill = |octets: &[u8], _| {
        count = octets.len().min(block.len());
        block[..count].copy_from_slice(&octets[..count]);
    };
    source.look(position, BLOCK_BYTES, fill).expect("the source is readable");
    count
}

fn full(block: Block) -> (Block, usize) {
    let length = block.len();
    (block, length)
}

fn blocks_of(path: &Path) -> usize {
    let octets = path.metadata().expect("the source").len();
    usize::try_from(octets).expect("it fits").div_ceil(BLOCK_BYTES)
}

/// Gives octets, when the last came, and processor seconds.
async fn discard(shard: Shard, stream: Stream) -> (u64, Instant, f64) {
    let mut block = shard.pool.reserve(1).await.pop().expect("one block");
    let (mut received, before) = (0, thread_seconds());
    loop {
        let (count, back) = stream.read(block).await;
        block = back;
        match count.expect("the sender sends") {
            0 => return (received, Instant::now(), thread_seconds() - before),
            count => received += count as u64,
        }
    }
}

const BLOCK_BYTES: usize = 1 << 20;
/// Of a station as well.
const WINDOW_BYTES: usize = 8 << 20;
