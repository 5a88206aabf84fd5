//! Signed receipts that come: those that prove nothing, or prove it in another way.

use std::fs;

use odile_station::Event;
use odile_station::envelope::seal::Embed;
use odile_station::envelope::{HashAlgorithm, Suite, sign_message};
use odile_station::partner::PartnerName;
use odile_tests::envelope::{SIGNING_TIME, flipped, noise};
use odile_tests::peer::{Peer, code, sfid};
use odile_tests::pki::{Issued, Validity, issued, issued_for};
use odile_tests::scene::{Scene, equipped};
use odile_tests::station::PATIENCE;
use odile_wire::command::{EndToEndResponse, NegativeEndResponse, StartFile};
use odile_wire::{Command, Mnemonic, NegativeEndReason, VariableText};

const ASKED: &str = "[send]\nsigned_receipt = \"required\"\n";

/// A file of the station that the peer has taken: its receipt is awaited.
struct Sent {
    scene: Scene,
    peer: Peer,
    transfer: String,
    file: StartFile,
    /// Hash of the stream as it came, in suite 04.
    hash: Vec<u8>,
}

impl Sent {
    /// Taken by a peer that was asked for a signed receipt.
    fn new() -> Self {
        Self::with(ASKED)
    }

    fn with(terms: &str) -> Self {
        let scene = Scene::secured_calling(terms);
        let transfer = scene.station.send("peer", &scene.station.write("file", &noise(1, 2000)));
        Self::taken(scene, transfer)
    }

    fn taken(scene: Scene, transfer: String) -> Self {
        let mut peer = Peer::opened(&scene.port);
        let (file, content) = peer.take_file();
        peer.confirm();
        peer.expect(Mnemonic::Cd);
        let hash = HashAlgorithm::Sha256.hash(&content).as_bytes().to_vec();
        Self { scene, peer, transfer, file, hash }
    }

    /// The right receipt, but for its signature.
    fn eerp(&self) -> EndToEndResponse {
        let mut eerp = EndToEndResponse::for_file(&self.file.id, self.file.user);
        eerp.hash.clone_from(&self.hash);
        eerp
    }

    fn nerp(&self) -> NegativeEndResponse {
        let (reason, text) = (NegativeEndReason::PROCESSING_FAILED, VariableText::truncated("no mesh in it"));
        let mut nerp = NegativeEndResponse::for_file(&self.file.id, code("O0013BEHIND"), reason, text);
        nerp.hash.clone_from(&self.hash);
        nerp
    }

    fn send(&mut self, eerp: EndToEndResponse) {
        self.peer.send(Command::EndToEndResponse(Box::new(eerp)));
        self.peer.expect(Mnemonic::Rtr);
    }

    fn send_negative(&mut self, nerp: NegativeEndResponse) {
        self.peer.send(Command::NegativeEndResponse(Box::new(nerp)));
        self.peer.expect(Mnemonic::Rtr);
    }

    /// A receipt that proves nothing: that is seen, and the file is what it was.
    fn unproven(&mut self, eerp: EndToEndResponse, told: &str) {
        self.send(eerp);
        self.is_unproven(told);
    }

    fn is_unproven(&self, told: &str) {
        let event = self.scene.station.events.wait_for(
            told,
            |event| matches!(event, Event::ReceiptUnproven { text, .. } if text.contains(told)),
        );
        assert!(event.is_trouble(), "an operator should look at it");
        let (state, detail) = self.scene.state(&self.transfer);
        assert_eq!(state, "unproven", "{detail}");
        assert!(!detail.is_empty());
    }

    /// A receipt that proves what it says.
    fn proven(&mut self, eerp: EndToEndResponse) {
        self.send(eerp);
        self.scene.station.wait_state(&self.transfer, "delivered");
        self.scene.assert_told("receipt came: delivered, signature verified");
    }

    fn finish(self) {
        self.peer.finish();
        self.scene.assert_unharmed(0);
    }
}

fn signed_by(signer: &Issued, octets: &[u8]) -> Vec<u8> {
    sign_message(Suite::S04, &signer.identity, octets, SIGNING_TIME, Embed::Nothing)
        .expect("it can be signed")
}

/// Signed by the peer.
fn signed(mut eerp: EndToEndResponse) -> EndToEndResponse {
    eerp.signature = signed_by(&issued("peer"), &eerp.signed_octets());
    eerp
}

