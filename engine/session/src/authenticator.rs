//! Secure authentication (RFC 5024 §4.2.3): what the session needs, without knowing CMS or certificates.

/// Proves our identity and checks the peer's.
///
/// Each side challenges the other once in a session. The challenge is 20 random octets in a CMS envelope for the
/// peer's certificate; the response is those octets.
pub trait Authenticator {
    /// A new challenge for the peer: the octets of AUCHCHAL, at most 65 535. An error (such as: no certificate of
    /// that peer) ends the session with reason 11 (§4.2.4).
    fn challenge(&mut self) -> Result<Vec<u8>, AuthenticationError>;

    /// Opens the peer's challenge. An error ends the session with reason 11.
    fn respond(&mut self, challenge: &[u8]) -> Result<[u8; 20], AuthenticationError>;

    /// True if the response is what was hidden in the last [`Authenticator::challenge`]. Compare in constant time.
    fn verify(&mut self, response: &[u8; 20]) -> bool;
}

/// Why a challenge could be neither made nor opened. The text goes to the peer in ESIDREAST: it names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct AuthenticationError {
    text: String,
}

impl AuthenticationError {
    /// With a sentence for the operators of both sides.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}
