//! Receipts: those that we owe (a debt that outlives session, process and machine), and how both these and those that
//! came are read back, as evidence. How one arrives is told in `arrival`.

use std::fmt;

use odile_wire::{FileId, IdentificationCode, NegativeEndReason, UserData, VariableText};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use serde::Serialize;

use crate::arrival::Verdict;
use crate::column;
use crate::database::Catalog;
use crate::error::{CatalogError, Failure};
use crate::event;
use crate::inbound::Inbound;
use crate::state::ReceiptState;
use crate::transfer_ref::TransferRef;

/// A receipt, apart from the file that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReceipt {
    /// EERP or NERP.
    pub kind: ReceiptKind,
    /// EERPHSH or NERPHSH: hash of the transmitted file; empty if not signed.
    pub hash: Vec<u8>,
    /// EERPSIG or NERPSIG: CMS SignedData; empty if not signed.
    pub signature: Vec<u8>,
}

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptKind {
    /// EERP: the file arrived (RFC 5024 §5.3.13).
    Positive,
    /// NERP: the file could not be delivered or used (RFC 5024 §5.3.14).
    Negative {
        /// NERPCREA: who found out.
        creator: IdentificationCode,
        /// NERPREAS.
        reason: NegativeEndReason,
        /// NERPREAST.
        text: VariableText,
    },
}

/// A receipt that is owed: all that an EERP or NERP is built of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the debt.
    pub id: i64,
    /// The file received that it is for.
    pub inbound_id: i64,
    /// Name of the partner in the configuration.
    pub partner: String,
    /// The identity of the file, octet for octet as announced.
    pub file: FileId,
    /// SFIDUSER, to be echoed.
    pub user: UserData,
    /// EERP or NERP.
    pub kind: ReceiptKind,
    /// Hash of the transmitted file; empty if not signed.
    pub hash: Vec<u8>,
    /// CMS SignedData; empty if not signed.
    pub signature: Vec<u8>,
    /// Since when it is owed, in unix milliseconds.
    pub created_ms: i64,
}

/// A receipt of either direction with all that was kept of it: enough to show it, to verify it and to hand it to
/// somebody else, without asking the partner again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReceipt {
    /// The transfer that it is for.
    pub transfer: TransferRef,
    /// Name of the partner in the configuration.
    pub partner: String,
    /// The identity of the file as the receipt has it, octet for octet. Its originator is EERPDEST or NERPDEST, its
    /// destination EERPORIG or NERPORIG.
    pub file: FileId,
    /// EERPUSER. A NERP has none: blank if it came, SFIDUSER if it is ours.
    pub user: UserData,
    /// EERP or NERP.
    pub kind: ReceiptKind,
    /// EERPHSH or NERPHSH; empty if not signed.
    pub hash: Vec<u8>,
    /// EERPSIG or NERPSIG: CMS SignedData; empty if not signed.
    pub signature: Vec<u8>,
    /// Where it stands.
    pub state: ReceiptState,
    /// What was found about the proof when it came; `None` for ours.
    pub verdict: Option<Verdict>,
    /// DER of the certificate that verified it when it came.
    pub signer: Option<Vec<u8>>,
    /// When it first came, or since when it is owed, in unix milliseconds.
    pub at_ms: i64,
    /// When it was sent, if it was ours and is.
    pub sent_ms: Option<i64>,
}

/// A receipt as listings show it: owed and sent by us, or come from the partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptSummary {
    /// `EERP`, or `NERP 22, file refused: access method failure …`.
    pub what: String,
    /// `owed`, `sent`, `withdrawn` or `arrived`.
    pub state: String,
    /// Of one that came: `not asked`, `verified`, `unsigned` or `wrong: why`. Of ours: `signed` or `unsigned`.
    pub proof: String,
    /// When it came, or since when it is owed, in unix milliseconds.
    pub at_ms: i64,
    /// When it was sent, if it was ours and is.
    pub sent_ms: Option<i64>,
}

impl NewReceipt {
    /// An unsigned EERP.
    pub const fn positive() -> Self {
        Self { kind: ReceiptKind::Positive, hash: Vec::new(), signature: Vec::new() }
    }

    /// An unsigned NERP.
    pub const fn negative(
        creator: IdentificationCode,
        reason: NegativeEndReason,
        text: VariableText,
    ) -> Self {
        let kind = ReceiptKind::Negative { creator, reason, text };
        Self { kind, hash: Vec::new(), signature: Vec::new() }
    }
}

