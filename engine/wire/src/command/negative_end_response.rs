//! NERP.
//!
//! ```text
//! 1 dsn (26)   27 reserved (6)   33 date (8)   41 time (10)   51 dest (25)   76 orig (25)   101 creator (25)
//! 126 reason (2)     and at level 5:   128 text (3 + n)   hash (2 + n)   signature (2 + n)
//! ```
//! It exists from level 4 on.

use super::end_to_end_response::read_hash_and_signature;
use super::start_file::{Reserved, read_long_stamps, write_stamps};
use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::file_id::FileId;
use crate::identification_code::IdentificationCode;
use crate::level::Level;
use crate::reason::NegativeEndReason;
use crate::stamp::{DateStamp, TimeStamp};
use crate::text::{DatasetName, VariableText};

/// NERP — Negative End Response (RFC 5024 §5.3.14): the file was not delivered, or could not be used.
///
/// Destination and originator are the other way round than in the file's SFID, as in
/// [`super::EndToEndResponse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegativeEndResponse {
    /// NERPDSN.
    pub dataset_name: DatasetName,
    /// NERPDATE.
    pub date: DateStamp,
    /// NERPTIME.
    pub time: TimeStamp,
    /// NERPDEST: the file's originator.
    pub destination: IdentificationCode,
    /// NERPORIG: the file's destination.
    pub originator: IdentificationCode,
    /// NERPCREA: who created this response.
    pub creator: IdentificationCode,
    /// NERPREAS.
    pub reason: NegativeEndReason,
    /// NERPREAST (level 5).
    pub text: VariableText,
    /// NERPHSH (level 5): hash of the transmitted file; empty if not signed.
    pub hash: Vec<u8>,
    /// NERPSIG (level 5): CMS SignedData; empty if not signed.
    pub signature: Vec<u8>,
}

impl NegativeEndResponse {
    /// The unsigned negative response for a file.
    pub fn for_file(
        file: &FileId,
        creator: IdentificationCode,
        reason: NegativeEndReason,
        text: VariableText,
    ) -> Self {
        Self {
            dataset_name: file.dataset_name,
            date: file.date,
            time: file.time,
            destination: file.originator,
            originator: file.destination,
            creator,
            reason,
            text,
            hash: Vec::new(),
            signature: Vec::new(),
        }
    }

    /// The file that this is about.
    pub fn file(&self) -> FileId {
        FileId {
            dataset_name: self.dataset_name,
            date: self.date,
            time: self.time,
            destination: self.originator,
            originator: self.destination,
        }
    }

    /// What NERPSIG signs (RFC 5024 §5.3.14): each field in full width, without command and reserved octets.
    ///
    /// ```text
    /// dsn (26)   date (8)   time (10)   dest (25)   orig (25)   creator (25)   hash (n)
    /// ```
    pub fn signed_octets(&self) -> Vec<u8> {
        self.fields(Some(&self.creator))
    }

    /// What one product signs instead: the same without the creator (`DEVIATIONS.md`).
    pub fn signed_octets_without_creator(&self) -> Vec<u8> {
        self.fields(None)
    }

    fn fields(&self, creator: Option<&IdentificationCode>) -> Vec<u8> {
        let mut octets = Vec::with_capacity(119 + self.hash.len());
        octets.extend_from_slice(self.dataset_name.octets());
        octets.extend_from_slice(self.date.digits());
        octets.extend_from_slice(self.time.digits());
        octets.extend_from_slice(self.destination.octets());
        octets.extend_from_slice(self.originator.octets());
        if let Some(creator) = creator {
            octets.extend_from_slice(creator.octets());
        }
        octets.extend_from_slice(&self.hash);
        octets
    }

    pub(super) fn read(level: Level, f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let dataset_name = f.text("NERPDSN")?;
        f.skip("NERPRSV1", 6)?;
        let (date, time) = read_long_stamps(f, "NERPDATE", "NERPTIME")?;
        let destination = IdentificationCode::from_octets(f.array("NERPDEST")?);
        let originator = IdentificationCode::from_octets(f.array("NERPORIG")?);
        let creator = IdentificationCode::from_octets(f.array("NERPCREA")?);
        let code = f.code("NERPREAS")?;
        let reason =
            NegativeEndReason::from_code(code).ok_or_else(|| f.wrong("NERPREAS", "is not a number"))?;
        let text = if level < Level::V2_0 || f.is_empty() {
            VariableText::default()
        } else {
            f.variable_text("NERPREASL", "NERPREAST")?
        };
        let (hash, signature) =
            read_hash_and_signature(level, f, ["NERPHSHL", "NERPHSH", "NERPSIGL", "NERPSIG"])?;
        Ok(Self { dataset_name, date, time, destination, originator, creator, reason, text, hash, signature })
    }

    pub(super) fn write(&self, level: Level, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        f.octets(self.dataset_name.octets());
        write_stamps(level, f, self.date, self.time, Reserved::Nerp);
        f.octets(self.destination.octets());
        f.octets(self.originator.octets());
        f.octets(self.creator.octets());
        f.number("NERPREAS", 2, u64::from(self.reason.code()))?;
        if level < Level::V2_0 {
            return Ok(());
        }
        f.variable_text("NERPREASL", &self.text)?;
        f.binary("NERPHSHL", &self.hash)?;
        f.binary("NERPSIGL", &self.signature)
    }
}
