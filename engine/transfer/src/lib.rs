//! One Virtual File on its way: from source octets to Data Exchange Buffers and back, with its counters, its
//! name, its limits, and where it can go on after it was interrupted. No I/O, no clock, no threads.
//!
//! ```text
//! Departure  source window ─▶ [Staging] ─▶ Outgoing; from the start, or from a restart position
//! Outgoing   source window ─▶ Data Exchange Buffers with stream headers, many to a block
//! Staging    source window ─▶ sealed stream, staged for Outgoing
//! Incoming   fragments of Data Exchange Buffers ─▶ file content, block by block; counts checked at EFID
//! Witness    hash and length of a plain file as transmitted, for its receipt
//! ```
//!
//! Checkpoints of both sides are values, stored as a [`Slot`]; [`Departures`] are those that a sender keeps.

mod block_size;
mod checkpoint;
mod departure;
mod departures;
mod incoming;
mod naming;
mod outgoing;
mod packed;
mod record_walk;
#[cfg(feature = "rehearsal")]
pub mod rehearsal;
mod restart;
mod staging;
mod witness;

pub use block_size::{blocks_of, octets_of_blocks};
pub use checkpoint::{ArrivalCheckpoint, ArrivalState, DepartureCheckpoint, Place, Slot};
pub use departure::{Departure, DepartureError, Fill, FillError, Form, Framing, Source};
pub use departures::{DEPARTURES_MAX, Departures};
pub use incoming::{Incoming, IncomingError, Taken};
pub use naming::{NameError, checked_dataset_name, dataset_name_from, inbox_file_name};
pub use outgoing::{Filled, Outgoing};
pub use packed::{Compress, PackedChunk, PlainChunk};
pub use record_walk::RecordWalk;
pub use restart::{RestartUnit, ResumeError};
pub use staging::{Staging, StagingCheckpoint, StagingError};
pub use witness::{Transmitted, Witness, WitnessState};
