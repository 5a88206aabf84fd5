//! `odile receipt`, and what the listings tell of receipts: the program itself, on homes in which nothing runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod evidence;
mod exchanged;
mod exported;
mod program;
mod stored;
