//! Positions and checkpoints that are no use, and what hostile peers answer.

use odile_envelope::{CheckpointError, HashAlgorithm, Services, Suite};
use odile_transfer::{
    Departure, DepartureCheckpoint, DepartureError, FillError, Form, Framing, Incoming, Place, ResumeError,
};
use odile_wire::AnswerReason;
use odile_wire::command::EndFile;
use odile_wire::data::{Compression, Records};

use crate::pki;
use crate::sample::{Backwards, Format, Memory, Sample, Zeros};

/// The largest position that SFIDREST can express.
const POSITION_MAX: u64 = 99_999_999_999_999_999;
const FRAMING: Framing = Framing { buffer_size: 1000, compression: Compression::Off };
const FOREIGN: ResumeError = ResumeError::Checkpoint(CheckpointError::Foreign);
const MEBIBYTE: u64 = 1024 * 1024;

fn plain(witness: Option<HashAlgorithm>) -> Form {
    Form::Plain { witness }
}

fn sealed(services: Services, octets: usize) -> Form {
    let plan = pki::plan(Suite::S04, services, octets, (4096, 4096));
    Form::Sealed { plan, key: Some(pki::station().key().clone()), batch_max: 2 }
}

/// Sends until something is wrong, or the file is.
fn drive(departure: &mut Departure, content: &[u8]) -> Result<(), ResumeError> {
    let (mut source, mut block) = (Memory { content, slice: 10_000 }, vec![0; 50_000]);
    while !departure.is_finished() {
        match departure.fill(&mut source, &mut block, 999, &mut Backwards) {
            Ok(_) => {}
            Err(FillError::Resume(error)) => return Err(error),
            Err(other) => panic!("{other}"),
        }
    }
    Ok(())
}

fn checkpoint(records: Records, form: Form, content: &[u8]) -> DepartureCheckpoint {
    let mut departure = Departure::new(records, form, FRAMING).unwrap();
    let mut source = Memory { content, slice: 5000 };
    loop {
        assert!(!departure.is_finished(), "there was a checkpoint on the way");
        departure.fill(&mut source, &mut [0; 1004], 1, &mut Backwards).unwrap();
        match departure.checkpoint() {
            Some(checkpoint) if checkpoint.source_position() > 10_000 => return checkpoint,
            _ => {}
        }
    }
}

#[test]
fn a_position_behind_the_end_is_refused_and_the_end_is_not() {
    for format in [Format::Unstructured, Format::Fixed, Format::Variable] {
        let sample = Sample::new(format, 2, 20 * 1024);
        let last = sample.restart_offsets().len() as u64 - 1;
        for witness in [None, Some(HashAlgorithm::Sha256)] {
            for from in [None, Some(checkpoint(sample.records, plain(witness), &sample.content))] {
                let resume = |position| {
                    Departure::resume(sample.records, plain(witness), FRAMING, from.as_ref(), position)
                };
                drive(&mut resume(last).unwrap(), &sample.content).unwrap();
                for position in [last + 1, last + 1000, POSITION_MAX, u64::MAX] {
                    let outcome =
                        resume(position).and_then(|mut departure| drive(&mut departure, &sample.content));
                    assert_eq!(outcome, Err(ResumeError::BeyondEnd { position }), "{format:?}");
                }
            }
        }
    }
}

#[test]
fn a_position_behind_the_end_of_an_envelope_is_refused() {
    let sample = Sample::new(Format::Unstructured, 3, 1_200_000);
    for services in Services::combinations().skip(1) {
        let form = || sealed(services, sample.content.len());
        let mut whole = Departure::new(sample.records, form(), FRAMING).unwrap();
        drive(&mut whole, &sample.content).unwrap();
        let last = whole.transmitted_position() / 1024;
        for from in [None, Some(checkpoint(sample.records, form(), &sample.content))] {
            let resume =
                |position| Departure::resume(sample.records, form(), FRAMING, from.as_ref(), position);
            drive(&mut resume(last).unwrap(), &sample.content).unwrap();
            for position in [last + 1, last + 5000, POSITION_MAX] {
                let outcome =
                    resume(position).and_then(|mut departure| drive(&mut departure, &sample.content));
                assert_eq!(outcome, Err(ResumeError::BeyondEnd { position }), "{services:?}");
            }
        }
    }
}

