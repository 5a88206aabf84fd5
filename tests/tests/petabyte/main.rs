//! Sizes up to the last that OFTP2 can express, and a sparse file: in a few seconds here, for as long as one likes with
//! `cargo xtask petabyte` and `cargo xtask sparse`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod limits;
mod rehearsals;
