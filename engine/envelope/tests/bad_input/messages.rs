//! Receipts and challenges that are not what they should be.

use std::sync::Arc;

use odile_envelope::seal::Embed;
use odile_envelope::{
    CHALLENGE_BYTES, Certificate, Limit, MESSAGE_BYTES_MAX, OpenError, SignerProblem, Suite, open_challenge,
    seal_challenge, sign_message, verify_message,
};

use crate::asn1::Node;
use crate::pki::{NOT_AFTER, SIGNING_TIME, entropy, noise, openssl, pki};
use crate::{CHALLENGE, signed};

/// The octets of a receipt: names, stamps and identifications of 94 octets, then a hash; a negative one has the
/// creator between them.
fn receipt(suite: Suite, creator: &str) -> Vec<u8> {
    let hash = noise(1, suite.hash().output_bytes());
    let (data_set, stamp) = ("DRAWING", "202611230915001234");
    let fields = format!("{data_set:26}{stamp}{:25}{:25}{creator}", "O0013000001BOB", "O0013000001ALICE");
    [fields.as_bytes(), &hash].concat()
}

fn creator() -> String {
    format!("{:25}", "O0013000002HUB")
}

fn alice() -> Vec<Arc<Certificate>> {
    vec![Arc::new(pki().alice.certificate().clone())]
}

fn sign(suite: Suite, message: &[u8]) -> Vec<u8> {
    sign_message(suite, &pki().alice.identity, message, SIGNING_TIME, Embed::Nothing).unwrap()
}

#[test]
fn a_receipt_is_verified_in_every_suite() {
    for suite in Suite::ALL {
        let message = receipt(suite, "");
        assert_eq!(message.len(), 94 + suite.hash().output_bytes());
        let verified = verify_message(&sign(suite, &message), &[&message], &alice(), Some(SIGNING_TIME));
        let verified = verified.unwrap();
        assert_eq!(verified.form, 0);
        assert_eq!(verified.verified.signing_time, Some(SIGNING_TIME));
        assert_eq!(&verified.verified.signer, pki().alice.certificate());
    }
}

#[test]
fn a_negative_receipt_is_verified_with_its_creator_and_without() {
    let (right, short) = (receipt(Suite::S06, &creator()), receipt(Suite::S06, ""));
    assert_eq!((right.len(), short.len()), (119 + 64, 94 + 64));
    for (form, signed) in [&right, &short].into_iter().enumerate() {
        let verified = verify_message(&sign(Suite::S06, signed), &[&right, &short], &alice(), None).unwrap();
        assert_eq!(verified.form, form);
    }
    let other = SignerProblem::DigestDiffers;
    let refused = verify_message(&sign(Suite::S06, &short), &[&right], &alice(), None);
    assert_eq!(refused, Err(OpenError::Signature(vec![other])));
}

#[test]
fn a_receipt_about_something_else_is_refused() {
    let message = receipt(Suite::S04, "");
    let envelope = sign(Suite::S04, &message);
    let refused = |accepted: &[&[u8]]| verify_message(&envelope, accepted, &alice(), None).unwrap_err();
    let differs = OpenError::Signature(vec![SignerProblem::DigestDiffers]);
    let mut other = message.clone();
    other[93] ^= 1;
    assert_eq!(refused(&[&other]), differs);
    assert_eq!(refused(&[&message[..93]]), differs);
    assert_eq!(refused(&[&[&message[..], b" "].concat()]), differs);
    assert_eq!(refused(&[&[]]), differs);
    assert_eq!(refused(&[]), differs);
}

#[test]
fn a_receipt_of_another_hand_or_time_is_refused() {
    let message = receipt(Suite::S04, "");
    let envelope = sign(Suite::S04, &message);
    let carol = [Arc::new(pki().carol.certificate().clone())];
    let refused = verify_message(&envelope, &[&message], &carol, None).unwrap_err();
    assert!(
        matches!(&refused, OpenError::Signature(problems) if matches!(problems[..], [SignerProblem::Unknown { .. }]))
    );
    let late = verify_message(&envelope, &[&message], &alice(), Some(NOT_AFTER + 1)).unwrap_err();
    assert!(
        matches!(&late, OpenError::Signature(problems) if matches!(problems[..], [SignerProblem::Expired { .. }]))
    );
}

