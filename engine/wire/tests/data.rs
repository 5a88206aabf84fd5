//! Subrecords: golden octets of RFC 5024 §7.2, each limit from both sides, and round trips.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

use odile_wire::data::{Compression, Decoder, Encoder, End, Records, SOURCE_WINDOW_BYTES, SourceError};
use odile_wire::stream::{Deframer, Piece};
use odile_wire::{EndSessionReason, Malformed};
use proptest::prelude::*;

/// All Stream Transmission Buffers of a source that is at hand as a whole.
fn encode(
    records: Records,
    size: u32,
    compression: Compression,
    source: &[u8],
) -> Result<Vec<u8>, SourceError> {
    encode_sliced(records, size, compression, source, &[])
}

/// The same; `cuts` are the offsets up to which the source is seen at first.
fn encode_sliced(
    records: Records,
    size: u32,
    compression: Compression,
    source: &[u8],
    cuts: &[usize],
) -> Result<Vec<u8>, SourceError> {
    let mut encoder = Encoder::new(records, size, compression);
    let mut out = vec![0xEE; size as usize + 4];
    let mut stream = Vec::new();
    let mut at = 0;
    for (seen, end) in cuts.iter().map(|&cut| (cut, End::More)).chain([(source.len(), End::Reached)]) {
        while at <= seen {
            let encoded = encoder.encode(&source[at..seen], end, &mut out)?;
            if encoded.written == 0 {
                assert_eq!(encoded.consumed, 0);
                break;
            }
            at += encoded.consumed;
            stream.extend_from_slice(&out[..encoded.written]);
        }
        assert_eq!(encoder.is_finished(), end == End::Reached);
    }
    assert_eq!(at, source.len());
    let prefixes = if records == Records::Variable { 2 * encoder.records() } else { 0 };
    assert_eq!(encoder.octets() + prefixes, source.len() as u64);
    Ok(stream)
}

/// Decodes a stream of `DATA`, `input` octets at a time, into `room` octets of output at a time.
fn decode(
    records: Records,
    stream: &[u8],
    input: usize,
    room: usize,
) -> Result<(Vec<u8>, Decoder), Malformed> {
    let (mut deframer, mut decoder) = (Deframer::new(), Decoder::new(records));
    let (mut file, mut out) = (Vec::new(), vec![0; room]);
    for mut input in stream.chunks(input) {
        while let Some(piece) = deframer.next_piece(&mut input)? {
            let Piece::Data { mut octets, end } = piece else { panic!("a command") };
            while !octets.is_empty() || decoder.needs_room() {
                let decoded = decoder.decode(octets, &mut out)?;
                assert!(decoded.consumed + decoded.written > 0, "no progress");
                octets = &octets[decoded.consumed..];
                file.extend_from_slice(&out[..decoded.written]);
            }
            if end {
                decoder.end_of_buffer()?;
            }
        }
    }
    Ok((file, decoder))
}

/// The payloads behind `D` of all buffers.
fn payloads(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut deframer, mut input, mut payloads) = (Deframer::new(), stream, Vec::new());
    while let Some(piece) = deframer.next_piece(&mut input).unwrap() {
        let Piece::Data { octets, end: true } = piece else { panic!("a command or a fragment") };
        payloads.push(octets.to_vec());
    }
    payloads
}

fn decode_payload(records: Records, payload: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (mut decoder, mut out) = (Decoder::new(records), vec![0; 100_000]);
    let decoded = decoder.decode(payload, &mut out)?;
    decoder.end_of_buffer()?;
    out.truncate(decoded.written);
    Ok(out)
}

#[test]
fn an_empty_file_is_one_empty_subrecord_with_end_of_record() {
    for compression in [Compression::Off, Compression::On] {
        assert_eq!(encode(Records::None, 128, compression, b"").unwrap(), b"\x10\0\0\x06D\x80");
    }
}

#[test]
fn an_f_or_v_file_without_records_is_no_data_at_all() {
    for records in [Records::Fixed { size: 80 }, Records::Variable] {
        assert_eq!(encode(records, 128, Compression::Off, b"").unwrap(), b"");
    }
}

#[test]
fn the_last_subrecord_of_a_file_carries_the_flag_on_both_sides_of_63_octets() {
    for (length, headers) in [(1, vec![0x81]), (62, vec![0xBE]), (63, vec![0xBF]), (64, vec![0x3F, 0x81])] {
        let source = vec![b'a'; length];
        let mut expected = Vec::new();
        for (header, part) in headers.into_iter().zip(source.chunks(63)) {
            expected.push(header);
            expected.extend_from_slice(part);
        }
        let stream = encode(Records::None, 1024, Compression::Off, &source).unwrap();
        assert_eq!(payloads(&stream), [expected], "{length}");
    }
}

