//! Power cuts at every boundary of storage and catalog, and checkpoints that are not what they were: nothing is lost,
//! nothing comes twice, no octet is wrong.
//!
//! Every so many boundaries are cut; with `ODILE_ALL_BOUNDARIES=1`, all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

mod damaged;
mod direct;
mod kept;
mod pair;
mod sweeps;

/// Whether nothing is left out.
fn all() -> bool {
    std::env::var_os("ODILE_ALL_BOUNDARIES").is_some()
}
