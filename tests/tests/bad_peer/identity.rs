//! Peers that are not who they should be, or want what cannot be.

use odile_station::{Event, StationError};
use odile_tests::peer::{Peer, code, sfid, ssid};
use odile_tests::scene::Scene;
use odile_wire::command::{Capability, StartSession};
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic, Password};

fn refused(scene: &Scene, ssid: StartSession, reason: Reason) -> String {
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    peer.send(Command::StartSession(ssid));
    let text = peer.expect_end(reason);
    let end = scene.ends().pop().expect("it is there");
    assert!(end.by_us && end.reason == reason, "{end:?}");
    text
}

fn with_password(password: &str) -> StartSession {
    StartSession { password: Password::new(password).expect("it is there"), ..ssid() }
}

#[test]
fn a_stranger_is_refused_and_named_to_the_operator() {
    let scene = Scene::new("");
    let text =
        refused(&scene, StartSession { code: code("O0013STRANGER"), ..ssid() }, Reason::USER_CODE_NOT_KNOWN);
    assert!(text.contains("no partner with this code"), "{text}");
    scene.assert_told("as \"O0013STRANGER\" was refused (ESID 03");
    scene.assert_unharmed(0);
}

#[test]
fn a_wrong_password_is_refused_and_never_shown() {
    let scene = Scene::new("their_password = \"SECRET\"\n");
    for wrong in ["SECRES", "secret", "Secret", "", "SECRET1", "WRONGPW"] {
        refused(&scene, with_password(wrong), Reason::INVALID_PASSWORD);
    }
    let told = format!("{:?}", scene.station.events.all());
    assert!(!told.contains("SECRE") && !told.contains("WRONGPW"), "{told}");
    // And the right one still opens a session.
    let mut peer = Peer::connect(scene.address);
    peer.greet(&with_password("SECRET"));
    peer.finish();
    scene.assert_unharmed(0);
}

#[test]
fn special_logic_is_answered_with_no() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    let answer = peer.greet(&StartSession { special_logic: true, ..ssid() });
    assert!(!answer.special_logic);
    peer.send_file(&sfid("SPECIAL", 3), b"abc");
    peer.finish();
    scene.assert_unharmed(1);
}

#[test]
fn special_logic_as_an_answer_is_incompatible() {
    let scene = Scene::calling("");
    scene.station.send("peer", &scene.station.write("file", b"x"));
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(&StartSession { special_logic: true, ..ssid() });
    peer.expect_end(Reason::INCOMPATIBLE);
    assert!(scene.end().text.contains("SSIDSPEC"));
    scene.assert_unharmed(0);
}

#[test]
fn two_stations_that_only_send_are_incompatible() {
    let scene = Scene::new("may_send = false\n");
    refused(&scene, StartSession { capability: Capability::SendOnly, ..ssid() }, Reason::INCOMPATIBLE);
    scene.assert_unharmed(0);
}

#[test]
fn two_stations_that_only_receive_are_incompatible() {
    let scene = Scene::new("may_receive = false\n");
    refused(&scene, StartSession { capability: Capability::ReceiveOnly, ..ssid() }, Reason::INCOMPATIBLE);
    scene.assert_unharmed(0);
}

#[test]
fn authentication_that_is_not_configured_is_refused() {
    let scene = Scene::new("");
    let ssid = StartSession { authentication: true, ..ssid() };
    refused(&scene, ssid, Reason::AUTHENTICATION_INCOMPATIBLE);
    scene.assert_unharmed(0);
}

#[test]
fn a_level_below_the_lowest_accepted_is_incompatible() {
    let scene = Scene::new("[session]\nlevel_min = 5\n");
    let mut old = ssid();
    old.level = 4;
    refused(&scene, old, Reason::INCOMPATIBLE);
    scene.assert_unharmed(0);
}

#[test]
fn a_level_of_the_future_is_taken_down_to_ours() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    let answer = peer.greet(&StartSession { level: 9, ..ssid() });
    assert_eq!(answer.level, 5);
    peer.finish();
    scene.assert_unharmed(0);
}

/// The caller learns it too: a refused call is no success.
fn call_refused(scene: &Scene, answer: &StartSession, reason: Reason) {
    let handle = scene.station.handle();
    let call = std::thread::spawn(move || handle.call("peer"));
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(answer);
    peer.expect_end(reason);
    let end = call.join().expect("it is there").expect("it is there");
    assert!(end.by_us && end.reason == reason, "{end:?}");
    assert_eq!(scene.end(), end);
    let refused =
        |event: &Event| matches!(event, Event::SessionRefused { reason: told, .. } if *told == reason);
    scene.station.events.wait_for("the refusal", refused);
}

#[test]
fn another_station_at_the_address_of_a_partner_gets_no_file() {
    let scene = Scene::calling("");
    let answer = StartSession { code: code("O0013ELSE"), ..ssid() };
    call_refused(&scene, &answer, Reason::USER_CODE_NOT_KNOWN);
    scene.assert_unharmed(0);
}

#[test]
fn a_wrong_password_in_the_answer_is_refused() {
    let scene = Scene::calling("their_password = \"SECRET\"\n");
    call_refused(&scene, &with_password("OTHER"), Reason::INVALID_PASSWORD);
    scene.assert_unharmed(0);
}

#[test]
fn a_busy_station_is_heard_before_it_has_introduced_itself() {
    let scene = Scene::calling("");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"x"));
    let mut peer = Peer::answer(&scene.port);
    peer.end(Reason::RESOURCES_NOT_AVAILABLE);
    peer.expect_closed();
    let end = scene.end();
    assert!(!end.by_us && end.reason == Reason::RESOURCES_NOT_AVAILABLE, "{end:?}");
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.assert_unharmed(0);
}

#[test]
fn nobody_at_the_address_is_told_and_the_file_waits() {
    let mut scene = Scene::calling("");
    // The port where it calls is closed with the listener.
    scene.port = std::net::TcpListener::bind("127.0.0.1:0").expect("it is there");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"x"));
    let told =
        scene.station.events.wait_for("the failure", |event| matches!(event, Event::CallFailed { .. }));
    assert!(told.to_string().contains("Connection refused"), "{told}");
    let failed = scene.station.handle().call("peer");
    assert!(matches!(failed, Err(StationError::CannotSend(_))), "{failed:?}");
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.assert_unharmed(0);
}
