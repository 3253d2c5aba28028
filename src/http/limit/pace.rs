//! How much of what is allowed is asked for, since the service refused some of it.

use std::time::Duration;

/// After a refusal for too much, less is asked, and step by step more again.
const SLOWER: f64 = 0.8;
const SLOWEST: f64 = 0.2;
/// Refusals that come together are one.
const ONE_EVENT: Duration = Duration::from_secs(2);
const FASTER: f64 = 0.05;
const FASTER_EACH: Duration = Duration::from_secs(15);

/// A part of what is allowed, from 0 to 1.
#[derive(Debug)]
pub(super) struct Pace {
    part: f64,
    since: Duration,
}

impl Pace {
    /// All of it.
    pub(super) const fn full() -> Self {
        Self {
            part: 1.0,
            since: Duration::ZERO,
        }
    }

    pub(super) fn now(&mut self, now: Duration) -> f64 {
        while self.part < 1.0 && now.saturating_sub(self.since) >= FASTER_EACH {
            self.part = (self.part + FASTER).min(1.0);
            self.since += FASTER_EACH;
        }
        self.part
    }

    /// Something was refused. All that was under way is refused alike.
    pub(super) fn slower(&mut self, now: Duration) {
        let just_now = now.saturating_sub(self.since) < ONE_EVENT;
        if self.part < 1.0 && just_now {
            return;
        }
        self.part = (self.now(now) * SLOWER).max(SLOWEST);
        self.since = now;
    }
}
