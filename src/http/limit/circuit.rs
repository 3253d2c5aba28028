//! Leaves a service alone that fails again and again: after some failures in a row nothing is asked for a while, then one
//! request tries, and its outcome decides.

use std::time::Duration;

/// When a service that keeps failing is left alone, and for how long.
///
/// Failures are answers that it is unavailable, and connections that break. Any other answer, a refusal too, shows that
/// the service works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitPolicy {
    /// After so many failures in a row, at least one.
    pub failures: u32,
    /// The first pause. Each that follows without a success between is twice as long.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for CircuitPolicy {
    /// After ten failures in a row, for thirty seconds at first and five minutes at most.
    fn default() -> Self {
        Self {
            failures: 10,
            pause: Duration::from_secs(30),
            longest: Duration::from_secs(300),
        }
    }
}

/// How a mailbox's service has been lately.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    openings: u32,
    open_until: Option<Duration>,
    trying: bool,
    /// Which opening this is, or was. What tried in an earlier one says nothing of a later one.
    opening: u64,
}

impl Circuit {
    /// How long the service is still left alone; zero if a request may go. After a pause that is one request, until its
    /// outcome is known.
    pub(super) fn wait(&self, policy: CircuitPolicy, now: Duration) -> Duration {
        match self.open_until {
            Some(until) if until > now => until - now,
            Some(_) if self.trying => policy.pause,
            _ => Duration::ZERO,
        }
    }

    /// A request goes. If it is the one that tries, in which opening.
    pub(super) fn begin(&mut self) -> Option<u64> {
        let tries = self.open_until.is_some() && !self.trying;
        self.trying |= tries;
        tries.then_some(self.opening)
    }

    /// The one request that tried in an opening ended without an outcome: somebody dropped it.
    pub(super) fn abandon(&mut self, tried: u64) {
        if tried == self.opening {
            self.trying = false;
        }
    }

    pub(super) fn works(&mut self, tried: Option<u64>) {
        if tried.is_some_and(|tried| tried != self.opening) {
            return;
        }
        *self = Self {
            opening: self.opening,
            ..Self::default()
        };
    }

    /// Whether the service is left alone from now on. Once it is, only the request that tries says something new: what was
    /// under way when the pause began does not.
    pub(super) fn fails(
        &mut self,
        policy: CircuitPolicy,
        now: Duration,
        tried: Option<u64>,
    ) -> bool {
        if self.open_until.is_some() && tried != Some(self.opening) {
            return false;
        }
        self.trying = false;
        self.failures = self.failures.saturating_add(1);
        if self.failures < policy.failures.max(1) {
            return false;
        }
        let pause = policy
            .pause
            .saturating_mul(2_u32.saturating_pow(self.openings))
            .min(policy.longest);
        self.openings = self.openings.saturating_add(1);
        self.opening = self.opening.wrapping_add(1);
        self.open_until = Some(now.saturating_add(pause));
        true
    }
}
