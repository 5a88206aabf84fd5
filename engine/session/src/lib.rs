//! What may happen next in an OFTP2 session: the state machine of RFC 5024 §9, for both roles.
//!
//! [`Session`] takes what happened (`on_*`), what the User Monitor wants (verbs), and the time; it hands out what
//! must be done ([`Session::poll_output`]). It performs no I/O, reads no clock, starts no thread. File data does
//! not pass through it: it only counts Data Exchange Buffers against the credit.
//!
//! ```text
//!              verbs                 poll_output: Event
//! User Monitor ─────▶ ┌───────────┐ ────────────────────▶ User Monitor
//!                     │  Session  │
//!      network ─────▶ └───────────┘ ────────────────────▶ network
//!              on_*                  poll_output: Connect, Accept, Transmit, Disconnect
//! ```
//!
//! The code follows the five state tables: `connection` is §9.8, `ending` §9.9, `speaker` §9.10 and §9.11,
//! `listener` §9.12. Where Odile does something else than the tables, or where they are silent, `DEVIATIONS.md`
//! says what and why; [`Tolerance`] names what is forgiven to a peer.

#![forbid(unsafe_code)]

mod authenticator;
mod connection;
mod ending;
mod error;
mod listener;
mod negotiation;
mod output;
mod session;
mod speaker;
mod state;
mod timer;
mod tolerance;

pub use authenticator::{AuthenticationError, Authenticator};
pub use error::{Misuse, ProtocolError};
pub use negotiation::{Agreement, Capabilities};
pub use output::{Event, Origin, Output, Turn, TurnWish};
pub use session::Session;
pub use state::State;
pub use timer::Timers;
pub use tolerance::Tolerance;
