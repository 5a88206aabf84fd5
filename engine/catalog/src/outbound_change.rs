//! Changes to a file to be sent.

use rusqlite::{Connection, named_params};

use crate::column;
use crate::database::Catalog;
use crate::error::{CatalogError, Failure};
use crate::event;
use crate::outbound::{existing, illegal};
use crate::state::OutboundState;
use crate::transfer_ref::TransferRef;
use crate::transmitted::Transmitted;

/// A change to a file to be sent; what is `None` stays as it is.
///
/// ```
/// use odile_catalog::{OutboundChange, OutboundState};
///
/// let retry = OutboundChange::to(OutboundState::Queued).detail("line broken").not_before_ms(1_764_000_060_000);
/// let checkpoint = OutboundChange::default().position_bytes(1 << 20);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundChange {
    /// The new state. A new state without `detail` clears the old detail.
    pub state: Option<OutboundState>,
    /// Why: shown to operators and written into the transfer's story.
    pub detail: Option<String>,
    /// Octets of the transmitted stream that are known to have been sent; 0: from the start.
    pub position_bytes: Option<u64>,
    /// Octets of the transmitted stream in all, as far as known.
    pub total_bytes: Option<u64>,
    /// Not to be tried before this time.
    pub not_before_ms: Option<i64>,
    /// The stream as it went out: what its receipt is held against.
    pub transmitted: Option<Transmitted>,
    /// Counts one attempt more.
    pub counts_attempt: bool,
    /// Attempts in a row that moved nothing; 0 after progress.
    pub fruitless: Option<u32>,
}

impl OutboundChange {
    /// A change of state.
    pub fn to(state: OutboundState) -> Self {
        Self { state: Some(state), ..Self::default() }
    }

    /// Says why.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets how much was sent.
    pub fn position_bytes(mut self, position_bytes: u64) -> Self {
        self.position_bytes = Some(position_bytes);
        self
    }

    /// Sets how much there is to send in all, as far as known.
    pub fn total_bytes(mut self, total_bytes: u64) -> Self {
        self.total_bytes = Some(total_bytes);
        self
    }

    /// Puts the next attempt off.
    pub fn not_before_ms(mut self, not_before_ms: i64) -> Self {
        self.not_before_ms = Some(not_before_ms);
        self
    }

    /// Says what went out: with `Sent`, or as soon as the last octet has gone.
    pub fn transmitted(mut self, transmitted: Transmitted) -> Self {
        self.transmitted = Some(transmitted);
        self
    }

    /// Counts one attempt more.
    pub fn counting_attempt(mut self) -> Self {
        self.counts_attempt = true;
        self
    }

    /// Sets how many attempts in a row moved nothing: 0 after progress.
    pub fn fruitless(mut self, fruitless: u32) -> Self {
        self.fruitless = Some(fruitless);
        self
    }
}

impl Catalog {
    /// Changes a file to be sent. A change of state, or one with a detail, adds a line to its story; any other is one
    /// update of one row, cheap enough for every checkpoint.
    ///
    /// # Errors
    /// [`CatalogError::IllegalTransition`] if [`OutboundState::may_become`] says no; then nothing is changed.
    pub fn set_outbound(
        &mut self,
        id: i64,
        change: &OutboundChange,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let position_bytes =
            change.position_bytes.map(|value| column::signed("position", value)).transpose()?;
        let total_bytes = change.total_bytes.map(|value| column::signed("file size", value)).transpose()?;
        let (transmitted_octets, transmitted_hash) = Transmitted::columns(change.transmitted.as_ref())?;
        self.write("change a file to be sent in", |tx| {
            let line = story(tx, id, change)?;
            let changed = tx.prepare_cached(UPDATE)?.execute(named_params! {
                ":state": change.state.map(OutboundState::as_str),
                ":detail": change.detail.as_deref().or(change.state.map(|_| "")),
                ":position_bytes": position_bytes,
                ":total_bytes": total_bytes,
                ":not_before_ms": change.not_before_ms,
                ":transmitted_octets": transmitted_octets,
                ":transmitted_hash": transmitted_hash,
                ":attempts": i64::from(change.counts_attempt),
                ":fruitless": change.fruitless,
                ":now": now_ms,
                ":id": id,
            })?;
            if changed == 0 {
                return Err(CatalogError::NoSuchTransfer { transfer: TransferRef::Outbound(id) }.into());
            }
            match line {
                Some(line) => event::append(tx, TransferRef::Outbound(id), &line, now_ms),
                None => Ok(()),
            }
        })
    }
}

/// The line that a change adds to the story, if it adds one. Refuses a transition that the state machine does not have.
fn story(connection: &Connection, id: i64, change: &OutboundChange) -> Result<Option<String>, Failure> {
    if change.state.is_none() && change.detail.is_none() {
        return Ok(None);
    }
    let before = existing(connection, id)?.state;
    let state = change.state.unwrap_or(before);
    if change.state.is_some() && !before.may_become(state) {
        return Err(illegal(id, before, state).into());
    }
    let is_worth_a_line = state != before || change.detail.is_some();
    let detail = change.detail.as_deref().unwrap_or_default();
    Ok(is_worth_a_line.then(|| event::line(state.as_str(), detail)))
}

const UPDATE: &str = "UPDATE outbound SET
        state = coalesce(:state, state),
        detail = coalesce(:detail, detail),
        position_bytes = coalesce(:position_bytes, position_bytes),
        total_bytes = coalesce(:total_bytes, total_bytes),
        not_before_ms = coalesce(:not_before_ms, not_before_ms),
        transmitted_octets = coalesce(:transmitted_octets, transmitted_octets),
        transmitted_hash = coalesce(:transmitted_hash, transmitted_hash),
        attempts = attempts + :attempts,
        fruitless = coalesce(:fruitless, fruitless),
        first_offered_ms = CASE WHEN coalesce(:state, state) = 'sending' THEN coalesce(first_offered_ms, :now)
                                ELSE first_offered_ms END,
        changed_ms = :now
    WHERE id = :id";
