//! Octets that are no OFTP, at the beginning of a session and in it.

use odile_tests::peer::{Peer, framed, sfid, ssid};
use odile_tests::scene::Scene;
use odile_wire::command::StartSession;
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic};

/// xorshift64*: the same octets for the same seed on every machine.
fn random_octets(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    };
    let length = 1 + next() % 6000;
    (0..length).map(|_| next().to_le_bytes()[0]).collect()
}

#[test]
fn random_octets_end_the_session_and_nothing_else() {
    let scene = Scene::new("");
    for seed in 0..12 {
        println!("seed {seed}");
        let mut peer = Peer::connect(scene.address);
        peer.expect(Mnemonic::Ssrm);
        peer.try_raw(&random_octets(seed));
        peer.hang_up();
        peer.read_to_end();
    }
    for end in scene.ends() {
        assert_ne!(end.reason, Reason::NORMAL, "{end:?}");
    }
    scene.assert_unharmed(0);
}

#[test]
fn a_web_browser_is_told_that_this_is_no_place_for_it() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    peer.send_raw(b"GET / HTTP/1.1\r\nHost: station\r\n\r\n");
    peer.expect_end(Reason::BUFFER_SIZE_ERROR);
    let end = scene.end();
    assert!(end.by_us && end.text.contains("the other end does not speak OFTP"), "{end:?}");
    scene.assert_unharmed(0);
}

#[test]
fn garbage_behind_a_valid_ssid_ends_the_session() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.send_raw(&[0xFF; 500]);
    peer.expect_end(Reason::BUFFER_SIZE_ERROR);
    assert!(scene.end().text.contains("version 15"));
    scene.assert_unharmed(0);
}

#[test]
fn a_wrong_stream_header_is_refused_with_the_first_octet_that_shows_it() {
    let scene = Scene::new("");
    let headers: &[(&[u8], &str)] = &[
        (&[0x20], "version 2"),
        (&[0x00], "version 0"),
        (&[0x11], "reserved flags 0x1"),
        (&[0x1F], "reserved flags 0xF"),
        // 16 MB: no octet of it is waited for, and no room made.
        (&[0x10, 0xFF], "outside 5 to 100003"),
        (&[0x10, 0x00, 0x00, 0x04], "of 4 octets"),
        (&[0x10, 0x00, 0x00, 0x00], "of 0 octets"),
        (&[0x10, 0x01, 0x86, 0xA4], "of 100004 octets"),
    ];
    for (header, told) in headers {
        let mut peer = Peer::connect(scene.address);
        peer.expect(Mnemonic::Ssrm);
        peer.send_raw(header);
        peer.expect_end(Reason::BUFFER_SIZE_ERROR);
        let end = scene.ends().pop().expect("it is there");
        assert!(end.text.contains(told), "{header:?}: {end:?}");
    }
    scene.assert_unharmed(0);
}

#[test]
fn the_longest_stream_buffer_is_taken() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    let longest = framed(b'R', &vec![b' '; 99_998]);
    assert_eq!((longest.len(), &longest[..4]), (100_003, &[0x10, 0x01, 0x86, 0xA3][..]));
    peer.send_raw(&longest);
    peer.wind_up();
    assert_eq!(scene.end().reason, Reason::NORMAL);
    scene.assert_unharmed(0);
}

#[test]
fn a_command_in_pieces_of_one_octet_is_the_same_command() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    for octet in peer.encoded(&Command::StartSession(ssid())) {
        peer.send_raw(&[octet]);
    }
    peer.expect(Mnemonic::Ssid);
    peer.start(&sfid("PIECES", 5));
    peer.send_payload(&[0x85, b'h', b'e', b'l', b'l', b'o']);
    assert_eq!(peer.close(0, 5).mnemonic(), Mnemonic::Efpa);
    peer.finish();
    scene.assert_unharmed(1);
}

