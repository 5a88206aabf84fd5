//! Peers that misbehave, over real sockets. After each of them nothing is half-delivered, the operator was told,
//! the peer got the right reason, and the station serves the next partner as before.

mod answers;
mod authentication;
mod cuts;
mod data;
mod envelope_forms;
mod envelopes;
mod greeting;
mod identity;
mod offers;
mod order;
mod our_receipts;
mod our_restart;
mod receipts;
mod restart;
mod service_terms;
mod signed_receipts;
mod silence;
