//! `partners/NAME.toml`: one partner.

use std::fmt;
use std::str::FromStr;

use odile_wire::{IdentificationCode, Password};
use serde::Deserialize;

use crate::error::ConfigError;
use crate::file_terms::{ReceiveSettings, ReceiveTerms, SendSettings, SendTerms};
use crate::retry_terms::{RetrySettings, RetryTerms};
use crate::session_terms::{SessionSettings, SessionTerms};
use crate::station::StationConfig;
use crate::tls_terms::{TlsSettings, TlsTerms, Transport};
use crate::usage::Usage;
use crate::value::{Address, Code, Host, Secret};

/// A partner's name on this station: the name of its file and of its folders. Letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartnerName(String);

/// One partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// Its name here.
    pub name: PartnerName,
    /// Its Identification Code in SSID.
    pub code: IdentificationCode,
    /// The stations behind it, by their codes in SFID; never empty.
    pub stations: Vec<IdentificationCode>,
    /// Our Identification Code towards it.
    pub our_code: IdentificationCode,
    /// Where to call it; none: it calls us.
    pub address: Option<Address>,
    /// What carries sessions, whoever calls.
    pub transport: Transport,
    /// What holds for TLS.
    pub tls: TlsTerms,
    /// What holds for files that we send.
    pub send: SendTerms,
    /// What holds for files that it sends.
    pub receive: ReceiveTerms,
    /// What we send as password.
    pub our_password: Password,
    /// What it must send as password; none: any will do.
    pub their_password: Option<Password>,
    /// May it send us files?
    pub may_send: bool,
    /// May we send it files?
    pub may_receive: bool,
    /// May the original file name travel in SFIDDESC?
    pub describe: bool,
    /// How sessions are set up.
    pub session: SessionSettings,
    /// When interrupted files are tried again.
    pub retry: RetryTerms,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    code: Code,
    stations: Option<Vec<Code>>,
    our_code: Option<Code>,
    address: Option<Host>,
    transport: Option<Transport>,
    our_password: Option<Secret>,
    their_password: Option<Secret>,
    may_send: Option<bool>,
    may_receive: Option<bool>,
    describe: Option<bool>,
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

impl Partner {
    /// From the text of a partner file. `file` is its name for error messages.
    pub fn parse(
        name: PartnerName,
        file: &str,
        text: &str,
        station: &StationConfig,
    ) -> Result<Self, ConfigError> {
        let parsed: File =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(file, text, &error))?;
        let wrong = |message: String| ConfigError::about(file, message);
        let session = parsed.session.or(&station.session);
        session.terms().map_err(wrong)?;
        let retry = parsed.retry.or(&station.retry).terms().map_err(wrong)?;
        let transport = parsed.transport.unwrap_or(Transport::Plain);
        let wants_certificates = parsed.tls.inbound_client_certificate == Some(Usage::Required);
        if transport == Transport::Plain && wants_certificates {
            return Err(wrong(
                "[tls] inbound_client_certificate = \"required\" needs transport = \"tls\"".into(),
            ));
        }
        let receive = parsed.receive.or(&station.receive).terms().map_err(wrong)?;
        let code = parsed.code.0;
        let stations: Vec<_> = match parsed.stations {
            Some(stations) if stations.is_empty() => {
                return Err(wrong(
                    "stations: at least one is needed; leave the key out to use `code`".into(),
                ));
            }
            Some(stations) => stations.into_iter().map(|station| station.0).collect(),
            None => vec![code],
        };
        Ok(Self {
            name,
            code,
            stations,
            our_code: parsed.our_code.map_or(station.code, |code| code.0),
            address: parsed.address.map(|host| host.address(transport.port())),
            transport,
            tls: parsed.tls.or(&station.tls).terms(),
            send: parsed.send.or(&station.send).terms(),
            receive,
            our_password: parsed.our_password.map_or_else(Password::blank, |secret| secret.0),
            their_password: parsed.their_password.map(|secret| secret.0),
            may_send: parsed.may_send.unwrap_or(true),
            may_receive: parsed.may_receive.unwrap_or(true),
            describe: parsed.describe.unwrap_or(true),
            session,
            retry,
        })
    }

    /// The terms for a session, `flags` first.
    ///
    /// # Errors
    ///
    /// A sentence, if the flags contradict the partner's settings.
    pub fn terms(&self, flags: &SessionSettings) -> Result<SessionTerms, String> {
        flags.or(&self.session).terms()
    }

    /// True if this password may open a session. Constant time.
    pub fn accepts(&self, password: &Password) -> bool {
        self.their_password.as_ref().is_none_or(|expected| expected.matches(password))
    }
}

impl PartnerName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PartnerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        checked_name("partner", text).map(Self)
    }
}

impl fmt::Display for PartnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name of a file or folder that people choose.
pub(crate) fn checked_name(kind: &str, text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > NAME_MAX || text.starts_with('.') || !text.chars().all(allowed) {
        return Err(format!(
            "{text:?} is no {kind} name: 1 to {NAME_MAX} letters, digits, '-', '_' and '.' are allowed, not \
             starting with '.'"
        ));
    }
    Ok(text.to_owned())
}

/// Short enough for every filesystem, with room for endings.
const NAME_MAX: usize = 64;
