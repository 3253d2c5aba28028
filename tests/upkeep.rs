//! The one future that a host runs: each account is polled, audited and left alone when it should be, by a clock that tests
//! move, without a timer for each.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod support;
#[path = "support/upkeep.rs"]
mod upkept;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use futures_util::{FutureExt, StreamExt};
use postroom::clock::Clock;
use postroom::credentials::AccountState;
use postroom::push::GraphPost;
use postroom::testing::VirtualClock;
use postroom::{
    Access, AccountEvent, AccountEvents, AccountId, DueWork, Error, ErrorKind, SyncReason, Upkeep,
    UpkeepPlan, Watch, WatchTarget,
};
use support::{Script, Scripted};
use tokio::task::JoinHandle;
use upkept::{Asked, Host, MINUTE, accounts, builder, days, id, pass, put, record, settle, stored};

/// Lets it run beside the test.
fn run(upkeep: &Upkeep) -> JoinHandle<()> {
    let upkeep = upkeep.clone();
    tokio::spawn(async move { upkeep.run().await })
}

fn told(events: &mut AccountEvents) -> Vec<AccountEvent> {
    let mut next = || tokio::task::unconstrained(events.next()).now_or_never();
    std::iter::from_fn(|| next().flatten()).collect()
}

fn by_account(asked: Vec<Asked>) -> BTreeMap<AccountId, Vec<Asked>> {
    let mut all: BTreeMap<AccountId, Vec<Asked>> = BTreeMap::new();
    for asked in asked {
        all.entry(asked.account.clone()).or_default().push(asked);
    }
    all
}

#[tokio::test]
async fn every_account_is_polled_at_its_pace_and_audited_once_a_night_at_its_own_moment() {
    let (_store, clock, accounts) = accounts(12).await;
    let host = Host::new(&clock);
    let plan = UpkeepPlan::default().poll_every(15 * MINUTE);
    let running = run(&accounts.upkeep(host.clone()).with_plan(plan));
    pass(&clock, 2 * 24 * 60 * MINUTE, 2 * MINUTE).await;
    running.abort();

    let all = by_account(host.asked());
    assert_eq!(all.len(), 12);
    let mut moments = BTreeSet::new();
    for (account, asked) in all {
        assert_eq!(asked[0].reason, SyncReason::First, "{account}");
        for (one, next) in asked.iter().zip(&asked[1..]) {
            let pause = next.at - one.at;
            let is_poll = next.reason == SyncReason::Poll;
            assert!(pause <= TimeDelta::minutes(19), "{account} waited {pause}");
            assert!(
                !is_poll || pause >= TimeDelta::minutes(15),
                "{account}: {pause}"
            );
        }
        let audits: Vec<DateTime<Utc>> = asked
            .iter()
            .filter(|asked| asked.reason == SyncReason::Audit)
            .map(|asked| asked.at)
            .collect();
        assert_eq!(audits.len(), 2, "{account}: {audits:?}");
        for audit in &audits {
            assert!((1..=5).contains(&audit.hour()), "{account}: {audit}");
        }
        moments.insert(audits[0]);
    }
    assert!(moments.len() >= 10, "{moments:?}");
}

