//! EnvelopedData around whatever comes (RFC 5652 §6).

use der::Encode;

use crate::algorithm as oid;
use crate::ber;
use crate::cipher::{BLOCK_BYTES_MAX, Encryptor};
use crate::digest::Hasher;
use crate::error::{CheckpointError, Misuse};
use crate::queue::Queue;
use crate::seal::checkpoint::EncryptState;
use crate::seal::plan::SealPlan;
use crate::weave::{Lane, Owed, STRETCH_BYTES};

/// Octets that will come for certain. Segments are cut from units, so that they never depend on buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub bytes: u64,
    pub is_last: bool,
}

/// Where the layer's content comes from.
pub(super) trait Middle {
    /// What comes next; each unit is named once.
    fn next_unit(&mut self) -> Option<Unit>;

    /// Reads what is there.
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Misuse>;

    /// What was read, but not hashed yet where it comes from: the caller hashes it.
    fn owed(&mut self) -> Option<Owed<'_>>;
}

/// Octets that are in place.
#[derive(Clone, Copy)]
pub(super) struct Prepared {
    pub framing: usize,
    /// Behind the framing, whole blocks still to be encrypted. None: there is no more room or content.
    pub content: usize,
}

/// The layer: content in, EnvelopedData out.
pub(super) struct EncryptLayer {
    encryptor: Encryptor,
    block_bytes: usize,
    segment_bytes: u64,
    queue: Queue,
    /// Ciphertext still to come in the open segment.
    segment_left: u64,
    /// Content still to come in the unit.
    unit_left: u64,
    is_last_unit: bool,
    is_padded: bool,
    is_closed: bool,
    /// Content that does not fill a block yet.
    carry: [u8; BLOCK_BYTES_MAX],
    carry_bytes: usize,
}

impl EncryptLayer {
    pub fn new(plan: &SealPlan) -> Result<Self, Misuse> {
        let mut layer = Self::behind(plan, &plan.terms.iv)?;
        layer.queue.push(&header(plan)?);
        Ok(layer)
    }

    pub fn resume(plan: &SealPlan, state: &EncryptState) -> Result<Self, CheckpointError> {
        let mut layer = Self::behind(plan, &state.chain).map_err(|_| CheckpointError::Foreign)?;
        let carry = layer.carry.get_mut(..state.carry.len()).ok_or(CheckpointError::Damaged)?;
        carry.copy_from_slice(&state.carry);
        layer.carry_bytes = state.carry.len();
        layer.queue = Queue::from_stored(&state.queue);
        layer.segment_left = state.segment_left;
        layer.unit_left = state.unit_left;
        layer.is_last_unit = state.is_last_unit;
        layer.is_padded = state.is_padded;
        layer.is_closed = state.is_closed;
        Ok(layer)
    }

    fn behind(plan: &SealPlan, chain: &[u8]) -> Result<Self, Misuse> {
        let cipher = plan.terms.suite.content_cipher();
        let key = plan.content_key().ok_or(Misuse::PlanIncomplete("encryption"))?;
        let block_bytes = cipher.block_bytes();
        let segment_bytes = u64::from(plan.terms.options.segment_bytes);
        Ok(Self {
            encryptor: Encryptor::new(cipher, key.as_bytes(), chain)?,
            block_bytes,
            segment_bytes: segment_bytes - segment_bytes % block_bytes as u64,
            queue: Queue::default(),
            segment_left: 0,
            unit_left: 0,
            is_last_unit: false,
            is_padded: false,
            is_closed: false,
            carry: [0; BLOCK_BYTES_MAX],
            carry_bytes: 0,
        })
    }

    pub fn state(&self) -> EncryptState {
        EncryptState {
            chain: self.encryptor.chain().to_vec(),
            carry: self.carry[..self.carry_bytes].to_vec(),
            queue: self.queue.waiting().to_vec(),
            segment_left: self.segment_left,
            unit_left: self.unit_left,
            is_last_unit: self.is_last_unit,
            is_padded: self.is_padded,
            is_closed: self.is_closed,
        }
    }

    pub fn is_done(&self) -> bool {
        self.is_closed && self.queue.is_empty()
    }

    /// Whether all that the unit completes has been written.
    pub fn is_between_units(&self) -> bool {
        self.unit_left == 0 && self.segment_left == 0 && self.queue.is_empty()
    }

