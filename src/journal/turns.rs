//! Turns within a process: one send at a time works on a key, so that those who repeat it wait instead of asking the
//! service what became of a send that is still going on. Between processes the journal's conditions decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::credentials::StoreError;
use crate::model::SendKey;

/// Lets one send at a time work on a key.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    locks: Mutex<HashMap<SendKey, Arc<tokio::sync::Mutex<()>>>>,
    word: OnceLock<String>,
}

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

    /// The word by which a journal's entries show whose they are. What shows this one is of somebody who had the turn before,
    /// and gave it up.
    pub(crate) fn word(&self) -> Result<&str, StoreError> {
        if self.word.get().is_none() {
            let word = super::Revision::random()?;
            // Another thread's is as good.
            let _ = self.word.set(word.as_str().to_owned());
        }
        Ok(self.word.get().map(String::as_str).unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SendKey, Arc<tokio::sync::Mutex<()>>>> {
        // Only whole entries are put in or taken out.
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
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
