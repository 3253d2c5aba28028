//! Many workers over one store: one sync runs for an account, each piece of upkeep is done once, and what a worker leaves
//! behind that dies is taken over. Watches are set up and kept at both services, and what they tell leads to a sync.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod mirror;
mod support;
#[path = "support/upkeep.rs"]
mod upkept;
#[path = "upkeep_workers/watches.rs"]
mod watches;
#[path = "support/accounts.rs"]
mod with_accounts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt as _, StreamExt as _};
use http::Method;
use mirror::{Mirror, gmail_truth, hidden_folders, messages, outlook_truth};
use postroom::clock::Clock;
use postroom::credentials::{CredentialStore, MemoryStore};
use postroom::emulator::{Emulator, LifecycleEvent, NotificationFaults, PushSubscription};
use postroom::http::Regime;
use postroom::oauth::Endpoints;
use postroom::push::{GraphPost, PubSubEndpoint, Reason};
use postroom::testing::VirtualClock;
use postroom::{
    Account, AccountEvent, AccountId, Accounts, DueWork, ErrorKind, Mailbox, Scope, SyncReason,
    Synced, UpkeepHints, UpkeepHost, UpkeepPlan, Watch, WatchTarget,
};
use support::random::Random;
use support::receiver::Receiver;
use support::{GMAIL, OUTLOOK, emulator, transport};
use upkept::{Host, MINUTE, Watched, id, pass, put, record, settle, stored};
use with_accounts::{connect, google, microsoft};

const ACCOUNT: &str = "user 7";

/// One of several processes over a store, as far as the crate knows.
fn worker(emulator: &Emulator, store: &Arc<dyn CredentialStore>, clock: &VirtualClock) -> Accounts {
    Accounts::builder(Arc::clone(store))
        .clock(Arc::new(clock.clone()))
        .transport(transport(emulator))
        .configuration("google", google(emulator).with_regime(Regime::Off))
        .build()
        .unwrap()
}

fn deliver(emulator: &Emulator, count: usize) {
    for number in 0..count {
        let mail = format!("From: billing@shop.example\r\nSubject: {number}\r\n\r\nText\r\n");
        emulator.deliver(GMAIL, mail.as_bytes());
    }
}

/// Two workers over one store with an account of many messages, and time that a test moves.
async fn two() -> (Emulator, VirtualClock, Accounts, Mailbox, Mailbox) {
    let emulator = emulator().quota(false).start().await.unwrap();
    deliver(&emulator, 250);
    let clock = VirtualClock::by_hand(Utc::now());
    let store: Arc<dyn CredentialStore> =
        Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    let (here, there) = (
        worker(&emulator, &store, &clock),
        worker(&emulator, &store, &clock),
    );
    connect(&here, &emulator, "google", GMAIL, ACCOUNT)
        .await
        .unwrap();
    let id = AccountId::new(ACCOUNT);
    let mailboxes = (
        here.open(&id).await.unwrap(),
        there.open(&id).await.unwrap(),
    );
    (emulator, clock, here, mailboxes.0, mailboxes.1)
}

