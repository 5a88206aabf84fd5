//! Several files at a time: each is sent as if it were alone, and goes on from what was kept meanwhile.

use odile_envelope::seal::LANES_MAX;
use odile_envelope::{Services, Suite};
use odile_transfer::{Departure, DepartureCheckpoint, Fill, FillError, Framing, Source};
use odile_wire::data::{Compression, End};
use proptest::prelude::*;

use crate::expected::{deframed, expected as expected_of};
use crate::link::{Service, Transfer};
use crate::pki;
use crate::sample::{Backwards, Format, Memory, Noise, Sample};
use crate::transfers::{config, format};

/// A file that cannot be read behind a position.
struct Damaged<'a> {
    memory: Memory<'a>,
    good: u64,
}

impl Source for Damaged<'_> {
    type Error = &'static str;

    fn look(
        &mut self,
        position: u64,
        least: usize,
        look: &mut dyn FnMut(&[u8], End),
    ) -> Result<(), Self::Error> {
        if position > self.good {
            return Err("the disk has an error");
        }
        self.memory.look(position, least, look).map_err(|never| match never {})
    }
}

/// One of the files, and what came of it.
struct Going<'a> {
    departure: Departure,
    source: Damaged<'a>,
    block: Vec<u8>,
    buffers_max: u16,
    wire: Vec<u8>,
    checkpoints: Vec<DepartureCheckpoint>,
    error: Option<FillError<&'static str>>,
}

impl<'a> Going<'a> {
    fn new(departure: Departure, content: &'a [u8], noise: &mut Noise) -> Self {
        let memory = Memory { content, slice: 500 + noise.below(100_000) };
        let source = Damaged { memory, good: u64::MAX };
        let block = vec![0; 101_000 + noise.below(500_000)];
        let buffers_max = [1, 5, 999, 999][noise.below(4)];
        let (wire, checkpoints) = (Vec::new(), Vec::new());
        Self { departure, source, block, buffers_max, wire, checkpoints, error: None }
    }

    fn is_over(&self) -> bool {
        self.departure.is_finished() || self.error.is_some()
    }
}

