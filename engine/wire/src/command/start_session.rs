//! SSID.
//!
//! ```text
//!  0 'X'   1 level   2 code (25)   27 password (8)   35 buffer size (5)   40 S/R/B   41 compression
//! 42 restart   43 special logic   44 credit (3)   47 authentication (level 5)   48 reserved (4)
//! 52 user (8)   60 CR
//! ```
//! Levels 1 to 4 have five reserved octets at 47.

use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::identification_code::IdentificationCode;
use crate::level::Level;
use crate::text::{Password, UserData};

/// SSID — Start Session (RFC 5024 §5.3.2): who speaks, and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartSession {
    /// SSIDLEV: the digit, which may be one that Odile does not know.
    pub level: u8,
    /// SSIDCODE.
    pub code: IdentificationCode,
    /// SSIDPSWD.
    pub password: Password,
    /// SSIDSDEB, octets of a Data Exchange Buffer, header excluded.
    pub buffer_size: u32,
    /// SSIDSR.
    pub capability: Capability,
    /// SSIDCMPR: can do buffer compression.
    pub compression: bool,
    /// SSIDREST: can restart.
    pub restart: bool,
    /// SSIDSPEC: can do special logic, which does not exist on TCP.
    pub special_logic: bool,
    /// SSIDCRED, in Data Exchange Buffers.
    pub credit: u16,
    /// SSIDAUTH: requires secure authentication (level 5).
    pub authentication: bool,
    /// SSIDUSER.
    pub user: UserData,
}

/// SSIDSR: what a station can do in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// `S`: only send files.
    SendOnly,
    /// `R`: only receive files.
    ReceiveOnly,
    /// `B`: both.
    Both,
}

impl StartSession {
    pub(super) fn read(f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let level = f.letter("SSIDLEV")?;
        if !level.is_ascii_digit() {
            return Err(f.wrong("SSIDLEV", "is not a digit"));
        }
        let level = level - b'0';
        let code = IdentificationCode::from_octets(f.array("SSIDCODE")?);
        let password = Password::from_octets(f.array("SSIDPSWD")?);
        let buffer_size = f.number("SSIDSDEB", 5)?;
        if buffer_size < u64::from(crate::BUFFER_SIZE_MIN) {
            return Err(f.wrong("SSIDSDEB", "is below 128"));
        }
        let capability = match f.letter("SSIDSR")? {
            b'S' => Capability::SendOnly,
            b'R' => Capability::ReceiveOnly,
            b'B' => Capability::Both,
            _ => return Err(f.wrong("SSIDSR", "is none of S, R, B")),
        };
        let compression = f.yes_no("SSIDCMPR")?;
        let restart = f.yes_no("SSIDREST")?;
        let special_logic = f.yes_no("SSIDSPEC")?;
        let credit = f.number("SSIDCRED", 3)?;
        if credit == 0 {
            return Err(f.wrong("SSIDCRED", "is zero"));
        }
        let authentication = if level >= Level::V2_0.digit() {
            f.yes_no("SSIDAUTH")?
        } else {
            f.skip("SSIDRSV1", 1)?;
            false
        };
        f.skip("SSIDRSV1", 4)?;
        let user = f.text("SSIDUSER")?;
        Ok(Self {
            level,
            code,
            password,
            buffer_size: u32::try_from(buffer_size).unwrap_or(crate::BUFFER_SIZE_MAX),
            capability,
            compression,
            restart,
            special_logic,
            credit: u16::try_from(credit).unwrap_or(crate::CREDIT_MAX),
            authentication,
            user,
        })
    }

    pub(super) fn write(&self, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        f.number("SSIDLEV", 1, u64::from(self.level))?;
        f.octets(self.code.octets());
        f.octets(self.password.octets());
        f.number("SSIDSDEB", 5, u64::from(self.buffer_size))?;
        f.octets(match self.capability {
            Capability::SendOnly => b"S",
            Capability::ReceiveOnly => b"R",
            Capability::Both => b"B",
        });
        f.yes_no(self.compression);
        f.yes_no(self.restart);
        f.yes_no(self.special_logic);
        f.number("SSIDCRED", 3, u64::from(self.credit))?;
        if self.level >= Level::V2_0.digit() {
            f.yes_no(self.authentication);
        } else {
            f.reserved(1);
        }
        f.reserved(4);
        f.octets(self.user.octets());
        f.carriage_return();
        Ok(())
    }
}
