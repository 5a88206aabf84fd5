//! Secure authentication (SECD, AUCH, AURP): peers that cannot prove who they are, would rather not, or do so at the
//! wrong time; and those that can.

use std::sync::Arc;

use odile_station::envelope::{ContentCipher, Suite, open_challenge, seal_challenge};
use odile_tests::asn1::Node;
use odile_tests::envelope::{ENCRYPT, Sealing, entropy, flipped, noise, wrapped_key_at};
use odile_tests::peer::{Peer, STATION, sfid, ssid};
use odile_tests::pki::{Issued, Validity, issued, issued_for};
use odile_tests::scene::{Scene, equipped};
use odile_tests::station::TestStation;
use odile_wire::command::{
    AuthenticationChallenge, AuthenticationResponse, ChangeDirection, SecurityChangeDirection, StartSession,
};
use odile_wire::{Command, EndSessionReason as Reason, Mnemonic};

const TERMS: &str = "[session]\nauthentication = true\n";

fn secure_ssid() -> StartSession {
    StartSession { authentication: true, ..ssid() }
}

fn secd() -> Command {
    Command::SecurityChangeDirection(SecurityChangeDirection)
}

fn auch(challenge: Vec<u8>) -> Command {
    Command::AuthenticationChallenge(AuthenticationChallenge { challenge })
}

fn aurp(response: [u8; 20]) -> Command {
    Command::AuthenticationResponse(AuthenticationResponse { response })
}

/// The peer has called; both have said SSID.
fn greeted(scene: &Scene) -> Peer {
    let mut peer = Peer::connect(scene.address);
    let answer = peer.greet(&secure_ssid());
    assert!(answer.authentication);
    peer
}

/// The station has called; both have said SSID.
fn called(scene: &Scene) -> Peer {
    let mut peer = Peer::answer(&scene.port);
    let greeting = peer.greet_back(&secure_ssid());
    assert!(greeting.authentication);
    peer
}

/// Reads AUCH; what it asks, and how that was encrypted.
fn challenged(peer: &mut Peer, key: &Issued) -> ([u8; 20], ContentCipher) {
    let Command::AuthenticationChallenge(auch) = peer.expect(Mnemonic::Auch) else {
        unreachable!("an AUCH was expected")
    };
    let (challenge, decrypted) =
        open_challenge(&auch.challenge, &[Arc::clone(&key.identity)]).expect("it is for us");
    (*challenge, decrypted.cipher)
}

/// Challenges the station, which must answer rightly.
fn challenge(peer: &mut Peer, suite: Suite) {
    let question: [u8; 20] = noise(99, 20).try_into().expect("twenty octets");
    let station = issued("station");
    let envelope = seal_challenge(suite, station.identity.certificate(), &question, &mut entropy());
    peer.send(auch(envelope.expect("it can be sealed")));
    let Command::AuthenticationResponse(answer) = peer.expect(Mnemonic::Aurp) else {
        unreachable!("an AURP was expected")
    };
    assert_eq!(answer.response, question);
}

/// As Initiator: answers, then asks in this suite; this side has the turn.
fn prove_as_initiator(peer: &mut Peer, suite: Suite) {
    peer.send(secd());
    let (answer, _) = challenged(peer, &issued("peer"));
    peer.send(aurp(answer));
    peer.expect(Mnemonic::Secd);
    challenge(peer, suite);
}

/// As Responder: asks in this suite, then answers; the station has the turn.
fn prove_as_responder(peer: &mut Peer, suite: Suite) {
    peer.expect(Mnemonic::Secd);
    challenge(peer, suite);
    peer.send(secd());
    let (answer, _) = challenged(peer, &issued("peer"));
    peer.send(aurp(answer));
}

/// The session has ended because the peer could not prove anything; no secret is told.
fn assert_refused(scene: &Scene, reason: Reason, text: &str) {
    let end = scene.ends().pop().expect("a session");
    assert!(end.by_us && end.reason == reason, "{end:?}");
    assert!(end.text.contains(text), "{end:?}");
    scene.assert_unharmed(0);
}

