//! Whatever happens to a mailbox and on the way to it, a copy of it becomes what it is: random histories, random faults, and
//! hosts that die at any moment. After each, one quiet round makes the copy equal to the service's own truth.
//!
//! `POSTROOM_HISTORIES` says how many histories, `POSTROOM_SEED` which comes first.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod convergence;
mod mirror;
mod support;

use std::io::Write as _;

use convergence::World;
use postroom::testing::SyncRule;
use support::random::Random;
use support::{GMAIL, OUTLOOK};

/// How many histories CI runs.
const HISTORIES: u64 = 25;

/// The steps of a history: each a seed of its own, so that the others stay what they are where one is left out.
fn steps(seed: u64) -> Vec<u64> {
    let mut random = Random(seed ^ 0x5eed);
    (0..4 + random.below(36)).map(|_| random.next()).collect()
}

async fn history(
    seed: u64,
    steps: &[u64],
    address: &'static str,
    without: Option<SyncRule>,
) -> Result<(), String> {
    let mut world = World::new(seed, address, without).await;
    for step in steps {
        world.step(*step).await;
    }
    let settled = world.settle().await;
    settled.map_err(|difference| format!("{}: {difference}", world.told()))
}

/// As few steps of a failing history as show what is wrong, and what that is.
async fn shrunk(seed: u64, address: &'static str, mut difference: String) -> (Vec<u64>, String) {
    let mut all = steps(seed);
    let mut length = all.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        let before = all.len();
        while from < all.len() {
            let mut fewer = all.clone();
            fewer.drain(from..usize::min(from + length, all.len()));
            match history(seed, &fewer, address, None).await {
                Err(found) => (all, difference) = (fewer, found),
                Ok(()) => from += length,
            }
        }
        // What was needed may not be any longer once something else is gone.
        length = if length == 1 && all.len() < before {
            1
        } else {
            length / 2
        };
    }
    (all, difference)
}

/// Runs histories until one ends in a copy that is not what the mailbox is.
async fn converge(address: &'static str) {
    let first = Random::seeded().0;
    let histories =
        std::env::var("POSTROOM_HISTORIES").map_or(HISTORIES, |text| text.parse().unwrap());
    for seed in (0..histories).map(|number| first.wrapping_add(number)) {
        if let Err(difference) = history(seed, &steps(seed), address, None).await {
            let all = steps(seed).len();
            let (fewest, difference) = shrunk(seed, address, difference).await;
            panic!("seed {seed}, of {all} steps {fewest:?}: {difference}");
        }
    }
}

#[tokio::test]
async fn a_copy_of_gmail_becomes_what_the_mailbox_is() {
    converge(GMAIL).await;
}

#[tokio::test]
async fn a_copy_of_outlook_becomes_what_the_mailbox_is() {
    converge(OUTLOOK).await;
}

/// Without any one of the rules that keep mail safe, histories like these end in a copy that is wrong.
#[tokio::test]
async fn every_rule_is_needed() {
    // With the first history that showed it, where the search begins. Gmail tells of messages, not of folders: there is no
    // removal from one to hold, and no presence in another.
    let rules = [
        (GMAIL, SyncRule::Probe, 1),
        (GMAIL, SyncRule::CursorLast, 14),
        (GMAIL, SyncRule::UnknownIsNotAbsent, 16),
        (GMAIL, SyncRule::CountCheck, 11),
        (OUTLOOK, SyncRule::Probe, 1),
        (OUTLOOK, SyncRule::PresenceBeatsRemoval, 1),
        (OUTLOOK, SyncRule::HeldRemovals, 1),
        (OUTLOOK, SyncRule::CursorLast, 14),
        (OUTLOOK, SyncRule::UnknownIsNotAbsent, 89),
        (OUTLOOK, SyncRule::CountCheck, 11),
    ];
    for (address, rule, first) in rules {
        let mut seeds = first..2_000;
        let failing = loop {
            let Some(seed) = seeds.next() else { break None };
            let ended = history(seed, &steps(seed), address, Some(rule)).await;
            if ended.is_err() {
                break Some(seed);
            }
        };
        let told = format!("{rule:?} is missed by history {failing:?}\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        assert!(failing.is_some());
    }
}
