//! Lines that are up: they break, are damaged, or change their keys.

use odile_tests::peer::{Peer, Said, open_subrecords, sfid, ssid};
use odile_tests::pki::issued;
use odile_tests::scene::Scene;
use odile_tests::secure_line::TlsManners;
use odile_wire::command::SetCredit;
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic};

use super::{ONLY_1_3, TLS, calling, finished};

#[test]
fn a_line_that_ends_without_a_word_of_tls_in_the_middle_of_a_file_is_a_cut() {
    let scene = Scene::secured(TLS);
    let file = sfid("CUT", 5000);
    for cut in [Cut::Half, Cut::Reset] {
        let mut peer = calling(&scene, TlsManners::stranger());
        peer.greet(&ssid());
        peer.start(&file);
        peer.send_payload(&open_subrecords(&[7; 900]));
        match cut {
            // FIN without close_notify: an attacker may have cut off what came behind.
            Cut::Half => {
                peer.hang_up();
                peer.read_to_end();
            }
            Cut::Reset => drop(peer),
        }
        let end = scene.ends().pop().expect("a session");
        assert!(!end.by_us && end.reason != Reason::NORMAL, "{end:?}");
        if matches!(cut, Cut::Half) {
            scene.assert_waits("R1", 900);
            scene.assert_unharmed_while_waiting(0, 1);
        }
    }
    let mut peer = calling(&scene, TlsManners::stranger());
    peer.greet(&ssid());
    peer.send_file(&file, b"whole");
    peer.finish();
    scene.assert_unharmed(1);
}

#[derive(Clone, Copy)]
enum Cut {
    Half,
    Reset,
}

#[test]
fn new_traffic_keys_in_the_middle_of_a_file_do_no_harm() {
    let peer_key = issued("peer");
    let content = odile_tests::envelope::noise(2, 20_000);
    let scene = Scene::secured(TLS);
    let mut peer = calling(&scene, TlsManners { versions: ONLY_1_3, ..TlsManners::stranger() });
    peer.greet(&ssid());
    let file = sfid("REKEYED", content.len());
    peer.start(&file);
    let pieces: Vec<_> = content.chunks(900).collect();
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 && at % 3 == 0 {
            peer.expect(Mnemonic::Cdt);
        }
        peer.refresh_keys();
        peer.send_payload(&open_subrecords(piece));
    }
    assert!(!pieces.len().is_multiple_of(3));
    assert_eq!(peer.close(0, content.len() as u64).mnemonic(), Mnemonic::Efpa);
    peer.finish();
    assert!(std::fs::read(&scene.station.inbox("peer")[0]).expect("it is there") == content);
    scene.assert_unharmed(1);

    let scene = Scene::secured_calling(TLS);
    let transfer = scene.station.send("peer", &scene.station.write("file", &content));
    let manners = TlsManners { versions: ONLY_1_3, ..TlsManners::showing(&peer_key) };
    let mut peer = Peer::answer_secure(&scene.port, manners).expect("a handshake");
    peer.greet_back(&ssid());
    let file = peer.expect_offer();
    peer.accept();
    let mut received = 0;
    let octets = loop {
        match peer.read() {
            Said::Data(_) => {
                received += 1;
                if received % 3 == 0 {
                    peer.refresh_keys();
                    peer.send(Command::SetCredit(SetCredit));
                }
            }
            Said::Command(Command::EndFile(end)) => break end.unit_count,
            other => unreachable!("DATA or EFID was expected, not {other:?}"),
        }
    };
    assert_eq!(octets, content.len() as u64);
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    peer.send_receipt(&file);
    scene.station.wait_state(&transfer, "delivered");
    finished(&scene, peer);
}

#[test]
fn records_that_are_damaged_end_the_session_and_the_file() {
    let scene = Scene::secured(TLS);
    let record = [&[23, 3, 3, 0, 40][..], &[0x5A; 40]].concat();
    let cases: [&[u8]; 4] = [&record, &[0; 64], b"\x10\0\0\x05F", &[23, 3, 3, 0xFF, 0xFF]];
    for octets in cases {
        let mut peer = calling(&scene, TlsManners::stranger());
        peer.greet(&ssid());
        peer.start(&sfid("DAMAGED", 5000));
        peer.send_payload(&open_subrecords(&[7; 900]));
        peer.send_beneath(octets);
        peer.read_to_end();
        let end = scene.ends().pop().expect("a session");
        assert!(end.text.contains("TLS failed"), "{end:?}");
    }
    // What came before was not: TLS says so.
    scene.assert_told("interrupted: the session ended in the middle of the file: TLS failed");
    for transfer in ["R1", "R2", "R3", "R4"] {
        scene.assert_waits(transfer, 900);
    }
    scene.assert_unharmed_while_waiting(0, 4);
}
