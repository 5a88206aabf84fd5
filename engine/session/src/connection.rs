//! From IDLE to the first turn: the session connection state table (RFC 5024 §9.8).

use std::time::Instant;

use odile_wire::command::{
    AuthenticationChallenge, AuthenticationResponse, Command, SecurityChangeDirection, StartSession,
    StartSessionReady,
};
use odile_wire::{EndSessionReason, Level, Mnemonic};

use crate::authenticator::{AuthenticationError, Authenticator};
use crate::error::Misuse;
use crate::negotiation::{Capabilities, negotiate};
use crate::output::{Event, Origin, Output};
use crate::session::{Role, Session};
use crate::state::State;
use crate::tolerance::Tolerance;

impl Session {
    /// `F_CONNECT_RQ`: become the Initiator. The authenticator is needed if the capabilities require
    /// authentication.
    pub fn connect(
        &mut self,
        capabilities: Capabilities,
        authenticator: Option<Box<dyn Authenticator>>,
        now: Instant,
    ) -> Result<(), Misuse> {
        if self.state != State::Idle || self.is_over() {
            return Err(self.misuse("F_CONNECT_RQ"));
        }
        capabilities.check(authenticator.is_some())?;
        self.role = Some(Role::Initiator);
        self.capabilities = Some(capabilities);
        self.authenticator = authenticator;
        self.push(Output::Connect);
        self.enter(State::IWfNc, now);
        Ok(())
    }

    /// `N_CON_CF`: the connection that was asked for is open.
    pub fn on_connected(&mut self, now: Instant) {
        if self.state == State::IWfNc {
            self.enter(State::IWfRm, now);
        }
    }

    /// `N_CON_IND`: somebody has connected. Become the Responder.
    pub fn on_incoming(&mut self, now: Instant) {
        if self.state != State::Idle || self.is_over() {
            return;
        }
        self.role = Some(Role::Responder);
        self.push(Output::Accept);
        self.send(Command::StartSessionReady(StartSessionReady));
        self.enter(State::ANcOnly, now);
    }

    /// `F_CONNECT_RS`: the Initiator is known and welcome. Answers with SSID, or with ESID 10 or 12 if the two do
    /// not fit; the latter is no error of the caller.
    pub fn accept(
        &mut self,
        capabilities: Capabilities,
        authenticator: Option<Box<dyn Authenticator>>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let (State::AWfConrs, Some(peer)) = (self.state, self.peer.clone()) else {
            return Err(self.misuse("F_CONNECT_RS"));
        };
        capabilities.check(authenticator.is_some())?;
        self.note_level(&peer);
        let negotiated = negotiate(&capabilities, &peer, Role::Responder);
        let agreement = match negotiated {
            Ok(agreement) => agreement,
            Err(incompatible) => {
                self.capabilities = Some(capabilities);
                self.fail(incompatible.reason, incompatible.text, now);
                return Ok(());
            }
        };
        self.send(Command::StartSession(capabilities.answer(&agreement)));
        self.capabilities = Some(capabilities);
        self.agreement = Some(agreement.clone());
        if agreement.authentication {
            self.authenticator = authenticator;
            self.enter(State::WfSecd, now);
        } else {
            self.tell(Event::Connected { agreement, peer });
            self.enter(State::IdleLi, now);
        }
        Ok(())
    }

    pub(crate) fn on_start_session_ready(&mut self, now: Instant) {
        let offer = self.capabilities.as_ref().map(Capabilities::offer);
        match (self.state, offer) {
            (State::IWfRm, Some(offer)) => {
                self.send(Command::StartSession(offer));
                self.enter(State::IWfSsid, now);
            }
            _ => self.unexpected(Mnemonic::Ssrm, now),
        }
    }

    pub(crate) fn on_start_session(&mut self, ssid: StartSession, now: Instant) {
        match self.state {
            State::IWfSsid => self.on_answer_of_responder(ssid, now),
            State::ANcOnly => {
                self.peer = Some(ssid.clone());
                self.tell(Event::ConnectIndication(ssid));
                self.enter(State::AWfConrs, now);
            }
            State::IWfRm | State::WfSecd | State::WfAuch | State::WfAurp => {
                self.unexpected(Mnemonic::Ssid, now);
            }
            // F: without a word to the peer.
            _ => {
                let text = format!("SSID is not allowed in state {}", self.state);
                let reason = EndSessionReason::PROTOCOL_VIOLATION;
                self.tell(Event::Aborted { origin: Origin::Local, reason, text });
                self.push(Output::Disconnect);
                self.end();
            }
        }
    }

