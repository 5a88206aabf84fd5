//! The name of a transfer as operators type and read it: `S12`, `R7`.

use std::fmt;
use std::str::FromStr;

/// A transfer: one row of either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransferRef {
    /// `S12`: a file to be sent.
    Outbound(i64),
    /// `R7`: a file received.
    Inbound(i64),
}

/// A text that names no transfer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no transfer: S and a number for one that was sent, R and a number for one that was received"
)]
pub struct InvalidTransferRef(pub String);

impl FromStr for TransferRef {
    type Err = InvalidTransferRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTransferRef(text.to_owned());
        let (direction, number) = text.split_at_checked(1).ok_or_else(invalid)?;
        if !number.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(invalid());
        }
        let id: i64 = number.parse().map_err(|_| invalid())?;
        match direction {
            "S" | "s" => Ok(Self::Outbound(id)),
            "R" | "r" => Ok(Self::Inbound(id)),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for TransferRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outbound(id) => f.pad(&format!("S{id}")),
            Self::Inbound(id) => f.pad(&format!("R{id}")),
        }
    }
}

impl serde::Serialize for TransferRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
