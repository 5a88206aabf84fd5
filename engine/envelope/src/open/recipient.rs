//! RecipientInfos: which one is ours, and the content key (RFC 5652 §6.2).

use std::sync::Arc;

use cms::enveloped_data::{KeyTransRecipientInfo, RecipientIdentifier, RecipientInfo};
use const_oid::ObjectIdentifier;
use der::asn1::OctetString;
use der::{Decode, Encode};
use serde::{Deserialize, Serialize};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use crate::algorithm::{self as oid, OaepParameters};
use crate::ber;
use crate::cipher::{Decryptor, unpadded};
use crate::error::{CheckpointError, Flaw, Limit, OpenError};
use crate::key::Identity;
use crate::open::frame::{Frame, Item, Kind, Slot};
use crate::open::sniff::kind_of;
use crate::suite::{ContentCipher, KeyTransport};
use crate::verdict::Decrypted;

/// RecipientInfos of one envelope.
const RECIPIENTS_MAX: usize = 64;
/// pSpecified: the label of OAEP (RFC 4055 §4.1).
const P_SPECIFIED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.9");

/// The wrapped key that is for us. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wrapped {
    /// Fingerprint of our certificate.
    identity: [u8; 32],
    transport: KeyTransport,
    octets: Vec<u8>,
}

impl Wrapped {
    /// Picks the recipient that is one of us; with one recipient and one key, tries that, whatever its name:
    /// some products name the recipient wrongly.
    pub fn choose(recipient_infos: &[u8], identities: &[Arc<Identity>]) -> Result<Self, OpenError> {
        let der = ber::to_der(recipient_infos)?;
        let set = ber::take(&mut der.as_slice()).ok_or(OpenError::Malformed(Flaw::Element))?;
        let elements =
            ber::elements(set.content, RECIPIENTS_MAX).ok_or(OpenError::Limit(Limit::Recipients))?;
        // Other kinds than key transport, and what does not decode, are somebody else's.
        let infos = elements.iter().filter_map(|element| match RecipientInfo::from_der(element.whole) {
            Ok(RecipientInfo::Ktri(info)) => Some(info),
            _ => None,
        });
        let infos: Vec<KeyTransRecipientInfo> = infos.collect();
        let named = infos.iter().find_map(|info| {
            let identity = identities.iter().find(|identity| is_for(&info.rid, identity))?;
            Some((info, identity))
        });
        let (info, identity) = match (named, infos.as_slice(), identities) {
            (Some(named), _, _) => named,
            (None, [info], [identity]) => (info, identity),
            _ => return Err(OpenError::NotForUs),
        };
        Ok(Self {
            identity: identity.certificate().fingerprint(),
            transport: transport_of(&info.key_enc_alg).ok_or(OpenError::UnknownCipher)?,
            octets: info.enc_key.as_bytes().to_vec(),
        })
    }

    /// The content key, or one that fails later; none if the key is not here any more.
    fn unwrap(&self, cipher: ContentCipher, identities: &[Arc<Identity>]) -> Option<Zeroizing<Vec<u8>>> {
        let ours = identities.iter().find(|ours| ours.certificate().fingerprint() == self.identity)?;
        Some(ours.key().unwrap(self.transport, &self.octets, cipher.key_bytes()))
    }

    /// A decryptor behind `chain`. Degenerate keys, which the cipher refuses, give one that fails later.
    pub fn decryptor(
        &self,
        cipher: ContentCipher,
        chain: &[u8],
        identities: &[Arc<Identity>],
    ) -> Result<Decryptor, CheckpointError> {
        let mut key = self.unwrap(cipher, identities).ok_or(CheckpointError::Foreign)?;
        if !cipher.is_usable(&key) {
            // Any usable key will do: what was encrypted with a degenerate one shall not be read.
            let refused = crate::digest::HashAlgorithm::Sha512.hash(&key);
            key.copy_from_slice(&refused.as_bytes()[..cipher.key_bytes()]);
        }
        Decryptor::new(cipher, &key, chain).map_err(|_| CheckpointError::Damaged)
    }

    pub fn transport(&self) -> KeyTransport {
        self.transport
    }
}

