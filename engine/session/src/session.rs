//! The session: its variables (RFC 5024 §9.6), the dispatch of events, and what all tables share.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use odile_wire::command::{Command, EndSession, StartSession};
use odile_wire::{EndSessionReason, Level, Mnemonic, VariableText};

use crate::authenticator::Authenticator;
use crate::error::Misuse;
use crate::negotiation::{Agreement, Capabilities};
use crate::output::{Event, Origin, Output};
use crate::state::State;
use crate::timer::{Timer, Timers};
use crate::tolerance::{Tolerance, Tolerated};

/// One OFTP2 session on one network connection, as Initiator or as Responder.
///
/// Calling order:
///
/// 1. Initiator: [`connect`](Self::connect), then [`on_connected`](Self::on_connected). Responder:
///    [`on_incoming`](Self::on_incoming), then [`accept`](Self::accept) upon [`Event::ConnectIndication`].
/// 2. Whatever happens goes in through the `on_*` methods; what the station wants through the verbs.
/// 3. After **every** call: take everything out of [`poll_output`](Self::poll_output), and do it in that order.
/// 4. Call [`on_time`](Self::on_time) when [`deadline`](Self::deadline) has passed.
///
/// A verb that the state does not allow gives [`Misuse`] and changes nothing. Once the session has ended, every
/// input is ignored and every verb is a misuse: a session is used once.
pub struct Session {
    pub(crate) state: State,
    pub(crate) role: Option<Role>,
    pub(crate) timer: Timer,
    outputs: VecDeque<Output>,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) authenticator: Option<Box<dyn Authenticator>>,
    pub(crate) peer: Option<StartSession>,
    pub(crate) agreement: Option<Agreement>,
    /// V.Restart-pos: the position in the SFID sent or received last.
    pub(crate) restart_offered: u64,
    /// V.Credit_S, in Data Exchange Buffers.
    pub(crate) credit_speaker: u16,
    /// V.Credit_L, in Data Exchange Buffers. Renewed when the CDT is handed out, not when it is queued: a peer
    /// cannot have seen it before.
    pub(crate) credit_listener: u16,
    /// The Listener grants credit before the Speaker has used it up, and a Speaker takes it.
    pub(crate) early_credit: bool,
    /// Data Exchange Buffers that have come since the last CDT.
    pub(crate) since_credit: u16,
    /// V.Req-buf: a command that waits for CD (ERSTWFCD, NRSTWFCD, SFSTWFCD, CDSTWFCD) or, as EFID, for CDT
    /// (OPOWFC).
    pub(crate) stored: Option<Command>,
    pub(crate) tolerated: Tolerated,
}

/// V.Caller: who opened the network connection (§4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Initiator,
    Responder,
}

impl Session {
    /// A session in state IDLE.
    pub fn new(timers: Timers) -> Self {
        Self {
            state: State::Idle,
            role: None,
            timer: Timer::new(timers),
            outputs: VecDeque::new(),
            capabilities: None,
            authenticator: None,
            peer: None,
            agreement: None,
            restart_offered: 0,
            credit_speaker: 0,
            credit_listener: 0,
            early_credit: false,
            since_credit: 0,
            stored: None,
            tolerated: Tolerated::default(),
        }
    }

