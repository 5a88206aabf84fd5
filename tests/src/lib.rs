//! Tests that need more than one crate, and what they share.

pub mod asn1;
pub mod boundary;
pub mod crash;
pub mod envelope;
pub mod faults;
pub mod fuzz;
pub mod fuzz_envelope;
pub mod openssl;
pub mod peer;
pub mod pki;
pub mod program;
pub mod rehearsal;
pub mod relay;
pub mod scene;
pub mod secure_line;
pub mod station;
