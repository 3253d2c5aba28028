//! Who a mailbox may write as: its own address and its aliases. Where a service keeps them is each provider's.

use std::fmt;

use serde::Serialize;

use super::Address;

/// An author that mail can be sent as: an address, the name that is shown with it, and what goes with them.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Identity {
    /// The address, and the name beside it.
    pub address: Address,
    /// Whether its owner proved that it is theirs, where the service tells: only then is it what recipients see.
    pub verified: Option<bool>,
    /// Whether it is the author of a message that names none.
    pub default: bool,
    /// Whether it is the mailbox's own address, and no alias.
    pub primary: bool,
    /// Where replies to it go, if not to the address itself.
    pub reply_to: Option<Address>,
    /// What the user ends messages with, as HTML, where the service tells. Neither service adds it to what is sent
    /// through this crate.
    pub signature: Option<String>,
}

impl Identity {
    /// An author of whom only the address is known.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            verified: None,
            default: false,
            primary: false,
            reply_to: None,
            signature: None,
        }
    }
}

/// A signature is what its owner writes to others: debug texts end in logs.
impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("verified", &self.verified)
            .field("default", &self.default)
            .field("primary", &self.primary)
            .field("signature", &self.signature.is_some())
            .finish_non_exhaustive()
    }
}
