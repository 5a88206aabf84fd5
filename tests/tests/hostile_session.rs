//! Valid commands in an order of chance, cut at places of chance: the station answers or closes, whatever comes.

use odile_station::Event;
use odile_station::envelope::{Services, Suite};
use odile_tests::envelope::Sealing;
use odile_tests::peer::{Peer, code, framed, sfid, ssid, subrecords};
use odile_tests::pki::issued;
use odile_tests::scene::Scene;
use odile_wire::command::{
    AuthenticationChallenge, AuthenticationResponse, ChangeDirection, EndFile, EndFileNegativeAnswer,
    EndFilePositiveAnswer, EndSession, EndToEndResponse, NegativeEndResponse, ReadyToReceive, Security,
    SecurityChangeDirection, SetCredit, StartFileNegativeAnswer, StartFilePositiveAnswer, StartSession,
    StartSessionReady,
};
use odile_wire::{AnswerReason, Command, EndSessionReason, NegativeEndReason, UserData, VariableText};

/// xorshift64*: the same for the same seed on every machine.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 1
    }
}

/// Something that has its place somewhere.
fn utterance(chance: &mut Chance, peer: &Peer) -> Vec<u8> {
    let file = sfid("CHANCE", 5);
    let text = VariableText::truncated("by chance");
    let command = match chance.below(24) {
        0 => Command::StartSessionReady(StartSessionReady),
        1 => Command::StartSession(StartSession { credit: 1, ..ssid() }),
        2..=6 => Command::StartFile(Box::new(file)),
        7 => Command::StartFilePositiveAnswer(StartFilePositiveAnswer { restart: chance.below(3) as u64 }),
        8 => {
            let reason = AnswerReason::ALL[chance.below(AnswerReason::ALL.len())];
            Command::StartFileNegativeAnswer(StartFileNegativeAnswer { reason, retry: chance.yes(), text })
        }
        9 => Command::SetCredit(SetCredit),
        10..=13 => Command::EndFile(EndFile { record_count: 0, unit_count: 5 }),
        14 => Command::EndFilePositiveAnswer(EndFilePositiveAnswer { change_direction: chance.yes() }),
        15 => {
            let reason = AnswerReason::ALL[chance.below(AnswerReason::ALL.len())];
            Command::EndFileNegativeAnswer(EndFileNegativeAnswer { reason, text })
        }
        16 if chance.below(4) == 0 => {
            let reason = EndSessionReason::ALL[chance.below(EndSessionReason::ALL.len())];
            Command::EndSession(EndSession { reason, text })
        }
        16 | 17 => Command::EndToEndResponse(Box::new(EndToEndResponse::for_file(&file.id, UserData::BLANK))),
        18 => {
            let reason = NegativeEndReason::UNSPECIFIED;
            let nerp = NegativeEndResponse::for_file(&file.id, code("O0013X"), reason, text);
            Command::NegativeEndResponse(Box::new(nerp))
        }
        19 => Command::ReadyToReceive(ReadyToReceive),
        20 if chance.below(3) == 0 => Command::ChangeDirection(ChangeDirection),
        20 => Command::SecurityChangeDirection(SecurityChangeDirection),
        21 if chance.yes() => {
            Command::AuthenticationChallenge(AuthenticationChallenge { challenge: vec![1; 200] })
        }
        21 => Command::AuthenticationResponse(AuthenticationResponse { response: [2; 20] }),
        _ => return framed(b'D', &subrecords(b"hello")),
    };
    peer.encoded(&command)
}

/// Says forty things, cut anywhere, and hears the station out.
fn babble(chance: &mut Chance, mut peer: Peer) {
    let mut octets = Vec::new();
    // A good beginning reaches deeper states.
    if chance.yes() {
        octets.extend(peer.encoded(&Command::StartFile(Box::new(sfid("BEGUN", 5)))));
        octets.extend(framed(b'D', &subrecords(b"hello")));
    }
    for _ in 0..40 {
        octets.extend(utterance(chance, &peer));
    }
    let mut rest = &octets[..];
    while !rest.is_empty() {
        let (piece, later) = rest.split_at((1 + chance.below(200)).min(rest.len()));
        if !peer.try_raw(piece) {
            break;
        }
        rest = later;
    }
    peer.hang_up();
    peer.read_to_end();
}

