//! SFID.
//!
//! ```text
//! level   1, 2                4                   5
//! dsn     1 (26)              1                   1
//! rsv    27 (9)              27 (3)              27 (3)
//! date   36 YYMMDD           30 CCYYMMDD         30
//! time   42 HHMMSS           38 HHMMSScccc       38
//! user   48 (8)   dest 56 (25)   orig 81 (25)   fmt 106   lrecl 107 (5)       all levels
//! fsiz  112 (7)             112 (7)             112 (13)
//! osiz                                          125 (13)
//! rest  119 (9)             119 (9)             138 (17)
//! sec 155 (2)  ciph 157 (2)  comp 159  env 160  sign 161  descl 162 (3)  desc 165      level 5
//! ```

use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::file_id::FileId;
use crate::identification_code::IdentificationCode;
use crate::level::Level;
use crate::stamp::{DateStamp, TimeStamp};
use crate::text::{UserData, VariableText};

/// SFID — Start File (RFC 5024 §5.3.3): what file is offered, and from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFile {
    /// SFIDDSN, SFIDDATE, SFIDTIME, SFIDDEST, SFIDORIG.
    pub id: FileId,
    /// SFIDUSER.
    pub user: UserData,
    /// SFIDFMT: format of the original file.
    pub format: FileFormat,
    /// SFIDLRECL, octets of the longest record; 0 for U and T.
    pub record_size: u32,
    /// SFIDFSIZ, blocks of 1024 octets that are transmitted: an estimate.
    pub size_blocks: u64,
    /// SFIDOSIZ, blocks of 1024 octets of the original; 0: unknown. Level 5; below, as SFIDFSIZ.
    pub original_size_blocks: u64,
    /// SFIDREST: records (plain F and V files) or blocks of 1024 octets (all others).
    pub restart: u64,
    /// SFIDSEC.
    pub security: Security,
    /// SFIDCIPH: the number of the cipher suite, 0 to 99; 0 is none.
    pub cipher_suite: u8,
    /// SFIDCOMP: 0 none, 1 zlib.
    pub compression: u8,
    /// SFIDENV: 0 none, 1 CMS.
    pub envelope: u8,
    /// SFIDSIGN: a signed EERP is asked for.
    pub signed_response: bool,
    /// SFIDDESC.
    pub description: VariableText,
}

/// SFIDFMT: the format of a Virtual File.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// `F`: records of one length.
    Fixed,
    /// `V`: records of different lengths.
    Variable,
    /// `U`: a stream of octets.
    Unstructured,
    /// `T`: lines of text, separated by CR-LF.
    Text,
    /// A letter that the RFC does not know.
    Unknown(u8),
}

/// SFIDSEC: what was done to the file before transmission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// `00`.
    None,
    /// `01`.
    Encrypted,
    /// `02`.
    Signed,
    /// `03`.
    EncryptedAndSigned,
    /// A number that the RFC does not know.
    Unknown(u8),
}

impl FileFormat {
    /// From the letter of SFIDFMT.
    pub const fn from_letter(letter: u8) -> Self {
        match letter {
            b'F' => Self::Fixed,
            b'V' => Self::Variable,
            b'U' => Self::Unstructured,
            b'T' => Self::Text,
            other => Self::Unknown(other),
        }
    }

    /// The letter of SFIDFMT.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Fixed => b'F',
            Self::Variable => b'V',
            Self::Unstructured => b'U',
            Self::Text => b'T',
            Self::Unknown(letter) => letter,
        }
    }

    /// True for F and V: the file consists of records.
    pub const fn has_records(self) -> bool {
        matches!(self, Self::Fixed | Self::Variable)
    }
}

impl Security {
    /// From the number of SFIDSEC.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::None,
            1 => Self::Encrypted,
            2 => Self::Signed,
            3 => Self::EncryptedAndSigned,
            other => Self::Unknown(other),
        }
    }

    /// The number of SFIDSEC.
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Encrypted => 1,
            Self::Signed => 2,
            Self::EncryptedAndSigned => 3,
            Self::Unknown(code) => code,
        }
    }
}

impl StartFile {
    /// True if the transmitted stream is the file itself: not signed, not compressed, not encrypted, not in an
    /// envelope. Only then do F and V files have records on the wire.
    pub fn is_plain(&self) -> bool {
        self.security == Security::None && self.compression == 0 && self.envelope == 0
    }

