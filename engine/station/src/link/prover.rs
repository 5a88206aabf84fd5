//! Session authentication: proves who we are and checks who the peer is (RFC 5024 §4.2.3).

use std::sync::Arc;

use odile_envelope::{CHALLENGE_BYTES, Certificate, Identity, Suite, open_challenge, seal_challenge};
use odile_partner::{Partner, Purpose};
use odile_session::{AuthenticationError, Authenticator};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::clock::now_seconds;
use crate::entropy;
use crate::event::Event;
use crate::shared::Shared;

/// For one session with one partner.
pub(super) struct Prover {
    shared: Arc<Shared>,
    session: u64,
    suite: Suite,
    /// Whose certificate the peer must have the key of, or why there is none.
    peer: Result<Arc<Certificate>, String>,
    identities: Vec<Arc<Identity>>,
    challenge: Zeroizing<[u8; CHALLENGE_BYTES]>,
    is_open: bool,
}

impl Prover {
    pub(super) fn new(shared: &Arc<Shared>, session: u64, partner: &Partner) -> Self {
        let certificates = shared.configuration.certificates(&partner.name);
        Self {
            session,
            suite: partner.send.suite,
            peer: certificates.recipient(Purpose::Authentication, now_seconds()),
            identities: shared.keyring.recipients(Purpose::Authentication),
            challenge: Zeroizing::default(),
            is_open: false,
            shared: Arc::clone(shared),
        }
    }

    /// Our operator learns why, the peer only that.
    fn fail(&self, why: &str, public: &str) -> AuthenticationError {
        self.shared.tell(Event::Trouble { text: format!("session {}: authentication: {why}", self.session) });
        AuthenticationError::new(public)
    }
}

impl Authenticator for Prover {
    fn challenge(&mut self) -> Result<Vec<u8>, AuthenticationError> {
        let public = "the peer cannot be challenged: no valid certificate of it is known here";
        let peer = self.peer.as_ref().map_err(|why| self.fail(why, public))?;
        let mut challenge = Zeroizing::new([0; CHALLENGE_BYTES]);
        entropy::fill(challenge.as_mut_slice());
        let sealed = seal_challenge(self.suite, peer, &challenge, &mut entropy::fill)
            .map_err(|why| self.fail(&why.to_string(), public))?;
        self.challenge = challenge;
        self.is_open = true;
        Ok(sealed)
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<[u8; CHALLENGE_BYTES], AuthenticationError> {
        let public = "the challenge cannot be decrypted";
        if self.identities.is_empty() {
            return Err(self.fail("this station has no key: `odile cert new` makes one", public));
        }
        match open_challenge(challenge, &self.identities) {
            Ok((opened, _)) => Ok(*opened),
            Err(why) => Err(self.fail(&why.to_string(), public)),
        }
    }

    fn verify(&mut self, response: &[u8; CHALLENGE_BYTES]) -> bool {
        // Each challenge is good for one answer; without one, zeros are no answer.
        std::mem::take(&mut self.is_open) && bool::from(self.challenge.ct_eq(response))
    }
}
