//! A running station: it introduces the protocol half (`wire`, `session`, `transfer`, `partner`) to the runtime
//! (`uring`) and to what must outlive the process (`catalog`).
//!
//! ```text
//! Station ─┬─ shard 0..n   accept, call, and one Link per session       (pinned threads, io_uring)
//!          ├─ scheduler    which partner is called when                  (a task on shard 0)
//!          ├─ outbox scan  files that people put into outbox/PARTNER     (a task on shard 0)
//!          ├─ ledger       the catalog, on a thread of its own
//!          ├─ control      requests of the command line on a Unix socket (a thread)
//!          └─ workers      what may wait for the disk
//! ```

mod arrival;
mod clock;
pub mod control;
mod enqueue;
mod entropy;
pub mod envelope_file;
mod error;
mod event;
mod expiry;
mod explain;
mod home;
mod intake;
pub mod keyring;
mod landing;
mod ledger;
mod leftovers;
mod link;
mod measure;
mod options;
mod outbox;
mod pace;
mod progress;
pub mod receipts;
mod scheduler;
mod seal_store;
mod services;
mod shared;
mod slots;
mod spool;
mod station;

pub use enqueue::SendRequest;
pub use error::StationError;
pub use event::{Event, EventSink, SessionEnd};
pub use explain::resumption;
pub use home::{Configuration, Home, HomeLock};
pub use measure::{Measured, Spread, Stage};
pub use options::{Direct, Options, Target};
pub use progress::{Progress, ProgressBoard};
pub use services::described;
pub use station::{Calls, Handle, Listen, Station};

pub use odile_catalog as catalog;
pub use odile_envelope as envelope;
pub use odile_partner as partner;
pub use odile_transfer::{NameError, checked_dataset_name, dataset_name_from};
pub use odile_uring::{
    Congestion, Faults, Finding, HugePages, Operation, Pattern, Severity, SyntheticContent, SyntheticFile,
    available_cpus, forbid_core_dumps, free_space, probe, same_filesystem,
};
pub use odile_wire as wire;
