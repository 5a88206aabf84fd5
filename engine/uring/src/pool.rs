//! A shard's buffers: one area of memory, cut into blocks, registered with the shard's ring.
//!
//! A transfer takes all the blocks it will ever use when it starts ([`Pool::reserve`]) and circulates them.
//! Memory therefore does not depend on file sizes, and a shard with too many transfers makes the next one wait
//! instead of growing. Blocks are `Send`: workers fill them.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;
use memmap2::{Advice, MmapMut, MmapOptions};
use tokio::sync::Semaphore;
use tokio_uring::buf::fixed::FixedBufRegistry;
use tokio_uring::buf::{IoBuf, IoBufMut};

use crate::error::{About, Error};

/// Blocks of memory of one size. Cloning gives another handle to the same pool.
#[derive(Clone)]
pub struct Pool {
    area: Arc<Area>,
}

/// One block, owned by whoever holds it. It goes back to its pool when dropped.
///
/// It derefs to all of its bytes; how many of them mean something is the holder's business.
pub struct Block {
    index: u16,
    area: Arc<Area>,
    start: *mut u8,
}

/// What is asked of the kernel for a pool's memory; without it, it does as it is set for the whole machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HugePages {
    /// Pages of 2 MiB where it can.
    Wanted,
    /// None.
    Unwanted,
}

struct Area {
    // Never touched through this handle after `blocks_from`: blocks hold pointers into it.
    memory: MmapMut,
    block_bytes: usize,
    free: ArrayQueue<u16>,
    available: Semaphore,
    blocks: usize,
    registered: AtomicBool,
    shard: usize,
}

impl Pool {
    /// Reserves address space for `blocks` blocks of `block_bytes` each (rounded up to whole pages). Memory is
    /// used when a block is first written to.
    ///
    /// # Errors
    ///
    /// If there is no memory, no block or more than 1024 were asked for, or huge pages are wanted and the kernel was
    /// built without them.
    pub(crate) fn new(
        shard: usize,
        blocks: usize,
        block_bytes: usize,
        huge_pages: Option<HugePages>,
    ) -> Result<Self, Error> {
        let unreasonable = || io::Error::new(io::ErrorKind::InvalidInput, "1 to 1024 blocks are possible");
        let count = u16::try_from(blocks).ok().filter(|count| (1..=1024).contains(count));
        let count =
            count.ok_or_else(unreasonable).about("make a buffer pool of", format!("{blocks} blocks"))?;
        let block_bytes = block_bytes.next_multiple_of(PAGE_BYTES);
        let memory = MmapOptions::new()
            .len(block_bytes * blocks)
            .map_anon()
            .about("reserve memory for", format!("{blocks} buffers of {block_bytes} bytes"))?;
        // Before the first page is there: registering brings in all of them.
        match huge_pages {
            Some(HugePages::Wanted) => memory.advise(Advice::HugePage),
            Some(HugePages::Unwanted) => memory.advise(Advice::NoHugePage),
            None => Ok(()),
        }
        .about(
            "set huge pages for",
            "the buffers: this kernel has no transparent huge pages, leave the flag out",
        )?;
        let free = ArrayQueue::new(blocks);
        for index in 0..count {
            // The queue has room for every index, so this cannot fail.
            let _ = free.push(index);
        }
        let available = Semaphore::new(blocks);
        let registered = AtomicBool::new(false);
        Ok(Self { area: Arc::new(Area { memory, block_bytes, free, available, blocks, registered, shard }) })
    }

    /// Registers the blocks with the ring of the current shard, which saves the kernel from looking them up at
    /// each operation. Where the limit on locked memory forbids it, the pool works without.
    pub(crate) fn register(&self) -> io::Result<()> {
        let slots = (0..self.area.blocks).map(|index| Slot { area: Arc::clone(&self.area), index });
        FixedBufRegistry::new(slots).register()?;
        self.area.registered.store(true, Ordering::Release);
        Ok(())
    }

    /// True if the blocks are registered with the ring.
    pub fn is_registered(&self) -> bool {
        self.area.registered.load(Ordering::Acquire)
    }

    /// Bytes of each block.
    pub fn block_bytes(&self) -> usize {
        self.area.block_bytes
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.area.blocks
    }

    /// Waits until `count` blocks are free and takes them all at once. Whoever waits longest is served first.
    ///
    /// # Panics
    ///
    /// If `count` is more than the pool has: such a wait would never end.
    pub async fn reserve(&self, count: usize) -> Vec<Block> {
        assert!(count <= self.area.blocks, "a reservation must fit in the pool");
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        if let Ok(permit) = self.area.available.acquire_many(permits).await {
            permit.forget();
        }
        let mut blocks = Vec::with_capacity(count);
        while blocks.len() < count {
            if let Some(index) = self.area.free.pop() {
                blocks.push(Block::new(&self.area, index));
            } else {
                // A block is returned before its permit is, so this does not last.
                std::hint::spin_loop();
            }
        }
        blocks
    }
}