impl StoredReceipt {
    /// What proves it, as [`ReceiptSummary::proof`].
    pub fn proof(&self) -> String {
        match &self.verdict {
            Some(verdict) => verdict.to_string(),
            None if self.signature.is_empty() => "unsigned".to_owned(),
            None => "signed".to_owned(),
        }
    }

    fn summary(&self) -> ReceiptSummary {
        ReceiptSummary {
            what: self.kind.to_string(),
            state: self.state.to_string(),
            proof: self.proof(),
            at_ms: self.at_ms,
            sent_ms: self.sent_ms,
        }
    }
}

impl ReceiptKind {
    /// `EERP` or `NERP`.
    pub const fn mnemonic(&self) -> &'static str {
        match self {
            Self::Positive => "EERP",
            Self::Negative { .. } => "NERP",
        }
    }
}

/// `EERP`, or `NERP 22, file refused: access method failure (the text) by O0013…`.
impl fmt::Display for ReceiptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Negative { creator, reason, text } = self else {
            return f.write_str(self.mnemonic());
        };
        write!(f, "{} {reason}", self.mnemonic())?;
        if !text.is_empty() {
            write!(f, " ({text})")?;
        }
        if creator.is_blank() { Ok(()) } else { write!(f, " by {creator}") }
    }
}

impl Catalog {
    /// The oldest receipt owed to the partner of those that a session can carry: NERP only with `negative`, signed ones
    /// only with `signed`.
    pub fn next_receipt_owed(
        &self,
        partner: &str,
        negative: bool,
        signed: bool,
    ) -> Result<Option<Receipt>, CatalogError> {
        self.read("read the receipts owed from", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM receipt_owed WHERE state = 'owed' AND partner = ?1
                     AND (kind = 'EERP' OR ?2) AND (length(signature) = 0 OR ?3)
                 ORDER BY id LIMIT 1",
            )?;
            Ok(statement.query_row(params![partner, negative, signed], from_row).optional()?)
        })
    }

    /// The receipts that are owed to the partner, oldest first.
    pub fn receipts_owed(&self, partner: &str) -> Result<Vec<Receipt>, CatalogError> {
        self.read("read the receipts owed from", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM receipt_owed WHERE state = 'owed' AND partner = ?1 ORDER BY id",
            )?;
            let receipts = statement.query_map([partner], from_row)?;
            Ok(receipts.collect::<Result<_, _>>()?)
        })
    }

    /// The partner has the receipt (RTR came, RFC 5024 §5.3.15): the debt is paid. Soon durable: if the machine fails
    /// before, the receipt is sent again.
    pub fn receipt_sent(&mut self, id: i64, now_ms: i64) -> Result<(), CatalogError> {
        self.write_soon("note a receipt as sent in", |tx| {
            let paid: Option<(i64, String)> = tx
                .prepare_cached(
                    "UPDATE receipt_owed SET state = 'sent', sent_ms = ?2 WHERE id = ?1 AND state = 'owed'
                     RETURNING inbound_id, kind",
                )?
                .query_map(params![id, now_ms], |row| Ok((row.get(0)?, row.get(1)?)))?
                .next()
                .transpose()?;
            let (inbound_id, kind) = paid.ok_or(CatalogError::NoSuchReceipt { id })?;
            event::append(tx, TransferRef::Inbound(inbound_id), &format!("{kind} sent"), now_ms)
        })
    }

    /// The receipts that were ever owed for a received file, oldest first.
    pub fn receipts_given(&self, inbound_id: i64) -> Result<Vec<StoredReceipt>, CatalogError> {
        self.read("read the receipts given from", |connection| {
            stored(connection, TransferRef::Inbound(inbound_id))
        })
    }
}

/// Writes the debt down.
pub(crate) fn owe(
    connection: &Connection,
    inbound: &Inbound,
    receipt: &NewReceipt,
    now_ms: i64,
) -> Result<(), Failure> {
    let (creator, reason, reason_text) = negative_columns(&receipt.kind);
    connection
        .prepare_cached(
            "INSERT INTO receipt_owed (
                 inbound_id, partner, dataset_name, date, time, destination, originator, user,
                 kind, creator, reason, reason_text, hash, signature, state, created_ms)
             VALUES (
                 :inbound_id, :partner, :dataset_name, :date, :time, :destination, :originator, :user,
                 :kind, :creator, :reason, :reason_text, :hash, :signature, 'owed', :now)",
        )?
        .execute(named_params! {
            ":inbound_id": inbound.id,
            ":partner": inbound.partner,
            ":dataset_name": inbound.file.dataset_name.octets(),
            ":date": inbound.file.date.to_string(),
            ":time": inbound.file.time.to_string(),
            ":destination": inbound.file.destination.octets(),
            ":originator": inbound.file.originator.octets(),
            ":user": inbound.user.octets(),
            ":kind": receipt.kind.mnemonic(),
            ":creator": creator,
            ":reason": reason,
            ":reason_text": reason_text,
            ":hash": receipt.hash,
            ":signature": receipt.signature,
            ":now": now_ms,
        })?;
    Ok(())
}

