//! Files whose envelopes are of no use: damaged, for somebody else, signed by nobody whom we know, larger than they
//! look. They are refused with EFNA, or with EFPA and a NERP later, if the terms say so; the session goes on.

mod afterwards;
mod damaged;
mod unacceptable;

use odile_station::Event;
use odile_station::envelope::Services;
use odile_tests::envelope::{Sealing, announced};
use odile_tests::peer::{Peer, STATION, code, sfid};
use odile_tests::pki::{Validity, issued, issued_for};
use odile_tests::scene::{Scene, equipped};
use odile_tests::station::TestStation;
use odile_wire::command::{EndFileNegativeAnswer, NegativeEndResponse, StartFile};
use odile_wire::{AnswerReason, Command, NegativeEndReason};

const ALL: Services = Services::ALL;

/// An envelope, what SFID says of it, and what our operator gets to read.
struct Case {
    services: Services,
    suite: u8,
    octets: Vec<u8>,
    detail: &'static str,
}

impl Case {
    /// Announced with suite 04.
    fn new(services: Services, octets: Vec<u8>, detail: &'static str) -> Self {
        Self { services, suite: 4, octets, detail }
    }

    fn file(&self) -> StartFile {
        announced("USELESS", self.services, self.suite, self.octets.len())
    }
}

/// What the peer gets to read.
struct Told {
    answer: AnswerReason,
    response: NegativeEndReason,
    text: &'static str,
}

const BAD_SIGNATURE: Told = Told {
    answer: AnswerReason::INVALID_SIGNATURE,
    response: NegativeEndReason::INVALID_SIGNATURE,
    text: "the file signature is not valid",
};
const NOT_DECRYPTED: Told = Told {
    answer: AnswerReason::DECRYPTION_FAILURE,
    response: NegativeEndReason::DECRYPTION_FAILED,
    text: "the file cannot be decrypted, or what is in it is not valid",
};
const NOT_DECOMPRESSED: Told = Told {
    answer: AnswerReason::DECOMPRESSION_FAILURE,
    response: NegativeEndReason::DECOMPRESSION_FAILED,
    text: "the file cannot be decompressed",
};
const TOO_BIG: Told = Told {
    answer: AnswerReason::FILE_TOO_BIG,
    response: NegativeEndReason::FILE_TOO_BIG,
    text: "the file is larger than agreed",
};

/// A right one from the peer.
fn sealed(services: Services, content: &[u8]) -> Vec<u8> {
    Sealing::new(&issued("peer"), &issued("station")).seal(services, content)
}

fn efna(answer: Command) -> EndFileNegativeAnswer {
    match answer {
        Command::EndFileNegativeAnswer(answer) => answer,
        other => unreachable!("EFNA was expected, not {other:?}"),
    }
}

/// Each case is refused, in both ways; nothing of it is kept.
fn refused(told: &Told, cases: &[Case]) {
    refused_by(equipped, "", told, cases);
}

fn refused_by(station: impl Fn() -> TestStation, receive: &str, told: &Told, cases: &[Case]) {
    let scene = Scene::prepared(station(), &format!("[receive]\n{receive}"));
    refused_at_once(&scene, told, cases);
    let scene = Scene::prepared(station(), &format!("[receive]\nrefuse_with = \"nerp\"\n{receive}"));
    refused_later(&scene, told, cases);
}

fn refused_at_once(scene: &Scene, told: &Told, cases: &[Case]) {
    let mut peer = Peer::open(scene.address);
    for case in cases {
        let answer = efna(peer.try_file(&case.file(), &case.octets));
        assert_eq!(answer.reason, told.answer, "{}", case.detail);
        assert_eq!(answer.text.to_string(), told.text, "{}", case.detail);
    }
    // The session goes on.
    peer.send_file(&sfid("NEXT", 5), b"hello");
    assert_eq!(peer.finish().len(), 1, "no receipt for what was refused");
    assert_failed(scene, cases);
    scene.assert_unharmed(1);
}

fn refused_later(scene: &Scene, told: &Told, cases: &[Case]) {
    let mut peer = Peer::open(scene.address);
    let mut files = Vec::new();
    for case in cases {
        let file = case.file();
        peer.send_file(&file, &case.octets);
        files.push(file.id);
    }
    let receipts = peer.finish_with_receipts();
    assert!(receipts.positive.is_empty(), "{receipts:?}");
    assert_eq!(receipts.negative.iter().map(NegativeEndResponse::file).collect::<Vec<_>>(), files);
    for nerp in &receipts.negative {
        assert_eq!(nerp.reason, told.response);
        assert_eq!(nerp.text.to_string(), told.text);
        assert_eq!(nerp.creator, code(STATION));
        assert!(nerp.hash.is_empty() && nerp.signature.is_empty(), "nobody asked for a signature");
    }
    assert_failed(scene, cases);
    let sent = scene.station.events.all().into_iter();
    assert_eq!(sent.filter(|event| matches!(event, Event::ReceiptSent { .. })).count(), cases.len());
    scene.assert_unharmed(0);
}

/// Our operator knows why each was refused.
fn assert_failed(scene: &Scene, cases: &[Case]) {
    let events = scene.station.events.all();
    let mut failures = events.iter().filter_map(|event| match event {
        Event::ReceiveFailed { text, .. } => Some(text),
        _ => None,
    });
    for case in cases {
        let text = failures.next().expect("a failure for each case");
        assert!(text.contains(case.detail), "{text:?} instead of {:?}", case.detail);
    }
    assert_eq!(failures.next(), None);
}

/// A station that knows more certificates of the peer, and one of the other partner.
fn knowing_many() -> TestStation {
    let station = equipped();
    station.give_certificate("peer", "signing", &issued_for("peer of old", Validity::Expired));
    station.give_certificate("peer", "signing", &issued_for("peer to come", Validity::NotYet));
    station.give_certificate("peer", "encryption", &issued("peer, for encryption only"));
    station.give_certificate("good", "signing", &issued("good"));
    station
}
