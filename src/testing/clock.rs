//! Time as a test wants it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::clock::Clock;

/// A clock that moves only when a test says so. Clones are the same clock.
///
/// It comes in two kinds:
/// * [`by_hand`](Self::by_hand): [`sleep`](Clock::sleep) waits until [`advance`](Self::advance) has moved the clock far
///   enough. Right for everything that has deadlines.
/// * [`eager`](Self::eager): `sleep` moves the clock by itself and returns. Right for what waits and tries
///   again; wrong where a sleep races against work, because the sleep wins at once.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started_at: DateTime<Utc>,
    eager: bool,
    /// Time since `started_at` as the wall clock shows it, which a test can set apart from the monotonic one.
    skew: Mutex<Skew>,
    elapsed: watch::Sender<Duration>,
    sleeping: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Skew {
    ahead: Duration,
    behind: Duration,
}

impl VirtualClock {
    /// A clock whose sleepers wait for [`advance`](Self::advance).
    #[must_use]
    pub fn by_hand(now: DateTime<Utc>) -> Self {
        Self::new(now, false)
    }

    /// A clock whose sleepers advance it.
    #[must_use]
    pub fn eager(now: DateTime<Utc>) -> Self {
        Self::new(now, true)
    }

    fn new(started_at: DateTime<Utc>, eager: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                started_at,
                eager,
                skew: Mutex::default(),
                elapsed: watch::Sender::new(Duration::ZERO),
                sleeping: watch::Sender::new(0),
            }),
        }
    }

    /// Lets time pass, on the wall and on the monotonic clock, and wakes who has slept long enough.
    pub fn advance(&self, duration: Duration) {
        self.shared
            .elapsed
            .send_modify(|elapsed| *elapsed = elapsed.saturating_add(duration));
    }

    /// Puts the wall clock forward, and leaves the monotonic one alone, as when somebody sets a machine's clock.
    pub fn set_forward(&self, duration: Duration) {
        self.skew().ahead += duration;
    }

    /// Puts the wall clock back, and leaves the monotonic one alone.
    pub fn set_back(&self, duration: Duration) {
        self.skew().behind += duration;
    }

    /// Returns when at least this many sleep, so that a test can advance the clock at the right moment.
    pub async fn until_sleeping(&self, sleepers: usize) {
        let mut sleeping = self.shared.sleeping.subscribe();
        // The sender lives as long as this clock.
        let _ = sleeping.wait_for(|count| *count >= sleepers).await;
    }

    fn skew(&self) -> MutexGuard<'_, Skew> {
        self.shared
            .skew
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        let skew = self.skew();
        self.shared.started_at + self.monotonic() + skew.ahead - skew.behind
    }

    fn monotonic(&self) -> Duration {
        *self.shared.elapsed.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        if self.shared.eager {
            self.advance(duration);
            tokio::task::yield_now().await;
            return;
        }
        let mut elapsed = self.shared.elapsed.subscribe();
        let until = self.monotonic().saturating_add(duration);
        let _sleeper = Sleeper::new(&self.shared.sleeping);
        let _ = elapsed.wait_for(|elapsed| *elapsed >= until).await;
    }
}

/// Counts a sleeper, even one that is dropped.
struct Sleeper<'a>(&'a watch::Sender<usize>);

impl<'a> Sleeper<'a> {
    fn new(sleeping: &'a watch::Sender<usize>) -> Self {
        sleeping.send_modify(|count| *count += 1);
        Self(sleeping)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
