//! How much is asked of one mailbox at a time: a number of requests in flight, and a pause when the service asked for
//! one. One [`Limiter`] is shared by all handles to a mailbox.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::request::Cost;
use crate::clock::Clock;

/// What a service allows for one mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests in flight at once, each part of a batch that runs at the same time counted.
    pub concurrency: u32,
}

impl Limits {
    /// So many requests in flight at once, at least one.
    #[must_use]
    pub const fn concurrency(concurrency: u32) -> Self {
        Self {
            concurrency: if concurrency == 0 { 1 } else { concurrency },
        }
    }
}

/// The state of one mailbox's limits.
pub(crate) struct Limiter {
    slots: Arc<Semaphore>,
    concurrency: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Nothing is sent before this monotonic time.
    paused_until: Duration,
    spent: u64,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(limits.concurrency as usize)),
            concurrency: limits.concurrency,
            state: Mutex::new(State::default()),
        }
    }

    /// Waits until a request of this cost may be sent. Dropping the permit makes room for the next.
    pub(super) async fn admit(&self, cost: Cost, clock: &dyn Clock) -> Permit {
        let slots = cost.requests.clamp(1, self.concurrency);
        let slot = Arc::clone(&self.slots).acquire_many_owned(slots).await.ok();
        loop {
            let paused_until = self.lock().paused_until;
            let Some(wait) = paused_until
                .checked_sub(clock.monotonic())
                .filter(|wait| !wait.is_zero())
            else {
                break;
            };
            clock.sleep(wait).await;
        }
        self.lock().spent += u64::from(cost.units);
        Permit { _slot: slot }
    }

    /// Holds all requests of this mailbox back for `delay`: the service asked for it.
    pub(super) fn pause(&self, delay: Duration, clock: &dyn Clock) {
        let until = clock.monotonic() + delay;
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(until);
    }

    /// Quota units spent so far, repeated requests counted each time.
    pub(crate) fn spent(&self) -> u64 {
        self.lock().spent
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is two numbers: no panic can leave them half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Limiter")
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// Room for one request, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    // `None` only if the semaphore was closed, which nothing does.
    _slot: Option<OwnedSemaphorePermit>,
}
