//! What must be sent. None of it comes from what is tested.

use odile_envelope::{HashAlgorithm, Sealer};
use odile_transfer::Transmitted;
use odile_wire::command::EndFile;
use odile_wire::data::{Decoder, Records};
use odile_wire::stream::{Deframer, Piece};

use crate::link::{Account, Service, Transfer};
use crate::pki;
use crate::sample::{Sample, offsets_of_blocks};

/// The stream as it is framed, where restart positions are in it, and what both ends must say in the end.
pub fn expected(transfer: &Transfer<'_>) -> (Vec<u8>, Vec<usize>, Account) {
    let Sample { content, records } = transfer.sample;
    match &transfer.service {
        Service::Plain(hash) => {
            let octets = transfer.sample.transmitted();
            let offsets = transfer.sample.restart_offsets();
            let record_count = if *records == Records::None { 0 } else { offsets.len() as u64 - 1 };
            let sent = hash.map(|hash| transmitted(hash, &octets));
            let end = EndFile { record_count, unit_count: octets.len() as u64 };
            (content.clone(), offsets, Account { end, received: sent.clone(), sent, opened: None })
        }
        Service::Sealed { plan, .. } => {
            let mut sealer = Sealer::new(plan.clone(), Some(pki::station().key())).unwrap();
            let (mut rest, mut stream, mut room) = (content.as_slice(), Vec::new(), vec![0; 100_000]);
            while !sealer.is_done() {
                let progress = sealer.push(rest, &mut room).unwrap();
                rest = &rest[progress.consumed..];
                stream.extend_from_slice(&room[..progress.written]);
            }
            let record_count = match *records {
                Records::None => 0,
                Records::Fixed { size } => content.len() as u64 / u64::from(size),
                Records::Variable => transfer.sample.restart_offsets().len() as u64 - 1,
            };
            let sent = Some(transmitted(plan.suite().hash(), &stream));
            let end = EndFile { record_count, unit_count: stream.len() as u64 };
            let offsets = offsets_of_blocks(stream.len());
            (stream, offsets, Account { end, received: sent.clone(), sent, opened: None })
        }
    }
}

fn transmitted(hash: HashAlgorithm, octets: &[u8]) -> Transmitted {
    Transmitted { octets: octets.len() as u64, hash: hash.hash(octets) }
}

/// What buffers stand for, in the form in which it is stored.
pub fn deframed(records: Records, wire: &[u8]) -> Vec<u8> {
    let (mut deframer, mut decoder) = (Deframer::new(), Decoder::new(records));
    let (mut input, mut stored, mut room) = (wire, Vec::new(), vec![0; 200_000]);
    while let Some(piece) = deframer.next_piece(&mut input).unwrap() {
        let Piece::Data { octets, end } = piece else { panic!("a command among the data") };
        let mut rest = octets;
        while !rest.is_empty() || decoder.needs_room() {
            let decoded = decoder.decode(rest, &mut room).unwrap();
            rest = &rest[decoded.consumed..];
            stored.extend_from_slice(&room[..decoded.written]);
        }
        if end {
            decoder.end_of_buffer().unwrap();
        }
    }
    stored
}
