//! Decrypt, decompress, verify: the transmitted stream goes in, the content comes out, in steps of any size.
//!
//! ```text
//! stream ─▶ Frame ─▶ decrypt ─▶ 64 KiB ─▶ Frame ─▶ inflate ─▶ 64 KiB ─▶ Frame ─▶ hash ─▶ content
//!           └─────── Layer ──┘            └─────── Layer ──┘            └─── Layer ──┘
//! ```
//!
//! Layers are found by what stands at the start of each content. What comes out is **not verified** until
//! [`Opener::finish`] says so: write it where nobody looks.

mod checkpoint;
mod frame;
mod inflate;
mod layer;
mod opener;
mod recipient;
mod signer;
mod sniff;

pub use checkpoint::OpenCheckpoint;
#[cfg(feature = "rehearsal")]
pub(crate) use frame::Frame;
#[cfg(feature = "rehearsal")]
pub(crate) use layer::WorkState;
pub use opener::{Declared, OpenFinish, OpenProgress, OpenTerms, Opener};
pub(crate) use recipient::open_small;
pub(crate) use signer::verify_small;
