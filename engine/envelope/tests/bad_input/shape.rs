//! Elements that stand in the wrong place, are of absurd length, or are too many.

use odile_envelope::{Flaw, Limit, OpenError, OpenTerms, Suite};

use crate::asn1::{Node, element, indefinite};
use crate::pki::{noise, open, pki};
use crate::{
    CHALLENGE, COMPRESS, ENCRYPT, SIGN, SIGN_ENCRYPT, enveloped, outcome, refused, seal, signed, to_carol,
};

/// A signed message whose content octet string is replaced.
fn with_content(content: Vec<u8>) -> Vec<u8> {
    let mut envelope = signed(b"content");
    *envelope.at(&[1, 0, 2, 1, 0]) = Node::Raw(content);
    envelope.indefinite()
}

#[test]
fn lengths_beyond_reason_are_refused() {
    let malformed = |flaw| OpenError::Malformed(flaw);
    let giant = |first: &[u8]| with_content([first, b"content"].concat());
    for (content, expected) in [
        // More than there ever will be, but a length: it is waited for.
        (&[4, 0x88, 0x80, 0, 0, 0, 0, 0, 0, 0][..], OpenError::Truncated),
        (&[4, 0x88, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], malformed(Flaw::Length)),
        (&[4, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 7], malformed(Flaw::Length)),
        (&[4, 0xFF], malformed(Flaw::Length)),
        // Only what is constructed may have no length.
        (&[4, 0x80], malformed(Flaw::Length)),
        (&[0x24, 0x80, 4, 0x80], malformed(Flaw::Length)),
        // Longer than the element around it.
        (&[0x24, 3, 4, 2], malformed(Flaw::Length)),
        (&[0x1F, 0x81, 1], malformed(Flaw::LongTag)),
        (&[0x24, 0x80, 0x3F, 1], malformed(Flaw::LongTag)),
    ] {
        assert_eq!(refused(&to_carol(SIGN), &giant(content)), expected, "{content:02x?}");
    }
}

#[test]
fn a_length_that_leaves_its_parent_is_refused_wherever_it_stands() {
    let octets = signed(&[b'x'; 300]).octets();
    let mut at = 0;
    // ContentInfo, [0] and SignedData, whose lengths are of two octets.
    for parent in 0..3 {
        assert_eq!(octets[at + 1], 0x82);
        let with = |change: u16| {
            let length = u16::from_be_bytes([octets[at + 2], octets[at + 3]]).wrapping_add(change);
            [&octets[..at + 2], &length.to_be_bytes(), &octets[at + 4..]].concat()
        };
        let expected = if parent == 0 { OpenError::Truncated } else { OpenError::Malformed(Flaw::Length) };
        assert_eq!(refused(&to_carol(SIGN), &with(1)), expected, "parent {parent}");
        let shorter = refused(&to_carol(SIGN), &with(u16::MAX));
        assert!(matches!(shorter, OpenError::Malformed(_)), "parent {parent}: {shorter:?}");
        // The content type stands between the first and the second.
        at += if parent == 0 { 4 + 11 } else { 4 };
    }
}

#[test]
fn giant_elements_are_refused_before_they_come() {
    let announced = |tag: u8| Node::Raw([&[tag, 0x84, 0x7F, 0xFF, 0xFF, 0xFF][..], &[0; 100]].concat());
    let cases = [
        (1, 0x31, Limit::ElementBytes),
        (3, 0xA0, Limit::SkippedBytes),
        (3, 0xA1, Limit::SkippedBytes),
        (3, 0x31, Limit::ElementBytes),
    ];
    for (place, tag, limit) in cases {
        let mut envelope = signed(b"content");
        *envelope.at(&[1, 0, place]) = announced(tag);
        assert_eq!(refused(&to_carol(SIGN), &envelope.indefinite()), OpenError::Limit(limit), "{tag:x}");
    }
    let mut envelope = enveloped(Suite::S04);
    *envelope.at(&[1, 0, 1]) = announced(0x31);
    assert_eq!(refused(&to_carol(ENCRYPT), &envelope.indefinite()), OpenError::Limit(Limit::ElementBytes));
    let mut envelope = enveloped(Suite::S04);
    *envelope.at(&[1, 0, 2, 1]) = announced(0x30);
    assert_eq!(refused(&to_carol(ENCRYPT), &envelope.indefinite()), OpenError::Limit(Limit::ElementBytes));
}

#[test]
fn a_great_many_small_certificates_are_refused_as_well() {
    let mut envelope = signed(b"content");
    let many = element(0x30, &[0; 1000]).repeat(17_000);
    envelope.at(&[1, 0]).children().insert(3, Node::Raw(indefinite(0xA0, &many)));
    let stream = envelope.indefinite();
    assert_eq!(refused(&to_carol(SIGN), &stream), OpenError::Limit(Limit::SkippedBytes));
}

