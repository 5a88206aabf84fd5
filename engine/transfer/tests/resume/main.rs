//! A file that was cut off anywhere goes on from checkpoints of both sides, and is the same in the end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod checkpoints;
mod departures;
mod expected;
mod link;
mod pki;
mod refusals;
mod sample;
mod sender;
mod staging;
mod together;
mod transfers;