#[tokio::test]
async fn an_account_that_fails_rests_longer_each_time_also_across_restarts_and_holds_up_nobody() {
    let (store, clock, accounts) = accounts(2).await;
    let host = Host::new(&clock);
    let mut events = accounts.events();
    let upkeep = accounts.upkeep(host.clone());
    let mut trouble = record(0);
    trouble.granted = Access::NONE;
    put(store.as_ref(), &trouble).await;
    let failing = Host::new(&clock);
    *failing.fails.lock().unwrap() = Some(Error::new(ErrorKind::Unavailable, "the service fails"));

    // One account alone.
    let alone = accounts.upkeep(failing.clone());
    let running = run(&alone);
    pass(&clock, 60 * MINUTE, MINUTE / 4).await;
    running.abort();
    let asked = failing.asked();
    let pauses: Vec<i64> = asked
        .iter()
        .zip(&asked[1..])
        .map(|(one, next)| (next.at - one.at).num_seconds())
        .collect();
    assert!((4..=7).contains(&asked.len()), "{pauses:?}");
    for (shorter, longer) in pauses.iter().zip(&pauses[1..]) {
        assert!(*longer >= shorter * 3 / 2, "{pauses:?}");
    }
    let events_told = told(&mut events);
    let AccountEvent::UpkeepFailing {
        account,
        kind: ErrorKind::Unavailable,
        failures: 1,
        retry_at: Some(_),
        ..
    } = &events_told[0]
    else {
        panic!("{events_told:?}");
    };
    assert_eq!(*account, id(1));
    assert_eq!(events_told.len(), asked.len());

    // Another worker knows of it.
    let failures = stored(store.as_ref(), &id(1)).await.upkeep.failures;
    assert_eq!(failures.count as usize, asked.len());
    let until = failures.retry_at.unwrap();
    put(store.as_ref(), &record(0)).await;
    let running = run(&upkeep);
    settle().await;
    let first = host.asked();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].account, id(0), "nobody waits for the other one");
    upkeep.hints().changed(&id(1));
    let left = (until - clock.now()).to_std().unwrap();
    pass(&clock, left - MINUTE / 2, MINUTE / 4).await;
    assert!(host.asked().iter().all(|asked| asked.account == id(0)));
    pass(&clock, MINUTE, MINUTE / 4).await;
    let asked = host.asked();
    let back = asked.iter().find(|asked| asked.account == id(1)).unwrap();
    assert!(back.at >= until);
    assert_eq!(
        told(&mut events),
        [AccountEvent::UpkeepRecovered {
            account: id(1),
            work: DueWork::Sync(SyncReason::First),
        }]
    );
    running.abort();
}

#[tokio::test]
async fn a_panic_of_the_host_is_one_accounts_failure() {
    let (_store, clock, accounts) = accounts(1).await;
    let host = Host::new(&clock);
    host.panics.store(true, Ordering::Relaxed);
    let mut events = accounts.events();
    let upkeep = accounts.upkeep(host.clone());
    let failed = upkeep.attend(&id(0)).await.unwrap().failed.unwrap();
    assert_eq!(failed.code(), Some("host_panicked"));
    assert!(matches!(
        &told(&mut events)[..],
        [AccountEvent::UpkeepFailing { code: Some(code), .. }] if code == "host_panicked"
    ));
    host.panics.store(false, Ordering::Relaxed);
    // Whoever must mend it does not do so within minutes.
    pass(&clock, 60 * MINUTE, 60 * MINUTE).await;
    assert!(upkeep.attend(&id(0)).await.unwrap().done.is_empty());
    pass(&clock, 7 * 60 * MINUTE, 60 * MINUTE).await;
    let attended = upkeep.attend(&id(0)).await.unwrap();
    assert_eq!(attended.done, [DueWork::Sync(SyncReason::First)]);
}

#[tokio::test]
async fn an_account_that_needs_its_user_or_rests_is_left_alone_until_it_does_not() {
    let (store, clock, accounts) = accounts(1).await;
    let mut needs = record(2);
    needs.state = serde_json::from_value(serde_json::json!({
        "name": "needs_sign_in",
        "since": "2026-11-22T08:00:00Z",
    }))
    .unwrap();
    assert!(matches!(needs.state, AccountState::NeedsSignIn { .. }));
    put(store.as_ref(), &needs).await;
    let mut nowhere = record(4);
    nowhere.configuration = "one that is gone".to_owned();
    put(store.as_ref(), &nowhere).await;
    accounts.suspend(&id(0)).await.unwrap();

    let host = Host::new(&clock);
    let upkeep = accounts.upkeep(host.clone());
    assert_eq!(upkeep.due(clock.now() + days(1_000)).await.unwrap(), []);
    let running = run(&upkeep);
    for account in [0, 2, 4] {
        upkeep.hints().changed(&id(account));
    }
    pass(&clock, 60 * MINUTE, MINUTE).await;
    assert_eq!(host.asked(), []);
    accounts.resume(&id(0)).await.unwrap();
    settle().await;
    assert_eq!(host.reasons(), [SyncReason::First]);
    running.abort();
}

