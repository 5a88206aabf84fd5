//! Two stations over TLS, with everything that RFC 5024 calls security.

use std::fs;
use std::path::PathBuf;

use odile_station::envelope::{Services, Suite};
use odile_station::partner::ServiceWish;
use odile_station::{Event, SendRequest};
use odile_tests::station::{TestStation, secure_pair};

const ALL_SUITES: &str = "[receive]\nsuites = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n";

/// Text that can be compressed, and differs for each seed.
fn content(seed: usize, octets: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut number = seed;
    while text.len() < octets {
        number = number.wrapping_mul(1_103_515_245).wrapping_add(12_345) % 2_147_483_648;
        text += &format!("#{number}=CARTESIAN_POINT('',({}.{},0.));\n", number % 997, number % 89);
    }
    text.truncate(octets);
    text.into_bytes()
}

fn wish(services: Services, signed_receipt: bool, suite: Suite) -> ServiceWish {
    ServiceWish {
        sign: Some(services.sign),
        compress: Some(services.compress),
        encrypt: Some(services.encrypt),
        signed_receipt: Some(signed_receipt),
        suite: Some(suite),
    }
}

/// Queues a file with these services; gives its number.
fn send(station: &TestStation, partner: &str, path: &PathBuf, services: ServiceWish) -> String {
    let mut request = SendRequest::new(partner, path);
    request.services = services;
    format!("S{}", station.handle().send(&request).expect("it is queued").id)
}

#[test]
fn every_suite_and_every_combination_of_services_goes_over_tls_with_a_signed_receipt() {
    let (alpha, beta) = secure_pair(
        "[session]\nauthentication = true\n",
        &format!("[session]\nauthentication = true\n{ALL_SUITES}"),
    );
    let mut sent = Vec::new();
    for suite in Suite::ALL {
        for (number, services) in Services::combinations().enumerate() {
            let content = content(usize::from(suite.code()) * 8 + number, 30_000 + number * 977);
            let path = alpha.write(&format!("f{suite}{number}"), &content);
            sent.push((send(&alpha, "beta", &path, wish(services, true, suite)), content));
        }
    }
    for (transfer, _) in &sent {
        alpha.wait_state(transfer, "delivered");
    }
    let inbox = beta.inbox("alpha");
    assert_eq!(inbox.len(), sent.len());
    for (path, (transfer, content)) in inbox.iter().zip(&sent) {
        assert!(&fs::read(path).unwrap() == content, "{transfer}: {}", path.display());
    }
    let verified = |event: &&Event| matches!(event, Event::ReceiptArrived { text, .. } if text.ends_with("signature verified"));
    assert_eq!(alpha.events.all().iter().filter(verified).count(), sent.len());
    let secured = |event: &Event| matches!(event, Event::Secured { tls, .. } if tls.contains("TLSv1_3"));
    assert!(beta.events.all().iter().any(secured));
    assert!(beta.spool().is_empty());
}
