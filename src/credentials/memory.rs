//! A store that forgets: records in this process's memory, for tests and trials.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::store::{
    CredentialStore, RecordKey, RecordKind, Revision, Save, Saved, StoreError, StoredRecord,
};
use crate::clock::{Clock, SystemClock};
use crate::model::AccountId;
use crate::secret::Secret;

/// Records in memory. Clones share them.
#[derive(Clone)]
pub struct MemoryStore {
    records: Arc<Mutex<HashMap<RecordKey, StoredRecord>>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::new()))
    }

    /// An empty store whose leases end by this clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            records: Arc::default(),
            clock,
        }
    }

    fn records(&self) -> MutexGuard<'_, HashMap<RecordKey, StoredRecord>> {
        // No code panics while it holds the lock, and every write is one insertion.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryStore")
            .field("records", &self.records().len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialStore for MemoryStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        Ok(self.records().get(key).cloned())
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        let revision = Revision::random()?;
        let mut records = self.records();
        if !save.allows(records.get(key).map(|stored| &stored.revision)) {
            return Ok(Saved::Superseded);
        }
        records.insert(
            key.clone(),
            StoredRecord::new(record.clone(), revision.clone()),
        );
        Ok(Saved::Written(revision))
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.records().remove(key);
        Ok(())
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let records = self.records();
        let accounts = records
            .keys()
            .filter(|key| key.kind == RecordKind::Account && key.namespace.as_deref() == namespace);
        Ok(accounts.map(|key| key.account.clone()).collect())
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.clock.now())
    }
}
