//! Peers that misbehave, over real sockets. After each of them nothing is half-delivered, the operator was told,
//! the peer got the right reason, and the station serves the next partner as before.

mod answers;
mod cuts;
mod data;
mod greeting;
mod identity;
mod offers;
mod order;
mod receipts;
mod silence;