impl Block {
    fn new(area: &Arc<Area>, index: u16) -> Self {
        let offset = usize::from(index) * area.block_bytes;
        // SAFETY: the offset is inside the area, since index < blocks. The area outlives the block (Arc).
        let start = unsafe { area.memory.as_ptr().add(offset) }.cast_mut();
        Self { index, area: Arc::clone(area), start }
    }

    /// The block's number in its ring's registered set, if it is registered with the ring of this shard.
    pub(crate) fn registered_index(&self, shard: usize) -> Option<u16> {
        let registered = self.area.shard == shard && self.area.registered.load(Ordering::Acquire);
        registered.then_some(self.index)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the index was taken off the free queue, so that this block alone refers to these bytes,
        // which were zeroed by the kernel and stay mapped as long as `area` lives.
        unsafe { std::slice::from_raw_parts(self.start, self.area.block_bytes) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.area.block_bytes) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // The queue has room for every index, so this cannot fail.
        let _ = self.area.free.push(self.index);
        self.area.available.add_permits(1);
    }
}

// SAFETY: a block is the only owner of its bytes; the area behind it is Sync.
unsafe impl Send for Block {}
// SAFETY: `&Block` gives only `&[u8]`.
unsafe impl Sync for Block {}

/// What the registry of tokio-uring sees of a block. It is never checked out there: operations name the index
/// themselves, and ownership is [`Block`]'s.
struct Slot {
    area: Arc<Area>,
    index: usize,
}

impl Slot {
    fn start(&self) -> *mut u8 {
        // SAFETY: index < blocks, so the offset is inside the area.
        unsafe { self.area.memory.as_ptr().add(self.index * self.area.block_bytes) }.cast_mut()
    }
}

// SAFETY: the address belongs to the mapping and does not change when the slot moves.
unsafe impl IoBuf for Slot {
    fn stable_ptr(&self) -> *const u8 {
        self.start()
    }

    fn bytes_init(&self) -> usize {
        self.area.block_bytes
    }

    fn bytes_total(&self) -> usize {
        self.area.block_bytes
    }
}

// SAFETY: as for IoBuf; nobody writes through a slot, since it is never checked out.
unsafe impl IoBufMut for Slot {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.start()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_when_it_is_dropped() {
        let pool = Pool::new(0, 2, 5000, None).unwrap();
        assert_eq!(pool.block_bytes(), 8192);
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        rt.block_on(async {
            let mut both = pool.reserve(2).await;
            both[0][0] = 1;
            both[1][8191] = 2;
            assert!(
                tokio::select! { biased; _ = pool.reserve(1) => false, () = std::future::ready(()) => true }
            );
            drop(both);
            assert_eq!(pool.reserve(2).await.len(), 2);
        });
    }

    #[test]
    fn refuses_a_pool_without_blocks() {
        assert!(Pool::new(0, 0, 4096, None).is_err());
        assert!(Pool::new(0, 1025, 4096, None).is_err());
        assert!(Pool::new(0, 1024, 4096, None).is_ok());
    }

    #[test]
    fn the_kernel_is_told_about_huge_pages() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            eprintln!("skipped: this kernel has no transparent huge pages");
            return;
        }
        for (wish, flag) in [(HugePages::Wanted, "hg"), (HugePages::Unwanted, "nh")] {
            let pool = Pool::new(0, 4, 1 << 20, Some(wish)).unwrap();
            let start = pool.area.memory.as_ptr() as usize;
            let flags = flags_of_mapping(start);
            assert!(flags.split_whitespace().any(|word| word == flag), "{wish:?}: {flags}");
            let plain = Pool::new(0, 4, 1 << 20, None).unwrap();
            let flags = flags_of_mapping(plain.area.memory.as_ptr() as usize);
            assert!(!flags.split_whitespace().any(|word| word == flag), "{flags}");
        }
    }

    /// `VmFlags` of the mapping that holds this address.
    fn flags_of_mapping(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_it = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            if let Some((start, end)) = range
                && let (Ok(start), Ok(end)) =
                    (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
            {
                is_it = (start..end).contains(&address);
            }
            if let (true, Some(flags)) = (is_it, line.strip_prefix("VmFlags:")) {
                return flags.to_owned();
            }
        }
        panic!("no mapping has {address:x}");
    }
}
