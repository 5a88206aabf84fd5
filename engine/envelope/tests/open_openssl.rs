//! What `openssl cms` seals, Odile opens.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod pki;

use std::sync::Arc;

use odile_envelope::{
    ContentCipher, Declared, Decrypted, HashAlgorithm, KeyTransport, OpenError, OpenTerms, Opened, Services,
    SignatureScheme, SignerProblem, Suite,
};
use pki::{Station, noise, open, openssl, pki, skipped, step_text, terms};

const SIGN: Services = Services { sign: true, ..Services::NONE };
const ENCRYPT: Services = Services { encrypt: true, ..Services::NONE };
const SIGN_ENCRYPT: Services = Services { compress: false, ..Services::ALL };

/// Lengths as OpenSSL writes them: known from the start, or in segments of 4096 octets.
const FORMS: [&[&str]; 2] = [&[], &["-stream"]];

fn path(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

/// `openssl cms -sign` with the keys of these stations.
fn sign(signers: &[&Station], flags: &[&str], content: &[u8]) -> Result<Vec<u8>, String> {
    let mut arguments = vec!["cms", "-sign", "-binary", "-nodetach", "-outform", "DER"];
    for signer in signers {
        arguments.extend(["-signer", path(&signer.certificate_path), "-inkey", path(&signer.key_path)]);
    }
    arguments.extend(flags);
    openssl(&arguments, content)
}

/// `openssl cms -encrypt` for these stations; `flags` stand before them, `key_flags` behind each.
fn encrypt(
    recipients: &[&Station],
    flags: &[&str],
    key_flags: &[&str],
    content: &[u8],
) -> Result<Vec<u8>, String> {
    let mut arguments = vec!["cms", "-encrypt", "-binary", "-outform", "DER"];
    arguments.extend(flags);
    for recipient in recipients {
        arguments.extend(["-recip", path(&recipient.certificate_path)]);
        arguments.extend(key_flags);
    }
    openssl(&arguments, content)
}

fn digest(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::Sha1 => "sha1",
        HashAlgorithm::Sha256 => "sha256",
        HashAlgorithm::Sha384 => "sha384",
        HashAlgorithm::Sha512 => "sha512",
        HashAlgorithm::Sha3_512 => "sha3-512",
        other => panic!("openssl has a name for {other:?}, this test does not"),
    }
}

fn cipher(cipher: ContentCipher) -> &'static str {
    match cipher {
        ContentCipher::TripleDesCbc => "-des3",
        ContentCipher::Aes128Cbc => "-aes-128-cbc",
        ContentCipher::Aes192Cbc => "-aes-192-cbc",
        ContentCipher::Aes256Cbc => "-aes-256-cbc",
        other => panic!("openssl has a name for {other:?}, this test does not"),
    }
}

/// The flags of a suite's signature.
fn signing(suite: Suite) -> Vec<&'static str> {
    let mut flags = vec!["-md", digest(suite.hash())];
    if suite.signature_scheme() == SignatureScheme::Pss {
        flags.extend(["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:-1"]);
    }
    flags
}

/// The flags that follow a recipient.
fn transporting(transport: KeyTransport) -> Vec<String> {
    match transport {
        KeyTransport::Oaep(hash) => {
            let md = format!("rsa_oaep_md:{}", digest(hash));
            ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", &md].map(str::to_owned).to_vec()
        }
        _ => Vec::new(),
    }
}

/// What OpenSSL 3.0 cannot sign.
fn lacking(suite: Suite, form: &[&str]) -> Option<&'static str> {
    match suite.signature_scheme() {
        SignatureScheme::Pss if suite.hash() == HashAlgorithm::Sha3_512 => Some("PSS with SHA3-512"),
        // The algorithm must be encoded before it is known.
        SignatureScheme::Pss if !form.is_empty() => Some("PSS in the streamed form"),
        _ => None,
    }
}

/// All layers of a suite, the compressed one by Python.
fn seal(suite: Suite, services: Services, form: &[&str], source: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = source.to_vec();
    if services.sign {
        let flags = [&signing(suite)[..], form].concat();
        stream = sign(&[&pki().alice], &flags, &stream)?;
    }
    if services.compress {
        stream = pki::python_compressed(&stream, 6);
    }
    if services.encrypt {
        let flags = [&[cipher(suite.content_cipher())][..], form].concat();
        let key_flags = transporting(suite.key_transport());
        let key_flags: Vec<&str> = key_flags.iter().map(String::as_str).collect();
        stream = encrypt(&[&pki().bob], &flags, &key_flags, &stream)?;
    }
    Ok(stream)
}

