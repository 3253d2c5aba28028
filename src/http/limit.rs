//! How much is asked of one mailbox at a time: a number of requests in flight, the most urgent first, and a pause when
//! the service asked for one. One [`Limiter`] is shared by all handles to a mailbox.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::request::{Cost, Lane};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// What a service allows for one mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests in flight at once, each part of a batch that runs at the same time counted. A stream of bytes counts until
    /// it was read to its end, but all streams together leave one place to other requests: whoever opens many and reads
    /// none keeps nobody waiting.
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

/// What was asked of a service so far, repeated requests counted each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Quota units, where the service counts them.
    pub units: u64,
    /// Requests, each part of a batch counted as far as it runs at the same time as others.
    pub requests: u64,
}

/// The state of one mailbox's limits.
pub(crate) struct Limiter {
    concurrency: u32,
    state: Mutex<State>,
}

struct State {
    free: u32,
    /// Places that are taken by streams, which may stay open for as long as a host likes.
    streaming: u32,
    /// Who waits for a place, by lane, in the order of coming.
    waiting: [VecDeque<Waiter>; Lane::ALL.len()],
    /// Nothing is sent before this monotonic time.
    paused_until: Duration,
    spent: Spent,
}

struct Waiter {
    places: u32,
    admitted: oneshot::Sender<Permit>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            concurrency: limits.concurrency,
            state: Mutex::new(State {
                free: limits.concurrency,
                streaming: 0,
                waiting: Default::default(),
                paused_until: Duration::ZERO,
                spent: Spent::default(),
            }),
        }
    }

    /// Waits until a request of this cost may be sent. Dropping the permit makes room for the next; dropping this future
    /// gives the place in the queue up.
    ///
    /// While the service wants to be left alone for longer than `patience`, it is an error that says for how long.
    pub(super) async fn admit(
        self: &Arc<Self>,
        lane: Lane,
        cost: Cost,
        clock: &dyn Clock,
        patience: Duration,
    ) -> Result<Permit> {
        self.wait_out_pause(clock, patience).await?;
        let permit = self
            .place(lane, cost.requests.clamp(1, self.concurrency))
            .await;
        self.wait_out_pause(clock, patience).await?;
        let mut state = self.lock();
        state.spent.units += u64::from(cost.units);
        state.spent.requests += u64::from(cost.requests);
        drop(state);
        Ok(permit)
    }

    async fn wait_out_pause(&self, clock: &dyn Clock, patience: Duration) -> Result<()> {
        loop {
            let paused_until = self.lock().paused_until;
            let wait = paused_until.saturating_sub(clock.monotonic());
            if wait.is_zero() {
                return Ok(());
            }
            if wait > patience {
                return Err(Error::new(
                    ErrorKind::RateLimited,
                    "the service asked to be left alone for a while",
                )
                .with_retry_after(wait));
            }
            clock.sleep(wait).await;
        }
    }

    async fn place(self: &Arc<Self>, lane: Lane, places: u32) -> Permit {
        let (sender, receiver) = oneshot::channel();
        let mut place = Place {
            limiter: self,
            receiver: Some(receiver),
        };
        {
            let mut state = self.lock();
            if let Some(queue) = state.waiting.get_mut(lane as usize) {
                queue.push_back(Waiter {
                    places,
                    admitted: sender,
                });
            }
        }
        self.admit_waiting();
        let admitted = match place.receiver.as_mut() {
            Some(receiver) => receiver.await.ok(),
            None => None,
        };
        // The sender is dropped unused only if the queue could not take it, which has room for every lane.
        admitted.unwrap_or_else(|| Permit {
            limiter: Arc::clone(self),
            places: 0,
            streams: false,
        })
    }

    /// Gives free places to those who wait, the most urgent lane first. One that needs more places than are free is not
    /// overtaken, so that a batch is not kept waiting by single requests for ever; and it makes do with what streams leave,
    /// so that it is not kept waiting by those either.
    fn admit_waiting(self: &Arc<Self>) {
        loop {
            let (admitted, permit) = {
                let mut state = self.lock();
                let free = state.free;
                let only_streams = free > 0 && free + state.streaming == self.concurrency;
                let Some(queue) = state.waiting.iter_mut().find(|queue| !queue.is_empty()) else {
                    return;
                };
                let fits = |waiter: &Waiter| {
                    waiter.admitted.is_closed() || waiter.places <= free || only_streams
                };
                if !queue.front().is_some_and(fits) {
                    return;
                }
                let Some(waiter) = queue.pop_front() else {
                    return;
                };
                if waiter.admitted.is_closed() {
                    continue;
                }
                let places = waiter.places.min(free);
                state.free -= places;
                let permit = Permit {
                    limiter: Arc::clone(self),
                    places,
                    streams: false,
                };
                (waiter.admitted, permit)
            };
            // Whoever went away meanwhile drops the permit, and with it gives the places back.
            drop(admitted.send(permit));
        }
    }

    /// Holds all requests of this mailbox back for `delay`: the service asked for it.
    pub(super) fn pause(&self, delay: Duration, clock: &dyn Clock) {
        // The delay comes from outside and may be any.
        let until = clock.monotonic().saturating_add(delay);
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(until);
    }

    pub(crate) fn spent(&self) -> Spent {
        self.lock().spent
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change under the lock is complete by itself.
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

/// A place in the queue. Who gives one up may have kept others waiting who need less.
struct Place<'a> {
    limiter: &'a Arc<Limiter>,
    receiver: Option<oneshot::Receiver<Permit>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.receiver = None;
        self.limiter.admit_waiting();
    }
}

/// Places for one request, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<Limiter>,
    places: u32,
    streams: bool,
}

impl Permit {
    /// Says that what is left of the request is a stream, which is read when somebody likes to. The last place is given
    /// back at once.
    pub(super) fn streaming(mut self) -> Self {
        let mut state = self.limiter.lock();
        if state.streaming + self.places < self.limiter.concurrency {
            state.streaming += self.places;
            self.streams = true;
        } else {
            state.free += self.places;
            self.places = 0;
        }
        drop(state);
        // Those who wait may make do with what is left.
        self.limiter.admit_waiting();
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.free += self.places;
        if self.streams {
            state.streaming -= self.places;
        }
        drop(state);
        self.limiter.admit_waiting();
    }
}
