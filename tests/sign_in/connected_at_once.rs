//! Two sign-ins that end at the same moment keep the same rules as two that end one after the other.

use std::sync::Arc;

use crate::support::emulator;
use crate::with_accounts::{CONFIGURATIONS, builder};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use postroom::credentials::{
    CredentialStore, MemoryStore, RecordKey, RecordKind, Save, Saved, StoreError, StoredRecord,
};
use postroom::oauth::SignInOptions;
use postroom::testing::VirtualClock;
use postroom::{AccountId, ErrorKind};
use tokio::sync::watch;

/// A store in which an account is saved only once somebody else is about to save one too, or has to wait for a lease.
#[derive(Debug)]
struct Meeting {
    store: MemoryStore,
    there: watch::Sender<usize>,
}

impl Meeting {
    fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            there: watch::channel(0).0,
        }
    }

    fn arrive(&self) {
        self.there.send_modify(|there| *there += 1);
    }
}

#[async_trait]
impl CredentialStore for Meeting {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let loaded = self.store.load(key).await?;
        if key.kind != RecordKind::Account && loaded.is_some() {
            self.arrive();
        }
        Ok(loaded)
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &postroom::Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        if key.kind == RecordKind::Account {
            self.arrive();
            let mut there = self.there.subscribe();
            there.wait_for(|there| *there >= 2).await.unwrap();
        }
        self.store.save(key, record, save).await
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.store.remove(key).await
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        self.store.list(namespace).await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        self.store.now().await
    }
}

#[tokio::test]
async fn of_two_sign_ins_at_once_that_exclude_each_other_one_is_refused() {
    for (configuration, address) in CONFIGURATIONS {
        let other = address.replace("reader", "team");
        for ([first, second], kind) in [
            // One mailbox, two accounts.
            (
                [("one", address), ("two", address)],
                ErrorKind::AlreadyConnected,
            ),
            // One account, two mailboxes.
            ([("one", address), ("one", &other)], ErrorKind::Conflict),
        ] {
            let emulator = emulator().start().await.unwrap();
            let store = Arc::new(Meeting::new());
            let accounts = builder(&emulator, store.clone())
                .clock(Arc::new(VirtualClock::eager(Utc::now())))
                .build()
                .unwrap();
            let sign_in = async |(id, address): (&str, &str)| {
                let id = AccountId::new(id);
                let begun = accounts.connect(&id, configuration, SignInOptions::new());
                let begun = begun.await.unwrap();
                let callback = emulator.sign_in(&begun.url, address).await.unwrap();
                accounts.complete(begun.pending, &callback).await
            };
            let outcomes = futures_util::join!(sign_in(first), sign_in(second));
            let (kept, refused) = match outcomes {
                (Ok(kept), Err(refused)) | (Err(refused), Ok(kept)) => (kept, refused),
                both => panic!("{configuration}: {both:?}"),
            };
            assert_eq!(refused.kind(), kind, "{configuration}");
            assert_eq!(accounts.list().await.unwrap().len(), 1);

            // Nothing but the account is kept.
            accounts.disconnect(&kept.id).await.unwrap();
            let empty = format!("{:?}", MemoryStore::new());
            assert_eq!(format!("{:?}", store.store), empty);
        }
    }
}
