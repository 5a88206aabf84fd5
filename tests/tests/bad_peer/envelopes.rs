//! Files whose envelopes are of no use: damaged, for somebody else, signed by nobody whom we know, larger than they
//! look. They are refused with EFNA, or with EFPA and a NERP later, if the terms say so; the session goes on.

use std::sync::Arc;

use odile_station::Event;
use odile_station::envelope::seal::Embed;
use odile_station::envelope::{ContentCipher, SealOptions, Services, Suite};
use odile_tests::asn1::{Node, element};
use odile_tests::envelope::{
    COMPRESS, COMPRESS_ENCRYPT, ENCRYPT, SIGN, SIGN_COMPRESS, SIGN_ENCRYPT, Sealing, announced, compressed,
    flipped, noise, position, signed, vector_at, wrapped_key_at, zlib,
};
use odile_tests::peer::{Peer, STATION, code, sfid};
use odile_tests::pki::{Issued, Validity, issued, issued_for};
use odile_tests::scene::{Scene, equipped};
use odile_tests::station::TestStation;
use odile_wire::command::{EndFileNegativeAnswer, StartFile};
use odile_wire::{AnswerReason, Command, Mnemonic, NegativeEndReason};

const ALL: Services = Services::ALL;

/// An envelope, what SFID says of it, and what our operator gets to read.
struct Case {
    services: Services,
    suite: u8,
    octets: Vec<u8>,
    detail: &'static str,
}

impl Case {
    /// Announced with suite 04.
    fn new(services: Services, octets: Vec<u8>, detail: &'static str) -> Self {
        Self { services, suite: 4, octets, detail }
    }

    fn file(&self) -> StartFile {
        announced("USELESS", self.services, self.suite, self.octets.len())
    }
}

/// What the peer gets to read.
struct Told {
    answer: AnswerReason,
    response: NegativeEndReason,
    text: &'static str,
}

const BAD_SIGNATURE: Told = Told {
    answer: AnswerReason::INVALID_SIGNATURE,
    response: NegativeEndReason::INVALID_SIGNATURE,
    text: "the file signature is not valid",
};
const NOT_DECRYPTED: Told = Told {
    answer: AnswerReason::DECRYPTION_FAILURE,
    response: NegativeEndReason::DECRYPTION_FAILED,
    text: "the file cannot be decrypted, or what is in it is not valid",
};
const NOT_DECOMPRESSED: Told = Told {
    answer: AnswerReason::DECOMPRESSION_FAILURE,
    response: NegativeEndReason::DECOMPRESSION_FAILED,
    text: "the file cannot be decompressed",
};
const TOO_BIG: Told = Told {
    answer: AnswerReason::FILE_TOO_BIG,
    response: NegativeEndReason::FILE_TOO_BIG,
    text: "the file is larger than agreed",
};

/// A right one from the peer.
fn sealed(services: Services, content: &[u8]) -> Vec<u8> {
    Sealing::new(&issued("peer"), &issued("station")).seal(services, content)
}

fn efna(answer: Command) -> EndFileNegativeAnswer {
    match answer {
        Command::EndFileNegativeAnswer(answer) => answer,
        other => unreachable!("EFNA was expected, not {other:?}"),
    }
}

/// Each case is refused, in both ways; nothing of it is kept.
fn refused(told: &Told, cases: &[Case]) {
    refused_by(equipped, "", told, cases);
}

fn refused_by(station: impl Fn() -> TestStation, receive: &str, told: &Told, cases: &[Case]) {
    let scene = Scene::prepared(station(), &format!("[receive]\n{receive}"));
    refused_at_once(&scene, told, cases);
    let scene = Scene::prepared(station(), &format!("[receive]\nrefuse_with = \"nerp\"\n{receive}"));
    refused_later(&scene, told, cases);
}

