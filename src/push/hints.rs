//! Many hints, few rounds: which accounts are to be synced next, as data. Who runs the rounds, and where, is the host's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Accounts about which something was told, each at most once however often it was, and never two rounds of one at the
/// same time. What is told while a round runs leads to one more after it, since nobody knows whether that round saw it.
///
/// Times are of a monotonic clock, such as [`Clock::monotonic`](crate::clock::Clock::monotonic) tells.
///
/// ```
/// use std::time::Duration;
/// use postroom::push::Hints;
///
/// let mut hints = Hints::new(Duration::from_secs(2));
/// let second = Duration::from_secs;
/// for _ in 0..1_000 {
///     hints.hint("account 7", second(10));
/// }
/// assert_eq!(hints.begin(second(11)), None); // More may come.
/// assert_eq!(hints.begin(second(12)), Some("account 7"));
/// hints.hint("account 7", second(13)); // While its round runs …
/// assert_eq!(hints.begin(second(20)), None);
/// hints.end(&"account 7"); // … so there is one more.
/// assert_eq!(hints.begin(second(20)), Some("account 7"));
/// ```
#[derive(Clone, Debug)]
pub struct Hints<K> {
    settling: Duration,
    /// Who waits for a round, and from when it may begin.
    waiting: BTreeMap<K, Duration>,
    /// The same, in the order in which they may.
    order: BTreeSet<(Duration, K)>,
    /// Whose round runs, and when something was first told since it began.
    running: BTreeMap<K, Option<Duration>>,
}

impl<K: Ord + Clone> Hints<K> {
    /// No hints yet. A round begins `settling` after the first hint, however many follow, so that what comes in a burst is
    /// one round. Two seconds are a good figure: Graph tells of one message several times within moments.
    #[must_use]
    pub fn new(settling: Duration) -> Self {
        Self {
            settling,
            waiting: BTreeMap::new(),
            order: BTreeSet::new(),
            running: BTreeMap::new(),
        }
    }

    /// Something was told about this account.
    pub fn hint(&mut self, account: K, now: Duration) {
        match self.running.get_mut(&account) {
            Some(told) => {
                told.get_or_insert(now);
            }
            None => self.wait(account, now),
        }
    }

    fn wait(&mut self, account: K, told: Duration) {
        let from = told.saturating_add(self.settling);
        if !self.waiting.contains_key(&account) {
            self.waiting.insert(account.clone(), from);
            self.order.insert((from, account));
        }
    }

    /// The next account whose round is to begin, if there is one. Say when it is [over](Self::end).
    pub fn begin(&mut self, now: Duration) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, account) = self.order.pop_first()?;
        self.waiting.remove(&account);
        self.running.insert(account.clone(), None);
        Some(account)
    }

    /// The account's round is over, however it went. After one that failed, [`hint`](Self::hint) again for another.
    pub fn end(&mut self, account: &K) {
        if let Some(Some(told)) = self.running.remove(account) {
            self.wait(account.clone(), told);
        }
    }

    /// When a round may begin at the earliest; `None` if none is wanted.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.order.first().map(|(from, _)| *from)
    }

    /// Forgets an account that is gone.
    pub fn forget(&mut self, account: &K) {
        if let Some(from) = self.waiting.remove(account) {
            self.order.remove(&(from, account.clone()));
        }
        if let Some(told) = self.running.get_mut(account) {
            *told = None;
        }
    }

    /// Whether no round is wanted and none runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }
}
