//! Disks that fail in the middle of a large file, sources that change while they are sent, a catalog that fails at
//! the worst moment, homes that a station must not start in. The plain cases are in `bad_disk`.

mod catalog;
mod faults;
mod home;
mod outbox;
mod sources;
