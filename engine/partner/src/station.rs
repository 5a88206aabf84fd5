//! `station.toml`: our own station.

use std::net::SocketAddr;

use odile_wire::IdentificationCode;
use serde::Deserialize;

use crate::error::ConfigError;
use crate::file_terms::{ReceiveSettings, SendSettings};
use crate::keys::KeySettings;
use crate::retry_terms::RetrySettings;
use crate::session_terms::SessionSettings;
use crate::tls_terms::TlsSettings;
use crate::value::Code;

/// Our own station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationConfig {
    /// Our Identification Code, in SSID and, unless a partner knows us by another one, in SFID.
    pub code: IdentificationCode,
    /// Where partners reach us over plain TCP; none: not so.
    pub listen: Option<SocketAddr>,
    /// Where partners reach us over TLS; none: not so.
    pub listen_tls: Option<SocketAddr>,
    /// Which of our keys serve for what.
    pub keys: KeySettings,
    /// Seconds that a file in an outbox must have been left alone before it is taken.
    pub outbox_quiet_seconds: u32,
    /// Defaults for all partners.
    pub session: SessionSettings,
    /// Defaults for all partners.
    pub retry: RetrySettings,
    /// Defaults for all partners.
    pub tls: TlsSettings,
    /// Defaults for all partners.
    pub send: SendSettings,
    /// Defaults for all partners.
    pub receive: ReceiveSettings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    code: Code,
    listen: Option<SocketAddr>,
    listen_tls: Option<SocketAddr>,
    outbox_quiet_seconds: Option<u32>,
    #[serde(default)]
    keys: KeySettings,
    #[serde(default)]
    session: SessionSettings,
    #[serde(default)]
    retry: RetrySettings,
    #[serde(default)]
    tls: TlsSettings,
    #[serde(default)]
    send: SendSettings,
    #[serde(default)]
    receive: ReceiveSettings,
}

impl StationConfig {
    /// From the text of `station.toml`. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let parsed: File =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(file, text, &error))?;
        let wrong = |message: String| ConfigError::about(file, message);
        parsed.session.terms().map_err(wrong)?;
        parsed.retry.terms().map_err(wrong)?;
        parsed.keys.check().map_err(wrong)?;
        parsed.receive.terms().map_err(wrong)?;
        Ok(Self {
            code: parsed.code.0,
            listen: parsed.listen,
            listen_tls: parsed.listen_tls,
            keys: parsed.keys,
            outbox_quiet_seconds: parsed.outbox_quiet_seconds.unwrap_or(DEFAULT_QUIET_SECONDS),
            session: parsed.session,
            retry: parsed.retry,
            tls: parsed.tls,
            send: parsed.send,
            receive: parsed.receive,
        })
    }
}

/// Long enough for a slow copy over a network filesystem to write again.
const DEFAULT_QUIET_SECONDS: u32 = 5;
