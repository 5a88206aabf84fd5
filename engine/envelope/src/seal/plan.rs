//! The plan: everything that makes the transmitted stream a pure function of the source.

use cms::content_info::CmsVersion;
use cms::enveloped_data::{KeyTransRecipientInfo, RecipientIdentifier, RecipientInfo};
use der::Encode;
use der::asn1::OctetString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::algorithm as oid;
use crate::certificate::Certificate;
use crate::deflate::CompressionLevel;
use crate::digest::HashAlgorithm;
use crate::entropy::Entropy;
use crate::error::{CheckpointError, Misuse};
use crate::key::PrivateKey;
use crate::seal::sign;
use crate::stored;
use crate::suite::{KeyTransport, Services, Suite};

/// Smallest and largest chunk and segment, in octets. Below, framing is all the work; above, steps are too long.
pub const PIECE_BYTES_MIN: u32 = 1024;
/// See [`PIECE_BYTES_MIN`].
pub const PIECE_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// First octet of a stored plan.
const VERSION: u8 = 2;

/// Whether the signer's certificate travels with the signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Embed {
    /// No: the partner has it (recommended, RFC 5024 §6.2).
    #[default]
    Nothing,
    /// Yes.
    SignerCertificate,
}

/// Whether the transmitted stream is hashed on its way out. Only a signed receipt states that hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransmittedHash {
    /// Yes, with the hash function of the suite.
    #[default]
    Computed,
    /// No: nobody will ask for it.
    Omitted,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct SealRequest<'a> {
    /// The cipher suite agreed with the partner.
    pub suite: Suite,
    /// The services wanted.
    pub services: Services,
    /// Octets of the source, record lengths of V files included (RFC 5024 §6.5).
    pub source_bytes: u64,
    /// What the signature states as its time, in seconds since 1970.
    pub signing_time: u64,
    /// Who signs.
    pub signer: Option<&'a Certificate>,
    /// For whom to encrypt.
    pub recipient: Option<&'a Certificate>,
    /// The rest.
    pub options: SealOptions,
}

/// Sizes and switches that do not change what the partner gets to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealOptions {
    /// Compression level.
    pub level: CompressionLevel,
    /// Octets that are compressed as one.
    pub chunk_bytes: u32,
    /// Octets of one segment of an octet string.
    pub segment_bytes: u32,
    /// Whether the signer's certificate travels along.
    pub embed: Embed,
    /// Whether what is transmitted is hashed.
    pub transmitted_hash: TransmittedHash,
}

impl Default for SealOptions {
    fn default() -> Self {
        Self {
            level: CompressionLevel::FASTEST,
            chunk_bytes: 1024 * 1024,
            segment_bytes: 1024 * 1024,
            embed: Embed::Nothing,
            transmitted_hash: TransmittedHash::Computed,
        }
    }
}

/// A plan. Store it before the first octet is sent; store the [`ContentKey`] separately, wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealPlan {
    pub(crate) terms: Terms,
    pub(crate) key: Option<ContentKey>,
}

/// The part of a plan that is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub suite: Suite,
    pub services: Services,
    pub source_bytes: u64,
    pub signing_time: u64,
    pub options: SealOptions,
    /// DER of the signer's certificate; empty without signature.
    pub signer: Vec<u8>,
    /// DER of the RecipientInfo with the wrapped key; empty without encryption.
    pub recipient: Vec<u8>,
    /// Initialisation vector; empty without encryption.
    pub iv: Vec<u8>,
}

/// The key of the content. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentKey(Zeroizing<Vec<u8>>);

impl ContentKey {
    /// From storage.
    pub fn from_bytes(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    /// For storage, under the station's own key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentKey(…)")
    }
}

impl SealPlan {
    /// Draws the content key and wraps it for the recipient.
    pub fn new(request: &SealRequest<'_>, entropy: &mut dyn Entropy) -> Result<Self, Misuse> {
        let SealRequest { suite, services, options, .. } = *request;
        let pieces = PIECE_BYTES_MIN..=PIECE_BYTES_MAX;
        if !pieces.contains(&options.chunk_bytes) || !pieces.contains(&options.segment_bytes) {
            return Err(Misuse::OutOfRange("the size of a chunk or segment"));
        }
        let mut terms = Terms {
            suite,
            services,
            source_bytes: request.source_bytes,
            signing_time: request.signing_time,
            options,
            signer: Vec::new(),
            recipient: Vec::new(),
            iv: Vec::new(),
        };
        if services.sign {
            terms.signer = request.signer.ok_or(Misuse::PlanIncomplete("a signature"))?.der().to_vec();
        }
        let mut key = None;
        if services.encrypt {
            let recipient = request.recipient.ok_or(Misuse::PlanIncomplete("encryption"))?;
            let drawn = suite.content_cipher().draw_key(entropy)?;
            terms.iv = vec![0; suite.content_cipher().block_bytes()];
            entropy.fill(&mut terms.iv);
            terms.recipient = recipient_info(suite.key_transport(), recipient, &drawn, entropy)?;
            key = Some(ContentKey(drawn));
        }
        Ok(Self { terms, key })
    }

