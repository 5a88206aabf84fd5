//! The sender alone: from every checkpoint, at every position that it is good for.

use odile_envelope::{HashAlgorithm, Services, Suite};
use odile_transfer::{Departure, DepartureCheckpoint, Framing};
use odile_wire::data::Compression;
use proptest::prelude::*;

use crate::expected::{deframed, expected as expected_of};
use crate::link::{Account, Service, Transfer};
use crate::pki;
use crate::sample::{Backwards, Format, Memory, Noise, Sample};
use crate::transfers::{config, format};

/// Sends the rest of a file, and gives the octets of its buffers; `watch` sees the departure after each block.
fn send(
    departure: &mut Departure,
    content: &[u8],
    slice: usize,
    buffers_max: u16,
    mut watch: impl FnMut(&Departure),
) -> Vec<u8> {
    let (mut source, mut block, mut wire) = (Memory { content, slice }, vec![0; 200_000], Vec::new());
    watch(departure);
    while !departure.is_finished() {
        let filled = departure.fill(&mut source, &mut block, buffers_max, &mut Backwards).unwrap();
        wire.extend_from_slice(&block[..filled.written]);
        watch(departure);
    }
    wire
}

fn framing(noise: &mut Noise) -> Framing {
    let most = [1000, 5000, 90_000][noise.below(3)];
    let buffer_size = u32::try_from(128 + noise.below(most)).unwrap();
    Framing { buffer_size, compression: [Compression::Off, Compression::On][noise.below(2)] }
}

/// Gives the checkpoints of a run from the start.
fn assert_every_way_is_the_same(transfer: &Transfer<'_>, seed: u64) -> Vec<DepartureCheckpoint> {
    let (stream, offsets, account) = expected_of(transfer);
    let (content, records) = (&transfer.sample.content, transfer.sample.records);
    let mut noise = Noise::new(seed);
    let mut checkpoints: Vec<DepartureCheckpoint> = Vec::new();
    let mut departure = Departure::new(records, transfer.form(), framing(&mut noise)).unwrap();
    let (slice, buffers_max) = (500 + noise.below(20_000), [1, 2, 8, 999][noise.below(4)]);
    let wire = send(&mut departure, content, slice, buffers_max, |departure| {
        checkpoints.extend(departure.checkpoint());
    });
    assert!(deframed(transfer.framed(), &wire) == stream);
    assert_account(&departure, &account);
    let last = offsets.len() as u64 - 1;
    for _ in 0..4 {
        let checkpoint = match noise.below(4) {
            0 => None,
            _ => checkpoints.get(noise.below(checkpoints.len())),
        };
        let lowest = checkpoint.map_or(0, |checkpoint| checkpoint.restart_position(transfer.unit()));
        let position = match noise.below(4) {
            0 => lowest,
            1 => last,
            _ => lowest + noise.below(usize::try_from(last - lowest).unwrap() + 1) as u64,
        };
        let form = transfer.form();
        let mut departure =
            Departure::resume(records, form, framing(&mut noise), checkpoint, position).unwrap();
        let slice = 500 + noise.below(20_000);
        let wire = send(&mut departure, content, slice, 1000, |departure| {
            let checkpoint = departure.checkpoint();
            let Some(checkpoint) = checkpoint else { return };
            assert!(checkpoint.transmitted_position() <= departure.transmitted_position());
            // Another attempt comes by other places, but what is at the same place is the same.
            let same = checkpoints.iter().find(|other| {
                (other.source_position(), other.transmitted_position())
                    == (checkpoint.source_position(), checkpoint.transmitted_position())
            });
            assert!(same.is_none_or(|same| *same == checkpoint));
        });
        let from = offsets[usize::try_from(position).unwrap()];
        assert!(deframed(transfer.framed(), &wire) == stream[from..], "from {position}, {checkpoint:?}");
        assert_account(&departure, &account);
    }
    checkpoints
}

fn assert_account(departure: &Departure, account: &Account) {
    assert_eq!(departure.end_file(), account.end);
    assert_eq!(departure.transmitted(), account.sent);
    assert_eq!(departure.transmitted_position(), account.end.unit_count);
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn a_plain_file_is_sent_on_as_it_would_have_been(
        format in format(),
        seed in any::<u64>(),
        octets in prop_oneof![0..3000_usize, 0..200_000_usize],
        hash in prop_oneof![Just(None), Just(Some(HashAlgorithm::Sha1)), Just(Some(HashAlgorithm::Sha512))],
    ) {
        let sample = Sample::new(format, seed, octets);
        assert_every_way_is_the_same(&Transfer { sample: &sample, service: Service::Plain(hash) }, seed);
    }
}

proptest! {
    #![proptest_config(config(36))]

    #[test]
    fn a_sealed_file_is_sent_on_as_it_would_have_been(
        format in format(),
        seed in any::<u64>(),
        octets in prop_oneof![1 => 0..30_000_usize, 3 => 500_000..1_200_000_usize],
        bits in 1..8_usize,
        suite in prop_oneof![Just(Suite::S04), Just(Suite::S05)],
        pieces in (1024..65_536_u32, 1024..65_536_u32),
        batch_max in 1..5_usize,
    ) {
        let sample = Sample::new(format, seed, octets);
        let services = Services::combinations().nth(bits).unwrap();
        let plan = pki::plan(suite, services, sample.content.len(), pieces);
        let transfer = Transfer { sample: &sample, service: Service::Sealed { plan, batch_max } };
        let checkpoints = assert_every_way_is_the_same(&transfer, seed);
        let is_anywhere = checkpoints.iter().any(|checkpoint| checkpoint.source_position() > 0);
        prop_assert!(is_anywhere || octets < 500_000 || services.compress, "no checkpoint on the way");
    }
}

/// The end of a U file's one record is still to be told (RFC 5024 §7.2); those of F and V files were with their octets.
#[test]
fn at_the_very_end_only_what_ends_the_file_is_sent() {
    for (format, expected) in
        [(Format::Unstructured, &b"\x10\0\0\x06D\x80"[..]), (Format::Fixed, b""), (Format::Variable, b"")]
    {
        for hash in [None, Some(HashAlgorithm::Sha256)] {
            let sample = Sample::new(format, 6, 8 * 1024);
            let transfer = Transfer { sample: &sample, service: Service::Plain(hash) };
            let (stream, offsets, account) = expected_of(&transfer);
            assert_eq!(offsets.last(), Some(&stream.len()), "the end is a restart position");
            let position = offsets.len() as u64 - 1;
            let framing = Framing { buffer_size: 128, compression: Compression::On };
            let resumed = Departure::resume(sample.records, transfer.form(), framing, None, position);
            let mut departure = resumed.unwrap();
            let wire = send(&mut departure, &sample.content, 1000, 9, |_| {});
            assert_eq!(wire, expected, "{format:?}");
            assert_account(&departure, &account);
        }
    }
}
