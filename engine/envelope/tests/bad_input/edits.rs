//! Streams with pieces cut out, put in, doubled or overwritten: nothing panics, and nothing else is taken for the
//! content.

use std::sync::Arc;

use odile_envelope::{OpenCheckpoint, OpenError, OpenTerms, Opener, Services, Suite};
use proptest::prelude::*;

use crate::pki::{open, pump, step_text};
use crate::{seal, to_carol};

#[derive(Clone, Debug)]
enum Edit {
    Overwrite(Vec<u8>),
    Insert(Vec<u8>),
    Remove(usize),
    Double(usize),
}

fn edits() -> impl Strategy<Value = Vec<(usize, Edit)>> {
    let octets =
        || proptest::collection::vec(prop_oneof![Just(0), Just(0x80), Just(0x30), any::<u8>()], 1..12);
    let edit = prop_oneof![
        octets().prop_map(Edit::Overwrite),
        octets().prop_map(Edit::Insert),
        (1..300_usize).prop_map(Edit::Remove),
        (1..300_usize).prop_map(Edit::Double),
    ];
    proptest::collection::vec((any::<usize>(), edit), 1..4)
}

fn apply(stream: &mut Vec<u8>, edits: &[(usize, Edit)]) {
    for (place, edit) in edits {
        let at = place % (stream.len() + 1);
        let within = |bytes: usize| at..(at + bytes).min(stream.len());
        match edit {
            Edit::Overwrite(octets) => {
                let range = within(octets.len());
                stream.splice(range, octets.clone());
            }
            Edit::Insert(octets) => {
                stream.splice(at..at, octets.clone());
            }
            Edit::Remove(bytes) => {
                stream.drain(within(*bytes));
            }
            Edit::Double(bytes) => {
                let again = stream[within(*bytes)].to_vec();
                stream.splice(at..at, again);
            }
        }
    }
}

/// Opens a stream with a checkpoint, stored and read again, in between.
fn open_interrupted(terms: &OpenTerms, stream: &[u8], at: usize) -> Result<Vec<u8>, OpenError> {
    let terms = Arc::new(terms.clone());
    let mut opener = Opener::new(terms.clone());
    let (mut content, mut room) = (Vec::new(), vec![0; 400]);
    let mut rest = &stream[..at];
    while !rest.is_empty() {
        let progress = opener.push(rest, &mut room)?;
        content.extend_from_slice(&room[..progress.written]);
        rest = &rest[progress.consumed..];
    }
    if let Some(checkpoint) = opener.checkpoint() {
        let stored = checkpoint.to_bytes().unwrap();
        opener = Opener::resume(terms, &OpenCheckpoint::from_bytes(&stored).unwrap()).unwrap();
    }
    pump(&mut opener, &stream[at..], 500, 400, &mut content, |_, _| {})?;
    Ok(content)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edited_stream_gives_its_content_or_none(
        bits in 1..8_usize,
        edits in edits(),
        steps in (1..700_usize, 1..700_usize),
        cut in any::<usize>(),
    ) {
        let services = Services::combinations().nth(bits).unwrap();
        let source = step_text(1, 2500);
        let mut stream = seal(Suite::S06, services, &source);
        apply(&mut stream, &edits);
        let terms = to_carol(services);
        let outcome = open(&terms, &stream, 1 << 16, 1 << 16);
        let sliced = open(&terms, &stream, steps.0, steps.1);
        let interrupted = open_interrupted(&terms, &stream, cut % (stream.len() + 1));
        prop_assert_eq!(outcome.is_ok(), sliced.is_ok());
        prop_assert_eq!(outcome.is_ok(), interrupted.is_ok());
        if let (Ok((content, opened)), Ok(resumed)) = (outcome, interrupted) {
            prop_assert!(content == source || !services.sign && !services.compress);
            prop_assert!(content == resumed && sliced.unwrap() == (content, opened));
        }
    }
}
