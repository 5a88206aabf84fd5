//! What two SSIDs make of each other (RFC 5024 §5.3.2; §9.8.3, predicates P2, P8, P10).

use odile_wire::command::{Capability, StartSession};
use odile_wire::{
    BUFFER_SIZE_MAX, BUFFER_SIZE_MIN, CREDIT_MAX, EndSessionReason, IdentificationCode, Level, Password,
    UserData,
};

use crate::error::Misuse;
use crate::session::Role;

/// What this station can do and asks for in a session: the constants of §9.7 and the contents of its SSID.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// SSIDCODE: who we are to this partner.
    pub code: IdentificationCode,
    /// SSIDPSWD: our password with this partner.
    pub password: Password,
    /// SSIDUSER.
    pub user: UserData,
    /// The lowest level accepted.
    pub level_min: Level,
    /// SSIDLEV: the highest level spoken.
    pub level_max: Level,
    /// SSIDSDEB: the largest Data Exchange Buffer accepted, in octets, 128 to 99 999.
    pub buffer_size: u32,
    /// SSIDCRED: the window, in Data Exchange Buffers, 1 to 999.
    pub credit: u16,
    /// SSIDSR.
    pub mode: Capability,
    /// SSIDCMPR: buffer compression.
    pub compression: bool,
    /// SSIDREST.
    pub restart: bool,
    /// SSIDAUTH: secure authentication is required. Needs level 5 and an [`crate::Authenticator`].
    pub authentication: bool,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The lower of the two levels.
    pub level: Level,
    /// The smaller of the two Data Exchange Buffers, in octets.
    pub buffer_size: u32,
    /// The smaller of the two windows, in Data Exchange Buffers.
    pub credit: u16,
    /// What *this* side can do in this session.
    pub mode: Capability,
    /// Buffer compression may be used.
    pub compression: bool,
    /// Restart positions may be used.
    pub restart: bool,
    /// Both sides authenticate themselves before the first file.
    pub authentication: bool,
}

impl Capabilities {
    /// What would make no sense in an SSID, whatever the peer answers.
    pub(crate) fn check(&self, has_authenticator: bool) -> Result<(), Misuse> {
        let wrong = if self.level_min > self.level_max {
            "the lowest level is above the highest"
        } else if !(BUFFER_SIZE_MIN..=BUFFER_SIZE_MAX).contains(&self.buffer_size) {
            "the buffer size is outside 128 to 99999"
        } else if !(1..=CREDIT_MAX).contains(&self.credit) {
            "the credit is outside 1 to 999"
        } else if self.authentication && self.level_max < Level::V2_0 {
            "secure authentication needs level 5"
        } else if self.authentication && !has_authenticator {
            "secure authentication is required, but there is no authenticator"
        } else {
            return Ok(());
        };
        Err(Misuse::Capabilities(wrong))
    }

    /// The Initiator's SSID.
    pub(crate) fn offer(&self) -> StartSession {
        StartSession {
            level: self.level_max.digit(),
            code: self.code,
            password: self.password.clone(),
            buffer_size: self.buffer_size,
            capability: self.mode,
            compression: self.compression,
            restart: self.restart,
            special_logic: false,
            credit: self.credit,
            authentication: self.authentication,
            user: self.user,
        }
    }

    /// The Responder's SSID: the negotiated values.
    pub(crate) fn answer(&self, agreement: &Agreement) -> StartSession {
        StartSession {
            level: agreement.level.digit(),
            buffer_size: agreement.buffer_size,
            capability: agreement.mode,
            compression: agreement.compression,
            restart: agreement.restart,
            credit: agreement.credit,
            authentication: agreement.authentication,
            ..self.offer()
        }
    }

    /// True if the Responder's SSID asks for more than this offer ([`crate::Tolerance::LargerAnswer`]).
    pub(crate) fn is_exceeded_by(&self, answer: &StartSession) -> bool {
        answer.level > self.level_max.digit()
            || answer.buffer_size > self.buffer_size
            || answer.credit > self.credit
            || (answer.compression && !self.compression)
            || (answer.restart && !self.restart)
            || (answer.capability == Capability::Both && self.mode != Capability::Both)
    }
}