#[tokio::test]
async fn while_one_worker_syncs_another_is_told_until_when() {
    let (emulator, clock, _accounts, here, there) = two().await;
    let mirror = Mirror::new();
    let scope = Scope::everything();
    let mut pages = here.sync(None, scope.clone(), mirror.clone());
    assert!(mirror.store(&pages.next().await.unwrap().unwrap()));

    let refused = mirror.follow(&there, &scope).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(refused.code(), Some("sync_running"));
    let wait = refused.retry_after().unwrap();
    assert!(wait > 4 * MINUTE && wait <= 5 * MINUTE, "{wait:?}");
    // Each page that is asked for puts that off.
    clock.advance(4 * MINUTE);
    assert!(mirror.store(&pages.next().await.unwrap().unwrap()));
    let refused = mirror.follow(&there, &scope).await.unwrap_err();
    assert!(refused.retry_after().unwrap() > 4 * MINUTE);

    // Its end is told at once.
    while let Some(page) = pages.next().await {
        assert!(mirror.store(&page.unwrap()));
    }
    mirror.follow(&there, &scope).await.unwrap();
    mirror.follow(&here, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
}

#[tokio::test]
async fn a_host_that_is_slow_goes_on_and_one_that_was_overtaken_overwrites_nothing() {
    let (emulator, clock, _accounts, here, there) = two().await;
    let mirror = Mirror::new();
    let scope = Scope::everything();
    let mut pages = here.sync(None, scope.clone(), mirror.clone());
    assert!(mirror.store(&pages.next().await.unwrap().unwrap()));
    clock.advance(60 * MINUTE);
    let late = pages.next().await.unwrap().unwrap();

    // Before it stores that page, another worker takes over.
    clock.advance(5 * MINUTE + Duration::from_secs(1));
    let told = mirror.follow(&there, &scope).await.unwrap();
    assert!(!messages(&told).is_empty());
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    assert!(!mirror.store(&late));
    let overtaken = pages.next().await.unwrap().unwrap_err();
    assert_eq!(overtaken.kind(), ErrorKind::Conflict);
    assert_eq!(overtaken.code(), Some("sync_overtaken"));
    assert!(pages.next().await.is_none());
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    mirror.follow(&here, &scope).await.unwrap();
}

#[tokio::test]
async fn a_sync_that_was_dropped_keeps_only_others_waiting_and_not_for_long() {
    let (_emulator, clock, accounts, here, there) = two().await;
    let mirror = Mirror::new();
    let scope = Scope::everything();
    let mut pages = here.sync(None, scope.clone(), mirror.clone());
    assert!(mirror.store(&pages.next().await.unwrap().unwrap()));
    drop(pages);
    let refused = mirror.follow(&there, &scope).await.unwrap_err();
    assert_eq!(refused.code(), Some("sync_running"));
    let id = AccountId::new(ACCOUNT);
    let again = accounts.open(&id).await.unwrap();
    let mut pages = again.sync(mirror.cursor(), scope.clone(), mirror.clone());
    assert!(mirror.store(&pages.next().await.unwrap().unwrap()));
    drop(pages);
    clock.advance(5 * MINUTE + Duration::from_secs(1));
    mirror.follow(&there, &scope).await.unwrap();
}

#[tokio::test]
async fn a_worker_whose_store_does_not_answer_stops_before_another_takes_over() {
    let clock = upkept::clock();
    let store: Arc<dyn CredentialStore> =
        Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    put(store.as_ref(), &record(0)).await;
    let (here, there) = (Watched::over(store.clone()), Watched::over(store));
    let host = Host::gated(&clock);
    let start = |store: &Arc<Watched>| {
        let accounts = upkept::builder(store.clone(), &clock).build().unwrap();
        let upkeep = accounts.upkeep(host.clone());
        tokio::spawn(async move { upkeep.run().await })
    };
    let mut workers = vec![start(&here)];
    settle().await;
    assert_eq!(host.running().len(), 1);
    here.hangs.store(true, Ordering::Relaxed);
    workers.push(start(&there));
    pass(&clock, 6 * MINUTE, Duration::from_secs(5)).await;
    assert_eq!(host.asked().len(), 2, "the other one took over");
    assert_eq!(host.overlaps.load(Ordering::Relaxed), 0);
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Workers that die at any moment, over a store that fails now and then.
#[tokio::test]
async fn each_piece_of_work_is_done_once_whoever_dies() {
    const ACCOUNTS: usize = 12;
    const WORKERS: usize = 3;
    let mut random = Random::seeded();
    let clock = upkept::clock();
    let store = Watched::new(&clock);
    for number in 0..ACCOUNTS {
        put(store.as_ref(), &record(number)).await;
    }
    let host = Host::slow(&clock, Duration::from_secs(20));
    let plan = UpkeepPlan::default().at_once(2).look_every(2 * MINUTE);
    let start = || {
        let accounts = upkept::builder(store.clone(), &clock).build().unwrap();
        let upkeep = accounts.upkeep(host.clone()).with_plan(plan.clone());
        tokio::spawn(async move { upkeep.run().await })
    };
    let mut workers: Vec<_> = (0..WORKERS).map(|_| start()).collect();
    let begun = clock.now();
    let mut kills = 0;
    let step = Duration::from_secs(5);
    for _ in 0..12 * 60 * 2 {
        if random.below(80) == 0 {
            let one = usize::try_from(random.below(3)).unwrap() % WORKERS;
            workers[one].abort();
            workers[one] = start();
            kills += 1;
        }
        store.fails.store(random.below(20) == 0, Ordering::Relaxed);
        clock.advance(step);
        settle().await;
    }
    let lasted = clock.now() - begun;
    assert!(kills > 5, "{kills}");
    assert_eq!(host.overlaps.load(Ordering::Relaxed), 0);
    let mut all: BTreeMap<AccountId, Vec<DateTime<Utc>>> = BTreeMap::new();
    for asked in host.asked() {
        all.entry(asked.account).or_default().push(asked.at);
    }
    assert_eq!(all.len(), ACCOUNTS);
    let expected = lasted.num_minutes() / 5;
    let mut more = 0;
    for (account, at) in &all {
        let longest = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        // Two minutes for the lease of one that died, and some for a store that was away.
        assert!(longest < TimeDelta::minutes(15), "{account}: {longest}");
        more += (i64::try_from(at.len()).unwrap() - expected).max(0);
    }
    // Only what a worker had begun that died, or could not note, is done again.
    let repeated = i64::from(kills * 2) + 20;
    assert!(more <= repeated, "{more} more than expected, {kills} kills");
    for worker in workers {
        worker.abort();
    }
    let _ = id(0);
}
