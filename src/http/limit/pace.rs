//! How much of what is allowed is asked for, since the service refused some of it, and parts of what is allowed.

use std::time::Duration;

/// After a refusal for too much, less is asked, and step by step more again.
const SLOWER: f64 = 0.8;
const SLOWEST: f64 = 0.2;
/// Refusals that come together are one.
const ONE_EVENT: Duration = Duration::from_secs(2);
const FASTER: f64 = 0.05;
const FASTER_EACH: Duration = Duration::from_secs(15);

/// Where there are as many units a minute, or more, all of it can be saved up.
const USUAL_RATE: u32 = 6_000;

/// A part of what is allowed, from 0 to 1; all of it where nothing was refused lately.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Box<Slowed>>);

#[derive(Debug)]
struct Slowed {
    part: f64,
    /// When it was last made smaller or larger.
    since: Duration,
    /// When something was last refused.
    refused_at: Duration,
}

impl Pace {
    pub(super) fn now(&mut self, now: Duration) -> f64 {
        let Some(slowed) = &mut self.0 else {
            return 1.0;
        };
        while slowed.part < 1.0 && now.saturating_sub(slowed.since) >= FASTER_EACH {
            slowed.part += FASTER;
            slowed.since += FASTER_EACH;
        }
        if slowed.part >= 1.0 {
            self.0 = None;
            return 1.0;
        }
        slowed.part
    }

    /// Something was refused. All that was under way is refused alike.
    pub(super) fn slower(&mut self, now: Duration) {
        let refused_at = self.0.as_ref().map(|slowed| slowed.refused_at);
        if refused_at.is_some_and(|at| now.saturating_sub(at) < ONE_EVENT) {
            return;
        }
        self.0 = Some(Box::new(Slowed {
            part: (self.now(now) * SLOWER).max(SLOWEST),
            since: now,
            refused_at: now,
        }));
    }
}

/// What can be saved up of so much where only a share of the usual units is ours: several processes that saved all of it
/// would spend it at once.
pub(super) fn of_rate(whole: u32, per_minute: u32) -> u32 {
    let share = f64::from(per_minute) / f64::from(USUAL_RATE);
    u32::try_from(part(share.min(1.0), whole as usize)).unwrap_or(whole)
}

/// A part of a whole, rounded up.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a part from 0 to 1 of a small number"
)]
pub(super) fn part(part: f64, whole: usize) -> usize {
    ((whole as f64) * part).ceil() as usize
}
