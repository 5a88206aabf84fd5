//! Envelopes that are whole, but not what was announced or agreed, or from nobody whom we know.

use std::sync::Arc;

use odile_station::envelope::seal::Embed;
use odile_station::envelope::{SealOptions, Services, Suite};
use odile_tests::asn1::Node;
use odile_tests::envelope::{
    COMPRESS, COMPRESS_ENCRYPT, ENCRYPT, SIGN, SIGN_COMPRESS, SIGN_ENCRYPT, Sealing, announced, noise, signed,
};
use odile_tests::peer::Peer;
use odile_tests::pki::{Issued, Validity, issued, issued_for};
use odile_tests::scene::{Scene, equipped};
use odile_wire::Mnemonic;

use super::{
    ALL, BAD_SIGNATURE, Case, NOT_DECOMPRESSED, NOT_DECRYPTED, TOO_BIG, efna, knowing_many, refused,
    refused_by, sealed,
};

#[test]
fn a_file_for_somebody_else_is_refused() {
    let (peer, other) = (issued("peer"), issued("somebody else"));
    let for_other = Sealing::new(&peer, &other).seal(ALL, b"secret");
    // With one recipient and one key there is no harm in trying; with more, there is a name to go by.
    let mut two = Node::parse(&for_other);
    let recipient = two.at(&[1, 0, 1, 0]).clone();
    two.at(&[1, 0, 1]).children().push(recipient);
    refused(
        &NOT_DECRYPTED,
        &[
            Case::new(ALL, for_other, "damaged, or encrypted for another key"),
            Case::new(ALL, two.indefinite(), "encrypted for somebody else"),
        ],
    );
}

#[test]
fn a_signature_counts_only_if_it_is_the_peers_and_in_its_time() {
    let signed_by = |signer: &Issued, embed| signed(Suite::S04, signer, b"hello", embed).definite();
    let by = |signer: &Arc<Issued>, embed, detail| Case::new(SIGN, signed_by(signer, embed), detail);
    let (stranger, other_purpose) = (issued("stranger"), issued("peer, for encryption only"));
    let expired = issued_for("peer of old", Validity::Expired);
    let not_yet = issued_for("peer to come", Validity::NotYet);
    refused_by(
        knowing_many,
        "",
        &BAD_SIGNATURE,
        &[
            by(&stranger, Embed::Nothing, "is not known"),
            // Whoever brings a certificate along is no better known.
            by(&stranger, Embed::SignerCertificate, "is not known"),
            by(&issued("good"), Embed::Nothing, "is not known"),
            by(&issued("station"), Embed::Nothing, "is not known"),
            by(&other_purpose, Embed::Nothing, "is not known"),
            by(&expired, Embed::Nothing, "(CN=peer of old) expired"),
            by(&not_yet, Embed::SignerCertificate, "(CN=peer to come) is not valid yet"),
        ],
    );
}

#[test]
fn a_signature_over_something_else_is_refused() {
    let peer = issued("peer");
    let tree = |content: &[u8]| signed(Suite::S04, &peer, content, Embed::Nothing);
    let mut other_content = tree(b"what was signed");
    *other_content.at(&[1, 0, 2, 1, 0]) = Node::Leaf(0x04, b"what came".to_vec());
    let mut other_signer = tree(b"what came");
    *other_signer.at(&[1, 0, 3, 0]) = tree(b"what was signed").at(&[1, 0, 3, 0]).clone();
    let mut without_content = tree(b"what was signed");
    without_content.at(&[1, 0, 2]).children().pop();
    let mut without_signer = tree(b"what was signed");
    without_signer.at(&[1, 0, 3]).children().clear();
    let mut without_attributes = tree(b"what was signed");
    without_attributes.at(&[1, 0, 3, 0]).children().remove(3);
    let mut without_digest = tree(b"what was signed");
    without_digest.at(&[1, 0, 1]).children().clear();
    let case = |tree: &Node, detail| Case::new(SIGN, tree.definite(), detail);
    refused(
        &BAD_SIGNATURE,
        &[
            case(&other_content, "the content is not the one that was signed"),
            case(&other_signer, "the content is not the one that was signed"),
            case(&without_content, "it has no content"),
            case(&without_signer, "there is no signer"),
            case(&without_attributes, "the signature is wrong"),
            case(&without_digest, "a hash function that the envelope did not announce"),
        ],
    );
}

#[test]
fn what_inflates_without_end_stops_at_the_size_agreed() {
    let zeros = vec![0; 20 << 20];
    let (peer, station) = (issued("peer"), issued("station"));
    let sealing = Sealing { options: SealOptions::default(), ..Sealing::new(&peer, &station) };
    let limit = "octets_max = 100000\n";
    for (services, told) in [(COMPRESS, &TOO_BIG), (SIGN_COMPRESS, &TOO_BIG), (ALL, &NOT_DECRYPTED)] {
        let envelope = sealing.seal(services, &zeros);
        assert!(envelope.len() < zeros.len() / 100, "{} octets", envelope.len());
        let bomb = Case::new(services, envelope, "exceeds a limit of this station: size of the content");
        refused_by(equipped, limit, told, &[bomb]);
    }
}

