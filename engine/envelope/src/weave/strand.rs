//! The loop: one cipher block of each strand, and again, with the hashes in between.
//!
//! A strand is what one file has to be done: blocks that wait for each other. Blocks of different strands do not, so
//! that the processor works on all of them at a time.
//!
//! ```text
//! strand A   ├ block ┤   hash   ├ block ┤          ├ block ┤          ├ block ┤
//! strand B           ├ block ┤          ├ block ┤   hash   ├ block ┤          ├ block ┤
//! ```
//!
//! The loop runs inside all of the ciphers, one within the other, because only what is inlined into a cipher is fast.

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser};

use super::{CIPHER_BLOCK_BYTES, LANES_MAX};
use crate::piecewise::{PIECE_BYTES, Piecewise, Running, begin, missing_bytes};

/// Cipher blocks of a piece of the hashes.
const PIECE_BLOCKS: usize = PIECE_BYTES / CIPHER_BLOCK_BYTES;
const _: () = assert!(PIECE_BLOCKS == 4, "as many as `run` names");

type CipherBlock = [u8; CIPHER_BLOCK_BYTES];
type CipherPiece = [CipherBlock; PIECE_BLOCKS];

/// Blocks that are encrypted in place, and the hashes that go along.
pub(super) struct Strand<'a, H: Piecewise> {
    cipher: &'a Aes256Enc,
    chain: &'a mut CipherBlock,
    blocks: &'a mut [CipherBlock],
    /// Blocks that are encrypted.
    at: usize,
    hashes: Hashes<'a, H>,
}

struct Hashes<'a, H: Piecewise> {
    first: Option<Running<'a, H>>,
    /// What `first` still has to take, and what is left behind whole pieces.
    pieces: std::slice::Iter<'a, [u8; PIECE_BYTES]>,
    tail: &'a [u8],
    last: Option<Running<'a, H>>,
    /// Octets of the ciphertext that `last` has taken.
    hashed: usize,
}

impl<'a, H: Piecewise> Strand<'a, H> {
    /// `first` takes `octets`, `last` the ciphertext.
    pub fn new(
        cipher: (&'a Aes256Enc, &'a mut CipherBlock),
        blocks: &'a mut [u8],
        (mut first, octets): (Option<&'a mut H>, &'a [u8]),
        mut last: Option<&'a mut H>,
    ) -> Self {
        let ((cipher, chain), blocks) = (cipher, blocks.as_chunks_mut().0);
        let (pieces, tail) = match &mut first {
            Some(hash) => begin(*hash, octets),
            None => Default::default(),
        };
        let (mut at, mut hashed) = (0, 0);
        if let Some(hash) = &mut last
            && let missing @ 1.. = missing_bytes(*hash)
        {
            // No piece of the ciphertext ends where one of the cipher does: the hash stays one more behind.
            at = PIECE_BLOCKS.min(blocks.len());
            hashed = missing.min(at * CIPHER_BLOCK_BYTES);
            cipher.encrypt_with_backend(Rest { chain, blocks: &mut blocks[..at] });
            hash.update(&blocks.as_flattened()[..hashed]);
        }
        let (first, last) = (first.map(Running::open), last.map(Running::open));
        let hashes = Hashes { first, pieces: pieces.iter(), tail, last, hashed };
        Self { cipher, chain, blocks, at, hashes }
    }

    fn pieces_left(&self) -> usize {
        (self.blocks.len() - self.at) / PIECE_BLOCKS
    }

    /// What is left when there is no whole piece any more.
    fn finish(self) {
        let Self { cipher, chain, blocks, at, hashes: Hashes { first, pieces, tail, last, hashed } } = self;
        if at < blocks.len() {
            cipher.encrypt_with_backend(Rest { chain, blocks: &mut blocks[at..] });
        }
        if let Some(hash) = first.map(Running::close) {
            hash.update(pieces.as_slice().as_flattened());
            hash.update(tail);
        }
        if let Some(hash) = last.map(Running::close) {
            hash.update(&blocks.as_flattened()[hashed..]);
        }
    }
}

