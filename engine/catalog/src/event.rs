//! The story of a transfer, line by line.

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::database::Catalog;
use crate::error::{CatalogError, Failure};
use crate::transfer_ref::TransferRef;

/// One line of a transfer's story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// What happened.
    pub text: String,
}

impl Catalog {
    /// Adds a line to the story of a transfer. Changes of state add theirs by themselves.
    pub fn note(&mut self, transfer: TransferRef, text: &str, now_ms: i64) -> Result<(), CatalogError> {
        self.write("note an event in", |tx| {
            let query = match transfer {
                TransferRef::Outbound(_) => "SELECT EXISTS (SELECT 1 FROM outbound WHERE id = ?1)",
                TransferRef::Inbound(_) => "SELECT EXISTS (SELECT 1 FROM inbound WHERE id = ?1)",
            };
            let (TransferRef::Outbound(id) | TransferRef::Inbound(id)) = transfer;
            let exists: bool = tx.prepare_cached(query)?.query_row([id], |row| row.get(0))?;
            if !exists {
                return Err(CatalogError::NoSuchTransfer { transfer }.into());
            }
            append(tx, transfer, text, now_ms)
        })
    }
}

/// Adds a line, and drops the oldest beyond [`EVENTS_PER_TRANSFER_MAX`].
pub(crate) fn append(
    connection: &Connection,
    transfer: TransferRef,
    text: &str,
    now_ms: i64,
) -> Result<(), Failure> {
    let mut end = text.len().min(EVENT_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    let (outbound_id, inbound_id, trim) = match transfer {
        TransferRef::Outbound(id) => (
            Some(id),
            None,
            "DELETE FROM event WHERE outbound_id = ?1 AND id <=
             (SELECT id FROM event WHERE outbound_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        ),
        TransferRef::Inbound(id) => (
            None,
            Some(id),
            "DELETE FROM event WHERE inbound_id = ?1 AND id <=
             (SELECT id FROM event WHERE inbound_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        ),
    };
    connection
        .prepare_cached("INSERT INTO event (outbound_id, inbound_id, at_ms, text) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![outbound_id, inbound_id, now_ms, text])?;
    connection.prepare_cached(trim)?.execute(params![outbound_id.or(inbound_id), EVENTS_PER_TRANSFER_MAX])?;
    Ok(())
}

/// The lines of a transfer, oldest first.
pub(crate) fn of(connection: &Connection, transfer: TransferRef) -> Result<Vec<Event>, Failure> {
    let (id, query) = match transfer {
        TransferRef::Outbound(id) => (id, "SELECT at_ms, text FROM event WHERE outbound_id = ?1 ORDER BY id"),
        TransferRef::Inbound(id) => (id, "SELECT at_ms, text FROM event WHERE inbound_id = ?1 ORDER BY id"),
    };
    let mut statement = connection.prepare_cached(query)?;
    let events = statement.query_map([id], |row| Ok(Event { at_ms: row.get(0)?, text: row.get(1)? }))?;
    Ok(events.collect::<Result<_, _>>()?)
}

/// `Sending`, or `Failed: the reason`.
pub(crate) fn line(state: &str, detail: &str) -> String {
    if detail.is_empty() { state.to_owned() } else { format!("{state}: {detail}") }
}

/// Lines kept of one transfer: a file that is tried every minute must not fill the disk. The oldest go first.
pub const EVENTS_PER_TRANSFER_MAX: u32 = 500;

/// Octets of one line: a screenful. What is longer is cut.
pub const EVENT_TEXT_BYTES_MAX: usize = 2000;
