//! CompressedData around compressed chunks (RFC 3274).

use crate::algorithm as oid;
use crate::ber;
use crate::deflate::{Chunk, zlib_header, zlib_trailer};
use crate::error::Misuse;
use crate::queue::Queue;
use crate::seal::checkpoint::PackState;
use crate::seal::encrypt::{Middle, Unit};
use crate::seal::plan::Terms;
use crate::weave::Owed;
use der::Encode;

/// The layer: chunks in, CompressedData out.
pub(super) struct Packer {
    /// Framing in front of the chunk.
    queue: Queue,
    /// The compressed chunk.
    chunk: Vec<u8>,
    chunk_at: usize,
    adler: u32,
    is_started: bool,
    /// Octets that the encrypting layer was not told of yet.
    unit: Option<Unit>,
    is_finished: bool,
}

impl Packer {
    pub fn new(terms: &Terms) -> Result<Self, Misuse> {
        let mut queue = Queue::default();
        queue.push(&header(terms)?);
        Ok(Self {
            queue,
            chunk: Vec::new(),
            chunk_at: 0,
            adler: 1,
            is_started: false,
            unit: None,
            is_finished: false,
        })
    }

    pub fn resume(state: &PackState) -> Self {
        Self {
            queue: Queue::from_stored(&state.queue),
            chunk: Vec::new(),
            chunk_at: 0,
            adler: state.adler,
            is_started: state.is_started,
            unit: None,
            is_finished: state.is_finished,
        }
    }

    /// The state between two chunks; none while a chunk is on its way.
    pub fn state(&self) -> Option<PackState> {
        self.is_idle().then(|| PackState {
            adler: self.adler,
            is_started: self.is_started,
            queue: self.queue.waiting().to_vec(),
            is_finished: self.is_finished,
        })
    }

    /// Whether the next chunk may come. The header of all may still wait: it goes out with the first chunk.
    pub fn is_idle(&self) -> bool {
        !self.is_started
            || (self.unit.is_none() && self.queue.is_empty() && self.chunk_at == self.chunk.len())
    }

    /// Takes the next chunk. Gives back the buffer of the one before.
    pub fn put(&mut self, chunk: Chunk, packed: Vec<u8>) -> Result<Vec<u8>, Misuse> {
        if !self.is_idle() || self.is_finished || chunk.packed_bytes != packed.len() || packed.is_empty() {
            return Err(Misuse::ForeignChunk);
        }
        self.adler = zlib_rs::adler32::adler32_combine(self.adler, chunk.adler, chunk.plain_bytes as u64);
        let mut frame = Vec::with_capacity(8);
        ber::put_header(&mut frame, ber::OCTET_STRING, packed.len() as u64);
        self.queue.push(&frame);
        self.chunk_at = 0;
        let before = std::mem::replace(&mut self.chunk, packed);
        self.announce(false);
        Ok(before)
    }

    /// There are no more chunks.
    pub fn finish(&mut self) -> Result<(), Misuse> {
        if !self.is_idle() || self.is_finished {
            return Err(Misuse::OutOfTurn("the last chunk is still on its way"));
        }
        let mut trailer = Vec::new();
        ber::put(&mut trailer, ber::OCTET_STRING, &zlib_trailer(self.adler));
        ber::close(&mut trailer, 6);
        self.queue.push(&trailer);
        self.is_finished = true;
        self.chunk.clear();
        self.chunk_at = 0;
        self.announce(true);
        Ok(())
    }

    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    pub fn is_done(&self) -> bool {
        self.is_finished && self.queue.is_empty() && self.chunk_at == self.chunk.len()
    }

    fn announce(&mut self, is_last: bool) {
        self.is_started = true;
        let bytes = self.queue.waiting().len() + self.chunk.len();
        self.unit = Some(Unit { bytes: bytes as u64, is_last });
    }
}

impl Middle for Packer {
    fn next_unit(&mut self) -> Option<Unit> {
        self.unit.take()
    }

    fn read(&mut self, out: &mut [u8]) -> Result<usize, Misuse> {
        if !self.is_started {
            return Ok(0);
        }
        let framing = self.queue.drain_into(out);
        let rest = &self.chunk[self.chunk_at..];
        let count = rest.len().min(out.len() - framing);
        out[framing..framing + count].copy_from_slice(&rest[..count]);
        self.chunk_at += count;
        Ok(framing + count)
    }

    /// The source was hashed in front of the compressor.
    fn owed(&mut self) -> Option<Owed<'_>> {
        None
    }
}

/// Everything in front of the first chunk, the header of zlib in a segment of its own.
fn header(terms: &Terms) -> Result<Vec<u8>, Misuse> {
    let mut out = Vec::new();
    ber::open(&mut out, ber::SEQUENCE);
    ber::put(&mut out, ber::OBJECT_IDENTIFIER, oid::COMPRESSED_DATA.as_bytes());
    ber::open(&mut out, ber::CONTEXT_0);
    ber::open(&mut out, ber::SEQUENCE);
    ber::put(&mut out, ber::INTEGER, &[0]);
    out.extend_from_slice(&oid::bare(oid::ZLIB).to_der()?);
    ber::open(&mut out, ber::SEQUENCE);
    ber::put(&mut out, ber::OBJECT_IDENTIFIER, oid::DATA.as_bytes());
    ber::open(&mut out, ber::CONTEXT_0);
    ber::open(&mut out, ber::CONSTRUCTED_OCTET_STRING);
    ber::put(&mut out, ber::OCTET_STRING, &zlib_header(terms.options.level));
    Ok(out)
}
