//! What came out of an envelope, and what was wrong with its signers.

use crate::certificate::Certificate;
use crate::digest::HashAlgorithm;
use crate::suite::{ContentCipher, KeyTransport, Services, SignatureScheme};

/// Why the signature of one signer was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerProblem {
    /// There is no SignerInfo at all.
    #[error("there is no signer")]
    NoSigner,
    /// None of the given certificates is the signer's.
    #[error("the signer with serial number {serial} is not known")]
    Unknown {
        /// Serial number or subject key identifier, in hexadecimal.
        serial: String,
    },
    /// The SignerInfo does not decode.
    #[error("a signer's entry does not decode")]
    Unreadable,
    /// Hash function or signature algorithm are none that we know.
    #[error("the signature uses an algorithm that this station does not know")]
    UnknownAlgorithm,
    /// The hash function was not announced before the content, so nothing was computed with it.
    #[error("the signature uses a hash function that the envelope did not announce")]
    DigestNotAnnounced,
    /// The signed attributes lack the content's type or digest, or name another type.
    #[error("the signed attributes are incomplete or do not fit the content")]
    Attributes,
    /// The content is another than the one that was signed.
    #[error("the content is not the one that was signed")]
    DigestDiffers,
    /// The signature is not the signer's.
    #[error("the signature is wrong")]
    SignatureWrong,
    /// The certificate is out of its time.
    #[error("the signer's certificate ({subject}) expired")]
    Expired {
        /// Whose certificate.
        subject: String,
    },
    /// The certificate is not valid yet.
    #[error("the signer's certificate ({subject}) is not valid yet")]
    NotYetValid {
        /// Whose certificate.
        subject: String,
    },
}

impl SignerProblem {
    pub(crate) fn sentence(problems: &[Self]) -> String {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

/// A signature that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub signer: Certificate,
    /// When the signer says that he signed, in seconds since 1970.
    pub signing_time: Option<u64>,
    /// The hash function over the content.
    pub hash: HashAlgorithm,
    /// The hash function under the signature; the same, if nobody plays tricks.
    pub signed_hash: HashAlgorithm,
    /// The padding.
    pub scheme: SignatureScheme,
    /// What was wrong with the other signers.
    pub others: Vec<SignerProblem>,
}

/// How the content was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decrypted {
    /// The cipher of the content.
    pub cipher: ContentCipher,
    /// How the key travelled.
    pub transport: KeyTransport,
}

/// An envelope that was opened to the end, and is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Layers that were found and undone.
    pub services: Services,
    /// Octets of the content.
    pub content_bytes: u64,
    /// The signature, if there was one.
    pub verified: Option<Verified>,
    /// The encryption, if there was one. The caller may compare it with the declared suite.
    pub decrypted: Option<Decrypted>,
}
