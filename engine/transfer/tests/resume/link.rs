//! Both ends of a transfer, and what survives when the link between them is cut.

use std::sync::Arc;

use odile_envelope::{HashAlgorithm, OpenFinish, OpenTerms, Opened, Opener, SealPlan, Services, Suite};
use odile_transfer::{
    ArrivalCheckpoint, ArrivalState, Departure, Departures, Form, Framing, Incoming, Place, RestartUnit,
    Slot, Transmitted, Witness,
};
use odile_wire::command::EndFile;
use odile_wire::data::{Compression, Records};
use odile_wire::stream::{Deframer, Piece};

use crate::pki;
use crate::sample::{Backwards, Memory, Sample};

/// What is done with a file.
#[derive(Debug, Clone)]
pub enum Service {
    Plain(Option<HashAlgorithm>),
    Sealed { plan: Arc<SealPlan>, batch_max: usize },
}

/// How one session goes. Fractions are of 1000.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    pub buffer_size: u32,
    pub compress: bool,
    pub source_slice: usize,
    /// Octets of a block beyond what one buffer needs.
    pub block_more: usize,
    pub buffers_max: u16,
    pub output: usize,
    /// How much arrives.
    pub cut: usize,
    /// How much of that has become durable at the receiver, and at the sender.
    pub durable: (usize, usize),
    /// How much of what could be answered is.
    pub answered: usize,
    /// Whether a receiver lowers its checkpoint where that can be done, instead of dropping what comes again.
    pub lowers: bool,
    /// Whether a sender forgets its checkpoints.
    pub forgets: bool,
}

/// What is the same in every session.
pub struct Transfer<'a> {
    pub sample: &'a Sample,
    pub service: Service,
}

/// What a session left behind.
#[derive(Default)]
pub struct Durable {
    pub departures: Departures,
    pub arrival: Option<ArrivalCheckpoint>,
    pub target: Vec<u8>,
}

/// What was sent, and what came of it.
pub struct Outcome {
    /// The restart position from which it was.
    pub position: u64,
    /// As it was sent: octets of buffers with their headers.
    pub wire: Vec<u8>,
    /// Both ends' account at the end of the file; none if it was cut off.
    pub account: Option<Account>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    pub end: EndFile,
    pub sent: Option<Transmitted>,
    pub received: Option<Transmitted>,
    pub opened: Option<Opened>,
}

