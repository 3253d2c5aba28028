//! Many workers over one store: one sync runs for an account, each piece of upkeep is done once, and what a worker leaves
//! behind that dies is taken over. Watches are set up and kept at both services, and what they tell leads to a sync.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod mirror;
mod receiver;
mod support;
#[path = "support/upkeep.rs"]
mod upkept;
#[path = "support/accounts.rs"]
mod with_accounts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt as _, StreamExt as _};
use http::Method;
use mirror::{Mirror, gmail_truth, messages};
use postroom::clock::Clock;
use postroom::credentials::{CredentialStore, MemoryStore};
use postroom::emulator::{Emulator, LifecycleEvent, NotificationFaults, PushSubscription};
use postroom::http::Regime;
use postroom::oauth::Endpoints;
use postroom::push::{GraphPost, PubSubEndpoint, Reason};
use postroom::testing::VirtualClock;
use postroom::{
    AccountEvent, AccountId, Accounts, DueWork, ErrorKind, Mailbox, Scope, SyncReason, Synced,
    UpkeepHints, UpkeepPlan, Watch, WatchTarget,
};
use receiver::Receiver;
use support::random::Random;
use support::{GMAIL, OUTLOOK, emulator, transport};
use upkept::{Host, MINUTE, Watched, id, put, record, settle, stored};
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

/// Both services telling a server of the host's, and time that a test moves.
struct Told {
    emulator: Emulator,
    clock: VirtualClock,
    accounts: Accounts,
    store: Arc<dyn CredentialStore>,
    receiver: Receiver,
    pub_sub: PubSubEndpoint,
    host: Arc<Host>,
    topic: String,
}

const CONFIGURATIONS: [(&str, &str, &str); 2] =
    [("google", GMAIL, "g"), ("microsoft", OUTLOOK, "m")];

impl Told {
    async fn start() -> Self {
        let clock = VirtualClock::by_hand(Utc::now());
        let emulator = emulator().quota(false).clock(Arc::new(clock.clone()));
        let emulator = emulator.start().await.unwrap();
        let store: Arc<dyn CredentialStore> =
            Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        let accounts = worker(&emulator, &store, &clock);
        let outlook = microsoft(&emulator).with_regime(Regime::Off);
        accounts.configure("microsoft", outlook).unwrap();
        for (configuration, address, id) in CONFIGURATIONS {
            connect(&accounts, &emulator, configuration, address, id)
                .await
                .unwrap();
        }
        let receiver = Receiver::start().await;
        let topic = emulator.create_topic("mail");
        emulator.push_topic(&topic, PushSubscription::new(receiver.at("google")));
        let pub_sub = PubSubEndpoint::with(
            receiver.at("google"),
            emulator.push_service_account(),
            Endpoints::google_at(&emulator.google().base_url).unwrap(),
            transport(&emulator),
            Arc::new(clock.clone()),
        );
        let host = Host::new(&clock);
        let graph = WatchTarget::webhook(receiver.at("graph"));
        *host.targets.lock().unwrap() = vec![
            WatchTarget::topic(topic.clone()),
            graph.with_lifecycle_url(receiver.at("graph")),
        ];
        Self {
            emulator,
            clock,
            accounts,
            store,
            receiver,
            pub_sub: pub_sub.unwrap(),
            host,
            topic,
        }
    }

    /// Gives what came to the upkeep, as a host's server does.
    async fn forward(&mut self, hints: &UpkeepHints) -> usize {
        self.emulator.until_notified().await;
        let mut told = 0;
        for posted in self.receiver.told() {
            if posted.path == "/google" {
                let read = self.pub_sub.receive(&posted.headers, &posted.body);
                match read.await {
                    Ok(notification) => hints.notified(&notification),
                    // The test let hours pass before it looked.
                    Err(late) => assert_eq!(late.reason(), Reason::Expired),
                }
                told += 1;
            } else {
                let read = GraphPost::read(posted.query.as_deref(), &posted.body);
                let GraphPost::Notifications(items) = read.unwrap() else {
                    panic!("not asked for: {posted:?}");
                };
                for item in items {
                    hints.told(&item).unwrap();
                    told += 1;
                }
            }
        }
        told
    }

    /// Lets everybody do what can be done now, over real connections.
    async fn quiet(&self) {
        loop {
            let before = self.emulator.requests().len();
            for _ in 0..20 {
                settle().await;
            }
            if self.emulator.requests().len() == before {
                return;
            }
        }
    }

    async fn pass(&self, time: Duration, step: Duration) {
        let end = self.clock.monotonic() + time;
        self.quiet().await;
        while self.clock.monotonic() < end {
            self.clock.advance(step);
            self.quiet().await;
        }
    }

