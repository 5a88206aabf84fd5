//! Envelopes: sign, compress and encrypt a file, and undo it, as streams of constant memory that resume anywhere.
//!
//! RFC 5024 §6 puts CMS (RFC 5652) around a file: SignedData, CompressedData (RFC 3274) and EnvelopedData, in this
//! order. Other products stage a second file for that; here the layers are done in flight, in steps of any size,
//! and a checkpoint of a few hundred octets is enough to go on after a crash with the same octets.
//!
//! This crate performs no I/O, reads no clock, starts no thread; time and randomness are arguments. It knows no
//! command of OFTP. Whether a certificate is to be trusted is decided elsewhere: here a certificate is one that the
//! caller gave.

mod algorithm;
mod ber;
mod certificate;
mod cipher;
pub mod deflate;
mod digest;
mod entropy;
mod error;
mod key;
mod message;
pub mod open;
mod passphrase;
mod piecewise;
mod queue;
#[cfg(feature = "rehearsal")]
pub mod rehearsal;
pub mod seal;
pub mod stored;
mod suite;
mod verdict;
mod weave;

pub use certificate::{Certificate, Validity};
pub use digest::{HASH_BYTES_MAX, HashAlgorithm, HashValue, Hasher, Midstate};
pub use entropy::Entropy;
pub use error::{CheckpointError, Flaw, Limit, Misuse, OpenError, RSA_BITS_MAX, RSA_BITS_MIN, RefusalReason};
pub use key::{Identity, PrivateKey};
pub use message::{
    CHALLENGE_BYTES, MESSAGE_BYTES_MAX, VerifiedMessage, open_challenge, seal_challenge, sign_message,
    verify_message,
};
pub use open::{Declared, OpenCheckpoint, OpenFinish, OpenProgress, OpenTerms, Opener};
pub use seal::{SealCheckpoint, SealOptions, SealPlan, SealRequest, Sealer};
pub use suite::{ContentCipher, KeyTransport, Services, SignatureScheme, Suite};
pub use verdict::{Decrypted, Opened, SignerProblem, Verified};
