//! On what terms files go to a partner and come from it: services and cipher suites, from partner file and station
//! file, the first that says it.

use odile_envelope::deflate::CompressionLevel;
use odile_envelope::{Services, Suite};
use serde::{Deserialize, Serialize};

use crate::usage::Usage;
use crate::value::{DeflateLevel, SuiteNumber};

/// The `[send]` table: files that we send. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SendSettings {
    /// File signature (SFIDSEC 02, 03).
    pub sign: Option<Usage>,
    /// File compression (SFIDCOMP).
    pub compress: Option<Usage>,
    /// File encryption (SFIDSEC 01, 03).
    pub encrypt: Option<Usage>,
    /// A signed receipt (SFIDSIGN).
    pub signed_receipt: Option<Usage>,
    /// Cipher suite (SFIDCIPH).
    pub suite: Option<SuiteNumber>,
    /// How hard to compress.
    pub compression_level: Option<DeflateLevel>,
    /// Whether our certificate travels with our signatures.
    pub embed_certificate: Option<bool>,
}

/// The `[receive]` table: files that the partner sends. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiveSettings {
    /// File signature.
    pub sign: Option<Usage>,
    /// File compression.
    pub compress: Option<Usage>,
    /// File encryption.
    pub encrypt: Option<Usage>,
    /// Whether we sign our receipts for the partner.
    pub signed_receipt: Option<Usage>,
    /// Cipher suites that are taken.
    pub suites: Option<Vec<SuiteNumber>>,
    /// Most octets of a file, when everything is unpacked.
    pub octets_max: Option<u64>,
    /// How a file is answered that came whole but is of no use.
    pub refuse_with: Option<RefuseWith>,
}

/// How a file is answered that came whole but cannot be opened or verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefuseWith {
    /// At once, in the session: EFNA 21, 22 or 23.
    Efna,
    /// EFPA, and later a negative receipt: NERP 31, 33 or 32. Some products try again for ever after an EFNA.
    Nerp,
}

/// What holds for files that we send to one partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendTerms {
    /// File signature.
    pub sign: Usage,
    /// File compression.
    pub compress: Usage,
    /// File encryption.
    pub encrypt: Usage,
    /// A signed receipt.
    pub signed_receipt: Usage,
    /// Cipher suite.
    pub suite: Suite,
    /// How hard to compress.
    pub compression_level: CompressionLevel,
    /// Whether our certificate travels with our signatures.
    pub embed_certificate: bool,
}

/// What holds for files that one partner sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveTerms {
    /// File signature.
    pub sign: Usage,
    /// File compression.
    pub compress: Usage,
    /// File encryption.
    pub encrypt: Usage,
    /// Whether we sign our receipts.
    pub signed_receipt: Usage,
    /// Cipher suites that are taken.
    pub suites: Vec<Suite>,
    /// Most octets of a file; none: what the disk has room for.
    pub octets_max: Option<u64>,
    /// How a file is answered that is of no use.
    pub refuse_with: RefuseWith,
}

/// What a person asks for when a file is sent; none: as the terms say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceWish {
    /// File signature.
    pub sign: Option<bool>,
    /// File compression.
    pub compress: Option<bool>,
    /// File encryption.
    pub encrypt: Option<bool>,
    /// A signed receipt.
    pub signed_receipt: Option<bool>,
    /// Another suite than the partner's.
    pub suite: Option<Suite>,
}

/// What is done with one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileServices {
    /// Sign, compress, encrypt.
    pub services: Services,
    /// A signed receipt is asked for.
    pub signed_receipt: bool,
    /// The suite of all of it.
    pub suite: Suite,
}

