//! Sign, compress, encrypt: a source goes in, the transmitted stream comes out, in steps of any size.
//!
//! ```text
//! source ─▶ SignLayer ─▶ chunk ─▶ compress_chunk ─▶ Packer ─▶ EncryptLayer ─▶ transmitted stream
//!           └──── SealFront ────┘ └─ any worker ──┘ └────── SealBack ──────┘
//! ```
//!
//! [`Sealer`] is all of it in one. Whoever wants to compress on several cores takes [`SealFront`] and [`SealBack`]
//! and carries the chunks between them himself; the stream is the same.
//!
//! Every layer is a ContentInfo in BER with indefinite lengths, its content a constructed octet string; its
//! segments have definite lengths that the plan determines, never the sizes of the caller's buffers:
//!
//! | layer | a segment is |
//! |---|---|
//! | SignedData | `segment_bytes` of the source |
//! | CompressedData | the zlib header, then each compressed chunk, then the zlib trailer |
//! | EnvelopedData, content not compressed | `segment_bytes` of ciphertext |
//! | EnvelopedData, content compressed | up to `segment_bytes` of what one chunk completes |

mod checkpoint;
mod encrypt;
mod front;
mod pack;
mod parallel;
pub(crate) mod plan;
mod sealer;
pub(crate) mod sign;
mod together;

pub use checkpoint::{BackCheckpoint, FrontCheckpoint, SealCheckpoint};
pub use parallel::{SealBack, SealFront};
pub use plan::{ContentKey, Embed, SealOptions, SealPlan, SealRequest, TransmittedHash};
pub use sealer::{Push, SealProgress, Sealer};

pub use crate::weave::LANES_MAX;