impl<H: Piecewise> Hashes<'_, H> {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "it is part of the loop")]
    fn take_source(&mut self) {
        if let Some(hash) = &mut self.first
            && let Some(piece) = self.pieces.next()
        {
            hash.take(piece);
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "it is part of the loop")]
    fn take_ciphertext(&mut self, encrypted: &[CipherBlock]) {
        if let Some(hash) = &mut self.last
            && let Some(piece) = encrypted.as_flattened()[self.hashed..].first_chunk()
        {
            hash.take(piece);
            self.hashed += PIECE_BYTES;
        }
    }
}

/// Does all strands, as many at a time as have something left.
pub(super) fn weave<H: Piecewise>(mut strands: [Option<Strand<'_, H>>; LANES_MAX]) {
    let left = |strand: &Option<Strand<'_, H>>| strand.as_ref().map_or(0, Strand::pieces_left);
    loop {
        strands.sort_unstable_by_key(|strand| std::cmp::Reverse(left(strand)));
        let busy = strands.iter().take_while(|strand| left(strand) > 0).count();
        let Some(cipher) = cipher_of(&strands[..busy], 0) else { break };
        cipher.encrypt_with_backend(Nest::<1, _, _> { strands: &mut strands[..busy], outer: Nothing });
    }
    strands.into_iter().flatten().for_each(Strand::finish);
}

/// The ciphers of so many strands, from the innermost to the outermost.
trait Backends {
    const LANES: usize;
    /// What backends are told apart by: on one processor, all of them are of one kind.
    const KIND: Option<usize>;

    /// Encrypts this block of a piece of each strand.
    fn round(&self, pieces: &mut [(&mut CipherBlock, &mut CipherPiece)], block: usize);
}

struct Nothing;

struct With<'a, B, L> {
    backend: &'a B,
    outer: L,
}

impl Backends for Nothing {
    const LANES: usize = 0;
    const KIND: Option<usize> = None;

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "it is part of the loop")]
    fn round(&self, _: &mut [(&mut CipherBlock, &mut CipherPiece)], _: usize) {}
}

impl<B: BlockCipherEncBackend<BlockSize = U16>, L: Backends> Backends for With<'_, B, L> {
    const LANES: usize = L::LANES + 1;
    const KIND: Option<usize> = Some(B::ParBlocksSize::USIZE);

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "it is part of the loop")]
    fn round(&self, pieces: &mut [(&mut CipherBlock, &mut CipherPiece)], block: usize) {
        self.outer.round(pieces, block);
        let (chain, piece) = &mut pieces[L::LANES];
        chain_block(self.backend, chain, &mut piece[block]);
    }
}

/// Goes into one cipher after the other until the loop runs in all of them.
struct Nest<'x, 'a, const DEPTH: usize, H: Piecewise, L> {
    /// All of them are there, and have pieces left.
    strands: &'x mut [Option<Strand<'a, H>>],
    outer: L,
}

impl<const DEPTH: usize, H: Piecewise, L> BlockSizeUser for Nest<'_, '_, DEPTH, H, L> {
    type BlockSize = U16;
}

/// By depth, because a type cannot contain itself without end.
macro_rules! nest {
    ($depth:literal within $next:literal) => {
        impl<H: Piecewise, L: Backends> BlockCipherEncClosure for Nest<'_, '_, $depth, H, L> {
            #[inline(always)]
            #[allow(clippy::inline_always, reason = "to be compiled for the instructions of the cipher")]
            fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
                let Self { strands, outer } = self;
                if const { is_of_one_kind::<With<'_, B, L>, L>() } {
                    let outer = With { backend, outer };
                    match cipher_of(strands, $depth) {
                        Some(cipher) => cipher.encrypt_with_backend(Nest::<$next, _, _> { strands, outer }),
                        None => run::<$depth, _>(strands, &outer),
                    }
                } else {
                    unreachable!("one processor has one kind of backend");
                }
            }
        }
    };
}
nest!(1 within 2);
nest!(2 within 3);
nest!(3 within 4);

impl<H: Piecewise, L: Backends> BlockCipherEncClosure for Nest<'_, '_, LANES_MAX, H, L> {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "to be compiled for the instructions of the cipher")]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { strands, outer } = self;
        if const { is_of_one_kind::<With<'_, B, L>, L>() } {
            run::<LANES_MAX, _>(strands, &With { backend, outer });
        } else {
            unreachable!("one processor has one kind of backend");
        }
    }
}

