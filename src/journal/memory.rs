//! A journal that forgets: entries in this process's memory.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    JournalEntry, JournalKey, Revision, Save, Saved, SendJournal, SendScope, SendState, StoreError,
};
use crate::model::SendKey;

/// A journal in memory: the same key sends once within this process.
#[derive(Default)]
pub struct MemoryJournal(Mutex<HashMap<SendScope, BTreeMap<String, JournalEntry>>>);

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<SendScope, BTreeMap<String, JournalEntry>>> {
        // Only whole entries are ever inserted, so a panic elsewhere leaves nothing half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: usize = self.entries().values().map(BTreeMap::len).sum();
        formatter
            .debug_struct("MemoryJournal")
            .field("entries", &entries)
            .finish()
    }
}

#[async_trait]
impl SendJournal for MemoryJournal {
    async fn get(&self, key: &JournalKey) -> Result<Option<JournalEntry>, StoreError> {
        let entries = self.entries();
        let scope = entries.get(&key.scope);
        Ok(scope.and_then(|scope| scope.get(key.key.as_str()).cloned()))
    }

    async fn put(
        &self,
        key: &JournalKey,
        state: &SendState,
        save: Save,
    ) -> Result<Saved, StoreError> {
        let revision = Revision::random()?;
        let mut entries = self.entries();
        let scope = entries.entry(key.scope.clone()).or_default();
        if !save.allows(scope.get(key.key.as_str()).map(|entry| &entry.revision)) {
            return Ok(Saved::Superseded);
        }
        let entry = JournalEntry::new(key.key.clone(), state.clone(), revision.clone());
        scope.insert(key.key.as_str().to_owned(), entry);
        Ok(Saved::Written(revision))
    }

    async fn remove(&self, key: &JournalKey) -> Result<(), StoreError> {
        if let Some(scope) = self.entries().get_mut(&key.scope) {
            scope.remove(key.key.as_str());
        }
        Ok(())
    }

    async fn list(
        &self,
        scope: &SendScope,
        after: Option<&SendKey>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let entries = self.entries();
        let Some(scope) = entries.get(scope) else {
            return Ok(Vec::new());
        };
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_str()));
        let following = scope.range::<str, _>((from, Bound::Unbounded));
        let following = following.map(|(_, entry)| entry.clone());
        Ok(following.take(limit).collect())
    }
}
