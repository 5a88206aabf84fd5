//! How values of other crates appear in `--output json`: as a person would write them.

use std::fmt::Display;
use std::path::Path;

use odile_wire::FileId;
use odile_wire::command::FileFormat;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::transfer_ref::TransferRef;

/// What `Display` shows.
pub(crate) fn shown<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A path; octets that are no UTF-8 appear as `�`.
pub(crate) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// The number of a file to be sent, as `S12`.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
pub(crate) fn outbound_id<S: Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    TransferRef::Outbound(*id).serialize(serializer)
}

/// The number of a file received, as `R7`.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
pub(crate) fn inbound_id<S: Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    TransferRef::Inbound(*id).serialize(serializer)
}

/// Octets in hexadecimal digits.
pub(crate) fn hex<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut digits = String::with_capacity(2 * octets.len());
    for octet in octets {
        for nibble in [octet >> 4, octet & 0x0f] {
            digits.extend(char::from_digit(nibble.into(), 16));
        }
    }
    serializer.serialize_str(&digits)
}

/// The letter of SFIDFMT.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
pub(crate) fn format<S: Serializer>(format: &FileFormat, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_char(char::from(format.letter()))
}

/// The identity of a file, field by field.
pub(crate) fn file<S: Serializer>(file: &FileId, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("FileId", 5)?;
    fields.serialize_field("dataset_name", &file.dataset_name.to_string())?;
    fields.serialize_field("date", &file.date.to_string())?;
    fields.serialize_field("time", &file.time.to_string())?;
    fields.serialize_field("originator", &file.originator.to_string())?;
    fields.serialize_field("destination", &file.destination.to_string())?;
    fields.end()
}