fn opens(services: Services, stream: &[u8], source: &[u8]) -> Opened {
    let (content, opened) = open(&terms(services), stream, 5003, 3001).unwrap();
    assert!(content == source, "the content differs");
    assert_eq!(opened.services, services);
    opened
}

fn knowing(signers: &[&Station]) -> OpenTerms {
    let signers = signers.iter().map(|station| Arc::new(station.certificate().clone())).collect();
    OpenTerms { signers, ..terms(SIGN) }
}

fn unknown(station: &Station) -> SignerProblem {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().concat();
    SignerProblem::Unknown { serial: hex(station.certificate().serial()) }
}

#[test]
fn every_suite_and_service_opens_in_both_forms() {
    for suite in Suite::ALL {
        for services in Services::combinations() {
            for form in FORMS {
                let source = step_text(u64::from(suite.code()), 20_000);
                if let Some(lack) = lacking(suite, form).filter(|_| services.sign) {
                    if services == SIGN {
                        let test = "every_suite_and_service_opens_in_both_forms";
                        let form = if form.is_empty() { "definite" } else { "streamed" };
                        skipped(test, &format!("OpenSSL lacks {lack}: suite {suite} signed, {form} form"));
                    }
                    continue;
                }
                let stream = seal(suite, services, form, &source).unwrap();
                let opened = opens(services, &stream, &source);
                let decrypted =
                    Decrypted { cipher: suite.content_cipher(), transport: suite.key_transport() };
                assert_eq!(opened.decrypted, services.encrypt.then_some(decrypted));
                let verified = opened.verified.map(|verified| (verified.hash, verified.scheme));
                assert_eq!(verified, services.sign.then_some((suite.hash(), suite.signature_scheme())));
            }
        }
    }
}

#[test]
fn megabytes_open_in_both_forms() {
    let source = noise(3, 3_000_001);
    for form in FORMS {
        for services in [SIGN, ENCRYPT, SIGN_ENCRYPT, Services::ALL] {
            let stream = seal(Suite::S06, services, form, &source).unwrap();
            let (content, _) = open(&terms(services), &stream, 65_536, 65_536).unwrap();
            assert!(content == source, "{services:?} {form:?}");
        }
    }
}

#[test]
fn lengths_around_blocks_and_segments_open() {
    for bytes in [0, 1, 7, 8, 15, 16, 17, 4095, 4096, 4097] {
        let source = noise(bytes as u64, bytes);
        for form in FORMS {
            if bytes == 0 && !form.is_empty() {
                let test = "lengths_around_blocks_and_segments_open";
                skipped(test, "OpenSSL lacks the streamed form of empty content");
                continue;
            }
            for suite in [Suite::S03, Suite::S04] {
                opens(SIGN_ENCRYPT, &seal(suite, SIGN_ENCRYPT, form, &source).unwrap(), &source);
            }
        }
    }
}

#[test]
fn signer_and_recipient_may_be_named_by_key_identifier() {
    let source = step_text(1, 9000);
    for form in FORMS {
        let signed = sign(&[&pki().alice], &[&["-md", "sha256", "-keyid"], form].concat(), &source).unwrap();
        let sealed =
            encrypt(&[&pki().carol, &pki().bob], &[&["-aes256", "-keyid"], form].concat(), &[], &signed);
        opens(SIGN_ENCRYPT, &sealed.unwrap(), &source);
    }
}

#[test]
fn signed_attributes_may_be_missing_or_many() {
    let source = step_text(2, 9000);
    for suite in Suite::ALL {
        let flags = [&signing(suite)[..], &["-noattr"]].concat();
        if let Some(lack) = lacking(suite, &[]) {
            let test = "signed_attributes_may_be_missing_or_many";
            skipped(test, &format!("OpenSSL lacks {lack}: suite {suite}"));
            continue;
        }
        let stream = sign(&[&pki().alice], &flags, &source).unwrap();
        assert_eq!(opens(SIGN, &stream, &source).verified.unwrap().signing_time, None);
    }
    let stream = sign(&[&pki().alice], &["-md", "sha256", "-cades"], &source).unwrap();
    assert!(opens(SIGN, &stream, &source).verified.unwrap().signing_time.is_some());
}