#[test]
fn who_proves_itself_is_served_in_both_roles_and_with_any_cipher() {
    for suite in [Suite::S01, Suite::S04, Suite::S08] {
        let scene = Scene::secured(TERMS);
        let mut peer = greeted(&scene);
        prove_as_initiator(&mut peer, suite);
        peer.send_file(&sfid("PROVEN", 5), b"hello");
        assert_eq!(peer.finish().len(), 1);
        scene.assert_unharmed(1);

        let scene = Scene::secured_calling(TERMS);
        let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
        let mut peer = called(&scene);
        prove_as_responder(&mut peer, suite);
        let (file, content) = peer.take_file();
        assert_eq!(content, b"hello");
        peer.confirm();
        peer.expect(Mnemonic::Cd);
        peer.send_receipt(&file);
        peer.finish();
        scene.station.wait_state(&transfer, "delivered");
        scene.assert_unharmed(0);
    }
}

#[test]
fn the_station_asks_in_the_suite_of_the_partner() {
    for (suite, cipher) in [(1, ContentCipher::TripleDesCbc), (4, ContentCipher::Aes256Cbc)] {
        let scene = Scene::secured(&format!("{TERMS}[send]\nsuite = {suite}\n"));
        let mut peer = greeted(&scene);
        peer.send(secd());
        assert_eq!(challenged(&mut peer, &issued("peer")).1, cipher);
        peer.end(Reason::NORMAL);
        peer.expect_closed();
        scene.assert_unharmed(0);
    }
}

#[test]
fn each_session_gets_another_challenge() {
    let scene = Scene::secured(TERMS);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut peer = greeted(&scene);
        peer.send(secd());
        let (question, _) = challenged(&mut peer, &issued("peer"));
        assert!(!seen.contains(&question));
        seen.push(question);
        peer.end(Reason::NORMAL);
        peer.expect_closed();
    }
    scene.assert_unharmed(0);
}

/// The peer calls, and answers the challenge with this, given the right answer.
fn answered_with(scene: &Scene, answer: impl FnOnce([u8; 20]) -> [u8; 20]) {
    let mut peer = greeted(scene);
    peer.send(secd());
    let (question, _) = challenged(&mut peer, &issued("peer"));
    peer.send(aurp(answer(question)));
    let text = peer.expect_end(Reason::INVALID_CHALLENGE_RESPONSE);
    assert_eq!(text, "the response is not what the challenge held");
}

#[test]
fn a_wrong_answer_ends_the_session() {
    let scene = Scene::secured(TERMS);
    answered_with(&scene, |mut answer| {
        answer[19] ^= 1;
        answer
    });
    answered_with(&scene, |_| [0; 20]);
    answered_with(&scene, |_| noise(1, 20).try_into().expect("twenty octets"));
    answered_with(&scene, |mut answer| {
        answer.reverse();
        answer
    });
    assert_refused(&scene, Reason::INVALID_CHALLENGE_RESPONSE, "the response is not what the challenge held");
}

#[test]
fn the_answer_to_an_earlier_challenge_is_wrong() {
    let scene = Scene::secured(TERMS);
    let mut peer = greeted(&scene);
    peer.send(secd());
    let (earlier, _) = challenged(&mut peer, &issued("peer"));
    peer.send(aurp(earlier));
    peer.expect(Mnemonic::Secd);
    peer.end(Reason::NORMAL);
    peer.expect_closed();
    answered_with(&scene, |_| earlier);
    assert_refused(&scene, Reason::INVALID_CHALLENGE_RESPONSE, "the response is not what the challenge held");
}

#[test]
fn a_station_that_called_is_not_content_with_a_wrong_answer_either() {
    for wrong in [[0; 20], [7; 20]] {
        let scene = Scene::secured_calling(TERMS);
        let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
        let mut peer = called(&scene);
        peer.expect(Mnemonic::Secd);
        challenge(&mut peer, Suite::S04);
        peer.send(secd());
        challenged(&mut peer, &issued("peer"));
        peer.send(aurp(wrong));
        peer.expect_end(Reason::INVALID_CHALLENGE_RESPONSE);
        assert_eq!(scene.state(&transfer).0, "queued");
        assert_refused(&scene, Reason::INVALID_CHALLENGE_RESPONSE, "the response is not what");
    }
}

#[test]
fn a_caller_that_does_not_want_to_prove_itself_is_refused() {
    let scene = Scene::secured(TERMS);
    let mut peer = Peer::connect(scene.address);
    peer.expect(Mnemonic::Ssrm);
    peer.send(Command::StartSession(ssid()));
    let text = peer.expect_end(Reason::AUTHENTICATION_INCOMPATIBLE);
    assert_eq!(text, "secure authentication (SSIDAUTH) is required here");
    assert_refused(&scene, Reason::AUTHENTICATION_INCOMPATIBLE, "is required here");
}

