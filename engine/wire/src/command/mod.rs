//! The eighteen commands of RFC 5024 §5.3, one file each.
//!
//! `DATA` is a command too, but never a value of [`Command`]: its octets go past this module, on borrowed
//! slices, through [`crate::data`].

mod authentication_challenge;
mod authentication_response;
mod change_direction;
mod end_file;
mod end_file_negative_answer;
mod end_file_positive_answer;
mod end_session;
mod end_to_end_response;
mod negative_end_response;
mod ready_to_receive;
mod security_change_direction;
mod set_credit;
mod start_file;
mod start_file_negative_answer;
mod start_file_positive_answer;
mod start_session;
mod start_session_ready;

use std::fmt;

pub use authentication_challenge::AuthenticationChallenge;
pub use authentication_response::AuthenticationResponse;
pub use change_direction::ChangeDirection;
pub use end_file::EndFile;
pub use end_file_negative_answer::EndFileNegativeAnswer;
pub use end_file_positive_answer::EndFilePositiveAnswer;
pub use end_session::EndSession;
pub use end_to_end_response::EndToEndResponse;
pub use negative_end_response::NegativeEndResponse;
pub use ready_to_receive::ReadyToReceive;
pub use security_change_direction::SecurityChangeDirection;
pub use set_credit::SetCredit;
pub use start_file::{FileFormat, Security, StartFile};
pub use start_file_negative_answer::StartFileNegativeAnswer;
pub use start_file_positive_answer::StartFilePositiveAnswer;
pub use start_session::{Capability, StartSession};
pub use start_session_ready::StartSessionReady;

use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::level::Level;