#[tokio::test]
async fn a_burst_of_hints_is_one_round_and_what_is_told_meanwhile_one_more() {
    let (_store, clock, accounts) = accounts(1).await;
    let host = Host::gated(&clock);
    let upkeep = accounts.upkeep(host.clone());
    let hints = upkeep.hints();
    let running = run(&upkeep);
    settle().await;
    host.let_through(1);
    settle().await;
    assert_eq!(host.reasons(), [SyncReason::First]);

    let burst = || (0..1_000).for_each(|_| hints.changed(&id(0)));
    // Hints that keep coming put nothing off.
    for _ in 0..2 {
        burst();
        pass(&clock, Duration::from_secs(1), Duration::from_secs(1)).await;
    }
    assert_eq!(host.reasons(), [SyncReason::Told]);
    burst();
    pass(&clock, Duration::from_secs(30), Duration::from_secs(1)).await;
    assert_eq!(host.reasons(), [], "one at a time");
    host.let_through(1);
    pass(&clock, Duration::from_secs(30), Duration::from_secs(1)).await;
    assert_eq!(host.reasons(), [SyncReason::Told]);
    host.let_through(1);
    pass(&clock, Duration::from_secs(30), Duration::from_secs(1)).await;
    assert_eq!(host.reasons(), []);
    assert_eq!(host.overlaps.load(Ordering::Relaxed), 0);
    running.abort();
}

#[tokio::test]
async fn what_was_told_is_not_forgotten_where_the_sync_fails_though_nobody_polls() {
    let (_store, clock, accounts) = accounts(1).await;
    let host = Host::new(&clock);
    let plan = UpkeepPlan::default().without_polls().without_audits();
    let upkeep = || accounts.upkeep(host.clone()).with_plan(plan.clone());
    upkeep().attend(&id(0)).await.unwrap();
    assert_eq!(host.reasons(), [SyncReason::First]);
    assert_eq!(upkeep().due(clock.now()).await.unwrap(), []);

    *host.fails.lock().unwrap() = Some(Error::new(ErrorKind::Network, "the connection broke"));
    let first = upkeep();
    let running = run(&first);
    settle().await;
    first.hints().changed(&id(0));
    pass(&clock, Duration::from_secs(10), Duration::from_secs(1)).await;
    assert_eq!(host.reasons(), [SyncReason::Told]);
    running.abort();
    let _ = running.await;
    host.fails.lock().unwrap().take();
    let running = run(&upkeep());
    pass(&clock, 5 * MINUTE, MINUTE / 4).await;
    assert_eq!(host.reasons(), [SyncReason::Missed]);
    running.abort();
}

#[tokio::test]
async fn an_audit_that_fails_keeps_no_poll_from_being_done() {
    let (_store, clock, accounts) = accounts(1).await;
    let host = Host::new(&clock);
    let upkeep = accounts.upkeep(host.clone());
    upkeep.attend(&id(0)).await.unwrap();
    clock.advance(20 * 60 * MINUTE);
    *host.fails.lock().unwrap() = Some(Error::new(ErrorKind::Unsupported, "no audits here"));
    let attended = upkeep.attend(&id(0)).await.unwrap();
    assert_eq!(attended.failed.unwrap().kind(), ErrorKind::Unsupported);
    host.fails.lock().unwrap().take();
    let attended = upkeep.attend(&id(0)).await.unwrap();
    assert_eq!(attended.done, [DueWork::Sync(SyncReason::Poll)]);
    assert_eq!(
        host.reasons(),
        [SyncReason::First, SyncReason::Audit, SyncReason::Poll]
    );
    clock.advance(8 * 60 * MINUTE);
    let attended = upkeep.attend(&id(0)).await.unwrap();
    assert_eq!(attended.done, [DueWork::Sync(SyncReason::Audit)]);
}