#[test]
fn a_station_that_does_not_want_to_prove_itself_gets_no_file() {
    let scene = Scene::secured_calling(TERMS);
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(&ssid());
    let text = peer.expect_end(Reason::AUTHENTICATION_INCOMPATIBLE);
    assert_eq!(text, "secure authentication (SSIDAUTH) is required here");
    assert_eq!(scene.state(&transfer).0, "queued");
    assert_refused(&scene, Reason::AUTHENTICATION_INCOMPATIBLE, "is required here");
}

#[test]
fn a_station_that_wants_proof_where_none_was_agreed_gets_no_file() {
    let scene = Scene::secured_calling("");
    scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut peer = Peer::answer(&scene.port);
    peer.greet_back(&secure_ssid());
    let text = peer.expect_end(Reason::AUTHENTICATION_INCOMPATIBLE);
    assert_eq!(text, "secure authentication (SSIDAUTH) is not configured here");
    assert_refused(&scene, Reason::AUTHENTICATION_INCOMPATIBLE, "is not configured here");
}

#[test]
fn an_older_level_is_no_way_around_the_proof() {
    for level in [1, 2, 4] {
        let old = StartSession { level, ..ssid() };
        let needs = format!("secure authentication is required and needs level 5, not {level}");
        let scene = Scene::secured(TERMS);
        let mut peer = Peer::connect(scene.address);
        peer.expect(Mnemonic::Ssrm);
        peer.send(Command::StartSession(old.clone()));
        // Older levels know no reason above 10, and no text: our operator knows.
        assert_eq!(peer.read_to_end(), Some(Reason::UNSPECIFIED));
        assert_refused(&scene, Reason::AUTHENTICATION_INCOMPATIBLE, &needs);

        let scene = Scene::secured_calling(TERMS);
        let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
        let mut peer = Peer::answer(&scene.port);
        peer.greet_back(&old);
        assert_eq!(peer.read_to_end(), Some(Reason::UNSPECIFIED));
        assert_eq!(scene.state(&transfer).0, "queued");
        assert_refused(&scene, Reason::AUTHENTICATION_INCOMPATIBLE, &needs);
    }
}

/// The peer, having proved itself, asks this, which cannot be answered.
fn asked(question: Vec<u8>, told: &str) {
    let scene = Scene::secured(TERMS);
    let mut peer = greeted(&scene);
    peer.send(secd());
    let (answer, _) = challenged(&mut peer, &issued("peer"));
    peer.send(aurp(answer));
    peer.expect(Mnemonic::Secd);
    peer.send(auch(question));
    let text = peer.expect_end(Reason::INVALID_CHALLENGE_RESPONSE);
    assert_eq!(text, "the challenge cannot be decrypted");
    scene.assert_told(&format!("authentication: {told}"));
    assert_refused(&scene, Reason::INVALID_CHALLENGE_RESPONSE, "the challenge cannot be decrypted");
}

fn question_for(recipient: &Issued) -> Vec<u8> {
    seal_challenge(Suite::S04, recipient.identity.certificate(), b"twenty octets, just.", &mut entropy())
        .expect("it can be sealed")
}

#[test]
fn a_challenge_that_cannot_be_decrypted_ends_the_session() {
    let right = question_for(&issued("station"));
    asked(Vec::new(), "the envelope is incomplete");
    asked(vec![0; 20], "the envelope is not valid CMS");
    asked(b"twenty octets, just.".to_vec(), "the envelope is not valid CMS");
    asked(right[..right.len() - 1].to_vec(), "the envelope is incomplete");
    asked([&right[..], b"\0"].concat(), "there are octets behind the end of the envelope");
    asked(flipped(&right, wrapped_key_at(&right)), "the content cannot be decrypted");
    asked(flipped(&right, right.len() - 1), "the content cannot be decrypted");
    asked(vec![0x30; 65_535], "the envelope");
}

#[test]
fn a_challenge_for_another_key_ends_the_session() {
    asked(question_for(&issued("somebody else")), "the content cannot be decrypted");
    let mut two = Node::parse(&question_for(&issued("somebody else")));
    let recipient = two.at(&[1, 0, 1, 0]).clone();
    two.at(&[1, 0, 1]).children().push(recipient);
    asked(two.definite(), "the envelope is encrypted for somebody else");
}

