//! The side that has the turn: the speaker state tables (RFC 5024 §9.10 and §9.11).

use std::time::Instant;

use odile_wire::command::{
    Capability, ChangeDirection, Command, EndFile, EndFileNegativeAnswer, EndFilePositiveAnswer,
    EndToEndResponse, NegativeEndResponse, StartFile, StartFileNegativeAnswer, StartFilePositiveAnswer,
};
use odile_wire::{EndSessionReason, Mnemonic};

use crate::error::Misuse;
use crate::output::{Event, Turn};
use crate::session::Session;
use crate::state::State;
use crate::tolerance::Tolerance;

impl Session {
    /// `F_START_FILE_RQ`: offer a file. In WF_CD the command is stored until the turn comes.
    pub fn start_file(&mut self, file: StartFile, now: Instant) -> Result<(), Misuse> {
        let misuse = self.misuse("F_START_FILE_RQ");
        let (true, Some(agreement)) = (self.may_speak() || self.state == State::WfCd, &self.agreement) else {
            return Err(misuse);
        };
        // P1.
        if agreement.mode == Capability::ReceiveOnly {
            return Err(Misuse::ReceiveOnly);
        }
        if file.restart > 0 && !agreement.restart {
            return Err(Misuse::RestartNotAgreed { position: file.restart });
        }
        let restart = file.restart;
        let command = Command::StartFile(Box::new(file));
        self.check_representable(&command)?;
        self.restart_offered = restart;
        self.send_or_store(command, State::OpOp, State::SfsTwfCd, now);
        Ok(())
    }

    /// `F_EERP_RQ`: send a receipt. In WF_CD it is stored until the turn comes.
    pub fn respond(&mut self, eerp: EndToEndResponse, now: Instant) -> Result<(), Misuse> {
        if !(self.may_speak() || self.state == State::WfCd) {
            return Err(self.misuse("F_EERP_RQ"));
        }
        let command = Command::EndToEndResponse(Box::new(eerp));
        self.check_representable(&command)?;
        self.send_or_store(command, State::WfRtr, State::ErsTwfCd, now);
        Ok(())
    }

    /// `F_NERP_RQ`: send a negative receipt. Levels 1 and 2 have none: [`Misuse::Unrepresentable`]. In WF_CD it is
    /// stored until the turn comes.
    pub fn respond_negatively(&mut self, nerp: NegativeEndResponse, now: Instant) -> Result<(), Misuse> {
        if !(self.may_speak() || self.state == State::WfCd) {
            return Err(self.misuse("F_NERP_RQ"));
        }
        let command = Command::NegativeEndResponse(Box::new(nerp));
        self.check_representable(&command)?;
        self.send_or_store(command, State::WfRtr, State::NrsTwfCd, now);
        Ok(())
    }

    /// `F_CD_RQ`: give up the turn. Not allowed if the peer has just done so (§3.3.4). In WF_CD the command is
    /// stored until the turn comes.
    pub fn change_direction(&mut self, now: Instant) -> Result<(), Misuse> {
        if !matches!(self.state, State::IdleSp | State::WfCd) {
            return Err(self.misuse("F_CD_RQ"));
        }
        let command = Command::ChangeDirection(ChangeDirection);
        self.send_or_store(command, State::IdleLiCd, State::CdsTwfCd, now);
        Ok(())
    }

    /// Data Exchange Buffers that may be sent now.
    pub fn credit(&self) -> u16 {
        if self.state == State::Opo { self.credit_speaker } else { 0 }
    }

    /// `F_DATA_RQ`, `buffers` times: the caller sends that many Data Exchange Buffers, each with some data, before
    /// anything that the session hands out later. When the credit is used up, [`Event::CreditRenewed`] says when
    /// there is more.
    pub fn take_credit(&mut self, buffers: u16, now: Instant) -> Result<(), Misuse> {
        if self.state != State::Opo {
            return Err(self.misuse("F_DATA_RQ"));
        }
        let Some(left) = self.credit_speaker.checked_sub(buffers) else {
            return Err(Misuse::Credit { asked: buffers, left: self.credit_speaker });
        };
        self.credit_speaker = left;
        // M, P3: the last of the window.
        let next = if left == 0 { State::OpoWfc } else { State::Opo };
        self.enter(next, now);
        Ok(())
    }

