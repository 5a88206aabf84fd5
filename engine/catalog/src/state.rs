//! The states of transfers, and which may follow which.

use std::fmt;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$state_doc:meta])* $state:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$state_doc])* $state,)*
        }

        impl $name {
            /// Every state.
            pub const ALL: &[Self] = &[$(Self::$state),*];

            /// The name in lower case, as it is stored and listed.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$state => $text,)*
                }
            }

            /// The state of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|state| state.as_str() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

states! {
    /// Where a file to be sent stands.
    OutboundState {
        /// Waits for its turn, or for the time before which it is not tried again.
        Queued = "queued",
        /// Offered to the partner, or on its way.
        Sending = "sending",
        /// EFPA came: the partner has it. Its receipt is awaited.
        Sent = "sent",
        /// A receipt came, but it lacks the proof that was asked for: it is unsigned, or its signature or hash is
        /// wrong. A right one may still come.
        Unproven = "unproven",
        /// EERP came: it arrived. Final.
        Delivered = "delivered",
        /// NERP came: it was sent, but could not be delivered or used. Final.
        Rejected = "rejected",
        /// SFNA or EFNA that leaves no hope. Final, unless an operator queues it again.
        Refused = "refused",
        /// Given up on our side. Final, unless an operator queues it again.
        Failed = "failed",
        /// Taken back by an operator. Final.
        Cancelled = "cancelled",
        /// Kept back by an operator until released.
        Held = "held",
    }
}

states! {
    /// Where a file that is received stands.
    InboundState {
        /// Its data arrive, or are expected to go on arriving in a later session.
        Receiving = "receiving",
        /// Complete, verified and synced; about to be renamed to its final path.
        Landing = "landing",
        /// In its place, and its receipt is owed or was sent. Final.
        Received = "received",
        /// Given up. Taken up again if the partner offers it again.
        Failed = "failed",
    }
}

states! {
    /// Where a receipt stands: one of ours is owed until it is sent or withdrawn.
    ReceiptState {
        /// We owe it to the partner.
        Owed = "owed",
        /// The partner has it.
        Sent = "sent",
        /// Taken back before it was sent: a later one takes its place.
        Withdrawn = "withdrawn",
        /// It came from the partner.
        Arrived = "arrived",
    }
}

impl OutboundState {
    /// True if nothing more is to be done for the file.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Delivered | Self::Rejected | Self::Refused | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Sending | Self::Sent | Self::Unproven | Self::Held => false,
        }
    }

    /// True if `next` may follow by a decision of ours. Receipts have their own rule, see
    /// [`Self::awaits_receipt`]; nothing else makes a file `Unproven`.
    pub const fn may_become(self, next: Self) -> bool {
        use OutboundState::{
            Cancelled, Delivered, Failed, Held, Queued, Refused, Rejected, Sending, Sent, Unproven,
        };
        match self {
            Queued => matches!(next, Queued | Sending | Held | Failed | Cancelled),
            Sending => {
                matches!(
                    next,
                    Sending | Sent | Queued | Held | Refused | Failed | Cancelled | Delivered | Rejected
                )
            }
            // A file that the partner has is never sent again under the same identity.
            Sent => matches!(next, Sent | Delivered | Rejected | Failed | Cancelled),
            Unproven => matches!(next, Delivered | Rejected | Failed | Cancelled),
            Held => matches!(next, Held | Queued | Failed | Cancelled),
            Refused | Failed => matches!(next, Queued | Cancelled),
            Delivered | Rejected | Cancelled => false,
        }
    }

    /// True if a receipt still changes something for a file that was offered at least once.
    ///
    /// Not only `Sending` and `Sent`: if the connection broke before the EFPA came, the partner has the file and
    /// writes its receipt while the file is queued again here, or was given up. The receipt is what counts.
    pub const fn awaits_receipt(self) -> bool {
        match self {
            Self::Delivered | Self::Rejected => false,
            Self::Queued
            | Self::Sending
            | Self::Sent
            | Self::Unproven
            | Self::Held
            | Self::Refused
            | Self::Failed
            | Self::Cancelled => true,
        }
    }
}

impl InboundState {
    /// True if `next` may follow.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Receiving => matches!(next, Self::Receiving | Self::Landing | Self::Failed),
            Self::Landing => matches!(next, Self::Landing | Self::Received | Self::Failed),
            Self::Received => false,
            Self::Failed => matches!(next, Self::Receiving | Self::Failed),
        }
    }
}