fn refused_at_once(scene: &Scene, told: &Told, cases: &[Case]) {
    let mut peer = Peer::open(scene.address);
    for case in cases {
        let answer = efna(peer.try_file(&case.file(), &case.octets));
        assert_eq!(answer.reason, told.answer, "{}", case.detail);
        assert_eq!(answer.text.to_string(), told.text, "{}", case.detail);
    }
    // The session goes on.
    peer.send_file(&sfid("NEXT", 5), b"hello");
    assert_eq!(peer.finish().len(), 1, "no receipt for what was refused");
    assert_failed(scene, cases);
    scene.assert_unharmed(1);
}

fn refused_later(scene: &Scene, told: &Told, cases: &[Case]) {
    let mut peer = Peer::open(scene.address);
    let mut files = Vec::new();
    for case in cases {
        let file = case.file();
        peer.send_file(&file, &case.octets);
        files.push(file.id);
    }
    let receipts = peer.finish_with_receipts();
    assert!(receipts.positive.is_empty(), "{receipts:?}");
    assert_eq!(receipts.negative.iter().map(|nerp| nerp.file()).collect::<Vec<_>>(), files);
    for nerp in &receipts.negative {
        assert_eq!(nerp.reason, told.response);
        assert_eq!(nerp.text.to_string(), told.text);
        assert_eq!(nerp.creator, code(STATION));
        assert!(nerp.hash.is_empty() && nerp.signature.is_empty(), "nobody asked for a signature");
    }
    assert_failed(scene, cases);
    let sent = scene.station.events.all().into_iter();
    assert_eq!(sent.filter(|event| matches!(event, Event::ReceiptSent { .. })).count(), cases.len());
    scene.assert_unharmed(0);
}

/// Our operator knows why each was refused.
fn assert_failed(scene: &Scene, cases: &[Case]) {
    let events = scene.station.events.all();
    let mut failures = events.iter().filter_map(|event| match event {
        Event::ReceiveFailed { text, .. } => Some(text),
        _ => None,
    });
    for case in cases {
        let text = failures.next().expect("a failure for each case");
        assert!(text.contains(case.detail), "{text:?} instead of {:?}", case.detail);
    }
    assert_eq!(failures.next(), None);
}

#[test]
fn a_flipped_bit_in_a_signed_file_is_noticed() {
    let envelope = sealed(SIGN, b"This is what was signed.");
    let content = position(&envelope, b"was signed");
    // Behind the signature there are the ends of three elements of indefinite length.
    let signature = envelope.len() - 40;
    let digest = position(&envelope, &[0x04, 32]) + 10;
    refused(
        &BAD_SIGNATURE,
        &[
            Case::new(SIGN, flipped(&envelope, content), "the content is not the one that was signed"),
            Case::new(SIGN, flipped(&envelope, digest), "the content is not the one that was signed"),
            Case::new(SIGN, flipped(&envelope, signature), "the signature is wrong"),
            Case::new(SIGN, flipped(&envelope, 0), "the file was announced as signed, but is not"),
            Case::new(SIGN, flipped(&envelope, 12), "the file was announced as signed, but is not"),
            Case::new(SIGN, flipped(&envelope, 13), "an element stands where another one belongs"),
        ],
    );
}

#[test]
fn a_flipped_bit_in_a_compressed_file_is_noticed() {
    let original = noise(3, 3000);
    let envelope = sealed(COMPRESS, &original);
    let stream = position(&envelope, &[0x04, 2]) + 2;
    let checksum = envelope.len() - 16;
    let by_peer = [
        Case::new(COMPRESS, flipped(&envelope, stream), "does not begin as a zlib stream does"),
        Case::new(COMPRESS, flipped(&envelope, envelope.len() / 2), "the checksum differs"),
        Case::new(COMPRESS, flipped(&envelope, checksum), "the checksum differs"),
        Case::new(COMPRESS, flipped(&envelope, 0), "announced as compressed, but is not"),
    ];
    refused(&NOT_DECOMPRESSED, &by_peer);
    // The signature is inside: what cannot be decompressed is told as such.
    let envelope = sealed(SIGN_COMPRESS, &original);
    let damaged = flipped(&envelope, envelope.len() / 2);
    refused(&NOT_DECOMPRESSED, &[Case::new(SIGN_COMPRESS, damaged, "the checksum differs")]);
}

