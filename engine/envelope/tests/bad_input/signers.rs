//! Signatures of the wrong hand, at the wrong time, over the wrong content.

use std::sync::Arc;

use odile_envelope::{Certificate, OpenError, OpenTerms, RefusalReason, SignerProblem, Suite};

use crate::asn1::Node;
use crate::pki::{NOT_AFTER, NOT_BEFORE, noise, openssl, pki};
use crate::{ENCRYPT, SIGN, SIGN_ENCRYPT, outcome, refused, seal, signed, to_carol};

fn knowing(certificate: &Certificate) -> OpenTerms {
    OpenTerms { signers: vec![Arc::new(certificate.clone())], ..to_carol(SIGN) }
}

fn only(problem: SignerProblem) -> OpenError {
    OpenError::Signature(vec![problem])
}

fn serial_of_alice() -> String {
    let serial = pki().alice.certificate().serial();
    serial.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().concat()
}

#[test]
fn a_certificate_is_good_from_its_first_second_to_its_last() {
    let stream = signed(b"content").octets();
    let subject = pki().alice.certificate().subject();
    for (now, problem) in [
        (0, Some(SignerProblem::NotYetValid { subject: subject.clone() })),
        (NOT_BEFORE - 1, Some(SignerProblem::NotYetValid { subject: subject.clone() })),
        (NOT_BEFORE, None),
        (NOT_AFTER, None),
        (NOT_AFTER + 1, Some(SignerProblem::Expired { subject: subject.clone() })),
        (u64::MAX, Some(SignerProblem::Expired { subject })),
    ] {
        let terms = OpenTerms { now: Some(now), ..to_carol(SIGN) };
        let error = outcome(&terms, &stream).err();
        assert_eq!(error, problem.map(only), "at {now}");
        assert!(error.is_none_or(|error| error.reason() == RefusalReason::InvalidSignature));
    }
}

#[test]
fn an_unknown_signer_is_named_by_his_serial_number() {
    let stream = signed(b"content").octets();
    let unknown = only(SignerProblem::Unknown { serial: serial_of_alice() });
    assert_eq!(refused(&knowing(pki().carol.certificate()), &stream), unknown);
    assert_eq!(refused(&OpenTerms { signers: Vec::new(), ..to_carol(SIGN) }, &stream), unknown);
}

#[test]
fn a_certificate_of_another_key_under_the_same_name_is_of_no_use() {
    // Alice's certificate with Carol's key in it. Who trusts it is decided elsewhere; here it only must not fit.
    let key = [0, 6, 1];
    let mut forged = Node::parse(pki().alice.certificate().der());
    *forged.at(&key) = Node::parse(pki().carol.certificate().der()).at(&key).clone();
    let forged = Certificate::from_der(&forged.octets()).unwrap();
    assert_eq!(forged.serial(), pki().alice.certificate().serial());
    let stream = signed(b"content").octets();
    assert_eq!(refused(&knowing(&forged), &stream), only(SignerProblem::SignatureWrong));
    // Beside the right one, it does no harm.
    let right = Arc::new(pki().alice.certificate().clone());
    let both = OpenTerms { signers: vec![Arc::new(forged), right.clone()], ..to_carol(SIGN) };
    assert_eq!(outcome(&both, &stream).unwrap().1.verified.unwrap().signer, *right);
}

#[test]
fn a_signature_fits_its_own_content_only() {
    let (mut one, mut other) = (signed(b"pay 1000"), signed(b"pay 9999"));
    let infos = [1, 0, 3];
    std::mem::swap(one.at(&infos), other.at(&infos));
    for envelope in [&one, &other] {
        assert_eq!(refused(&to_carol(SIGN), &envelope.octets()), only(SignerProblem::DigestDiffers));
    }
    // With the digest of the other content as well, the attributes are not those that were signed.
    let digest = [1, 0, 3, 0, 3, 2, 1, 0];
    std::mem::swap(one.at(&digest), other.at(&digest));
    for envelope in [&one, &other] {
        assert_eq!(refused(&to_carol(SIGN), &envelope.octets()), only(SignerProblem::SignatureWrong));
    }
}

#[test]
fn a_signature_without_attributes_fits_its_own_content_only() {
    let sign = |content: &[u8]| {
        let alice = &pki().alice;
        let (certificate, key) = (alice.certificate_path.to_str().unwrap(), alice.key_path.to_str().unwrap());
        let flags = ["-binary", "-nodetach", "-nocerts", "-noattr", "-outform", "DER", "-md", "sha256"];
        let keys = ["-signer", certificate, "-inkey", key];
        Node::parse(&openssl(&[&["cms", "-sign"], &flags[..], &keys].concat(), content).unwrap())
    };
    let (mut one, mut other) = (sign(b"pay 1000"), sign(b"pay 9999"));
    assert!(outcome(&to_carol(SIGN), &one.octets()).is_ok());
    let infos = [1, 0, 3];
    std::mem::swap(one.at(&infos), other.at(&infos));
    assert_eq!(refused(&to_carol(SIGN), &one.octets()), only(SignerProblem::SignatureWrong));
}

