//! CD.

/// CD — Change Direction (RFC 5024 §5.3.12): the turn goes to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeDirection;
