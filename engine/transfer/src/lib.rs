//! One Virtual File on its way: from source octets to Data Exchange Buffers and back, with its counters, its
//! name and its limits. No I/O, no clock, no threads.
//!
//! ```text
//! Outgoing   source window ─▶ Data Exchange Buffers with stream headers, many to a block
//! Incoming   fragments of Data Exchange Buffers ─▶ file content, block by block; counts checked at EFID
//! Staging    source window ─▶ sealed stream, staged for Outgoing
//! Witness    hash and length of a plain file as transmitted, for its receipt
//! ```

mod block_size;
mod incoming;
mod naming;
mod outgoing;
mod record_walk;
mod staging;
mod witness;

pub use block_size::{blocks_of, octets_of_blocks};
pub use incoming::{Incoming, IncomingError, Taken};
pub use naming::{NameError, checked_dataset_name, dataset_name_from, inbox_file_name};
pub use outgoing::{Filled, Outgoing};
pub use record_walk::RecordWalk;
pub use staging::{Compress, PackedChunk, PlainChunk, Staging, StagingError};
pub use witness::{Transmitted, Witness};
