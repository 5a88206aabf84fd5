//! Services that are missing, ciphers and compression that are unknown or damaged, and what inflates without end.

use std::sync::Arc;

use odile_envelope::{
    Declared, Flaw, Limit, OpenError, OpenFinish, OpenTerms, Opener, RefusalReason, Services, Suite,
};

use crate::pki::{
    compressed_data, noise, open, openssl, pki, python_compressed, python_zlib, step_text, terms,
};
use crate::{
    COMPRESS, COMPRESS_ENCRYPT, ENCRYPT, SIGN, SIGN_COMPRESS, enveloped, outcome, refused, seal, signed,
    to_carol,
};

#[test]
fn a_declared_service_must_be_there() {
    let source = step_text(1, 500);
    for sealed in Services::combinations() {
        let stream = seal(Suite::S04, sealed, &source);
        for declared in Services::combinations() {
            // From the outside in, up to the first layer that was not declared.
            let mut found = Services::NONE;
            found.encrypt = sealed.encrypt && declared.encrypt;
            let is_open = found.encrypt || !sealed.encrypt;
            found.compress = is_open && sealed.compress && declared.compress;
            let is_open = is_open && (found.compress || !sealed.compress);
            found.sign = is_open && sealed.sign && declared.sign;
            // The outermost one that is missing hides the others.
            let (name, reason) = match declared {
                Services { encrypt: true, .. } if !found.encrypt => {
                    ("encrypted", RefusalReason::DecryptFailure)
                }
                Services { compress: true, .. } if !found.compress => {
                    ("compressed", RefusalReason::DecompressFailure)
                }
                _ => ("signed", RefusalReason::InvalidSignature),
            };
            let error = outcome(&to_carol(declared), &stream).err();
            if declared == found {
                assert_eq!(error, None, "{sealed:?} as {declared:?}");
            } else if found.encrypt {
                assert_eq!(error, Some(OpenError::Decrypt), "{sealed:?} as {declared:?}");
            } else {
                assert_eq!(error, Some(OpenError::ServiceMissing(name)), "{sealed:?} as {declared:?}");
                assert_eq!(error.unwrap().reason(), reason);
            }
        }
    }
}

#[test]
fn nothing_at_all_is_not_what_was_declared() {
    for (services, name) in [(SIGN, "signed"), (COMPRESS, "compressed"), (ENCRYPT, "encrypted")] {
        assert_eq!(refused(&to_carol(services), &[]), OpenError::ServiceMissing(name));
    }
}

#[test]
fn a_service_is_undone_once() {
    let source = step_text(2, 500);
    let twice = seal(Suite::S04, COMPRESS, &seal(Suite::S04, COMPRESS, &source));
    let as_found = OpenTerms { declared: Declared::AsFound, ..to_carol(Services::NONE) };
    let (content, opened) = outcome(&as_found, &twice).unwrap();
    assert_eq!(opened.services, COMPRESS);
    assert_eq!(outcome(&to_carol(COMPRESS), &content).unwrap().0, source);
}

#[test]
fn an_unknown_cipher_is_refused_as_such() {
    let bob = pki().bob.certificate_path.to_str().unwrap();
    for cipher in ["-camellia256", "-aes-256-cfb", "-aria-128-cbc"] {
        let stream = openssl(&["cms", "-encrypt", "-binary", "-outform", "DER", cipher, bob], b"content");
        let error = refused(&terms(ENCRYPT), &stream.unwrap());
        assert_eq!(error, OpenError::UnknownCipher, "{cipher}");
        assert_eq!(error.reason(), RefusalReason::DecryptFailure);
    }
    let mut envelope = enveloped(Suite::S04);
    *envelope.at(&[1, 0, 1, 0, 2, 0]).content().last_mut().unwrap() = 9;
    assert_eq!(refused(&to_carol(ENCRYPT), &envelope.octets()), OpenError::UnknownCipher, "key transport");
}