#[test]
fn towers_of_elements_are_refused() {
    let nesting = OpenError::Limit(Limit::Nesting);
    let tower = |header: &[u8], floors: usize| Node::Raw(header.repeat(floors));
    let mut strings = signed(b"content");
    *strings.at(&[1, 0, 2, 1, 0]) = tower(&[0x24, 0x80], 100_000);
    let mut certificates = signed(b"content");
    certificates.at(&[1, 0]).children().insert(3, tower(&[0xA0, 0x80], 100_000));
    let mut signers = signed(b"content");
    *signers.at(&[1, 0, 3]) = tower(&[0x31, 0x80], 100_000);
    for envelope in [strings, certificates, signers] {
        assert_eq!(refused(&to_carol(SIGN), &envelope.indefinite()), nesting);
    }
    // A tower of known height is kept as it is, and refused when it is looked into.
    let tall = (0..100).fold(element(4, b"top"), |inner, _| element(0x30, &inner));
    let mut recipients = enveloped(Suite::S04);
    recipients.at(&[1, 0, 1]).children().push(Node::Raw(tall.clone()));
    assert_eq!(refused(&to_carol(ENCRYPT), &recipients.octets()), nesting);
    let mut signers = signed(b"content");
    signers.at(&[1, 0, 3]).children().push(Node::Raw(tall));
    assert_eq!(refused(&to_carol(SIGN), &signers.octets()), nesting);
}

#[test]
fn strings_within_strings_and_thousands_of_empty_ones_are_content() {
    let empty = [&[4, 0][..], &[0x24, 0], &[0x24, 0x80, 0, 0], &[0x24, 0x80, 4, 0, 0, 0]].concat();
    let many =
        [empty.repeat(20_000), element(4, b"con"), element(0x24, &element(4, b"tent")), empty].concat();
    let stream = with_content(indefinite(0x24, &many));
    let (content, _) = open(&to_carol(SIGN), &stream, 4096, 4096).unwrap();
    assert_eq!(content, b"content");
    // The same around ciphertext: blocks begin and end anywhere.
    let mut envelope = enveloped(Suite::S04);
    let ciphertext = envelope.at(&[1, 0, 2, 2]).content().clone();
    let pieces: Vec<u8> =
        ciphertext.chunks(5).flat_map(|piece| [element(4, &[]), element(4, piece)].concat()).collect();
    *envelope.at(&[1, 0, 2, 2]) = Node::Raw(indefinite(0xA0, &pieces));
    assert_eq!(outcome(&to_carol(ENCRYPT), &envelope.indefinite()).unwrap().0, CHALLENGE);
}

#[test]
fn what_does_not_belong_there_is_refused() {
    let malformed = |flaw| OpenError::Malformed(flaw);
    let bent = |bend: &dyn Fn(&mut Node)| {
        let mut envelope = signed(b"content");
        bend(&mut envelope);
        let (definite, indefinite) = (envelope.octets(), envelope.indefinite());
        let error = refused(&to_carol(SIGN), &definite);
        assert_eq!(error, refused(&to_carol(SIGN), &indefinite));
        error
    };
    let remove = |path: &'static [usize], place: usize| {
        bent(&move |envelope| {
            envelope.at(path).children().remove(place);
        })
    };
    assert_eq!(remove(&[1, 0], 0), malformed(Flaw::UnexpectedTag), "no version");
    assert_eq!(remove(&[1, 0], 1), malformed(Flaw::UnexpectedTag), "no digest algorithms");
    assert_eq!(remove(&[1, 0, 2], 1), malformed(Flaw::Detached), "no content");
    assert_eq!(remove(&[1, 0, 2, 1], 0), malformed(Flaw::Detached), "no octet string");
    assert_eq!(remove(&[1, 0], 3), malformed(Flaw::UnexpectedTag), "no signers");
    let add = |path: &'static [usize]| {
        bent(&move |envelope| envelope.at(path).children().push(Node::Leaf(5, Vec::new())))
    };
    assert_eq!(add(&[]), malformed(Flaw::Surplus), "behind the content of ContentInfo");
    assert_eq!(add(&[1]), malformed(Flaw::Surplus), "behind SignedData");
    assert_eq!(add(&[1, 0]), malformed(Flaw::Surplus), "behind the signers");
    assert_eq!(add(&[1, 0, 2]), malformed(Flaw::Surplus), "behind the encapsulated content");
    assert_eq!(add(&[1, 0, 2, 1]), malformed(Flaw::Surplus), "behind the octet string");
    let number = bent(&|envelope| *envelope.at(&[1, 0, 2, 1, 0]) = Node::Leaf(2, vec![1]));
    assert_eq!(number, malformed(Flaw::UnexpectedTag), "a number as content");
}

#[test]
fn an_encrypted_content_may_not_be_missing() {
    let mut envelope = enveloped(Suite::S04);
    envelope.at(&[1, 0, 2]).children().pop();
    let expected = OpenError::Malformed(Flaw::Detached);
    assert_eq!(refused(&to_carol(ENCRYPT), &envelope.octets()), expected);
    assert_eq!(refused(&to_carol(ENCRYPT), &envelope.indefinite()), expected);
}