impl SendSettings {
    /// Takes from `other` what is not set here.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            sign: self.sign.or(other.sign),
            compress: self.compress.or(other.compress),
            encrypt: self.encrypt.or(other.encrypt),
            signed_receipt: self.signed_receipt.or(other.signed_receipt),
            suite: self.suite.or(other.suite),
            compression_level: self.compression_level.or(other.compression_level),
            embed_certificate: self.embed_certificate.or(other.embed_certificate),
        }
    }

    /// The terms, with the defaults for what is not set.
    pub fn terms(&self) -> SendTerms {
        SendTerms {
            sign: self.sign.unwrap_or(Usage::Optional),
            compress: self.compress.unwrap_or(Usage::Optional),
            encrypt: self.encrypt.unwrap_or(Usage::Optional),
            signed_receipt: self.signed_receipt.unwrap_or(Usage::Optional),
            suite: self.suite.map_or(DEFAULT_SUITE, SuiteNumber::suite),
            compression_level: self.compression_level.map_or(CompressionLevel::FASTEST, DeflateLevel::level),
            // RFC 5024 §6.2: the partner has it already.
            embed_certificate: self.embed_certificate.unwrap_or(false),
        }
    }
}

impl ReceiveSettings {
    /// Takes from `other` what is not set here.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            sign: self.sign.or(other.sign),
            compress: self.compress.or(other.compress),
            encrypt: self.encrypt.or(other.encrypt),
            signed_receipt: self.signed_receipt.or(other.signed_receipt),
            suites: self.suites.clone().or_else(|| other.suites.clone()),
            octets_max: self.octets_max.or(other.octets_max),
            refuse_with: self.refuse_with.or(other.refuse_with),
        }
    }

    /// The terms, with the defaults for what is not set.
    ///
    /// # Errors
    ///
    /// A sentence, if the settings contradict each other.
    pub fn terms(&self) -> Result<ReceiveTerms, String> {
        if self.compress == Some(Usage::Required) {
            // SFNA has no reason for it: an uncompressed file harms nobody.
            return Err(
                "[receive] compress = \"required\" cannot be told to a partner: use \"preferred\"".into()
            );
        }
        let suites: Vec<Suite> = match &self.suites {
            Some(suites) => suites.iter().map(|suite| suite.suite()).collect(),
            None => DEFAULT_SUITES.to_vec(),
        };
        let demanded = [self.sign, self.encrypt].contains(&Some(Usage::Required));
        if suites.is_empty() && demanded {
            return Err(
                "[receive] suites: at least one is needed, because sign or encrypt is required".into()
            );
        }
        Ok(ReceiveTerms {
            sign: self.sign.unwrap_or(Usage::Optional),
            compress: self.compress.unwrap_or(Usage::Optional),
            encrypt: self.encrypt.unwrap_or(Usage::Optional),
            signed_receipt: self.signed_receipt.unwrap_or(Usage::Optional),
            suites,
            octets_max: self.octets_max,
            refuse_with: self.refuse_with.unwrap_or(RefuseWith::Efna),
        })
    }
}

impl SendTerms {
    /// What is done with a file, given what a person asked for.
    ///
    /// # Errors
    ///
    /// A sentence, if the partner's terms do not allow it.
    pub fn decide(&self, wish: &ServiceWish) -> Result<FileServices, String> {
        let decide = |usage: Usage, wish: Option<bool>, key: &str| {
            usage.decide(wish).map_err(|word| format!("[send] {key} = \"{word}\" for this partner"))
        };
        Ok(FileServices {
            services: Services {
                sign: decide(self.sign, wish.sign, "sign")?,
                compress: decide(self.compress, wish.compress, "compress")?,
                encrypt: decide(self.encrypt, wish.encrypt, "encrypt")?,
            },
            signed_receipt: decide(self.signed_receipt, wish.signed_receipt, "signed_receipt")?,
            suite: wish.suite.unwrap_or(self.suite),
        })
    }
}

impl FileServices {
    /// True if none of it is anything: the file goes as it is.
    pub fn is_plain(&self) -> bool {
        self.services == Services::NONE && !self.signed_receipt
    }
}

/// AES-256 and SHA-256: known to all products since 2015, and the fastest here.
const DEFAULT_SUITE: Suite = Suite::S04;
/// All of Odette's list. 08 to 10 were seen in one product only: by name.
const DEFAULT_SUITES: [Suite; 7] =
    [Suite::S01, Suite::S02, Suite::S03, Suite::S04, Suite::S05, Suite::S06, Suite::S07];
