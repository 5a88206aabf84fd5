//! Brings a session into a state, gives it an event, and names what comes out as the RFC does.

#![allow(dead_code, reason = "the tests with random inputs do not use all of it")]

use std::time::{Duration, Instant};

use odile_session::{Event, Misuse, Origin, Output, Session, State, Turn, TurnWish};
use odile_wire::command::{
    AuthenticationChallenge, AuthenticationResponse, Capability, ChangeDirection, Command,
    EndFilePositiveAnswer, ReadyToReceive, SecurityChangeDirection, SetCredit, StartFilePositiveAnswer,
    StartSessionReady,
};
use odile_wire::{EndSessionReason, Malformed};

use crate::sample::{
    SECRET, TIMERS, capabilities, eerp, efid, efna, esid, hide, nerp, sfid, sfna, ssid, toy,
};

/// What decides the predicates.
#[derive(Clone, Debug)]
pub struct Setup {
    pub initiator: bool,
    /// We require authentication (states before the end of it always do where they must).
    pub authentication: bool,
    pub peer_authentication: bool,
    pub mode: Capability,
    pub peer_mode: Capability,
    pub restart: bool,
    pub credit: u16,
    /// Data Exchange Buffers received before the event, without handing out what they cause.
    pub data_before: u16,
    pub bad_capabilities: bool,
    pub verifies: bool,
    pub signed: bool,
    /// Restart position in the event.
    pub position: u64,
    pub positive: bool,
    pub wants_turn: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            initiator: true,
            authentication: false,
            peer_authentication: false,
            mode: Capability::Both,
            peer_mode: Capability::Both,
            restart: true,
            credit: 2,
            data_before: 0,
            bad_capabilities: false,
            verifies: true,
            signed: false,
            position: 0,
            positive: true,
            wants_turn: false,
        }
    }
}

/// Restart position in the SFID that precedes SFPA or its answer.
pub const OFFERED: u64 = 7;

impl Setup {
    fn capabilities(&self) -> odile_session::Capabilities {
        let mut ours = capabilities();
        ours.authentication = self.authentication;
        ours.mode = self.mode;
        ours.restart = self.restart;
        ours.credit = if self.bad_capabilities { 0 } else { self.credit };
        ours
    }

    fn ssid(&self) -> odile_wire::command::StartSession {
        odile_wire::command::StartSession {
            authentication: self.peer_authentication,
            capability: self.peer_mode,
            ..ssid()
        }
    }
}

/// Real inputs from IDLE to the state, nothing else.
pub fn in_state(state: State, setup: &Setup, now: Instant) -> Session {
    let mut session = Session::new(TIMERS);
    let s = &mut session;
    lead(s, state, setup, now);
    while s.poll_output().is_some() {}
    for _ in 0..setup.data_before {
        s.on_data(now).unwrap();
    }
    assert_eq!(s.state(), state, "the way to the state is wrong");
    session
}

