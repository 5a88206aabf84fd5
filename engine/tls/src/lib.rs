//! TLS as bytes in, bytes out: rustls with aws-lc-rs, TLS 1.3 and 1.2 with forward secrecy only.
//!
//! No sockets, no files. [`Tls::receive`] takes what came from the network, and gives content and what must go back;
//! [`Tls::seal`] encrypts content into records.
//!
//! Whom to trust depends on the partner. A caller knows whom it calls; the called station learns only from the SSID
//! who has called, after the handshake. Its side therefore asks for a certificate without judging it, and
//! [`Policy::check_caller`] judges it when the partner is known: nothing but SSRM and SSID has been said by then.

mod config;
mod connection;
mod error;
mod policy;
mod records;

pub use config::{Asked, ClientAuthentication, ClientIdentity, Identity, client_config, server_config};
pub use connection::{InPlace, Received, Tls};
pub use error::TlsError;
pub use policy::{CallerCertificate, HostNameCheck, Policy, Trust};

pub use rustls::pki_types::{CertificateDer, UnixTime};
pub use rustls::{ClientConfig, ServerConfig};
