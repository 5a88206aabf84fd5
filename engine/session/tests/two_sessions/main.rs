//! Two sessions back to back, every command through encoder and decoder.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may fail it")]

#[path = "../sample/mod.rs"]
mod sample;

mod authentication;
mod deviating_peers;
mod endings;
mod negotiation;
mod pair;
mod timers;
mod transfer;