#[test]
fn as_many_recipients_as_allowed_and_no_more() {
    let mut stranger = enveloped(Suite::S04).at(&[1, 0, 1, 0]).clone();
    stranger.at(&[1, 1]).content().push(1);
    for (others, expected) in [(63, Ok(())), (64, Err(OpenError::Limit(Limit::Recipients)))] {
        let mut envelope = enveloped(Suite::S04);
        let recipients = envelope.at(&[1, 0, 1]).children();
        recipients.splice(0..0, std::iter::repeat_n(stranger.clone(), others));
        assert_eq!(outcome(&to_carol(ENCRYPT), &envelope.octets()).map(|_| ()), expected);
        assert_eq!(outcome(&to_carol(ENCRYPT), &envelope.indefinite()).map(|_| ()), expected);
    }
}

#[test]
fn as_many_signers_as_allowed_and_no_more() {
    let mut stranger = signed(b"content").at(&[1, 0, 3, 0]).clone();
    stranger.at(&[1, 1]).content().push(1);
    for (others, expected) in [(15, Ok(15)), (16, Err(OpenError::Limit(Limit::Signers)))] {
        let mut envelope = signed(b"content");
        let signers = envelope.at(&[1, 0, 3]).children();
        signers.splice(0..0, std::iter::repeat_n(stranger.clone(), others));
        let outcome = outcome(&to_carol(SIGN), &envelope.octets());
        assert_eq!(outcome.map(|(_, opened)| opened.verified.unwrap().others.len()), expected);
    }
}

#[test]
fn as_many_digest_algorithms_as_allowed_and_no_more() {
    for (others, expected) in [(15, Ok(())), (16, Err(OpenError::Limit(Limit::Digests)))] {
        let mut envelope = signed(b"content");
        let digests = envelope.at(&[1, 0, 1]).children();
        let other = Node::Branch(0x30, vec![Node::Leaf(6, vec![0x55, 4, 3])]);
        digests.splice(0..0, std::iter::repeat_n(other, others));
        assert_eq!(outcome(&to_carol(SIGN), &envelope.octets()).map(|_| ()), expected);
    }
}

#[test]
fn inside_an_encrypted_layer_every_wrong_shape_is_a_failure_of_decryption() {
    let mut too_many = signed(b"content");
    let signer = too_many.at(&[1, 0, 3, 0]).clone();
    too_many.at(&[1, 0, 3]).children().extend(std::iter::repeat_n(signer, 16));
    let mut surplus = signed(b"content");
    surplus.at(&[1, 0]).children().push(Node::Leaf(5, Vec::new()));
    let mut tower = signed(b"content");
    *tower.at(&[1, 0, 2, 1, 0]) = Node::Raw([0x24, 0x80].repeat(100));
    let trailing = [signed(b"content").octets(), vec![0]].concat();
    let other = noise(1, 500);
    for inner in [too_many.octets(), surplus.octets(), tower.octets(), trailing, other] {
        let stream = seal(Suite::S04, ENCRYPT, &inner);
        assert_eq!(refused(&to_carol(SIGN_ENCRYPT), &stream), OpenError::Decrypt);
    }
}

#[test]
fn other_content_types_are_no_layer() {
    // AuthEnvelopedData, EncryptedData, plain data: what was announced is missing.
    for last in [6, 1] {
        for services in [SIGN, COMPRESS, ENCRYPT] {
            let mut envelope = signed(b"content");
            *envelope.at(&[0]).content().last_mut().unwrap() = last;
            let error = refused(&to_carol(services), &envelope.octets());
            assert!(matches!(error, OpenError::ServiceMissing(_)), "{error:?}");
        }
    }
}

#[test]
fn an_envelope_for_somebody_else_is_refused_at_once_if_it_names_several() {
    let mut envelope = enveloped(Suite::S04);
    let mut stranger = envelope.at(&[1, 0, 1, 0]).clone();
    stranger.at(&[1, 1]).content().push(1);
    *envelope.at(&[1, 0, 1]).children() = vec![stranger.clone(), stranger.clone()];
    assert_eq!(refused(&to_carol(ENCRYPT), &envelope.octets()), OpenError::NotForUs);
    // Or if we have several keys.
    *envelope.at(&[1, 0, 1]).children() = vec![stranger.clone()];
    let keys = [&pki().alice, &pki().bob].map(|station| station.identity.clone()).to_vec();
    let two_keys = OpenTerms { recipients: keys, ..to_carol(ENCRYPT) };
    assert_eq!(refused(&two_keys, &envelope.octets()), OpenError::NotForUs);
    let no_key = OpenTerms { recipients: Vec::new(), ..to_carol(ENCRYPT) };
    assert_eq!(refused(&no_key, &enveloped(Suite::S04).octets()), OpenError::NotForUs);
    // A single recipient is tried with a single key, whatever its name.
    assert_eq!(outcome(&to_carol(ENCRYPT), &envelope.octets()).unwrap().0, CHALLENGE);
}