#[test]
fn a_checkpoint_above_the_position_is_refused() {
    for (format, form) in [
        (Format::Text, plain(None)),
        (Format::Fixed, plain(None)),
        (Format::Variable, plain(None)),
        (Format::Text, plain(Some(HashAlgorithm::Sha512))),
    ] {
        let sample = Sample::new(format, 4, 40_000);
        let Form::Plain { witness } = form else { unreachable!() };
        let from = checkpoint(sample.records, form, &sample.content);
        let least = Departure::new(sample.records, plain(witness), FRAMING).unwrap().restart_unit();
        let least = from.restart_position(least);
        let resume = |position| {
            Departure::resume(sample.records, plain(witness), FRAMING, Some(&from), position).map(|_| ())
        };
        assert_eq!(resume(least), Ok(()));
        let position = least - 1;
        assert_eq!(resume(position), Err(ResumeError::Above { checkpoint: least, position }));
    }
}

#[test]
fn a_checkpoint_of_a_file_in_another_form_is_refused() {
    let sample = Sample::new(Format::Unstructured, 5, 900_000);
    let octets = sample.content.len();
    let sign = Services { sign: true, ..Services::NONE };
    let sha256 = Some(HashAlgorithm::Sha256);
    let resume = |form, from: &DepartureCheckpoint| {
        Departure::resume(sample.records, form, FRAMING, Some(from), 800).map(|_| ())
    };
    let of = |form| checkpoint(sample.records, form, &sample.content);
    let (of_plain, of_watched) = (of(plain(None)), of(plain(sha256)));
    let of_sealed = of(sealed(sign, octets));
    assert_eq!(resume(plain(None), &of_plain), Ok(()));
    assert_eq!(resume(plain(sha256), &of_watched), Ok(()));
    assert_eq!(resume(sealed(sign, octets), &of_sealed), Ok(()));
    for (form, from) in [
        (plain(sha256), &of_plain),
        (plain(None), &of_watched),
        (plain(Some(HashAlgorithm::Sha512)), &of_watched),
        (plain(None), &of_sealed),
        (sealed(sign, octets), &of_watched),
        (sealed(sign, octets + 1), &of_sealed),
        (sealed(Services::ALL, octets), &of_sealed),
    ] {
        assert_eq!(resume(form, from), Err(FOREIGN));
    }
    let records = [Records::Variable, Records::Fixed { size: 7 }];
    for records in records {
        let outcome = Departure::resume(records, plain(None), FRAMING, Some(&of_plain), 400_000).map(|_| ());
        assert_eq!(outcome, Err(FOREIGN), "{records:?}");
    }
}

#[test]
fn a_buffer_that_no_session_agrees_on_is_refused() {
    for buffer_size in [0, 127, 100_000, u32::MAX] {
        let framing = Framing { buffer_size, ..FRAMING };
        let error = Departure::new(Records::None, plain(None), framing).err();
        assert_eq!(error, Some(DepartureError::BufferSize(buffer_size)));
        let error = Departure::resume(Records::None, plain(None), framing, None, 1).err();
        assert_eq!(error, Some(ResumeError::Departure(DepartureError::BufferSize(buffer_size))));
    }
}

#[test]
fn records_of_no_length_are_refused_when_they_are_framed() {
    let mut departure = Departure::new(Records::Fixed { size: 0 }, plain(None), FRAMING).unwrap();
    let mut source = Memory { content: b"x", slice: 1 };
    let error = departure.fill(&mut source, &mut [0; 1004], 1, &mut Backwards);
    assert!(matches!(error, Err(FillError::Content(_))));
}

