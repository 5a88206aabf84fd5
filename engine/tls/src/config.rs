//! Configurations of rustls: versions, cipher suites, our certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use crate::error::TlsError;
use crate::policy::Policy;

/// Our certificate, the chain up to its authority, and its key. Cloning gives another handle.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
}

impl Identity {
    /// The certificate stands first in the chain. `pkcs8`: its private key in DER, which the caller wipes.
    pub fn new(chain: Vec<CertificateDer<'static>>, pkcs8: &[u8]) -> Result<Self, TlsError> {
        let wrong = |error: Error| TlsError::Identity(error.to_string());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        let key = aws_lc_rs::sign::any_supported_type(&key).map_err(wrong)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(wrong)?;
        Ok(Self { certified: Arc::new(certified) })
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.certified.cert.len()).finish_non_exhaustive()
    }
}

/// Whether a called station asks its callers for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// No partner shows one.
    NotAsked,
    /// Some may or must: [`Policy::check_caller`] decides when the partner is known.
    Asked,
}

/// TLS 1.3 and 1.2; every suite of this provider has forward secrecy (ECDHE).
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// What we show when we are asked, and whether we were. Good for one connection.
pub struct ClientIdentity {
    identity: Identity,
    asked: Asked,
}

/// Tells whether a called station has asked for our certificate.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<AtomicBool>);

impl ClientIdentity {
    /// With nobody having asked yet.
    pub fn new(identity: Identity) -> Self {
        Self { identity, asked: Asked::default() }
    }

    /// Keep it to ask after the handshake.
    pub fn asked(&self) -> Asked {
        self.asked.clone()
    }
}

impl Asked {
    /// True if the called station has asked for our certificate, and got it.
    pub fn was_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Shows one certificate to whoever asks, and notes it.
#[derive(Debug)]
struct Show {
    key: Arc<CertifiedKey>,
    asked: Asked,
}

impl ResolvesClientCert for Show {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.key.key.choose_scheme(schemes)?;
        self.asked.0.store(true, Ordering::Release);
        Some(Arc::clone(&self.key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// For calling one partner. `identity`: what we show if we are asked.
pub fn client_config(
    policy: Policy,
    identity: Option<ClientIdentity>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(policy));
    let mut config = match identity {
        Some(ClientIdentity { identity, asked }) => {
            builder.with_client_cert_resolver(Arc::new(Show { key: identity.certified, asked }))
        }
        None => builder.with_no_client_auth(),
    };
    // A resumed session would carry yesterday's trust.
    config.resumption = rustls::client::Resumption::disabled();
    // For `records`, which goes on where the handshake ends.
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// For being called.
pub fn server_config(
    identity: &Identity,
    authentication: ClientAuthentication,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match authentication {
        ClientAuthentication::NotAsked => builder.with_no_client_auth(),
        ClientAuthentication::Asked => {
            builder.with_client_cert_verifier(Arc::new(Ask { provider: provider() }))
        }
    };
    let certified = Arc::clone(&identity.certified);
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// Asks for a certificate, checks that the caller has its key, and leaves the rest to [`Policy::check_caller`].
#[derive(Debug)]
struct Ask {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Ask {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
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