#[test]
fn a_flipped_bit_in_an_encrypted_file_is_noticed() {
    let not_decrypted = "cannot be decrypted: it was damaged, or encrypted for another key";
    let envelope = sealed(ALL, &noise(4, 3000));
    let vector = vector_at(&envelope, ContentCipher::Aes256Cbc);
    let key = wrapped_key_at(&envelope);
    let (start, end) = (vector + 40, envelope.len() - 20);
    refused(
        &NOT_DECRYPTED,
        &[
            Case::new(ALL, flipped(&envelope, vector), not_decrypted),
            Case::new(ALL, flipped(&envelope, key), not_decrypted),
            Case::new(ALL, flipped(&envelope, key + 255), not_decrypted),
            Case::new(ALL, flipped(&envelope, start), not_decrypted),
            Case::new(ALL, flipped(&envelope, usize::midpoint(start, end)), "cannot be"),
            Case::new(ALL, flipped(&envelope, end), not_decrypted),
            Case::new(
                ALL,
                flipped(&envelope, vector - 3),
                "with an algorithm that this station does not know",
            ),
            Case::new(ALL, flipped(&envelope, key - 6), "with an algorithm that this station does not know"),
            Case::new(ALL, flipped(&envelope, 0), "announced as encrypted, but is not"),
            Case::new(ALL, flipped(&envelope, 13), "not valid CMS"),
        ],
    );
}

/// The outermost layer that was announced gives the reason.
fn outermost(services: Services) -> &'static Told {
    match services {
        Services { encrypt: true, .. } => &NOT_DECRYPTED,
        Services { compress: true, .. } => &NOT_DECOMPRESSED,
        _ => &BAD_SIGNATURE,
    }
}

#[test]
fn a_truncated_envelope_is_refused() {
    for services in [SIGN, COMPRESS, ALL] {
        let envelope = sealed(services, &noise(5, 2000));
        let cases: Vec<_> = [0, 1, 2, 13, 30, 300, envelope.len() / 2, envelope.len() - 1]
            .into_iter()
            .map(|octets| Case::new(services, envelope[..octets].to_vec(), ""))
            .collect();
        refused(outermost(services), &cases);
    }
}

#[test]
fn octets_behind_an_envelope_are_refused() {
    for services in [SIGN, COMPRESS, ENCRYPT, ALL] {
        let envelope = sealed(services, b"This is all.");
        let behind = |octets: &[u8]| {
            let detail = "there are octets behind the end of the envelope";
            Case::new(services, [&envelope, octets].concat(), detail)
        };
        refused(outermost(services), &[behind(b"\0"), behind(b"\0\0"), behind(b"MORE"), behind(&envelope)]);
    }
}

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

