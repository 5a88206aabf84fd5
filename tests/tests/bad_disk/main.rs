//! Disks, sources and homes that are not as they should be.

mod catalog;
mod faults;
mod home;
mod outbox;
mod sources;
