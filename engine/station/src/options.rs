//! How a station runs on this machine: what flags set, as opposed to what is agreed with partners.

use std::sync::Arc;
use std::time::Duration;

use odile_partner::{DeflateLevel, SessionSettings};
use odile_uring::{Faults, HugePages, SocketOptions, SyntheticContent};

/// How a station runs.
#[derive(Clone)]
pub struct Options {
    /// Threads with a ring each.
    pub shards: usize,
    /// Cores to pin the shards to, in turn; empty: not pinned.
    pub cpus: Vec<usize>,
    /// Threads for what may wait for the disk.
    pub workers: usize,
    /// Buffers of each shard; a transfer needs [`Options::BLOCKS_PER_TRANSFER`].
    pub pool_blocks: usize,
    /// Bytes of each buffer, at least [`Options::BLOCK_BYTES_MIN`].
    pub block_bytes: usize,
    /// What is asked of the kernel for the buffers' memory.
    pub huge_pages: Option<HugePages>,
    /// Entries of each shard's submission queue.
    pub ring_entries: u32,
    /// A thread of the kernel for each shard takes what is submitted, and sleeps after so long without work.
    pub polling: Option<Duration>,
    /// Bytes of a source that are mapped at a time, or read at a time in two halves.
    pub window_bytes: usize,
    /// What goes past the page cache.
    pub direct: Direct,
    /// Received data is synced to disk behind the write position each time so many bytes have come.
    pub sync_bytes: u64,
    /// A transfer makes a checkpoint each time so many octets have passed …
    pub checkpoint_bytes: u64,
    /// … or so much time, if any have.
    pub checkpoint_time: Duration,
    /// Options of sockets.
    pub sockets: SocketOptions,
    /// Overrides what station and partner files say about sessions.
    pub session: SessionSettings,
    /// How hard files are compressed; goes before what partner files say.
    pub compression_level: Option<DeflateLevel>,
    /// Where received content goes.
    pub target: Target,
    /// Tell where the time of each file went ([`crate::Event::Measured`]).
    pub measure: bool,
    /// Simulated disk faults, for tests.
    pub faults: Option<Arc<dyn Faults>>,
}

/// Which content is read and written past the page cache, where the filesystem can do that. For those who move more than
/// fits in memory: nothing else is pushed out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direct {
    /// None.
    #[default]
    Off,
    /// What is received.
    Targets,
    /// What is sent.
    Sources,
    /// What is received and what is sent.
    Both,
}

impl Direct {
    /// Whether what is received goes past it.
    pub const fn has_targets(self) -> bool {
        matches!(self, Self::Targets | Self::Both)
    }

    /// Whether what is sent does.
    pub const fn has_sources(self) -> bool {
        matches!(self, Self::Sources | Self::Both)
    }
}

/// Where received content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Into the inbox.
    Inbox,
    /// Nowhere: it is received, counted and dropped. For measuring; no receipt is ever sent for it.
    Discard,
    /// Nowhere, but every octet is compared with what it must be. For rehearsing sizes that no disk holds: receipts
    /// are sent, and reception goes on where it was cut.
    Check(SyntheticContent),
}

impl Options {
    /// A transfer never uses more blocks than this.
    pub const BLOCKS_PER_TRANSFER: usize = 6;

    /// A buffer holds the largest Data Exchange Buffer, and what TLS adds to it.
    pub const BLOCK_BYTES_MIN: usize = 128 << 10;

    /// For this machine: a shard for each core, pinned.
    pub fn for_this_machine() -> Self {
        let cpus = odile_uring::available_cpus();
        let shards = cpus.len().clamp(1, SHARDS_MAX);
        Self { shards, cpus, ..Self::default() }
    }

    /// Bytes of buffers in all shards together.
    pub fn pool_bytes(&self) -> u64 {
        self.shards as u64 * self.pool_blocks as u64 * self.block_bytes as u64
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 1,
            cpus: Vec::new(),
            workers: 2,
            pool_blocks: 16,
            block_bytes: BLOCK_BYTES,
            huge_pages: None,
            ring_entries: 256,
            polling: None,
            window_bytes: 8 << 20,
            direct: Direct::Off,
            sync_bytes: 64 << 20,
            checkpoint_bytes: 256 << 20,
            checkpoint_time: Duration::from_secs(5),
            sockets: SocketOptions::default(),
            session: SessionSettings::default(),
            compression_level: None,
            target: Target::Inbox,
            measure: false,
            faults: None,
        }
    }
}

/// Five of the largest Data Exchange Buffers in one write: two such blocks stay in the second-level cache, which
/// saves more than larger writes gain.
const BLOCK_BYTES: usize = 512 << 10;
/// One shard moves several GB/s; more than this many only cost memory.
const SHARDS_MAX: usize = 8;

// A shard must be able to run a transfer, and a block to hold the largest Data Exchange Buffer.
const _: () = assert!(Options::BLOCKS_PER_TRANSFER <= 16);
const _: () = assert!(BLOCK_BYTES >= Options::BLOCK_BYTES_MIN);
const _: () = assert!(Options::BLOCK_BYTES_MIN >= odile_wire::stream::STREAM_BUFFER_MAX as usize);
