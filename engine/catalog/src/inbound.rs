//! Files received. The order that survives a crash at any point:
//!
//! ```text
//! begin_inbound   Receiving    the .part file may be there
//!   inbound_position           the octets up to it are synced, and those after it may be lost
//! (synced)
//! landing         Landing      the .part file is complete; the final path is known
//! (renamed)
//! received        Received     the file is in its place, and its receipt is owed: one transaction
//! ```
//! After a crash, a row in `Landing` says where to look: if the `.part` file is there, rename it; if the final path
//! is there, it was renamed; then call [`Catalog::received`]. A row in `Receiving` with a position can go on there,
//! once the partner offers the file again: [`Catalog::resume_inbound`].

use odile_wire::command::FileFormat;
use odile_wire::{FileId, IdentificationCode, UserData, VariableText};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params, params};
use serde::Serialize;

use crate::column;
use crate::database::Catalog;
use crate::error::{CatalogError, Failure};
use crate::event;
use crate::json;
use crate::receipt::{self, NewReceipt, ReceiptKind};
use crate::resumption;
use crate::services::Services;
use crate::state::InboundState;
use crate::transfer_ref::TransferRef;
use crate::transmitted::Transmitted;

/// A file that a partner offers, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInbound {
    /// Name of the partner in the configuration.
    pub partner: String,
    /// Its identity, as announced.
    pub file: FileId,
    /// SFIDUSER: echoed in the receipt.
    pub user: UserData,
    /// SFIDFMT.
    pub format: FileFormat,
    /// SFIDLRECL: octets of the longest record, 0 for U and T.
    pub record_size: u32,
    /// SFIDFSIZ: an estimate, in blocks of 1024 octets.
    pub announced_blocks: u64,
    /// SFIDDESC.
    pub description: VariableText,
    /// Name of the `.part` file in the spool.
    pub part_name: String,
    /// What was done to it on its way, and whether its receipt must be signed, as announced.
    pub services: Services,
}

/// A complete file that is about to be renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Landing {
    /// Where it will be.
    pub final_path: String,
    /// Octets of the complete file.
    pub octets: u64,
    /// Records of the complete file, for F and V.
    pub records: u64,
    /// Digest of the complete file, if one was made.
    pub digest: Option<String>,
    /// The stream as it came: what a signed receipt vouches for.
    pub transmitted: Option<Transmitted>,
    /// Who signed the content, in one line; `None` if nobody did.
    pub signer: Option<String>,
}

/// A file received, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inbound {
    /// The number, 7 in `R7`.
    #[serde(serialize_with = "json::inbound_id")]
    pub id: i64,
    /// Name of the partner in the configuration.
    pub partner: String,
    /// Its identity, octet for octet as announced.
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
    /// SFIDFSIZ: an estimate, in blocks of 1024 octets.
    pub announced_blocks: u64,
    /// SFIDDESC.
    #[serde(serialize_with = "json::shown")]
    pub description: VariableText,
    /// Name of the `.part` file in the spool.
    pub part_name: String,
    /// What was done to it on its way, and whether its receipt must be signed, as announced.
    pub services: Services,
    /// Where it stands.
    pub state: InboundState,
    /// Why it stands there; may be empty.
    pub detail: String,
    /// Octets of the transmitted stream that are safely here, while it is [`InboundState::Receiving`]: where it can go
    /// on; 0: from the start.
    pub position_bytes: u64,
    /// Where it was put; known from [`InboundState::Landing`] on.
    pub final_path: Option<String>,
    /// Octets of the complete file; 0 until [`InboundState::Landing`].
    pub octets: u64,
    /// Records of the complete file, for F and V; 0 until [`InboundState::Landing`].
    pub records: u64,
    /// Digest of the complete file, if one was made.
    pub digest: Option<String>,
    /// The stream as it came, if that was noted at [`InboundState::Landing`].
    pub transmitted: Option<Transmitted>,
    /// Who signed the content, in one line; `None` if nobody did, or until [`InboundState::Landing`].
    pub signer: Option<String>,
    /// When it was first offered, in unix milliseconds.
    pub created_ms: i64,
    /// When anything of it last changed, in unix milliseconds.
    pub changed_ms: i64,
}

impl Catalog {
    /// The file of this identity from this partner, whatever became of it: to recognise duplicates and files to be
    /// resumed. Date, time and name are compared exactly as they came, Identification Codes without case.
    pub fn known_inbound(&self, partner: &str, file: &FileId) -> Result<Option<Inbound>, CatalogError> {
        self.read("look for a received file in", |connection| find_key(connection, partner, file))
    }

    /// The received file of this number.
    pub fn inbound(&self, id: i64) -> Result<Option<Inbound>, CatalogError> {
        self.read("read a received file from", |connection| find(connection, id))
    }

