//! Files past the page cache: real ones, on a disk.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::MmapOptions;
use odile_uring::{Faults, File, Operation, Source, SourceError};

use crate::{on_shard, on_shard_with};

/// Sizes on both sides of each boundary. Blocks have 64 KiB.
const SIZES: &[usize] = &[
    0,
    1,
    4095,
    4096,
    4097,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    2 * BLOCK_BYTES - 4096,
    3 * BLOCK_BYTES + 4096,
    5 * BLOCK_BYTES + 1717,
];
const BLOCK_BYTES: usize = 64 * 1024;

/// On the disk where this is built, not in a RAM disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn content(octets: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..octets).map(next).collect()
}

/// False, with a message, where the filesystem cannot do it: nothing can be tested there.
fn is_direct(refusal: Option<&odile_uring::Error>) -> bool {
    if let Some(error) = refusal {
        eprintln!("skipped: {error}");
    }
    refusal.is_none()
}

/// Pages of a file that are in the page cache, by number.
fn cached(path: &Path) -> Vec<usize> {
    let file = fs::File::open(path).expect("readable");
    let length = usize::try_from(file.metadata().expect("fstat").len()).expect("it fits");
    // SAFETY: nobody else writes to it; its content is not looked at.
    let map = unsafe { MmapOptions::new().map(&file) }.expect("it is mapped");
    let mut pages = vec![0_u8; length.div_ceil(4096)];
    // SAFETY: the mapping has so many octets, and the vector an octet for each page.
    let result = unsafe { libc::mincore(map.as_ptr().cast_mut().cast(), length, pages.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    (0..pages.len()).filter(|&page| pages[page] & 1 == 1).collect()
}

fn is_ram_disk(path: &Path) -> bool {
    let file = fs::File::open(path).expect("readable");
    // SAFETY: all zeros is a valid value of this plain C structure.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the pointer valid for the call.
    assert_eq!(unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) }, 0);
    found.f_type == libc::TMPFS_MAGIC
}

#[test]
fn files_of_all_sizes_are_written_directly_from_any_position_on() {
    let folder = folder();
    let root = folder.path().to_path_buf();
    on_shard(|shard| async move {
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        for &size in SIZES {
            // From there on it is written by another descriptor, as after an interruption.
            for cut in [0, 1, 4095, 4096, 4097, 70_001, size / 2, size] {
                let cut = cut.min(size);
                let path = root.join("file");
                let octets = content(size);
                fs::write(&path, &octets[..cut]).expect("a file");
                let mut file = File::open(&path).await.expect("it is there");
                if !is_direct(file.write_directly().await.err().as_ref()) {
                    return;
                }
                assert!(file.granule().is_some_and(|granule| granule >= 4096));
                file.allocate(0, 1 << 20).await.expect("room");
                // Lengths that leave positions at all odds, and come back to aligned ones.
                let mut lengths =
                    [BLOCK_BYTES, 5000, BLOCK_BYTES - 5000 % 4096, 1, 8191, 4096].iter().cycle();
                let mut position = cut;
                while position < size {
                    let length = *lengths.next().expect("it is endless").min(&(size - position));
                    block[..length].copy_from_slice(&octets[position..position + length]);
                    let (written, back) = file.write_all_at(block, length, position as u64).await;
                    written.expect("it is written");
                    block = back;
                    position += length;
                }
                file.set_len(size as u64).expect("it is cut");
                file.sync_data().await.expect("it is synced");
                assert!(fs::read(&path).expect("readable") == octets, "{size} from {cut} on");
            }
        }
    });
}