/// The cipher of the content, and its initialisation vector.
pub(super) fn content_cipher(identifier: &[u8]) -> Result<(ContentCipher, Vec<u8>), OpenError> {
    let der = ber::to_der(identifier)?;
    let identifier =
        AlgorithmIdentifierOwned::from_der(&der).map_err(|_| OpenError::Malformed(Flaw::Element))?;
    let cipher = ContentCipher::from_oid(identifier.oid).ok_or(OpenError::UnknownCipher)?;
    let iv = identifier.parameters.and_then(|parameters| parameters.decode_as::<OctetString>().ok());
    let iv = iv.filter(|iv| iv.as_bytes().len() == cipher.block_bytes());
    let iv = iv.ok_or(OpenError::Malformed(Flaw::Element))?;
    Ok((cipher, iv.as_bytes().to_vec()))
}

fn is_for(rid: &RecipientIdentifier, identity: &Identity) -> bool {
    let certificate = identity.certificate();
    match rid {
        RecipientIdentifier::IssuerAndSerialNumber(name) => {
            let issuer = name.issuer.to_der();
            issuer.is_ok_and(|issuer| certificate.is_named(&issuer, name.serial_number.as_bytes()))
        }
        RecipientIdentifier::SubjectKeyIdentifier(key_id) => {
            certificate.key_id() == Some(key_id.0.as_bytes())
        }
    }
}

fn transport_of(identifier: &AlgorithmIdentifierOwned) -> Option<KeyTransport> {
    match identifier.oid {
        oid::RSA => Some(KeyTransport::Pkcs1),
        oid::RSA_OAEP => {
            let parameters = match &identifier.parameters {
                Some(parameters) => parameters.decode_as::<OaepParameters>().ok()?,
                None => OaepParameters { hash: None, mask: None, label: None },
            };
            let hash = oid::hash_of(parameters.hash.as_ref())?;
            let is_empty_label = parameters.label.as_ref().is_none_or(|label| {
                let value = label.parameters.as_ref().map(der::Any::value);
                label.oid == P_SPECIFIED && value.is_some_and(<[u8]>::is_empty)
            });
            let is_ours = oid::mask_hash_of(parameters.mask.as_ref()) == Some(hash) && is_empty_label;
            is_ours.then_some(KeyTransport::Oaep(hash))
        }
        _ => None,
    }
}

/// Decrypts a small EnvelopedData that is there completely.
pub(crate) fn open_small(
    envelope: &[u8],
    identities: &[Arc<Identity>],
) -> Result<(Zeroizing<Vec<u8>>, Decrypted), OpenError> {
    let (mut frame, mut input) = (Frame::new(), envelope);
    let (mut wrapped, mut cipher) = (None, None);
    let mut content = Zeroizing::new(Vec::with_capacity(envelope.len()));
    loop {
        match frame.next(&mut input)? {
            Item::Starved => return Err(OpenError::Truncated),
            Item::Content(count) => {
                let (taken, rest) = input.split_at(count);
                content.extend_from_slice(taken);
                input = rest;
                frame.took(count);
            }
            Item::Captured(Slot::ContentType, octets) => {
                let kind = object_identifier(&octets)
                    .and_then(kind_of)
                    .filter(|kind| *kind == Kind::Enveloped)
                    .ok_or(OpenError::Malformed(Flaw::ContentType))?;
                frame.set_kind(kind);
            }
            Item::Captured(Slot::RecipientInfos, octets) => {
                wrapped = Some(Wrapped::choose(&octets, identities)?);
            }
            Item::Captured(Slot::ContentEncryption, octets) => cipher = Some(content_cipher(&octets)?),
            Item::Captured(..) | Item::ContentEnd => {}
            Item::End => break,
        }
    }
    if !input.is_empty() {
        return Err(OpenError::TrailingData);
    }
    let (Some(wrapped), Some((cipher, iv))) = (wrapped, cipher) else {
        return Err(OpenError::Malformed(Flaw::Element));
    };
    let mut decryptor = wrapped.decryptor(cipher, &iv, identities).map_err(|_| OpenError::NotForUs)?;
    let block_bytes = cipher.block_bytes();
    if content.is_empty() || content.len() % block_bytes != 0 {
        return Err(OpenError::Decrypt);
    }
    decryptor.decrypt(&mut content).map_err(|_| OpenError::Decrypt)?;
    let end = content.len() - block_bytes
        + unpadded(&content[content.len() - block_bytes..]).ok_or(OpenError::Decrypt)?;
    content.truncate(end);
    Ok((content, Decrypted { cipher, transport: wrapped.transport }))
}

/// The object identifier in an element.
pub(super) fn object_identifier(element: &[u8]) -> Option<ObjectIdentifier> {
    ObjectIdentifier::from_der(&ber::to_der(element).ok()?).ok()
}
