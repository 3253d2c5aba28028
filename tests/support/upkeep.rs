//! What the tests of an upkeep need: accounts as they are after people have signed in, a host that notes what it was asked
//! for, and time that a test moves.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use postroom::clock::Clock;
use postroom::credentials::{
    AccountRecord, CredentialStore, MemoryStore, RecordKey, Save, Saved, Service, StoreError,
    StoredRecord,
};
use postroom::testing::VirtualClock;
use postroom::{
    Access, Account, AccountId, Accounts, AccountsBuilder, Error, Mailbox, ProviderConfiguration,
    Secret, SyncReason, Synced, UpkeepHost, WatchKind, WatchTarget,
};
use tokio::sync::Semaphore;

use crate::support::{Script, Scripted};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Noon, so that nights come later.
pub(crate) fn clock() -> VirtualClock {
    VirtualClock::by_hand("2026-11-22T12:00:00Z".parse().unwrap())
}

pub(crate) fn id(number: usize) -> AccountId {
    AccountId::new(format!("user {number}"))
}

/// An account of the one or the other service whose token never ends.
pub(crate) fn record(number: usize) -> AccountRecord {
    let (configuration, service) = if number.is_multiple_of(2) {
        ("google", Service::Google)
    } else {
        ("microsoft", Service::Microsoft)
    };
    let mut record = AccountRecord::new(id(number), configuration, service);
    record.granted = Access::READ_WRITE | Access::SEND;
    record.credential.access_token = Some(Secret::new("access"));
    record.credential.refresh_token = Some(Secret::new("refresh"));
    record
}

pub(crate) async fn put(store: &dyn CredentialStore, record: &AccountRecord) {
    let key = RecordKey::account(record.account.clone());
    record.save(store, &key, Save::Always).await.unwrap();
}

pub(crate) async fn stored(store: &dyn CredentialStore, account: &AccountId) -> AccountRecord {
    let key = RecordKey::account(account.clone());
    let loaded = AccountRecord::load(store, &key).await.unwrap();
    loaded.unwrap().record
}

pub(crate) fn builder(store: Arc<dyn CredentialStore>, clock: &VirtualClock) -> AccountsBuilder {
    let registration = |configuration: ProviderConfiguration| {
        configuration
            .with_client_secret(Secret::new("secret"))
            .with_redirect_uri("https://app.example/callback")
    };
    Accounts::builder(store)
        .clock(Arc::new(clock.clone()))
        .transport(Script::new([Scripted::Unreachable]))
        .configuration("google", registration(ProviderConfiguration::google("id")))
        .configuration(
            "microsoft",
            registration(ProviderConfiguration::microsoft("id")),
        )
}

/// Accounts of both services in a store, and a clock that a test moves.
pub(crate) async fn accounts(count: usize) -> (Arc<Watched>, VirtualClock, Accounts) {
    let clock = clock();
    let store = Watched::new(&clock);
    for number in 0..count {
        put(store.as_ref(), &record(number)).await;
    }
    let accounts = builder(store.clone(), &clock).build().unwrap();
    (store, clock, accounts)
}

/// Lets everybody do what can be done now.
pub(crate) async fn settle() {
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass in small steps.
pub(crate) async fn pass(clock: &VirtualClock, time: Duration, step: Duration) {
    let end = clock.monotonic() + time;
    settle().await;
    while clock.monotonic() < end {
        clock.advance(step);
        settle().await;
    }
}

/// A sync that a host was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) account: AccountId,
    pub(crate) reason: SyncReason,
    pub(crate) at: DateTime<Utc>,
}

/// A host that notes what it is asked for, and never syncs one account twice at a time.
#[derive(Debug)]
pub(crate) struct Host {
    clock: VirtualClock,
    asked: Mutex<Vec<Asked>>,
    running: Mutex<BTreeSet<AccountId>>,
    /// How often an account was to be synced while it was being synced.
    pub(crate) overlaps: AtomicUsize,
    /// Each sync takes one, if there are to be any.
    gate: Option<Semaphore>,
    /// How long a sync takes.
    takes: Duration,
    /// What syncs end with.
    pub(crate) fails: Mutex<Option<Error>>,
    pub(crate) panics: AtomicBool,
    pub(crate) synced: Mutex<Synced>,
    /// Where each service is to tell.
    pub(crate) targets: Mutex<Vec<WatchTarget>>,
}

