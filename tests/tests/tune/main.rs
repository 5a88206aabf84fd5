//! `odile tune` with the real program, on machines that are made up of files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod applied;
mod checked;
mod flags;
mod machine;
mod recommended;
