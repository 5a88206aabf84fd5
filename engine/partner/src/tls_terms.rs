//! How a partner is reached, and what is asked of it there.

use std::fmt;

use serde::Deserialize;

use crate::usage::Usage;

/// What carries the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP as it is, for private networks.
    Plain,
    /// TLS from the first octet (RFC 5024 §2.4). A caller that comes without is turned away.
    Tls,
}

/// The `[tls]` table. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// Whether the partner shows a certificate when it calls us.
    pub inbound_client_certificate: Option<Usage>,
    /// Whether we show a certificate when we call the partner.
    pub outbound_client_certificate: Option<Usage>,
    /// Whether the host name that we call must stand in the partner's certificate, unless that is pinned.
    pub host_name_check: Option<bool>,
}

/// What holds for one partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsTerms {
    /// Whether the partner shows a certificate when it calls us. `Preferred`: as `Optional`, but its absence is
    /// told to the operator.
    pub inbound_client_certificate: Usage,
    /// Whether we show a certificate when we call. `Required`: a partner that does not ask for it is left again.
    pub outbound_client_certificate: Usage,
    /// Whether the host name that we call must stand in the partner's certificate, unless that is pinned.
    pub host_name_check: bool,
}

impl TlsSettings {
    /// Takes from `other` what is not set here.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            inbound_client_certificate: self.inbound_client_certificate.or(other.inbound_client_certificate),
            outbound_client_certificate: self
                .outbound_client_certificate
                .or(other.outbound_client_certificate),
            host_name_check: self.host_name_check.or(other.host_name_check),
        }
    }

    /// The terms, with the defaults for what is not set.
    pub fn terms(&self) -> TlsTerms {
        TlsTerms {
            inbound_client_certificate: self.inbound_client_certificate.unwrap_or(Usage::Optional),
            outbound_client_certificate: self.outbound_client_certificate.unwrap_or(Usage::Optional),
            host_name_check: self.host_name_check.unwrap_or(true),
        }
    }
}

impl Transport {
    /// The usual port (RFC 5024 §2.4 and §2.5).
    pub const fn port(self) -> u16 {
        match self {
            Self::Plain => 3305,
            Self::Tls => 6619,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
        })
    }
}