#[test]
fn a_right_receipt_delivers() {
    let mut sent = Sent::new();
    let eerp = signed(sent.eerp());
    sent.proven(eerp);
    sent.finish();
}

#[test]
fn a_receipt_in_any_suite_delivers() {
    // What was asked for is a signature over that hash; with which hash function is the signer's business.
    for suite in [Suite::S02, Suite::S06, Suite::S07, Suite::S08] {
        let mut sent = Sent::new();
        let mut eerp = sent.eerp();
        let octets = eerp.signed_octets();
        let embed = Embed::SignerCertificate;
        eerp.signature =
            sign_message(suite, &issued("peer").identity, &octets, SIGNING_TIME, embed).expect("signed");
        sent.proven(eerp);
        sent.finish();
    }
}

#[test]
fn an_unsigned_receipt_proves_nothing_if_a_signed_one_was_asked_for() {
    let mut sent = Sent::new();
    let (with_hash, file) = (sent.eerp(), sent.file.clone());
    sent.unproven(with_hash, "but it is unsigned although a signed one was asked for");
    sent.unproven(EndToEndResponse::for_file(&file.id, file.user), "but it is unsigned");
    sent.finish();
}

#[test]
fn an_outbox_file_stays_until_its_receipt_proves_something() {
    let scene = Scene::secured_calling(ASKED);
    let name: PartnerName = "peer".parse().expect("a name");
    let path = scene.station.home().outbox(&name).join("dropped.dat");
    fs::rename(scene.station.write("staged", b"precious"), &path).expect("one filesystem");
    scene.station.events.wait_for("the queue", |event| matches!(event, Event::FileQueued { .. }));
    let mut sent = Sent::taken(scene, "S1".to_owned());
    let unsigned = sent.eerp();
    sent.unproven(unsigned, "unsigned");
    assert_eq!(fs::read(&path).expect("it is kept"), b"precious");
    let right = signed(sent.eerp());
    sent.proven(right);
    let deadline = std::time::Instant::now() + PATIENCE;
    while path.exists() {
        assert!(std::time::Instant::now() < deadline, "the source is removed after its receipt");
        std::thread::yield_now();
    }
    sent.finish();
}

#[test]
fn a_receipt_for_another_content_proves_nothing() {
    let mut sent = Sent::new();
    let mut eerp = sent.eerp();
    eerp.hash = HashAlgorithm::Sha256.hash(b"something else").as_bytes().to_vec();
    sent.unproven(signed(eerp.clone()), "its hash is that of another content than was sent");
    eerp.hash.truncate(31);
    sent.unproven(signed(eerp), "its hash is that of another content than was sent");
    sent.finish();
}

#[test]
fn a_signature_by_somebody_else_proves_nothing() {
    let station = equipped();
    station.give_certificate("good", "signing", &issued("good"));
    station.give_certificate("peer", "signing", &issued_for("peer of old", Validity::Expired));
    station.give_certificate("peer", "encryption", &issued("peer, for encryption only"));
    let scene = Scene::prepared_calling(station, ASKED);
    let transfer = scene.station.send("peer", &scene.station.write("file", b"hello"));
    let mut sent = Sent::taken(scene, transfer);
    let cases = [
        (issued("stranger"), "is not known"),
        (issued("good"), "is not known"),
        (issued("station"), "is not known"),
        (issued("peer, for encryption only"), "is not known"),
        (issued_for("peer of old", Validity::Expired), "expired"),
    ];
    for (signer, told) in cases {
        let mut eerp = sent.eerp();
        eerp.signature = signed_by(&signer, &eerp.signed_octets());
        sent.unproven(eerp.clone(), told);
        // Its own certificate makes it no better known.
        let octets = eerp.signed_octets();
        let embed = Embed::SignerCertificate;
        eerp.signature =
            sign_message(Suite::S04, &signer.identity, &octets, SIGNING_TIME, embed).expect("signed");
        sent.unproven(eerp, told);
    }
    sent.finish();
}

