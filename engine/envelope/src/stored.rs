//! What is stored and comes back: plans, checkpoints, and what others build around them.
//!
//! ```text
//! version octet │ fields in postcard's form │ first 8 octets of SHA-256 over all before
//! ```
//!
//! The check is against torn writes and failing disks: a state that was altered would not only be wrong, the hashes
//! and ciphers that take it over would panic.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::HashAlgorithm;
use crate::error::CheckpointError;

/// Octets of the check.
const CHECK_BYTES: usize = 8;

/// Octets of a value.
///
/// # Errors
///
/// [`CheckpointError::Damaged`] if the value has no such form (a map of unknown length).
pub fn write(value: &impl Serialize, version: u8) -> Result<Vec<u8>, CheckpointError> {
    let mut octets = postcard::to_extend(value, vec![version]).map_err(|_| CheckpointError::Damaged)?;
    octets.extend_from_slice(&check(&octets));
    Ok(octets)
}

/// The value of octets.
///
/// # Errors
///
/// [`CheckpointError::Version`] if another version wrote it, [`CheckpointError::Damaged`] if it was cut off or altered.
pub fn read<T: DeserializeOwned>(octets: &[u8], version: u8) -> Result<T, CheckpointError> {
    let (&found, _) = octets.split_first().ok_or(CheckpointError::Damaged)?;
    if found != version {
        return Err(CheckpointError::Version { found, known: version });
    }
    let (octets, stated) = octets.split_last_chunk().ok_or(CheckpointError::Damaged)?;
    if *stated != check(octets) {
        return Err(CheckpointError::Damaged);
    }
    match postcard::take_from_bytes(octets.get(1..).unwrap_or_default()) {
        Ok((value, [])) => Ok(value),
        _ => Err(CheckpointError::Damaged),
    }
}

fn check(octets: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = HashAlgorithm::Sha256.hash(octets);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hash.as_bytes()[..CHECK_BYTES]);
    check
}