#[test]
fn a_buffer_is_filled_to_its_last_octet_and_the_next_starts_a_new_subrecord() {
    // Payload of 127: one whole subrecord of 64, then 1 + 62.
    for (length, sizes) in [(124, vec![126]), (125, vec![127]), (126, vec![127, 2]), (250, vec![127, 127])] {
        let stream = encode(Records::None, 128, Compression::Off, &vec![7; length]).unwrap();
        let found: Vec<usize> = payloads(&stream).iter().map(Vec::len).collect();
        assert_eq!(found, sizes, "{length}");
    }
    let stream = encode(Records::None, 128, Compression::Off, &[7; 126]).unwrap();
    assert_eq!((payloads(&stream)[0][64], payloads(&stream)[1][0]), (62, 0x81));
    // Payload of 129: the last octet has no room for a header and an octet.
    let stream = encode(Records::None, 130, Compression::Off, &[7; 127]).unwrap();
    assert_eq!(payloads(&stream).iter().map(Vec::len).collect::<Vec<_>>(), [128, 2]);
}

#[test]
fn records_end_where_the_file_says() {
    let fixed = encode(Records::Fixed { size: 3 }, 128, Compression::Off, b"abcdef").unwrap();
    assert_eq!(fixed, b"\x10\0\0\x0DD\x83abc\x83def");
    let variable = encode(Records::Variable, 128, Compression::Off, b"\0\x01a\0\0\0\x02bc").unwrap();
    assert_eq!(variable, b"\x10\0\0\x0BD\x81a\x80\x82bc");
    let (file, decoder) = decode(Records::Variable, &variable, 100, 100).unwrap();
    assert_eq!((&file[..], decoder.records(), decoder.octets()), (&b"\0\x01a\0\0\0\x02bc"[..], 3, 3));
}

#[test]
fn only_runs_that_pay_are_compressed() {
    for (source, payload) in [
        (&b"aaa"[..], &b"\x83aaa"[..]),
        (b"aaaa", b"\xC4a"),
        (b"xaaay", b"\x85xaaay"),
        (b"xaaaay", b"\x01x\x44a\x81y"),
        (&[0; 63], b"\xFF\0"),
        (&[0; 64], b"\x7F\0\x81\0"),
        (&[0; 67], b"\x7F\0\xC4\0"),
        (&[0; 126], b"\x7F\0\xFF\0"),
    ] {
        let stream = encode(Records::None, 1024, Compression::On, source).unwrap();
        assert_eq!(payloads(&stream), [payload], "{}", source.escape_ascii());
    }
    let records = encode(Records::Fixed { size: 4 }, 128, Compression::On, b"aaaaaaaa").unwrap();
    assert_eq!(payloads(&records), [b"\xC4a\xC4a"], "a run never crosses the end of a record");
}

#[test]
fn decodes_empty_subrecords_and_records_wherever_they_are() {
    assert_eq!(decode_payload(Records::None, b"\0\0\x01a\x40z\0\x42b\x80").unwrap(), b"abb");
    assert_eq!(decode_payload(Records::None, b"").unwrap(), b"");
    assert_eq!(
        decode_payload(Records::None, b"\x82a\n\x82b\n").unwrap(),
        b"a\nb\n",
        "flags mean nothing here"
    );
    assert_eq!(decode_payload(Records::Variable, b"\0\x01a\x80\x80\xC3b").unwrap(), b"\0\x01a\0\0\0\x03bbb");
    assert_eq!(decode_payload(Records::Fixed { size: 4 }, b"\x02ab\x42c\x80").unwrap(), b"abcc");
}

#[test]
fn refuses_a_subrecord_cut_off_by_the_end_of_its_buffer() {
    for (payload, at) in [(&b"\x02a"[..], 1), (b"\x01a\x01", 3), (b"\x01a\x43", 3), (b"\x3F", 1)] {
        for records in [Records::None, Records::Fixed { size: 9 }, Records::Variable] {
            let error = decode_payload(records, payload).unwrap_err();
            assert_eq!(error, Malformed::Subrecord { at });
            assert_eq!(error.reason(), EndSessionReason::INVALID_DATA);
        }
    }
}

#[test]
fn refuses_fixed_records_of_another_length() {
    let size = Records::Fixed { size: 3 };
    assert_eq!(decode_payload(size, b"\x83abc").unwrap(), b"abc");
    for wrong in [&b"\x82ab"[..], b"\x84abcd", b"\x04abcd", b"\x80", b"\x83abc\xC2d", b"\x7Fd"] {
        assert!(
            matches!(decode_payload(size, wrong), Err(Malformed::Field { .. })),
            "{}",
            wrong.escape_ascii()
        );
    }
}