#[test]
fn a_signature_over_other_octets_proves_nothing() {
    let mut sent = Sent::new();
    let right = sent.eerp();
    let peer = issued("peer");
    let over = |octets: &[u8]| EndToEndResponse { signature: signed_by(&peer, octets), ..right.clone() };
    let octets = right.signed_octets();
    let mut other_name = right.clone();
    other_name.dataset_name = sfid("OTHER", 0).id.dataset_name;
    let swapped =
        EndToEndResponse { destination: right.originator, originator: right.destination, ..right.clone() };
    let differs = "the content is not the one that was signed";
    sent.unproven(over(b"anything"), differs);
    sent.unproven(over(b""), differs);
    sent.unproven(over(&octets[..octets.len() - 1]), differs);
    sent.unproven(over(&[&octets[..], b"\0"].concat()), differs);
    sent.unproven(over(&other_name.signed_octets()), differs);
    sent.unproven(over(&swapped.signed_octets()), differs);
    sent.unproven(over(&right.hash), differs);
    // Without the hash in it, it says nothing of what came.
    let bare = EndToEndResponse { hash: Vec::new(), ..right.clone() };
    sent.unproven(over(&bare.signed_octets()), "but covers no hash of the file");
    sent.unproven(signed(bare), "but covers no hash of the file");
    sent.finish();
}

#[test]
fn a_damaged_signature_proves_nothing() {
    let mut sent = Sent::new();
    let right = signed(sent.eerp());
    let with = |signature: Vec<u8>| EndToEndResponse { signature, ..right.clone() };
    let whole = &right.signature;
    sent.unproven(with(flipped(whole, whole.len() - 1)), "the signature is wrong");
    sent.unproven(with(whole[..whole.len() - 1].to_vec()), "the envelope is incomplete");
    sent.unproven(with([&whole[..], b"\0"].concat()), "there are octets behind the end");
    sent.unproven(with(b"signed, believe me".to_vec()), "the envelope is not valid CMS");
    sent.unproven(with(vec![0x30; 60_000]), "the envelope");
    sent.finish();
}

#[test]
fn a_right_receipt_after_wrong_ones_delivers() {
    let mut sent = Sent::new();
    let (unsigned, right) = (sent.eerp(), signed(sent.eerp()));
    let forged = EndToEndResponse { signature: flipped(&right.signature, 500), ..right.clone() };
    sent.unproven(unsigned.clone(), "unsigned");
    sent.send(forged.clone());
    sent.unproven(unsigned, "unsigned");
    sent.proven(right);
    // What comes later changes nothing.
    sent.send(forged);
    assert_eq!(sent.scene.state(&sent.transfer).0, "delivered");
    sent.scene.assert_told("which nobody here waits for");
    sent.finish();
}

#[test]
fn a_right_receipt_in_a_later_session_delivers() {
    let mut sent = Sent::new();
    let (unsigned, right) = (sent.eerp(), signed(sent.eerp()));
    sent.unproven(unsigned, "unsigned");
    let Sent { scene, peer, transfer, .. } = sent;
    peer.finish();
    let mut peer = Peer::open(scene.address);
    peer.send(Command::EndToEndResponse(Box::new(right)));
    peer.expect(Mnemonic::Rtr);
    peer.finish();
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}

#[test]
fn a_right_receipt_of_a_certificate_that_came_later_delivers() {
    let mut sent = Sent::new();
    let mut eerp = sent.eerp();
    eerp.signature = signed_by(&issued("peer, renewed"), &eerp.signed_octets());
    sent.unproven(eerp.clone(), "is not known");
    let Sent { mut scene, peer, transfer, .. } = sent;
    peer.finish();
    scene.ends();
    scene.station.stop();
    scene.station.give_certificate("peer", "signing", &issued("peer, renewed"));
    let address = scene.station.start();
    let mut peer = Peer::open(address);
    peer.send(Command::EndToEndResponse(Box::new(eerp)));
    peer.expect(Mnemonic::Rtr);
    peer.finish();
    scene.station.wait_state(&transfer, "delivered");
}

#[test]
fn a_hash_that_stands_only_in_what_was_signed_is_enough() {
    let mut sent = Sent::new();
    let right = signed(sent.eerp());
    sent.proven(EndToEndResponse { hash: Vec::new(), ..right });
    sent.finish();
}

