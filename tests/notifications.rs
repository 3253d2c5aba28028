//! What is told leads to as many syncs as are worth while, and a watch that is dead is found out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use postroom::Watch;
use postroom::clock::Clock;
use postroom::push::{Hints, WatchHealth, WatchState};
use postroom::testing::VirtualClock;

fn started() -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

#[test]
fn a_burst_of_hints_is_one_round_and_one_more_for_what_came_meanwhile() {
    let clock = VirtualClock::by_hand(started());
    let mut hints = Hints::new(Duration::from_secs(2));
    for _ in 0..1_000 {
        hints.hint("one", clock.monotonic());
    }
    hints.hint("other", clock.monotonic());
    assert_eq!(hints.begin(clock.monotonic()), None);
    clock.advance(Duration::from_secs(2));
    // Hints that keep coming put nothing off.
    hints.hint("one", clock.monotonic());
    assert_eq!(hints.next(), Some(clock.monotonic()));
    assert_eq!(hints.begin(clock.monotonic()), Some("one"));
    assert_eq!(hints.begin(clock.monotonic()), Some("other"));
    for _ in 0..1_000 {
        hints.hint("one", clock.monotonic());
    }
    clock.advance(Duration::from_secs(60));
    assert_eq!(hints.begin(clock.monotonic()), None, "its round runs still");
    hints.end(&"other");
    hints.end(&"one");
    assert_eq!(hints.begin(clock.monotonic()), Some("one"));
    assert_eq!(hints.begin(clock.monotonic()), None);
    hints.end(&"one");
    assert!(hints.is_idle());
}

#[test]
fn an_account_that_is_gone_gets_no_round() {
    let mut hints = Hints::new(Duration::ZERO);
    hints.hint("waiting", Duration::ZERO);
    hints.hint("running", Duration::ZERO);
    hints.forget(&"waiting");
    assert_eq!(hints.begin(Duration::ZERO), Some("running"));
    hints.hint("running", Duration::ZERO);
    hints.forget(&"running");
    hints.end(&"running");
    assert!(hints.is_idle());
    assert_eq!(hints.next(), None);
}

#[test]
fn a_watch_that_ended_is_told_by_itself_or_by_the_service() {
    let clock = VirtualClock::by_hand(started());
    let began = clock.now();
    let watch = Watch::new("watch", Some(began + TimeDelta::days(7)));
    let mut health = WatchHealth::new(&watch, began);
    assert_eq!(health.state(clock.now()), WatchState::Unproven);
    clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let since = began + TimeDelta::days(7);
    assert_eq!(health.state(clock.now()), WatchState::Lapsed { since });

    let renewed = Watch::new("watch", Some(clock.now() + TimeDelta::days(7)));
    health.renewed(&renewed);
    assert_eq!(health.state(clock.now()), WatchState::Unproven);
    health.notified(clock.now());
    assert_eq!(health.state(clock.now()), WatchState::Working);
    health.removed(clock.now());
    let since = clock.now();
    clock.advance(Duration::from_secs(60));
    assert_eq!(health.state(clock.now()), WatchState::Lapsed { since });
}

#[test]
fn a_watch_that_never_fires_is_told_after_syncs_found_what_nobody_had_told() {
    let clock = VirtualClock::by_hand(started());
    let watch = Watch::new("watch", None);
    let mut health = WatchHealth::new(&watch, clock.now());
    // What is on its way may come late, and quiet mailboxes have nothing to tell.
    health.synced(true, clock.now());
    for _ in 0..100 {
        clock.advance(Duration::from_secs(15 * 60));
        health.synced(false, clock.now());
    }
    assert_eq!(health.state(clock.now()), WatchState::Unproven);

    let since = clock.now();
    for _ in 0..3 {
        assert!(health.state(clock.now()).is_sound());
        health.synced(true, clock.now());
        clock.advance(Duration::from_secs(15 * 60));
    }
    let rounds = 3;
    assert_eq!(
        health.state(clock.now()),
        WatchState::Silent { since, rounds }
    );

    // It is kept between processes, and one notification proves that it works after all.
    let kept = serde_json::to_string(&health).unwrap();
    let mut health: WatchHealth = serde_json::from_str(&kept).unwrap();
    health.notified(clock.now());
    health.synced(true, clock.now());
    assert_eq!(health.state(clock.now()), WatchState::Working);
}
