//! CDT.

/// CDT — Set Credit (RFC 5024 §5.3.7): the window is full again.
///
/// Two reserved octets follow; a CDT without them is taken too (`DEVIATIONS.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetCredit;
