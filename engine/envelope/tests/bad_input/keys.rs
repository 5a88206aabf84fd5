//! Keys and certificates: with and without a passphrase, of the wrong kind or length.

use odile_envelope::{Certificate, Identity, Misuse, PrivateKey};

use crate::asn1::Node;
use crate::pki::{make_certificate, make_key, noise, openssl, pki, skipped};

const PASSPHRASE: &str = "correct horse battery";

/// Alice's key, encrypted by `openssl pkcs8`.
fn encrypted(form: &str, how: &[&str]) -> Result<Vec<u8>, String> {
    let (key, passphrase) = (pki().alice.key_path.to_str().unwrap(), format!("pass:{PASSPHRASE}"));
    let arguments = ["pkcs8", "-topk8", "-in", key, "-outform", form, "-passout", &passphrase];
    openssl(&[&arguments[..], how].concat(), &[])
}

fn problem(read: Result<PrivateKey, Misuse>) -> String {
    match read.unwrap_err() {
        Misuse::PrivateKey(problem) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_with_a_passphrase_is_read() {
    for how in [
        &["-v2", "aes-256-cbc"][..],
        &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"],
        &["-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA1"],
        &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"],
        &["-v2", "des3", "-v2prf", "hmacWithSHA1"],
        &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-iter", "10000"],
        &["-v2", "des3"],
        &["-scrypt", "-scrypt_N", "1024"],
    ] {
        for form in ["PEM", "DER"] {
            let octets = encrypted(form, how).unwrap();
            let key = PrivateKey::from_bytes(&octets, Some(PASSPHRASE)).unwrap();
            assert!(key.belongs_to(pki().alice.certificate()), "{how:?}");
            assert_eq!(problem(PrivateKey::from_bytes(&octets, Some("guess"))), "the passphrase is wrong");
            assert_eq!(problem(PrivateKey::from_bytes(&octets, Some(""))), "the passphrase is wrong");
            let missing = "it is encrypted, and no passphrase was given";
            assert_eq!(problem(PrivateKey::from_bytes(&octets, None)), missing);
        }
    }
}

#[test]
fn a_key_encrypted_in_the_way_of_the_nineties_is_refused_with_the_right_reason() {
    for how in ["PBE-SHA1-3DES", "PBE-SHA1-RC4-128", "PBE-MD5-DES"] {
        let Ok(octets) = encrypted("PEM", &["-v1", how, "-provider", "default", "-provider", "legacy"])
        else {
            let test = "a_key_encrypted_in_the_way_of_the_nineties_is_refused_with_the_right_reason";
            skipped(test, &format!("OpenSSL lacks {how}"));
            continue;
        };
        for passphrase in [Some(PASSPHRASE), Some("guess"), None] {
            let problem = problem(PrivateKey::from_bytes(&octets, passphrase));
            assert_eq!(problem, "it is encrypted in another way than PBES2", "{how}");
        }
    }
}

#[test]
fn a_key_without_a_passphrase_needs_none() {
    let octets = std::fs::read(&pki().alice.key_path).unwrap();
    assert!(PrivateKey::from_bytes(&octets, Some("of no matter")).is_ok());
    let der = openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &octets).unwrap();
    assert!(PrivateKey::from_bytes(&der, None).unwrap().belongs_to(pki().alice.certificate()));
}

#[test]
fn what_is_no_key_is_refused() {
    let certificate = std::fs::read(&pki().alice.certificate_path).unwrap();
    for octets in [&[][..], b"-----BEGIN PRIVATE KEY-----\n", b"no key", &noise(1, 500), &certificate] {
        assert!(matches!(PrivateKey::from_bytes(octets, None), Err(Misuse::PrivateKey(_))));
    }
    let key = std::fs::read(&pki().alice.key_path).unwrap();
    for octets in [&[][..], b"-----BEGIN CERTIFICATE-----\n", b"no certificate", &noise(1, 500), &key] {
        assert!(matches!(Certificate::from_bytes(octets), Err(Misuse::Certificate(_))));
    }
}

#[test]
fn a_key_belongs_to_its_certificate_only() {
    let (alice, carol) = (&pki().alice, &pki().carol);
    assert!(!alice.key().belongs_to(carol.certificate()));
    let pair = Identity::new(alice.certificate().clone(), carol.key().clone());
    assert_eq!(pair.map(|_| ()), Err(Misuse::KeyMismatch));
}

/// Key and certificate of a kind that `openssl genpkey` makes.
fn read(name: &str, kind: &[&str]) -> (Result<PrivateKey, Misuse>, Result<Certificate, Misuse>) {
    let folder = pki().folder();
    let (key, certificate) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.crt")));
    make_key(&key, kind);
    make_certificate(folder, &key, &certificate, &format!("/CN={name}"));
    let octets = std::fs::read(&key).unwrap();
    (PrivateKey::from_bytes(&octets, None), Certificate::from_bytes(&std::fs::read(&certificate).unwrap()))
}

#[test]
fn keys_of_another_kind_or_too_short_are_refused() {
    for (name, kind) in [
        ("short", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..]),
        ("shorter-by-eight", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2040"]),
        ("curve", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        ("edwards", &["-algorithm", "ED25519"]),
    ] {
        let (key, certificate) = read(name, kind);
        assert_eq!(key.map(|_| ()), Err(Misuse::KeyKind), "{name}");
        assert_eq!(certificate.map(|_| ()), Err(Misuse::KeyKind), "{name}");
    }
}

#[test]
fn a_modulus_that_only_costs_time_is_refused() {
    for (bytes, is_good) in [(512, true), (513, false), (2048, false)] {
        let mut modulus = noise(1, bytes);
        modulus[0] |= 0x80;
        modulus[bytes - 1] |= 1;
        let modulus = Node::Leaf(2, [&[0][..], &modulus].concat());
        let public = Node::Branch(0x30, vec![modulus, Node::Leaf(2, vec![1, 0, 1])]);
        let mut certificate = Node::parse(pki().alice.certificate().der());
        *certificate.at(&[0, 6, 1]) = Node::Leaf(3, [&[0][..], &public.octets()].concat());
        let read = Certificate::from_der(&certificate.octets());
        assert_eq!(read.map(|_| ()), if is_good { Ok(()) } else { Err(Misuse::KeyKind) }, "{bytes}");
    }
}