fn lead(s: &mut Session, state: State, setup: &Setup, now: Instant) {
    let with_authentication = Setup { authentication: true, peer_authentication: true, ..setup.clone() };
    let offered = if setup.restart { OFFERED } else { 0 };
    match state {
        State::Idle => {}
        State::IWfNc => s.connect(setup.capabilities(), toy(), now).unwrap(),
        State::IWfRm => {
            lead(s, State::IWfNc, setup, now);
            s.on_connected(now);
        }
        State::IWfSsid => {
            lead(s, State::IWfRm, setup, now);
            s.on_command(Command::StartSessionReady(StartSessionReady), now);
        }
        State::ANcOnly => s.on_incoming(now),
        State::AWfConrs => {
            lead(s, State::ANcOnly, setup, now);
            s.on_command(Command::StartSession(setup.ssid()), now);
        }
        State::WfAuch if setup.initiator => {
            lead(s, State::IWfSsid, &with_authentication, now);
            s.on_command(Command::StartSession(with_authentication.ssid()), now);
        }
        State::WfAuch => {
            lead(s, State::WfAurp, setup, now);
            give_response(s, SECRET, now);
        }
        State::WfSecd if setup.initiator => {
            lead(s, State::WfAuch, setup, now);
            give_challenge(s, now);
        }
        State::WfSecd => {
            lead(s, State::AWfConrs, &with_authentication, now);
            s.accept(with_authentication.capabilities(), toy(), now).unwrap();
        }
        State::WfAurp => {
            lead(s, State::WfSecd, setup, now);
            s.on_command(Command::SecurityChangeDirection(SecurityChangeDirection), now);
        }
        State::IdleSp => {
            lead(s, State::IWfSsid, setup, now);
            s.on_command(Command::StartSession(setup.ssid()), now);
        }
        State::IdleLi => {
            lead(s, State::AWfConrs, setup, now);
            s.accept(setup.capabilities(), toy(), now).unwrap();
        }
        State::IdleLiCd => {
            lead(s, State::IdleSp, setup, now);
            s.change_direction(now).unwrap();
        }
        State::IdleSpCd => {
            lead(s, State::IdleLi, setup, now);
            s.on_command(Command::ChangeDirection(ChangeDirection), now);
        }
        State::WfRtr => {
            lead(s, State::IdleSp, setup, now);
            s.respond(eerp(), now).unwrap();
        }
        State::OpOp => {
            lead(s, State::IdleSp, setup, now);
            s.start_file(sfid(offered), now).unwrap();
        }
        State::Opo => {
            lead(s, State::OpOp, setup, now);
            let sfpa = StartFilePositiveAnswer { restart: 0 };
            s.on_command(Command::StartFilePositiveAnswer(sfpa), now);
        }
        State::OpoWfc => {
            lead(s, State::Opo, setup, now);
            s.take_credit(s.credit(), now).unwrap();
        }
        State::ClOp => {
            lead(s, State::Opo, setup, now);
            s.close_file(efid(), now).unwrap();
        }
        State::OpIp => {
            lead(s, State::IdleLi, setup, now);
            s.on_command(Command::StartFile(Box::new(sfid(offered))), now);
        }
        State::OpI => {
            lead(s, State::OpIp, setup, now);
            s.answer_start_file(Ok(0), now).unwrap();
        }
        State::ClIp => {
            lead(s, State::OpI, setup, now);
            s.on_command(Command::EndFile(efid()), now);
        }
        State::RtrP => {
            lead(s, State::IdleLi, setup, now);
            s.on_command(Command::EndToEndResponse(Box::new(eerp())), now);
        }
        State::WfCd => {
            lead(s, State::ClIp, setup, now);
            s.answer_close_file(Ok(TurnWish::Want), now).unwrap();
        }
        State::ErsTwfCd => {
            lead(s, State::WfCd, setup, now);
            s.respond(eerp(), now).unwrap();
        }
        State::NrsTwfCd => {
            lead(s, State::WfCd, setup, now);
            s.respond_negatively(nerp(), now).unwrap();
        }
        State::SfsTwfCd => {
            lead(s, State::WfCd, setup, now);
            s.start_file(sfid(0), now).unwrap();
        }
        State::CdsTwfCd => {
            lead(s, State::WfCd, setup, now);
            s.change_direction(now).unwrap();
        }
        State::WfNDisc => {
            lead(s, State::IdleSp, setup, now);
            s.release(EndSessionReason::EMERGENCY_CLOSE_DOWN, "", now).unwrap();
        }
    }
}

fn give_challenge(s: &mut Session, now: Instant) {
    let challenge = hide(&SECRET);
    s.on_command(Command::AuthenticationChallenge(AuthenticationChallenge { challenge }), now);
}

fn give_response(s: &mut Session, response: [u8; 20], now: Instant) {
    s.on_command(Command::AuthenticationResponse(AuthenticationResponse { response }), now);
}

/// What a verb answered; events always succeed.
pub type Reply = Result<(), Misuse>;

