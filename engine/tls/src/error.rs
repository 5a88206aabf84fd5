//! What can go wrong with TLS, as sentences for an operator.

/// A TLS connection that cannot be set up or go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// Key or certificates of ours cannot be used.
    #[error("our TLS certificate or key cannot be used: {0}")]
    Identity(String),
    /// Certificates that are to be trusted cannot be used.
    #[error("the certificates to be trusted cannot be used: {0}")]
    Trust(String),
    /// A host name that cannot stand in a certificate.
    #[error("{0:?} is no host name: a certificate cannot be checked against it")]
    HostName(String),
    /// Handshake or records failed.
    #[error("{}", explain(.0))]
    Protocol(rustls::Error),
    /// The caller showed no certificate although one is required.
    #[error("the caller showed no TLS certificate, and this partner must show one")]
    NoCertificate,
    /// The caller showed a certificate although none is allowed.
    #[error("the caller showed a TLS certificate, and this partner must not show one")]
    UnwantedCertificate,
    /// The caller's certificate is not one that is trusted for this partner.
    #[error("the caller's TLS certificate is not trusted for this partner: {0}")]
    Untrusted(String),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Protocol(error)
    }
}

fn explain(error: &rustls::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
    match error {
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "no common TLS version: 1.2 and 1.3 are spoken here, older ones are not safe".to_owned()
        }
        Error::PeerIncompatible(_) | Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            format!("no common TLS cipher suite with forward secrecy ({error})")
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the partner's TLS certificate is not trusted: neither pinned nor issued by a trusted authority"
                .into()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the partner's TLS certificate has expired".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the partner's TLS certificate is not for this host name (the check can be switched off)"
            .to_owned(),
        Error::InvalidMessage(_) => format!("the other end does not speak TLS here ({error})"),
        other => other.to_string(),
    }
}
