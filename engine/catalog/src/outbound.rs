//! Files to be sent: the queue, and what became of each.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use odile_wire::command::FileFormat;
use odile_wire::{DateStamp, FileId, Level, TimeStamp, UserData, VariableText};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use serde::Serialize;

use crate::column;
use crate::database::Catalog;
use crate::error::{CatalogError, Failure};
use crate::event;
use crate::json;
use crate::services::Services;
use crate::stamp;
use crate::state::OutboundState;
use crate::transfer_ref::TransferRef;
use crate::transmitted::Transmitted;

/// A file to be sent, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOutbound {
    /// Name of the partner in the configuration.
    pub partner: String,
    /// Its identity; the counter of the time stamp may be raised to make it unique.
    pub file: FileId,
    /// SFIDUSER.
    pub user: UserData,
    /// SFIDFMT.
    pub format: FileFormat,
    /// SFIDLRECL: octets of the longest record, 0 for U and T.
    pub record_size: u32,
    /// The file on this machine.
    pub source: PathBuf,
    /// What the source looked like when it was queued: one that changed is never resumed.
    pub source_identity: SourceIdentity,
    /// What to do with the source once it is delivered.
    pub after_delivery: AfterDelivery,
    /// SFIDDESC.
    pub description: VariableText,
    /// The name that the file had where it came from.
    pub original_name: String,
    /// What is to be done to it on its way, and whether its receipt must be signed.
    pub services: Services,
}

/// Tells whether a source is still the file that was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SourceIdentity {
    /// Length in octets.
    pub size: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Inode number.
    pub inode: u64,
    /// Device number.
    pub device: u64,
}

/// What to do with a source once its EERP is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterDelivery {
    /// Leave it.
    Keep,
    /// Delete it.
    DeleteSource,
}

/// A file to be sent, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outbound {
    /// The number, 12 in `S12`.
    #[serde(serialize_with = "json::outbound_id")]
    pub id: i64,
    /// Name of the partner in the configuration.
    pub partner: String,
    /// Its identity, unique for the partner.
    #[serde(serialize_with = "json::file")]
    pub file: FileId,
    /// SFIDUSER.
    #[serde(serialize_with = "json::shown")]
    pub user: UserData,
    /// SFIDFMT.
    #[serde(serialize_with = "json::format")]
    pub format: FileFormat,
    /// SFIDLRECL: octets of the longest record, 0 for U and T.
    pub record_size: u32,
    /// The file on this machine.
    #[serde(serialize_with = "json::path")]
    pub source: PathBuf,
    /// What the source looked like when it was queued.
    pub source_identity: SourceIdentity,
    /// What to do with the source once it is delivered.
    pub after_delivery: AfterDelivery,
    /// SFIDDESC.
    #[serde(serialize_with = "json::shown")]
    pub description: VariableText,
    /// The name that the file had where it came from.
    pub original_name: String,
    /// What is done to it on its way, and whether its receipt must be signed: fixed when it was queued.
    pub services: Services,
    /// The stream as it went out last; `None` until it was sent.
    pub transmitted: Option<Transmitted>,
    /// Where it stands.
    pub state: OutboundState,
    /// Why it stands there; may be empty.
    pub detail: String,
    /// Octets of the transmitted stream that are known to have been sent; 0: from the start.
    pub position_bytes: u64,
    /// Octets of the transmitted stream in all, as far as known: an estimate for what is sealed.
    pub total_bytes: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// Attempts in a row that moved nothing.
    pub fruitless: u32,
    /// Not tried before this time, in unix milliseconds.
    pub not_before_ms: i64,
    /// When it was first offered to the partner, in unix milliseconds.
    pub first_offered_ms: Option<i64>,
    /// When it was queued, in unix milliseconds.
    pub created_ms: i64,
    /// When anything of it last changed, in unix milliseconds.
    pub changed_ms: i64,
}

