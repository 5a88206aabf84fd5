//! `station.toml`: our own station.

use std::net::SocketAddr;

use odile_wire::IdentificationCode;
use serde::Deserialize;

use crate::error::ConfigError;
use crate::session_terms::SessionSettings;
use crate::value::Code;

/// Our own station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationConfig {
    /// Our Identification Code, in SSID and, unless a partner knows us by another one, in SFID.
    pub code: IdentificationCode,
    /// Where partners reach us; none: we only call.
    pub listen: Option<SocketAddr>,
    /// Seconds that a file in an outbox must have been left alone before it is taken.
    pub outbox_quiet_seconds: u32,
    /// Defaults for all partners.
    pub session: SessionSettings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    code: Code,
    listen: Option<SocketAddr>,
    outbox_quiet_seconds: Option<u32>,
    #[serde(default)]
    session: SessionSettings,
}

impl StationConfig {
    /// From the text of `station.toml`. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let parsed: File =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(file, text, &error))?;
        parsed.session.terms().map_err(|message| ConfigError::about(file, message))?;
        Ok(Self {
            code: parsed.code.0,
            listen: parsed.listen,
            outbox_quiet_seconds: parsed.outbox_quiet_seconds.unwrap_or(DEFAULT_QUIET_SECONDS),
            session: parsed.session,
        })
    }
}

/// Long enough for a slow copy over a network filesystem to write again.
const DEFAULT_QUIET_SECONDS: u32 = 5;
