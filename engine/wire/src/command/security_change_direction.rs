//! SECD.

/// SECD — Security Change Direction (RFC 5024 §5.3.16): "challenge me". Level 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityChangeDirection;
