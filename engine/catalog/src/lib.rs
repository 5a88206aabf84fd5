//! What must outlive the process: files to send, files received, receipts owed and receipts that came, each with
//! its story, in one embedded SQLite database.
//!
//! The catalog knows files, states and debts. It opens no socket, reads no clock (times are unix milliseconds,
//! given by the caller), and never touches the files that it tells of. It is synchronous: every change is on disk
//! when its function returns, and every change of several rows is one transaction.
//!
//! ```text
//! outbound   Queued ─▶ Sending ─▶ Sent ─┬───────────▶ Delivered (EERP) | Rejected (NERP)
//!              ▲ │        │ │           └▶ Unproven ─▶ the same, once a receipt comes that proves it
//!              │ ▼        │ └─▶ Refused | Failed ─▶ back to Queued, if an operator says so
//!             Held        ▼
//!                      Queued again, position kept; or Cancelled
//!
//! inbound    Receiving ─▶ Landing ─▶ Received, and in the same transaction a receipt is owed
//!              ▲ └───────────┴─▶ Failed
//!              └───────────────────┘ the peer offers the file again: from the start; from a position, if it was
//!                                    interrupted while Receiving
//! ```

#![forbid(unsafe_code)]

mod arrival;
mod column;
mod database;
mod error;
mod event;
mod history;
mod inbound;
mod json;
mod outbound;
mod outbound_change;
mod receipt;
mod resumption;
mod services;
mod stamp;
mod state;
mod transfer_ref;
mod transmitted;

#[cfg(test)]
mod tests;

pub use arrival::{ARRIVED_RECEIPTS_PER_FILE_MAX, ArrivedReceipt, Verdict};
pub use database::Catalog;
pub use error::CatalogError;
pub use event::{EVENT_TEXT_BYTES_MAX, EVENTS_PER_TRANSFER_MAX, Event};
pub use history::{HistoryEntry, HistoryFilter, Transfer, TransferDetail};
pub use inbound::{Inbound, Landing, NewInbound};
pub use outbound::{AfterDelivery, NewOutbound, Outbound, SourceIdentity};
pub use outbound_change::OutboundChange;
pub use receipt::{NewReceipt, Receipt, ReceiptKind, ReceiptSummary, StoredReceipt};
pub use services::Services;
pub use state::{InboundState, OutboundState, ReceiptState};
pub use transfer_ref::{InvalidTransferRef, TransferRef};
pub use transmitted::Transmitted;
