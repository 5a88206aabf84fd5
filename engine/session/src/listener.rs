//! The side that has not the turn: the listener state table (RFC 5024 §9.12).

use std::time::Instant;

use odile_wire::command::{
    Capability, Command, EndFile, EndFileNegativeAnswer, EndFilePositiveAnswer, ReadyToReceive, SetCredit,
    StartFile, StartFileNegativeAnswer, StartFilePositiveAnswer,
};
use odile_wire::{EndSessionReason, Mnemonic};

use crate::error::{Misuse, ProtocolError};
use crate::output::{Event, TurnWish};
use crate::session::Session;
use crate::state::State;
use crate::tolerance::Tolerance;

impl Session {
    /// `F_START_FILE_RS`: take the file from a restart position on, in the unit of SFIDREST and not above the
    /// position offered, or refuse it.
    pub fn answer_start_file(
        &mut self,
        answer: Result<u64, StartFileNegativeAnswer>,
        now: Instant,
    ) -> Result<(), Misuse> {
        if self.state != State::OpIp {
            return Err(self.misuse("F_START_FILE_RS"));
        }
        match answer {
            // P4.
            Ok(position) if position > self.restart_offered => {
                return Err(Misuse::RestartBeyondOffer { position, offered: self.restart_offered });
            }
            Ok(restart) => {
                self.send(Command::StartFilePositiveAnswer(StartFilePositiveAnswer { restart }));
                self.credit_listener = self.window();
                self.since_credit = 0;
                self.enter(State::OpI, now);
            }
            Err(refusal) => {
                self.send(Command::StartFileNegativeAnswer(refusal));
                self.enter(State::IdleLi, now);
            }
        }
        Ok(())
    }

    /// `F_CLOSE_FILE_RS`: the file is safe with us (and whether we want to speak now), or it is not.
    pub fn answer_close_file(
        &mut self,
        answer: Result<TurnWish, EndFileNegativeAnswer>,
        now: Instant,
    ) -> Result<(), Misuse> {
        if self.state != State::ClIp {
            return Err(self.misuse("F_CLOSE_FILE_RS"));
        }
        let (command, next) = match answer {
            Ok(TurnWish::Want) => (positive(true), State::WfCd),
            Ok(TurnWish::Keep) => (positive(false), State::IdleLi),
            Err(refusal) => (Command::EndFileNegativeAnswer(refusal), State::IdleLi),
        };
        self.send(command);
        self.enter(next, now);
        Ok(())
    }

    /// `F_RTR_RS`: the EERP or NERP is safe with us.
    pub fn ready_to_receive(&mut self, now: Instant) -> Result<(), Misuse> {
        if self.state != State::RtrP {
            return Err(self.misuse("F_RTR_RS"));
        }
        self.send(Command::ReadyToReceive(ReadyToReceive));
        self.enter(State::IdleLi, now);
        Ok(())
    }

    /// One whole Data Exchange Buffer has arrived; its octets went past the session. New credit goes out at once
    /// when the old one is used up. After an error the data must not be used.
    pub fn on_data(&mut self, now: Instant) -> Result<(), ProtocolError> {
        match self.state {
            State::OpI => {}
            State::WfNDisc => return Err(ProtocolError::Over),
            State::Idle if self.is_over() => return Err(ProtocolError::Over),
            state => {
                if !matches!(state, State::Idle | State::IWfNc) {
                    self.unexpected(Mnemonic::Data, now);
                }
                return Err(ProtocolError::Unexpected { state });
            }
        }
        // P6.
        let Some(left) = self.credit_listener.checked_sub(1) else {
            let error = ProtocolError::CreditExceeded { window: self.window() };
            self.fail(EndSessionReason::PROTOCOL_VIOLATION, error.to_string(), now);
            return Err(error);
        };
        self.credit_listener = left;
        self.since_credit = self.since_credit.saturating_add(1);
        // P7.
        let is_due =
            if self.early_credit { self.since_credit >= self.window().div_ceil(2) } else { left == 0 };
        if is_due {
            self.since_credit = 0;
            self.send(Command::SetCredit(SetCredit));
        }
        self.enter(State::OpI, now);
        Ok(())
    }

    /// SFID. A.
    pub(crate) fn on_start_file(&mut self, sfid: Box<StartFile>, now: Instant) {
        let (State::IdleLi | State::IdleLiCd, Some(agreement)) = (self.state, &self.agreement) else {
            return self.unexpected(Mnemonic::Sfid, now);
        };
        let refusal = if agreement.mode == Capability::SendOnly {
            Some("SFID to a station that only sends in this session".to_owned())
        } else if sfid.restart > 0 && !agreement.restart {
            Some(format!("SFID with restart position {}, but restart was not agreed", sfid.restart))
        } else {
            None
        };
        if let Some(text) = refusal {
            return self.fail(EndSessionReason::PROTOCOL_VIOLATION, text, now);
        }
        self.restart_offered = sfid.restart;
        self.tell(Event::StartFile(sfid));
        self.enter(State::OpIp, now);
    }

    /// EFID. J.
    pub(crate) fn on_end_file(&mut self, efid: EndFile, now: Instant) {
        if self.state != State::OpI {
            return self.unexpected(Mnemonic::Efid, now);
        }
        if self.withdraw_credit() && !self.early_credit {
            self.tolerate(Tolerance::EndFileWithoutCredit);
        }
        self.tell(Event::CloseFile(efid));
        self.enter(State::ClIp, now);
    }

    /// EERP and NERP. E, L.
    pub(crate) fn on_end_response(&mut self, command: Mnemonic, event: Event, now: Instant) {
        if !matches!(self.state, State::IdleLi | State::IdleLiCd) {
            return self.unexpected(command, now);
        }
        self.tell(event);
        self.enter(State::RtrP, now);
    }
}

const fn positive(change_direction: bool) -> Command {
    Command::EndFilePositiveAnswer(EndFilePositiveAnswer { change_direction })
}
