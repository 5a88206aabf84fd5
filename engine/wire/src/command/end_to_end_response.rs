//! EERP.
//!
//! As SFID up to octet 106; level 5 goes on with hash and signature, each after a binary length of two octets.

use super::start_file::{Reserved, read_stamps, write_stamps};
use crate::error::{Malformed, Unrepresentable};
use crate::field::{FieldReader, FieldWriter};
use crate::file_id::FileId;
use crate::identification_code::IdentificationCode;
use crate::level::Level;
use crate::stamp::{DateStamp, TimeStamp};
use crate::text::{DatasetName, UserData};

/// EERP — End to End Response (RFC 5024 §5.3.13): the receipt.
///
/// Destination and originator are the *receipt's*: the other way round than in the file's SFID. Use
/// [`EndToEndResponse::for_file`] and [`EndToEndResponse::file`] to get it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndToEndResponse {
    /// EERPDSN.
    pub dataset_name: DatasetName,
    /// EERPDATE.
    pub date: DateStamp,
    /// EERPTIME.
    pub time: TimeStamp,
    /// EERPUSER: echoed from the SFID.
    pub user: UserData,
    /// EERPDEST: the file's originator.
    pub destination: IdentificationCode,
    /// EERPORIG: the file's destination.
    pub originator: IdentificationCode,
    /// EERPHSH (level 5): hash of the transmitted file; empty if not signed.
    pub hash: Vec<u8>,
    /// EERPSIG (level 5): CMS SignedData; empty if not signed.
    pub signature: Vec<u8>,
}

impl EndToEndResponse {
    /// The unsigned receipt for a file.
    pub fn for_file(file: &FileId, user: UserData) -> Self {
        Self {
            dataset_name: file.dataset_name,
            date: file.date,
            time: file.time,
            user,
            destination: file.originator,
            originator: file.destination,
            hash: Vec::new(),
            signature: Vec::new(),
        }
    }

    /// The file that this is a receipt for.
    pub fn file(&self) -> FileId {
        FileId {
            dataset_name: self.dataset_name,
            date: self.date,
            time: self.time,
            destination: self.originator,
            originator: self.destination,
        }
    }

    /// What EERPSIG signs (RFC 5024 §5.3.13): each field in full width, without command, user and reserved octets.
    ///
    /// ```text
    /// dsn (26)   date (8)   time (10)   dest (25)   orig (25)   hash (n)
    /// ```
    pub fn signed_octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(94 + self.hash.len());
        octets.extend_from_slice(self.dataset_name.octets());
        octets.extend_from_slice(self.date.digits());
        octets.extend_from_slice(self.time.digits());
        octets.extend_from_slice(self.destination.octets());
        octets.extend_from_slice(self.originator.octets());
        octets.extend_from_slice(&self.hash);
        octets
    }

    pub(super) fn read(level: Level, f: &mut FieldReader<'_>) -> Result<Self, Malformed> {
        let dataset_name = f.text("EERPDSN")?;
        let (date, time) = read_stamps(level, f, ["EERPRSV1", "EERPDATE", "EERPTIME"])?;
        let user = f.text("EERPUSER")?;
        let destination = IdentificationCode::from_octets(f.array("EERPDEST")?);
        let originator = IdentificationCode::from_octets(f.array("EERPORIG")?);
        let (hash, signature) =
            read_hash_and_signature(level, f, ["EERPHSHL", "EERPHSH", "EERPSIGL", "EERPSIG"])?;
        Ok(Self { dataset_name, date, time, user, destination, originator, hash, signature })
    }

    pub(super) fn write(&self, level: Level, f: &mut FieldWriter<'_>) -> Result<(), Unrepresentable> {
        f.octets(self.dataset_name.octets());
        write_stamps(level, f, self.date, self.time, Reserved::Usual);
        f.octets(self.user.octets());
        f.octets(self.destination.octets());
        f.octets(self.originator.octets());
        if level < Level::V2_0 {
            return Ok(());
        }
        f.binary("EERPHSHL", &self.hash)?;
        f.binary("EERPSIGL", &self.signature)
    }
}

/// Reads hash and signature of level 5; missing length fields count as zero (`DEVIATIONS.md`).
/// `fields`: names of hash length, hash, signature length, signature.
pub(super) fn read_hash_and_signature(
    level: Level,
    f: &mut FieldReader<'_>,
    fields: [&'static str; 4],
) -> Result<(Vec<u8>, Vec<u8>), Malformed> {
    if level < Level::V2_0 || f.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let hash = f.binary(fields[0], fields[1])?;
    if f.is_empty() {
        return Ok((hash, Vec::new()));
    }
    let signature = f.binary(fields[2], fields[3])?;
    Ok((hash, signature))
}
