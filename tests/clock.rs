//! The system clock's monotonic time never goes back, and is the same for all of them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use postroom::clock::{Clock, SystemClock};

#[test]
fn monotonic_time_never_goes_back() {
    let clock = SystemClock::new();
    let earlier = clock.monotonic();
    assert!(clock.monotonic() >= earlier);
}

#[test]
fn all_system_clocks_count_from_the_same_instant() {
    let older = SystemClock::new();
    // Making them takes a while.
    let younger: Vec<SystemClock> = (0..10_000).map(|_| SystemClock::new()).collect();
    let earlier = older.monotonic();
    let youngest = younger.last().unwrap();
    assert!(youngest.monotonic() >= earlier);
}
