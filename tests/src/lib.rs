//! Tests that need more than one crate, and what they share.

pub mod fuzz;
pub mod station;