fn cipher_of<'a, H: Piecewise>(strands: &[Option<Strand<'a, H>>], lane: usize) -> Option<&'a Aes256Enc> {
    strands.get(lane)?.as_ref().map(|strand| strand.cipher)
}

/// What cannot be is not compiled either: it would be every kind within every other.
const fn is_of_one_kind<Inner: Backends, Outer: Backends>() -> bool {
    match (Inner::KIND, Outer::KIND) {
        (Some(inner), Some(outer)) => inner == outer,
        _ => true,
    }
}

/// The pieces that all of them have.
#[inline(always)]
#[allow(clippy::inline_always, reason = "to be compiled for the instructions of the cipher")]
fn run<const LANES: usize, H: Piecewise>(strands: &mut [Option<Strand<'_, H>>], backends: &impl Backends) {
    let mut strands = strands.iter_mut().flatten();
    let mut strands: [&mut Strand<'_, H>; LANES] = std::array::from_fn(|_| {
        let Some(strand) = strands.next() else { unreachable!("each cipher is that of a strand") };
        strand
    });
    let pieces = strands.iter().map(|strand| strand.pieces_left()).min().unwrap_or(0);
    for _ in 0..pieces {
        let mut lanes: [Lane<'_, '_, H>; LANES] = strands.each_mut().map(|strand| {
            let (encrypted, ahead) = strand.blocks.split_at_mut(strand.at);
            let Some(piece) = ahead.first_chunk_mut() else { unreachable!("they were counted") };
            strand.at += PIECE_BLOCKS;
            ((&mut *strand.chain, piece), &*encrypted, &mut strand.hashes)
        });
        round::<0, LANES, _>(backends, &mut lanes);
        round::<1, LANES, _>(backends, &mut lanes);
        round::<2, LANES, _>(backends, &mut lanes);
        round::<3, LANES, _>(backends, &mut lanes);
    }
}

/// A piece of a strand, what is encrypted before it, and the hashes that go along.
type Lane<'x, 'a, H> = ((&'x mut CipherBlock, &'x mut CipherPiece), &'x [CipherBlock], &'x mut Hashes<'a, H>);

/// One block of each, and some of the hashes: side by side, they would fill what the processor can look ahead. A
/// number that is known beforehand, so that nothing is left to be decided in the loop.
#[inline(always)]
#[allow(clippy::inline_always, reason = "to be compiled for the instructions of the cipher")]
fn round<const BLOCK: usize, const LANES: usize, H: Piecewise>(
    backends: &impl Backends,
    lanes: &mut [Lane<'_, '_, H>; LANES],
) {
    for (lane, (_, _, hashes)) in lanes.iter_mut().enumerate() {
        if lane % PIECE_BLOCKS == BLOCK {
            hashes.take_source();
        }
    }
    backends.round(&mut lanes.each_mut().map(|((chain, piece), ..)| (&mut **chain, &mut **piece)), BLOCK);
    for (lane, (_, encrypted, hashes)) in lanes.iter_mut().enumerate() {
        if PIECE_BLOCKS - 1 - lane % PIECE_BLOCKS == BLOCK {
            hashes.take_ciphertext(encrypted);
        }
    }
}

/// Blocks of one strand.
struct Rest<'a> {
    chain: &'a mut CipherBlock,
    blocks: &'a mut [CipherBlock],
}

impl BlockSizeUser for Rest<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Rest<'_> {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "to be compiled for the instructions of the cipher")]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        for block in self.blocks {
            chain_block(backend, self.chain, block);
        }
    }
}

/// CBC (RFC 3602 §2): each block is added to the ciphertext of the one before. Where this is not inlined, the cipher
/// is called for every block, and half of the gain is lost.
#[inline(always)]
#[allow(clippy::inline_always, reason = "to be compiled for the instructions of the cipher that calls it")]
fn chain_block<B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    chain: &mut CipherBlock,
    block: &mut CipherBlock,
) {
    let mut octets = Array((u128::from_ne_bytes(*chain) ^ u128::from_ne_bytes(*block)).to_ne_bytes());
    backend.encrypt_block((&mut octets).into());
    *block = octets.0;
    *chain = octets.0;
}