#[test]
fn one_known_signer_of_two_is_enough_in_either_place() {
    let source = step_text(3, 9000);
    let (alice, carol) = (&pki().alice, &pki().carol);
    for form in FORMS {
        for signers in [[alice, carol], [carol, alice]] {
            let stream = sign(&signers, &[&["-md", "sha256"], form].concat(), &source).unwrap();
            for (known, stranger) in [(alice, carol), (carol, alice)] {
                let (content, opened) = open(&knowing(&[known]), &stream, 4096, 4096).unwrap();
                assert!(content == source);
                let verified = opened.verified.unwrap();
                assert_eq!(&verified.signer, known.certificate());
                assert_eq!(verified.others, [unknown(stranger)]);
            }
            let (_, opened) = open(&knowing(&[alice, carol]), &stream, 4096, 4096).unwrap();
            assert_eq!(opened.verified.unwrap().others, []);
        }
    }
}

#[test]
fn an_embedded_certificate_is_not_trusted_for_being_there() {
    let source = step_text(5, 9000);
    for flags in [&["-md", "sha256"][..], &["-md", "sha256", "-nocerts"]] {
        let stream = sign(&[&pki().alice], flags, &source).unwrap();
        opens(SIGN, &stream, &source);
        let refused = open(&knowing(&[&pki().carol]), &stream, 4096, 4096).unwrap_err();
        assert_eq!(refused, OpenError::Signature(vec![unknown(&pki().alice)]));
    }
    // A chain of them is passed over like a single one.
    let more = path(&pki().carol.certificate_path);
    let stream = sign(&[&pki().alice], &["-md", "sha256", "-certfile", more], &source).unwrap();
    opens(SIGN, &stream, &source);
}

#[test]
fn our_recipient_is_found_in_any_place() {
    let source = step_text(6, 9000);
    let (alice, bob, carol) = (&pki().alice, &pki().bob, &pki().carol);
    for recipients in [&[bob, alice][..], &[alice, bob], &[alice, carol, bob], &[carol, bob, alice]] {
        for form in FORMS {
            let stream = encrypt(recipients, &[&["-aes256"], form].concat(), &[], &source).unwrap();
            opens(ENCRYPT, &stream, &source);
            let mut older = terms(ENCRYPT);
            older.recipients.insert(0, alice.identity.clone());
            let (content, _) = open(&older, &stream, 4096, 4096).unwrap();
            assert!(content == source, "with two keys of ours");
        }
    }
}

#[test]
fn recipients_of_other_kinds_are_passed_over() {
    let source = step_text(7, 9000);
    let folder = pki().folder();
    let (key, certificate) = (folder.join("curve.key"), folder.join("curve.crt"));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Curve"];
    let files = ["-keyout", path(&key), "-out", path(&certificate)];
    openssl(&[&["req", "-x509"], &curve[..], &files].concat(), &[]).unwrap();
    let bob = path(&pki().bob.certificate_path);
    let recipients = ["-aes256", "-pwri_password", "guess", "-recip", path(&certificate), "-recip", bob];
    let stream =
        openssl(&[&["cms", "-encrypt", "-binary", "-outform", "DER"], &recipients[..]].concat(), &source);
    opens(ENCRYPT, &stream.unwrap(), &source);
}

#[test]
fn a_salt_of_any_length_is_accepted() {
    let source = step_text(8, 9000);
    // Bob's key is longer: its greatest salt is more than 255 octets.
    for signer in [&pki().alice, &pki().bob] {
        for hash in ["sha1", "sha256", "sha384", "sha512"] {
            for salt in [&[][..], &["rsa_pss_saltlen:-1"], &["rsa_pss_saltlen:0"], &["rsa_pss_saltlen:17"]] {
                let mut flags = vec!["-md", hash, "-keyopt", "rsa_padding_mode:pss"];
                for salt in salt {
                    flags.extend(["-keyopt", salt]);
                }
                let stream = sign(&[signer], &flags, &source).unwrap();
                let (content, opened) = open(&knowing(&[signer]), &stream, 4096, 4096).unwrap();
                assert!(content == source);
                assert_eq!(opened.verified.unwrap().scheme, SignatureScheme::Pss, "{hash} {salt:?}");
            }
        }
    }
}