#[tokio::test]
async fn of_an_account_that_is_disconnected_nothing_is_left() {
    let (store, clock, accounts) = accounts(0).await;
    // Microsoft's, whose grants nobody has to be asked to end.
    for number in [1, 3] {
        put(store.as_ref(), &record(number)).await;
    }
    let host = Host::gated(&clock);
    let running = run(&accounts.upkeep(host.clone()));
    settle().await;
    assert_eq!(host.asked().len(), 2);
    // One while it is being synced, by another process.
    let elsewhere = builder(store.clone(), &clock).build().unwrap();
    elsewhere.disconnect(&id(3)).await.unwrap();
    host.let_through(100);
    pass(&clock, 20 * MINUTE, MINUTE).await;
    assert!(host.asked().iter().all(|asked| asked.account == id(1)));
    accounts.disconnect(&id(1)).await.unwrap();
    pass(&clock, 60 * MINUTE, MINUTE).await;
    assert_eq!(host.asked(), []);
    running.abort();
    assert!(format!("{store:?}").contains("records: 0"), "{store:?}");
}

#[tokio::test]
async fn what_was_told_waits_behind_no_row_of_polls() {
    let (_store, clock, accounts) = accounts(100).await;
    let host = Host::slow(&clock, MINUTE);
    let plan = UpkeepPlan::default().at_once(2);
    let upkeep = accounts.upkeep(host.clone()).with_plan(plan);
    let running = run(&upkeep);
    pass(&clock, 4 * MINUTE, Duration::from_secs(10)).await;
    let before: BTreeSet<AccountId> = host
        .asked()
        .into_iter()
        .map(|asked| asked.account)
        .collect();
    assert!(before.len() < 12);
    let mut waiting = (0..100).map(id).filter(|id| !before.contains(id));
    let last = waiting.next_back().unwrap();
    upkeep.hints().changed(&last);
    pass(&clock, 3 * MINUTE, Duration::from_secs(10)).await;
    let asked = host.asked();
    assert!(asked.iter().any(|asked| asked.account == last), "{asked:?}");
    running.abort();
}