    /// `F_CLOSE_FILE_RQ`: all data is sent. If that used up the credit, EFID is held back until CDT comes (§9.11.3,
    /// Note 1).
    pub fn close_file(&mut self, end: EndFile, now: Instant) -> Result<(), Misuse> {
        let command = Command::EndFile(end);
        match self.state {
            State::Opo => {
                self.check_representable(&command)?;
                self.send(command);
                self.credit_speaker = 0;
                self.enter(State::ClOp, now);
            }
            State::OpoWfc if self.stored.is_none() => {
                self.check_representable(&command)?;
                self.stored = Some(command);
            }
            _ => return Err(self.misuse("F_CLOSE_FILE_RQ")),
        }
        Ok(())
    }

    /// The stored command waits without a restart of the timer (§9.10.2, F, G, T, Z).
    fn send_or_store(&mut self, command: Command, sent: State, stored: State, now: Instant) {
        if self.state == State::WfCd {
            self.stored = Some(command);
            self.state = stored;
        } else {
            self.send(command);
            self.enter(sent, now);
        }
    }

    /// SFPA. K.
    pub(crate) fn on_start_file_positive_answer(&mut self, sfpa: StartFilePositiveAnswer, now: Instant) {
        if self.state != State::OpOp {
            return self.unexpected(Mnemonic::Sfpa, now);
        }
        let offered = self.restart_offered;
        if sfpa.restart > offered {
            let text = format!("SFPA restarts at {}, beyond the {offered} offered", sfpa.restart);
            return self.fail(EndSessionReason::PROTOCOL_VIOLATION, text, now);
        }
        self.credit_speaker = self.window();
        self.tell(Event::FileAccepted { restart: sfpa.restart });
        self.enter(State::Opo, now);
    }

    /// SFNA. L.
    pub(crate) fn on_start_file_negative_answer(&mut self, sfna: StartFileNegativeAnswer, now: Instant) {
        if self.state != State::OpOp {
            return self.unexpected(Mnemonic::Sfna, now);
        }
        self.tell(Event::FileRefused(sfna));
        self.enter(State::IdleSp, now);
    }

    /// CDT.
    pub(crate) fn on_set_credit(&mut self, now: Instant) {
        match self.state {
            State::Opo if self.early_credit => {
                self.credit_speaker = self.granted(self.credit_speaker);
                self.tell(Event::CreditRenewed);
                self.enter(State::Opo, now);
            }
            // P.
            State::Opo => {
                let text = format!("CDT while {} Data Exchange Buffers are left", self.credit_speaker);
                self.fail(EndSessionReason::PROTOCOL_VIOLATION, text, now);
            }
            // An EFID was held back: the file is complete, more credit is of no use.
            State::OpoWfc if self.stored.is_some() => self.send_stored(State::ClOp, now),
            // O.
            State::OpoWfc => {
                self.credit_speaker = self.granted(0);
                self.tell(Event::CreditRenewed);
                self.enter(State::Opo, now);
            }
            // The timer goes on: a flood of CDT does not keep a session alive.
            State::ClOp => self.tolerate(Tolerance::LateCredit),
            _ => self.unexpected(Mnemonic::Cdt, now),
        }
    }

    /// EFPA. §9.11, C: if the Listener asks for the turn, it gets it at once.
    pub(crate) fn on_end_file_positive_answer(&mut self, efpa: EndFilePositiveAnswer, now: Instant) {
        if self.state != State::ClOp {
            return self.unexpected(Mnemonic::Efpa, now);
        }
        if efpa.change_direction {
            self.tell(Event::FileClosed { turn: Turn::Gives });
            self.send(Command::ChangeDirection(ChangeDirection));
            self.enter(State::IdleLi, now);
        } else {
            self.tell(Event::FileClosed { turn: Turn::Keeps });
            self.enter(State::IdleSp, now);
        }
    }

    /// EFNA. §9.11, D.
    pub(crate) fn on_end_file_negative_answer(&mut self, efna: EndFileNegativeAnswer, now: Instant) {
        if self.state != State::ClOp {
            return self.unexpected(Mnemonic::Efna, now);
        }
        self.tell(Event::CloseRefused(efna));
        self.enter(State::IdleSp, now);
    }

    /// RTR. N.
    pub(crate) fn on_ready_to_receive(&mut self, now: Instant) {
        if self.state != State::WfRtr {
            return self.unexpected(Mnemonic::Rtr, now);
        }
        self.tell(Event::ReadyToReceive);
        self.enter(State::IdleSp, now);
    }
}
