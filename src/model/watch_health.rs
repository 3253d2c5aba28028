//! Whether a watch still does what it is there for, judged from what was told and what syncs found, as data. Mending it is
//! [`Mailbox::renew`](crate::Mailbox::renew)'s and the host's.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Watch;

/// How many syncs must find something that nobody had told before a watch counts as silent.
const SILENT_AFTER: u32 = 3;

/// How long a notification may take: a service that finds its receiver slow holds back for ten minutes
/// (<https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>).
const LATE: TimeDelta = TimeDelta::minutes(10);

/// What is known of how a watch is doing. Keep it beside the watch, and tell it what happens: it asks nothing itself.
///
/// ```
/// use chrono::{TimeDelta, Utc};
/// use postroom::Watch;
/// use postroom::push::{WatchHealth, WatchState};
///
/// let now = Utc::now();
/// let watch = Watch::new("subscription", Some(now + TimeDelta::days(7)));
/// let mut health = WatchHealth::new(&watch, now);
/// for hour in 1..=3 {
///     health.synced(true, now + TimeDelta::hours(hour)); // There was something, and nobody had told.
/// }
/// let state = health.state(now + TimeDelta::hours(3));
/// assert!(matches!(state, WatchState::Silent { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchHealth {
    /// Since when the watch has been there.
    pub since: DateTime<Utc>,
    /// When it ends unless it is renewed.
    pub expires_at: Option<DateTime<Utc>>,
    /// When something was last told.
    pub notified_at: Option<DateTime<Utc>>,
    /// When something was last found by a sync that nobody had told, at first.
    missed_since: Option<DateTime<Utc>>,
    /// How many syncs in a row found something that nobody had told.
    missed: u32,
    /// When the service said that it ended the watch.
    removed_at: Option<DateTime<Utc>>,
}

/// How a watch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchState {
    /// Nothing was told yet, and nothing was missed either.
    Unproven,
    /// It tells what happens.
    Working,
    /// It ended, by itself or by the service's will: [renew](crate::Mailbox::renew) it, which makes it anew, and sync.
    Lapsed {
        /// When.
        since: DateTime<Utc>,
    },
    /// Syncs find things that nobody told: the service cannot reach the host, or tells somebody else. Set it up
    /// [anew](crate::Mailbox::watch), look whether what it is told reaches the host, and sync more often meanwhile.
    Silent {
        /// Since when things were found that nobody had told.
        since: DateTime<Utc>,
        /// In how many syncs.
        rounds: u32,
    },
}

impl WatchState {
    /// Whether to rely on it: to sync because something was told, and otherwise only now and then.
    #[must_use]
    pub fn is_sound(self) -> bool {
        matches!(self, Self::Unproven | Self::Working)
    }
}

impl WatchHealth {
    /// What is known of a watch that was just set up.
    #[must_use]
    pub fn new(watch: &Watch, now: DateTime<Utc>) -> Self {
        Self {
            since: watch.began_at.unwrap_or(now),
            expires_at: watch.expires_at,
            notified_at: None,
            missed_since: None,
            missed: 0,
            removed_at: None,
        }
    }

    /// The watch goes on, or another one took its place, of which nothing is known yet.
    pub fn renewed(&mut self, watch: &Watch) {
        self.expires_at = watch.expires_at;
        self.removed_at = None;
        if let Some(began_at) = watch.began_at.filter(|began_at| *began_at > self.since) {
            *self = Self::new(watch, began_at);
        }
    }

    /// Something was told about the mailbox.
    pub fn notified(&mut self, now: DateTime<Utc>) {
        self.notified_at = Some(now);
        self.missed_since = None;
        self.missed = 0;
    }

    /// The service said that it ended the watch.
    pub fn removed(&mut self, now: DateTime<Utc>) {
        self.removed_at.get_or_insert(now);
    }

    /// A sync is over that nobody's hint had led to (a host that polls), and it found something or not. One that a hint led
    /// to says nothing of the watch, and what the host itself had changed may not be told: leave both out.
    pub fn synced(&mut self, found: bool, now: DateTime<Utc>) {
        // What was told moments ago, or might still be, is no miss.
        let recent = |at: DateTime<Utc>| now < at + LATE;
        if !found || self.notified_at.is_some_and(recent) || recent(self.since) {
            return;
        }
        self.missed_since.get_or_insert(now);
        self.missed = self.missed.saturating_add(1);
    }

    /// How the watch is doing.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> WatchState {
        let ended = self.expires_at.filter(|end| *end <= now);
        if let Some(since) = self.removed_at.into_iter().chain(ended).min() {
            return WatchState::Lapsed { since };
        }
        match self.missed_since {
            Some(since) if self.missed >= SILENT_AFTER && now >= since + LATE => {
                WatchState::Silent {
                    since,
                    rounds: self.missed,
                }
            }
            _ if self.notified_at.is_some() => WatchState::Working,
            _ => WatchState::Unproven,
        }
    }
}
