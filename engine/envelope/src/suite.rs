//! Cipher suites: what SFIDCIPH names (RFC 5024 §10.2, extended by Odette's list).

use serde::{Deserialize, Serialize};

use crate::digest::HashAlgorithm;

/// A cipher suite, by its code in SFIDCIPH.
///
/// 01 and 02 are the RFC's and mandatory; 03 to 07 stand in Odette's list; 08 to 10 were seen in one
/// implementation only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Suite {
    /// 01: 3DES-EDE-CBC, RSA PKCS#1 v1.5, SHA-1.
    S01,
    /// 02: AES-256-CBC, RSA PKCS#1 v1.5, SHA-1.
    S02,
    /// 03: 3DES-EDE-CBC, RSA PKCS#1 v1.5, SHA-256.
    S03,
    /// 04: AES-256-CBC, RSA PKCS#1 v1.5, SHA-256.
    S04,
    /// 05: 3DES-EDE-CBC, RSA PKCS#1 v1.5, SHA-512.
    S05,
    /// 06: AES-256-CBC, RSA PKCS#1 v1.5, SHA-512.
    S06,
    /// 07: AES-256-CBC, RSA PKCS#1 v1.5, SHA3-512.
    S07,
    /// 08: AES-256-CBC, RSA-OAEP and RSASSA-PSS, SHA-256.
    S08,
    /// 09: AES-256-CBC, RSA-OAEP and RSASSA-PSS, SHA-512.
    S09,
    /// 10: AES-256-CBC, RSA-OAEP and RSASSA-PSS, SHA3-512.
    S10,
}

impl Suite {
    /// All suites, by code.
    pub const ALL: [Self; 10] = [
        Self::S01,
        Self::S02,
        Self::S03,
        Self::S04,
        Self::S05,
        Self::S06,
        Self::S07,
        Self::S08,
        Self::S09,
        Self::S10,
    ];

    /// The suite with this code in SFIDCIPH; none for 00 and for unknown codes.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.code() == code)
    }

    /// The code in SFIDCIPH.
    pub const fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The cipher for the content.
    pub const fn content_cipher(self) -> ContentCipher {
        match self {
            Self::S01 | Self::S03 | Self::S05 => ContentCipher::TripleDesCbc,
            _ => ContentCipher::Aes256Cbc,
        }
    }

    /// How the content key travels.
    pub const fn key_transport(self) -> KeyTransport {
        match self {
            Self::S08 | Self::S09 | Self::S10 => KeyTransport::Oaep(self.hash()),
            _ => KeyTransport::Pkcs1,
        }
    }

    /// How signatures are padded.
    pub const fn signature_scheme(self) -> SignatureScheme {
        match self {
            Self::S08 | Self::S09 | Self::S10 => SignatureScheme::Pss,
            _ => SignatureScheme::Pkcs1,
        }
    }

    /// The hash function: of signatures, and of EERPHSH and NERPHSH.
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::S01 | Self::S02 => HashAlgorithm::Sha1,
            Self::S03 | Self::S04 | Self::S08 => HashAlgorithm::Sha256,
            Self::S05 | Self::S06 | Self::S09 => HashAlgorithm::Sha512,
            Self::S07 | Self::S10 => HashAlgorithm::Sha3_512,
        }
    }
}

impl std::fmt::Display for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}", self.code())
    }
}

/// A cipher for content, always in CBC mode with PKCS#7 padding (RFC 5652 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ContentCipher {
    /// 3DES-EDE with three keys.
    TripleDesCbc,
    /// AES-128: in no suite, but some partners' authentication challenges use it.
    Aes128Cbc,
    /// AES-192: in no suite.
    Aes192Cbc,
    /// AES-256.
    Aes256Cbc,
}

/// How the content key reaches the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum KeyTransport {
    /// RSA PKCS#1 v1.5.
    Pkcs1,
    /// RSA-OAEP with this hash, also in MGF1, and an empty label.
    Oaep(HashAlgorithm),
}

/// How a signature is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// RSA PKCS#1 v1.5.
    Pkcs1,
    /// RSASSA-PSS: MGF1 with the same hash, the salt as long as its output.
    Pss,
}

/// The services of an envelope; done in this order, undone in the opposite one (RFC 5024 §6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Services {
    /// SignedData.
    pub sign: bool,
    /// CompressedData.
    pub compress: bool,
    /// EnvelopedData.
    pub encrypt: bool,
}

impl Services {
    /// None at all: the content travels as it is.
    pub const NONE: Self = Self { sign: false, compress: false, encrypt: false };
    /// All three.
    pub const ALL: Self = Self { sign: true, compress: true, encrypt: true };

    /// Every combination.
    pub fn combinations() -> impl Iterator<Item = Self> {
        (0..8_u8).map(|bits| Self { sign: bits & 1 != 0, compress: bits & 2 != 0, encrypt: bits & 4 != 0 })
    }
}