#[test]
fn no_wrong_bit_of_a_receipt_changes_what_is_accepted() {
    let (message, other) = (receipt(Suite::S04, ""), receipt(Suite::S02, ""));
    let mut envelope = sign(Suite::S04, &message);
    for bit in 0..envelope.len() * 8 {
        envelope[bit / 8] ^= 1 << (bit % 8);
        if let Ok(verified) = verify_message(&envelope, &[&message, &other], &alice(), None) {
            assert_eq!(verified.form, 0, "bit {bit}");
        }
        envelope[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_receipt_has_an_end_and_nothing_behind_it() {
    let message = receipt(Suite::S04, "");
    let envelope = sign(Suite::S04, &message);
    for end in 0..envelope.len() {
        let cut = verify_message(&envelope[..end], &[&message], &alice(), None);
        assert_eq!(cut, Err(OpenError::Truncated), "{end}");
    }
    let longer = [&envelope[..], &[0]].concat();
    assert_eq!(verify_message(&longer, &[&message], &alice(), None), Err(OpenError::TrailingData));
    let endless = vec![0x30; MESSAGE_BYTES_MAX + 1];
    let refused = verify_message(&endless, &[&message], &alice(), None);
    assert_eq!(refused, Err(OpenError::Limit(Limit::ElementBytes)));
}

#[test]
fn a_receipt_must_be_signed_data() {
    let message = receipt(Suite::S04, "");
    let sealed = seal_challenge(Suite::S04, pki().carol.certificate(), CHALLENGE, &mut entropy(1)).unwrap();
    for envelope in [sealed, message.clone(), Node::Leaf(4, message.clone()).octets()] {
        let refused = verify_message(&envelope, &[&message], &alice(), None);
        assert!(matches!(refused, Err(OpenError::Malformed(_))), "{refused:?}");
    }
    let mut unsigned = signed(&message);
    unsigned.at(&[1, 0, 3]).children().clear();
    let refused = verify_message(&unsigned.octets(), &[&message], &alice(), None);
    assert_eq!(refused, Err(OpenError::Signature(vec![SignerProblem::NoSigner])));
}

#[test]
fn a_challenge_is_opened_in_every_suite() {
    for suite in Suite::ALL {
        let sealed = seal_challenge(suite, pki().carol.certificate(), CHALLENGE, &mut entropy(2)).unwrap();
        let (challenge, decrypted) = open_challenge(&sealed, &[pki().carol.identity.clone()]).unwrap();
        assert_eq!(&*challenge, CHALLENGE);
        assert_eq!((decrypted.cipher, decrypted.transport), (suite.content_cipher(), suite.key_transport()));
    }
}

#[test]
fn a_challenge_for_somebody_else_cannot_be_opened() {
    let sealed = seal_challenge(Suite::S04, pki().carol.certificate(), CHALLENGE, &mut entropy(3)).unwrap();
    let [alice, bob] = [&pki().alice, &pki().bob].map(|station| station.identity.clone());
    // With a single key it is tried; the outcome is that of damage.
    let refused = open_challenge(&sealed, std::slice::from_ref(&alice)).map(|_| ()).unwrap_err();
    assert_eq!(refused, OpenError::Decrypt);
    assert_eq!(open_challenge(&sealed, &[alice, bob]).map(|_| ()).unwrap_err(), OpenError::NotForUs);
    assert_eq!(open_challenge(&sealed, &[]).map(|_| ()).unwrap_err(), OpenError::NotForUs);
}

#[test]
fn a_challenge_has_twenty_octets() {
    let carol = pki().carol.certificate_path.to_str().unwrap();
    for bytes in [0, 1, 19, 20, 21, 40] {
        let arguments = ["cms", "-encrypt", "-binary", "-outform", "DER", "-des3", carol];
        let sealed = openssl(&arguments, &noise(1, bytes)).unwrap();
        let opened = open_challenge(&sealed, &[pki().carol.identity.clone()]);
        if bytes == CHALLENGE_BYTES {
            assert_eq!(opened.unwrap().0[..], noise(1, bytes));
        } else {
            assert_eq!(opened.map(|_| ()), Err(OpenError::Decrypt), "{bytes}");
        }
    }
}

#[test]
fn a_challenge_has_an_end_and_nothing_behind_it() {
    let sealed = seal_challenge(Suite::S04, pki().carol.certificate(), CHALLENGE, &mut entropy(4)).unwrap();
    let open =
        |sealed: &[u8]| open_challenge(sealed, &[pki().carol.identity.clone()]).map(|_| ()).unwrap_err();
    for end in 0..sealed.len() {
        assert_eq!(open(&sealed[..end]), OpenError::Truncated, "{end}");
    }
    assert_eq!(open(&[&sealed[..], &[0]].concat()), OpenError::TrailingData);
    assert_eq!(open(&vec![0x30; MESSAGE_BYTES_MAX + 1]), OpenError::Limit(Limit::ElementBytes));
    let mut damaged = sealed.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(open(&damaged), OpenError::Decrypt);
}
