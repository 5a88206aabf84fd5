//! How a session with a partner is set up: from flags, partner file and station file, the first that says it.

use std::time::Duration;

use odile_wire::Level;
use serde::Deserialize;

use crate::value::{BufferSize, CreditWindow, LevelNumber};

/// The `[session]` table of `station.toml` and of a partner file, and the flags of the command line: every key
/// may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionSettings {
    /// Data Exchange Buffer that we offer, octets.
    pub buffer_size: Option<BufferSize>,
    /// Credit window that we offer, Data Exchange Buffers.
    pub credit: Option<CreditWindow>,
    /// Lowest level that we accept.
    pub level_min: Option<LevelNumber>,
    /// Highest level that we offer.
    pub level_max: Option<LevelNumber>,
    /// Whether runs of equal octets are sent as one.
    pub buffer_compression: Option<bool>,
    /// Whether both sides must prove who they are (SSIDAUTH, RFC 5024 §4.2.3).
    pub authentication: Option<bool>,
    /// Whether interrupted files go on where they were cut (SSIDREST, RFC 5024 §5.3.2).
    pub restart: Option<bool>,
    /// Whether new credit is sent when half of the window is used, and taken early (not in the RFC: both sides must know).
    pub early_credit: Option<bool>,
    /// Seconds to wait for an answer of the peer.
    pub inactivity_seconds: Option<u32>,
    /// Seconds to wait for a connection.
    pub connect_seconds: Option<u32>,
}

/// What holds for one partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTerms {
    /// Data Exchange Buffer that we offer.
    pub buffer_size: BufferSize,
    /// Credit window that we offer.
    pub credit: CreditWindow,
    /// Lowest level that we accept.
    pub level_min: Level,
    /// Highest level that we offer.
    pub level_max: Level,
    /// Whether runs of equal octets are sent as one.
    pub buffer_compression: bool,
    /// Whether both sides must prove who they are.
    pub authentication: bool,
    /// Whether interrupted files go on where they were cut; if not, they start again from the first octet.
    pub restart: bool,
    /// Whether credit is sent and taken early.
    pub early_credit: bool,
    /// How long to wait for an answer of the peer.
    pub inactivity: Duration,
    /// How long to wait for a connection.
    pub connect: Duration,
}

impl SessionSettings {
    /// Takes from `other` what is not set here.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            buffer_size: self.buffer_size.or(other.buffer_size),
            credit: self.credit.or(other.credit),
            level_min: self.level_min.or(other.level_min),
            level_max: self.level_max.or(other.level_max),
            buffer_compression: self.buffer_compression.or(other.buffer_compression),
            authentication: self.authentication.or(other.authentication),
            restart: self.restart.or(other.restart),
            early_credit: self.early_credit.or(other.early_credit),
            inactivity_seconds: self.inactivity_seconds.or(other.inactivity_seconds),
            connect_seconds: self.connect_seconds.or(other.connect_seconds),
        }
    }

    /// The terms, with the defaults for what is not set.
    ///
    /// # Errors
    ///
    /// A sentence, if the settings contradict each other.
    pub fn terms(&self) -> Result<SessionTerms, String> {
        let level_min = self.level_min.map_or(Level::V1_2, LevelNumber::level);
        let level_max = self.level_max.map_or(Level::V2_0, LevelNumber::level);
        if level_min > level_max {
            return Err(format!("level_min = {level_min} is above level_max = {level_max}"));
        }
        let authentication = self.authentication.unwrap_or(false);
        if authentication && level_max < Level::V2_0 {
            return Err(format!("authentication = true needs level_max = 5, which is {level_max} here"));
        }
        // A peer that speaks an older level could not prove anything: no way around it.
        let level_min = if authentication { Level::V2_0 } else { level_min };
        let seconds =
            |set: Option<u32>, default: u32| Duration::from_secs(u64::from(set.unwrap_or(default).max(1)));
        Ok(SessionTerms {
            buffer_size: self.buffer_size.map_or_else(|| BufferSize::try_from(DEFAULT_BUFFER_SIZE), Ok)?,
            credit: self.credit.map_or_else(|| CreditWindow::try_from(DEFAULT_CREDIT), Ok)?,
            level_min,
            level_max,
            buffer_compression: self.buffer_compression.unwrap_or(false),
            authentication,
            restart: self.restart.unwrap_or(true),
            early_credit: self.early_credit.unwrap_or(false),
            inactivity: seconds(self.inactivity_seconds, DEFAULT_INACTIVITY_SECONDS),
            connect: seconds(self.connect_seconds, DEFAULT_CONNECT_SECONDS),
        })
    }
}

// The largest of both: a session carries at most credit × buffer per round trip.
const DEFAULT_BUFFER_SIZE: i64 = 99_999;
const DEFAULT_CREDIT: i64 = 999;
/// Others wait 90 to 300 seconds; a peer may take its time between EFID and EFPA.
const DEFAULT_INACTIVITY_SECONDS: u32 = 180;
const DEFAULT_CONNECT_SECONDS: u32 = 30;
