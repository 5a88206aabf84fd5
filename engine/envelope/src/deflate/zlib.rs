//! The C-shaped interface of `libz-rs-sys` (zlib in Rust), behind a type that cannot be misused.
//!
//! Raw inflate that stops at the boundaries of deflate blocks and can be taken up there (`inflate` with `Z_BLOCK`,
//! `inflateGetDictionary`, `inflatePrime`, `inflateSetDictionary`). The safe interface of that library stops there
//! as well, but does not say how many bits of the last octet are left over. This is the only unsafe code here.

#![allow(unsafe_code, reason = "zlib's functions take pointers; nothing but this file calls them")]

use std::mem::MaybeUninit;

use libz_rs_sys::{
    inflate, inflateEnd, inflateGetDictionary, inflateInit2_, inflatePrime, inflateSetDictionary, z_stream,
    zlibVersion,
};

/// How far a deflate stream can look back (RFC 1951 §2), in octets.
pub(crate) const WINDOW_BYTES: usize = 32 * 1024;

/// Raw deflate without header, 32 KiB window.
const RAW_WINDOW_BITS: i32 = -15;
const Z_BLOCK: i32 = 5;
const Z_OK: i32 = 0;
const Z_STREAM_END: i32 = 1;
const Z_BUF_ERROR: i32 = -5;
/// In `data_type`: the last block is the one that is being decoded.
const IN_LAST_BLOCK: i32 = 64;
/// In `data_type`: stopped at the end of a block.
const AT_BLOCK_END: i32 = 128;
/// In `data_type`: bits of the last octet that are left over.
const LEFT_OVER_BITS: i32 = 7;

/// Decompresses raw deflate.
pub(crate) struct RawInflate {
    /// On the heap, because zlib keeps a state that belongs to this place.
    stream: Box<z_stream>,
}

// SAFETY: the stream and the state behind its pointers belong to this value alone, and zlib has no ties to a
// thread; `next_in` and `next_out` are null between calls.
unsafe impl Send for RawInflate {}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub consumed: usize,
    pub written: usize,
    pub stop: Stop,
}

/// Why a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Input or room is used up.
    Starved,
    /// Behind a block that is not the last. So many bits of the last octet consumed belong to the next block.
    Block { left_over_bits: u8 },
    /// Behind the last block. Only whole octets were consumed.
    End,
}

impl RawInflate {
    /// At the start of a deflate stream.
    pub fn new() -> Option<Self> {
        // Not yet initialised in zlib's sense; all pointers null, no functions, which means the default allocator.
        let stream = MaybeUninit::<z_stream>::zeroed();
        // SAFETY: `z_stream` is made of integers, pointers and options of function pointers: zero is valid for all.
        let mut stream = Box::new(unsafe { stream.assume_init() });
        let size = i32::try_from(size_of::<z_stream>()).ok()?;
        // SAFETY: the stream is valid and ours alone; version and size are those of the library itself.
        let result = unsafe { inflateInit2_(&raw mut *stream, RAW_WINDOW_BITS, zlibVersion(), size) };
        (result == Z_OK).then_some(Self { stream })
    }

    /// Behind a block: the bits left over, as the low bits of `bits`, and the output before (up to 32 KiB).
    pub fn resume(left_over_bits: u8, bits: u8, window: &[u8]) -> Option<Self> {
        let mut inflate = Self::new()?;
        let length = u32::try_from(window.len().min(WINDOW_BYTES)).ok()?;
        let window = &window[window.len() - length as usize..];
        // SAFETY: the stream was initialised by `new`.
        let primed =
            unsafe { inflatePrime(&raw mut *inflate.stream, i32::from(left_over_bits), i32::from(bits)) };
        // SAFETY: the stream was initialised by `new`; `window` is valid for `length` octets during the call.
        let set = unsafe { inflateSetDictionary(&raw mut *inflate.stream, window.as_ptr(), length) };
        (left_over_bits < 8 && primed == Z_OK && set == Z_OK).then_some(inflate)
    }

    /// Takes from the front of `input`, writes to the front of `out`, up to the end of a block. Nothing: not deflate.
    pub fn step(&mut self, input: &[u8], out: &mut [u8]) -> Option<Step> {
        // What is beyond an `uInt` waits for the next step.
        let (offered, room) = (clamped(input.len()), clamped(out.len()));
        self.stream.next_in = input.as_ptr();
        self.stream.avail_in = offered;
        self.stream.next_out = out.as_mut_ptr();
        self.stream.avail_out = room;
        // SAFETY: the stream was initialised by `new`; both slices are valid for their lengths during the call.
        let result = unsafe { inflate(&raw mut *self.stream, Z_BLOCK) };
        self.stream.next_in = std::ptr::null_mut();
        self.stream.next_out = std::ptr::null_mut();
        let consumed = (offered - std::mem::take(&mut self.stream.avail_in)) as usize;
        let written = (room - std::mem::take(&mut self.stream.avail_out)) as usize;
        let state = self.stream.data_type;
        let stop = match result {
            Z_STREAM_END => Stop::End,
            Z_OK if state & AT_BLOCK_END != 0 && state & IN_LAST_BLOCK == 0 => {
                Stop::Block { left_over_bits: u8::try_from(state & LEFT_OVER_BITS).ok()? }
            }
            Z_OK | Z_BUF_ERROR => Stop::Starved,
            _ => return None,
        };
        Some(Step { consumed, written, stop })
    }

    /// The last octets of the output, up to 32 KiB.
    pub fn window(&self) -> Option<Vec<u8>> {
        let mut window = vec![0; WINDOW_BYTES];
        let mut length = 0;
        // SAFETY: the stream was initialised by `new`; `window` has room for the largest window there is.
        let result =
            unsafe { inflateGetDictionary(&raw const *self.stream, window.as_mut_ptr(), &raw mut length) };
        window.truncate(length as usize);
        (result == Z_OK).then_some(window)
    }
}

fn clamped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Drop for RawInflate {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised by `new`, and ends here.
        let _ = unsafe { inflateEnd(&raw mut *self.stream) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_beyond_what_zlib_counts_is_taken_in_parts() {
        assert_eq!(clamped(7), 7);
        assert_eq!(clamped(u32::MAX as usize), u32::MAX);
        assert_eq!(clamped(u32::MAX as usize + 1), u32::MAX);
    }
}