impl AfterDelivery {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::DeleteSource => "delete-source",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Keep, Self::DeleteSource].into_iter().find(|after| after.as_str() == name)
    }
}

impl Catalog {
    /// Queues a file and gives its number. If the partner already has a file of this name, date and time, the
    /// counter of the time stamp is raised until it is unique: the identity as stored is in the result.
    pub fn enqueue(&mut self, new: &NewOutbound, now_ms: i64) -> Result<Outbound, CatalogError> {
        self.enqueue_for_level(new, Level::V2_0, now_ms)
    }

    /// As [`Self::enqueue`], for a partner that speaks no more than `level`. Levels 1 and 2 do not transmit the
    /// counter (RFC 2204 §5.3.3): there, files of one name get seconds of their own.
    pub fn enqueue_for_level(
        &mut self,
        new: &NewOutbound,
        level: Level,
        now_ms: i64,
    ) -> Result<Outbound, CatalogError> {
        let source_bytes = column::signed("file size", new.source_identity.size)?;
        new.services.require_storable()?;
        self.write("queue a file in", |tx| {
            let (date, time) = free_stamp(tx, new, level)?;
            tx.prepare_cached(INSERT)?.execute(named_params! {
                ":partner": new.partner,
                ":dataset_name": new.file.dataset_name.octets(),
                ":date": date.to_string(),
                ":time": time.to_string(),
                ":destination": new.file.destination.octets(),
                ":originator": new.file.originator.octets(),
                ":user": new.user.octets(),
                ":format": new.format.letter(),
                ":record_size": new.record_size,
                ":source": new.source.as_os_str().as_bytes(),
                ":source_bytes": source_bytes,
                ":source_mtime_ns": new.source_identity.mtime_ns,
                ":source_inode": new.source_identity.inode.cast_signed(),
                ":source_device": new.source_identity.device.cast_signed(),
                ":after_delivery": new.after_delivery.as_str(),
                ":description": new.description.octets(),
                ":original_name": new.original_name,
                ":security": new.services.security,
                ":suite": new.services.suite,
                ":compression": new.services.compression,
                ":signed_receipt": new.services.signed_receipt,
                ":state": OutboundState::Queued.as_str(),
                ":now": now_ms,
            })?;
            let id = tx.last_insert_rowid();
            let stored = existing(tx, id)?;
            let line = format!("queued for {} as {}", new.partner, stored.file);
            event::append(tx, TransferRef::Outbound(id), &line, now_ms)?;
            Ok(stored)
        })
    }

    /// The file of this number.
    pub fn outbound(&self, id: i64) -> Result<Option<Outbound>, CatalogError> {
        self.read("read a file to be sent from", |connection| find(connection, id))
    }

    /// The latest transfer of the file at this path; `None` if there was none.
    pub fn outbound_by_source(&self, source: &Path) -> Result<Option<Outbound>, CatalogError> {
        self.read("read a file to be sent from", |connection| {
            let found = connection
                .prepare_cached("SELECT * FROM outbound WHERE source = ?1 ORDER BY id DESC LIMIT 1")?
                .query_row([source.as_os_str().as_bytes()], from_row)
                .optional()?;
            Ok(found)
        })
    }

