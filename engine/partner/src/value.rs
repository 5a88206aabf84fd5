//! Single values of the configuration.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use odile_envelope::Suite;
use odile_envelope::deflate::CompressionLevel;
use odile_wire::{BUFFER_SIZE_MAX, BUFFER_SIZE_MIN, CREDIT_MAX, IdentificationCode, Level, Password};
use serde::Deserialize;

/// Size of a Data Exchange Buffer: 128 to 99999 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "i64")]
pub struct BufferSize(u32);

/// Credit window: 1 to 999 Data Exchange Buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "i64")]
pub struct CreditWindow(u16);

/// A protocol level: 1, 2, 4 or 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "i64")]
pub struct LevelNumber(Level);

/// An Identification Code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Code(pub IdentificationCode);

/// A password of SSID.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Secret(pub Password);

/// Where a partner is called: `host:port`, or `host` for the usual port of its transport.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Host {
    /// A name or an IP address (IPv6 in brackets in the text form only).
    pub host: String,
    /// TCP port; none: the usual one.
    pub port: Option<u16>,
}

/// Where a partner is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an IP address (IPv6 in brackets in the text form only).
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A cipher suite: 1 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct SuiteNumber(Suite);

/// How hard to compress: 1 to 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct DeflateLevel(CompressionLevel);

/// A time between attempts: 1 to 86400 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "i64")]
pub struct RetrySeconds(u32);

/// How far a time between attempts may be off by chance: 0 to 100 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "i64")]
pub struct JitterPercent(u8);

impl BufferSize {
    /// The size in octets.
    pub const fn octets(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for BufferSize {
    type Error = String;

    fn try_from(octets: i64) -> Result<Self, String> {
        match u32::try_from(octets) {
            Ok(size) if (BUFFER_SIZE_MIN..=BUFFER_SIZE_MAX).contains(&size) => Ok(Self(size)),
            _ => {
                Err(format!("{octets} is no buffer size: {BUFFER_SIZE_MIN} to {BUFFER_SIZE_MAX} are allowed"))
            }
        }
    }
}

impl CreditWindow {
    /// The window in Data Exchange Buffers.
    pub const fn buffers(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for CreditWindow {
    type Error = String;

    fn try_from(buffers: i64) -> Result<Self, String> {
        match u16::try_from(buffers) {
            Ok(credit) if (1..=CREDIT_MAX).contains(&credit) => Ok(Self(credit)),
            _ => Err(format!("{buffers} is no credit: 1 to {CREDIT_MAX} are allowed")),
        }
    }
}

impl LevelNumber {
    /// The level.
    pub const fn level(self) -> Level {
        self.0
    }
}

impl TryFrom<i64> for LevelNumber {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        u8::try_from(number)
            .ok()
            .and_then(Level::from_digit)
            .map(Self)
            .ok_or_else(|| format!("{number} is no level: 1 (OFTP 1.2), 2 (1.3), 4 (1.4) and 5 (2.0) exist"))
    }
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        IdentificationCode::new(&text)
            .map(Self)
            .map_err(|error| format!("{text:?} is no identification code: {error}"))
    }
}

impl TryFrom<String> for Secret {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The text itself stays out of the message.
        Password::new(&text).map(Self).map_err(|_| {
            "this is no password: at most 8 characters of printable ASCII are allowed".to_owned()
        })
    }
}

impl SuiteNumber {
    /// The suite.
    pub const fn suite(self) -> Suite {
        self.0
    }
}

impl TryFrom<i64> for SuiteNumber {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        u8::try_from(number)
            .ok()
            .and_then(Suite::from_code)
            .map(Self)
            .ok_or_else(|| format!("{number} is no cipher suite: 1 to 10 exist"))
    }
}

impl DeflateLevel {
    /// The level.
    pub const fn level(self) -> CompressionLevel {
        self.0
    }
}

impl TryFrom<i64> for DeflateLevel {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        u8::try_from(number)
            .ok()
            .and_then(|level| CompressionLevel::new(level).ok())
            .map(Self)
            .ok_or_else(|| format!("{number} is no compression level: 1 (fast) to 12 (small) exist"))
    }
}

impl RetrySeconds {
    /// The time.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl TryFrom<i64> for RetrySeconds {
    type Error = String;

    fn try_from(seconds: i64) -> Result<Self, String> {
        match u32::try_from(seconds) {
            Ok(time) if (1..=RETRY_SECONDS_MAX).contains(&time) => Ok(Self(time)),
            _ => Err(format!(
                "{seconds} is no time between attempts: 1 to {RETRY_SECONDS_MAX} seconds are allowed"
            )),
        }
    }
}

impl JitterPercent {
    /// The percentage.
    pub const fn percent(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for JitterPercent {
    type Error = String;

    fn try_from(percent: i64) -> Result<Self, String> {
        match u8::try_from(percent) {
            Ok(jitter) if jitter <= JITTER_PERCENT_MAX => Ok(Self(jitter)),
            _ => Err(format!("{percent} is no jitter: 0 to {JITTER_PERCENT_MAX} percent are allowed")),
        }
    }
}

impl Host {
    /// With the port to use if none was given.
    pub fn address(self, usual_port: u16) -> Address {
        Address { host: self.host, port: self.port.unwrap_or(usual_port) }
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address: give host:port, such as oftp.example.com:6619");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
                (host, port.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map(|port| port.parse::<u16>().map_err(|_| wrong())).transpose()?;
        if host.is_empty() || host.contains(char::is_whitespace) || port == Some(0) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// A day: a file that waits longer is forgotten by people.
const RETRY_SECONDS_MAX: u32 = 86_400;

/// All of the wait.
const JITTER_PERCENT_MAX: u8 = 100;