impl Transfer<'_> {
    pub fn unit(&self) -> RestartUnit {
        RestartUnit::of(self.sample.records, matches!(self.service, Service::Sealed { .. }))
    }

    /// The records that are framed.
    pub fn framed(&self) -> Records {
        match self.service {
            Service::Plain(_) => self.sample.records,
            Service::Sealed { .. } => Records::None,
        }
    }

    pub fn form(&self) -> Form {
        match &self.service {
            Service::Plain(witness) => Form::Plain { witness: *witness },
            Service::Sealed { plan, batch_max } => Form::Sealed {
                plan: Arc::clone(plan),
                key: Some(pki::station().key().clone()),
                batch_max: *batch_max,
            },
        }
    }

    fn suite(&self) -> (Suite, Services) {
        match &self.service {
            Service::Plain(_) => (Suite::S04, Services::NONE),
            Service::Sealed { plan, .. } => (plan.suite(), plan.services()),
        }
    }

    /// One session, from what the last one left to what this one leaves.
    pub fn run(&self, session: &Session, durable: &mut Durable, expected_wire: usize) -> Outcome {
        let (arrival, position) = self.negotiate(session, durable);
        let checkpoint = durable.departures.at_or_below(self.unit(), position);
        let framing = framing(session);
        let departure = if position == 0 && session.forgets {
            Departure::new(self.sample.records, self.form(), framing).unwrap()
        } else {
            let checkpoint = checkpoint.filter(|_| !session.forgets);
            Departure::resume(self.sample.records, self.form(), framing, checkpoint, position).unwrap()
        };
        assert_eq!(departure.restart_unit(), self.unit());
        let target = std::mem::take(&mut durable.target);
        let receiver = self.receiver(session, arrival.as_ref(), position, target);
        let mut run = Run { departure, receiver, departures: durable.departures.clone(), wire: Vec::new() };
        let is_over = run.until_cut(self, session, expected_wire);
        let Run { departure, receiver, departures, wire } = run;
        durable.departures = through_slot(&departures);
        durable.arrival = receiver.newest.clone().or(arrival).as_ref().map(through_slot);
        durable.target.clone_from(&receiver.target);
        let account = is_over.then(|| {
            let end = departure.end_file();
            let (received, opened, target) = receiver.conclude(&end, self.framed());
            durable.target = target;
            Account { end, sent: departure.transmitted(), received, opened }
        });
        Outcome { position, wire, account }
    }

    /// What the sender offers, and what the receiver makes of it.
    fn negotiate(&self, session: &Session, durable: &Durable) -> (Option<ArrivalCheckpoint>, u64) {
        let unit = self.unit();
        let newest = durable.departures.newest();
        let offer = newest.map_or(0, |newest| newest.restart_position(unit));
        let Some(arrival) = durable.arrival.clone() else { return (None, 0) };
        let most = offer.min(arrival.restart_position(unit));
        let position = most * session.answered as u64 / 1000;
        match arrival.lowered_to(unit, self.framed(), position).filter(|_| session.lowers) {
            Some(lowered) => {
                assert_eq!(lowered.restart_position(unit), position);
                (Some(lowered), position)
            }
            None => (Some(arrival), position),
        }
    }

    fn receiver(
        &self,
        session: &Session,
        arrival: Option<&ArrivalCheckpoint>,
        position: u64,
        mut target: Vec<u8>,
    ) -> Receiver {
        let (suite, services) = self.suite();
        let terms = pki::terms(suite, services);
        let (incoming, looker) = if let Some(ArrivalCheckpoint { place, state }) = arrival {
            // What was written behind the checkpoint is there no more.
            target.truncate(usize::try_from(place.stored).unwrap());
            assert_eq!(target.len() as u64, place.stored, "what a checkpoint counts is in the target");
            let incoming = Incoming::resume(self.framed(), u64::MAX, place, position).unwrap();
            (incoming, Looker::resume(state, terms))
        } else {
            target.clear();
            let looker = match &self.service {
                Service::Plain(None) => Looker::Nobody,
                Service::Plain(Some(hash)) => {
                    Looker::Witness(Box::new(Witness::new(*hash, self.sample.records)))
                }
                Service::Sealed { .. } => Looker::Opener(Box::new(Opener::new(terms))),
            };
            (Incoming::new(self.framed(), u64::MAX), looker)
        };
        Receiver { incoming, looker, target, output: session.output, is_durable: true, newest: None }
    }
}

pub fn framing(session: &Session) -> Framing {
    let compression = if session.compress { Compression::On } else { Compression::Off };
    Framing { buffer_size: session.buffer_size, compression }
}

fn through_slot<T: serde::Serialize + serde::de::DeserializeOwned + Clone + PartialEq>(body: &T) -> T {
    let slot = Slot { subject: [7; 32], sequence: 3, body: body.clone() };
    let back = Slot::<T>::from_bytes(&slot.to_bytes().unwrap()).unwrap();
    assert!(back == slot);
    back.body
}

struct Run {
    departure: Departure,
    receiver: Receiver,
    departures: Departures,
    wire: Vec<u8>,
}

impl Run {
    /// True if all of it arrived.
    fn until_cut(&mut self, transfer: &Transfer<'_>, session: &Session, expected_wire: usize) -> bool {
        let mut source = Memory { content: &transfer.sample.content, slice: session.source_slice };
        let mut deframer = Deframer::new();
        let mut block = vec![0; session.buffer_size as usize + 4 + session.block_more];
        let share = |octets: usize, fraction: usize| octets.saturating_mul(fraction) / 1000;
        let cut = share(expected_wire + 100, session.cut);
        let (durable_arrival, durable_departures) =
            (share(cut, session.durable.0), share(cut, session.durable.1));
        while !self.departure.is_finished() {
            let was_catching_up = self.departure.is_catching_up();
            let filled =
                self.departure.fill(&mut source, &mut block, session.buffers_max, &mut Backwards).unwrap();
            assert!(filled.buffers <= session.buffers_max);
            let is_stuck = filled.buffers == 0 && !was_catching_up && !self.departure.is_finished();
            assert!(!is_stuck, "no buffer, and nothing to catch up on");
            assert!(!was_catching_up || filled.written == 0, "nothing is sent twice");
            let arriving = filled.written.min(cut.saturating_sub(self.wire.len()));
            for slice in block[..arriving].chunks(session.source_slice) {
                self.receiver.feed(&mut deframer, slice);
            }
            self.wire.extend_from_slice(&block[..filled.written]);
            self.receiver.is_durable = self.wire.len() <= durable_arrival;
            if self.wire.len() <= durable_departures
                && let Some(checkpoint) = self.departure.checkpoint()
            {
                let sent = self.departure.transmitted_position();
                let offset = checkpoint.restart_position(RestartUnit::Blocks) * 1024;
                assert!(
                    transfer.unit() == RestartUnit::Records || offset <= sent,
                    "what is offered was sent: {offset}, {sent}"
                );
                self.departures.push(checkpoint);
            }
            if arriving < filled.written {
                return false;
            }
        }
        true
    }
}