/// Why there can be no session, as the peer will be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Incompatible {
    pub(crate) reason: EndSessionReason,
    pub(crate) text: String,
}

impl Incompatible {
    fn new(reason: EndSessionReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

/// Compares the peer's SSID with our capabilities.
///
/// If both the capabilities and the authentication do not fit, the Responder names the authentication (§9.8.2, G)
/// and the Initiator the capabilities (D).
pub(crate) fn negotiate(
    ours: &Capabilities,
    peer: &StartSession,
    role: Role,
) -> Result<Agreement, Incompatible> {
    let level = negotiate_level(ours, peer)?;
    match role {
        Role::Responder => {
            check_authentication(ours, peer)?;
            negotiate_values(ours, peer, level)
        }
        Role::Initiator => {
            if peer.special_logic {
                let text = "special logic (SSIDSPEC) was answered with Y, but not offered";
                return Err(Incompatible::new(EndSessionReason::INCOMPATIBLE, text));
            }
            let agreement = negotiate_values(ours, peer, level)?;
            check_authentication(ours, peer)?;
            Ok(agreement)
        }
    }
}

/// The lower level of both. A session that must be authenticated is never downgraded below level 5.
fn negotiate_level(ours: &Capabilities, peer: &StartSession) -> Result<Level, Incompatible> {
    let level = Level::at_most(peer.level).map(|level| level.min(ours.level_max));
    let level_or_none = level.filter(|&level| level >= ours.level_min);
    if ours.authentication && level != Some(Level::V2_0) {
        let text = format!("secure authentication is required and needs level 5, not {}", peer.level);
        return Err(Incompatible::new(EndSessionReason::AUTHENTICATION_INCOMPATIBLE, text));
    }
    level_or_none.ok_or_else(|| {
        let text = format!("level {} is below the lowest accepted, {}", peer.level, ours.level_min);
        Incompatible::new(EndSessionReason::INCOMPATIBLE, text)
    })
}

fn check_authentication(ours: &Capabilities, peer: &StartSession) -> Result<(), Incompatible> {
    if ours.authentication == peer.authentication {
        return Ok(());
    }
    let text = if ours.authentication {
        "secure authentication (SSIDAUTH) is required here"
    } else {
        "secure authentication (SSIDAUTH) is not configured here"
    };
    Err(Incompatible::new(EndSessionReason::AUTHENTICATION_INCOMPATIBLE, text))
}

fn negotiate_values(
    ours: &Capabilities,
    peer: &StartSession,
    level: Level,
) -> Result<Agreement, Incompatible> {
    let incompatible = |text: &str| Incompatible::new(EndSessionReason::INCOMPATIBLE, text);
    let mode = complement(ours.mode, peer.capability)
        .ok_or_else(|| incompatible("both sides only send, or both only receive (SSIDSR)"))?;
    if peer.buffer_size < BUFFER_SIZE_MIN {
        return Err(incompatible("buffer size (SSIDSDEB) below 128"));
    }
    if peer.credit == 0 {
        return Err(incompatible("credit (SSIDCRED) of zero"));
    }
    Ok(Agreement {
        level,
        buffer_size: ours.buffer_size.min(peer.buffer_size),
        credit: ours.credit.min(peer.credit),
        mode,
        compression: ours.compression && peer.compression,
        restart: ours.restart && peer.restart,
        authentication: ours.authentication,
    })
}

/// What we can do with a peer that can do `peer` (§3.2.1, table of modes).
const fn complement(ours: Capability, peer: Capability) -> Option<Capability> {
    match (ours, peer) {
        (Capability::SendOnly, Capability::SendOnly) | (Capability::ReceiveOnly, Capability::ReceiveOnly) => {
            None
        }
        (Capability::SendOnly, _) | (Capability::Both, Capability::ReceiveOnly) => Some(Capability::SendOnly),
        (Capability::ReceiveOnly, _) | (Capability::Both, Capability::SendOnly) => {
            Some(Capability::ReceiveOnly)
        }
        (Capability::Both, Capability::Both) => Some(Capability::Both),
    }
}
