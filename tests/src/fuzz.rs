//! Bodies of the fuzz targets, as plain functions: `tests/fuzz` gives them what libFuzzer finds, the test
//! `fuzz_short` gives them mutations of the seeds. Each panics if an invariant does not hold.

use odile_wire::data::{Compression, Decoder, Encoder, End, Records};
use odile_wire::stream::{Deframer, Piece};
use odile_wire::{BUFFER_SIZE_MIN, Command, Level, Malformed};

/// One Exchange Buffer at every level. What can be read can be written, and reads the same again.
pub fn command(data: &[u8]) {
    for level in Level::ALL {
        let Ok(command) = Command::decode(level, data) else { continue };
        let mut written = Vec::new();
        assert!(command.encode(level, &mut written).is_ok(), "read but not written at {level}: {command:?}");
        let again = Command::decode(level, &written);
        assert_eq!(again.as_ref(), Ok(&as_written(command, level)), "at level {level}");
        let mut rewritten = Vec::new();
        assert!(again.is_ok_and(|again| again.encode(level, &mut rewritten).is_ok()));
        assert_eq!(rewritten, written, "at level {level}");
    }
}

/// Levels below 5 do not know every reason, and have no text in ESID; both are taken but not written.
fn as_written(mut command: Command, level: Level) -> Command {
    use odile_wire::EndSessionReason as Reason;
    match &mut command {
        Command::StartFileNegativeAnswer(answer) => answer.reason = answer.reason.at(level),
        Command::EndFileNegativeAnswer(answer) => answer.reason = answer.reason.at(level),
        Command::EndSession(end) if level < Level::V2_0 => {
            end.text = odile_wire::VariableText::default();
            if end.reason.code() > Reason::INCOMPATIBLE.code() {
                end.reason = Reason::UNSPECIFIED;
            }
        }
        _ => {}
    }
    command
}

/// A TCP stream, whose first octet says how it is split: any split gives the same Exchange Buffers and the same
/// error.
pub fn stream(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let whole = deframe([stream]);
    assert_eq!(deframe(stream.chunks(usize::from(step) + 1)), whole);
    assert_eq!(deframe(stream.chunks(1)), whole);
    let framed: usize = whole.0.iter().map(|buffer| buffer.len() + odile_wire::stream::HEADER_BYTES).sum();
    assert!(framed <= stream.len());
}

/// All Exchange Buffers that are complete, and the error that ended it.
fn deframe<'a>(inputs: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Option<Malformed>) {
    let mut deframer = Deframer::new();
    let (mut buffers, mut data) = (Vec::new(), b"D".to_vec());
    for mut input in inputs {
        loop {
            match deframer.next_piece(&mut input) {
                Ok(None) => break,
                Ok(Some(Piece::Command(command))) => buffers.push(command.to_vec()),
                Ok(Some(Piece::Data { octets, end })) => {
                    data.extend_from_slice(octets);
                    if end {
                        buffers.push(std::mem::replace(&mut data, b"D".to_vec()));
                    }
                }
                Err(error) => {
                    assert_eq!(deframer.next_piece(&mut &b"\x10\0\0\x05R"[..]), Err(error.clone()));
                    return (buffers, Some(error));
                }
            }
        }
        assert!(input.is_empty());
    }
    (buffers, None)
}

/// Four octets of parameters, then octets that are taken for a file (it comes back, however it is sliced, and
/// compression makes it no longer) and for the payload of a `DATA` (it decodes the same, however it is cut).
pub fn data(data: &[u8]) {
    let Some((&[format, size, slice, room], octets)) = data.split_first_chunk() else { return };
    let records = match format % 3 {
        0 => Records::None,
        1 => Records::Fixed { size: u32::from(format / 3) },
        _ => Records::Variable,
    };
    let size = BUFFER_SIZE_MIN + u32::from(size);
    let (slice, room) = (usize::from(slice) + 1, usize::from(room) + 1);

    let plain = encode(records, size, Compression::Off, octets, usize::MAX);
    assert_eq!(encode(records, size, Compression::Off, octets, slice), plain);
    let compressed = encode(records, size, Compression::On, octets, usize::MAX);
    assert_eq!(encode(records, size, Compression::On, octets, slice), compressed);
    assert_eq!(plain.is_some(), compressed.is_some());
    if let (Some(plain), Some(compressed)) = (plain, compressed) {
        // Records that moved may be split at the end of each buffer, and at worst take a short buffer more.
        let splits = if records == Records::None { 0 } else { plain.len() / BUFFER_SIZE_MIN as usize + 7 };
        assert!(compressed.len() <= plain.len() + splits);
        assert_eq!(decode_stream(records, &plain, slice, room).as_deref(), Ok(octets));
        assert_eq!(decode_stream(records, &compressed, slice, room).as_deref(), Ok(octets));
    }

    let mut stream = odile_wire::stream::header(octets.len().min(90_000) + 1).to_vec();
    stream.push(b'D');
    stream.extend_from_slice(&octets[..octets.len().min(90_000)]);
    let whole = decode_stream(records, &stream, usize::MAX, 1 << 16);
    assert_eq!(decode_stream(records, &stream, slice, room), whole);
}

/// All Stream Transmission Buffers of a file, which is shown `slice` octets at a time. `None`: it is no file of
/// this format.
fn encode(
    records: Records,
    size: u32,
    compression: Compression,
    file: &[u8],
    slice: usize,
) -> Option<Vec<u8>> {
    let mut encoder = Encoder::new(records, size, compression);
    let (mut stream, mut out) = (Vec::new(), vec![0; size as usize + 4]);
    let (mut at, mut seen) = (0, 0);
    while !encoder.is_finished() {
        let end = if seen == file.len() { End::Reached } else { End::More };
        let encoded = encoder.encode(&file[at..seen], end, &mut out).ok()?;
        stream.extend_from_slice(&out[..encoded.written]);
        at += encoded.consumed;
        if encoded.written == 0 {
            seen = file.len().min(seen.saturating_add(slice));
        }
    }
    assert_eq!(at, file.len());
    Some(stream)
}

/// The file that a stream of `DATA` stands for, read `slice` octets at a time into `room` octets.
fn decode_stream(records: Records, stream: &[u8], slice: usize, room: usize) -> Result<Vec<u8>, Malformed> {
    let (mut deframer, mut decoder) = (Deframer::new(), Decoder::new(records));
    let (mut file, mut out) = (Vec::new(), vec![0; room]);
    for mut input in stream.chunks(slice) {
        while let Some(piece) = deframer.next_piece(&mut input)? {
            let Piece::Data { mut octets, end } = piece else { continue };
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
    let prefixes = if records == Records::Variable { 2 * decoder.records() } else { 0 };
    let open = records == Records::Variable && decoder.record_is_open();
    assert!(open || decoder.octets() + prefixes == file.len() as u64);
    Ok(file)
}
