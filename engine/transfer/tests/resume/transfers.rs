//! Files in several sessions: each sends what the one before would have sent, and the file is the same in the end.

use odile_envelope::{HashAlgorithm, Services, Suite};
use proptest::prelude::*;

use crate::expected::{deframed, expected};
use crate::link::{Account, Durable, Outcome, Service, Session, Transfer};
use crate::pki;
use crate::sample::{Format, Sample};

const WHOLE: Session = Session {
    buffer_size: 2048,
    compress: false,
    source_slice: 100_000,
    block_more: 100_000,
    buffers_max: 999,
    output: 50_000,
    cut: 2000,
    durable: (1000, 1000),
    answered: 1000,
    lowers: true,
    forgets: false,
};

/// Sessions that are cut off, then one that is not. Gives what was left in between.
fn assert_goes_on(transfer: &Transfer<'_>, sessions: &[Session]) -> Vec<Outcome> {
    let (stream, offsets, account) = expected(transfer);
    let mut durable = Durable::default();
    let mut outcomes = Vec::new();
    let last = sessions.last().copied().unwrap_or(WHOLE);
    let last = Session { cut: usize::MAX, ..last };
    for session in sessions.iter().chain([&last]) {
        let outcome = transfer.run(session, &mut durable, stream.len());
        let from = offsets[usize::try_from(outcome.position).unwrap()];
        let sent = deframed(transfer.framed(), &outcome.wire);
        let until = from + sent.len();
        assert!(stream.get(from..until) == Some(sent.as_slice()), "other octets from {from} on");
        if outcome.account.is_some() {
            assert_eq!(until, stream.len(), "up to the end");
        }
        outcomes.push(outcome);
        if outcomes.last().is_some_and(|outcome| outcome.account.is_some()) {
            break;
        }
    }
    assert!(durable.target == transfer.sample.content, "the content is another");
    let found = outcomes.last_mut().and_then(|outcome| outcome.account.take()).unwrap();
    if let Service::Sealed { plan, .. } = &transfer.service {
        let opened = found.opened.as_ref().unwrap();
        assert_eq!(opened.services, plan.services());
        assert_eq!(opened.content_bytes, transfer.sample.content.len() as u64);
        assert_eq!(opened.verified.is_some(), plan.services().sign);
    }
    let found = Account { opened: None, ..found };
    assert_eq!(found, account);
    outcomes
}

/// `block` and `slice`: octets of a block and of the source shown, at most.
fn session(block: usize, slice: usize) -> impl Strategy<Value = Session> {
    let sizes = prop_oneof![Just(128_u32), 128..3000_u32, 3000..=99_999_u32];
    let outputs = prop_oneof![1..100_usize, 1000..60_000_usize];
    let slices = (500..slice, 0..block, 1..50_u16, outputs);
    let fractions =
        (prop_oneof![1 => 0..1000_usize, 4 => 300..1000_usize], 500..=1000_usize, 500..=1000_usize);
    let answered = prop_oneof![3 => Just(1000_usize), 1 => 0..1000_usize];
    let answers = (answered, any::<bool>(), prop::bool::weighted(0.1));
    (sizes, any::<bool>(), slices, fractions, answers).prop_map(
        |(buffer_size, compress, (source_slice, block_more, buffers_max, output), fractions, answers)| {
            Session {
                buffer_size,
                compress,
                source_slice,
                block_more,
                buffers_max,
                output,
                cut: fractions.0,
                durable: (fractions.1, fractions.2),
                answered: answers.0,
                lowers: answers.1,
                forgets: answers.2,
            }
        },
    )
}

pub fn format() -> impl Strategy<Value = Format> {
    use Format::{Fixed, Text, Unstructured, Variable};
    prop_oneof![Just(Unstructured), Just(Text), Just(Fixed), Just(Variable)]
}

pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(160))]

    #[test]
    fn a_plain_file_goes_on(
        format in format(),
        seed in any::<u64>(),
        octets in prop_oneof![1 => 0..5000_usize, 3 => 50_000..400_000_usize],
        hash in prop_oneof![Just(None), Just(Some(HashAlgorithm::Sha256)), Just(Some(HashAlgorithm::Sha512))],
        sessions in prop::collection::vec(session(20_000, 60_000), 1..4),
    ) {
        let sample = Sample::new(format, seed, octets);
        assert_goes_on(&Transfer { sample: &sample, service: Service::Plain(hash) }, &sessions);
    }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn a_sealed_file_goes_on(
        format in format(),
        seed in any::<u64>(),
        octets in prop_oneof![1 => 0..30_000_usize, 4 => 600_000..1_800_000_usize],
        bits in 1..8_usize,
        suite in prop_oneof![Just(Suite::S04), Just(Suite::S05)],
        pieces in (1024..65_536_u32, 1024..65_536_u32),
        batch_max in 1..5_usize,
        sessions in prop::collection::vec(session(60_000, 20_000), 1..4),
    ) {
        let sample = Sample::new(format, seed, octets);
        let services = Services::combinations().nth(bits).unwrap();
        let plan = pki::plan(suite, services, sample.content.len(), pieces);
        assert_goes_on(&Transfer { sample: &sample, service: Service::Sealed { plan, batch_max } }, &sessions);
    }
}

/// Two thirds arrive, and the rest comes in a second session: that one must not start at the beginning.
#[test]
fn what_was_received_is_not_sent_again() {
    let session = Session { cut: 667, block_more: 20_000, source_slice: 20_000, ..WHOLE };
    for format in [Format::Text, Format::Fixed, Format::Variable] {
        for hash in [None, Some(HashAlgorithm::Sha256)] {
            let sample = Sample::new(format, 1, 600_000);
            let transfer = Transfer { sample: &sample, service: Service::Plain(hash) };
            assert_second_goes_on_at_half(&transfer, session);
        }
        for services in Services::combinations().skip(1) {
            // What inflates can be taken up once a MiB.
            let sample = Sample::new(format, 1, 4_000_000);
            let plan = pki::plan(Suite::S04, services, sample.content.len(), (65_536, 65_536));
            let service = Service::Sealed { plan, batch_max: 2 };
            assert_second_goes_on_at_half(&Transfer { sample: &sample, service }, session);
        }
    }
}

fn assert_second_goes_on_at_half(transfer: &Transfer<'_>, session: Session) {
    let outcomes = assert_goes_on(transfer, &[session]);
    let [first, second] = outcomes.as_slice() else { panic!("two sessions are enough") };
    let service = &transfer.service;
    assert!(first.position == 0 && second.position > 0, "{service:?}");
    // Not two thirds once more.
    assert!(second.wire.len() < first.wire.len(), "{service:?}: {}", second.wire.len());
}
