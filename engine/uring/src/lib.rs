//! The runtime: one pinned thread a core, each with its own io_uring.
//!
//! This crate knows Linux and nothing of OFTP. It is the only one with unsafe code. What the kernel may touch is
//! always owned by the operation (module `op`): dropping a future never frees memory or closes a descriptor that
//! is in use.
//!
//! Two rules for callers, both from how io_uring works:
//! - **one owner task per direction of a socket**, never a `select!` or time-out around [`Stream::read`] and
//!   [`Stream::write_all`]: an operation whose future is dropped stays armed and could swallow data. To end a
//!   wait, call [`Stream::shutdown`].
//! - **nothing that blocks on a shard**: page faults of mapped files and other long work go to [`Workers`].

mod error;
mod faults;
mod file;
mod map;
mod op;
mod pool;
mod probe;
mod secrecy;
mod shard;
mod sigbus;
mod small;
mod socket;
mod source;
mod synthetic;
mod worker;

pub use error::Error;
pub use faults::{Faults, Operation};
pub use file::{File, FileIdentity, Space, free_space, remove, rename, same_filesystem, sync_directory};
pub use map::{MappedSource, quiet_file};
pub use pool::{Block, HugePages, Pool};
pub use probe::{Finding, Severity, probe};
pub use secrecy::forbid_core_dumps;
pub use shard::{Shard, ShardConfig, ShardThread, available_cpus, start};
pub use small::{destroy, read_small};
pub use socket::{Congestion, Listener, SocketOptions, Stream};
pub use source::{Source, SourceError, SourceIdentity};
pub use synthetic::{Pattern, SyntheticContent, SyntheticFile, SyntheticFileError, SyntheticSource};
pub use worker::{Together, Workers};

pub use tokio::task::JoinHandle;
pub use tokio_uring::spawn;