/// Takes back what is still owed for a file: a later receipt takes its place.
pub(crate) fn withdraw(connection: &Connection, inbound_id: i64) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "UPDATE receipt_owed SET state = 'withdrawn' WHERE inbound_id = ?1 AND state = 'owed'",
        )?
        .execute([inbound_id])?;
    Ok(())
}

/// The receipts of a transfer for a listing, oldest first.
pub(crate) fn of(connection: &Connection, transfer: TransferRef) -> Result<Vec<ReceiptSummary>, Failure> {
    Ok(stored(connection, transfer)?.iter().map(StoredReceipt::summary).collect())
}

/// The receipts of a transfer, oldest first.
pub(crate) fn stored(connection: &Connection, transfer: TransferRef) -> Result<Vec<StoredReceipt>, Failure> {
    let (id, query) = match transfer {
        TransferRef::Outbound(id) => (
            id,
            "SELECT receipt_arrived.*, partner, 'arrived' AS state, arrived_ms AS at_ms, NULL AS sent_ms
             FROM receipt_arrived JOIN outbound ON outbound.id = outbound_id
             WHERE outbound_id = ?1 ORDER BY receipt_arrived.id",
        ),
        TransferRef::Inbound(id) => (
            id,
            "SELECT *, NULL AS verdict, '' AS verdict_text, NULL AS signer, created_ms AS at_ms
             FROM receipt_owed WHERE inbound_id = ?1 ORDER BY id",
        ),
    };
    let mut statement = connection.prepare_cached(query)?;
    let receipts = statement.query_map([id], |row| stored_from_row(row, transfer))?;
    Ok(receipts.collect::<Result<_, _>>()?)
}

/// The columns that only a NERP has.
pub(crate) fn negative_columns(kind: &ReceiptKind) -> (Option<&[u8; 25]>, Option<u8>, Option<&[u8]>) {
    match kind {
        ReceiptKind::Positive => (None, None, None),
        ReceiptKind::Negative { creator, reason, text } => {
            (Some(creator.octets()), Some(reason.code()), Some(text.octets()))
        }
    }
}

fn kind_from_row(row: &Row<'_>) -> rusqlite::Result<ReceiptKind> {
    let is_positive = column::parsed(row, "kind", |kind: String| match kind.as_str() {
        "EERP" => Some(true),
        "NERP" => Some(false),
        _ => None,
    })?;
    if is_positive {
        return Ok(ReceiptKind::Positive);
    }
    Ok(ReceiptKind::Negative {
        creator: column::identification_code(row, "creator")?,
        reason: column::parsed(row, "reason", |code: i64| {
            NegativeEndReason::from_code(u8::try_from(code).ok()?)
        })?,
        text: column::variable_text(row, "reason_text")?,
    })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    Ok(Receipt {
        id: row.get("id")?,
        inbound_id: row.get("inbound_id")?,
        partner: row.get("partner")?,
        file: column::file(row)?,
        user: column::text(row, "user")?,
        kind: kind_from_row(row)?,
        hash: row.get("hash")?,
        signature: row.get("signature")?,
        created_ms: row.get("created_ms")?,
    })
}

fn stored_from_row(row: &Row<'_>, transfer: TransferRef) -> rusqlite::Result<StoredReceipt> {
    let verdict_text: String = row.get("verdict_text")?;
    Ok(StoredReceipt {
        transfer,
        partner: row.get("partner")?,
        file: column::file(row)?,
        user: column::text(row, "user")?,
        kind: kind_from_row(row)?,
        hash: row.get("hash")?,
        signature: row.get("signature")?,
        state: column::parsed(row, "state", |name: String| ReceiptState::from_name(&name))?,
        verdict: column::parsed(row, "verdict", |name: Option<String>| match name {
            None => Some(None),
            Some(name) => Verdict::from_columns(&name, verdict_text).map(Some),
        })?,
        signer: row.get("signer")?,
        at_ms: row.get("at_ms")?,
        sent_ms: row.get("sent_ms")?,
    })
}
