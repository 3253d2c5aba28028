//! Where a send has got to, kept by the host: what makes the same key never send twice, also across a crash and across
//! processes. What to do with an entry is decided by [`Mailbox::send_once`](crate::Mailbox::send_once); the journals
//! themselves have a file each.

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "encryption")]
mod sealed;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod turns;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(crate) use crate::credentials::{Revision, Save, Saved, StoreError};
use crate::error::{Error, ErrorKind};
use crate::model::{AccountId, SendKey, SendTicket, Sent};

pub use self::memory::MemoryJournal;
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresJournal;
#[cfg(feature = "encryption")]
pub use self::sealed::EncryptedJournal;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteJournal;
pub(crate) use self::turns::Turns;

/// A small store of the host's, for sends in progress and done.
///
/// It is what the promise of [`Mailbox::send_once`](crate::Mailbox::send_once) rests on: a key that is in it is never sent
/// twice, by whichever process. Entries are secrets, since a ticket lets its holder send and may hold the message;
/// `EncryptedJournal` (feature `encryption`) keeps them encrypted in any journal.
///
/// An entry can be deleted once the host no longer repeats its key, see [`forget_sent`](Self::forget_sent). Disconnecting
/// an account leaves its entries, because its keys would send again otherwise.
///
/// # Contract
/// The words are those of [`CredentialStore`](crate::credentials::CredentialStore), and so is what is asked:
///
/// * A put is durable when it returns, and atomic: after a crash the key has the whole old entry or the whole new one.
/// * Every successful put gives the entry a revision that its key never had before, not even before it was removed
///   ([`Revision::random`] is enough).
/// * Conditional puts compare and write as one step, against every process that shares the journal. Of several
///   [`Save::IfRevision`] with the same revision exactly one is [`Saved::Written`]; likewise [`Save::IfAbsent`].
/// * A put that came second is [`Saved::Superseded`], an answer and not an error.
/// * Keys and scopes are compared byte for byte.
/// * No error holds anything of an entry.
///
/// The suite `send_journal_tests!` (feature `testing`) shows whether a journal of the host's own keeps it.
#[async_trait]
pub trait SendJournal: fmt::Debug + Send + Sync + 'static {
    /// What is known of this send.
    ///
    /// # Errors
    /// Whatever the host's storage reports; nothing is sent then.
    async fn get(&self, key: &JournalKey) -> Result<Option<JournalEntry>, StoreError>;

    /// Notes where this send has got to, if `save` allows it.
    ///
    /// # Errors
    /// Whatever the host's storage reports; the send goes no further then.
    async fn put(
        &self,
        key: &JournalKey,
        state: &SendState,
        save: Save,
    ) -> Result<Saved, StoreError>;

    /// Forgets a send: its key sends again. That there is none is fine.
    ///
    /// # Errors
    /// Whatever the host's storage reports.
    async fn remove(&self, key: &JournalKey) -> Result<(), StoreError>;

    /// The entries of this scope that follow `after`, at most `limit` of them and fewer only at the end, in an order of the
    /// journal's own that does not change.
    ///
    /// # Errors
    /// Whatever the host's storage reports.
    async fn list(
        &self,
        scope: &SendScope,
        after: Option<&SendKey>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError>;

    /// When messages were sent from this scope since `since`, in any order: what a daily limit is reckoned by after a
    /// restart. By default the whole scope is read for it.
    ///
    /// # Errors
    /// Whatever the host's storage reports.
    async fn sent_since(
        &self,
        scope: &SendScope,
        since: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>, StoreError> {
        let mut times = Vec::new();
        let mut after = None;
        loop {
            let entries = self.list(scope, after.as_ref(), LISTED).await?;
            let sent = entries.iter().filter_map(|entry| entry.state.sent_at());
            times.extend(sent.filter(|at| *at >= since));
            match entries.into_iter().nth(LISTED - 1) {
                Some(last) => after = Some(last.key),
                None => return Ok(times),
            }
        }
    }

    /// Forgets what was sent from this scope before `before`, and says how many that were: their keys send again. What is
    /// prepared or under way stays. By default the whole scope is read for it.
    ///
    /// # Errors
    /// Whatever the host's storage reports. What was forgotten until then is forgotten.
    async fn forget_sent(
        &self,
        scope: &SendScope,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        let mut after = None;
        loop {
            let entries = self.list(scope, after.as_ref(), LISTED).await?;
            for entry in &entries {
                if entry.state.sent_at().is_some_and(|at| at < before) {
                    self.remove(&scope.key(&entry.key)).await?;
                    forgotten += 1;
                }
            }
            match entries.into_iter().nth(LISTED - 1) {
                Some(last) => after = Some(last.key),
                None => return Ok(forgotten),
            }
        }
    }
}

/// How many entries are read at a time where all of them are.
const LISTED: usize = 500;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<J: SendJournal + ?Sized> SendJournal for Arc<J> {
    async fn get(&self, key: &JournalKey) -> Result<Option<JournalEntry>, StoreError> {
        (**self).get(key).await
    }

    async fn put(
        &self,
        key: &JournalKey,
        state: &SendState,
        save: Save,
    ) -> Result<Saved, StoreError> {
        (**self).put(key, state, save).await
    }

    async fn remove(&self, key: &JournalKey) -> Result<(), StoreError> {
        (**self).remove(key).await
    }

    async fn list(
        &self,
        scope: &SendScope,
        after: Option<&SendKey>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        (**self).list(scope, after, limit).await
    }

    async fn sent_since(
        &self,
        scope: &SendScope,
        since: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>, StoreError> {
        (**self).sent_since(scope, since).await
    }

    async fn forget_sent(
        &self,
        scope: &SendScope,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        (**self).forget_sent(scope, before).await
    }
}

/// Whose sends they are: keys of different scopes have nothing to do with each other.
/// [`Accounts`](crate::Accounts) gives every account a scope of its own, which mailboxes shared with its user are in too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SendScope {
    /// The tenant of the host that the account belongs to, for hosts that have several.
    pub namespace: Option<String>,
    /// The account; `None` for a mailbox that was opened without [`Accounts`](crate::Accounts).
    pub account: Option<AccountId>,
}

impl SendScope {
    /// The scope of a mailbox that is the host's only one in its journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The scope of an account, outside any namespace.
    #[must_use]
    pub fn account(account: impl Into<AccountId>) -> Self {
        Self {
            namespace: None,
            account: Some(account.into()),
        }
    }

    /// The same within a namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The full key of a send of this scope.
    #[must_use]
    pub fn key(&self, key: &SendKey) -> JournalKey {
        JournalKey {
            scope: self.clone(),
            key: key.clone(),
        }
    }
}

/// What an entry is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct JournalKey {
    /// Whose send it is.
    pub scope: SendScope,
    /// The host's name for it.
    pub key: SendKey,
}

