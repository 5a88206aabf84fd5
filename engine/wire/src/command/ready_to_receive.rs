//! RTR.

/// RTR — Ready To Receive (RFC 5024 §5.3.15): the answer to EERP and NERP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyToReceive;