    /// The peer sent a command. `DATA` goes to [`Session::on_data`], octets that are no command to
    /// [`Session::on_malformed`].
    pub fn on_command(&mut self, command: Command, now: Instant) {
        match self.state {
            State::Idle | State::IWfNc => return,
            State::WfNDisc => return self.on_command_while_ending(&command),
            _ => {}
        }
        match command {
            Command::StartSessionReady(_) => self.on_start_session_ready(now),
            Command::StartSession(ssid) => self.on_start_session(ssid, now),
            Command::SecurityChangeDirection(_) => self.on_security_change_direction(now),
            Command::AuthenticationChallenge(auch) => self.on_challenge(&auch.challenge, now),
            Command::AuthenticationResponse(aurp) => self.on_response(&aurp.response, now),
            Command::StartFile(sfid) => self.on_start_file(sfid, now),
            Command::StartFilePositiveAnswer(sfpa) => self.on_start_file_positive_answer(sfpa, now),
            Command::StartFileNegativeAnswer(sfna) => self.on_start_file_negative_answer(sfna, now),
            Command::SetCredit(_) => self.on_set_credit(now),
            Command::EndFile(efid) => self.on_end_file(efid, now),
            Command::EndFilePositiveAnswer(efpa) => self.on_end_file_positive_answer(efpa, now),
            Command::EndFileNegativeAnswer(efna) => self.on_end_file_negative_answer(efna, now),
            Command::EndSession(esid) => self.on_end_session(&esid),
            Command::ChangeDirection(_) => self.on_change_direction(now),
            Command::EndToEndResponse(eerp) => {
                self.on_end_response(Mnemonic::Eerp, Event::EndToEndResponse(eerp), now);
            }
            Command::NegativeEndResponse(nerp) => {
                self.on_end_response(Mnemonic::Nerp, Event::NegativeEndResponse(nerp), now);
            }
            Command::ReadyToReceive(_) => self.on_ready_to_receive(now),
        }
    }

    /// CD is of interest to Listeners and to those who asked for it in EFPA.
    fn on_change_direction(&mut self, now: Instant) {
        match self.state {
            // §9.12, C: unsolicited, so that the session may be ended and the turn may not be bounced back.
            State::IdleLi => {
                self.tell(Event::Turn);
                self.enter(State::IdleSpCd, now);
            }
            // §9.10, H.
            State::WfCd => {
                self.tell(Event::Turn);
                self.enter(State::IdleSp, now);
            }
            // §9.10, R, Z1.
            State::ErsTwfCd | State::NrsTwfCd => self.send_stored(State::WfRtr, now),
            // §9.10, I.
            State::SfsTwfCd => self.send_stored(State::OpOp, now),
            // §9.10, J.
            State::CdsTwfCd => self.send_stored(State::IdleLiCd, now),
            _ => self.unexpected(Mnemonic::Cd, now),
        }
    }

    /// When [`Session::on_time`] must be called at the latest. `None`: nothing to wait for.
    pub fn deadline(&self) -> Option<Instant> {
        self.timer.deadline()
    }

    /// From now on the inactivity timer is this long: a Responder learns only from the SSID whose terms hold.
    pub fn set_inactivity(&mut self, inactivity: Duration, now: Instant) {
        self.timer.set_inactivity(inactivity);
        self.touch(now);
    }

    /// Something moves without a command: fragments of a Data Exchange Buffer arrive or are written, the Listener
    /// checks a file before it answers. Restarts the inactivity timer.
    pub fn touch(&mut self, now: Instant) {
        if !matches!(self.state, State::Idle | State::WfNDisc) {
            self.timer.start_inactivity(now);
        }
    }

    /// Whether each CDT grants half of the window, and is sent as soon as that has come: what is on its way never exceeds the
    /// window, and nobody waits for a whole round trip. Not in the RFC (§9.10, P): both sides must do it, or files stall. Off
    /// by default.
    pub fn set_early_credit(&mut self, is_on: bool) {
        self.early_credit = is_on;
    }