#[test]
fn what_is_aligned_leaves_nothing_in_the_page_cache() {
    let folder = folder();
    let path = folder.path().join("file");
    on_shard(|shard| async move {
        let mut file = File::create(&path).await.expect("a new file");
        let refusal = file.write_directly().await.err();
        if !is_direct(refusal.as_ref()) || is_ram_disk(&path) {
            return;
        }
        let octets = content(BLOCK_BYTES);
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        block.copy_from_slice(&octets);
        for (length, position) in [(BLOCK_BYTES, 0), (BLOCK_BYTES - 4000, BLOCK_BYTES)] {
            let (written, back) = file.write_all_at(block, length, position as u64).await;
            written.expect("it is written");
            block = back;
        }
        // The last page is not whole.
        assert_eq!(cached(&path), [31]);
        assert!(file.granule().is_some());
        // A source that is read so stays out of it as well.
        file.sync_data().await.expect("it is synced");
        let (mut source, refusal) = Source::open_direct(&path, 16_384).expect("it is there");
        assert!(refusal.is_none() && matches!(source, Source::Direct(_)));
        let mut seen = Vec::new();
        while seen.len() < 2 * BLOCK_BYTES - 4000 {
            source.look(seen.len() as u64, 1, |slice, _| seen.extend_from_slice(slice)).expect("readable");
        }
        assert!(seen[..BLOCK_BYTES] == octets && seen[BLOCK_BYTES..] == octets[..BLOCK_BYTES - 4000]);
        assert_eq!(cached(&path), [31]);
    });
}

#[test]
fn buffered_octets_are_not_lost_below_direct_ones() {
    let folder = folder();
    let path = folder.path().join("file");
    on_shard(|shard| async move {
        let mut file = File::create(&path).await.expect("a new file");
        if !is_direct(file.write_directly().await.err().as_ref()) {
            return;
        }
        // The page is in the cache and dirty when it is written directly, and again when a part of it is not.
        let mut expected = vec![1; 4096];
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        for (value, at, length) in
            [(1, 0, 4096), (2, 100, 50), (3, 0, 4096), (4, 4095, 1), (5, 0, 4096), (6, 7, 9)]
        {
            block[..length].fill(value);
            expected[at..at + length].fill(value);
            let (written, back) = file.write_all_at(block, length, at as u64).await;
            written.expect("it is written");
            block = back;
            assert!(fs::read(&path).expect("readable") == expected, "{value}");
        }
        file.sync_data().await.expect("it is synced");
        assert!(fs::read(&path).expect("readable") == expected);
    });
}

/// The so-manieth operation of a kind fails.
struct Fails(Operation, AtomicUsize);

impl Faults for Fails {
    fn before(&self, operation: Operation, _: &Path) -> io::Result<()> {
        if operation == self.0 && self.1.fetch_sub(1, Ordering::Relaxed) == 1 {
            return Err(io::Error::from_raw_os_error(28));
        }
        Ok(())
    }
}

#[test]
fn a_file_that_cannot_be_written_directly_is_written_all_the_same() {
    let folder = folder();
    let path = folder.path().join("file");
    on_shard_with(Some(Arc::new(Fails(Operation::Open, AtomicUsize::new(2)))), |shard| async move {
        let mut file = File::create(&path).await.expect("a new file");
        let refusal = file.write_directly().await.expect_err("as asked");
        assert!(refusal.to_string().contains("write directly to"), "{refusal}");
        assert_eq!(file.granule(), None);
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        block.fill(7);
        let (written, _) = file.write_all_at(block, BLOCK_BYTES, 0).await;
        written.expect("it is written");
        assert!(fs::read(&path).expect("readable") == vec![7; BLOCK_BYTES]);
    });
}

#[test]
fn a_simulated_fault_comes_out_of_a_direct_write_and_of_what_is_left_of_it() {
    for victim in [1, 2] {
        let folder = folder();
        let path = folder.path().join("file");
        on_shard_with(
            Some(Arc::new(Fails(Operation::Write, AtomicUsize::new(victim)))),
            move |shard| async move {
                let mut file = File::create(&path).await.expect("a new file");
                if !is_direct(file.write_directly().await.err().as_ref()) {
                    return;
                }
                let block = shard.pool.reserve(1).await.pop().expect("one block");
                let (written, _) = file.write_all_at(block, 4097, 0).await;
                assert!(written.expect_err("as asked").is_out_of_space());
                assert!(file.granule().is_some(), "that is no reason to go another way");
                let expected = if victim == 1 { 0 } else { 4096 };
                assert_eq!(file.length().expect("fstat"), expected);
            },
        );
    }
}

