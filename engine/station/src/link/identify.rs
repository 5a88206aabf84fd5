//! Who is at the other end, and whether we talk to it.

use std::sync::Arc;
use std::time::Instant;

use odile_partner::{Partner, SessionTerms, Transport, Usage};
use odile_session::{Agreement, Authenticator, Capabilities};
use odile_wire::command::{Capability, StartSession};
use odile_wire::{EndSessionReason, UserData};

use super::Link;
use super::handshake::check_caller;
use super::prover::Prover;
use crate::event::Event;

/// What we offer to a partner.
pub(super) fn capabilities(partner: &Partner, terms: &SessionTerms) -> Capabilities {
    Capabilities {
        code: partner.our_code,
        password: partner.our_password.clone(),
        user: UserData::BLANK,
        level_min: terms.level_min,
        level_max: terms.level_max,
        buffer_size: terms.buffer_size.octets(),
        credit: terms.credit.buffers(),
        mode: match (partner.may_receive, partner.may_send) {
            (true, false) => Capability::SendOnly,
            (false, true) => Capability::ReceiveOnly,
            // With neither, receipts still go both ways; files are refused one by one.
            _ => Capability::Both,
        },
        compression: terms.buffer_compression,
        restart: terms.restart,
        authentication: terms.authentication,
    }
}

impl Link {
    /// We were called: this is how the caller introduces itself.
    pub(super) fn on_caller(&mut self, peer: &StartSession) {
        let Some(partner) = self.shared.configuration.partner_with_code(&peer.code).cloned() else {
            let text = "no partner with this code is known here";
            return self.refuse(peer, EndSessionReason::USER_CODE_NOT_KNOWN, text);
        };
        // Before the password: nobody tries passwords who has not even the certificate.
        if let Err(text) = self.check_transport(&partner) {
            self.shared
                .tell(Event::Trouble { text: format!("session {}: {}: {text}", self.number, partner.name) });
            self.partner = Some(partner);
            // What is missing is told to our operator; a stranger learns that it is not welcome.
            let public = "this station is called over TLS, with the certificate agreed, or not at all";
            return self.refuse(peer, EndSessionReason::INCOMPATIBLE, public);
        }
        if !partner.accepts(&peer.password) {
            let text = "the password is not the one agreed";
            self.partner = Some(partner);
            return self.refuse(peer, EndSessionReason::INVALID_PASSWORD, text);
        }
        let terms = match partner.terms(&self.shared.options.session) {
            Ok(terms) => terms,
            Err(text) => return self.refuse(peer, EndSessionReason::INCOMPATIBLE, &text),
        };
        let capabilities = capabilities(&partner, &terms);
        let prover = self.prover(&partner, &terms);
        self.adopt(partner, terms);
        if let Err(misuse) = self.session.accept(capabilities, prover, Instant::now()) {
            self.on_trouble(misuse.to_string());
        }
    }

    /// Whether the caller came the way that was agreed on, with the certificate that was agreed on.
    fn check_transport(&self, partner: &Partner) -> Result<(), String> {
        if !self.channel.is_secure() {
            return match partner.transport {
                Transport::Plain => Ok(()),
                Transport::Tls => Err("it called without TLS, which its terms require".to_owned()),
            };
        }
        let shown = self.channel.peer_certificates();
        check_caller(&self.shared, partner, shown).map_err(|error| error.to_string())?;
        let is_missed = partner.tls.inbound_client_certificate == Usage::Preferred;
        if is_missed && shown.is_none_or(<[_]>::is_empty) {
            let text = format!(
                "session {}: {} showed no TLS certificate, although its terms prefer one",
                self.number, partner.name
            );
            self.shared.tell(Event::Trouble { text });
        }
        Ok(())
    }

    /// Who proves and checks, if the terms want it.
    pub(super) fn prover(&self, partner: &Partner, terms: &SessionTerms) -> Option<Box<dyn Authenticator>> {
        if !terms.authentication {
            return None;
        }
        Some(Box::new(Prover::new(&self.shared, self.number, partner)))
    }

    /// We have called: this is who answered.
    pub(super) fn on_answer(&mut self, peer: &StartSession) {
        self.round_trip = self.asked.map(|asked| asked.elapsed());
        let Some(partner) = self.partner.clone() else { return };
        if peer.code != partner.code {
            let text = "another station was expected at this address";
            self.refuse(peer, EndSessionReason::USER_CODE_NOT_KNOWN, text);
        } else if !partner.accepts(&peer.password) {
            self.refuse(peer, EndSessionReason::INVALID_PASSWORD, "the password is not the one agreed");
        }
    }

    pub(super) fn on_open(&mut self, agreement: &Agreement) {
        self.shared.tell(Event::SessionOpened {
            session: self.number,
            partner: self.partner_name(),
            level: agreement.level.digit(),
            buffer_size: agreement.buffer_size,
            credit: agreement.credit,
            round_trip: self.round_trip,
        });
    }

    fn adopt(&mut self, partner: Arc<Partner>, terms: SessionTerms) {
        self.partner = Some(partner);
        self.terms = Some(terms);
        self.session.set_inactivity(terms.inactivity, Instant::now());
        self.session.set_early_credit(terms.early_credit);
    }

    fn refuse(&mut self, peer: &StartSession, reason: EndSessionReason, text: &str) {
        self.shared.tell(Event::SessionRefused {
            session: self.number,
            peer: self.stream.peer(),
            code: peer.code.to_string(),
            reason,
        });
        self.release(reason, text);
    }
}