    /// The next thing to do, in order; `None` when there is nothing left.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        if matches!(output, Output::Transmit(Command::SetCredit(_))) {
            self.credit_listener = self.granted(self.credit_listener);
        }
        Some(output)
    }

    /// The state. IDLE before the connection and after it.
    pub fn state(&self) -> State {
        self.state
    }

    /// What was agreed on, once both SSIDs are there.
    pub fn agreement(&self) -> Option<&Agreement> {
        self.agreement.as_ref()
    }

    /// The level to encode and decode commands at: the agreed one; before, the highest that both could agree on
    /// as far as is known, which is 5 in the beginning.
    pub fn level(&self) -> Level {
        if let Some(agreement) = &self.agreement {
            return agreement.level;
        }
        let ours = self.capabilities.as_ref().map_or(Level::V2_0, |ours| ours.level_max);
        let theirs =
            self.peer.as_ref().map_or(Level::V2_0, |peer| Level::at_most(peer.level).unwrap_or(Level::V1_2));
        ours.min(theirs)
    }

    /// True once the session has ended and the network connection is closed or about to be. After our own ESID
    /// that is not before the peer has disconnected or the disconnect timer has run out (state WF_NDISC).
    pub fn is_over(&self) -> bool {
        self.state == State::Idle && self.role.is_some()
    }

    /// True if this side has the turn and no command is under way: a file, an EERP or a NERP may be sent.
    pub fn may_speak(&self) -> bool {
        matches!(self.state, State::IdleSp | State::IdleSpCd)
    }

    /// True if the session may be ended normally: the peer has just given up the turn (§4.6.1).
    pub fn may_release(&self) -> bool {
        self.state == State::IdleSpCd
    }

    /// True if this side opened the connection.
    pub fn is_initiator(&self) -> bool {
        self.role == Some(Role::Initiator)
    }

    /// True if this session has forgiven the peer something of that kind.
    pub fn has_tolerated(&self, tolerance: Tolerance) -> bool {
        self.tolerated.contains(tolerance)
    }

    // ---- shared by the tables

    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn send(&mut self, command: Command) {
        self.push(Output::Transmit(command));
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    /// Next state; the inactivity timer starts again.
    pub(crate) fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.timer.start_inactivity(now);
    }

    pub(crate) fn send_stored(&mut self, next: State, now: Instant) {
        if let Some(command) = self.stored.take() {
            self.send(command);
        }
        self.enter(next, now);
    }

    /// Takes back a CDT that nobody has seen yet; true if there was one.
    pub(crate) fn withdraw_credit(&mut self) -> bool {
        let before = self.outputs.len();
        self.outputs.retain(|output| !matches!(output, Output::Transmit(Command::SetCredit(_))));
        self.outputs.len() < before
    }

    /// Credit after a CDT, of what is left before.
    pub(crate) fn granted(&self, left: u16) -> u16 {
        let window = self.window();
        if self.early_credit { left.saturating_add(window.div_ceil(2)).min(window) } else { window }
    }

    /// V.Window.
    pub(crate) fn window(&self) -> u16 {
        self.agreement.as_ref().map_or(0, |agreement| agreement.credit)
    }

    /// ESID, and the User Monitor is told: the end of this session.
    pub(crate) fn fail(&mut self, reason: EndSessionReason, text: String, now: Instant) {
        self.send_end_session(reason, &text, now);
        self.tell(Event::Aborted { origin: Origin::Local, reason, text });
    }

    pub(crate) fn send_end_session(&mut self, reason: EndSessionReason, text: &str, now: Instant) {
        // A session that ends grants nothing more.
        self.withdraw_credit();
        self.send(Command::EndSession(EndSession { reason, text: VariableText::truncated(text) }));
        self.forget();
        self.state = State::WfNDisc;
        self.timer.start_disconnect(now);
    }

    /// A command that has no place in this state (reason 02).
    pub(crate) fn unexpected(&mut self, command: Mnemonic, now: Instant) {
        let text = format!("{command} is not allowed in state {}", self.state);
        self.fail(EndSessionReason::PROTOCOL_VIOLATION, text, now);
    }

    /// The last state: the connection is gone or goes.
    pub(crate) fn end(&mut self) {
        self.forget();
        self.state = State::Idle;
        self.timer.stop();
    }

    /// What an ended session needs no more, keys above all.
    fn forget(&mut self) {
        self.authenticator = None;
        self.stored = None;
        self.credit_speaker = 0;
    }

    pub(crate) fn tolerate(&mut self, tolerance: Tolerance) {
        self.tolerated.insert(tolerance);
    }

    pub(crate) fn misuse(&self, call: &'static str) -> Misuse {
        if self.is_over() || self.state == State::WfNDisc {
            Misuse::Over { call }
        } else {
            Misuse::State { call, state: self.state }
        }
    }

    /// Refuses what the agreed level cannot express before the state has changed.
    pub(crate) fn check_representable(&self, command: &Command) -> Result<(), Misuse> {
        Ok(command.encode(self.level(), &mut Vec::new())?)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .field("role", &self.role)
            .field("agreement", &self.agreement)
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}