impl Host {
    pub(crate) fn new(clock: &VirtualClock) -> Arc<Self> {
        Arc::new(Self::of(clock))
    }

    /// Syncs wait until they are let through.
    pub(crate) fn gated(clock: &VirtualClock) -> Arc<Self> {
        Arc::new(Self {
            gate: Some(Semaphore::new(0)),
            ..Self::of(clock)
        })
    }

    pub(crate) fn slow(clock: &VirtualClock, takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            takes,
            ..Self::of(clock)
        })
    }

    fn of(clock: &VirtualClock) -> Self {
        Self {
            clock: clock.clone(),
            asked: Mutex::default(),
            running: Mutex::default(),
            overlaps: AtomicUsize::new(0),
            gate: None,
            takes: Duration::ZERO,
            fails: Mutex::default(),
            panics: AtomicBool::new(false),
            synced: Mutex::new(Synced::Unchanged),
            targets: Mutex::default(),
        }
    }

    pub(crate) fn let_through(&self, syncs: usize) {
        self.gate.as_ref().unwrap().add_permits(syncs);
    }

    /// What it was asked for since this was last called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The accounts that are being synced.
    pub(crate) fn running(&self) -> BTreeSet<AccountId> {
        self.running.lock().unwrap().clone()
    }

    pub(crate) fn reasons(&self) -> Vec<SyncReason> {
        self.asked().into_iter().map(|asked| asked.reason).collect()
    }
}

/// What a sync that is dropped leaves behind: nothing.
struct Running<'a>(&'a Host, AccountId);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.lock().unwrap().remove(&self.1);
    }
}

#[async_trait]
impl UpkeepHost for Host {
    async fn sync(
        &self,
        account: &Account,
        _mailbox: Mailbox,
        reason: SyncReason,
    ) -> postroom::Result<Synced> {
        if !self.running.lock().unwrap().insert(account.id.clone()) {
            self.overlaps.fetch_add(1, Ordering::Relaxed);
        }
        let _running = Running(self, account.id.clone());
        self.asked.lock().unwrap().push(Asked {
            account: account.id.clone(),
            reason,
            at: self.clock.now(),
        });
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        if !self.takes.is_zero() {
            self.clock.sleep(self.takes).await;
        }
        assert!(!self.panics.load(Ordering::Relaxed), "as it was told");
        let fails = self.fails.lock().unwrap().clone();
        match fails {
            Some(error) => Err(error),
            None => Ok(*self.synced.lock().unwrap()),
        }
    }

    fn watch_target(&self, account: &Account) -> Option<WatchTarget> {
        let kind = match account.service.as_ref()? {
            Service::Google => WatchKind::Topic,
            _ => WatchKind::Webhook,
        };
        let targets = self.targets.lock().unwrap();
        let mut targets = targets.iter();
        targets.find(|target| target.kind() == Some(kind)).cloned()
    }
}

/// A store that counts how often it is read, and fails or never answers when it is told to.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn CredentialStore>,
    pub(crate) reads: AtomicUsize,
    pub(crate) writes: AtomicUsize,
    pub(crate) fails: AtomicBool,
    pub(crate) hangs: AtomicBool,
}

impl Watched {
    pub(crate) fn new(clock: &VirtualClock) -> Arc<Self> {
        Self::over(Arc::new(MemoryStore::with_clock(Arc::new(clock.clone()))))
    }

    /// Another way to the same store.
    pub(crate) fn over(inner: Arc<dyn CredentialStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reads: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
        })
    }

    /// How often it was read since this was last called.
    pub(crate) fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }

    async fn check(&self) -> Result<(), StoreError> {
        if self.hangs.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
        if self.fails.load(Ordering::Relaxed) {
            return Err(StoreError::new("the store is away"));
        }
        Ok(())
    }
}

#[async_trait]
impl CredentialStore for Watched {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        self.check().await?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.load(key).await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        self.check().await?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.inner.save(key, record, save).await
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.check().await?;
        self.inner.remove(key).await
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        self.check().await?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.list(namespace).await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        self.check().await?;
        self.inner.now().await
    }
}

/// Days as a duration of the calendar.
pub(crate) fn days(count: i64) -> TimeDelta {
    TimeDelta::days(count)
}
