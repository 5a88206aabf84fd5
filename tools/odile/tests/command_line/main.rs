//! The program as people and scripts use it: what it prints, what it leaves behind, and how it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod configuration;
mod demo;
mod process;
mod transfers;
