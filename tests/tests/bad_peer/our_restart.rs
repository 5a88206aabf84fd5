//! Our files go on after a cut, wherever the peer says: what it gets a second time is what it got the first time.

use odile_station::envelope::Services;
use odile_station::partner::ServiceWish;
use odile_station::{Options, SendRequest};
use odile_tests::envelope::{noise, opened};
use odile_tests::peer::{Peer, restarting_ssid, ssid};
use odile_tests::pki::issued;
use odile_tests::scene::{Scene, equipped};
use odile_tests::station::options;
use odile_wire::command::{EndFileNegativeAnswer, StartFile, StartSession};
use odile_wire::{AnswerReason, Command, EndSessionReason, Mnemonic, VariableText};

/// A file of the station on its way to the peer.
struct Journey {
    scene: Scene,
    transfer: String,
    ssid: StartSession,
    /// Where each restart position is, in octets of the transmitted file; its last is the end, if it is known.
    starts: Vec<usize>,
    /// What is transmitted, as far as that is known.
    known: Vec<u8>,
    /// The first offer.
    offered: Option<StartFile>,
    /// The farthest that the peer has got.
    received: usize,
}

fn small_steps(checkpoint_bytes: u64) -> Options {
    Options { checkpoint_bytes, ..options() }
}

impl Journey {
    /// A file that goes as it is: so long are its records, or blocks.
    fn plain(format: char, record_size: u32, source: &[u8], transmitted: Vec<u8>, units: &[usize]) -> Self {
        let scene = Scene::calling_with("", small_steps(20_000));
        let mut request = SendRequest::new("peer", scene.station.write("model", source));
        (request.format, request.record_size) = (format, record_size);
        let mut starts = vec![0];
        starts.extend(units.iter().scan(0, |end, unit| {
            *end += unit;
            Some(*end)
        }));
        assert_eq!(starts.last(), Some(&transmitted.len()));
        Self::begun(scene, &request, starts, transmitted, restarting_ssid())
    }

    fn unstructured(octets: usize) -> Self {
        let content = noise(1, octets);
        let units: Vec<_> = content.chunks(1024).map(<[u8]>::len).collect();
        Self::plain('U', 0, &content.clone(), content, &units)
    }

    fn begun(
        scene: Scene,
        request: &SendRequest,
        starts: Vec<usize>,
        known: Vec<u8>,
        ssid: StartSession,
    ) -> Self {
        let transfer = format!("S{}", scene.station.handle().send(request).expect("it is queued").id);
        Self { scene, transfer, ssid, starts, known, offered: None, received: 0 }
    }

    /// The next session, up to the station's offer.
    fn offered(&mut self, ssid: &StartSession) -> (Peer, u64) {
        if self.offered.is_some() {
            self.scene.ends();
            assert_eq!(self.scene.state(&self.transfer).0, "queued");
            self.scene.retry(&self.transfer);
        }
        let mut peer = Peer::answer(&self.scene.port);
        peer.greet_back(ssid);
        let file = peer.expect_offer();
        let restart = file.restart;
        // All else is as it was.
        let first = self.offered.get_or_insert_with(|| file.clone());
        assert_eq!(StartFile { restart: 0, ..file }, StartFile { restart: 0, ..first.clone() });
        (peer, restart)
    }

    /// A session that goes on at this position and is cut once so many octets have come.
    fn cut(&mut self, position: u64, octets: usize) {
        let (mut peer, offer) = self.offered(&self.ssid.clone());
        assert!(offer >= self.farthest(), "{offer} is less than the peer has");
        peer.accept_at(position);
        let (came, end) = peer.take_some(octets);
        assert!(end.is_none());
        drop(peer);
        self.compare(position, &came);
        self.scene.ends();
        let kept = self.scene.station.spool();
        assert!(kept.iter().any(|name| name.starts_with("S1.checkpoint-")), "{kept:?}");
    }

    /// The last session: the file comes to its end, and everything is delivered. Gives all that was transmitted.
    fn arrive(&mut self, position: u64, records: u64) -> Vec<u8> {
        let (mut peer, offer) = self.offered(&self.ssid.clone());
        assert!(offer >= position);
        self.take_rest(&mut peer, position, records);
        self.finish(peer);
        std::mem::take(&mut self.known)
    }

    fn take_rest(&mut self, peer: &mut Peer, position: u64, records: u64) {
        peer.accept_at(position);
        let (came, end) = peer.take_some(usize::MAX);
        self.compare(position, &came);
        let end = end.expect("EFID");
        assert_eq!((end.unit_count, end.record_count), (self.known.len() as u64, records));
        assert_eq!(self.received, self.known.len());
    }

    fn finish(&self, mut peer: Peer) {
        peer.confirm();
        peer.expect(Mnemonic::Cd);
        peer.send_receipt(self.offered.as_ref().expect("it was offered"));
        peer.finish();
        self.scene.station.wait_state(&self.transfer, "delivered");
        self.scene.assert_unharmed(0);
    }

    fn compare(&mut self, position: u64, came: &[u8]) {
        let start = self.octet(position);
        let known = self.known[start..].len().min(came.len());
        assert!(came[..known] == self.known[start..start + known], "other octets than before");
        self.known.extend_from_slice(&came[known..]);
        self.received = self.received.max(start + came.len());
    }

    fn octet(&self, position: u64) -> usize {
        let position = usize::try_from(position).expect("small");
        if self.starts.is_empty() { position * 1024 } else { self.starts[position] }
    }