#[test]
fn a_challenge_of_another_length_ends_the_session() {
    let station = issued("station");
    for octets in [0, 1, 19, 21, 32, 4000] {
        let envelope = Sealing::new(&issued("peer"), &station).seal(ENCRYPT, &noise(2, octets));
        asked(envelope, "the content cannot be decrypted");
    }
}

#[test]
fn who_answers_without_the_key_learns_nothing_of_the_challenge() {
    // The peer's certificate that the station has is another one.
    let station = TestStation::new(STATION);
    station.give_key(&issued("station"));
    station.give_certificate("peer", "shared", &issued("peer, renewed"));
    let scene = Scene::prepared(station, TERMS);
    let mut peer = greeted(&scene);
    peer.send(secd());
    let Command::AuthenticationChallenge(auch) = peer.expect(Mnemonic::Auch) else {
        unreachable!("an AUCH was expected")
    };
    assert!(open_challenge(&auch.challenge, &[Arc::clone(&issued("peer").identity)]).is_err());
    peer.send(aurp([0; 20]));
    peer.expect_end(Reason::INVALID_CHALLENGE_RESPONSE);
    assert_refused(&scene, Reason::INVALID_CHALLENGE_RESPONSE, "the response is not what the challenge held");
}

#[test]
fn a_partner_whose_certificate_is_missing_or_out_of_its_time_cannot_be_challenged() {
    let public = "the peer cannot be challenged: no valid certificate of it is known here";
    for (certificate, told) in [
        (None, "there is no certificate of this partner for authentication"),
        (Some(Validity::Expired), "no certificate of this partner for authentication is valid now"),
        (Some(Validity::NotYet), "no certificate of this partner for authentication is valid now"),
    ] {
        let station = TestStation::new(STATION);
        station.give_key(&issued("station"));
        if let Some(validity) = certificate {
            station.give_certificate("peer", "authentication", &issued_for("peer of another time", validity));
        }
        let scene = Scene::prepared(station, TERMS);
        let mut peer = greeted(&scene);
        peer.send(secd());
        assert_eq!(peer.expect_end(Reason::INVALID_CHALLENGE_RESPONSE), public);
        scene.assert_told(told);
        assert_refused(&scene, Reason::INVALID_CHALLENGE_RESPONSE, public);
    }
}

#[test]
fn a_station_without_a_key_cannot_answer() {
    let station = TestStation::new(STATION);
    station.give_certificate("peer", "shared", &issued("peer"));
    let scene = Scene::prepared(station, TERMS);
    let mut peer = greeted(&scene);
    peer.send(secd());
    let (answer, _) = challenged(&mut peer, &issued("peer"));
    peer.send(aurp(answer));
    peer.expect(Mnemonic::Secd);
    peer.send(auch(question_for(&issued("station"))));
    assert_eq!(peer.expect_end(Reason::INVALID_CHALLENGE_RESPONSE), "the challenge cannot be decrypted");
    scene.assert_told("this station has no key: `odile cert new` makes one");
    scene.assert_unharmed(0);
}

#[test]
fn an_authentication_key_of_its_own_and_the_one_before_it_both_answer() {
    let station = TestStation::with(STATION, "[keys]\nauthentication = \"proof\"\n");
    station.give_key_named("proof", &issued("station, proof"));
    station.give_key_named("before", &issued("station, before"));
    station.give_key(&issued("station"));
    station.give_certificate("peer", "authentication", &issued("peer"));
    let scene = Scene::prepared(station, TERMS);
    for key in ["station, proof", "station, before"] {
        let mut peer = greeted(&scene);
        peer.send(secd());
        let (answer, _) = challenged(&mut peer, &issued("peer"));
        peer.send(aurp(answer));
        peer.expect(Mnemonic::Secd);
        peer.send(auch(question_for(&issued(key))));
        let Command::AuthenticationResponse(answer) = peer.expect(Mnemonic::Aurp) else {
            unreachable!("an AURP was expected")
        };
        assert_eq!(&answer.response, b"twenty octets, just.");
        peer.finish();
    }
    scene.assert_unharmed(0);
}