#[tokio::test]
async fn first_syncs_that_take_hours_leave_room_for_all_others() {
    let (store, clock, accounts) = accounts(10).await;
    for number in 5..10 {
        let mut known = record(number);
        known.upkeep.synced_at = Some(clock.now());
        put(store.as_ref(), &known).await;
    }
    let host = Host::gated(&clock);
    let plan = UpkeepPlan::default().at_once(4).without_audits();
    let upkeep = accounts.upkeep(host.clone()).with_plan(plan);
    let running = run(&upkeep);
    pass(&clock, MINUTE, MINUTE / 4).await;
    assert_eq!(host.reasons(), [SyncReason::First; 2]);
    // The others are polled, and what is told of them is looked for.
    upkeep.hints().changed(&id(9));
    pass(&clock, 10 * MINUTE, MINUTE / 4).await;
    let asked = host.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(
        (&asked[0].account, asked[0].reason),
        (&id(9), SyncReason::Told)
    );
    assert_eq!(asked[1].reason, SyncReason::Poll);
    // As soon as there is room, those who wait have their turn, and first of them who is told about.
    let begun: BTreeSet<AccountId> = host.running();
    let last = (0..5).map(id).rfind(|id| !begun.contains(id)).unwrap();
    upkeep.hints().changed(&last);
    pass(&clock, MINUTE, MINUTE / 4).await;
    assert_eq!(host.asked(), []);
    host.let_through(4);
    pass(&clock, MINUTE / 4, MINUTE / 4).await;
    let first = host
        .asked()
        .into_iter()
        .find(|asked| asked.reason == SyncReason::First);
    assert_eq!(first.unwrap().account, last);
    host.let_through(1_000);
    pass(&clock, MINUTE, MINUTE / 4).await;
    running.abort();
    for number in 0..10 {
        assert!(
            stored(store.as_ref(), &id(number))
                .await
                .upkeep
                .synced_at
                .is_some()
        );
    }
    assert_eq!(host.overlaps.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn any_time_that_a_host_asks_for_is_kept_or_as_near_as_sense_allows() {
    let (_store, clock, accounts) = accounts(2).await;
    let host = Host::new(&clock);
    let longest = UpkeepPlan::default()
        .poll_every(Duration::MAX)
        .audit_every(Duration::MAX, Duration::MAX, Duration::MAX)
        .pauses(Duration::MAX, Duration::MAX);
    let running = run(&accounts.upkeep(host.clone()).with_plan(longest));
    pass(&clock, 24 * 60 * MINUTE, 10 * MINUTE).await;
    assert_eq!(host.reasons(), [SyncReason::First; 2]);
    *host.fails.lock().unwrap() = Some(Error::new(ErrorKind::Unavailable, "the service fails"));
    running.abort();

    let shortest = UpkeepPlan::default()
        .poll_every(Duration::ZERO)
        .without_audits();
    let running = run(&accounts.upkeep(host.clone()).with_plan(shortest.clone()));
    pass(&clock, MINUTE / 2, Duration::from_secs(1) / 2).await;
    running.abort();
    assert_eq!(
        host.reasons(),
        [SyncReason::Poll; 2],
        "each rests for a minute"
    );
    *host.fails.lock().unwrap() = None;
    let running = run(&accounts.upkeep(host.clone()).with_plan(shortest));
    pass(&clock, 3 * MINUTE, Duration::from_secs(1) / 2).await;
    running.abort();
    let polls = host.asked().len();
    assert!((100..=2 * 181).contains(&polls), "{polls}");
}

#[tokio::test]
async fn a_thousand_accounts_cost_one_timer_and_one_read_each_for_a_look() {
    const COUNT: usize = 1_000;
    let (store, clock, accounts) = accounts(COUNT).await;
    let host = Host::new(&clock);
    let plan = UpkeepPlan::default()
        .poll_every(10 * 60 * MINUTE)
        .look_every(15 * MINUTE);
    let upkeep = accounts.upkeep(host.clone()).with_plan(plan);
    let running = run(&upkeep);
    for _ in 0..200 {
        settle().await;
    }
    assert_eq!(host.asked().len(), COUNT);
    store.reads();
    store.writes.store(0, Ordering::Relaxed);
    assert_eq!(sleepers(&clock).await, 1);
    pass(&clock, 14 * MINUTE, MINUTE).await;
    assert_eq!(store.reads(), 0, "between two looks");
    pass(&clock, 2 * MINUTE, MINUTE).await;
    for _ in 0..20 {
        settle().await;
    }
    assert_eq!(store.reads(), COUNT + 1);
    assert_eq!(store.writes.load(Ordering::Relaxed), 0);
    assert_eq!(sleepers(&clock).await, 1);
    running.abort();
}

/// How many wait for the clock.
async fn sleepers(clock: &VirtualClock) -> usize {
    settle().await;
    (1..)
        .find(|count| clock.until_sleeping(*count).now_or_never().is_none())
        .unwrap()
        - 1
}

#[tokio::test]
async fn a_grant_that_nothing_uses_is_used_halfway_to_its_end() {
    // Not every service tells when its access tokens end.
    for lifetime in [Some(TimeDelta::hours(1)), None] {
        let (store, clock, _) = accounts(0).await;
        let answer = serde_json::json!({ "access_token": "the next", "token_type": "Bearer" });
        let service = Script::new([Scripted::json(200, answer.to_string())]);
        let builder = builder(store.clone(), &clock).transport(service.clone());
        let accounts = builder.build().unwrap();
        // It may only send, so that there is nothing to sync.
        let mut sender = record(1);
        sender.granted = Access::SEND;
        sender.credential.obtained_at = Some(clock.now());
        sender.credential.expires_at = lifetime.map(|lifetime| clock.now() + lifetime);
        put(store.as_ref(), &sender).await;

        let host = Host::new(&clock);
        let upkeep = accounts.upkeep(host.clone());
        let due = upkeep.due(clock.now()).await.unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].work, DueWork::RenewCredential);
        assert_eq!(due[0].at, clock.now() + days(45), "of the 90 that it has");
        assert!(!due[0].work.to_string().is_empty());

        let running = run(&upkeep);
        pass(&clock, 44 * 24 * 60 * MINUTE, 60 * MINUTE).await;
        assert_eq!(service.requests(), 0);
        pass(&clock, 2 * 24 * 60 * MINUTE, 60 * MINUTE).await;
        assert_eq!(service.requests(), 1, "{lifetime:?}");
        assert_eq!(host.asked(), []);
        let due = upkeep.due(clock.now()).await.unwrap();
        assert!(due[0].at > clock.now() + days(43));
        running.abort();
    }
}

