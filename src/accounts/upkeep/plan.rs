//! What is due for an account, why and when, reckoned from its record alone: [`UpkeepPlan`] and [`Due`]. Doing it is
//! `attending`'s, waiting for it `running`'s.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::credentials::{AccountRecord, AccountState, Failures, Lapse};
use crate::error::{Action, Error, ErrorKind};
use crate::model::{Access, AccountId};

/// How often what is done for each account. The defaults suit a host that wants new mail within minutes.
///
/// ```
/// use std::time::Duration;
/// use postroom::UpkeepPlan;
///
/// let plan = UpkeepPlan::default().poll_every(Duration::from_secs(60)).at_once(32);
/// # let _ = plan;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct UpkeepPlan {
    poll_every: Option<Duration>,
    poll_behind_push_every: Duration,
    audit_every: Option<Duration>,
    audits_from: Duration,
    audits_within: Duration,
    first_pause: Duration,
    longest_pause: Duration,
    pub(super) at_once: usize,
    pub(super) look_every: Duration,
    pub(super) settling: Duration,
}

/// No service asks for more than the day after which a quota is full again: who asks for years must not end an account's syncs.
const LONGEST_ASKED: Duration = minutes(2 * 24 * 60);

impl Default for UpkeepPlan {
    fn default() -> Self {
        Self {
            poll_every: Some(minutes(5)),
            poll_behind_push_every: minutes(60),
            audit_every: Some(minutes(24 * 60)),
            audits_from: minutes(60),
            audits_within: minutes(4 * 60),
            first_pause: minutes(1),
            longest_pause: minutes(6 * 60),
            at_once: 8,
            look_every: minutes(5),
            settling: Duration::from_secs(2),
        }
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

impl UpkeepPlan {
    /// How often an account is synced that nobody tells anything about: five minutes. Each account takes up to a tenth longer,
    /// always the same, so that they do not all come at once. A round in which nothing happened is one request. No time is shorter
    /// than a second.
    pub fn poll_every(mut self, interval: Duration) -> Self {
        self.poll_every = Some(interval.max(Duration::from_secs(1)));
        self
    }

    /// Syncs accounts only when something was told about them, and audits them. What is told gets lost at times: without
    /// audits, too, a copy may lack mail for good.
    pub fn without_polls(mut self) -> Self {
        self.poll_every = None;
        self
    }

    /// How often an account is synced that a sound watch tells about: an hour. It is never left out, as what a service tells
    /// is only a hint: it comes late, twice or never.
    pub fn poll_behind_push_every(mut self, interval: Duration) -> Self {
        self.poll_behind_push_every = interval;
        self
    }

    /// When audited syncs are run: every `interval`, beginning at `from` after midnight UTC, each account at its own moment within
    /// `within`, always the same. By default every 24 hours, from one o'clock and within four hours.
    pub fn audit_every(mut self, interval: Duration, from: Duration, within: Duration) -> Self {
        self.audit_every = Some(interval.max(minutes(1)));
        self.audits_from = from;
        self.audits_within = within.min(interval);
        self
    }

    /// Runs no audited syncs. What Graph forgets to tell is then never found.
    pub fn without_audits(mut self) -> Self {
        self.audit_every = None;
        self
    }

    /// How long an account rests after something failed: a minute at first, then twice as long each time, up to six hours; and
    /// at least as long as the service asks for.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest.max(first);
        self
    }

    /// How many accounts are seen to at the same time: eight. The services' own limits are kept besides. First and audited syncs,
    /// which may take hours, are at most half of them, so that all other accounts are seen to meanwhile.
    pub fn at_once(mut self, accounts: usize) -> Self {
        self.at_once = accounts.max(1);
        self
    }

    /// How often the store is read for accounts that other processes connected: five minutes. It takes one read for each account.
    pub fn look_every(mut self, interval: Duration) -> Self {
        self.look_every = interval.max(Duration::from_secs(1));
        self
    }

    /// For how long more hints are waited for after the first, so that a burst is one round: two seconds.
    pub fn settling(mut self, settling: Duration) -> Self {
        self.settling = settling;
        self
    }

    /// All that will be due for the account with this record, the next of each kind, in the order of time. There is nothing
    /// for one that is suspended or needs its user.
    pub(super) fn due(
        &self,
        record: &AccountRecord,
        watch_now: bool,
        now: DateTime<Utc>,
    ) -> Vec<Due> {
        if record.suspended_since.is_some()
            || matches!(record.state, AccountState::NeedsSignIn { .. })
        {
            return Vec::new();
        }
        let upkeep = &record.upkeep;
        let mut all: Vec<(DueWork, DateTime<Utc>)> = Vec::new();
        if let Some(at) = credential_due(record) {
            all.push((DueWork::RenewCredential, not_before(at, upkeep.failures)));
        }
        if record.granted.contains(Access::READ) {
            let watches = watch_due(record, watch_now, now);
            all.extend(watches.map(|at| (DueWork::Watch, not_before(at, upkeep.watch_failures))));
            let syncs = self.sync_due(record, now).into_iter();
            all.extend(syncs.map(|(work, at)| (work, not_before(at, upkeep.failures))));
        }
        let mut due: Vec<Due> = all
            .into_iter()
            .map(|(work, at)| Due {
                account: record.account.clone(),
                work,
                at,
            })
            .collect();
        due.sort();
        due
    }

    fn sync_due(
        &self,
        record: &AccountRecord,
        now: DateTime<Utc>,
    ) -> Vec<(DueWork, DateTime<Utc>)> {
        let Some(synced_at) = record.upkeep.synced_at else {
            let connected_at = record.granted_at.or(record.credential.obtained_at);
            let at = connected_at.unwrap_or(now).min(now);
            return vec![(DueWork::Sync(SyncReason::First), at)];
        };
        // By whatever clock that was written: it is not in the future.
        let synced_at = synced_at.min(now);
        let mut due = Vec::new();
        if record.upkeep.sync_owed {
            due.push((DueWork::Sync(SyncReason::Missed), synced_at));
        }
        if let Some(interval) = self.poll_interval(record, now) {
            let stretch = part(interval, share(&record.account, "poll") / 10.0);
            let stretched = interval.saturating_add(stretch);
            due.push((DueWork::Sync(SyncReason::Poll), after(synced_at, stretched)));
        }
        if let Some(interval) = self.audit_every {
            let earliest = record
                .upkeep
                .audited_at
                .map_or(synced_at, |at| after(at.min(now), interval / 2));
            let at = self.next_slot(&record.account, interval, earliest);
            let at = not_before(at, record.upkeep.audit_failures);
            due.push((DueWork::Sync(SyncReason::Audit), at));
        }
        due
    }

    /// Polls go on behind a watch: what it tells gets lost at times.
    fn poll_interval(&self, record: &AccountRecord, now: DateTime<Utc>) -> Option<Duration> {
        let every = self.poll_every?;
        let mut watches = record.subscriptions.iter();
        // Nobody knows whether one is still there that the service does not renew.
        let is_watched =
            watches.any(|watch| !watch.has_lapsed(now)) && record.upkeep.watch_failures.is_none();
        let health = record.upkeep.watch_health.as_ref();
        let is_sound = health.is_none_or(|health| health.state(now).is_sound());
        if is_watched && is_sound {
            Some(every.max(self.poll_behind_push_every))
        } else {
            Some(every)
        }
    }

    /// The account's next moment for an audit.
    fn next_slot(
        &self,
        account: &AccountId,
        interval: Duration,
        earliest: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let offset = part(self.audits_within, share(account, "audit"));
        let offset = self.audits_from.saturating_add(offset);
        let (interval, offset) = (seconds(interval).max(1), seconds(offset));
        let earliest = earliest.timestamp();
        let passed = (earliest - offset).rem_euclid(interval);
        let wait = if passed == 0 { 0 } else { interval - passed };
        DateTime::from_timestamp(earliest.saturating_add(wait), 0)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Notes that something failed, and until when it is left alone.
    pub(super) fn note_failure(
        &self,
        failures: &mut Failures,
        account: &AccountId,
        error: &Error,
        now: DateTime<Utc>,
    ) {
        failures.count = failures.count.saturating_add(1);
        let doubled = failures.count.saturating_sub(1).min(30);
        let pause = self
            .first_pause
            .saturating_mul(1 << doubled)
            .min(self.longest_pause);
        // Whoever has to do something does not do it within a minute.
        let pause = match error.action() {
            _ if error.kind() == ErrorKind::Unsupported => self.longest_pause,
            Action::Wait(_) | Action::TryAgain | Action::CorrectTheCall => pause,
            _ => self.longest_pause,
        };
        let pause = pause.saturating_add(part(pause, share(account, "pause") / 4.0));
        let asked = error.retry_after().unwrap_or_default();
        let pause = pause.max(asked.min(LONGEST_ASKED));
        failures.retry_at = Some(after(now, pause));
    }
}

/// When a grant that nothing uses is to be used so that it does not end: halfway.
fn credential_due(record: &AccountRecord) -> Option<DateTime<Utc>> {
    let has_refresh_token = record.credential.refresh_token.is_some();
    let lifetime = has_refresh_token.then(|| record.lifetime())?;
    let unused = lifetime
        .possible
        .iter()
        .find(|end| end.why == Lapse::Unused);
    let end = unused?.at?;
    let begun = record.credential.obtained_at?;
    begun.checked_add_signed((end - begun).max(TimeDelta::zero()) / 2)
}

/// When watches are to be seen to: at once if they are not what is wanted or the service asked for it, and when the first is due.
fn watch_due(record: &AccountRecord, watch_now: bool, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if watch_now {
        let known = record.upkeep.synced_at.or(record.granted_at);
        return Some(known.unwrap_or(now).min(now));
    }
    let watches = record.subscriptions.iter();
    // One that nobody can renew is no work.
    let watches = watches.filter(|watch| watch.target.is_some());
    watches
        .filter_map(|watch| watch.renew_at.or(watch.expires_at))
        .min()
}

fn not_before(at: DateTime<Utc>, failures: Failures) -> DateTime<Utc> {
    failures.retry_at.map_or(at, |retry_at| at.max(retry_at))
}

pub(super) fn after(at: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|duration| at.checked_add_signed(duration))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// So much longer than any time of interest that sums of it still can be told.
const LONGEST: i64 = i64::MAX / 4;

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).map_or(LONGEST, |seconds| seconds.min(LONGEST))
}

