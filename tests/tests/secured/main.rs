//! Two stations over TLS, with everything that RFC 5024 calls security: what goes, in which ways, with which keys; and
//! who does not get in.

mod formats;
mod keys;
mod sessions;
mod tls;

use std::fs;
use std::path::Path;

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
        let (x, y) = (number % 997, number % 89);
        text.extend(["#", &number.to_string(), &format!("=CARTESIAN_POINT('',({x}.{y},0.));\n")]);
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

/// Everything, in suite 04.
fn everything() -> ServiceWish {
    wish(Services::ALL, true, Suite::S04)
}

/// Queues a file with these services; gives its number.
fn send(station: &TestStation, partner: &str, path: &Path, services: ServiceWish) -> String {
    let mut request = SendRequest::new(partner, path);
    request.services = services;
    queue(station, &request)
}

fn queue(station: &TestStation, request: &SendRequest) -> String {
    format!("S{}", station.handle().send(request).expect("it is queued").id)
}

/// So many receipts came, no more, and the signature of each was verified.
fn assert_proven(station: &TestStation, count: usize) {
    let is_receipt = |event: &Event| matches!(event, Event::ReceiptArrived { .. });
    let is_verified = |event: &Event| is_receipt(event) && event.to_string().ends_with("signature verified");
    station.events.wait_for_many(count, "receipts that prove something", is_verified);
    assert_eq!(station.events.all().into_iter().filter(is_verified).count(), count);
}

/// Files in the inbox of a partner, in the order of their numbers.
fn received(station: &TestStation, partner: &str) -> Vec<Vec<u8>> {
    let mut received: Vec<_> = station
        .events
        .all()
        .into_iter()
        .filter_map(|event| match event {
            Event::Received { transfer, path, .. } => Some((transfer.to_string(), path)),
            _ => None,
        })
        .filter(|(_, path)| path.contains(&format!("inbox/{partner}/")))
        .collect();
    received.sort_by_key(|(transfer, _)| transfer[1..].parse::<u32>().expect("a number"));
    received.into_iter().map(|(_, path)| fs::read(path).expect("it is there")).collect()
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
    assert_proven(&alpha, sent.len());
    let secured = |event: &Event| matches!(event, Event::Secured { tls, .. } if tls.contains("TLSv1_3"));
    assert!(beta.events.all().iter().any(secured));
    assert!(beta.spool().is_empty());
}
