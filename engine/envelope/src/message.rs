//! Small messages with the same cryptography: signed receipts and encrypted challenges (RFC 5024 §5.3.13, §5.3.14,
//! §5.3.19).
//!
//! Which fields a receipt has is the caller's business: it gives their octets, each in full width.

use std::sync::Arc;

use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::enveloped_data::{EncryptedContentInfo, EnvelopedData, RecipientInfo, RecipientInfos};
use cms::signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerInfo, SignerInfos};
use der::asn1::{OctetString, SetOfVec};
use der::{Any, Decode, Encode};
use zeroize::Zeroizing;

use crate::algorithm as oid;
use crate::certificate::Certificate;
use crate::cipher::Encryptor;
use crate::entropy::Entropy;
use crate::error::{Misuse, OpenError};
use crate::key::Identity;
use crate::open::{open_small, verify_small};
use crate::seal::Embed;
use crate::seal::plan::recipient_info;
use crate::seal::sign;
use crate::suite::Suite;
use crate::verdict::{Decrypted, SignerProblem, Verified};

/// Octets of an authentication challenge (RFC 5024 §5.3.20, AURPRSP).
pub const CHALLENGE_BYTES: usize = 20;
/// Largest message that is opened: EERPSIG and AUCHCHAL have lengths of two octets.
pub const MESSAGE_BYTES_MAX: usize = 65_535;

/// Signs the octets of a receipt; the result contains them (EERPSIG, NERPSIG). DER.
pub fn sign_message(
    suite: Suite,
    identity: &Identity,
    message: &[u8],
    signing_time: u64,
    embed: Embed,
) -> Result<Vec<u8>, Misuse> {
    let hashed = suite.hash().hash(message);
    let info = sign::sign(suite, identity.certificate(), identity.key(), &hashed, signing_time)?;
    let certificates = match embed {
        Embed::Nothing => None,
        Embed::SignerCertificate => {
            let certificate = x509_cert::Certificate::from_der(identity.certificate().der())?;
            Some(CertificateSet::try_from(vec![CertificateChoices::Certificate(certificate)])?)
        }
    };
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![oid::bare(suite.hash().oid())])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: oid::DATA,
            econtent: Some(Any::encode_from(&OctetString::new(message)?)?),
        },
        certificates,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![SignerInfo::from_der(&info)?])?),
    };
    content_info(oid::SIGNED_DATA, &data)
}

/// Which form of the signed octets a receipt had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedMessage {
    /// The place of the matching form in `accepted`.
    pub form: usize,
    /// Whose signature it is.
    pub verified: Verified,
}

/// Verifies a signed receipt, whose content must be one of the `accepted` forms.
///
/// A NERP has two: with NERPCREA (RFC 5024 §5.3.14), and without, as one widespread product signs it. The caller
/// lists them, the right one first, and can report when it was not that one.
pub fn verify_message(
    envelope: &[u8],
    accepted: &[&[u8]],
    signers: &[Arc<Certificate>],
    now: Option<u64>,
) -> Result<VerifiedMessage, OpenError> {
    if envelope.len() > MESSAGE_BYTES_MAX {
        return Err(OpenError::Limit(crate::error::Limit::ElementBytes));
    }
    let (content, verified) = verify_small(envelope, signers, now)?;
    let form = accepted.iter().position(|form| *form == content);
    let form = form.ok_or_else(|| OpenError::Signature(vec![SignerProblem::DigestDiffers]))?;
    Ok(VerifiedMessage { form, verified })
}

/// Encrypts an authentication challenge for the holder of a certificate (AUCHCHAL). DER.
pub fn seal_challenge(
    suite: Suite,
    recipient: &Certificate,
    challenge: &[u8; CHALLENGE_BYTES],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, Misuse> {
    let cipher = suite.content_cipher();
    let key = cipher.draw_key(entropy)?;
    let mut iv = vec![0; cipher.block_bytes()];
    entropy.fill(&mut iv);
    let missing = cipher.block_bytes() - CHALLENGE_BYTES % cipher.block_bytes();
    let mut blocks = Zeroizing::new(challenge.to_vec());
    blocks.resize(CHALLENGE_BYTES + missing, u8::try_from(missing).unwrap_or(0));
    Encryptor::new(cipher, &key, &iv)?.encrypt(&mut blocks)?;
    let info = recipient_info(suite.key_transport(), recipient, &key, entropy)?;
    let data = EnvelopedData {
        version: CmsVersion::V0,
        originator_info: None,
        recip_infos: RecipientInfos(SetOfVec::try_from(vec![RecipientInfo::from_der(&info)?])?),
        encrypted_content: EncryptedContentInfo {
            content_type: oid::DATA,
            content_enc_alg: oid::with_iv(cipher.oid(), &iv)?,
            encrypted_content: Some(OctetString::new(blocks.as_slice())?),
        },
        unprotected_attrs: None,
    };
    content_info(oid::ENVELOPED_DATA, &data)
}

/// Decrypts a challenge, with whatever cipher the partner chose.
pub fn open_challenge(
    envelope: &[u8],
    identities: &[Arc<Identity>],
) -> Result<(Zeroizing<[u8; CHALLENGE_BYTES]>, Decrypted), OpenError> {
    if envelope.len() > MESSAGE_BYTES_MAX {
        return Err(OpenError::Limit(crate::error::Limit::ElementBytes));
    }
    let (content, decrypted) = open_small(envelope, identities)?;
    let challenge = <[u8; CHALLENGE_BYTES]>::try_from(content.as_slice()).map_err(|_| OpenError::Decrypt)?;
    Ok((Zeroizing::new(challenge), decrypted))
}

fn content_info(content_type: der::asn1::ObjectIdentifier, content: &impl Encode) -> Result<Vec<u8>, Misuse> {
    let content = Any::from_der(&content.to_der()?)?;
    Ok(ContentInfo { content_type, content }.to_der()?)
}