/// What a journal knows of a send.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JournalEntry {
    /// The host's name for the send.
    pub key: SendKey,
    /// Where it has got to.
    pub state: SendState,
    /// What to compare with when putting.
    pub revision: Revision,
}

impl JournalEntry {
    /// An entry as a journal found it.
    #[must_use]
    pub fn new(key: SendKey, state: SendState, revision: Revision) -> Self {
        Self {
            key,
            state,
            revision,
        }
    }
}

/// Where a send has got to. Serialised, it is as secret as the ticket in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SendState {
    /// Nothing was sent yet. Whoever wrote this is at the first step, or was until they died, and nobody else prepares the
    /// message for some minutes.
    Preparing {
        /// Who it is: a random word of theirs.
        by: String,
        /// When that began.
        since: DateTime<Utc>,
    },
    /// Nothing was sent yet.
    Prepared {
        /// What is to be dispatched.
        ticket: SendTicket,
        /// When it was prepared, or last refused.
        at: DateTime<Utc>,
    },
    /// It may have been sent. Whoever wrote this is at it, or was until they died; nobody else dispatches before the
    /// service has said that it was not sent, late enough for that to be true.
    Dispatching {
        /// What was dispatched.
        ticket: SendTicket,
        /// When that began.
        since: DateTime<Utc>,
    },
    /// It was sent.
    Sent {
        /// What the service told of it.
        sent: Sent,
        /// When that was known.
        at: DateTime<Utc>,
    },
}

impl SendState {
    /// When it came to this.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Prepared { at, .. } | Self::Sent { at, .. } => *at,
            Self::Preparing { since, .. } | Self::Dispatching { since, .. } => *since,
        }
    }

    /// When it was sent, if it was.
    #[must_use]
    pub fn sent_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Sent { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// What it is called in a column: `preparing`, `prepared`, `dispatching` or `sent`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Preparing { .. } => "preparing",
            Self::Prepared { .. } => "prepared",
            Self::Dispatching { .. } => "dispatching",
            Self::Sent { .. } => "sent",
        }
    }

    /// The ticket of a send that is prepared and not known to be done.
    #[must_use]
    pub fn ticket(&self) -> Option<&SendTicket> {
        match self {
            Self::Prepared { ticket, .. } | Self::Dispatching { ticket, .. } => Some(ticket),
            Self::Preparing { .. } | Self::Sent { .. } => None,
        }
    }

    /// The same with another ticket.
    #[cfg(feature = "encryption")]
    fn with_ticket(mut self, other: SendTicket) -> Self {
        if let Self::Prepared { ticket, .. } | Self::Dispatching { ticket, .. } = &mut self {
            *ticket = other;
        }
        self
    }
}

/// What the host hears of a journal that failed.
pub(crate) fn failed(error: StoreError) -> Error {
    Error::new(ErrorKind::SendJournal, "the send journal failed").with_source(error)
}