    pub(super) fn read(level: Level, f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let dataset_name = f.text("SFIDDSN")?;
        let (date, time) = read_stamps(level, f, ["SFIDRSV1", "SFIDDATE", "SFIDTIME"])?;
        let user = f.text("SFIDUSER")?;
        let destination = IdentificationCode::from_octets(f.array("SFIDDEST")?);
        let originator = IdentificationCode::from_octets(f.array("SFIDORIG")?);
        let id = FileId { dataset_name, date, time, destination, originator };
        let format = FileFormat::from_letter(f.letter("SFIDFMT")?);
        let record_size = u32::try_from(f.number("SFIDLRECL", 5)?).unwrap_or_default();
        if level < Level::V2_0 {
            let size_blocks = f.number("SFIDFSIZ", 7)?;
            return Ok(Self {
                id,
                user,
                format,
                record_size,
                size_blocks,
                original_size_blocks: size_blocks,
                restart: f.number("SFIDREST", 9)?,
                security: Security::None,
                cipher_suite: 0,
                compression: 0,
                envelope: 0,
                signed_response: false,
                description: VariableText::default(),
            });
        }
        let size_blocks = f.number("SFIDFSIZ", 13)?;
        let original_size_blocks = f.number("SFIDOSIZ", 13)?;
        let restart = f.number("SFIDREST", 17)?;
        let security = Security::from_code(f.code("SFIDSEC")?);
        let cipher_suite = f.code("SFIDCIPH")?;
        let compression = u8::try_from(f.number("SFIDCOMP", 1)?).unwrap_or_default();
        let envelope = u8::try_from(f.number("SFIDENV", 1)?).unwrap_or_default();
        let signed_response = f.yes_no("SFIDSIGN")?;
        let description = f.variable_text("SFIDDESCL", "SFIDDESC")?;
        Ok(Self {
            id,
            user,
            format,
            record_size,
            size_blocks,
            original_size_blocks,
            restart,
            security,
            cipher_suite,
            compression,
            envelope,
            signed_response,
            description,
        })
    }

    pub(super) fn write(&self, level: Level, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        f.octets(self.id.dataset_name.octets());
        write_stamps(level, f, self.id.date, self.id.time, Reserved::Usual);
        f.octets(self.user.octets());
        f.octets(self.id.destination.octets());
        f.octets(self.id.originator.octets());
        f.octets(&[self.format.letter()]);
        f.number("SFIDLRECL", 5, u64::from(self.record_size))?;
        if level < Level::V2_0 {
            self.check_services_for(level)?;
            f.number("SFIDFSIZ", 7, self.size_blocks)?;
            return f.number("SFIDREST", 9, self.restart);
        }
        f.number("SFIDFSIZ", 13, self.size_blocks)?;
        f.number("SFIDOSIZ", 13, self.original_size_blocks)?;
        f.number("SFIDREST", 17, self.restart)?;
        f.number("SFIDSEC", 2, u64::from(self.security.code()))?;
        f.number("SFIDCIPH", 2, u64::from(self.cipher_suite))?;
        f.number("SFIDCOMP", 1, u64::from(self.compression))?;
        f.number("SFIDENV", 1, u64::from(self.envelope))?;
        f.yes_no(self.signed_response);
        f.variable_text("SFIDDESCL", &self.description)
    }

    /// A secured file below level 5 is refused here, never stripped. A description is no security service: it
    /// is left out.
    fn check_services_for(&self, level: Level) -> Result<(), Unrepresentable> {
        let what = if self.security != Security::None {
            "a signed or encrypted file"
        } else if self.compression != 0 {
            "file compression"
        } else if self.envelope != 0 {
            "an enveloped file"
        } else if self.signed_response {
            "a signed receipt"
        } else {
            return Ok(());
        };
        Err(Unrepresentable::NeedsLevel5 { what, level: level.digit() })
    }
}

/// How many octets are reserved before the date.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserved {
    /// SFID and EERP: 9 at levels 1 and 2, else 3.
    Usual,
    /// NERP: 6.
    Nerp,
}

/// Reads reserved octets, date and time of SFID and EERP. `fields`: their three names.
pub(super) fn read_stamps(
    level: Level,
    f: &mut FieldReader<'_>,
    fields: [&'static str; 3],
) -> Result<(DateStamp, TimeStamp), Malformed> {
    let [reserved_field, date_field, time_field] = fields;
    let no_digits = "holds something else than digits";
    if level < Level::V1_4 {
        f.skip(reserved_field, 9)?;
        let date =
            DateStamp::from_short(f.array(date_field)?).ok_or_else(|| f.wrong(date_field, no_digits))?;
        let time =
            TimeStamp::from_short(f.array(time_field)?).ok_or_else(|| f.wrong(time_field, no_digits))?;
        return Ok((date, time));
    }
    f.skip(reserved_field, 3)?;
    read_long_stamps(f, date_field, time_field)
}

/// Reads `CCYYMMDD` and `HHMMSScccc`.
pub(super) fn read_long_stamps(
    f: &mut FieldReader<'_>,
    date_field: &'static str,
    time_field: &'static str,
) -> Result<(DateStamp, TimeStamp), Malformed> {
    let no_digits = "holds something else than digits";
    let date = DateStamp::new(f.array(date_field)?).ok_or_else(|| f.wrong(date_field, no_digits))?;
    let time = TimeStamp::new(f.array(time_field)?).ok_or_else(|| f.wrong(time_field, no_digits))?;
    Ok((date, time))
}

/// Writes reserved octets, date and time.
pub(super) fn write_stamps(
    level: Level,
    f: &mut FieldWriter<'_>,
    date: DateStamp,
    time: TimeStamp,
    reserved: Reserved,
) {
    if level < Level::V1_4 {
        f.reserved(9);
        f.octets(date.short());
        f.octets(time.short());
        return;
    }
    f.reserved(match reserved {
        Reserved::Usual => 3,
        Reserved::Nerp => 6,
    });
    f.octets(date.digits());
    f.octets(time.digits());
}