#[test]
fn a_file_that_is_larger_than_agreed_and_announced_is_refused_at_its_end() {
    let scene = Scene::secured("[receive]\noctets_max = 1000\n");
    let mut peer = Peer::open(scene.address);
    for services in [Services::NONE, SIGN, ENCRYPT, COMPRESS] {
        for octets in [1000, 1001, 40_000] {
            let content = match services {
                Services::NONE => noise(6, octets),
                services => sealed(services, &noise(6, octets)),
            };
            let suite = if services.sign || services.encrypt { 4 } else { 0 };
            let mut file = announced("LIAR", services, suite, 0);
            file.envelope = u8::from(services != Services::NONE);
            let answer = peer.try_file(&file, &content);
            if octets == 1000 {
                assert_eq!(answer.mnemonic(), Mnemonic::Efpa, "{answer:?}");
            } else {
                let told = if services == ENCRYPT { &NOT_DECRYPTED } else { &TOO_BIG };
                let answer = efna(answer);
                assert_eq!((answer.reason, answer.text.to_string().as_str()), (told.answer, told.text));
            }
        }
    }
    peer.finish();
    scene.assert_told("not received: the file is larger than agreed, and than announced");
    for path in scene.station.inbox("peer") {
        assert_eq!(std::fs::read(path).expect("it is there"), noise(6, 1000));
    }
    scene.assert_unharmed(4);
}

#[test]
fn an_envelope_that_contradicts_the_suite_announced_is_refused() {
    let (peer, station) = (issued("peer"), issued("station"));
    let case = |announced: u8, suite, services, detail| {
        let octets = Sealing::new(&peer, &station).suite(suite).seal(services, b"hello");
        Case { services, suite: announced, octets, detail }
    };
    let terms = "suites = [1, 2, 4, 6, 8]\n";
    refused_by(
        equipped,
        terms,
        &NOT_DECRYPTED,
        &[
            case(1, Suite::S04, ENCRYPT, "encrypted otherwise than suite 01 says"),
            case(4, Suite::S01, ENCRYPT, "encrypted otherwise than suite 04 says"),
            case(4, Suite::S03, ALL, "encrypted otherwise than suite 04 says"),
            case(4, Suite::S08, COMPRESS_ENCRYPT, "encrypted otherwise than suite 04 says"),
            case(8, Suite::S04, ENCRYPT, "encrypted otherwise than suite 08 says"),
        ],
    );
    refused_by(
        equipped,
        terms,
        &BAD_SIGNATURE,
        &[
            case(6, Suite::S04, SIGN, "signed otherwise than suite 06 says"),
            case(4, Suite::S02, SIGN_COMPRESS, "signed otherwise than suite 04 says"),
            case(2, Suite::S04, ALL, "signed otherwise than suite 02 says"),
            case(4, Suite::S08, SIGN, "signed otherwise than suite 04 says"),
        ],
    );
}

#[test]
fn services_that_were_announced_but_are_missing_are_refused() {
    let real = |services| match services {
        Services::NONE => b"plain, and nothing else".to_vec(),
        services => sealed(services, b"hello"),
    };
    let case = |announced, found, detail| Case::new(announced, real(found), detail);
    let none = Services::NONE;
    refused(
        &BAD_SIGNATURE,
        &[
            case(SIGN, none, "announced as signed, but is not"),
            case(SIGN, COMPRESS, "announced as signed, but is not"),
            case(SIGN, ENCRYPT, "announced as signed, but is not"),
            case(SIGN_COMPRESS, COMPRESS, "announced as signed, but is not"),
        ],
    );
    refused(
        &NOT_DECOMPRESSED,
        &[
            case(COMPRESS, none, "announced as compressed, but is not"),
            case(COMPRESS, SIGN, "announced as compressed, but is not"),
            case(SIGN_COMPRESS, SIGN, "announced as compressed, but is not"),
            case(SIGN_COMPRESS, none, "announced as compressed, but is not"),
        ],
    );
    refused(
        &NOT_DECRYPTED,
        &[
            case(ENCRYPT, none, "announced as encrypted, but is not"),
            case(ALL, SIGN_COMPRESS, "announced as encrypted, but is not"),
            case(SIGN_ENCRYPT, SIGN, "announced as encrypted, but is not"),
            case(ALL, SIGN_ENCRYPT, "cannot be decrypted"),
            case(SIGN_ENCRYPT, ENCRYPT, "cannot be decrypted"),
            case(ALL, none, "announced as encrypted, but is not"),
        ],
    );
}