#[test]
fn oaep_opens_with_every_hash() {
    use HashAlgorithm as Hash;
    let source = step_text(9, 9000);
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512, Hash::Sha3_512] {
        let key_flags = transporting(KeyTransport::Oaep(hash));
        let key_flags: Vec<&str> = key_flags.iter().map(String::as_str).collect();
        let stream = encrypt(&[&pki().bob], &["-aes256"], &key_flags, &source).unwrap();
        let opened = opens(ENCRYPT, &stream, &source);
        assert_eq!(opened.decrypted.unwrap().transport, KeyTransport::Oaep(hash));
    }
}

#[test]
fn padding_with_two_hashes_or_a_label_is_unknown_to_us() {
    let source = step_text(10, 900);
    let oaep = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"];
    for odd in ["rsa_mgf1_md:sha1", "rsa_oaep_label:00112233"] {
        let key_flags = [&oaep[..], &["-keyopt", odd]].concat();
        let stream = encrypt(&[&pki().bob], &["-aes256"], &key_flags, &source).unwrap();
        assert_eq!(open(&terms(ENCRYPT), &stream, 99, 99).unwrap_err(), OpenError::UnknownCipher, "{odd}");
    }
    let pss = ["-md", "sha256", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha1"];
    let stream = sign(&[&pki().alice], &pss, &source).unwrap();
    let refused = open(&terms(SIGN), &stream, 99, 99).unwrap_err();
    assert_eq!(refused, OpenError::Signature(vec![SignerProblem::UnknownAlgorithm]));
}

#[test]
fn every_content_cipher_opens() {
    use ContentCipher as Cipher;
    let source = step_text(11, 50_000);
    for wanted in [Cipher::TripleDesCbc, Cipher::Aes128Cbc, Cipher::Aes192Cbc, Cipher::Aes256Cbc] {
        for form in FORMS {
            let stream = encrypt(&[&pki().bob], &[&[cipher(wanted)], form].concat(), &[], &source).unwrap();
            assert_eq!(opens(ENCRYPT, &stream, &source).decrypted.unwrap().cipher, wanted);
        }
    }
}

#[test]
fn layers_open_in_any_order() {
    let source = step_text(12, 9000);
    let encrypted = encrypt(&[&pki().bob], &["-aes256", "-stream"], &[], &source).unwrap();
    let stream = sign(&[&pki().alice], &["-md", "sha256", "-stream"], &encrypted).unwrap();
    opens(SIGN_ENCRYPT, &stream, &source);
    opens(Services::ALL, &pki::python_compressed(&stream, 1), &source);
    let as_found = OpenTerms { declared: Declared::AsFound, ..terms(Services::NONE) };
    let (content, opened) = open(&as_found, &stream, 4096, 4096).unwrap();
    assert!(content == source);
    assert_eq!(opened.services, SIGN_ENCRYPT);
}

#[test]
fn the_type_of_the_content_is_of_no_matter() {
    let source = step_text(13, 9000);
    let flags = ["-md", "sha256", "-econtent_type", "1.2.840.113549.1.9.16.1.9"];
    opens(SIGN, &sign(&[&pki().alice], &flags, &source).unwrap(), &source);
}

#[test]
fn the_older_messages_of_pkcs7_open() {
    let source = step_text(14, 9000);
    let (signer, key) = (path(&pki().alice.certificate_path), path(&pki().alice.key_path));
    let flags =
        ["-binary", "-nodetach", "-outform", "DER", "-md", "sha256", "-signer", signer, "-inkey", key];
    let signed = openssl(&[&["smime", "-sign"], &flags[..]].concat(), &source).unwrap();
    let bob = path(&pki().bob.certificate_path);
    let sealed =
        openssl(&["smime", "-encrypt", "-binary", "-outform", "DER", "-aes256", bob], &signed).unwrap();
    opens(SIGN_ENCRYPT, &sealed, &source);
}
