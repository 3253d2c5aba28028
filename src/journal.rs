//! Where a send has got to, kept by the host: what makes the same key never send twice, also across a crash.
//! What to do with an entry is decided by [`Mailbox::send_once`](crate::Mailbox::send_once).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::{SendKey, SendTicket, Sent};

/// A small key-value store of the host's, for sends in progress.
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
    Dispatching(SendTicket),
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