    /// The services.
    pub fn services(&self) -> Services {
        self.terms.services
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.terms.suite
    }

    /// Octets of the source.
    pub fn source_bytes(&self) -> u64 {
        self.terms.source_bytes
    }

    /// The sizes and switches.
    pub fn options(&self) -> SealOptions {
        self.terms.options
    }

    /// Whether the signature is to be that of this certificate's key. False if there is none.
    pub fn is_signed_by(&self, signer: &Certificate) -> bool {
        self.terms.services.sign && self.terms.signer == signer.der()
    }

    /// Whether the content key is wrapped for the holder of this certificate. False if nothing is encrypted.
    pub fn is_for(&self, recipient: &Certificate) -> bool {
        use der::Decode;
        match RecipientInfo::from_der(&self.terms.recipient) {
            Ok(RecipientInfo::Ktri(info)) => {
                info.rid == RecipientIdentifier::IssuerAndSerialNumber(recipient.issuer_and_serial())
            }
            _ => false,
        }
    }

    /// The secret part, for storage of its own. None without encryption.
    pub fn content_key(&self) -> Option<&ContentKey> {
        self.key.as_ref()
    }

    /// Octets of the transmitted stream: exact without compression, otherwise the most that it can be.
    /// SFIDFSIZ wants an estimate that is high rather than low.
    pub fn transmitted_bytes_max(&self) -> Result<u64, Misuse> {
        let terms = &self.terms;
        let mut bytes = sign::total_bytes(terms)?;
        if terms.services.compress {
            let chunk = u64::from(terms.options.chunk_bytes);
            let chunks = bytes.div_ceil(chunk);
            // Stored blocks: 5 octets in front of 65,535; then the header of the segment, and the frame around all.
            bytes += bytes / 65_535 * 5 + chunks * (5 + 6) + 128;
        }
        if terms.services.encrypt {
            let segments = bytes / u64::from(terms.options.segment_bytes) + 2;
            let units =
                if terms.services.compress { bytes / u64::from(terms.options.chunk_bytes) + 3 } else { 0 };
            bytes = bytes + 16 + (segments + units) * 6 + 128 + terms.recipient.len() as u64;
        }
        Ok(bytes)
    }

    /// The plan for storage, without the content key.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Misuse> {
        stored::write(&self.terms, VERSION).map_err(|error| Misuse::Encoding(error.to_string()))
    }

    /// The plan out of storage.
    pub fn from_bytes(octets: &[u8], key: Option<ContentKey>) -> Result<Self, CheckpointError> {
        let terms: Terms = stored::read(octets, VERSION)?;
        let cipher = terms.suite.content_cipher();
        let fits = match &key {
            Some(key) => terms.services.encrypt && cipher.is_usable(key.as_bytes()),
            None => !terms.services.encrypt,
        };
        let pieces = PIECE_BYTES_MIN..=PIECE_BYTES_MAX;
        let is_sound = pieces.contains(&terms.options.chunk_bytes)
            && pieces.contains(&terms.options.segment_bytes)
            && (!terms.services.encrypt || terms.iv.len() == cipher.block_bytes());
        if !is_sound {
            return Err(CheckpointError::Damaged);
        }
        if fits { Ok(Self { terms, key }) } else { Err(CheckpointError::Foreign) }
    }

    /// Tells plans apart: stands in every checkpoint.
    pub(crate) fn fingerprint(&self) -> Result<[u8; 8], Misuse> {
        let hash = HashAlgorithm::Sha256.hash(&self.to_bytes()?);
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&hash.as_bytes()[..8]);
        Ok(fingerprint)
    }

    /// The signer's certificate and key, if they belong together.
    pub(crate) fn signer(
        &self,
        key: Option<&PrivateKey>,
    ) -> Result<Option<(Certificate, PrivateKey)>, Misuse> {
        if !self.terms.services.sign {
            return Ok(None);
        }
        let certificate = Certificate::from_der(&self.terms.signer)?;
        let key = key.ok_or(Misuse::PlanIncomplete("a signature"))?;
        if !key.belongs_to(&certificate) {
            return Err(Misuse::KeyMismatch);
        }
        Ok(Some((certificate, key.clone())))
    }
}

/// KeyTransRecipientInfo, version 0 (RFC 5652 §6.2.1).
pub(crate) fn recipient_info(
    transport: KeyTransport,
    recipient: &Certificate,
    key: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, Misuse> {
    let key_enc_alg = match transport {
        KeyTransport::Pkcs1 => oid::with_null(oid::RSA),
        KeyTransport::Oaep(hash) => oid::oaep(hash)?,
    };
    let info = RecipientInfo::Ktri(KeyTransRecipientInfo {
        version: CmsVersion::V0,
        rid: RecipientIdentifier::IssuerAndSerialNumber(recipient.issuer_and_serial()),
        key_enc_alg,
        enc_key: OctetString::new(recipient.wrap(transport, key, entropy)?)?,
    });
    Ok(info.to_der()?)
}
