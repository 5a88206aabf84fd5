//! Those who call: which certificates they show, and which they must.

use odile_tests::peer::{PEER, Peer, STATION, ssid};
use odile_tests::pki::{Authority, Validity, issued, issued_for};
use odile_tests::scene::{Scene, equipped};
use odile_tests::secure_line::TlsManners;
use odile_tests::station::TestStation;
use odile_wire::command::StartSession;
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic};

use super::{REQUIRED, TLS, UNWELCOME, calling, served, trusting};

/// The peer, calling in this manner, is turned away; our operator learns why.
fn turned_away(scene: &Scene, manners: TlsManners<'_>, told: &str) {
    let mut peer = calling(scene, manners);
    peer.expect(Mnemonic::Ssrm);
    peer.send(Command::StartSession(ssid()));
    assert_eq!(peer.expect_end(Reason::INCOMPATIBLE), UNWELCOME);
    scene.assert_told(told);
}

#[test]
fn a_caller_without_the_certificate_that_is_required_is_turned_away() {
    let scene = Scene::secured(REQUIRED);
    let told = "the caller showed no TLS certificate, and this partner must show one";
    turned_away(&scene, TlsManners::stranger(), told);
    served(&scene, TlsManners::showing(&issued("peer")));
    scene.assert_unharmed(1);
}

#[test]
fn a_caller_with_a_certificate_that_is_forbidden_is_turned_away() {
    let scene = Scene::secured("transport = \"tls\"\n[tls]\ninbound_client_certificate = \"forbidden\"\n");
    let told = "the caller showed a TLS certificate, and this partner must not show one";
    turned_away(&scene, TlsManners::showing(&issued("peer")), told);
    served(&scene, TlsManners::stranger());
    scene.assert_unharmed(1);
}

#[test]
fn a_certificate_that_is_preferred_is_missed() {
    let scene = Scene::secured("transport = \"tls\"\n[tls]\ninbound_client_certificate = \"preferred\"\n");
    served(&scene, TlsManners::showing(&issued("peer")));
    let missed = "peer showed no TLS certificate, although its terms prefer one";
    assert!(!scene.station.events.all().iter().any(|event| event.to_string().contains(missed)));
    served(&scene, TlsManners::stranger());
    scene.assert_told(missed);
    let told = "the caller's TLS certificate is not trusted for this partner";
    turned_away(&scene, TlsManners::showing(&issued("stranger")), told);
    scene.assert_unharmed(2);
}

#[test]
fn a_certificate_that_is_shown_must_be_the_right_one_even_if_none_is_required() {
    let station = equipped();
    station.give_certificate("good", "tls", &issued("good"));
    station.give_certificate("peer", "tls", &issued_for("peer of old", Validity::Expired));
    station.give_certificate("peer", "tls", &issued_for("peer to come", Validity::NotYet));
    station.give_certificate("peer", "signing", &issued("peer, for signing only"));
    for terms in [TLS, REQUIRED] {
        let scene = Scene::prepared(copy_of(&station), terms);
        for shown in [
            issued("good"),
            issued("stranger"),
            issued("station"),
            issued_for("peer of old", Validity::Expired),
            issued_for("peer to come", Validity::NotYet),
            issued("peer, for signing only"),
        ] {
            turned_away(&scene, TlsManners::showing(&shown), "it is not the one that is pinned");
        }
        served(&scene, TlsManners::showing(&issued("peer")));
        scene.assert_unharmed(1);
    }
}

/// Another station with the same keys and certificates.
fn copy_of(station: &TestStation) -> TestStation {
    let copy = TestStation::new(STATION);
    for folder in ["keys", "certificates"] {
        copy_folder(&station.home().root().join(folder), &copy.home().root().join(folder));
    }
    copy
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("readable").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a file");
        }
    }
}

#[test]
fn a_certificate_that_an_authority_issued_for_another_station_is_none_of_the_partner() {
    let authority = Authority::new("Authority");
    let ours = authority.issue_with_code("peer", PEER);
    let of_another = authority.issue_with_code("somebody", "O0013000001SOMEBODY");
    let scene = Scene::prepared(trusting(&[], &[&authority]), REQUIRED);
    served(&scene, TlsManners::showing(&ours));
    turned_away(&scene, TlsManners::showing(&of_another), "it is that of another station");
    scene.assert_unharmed(1);
}