#[test]
fn attributes_cannot_be_passed_off_as_content() {
    let mut envelope = signed(b"content");
    let info = envelope.at(&[1, 0, 3, 0]);
    let attributes = info.children().remove(3).octets();
    // What was signed is the SET, whose tag is another than the one that is sent.
    let forged = [&[0x31], &attributes[1..]].concat();
    *envelope.at(&[1, 0, 2, 1, 0]).content() = forged;
    assert_eq!(refused(&to_carol(SIGN), &envelope.octets()), only(SignerProblem::Attributes));
    assert_eq!(refused(&to_carol(SIGN), &envelope.indefinite()), only(SignerProblem::Attributes));
}

#[test]
fn attributes_must_be_whole_and_single() {
    let bent = |bend: &dyn Fn(&mut Vec<Node>)| {
        let mut envelope = signed(b"content");
        bend(envelope.at(&[1, 0, 3, 0, 3]).children());
        refused(&to_carol(SIGN), &envelope.octets())
    };
    let remove = |place: usize| {
        bent(&move |attributes| {
            attributes.remove(place);
        })
    };
    assert_eq!(remove(0), only(SignerProblem::Attributes), "no content type");
    assert_eq!(remove(1), only(SignerProblem::SignatureWrong), "no signing time");
    assert_eq!(remove(2), only(SignerProblem::Attributes), "no message digest");
    let twice = bent(&|attributes| attributes.push(attributes[2].clone()));
    assert_eq!(twice, only(SignerProblem::Attributes), "two message digests");
    let two_values = bent(&|attributes| {
        let value = attributes[2].at(&[1, 0]).clone();
        attributes[2].at(&[1]).children().push(value);
    });
    assert_eq!(two_values, only(SignerProblem::Attributes), "one with two values");
    assert_eq!(bent(&Vec::clear), only(SignerProblem::Attributes), "none");
}

#[test]
fn attributes_may_be_in_the_wrong_order_if_they_were_signed_so() {
    let mut envelope = signed(b"content");
    envelope.at(&[1, 0, 3, 0, 3]).children().reverse();
    // Signed in DER, sent in another order.
    assert!(outcome(&to_carol(SIGN), &envelope.octets()).is_ok());
    // Signed in the order in which they are sent.
    let attributes = envelope.at(&[1, 0, 3, 0, 3]).octets();
    let key = pki().alice.key_path.to_str().unwrap();
    let message = [&[0x31], &attributes[1..]].concat();
    let signature = openssl(&["dgst", "-sha256", "-sign", key], &message).unwrap();
    *envelope.at(&[1, 0, 3, 0, 5]).content() = signature;
    assert!(outcome(&to_carol(SIGN), &envelope.octets()).is_ok());
}

#[test]
fn a_signer_needs_a_hash_that_was_announced_and_is_known() {
    let digest = [1, 0, 1, 0, 0];
    let mut envelope = signed(b"content");
    *envelope.at(&digest).content().last_mut().unwrap() = 3;
    assert_eq!(refused(&to_carol(SIGN), &envelope.octets()), only(SignerProblem::DigestNotAnnounced));
    let mut envelope = signed(b"content");
    *envelope.at(&[1, 0, 3, 0, 2, 0]).content().last_mut().unwrap() = 4;
    assert_eq!(refused(&to_carol(SIGN), &envelope.octets()), only(SignerProblem::UnknownAlgorithm));
    let mut envelope = signed(b"content");
    envelope.at(&[1, 0, 1]).children().clear();
    assert_eq!(refused(&to_carol(SIGN), &envelope.octets()), only(SignerProblem::DigestNotAnnounced));
}

#[test]
fn without_a_signer_nothing_is_signed() {
    let mut envelope = signed(b"content");
    envelope.at(&[1, 0, 3]).children().clear();
    assert_eq!(refused(&to_carol(SIGN), &envelope.octets()), only(SignerProblem::NoSigner));
    let mut envelope = signed(b"content");
    *envelope.at(&[1, 0, 3, 0]) = Node::Branch(0x30, vec![Node::Leaf(2, vec![1])]);
    assert_eq!(refused(&to_carol(SIGN), &envelope.octets()), only(SignerProblem::Unreadable));
}

#[test]
fn a_bad_signature_inside_an_encrypted_layer_is_told_as_such() {
    let mut inner = signed(b"content");
    *inner.at(&[1, 0, 3, 0, 5]).content() = noise(1, 256);
    let stream = seal(Suite::S04, ENCRYPT, &inner.octets());
    let error = refused(&to_carol(SIGN_ENCRYPT), &stream);
    assert_eq!(error, only(SignerProblem::SignatureWrong));
    assert_eq!(error.reason(), RefusalReason::InvalidSignature);
}
