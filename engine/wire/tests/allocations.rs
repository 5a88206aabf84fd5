//! The data path allocates nothing.
#![allow(unsafe_code, reason = "a counting allocator is an allocator")]
#![allow(clippy::unwrap_used, reason = "helpers fail as the tests that call them")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use odile_wire::data::{Compression, Decoder, Encoder, End, Records};
use odile_wire::stream::{Deframer, Piece};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; counting touches nothing but a number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// A V file whose records hold runs, text and counters; as a stream of octets it is as good as any.
fn file() -> Vec<u8> {
    let mut file = Vec::new();
    for i in 0_u16..2000 {
        let mut record = vec![b' '; usize::from(i % 90)];
        record.extend_from_slice(format!("#{i}=CARTESIAN_POINT('',(0.0000000,{}.));", i / 7).as_bytes());
        file.extend_from_slice(&u16::try_from(record.len()).unwrap().to_be_bytes());
        file.extend_from_slice(&record);
    }
    file
}

#[test]
fn encoding_deframing_and_decoding_data_do_not_allocate() {
    let file = file();
    for records in [Records::None, Records::Fixed { size: 1 }, Records::Variable] {
        for compression in [Compression::Off, Compression::On] {
            let mut encoder = Encoder::new(records, 4096, compression);
            let mut deframer = Deframer::new();
            let mut decoder = Decoder::new(records);
            let mut buffer = vec![0; 4100];
            let mut again = vec![0; file.len()];
            let (mut read, mut written) = (0, 0);
            let before = allocations();
            while !encoder.is_finished() {
                let encoded = encoder.encode(&file[read..], End::Reached, &mut buffer).unwrap();
                read += encoded.consumed;
                // Headers and subrecords are split at odd places.
                for mut input in buffer[..encoded.written].chunks(1237) {
                    while let Some(Piece::Data { octets, end }) = deframer.next_piece(&mut input).unwrap() {
                        let decoded = decoder.decode(octets, &mut again[written..]).unwrap();
                        assert_eq!(decoded.consumed, octets.len());
                        written += decoded.written;
                        if end {
                            decoder.end_of_buffer().unwrap();
                        }
                    }
                }
            }
            assert_eq!(allocations() - before, 0, "{records:?} {compression:?}");
            assert!(again == file && written == file.len());
        }
    }
}

#[test]
fn the_counter_counts() {
    let before = allocations();
    drop(std::hint::black_box(vec![0_u8; 10]));
    assert_eq!(allocations() - before, 1);
}
