//! Those whom we call: whether we trust them, and what we show them.

use odile_station::{Event, Home};
use odile_tests::peer::{Peer, STATION};
use odile_tests::pki::{Authority, Validity, issue, issued, issued_for};
use odile_tests::scene::{Scene, equipped};
use odile_tests::secure_line::TlsManners;
use odile_tests::station::{TestStation, options};

use super::{ONLY_1_2, ONLY_1_3, delivered, finished, trusting};

/// The station calls a peer that behaves so; there is no session, the file waits, and the operator knows why.
fn call_fails(scene: &Scene, manners: TlsManners<'_>, told: &str) {
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    // Whether the peer's handshake succeeds depends on who speaks last in it.
    if let Ok(mut peer) = Peer::answer_secure(&scene.port, manners) {
        peer.send_raw(&[]);
        peer.expect_closed();
    }
    scene
        .station
        .events
        .wait_for(told, |event| matches!(event, Event::CallFailed { text, .. } if text.contains(told)));
    scene.station.wait_detail(&transfer, told);
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.assert_unharmed(0);
}

fn calling_scene(station: TestStation, tls: &str) -> Scene {
    Scene::prepared_calling(station, &format!("transport = \"tls\"\n[tls]\n{tls}"))
}

#[test]
fn a_called_station_whose_certificate_is_not_trusted_gets_nothing() {
    let untrusted = "neither pinned nor issued by a trusted authority";
    let authority = Authority::new("Authority");
    for (station, shown, told) in [
        (equipped(), issue("peer", Validity::Now), untrusted),
        (trusting(&[], &[&authority]), issue("peer", Validity::Now), "TLS certificate"),
        (
            trusting(&[], &[&authority]),
            authority.issue("peer", "127.0.0.1", Validity::Expired),
            "the partner's TLS certificate has expired",
        ),
        (trusting(&[], &[]), issue("peer", Validity::Now), "`odile cert import peer FILE` adds one"),
    ] {
        let scene = calling_scene(station, "");
        call_fails(&scene, TlsManners::showing(&shown), told);
    }
    let expired = issued_for("peer of old", Validity::Expired);
    let scene = calling_scene(trusting(&[&expired], &[]), "");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    scene.station.wait_detail(&transfer, "no TLS certificate of this partner is valid now");
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.assert_unharmed(0);
}

#[test]
fn the_host_name_counts_unless_the_certificate_is_pinned_or_the_terms_say_otherwise() {
    let authority = Authority::new("Authority");
    let elsewhere = authority.issue("peer", "elsewhere.example.com", Validity::Now);
    let here = authority.issue("peer", "127.0.0.1", Validity::Now);
    let scene = calling_scene(trusting(&[], &[&authority]), "");
    call_fails(
        &scene,
        TlsManners::showing(&elsewhere),
        "the partner's TLS certificate is not for this host name (the check can be switched off)",
    );
    for (station, shown, tls) in [
        (trusting(&[], &[&authority]), &here, ""),
        (trusting(&[], &[&authority]), &elsewhere, "host_name_check = false\n"),
        (trusting(&[&elsewhere], &[&authority]), &elsewhere, ""),
    ] {
        let scene = calling_scene(station, tls);
        let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
        let mut peer = Peer::answer_secure(&scene.port, TlsManners::showing(shown)).expect("a handshake");
        delivered(&scene, &mut peer, &transfer);
        finished(&scene, peer);
    }
}

#[test]
fn our_certificate_is_shown_as_the_terms_say() {
    let peer_key = issued("peer");
    for (usage, asks, shown) in [
        ("forbidden", true, 0),
        ("forbidden", false, 0),
        ("optional", true, 1),
        ("optional", false, 0),
        ("preferred", true, 1),
        ("required", true, 1),
    ] {
        let scene = calling_scene(equipped(), &format!("outbound_client_certificate = \"{usage}\"\n"));
        let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
        let manners = TlsManners { asks, ..TlsManners::showing(&peer_key) };
        let mut peer = Peer::answer_secure(&scene.port, manners).expect("a handshake");
        assert_eq!(peer.shown(), shown, "{usage}, asked: {asks}");
        delivered(&scene, &mut peer, &transfer);
        finished(&scene, peer);
    }
}

#[test]
fn a_station_that_does_not_ask_for_the_certificate_that_it_must_see_is_left() {
    for versions in [ONLY_1_2, ONLY_1_3] {
        let scene = calling_scene(equipped(), "outbound_client_certificate = \"required\"\n");
        let peer = issued("peer");
        let manners = TlsManners { versions, ..TlsManners::showing(&peer) };
        call_fails(
            &scene,
            manners,
            "the partner did not ask for our TLS certificate, which the terms with it require",
        );
    }
}

#[test]
fn a_station_without_a_key_calls_nobody_who_must_see_one_and_does_not_listen() {
    let station = TestStation::new(STATION);
    station.give_certificate("peer", "shared", &issued("peer"));
    let scene = calling_scene(station, "outbound_client_certificate = \"required\"\n");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    scene.station.wait_detail(&transfer, "there is none: `odile cert new` makes one");
    scene.assert_unharmed(0);

    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(&folder.path().join("home"), "code = \"O0013KEYLESS\"\n").unwrap();
    let listen = odile_station::Listen { plain: None, tls: Some("127.0.0.1:0".parse().unwrap()) };
    let sink = std::sync::Arc::new(|_: &Event| {});
    let started = odile_station::Station::start(home, options(), listen, odile_station::Calls::All, sink);
    let text = started.err().expect("it must not start").to_string();
    assert!(text.contains("there is no key to listen with over TLS: `odile cert new` makes one"), "{text}");
}
