//! The system clock's monotonic time never goes back.

use postroom::clock::{Clock, SystemClock};

#[test]
fn monotonic_time_never_goes_back() {
    let clock = SystemClock::new();
    let earlier = clock.monotonic();
    assert!(clock.monotonic() >= earlier);
}