    /// Begins to receive a file. One of the same identity that is `Receiving` or `Failed` is taken up again: it
    /// keeps its number and its `.part` name, all else becomes what is announced now; its position is 0. A negative
    /// receipt that is still owed for it is withdrawn.
    ///
    /// # Errors
    /// [`CatalogError::AlreadyKnown`] if the file is `Landing` or `Received`: a duplicate.
    pub fn begin_inbound(&mut self, new: &NewInbound, now_ms: i64) -> Result<Inbound, CatalogError> {
        new.services.require_storable()?;
        if self.known_inbound(&new.partner, &new.file)?.is_none() {
            // Nothing depends on it until it lands, which is durable after it.
            return self.write_soon(BEGIN, |tx| begin(tx, new, now_ms));
        }
        self.write(BEGIN, |tx| begin(tx, new, now_ms))
    }

    /// All octets are synced and verified, and the file is about to be renamed.
    pub fn landing(&mut self, id: i64, landing: &Landing, now_ms: i64) -> Result<(), CatalogError> {
        let octets = column::signed("file size", landing.octets)?;
        let records = column::signed("record count", landing.records)?;
        let (transmitted_octets, transmitted_hash) = Transmitted::columns(landing.transmitted.as_ref())?;
        self.write("land a received file in", |tx| {
            require(&existing(tx, id)?, InboundState::Landing)?;
            tx.prepare_cached(
                "UPDATE inbound SET
                     state = 'landing', detail = '', final_path = :final_path, octets = :octets,
                     records = :records, digest = :digest, transmitted_octets = :transmitted_octets,
                     transmitted_hash = :transmitted_hash, signer = :signer, changed_ms = :now
                 WHERE id = :id",
            )?
            .execute(named_params! {
                ":final_path": landing.final_path,
                ":octets": octets,
                ":records": records,
                ":digest": landing.digest,
                ":transmitted_octets": transmitted_octets,
                ":transmitted_hash": transmitted_hash,
                ":signer": landing.signer,
                ":now": now_ms,
                ":id": id,
            })?;
            let mut line = format!("landing: {octets} octets as {}", landing.final_path);
            if let Some(signer) = &landing.signer {
                line.push_str(", signed by ");
                line.push_str(signer);
            }
            event::append(tx, TransferRef::Inbound(id), &line, now_ms)
        })
    }

    /// The file was renamed to its final path: it is `Received`, and its receipt is owed from now on. With a
    /// negative receipt it is `Failed` instead, and may be so from `Receiving` on: the file came, but is of no use.
    pub fn received(&mut self, id: i64, receipt: &NewReceipt, now_ms: i64) -> Result<(), CatalogError> {
        let (state, detail) = match &receipt.kind {
            ReceiptKind::Positive => (InboundState::Received, String::new()),
            ReceiptKind::Negative { .. } => (InboundState::Failed, receipt.kind.to_string()),
        };
        self.write("finish a received file in", |tx| {
            let before = existing(tx, id)?;
            require(&before, state)?;
            set_state(tx, id, state, &detail, now_ms)?;
            receipt::withdraw(tx, id)?;
            receipt::owe(tx, &before, receipt, now_ms)
        })
    }

    /// The file is given up, without a receipt: it was refused, or broke off for good.
    pub fn failed_inbound(&mut self, id: i64, detail: &str, now_ms: i64) -> Result<(), CatalogError> {
        self.write("give up a received file in", |tx| {
            require(&existing(tx, id)?, InboundState::Failed)?;
            set_state(tx, id, InboundState::Failed, detail, now_ms)
        })
    }

    /// All received files in this state, oldest first: for recovery at start.
    pub fn inbound_in(&self, state: InboundState) -> Result<Vec<Inbound>, CatalogError> {
        self.read("read the received files of", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT * FROM inbound WHERE state = ?1 ORDER BY id")?;
            let files = statement.query_map([state.as_str()], from_row)?;
            Ok(files.collect::<Result<_, _>>()?)
        })
    }
}

fn begin(tx: &Transaction<'_>, new: &NewInbound, now_ms: i64) -> Result<Inbound, Failure> {
    let (id, line) = match find_key(tx, &new.partner, &new.file)? {
        None => {
            insert(tx, new, now_ms)?;
            (tx.last_insert_rowid(), format!("offered by {} as {}", new.partner, new.file))
        }
        Some(known) if known.state.may_become(InboundState::Receiving) => {
            resumption::take_up(tx, known.id, new, 0, now_ms)?;
            (known.id, "offered again".to_owned())
        }
        Some(known) => return Err(duplicate(&known).into()),
    };
    event::append(tx, TransferRef::Inbound(id), &line, now_ms)?;
    existing(tx, id)
}