macro_rules! commands {
    ($($variant:ident $letter:literal $mnemonic:literal $name:literal;)*) => {
        /// The name of a command: which one an Exchange Buffer holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Mnemonic {
            $(#[doc = concat!($mnemonic, ": ", $name)] $variant,)*
        }

        impl Mnemonic {
            /// All eighteen, in the order of RFC 5024 §5.3.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The command with this first octet.
            pub const fn from_letter(letter: u8) -> Option<Self> {
                match letter {
                    $($letter => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The first octet of the command's Exchange Buffer.
            pub const fn letter(self) -> u8 {
                match self {
                    $(Self::$variant => $letter,)*
                }
            }

            /// The RFC's mnemonic, such as `SFID`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $mnemonic,)*
                }
            }
        }
    };
}

commands! {
    Ssrm b'I' "SSRM" "Start Session Ready Message";
    Ssid b'X' "SSID" "Start Session";
    Sfid b'H' "SFID" "Start File";
    Sfpa b'2' "SFPA" "Start File Positive Answer";
    Sfna b'3' "SFNA" "Start File Negative Answer";
    Data b'D' "DATA" "Data Exchange Buffer";
    Cdt b'C' "CDT" "Set Credit";
    Efid b'T' "EFID" "End File";
    Efpa b'4' "EFPA" "End File Positive Answer";
    Efna b'5' "EFNA" "End File Negative Answer";
    Esid b'F' "ESID" "End Session";
    Cd b'R' "CD" "Change Direction";
    Eerp b'E' "EERP" "End to End Response";
    Nerp b'N' "NERP" "Negative End Response";
    Rtr b'P' "RTR" "Ready To Receive";
    Secd b'J' "SECD" "Security Change Direction";
    Auch b'A' "AUCH" "Authentication Challenge";
    Aurp b'S' "AURP" "Authentication Response";
}

impl fmt::Display for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Any command but `DATA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// SSRM.
    StartSessionReady(StartSessionReady),
    /// SSID.
    StartSession(StartSession),
    /// SFID.
    StartFile(Box<StartFile>),
    /// SFPA.
    StartFilePositiveAnswer(StartFilePositiveAnswer),
    /// SFNA.
    StartFileNegativeAnswer(StartFileNegativeAnswer),
    /// CDT.
    SetCredit(SetCredit),
    /// EFID.
    EndFile(EndFile),
    /// EFPA.
    EndFilePositiveAnswer(EndFilePositiveAnswer),
    /// EFNA.
    EndFileNegativeAnswer(EndFileNegativeAnswer),
    /// ESID.
    EndSession(EndSession),
    /// CD.
    ChangeDirection(ChangeDirection),
    /// EERP.
    EndToEndResponse(Box<EndToEndResponse>),
    /// NERP.
    NegativeEndResponse(Box<NegativeEndResponse>),
    /// RTR.
    ReadyToReceive(ReadyToReceive),
    /// SECD.
    SecurityChangeDirection(SecurityChangeDirection),
    /// AUCH.
    AuthenticationChallenge(AuthenticationChallenge),
    /// AURP.
    AuthenticationResponse(AuthenticationResponse),
}

impl Command {
    /// Decodes one Exchange Buffer (without Stream Transmission Header) that is not `DATA`.
    ///
    /// `level` is the level agreed for the session; before SSID is exchanged any will do, since SSRM, SSID and
    /// the first four octets of ESID are the same in all. A `DATA` buffer gives
    /// [`Malformed::UnknownCommand`]: it belongs to [`crate::data`].
    pub fn decode(level: Level, buffer: &[u8]) -> Result<Self, Malformed> {
        let (&letter, fields) = buffer.split_first().ok_or(Malformed::Empty)?;
        let mnemonic = Mnemonic::from_letter(letter).ok_or(Malformed::UnknownCommand(letter))?;
        let f = &mut FieldReader::new(mnemonic, fields);
        let unavailable = || Malformed::NotAtThisLevel { command: mnemonic, level: level.digit() };
        if level < first_level(mnemonic) {
            return Err(unavailable());
        }
        Ok(match mnemonic {
            Mnemonic::Ssrm => Self::StartSessionReady(StartSessionReady::read(f)?),
            Mnemonic::Ssid => Self::StartSession(StartSession::read(f)?),
            Mnemonic::Sfid => Self::StartFile(Box::new(StartFile::read(level, f)?)),
            Mnemonic::Sfpa => Self::StartFilePositiveAnswer(StartFilePositiveAnswer::read(level, f)?),
            Mnemonic::Sfna => Self::StartFileNegativeAnswer(StartFileNegativeAnswer::read(level, f)?),
            Mnemonic::Data => return Err(Malformed::UnknownCommand(letter)),
            Mnemonic::Cdt => Self::SetCredit(SetCredit),
            Mnemonic::Efid => Self::EndFile(EndFile::read(level, f)?),
            Mnemonic::Efpa => Self::EndFilePositiveAnswer(EndFilePositiveAnswer::read(f)?),
            Mnemonic::Efna => Self::EndFileNegativeAnswer(EndFileNegativeAnswer::read(level, f)?),
            Mnemonic::Esid => Self::EndSession(EndSession::read(level, f)?),
            Mnemonic::Cd => Self::ChangeDirection(ChangeDirection),
            Mnemonic::Eerp => Self::EndToEndResponse(Box::new(EndToEndResponse::read(level, f)?)),
            Mnemonic::Nerp => Self::NegativeEndResponse(Box::new(NegativeEndResponse::read(level, f)?)),
            Mnemonic::Rtr => Self::ReadyToReceive(ReadyToReceive),
            Mnemonic::Secd => Self::SecurityChangeDirection(SecurityChangeDirection),
            Mnemonic::Auch => Self::AuthenticationChallenge(AuthenticationChallenge::read(f)?),
            Mnemonic::Aurp => Self::AuthenticationResponse(AuthenticationResponse::read(f)?),
        })
    }

    /// Appends the Exchange Buffer (without Stream Transmission Header) to `out`. On an error `out` is as it was.
    pub fn encode(&self, level: Level, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
        let start = out.len();
        let written = self.write(level, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write(&self, level: Level, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
        let command = self.mnemonic();
        if level < first_level(command) {
            return Err(Unrepresentable::NotAtThisLevel { command, level: level.digit() });
        }
        let f = &mut FieldWriter::new(command, level, out);
        match self {
            Self::StartSessionReady(StartSessionReady) => StartSessionReady::write(f),
            Self::StartSession(command) => command.write(f)?,
            Self::StartFile(command) => command.write(level, f)?,
            Self::StartFilePositiveAnswer(command) => command.write(level, f)?,
            Self::StartFileNegativeAnswer(command) => command.write(level, f)?,
            Self::SetCredit(SetCredit) => f.reserved(2),
            Self::EndFile(command) => command.write(level, f)?,
            Self::EndFilePositiveAnswer(command) => command.write(f),
            Self::EndFileNegativeAnswer(command) => command.write(level, f)?,
            Self::EndSession(command) => command.write(level, f)?,
            Self::EndToEndResponse(command) => command.write(level, f)?,
            Self::NegativeEndResponse(command) => command.write(level, f)?,
            Self::AuthenticationChallenge(command) => command.write(f)?,
            Self::AuthenticationResponse(command) => command.write(f),
            Self::ChangeDirection(ChangeDirection)
            | Self::ReadyToReceive(ReadyToReceive)
            | Self::SecurityChangeDirection(SecurityChangeDirection) => {}
        }
        Ok(())
    }

    /// Which command this is.
    pub const fn mnemonic(&self) -> Mnemonic {
        match self {
            Self::StartSessionReady(_) => Mnemonic::Ssrm,
            Self::StartSession(_) => Mnemonic::Ssid,
            Self::StartFile(_) => Mnemonic::Sfid,
            Self::StartFilePositiveAnswer(_) => Mnemonic::Sfpa,
            Self::StartFileNegativeAnswer(_) => Mnemonic::Sfna,
            Self::SetCredit(_) => Mnemonic::Cdt,
            Self::EndFile(_) => Mnemonic::Efid,
            Self::EndFilePositiveAnswer(_) => Mnemonic::Efpa,
            Self::EndFileNegativeAnswer(_) => Mnemonic::Efna,
            Self::EndSession(_) => Mnemonic::Esid,
            Self::ChangeDirection(_) => Mnemonic::Cd,
            Self::EndToEndResponse(_) => Mnemonic::Eerp,
            Self::NegativeEndResponse(_) => Mnemonic::Nerp,
            Self::ReadyToReceive(_) => Mnemonic::Rtr,
            Self::SecurityChangeDirection(_) => Mnemonic::Secd,
            Self::AuthenticationChallenge(_) => Mnemonic::Auch,
            Self::AuthenticationResponse(_) => Mnemonic::Aurp,
        }
    }
}

/// The lowest level at which a command exists.
const fn first_level(command: Mnemonic) -> Level {
    match command {
        Mnemonic::Nerp => Level::V1_4,
        Mnemonic::Secd | Mnemonic::Auch | Mnemonic::Aurp => Level::V2_0,
        _ => Level::V1_2,
    }
}