    /// D.
    fn on_answer_of_responder(&mut self, ssid: StartSession, now: Instant) {
        self.peer = Some(ssid.clone());
        self.note_level(&ssid);
        let Some(capabilities) = &self.capabilities else {
            return self.unexpected(Mnemonic::Ssid, now);
        };
        let exceeded = capabilities.is_exceeded_by(&ssid);
        let agreement = match negotiate(capabilities, &ssid, Role::Initiator) {
            Ok(agreement) => agreement,
            Err(incompatible) => return self.fail(incompatible.reason, incompatible.text, now),
        };
        if exceeded {
            self.tolerate(Tolerance::LargerAnswer);
        }
        self.agreement = Some(agreement.clone());
        self.tell(Event::PeerIdentified(ssid.clone()));
        if agreement.authentication {
            self.send(Command::SecurityChangeDirection(SecurityChangeDirection));
            self.enter(State::WfAuch, now);
        } else {
            self.tell(Event::Connected { agreement, peer: ssid });
            self.enter(State::IdleSp, now);
        }
    }

    fn note_level(&mut self, peer: &StartSession) {
        if Level::from_digit(peer.level).is_none() {
            self.tolerate(Tolerance::UnknownLevel);
        }
    }

    /// SECD. J: challenge the peer.
    pub(crate) fn on_security_change_direction(&mut self, now: Instant) {
        if self.state != State::WfSecd {
            return self.unexpected(Mnemonic::Secd, now);
        }
        let challenge = match &mut self.authenticator {
            Some(authenticator) => authenticator.challenge(),
            None => Err(no_authenticator()),
        };
        match challenge {
            Ok(challenge) if challenge.len() <= CHALLENGE_BYTES_MAX => {
                self.send(Command::AuthenticationChallenge(AuthenticationChallenge { challenge }));
                self.enter(State::WfAurp, now);
            }
            Ok(_) => self.fail_authentication("the challenge does not fit into AUCH".to_owned(), now),
            Err(error) => self.fail_authentication(error.to_string(), now),
        }
    }

    /// AUCH. I: prove who we are. The Responder, who does so second, is through with it.
    pub(crate) fn on_challenge(&mut self, challenge: &[u8], now: Instant) {
        if self.state != State::WfAuch {
            return self.unexpected(Mnemonic::Auch, now);
        }
        let response = match &mut self.authenticator {
            Some(authenticator) => authenticator.respond(challenge),
            None => Err(no_authenticator()),
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return self.fail_authentication(error.to_string(), now),
        };
        self.send(Command::AuthenticationResponse(AuthenticationResponse { response }));
        if self.is_initiator() {
            self.enter(State::WfSecd, now);
        } else {
            self.authenticated(State::IdleLi, now);
        }
    }

    /// AURP. K: the Initiator, who checks second, is through with it.
    pub(crate) fn on_response(&mut self, response: &[u8; 20], now: Instant) {
        if self.state != State::WfAurp {
            return self.unexpected(Mnemonic::Aurp, now);
        }
        let verified =
            self.authenticator.as_mut().is_some_and(|authenticator| authenticator.verify(response));
        if !verified {
            return self.fail_authentication("the response is not what the challenge held".to_owned(), now);
        }
        if self.is_initiator() {
            self.authenticated(State::IdleSp, now);
        } else {
            self.send(Command::SecurityChangeDirection(SecurityChangeDirection));
            self.enter(State::WfAuch, now);
        }
    }

    fn authenticated(&mut self, next: State, now: Instant) {
        self.authenticator = None;
        if let (Some(agreement), Some(peer)) = (self.agreement.clone(), self.peer.clone()) {
            self.tell(Event::Connected { agreement, peer });
        }
        self.enter(next, now);
    }

    fn fail_authentication(&mut self, text: String, now: Instant) {
        self.fail(EndSessionReason::INVALID_CHALLENGE_RESPONSE, text, now);
    }
}

fn no_authenticator() -> AuthenticationError {
    AuthenticationError::new("secure authentication is not configured")
}

/// AUCHCHLL is a binary number of two octets.
const CHALLENGE_BYTES_MAX: usize = 65_535;