/// Sends all of them to their ends. Now and then some of them have to wait for credit.
fn send(going: &mut [Option<Going<'_>>; LANES_MAX], noise: &mut Noise) {
    while going.iter().flatten().any(|one| !one.is_over()) {
        let mut compress = [Backwards, Backwards, Backwards, Backwards];
        let mut left = going.iter_mut().zip(&mut compress);
        let mut takes_part = [false; LANES_MAX];
        let mut at = 0..;
        let fills = std::array::from_fn(|_| {
            let ((one, compress), at) = left.next().zip(at.next())?;
            let one = one.as_mut().filter(|one| !one.is_over())?;
            takes_part[at] = noise.below(4) > 0;
            takes_part[at].then_some(Fill {
                departure: &mut one.departure,
                source: &mut one.source,
                block: &mut one.block,
                buffers_max: one.buffers_max,
                compress,
            })
        });
        let outcomes = Departure::fill_together(fills);
        for ((one, outcome), takes_part) in going.iter_mut().zip(outcomes).zip(takes_part) {
            let Some(one) = one.as_mut().filter(|_| takes_part) else { continue };
            match outcome {
                Ok(filled) => {
                    one.wire.extend_from_slice(&one.block[..filled.written]);
                    one.checkpoints.extend(one.departure.checkpoint());
                }
                Err(error) => one.error = Some(error),
            }
        }
    }
}

fn framing(noise: &mut Noise) -> Framing {
    let most = [1000, 90_000][noise.below(2)];
    let buffer_size = u32::try_from(128 + noise.below(most)).unwrap();
    Framing { buffer_size, compression: [Compression::Off, Compression::On][noise.below(2)] }
}

fn sealed(sample: &Sample, suite: Suite, services: Services) -> Service {
    let plan = pki::plan(suite, services, sample.content.len(), (50_000, 1 << 18));
    Service::Sealed { plan, batch_max: 2 }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn each_of_several_is_sent_as_if_it_were_alone(
        files in prop::collection::vec(
            (
                format(),
                prop_oneof![1 => 0..30_000_usize, 3 => 500_000..2_000_000_usize],
                // Most of them encrypt, and do not compress.
                prop_oneof![4 => Just(Some(4_usize)), 3 => Just(Some(5)), 1 => (1..8_usize).prop_map(Some), 1 => Just(None)],
                prop::sample::select(vec![Suite::S04, Suite::S04, Suite::S02, Suite::S06]),
            ),
            1..=LANES_MAX,
        ),
        seed in any::<u64>(),
    ) {
        let samples: Vec<_> = files.iter().map(|file| Sample::new(file.0, seed, file.1)).collect();
        let transfers: Vec<_> = (samples.iter().zip(&files))
            .map(|(sample, &(_, _, bits, suite))| {
                let services = bits.map(|bits| Services::combinations().nth(bits).unwrap());
                let service = services.map_or(Service::Plain(None), |services| sealed(sample, suite, services));
                Transfer { sample, service }
            })
            .collect();
        let expected: Vec<_> = transfers.iter().map(expected_of).collect();
        let mut noise = Noise::new(seed);
        let mut going = std::array::from_fn(|at| {
            let transfer = transfers.get(at)?;
            let departure = Departure::new(transfer.sample.records, transfer.form(), framing(&mut noise));
            Some(Going::new(departure.unwrap(), &transfer.sample.content, &mut noise))
        });
        send(&mut going, &mut noise);
        // And again, from something that was kept on the way.
        let mut positions = Vec::new();
        let mut again = std::array::from_fn(|at| {
            let (transfer, one, (stream, offsets, _)) =
                (transfers.get(at)?, going[at].as_ref()?, expected.get(at)?);
            assert!(one.error.is_none() && deframed(transfer.framed(), &one.wire) == *stream);
            let checkpoint = one.checkpoints.get(noise.below(one.checkpoints.len()));
            let lowest = checkpoint.map_or(0, |checkpoint| checkpoint.restart_position(transfer.unit()));
            let last = offsets.len() as u64 - 1;
            let position = lowest + noise.below(usize::try_from(last - lowest).unwrap() + 1) as u64;
            positions.push(offsets[usize::try_from(position).unwrap()]);
            let (records, framing) = (transfer.sample.records, framing(&mut noise));
            let departure = Departure::resume(records, transfer.form(), framing, checkpoint, position);
            Some(Going::new(departure.unwrap(), &transfer.sample.content, &mut noise))
        });
        send(&mut again, &mut noise);
        for (at, ((transfer, (stream, _, account)), from)) in
            transfers.iter().zip(&expected).zip(positions).enumerate()
        {
            let (first, second) = (going[at].as_ref().unwrap(), again[at].as_ref().unwrap());
            prop_assert!(deframed(transfer.framed(), &second.wire) == stream[from..], "file {at} from {from}");
            for departure in [&first.departure, &second.departure] {
                prop_assert_eq!(departure.end_file(), account.end);
                prop_assert_eq!(departure.transmitted(), account.sent.clone());
            }
        }
    }
}

#[test]
fn a_source_that_fails_stops_nobody_else() {
    let services = Services { sign: true, encrypt: true, ..Services::NONE };
    let samples: Vec<_> = (0..4).map(|seed| Sample::new(Format::Unstructured, seed, 3_000_000)).collect();
    let transfers: Vec<_> = (samples.iter())
        .map(|sample| Transfer { sample, service: sealed(sample, Suite::S04, services) })
        .collect();
    let mut noise = Noise::new(5);
    let mut going: [_; LANES_MAX] = std::array::from_fn(|at| {
        let Transfer { sample, .. } = &transfers[at];
        let departure = Departure::new(sample.records, transfers[at].form(), framing(&mut noise)).unwrap();
        assert!(departure.weaves());
        Some(Going::new(departure, &sample.content, &mut noise))
    });
    if let [_, Some(second), _, Some(last)] = &mut going {
        second.source.good = 1_700_000;
        last.source.memory.content = &samples[3].content[..2_000_000];
    }
    send(&mut going, &mut noise);
    for (at, one) in going.iter().flatten().enumerate() {
        let is_good = at == 0 || at == 2;
        assert_eq!(is_good, one.error.is_none(), "file {at}: {:?}", one.error);
        if is_good {
            assert!(deframed(transfers[at].framed(), &one.wire) == expected_of(&transfers[at]).0);
        }
    }
}
