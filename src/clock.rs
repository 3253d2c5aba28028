//! The one source of time: wall clock, monotonic clock and sleep, injected wherever the crate waits or
//! decides by time, so that hosts can simulate it and tests need no real waiting. What to wait for is
//! decided elsewhere.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Where time comes from.
///
/// The crate asks for time nowhere else: retries, token expiry, leases and the emulator all use the
/// clock they were given. [`SystemClock`] is the default everywhere.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. It may jump; use it only for instants that are stored or compared with a server's.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed origin of this clock. It never goes back; durations are measured with it.
    fn monotonic(&self) -> Duration;

    /// Returns after `duration` has passed on the monotonic clock.
    async fn sleep(&self, duration: Duration);
}

/// The machine's own clock, sleeping on the tokio runtime.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
