//! Peers that do not answer, or too slowly. The limit is one second here.

use std::fs::File;
use std::time::{Duration, Instant};

use odile_station::SessionEnd;
use odile_tests::peer::{Peer, Said, sfid, ssid};
use odile_tests::scene::Scene;
use odile_tests::station::PATIENCE;
use odile_wire::command::SetCredit;
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic};

const SHORT: &str = "[session]\ninactivity_seconds = 1\n";

fn assert_timed_out(end: &SessionEnd, state: &str) {
    assert!(end.by_us && end.reason == Reason::TIME_OUT, "{end:?}");
    assert!(end.text.contains(state), "{end:?}");
}

/// The station sends a file; the peer takes part up to some point, and then says nothing.
fn silent_after(state: &str, script: impl FnOnce(&mut Peer)) {
    let scene = Scene::calling(SHORT);
    let transfer = scene.station.send("peer", &scene.station.write("file", &[5; 5000]));
    let mut peer = Peer::answer(&scene.port);
    script(&mut peer);
    peer.read_to_end();
    assert_timed_out(&scene.end(), state);
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.assert_unharmed(0);
}

#[test]
fn a_station_that_never_says_ready_is_left() {
    silent_after("I_WF_RM", |_| {});
}

#[test]
fn a_responder_that_never_introduces_itself_is_left() {
    silent_after("I_WF_SSID", |peer| {
        peer.send(Command::StartSessionReady(odile_wire::command::StartSessionReady));
        peer.expect(Mnemonic::Ssid);
    });
}

#[test]
fn a_peer_that_never_answers_an_offer_is_left() {
    silent_after("OPOP", |peer| {
        peer.greet_back(&ssid());
        peer.expect_offer();
    });
}

#[test]
fn a_peer_that_never_renews_the_credit_is_left() {
    silent_after("OPOWFC", |peer| {
        peer.greet_back(&ssid());
        peer.expect_offer();
        peer.accept();
        for _ in 0..3 {
            assert!(matches!(peer.read(), Said::Data(_)));
        }
    });
}

#[test]
fn a_peer_that_never_confirms_the_end_is_left() {
    silent_after("CLOP", |peer| {
        peer.greet_back(&ssid());
        peer.take_file();
    });
}

#[test]
fn late_credit_does_not_keep_a_session_alive() {
    let scene = Scene::calling(SHORT);
    scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::opened(&scene.port);
    peer.take_file();
    let credit = peer.encoded(&Command::SetCredit(SetCredit));
    let deadline = Instant::now() + PATIENCE;
    while peer.try_raw(&credit) && !peer.is_closed_within(Duration::from_millis(100)) {
        assert!(Instant::now() < deadline, "credit keeps the session alive");
    }
    assert_timed_out(&scene.end(), "CLOP");
    scene.assert_unharmed(0);
}

#[test]
fn a_peer_that_never_takes_its_receipt_gets_it_in_the_next_session() {
    let scene = Scene::new(SHORT);
    let file = sfid("RECEIPT", 5);
    let mut peer = Peer::open(scene.address);
    peer.send_file(&file, b"hello");
    peer.give_turn();
    peer.expect(Mnemonic::Eerp);
    peer.expect_closed();
    assert_timed_out(&scene.end(), "WF_RTR");
    let peer = Peer::open(scene.address);
    assert_eq!(peer.finish(), [file.id]);
    scene.assert_unharmed(1);
}

#[test]
fn a_speaker_that_says_nothing_is_left() {
    let scene = Scene::new(SHORT);
    let mut peer = Peer::open(scene.address);
    peer.expect_closed();
    assert_timed_out(&scene.end(), "IDLELI");
    scene.assert_unharmed(0);
}

#[test]
fn a_speaker_that_stops_in_the_middle_of_a_file_is_left() {
    let scene = Scene::new(SHORT);
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("STUCK", 5000));
    peer.send_raw(&[0x10, 0, 1, 0, b'D', 63, b'x']);
    peer.expect_closed();
    assert_timed_out(&scene.end(), "OPI");
    scene.assert_waits("R1", 1);
    scene.assert_unharmed_while_waiting(0, 1);
}