    /// The highest position at which the peer could go on.
    fn farthest(&self) -> u64 {
        let whole = if self.starts.is_empty() {
            self.received / 1024
        } else {
            self.starts.iter().filter(|start| **start <= self.received).count() - 1
        };
        whole as u64
    }
}

/// Some way in; back behind all but the first checkpoint; where it had got to; halfway; then to the end.
fn goes_there_and_back(mut journey: Journey, part: usize, records: u64) -> Vec<u8> {
    journey.cut(0, part);
    journey.cut(1, part / 2);
    let farthest = journey.farthest();
    journey.cut(farthest, part / 4);
    assert!(journey.farthest() > farthest);
    journey.arrive(farthest / 2, records)
}

#[test]
fn blocks_come_again_as_they_were() {
    goes_there_and_back(Journey::unstructured(300_000), 120_000, 0);
}

#[test]
fn fixed_records_come_again_as_they_were() {
    let content = noise(2, 300_000);
    let journey = Journey::plain('F', 300, &content, content.clone(), &[300; 1000]);
    goes_there_and_back(journey, 120_000, 1000);
}

#[test]
fn variable_records_come_again_as_they_were() {
    let (mut source, mut transmitted) = (Vec::new(), Vec::new());
    let lengths: Vec<_> = (1..=1000_usize).map(|number| number * 37 % 601).collect();
    for (seed, &length) in (1..).zip(&lengths) {
        let record = noise(seed, length);
        source.extend(u16::try_from(length).expect("small").to_be_bytes());
        source.extend(&record);
        transmitted.extend(&record);
    }
    let journey = Journey::plain('V', 700, &source, transmitted, &lengths);
    goes_there_and_back(journey, 120_000, 1000);
}

#[test]
fn an_envelope_comes_again_as_it_was_and_opens() {
    let yes = Some(true);
    let scene = Scene::prepared_calling_with(equipped(), "", small_steps(300_000));
    // More than one piece of what is compressed at a time.
    let content = noise(3, 3_400_000);
    let mut request = SendRequest::new("peer", scene.station.write("model", &content));
    request.services = ServiceWish { sign: yes, compress: yes, encrypt: yes, ..ServiceWish::default() };
    let ssid = StartSession { buffer_size: 50_000, ..restarting_ssid() };
    let journey = Journey::begun(scene, &request, Vec::new(), Vec::new(), ssid);
    let envelope = goes_there_and_back(journey, 2_400_000, 0);
    assert!(opened(Services::ALL, &envelope, &issued("station"), &issued("peer")) == content);
}

#[test]
fn a_peer_that_wants_it_from_its_start_gets_it_so() {
    let mut journey = Journey::unstructured(300_000);
    journey.cut(0, 120_000);
    let (mut peer, offer) = journey.offered(&restarting_ssid());
    journey.take_rest(&mut peer, 0, 0);
    let text = format!("S1 it starts again: the partner answered 0, and not {offer} or less");
    journey.scene.assert_told(&text);
    journey.finish(peer);
}

#[test]
fn a_peer_that_does_not_know_restarts_gets_it_from_its_start() {
    let mut journey = Journey::unstructured(300_000);
    journey.cut(0, 120_000);
    let (mut peer, offer) = journey.offered(&ssid());
    assert_eq!(offer, 0);
    journey.take_rest(&mut peer, 0, 0);
    journey.finish(peer);
}

#[test]
fn a_position_beyond_the_offer_ends_the_session_and_the_next_one_goes_on() {
    let mut journey = Journey::unstructured(300_000);
    journey.cut(0, 120_000);
    let (mut peer, offer) = journey.offered(&restarting_ssid());
    assert!(offer > 0);
    peer.accept_at(offer + 1);
    peer.expect_end(EndSessionReason::PROTOCOL_VIOLATION);
    let farthest = journey.farthest();
    journey.arrive(farthest, 0);
}

#[test]
fn what_was_put_together_from_two_attempts_and_is_refused_is_tried_once_in_one() {
    let mut journey = Journey::unstructured(300_000);
    journey.cut(0, 120_000);
    // Each time for a reason that is final in other cases.
    for (is_resumed, state) in [(true, "queued"), (false, "refused")] {
        let (mut peer, offer) = journey.offered(&restarting_ssid());
        assert_eq!(offer > 0, is_resumed);
        let position = if is_resumed { journey.farthest() } else { 0 };
        journey.take_rest(&mut peer, position, 0);
        let (reason, text) = (AnswerReason::INVALID_SIGNATURE, VariableText::default());
        peer.send(Command::EndFileNegativeAnswer(EndFileNegativeAnswer { reason, text }));
        peer.expect(Mnemonic::Cd);
        peer.end(EndSessionReason::NORMAL);
        peer.expect_closed();
        journey.scene.station.wait_state(&journey.transfer, state);
        assert_eq!(journey.scene.station.spool(), Vec::<String>::new());
    }
    journey.scene.assert_unharmed(0);
}

#[test]
fn a_position_where_none_was_offered_ends_the_session() {
    let mut journey = Journey::unstructured(300_000);
    let (mut peer, offer) = journey.offered(&restarting_ssid());
    assert_eq!(offer, 0);
    peer.accept_at(1);
    peer.expect_end(EndSessionReason::PROTOCOL_VIOLATION);
    journey.arrive(0, 0);
}
