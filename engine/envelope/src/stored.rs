//! What is stored and comes back: a version octet, then the fields in postcard's form.
//!
//! Whether the octets are those that were written is the caller's to check (a checksum beside them): here, what
//! does not decode is only recognised as such.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CheckpointError;

/// Octets of a value.
pub(crate) fn write(value: &impl Serialize, version: u8) -> Result<Vec<u8>, CheckpointError> {
    postcard::to_extend(value, vec![version]).map_err(|_| CheckpointError::Damaged)
}

/// The value of octets.
pub(crate) fn read<T: DeserializeOwned>(octets: &[u8], version: u8) -> Result<T, CheckpointError> {
    let (&found, rest) = octets.split_first().ok_or(CheckpointError::Damaged)?;
    if found != version {
        return Err(CheckpointError::Version { found, known: version });
    }
    match postcard::take_from_bytes(rest) {
        Ok((value, [])) => Ok(value),
        _ => Err(CheckpointError::Damaged),
    }
}