/// A station that knows more certificates of the peer, and one of the other partner.
fn knowing_many() -> TestStation {
    let station = equipped();
    station.give_certificate("peer", "signing", &issued_for("peer of old", Validity::Expired));
    station.give_certificate("peer", "signing", &issued_for("peer to come", Validity::NotYet));
    station.give_certificate("peer", "encryption", &issued("peer, for encryption only"));
    station.give_certificate("good", "signing", &issued("good"));
    station
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

/// SignedData up to the place of its content.
fn signed_front() -> Vec<u8> {
    let envelope = sealed(SIGN, b"x");
    let content = position(&envelope, &[0x24, 0x80, 0x04, 1, b'x']);
    envelope[..content].to_vec()
}

#[test]
fn depths_and_lengths_without_end_are_refused() {
    let front = signed_front();
    let with = |octets: &[u8]| [&front[..], octets].concat();
    let giant = |tag: u8, length: u64| [&[tag, 0x88][..], &length.to_be_bytes()].concat();
    let strings = with(&[0x24, 0x80].repeat(10_000));
    let head = position(&front, &[0x02, 1, 1]);
    let algorithms = |octets: &[u8]| [&front[..head + 3], octets].concat();
    refused(
        &BAD_SIGNATURE,
        &[
            Case::new(SIGN, strings, "nesting depth"),
            Case::new(SIGN, algorithms(&[0x31, 0x80].repeat(5000)), "nesting depth"),
            Case::new(SIGN, algorithms(&giant(0x31, 1 << 40)), "size of a header"),
            Case::new(SIGN, algorithms(&giant(0x31, u64::MAX)), "an element's length is wrong"),
            Case::new(SIGN, with(&giant(0x04, u64::MAX)), "an element's length is wrong"),
            Case::new(SIGN, with(&giant(0x04, i64::MAX.cast_unsigned())), "the stream ends before it does"),
            Case::new(
                SIGN,
                [&[0x30, 0x89][..], &[0xFF; 9], &front[2..]].concat(),
                "announced as signed, but is not",
            ),
            Case::new(SIGN, vec![0x30; 10_000], "announced as signed, but is not"),
            Case::new(
                SIGN,
                with(&element(0x03, b"no octet string")),
                "an element stands where another one belongs",
            ),
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
fn a_zlib_stream_that_is_not_as_it_should_be_is_refused() {
    let stream = zlib(b"This is what was compressed.");
    let end = stream.len();
    let mut dictionary = stream.clone();
    dictionary[1] = 0x20;
    let fcheck = 31 - ((u16::from(dictionary[0]) << 8 | u16::from(dictionary[1])) % 31);
    dictionary[1] += u8::try_from(fcheck % 31).expect("below 31");
    let mut other_algorithm = compressed(&stream);
    let algorithm = position(&other_algorithm, &[9, 16, 3, 8]);
    other_algorithm[algorithm + 3] = 9;
    let case = |stream: &[u8], detail| Case::new(COMPRESS, compressed(stream), detail);
    refused(
        &NOT_DECOMPRESSED,
        &[
            case(&[&stream, &b"\0"[..]].concat(), "there are octets behind its end"),
            case(&[&stream[..], &stream].concat(), "there are octets behind its end"),
            case(&flipped(&stream, end - 1), "the checksum differs"),
            case(&[&stream[..end - 4], &[0, 0, 0, 1]].concat(), "the checksum differs"),
            case(&stream[..end - 1], "it ends too early"),
            case(&stream[..10], "it ends too early"),
            case(b"", "it ends too early"),
            case(&dictionary, "does not begin as a zlib stream does"),
            case(b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "does not begin as a zlib stream does"),
            case(b"\x78\x01\x07\0\0\0", "the stream is damaged"),
            Case::new(COMPRESS, other_algorithm, "with an algorithm that this station does not know"),
        ],
    );
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
fn the_answer_never_tells_what_is_behind_the_encryption() {
    let station = knowing_many();
    let scene = Scene::prepared(station, "[receive]\noctets_max = 100000\n");
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let sealing = Sealing::new(&peer_key, &station_key);
    let around = |inner: &[u8]| sealing.seal(ENCRYPT, inner);
    let original = noise(7, 3000);
    let signed_by = |signer: &Issued| signed(Suite::S04, signer, &original, Embed::Nothing).definite();
    let right = sealing.seal(ALL, &original);
    let vector = vector_at(&right, ContentCipher::Aes256Cbc);
    let inner = sealing.seal(SIGN_COMPRESS, &original);
    let cases = [
        // The padding: the last block, and what is added to it.
        (ALL, flipped(&right, right.len() - 16)),
        (ALL, flipped(&right, right.len() - 40)),
        // A wrong key.
        (ALL, flipped(&right, wrapped_key_at(&right) + 100)),
        (ALL, Sealing::new(&peer_key, &issued("somebody else")).seal(ALL, &original)),
        // Damage at the start, in the middle.
        (ALL, flipped(&right, vector)),
        (ALL, flipped(&right, right.len() / 2)),
        // All padded rightly, but damaged inside: frame, stream, checksum, content, signature.
        (ALL, around(&flipped(&inner, 0))),
        (ALL, around(&flipped(&inner, inner.len() / 2))),
        (ALL, around(&flipped(&inner, inner.len() - 16))),
        (ALL, around(&inner[..inner.len() - 2])),
        (ALL, around(&[&inner, &b"behind"[..]].concat())),
        (ALL, around(&sealing.seal(COMPRESS, &flipped(&signed_by(&peer_key), 1000)))),
        (SIGN_ENCRYPT, around(&flipped(&signed_by(&peer_key), 1000))),
        (SIGN_ENCRYPT, around(&flipped(&signed_by(&peer_key), 3300))),
        // Nothing is damaged, but it is not what was announced, or by nobody whom we know.
        (SIGN_ENCRYPT, around(&original)),
        (SIGN_ENCRYPT, around(b"")),
        (COMPRESS_ENCRYPT, around(&original)),
        (COMPRESS_ENCRYPT, around(&compressed(&flipped(&zlib(&original), 3000)))),
        (SIGN_ENCRYPT, around(&signed_by(&issued("stranger")))),
        (SIGN_ENCRYPT, around(&signed_by(&issued_for("peer of old", Validity::Expired)))),
        (ENCRYPT, sealing.seal(ENCRYPT, &vec![0; 200_000])),
    ];
    let mut peer = Peer::open(scene.address);
    let mut answers = Vec::new();
    for (services, octets) in &cases {
        let file = StartFile { original_size_blocks: 1, ..announced("ORACLE", *services, 4, octets.len()) };
        answers.push(efna(peer.try_file(&file, octets)));
    }
    peer.finish();
    assert_eq!(answers[0].reason, AnswerReason::DECRYPTION_FAILURE);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer, &answers[0], "case {number}");
    }
    // Our operator may know.
    for detail in
        ["the checksum differs", "the signature is wrong", "expired", "is not known", "size of the content"]
    {
        scene.assert_told(detail);
    }
    scene.assert_unharmed(0);
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

#[test]
fn a_file_that_was_refused_may_come_again() {
    let envelope = sealed(ALL, b"at last");
    for refuse_with in ["efna", "nerp"] {
        let scene = Scene::secured(&format!("[receive]\nrefuse_with = \"{refuse_with}\"\n"));
        let file = announced("AGAIN", ALL, 4, envelope.len());
        let mut peer = Peer::open(scene.address);
        peer.try_file(&file, &flipped(&envelope, envelope.len() / 2));
        peer.send_file(&file, &envelope);
        let receipts = peer.finish_with_receipts();
        // The later receipt takes the place of the one that was not sent yet.
        assert_eq!(receipts.positive.len(), 1, "{receipts:?}");
        assert!(receipts.negative.is_empty(), "{receipts:?}");
        assert_eq!(std::fs::read(&scene.station.inbox("peer")[0]).expect("it is there"), b"at last");
        scene.assert_unharmed(1);
    }
}

#[test]
fn a_negative_receipt_that_was_asked_for_signed_is_signed() {
    let scene = Scene::secured("[receive]\nrefuse_with = \"nerp\"\n");
    let envelope = flipped(&sealed(SIGN, b"This is what was signed."), 200);
    let file = StartFile { signed_response: true, ..announced("SIGNED-NERP", SIGN, 4, envelope.len()) };
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, &envelope);
    let receipts = peer.finish_with_receipts();
    let nerp = &receipts.negative[0];
    assert_eq!(nerp.reason, NegativeEndReason::INVALID_SIGNATURE);
    let expected = odile_station::envelope::HashAlgorithm::Sha256.hash(&envelope);
    assert_eq!(nerp.hash, expected.as_bytes(), "over the stream as transmitted");
    let signers = [Arc::new(issued("station").identity.certificate().clone())];
    let octets = nerp.signed_octets();
    odile_station::envelope::verify_message(&nerp.signature, &[&octets], &signers, None)
        .expect("a right signature");
    scene.assert_unharmed(0);
}

#[test]
fn an_envelope_that_is_cut_off_by_the_line_leaves_nothing() {
    let scene = Scene::secured("");
    let envelope = sealed(ALL, &noise(8, 5000));
    let file = announced("CUT", ALL, 4, envelope.len());
    let mut peer = Peer::open(scene.address);
    peer.start(&file);
    peer.send_payload(&odile_tests::peer::open_subrecords(&envelope[..900]));
    drop(peer);
    scene.assert_told("not received: the session ended in the middle of the file");
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, &envelope);
    peer.finish();
    scene.assert_unharmed(1);
}
