//! The scripted peer's line: plain TCP, or TLS by rustls itself. It trusts whatever it is shown: what is under test
//! is whom the station trusts.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, DigitallySignedStruct, DistinguishedName, Error,
    ServerConfig, ServerConnection, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

use crate::pki::Issued;

/// What carries octets.
pub enum Line {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS, this side having called.
    Caller(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// TLS, this side having been called.
    Called(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// How the peer behaves in TLS.
#[derive(Clone, Copy)]
pub struct TlsManners<'a> {
    /// What it shows: a caller when it is asked, who is called in any case.
    pub shows: Option<&'a Issued>,
    /// Versions that it speaks.
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// Whether, being called, it asks for a certificate.
    pub asks: bool,
    /// What it says together with the end of the handshake.
    pub first_words: &'a [u8],
}

impl<'a> TlsManners<'a> {
    /// It shows this certificate, speaks 1.2 and 1.3, and asks for nothing.
    pub fn showing(issued: &'a Issued) -> Self {
        Self { shows: Some(issued), ..Self::stranger() }
    }

    /// It shows nothing.
    pub const fn stranger() -> Self {
        Self { shows: None, versions: rustls::ALL_VERSIONS, asks: false, first_words: b"" }
    }
}

impl Line {
    /// Calls with TLS; the handshake is done when this returns.
    pub fn calling(mut stream: TcpStream, manners: TlsManners<'_>) -> io::Result<Self> {
        let trust = Arc::new(TrustAnybody(provider()));
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(manners.versions)
            .expect("versions that exist")
            .dangerous()
            .with_custom_certificate_verifier(trust);
        let config = match manners.shows {
            Some(issued) => builder.with_client_auth_cert(chain(issued), key(issued)).expect("a key"),
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("a configuration");
        shake(&mut connection, &mut stream, manners.first_words)?;
        Ok(Self::Caller(Box::new(StreamOwned::new(connection, stream))))
    }

    /// Is called with TLS; the handshake is done when this returns.
    pub fn called(mut stream: TcpStream, manners: TlsManners<'_>) -> io::Result<Self> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(manners.versions)
            .expect("versions that exist");
        let builder = if manners.asks {
            builder.with_client_cert_verifier(Arc::new(TrustAnybody(provider())))
        } else {
            builder.with_no_client_auth()
        };
        let shown = manners.shows.expect("who is called shows a certificate");
        let config = builder.with_single_cert(chain(shown), key(shown)).expect("a key");
        let mut connection = ServerConnection::new(Arc::new(config)).expect("a configuration");
        shake(&mut connection, &mut stream, manners.first_words)?;
        Ok(Self::Called(Box::new(StreamOwned::new(connection, stream))))
    }

    /// The socket under it.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Caller(line) => &line.sock,
            Self::Called(line) => &line.sock,
        }
    }

    /// Goes on with new traffic keys (TLS 1.3).
    pub fn refresh_keys(&mut self) {
        match self {
            Self::Plain(_) => {}
            Self::Caller(line) => line.conn.refresh_traffic_keys().expect("TLS 1.3"),
            Self::Called(line) => line.conn.refresh_traffic_keys().expect("TLS 1.3"),
        }
    }

    /// The certificates that the station has shown in TLS.
    pub fn shown(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Caller(line) => line.conn.peer_certificates().map_or(0, <[_]>::len),
            Self::Called(line) => line.conn.peer_certificates().map_or(0, <[_]>::len),
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Caller(line) => line.read(buffer),
            Self::Called(line) => line.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(octets),
            Self::Caller(line) => line.write(octets),
            Self::Called(line) => line.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Caller(line) => line.flush(),
            Self::Called(line) => line.flush(),
        }
    }
}

/// Shakes hands. The first words leave together with the last octets of the handshake, if these are ours.
fn shake<T>(
    connection: &mut ConnectionCommon<T>,
    stream: &mut TcpStream,
    first_words: &[u8],
) -> io::Result<()> {
    loop {
        let is_done = !connection.is_handshaking();
        if is_done {
            connection.writer().write_all(first_words)?;
        }
        let mut records = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut records)?;
        }
        stream.write_all(&records)?;
        if is_done {
            return Ok(());
        }
        if connection.read_tls(stream)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Err(error) = connection.process_new_packets() {
            // The alert tells the station why.
            let _ = connection.write_tls(stream);
            return Err(io::Error::other(error));
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn chain(issued: &Issued) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
    certificates.collect::<Result<_, _>>().expect("our own certificate")
}

fn key(issued: &Issued) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("our own key")
}

#[derive(Debug)]
struct TrustAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for TrustAnybody {
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
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}
