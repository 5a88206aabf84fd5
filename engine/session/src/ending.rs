//! How a session ends: ESID, time-out, lost connections, and octets that are no command (RFC 5024 §9.9, and the
//! ESID and F_RELEASE_RQ rows of §9.8, §9.10 and §9.12).

use std::time::Instant;

use odile_wire::command::{Command, EndSession};
use odile_wire::{EndSessionReason, Malformed};

use crate::error::Misuse;
use crate::output::{Event, Origin, Output};
use crate::session::Session;
use crate::state::State;
use crate::tolerance::Tolerance;

impl Session {
    /// `F_RELEASE_RQ`: end the session with an ESID. Reason 00 only if [`Session::may_release`]; any other reason
    /// as long as the session lives. The state becomes WF_NDISC, and no event follows.
    pub fn release(&mut self, reason: EndSessionReason, text: &str, now: Instant) -> Result<(), Misuse> {
        let allowed = match self.state {
            State::Idle | State::WfNDisc => false,
            _ => reason != EndSessionReason::NORMAL || self.may_release(),
        };
        if !allowed {
            return Err(self.misuse("F_RELEASE_RQ"));
        }
        if self.state == State::IWfNc {
            // Nobody is there who could read an ESID.
            self.push(Output::Disconnect);
            self.end();
        } else {
            self.send_end_session(reason, text, now);
        }
        Ok(())
    }

    /// `F_ABORT_RQ`: close the connection without a word.
    pub fn abort(&mut self, _now: Instant) {
        if self.state != State::Idle {
            self.push(Output::Disconnect);
            self.end();
        }
    }

    /// `N_DISC_IND`: the connection is gone, or could not be made.
    pub fn on_disconnected(&mut self, _now: Instant) {
        let text = match self.state {
            State::Idle => return,
            State::WfNDisc => return self.end(),
            State::IWfNc => "the connection could not be made".to_owned(),
            state => format!("the connection was closed in state {state}"),
        };
        let reason = EndSessionReason::UNSPECIFIED;
        self.tell(Event::Aborted { origin: Origin::Distant, reason, text });
        self.end();
    }

    /// `N_RST_IND`: the connection was reset and cannot be trusted any more.
    pub fn on_reset(&mut self, _now: Instant) {
        match self.state {
            State::Idle | State::IWfNc => {}
            State::WfNDisc => {
                self.push(Output::Disconnect);
                self.end();
            }
            state => {
                self.push(Output::Disconnect);
                let text = format!("the connection was reset in state {state}");
                let reason = EndSessionReason::UNSPECIFIED;
                self.tell(Event::Aborted { origin: Origin::Local, reason, text });
                self.end();
            }
        }
    }

    /// "Invalid Buffer": the peer sent octets that are no command. The reason is that of the error, not always 01
    /// as in the table.
    pub fn on_malformed(&mut self, malformed: &Malformed, now: Instant) {
        match self.state {
            State::Idle | State::IWfNc | State::WfNDisc => {}
            _ => self.fail(malformed.reason(), malformed.to_string(), now),
        }
    }

    /// The time has come that [`Session::deadline`] named; too early a call does nothing.
    pub fn on_time(&mut self, now: Instant) {
        if !self.timer.has_passed(now) {
            return;
        }
        if !matches!(self.state, State::Idle | State::WfNDisc) {
            let seconds = self.timer.inactivity().as_secs();
            let text = format!("nothing happened for {seconds} s in state {}", self.state);
            let reason = EndSessionReason::TIME_OUT;
            self.tell(Event::Aborted { origin: Origin::Local, reason, text });
        }
        self.push(Output::Disconnect);
        self.end();
    }

    /// ESID. The tables know it from Speakers (§9.12) and while the session is set up (§9.8); a Listener sends it
    /// too (§9.10, Q and C), so that it is taken in every state.
    pub(crate) fn on_end_session(&mut self, esid: &EndSession) {
        let normal = esid.reason == EndSessionReason::NORMAL;
        let event = match self.state {
            State::IdleLiCd if normal => Event::Released,
            State::IdleLi | State::WfCd if normal => {
                self.tolerate(Tolerance::EarlyEndSession);
                Event::Released
            }
            State::IWfRm | State::ANcOnly | State::AWfConrs => {
                self.tolerate(Tolerance::EndSessionBeforeIdentification);
                aborted_by(esid)
            }
            _ => aborted_by(esid),
        };
        self.tell(event);
        self.push(Output::Disconnect);
        self.end();
    }

    /// Our ESID is out: nothing counts any more, but if the peer's ESID crossed ours, nobody else would
    /// disconnect.
    pub(crate) fn on_command_while_ending(&mut self, command: &Command) {
        if matches!(command, Command::EndSession(_)) {
            self.push(Output::Disconnect);
            self.end();
        }
    }
}

fn aborted_by(esid: &EndSession) -> Event {
    Event::Aborted { origin: Origin::Distant, reason: esid.reason, text: esid.text.to_string() }
}