#[tokio::test]
async fn whatever_a_service_asks_to_wait_for_no_account_is_given_up() {
    let (_store, clock, accounts) = accounts(1).await;
    let host = Host::new(&clock);
    let years = Duration::from_secs(1 << 50);
    let refused = Error::new(ErrorKind::RateLimited, "too many requests");
    *host.fails.lock().unwrap() = Some(refused.with_retry_after(years));
    let attended = accounts.upkeep(host).attend(&id(0)).await.unwrap();
    assert!(attended.next.unwrap() <= clock.now() + days(3));
}

#[tokio::test]
async fn what_was_told_while_the_store_failed_is_done_afterwards() {
    let (store, clock, accounts) = accounts(1).await;
    let host = Host::new(&clock);
    let upkeep = accounts.upkeep(host.clone());
    let running = run(&upkeep);
    settle().await;
    assert_eq!(host.reasons(), [SyncReason::First]);
    // Another worker sets up a watch, of which this one does not know yet.
    let mut watched = stored(store.as_ref(), &id(0)).await;
    let target = WatchTarget::webhook("https://app.example/told".parse().unwrap());
    watched.subscriptions =
        vec![Watch::new("one", None).with_target(target.with_client_state("shared"))];
    put(store.as_ref(), &watched).await;
    let posted = serde_json::json!({ "value": [{
        "subscriptionId": "one",
        "clientState": "shared",
        "changeType": "created",
        "resource": "me/messages/1",
    }] });
    let Ok(GraphPost::Notifications(told)) = GraphPost::read(None, posted.to_string().as_bytes())
    else {
        panic!("it is well-formed");
    };
    pass(&clock, MINUTE, MINUTE / 2).await;
    store.fails.store(true, Ordering::Relaxed);
    upkeep.hints().told(&told[0]).unwrap();
    pass(&clock, MINUTE, MINUTE / 4).await;
    store.fails.store(false, Ordering::Relaxed);
    pass(&clock, MINUTE, MINUTE / 4).await;
    assert_eq!(host.reasons(), [SyncReason::Told]);
    running.abort();
}

#[tokio::test]
async fn an_upkeep_that_is_stopped_leaves_nothing_that_others_wait_for() {
    let (_store, clock, accounts) = accounts(1).await;
    let host = Host::gated(&clock);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let upkeep = accounts.upkeep(host.clone());
    let running = tokio::spawn({
        let upkeep = upkeep.clone();
        async move { upkeep.run_until(stopped.map(drop)).await }
    });
    settle().await;
    assert_eq!(host.asked().len(), 1);
    let elsewhere = upkeep.attend(&id(0)).await.unwrap();
    assert!(elsewhere.done.is_empty() && elsewhere.elsewhere.is_some());
    stop.send(()).unwrap();
    running.await.unwrap();
    host.let_through(1);
    let attended = upkeep.attend(&id(0)).await.unwrap();
    assert_eq!(attended.done, [DueWork::Sync(SyncReason::First)]);
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_ends_nothing() {
    let (store, clock, accounts) = accounts(3).await;
    let host = Host::new(&clock);
    let upkeep = accounts.upkeep(host.clone());
    store.fails.store(true, Ordering::Relaxed);
    let running = run(&upkeep);
    pass(&clock, 10 * MINUTE, MINUTE / 4).await;
    assert_eq!(host.asked(), []);
    store.fails.store(false, Ordering::Relaxed);
    pass(&clock, MINUTE, MINUTE / 4).await;
    assert_eq!(host.asked().len(), 3);
    store.fails.store(true, Ordering::Relaxed);
    pass(&clock, 20 * MINUTE, MINUTE / 4).await;
    assert_eq!(host.asked(), [], "without its lease nothing is done");
    store.fails.store(false, Ordering::Relaxed);
    pass(&clock, 2 * MINUTE, MINUTE / 4).await;
    assert_eq!(host.asked().len(), 3);
    running.abort();
    let _: Arc<Host> = host;
}
