//! How much is asked of one mailbox: what its service allows, as data, and what was asked so far. Who goes next is
//! `limit/scheduler.rs`'s.

use std::time::Duration;

mod bucket;
mod circuit;
mod scheduler;

pub use circuit::CircuitPolicy;
pub(crate) use scheduler::Limiter;
pub(super) use scheduler::Permit;

/// What a service allows for one mailbox. Each provider has its own as a default, with the vendor's figures and where they
/// stand; a host whose project has others says so.
///
/// ```
/// use std::time::Duration;
///
/// use postroom::http::Limits;
///
/// // What is left to this process when two share a mailbox's quota evenly.
/// let limits = Limits::concurrency(4)
///     .with_units_per_minute(6_000)
///     .with_requests_per(10_000, Duration::from_secs(600))
///     .share(0.5);
/// assert_eq!(limits.units_per_minute, Some(3_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests in flight at once, each part of a batch that runs at the same time counted. A stream of bytes counts until
    /// it was read to its end, but all streams together leave one place to other requests: whoever opens many and reads
    /// none keeps nobody waiting.
    pub concurrency: u32,
    /// Quota units a minute, spent smoothly: a service that counts by the minute looks at shorter times too.
    pub units_per_minute: Option<u32>,
    /// Requests within a window of time that moves along, each part of a batch counted.
    pub requests_per: Option<(u32, Duration)>,
}

impl Limits {
    /// So many requests in flight at once, at least one, and no other limit.
    #[must_use]
    pub const fn concurrency(concurrency: u32) -> Self {
        Self {
            concurrency: if concurrency == 0 { 1 } else { concurrency },
            units_per_minute: None,
            requests_per: None,
        }
    }

    /// So many quota units a minute too, at least one.
    #[must_use]
    pub const fn with_units_per_minute(mut self, units: u32) -> Self {
        self.units_per_minute = Some(if units == 0 { 1 } else { units });
        self
    }

    /// So many requests within such a time too, at least one.
    #[must_use]
    pub const fn with_requests_per(mut self, requests: u32, window: Duration) -> Self {
        self.requests_per = Some((if requests == 0 { 1 } else { requests }, window));
        self
    }

    /// A part of these limits, from 0 to 1: for each of several processes that work with the same mailbox, and cannot see
    /// what the others ask. Every limit stays at least one.
    #[must_use]
    pub fn share(mut self, part: f64) -> Self {
        let part = part.clamp(0.0, 1.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a number is none that is larger or negative"
        )]
        let of = |whole: u32| ((f64::from(whole) * part) as u32).max(1);
        self.concurrency = of(self.concurrency);
        self.units_per_minute = self.units_per_minute.map(of);
        self.requests_per = self
            .requests_per
            .map(|(requests, window)| (of(requests), window));
        self
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