#[test]
fn data_that_comes_slowly_is_awaited() {
    let scene = Scene::new(SHORT);
    let mut peer = Peer::open(scene.address);
    peer.start(&sfid("SLOW", 12));
    // One Data Exchange Buffer that takes longer than the timer.
    peer.send_raw(&[0x10, 0, 0, 18, b'D', 0x8C]);
    for _ in 0..12 {
        assert!(!peer.is_closed_within(Duration::from_millis(150)));
        peer.send_raw(b"x");
    }
    assert_eq!(peer.close(0, 12).mnemonic(), Mnemonic::Efpa);
    peer.finish();
    scene.assert_unharmed(1);
}

#[test]
fn a_caller_that_never_introduces_itself_is_left() {
    let scene = Scene::of_station(SHORT);
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    peer.expect_closed();
    assert_timed_out(&scene.end(), "A_NC_ONLY");
    scene.assert_unharmed(0);
}

#[test]
fn a_caller_that_introduces_itself_octet_by_octet_is_left() {
    let scene = Scene::of_station(SHORT);
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    // An SSID as long as a buffer can be, so that it does not end by itself.
    peer.send_raw(&[0x10, 0x01, 0x86, 0xA3, b'X']);
    let deadline = Instant::now() + PATIENCE;
    while peer.try_raw(b"5") && !peer.is_closed_within(Duration::from_millis(100)) {
        assert!(Instant::now() < deadline, "single octets keep the session alive");
    }
    assert_timed_out(&scene.end(), "A_NC_ONLY");
    scene.assert_unharmed(0);
}

#[test]
fn a_peer_that_stops_reading_is_left() {
    let scene = Scene::calling("[session]\ninactivity_seconds = 1\n");
    let path = scene.station.folder().join("large");
    // Holes cost no disk; it is more than all socket buffers hold.
    File::create(&path).expect("it is there").set_len(64 << 20).expect("it is there");
    let transfer = scene.station.send("peer", &path);
    let mut peer = Peer::answer(&scene.port);
    let mut wide = ssid();
    (wide.buffer_size, wide.credit) = (99_999, 999);
    peer.greet_back(&wide);
    peer.expect_offer();
    peer.accept();
    let end = scene.end();
    assert!(end.by_us && end.reason == Reason::TIME_OUT, "{end:?}");
    assert!(end.text.contains("took no data for 1 s"), "{end:?}");
    let (state, detail) = scene.state(&transfer);
    assert!(state == "queued" && detail.contains("took no data"), "{state}: {detail}");
    drop(peer);
    scene.assert_unharmed(0);
}

#[test]
fn a_peer_that_does_not_hang_up_after_our_esid_is_left() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.send_payload(&[0x81, b'x']);
    peer.expect(Mnemonic::Esid);
    // Nor does it matter what it says now.
    peer.send_payload(&[0x81, b'x']);
    peer.send(Command::StartFile(Box::new(sfid("DEAF", 5))));
    peer.expect_closed();
    assert_eq!(scene.end().reason, Reason::PROTOCOL_VIOLATION);
    scene.assert_unharmed(0);
}

#[test]
fn partners_that_rest_after_a_file_hold_no_buffers() {
    let scene = Scene::new("");
    // More sessions than the station has buffers.
    let resting: Vec<_> = (0..12)
        .map(|_| {
            let mut peer = Peer::open(scene.address);
            peer.send_file(&sfid("RESTING", 5), b"hello");
            peer
        })
        .collect();
    let begun = Instant::now();
    scene.assert_serves();
    assert!(begun.elapsed() < Duration::from_secs(25), "the next file had to wait for buffers");
    for peer in resting {
        peer.finish();
    }
    scene.assert_unharmed(12);
}