/// What was taken is there, what was interrupted waits, and nothing else is left.
fn assert_unharmed(scene: &Scene) {
    scene.ends();
    let events = scene.station.events.all();
    let received = events.iter().filter(|event| matches!(event, Event::Received { .. })).count();
    scene.assert_unharmed_while_waiting(received, scene.interrupted().len());
}

#[test]
fn a_caller_that_says_anything_in_any_order_harms_nobody() {
    let scene = Scene::new("");
    for seed in 0..60 {
        println!("seed {seed}");
        let mut chance = Chance::new(seed);
        let peer =
            if chance.below(5) == 0 { Peer::connect(scene.address) } else { Peer::open(scene.address) };
        babble(&mut chance, peer);
    }
    assert!(scene.ends().len() >= 60);
    assert_unharmed(&scene);
}

#[test]
fn a_station_that_answers_anything_in_any_order_harms_nobody() {
    for seed in 100..120 {
        println!("seed {seed}");
        let mut chance = Chance::new(seed);
        // A call that the station makes afterwards, to fetch its receipts, is not answered.
        let scene = Scene::calling("[session]\ninactivity_seconds = 1\n");
        scene.station.send("peer", &scene.station.write("file", &vec![7; 20_000]));
        let mut peer = Peer::answer(&scene.port);
        if chance.below(5) > 0 {
            peer.greet_back(&ssid());
        }
        babble(&mut chance, peer);
        scene.ends();
        assert_unharmed(&scene);
    }
}

#[test]
fn many_hostile_sessions_at_once_harm_nobody() {
    let scene = Scene::new("");
    std::thread::scope(|scope| {
        for seed in 200..216 {
            let address = scene.address;
            scope.spawn(move || {
                let mut chance = Chance::new(seed);
                for _ in 0..3 {
                    babble(&mut chance, Peer::open(address));
                }
            });
        }
    });
    assert_unharmed(&scene);
}

/// A file with services of chance, in an envelope that may be the right one, and may be whole.
fn secured_utterance(chance: &mut Chance, peer: &Peer, envelopes: &[Vec<u8>]) -> Vec<u8> {
    let mut file = sfid("CHANCE", 5);
    file.security = Security::from_code(u8::try_from(chance.below(5)).expect("small"));
    file.cipher_suite = u8::try_from(chance.below(12)).expect("small");
    file.compression = u8::try_from(chance.below(3)).expect("small");
    file.envelope = u8::try_from(chance.below(2)).expect("small");
    file.signed_response = chance.yes();
    let mut content = envelopes[chance.below(envelopes.len())].clone();
    if chance.yes() {
        let at = chance.below(content.len());
        content[at] ^= 1 << chance.below(8);
    }
    if chance.below(4) == 0 {
        content.truncate(chance.below(content.len()));
    }
    let mut octets = peer.encoded(&Command::StartFile(Box::new(file)));
    // Within the credit.
    for piece in content.chunks(900).take(3) {
        octets.extend(framed(b'D', &subrecords(piece)));
    }
    let unit_count = content.chunks(900).take(3).map(<[u8]>::len).sum::<usize>() as u64;
    octets.extend(peer.encoded(&Command::EndFile(EndFile { record_count: 0, unit_count })));
    octets
}

#[test]
fn a_caller_that_announces_and_seals_anything_harms_nobody() {
    let (peer_key, station_key) = (issued("peer"), issued("station"));
    let envelopes: Vec<_> = Services::combinations()
        .flat_map(|services| {
            [Suite::S01, Suite::S04, Suite::S06]
                .map(|suite| Sealing::new(&peer_key, &station_key).suite(suite).seal(services, b"hello"))
        })
        .collect();
    for refuse_with in ["efna", "nerp"] {
        let scene =
            Scene::secured(&format!("[receive]\nrefuse_with = \"{refuse_with}\"\noctets_max = 2000\n"));
        for seed in 300..330 {
            println!("seed {seed}");
            let mut chance = Chance::new(seed);
            let mut peer = Peer::open(scene.address);
            // Answers are not waited for: after a refusal, what follows is a protocol violation.
            for _ in 0..=chance.below(3) {
                let octets = secured_utterance(&mut chance, &peer, &envelopes);
                if !peer.try_raw(&octets) {
                    break;
                }
            }
            peer.hang_up();
            peer.read_to_end();
        }
        assert_unharmed(&scene);
    }
}
