//! Files received that come again: how far they got, and whether they go on there or from the start.
//!
//! The catalog takes the caller's word for a position; what is needed besides to go on lies beside the `.part` file.

use rusqlite::{Connection, Transaction, named_params, params};

use crate::column;
use crate::database::Catalog;
use crate::error::{CatalogError, Failure};
use crate::event;
use crate::inbound::{self, Inbound, NewInbound};
use crate::receipt;
use crate::state::InboundState;
use crate::transfer_ref::TransferRef;

impl Catalog {
    /// So many octets of the transmitted file are safely here. One update of one row, without a line in the story; from
    /// the second on, soon durable.
    ///
    /// # Errors
    /// [`CatalogError::IllegalTransition`] if the file is not `Receiving`.
    pub fn inbound_position(
        &mut self,
        id: i64,
        position_bytes: u64,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let position_bytes = column::signed("position", position_bytes)?;
        let is_first = self.inbound(id)?.is_some_and(|inbound| inbound.position_bytes == 0);
        let work = |tx: &Transaction<'_>| {
            let changed = tx
                .prepare_cached(
                    "UPDATE inbound SET position_bytes = ?2, changed_ms = ?3 WHERE id = ?1 AND state = 'receiving'",
                )?
                .execute(params![id, position_bytes, now_ms])?;
            if changed == 0 { Err(not_receiving(&inbound::existing(tx, id)?)) } else { Ok(()) }
        };
        // The first one makes the file itself durable: a checkpoint without it would be thrown away.
        if is_first { self.write(POSITION, work) } else { self.write_soon(POSITION, work) }
    }

    /// The session, or the process, ended before the file did. It stays `Receiving`, or becomes so again from `Landing`:
    /// the partner is expected to offer it again, and `position_bytes` octets of the transmitted file are safely here.
    ///
    /// # Errors
    /// [`CatalogError::IllegalTransition`] if the file is in another state.
    pub fn interrupt_inbound(
        &mut self,
        id: i64,
        detail: &str,
        position_bytes: u64,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let position_bytes = column::signed("position", position_bytes)?;
        self.write("note an interruption in", |tx| {
            let changed = tx
                .prepare_cached(
                    "UPDATE inbound SET state = 'receiving', final_path = NULL, octets = 0, records = 0,
                         digest = NULL, transmitted_octets = NULL, transmitted_hash = NULL, signer = NULL,
                         detail = ?2, position_bytes = ?3, changed_ms = ?4
                     WHERE id = ?1 AND state IN ('receiving', 'landing')",
                )?
                .execute(params![id, detail, position_bytes, now_ms])?;
            if changed == 0 {
                return Err(not_receiving(&inbound::existing(tx, id)?));
            }
            event::append(tx, TransferRef::Inbound(id), &event::line(INTERRUPTED, detail), now_ms)
        })
    }

    /// A file that is `Receiving` was offered again, and goes on at `position_bytes` of the transmitted file. All but
    /// its number, its `.part` name and the position becomes what is announced now, as with
    /// [`Self::begin_inbound`].
    ///
    /// # Errors
    /// [`CatalogError::NothingToResume`] if there is no such file, or it is `Failed`; [`CatalogError::AlreadyKnown`]
    /// if it is `Landing` or `Received`: a duplicate.
    pub fn resume_inbound(
        &mut self,
        new: &NewInbound,
        position_bytes: u64,
        now_ms: i64,
    ) -> Result<Inbound, CatalogError> {
        new.services.require_storable()?;
        self.write("take up a received file in", |tx| {
            let known = inbound::find_key(tx, &new.partner, &new.file)?;
            let known = known.ok_or_else(|| nothing_to_resume(new))?;
            match known.state {
                InboundState::Receiving => {}
                InboundState::Failed => return Err(nothing_to_resume(new)),
                InboundState::Landing | InboundState::Received => {
                    return Err(inbound::duplicate(&known).into());
                }
            }
            take_up(tx, known.id, new, position_bytes, now_ms)?;
            let line = format!("offered again, goes on from octet {position_bytes}");
            event::append(tx, TransferRef::Inbound(known.id), &line, now_ms)?;
            inbound::existing(tx, known.id)
        })
    }
}

/// A known file is received again, from `position_bytes` on: all but its number and its `.part` name is made new, and
/// a receipt that is still owed for it is withdrawn.
pub(crate) fn take_up(
    connection: &Connection,
    id: i64,
    new: &NewInbound,
    position_bytes: u64,
    now_ms: i64,
) -> Result<(), Failure> {
    let announced_blocks = column::signed("file size", new.announced_blocks)?;
    let position_bytes = column::signed("position", position_bytes)?;
    connection
        .prepare_cached(
            "UPDATE inbound SET
                 destination = :destination, originator = :originator, user = :user, format = :format,
                 record_size = :record_size, announced_blocks = :announced_blocks, description = :description,
                 security = :security, suite = :suite, compression = :compression,
                 signed_receipt = :signed_receipt,
                 state = 'receiving', detail = '', position_bytes = :position_bytes,
                 final_path = NULL, octets = 0, records = 0, digest = NULL,
                 transmitted_octets = NULL, transmitted_hash = NULL, signer = NULL, changed_ms = :now
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":destination": new.file.destination.octets(),
            ":originator": new.file.originator.octets(),
            ":user": new.user.octets(),
            ":format": new.format.letter(),
            ":record_size": new.record_size,
            ":announced_blocks": announced_blocks,
            ":description": new.description.octets(),
            ":security": new.services.security,
            ":suite": new.services.suite,
            ":compression": new.services.compression,
            ":signed_receipt": new.services.signed_receipt,
            ":position_bytes": position_bytes,
            ":now": now_ms,
            ":id": id,
        })?;
    receipt::withdraw(connection, id)
}

fn not_receiving(inbound: &Inbound) -> Failure {
    let transfer = TransferRef::Inbound(inbound.id);
    CatalogError::IllegalTransition { transfer, from: inbound.state.as_str(), to: INTERRUPTED }.into()
}

fn nothing_to_resume(new: &NewInbound) -> Failure {
    CatalogError::NothingToResume { partner: new.partner.clone(), file: new.file.to_string() }.into()
}

/// No state, but what happens to a file that stays `Receiving`.
const INTERRUPTED: &str = "interrupted";

const POSITION: &str = "note a position in";
