//! Certificates that run out are told when the station starts.

use odile_station::Event;
use odile_tests::pki::{Validity, issue, issued};
use odile_tests::station::TestStation;

fn warnings(station: &TestStation) -> Vec<String> {
    let all = station.events.all();
    let found = all.iter().filter_map(|event| match event {
        Event::CertificateExpires { text } => Some(text.clone()),
        _ => None,
    });
    found.collect()
}

#[test]
fn expired_certificates_are_told_and_old_ones_beside_their_successors_are_not() {
    let mut station = TestStation::new("O0013ALPHA");
    station.give_key(&issued("alpha"));
    station.give_key_named("old", &issue("former alpha", Validity::Expired));
    for name in ["beta", "gamma"] {
        station.add_partner(name, &format!("code = \"O0013{name}\"\n"));
        station.give_certificate(name, "signing", &issue(name, Validity::Expired));
    }
    station.give_certificate("gamma", "signing", &issued("gamma"));
    station.start();
    station.events.wait_for(
        "a warning",
        |event| matches!(event, Event::CertificateExpires { text } if text.starts_with("beta, signing")),
    );
    let told = warnings(&station);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("our key old: the certificate of former alpha has expired"), "{told:#?}");
    assert!(told[1].contains("`odile cert import beta` adds it"), "{told:#?}");
    assert!(told.iter().all(|text| !text.contains("PRIVATE")));
}
