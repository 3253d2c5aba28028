//! Where a send has got to, kept by the host: what makes the same key never send twice, also across a crash.
//! What to do with an entry is decided by [`Mailbox::send_once`](crate::Mailbox::send_once).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use crate::error::Result;
use crate::model::{SendKey, SendTicket, Sent};

/// A small key-value store of the host's, for sends in progress.
///
/// Within a process, calls with the same key take turns. A host whose processes share a journal must itself see to it that
/// only one of them works on a key at a time, as it does for the row in its outbox.
///
/// Entries are secrets: a ticket lets its holder send, and may hold the message. They can be deleted once the host no
/// longer repeats their key.
#[async_trait]
pub trait SendJournal: fmt::Debug + Send + Sync + 'static {
    /// What is known of this send.
    ///
    /// # Errors
    /// Whatever the host's storage reports; nothing is sent then.
    async fn get(&self, key: &SendKey) -> Result<Option<SendState>>;

    /// Notes where this send has got to. It must be durable when this returns.
    ///
    /// # Errors
    /// Whatever the host's storage reports; the send goes no further then.
    async fn put(&self, key: &SendKey, state: &SendState) -> Result<()>;
}

/// Where a send has got to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SendState {
    /// Nothing was sent yet.
    Prepared(SendTicket),
    /// It may have been sent.
    Dispatching {
        /// What was dispatched.
        ticket: SendTicket,
        /// When that began.
        since: DateTime<Utc>,
    },
    /// It was sent.
    Sent(Sent),
}

/// A journal in memory: the same key sends once within this process.
#[derive(Debug, Default)]
pub struct MemoryJournal(Mutex<HashMap<SendKey, SendState>>);

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl SendJournal for MemoryJournal {
    async fn get(&self, key: &SendKey) -> Result<Option<SendState>> {
        // Only whole entries are ever inserted, so a panic elsewhere leaves nothing half-written.
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(entries.get(key).cloned())
    }

    async fn put(&self, key: &SendKey, state: &SendState) -> Result<()> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(key.clone(), state.clone());
        Ok(())
    }
}

/// Lets one send at a time work on a key.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<SendKey, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else works on this key. Dropping the turn lets the next one have it.
    pub(crate) async fn take(self: &Arc<Self>, key: &SendKey) -> Turn {
        let mut turn = Turn {
            turns: Arc::clone(self),
            key: key.clone(),
            held: None,
        };
        let lock = Arc::clone(self.lock().entry(key.clone()).or_default());
        turn.held = Some(lock.lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SendKey, Arc<tokio::sync::Mutex<()>>>> {
        // Only whole entries are put in or taken out.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A send's turn, or its place in the queue.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    key: SendKey,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut keys = self.turns.lock();
        // A lock that only the table holds is nobody's any more.
        if keys
            .get(&self.key)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            keys.remove(&self.key);
        }
    }
}
