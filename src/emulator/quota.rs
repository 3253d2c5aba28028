//! The vendors' limits per mailbox, as data: how much a client may ask for over time, and how much at
//! once. What a method costs is said beside the methods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A limit over time: a bucket that fills at a steady rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// How much it holds when full, as it is at first.
    pub(crate) capacity: f64,
    /// How much flows in a second.
    pub(crate) per_second: f64,
    /// How many requests may be under way at once.
    pub(crate) concurrent: usize,
}

/// 6,000 quota units a minute for each user, for projects made since May 2026:
/// <https://developers.google.com/workspace/gmail/api/reference/quota>. They are counted smoothly and not by the minute:
/// an account that was asked for 160 units a second was refused when it was some 1,000 over. How many requests may be under
/// way is not published; a batch of 100 was refused in part with the concurrency error, batches of 25
/// passed: <https://github.com/amd/gaia/issues/2720>.
pub(crate) const GMAIL: Limit = Limit {
    capacity: 1_000.0,
    per_second: 100.0,
    concurrent: 50,
};

/// 10,000 requests in ten minutes and four at once for each application and mailbox:
/// <https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits>.
pub(crate) const OUTLOOK: Limit = Limit {
    capacity: 10_000.0,
    per_second: 10_000.0 / 600.0,
    concurrent: 4,
};

/// How much each mailbox has left, and what is under way.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    under_way: Arc<Mutex<BTreeMap<String, usize>>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    since: Duration,
}

/// A request that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    mailbox: String,
    under_way: Arc<Mutex<BTreeMap<String, usize>>>,
    /// How many were under way when this one began, itself included.
    pub(crate) position: usize,
}

/// How many requests of the same mailbox were under way when this one began, itself included: what a
/// face finds among a request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay(pub(crate) usize);

impl Quotas {
    /// Takes `cost` from what the mailbox has left, unless that is too little.
    ///
    /// `speed` is how much faster than the clock the bucket fills.
    pub(crate) fn spend(
        &self,
        mailbox: &str,
        limit: Limit,
        speed: f64,
        cost: u32,
        now: Duration,
    ) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(mailbox.to_owned()).or_insert(Bucket {
            left: limit.capacity,
            since: now,
        });
        let flowed = now.saturating_sub(bucket.since).as_secs_f64() * limit.per_second * speed;
        bucket.left = (bucket.left + flowed).min(limit.capacity);
        bucket.since = now;
        let enough = bucket.left >= f64::from(cost);
        if enough {
            bucket.left -= f64::from(cost);
        }
        enough
    }

    /// A request of this mailbox begins.
    pub(crate) fn enter(&self, mailbox: &str) -> Slot {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = under_way.entry(mailbox.to_owned()).or_default();
        *count += 1;
        Slot {
            mailbox: mailbox.to_owned(),
            under_way: Arc::clone(&self.under_way),
            position: *count,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&self.mailbox) {
            *count = count.saturating_sub(1);
        }
    }
}
