//! Tests that need more than one crate, and what they share.

pub mod faults;
pub mod fuzz;
pub mod peer;
pub mod scene;
pub mod station;
