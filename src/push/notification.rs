//! What a service told, once it is known to be from it: [`Notification`], and what was refused: [`Rejected`]. How each
//! service says it is the other files'.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;
use crate::model::SubscriptionId;

/// Something was told about a mailbox, by the service that keeps it. It is a hint and no more: it may come late, twice or not
/// at all, and says nothing that a [sync](crate::Mailbox::sync) would not find.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Notification {
    /// Which watch it is about: the account whose [`Watch::id`](crate::Watch::id) this is. Gmail names the mailbox by its
    /// address here, in lower case.
    pub subscription: SubscriptionId,
    /// What was told.
    pub news: News,
}

/// What a service told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum News {
    /// Something happened in the mailbox: sync.
    Changed,
    /// Things happened that were not told: sync.
    Missed,
    /// The service ended the watch: [renew](crate::Mailbox::renew) it, which makes it anew, and sync.
    Removed,
    /// The service ends the watch soon, whatever its end, unless it is [renewed](crate::Mailbox::renew).
    RenewalWanted,
}

impl News {
    /// Whether a sync is worth while.
    #[must_use]
    pub fn asks_for_sync(self) -> bool {
        !matches!(self, Self::RenewalWanted)
    }

    /// Whether the watch is to be renewed, before anything else.
    #[must_use]
    pub fn asks_for_renewal(self) -> bool {
        matches!(self, Self::Removed | Self::RenewalWanted)
    }
}

/// What was posted is not believed, or is nothing that a service says: answer with the [status](Self::status), and do
/// nothing else.
#[derive(Clone, Debug)]
pub struct Rejected {
    reason: Reason,
    status: u16,
    source: Option<Error>,
}

/// Why something that was posted is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is longer than anything that a service says.
    TooLarge,
    /// It is not in the form in which services say it.
    Malformed,
    /// It carries no token although it must.
    Unsigned,
    /// Its token was not signed by the service, or is none.
    Forged,
    /// Its token has expired, or does not hold yet.
    Expired,
    /// Its token is for somebody else, or somebody else's.
    Foreign,
    /// It does not know what only the service knows, or is about another watch or directory than it claims.
    NotOurs,
    /// The service's keys could not be fetched, so that nobody knows: it comes again.
    Unverified,
}

impl Rejected {
    pub(super) fn new(reason: Reason, status: u16) -> Self {
        Self {
            reason,
            status,
            source: None,
        }
    }

    pub(super) fn with_source(mut self, source: Error) -> Self {
        self.source = Some(source);
        self
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The status to answer with. Not all of them say that something is wrong: what would be posted again and again, and never
    /// understood, is taken.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.reason {
            Reason::TooLarge => "what was posted is longer than any notification",
            Reason::Malformed => "what was posted is no notification",
            Reason::Unsigned => "the notification carries no token",
            Reason::Forged => "the notification's token was not signed by the service",
            Reason::Expired => "the notification's token does not hold now",
            Reason::Foreign => "the notification's token is for or of somebody else",
            Reason::NotOurs => "the notification is not for this watch",
            Reason::Unverified => "the notification's token could not be verified",
        })
    }
}

impl StdError for Rejected {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.source.as_ref()?;
        Some(source)
    }
}