#[test]
fn an_initialisation_vector_has_the_length_of_a_block() {
    for bytes in [0, 8, 15, 17, 200] {
        let mut envelope = enveloped(Suite::S04);
        *envelope.at(&[1, 0, 2, 1, 1]).content() = noise(1, bytes);
        let expected = OpenError::Malformed(Flaw::Element);
        assert_eq!(refused(&to_carol(ENCRYPT), &envelope.octets()), expected, "{bytes}");
    }
}

/// The error of an opening that must not come before the end.
fn error_at_the_end(terms: &OpenTerms, stream: &[u8]) -> OpenError {
    let mut opener = Opener::new(Arc::new(terms.clone()));
    let (mut rest, mut room) = (stream, vec![0; 512]);
    while !rest.is_empty() {
        let progress = opener.push(&rest[..rest.len().min(100)], &mut room).expect("only at the end");
        rest = &rest[progress.consumed..];
    }
    loop {
        match opener.finish(&mut room) {
            Ok(OpenFinish::More { .. }) => {}
            Ok(OpenFinish::Opened(_)) => panic!("opened"),
            Err(error) => return error,
        }
    }
}

#[test]
fn a_wrong_key_and_damage_look_the_same_and_only_at_the_end() {
    let source = step_text(3, 3000);
    for suite in [Suite::S03, Suite::S04, Suite::S08, Suite::S10] {
        for services in Services::combinations().filter(|services| services.encrypt) {
            let mut stream = seal(suite, services, &source);
            let wrong_key =
                OpenTerms { recipients: vec![pki().alice.identity.clone()], ..to_carol(services) };
            assert_eq!(error_at_the_end(&wrong_key, &stream), OpenError::Decrypt, "wrong key, {services:?}");
            let longer_key = OpenTerms { recipients: vec![pki().bob.identity.clone()], ..to_carol(services) };
            assert_eq!(error_at_the_end(&longer_key, &stream), OpenError::Decrypt, "other key, {services:?}");
            // The wrapped key: 256 octets behind the first header that announces so many.
            let wrapped = stream.windows(4).position(|header| header == [4, 0x82, 1, 0]).unwrap() + 4;
            stream[wrapped + 200] ^= 4;
            assert_eq!(error_at_the_end(&to_carol(services), &stream), OpenError::Decrypt, "{services:?}");
            stream[wrapped + 200] ^= 4;
            // The last block: its octets stand before the ends of five elements.
            let last = stream.len() - 10 - 3;
            stream[last] ^= 4;
            assert_eq!(error_at_the_end(&to_carol(services), &stream), OpenError::Decrypt, "{services:?}");
        }
    }
}

#[test]
fn ciphertext_is_whole_blocks_and_not_none() {
    for suite in [Suite::S03, Suite::S04] {
        for bytes in [0, 1, 7, 15, 17, 31] {
            let mut envelope = enveloped(suite);
            envelope.at(&[1, 0, 2, 2]).content().resize(bytes, 7);
            for stream in [envelope.octets(), envelope.indefinite()] {
                assert_eq!(error_at_the_end(&to_carol(ENCRYPT), &stream), OpenError::Decrypt, "{bytes}");
            }
        }
    }
}

#[test]
fn a_key_that_unwraps_to_another_length_is_a_wrong_key() {
    // The content claims AES-128, the key is one for AES-256.
    let mut envelope = enveloped(Suite::S04);
    *envelope.at(&[1, 0, 2, 1, 0]).content().last_mut().unwrap() = 2;
    assert_eq!(error_at_the_end(&to_carol(ENCRYPT), &envelope.octets()), OpenError::Decrypt);
}

#[test]
fn an_unknown_compression_is_refused_as_such() {
    let mut stream = python_compressed(b"content", 6);
    let zlib = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 16, 3, 8];
    let at = stream.windows(zlib.len()).position(|octets| octets == zlib).unwrap();
    stream[at + 10] = 9;
    let error = refused(&to_carol(COMPRESS), &stream);
    assert_eq!(error, OpenError::UnknownCompression);
    assert_eq!(error.reason(), RefusalReason::DecompressFailure);
}

