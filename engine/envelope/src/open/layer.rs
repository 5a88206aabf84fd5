//! One layer: its frame, and what is done with its content.

use const_oid::ObjectIdentifier;
use der::Decode;
use serde::{Deserialize, Serialize};
use spki::AlgorithmIdentifierOwned;

use crate::algorithm as oid;
use crate::ber;
use crate::cipher::{BLOCK_BYTES_MAX, Decryptor, unpadded};
use crate::digest::{HashValue, Hasher, Midstate};
use crate::error::{CheckpointError, Flaw, OpenError};
use crate::open::frame::{Frame, Item, Kind, Slot};
use crate::open::inflate::{InflateState, Inflater};
use crate::open::opener::OpenTerms;
use crate::open::recipient::{Wrapped, content_cipher, object_identifier};
use crate::open::signer::{HEAD_BYTES, SignedContent, Trust, announced, verify};
use crate::open::sniff::kind_of;
use crate::queue::Queue;
use crate::suite::ContentCipher;
use crate::verdict::{Decrypted, Verified};

/// Output between two pauses for a checkpoint, in octets: storing one costs more than it is worth below.
const PAUSE_BYTES: u64 = 1024 * 1024;

/// A layer that is being undone.
pub(super) struct Layer {
    frame: Frame,
    kind: Kind,
    work: Work,
    is_content_over: bool,
}

enum Work {
    Signed(Signed),
    Compressed(Box<Inflater>),
    Enveloped(Box<Enveloped>),
}

#[derive(Default)]
struct Signed {
    hashers: Vec<Hasher>,
    /// Whoever gets the content hashes it.
    is_hash_deferred: bool,
    content_type: Option<ObjectIdentifier>,
    /// How the content begins.
    head: Vec<u8>,
    signer_infos: Vec<u8>,
}

#[derive(Default)]
struct Enveloped {
    wrapped: Option<Wrapped>,
    cipher: Option<ContentCipher>,
    decryptor: Option<Decryptor>,
    /// Ciphertext that does not fill a block yet.
    carry: [u8; BLOCK_BYTES_MAX],
    carry_bytes: usize,
    /// The last block, decrypted: it may be the padding.
    held: Option<[u8; BLOCK_BYTES_MAX]>,
    /// Content that found no room.
    queue: Queue,
}

/// A [`Layer`] in stored form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerState {
    pub(crate) frame: Frame,
    kind: Kind,
    pub(crate) work: WorkState,
    is_content_over: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WorkState {
    Signed {
        hashes: Vec<Midstate>,
        content_type: Option<Vec<u8>>,
        head: Vec<u8>,
        signer_infos: Vec<u8>,
    },
    Compressed(InflateState),
    Enveloped {
        wrapped: Option<Wrapped>,
        cipher: Option<ContentCipher>,
        chain: Vec<u8>,
        carry: Vec<u8>,
        held: Option<[u8; BLOCK_BYTES_MAX]>,
        queue: Vec<u8>,
    },
}

impl Layer {
    pub fn new(kind: Kind) -> Result<Self, OpenError> {
        let work = match kind {
            Kind::Signed => Work::Signed(Signed::default()),
            Kind::Compressed => Work::Compressed(Box::new(Inflater::new()?)),
            Kind::Enveloped => Work::Enveloped(Box::default()),
        };
        Ok(Self { frame: Frame::new(), kind, work, is_content_over: false })
    }

    pub fn resume(state: &LayerState, terms: &OpenTerms) -> Result<Self, CheckpointError> {
        let work = match &state.work {
            WorkState::Signed { hashes, content_type, head, signer_infos } => Work::Signed(Signed {
                hashers: hashes.iter().map(Hasher::resume).collect::<Result<_, _>>()?,
                content_type: match content_type {
                    Some(octets) => {
                        Some(ObjectIdentifier::from_bytes(octets).map_err(|_| CheckpointError::Damaged)?)
                    }
                    None => None,
                },
                head: head.clone(),
                signer_infos: signer_infos.clone(),
                is_hash_deferred: false,
            }),
            WorkState::Compressed(state) => Work::Compressed(Box::new(Inflater::resume(state)?)),
            WorkState::Enveloped { wrapped, cipher, chain, carry, held, queue } => {
                let mut work = Box::<Enveloped>::default();
                work.wrapped.clone_from(wrapped);
                work.cipher = *cipher;
                work.held = *held;
                work.queue = Queue::from_stored(queue);
                work.carry_bytes = carry.len();
                work.carry.get_mut(..carry.len()).ok_or(CheckpointError::Damaged)?.copy_from_slice(carry);
                if let (Some(wrapped), Some(cipher)) = (wrapped, cipher) {
                    work.decryptor = Some(wrapped.decryptor(*cipher, chain, &terms.recipients)?);
                }
                Work::Enveloped(work)
            }
        };
        Ok(Self {
            frame: state.frame.clone(),
            kind: state.kind,
            work,
            is_content_over: state.is_content_over,
        })
    }

