//! Receipts that come: what they prove, and what becomes of the file.
//!
//! The catalog verifies nothing; the verdict is the caller's. It keeps what came octet for octet, because what was
//! signed is rebuilt from it: a receipt that proves nothing today may do so once the right certificate is there.

use std::fmt;

use odile_wire::{FileId, UserData};
use rusqlite::{Connection, ToSql, params};

use crate::database::Catalog;
use crate::error::{CatalogError, Failure};
use crate::event;
use crate::outbound;
use crate::receipt::{self, NewReceipt, ReceiptKind, StoredReceipt};
use crate::state::OutboundState;
use crate::transfer_ref::TransferRef;

/// A receipt that came, and what was found about its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedReceipt {
    /// What it says.
    pub receipt: NewReceipt,
    /// The identity of the file as it came in the receipt, named as in [`Outbound`](crate::Outbound): EERPDEST is
    /// its originator. Stamps are those of the session's level, which may lack century and counter.
    pub file: FileId,
    /// EERPUSER as it came; a NERP has none: blank.
    pub user: UserData,
    /// What was found about its proof.
    pub verdict: Verdict,
    /// DER of the certificate that verified it: evidence for later, when nobody knows the certificate any more.
    pub signer: Option<Vec<u8>>,
}

/// What was found about the proof of a receipt when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No signature was asked for (SFIDSIGN), and none was looked at.
    NotAsked,
    /// Signature and hash are right.
    Verified,
    /// A signature was asked for, and there is none.
    Unsigned,
    /// Signature or hash are wrong; a sentence says how, it may be empty.
    Wrong(String),
}

impl Verdict {
    const fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::NotAsked => ("not-asked", ""),
            Self::Verified => ("verified", ""),
            Self::Unsigned => ("unsigned", ""),
            Self::Wrong(text) => ("wrong", text.as_str()),
        }
    }

    pub(crate) fn from_columns(name: &str, text: String) -> Option<Self> {
        match name {
            "not-asked" => Some(Self::NotAsked),
            "verified" => Some(Self::Verified),
            "unsigned" => Some(Self::Unsigned),
            "wrong" => Some(Self::Wrong(text)),
            _ => None,
        }
    }
}

/// `not asked`, `verified`, `unsigned`, or `wrong: why`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not asked"),
            Self::Verified => f.write_str("verified"),
            Self::Unsigned => f.write_str("unsigned"),
            Self::Wrong(text) if text.is_empty() => f.write_str("wrong"),
            Self::Wrong(text) => write!(f, "wrong: {text}"),
        }
    }
}

impl ArrivedReceipt {
    /// The state that the file takes, and why.
    fn outcome(&self) -> (OutboundState, String) {
        match (&self.verdict, &self.receipt.kind) {
            (Verdict::Unsigned | Verdict::Wrong(_), _) => (OutboundState::Unproven, self.told("receipt")),
            (Verdict::NotAsked | Verdict::Verified, ReceiptKind::Positive) => {
                (OutboundState::Delivered, String::new())
            }
            (Verdict::NotAsked | Verdict::Verified, kind @ ReceiptKind::Negative { .. }) => {
                (OutboundState::Rejected, kind.to_string())
            }
        }
    }

    /// That `what` came, and whether it proves anything.
    fn told(&self, what: &str) -> String {
        match &self.verdict {
            Verdict::NotAsked => format!("{what} came"),
            Verdict::Verified => format!("{what} came, signature verified"),
            Verdict::Unsigned => format!("{what} came unsigned, a signed one was asked for"),
            Verdict::Wrong(text) if text.is_empty() => {
                format!("{what} came, but its signature or hash is wrong")
            }
            Verdict::Wrong(text) => format!("{what} came, but: {text}"),
        }
    }
}