#[test]
fn variable_records_have_at_most_65535_octets() {
    let runs = |octets: usize| {
        let mut payload: Vec<u8> = [0x7F, b'r'].repeat(octets / 63);
        payload.extend_from_slice(&[0x40 | u8::try_from(octets % 63).unwrap(), b'r', 0x80]);
        payload
    };
    let longest = decode_payload(Records::Variable, &runs(65_535)).unwrap();
    assert_eq!((longest.len(), &longest[..2]), (65_537, &[0xFF, 0xFF][..]));
    assert!(matches!(decode_payload(Records::Variable, &runs(65_536)), Err(Malformed::Field { .. })));
    let stream = encode(Records::Variable, 99_999, Compression::Off, &longest).unwrap();
    assert_eq!(decode(Records::Variable, &stream, 4096, 4096).unwrap().0, longest);
}

#[test]
fn names_the_offset_where_a_source_breaks_its_format() {
    for (records, source, error) in [
        (Records::Fixed { size: 4 }, &b"abcdef"[..], SourceError::RecordCut { at: 6, missing: 2 }),
        (Records::Variable, b"\0\x01a\0\x03bc", SourceError::RecordCut { at: 7, missing: 1 }),
        (Records::Variable, b"\0\x01a\0\x03", SourceError::RecordCut { at: 5, missing: 3 }),
        (Records::Variable, b"\0\x01a\0", SourceError::PrefixCut { at: 4 }),
        (Records::Fixed { size: 0 }, b"", SourceError::NoRecordSize { at: 0 }),
    ] {
        for compression in [Compression::Off, Compression::On] {
            assert_eq!(encode(records, 128, compression, source), Err(error));
        }
    }
    let mut encoder = Encoder::new(Records::Variable, 128, Compression::Off);
    encoder.resume_at(10, 1000);
    let error = encoder.encode(b"\0", End::Reached, &mut [0; 132]);
    assert_eq!(error, Err(SourceError::PrefixCut { at: 1021 }));
}

#[test]
fn a_restart_counts_on_from_where_it_starts() {
    let mut encoder = Encoder::new(Records::Fixed { size: 2 }, 128, Compression::Off);
    encoder.resume_at(5, 10);
    let mut out = [0; 132];
    let encoded = encoder.encode(b"abcd", End::Reached, &mut out).unwrap();
    assert_eq!((encoder.records(), encoder.octets()), (7, 14));
    let mut decoder = Decoder::new(Records::Fixed { size: 2 });
    decoder.resume_at(5, 10);
    decoder.decode(&out[5..encoded.written], &mut [0; 4]).unwrap();
    assert_eq!((decoder.records(), decoder.octets()), (7, 14));
}

#[test]
fn a_restart_at_the_very_end_still_sends_the_end_of_record() {
    let mut encoder = Encoder::new(Records::None, 128, Compression::On);
    encoder.resume_at(0, 4096);
    let mut out = [0; 132];
    let encoded = encoder.encode(b"", End::Reached, &mut out).unwrap();
    assert_eq!(&out[..encoded.written], b"\x10\0\0\x06D\x80");
    assert!(encoder.is_finished());
}

#[test]
fn waits_for_more_source_until_the_whole_buffer_is_known() {
    let mut out = [0; 132];
    let mut encoder = Encoder::new(Records::None, 128, Compression::Off);
    let written = |encoder: &mut Encoder, source: usize, out: &mut [u8]| {
        encoder.encode(&vec![b'x'; source], End::More, out).unwrap().written
    };
    assert_eq!(written(&mut encoder, 125, &mut out), 0, "it may be the end of the file");
    assert_eq!(written(&mut encoder, 126, &mut out), 132);
    for compression in [Compression::Off, Compression::On] {
        for records in [Records::None, Records::Fixed { size: 7 }, Records::Variable] {
            let mut out = vec![0; 99_999 + 4];
            let mut encoder = Encoder::new(records, 99_999, compression);
            let encoded = encoder.encode(&vec![0; SOURCE_WINDOW_BYTES], End::More, &mut out).unwrap();
            assert!(encoded.written > 0, "{compression:?} {records:?}");
        }
    }
}

fn record_formats() -> impl Strategy<Value = Records> {
    prop_oneof![
        Just(Records::None),
        prop_oneof![1_u32..5, 60_u32..70, 100_u32..400].prop_map(|size| Records::Fixed { size }),
        Just(Records::Variable),
    ]
}

/// Content with runs of every length beside octets without order.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (prop_oneof![0_u8..3, any::<u8>()], prop_oneof![1_usize..8, 60_usize..70, 100_usize..300])
            .prop_map(|(octet, length)| vec![octet; length]),
        prop::collection::vec(0_u8..3, 0..100),
        prop::collection::vec(any::<u8>(), 0..200),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// Makes a local file of a format out of any content.