    /// The next file for the partner: the lowest number among those that are queued and due. What would be due only
    /// after longer than anything is ever put off, is due: the clock was set back.
    pub fn next_outbound(&self, partner: &str, now_ms: i64) -> Result<Option<Outbound>, CatalogError> {
        self.read("read the queue of", |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT * FROM outbound WHERE state = 'queued' AND partner = ?1
                         AND (not_before_ms <= ?2 OR not_before_ms > ?3)
                     ORDER BY id LIMIT 1",
                )?
                .query_row(params![partner, now_ms, beyond_waiting(now_ms)], from_row)
                .optional()?;
            Ok(found)
        })
    }

    /// Partners with files that are queued and due, or with receipts owed; in alphabetical order.
    pub fn partners_with_work(&self, now_ms: i64) -> Result<Vec<String>, CatalogError> {
        self.read("read the queue of", |connection| {
            // From one partner to the next in the index, so that long queues are not read through.
            let mut statement = connection.prepare_cached(
                "WITH RECURSIVE
                     queued (name) AS (
                         SELECT min(partner) FROM outbound WHERE state = 'queued'
                         UNION ALL
                         SELECT (SELECT min(partner) FROM outbound WHERE state = 'queued' AND partner > name)
                         FROM queued WHERE name IS NOT NULL),
                     owed (name) AS (
                         SELECT min(partner) FROM receipt_owed WHERE state = 'owed'
                         UNION ALL
                         SELECT (SELECT min(partner) FROM receipt_owed WHERE state = 'owed' AND partner > name)
                         FROM owed WHERE name IS NOT NULL)
                 SELECT name FROM queued WHERE name IS NOT NULL AND EXISTS (
                     SELECT 1 FROM outbound INDEXED BY outbound_by_state
                     WHERE state = 'queued' AND partner = name AND (not_before_ms <= ?1 OR not_before_ms > ?2))
                 UNION SELECT name FROM owed WHERE name IS NOT NULL ORDER BY 1",
            )?;
            let partners = statement.query_map([now_ms, beyond_waiting(now_ms)], |row| row.get(0))?;
            Ok(partners.collect::<Result<_, _>>()?)
        })
    }

    /// The earliest time at which a queued file is due; `None` if none is queued. May be in the past.
    pub fn next_due_ms(&self) -> Result<Option<i64>, CatalogError> {
        self.read("read the queue of", |connection| {
            let due = connection
                .prepare_cached("SELECT min(not_before_ms) FROM outbound WHERE state = 'queued'")?
                .query_row([], |row| row.get(0))?;
            Ok(due)
        })
    }

    /// Notes at all files that are queued for the partner why they still wait, without changing when they are due.
    pub fn explain_waiting(&mut self, partner: &str, detail: &str, now_ms: i64) -> Result<(), CatalogError> {
        self.write("note why files wait in", |tx| {
            let waiting: Vec<i64> = tx
                .prepare_cached(
                    "SELECT id FROM outbound WHERE state = 'queued' AND partner = ?1 AND detail <> ?2",
                )?
                .query_map(params![partner, detail], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for id in waiting {
                tx.prepare_cached("UPDATE outbound SET detail = ?2, changed_ms = ?3 WHERE id = ?1")?
                    .execute(params![id, detail, now_ms])?;
                event::append(tx, TransferRef::Outbound(id), &event::line("queued", detail), now_ms)?;
            }
            Ok(())
        })
    }

    /// The file that a receipt for `file` settles, in a session of this level: one that was offered to the partner
    /// and has no receipt yet, or none that proves anything. At levels 1 and 2 several may match; then those that
    /// were sent come first, and of these the oldest.
    pub fn outbound_awaiting_receipt(
        &self,
        partner: &str,
        file: &FileId,
        level: Level,
    ) -> Result<Option<Outbound>, CatalogError> {
        self.read("look for the file of a receipt in", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM outbound
                 WHERE partner = ?1 AND dataset_name = ?2 AND substr(time, 1, 6) = ?3
                     AND first_offered_ms IS NOT NULL AND state NOT IN ('delivered', 'rejected')
                 ORDER BY state = 'sent' DESC, state = 'sending' DESC, state = 'unproven' DESC, id",
            )?;
            let second = &file.time.to_string()[..6];
            let mut rows = statement.query(params![partner, file.dataset_name.octets(), second])?;
            while let Some(row) = rows.next()? {
                let candidate = from_row(row)?;
                if candidate.file.matches_at(file, level) {
                    return Ok(Some(candidate));
                }
            }
            Ok(None)
        })
    }

    /// All files that are not in a final state, oldest first.
    pub fn queue(&self) -> Result<Vec<Outbound>, CatalogError> {
        self.read("read the queue of", |connection| {
            let query = format!("SELECT * FROM outbound WHERE {UNSETTLED} ORDER BY id");
            let mut statement = connection.prepare_cached(&query)?;
            let files = statement.query_map([], from_row)?;
            Ok(files.collect::<Result<_, _>>()?)
        })
    }

    /// The numbers of all files that are not in a final state, lowest first: what was stored to send them again
    /// octet for octet must be kept.
    pub fn outbound_unsettled(&self) -> Result<Vec<i64>, CatalogError> {
        self.read("read the queue of", |connection| {
            let query = format!("SELECT id FROM outbound WHERE {UNSETTLED} ORDER BY id");
            let mut statement = connection.prepare_cached(&query)?;
            let ids = statement.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
    }

    /// To be called at start: whatever was being sent when the process ended is queued again and due at once; its
    /// position is kept. Gives how many there were.
    pub fn requeue_interrupted(&mut self, now_ms: i64) -> Result<u64, CatalogError> {
        self.write("queue interrupted files again in", |tx| {
            let ids: Vec<i64> = tx
                .prepare_cached("SELECT id FROM outbound WHERE state = 'sending' ORDER BY id")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut update = tx.prepare_cached(
                "UPDATE outbound SET state = 'queued', detail = ?2, not_before_ms = ?3, changed_ms = ?3
                 WHERE id = ?1",
            )?;
            let mut count = 0;
            for id in ids {
                update.execute(params![id, INTERRUPTED, now_ms])?;
                let line = event::line(OutboundState::Queued.as_str(), INTERRUPTED);
                event::append(tx, TransferRef::Outbound(id), &line, now_ms)?;
                count += 1;
            }
            Ok(count)
        })
    }
}

pub(crate) fn find(connection: &Connection, id: i64) -> Result<Option<Outbound>, Failure> {
    let mut statement = connection.prepare_cached("SELECT * FROM outbound WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

pub(crate) fn existing(connection: &Connection, id: i64) -> Result<Outbound, Failure> {
    find(connection, id)?
        .ok_or_else(|| CatalogError::NoSuchTransfer { transfer: TransferRef::Outbound(id) }.into())
}

pub(crate) fn illegal(id: i64, from: OutboundState, to: OutboundState) -> CatalogError {
    CatalogError::IllegalTransition {
        transfer: TransferRef::Outbound(id),
        from: from.as_str(),
        to: to.as_str(),
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Outbound> {
    Ok(Outbound {
        id: row.get("id")?,
        partner: row.get("partner")?,
        file: column::file(row)?,
        user: column::text(row, "user")?,
        format: FileFormat::from_letter(column::unsigned(row, "format")?),
        record_size: column::unsigned(row, "record_size")?,
        source: OsString::from_vec(row.get("source")?).into(),
        source_identity: SourceIdentity {
            size: column::unsigned(row, "source_bytes")?,
            mtime_ns: row.get("source_mtime_ns")?,
            inode: row.get::<_, i64>("source_inode")?.cast_unsigned(),
            device: row.get::<_, i64>("source_device")?.cast_unsigned(),
        },
        after_delivery: column::parsed(row, "after_delivery", |name: String| {
            AfterDelivery::from_name(&name)
        })?,
        description: column::variable_text(row, "description")?,
        original_name: row.get("original_name")?,
        services: Services::from_row(row)?,
        transmitted: Transmitted::from_row(row)?,
        state: column::parsed(row, "state", |name: String| OutboundState::from_name(&name))?,
        detail: row.get("detail")?,
        position_bytes: column::unsigned(row, "position_bytes")?,
        total_bytes: column::optional_unsigned(row, "total_bytes")?,
        attempts: column::unsigned(row, "attempts")?,
        fruitless: column::unsigned(row, "fruitless")?,
        not_before_ms: row.get("not_before_ms")?,
        first_offered_ms: row.get("first_offered_ms")?,
        created_ms: row.get("created_ms")?,
        changed_ms: row.get("changed_ms")?,
    })
}

/// No file is put off longer than until then.
fn beyond_waiting(now_ms: i64) -> i64 {
    now_ms.saturating_add(WAIT_MAX_MS)
}

/// The first free stamp for a file, from its own on. Free: no other file of this name for this partner looks the
/// same at this level.
fn free_stamp(
    connection: &Connection,
    new: &NewOutbound,
    level: Level,
) -> Result<(DateStamp, TimeStamp), Failure> {
    let none_left = || CatalogError::NoStampLeft {
        dataset_name: new.file.dataset_name.to_string(),
        date: new.file.date.to_string(),
        time: new.file.time.to_string(),
    };
    // The latest stamp of a day that lies in a range: one look at the index.
    let mut latest = connection.prepare_cached(
        "SELECT max(time) FROM outbound
         WHERE partner = ?1 AND dataset_name = ?2 AND date = ?3 AND time BETWEEN ?4 AND ?5",
    )?;
    let mut latest_between = |date: DateStamp, from: &str, to: &str| -> Result<Option<TimeStamp>, Failure> {
        let name = new.file.dataset_name.octets();
        let found: Option<String> =
            latest.query_row(params![new.partner, name, date.to_string(), from, to], |row| row.get(0))?;
        Ok(found.and_then(|digits| TimeStamp::new(digits.into_bytes().try_into().ok()?)))
    };
    let mut date = new.file.date;
    let mut time = new.file.time;
    if stamp::counter(&time) == 0 {
        time = stamp::with_counter(&time, COUNTER_FIRST).unwrap_or(time);
    }
    loop {
        let shown = time.to_string();
        let second = &shown[..6];
        let (from, to) = (format!("{second}0000"), format!("{second}9999"));
        let last_of_second = latest_between(date, &from, &to)?;
        let next = if level < Level::V1_4 {
            if last_of_second.is_none() {
                return Ok((date, time));
            }
            // Over all that are taken later on this day, so that many files do not take many looks.
            let last_of_day = latest_between(date, &from, "9999999999")?.unwrap_or(time);
            stamp::next_second(date, &last_of_day)
        } else {
            if latest_between(date, &shown, &shown)?.is_none() {
                return Ok((date, time));
            }
            let last_counter = stamp::counter(&last_of_second.unwrap_or(time));
            stamp::with_counter(&time, last_counter + 1)
                .map(|time| (date, time))
                .or_else(|| stamp::next_second(date, &time))
        };
        (date, time) = next.ok_or_else(none_left)?;
    }
}

/// States that are not final, see [`OutboundState::is_final`].
const UNSETTLED: &str = "state IN ('queued', 'sending', 'sent', 'unproven', 'held')";

/// The first counter of a second (RFC 5024 §5.3.3, SFIDTIME: 0001 to 9999).
const COUNTER_FIRST: u16 = 1;

/// A day, the longest wait that can be configured, and as much again by chance.
const WAIT_MAX_MS: i64 = 2 * 24 * 60 * 60 * 1000;

/// Detail of a file that was being sent when the process ended.
const INTERRUPTED: &str = "the station ended while it was being sent";

const INSERT: &str = "INSERT INTO outbound (
        partner, dataset_name, date, time, destination, originator, user, format, record_size,
        source, source_bytes, source_mtime_ns, source_inode, source_device,
        after_delivery, description, original_name, security, suite, compression, signed_receipt,
        state, not_before_ms, created_ms, changed_ms)
    VALUES (
        :partner, :dataset_name, :date, :time, :destination, :originator, :user, :format, :record_size,
        :source, :source_bytes, :source_mtime_ns, :source_inode, :source_device,
        :after_delivery, :description, :original_name, :security, :suite, :compression, :signed_receipt,
        :state, :now, :now, :now)";