    /// Writes to the front of `out` up to a stretch of content, which is there to be encrypted; hashes the framing
    /// before it.
    pub fn prepare(
        &mut self,
        middle: &mut dyn Middle,
        out: &mut [u8],
        mut transmitted: Option<&mut Hasher>,
    ) -> Result<Prepared, Misuse> {
        let mut framing = 0;
        loop {
            let room = &mut out[framing..];
            let drained = self.queue.drain_into(room);
            let (framed, room) = room.split_at_mut(drained);
            if let Some(transmitted) = &mut transmitted {
                transmitted.update(framed);
            }
            framing += drained;
            if room.is_empty() || self.is_closed {
                return Ok(Prepared { framing, content: 0 });
            }
            if self.segment_left == 0 {
                if !self.open_segment(middle)? {
                    return Ok(Prepared { framing, content: 0 });
                }
                continue;
            }
            let left = usize::try_from(self.segment_left).unwrap_or(usize::MAX);
            let stretch = room.len().min(left).min(STRETCH_BYTES);
            let whole = stretch / self.block_bytes * self.block_bytes;
            if whole > 0 {
                let content = self.read(middle, &mut room[..whole])?;
                self.segment_left -= content as u64;
                return Ok(Prepared { framing, content });
            }
            // No room for a block: it waits in the queue.
            let mut block = [0; BLOCK_BYTES_MAX];
            let made = self.read(middle, &mut block[..self.block_bytes])?;
            if made == 0 {
                return Ok(Prepared { framing, content: 0 });
            }
            let blocks = &mut block[..made];
            let encryptor = &mut self.encryptor;
            Lane { encryptor, blocks, owed: middle.owed(), ciphertext: None }.run()?;
            self.queue.push(&block[..made]);
            self.segment_left -= made as u64;
        }
    }

    /// What encrypts that.
    pub fn encryptor(&mut self) -> &mut Encryptor {
        &mut self.encryptor
    }

    /// Opens the next segment, or closes the envelope. False if the middle has nothing.
    fn open_segment(&mut self, middle: &mut dyn Middle) -> Result<bool, Misuse> {
        let blocks = (self.carry_bytes as u64 + self.unit_left) / self.block_bytes as u64;
        let padding = u64::from(self.is_last_unit && !self.is_padded);
        let ciphertext = (blocks + padding) * self.block_bytes as u64;
        if ciphertext > 0 {
            self.segment_left = ciphertext.min(self.segment_bytes);
            let mut header = Vec::with_capacity(8);
            ber::put_header(&mut header, ber::OCTET_STRING, self.segment_left);
            self.queue.push(&header);
            return Ok(true);
        }
        if self.is_last_unit {
            let mut trailer = Vec::new();
            ber::close(&mut trailer, 5);
            self.queue.push(&trailer);
            self.is_closed = true;
            return Ok(true);
        }
        if self.unit_left > 0 {
            // Less than a block: it waits for the next unit.
            let wanted = usize::try_from(self.unit_left).unwrap_or(usize::MAX);
            let end = (self.carry_bytes + wanted).min(self.block_bytes);
            let count = middle.read(&mut self.carry[self.carry_bytes..end])?;
            self.carry_bytes += count;
            self.unit_left -= count as u64;
            return Ok(count > 0);
        }
        let Some(unit) = middle.next_unit() else { return Ok(false) };
        self.unit_left = unit.bytes;
        self.is_last_unit = unit.is_last;
        Ok(true)
    }

    /// Fills `blocks` as far as there is content for whole ones.
    fn read(&mut self, middle: &mut dyn Middle, blocks: &mut [u8]) -> Result<usize, Misuse> {
        blocks[..self.carry_bytes].copy_from_slice(&self.carry[..self.carry_bytes]);
        let mut at = self.carry_bytes;
        while at < blocks.len() && self.unit_left > 0 {
            let wanted = usize::try_from(self.unit_left).unwrap_or(usize::MAX).min(blocks.len() - at);
            let count = middle.read(&mut blocks[at..at + wanted])?;
            if count == 0 {
                break;
            }
            at += count;
            self.unit_left -= count as u64;
        }
        if at < blocks.len() && self.unit_left == 0 && self.is_last_unit && !self.is_padded {
            // PKCS#7: as many octets as are missing, each with their number (RFC 5652 §6.3).
            let missing = self.block_bytes - at % self.block_bytes;
            blocks[at..at + missing].fill(u8::try_from(missing).unwrap_or(0));
            at += missing;
            self.is_padded = true;
        }
        let whole = at - at % self.block_bytes;
        self.carry_bytes = at - whole;
        self.carry[..self.carry_bytes].copy_from_slice(&blocks[whole..at]);
        Ok(whole)
    }
}

impl Drop for EncryptLayer {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.carry);
    }
}

/// Everything in front of the ciphertext.
fn header(plan: &SealPlan) -> Result<Vec<u8>, Misuse> {
    let terms = &plan.terms;
    let mut out = Vec::new();
    ber::open(&mut out, ber::SEQUENCE);
    ber::put(&mut out, ber::OBJECT_IDENTIFIER, oid::ENVELOPED_DATA.as_bytes());
    ber::open(&mut out, ber::CONTEXT_0);
    ber::open(&mut out, ber::SEQUENCE);
    // Version 0: one KeyTransRecipientInfo by issuer and serial number (RFC 5652 §6.1).
    ber::put(&mut out, ber::INTEGER, &[0]);
    ber::put(&mut out, ber::SET, &terms.recipient);
    ber::open(&mut out, ber::SEQUENCE);
    ber::put(&mut out, ber::OBJECT_IDENTIFIER, oid::DATA.as_bytes());
    out.extend_from_slice(&oid::with_iv(terms.suite.content_cipher().oid(), &terms.iv)?.to_der()?);
    ber::open(&mut out, ber::CONTEXT_0);
    Ok(out)
}
