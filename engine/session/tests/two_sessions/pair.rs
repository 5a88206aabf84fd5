//! The wire between two sessions.

use std::time::{Duration, Instant};

use odile_session::{Authenticator, Capabilities, Event, Output, Session, State};
use odile_wire::command::{Command, StartFile};
use odile_wire::{EndSessionReason, Level, Mnemonic};

use crate::sample::{TIMERS, capabilities, code, efid, toy};

pub const INITIATOR: usize = 0;
pub const RESPONDER: usize = 1;

pub struct Side {
    pub session: Session,
    /// Events not yet looked at.
    pub events: Vec<Event>,
    /// Commands sent so far.
    pub sent: Vec<Mnemonic>,
}

pub struct Pair {
    pub sides: [Side; 2],
    pub now: Instant,
    pub is_connected: bool,
}

/// Capabilities of both; the Responder has another code.
pub fn two_capabilities() -> [Capabilities; 2] {
    let ours = capabilities();
    let theirs = Capabilities { code: code("O0013000002THERE"), ..ours.clone() };
    [ours, theirs]
}

pub fn at_level(level: Level) -> [Capabilities; 2] {
    two_capabilities().map(|capabilities| Capabilities { level_max: level, ..capabilities })
}

pub fn with_credit(credit: u16) -> [Capabilities; 2] {
    two_capabilities().map(|capabilities| Capabilities { credit, ..capabilities })
}

impl Pair {
    pub fn new() -> Self {
        let side = || Side { session: Session::new(TIMERS), events: Vec::new(), sent: Vec::new() };
        Self { sides: [side(), side()], now: Instant::now(), is_connected: false }
    }

    /// Up to and including F_CONNECT_RS, whatever comes of it.
    pub fn meet(
        capabilities: [Capabilities; 2],
        authenticators: [Option<Box<dyn Authenticator>>; 2],
    ) -> Self {
        let mut pair = Self::new();
        let [ours, theirs] = capabilities;
        let [our_authenticator, their_authenticator] = authenticators;
        let now = pair.now;
        pair.initiator().connect(ours, our_authenticator, now).unwrap();
        pair.settle();
        let [Event::ConnectIndication(_)] = &pair.events(RESPONDER)[..] else { panic!("nobody called") };
        pair.responder().accept(theirs, their_authenticator, now).unwrap();
        pair.settle();
        pair
    }

    /// An established session, events forgotten.
    pub fn established(capabilities: [Capabilities; 2]) -> Self {
        let mut pair = Self::meet(capabilities, [toy(), toy()]);
        assert_eq!(pair.states(), [State::IdleSp, State::IdleLi]);
        pair.events(INITIATOR);
        pair.events(RESPONDER);
        pair
    }

    pub fn initiator(&mut self) -> &mut Session {
        &mut self.sides[INITIATOR].session
    }

    pub fn responder(&mut self) -> &mut Session {
        &mut self.sides[RESPONDER].session
    }

    pub fn states(&self) -> [State; 2] {
        [self.sides[INITIATOR].session.state(), self.sides[RESPONDER].session.state()]
    }

    /// The events of one side since the last look.
    pub fn events(&mut self, side: usize) -> Vec<Event> {
        std::mem::take(&mut self.sides[side].events)
    }

    /// The only event of one side since the last look.
    pub fn event(&mut self, side: usize) -> Event {
        let mut events = self.events(side);
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Moves everything until both sides are quiet.
    pub fn settle(&mut self) {
        while self.step(INITIATOR) || self.step(RESPONDER) {}
    }

    /// One output of one side.
    pub fn step(&mut self, from: usize) -> bool {
        let to = 1 - from;
        let now = self.now;
        let Some(output) = self.sides[from].session.poll_output() else { return false };
        match output {
            Output::Connect => {
                self.is_connected = true;
                self.sides[to].session.on_incoming(now);
                self.sides[from].session.on_connected(now);
            }
            Output::Accept => {}
            Output::Disconnect => {
                self.is_connected = false;
                self.sides[to].session.on_disconnected(now);
            }
            Output::Transmit(command) => {
                assert!(self.is_connected, "{} without a connection", command.mnemonic());
                self.sides[from].sent.push(command.mnemonic());
                let mut buffer = Vec::new();
                command.encode(self.sides[from].session.level(), &mut buffer).unwrap();
                let decoded = Command::decode(self.sides[to].session.level(), &buffer).unwrap();
                self.sides[to].session.on_command(decoded, now);
            }
            Output::Event(event) => self.sides[from].events.push(event),
        }
        true
    }

    /// Sends as many Data Exchange Buffers, window by window. Returns how many CDT that took.
    pub fn send_data(&mut self, from: usize, buffers: u32) -> u32 {
        let mut credits = 0;
        for _ in 0..buffers {
            if self.sides[from].session.credit() == 0 {
                self.settle();
                assert_eq!(self.event(from), Event::CreditRenewed);
                credits += 1;
            }
            let now = self.now;
            self.sides[from].session.take_credit(1, now).unwrap();
            self.sides[1 - from].session.on_data(now).unwrap();
        }
        credits
    }

    /// SFID, SFPA, data, EFID; the Listener has not answered yet.
    pub fn offer_and_send(&mut self, from: usize, file: &StartFile, buffers: u32) {
        let now = self.now;
        self.sides[from].session.start_file(file.clone(), now).unwrap();
        self.settle();
        let Event::StartFile(offered) = self.event(1 - from) else { panic!("no SFID") };
        assert_eq!(offered.restart, file.restart);
        self.sides[1 - from].session.answer_start_file(Ok(file.restart), now).unwrap();
        self.settle();
        assert_eq!(self.event(from), Event::FileAccepted { restart: file.restart });
        self.send_data(from, buffers);
        self.sides[from].session.close_file(efid(), now).unwrap();
        self.settle();
        assert_eq!(self.event(1 - from), Event::CloseFile(efid()));
    }

    /// Lets time pass and both sides look at the clock.
    pub fn wait(&mut self, duration: Duration) {
        self.now += duration;
        for side in &mut self.sides {
            side.session.on_time(self.now);
        }
        self.settle();
    }

    /// Checks that one side failed with this reason and told the other.
    pub fn assert_failed(&mut self, by: usize, reason: EndSessionReason) {
        let local = self.events(by).pop();
        let Some(Event::Aborted { origin: odile_session::Origin::Local, reason: ours, .. }) = local else {
            panic!("{local:?}");
        };
        assert_eq!(ours, reason);
        let distant = self.events(1 - by).pop();
        let Some(Event::Aborted { origin: odile_session::Origin::Distant, reason: theirs, .. }) = distant
        else {
            panic!("{distant:?}");
        };
        assert_eq!(theirs, reason);
        assert!(self.sides.iter().all(|side| side.session.is_over()), "{:?}", self.states());
        assert!(!self.is_connected);
    }
}