pub const VERBS: &[&str] = &[
    "F_CONNECT_RQ",
    "F_CONNECT_RS",
    "F_EERP_RQ",
    "F_NERP_RQ",
    "F_START_FILE_RQ",
    "F_DATA_RQ",
    "F_CD_RQ",
    "F_REL_RQ(Ok)",
    "F_REL_RQ(Err)",
    "F_CLOSE_FILE_RQ",
    "F_START_FILE_RS",
    "F_CLOSE_FILE_RS",
    "F_RTR_RS",
];

pub const PEER: &[&str] = &[
    "SSRM",
    "SSID",
    "SECD",
    "AUCH",
    "AURP",
    "SFID",
    "SFPA",
    "SFNA",
    "DATA",
    "CDT",
    "EFID",
    "EFPA",
    "EFNA",
    "ESID(Normal)",
    "ESID(Error)",
    "CD",
    "EERP",
    "NERP",
    "RTR",
];

/// The reason that `R` stands for.
pub fn reason_given(event: &str) -> &'static str {
    if event == "ESID(Normal)" { "00" } else { "05" }
}

/// Gives the event. Returns what the verb answered and the output events that are no outputs of a session: file
/// data, which goes past it.
pub fn give(s: &mut Session, event: &str, setup: &Setup, now: Instant) -> (Reply, Vec<String>) {
    let mut data = Vec::new();
    let reply = match event {
        "F_CONNECT_RQ" => s.connect(setup.capabilities(), toy(), now),
        "F_CONNECT_RS" => s.accept(setup.capabilities(), toy(), now),
        "F_EERP_RQ" => {
            let mut eerp = eerp();
            if setup.signed {
                (eerp.hash, eerp.signature) = (vec![1; 32], vec![2; 256]);
            }
            s.respond(eerp, now)
        }
        "F_NERP_RQ" => {
            let mut nerp = nerp();
            if setup.signed {
                (nerp.hash, nerp.signature) = (vec![1; 32], vec![2; 256]);
            }
            s.respond_negatively(nerp, now)
        }
        "F_START_FILE_RQ" => s.start_file(sfid(setup.position), now),
        "F_DATA_RQ" => {
            let reply = s.take_credit(1, now);
            if reply.is_ok() {
                data.push("DATA".to_owned());
                if s.credit() > 0 {
                    data.push("F_DATA_CF".to_owned());
                }
            }
            reply
        }
        "F_CD_RQ" => s.change_direction(now),
        "F_REL_RQ(Ok)" => s.release(EndSessionReason::NORMAL, "", now),
        "F_REL_RQ(Err)" => s.release(EndSessionReason::EMERGENCY_CLOSE_DOWN, "fire", now),
        "F_CLOSE_FILE_RQ" => s.close_file(efid(), now),
        "F_START_FILE_RS" => {
            s.answer_start_file(if setup.positive { Ok(setup.position) } else { Err(sfna()) }, now)
        }
        "F_CLOSE_FILE_RS" => {
            let wish = if setup.wants_turn { TurnWish::Want } else { TurnWish::Keep };
            s.answer_close_file(if setup.positive { Ok(wish) } else { Err(efna()) }, now)
        }
        "F_RTR_RS" => s.ready_to_receive(now),
        "DATA" => {
            if s.on_data(now).is_ok() {
                data.push("F_DATA_IND".to_owned());
            }
            Ok(())
        }
        _ => {
            give_infallible(s, event, setup, now);
            Ok(())
        }
    };
    (reply, data)
}

