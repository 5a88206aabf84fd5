//! Envelopes that are damaged, or none at all.

use odile_station::envelope::seal::Embed;
use odile_station::envelope::{ContentCipher, Services, Suite};
use odile_tests::asn1::element;
use odile_tests::envelope::{
    COMPRESS, COMPRESS_ENCRYPT, ENCRYPT, SIGN, SIGN_COMPRESS, SIGN_ENCRYPT, Sealing, announced, compressed,
    flipped, noise, position, signed, vector_at, wrapped_key_at, zlib,
};
use odile_tests::peer::Peer;
use odile_tests::pki::{Issued, Validity, issued, issued_for};
use odile_tests::scene::Scene;
use odile_wire::AnswerReason;
use odile_wire::command::StartFile;

use super::{
    ALL, BAD_SIGNATURE, Case, NOT_DECOMPRESSED, NOT_DECRYPTED, Told, efna, knowing_many, refused, sealed,
};

#[test]
fn a_flipped_bit_in_a_signed_file_is_noticed() {
    let envelope = sealed(SIGN, b"This is what was signed.");
    let content = position(&envelope, b"was signed");
    // Behind the signature there are the ends of three elements of indefinite length.
    let signature = envelope.len() - 40;
    let digest = position(&envelope, &[0x31, 34, 0x04, 32]) + 10;
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
    refused(&NOT_DECOMPRESSED, &[Case::new(SIGN_COMPRESS, damaged, "")]);
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
            Case::new(ALL, flipped(&envelope, key - 7), "with an algorithm that this station does not know"),
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