impl Catalog {
    /// A receipt came for a file that was sent, and is kept; gives the state that the file has now. Find the file
    /// with [`Self::outbound_awaiting_receipt`].
    ///
    /// With its proof, or if none was asked for, the file is `Delivered` or `Rejected`. Without, it is `Unproven`,
    /// and a later receipt may still settle it. One that comes again octet for octet is kept once, with the latest
    /// verdict; beyond [`ARRIVED_RECEIPTS_PER_FILE_MAX`], one that proves nothing is only noted.
    ///
    /// # Errors
    /// [`CatalogError::IllegalTransition`] if the file already is `Delivered` or `Rejected`, or was never offered.
    pub fn receipt_arrived(
        &mut self,
        outbound_id: i64,
        arrived: &ArrivedReceipt,
        now_ms: i64,
    ) -> Result<OutboundState, CatalogError> {
        let (state, detail) = arrived.outcome();
        self.write("note a receipt in", |tx| {
            let before = outbound::existing(tx, outbound_id)?;
            if before.first_offered_ms.is_none() || !before.state.awaits_receipt() {
                return Err(outbound::illegal(outbound_id, before.state, state).into());
            }
            let kept = keep(tx, outbound_id, arrived, state, now_ms)?;
            tx.prepare_cached("UPDATE outbound SET state = ?2, detail = ?3, changed_ms = ?4 WHERE id = ?1")?
                .execute(params![outbound_id, state.as_str(), detail, now_ms])?;
            let mut line = event::line(state.as_str(), &arrived.told(&arrived.receipt.kind.to_string()));
            if let Kept::No = kept {
                line.push_str("; it is not kept, too many came");
            }
            event::append(tx, TransferRef::Outbound(outbound_id), &line, now_ms)?;
            Ok(state)
        })
    }

    /// The receipts that came for a file that was sent, oldest first. At most one settled it.
    pub fn receipts_arrived(&self, outbound_id: i64) -> Result<Vec<StoredReceipt>, CatalogError> {
        self.read("read the receipts that came from", |connection| {
            receipt::stored(connection, TransferRef::Outbound(outbound_id))
        })
    }
}

/// Whether a receipt is in the catalog.
enum Kept {
    Yes,
    No,
}

fn keep(
    connection: &Connection,
    outbound_id: i64,
    arrived: &ArrivedReceipt,
    state: OutboundState,
    now_ms: i64,
) -> Result<Kept, Failure> {
    let NewReceipt { kind, hash, signature } = &arrived.receipt;
    let (creator, reason, reason_text) = receipt::negative_columns(kind);
    let (verdict, verdict_text) = arrived.verdict.columns();
    let (date, time) = (arrived.file.date.to_string(), arrived.file.time.to_string());
    let columns: [(&str, &dyn ToSql); 17] = [
        (":outbound_id", &outbound_id),
        (":dataset_name", arrived.file.dataset_name.octets()),
        (":date", &date),
        (":time", &time),
        (":destination", arrived.file.destination.octets()),
        (":originator", arrived.file.originator.octets()),
        (":user", arrived.user.octets()),
        (":kind", &kind.mnemonic()),
        (":creator", &creator),
        (":reason", &reason),
        (":reason_text", &reason_text),
        (":hash", hash),
        (":signature", signature),
        (":verdict", &verdict),
        (":verdict_text", &verdict_text),
        (":signer", &arrived.signer),
        (":now", &now_ms),
    ];
    let except_now = &columns[..columns.len() - 1];
    if connection.prepare_cached(JUDGE_AGAIN)?.execute(except_now)? > 0 {
        return Ok(Kept::Yes);
    }
    let count: u32 = connection
        .prepare_cached("SELECT count(*) FROM receipt_arrived WHERE outbound_id = ?1")?
        .query_row([outbound_id], |row| row.get(0))?;
    if state == OutboundState::Unproven && count >= ARRIVED_RECEIPTS_PER_FILE_MAX {
        return Ok(Kept::No);
    }
    connection.prepare_cached(INSERT)?.execute(&columns[..])?;
    Ok(Kept::Yes)
}

/// Receipts kept of one file: a partner that makes up a new one in every session must not fill the disk. A receipt
/// with its proof is kept in any case; it is the last.
pub const ARRIVED_RECEIPTS_PER_FILE_MAX: u32 = 100;

/// The same octets came before: what is known about them now is what counts.
const JUDGE_AGAIN: &str = "UPDATE receipt_arrived
    SET verdict = :verdict, verdict_text = :verdict_text, signer = :signer
    WHERE outbound_id = :outbound_id AND dataset_name = :dataset_name AND date = :date AND time = :time
        AND destination = :destination AND originator = :originator AND user = :user AND kind = :kind
        AND creator IS :creator AND reason IS :reason AND reason_text IS :reason_text
        AND hash = :hash AND signature = :signature";

const INSERT: &str = "INSERT INTO receipt_arrived (
        outbound_id, dataset_name, date, time, destination, originator, user,
        kind, creator, reason, reason_text, hash, signature, verdict, verdict_text, signer, arrived_ms)
    VALUES (
        :outbound_id, :dataset_name, :date, :time, :destination, :originator, :user,
        :kind, :creator, :reason, :reason_text, :hash, :signature, :verdict, :verdict_text, :signer, :now)";