#[test]
fn without_a_witness_nothing_is_read_again() {
    for (records, position) in [(Records::None, 1 << 40), (Records::Fixed { size: 1024 }, 1 << 40)] {
        let mut source = Zeros::new(1 << 52);
        let mut departure = Departure::resume(records, plain(None), FRAMING, None, position).unwrap();
        assert!(!departure.is_catching_up());
        let filled = departure.fill(&mut source, &mut [0; 5000], 3, &mut Backwards).unwrap();
        assert_eq!((filled.buffers, source.lowest), (3, (1 << 50) - 1));
    }
}

#[test]
fn catching_up_goes_a_few_mebibytes_at_a_time_and_gives_no_buffers() {
    let octets = 40 * MEBIBYTE;
    let bytes = usize::try_from(octets).unwrap();
    let encrypt = Services { encrypt: true, ..Services::NONE };
    for (records, form, position) in [
        (Records::None, plain(Some(HashAlgorithm::Sha256)), 30 * 1024),
        (Records::Variable, plain(None), 15 * MEBIBYTE),
        (Records::None, sealed(encrypt, bytes), 30 * 1024),
        (Records::None, sealed(Services { compress: true, ..Services::NONE }, bytes), 200),
    ] {
        let mut source = Zeros::new(octets);
        let mut departure = Departure::resume(records, form, FRAMING, None, position).unwrap();
        let mut calls = 0;
        while departure.is_catching_up() {
            let before = departure.source_position();
            let filled = departure.fill(&mut source, &mut [0; 5000], 3, &mut Backwards).unwrap();
            assert_eq!((filled.buffers, filled.written), (0, 0));
            assert_eq!(departure.source_position() - before, filled.consumed as u64);
            assert!(filled.consumed as u64 <= 8 * MEBIBYTE, "{} octets", filled.consumed);
            calls += 1;
        }
        assert!(calls >= 3, "{records:?}: {calls}");
        let filled = departure.fill(&mut source, &mut [0; 5000], 3, &mut Backwards).unwrap();
        assert_eq!(filled.buffers, 3);
    }
}

#[test]
fn a_receiver_goes_on_nowhere_beyond_what_it_has() {
    let place = Place { received: 5000, records: 50, stored: 5000 };
    let resume = |records, position| Incoming::resume(records, u64::MAX, &place, position).map(|_| ());
    let fixed = Records::Fixed { size: 100 };
    for (records, received) in [(Records::None, 4), (fixed, 50), (Records::Variable, 50)] {
        for position in [0, received - 1, received] {
            assert_eq!(resume(records, position), Ok(()), "{records:?}");
        }
        for position in [received + 1, POSITION_MAX, u64::MAX] {
            assert_eq!(resume(records, position), Err(ResumeError::NotReceived { received, position }));
        }
    }
    // More records than octets for them.
    let long = Records::Fixed { size: 101 };
    assert_eq!(resume(long, 50), Err(ResumeError::Checkpoint(CheckpointError::Damaged)));
    let place = Place { received: u64::MAX, records: u64::MAX, stored: 0 };
    for records in [long, Records::Variable] {
        let error = Incoming::resume(records, u64::MAX, &place, u64::MAX).map(|_| ());
        assert_eq!(error, Err(ResumeError::Checkpoint(CheckpointError::Damaged)));
    }
}

/// The peer goes on below the place, and ends there: what is in the target is not what it sent.
#[test]
fn a_file_that_ends_before_what_was_received_is_refused() {
    let place = Place { received: 5000, records: 50, stored: 5000 };
    let fixed = Records::Fixed { size: 100 };
    for (records, position, end) in [
        (Records::None, 2, EndFile { record_count: 0, unit_count: 2048 }),
        (fixed, 20, EndFile { record_count: 20, unit_count: 2000 }),
        (Records::Variable, 20, EndFile { record_count: 20, unit_count: 0 }),
    ] {
        let incoming = Incoming::resume(records, u64::MAX, &place, position).unwrap();
        assert_eq!(incoming.place(), None, "nothing to store while what is known comes again");
        let (reason, _) = incoming.check(&end).unwrap_err();
        assert_eq!(reason, AnswerReason::INVALID_BYTE_COUNT, "{records:?}");
    }
}
