//! What can be seen of requests from outside: events through `tracing`, and, with the feature `metrics`, counters and
//! histograms. Names and labels are part of the interface; nothing of a token, an address or mail is in them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::request::Cost;
use crate::error::Error;
use crate::model::Lane;

/// Requests that were sent, repeated ones counted each time. Labels: `provider`, `operation`, `lane`, `outcome` (`ok` or the
/// kind of error).
#[cfg(feature = "metrics")]
const REQUESTS: &str = "postroom_requests_total";
/// Quota units that were spent. Labels: `provider`, `operation`, `lane`.
#[cfg(feature = "metrics")]
const UNITS: &str = "postroom_units_total";
/// Requests that were sent again. Labels: `provider`, `operation`.
#[cfg(feature = "metrics")]
const RETRIES: &str = "postroom_retries_total";
/// Seconds that a request waited for its turn. Labels: `provider`, `operation`, `lane`.
#[cfg(feature = "metrics")]
const WAIT: &str = "postroom_wait_seconds";
/// Seconds from sending a request to the end of its answer, or to its head where the rest is a stream. Labels: `provider`,
/// `operation`.
#[cfg(feature = "metrics")]
const REQUEST: &str = "postroom_request_seconds";
/// Bytes of answers, as they are once decompressed; streams count when they were read to their end. Labels: `provider`,
/// `operation`.
#[cfg(feature = "metrics")]
const RECEIVED: &str = "postroom_received_bytes_total";

/// How long the longest request took that was answered well: from when it was sent, without waits and without the attempts
/// that failed before it; and how many bytes the longest answer had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopwatch(Arc<Mutex<(Duration, usize)>>);

impl Stopwatch {
    pub(super) fn note(&self, took: Duration) {
        let (longest, _) = &mut *self.lock();
        *longest = took.max(*longest);
    }

    pub(super) fn received(&self, bytes: usize) {
        let (_, longest) = &mut *self.lock();
        *longest = bytes.max(*longest);
    }

    pub(crate) fn read(&self) -> (Duration, usize) {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, (Duration, usize)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request, all its attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub(super) operation: &'static str,
    pub(super) lane: Lane,
    pub(super) cost: Cost,
}

impl Observed {
    /// All that is done for it.
    pub(super) fn span(self) -> tracing::Span {
        tracing::debug_span!(
            "request",
            operation = self.operation,
            lane = self.lane.as_str(),
            units = self.cost.units
        )
    }

    /// It waited for its turn.
    pub(super) fn waited(self, waited: Duration) {
        if !waited.is_zero() {
            tracing::trace!(
                operation = self.operation,
                lane = self.lane.as_str(),
                waited = waited.as_secs_f64(),
                "request waited for its turn"
            );
        }
        #[cfg(feature = "metrics")]
        metrics::histogram!(WAIT, "provider" => self.provider(), "operation" => self.operation, "lane" => self.lane.as_str())
            .record(waited);
    }

    /// An attempt is over, after so long.
    pub(super) fn attempted(self, attempt: u32, took: Duration, error: Option<&Error>) {
        match error {
            None => tracing::debug!(
                operation = self.operation,
                attempt,
                lane = self.lane.as_str(),
                units = self.cost.units,
                took = took.as_secs_f64(),
                "request answered"
            ),
            Some(error) => tracing::debug!(
                operation = self.operation,
                attempt,
                lane = self.lane.as_str(),
                units = self.cost.units,
                took = took.as_secs_f64(),
                kind = ?error.kind(),
                status = error.status(),
                code = error.code(),
                "request failed"
            ),
        }
    }

    /// The attempt was sent: what is kept back here by a limit or a cap is none of the service's work.
    pub(super) fn sent(self, attempt: u32, took: Duration, error: Option<&Error>) {
        #[cfg(feature = "metrics")]
        {
            let outcome =
                error.map_or_else(|| "ok".to_owned(), |error| format!("{:?}", error.kind()));
            metrics::counter!(REQUESTS, "provider" => self.provider(), "operation" => self.operation, "lane" => self.lane.as_str(), "outcome" => outcome)
                .increment(1);
            metrics::counter!(UNITS, "provider" => self.provider(), "operation" => self.operation, "lane" => self.lane.as_str())
                .increment(u64::from(self.cost.units));
            metrics::histogram!(REQUEST, "provider" => self.provider(), "operation" => self.operation)
                .record(took);
            if attempt > 1 {
                metrics::counter!(RETRIES, "provider" => self.provider(), "operation" => self.operation)
                    .increment(1);
            }
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (attempt, took, error);
    }

    /// It is sent again after this wait.
    pub(super) fn repeats(self, attempt: u32) {
        tracing::debug!(operation = self.operation, attempt, "request is sent again");
    }

    /// So much of its answer was read.
    pub(super) fn received(self, bytes: usize) {
        #[cfg(feature = "metrics")]
        metrics::counter!(RECEIVED, "provider" => self.provider(), "operation" => self.operation)
            .increment(bytes as u64);
        #[cfg(not(feature = "metrics"))]
        let _ = bytes;
    }

    /// Operations are named after their provider first.
    #[cfg(feature = "metrics")]
    fn provider(self) -> &'static str {
        self.operation
            .split_once('.')
            .map_or(self.operation, |(provider, _)| provider)
    }
}
