//! What can go wrong, and whose fault it is.
//!
//! [`OpenError`] is the peer's envelope, [`Misuse`] our own caller, [`CheckpointError`] what was stored.

use crate::verdict::SignerProblem;

/// An envelope that cannot be opened. Each kind has its own answer in OFTP (see [`OpenError::reason`]).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The octets are not CMS as we understand it.
    #[error("the envelope is not valid CMS: {0}")]
    Malformed(Flaw),
    /// The stream ended before the envelope did.
    #[error("the envelope is incomplete: the stream ends before it does")]
    Truncated,
    /// There are octets behind the end of the envelope.
    #[error("there are octets behind the end of the envelope")]
    TrailingData,
    /// A limit of ours was exceeded.
    #[error("the envelope exceeds a limit of this station: {0}")]
    Limit(Limit),
    /// A service that was declared was not found.
    #[error("the file was announced as {0}, but is not")]
    ServiceMissing(&'static str),
    /// No RecipientInfo is for one of our keys.
    #[error("the envelope is encrypted for somebody else: none of its recipients is a key of this station")]
    NotForUs,
    /// The content cipher or the key transport is none that we know.
    #[error("the envelope is encrypted with an algorithm that this station does not know")]
    UnknownCipher,
    /// Decryption failed: wrong key, damaged content or damaged padding, deliberately not told apart.
    #[error("the content cannot be decrypted: it was damaged, or encrypted for another key")]
    Decrypt,
    /// The compression algorithm is not zlib.
    #[error("the content is compressed with an algorithm that this station does not know")]
    UnknownCompression,
    /// Not a valid zlib stream, or its checksum is wrong.
    #[error("the content cannot be decompressed: {0}")]
    Decompress(&'static str),
    /// No signature could be verified. One reason for each signer.
    #[error("no signature of the envelope is valid: {}", SignerProblem::sentence(.0))]
    Signature(Vec<SignerProblem>),
}

/// What an [`OpenError`] means in terms of RFC 5024 §5.3.10 (EFNAREAS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// 21: invalid file signature.
    InvalidSignature,
    /// 22: file decryption failure.
    DecryptFailure,
    /// 23: file decompression failure.
    DecompressFailure,
    /// No reason of its own: 99, unspecified.
    Malformed,
}

impl OpenError {
    /// Which refusal tells the partner.
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::Signature(_) | Self::ServiceMissing("signed") => RefusalReason::InvalidSignature,
            Self::NotForUs | Self::UnknownCipher | Self::Decrypt | Self::ServiceMissing("encrypted") => {
                RefusalReason::DecryptFailure
            }
            Self::UnknownCompression
            | Self::Decompress(_)
            | Self::Limit(Limit::OutputBytes)
            | Self::ServiceMissing("compressed") => RefusalReason::DecompressFailure,
            Self::Malformed(_)
            | Self::Truncated
            | Self::TrailingData
            | Self::Limit(_)
            | Self::ServiceMissing(_) => RefusalReason::Malformed,
        }
    }
}

/// What is wrong with the octets of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A tag that does not belong here.
    #[error("an element stands where another one belongs")]
    UnexpectedTag,
    /// A length of more than eight octets, or one that leaves its parent.
    #[error("an element's length is wrong")]
    Length,
    /// A tag number of more than five bits.
    #[error("a tag has more than one octet")]
    LongTag,
    /// A definite-length element holds more than it should.
    #[error("an element holds more than it should")]
    Surplus,
    /// There is no content: a detached signature, or external content.
    #[error("it has no content")]
    Detached,
    /// The content type is none that we know.
    #[error("its content type is unknown")]
    ContentType,
    /// An inner element does not decode.
    #[error("an inner element does not decode")]
    Element,
}

/// A limit that an envelope can exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// Elements within elements.
    #[error("nesting depth")]
    Nesting,
    /// The size of an element that must be kept whole.
    #[error("size of a header, of recipients or of signers")]
    ElementBytes,
    /// The size of what is skipped: certificates and revocation lists.
    #[error("size of certificates and revocation lists")]
    SkippedBytes,
    /// RecipientInfos.
    #[error("number of recipients")]
    Recipients,
    /// SignerInfos.
    #[error("number of signers")]
    Signers,
    /// Digest algorithms.
    #[error("number of digest algorithms")]
    Digests,
    /// Content: the limit that the caller gave.
    #[error("size of the content")]
    OutputBytes,
}

/// A mistake of our caller, or of his configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A certificate does not decode.
    #[error("not a certificate that can be read: {0}")]
    Certificate(String),
    /// A private key does not decode, or the passphrase is wrong.
    #[error("not a private key that can be read: {0}")]
    PrivateKey(String),
    /// The public key is no RSA key or too short.
    #[error("the key is not an RSA key of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")]
    KeyKind,
    /// The private key does not belong to the certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The plan lacks what one of its services needs.
    #[error("the plan asks for {0}, but no key or certificate for it was given")]
    PlanIncomplete(&'static str),
    /// The source is longer or shorter than the plan says.
    #[error("the source does not have the {expected} octets that the plan was made for")]
    SourceLength {
        /// Octets in the plan.
        expected: u64,
    },
    /// A chunk was given that was compressed under another plan, or out of turn.
    #[error("a compressed chunk does not fit here")]
    ForeignChunk,
    /// A number is out of its range.
    #[error("{0} is out of its range")]
    OutOfRange(&'static str),
    /// A cryptographic operation failed that cannot fail with keys that were checked.
    #[error("a cryptographic operation failed: {0}")]
    Crypto(&'static str),
    /// DER cannot express a value.
    #[error("a value cannot be encoded: {0}")]
    Encoding(String),
    /// The method does not fit the state.
    #[error("called out of turn: {0}")]
    OutOfTurn(&'static str),
}

/// Shortest RSA modulus, in bits: what AWS-LC still verifies, and what policies still allow.
pub const RSA_BITS_MIN: usize = 2048;
/// Longest RSA modulus, in bits: a longer one only costs time.
pub const RSA_BITS_MAX: usize = 4096;

impl From<der::Error> for Misuse {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A checkpoint or plan that cannot be used: start from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It does not decode.
    #[error("the checkpoint is damaged")]
    Damaged,
    /// It was written by another version.
    #[error("the checkpoint has version {found}, this program writes {known}")]
    Version {
        /// In the checkpoint.
        found: u8,
        /// Ours.
        known: u8,
    },
    /// It belongs to another plan, or the keys are others.
    #[error("the checkpoint belongs to another transfer or to other keys")]
    Foreign,
}
