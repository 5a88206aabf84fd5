//! What Odile seals, `openssl cms` opens.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod pki;

use std::sync::Arc;

use odile_envelope::{SealPlan, Services, Suite};
use pki::{entropy, noise, openssl, pki, request, seal, skipped, step_text};

const PLAIN: Services = Services::NONE;

/// Undoes one layer of encryption.
fn decrypt(envelope: &[u8]) -> Result<Vec<u8>, String> {
    let bob = &pki().bob;
    let (certificate, key) = (bob.certificate_path.to_str().unwrap(), bob.key_path.to_str().unwrap());
    openssl(&["cms", "-decrypt", "-binary", "-inform", "DER", "-recip", certificate, "-inkey", key], envelope)
}

/// Undoes one layer of signature.
fn verify(envelope: &[u8]) -> Result<Vec<u8>, String> {
    let alice = pki().alice.certificate_path.to_str().unwrap();
    let arguments = ["cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-certfile", alice];
    openssl(&arguments, envelope)
}

fn opens(suite: Suite, services: Services, source: &[u8]) -> Result<(), String> {
    let plan = Arc::new(SealPlan::new(&request(suite, services, source.len()), &mut entropy(1)).unwrap());
    let mut stream = seal(&plan, source, 10_007);
    assert!(stream.len() as u64 <= plan.transmitted_bytes_max().unwrap());
    if services.encrypt {
        stream = decrypt(&stream)?;
    }
    if services.sign {
        stream = verify(&stream)?;
    }
    assert!(stream == source, "suite {suite}, {services:?}: the content differs");
    Ok(())
}

#[test]
fn openssl_opens_every_suite_that_it_knows() {
    for suite in Suite::ALL {
        for services in Services::combinations().filter(|services| !services.compress) {
            let outcome = opens(suite, services, &step_text(u64::from(suite.code()), 100_000));
            if suite == Suite::S10 && services.sign && outcome.is_err() {
                let test = "openssl_opens_every_suite_that_it_knows";
                skipped(test, &format!("OpenSSL lacks PSS with SHA3-512: suite 10, {services:?}"));
                continue;
            }
            outcome.unwrap_or_else(|problem| panic!("suite {suite} {services:?}: {problem}"));
        }
    }
}

#[test]
fn openssl_opens_every_length_around_blocks_and_segments() {
    for bytes in [0, 1, 7, 8, 15, 16, 17, 1_048_575, 1_048_576, 1_048_577, 3_000_000] {
        for services in [
            Services { sign: true, ..PLAIN },
            Services { encrypt: true, ..PLAIN },
            Services { sign: true, encrypt: true, ..PLAIN },
        ] {
            opens(Suite::S04, services, &noise(bytes as u64, bytes))
                .unwrap_or_else(|problem| panic!("{bytes} octets {services:?}: {problem}"));
        }
    }
}

#[test]
fn the_embedded_certificate_lets_openssl_verify_without_being_given_one() {
    let source = step_text(1, 5000);
    let services = Services { sign: true, ..PLAIN };
    let mut request = request(Suite::S06, services, source.len());
    request.options.embed = odile_envelope::seal::Embed::SignerCertificate;
    let plan = Arc::new(SealPlan::new(&request, &mut entropy(1)).unwrap());
    let stream = seal(&plan, &source, 4096);
    let content = openssl(&["cms", "-verify", "-binary", "-inform", "DER", "-noverify"], &stream).unwrap();
    assert!(content == source);
}