#[test]
fn a_damaged_zlib_stream_is_refused() {
    let zlib = python_zlib(&step_text(4, 5000), 6);
    let last = zlib.len() - 1;
    let with = |at: usize, octet: u8| {
        let mut zlib = zlib.clone();
        zlib[at] = octet;
        zlib
    };
    let header = "it does not begin as a zlib stream does";
    for (zlib, expected) in [
        (with(last, !zlib[last]), "the checksum differs"),
        (with(last - 3, !zlib[last - 3]), "the checksum differs"),
        (with(0, 0x79), header),
        (with(1, zlib[1] ^ 1), header),
        // A window of 64 KiB, and a dictionary that nobody has; both with good check bits.
        ([&[0x88, 0x1C][..], &zlib[2..]].concat(), header),
        ([&[0x78, 0xBB][..], &zlib[2..]].concat(), header),
        // A block of the type that does not exist.
        ([&zlib[..2], &[7, 0, 0]].concat(), "the stream is damaged"),
        // A stored block whose length and its complement differ.
        ([&zlib[..2], &[1, 1, 0, 1, 0]].concat(), "the stream is damaged"),
        (zlib[..last].to_vec(), "it ends too early"),
        (zlib[..last / 2].to_vec(), "it ends too early"),
        (zlib[..1].to_vec(), "it ends too early"),
        (Vec::new(), "it ends too early"),
        ([&zlib[..], &[0]].concat(), "there are octets behind its end"),
        (zlib.repeat(2), "there are octets behind its end"),
    ] {
        let error = refused(&to_carol(COMPRESS), &compressed_data(&zlib));
        assert_eq!(error, OpenError::Decompress(expected));
        assert_eq!(error.reason(), RefusalReason::DecompressFailure);
    }
}

#[test]
fn trailing_octets_behind_an_inner_layer_are_refused() {
    let inner = [signed(b"content").octets(), vec![0]].concat();
    assert_eq!(refused(&to_carol(SIGN_COMPRESS), &python_compressed(&inner, 6)), OpenError::TrailingData);
}

#[test]
fn content_may_be_as_long_as_allowed_and_no_longer() {
    let source = step_text(5, 10_000);
    for services in Services::combinations() {
        let stream = seal(Suite::S04, services, &source);
        for (max, expected) in [(10_000, Ok(())), (9_999, Err(OpenError::Limit(Limit::OutputBytes)))] {
            let limited = OpenTerms { output_bytes_max: max, ..to_carol(services) };
            assert_eq!(open(&limited, &stream, 4096, 4096).map(|_| ()), expected, "{services:?} {max}");
        }
    }
}

#[test]
fn what_inflates_without_end_is_stopped_at_the_limit() {
    const MAX: u64 = 1024 * 1024;
    let bomb = python_compressed(&vec![0; 32 << 20], 9);
    assert!(bomb.len() < 64 * 1024);
    for services in [COMPRESS, COMPRESS_ENCRYPT] {
        let stream = if services.encrypt { seal(Suite::S04, ENCRYPT, &bomb) } else { bomb.clone() };
        let mut opener = Opener::new(Arc::new(OpenTerms { output_bytes_max: MAX, ..to_carol(services) }));
        let (mut rest, mut room, mut written) = (stream.as_slice(), vec![0; 300_000], 0);
        let error = loop {
            let progress = if rest.is_empty() {
                opener.finish(&mut room).map(|finish| match finish {
                    OpenFinish::More { written } => (0, written),
                    OpenFinish::Opened(_) => panic!("opened"),
                })
            } else {
                opener.push(rest, &mut room).map(|progress| (progress.consumed, progress.written))
            };
            match progress {
                Ok((consumed, made)) => (rest, written) = (&rest[consumed..], written + made as u64),
                Err(error) => break error,
            }
        };
        assert_eq!(error, OpenError::Limit(Limit::OutputBytes));
        assert_eq!(error.reason(), RefusalReason::DecompressFailure);
        assert!(written <= MAX, "{written} octets were handed out");
    }
}