#[test]
fn a_key_that_is_named_for_files_opens_no_challenge() {
    // Otherwise a challenge could be made of a block of somebody's file, and its content came back.
    let station = TestStation::with(STATION, "[keys]\nauthentication = \"proof\"\n");
    station.give_key_named("proof", &issued("station, proof"));
    station.give_key(&issued("station"));
    station.give_certificate("peer", "authentication", &issued("peer"));
    let scene = Scene::prepared(station, TERMS);
    let mut peer = greeted(&scene);
    peer.send(secd());
    let (answer, _) = challenged(&mut peer, &issued("peer"));
    peer.send(aurp(answer));
    peer.expect(Mnemonic::Secd);
    peer.send(auch(question_for(&issued("station"))));
    peer.expect_end(Reason::INVALID_CHALLENGE_RESPONSE);
}

/// What the peer says right after SSID, as the one that called.
fn instead_of_secd(command: Command) {
    let scene = Scene::secured(TERMS);
    let mut peer = greeted(&scene);
    let mnemonic = command.mnemonic();
    peer.send(command);
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    let told = format!("{mnemonic} is not allowed in state WF_SECD");
    assert_refused(&scene, Reason::PROTOCOL_VIOLATION, &told);
}

#[test]
fn nothing_goes_before_the_proof() {
    instead_of_secd(Command::StartFile(Box::new(sfid("EARLY", 5))));
    instead_of_secd(Command::ChangeDirection(ChangeDirection));
    instead_of_secd(aurp([0; 20]));
    instead_of_secd(auch(question_for(&issued("station"))));
    instead_of_secd(Command::StartSession(secure_ssid()));
}

#[test]
fn a_file_instead_of_an_answer_is_a_protocol_violation() {
    let scene = Scene::secured(TERMS);
    let mut peer = greeted(&scene);
    peer.send(secd());
    peer.expect(Mnemonic::Auch);
    peer.send(Command::StartFile(Box::new(sfid("EARLY", 5))));
    peer.expect_end(Reason::PROTOCOL_VIOLATION);
    assert_refused(&scene, Reason::PROTOCOL_VIOLATION, "SFID is not allowed in state WF_AURP");
}

#[test]
fn a_second_answer_or_challenge_is_a_protocol_violation() {
    for (command, told) in [
        (secd(), "SECD is not allowed in state IDLELI"),
        (auch(question_for(&issued("station"))), "AUCH is not allowed in state IDLELI"),
        (aurp([0; 20]), "AURP is not allowed in state IDLELI"),
    ] {
        let scene = Scene::secured(TERMS);
        let mut peer = greeted(&scene);
        prove_as_initiator(&mut peer, Suite::S04);
        peer.send(command);
        peer.expect_end(Reason::PROTOCOL_VIOLATION);
        assert_refused(&scene, Reason::PROTOCOL_VIOLATION, told);
    }
}

#[test]
fn a_called_peer_that_does_not_wait_to_be_asked_is_refused() {
    for (command, told) in [
        (aurp([0; 20]), "AURP is not allowed in state WF_AUCH"),
        (secd(), "SECD is not allowed in state WF_AUCH"),
        (Command::ChangeDirection(ChangeDirection), "CD is not allowed in state WF_AUCH"),
    ] {
        let scene = Scene::secured_calling(TERMS);
        scene.station.send("peer", &scene.station.write("file", b"hello"));
        let mut peer = called(&scene);
        peer.expect(Mnemonic::Secd);
        peer.send(command);
        peer.expect_end(Reason::PROTOCOL_VIOLATION);
        assert_refused(&scene, Reason::PROTOCOL_VIOLATION, told);
    }
}

#[test]
fn authentication_without_any_being_agreed_is_a_protocol_violation() {
    for command in [secd(), auch(question_for(&issued("station"))), aurp([0; 20])] {
        let scene = Scene::prepared(equipped(), "");
        let mut peer = Peer::open(scene.address);
        let told = format!("{} is not allowed in state IDLELI", command.mnemonic());
        peer.send(command);
        peer.expect_end(Reason::PROTOCOL_VIOLATION);
        assert_refused(&scene, Reason::PROTOCOL_VIOLATION, &told);
    }
}

#[test]
fn no_challenge_and_no_answer_is_ever_told() {
    let scene = Scene::secured(TERMS);
    let mut peer = greeted(&scene);
    prove_as_initiator(&mut peer, Suite::S04);
    peer.finish();
    answered_with(&scene, |_| *b"SEVENTEEN AND THREE.");
    let told = format!("{:?}", scene.station.events.all());
    assert!(!told.contains("SEVENTEEN") && !told.contains("83, 69, 86"), "{told}");
    scene.assert_unharmed(0);
}
