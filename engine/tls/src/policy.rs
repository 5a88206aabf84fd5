//! Whom to trust.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::config::provider;
use crate::error::TlsError;

/// Which certificates of a partner are trusted: those that are pinned, and those that an authority issued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Exactly these certificates, self-signed or not.
    pub pinned: Vec<CertificateDer<'static>>,
    /// Certificates issued by one of these authorities, directly or through the chain that the peer sends.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// Whether the host name that was called must stand in the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostNameCheck {
    /// It must. A pinned certificate is exempt: it is the one that was agreed on.
    On,
    /// It need not: partners called by address exist.
    Off,
}

/// Whether a caller shows a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerCertificate {
    /// It must not.
    Forbidden,
    /// It may; if it does, it must be a trusted one.
    Optional,
    /// It must.
    Required,
}

/// What holds for one partner.
#[derive(Debug)]
pub struct Policy {
    pinned: Vec<CertificateDer<'static>>,
    servers: Option<Arc<WebPkiServerVerifier>>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    host_name: HostNameCheck,
    provider: Arc<CryptoProvider>,
}

impl Policy {
    /// With at least one certificate to trust.
    pub fn new(trust: Trust, host_name: HostNameCheck) -> Result<Self, TlsError> {
        if trust.pinned.is_empty() && trust.authorities.is_empty() {
            return Err(TlsError::Trust("there are none".to_owned()));
        }
        let provider = provider();
        let mut policy = Self {
            pinned: trust.pinned,
            servers: None,
            clients: None,
            host_name,
            provider: Arc::clone(&provider),
        };
        if !trust.authorities.is_empty() {
            let mut roots = RootCertStore::empty();
            for authority in trust.authorities {
                roots.add(authority).map_err(|error| TlsError::Trust(error.to_string()))?;
            }
            let roots = Arc::new(roots);
            let servers =
                WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
            policy.servers = Some(servers.build().map_err(|error| TlsError::Trust(error.to_string()))?);
            let clients = WebPkiClientVerifier::builder_with_provider(roots, provider);
            policy.clients = Some(clients.build().map_err(|error| TlsError::Trust(error.to_string()))?);
        }
        Ok(policy)
    }

    /// Judges the certificates that a caller has shown, now that it is known who it claims to be.
    pub fn check_caller(
        &self,
        shown: Option<&[CertificateDer<'_>]>,
        wanted: CallerCertificate,
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let Some((leaf, chain)) = shown.and_then(<[_]>::split_first) else {
            return if wanted == CallerCertificate::Required { Err(TlsError::NoCertificate) } else { Ok(()) };
        };
        if wanted == CallerCertificate::Forbidden {
            return Err(TlsError::UnwantedCertificate);
        }
        if self.is_pinned(leaf) {
            return Ok(());
        }
        let Some(clients) = &self.clients else {
            return Err(TlsError::Untrusted("it is not the one that is pinned".to_owned()));
        };
        let checked = clients.verify_client_cert(leaf, chain, now);
        checked.map(|_| ()).map_err(|error| TlsError::Untrusted(error.to_string()))
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.pinned.iter().any(|pinned| pinned.as_ref() == certificate.as_ref())
    }
}

impl ServerCertVerifier for Policy {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_pinned(leaf) {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(servers) = &self.servers else {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        match servers.verify_server_cert(leaf, chain, name, ocsp, now) {
            // The name is what webpki looks at last, when the chain is known to be good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.host_name == HostNameCheck::Off => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
