//! Encryption at rest (feature `encryption`): [`EncryptedJournal`] around any journal. Its keys are `credentials`'; where
//! the entries are kept is the inner journal's.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{JournalEntry, JournalKey, Save, Saved, SendJournal, SendScope, SendState, StoreError};
use crate::credentials::{EncryptionKeys, binding};
use crate::model::{SendKey, SendTicket};
use crate::secret::Secret;

/// A journal whose tickets are encrypted before they reach the journal inside.
///
/// * As [`Encrypted`](crate::credentials::Encrypted) does it, and with the same kind of keys. To replace a key, keep the old
///   one as a reading one until the entries that it wrote are sent.
/// * What is encrypted is bound to its namespace, account and key: a ticket that was put in another entry's place, or changed,
///   is an error, and nothing is sent.
/// * Keys, times and the ids of sent messages are in the clear. Let keys say nothing.
///
/// ```
/// # fn example() -> Result<(), postroom::credentials::StoreError> {
/// use postroom::credentials::{EncryptionKey, EncryptionKeys};
/// use postroom::{EncryptedJournal, MemoryJournal};
///
/// let keys = EncryptionKeys::new("2026", EncryptionKey::generate()?);
/// let journal = EncryptedJournal::new(MemoryJournal::new(), keys);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EncryptedJournal<J> {
    journal: J,
    keys: EncryptionKeys,
}

impl<J: SendJournal> EncryptedJournal<J> {
    /// The journal around `journal`.
    #[must_use]
    pub fn new(journal: J, keys: EncryptionKeys) -> Self {
        Self { journal, keys }
    }

    /// The journal inside.
    #[must_use]
    pub fn inner(&self) -> &J {
        &self.journal
    }

    fn decrypted(
        &self,
        scope: &SendScope,
        entry: JournalEntry,
    ) -> Result<JournalEntry, StoreError> {
        let Some(ticket) = entry.state.ticket() else {
            return Ok(entry);
        };
        let stored = Secret::new(ticket.expose());
        let bound_to = |name: &str| bound_to(scope, &entry.key, name);
        // A key may be anything, and errors are printed.
        let what = "the ticket of a send";
        let ticket = self
            .keys
            .decrypt(&stored, &bound_to, what)?
            .ok_or_else(|| StoreError::unreadable(format!("{what} is not encrypted")))?;
        let state = entry.state.with_ticket(SendTicket::new(ticket.expose()));
        Ok(JournalEntry { state, ..entry })
    }
}

/// What a ticket is bound to.
fn bound_to(scope: &SendScope, key: &SendKey, name: &str) -> Vec<u8> {
    // What is not there differs from everything that can be.
    let part = |text: Option<&str>| text.map_or_else(String::new, |text| format!("={text}"));
    let namespace = part(scope.namespace.as_deref());
    let account = part(scope.account.as_ref().map(|account| account.as_str()));
    binding(name, ["send", &namespace, &account, key.as_str()])
}

#[async_trait]
impl<J: SendJournal> SendJournal for EncryptedJournal<J> {
    async fn get(&self, key: &JournalKey) -> Result<Option<JournalEntry>, StoreError> {
        let entry = self.journal.get(key).await?;
        entry
            .map(|entry| self.decrypted(&key.scope, entry))
            .transpose()
    }

    async fn put(
        &self,
        key: &JournalKey,
        state: &SendState,
        save: Save,
    ) -> Result<Saved, StoreError> {
        let Some(ticket) = state.ticket() else {
            return self.journal.put(key, state, save).await;
        };
        let bound_to = |name: &str| bound_to(&key.scope, &key.key, name);
        let encrypted = self
            .keys
            .encrypt(&Secret::new(ticket.expose()), &bound_to)?;
        let ticket = SendTicket::new(encrypted.expose());
        let state = state.clone().with_ticket(ticket);
        self.journal.put(key, &state, save).await
    }

    async fn remove(&self, key: &JournalKey) -> Result<(), StoreError> {
        self.journal.remove(key).await
    }

    async fn list(
        &self,
        scope: &SendScope,
        after: Option<&SendKey>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let entries = self.journal.list(scope, after, limit).await?;
        let entries = entries.into_iter();
        entries.map(|entry| self.decrypted(scope, entry)).collect()
    }

    async fn sent_since(
        &self,
        scope: &SendScope,
        since: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>, StoreError> {
        self.journal.sent_since(scope, since).await
    }

    async fn forget_sent(
        &self,
        scope: &SendScope,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.journal.forget_sent(scope, before).await
    }
}
