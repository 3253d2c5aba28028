//! What one who waits holds: a place in the queue, and then the places of a request. All is given back when it is dropped,
//! for whatever reason. Who gets them is `scheduler.rs`'s.

use std::sync::Arc;

use super::super::super::request::Cost;
use super::{Limiter, Waiter, lock};

/// A place in the queue. Who gives one up may have kept others waiting who need less.
pub(super) struct Place<'a> {
    pub(super) limiter: &'a Arc<Limiter>,
    pub(super) waiter: &'a Arc<Waiter>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.remove(self.waiter);
        state.wake_all_who_may_go();
        drop(state);
        // It may have been let go in the very moment it went away: then what it got is given back, which takes the lock.
        let admitted = lock(&self.waiter.admitted).take();
        drop(admitted);
    }
}

/// Places for one request, given back when dropped.
#[derive(Debug)]
pub(in crate::http) struct Permit {
    limiter: Arc<Limiter>,
    places: u32,
    /// What it was charged for, until it is sent.
    unsent: Option<Cost>,
    streams: bool,
    trial: Option<Trial>,
}

impl Permit {
    /// What was taken from a limiter's state for a request of this cost.
    pub(super) fn new(
        limiter: &Arc<Limiter>,
        places: u32,
        cost: Cost,
        opening: Option<u64>,
    ) -> Self {
        Self {
            limiter: Arc::clone(limiter),
            places,
            unsent: Some(cost),
            streams: false,
            trial: opening.map(|opening| Trial(Arc::clone(limiter), opening)),
        }
    }

    /// How many of the request's parts may run at the same time.
    pub(in crate::http) fn places(&self) -> u32 {
        self.places
    }

    /// What it is if the request tries a service that was left alone. It has to outlive the request: until its outcome is
    /// known no other may try.
    pub(in crate::http) fn trial(&mut self) -> Option<Trial> {
        self.trial.take()
    }

    /// The request is sent: what it costs is spent.
    pub(in crate::http) fn sent(mut self) -> Self {
        self.unsent = None;
        self
    }

    /// Says that what is left of the request is a stream, which is read when somebody likes to. The last place is given
    /// back at once.
    pub(in crate::http) fn streaming(mut self) -> Self {
        let mut state = self.limiter.lock();
        if state.streaming + self.places < self.limiter.limits.concurrency {
            state.streaming += self.places;
            self.streams = true;
        } else {
            state.free += self.places;
            self.places = 0;
        }
        // Those who wait may make do with what is left.
        state.wake_all_who_may_go();
        drop(state);
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.free += self.places;
        if let Some(cost) = self.unsent {
            state.give_back(cost);
        }
        if self.streams {
            state.streaming -= self.places;
        }
        state.wake_all_who_may_go();
    }
}

/// The one request that tries a service that was left alone. Dropped without an outcome, another may try.
#[derive(Debug)]
pub(in crate::http) struct Trial(Arc<Limiter>, u64);

/// In which of its openings a circuit was tried.
pub(super) fn opening_of(trial: &Option<Trial>) -> Option<u64> {
    trial.as_ref().map(|Trial(_, opening)| *opening)
}

impl Drop for Trial {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.circuit.abandon(self.1);
        state.wake_all_who_may_go();
    }
}
