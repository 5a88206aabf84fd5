//! Tests that need more than one crate, and what they share.

pub mod faults;
pub mod fuzz;
pub mod fuzz_envelope;
pub mod peer;
pub mod pki;
pub mod scene;
pub mod station;