fn shape(records: Records, content: Vec<u8>, lengths: &[usize]) -> Vec<u8> {
    match records {
        Records::None => content,
        Records::Fixed { size } => {
            let whole = content.len() - content.len() % size as usize;
            content[..whole].to_vec()
        }
        Records::Variable => {
            let (mut file, mut rest) = (Vec::new(), &content[..]);
            for &length in lengths.iter().cycle().take(if lengths.is_empty() { 0 } else { 200 }) {
                let (record, after) = rest.split_at(length.min(rest.len()));
                file.extend_from_slice(&u16::try_from(record.len()).unwrap().to_be_bytes());
                file.extend_from_slice(record);
                rest = after;
            }
            file
        }
    }
}

fn record_lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![0_usize..4, 61_usize..66, 120_usize..260], 0..6)
}

fn buffer_sizes() -> impl Strategy<Value = u32> {
    prop_oneof![128_u32..200, Just(1024), Just(99_999)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_file_comes_back_however_it_is_cut(
        records in record_formats(), content in content(), lengths in record_lengths(), size in buffer_sizes(),
        compress in any::<bool>(), input in prop_oneof![1_usize..100, Just(65_536)],
        room in prop_oneof![1_usize..100, Just(65_536)],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let compression = if compress { Compression::On } else { Compression::Off };
        let file = shape(records, content, &lengths);
        let stream = encode(records, size, compression, &file).unwrap();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(file.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert!(encode_sliced(records, size, compression, &file, &cuts).unwrap() == stream, "slicing shows");
        let (again, decoder) = decode(records, &stream, input, room).unwrap();
        prop_assert!(again == file);
        prop_assert!(!decoder.record_is_open());
        prop_assert!(payloads(&stream).iter().all(|payload| payload.len() < size as usize));
    }

    #[test]
    fn slicing_octet_by_octet_does_not_show(
        records in record_formats(), content in content(), lengths in record_lengths(), compress in any::<bool>(),
    ) {
        let compression = if compress { Compression::On } else { Compression::Off };
        let mut file = shape(records, content, &lengths);
        if records == Records::None {
            file.truncate(1000);
        }
        let cuts: Vec<usize> = (0..=file.len()).collect();
        let sliced = encode_sliced(records, 128, compression, &file, &cuts).unwrap();
        prop_assert!(sliced == encode(records, 128, compression, &file).unwrap());
    }

    #[test]
    fn compression_never_makes_a_stream_longer_but_for_splits_of_records(
        records in record_formats(), content in content(), lengths in record_lengths(), size in buffer_sizes(),
    ) {
        let file = shape(records, content, &lengths);
        let plain = encode(records, size, Compression::Off, &file).unwrap();
        let compressed = encode(records, size, Compression::On, &file).unwrap();
        // A shorter record moves the ones behind it, and each buffer may then split one more at its end; at worst
        // that takes a short buffer more.
        let splits = if records == Records::None { 0 } else { payloads(&plain).len() + 6 };
        prop_assert!(compressed.len() <= plain.len() + splits, "{} > {}", compressed.len(), plain.len());
    }

    #[test]
    fn any_octets_decode_the_same_however_they_are_cut(
        records in record_formats(), payload in prop::collection::vec(any::<u8>(), 0..400),
        input in 1_usize..50, room in 1_usize..50,
    ) {
        let mut stream = odile_wire::stream::header(payload.len() + 1).to_vec();
        stream.push(b'D');
        stream.extend_from_slice(&payload);
        let whole = decode(records, &stream, usize::MAX, 100_000).map(|(file, decoder)| (file, decoder.octets()));
        let cut = decode(records, &stream, input, room).map(|(file, decoder)| (file, decoder.octets()));
        prop_assert_eq!(whole, cut);
    }
}

#[test]
fn a_source_longer_than_the_window_of_one_buffer_is_cut_at_the_same_place_however_it_is_sliced() {
    let mut long = vec![0; 6 * SOURCE_WINDOW_BYTES];
    long[SOURCE_WINDOW_BYTES - 3] = 1;
    for (records, length) in [
        (Records::None, long.len() - 1),
        (Records::Variable, long.len()),
        (Records::Fixed { size: 3 }, long.len()),
    ] {
        let file = &long[..length];
        let whole = encode(records, 99_999, Compression::On, file).unwrap();
        let cuts: Vec<usize> = (0..200).map(|i| i * 7919).filter(|&cut| cut < length).collect();
        assert!(
            encode_sliced(records, 99_999, Compression::On, file, &cuts).unwrap() == whole,
            "{records:?}"
        );
        assert!(decode(records, &whole, 4096, 4096).unwrap().0 == file, "{records:?}");
    }
}
