//! Handshakes: versions, cipher suites, what is no TLS at all, and callers that stall.

use std::io::{Read, Write};
use std::net::TcpStream;

use odile_station::Event;
use odile_tests::peer::{Peer, open_subrecords, sfid, socket, ssid};
use odile_tests::pki::issued;
use odile_tests::scene::Scene;
use odile_tests::secure_line::TlsManners;
use odile_wire::command::{StartSession, StartSessionReady};
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic};

use super::{ONLY_1_2, ONLY_1_3, REQUIRED, TLS, calling, delivered, finished, served};

/// Everything that the station says, up to the end of the connection.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    // Who did not read everything that we said may reset the connection.
    let _ = stream.read_to_end(&mut octets);
    octets
}

/// A ClientHello of this version at most, with these cipher suites (RFC 5246 §7.4.1.2).
fn client_hello(version: u8, suites: &[u16]) -> Vec<u8> {
    let mut hello = vec![3, version];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend(u16::try_from(suites.len() * 2).expect("few").to_be_bytes());
    hello.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    hello.extend([1, 0]);
    // supported_groups: secp256r1; ec_point_formats; signature_algorithms: RSA with SHA-256, PSS and PKCS#1.
    let extensions: [&[u8]; 3] =
        [&[0, 10, 0, 4, 0, 2, 0, 23], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 6, 0, 4, 8, 4, 4, 1]];
    let extensions = extensions.concat();
    hello.extend(u16::try_from(extensions.len()).expect("few").to_be_bytes());
    hello.extend(extensions);
    let length = u16::try_from(hello.len()).expect("a small message");
    let message = [&[1, 0][..], &length.to_be_bytes(), &hello].concat();
    let length = u16::try_from(message.len()).expect("a small message");
    [&[22, 3, version.min(1)][..], &length.to_be_bytes(), &message].concat()
}

/// What is said instead of a handshake; the alert that comes back, if one must.
fn refused_hello(scene: &Scene, said: &[u8], alert: Option<u8>, told: &str) {
    let failed = |event: &Event| matches!(event, Event::HandshakeFailed { .. });
    let before = scene.station.events.all().into_iter().filter(failed).count();
    let mut stream = socket(scene.secure_address());
    stream.write_all(said).expect("the station reads");
    let answer = rest(stream);
    if let Some(description) = alert {
        assert_eq!(answer.len(), 7, "one alert and nothing else: {answer:?}");
        assert_eq!((answer[0], &answer[3..]), (21, &[0, 2, 2, description][..]));
    }
    scene.station.events.wait_for_many(before + 1, "handshakes that failed", failed);
    let event = scene.station.events.all().into_iter().rfind(failed).expect("just waited for it");
    assert!(event.is_trouble() && event.to_string().contains(told), "{event}");
}

const PROTOCOL_VERSION: u8 = 70;
const HANDSHAKE_FAILURE: u8 = 40;

#[test]
fn versions_that_are_not_safe_are_refused_with_an_alert() {
    let scene = Scene::secured(TLS);
    // RSA and ECDHE_RSA, with AES in CBC mode.
    let suites = [0x002F, 0x0035, 0xC013, 0xC014];
    for version in [0, 1, 2] {
        let hello = client_hello(version, &suites);
        refused_hello(
            &scene,
            &hello,
            Some(PROTOCOL_VERSION),
            "no common TLS version: 1.2 and 1.3 are spoken here",
        );
    }
    served(&scene, TlsManners::stranger());
    scene.assert_unharmed(1);
}

#[test]
fn cipher_suites_without_forward_secrecy_are_refused_with_an_alert() {
    let scene = Scene::secured(TLS);
    // RSA key transport: AES in CBC mode, AES-GCM; and none that exists.
    for suites in [&[0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D][..], &[0x0000, 0xFAFA]] {
        let hello = client_hello(3, suites);
        let told = "no common TLS cipher suite with forward secrecy";
        refused_hello(&scene, &hello, Some(HANDSHAKE_FAILURE), told);
    }
    scene.assert_unharmed(0);
}