#[test]
fn an_unknown_command_is_told_as_such() {
    let scene = Scene::new("");
    for (letter, before) in [(b'Z', true), (b'Z', false), (0, false), (b'd', false)] {
        let mut peer = Peer::connect(scene.address);
        if before {
            peer.expect(Mnemonic::Ssrm);
        } else {
            peer.greet(&ssid());
        }
        peer.send_raw(&framed(letter, b"something"));
        peer.expect_end(Reason::COMMAND_NOT_RECOGNISED);
        assert!(scene.ends().pop().expect("it is there").text.contains(&format!("0x{letter:02X}")));
    }
    scene.assert_unharmed(0);
}

#[test]
fn a_command_that_ends_early_is_told_as_such() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    peer.send_raw(&framed(b'X', b"5O0013PEER"));
    peer.expect_end(Reason::BUFFER_SIZE_ERROR);
    assert!(scene.end().text.contains("SSID ends inside SSIDCODE"));
    scene.assert_unharmed(0);
}

#[test]
fn an_ssid_with_impossible_values_is_told_as_such() {
    let scene = Scene::new("");
    let valid = Peer::connect(scene.address).encoded(&Command::StartSession(ssid()));
    // Offsets behind the header: buffer size 35, capability 40, credit 44.
    for (at, octets, field) in [
        (35, &b"00127"[..], "SSIDSDEB"),
        (35, b"1e3  ", "SSIDSDEB"),
        (40, b"Q", "SSIDSR"),
        (44, b"000", "SSIDCRED"),
        (1, b"x", "SSIDLEV"),
    ] {
        let mut wrong = valid.clone();
        wrong[4 + at..4 + at + octets.len()].copy_from_slice(octets);
        let mut peer = Peer::connect(scene.address);
        peer.expect(Mnemonic::Ssrm);
        peer.send_raw(&wrong);
        peer.expect_end(Reason::INVALID_DATA);
        assert!(scene.ends().iter().any(|end| end.text.contains(field)), "{field}");
    }
    scene.assert_unharmed(0);
}

#[test]
fn a_second_ssid_ends_the_session_without_a_word() {
    let scene = Scene::new("");
    let mut peer = Peer::open(scene.address);
    peer.send(Command::StartSession(ssid()));
    // §9.8 F.
    peer.expect_closed();
    let end = scene.end();
    assert!(end.by_us && end.reason == Reason::PROTOCOL_VIOLATION, "{end:?}");
    scene.assert_unharmed(0);
}

#[test]
fn data_instead_of_ssid_is_a_protocol_violation() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    peer.send_payload(&[0x82, b'a', b'b']);
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    scene.assert_unharmed(0);
}

#[test]
fn another_text_in_ssrm_is_no_oftp() {
    let scene = Scene::calling("");
    let transfer = scene.station.send("peer", &scene.station.write("file", b"x"));
    let mut peer = Peer::answer(&scene.port);
    peer.send_raw(&framed(b'I', b"ODETTE FTP STEADY \r"));
    peer.expect_end(Reason::INVALID_DATA);
    let end = scene.end();
    assert!(end.by_us && end.text.contains("SSRM"), "{end:?}");
    assert_eq!(scene.state(&transfer).0, "queued");
    scene.assert_unharmed(0);
}

#[test]
fn an_answer_that_is_no_oftp_at_all_ends_the_call() {
    let scene = Scene::calling("");
    scene.station.send("peer", &scene.station.write("file", b"x"));
    let mut peer = Peer::answer(&scene.port);
    peer.send_raw(b"SSH-2.0-OpenSSH_9.9\r\n");
    peer.expect_end(Reason::BUFFER_SIZE_ERROR);
    assert!(scene.end().text.contains("the other end does not speak OFTP"));
    scene.assert_unharmed(0);
}

#[test]
fn the_smallest_buffers_and_credit_are_agreed_on() {
    let scene = Scene::new("");
    let mut peer = Peer::connect(scene.address);
    let answer = peer.greet(&StartSession { buffer_size: 128, credit: 1, ..ssid() });
    assert_eq!((answer.buffer_size, answer.credit), (128, 1));
    peer.finish();
    scene.assert_unharmed(0);
}