#[test]
fn sources_of_all_sizes_are_read_directly_through_windows_of_all_sizes() {
    let folder = folder();
    let path = folder.path().join("file");
    for &size in SIZES {
        let octets = content(size);
        fs::write(&path, &octets).expect("a file");
        for (window_bytes, least, used) in [
            (1, 1, 4096),
            (8192, 5000, 777),
            (16_384, 4097, 4097),
            (100_000, 262_145, 99_999),
            (8 << 20, 1, 1 << 20),
        ] {
            let (mut source, refusal) = Source::open_direct(&path, window_bytes).expect("it is there");
            if !is_direct(refusal.as_ref()) {
                return;
            }
            assert_eq!(source.identity(), Source::open(&path, 4096).expect("it is there").identity());
            let mut seen = Vec::new();
            while seen.len() < size {
                let position = seen.len();
                let look = |slice: &[u8], end| {
                    assert!(slice.len() >= least || end, "{size} {window_bytes}");
                    assert_eq!(end, slice.len() == size - position);
                    seen.extend_from_slice(&slice[..slice.len().min(used)]);
                };
                source.look(position as u64, least, look).expect("readable");
            }
            assert!(seen == octets, "{size} {window_bytes}");
            source.look(size as u64, 1, |slice, end| assert!(slice.is_empty() && end)).expect("the end");
            // Here and there, as a file that goes on where it was cut.
            for position in [size / 2, 0, size.saturating_sub(1), size / 3, size / 3 + 1, 4095] {
                let position = position.min(size);
                let look =
                    |slice: &[u8], _| assert!(octets[position..].starts_with(slice), "{size} {position}");
                source.look(position as u64, least, look).expect("readable");
            }
            source.check(&source.identity()).expect("it is the same");
            let mut some = vec![0; size.min(10)];
            source.read_at((size - some.len()) as u64, &mut some).expect("readable");
            assert!(octets.ends_with(&some) && source.read_at(size as u64, &mut [0]).is_err());
        }
    }
}

#[test]
fn what_was_only_written_to_the_page_cache_is_read_directly_too() {
    let folder = folder();
    let path = folder.path().join("file");
    let octets = content(3 * 4096 + 5);
    fs::write(&path, &octets).expect("a file");
    let (mut source, _) = Source::open_direct(&path, 1).expect("it is there");
    source.look(0, octets.len(), |slice, end| assert!(slice == octets && end)).expect("readable");
}

#[test]
fn a_source_that_is_another_or_shorter_is_an_error_as_when_it_is_mapped() {
    let folder = folder();
    let path = folder.path().join("file");
    let open = |octets: usize| {
        fs::write(&path, content(octets)).expect("a file");
        let (source, refusal) = Source::open_direct(&path, 8192).expect("it is there");
        is_direct(refusal.as_ref()).then_some(source)
    };
    let Some(mut source) = open(1 << 20) else { return };
    source.look(0, 1, |slice, _| assert_eq!(slice.len(), 4096)).expect("readable");
    fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(5000)).expect("it is cut");
    let error = source.look(4096, 1, |_, _| ()).expect_err("it was cut");
    assert!(matches!(error, SourceError::Changed { what: "size", .. }), "{error}");
    // Whatever comes after the look at its size.
    let Some(mut source) = open(20_000) else { return };
    source.look(0, 1, |_, _| ()).expect("readable");
    let before = source.identity();
    fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(20_001)).expect("it grows");
    let error = source.check(&before).expect_err("it grew");
    assert!(matches!(error, SourceError::Changed { what: "size", .. }), "{error}");
    // What is no regular file, and what is not there.
    assert!(matches!(Source::open_direct(folder.path(), 1), Err(SourceError::NotAFile { .. })));
    assert!(matches!(Source::open_direct(&folder.path().join("none"), 1), Err(SourceError::Open { .. })));
}

#[test]
fn a_source_whose_filesystem_refuses_is_mapped_and_says_why() {
    let path = Path::new("/proc/version");
    let (source, refusal) = Source::open_direct(path, 4096).expect("it is there");
    assert!(matches!(source, Source::Mapped(_)));
    let refusal = refusal.expect("there is nothing to read past").to_string();
    assert!(refusal.starts_with("read directly /proc/version: "), "{refusal}");
}
