//! One wrong bit, one missing octet, one octet too many.

use odile_envelope::{OpenError, Services, SignerProblem, Suite};

use crate::pki::{noise, open, step_text};
use crate::{SIGN, SIGN_ENCRYPT, outcome, refused, seal, signed, to_carol};

/// Flips bits of a stream, one at a time, and expects the content as it was, or none. Gives how many were refused,
/// and how many made no difference.
fn flip(suite: Suite, services: Services, bits: impl Iterator<Item = usize>) -> (usize, usize) {
    let source = step_text(1, 300);
    let terms = to_carol(services);
    let mut stream = seal(suite, services, &source);
    let (end, mut bad, mut same) = (stream.len() * 8, 0, 0);
    for bit in bits.take_while(|bit| *bit < end) {
        stream[bit / 8] ^= 1 << (bit % 8);
        match open(&terms, &stream, 4096, 4096) {
            Ok((content, _)) => {
                assert!(content == source, "suite {suite} {services:?}: bit {bit} changes the content");
                same += 1;
            }
            Err(_) => bad += 1,
        }
        stream[bit / 8] ^= 1 << (bit % 8);
    }
    (bad, same)
}

#[test]
fn no_wrong_bit_of_a_signed_stream_changes_what_is_accepted() {
    let (bad, same) = flip(Suite::S04, SIGN, 0..);
    assert!(bad > 40 * same, "{bad} bits refused, {same} of no matter");
}

#[test]
fn no_wrong_bit_of_a_compressed_stream_changes_what_is_accepted() {
    let (bad, same) = flip(Suite::S04, Services { compress: true, ..Services::NONE }, 0..);
    assert!(bad > 5 * same, "{bad} bits refused, {same} of no matter");
}

#[test]
fn no_wrong_bit_of_a_stream_of_many_layers_changes_what_is_accepted() {
    for (suite, services) in [
        (Suite::S04, Services::ALL),
        (Suite::S03, SIGN_ENCRYPT),
        (Suite::S10, Services::ALL),
        (Suite::S06, Services { encrypt: false, ..Services::ALL }),
    ] {
        let (bad, same) = flip(suite, services, (0..).step_by(13));
        assert!(bad > 10 * same, "suite {suite} {services:?}: {bad} bits refused, {same} of no matter");
    }
}

#[test]
fn a_wrong_bit_has_the_problem_of_its_place() {
    let content = noise(1, 100);
    let problem = |path: &[usize]| {
        let mut envelope = signed(&content);
        let octets = envelope.at(path).content();
        *octets.last_mut().unwrap() ^= 1;
        match refused(&to_carol(SIGN), &envelope.octets()) {
            OpenError::Signature(mut problems) if problems.len() == 1 => problems.remove(0),
            other => panic!("{other:?}"),
        }
    };
    let info = [1, 0, 3, 0];
    let within = |path: &[usize]| problem(&[&info[..], path].concat());
    assert_eq!(problem(&[1, 0, 2, 1, 0]), SignerProblem::DigestDiffers, "content");
    assert!(matches!(within(&[1, 1]), SignerProblem::Unknown { .. }), "serial number");
    assert_eq!(within(&[2, 0]), SignerProblem::UnknownAlgorithm, "digest algorithm");
    assert_eq!(within(&[3, 0, 1, 0]), SignerProblem::Attributes, "content type");
    assert_eq!(within(&[3, 1, 1, 0]), SignerProblem::SignatureWrong, "signing time");
    assert_eq!(within(&[3, 2, 1, 0]), SignerProblem::DigestDiffers, "message digest");
    assert_eq!(within(&[4, 0]), SignerProblem::UnknownAlgorithm, "signature algorithm");
    assert_eq!(within(&[5]), SignerProblem::SignatureWrong, "signature");
}

#[test]
fn every_missing_end_is_noticed() {
    let source = step_text(2, 300);
    for services in Services::combinations().filter(|services| *services != Services::NONE) {
        let stream = seal(Suite::S04, services, &source);
        let step = if services.encrypt { 7 } else { 1 };
        let tail = stream.len() - 40..stream.len();
        for end in (1..stream.len()).step_by(step).chain(tail) {
            let cut = open(&to_carol(services), &stream[..end], 4096, 4096);
            assert_eq!(cut, Err(OpenError::Truncated), "{services:?}: {end} of {}", stream.len());
        }
    }
}

#[test]
fn an_end_that_is_missing_inside_an_encrypted_layer_is_a_failure_of_decryption() {
    let inner = seal(Suite::S04, SIGN, &step_text(3, 300));
    for end in (0..inner.len()).step_by(29).chain([inner.len() - 1]) {
        let stream = seal(Suite::S04, Services { encrypt: true, ..Services::NONE }, &inner[..end]);
        assert_eq!(open(&to_carol(SIGN_ENCRYPT), &stream, 4096, 4096), Err(OpenError::Decrypt), "{end}");
    }
}

#[test]
fn nothing_may_stand_behind_the_end() {
    let source = step_text(4, 300);
    for services in Services::combinations().filter(|services| *services != Services::NONE) {
        for behind in [&[0][..], &[0, 0], &[0x30, 0x80], &vec![b'x'; 70_000]] {
            let stream = [seal(Suite::S04, services, &source), behind.to_vec()].concat();
            assert_eq!(refused(&to_carol(services), &stream), OpenError::TrailingData, "{services:?}");
        }
    }
}

#[test]
fn without_any_service_every_octet_is_content() {
    for octets in [&[][..], &[0x30], &[0x30, 0x80, 6], &noise(5, 100_000)] {
        let (content, opened) = outcome(&to_carol(Services::NONE), octets).unwrap();
        assert_eq!(content, octets);
        assert_eq!(opened.services, Services::NONE);
    }
}