/// The host may ask for any time.
fn part(duration: Duration, part: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * part).unwrap_or(Duration::MAX)
}

/// A number from 0 to 1 that is an account's own for a purpose, the same in every process and version: FNV-1a
/// (<https://www.rfc-editor.org/rfc/rfc9923>), with its bits mixed.
fn share(account: &AccountId, purpose: &str) -> f64 {
    let text = purpose.bytes().chain([0]).chain(account.as_str().bytes());
    let hash = text.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    f64::from(u32::try_from(mixed).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// Something that is due for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Due {
    /// For which.
    pub account: AccountId,
    /// What, and why.
    pub work: DueWork,
    /// From when on.
    pub at: DateTime<Utc>,
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// In the order of time.
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.work, &self.account).cmp(&(other.at, other.work, &other.account))
    }
}

/// What is due. `Display` says why, in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DueWork {
    /// The grant has been unused for half the time after which it ends: it is used once.
    RenewCredential,
    /// A watch is to be set up or renewed.
    Watch,
    /// The mailbox is to be synced.
    Sync(SyncReason),
}

/// Why a mailbox is to be synced. Where there are several reasons, the last of them here is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SyncReason {
    /// Nobody told anything, and it is time to look.
    Poll,
    /// Something was told.
    Told,
    /// Something may have happened that no sync has looked for: there was no watch for a while, or the last sync failed.
    Missed,
    /// It never was.
    First,
    /// It is time for a [`sync_audited`](crate::Mailbox::sync_audited), which finds what the service forgot to tell.
    Audit,
}

impl SyncReason {
    /// Whether it may take hours, since the whole mailbox is read.
    pub(super) fn is_long(self) -> bool {
        matches!(self, Self::First | Self::Audit)
    }
}

impl DueWork {
    pub(super) fn is_long(self) -> bool {
        matches!(self, Self::Sync(reason) if reason.is_long())
    }
}

impl fmt::Display for DueWork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::RenewCredential => "the grant ends if nothing uses it",
            Self::Watch => "a watch is missing, or ends unless it is renewed",
            Self::Sync(SyncReason::Poll) => "the mailbox was not looked at for a while",
            Self::Sync(SyncReason::Told) => "the service told that something happened",
            Self::Sync(SyncReason::Missed) => {
                "something may have happened that no sync has looked for"
            }
            Self::Sync(SyncReason::First) => "the mailbox was never synced",
            Self::Sync(SyncReason::Audit) => "the copy is to be compared with the mailbox",
        })
    }
}