enum Looker {
    Nobody,
    Witness(Box<Witness>),
    Opener(Box<Opener>),
}

impl Looker {
    fn resume(state: &ArrivalState, terms: Arc<OpenTerms>) -> Self {
        match state {
            ArrivalState::Plain => Self::Nobody,
            ArrivalState::Watched(state) => Self::Witness(Box::new(Witness::resume(state).unwrap())),
            ArrivalState::Opened(state) => Self::Opener(Box::new(Opener::resume(terms, state).unwrap())),
        }
    }
}

struct Receiver {
    incoming: Incoming,
    looker: Looker,
    target: Vec<u8>,
    output: usize,
    is_durable: bool,
    newest: Option<ArrivalCheckpoint>,
}

impl Receiver {
    fn feed(&mut self, deframer: &mut Deframer, mut wire: &[u8]) {
        let mut room = vec![0; self.output];
        while let Some(piece) = deframer.next_piece(&mut wire).unwrap() {
            let Piece::Data { octets, end } = piece else { panic!("a command among the data") };
            let mut rest = octets;
            loop {
                let taken = self.incoming.take(rest, &mut room).unwrap();
                rest = &rest[taken.consumed..];
                assert!(rest.is_empty() || taken.written == room.len(), "stops only when the output is full");
                self.store(&room[..taken.written]);
                if rest.is_empty() && !taken.wants_room {
                    break;
                }
            }
            if end {
                self.incoming.end_of_buffer().unwrap();
            }
            self.note();
        }
    }

    fn store(&mut self, octets: &[u8]) {
        match &mut self.looker {
            Looker::Nobody => self.target.extend_from_slice(octets),
            Looker::Witness(witness) => {
                witness.see(octets);
                self.target.extend_from_slice(octets);
            }
            Looker::Opener(opener) => {
                let (mut rest, mut room) = (octets, [0; 5000]);
                while !rest.is_empty() {
                    let progress = opener.push(rest, &mut room).unwrap();
                    rest = &rest[progress.consumed..];
                    self.target.extend_from_slice(&room[..progress.written]);
                    if progress.is_checkpoint && self.is_durable {
                        self.newest = opener.checkpoint().map(ArrivalCheckpoint::opened);
                    }
                }
            }
        }
    }

    fn note(&mut self) {
        if !self.is_durable {
            return;
        }
        let Some(place) = self.incoming.place() else { return };
        let state = match &self.looker {
            Looker::Nobody => ArrivalState::Plain,
            Looker::Witness(witness) => {
                assert_eq!(witness.octets(), place.received);
                ArrivalState::Watched(witness.state())
            }
            Looker::Opener(opener) => {
                if let Some(checkpoint) = opener.checkpoint() {
                    assert_eq!(checkpoint.input_position(), place.received);
                    self.newest = Some(ArrivalCheckpoint::opened(checkpoint));
                }
                return;
            }
        };
        assert_eq!(place.stored, self.target.len() as u64);
        self.newest = Some(ArrivalCheckpoint { place: Place { ..place }, state });
    }

    fn conclude(mut self, end: &EndFile, framed: Records) -> (Option<Transmitted>, Option<Opened>, Vec<u8>) {
        // A sealed file states records of the original.
        let end = if framed == Records::None { EndFile { record_count: 0, ..*end } } else { *end };
        assert_eq!(self.incoming.check(&end), Ok(()));
        match self.looker {
            Looker::Nobody => (None, None, self.target),
            Looker::Witness(witness) => (Some(witness.finish()), None, self.target),
            Looker::Opener(mut opener) => {
                let mut room = [0; 5000];
                let opened = loop {
                    match opener.finish(&mut room).unwrap() {
                        OpenFinish::More { written } => self.target.extend_from_slice(&room[..written]),
                        OpenFinish::Opened(opened) => break opened,
                    }
                };
                let hash = opener.transmitted_hash().unwrap();
                (Some(Transmitted { octets: opener.input_position(), hash }), Some(opened), self.target)
            }
        }
    }
}
