//! The system clock's monotonic time never goes back.

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
