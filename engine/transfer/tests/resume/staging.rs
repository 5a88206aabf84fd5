//! The stage goes on from every checkpoint with the same octets, whatever was staged at a time.

use std::sync::Arc;

use odile_envelope::{CheckpointError, Misuse, SealPlan, Services, Suite};
use odile_transfer::{RecordWalk, Slot, Staging, StagingCheckpoint, StagingError};
use odile_wire::data::{End, Records};

use crate::pki;
use crate::sample::{Backwards, Format, Noise, Sample};

fn new(plan: &Arc<SealPlan>, records: Records, batch_max: usize) -> Staging {
    Staging::new(Arc::clone(plan), Some(pki::station().key()), records, batch_max).unwrap()
}

fn resume(
    plan: &Arc<SealPlan>,
    records: Records,
    batch_max: usize,
    checkpoint: &StagingCheckpoint,
) -> Result<Staging, CheckpointError> {
    Staging::resume(Arc::clone(plan), Some(pki::station().key()), records, batch_max, checkpoint)
}

/// Stages the rest of a source in slices; `watch` sees the stage after each.
fn stage(
    staging: &mut Staging,
    content: &[u8],
    mut slice: impl FnMut() -> usize,
    mut watch: impl FnMut(&Staging),
) -> Vec<u8> {
    let mut stream = Vec::new();
    loop {
        let from = usize::try_from(staging.source_position()).unwrap();
        let until = content.len().min(from + slice());
        let end = if until == content.len() { End::Reached } else { End::More };
        staging.fill(&content[from..until], end, &mut Backwards).unwrap();
        let (octets, end) = staging.staged();
        stream.extend_from_slice(octets);
        let staged = octets.len();
        staging.used(staged);
        watch(staging);
        if end == End::Reached {
            return stream;
        }
    }
}

#[test]
fn goes_on_from_every_checkpoint() {
    for (format, seed) in [(Format::Unstructured, 1), (Format::Variable, 2), (Format::Variable, 3)] {
        for suite in [Suite::S03, Suite::S06] {
            for services in Services::combinations().skip(1) {
                for batch_max in [1, 3] {
                    let sample = Sample::new(format, seed, 30_000);
                    let plan = pki::plan(suite, services, sample.content.len(), (3000, 2000));
                    assert_goes_on(&sample, &plan, batch_max);
                }
            }
        }
    }
}

fn assert_goes_on(sample: &Sample, plan: &Arc<SealPlan>, batch_max: usize) {
    let Sample { content, records } = sample;
    let mut noise = Noise::new(9);
    let mut checkpoints: Vec<StagingCheckpoint> = Vec::new();
    let mut staging = new(plan, *records, batch_max);
    checkpoints.extend(staging.checkpoint());
    let stream = stage(
        &mut staging,
        content,
        || 1 + noise.below(1500),
        |staging| {
            let checkpoint = staging.checkpoint();
            checkpoints.extend(checkpoint.filter(|checkpoint| checkpoints.last() != Some(checkpoint)));
        },
    );
    // A batch is put together again in one go, and only its last chunk is seen.
    let least = if plan.services().compress { 10 / batch_max } else { 20 };
    assert!(checkpoints.len() >= least, "{:?}: {}", plan.services(), checkpoints.len());
    for checkpoint in &checkpoints {
        let StagingCheckpoint { seal, walk } = checkpoint;
        let at = usize::try_from(seal.source_position()).unwrap();
        let mut expected = (*records == Records::Variable).then(RecordWalk::default);
        if let Some(walk) = &mut expected {
            walk.walk(&content[..at], |_| {});
        }
        assert_eq!(*walk, expected, "the walk is where the seal is");
        let mut staging = resume(plan, *records, 4 - batch_max, checkpoint).unwrap();
        assert_eq!(staging.source_position(), at as u64);
        let rest = stage(&mut staging, content, || 1 + noise.below(9000), |_| {});
        let from = usize::try_from(seal.transmitted_position()).unwrap();
        assert!(rest == stream[from..], "{:?}: from {from}", plan.services());
        let transmitted = staging.transmitted().unwrap();
        assert_eq!(transmitted.octets, stream.len() as u64);
        assert_eq!(transmitted.hash, plan.suite().hash().hash(&stream));
        assert_eq!(staging.records() > 0, *records == Records::Variable);
    }
}

#[test]
fn is_the_same_after_it_was_stored() {
    let sample = Sample::new(Format::Variable, 4, 20_000);
    let plan = pki::plan(Suite::S04, Services::ALL, sample.content.len(), (2000, 2000));
    let mut staging = new(&plan, sample.records, 1);
    let mut newest = None;
    stage(&mut staging, &sample.content, || 3000, |staging| newest = staging.checkpoint());
    let slot = Slot { subject: [1; 32], sequence: 1, body: newest.unwrap() };
    assert_eq!(Slot::from_bytes(&slot.to_bytes().unwrap()), Ok(slot));
}

#[test]
fn a_checkpoint_of_another_file_is_refused() {
    for services in Services::combinations().skip(1) {
        let sample = Sample::new(Format::Variable, 5, 20_000);
        let plan = pki::plan(Suite::S04, services, sample.content.len(), (2000, 2000));
        let mut staging = new(&plan, Records::Variable, 1);
        let mut newest = None;
        stage(&mut staging, &sample.content, || 3000, |staging| newest = staging.checkpoint());
        let newest = newest.unwrap();
        assert!(resume(&plan, Records::Variable, 1, &newest).is_ok());
        let refused = |plan, records| resume(plan, records, 1, &newest).err();
        assert_eq!(refused(&plan, Records::None), Some(CheckpointError::Foreign), "without its walk");
        let other = pki::plan(Suite::S04, services, sample.content.len() + 1, (2000, 2000));
        assert_eq!(refused(&other, Records::Variable), Some(CheckpointError::Foreign));
    }
}

#[test]
fn a_source_that_became_shorter_is_told() {
    for services in Services::combinations().skip(1) {
        let plan = pki::plan(Suite::S04, services, 10_000, (2000, 2000));
        let mut staging = new(&plan, Records::None, 2);
        let error = staging.fill(&[b'x'; 9999], End::Reached, &mut Backwards).unwrap_err();
        assert_eq!(error, StagingError::Seal(Misuse::SourceLength { expected: 10_000 }), "{services:?}");
    }
}
