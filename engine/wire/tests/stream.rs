//! The Stream Transmission Header and the deframer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

use odile_wire::stream::{Deframer, Piece, STREAM_BUFFER_MAX, header};
use odile_wire::{EndSessionReason, Malformed};
use proptest::prelude::*;

#[test]
fn the_header_is_version_1_without_flags_and_counts_itself() {
    assert_eq!(header(1), [0x10, 0, 0, 5]);
    assert_eq!(header(128), [0x10, 0, 0, 132]);
    assert_eq!(header(99_999), [0x10, 0x01, 0x86, 0xA3]);
}

#[test]
fn refuses_a_bad_header_with_the_first_octet_that_shows_it() {
    let length = |length| Malformed::StreamLength { length, min: 5, max: STREAM_BUFFER_MAX };
    for (octets, error) in [
        (&[0x20][..], Malformed::StreamVersion(2)),
        (b"G", Malformed::StreamVersion(4)),
        (&[0x16], Malformed::StreamFlags(6)),
        (&[0x10, 2], length(0x2_0000)),
        (&[0x10, 1, 0x87], length(0x1_8700)),
        (&[0x10, 1, 0x86, 0xA4], length(100_004)),
        (&[0x10, 0, 0, 4], length(4)),
        (&[0x10, 0, 0, 0], length(0)),
    ] {
        assert_eq!(error.reason(), EndSessionReason::BUFFER_SIZE_ERROR);
        let mut whole = Deframer::new();
        assert_eq!(whole.next_piece(&mut &octets[..]), Err(error.clone()));
        assert_eq!(whole.next_piece(&mut &b"\x10\0\0\x05R"[..]), Err(error.clone()), "it stays refused");
        let (last, before) = octets.split_last().unwrap();
        let mut split = Deframer::new();
        assert_eq!(split.next_piece(&mut &before[..]), Ok(None), "{octets:?}");
        assert_eq!(split.next_piece(&mut &[*last][..]), Err(error));
    }
}

#[test]
fn takes_the_shortest_and_the_longest_buffer() {
    let mut deframer = Deframer::new();
    assert_eq!(deframer.next_piece(&mut &b"\x10\0\0\x05R"[..]), Ok(Some(Piece::Command(b"R"))));
    let mut longest = vec![b'E'; STREAM_BUFFER_MAX as usize];
    longest[..4].copy_from_slice(&header(99_999));
    assert_eq!(deframer.next_piece(&mut &longest[..]), Ok(Some(Piece::Command(&longest[4..]))));
}

#[test]
fn borrows_a_whole_command_from_the_input() {
    let input = b"\x10\0\0\x07C  rest";
    let mut rest = &input[..];
    let mut deframer = Deframer::new();
    let Some(Piece::Command(command)) = deframer.next_piece(&mut rest).unwrap() else { panic!("no command") };
    assert!(std::ptr::eq(command, &raw const input[4..7]));
    assert_eq!(rest, b"\x10\0\0\x07C  rest".split_at(7).1);
}

#[test]
fn hands_out_data_in_fragments_as_they_come() {
    let mut deframer = Deframer::new();
    let mut input = &b"\x10\0\0\x09D"[..];
    assert_eq!(deframer.next_piece(&mut input), Ok(None));
    let mut input = &b"abc"[..];
    assert_eq!(deframer.next_piece(&mut input), Ok(Some(Piece::Data { octets: b"abc", end: false })));
    assert_eq!(deframer.next_piece(&mut input), Ok(None));
    let mut input = &b"d\x10\0\0\x05D\x10"[..];
    assert_eq!(deframer.next_piece(&mut input), Ok(Some(Piece::Data { octets: b"d", end: true })));
    assert_eq!(deframer.next_piece(&mut input), Ok(Some(Piece::Data { octets: b"", end: true })));
    assert_eq!(deframer.next_piece(&mut input), Ok(None));
}

#[test]
fn the_agreed_size_bounds_data_but_not_commands() {
    let stream_buffer = |letter, length| {
        let mut octets = vec![letter; 4 + length];
        octets[..4].copy_from_slice(&header(length));
        octets
    };
    let mut deframer = Deframer::new();
    deframer.set_data_limit(128);
    let data = stream_buffer(b'D', 128);
    assert_eq!(deframer.next_piece(&mut &data[..]), Ok(Some(Piece::Data { octets: &data[5..], end: true })));
    let command = stream_buffer(b'H', 129);
    assert_eq!(deframer.next_piece(&mut &command[..]), Ok(Some(Piece::Command(&command[4..]))));
    let too_long = Malformed::StreamLength { length: 133, min: 5, max: 132 };
    assert_eq!(deframer.next_piece(&mut &stream_buffer(b'D', 129)[..]), Err(too_long));
}

/// What came out, fragments of one Data Exchange Buffer joined.
fn pieces(deframer: &mut Deframer, inputs: &[&[u8]]) -> (Vec<Vec<u8>>, Option<Malformed>) {
    let (mut buffers, mut data) = (Vec::new(), vec![b'D']);
    for input in inputs {
        let mut input = *input;
        loop {
            match deframer.next_piece(&mut input) {
                Ok(None) => break,
                Ok(Some(Piece::Command(command))) => buffers.push(command.to_vec()),
                Ok(Some(Piece::Data { octets, end })) => {
                    data.extend_from_slice(octets);
                    if end {
                        buffers.push(std::mem::replace(&mut data, vec![b'D']));
                    }
                }
                Err(error) => return (buffers, Some(error)),
            }
        }
        assert!(input.is_empty());
    }
    (buffers, None)
}

fn exchange_buffers() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let letter = prop_oneof![Just(b'D'), Just(b'H'), any::<u8>()];
    let buffer = (letter, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(letter, mut octets)| {
        octets.insert(0, letter);
        octets
    });
    prop::collection::vec(buffer, 0..12)
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_buffers(
        buffers in exchange_buffers(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        rubbish in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut stream = Vec::new();
        for buffer in &buffers {
            stream.extend_from_slice(&header(buffer.len()));
            stream.extend_from_slice(buffer);
        }
        stream.extend_from_slice(&rubbish);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let inputs: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        let whole = pieces(&mut Deframer::new(), &[&stream]);
        prop_assert_eq!(&pieces(&mut Deframer::new(), &inputs), &whole);
        let octet_by_octet: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&pieces(&mut Deframer::new(), &octet_by_octet), &whole);
        prop_assert_eq!(&whole.0[..buffers.len()], &buffers[..]);
    }
}