fn give_infallible(s: &mut Session, event: &str, setup: &Setup, now: Instant) {
    let command = match event {
        "N_CON_CF" => return s.on_connected(now),
        "N_CON_IND" => return s.on_incoming(now),
        "N_RST_IND" => return s.on_reset(now),
        "N_DISC_IND" => return s.on_disconnected(now),
        "F_ABORT_RQ" => return s.abort(now),
        "TIME-OUT" => return s.on_time(s.deadline().unwrap_or(now + Duration::from_secs(86_400))),
        "Invalid_Buffer" => return s.on_malformed(&Malformed::UnknownCommand(0), now),
        "AUCH" => return give_challenge(s, now),
        "AURP" => return give_response(s, if setup.verifies { SECRET } else { [0; 20] }, now),
        "SSRM" => Command::StartSessionReady(StartSessionReady),
        "SSID" => Command::StartSession(setup.ssid()),
        "SECD" => Command::SecurityChangeDirection(SecurityChangeDirection),
        "SFID" => Command::StartFile(Box::new(sfid(setup.position))),
        "SFPA" => Command::StartFilePositiveAnswer(StartFilePositiveAnswer { restart: setup.position }),
        "SFNA" => Command::StartFileNegativeAnswer(sfna()),
        "CDT" => Command::SetCredit(SetCredit),
        "EFID" => Command::EndFile(efid()),
        "EFPA" => {
            Command::EndFilePositiveAnswer(EndFilePositiveAnswer { change_direction: setup.wants_turn })
        }
        "EFNA" => Command::EndFileNegativeAnswer(efna()),
        "ESID(Normal)" => esid(EndSessionReason::NORMAL),
        "ESID(Error)" => esid(EndSessionReason::EMERGENCY_CLOSE_DOWN),
        "CD" => Command::ChangeDirection(ChangeDirection),
        "EERP" => Command::EndToEndResponse(Box::new(eerp())),
        "NERP" => Command::NegativeEndResponse(Box::new(nerp())),
        "RTR" => Command::ReadyToReceive(ReadyToReceive),
        other => panic!("unknown event {other}"),
    };
    s.on_command(command, now);
}

/// The RFC's name of an output, with its parameter.
pub fn name(output: &Output) -> String {
    match output {
        Output::Connect => "N_CON_RQ".to_owned(),
        Output::Accept => "N_CON_RS".to_owned(),
        Output::Disconnect => "N_DISC_RQ".to_owned(),
        Output::Transmit(Command::EndSession(esid)) => format!("ESID({:02})", esid.reason.code()),
        Output::Transmit(Command::EndFilePositiveAnswer(efpa)) => {
            if efpa.change_direction { "EFPA(CD-Req)" } else { "EFPA(no_CD)" }.to_owned()
        }
        Output::Transmit(command) => command.mnemonic().to_string(),
        Output::Event(event) => name_of_event(event),
    }
}

fn name_of_event(event: &Event) -> String {
    match event {
        Event::ConnectIndication(_) => "F_CONNECT_IND",
        Event::PeerIdentified(_) => "PEER_IDENTIFIED",
        Event::Connected { .. } => "F_CONNECT_CF",
        Event::StartFile(_) => "F_START_FILE_IND",
        Event::FileAccepted { .. } => "F_START_FILE_CF(+)",
        Event::FileRefused(_) => "F_START_FILE_CF(-)",
        Event::CreditRenewed => "F_DATA_CF",
        Event::CloseFile(_) => "F_CLOSE_FILE_IND",
        Event::FileClosed { turn: Turn::Gives } => "F_CLOSE_FILE_CF(+,SP=No)",
        Event::FileClosed { turn: Turn::Keeps } => "F_CLOSE_FILE_CF(+,SP=Yes)",
        Event::CloseRefused(_) => "F_CLOSE_FILE_CF(-)",
        Event::Turn => "F_CD_IND",
        Event::EndToEndResponse(_) => "F_EERP_IND",
        Event::NegativeEndResponse(_) => "F_NERP_IND",
        Event::ReadyToReceive => "F_RTR_CF",
        Event::Released => "F_RELEASE_IND",
        Event::Aborted { origin, reason, .. } => {
            let origin = if *origin == Origin::Local { "L" } else { "D" };
            return format!("F_ABORT_IND({:02},{origin})", reason.code());
        }
    }
    .to_owned()
}