pub(crate) fn find(connection: &Connection, id: i64) -> Result<Option<Inbound>, Failure> {
    let mut statement = connection.prepare_cached("SELECT * FROM inbound WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

pub(crate) fn existing(connection: &Connection, id: i64) -> Result<Inbound, Failure> {
    find(connection, id)?
        .ok_or_else(|| CatalogError::NoSuchTransfer { transfer: TransferRef::Inbound(id) }.into())
}

pub(crate) fn find_key(
    connection: &Connection,
    partner: &str,
    file: &FileId,
) -> Result<Option<Inbound>, Failure> {
    let found = connection
        .prepare_cached(
            "SELECT * FROM inbound
             WHERE partner = ?1 AND dataset_name = ?2 AND date = ?3 AND time = ?4
                 AND originator_key = ?5 AND destination_key = ?6",
        )?
        .query_row(
            params![
                partner,
                file.dataset_name.octets(),
                file.date.to_string(),
                file.time.to_string(),
                key(&file.originator),
                key(&file.destination),
            ],
            from_row,
        )
        .optional()?;
    Ok(found)
}

/// All 25 octets in upper case: equal exactly if the codes are equal.
fn key(code: &IdentificationCode) -> [u8; 25] {
    let mut octets = *code.octets();
    octets.make_ascii_uppercase();
    octets
}

/// Refuses a transition that the state machine does not have.
fn require(inbound: &Inbound, next: InboundState) -> Result<(), CatalogError> {
    if inbound.state.may_become(next) {
        return Ok(());
    }
    Err(CatalogError::IllegalTransition {
        transfer: TransferRef::Inbound(inbound.id),
        from: inbound.state.as_str(),
        to: next.as_str(),
    })
}

fn set_state(
    connection: &Connection,
    id: i64,
    state: InboundState,
    detail: &str,
    now_ms: i64,
) -> Result<(), Failure> {
    connection
        .prepare_cached("UPDATE inbound SET state = ?2, detail = ?3, changed_ms = ?4 WHERE id = ?1")?
        .execute(params![id, state.as_str(), detail, now_ms])?;
    event::append(connection, TransferRef::Inbound(id), &event::line(state.as_str(), detail), now_ms)
}

/// What a file is that is offered once more, but needs nothing any more.
pub(crate) fn duplicate(known: &Inbound) -> CatalogError {
    CatalogError::AlreadyKnown { transfer: TransferRef::Inbound(known.id), state: known.state.as_str() }
}

fn insert(connection: &Connection, new: &NewInbound, now_ms: i64) -> Result<(), Failure> {
    let announced_blocks = column::signed("file size", new.announced_blocks)?;
    connection
        .prepare_cached(
            "INSERT INTO inbound (
                 partner, dataset_name, date, time, destination, originator, destination_key, originator_key,
                 user, format, record_size, announced_blocks, description, part_name,
                 security, suite, compression, signed_receipt, state, created_ms, changed_ms)
             VALUES (
                 :partner, :dataset_name, :date, :time, :destination, :originator, :destination_key,
                 :originator_key, :user, :format, :record_size, :announced_blocks, :description, :part_name,
                 :security, :suite, :compression, :signed_receipt, 'receiving', :now, :now)",
        )?
        .execute(named_params! {
            ":partner": new.partner,
            ":dataset_name": new.file.dataset_name.octets(),
            ":date": new.file.date.to_string(),
            ":time": new.file.time.to_string(),
            ":destination": new.file.destination.octets(),
            ":originator": new.file.originator.octets(),
            ":destination_key": key(&new.file.destination),
            ":originator_key": key(&new.file.originator),
            ":user": new.user.octets(),
            ":format": new.format.letter(),
            ":record_size": new.record_size,
            ":announced_blocks": announced_blocks,
            ":description": new.description.octets(),
            ":part_name": new.part_name,
            ":security": new.services.security,
            ":suite": new.services.suite,
            ":compression": new.services.compression,
            ":signed_receipt": new.services.signed_receipt,
            ":now": now_ms,
        })?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Inbound> {
    Ok(Inbound {
        id: row.get("id")?,
        partner: row.get("partner")?,
        file: column::file(row)?,
        user: column::text(row, "user")?,
        format: FileFormat::from_letter(column::unsigned(row, "format")?),
        record_size: column::unsigned(row, "record_size")?,
        announced_blocks: column::unsigned(row, "announced_blocks")?,
        description: column::variable_text(row, "description")?,
        part_name: row.get("part_name")?,
        services: Services::from_row(row)?,
        state: column::parsed(row, "state", |name: String| InboundState::from_name(&name))?,
        detail: row.get("detail")?,
        position_bytes: column::unsigned(row, "position_bytes")?,
        final_path: row.get("final_path")?,
        octets: column::unsigned(row, "octets")?,
        records: column::unsigned(row, "records")?,
        digest: row.get("digest")?,
        transmitted: Transmitted::from_row(row)?,
        signer: row.get("signer")?,
        created_ms: row.get("created_ms")?,
        changed_ms: row.get("changed_ms")?,
    })
}

const BEGIN: &str = "begin a received file in";