    async fn watch(&self, id: &str) -> Watch {
        let record = stored(self.store.as_ref(), &AccountId::new(id)).await;
        assert_eq!(record.subscriptions.len(), 1, "{:?}", record.upkeep);
        record.subscriptions[0].clone()
    }

    fn asked(&self, id: &str) -> Vec<SyncReason> {
        let asked = self.host.asked().into_iter();
        asked
            .filter(|asked| asked.account.as_str() == id)
            .map(|asked| asked.reason)
            .collect()
    }

    fn deliver(&self, address: &str) {
        let mail = b"From: billing@shop.example\r\nSubject: New\r\n\r\nText\r\n";
        self.emulator.deliver(address, mail);
    }

    fn calls(&self, method: &Method, path: &str) -> usize {
        let requests = self.emulator.requests().into_iter();
        requests
            .filter(|request| request.method == method.as_str() && request.path.contains(path))
            .count()
    }
}

#[tokio::test]
async fn accounts_are_watched_and_synced_when_something_is_told() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let hints = upkeep.hints();
    let running = tokio::spawn(async move { upkeep.run().await });
    told.quiet().await;
    let first = told.host.asked();
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|asked| asked.reason == SyncReason::First));
    // Gmail tells at once that it watches.
    told.forward(&hints).await;
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    told.host.asked();

    for (_, address, id) in CONFIGURATIONS {
        let before = told.watch(id).await;
        told.deliver(address);
        assert!(told.forward(&hints).await > 0, "{id}");
        told.pass(Duration::from_secs(10), Duration::from_secs(2))
            .await;
        assert_eq!(told.asked(id), [SyncReason::Told], "{id}");

        // Renewed well before its end, and polled now and then all the same.
        told.pass(25 * 60 * MINUTE, 30 * MINUTE).await;
        let after = told.watch(id).await;
        assert_eq!(after.id, before.id);
        assert_eq!(after.began_at, before.began_at);
        assert!(after.expires_at.unwrap() > before.expires_at.unwrap());
        let polls = told.asked(id);
        assert!((12..=26).contains(&polls.len()), "{id}: {polls:?}");
        assert!(!polls.contains(&SyncReason::Missed), "no gap");
        told.forward(&hints).await;
        told.pass(Duration::from_secs(10), Duration::from_secs(2))
            .await;
        told.host.asked();
    }
    running.abort();
}

#[tokio::test]
async fn a_watch_that_the_service_ended_is_made_anew_and_its_gap_synced() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let hints = upkeep.hints();
    let running = tokio::spawn(async move { upkeep.run().await });
    told.quiet().await;
    told.forward(&hints).await;
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    told.host.asked();
    let before = told.watch("m").await;

    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::ReauthorizationRequired);
    told.forward(&hints).await;
    told.clock.advance(MINUTE);
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    assert_eq!(told.asked("m"), [], "nothing was missed");
    let prolonged = told.watch("m").await;
    assert_eq!(prolonged.id, before.id);
    assert!(prolonged.expires_at > before.expires_at);

    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::SubscriptionRemoved);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 0);
    told.forward(&hints).await;
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    assert_eq!(told.asked("m"), [SyncReason::Missed]);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 1);
    assert_ne!(told.watch("m").await.id, before.id);

    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::Missed);
    told.forward(&hints).await;
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    assert_eq!(told.asked("m"), [SyncReason::Missed]);

    // Nobody runs for longer than watches last.
    running.abort();
    let _ = running.await;
    told.clock.advance(8 * 24 * 60 * MINUTE);
    let upkeep = told.accounts.upkeep(told.host.clone());
    let running = tokio::spawn(async move { upkeep.run().await });
    told.pass(3 * MINUTE, MINUTE).await;
    for (_, _, id) in CONFIGURATIONS {
        let watch = told.watch(id).await;
        assert!(watch.expires_at.unwrap() > told.clock.now(), "{id}");
    }
    let reasons: Vec<SyncReason> = told.host.reasons();
    // It was time for an audit as well, which finds more.
    assert!(
        reasons.len() >= 2 && !reasons.contains(&SyncReason::Poll),
        "{reasons:?}"
    );
    running.abort();
}