#[test]
fn a_signed_negative_receipt_rejects_in_both_of_its_forms() {
    for with_creator in [true, false] {
        let mut sent = Sent::new();
        let mut nerp = sent.nerp();
        let octets = if with_creator { nerp.signed_octets() } else { nerp.signed_octets_without_creator() };
        nerp.signature = signed_by(&issued("peer"), &octets);
        sent.send_negative(nerp);
        sent.scene.station.wait_state(&sent.transfer, "rejected");
        sent.scene.assert_told("no mesh in it");
        sent.scene.assert_told("signature verified");
        let remark = "the negative receipt was signed without its creator, as one product does it";
        let told = |event: &Event| event.to_string().contains(remark);
        assert_eq!(sent.scene.station.events.all().iter().any(told), !with_creator);
        sent.finish();
    }
}

#[test]
fn a_negative_receipt_that_proves_nothing_rejects_nothing() {
    let mut sent = Sent::new();
    let nerp = sent.nerp();
    sent.send_negative(nerp.clone());
    sent.is_unproven("but it is unsigned although a signed one was asked for");
    // The reason is not signed, but the creator is.
    let forged = NegativeEndResponse { creator: code("O0013FORGED"), ..nerp.clone() };
    let signature = signed_by(&issued("peer"), &forged.signed_octets());
    sent.send_negative(NegativeEndResponse { signature, ..nerp.clone() });
    sent.is_unproven("the content is not the one that was signed");
    // The signature of a positive one is none for a negative one, and the other way round.
    let positive = signed(sent.eerp());
    sent.send_negative(NegativeEndResponse { signature: signed_by(&issued("peer"), b"no"), ..nerp.clone() });
    let signature = signed_by(&issued("peer"), &nerp.signed_octets());
    sent.unproven(EndToEndResponse { signature, ..positive.clone() }, "not the one that was signed");
    sent.proven(positive);
    sent.finish();
}

#[test]
fn a_signature_that_nobody_asked_for_is_no_obstacle() {
    let peer = issued("peer");
    for signer in [&peer, &issued("stranger")] {
        let mut sent = Sent::with("");
        let mut eerp = sent.eerp();
        eerp.signature = signed_by(signer, &eerp.signed_octets());
        sent.send(eerp);
        sent.scene.station.wait_state(&sent.transfer, "delivered");
        sent.finish();
    }
    // Nor is one that is no signature at all.
    let mut sent = Sent::with("");
    let eerp = EndToEndResponse { signature: b"signed, believe me".to_vec(), ..sent.eerp() };
    sent.send(eerp);
    sent.scene.station.wait_state(&sent.transfer, "delivered");
    sent.finish();
}

#[test]
fn the_hash_of_a_secured_file_is_over_its_envelope() {
    let terms = format!("{ASKED}sign = \"required\"\ncompress = \"required\"\nencrypt = \"required\"\n");
    let mut sent = Sent::with(&terms);
    let mut eerp = sent.eerp();
    assert_ne!(eerp.hash, HashAlgorithm::Sha256.hash(&noise(1, 2000)).as_bytes());
    let mut of_original = eerp.clone();
    of_original.hash = HashAlgorithm::Sha256.hash(&noise(1, 2000)).as_bytes().to_vec();
    sent.unproven(signed(of_original), "its hash is that of another content");
    eerp.signature = signed_by(&issued("peer"), &eerp.signed_octets());
    sent.proven(eerp);
    sent.finish();
}

#[test]
fn a_receipt_that_comes_before_the_end_of_the_file_does_not_stop_it() {
    let scene = Scene::secured_calling(ASKED);
    let transfer = scene.station.send("peer", &scene.station.write("file", &noise(1, 5000)));
    let mut peer = Peer::opened(&scene.port);
    let file = peer.expect_offer();
    // In another session, although not an octet has come yet.
    let mut other = Peer::open(scene.address);
    other.send_receipt(&file);
    scene.station.wait_state(&transfer, "unproven");
    other.finish();
    peer.accept();
    let content = peer.take_data();
    assert_eq!(content, noise(1, 5000));
    peer.confirm();
    peer.expect(Mnemonic::Cd);
    let mut eerp = EndToEndResponse::for_file(&file.id, file.user);
    eerp.hash = HashAlgorithm::Sha256.hash(&content).as_bytes().to_vec();
    peer.send(Command::EndToEndResponse(Box::new(signed(eerp))));
    peer.expect(Mnemonic::Rtr);
    peer.finish();
    scene.station.wait_state(&transfer, "delivered");
    scene.assert_unharmed(0);
}
