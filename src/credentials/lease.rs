//! Leases: who may do something for an account at the moment, among all processes that share a store. A lease is a
//! conditional save of a record of its own, so every store has leases. What they are used for is `tokens`'s.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::store::{CredentialStore, RecordKey, Revision, Save, Saved, StoreError};
use crate::secret::Secret;

/// The right to do something until an instant of the store's clock.
///
/// Dropping it does not give it back: the drop may be a crash, and only time ends what a crashed holder had.
/// Use [`release`](Self::release).
#[derive(Debug)]
pub struct Lease {
    store: Arc<dyn CredentialStore>,
    key: RecordKey,
    holder: String,
    revision: Revision,
    until: DateTime<Utc>,
}

/// Whether a lease was to be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum Acquired {
    /// It is held now.
    Held(Lease),
    /// Somebody else holds it.
    Busy {
        /// When it ends at the latest, by the store's clock, unless its holder renews it.
        until: DateTime<Utc>,
        /// How long that is from now, by the same clock.
        remaining: Duration,
    },
}

impl Lease {
    /// Takes the lease under `key` for `holder`, if it is free, has ended, or is this holder's already.
    ///
    /// `holder` names who asks and must differ between any two that exclude each other. It is stored in the clear
    /// beside the account, so it is no place for secrets.
    ///
    /// # Errors
    /// The store failed.
    pub async fn acquire(
        store: Arc<dyn CredentialStore>,
        key: RecordKey,
        holder: impl Into<String> + Send,
        duration: Duration,
    ) -> Result<Acquired, StoreError> {
        let holder = holder.into();
        loop {
            let now = store.now().await?;
            let current = store.load(&key).await?;
            let (save, held) = match &current {
                None => (Save::IfAbsent, None),
                Some(stored) => (
                    Save::IfRevision(stored.revision.clone()),
                    // A record that cannot be read must not lock the account for ever; what a lease protects is saved
                    // conditionally as well.
                    serde_json::from_str::<LeaseRecord>(stored.record.expose()).ok(),
                ),
            };
            if let Some(held) = held
                && held.holder != holder
                && held.until > now
            {
                return Ok(Acquired::Busy {
                    until: held.until,
                    remaining: (held.until - now).to_std().unwrap_or_default(),
                });
            }
            let until = end(now, duration);
            let record = LeaseRecord::write(&holder, until)?;
            // Whoever else was faster is found by looking again.
            if let Saved::Written(revision) = store.save(&key, &record, save).await? {
                return Ok(Acquired::Held(Self {
                    store,
                    key,
                    holder,
                    revision,
                    until,
                }));
            }
        }
    }

    /// Holds it for `duration` from now. `false`: it had ended and somebody else has taken it over; stop.
    ///
    /// # Errors
    /// The store failed.
    pub async fn renew(&mut self, duration: Duration) -> Result<bool, StoreError> {
        let until = end(self.store.now().await?, duration);
        let record = LeaseRecord::write(&self.holder, until)?;
        let save = Save::IfRevision(self.revision.clone());
        match self.store.save(&self.key, &record, save).await? {
            Saved::Written(revision) => {
                self.revision = revision;
                self.until = until;
                Ok(true)
            }
            Saved::Superseded => Ok(false),
        }
    }

    /// Gives it back. If it had ended and somebody else has it now, theirs is untouched.
    ///
    /// # Errors
    /// The store failed; the lease then ends by itself.
    pub async fn release(self) -> Result<(), StoreError> {
        // Ended, not removed: removal has no condition, and could take away what somebody else holds now.
        let record = LeaseRecord::write(&self.holder, DateTime::UNIX_EPOCH)?;
        let save = Save::IfRevision(self.revision);
        self.store.save(&self.key, &record, save).await.map(drop)
    }

    /// Gives it back and leaves no record, for a key that may never be used again.
    ///
    /// # Errors
    /// The store failed; the lease then ends by itself.
    pub(crate) async fn forget(self) -> Result<(), StoreError> {
        // Removal has no condition: nobody else may get it before that is done.
        let margin = Duration::from_secs(10);
        if end(self.store.now().await?, margin) < self.until {
            self.store.remove(&self.key).await
        } else {
            self.release().await
        }
    }

    /// When it ends, by the store's clock.
    #[must_use]
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} of {} until {}",
            self.key.kind.name(),
            self.key.account,
            self.until
        )
    }
}

#[derive(Serialize, Deserialize)]
struct LeaseRecord {
    holder: String,
    until: DateTime<Utc>,
}

impl LeaseRecord {
    fn write(holder: &str, until: DateTime<Utc>) -> Result<Secret, StoreError> {
        let record = Self {
            holder: holder.to_owned(),
            until,
        };
        serde_json::to_string(&record)
            .map(Secret::new)
            .map_err(|error| StoreError::new("a lease could not be written").with_source(error))
    }
}

fn end(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|duration| now.checked_add_signed(duration))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
