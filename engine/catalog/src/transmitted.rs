//! The stream of a file as it crossed the network: what a signed receipt vouches for.

use rusqlite::Row;
use serde::Serialize;

use crate::column;
use crate::error::CatalogError;
use crate::json;

/// A file as it was transmitted: after signing, compressing and encrypting, before framing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transmitted {
    /// Octets of the stream.
    pub octets: u64,
    /// Its hash, as EERPHSH and NERPHSH carry it; empty: not computed.
    #[serde(serialize_with = "json::hex")]
    pub hash: Vec<u8>,
}

impl Transmitted {
    /// What goes into `transmitted_octets` and `transmitted_hash`.
    pub(crate) fn columns(this: Option<&Self>) -> Result<(Option<i64>, Option<&[u8]>), CatalogError> {
        let Some(Self { octets, hash }) = this else { return Ok((None, None)) };
        Ok((Some(column::signed("size of the transmitted file", *octets)?), Some(hash.as_slice())))
    }

    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let Some(hash) = row.get("transmitted_hash")? else { return Ok(None) };
        Ok(Some(Self { octets: column::unsigned(row, "transmitted_octets")?, hash }))
    }
}