#[test]
fn pinned_certificates_and_those_of_an_authority_are_trusted_each_for_itself() {
    let (authority, other) = (Authority::new("Authority"), Authority::new("Other authority"));
    let leaf = authority.issue("peer", "peer.example.com", Validity::Now);
    let (of_other, expired) = (
        other.issue("peer", "peer.example.com", Validity::Now),
        authority.issue("peer", "peer.example.com", Validity::Expired),
    );
    let alone = issued("peer");

    let scene = Scene::prepared(trusting(&[&alone], &[]), REQUIRED);
    served(&scene, TlsManners::showing(&alone));
    turned_away(&scene, TlsManners::showing(&leaf), "it is not the one that is pinned");
    scene.assert_unharmed(1);

    let scene = Scene::prepared(trusting(&[], &[&authority]), REQUIRED);
    served(&scene, TlsManners::showing(&leaf));
    for stranger in [&alone, &of_other] {
        turned_away(&scene, TlsManners::showing(stranger), "UnknownIssuer");
    }
    turned_away(&scene, TlsManners::showing(&expired), "expired");
    scene.assert_unharmed(1);

    let scene = Scene::prepared(trusting(&[&alone], &[&authority]), REQUIRED);
    served(&scene, TlsManners::showing(&alone));
    served(&scene, TlsManners::showing(&leaf));
    turned_away(&scene, TlsManners::showing(&of_other), "UnknownIssuer");
    scene.assert_unharmed(2);

    let scene = Scene::prepared(trusting(&[], &[&authority, &other]), REQUIRED);
    served(&scene, TlsManners::showing(&leaf));
    served(&scene, TlsManners::showing(&of_other));
    scene.assert_unharmed(2);
}

#[test]
fn a_partner_without_any_certificate_here_may_show_none_and_no_other() {
    let scene = Scene::prepared(trusting(&[], &[]), TLS);
    served(&scene, TlsManners::stranger());
    turned_away(&scene, TlsManners::showing(&issued("peer")), "`odile cert import peer FILE` adds one");
    scene.assert_unharmed(1);
}

#[test]
fn a_partner_for_tls_that_comes_without_is_turned_away() {
    let scene = Scene::secured(TLS);
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    peer.send(Command::StartSession(ssid()));
    assert_eq!(peer.expect_end(Reason::INCOMPATIBLE), UNWELCOME);
    scene.assert_told("it called without TLS, which its terms require");
    scene.assert_told("was refused (ESID 10");
    scene.assert_unharmed(0);
}

#[test]
fn a_password_is_not_even_looked_at_without_the_certificate() {
    let scene = Scene::secured(&format!("their_password = \"SECRET\"\n{REQUIRED}"));
    let peer_key = issued("peer");
    let stranger = || calling(&scene, TlsManners::stranger());
    let known = || calling(&scene, TlsManners::showing(&peer_key));
    let plain = || Peer::connect(scene.address);
    let cases: [(&dyn Fn() -> Peer, &str, Reason); 5] = [
        (&stranger, "SECRET", Reason::INCOMPATIBLE),
        (&stranger, "WRONG", Reason::INCOMPATIBLE),
        (&plain, "SECRET", Reason::INCOMPATIBLE),
        (&plain, "WRONG", Reason::INCOMPATIBLE),
        (&known, "WRONG", Reason::INVALID_PASSWORD),
    ];
    for (connect, password, reason) in cases {
        let mut peer = connect();
        peer.expect(Mnemonic::Ssrm);
        let password = odile_wire::Password::new(password).expect("a password");
        peer.send(Command::StartSession(StartSession { password, ..ssid() }));
        peer.expect_end(reason);
    }
    scene.assert_unharmed(0);
}

#[test]
fn a_partner_for_plain_lines_may_come_over_tls() {
    let scene = Scene::secured("");
    served(&scene, TlsManners::showing(&issued("peer")));
    served(&scene, TlsManners::stranger());
    scene.assert_unharmed(2);
}
