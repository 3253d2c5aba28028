//! The one source of time: wall clock, monotonic clock and sleep, injected wherever the crate waits or
//! decides by time, so that hosts can simulate it and tests need no real waiting. What to wait for is
//! decided elsewhere.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Where time comes from.
///
/// The crate asks for time nowhere else: retries, token expiry, leases and the emulator all use the
/// clock they were given. [`SystemClock`] is the default everywhere.
///
/// Whatever is shared remembers instants of the monotonic clock: what shares a [`Project`](crate::http::Project) has to be
/// given clocks of one origin, which clones are.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. It may jump; use it only for instants that are stored or compared with a server's.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed origin of this clock. It never goes back; durations are measured with it.
    fn monotonic(&self) -> Duration;

    /// Returns after `duration` has passed on the monotonic clock.
    async fn sleep(&self, duration: Duration);
}

/// The machine's own clock, sleeping on the tokio runtime. All of a process are the same clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

/// When the process first asked for the time. Connections that share limits each make a clock of their own: an origin of
/// each would make a pause that one of them noted look longer or shorter to the others.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

impl SystemClock {
    /// A clock whose monotonic origin is that of all others of the process: when the first of them was made.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: *ORIGIN.get_or_init(Instant::now),
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
