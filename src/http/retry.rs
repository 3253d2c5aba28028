//! Whether and when a failed request is sent again. What kind of failure it was is told by the provider, which reads the
//! error body.

use std::time::Duration;

use super::limit::CircuitPolicy;
use super::refusal::LeftAlone;
use super::request::Replay;
use crate::error::{Delivery, Error, ErrorKind};

/// How often and how patiently failed requests are repeated.
///
/// After attempt *n*, counted from 1, it waits for as long as the service asked, and for a random time up to `base`·2ⁿ⁻¹, at
/// most `cap`. A service that asks for more than `patience` is not waited for: its error is returned with
/// [`retry_after`](Error::retry_after) set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often a request is sent at most. 1 never repeats.
    pub attempts: u32,
    /// The upper end of the first wait.
    pub base: Duration,
    /// The upper end of every wait.
    pub cap: Duration,
    /// The longest wait that a service may ask for.
    pub patience: Duration,
    /// When a service that keeps failing is left alone: calls then fail at once, with
    /// [`retry_after`](Error::retry_after) set. Without it every call finds out for itself.
    pub circuit: Option<CircuitPolicy>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(32),
            patience: Duration::from_secs(90),
            circuit: Some(CircuitPolicy::default()),
        }
    }
}

impl RetryPolicy {
    /// Sends every request once.
    #[must_use]
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// How long to wait before the next attempt; `None` if there is to be none. `attempt` counts from 1.
    pub(super) fn wait(&self, error: &Error, replay: Replay, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts || LeftAlone::is(error) || !may_repeat(error, replay) {
            return None;
        }
        let asked = error.retry_after().unwrap_or_default();
        if asked > self.patience {
            return None;
        }
        let ceiling = self
            .base
            .saturating_mul(2_u32.saturating_pow(attempt - 1))
            .min(self.cap);
        let random = ceiling.as_secs_f64() * random_fraction();
        let random = Duration::try_from_secs_f64(random).unwrap_or(ceiling);
        Some(asked.saturating_add(random))
    }
}

/// A retry needs two facts: the fault is transient, and the request cannot have taken effect or may do so twice.
fn may_repeat(error: &Error, replay: Replay) -> bool {
    error.is_transient()
        && match replay {
            Replay::Read | Replay::Idempotent => true,
            // A 5xx proves nothing (four 504s have meant four deliveries); 429 is a refusal.
            Replay::Once => {
                error.delivery() == Delivery::NotSent
                    && matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Network)
            }
        }
}

/// A number from 0 up to 1, of no cryptographic use. Without randomness from the system it is 1: the longest wait.
fn random_fraction() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}