#[tokio::test]
async fn another_target_takes_the_place_of_a_watch_that_is_there_until_then() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    upkeep.attend(&AccountId::new("m")).await.unwrap();
    upkeep.attend(&AccountId::new("g")).await.unwrap();
    let before = told.watch("m").await;
    let elsewhere = told.emulator.create_topic("elsewhere");
    assert_ne!(elsewhere, told.topic);
    *told.host.targets.lock().unwrap() = vec![
        WatchTarget::topic(elsewhere.clone()),
        WatchTarget::webhook(told.receiver.at("elsewhere")),
    ];
    for id in ["m", "g"] {
        let attended = upkeep.attend(&AccountId::new(id)).await.unwrap();
        let did = [DueWork::Watch, DueWork::Sync(SyncReason::Missed)];
        assert_eq!(attended.done, did, "{id}: {:?}", attended.failed);
    }
    assert_ne!(told.watch("m").await.id, before.id);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 1);
    let place = told.watch("g").await.target.unwrap().place;
    assert_eq!(place, WatchTarget::topic(elsewhere).place);
    told.receiver.all();
    told.deliver(OUTLOOK);
    told.emulator.until_notified().await;
    let posted = told.receiver.told();
    assert!(posted.iter().all(|posted| posted.path == "/elsewhere"));
    assert_eq!(posted.len(), 1);

    // One that cannot be set up keeps no sync from being done.
    *told.host.targets.lock().unwrap() = vec![WatchTarget::topic("projects/p/topics/none")];
    let mut events = told.accounts.events();
    let attended = upkeep.attend(&AccountId::new("g")).await.unwrap();
    assert_eq!(attended.failed.unwrap().kind(), ErrorKind::Configuration);
    let failing = events.next().await.unwrap();
    assert!(
        matches!(
            failing,
            AccountEvent::UpkeepFailing {
                work: DueWork::Watch,
                ..
            }
        ),
        "{failing:?}"
    );
    told.clock.advance(67 * MINUTE);
    let attended = upkeep.attend(&AccountId::new("g")).await.unwrap();
    assert_eq!(attended.done, [DueWork::Sync(SyncReason::Poll)]);
}

#[tokio::test]
async fn an_account_that_goes_ends_its_watch_unless_another_one_needs_it() {
    let told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    for (_, _, id) in CONFIGURATIONS {
        upkeep.attend(&AccountId::new(id)).await.unwrap();
    }
    // The same mailboxes again, for somebody who may share them.
    let sharing = with_accounts::builder(&told.emulator, told.store.clone())
        .clock(Arc::new(told.clock.clone()))
        .share_mailboxes(true)
        .build()
        .unwrap();
    for (configuration, address, id) in CONFIGURATIONS {
        let id = format!("{id} again");
        connect(&sharing, &told.emulator, configuration, address, &id)
            .await
            .unwrap();
    }
    for id in ["g", "m"] {
        sharing.disconnect(&AccountId::new(id)).await.unwrap();
    }
    assert_eq!(told.calls(&Method::POST, "/stop"), 0, "the other needs it");
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 0);

    let upkeep = sharing.upkeep(told.host.clone());
    for id in ["g again", "m again"] {
        let id = AccountId::new(id);
        upkeep.attend(&id).await.unwrap();
        let is_outlook = id.as_str().starts_with('m');
        assert_eq!(
            told.emulator.subscriptions(OUTLOOK),
            usize::from(is_outlook)
        );
        sharing.disconnect(&id).await.unwrap();
    }
    assert_eq!(told.calls(&Method::POST, "/stop"), 1);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 0);
}

#[tokio::test]
async fn a_watch_that_tells_nothing_is_noticed_and_polls_come_as_without_it() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let running = tokio::spawn(async move { upkeep.run().await });
    told.quiet().await;
    told.emulator
        .notification_faults(NotificationFaults::default().losing(1.0));
    // Each poll finds something that nobody had told.
    *told.host.synced.lock().unwrap() = Synced::Changed;
    let mut events = told.accounts.events();
    told.pass(5 * 60 * MINUTE, 10 * MINUTE).await;
    let mut silent = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        if let AccountEvent::WatchSilent { account, .. } = event {
            silent.push(account.to_string());
        }
    }
    silent.sort();
    assert_eq!(silent, ["g", "m"]);
    told.host.asked();
    told.pass(60 * MINUTE, MINUTE).await;
    assert!(told.asked("g").len() >= 9);

    // As soon as something is told again, they are seldom.
    told.receiver.all();
    told.emulator
        .notification_faults(NotificationFaults::default());
    running.abort();
    let _ = running.await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let hints = upkeep.hints();
    let running = tokio::spawn(async move { upkeep.run().await });
    told.quiet().await;
    told.deliver(GMAIL);
    told.deliver(OUTLOOK);
    assert!(told.forward(&hints).await >= 2);
    told.pass(3 * MINUTE, MINUTE).await;
    told.host.asked();
    told.pass(50 * MINUTE, MINUTE).await;
    assert_eq!(told.host.asked(), []);
    running.abort();
}