#[test]
fn what_is_no_tls_is_refused_at_the_port_for_tls() {
    let scene = Scene::secured(TLS);
    let told = "the other end does not speak TLS here";
    let ssid = {
        let mut octets = vec![0x10, 0, 0, 65, b'X', b'5'];
        octets.extend_from_slice(format!("{:25}{:8}99999BNNN999Y    {:8}\r", "O0013PEER", "", "").as_bytes());
        octets
    };
    refused_hello(&scene, &ssid, None, told);
    refused_hello(&scene, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", None, told);
    refused_hello(&scene, &[0; 1000], None, told);
    refused_hello(&scene, &vec![0xFF; 100_000], None, told);
    refused_hello(&scene, &[0x16, 3, 1, 0xFF, 0xFF, 1, 2, 3], None, told);
    // A handshake message that is none, and one in pieces of nothing.
    let unexpected = "received unexpected";
    refused_hello(&scene, &[0x16, 3, 3, 0, 5, 99, 0, 0, 1, 0], None, unexpected);
    refused_hello(&scene, &[0x17, 3, 3, 0, 1, 0], None, unexpected);
    served(&scene, TlsManners::stranger());
    scene.assert_unharmed(1);
}

#[test]
fn tls_is_no_oftp_at_the_port_without() {
    let scene = Scene::secured("");
    let outcome = Peer::connect_secure(scene.address, TlsManners::stranger());
    assert!(outcome.is_err(), "the station says SSRM there");
    let end = scene.end();
    assert!(end.by_us && end.reason != Reason::NORMAL, "{end:?}");
    scene.assert_unharmed(0);
}

#[test]
fn a_handshake_that_stalls_holds_nobody_up_and_ends_with_the_connection() {
    let scene = Scene::secured(TLS);
    let hello = client_hello(3, &[0xC02F]);
    let stalled: Vec<_> = [&b""[..], &hello[..1], &hello[..20], &hello]
        .into_iter()
        .map(|said| {
            let mut stream = socket(scene.secure_address());
            stream.write_all(said).expect("room for it");
            stream
        })
        .collect();
    served(&scene, TlsManners::stranger());
    scene.assert_serves();
    let closed = |event: &Event| matches!(event, Event::HandshakeFailed { text, .. } if text.contains("closed during the TLS handshake"));
    assert!(!scene.station.events.all().iter().any(closed));
    let count = stalled.len();
    for stream in stalled {
        stream.shutdown(std::net::Shutdown::Both).expect("it is open");
    }
    scene.station.events.wait_for_many(count, "connections closed", closed);
    scene.assert_unharmed(1);
}

#[test]
fn many_handshakes_at_once_do_not_hold_up_a_transfer() {
    let scene = Scene::secured(TLS);
    let content = odile_tests::envelope::noise(1, 100_000);
    let mut transfer = calling(&scene, TlsManners::stranger());
    transfer.greet(&ssid());
    let file = sfid("RUNNING", content.len());
    transfer.start(&file);
    let (early, late) = content.split_at(900);
    transfer.send_payload(&open_subrecords(early));
    // Half of them stall for good, half of them go on.
    let hello = client_hello(3, &[0xC02F]);
    let stalled: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = socket(scene.secure_address());
            stream.write_all(&hello).expect("room for it");
            stream
        })
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let mut peer = calling(&scene, TlsManners::stranger());
                    peer.greet(&ssid());
                    peer.send_file(&sfid("BESIDE", 5), b"hello");
                    // Receipts go with any session of the partner.
                    peer.finish();
                }
            });
        }
        for (at, piece) in late.chunks(900).enumerate() {
            if (at + 1) % 3 == 0 {
                transfer.expect(Mnemonic::Cdt);
            }
            transfer.send_payload(&open_subrecords(piece));
        }
        if content.len().div_ceil(900).is_multiple_of(3) {
            transfer.expect(Mnemonic::Cdt);
        }
        assert_eq!(transfer.close(0, content.len() as u64).mnemonic(), Mnemonic::Efpa);
    });
    transfer.finish();
    drop(stalled);
    let large = scene.station.inbox("peer");
    let large = large.iter().find(|path| path.to_string_lossy().contains("RUNNING")).expect("it came");
    assert!(std::fs::read(large).expect("it is there") == content);
    scene.assert_unharmed(21);
}

#[test]
fn each_version_that_is_safe_serves_alone() {
    for (versions, name) in [(ONLY_1_2, "TLSv1_2 TLS_ECDHE_RSA_WITH"), (ONLY_1_3, "TLSv1_3 TLS13")] {
        let scene = Scene::secured(REQUIRED);
        let peer = issued("peer");
        served(&scene, TlsManners { versions, ..TlsManners::showing(&peer) });
        scene.assert_told(&format!("secured by {name}"));
        scene.assert_unharmed(1);

        let scene = Scene::secured_calling(TLS);
        let transfer = scene.station.send("peer", &scene.station.write("file", &vec![7; 50_000]));
        let manners = TlsManners { versions, ..TlsManners::showing(&peer) };
        let mut peer = Peer::answer_secure(&scene.port, manners).expect("a handshake");
        delivered(&scene, &mut peer, &transfer);
        scene.assert_told(&format!("secured by {name}"));
        finished(&scene, peer);
    }
}

#[test]
fn words_that_come_with_the_end_of_the_handshake_are_heard() {
    // The peer calls, and does not wait for SSRM.
    let scene = Scene::secured(TLS);
    let mut greeting = Vec::new();
    let command = Command::StartSession(StartSession { ..ssid() });
    odile_wire::stream::push_command(&command, odile_wire::Level::V2_0, &mut greeting).unwrap();
    let mut peer = calling(&scene, TlsManners { first_words: &greeting, ..TlsManners::stranger() });
    peer.expect(Mnemonic::Ssrm);
    peer.expect(Mnemonic::Ssid);
    peer.end(Reason::NORMAL);
    peer.expect_closed();
    scene.assert_unharmed(0);

    // The station calls; with TLS 1.2, the last word of the handshake is the peer's.
    let scene = Scene::secured_calling(TLS);
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut ready = Vec::new();
    let command = Command::StartSessionReady(StartSessionReady);
    odile_wire::stream::push_command(&command, odile_wire::Level::V2_0, &mut ready).unwrap();
    let key = issued("peer");
    let manners = TlsManners { first_words: &ready, versions: ONLY_1_2, ..TlsManners::showing(&key) };
    let mut peer = Peer::answer_secure(&scene.port, manners).expect("a handshake");
    peer.expect(Mnemonic::Ssid);
    peer.send(Command::StartSession(ssid()));
    let file = peer.expect_offer();
    peer.end(Reason::NORMAL);
    peer.expect_closed();
    assert_eq!(file.size_blocks, 1);
    scene.station.wait_state(&transfer, "queued");
    scene.assert_unharmed(0);
}