    /// The stored form, if this is a place for it.
    pub fn state(&self) -> Option<LayerState> {
        let work = match &self.work {
            Work::Signed(signed) => WorkState::Signed {
                hashes: signed.hashers.iter().map(Hasher::midstate).collect(),
                content_type: signed.content_type.map(|oid| oid.as_bytes().to_vec()),
                head: signed.head.clone(),
                signer_infos: signed.signer_infos.clone(),
            },
            Work::Compressed(inflater) => WorkState::Compressed(inflater.state()?),
            Work::Enveloped(work) => WorkState::Enveloped {
                wrapped: work.wrapped.clone(),
                cipher: work.cipher,
                chain: work.decryptor.as_ref().map_or_else(Vec::new, |decryptor| decryptor.chain().to_vec()),
                carry: work.carry[..work.carry_bytes].to_vec(),
                held: work.held,
                queue: work.queue.waiting().to_vec(),
            },
        };
        Some(LayerState {
            frame: self.frame.clone(),
            kind: self.kind,
            work,
            is_content_over: self.is_content_over,
        })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether all content was handed out.
    pub fn is_content_over(&self) -> bool {
        self.is_content_over && !matches!(&self.work, Work::Enveloped(work) if !work.queue.is_empty())
    }

    /// Whether the frame is complete.
    pub fn is_done(&self) -> bool {
        self.frame.is_done()
    }

    /// Whether it stopped for a checkpoint. Asking ends the pause.
    pub fn take_pause(&mut self) -> bool {
        match &mut self.work {
            Work::Compressed(inflater) => inflater.take_pause(),
            Work::Signed(_) | Work::Enveloped(_) => false,
        }
    }

    /// From now on, whoever gets the content shows it to [`Layer::deferred_hasher`], if there is one: two hashes are
    /// woven faster than done one after the other.
    pub fn defer_hash(&mut self, is_deferred: bool) {
        if let Work::Signed(signed) = &mut self.work {
            signed.is_hash_deferred = is_deferred;
        }
    }

    /// The hash that does not see the content here.
    pub fn deferred_hasher(&mut self) -> Option<&mut Hasher> {
        match &mut self.work {
            Work::Signed(signed) => signed.deferred_hasher(),
            Work::Compressed(_) | Work::Enveloped(_) => None,
        }
    }

    /// Takes from the front of `input`, writes to the front of `out`; returns how much of both.
    pub fn step(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        terms: &OpenTerms,
    ) -> Result<(usize, usize), OpenError> {
        let (mut rest, mut written) = (input, 0);
        if let Work::Enveloped(work) = &mut self.work {
            written += work.queue.drain_into(out);
        }
        loop {
            match self.frame.next(&mut rest)? {
                Item::Starved | Item::End => break,
                Item::Content(count) => {
                    let (consumed, made) = self.on_content(&rest[..count], &mut out[written..])?;
                    self.frame.took(consumed);
                    rest = &rest[consumed..];
                    written += made;
                    if self.is_pausing() || (consumed == 0 && made == 0) {
                        break;
                    }
                }
                Item::ContentEnd => {
                    written += self.on_content_end(&mut out[written..])?;
                    self.is_content_over = true;
                }
                Item::Captured(slot, octets) => self.on_captured(slot, octets, terms)?,
            }
        }
        if rest.is_empty() || !self.frame.is_done() {
            return Ok((input.len() - rest.len(), written));
        }
        Err(OpenError::TrailingData)
    }

    fn is_pausing(&self) -> bool {
        matches!(&self.work, Work::Compressed(inflater) if inflater.is_pausing())
    }

    fn on_captured(&mut self, slot: Slot, octets: Vec<u8>, terms: &OpenTerms) -> Result<(), OpenError> {
        match (slot, &mut self.work) {
            (Slot::ContentType, _) => {
                let kind = object_identifier(&octets).and_then(kind_of);
                let kind =
                    kind.filter(|kind| *kind == self.kind).ok_or(OpenError::Malformed(Flaw::ContentType))?;
                self.frame.set_kind(kind);
            }
            (Slot::DigestAlgorithms, Work::Signed(signed)) => {
                signed.hashers = announced(&octets)?.into_iter().map(Hasher::new).collect();
            }
            (Slot::InnerType, Work::Signed(signed)) => signed.content_type = object_identifier(&octets),
            (Slot::SignerInfos, Work::Signed(signed)) => signed.signer_infos = octets,
            (Slot::CompressionAlgorithm, Work::Compressed(_)) => {
                let der = ber::to_der(&octets)?;
                let algorithm = AlgorithmIdentifierOwned::from_der(&der)
                    .map_err(|_| OpenError::Malformed(Flaw::Element))?;
                if algorithm.oid != oid::ZLIB {
                    return Err(OpenError::UnknownCompression);
                }
            }
            (Slot::RecipientInfos, Work::Enveloped(work)) => {
                work.wrapped = Some(Wrapped::choose(&octets, &terms.recipients)?);
            }
            (Slot::ContentEncryption, Work::Enveloped(work)) => {
                let (cipher, iv) = content_cipher(&octets)?;
                let wrapped = work.wrapped.as_ref().ok_or(OpenError::Malformed(Flaw::Element))?;
                let decryptor = wrapped.decryptor(cipher, &iv, &terms.recipients);
                work.decryptor = Some(decryptor.map_err(|_| OpenError::NotForUs)?);
                work.cipher = Some(cipher);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_content(&mut self, content: &[u8], out: &mut [u8]) -> Result<(usize, usize), OpenError> {
        match &mut self.work {
            Work::Signed(signed) => {
                let count = content.len().min(out.len());
                if signed.deferred_hasher().is_none() {
                    signed.hashers.iter_mut().for_each(|hasher| hasher.update(&content[..count]));
                }
                let missing = HEAD_BYTES.saturating_sub(signed.head.len());
                signed.head.extend_from_slice(&content[..count.min(missing)]);
                out[..count].copy_from_slice(&content[..count]);
                Ok((count, count))
            }
            Work::Compressed(inflater) => {
                let done = inflater.step(content, out)?;
                inflater.pause_after(PAUSE_BYTES);
                Ok(done)
            }
            Work::Enveloped(work) => work.decrypt(content, out),
        }
    }

    fn on_content_end(&mut self, out: &mut [u8]) -> Result<usize, OpenError> {
        match &mut self.work {
            Work::Signed(_) => Ok(0),
            Work::Compressed(inflater) if inflater.is_done() => Ok(0),
            Work::Compressed(_) => Err(OpenError::Decompress("it ends too early")),
            Work::Enveloped(work) => work.finish(out),
        }
    }

    /// Judges the signatures, once all was read.
    pub fn verify(&self, terms: &OpenTerms) -> Option<Result<Verified, OpenError>> {
        let Work::Signed(signed) = &self.work else { return None };
        let digests: Vec<HashValue> = signed.hashers.iter().map(|hasher| hasher.clone().finish()).collect();
        let trust = Trust { certificates: &terms.signers, now: terms.now };
        let content =
            SignedContent { content_type: signed.content_type, digests: &digests, head: &signed.head };
        Some(verify(&signed.signer_infos, content, trust))
    }

    /// How the content was encrypted.
    pub fn decrypted(&self) -> Option<Decrypted> {
        let Work::Enveloped(work) = &self.work else { return None };
        Some(Decrypted { cipher: work.cipher?, transport: work.wrapped.as_ref()?.transport() })
    }
}

impl Signed {
    /// Only one alone can be deferred.
    fn deferred_hasher(&mut self) -> Option<&mut Hasher> {
        match self.hashers.as_mut_slice() {
            [hasher] if self.is_hash_deferred => Some(hasher),
            _ => None,
        }
    }
}

impl Enveloped {
    /// Decrypts all whole blocks that find room, but holds the last one back.
    fn decrypt(&mut self, content: &[u8], out: &mut [u8]) -> Result<(usize, usize), OpenError> {
        let (Some(cipher), Some(decryptor)) = (self.cipher, &mut self.decryptor) else {
            return Err(OpenError::Malformed(Flaw::Element));
        };
        let block_bytes = cipher.block_bytes();
        if !self.queue.is_empty() {
            return Ok((0, 0));
        }
        let mut small = [0; 2 * BLOCK_BYTES_MAX];
        let is_small = out.len() < small.len();
        let room = if is_small { &mut small[..] } else { &mut *out };
        let mut at = 0;
        if let Some(held) = self.held.take() {
            room[..block_bytes].copy_from_slice(&held[..block_bytes]);
            at = block_bytes;
        }
        let start = at;
        room[at..at + self.carry_bytes].copy_from_slice(&self.carry[..self.carry_bytes]);
        at += self.carry_bytes;
        let consumed = content.len().min(room.len() - at);
        room[at..at + consumed].copy_from_slice(&content[..consumed]);
        at += consumed;
        let whole = start + (at - start) / block_bytes * block_bytes;
        self.carry_bytes = at - whole;
        self.carry[..self.carry_bytes].copy_from_slice(&room[whole..at]);
        decryptor.decrypt(&mut room[start..whole]).map_err(|_| OpenError::Decrypt)?;
        let mut written = whole;
        if whole >= block_bytes {
            written = whole - block_bytes;
            let mut held = [0; BLOCK_BYTES_MAX];
            held[..block_bytes].copy_from_slice(&room[written..whole]);
            self.held = Some(held);
        }
        if is_small {
            self.queue.push(&small[..written]);
            written = self.queue.drain_into(out);
        }
        Ok((consumed, written))
    }

    /// Takes the padding off.
    fn finish(&mut self, out: &mut [u8]) -> Result<usize, OpenError> {
        let (Some(cipher), Some(held)) = (self.cipher, self.held.take()) else {
            return Err(OpenError::Decrypt);
        };
        let content = unpadded(&held[..cipher.block_bytes()]).filter(|_| self.carry_bytes == 0);
        self.queue.push(&held[..content.ok_or(OpenError::Decrypt)?]);
        Ok(self.queue.drain_into(out))
    }
}

impl Drop for Enveloped {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.held);
    }
}
