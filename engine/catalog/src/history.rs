//! The history: both directions in one list, and everything about one transfer.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::column;
use crate::database::Catalog;
use crate::error::{CatalogError, Failure};
use crate::event::{self, Event};
use crate::inbound::{self, Inbound};
use crate::outbound::{self, Outbound};
use crate::receipt::{self, ReceiptSummary};
use crate::services::Services;
use crate::transfer_ref::TransferRef;

/// Which part of the history is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only this partner's transfers; `None`: all.
    pub partner: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Everybody's last hundred transfers.
impl Default for HistoryFilter {
    fn default() -> Self {
        Self { partner: None, limit: 100 }
    }
}

/// One line of the history, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// `S12` or `R7`.
    pub transfer: TransferRef,
    /// Name of the partner in the configuration.
    pub partner: String,
    /// SFIDDSN.
    pub dataset_name: String,
    /// SFIDDATE, `CCYYMMDD`.
    pub date: String,
    /// SFIDTIME, `HHMMSScccc`.
    pub time: String,
    /// SFIDORIG.
    pub originator: String,
    /// SFIDDEST.
    pub destination: String,
    /// What is done to it on its way, and whether its receipt must be signed.
    pub services: Services,
    /// Where it stands.
    pub state: String,
    /// Why it stands there; may be empty.
    pub detail: String,
    /// Octets of the original file; 0 for one that is still being received.
    pub octets: u64,
    /// The file on this machine: the source, or where it was put.
    pub path: Option<String>,
    /// When it was queued or first offered, in unix milliseconds.
    pub created_ms: i64,
    /// When anything of it last changed, in unix milliseconds.
    pub changed_ms: i64,
}

/// Everything about one transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TransferDetail {
    /// The line of the history.
    pub entry: HistoryEntry,
    /// The row behind it.
    pub file: Transfer,
    /// Its receipts, oldest first.
    pub receipts: Vec<ReceiptSummary>,
    /// Its story, oldest line first.
    pub events: Vec<Event>,
}

/// A transfer of either direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Transfer {
    /// A file to be sent.
    Outbound(Outbound),
    /// A file received.
    Inbound(Inbound),
}

impl Catalog {
    /// Transfers of both directions; those that changed last come first.
    pub fn history(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEntry>, CatalogError> {
        self.read("read the history of", |connection| {
            // Each direction is cut to the limit first, along its index, before both are merged.
            let query = format!(
                "SELECT * FROM (
                     SELECT * FROM ({OUTBOUND} WHERE ?1 IS NULL OR partner = ?1 ORDER BY changed_ms DESC, id DESC LIMIT ?2)
                     UNION ALL
                     SELECT * FROM ({INBOUND} WHERE ?1 IS NULL OR partner = ?1 ORDER BY changed_ms DESC, id DESC LIMIT ?2))
                 ORDER BY changed_ms DESC, id DESC, direction LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&query)?;
            let entries = statement.query_map(params![filter.partner, filter.limit], from_row)?;
            Ok(entries.collect::<Result<_, _>>()?)
        })
    }

    /// Everything about one transfer; `None` if there is none of this number.
    pub fn show(&self, reference: TransferRef) -> Result<Option<TransferDetail>, CatalogError> {
        self.read("read a transfer from", |connection| {
            let file = match reference {
                TransferRef::Outbound(id) => outbound::find(connection, id)?.map(Transfer::Outbound),
                TransferRef::Inbound(id) => inbound::find(connection, id)?.map(Transfer::Inbound),
            };
            let (Some(file), Some(entry)) = (file, entry_of(connection, reference)?) else {
                return Ok(None);
            };
            let receipts = receipt::of(connection, reference)?;
            let events = event::of(connection, reference)?;
            Ok(Some(TransferDetail { entry, file, receipts, events }))
        })
    }
}

fn entry_of(connection: &Connection, reference: TransferRef) -> Result<Option<HistoryEntry>, Failure> {
    let (id, query) = match reference {
        TransferRef::Outbound(id) => (id, format!("{OUTBOUND} WHERE id = ?1")),
        TransferRef::Inbound(id) => (id, format!("{INBOUND} WHERE id = ?1")),
    };
    Ok(connection.prepare_cached(&query)?.query_row([id], from_row).optional()?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<HistoryEntry> {
    let file = column::file(row)?;
    let id = row.get("id")?;
    let transfer = column::parsed(row, "direction", |direction: String| match direction.as_str() {
        "S" => Some(TransferRef::Outbound(id)),
        "R" => Some(TransferRef::Inbound(id)),
        _ => None,
    })?;
    // A path is stored as octets where it is a source, as text where we chose it.
    let path: Option<Vec<u8>> = row.get("path")?;
    Ok(HistoryEntry {
        transfer,
        partner: row.get("partner")?,
        dataset_name: file.dataset_name.to_string(),
        date: file.date.to_string(),
        time: file.time.to_string(),
        originator: file.originator.to_string(),
        destination: file.destination.to_string(),
        services: Services::from_row(row)?,
        state: row.get("state")?,
        detail: row.get("detail")?,
        octets: column::unsigned(row, "octets")?,
        path: path.map(|octets| String::from_utf8_lossy(&octets).into_owned()),
        created_ms: row.get("created_ms")?,
        changed_ms: row.get("changed_ms")?,
    })
}

const OUTBOUND: &str =
    "SELECT 'S' AS direction, id, partner, dataset_name, date, time, destination, originator,
    security, suite, compression, signed_receipt, state, detail, source_bytes AS octets, source AS path, created_ms, changed_ms FROM outbound";

const INBOUND: &str =
    "SELECT 'R' AS direction, id, partner, dataset_name, date, time, destination, originator,
    security, suite, compression, signed_receipt, state, detail, octets, CAST(final_path AS BLOB) AS path, created_ms, changed_ms FROM inbound";
