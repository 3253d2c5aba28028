//! What is told about accounts while an upkeep runs: [`UpkeepHints`]. What it leads to is `running`'s.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::SyncReason;
use crate::model::{AccountId, SubscriptionId};
use crate::push::{News, Notification};

/// Tells a running [`Upkeep`](super::Upkeep) that something happened to an account. Clones tell the same one.
///
/// However often it is told, one round follows; and one more if it is told while that one runs, since nobody knows whether it
/// saw what happened. Nothing is kept across a restart: a poll finds it then.
#[derive(Clone, Default)]
pub struct UpkeepHints(Arc<Inner>);

#[derive(Default)]
struct Inner {
    told: Mutex<Told>,
    news: Notify,
}

/// What was told, each at most once.
#[derive(Default)]
pub(super) struct Told {
    pub(super) accounts: BTreeMap<AccountId, Hint>,
    /// By the name of a watch, which some account has.
    pub(super) watches: BTreeMap<SubscriptionId, Hint>,
}

/// What is to be done because of what was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) sync: Option<SyncReason>,
    /// Whether watches are to be renewed, first of all.
    pub(super) renew: bool,
    /// Whether the service ended one.
    pub(super) removed: bool,
}

impl Hint {
    fn sync(reason: SyncReason) -> Self {
        Self {
            sync: Some(reason),
            ..Self::default()
        }
    }

    fn of(news: News) -> Self {
        let reason = match news {
            News::Changed => SyncReason::Told,
            _ => SyncReason::Missed,
        };
        Self {
            sync: news.asks_for_sync().then_some(reason),
            renew: news.asks_for_renewal(),
            removed: news == News::Removed,
        }
    }

    /// Does what either says.
    pub(super) fn add(&mut self, other: Self) {
        self.sync = self.sync.max(other.sync);
        self.renew |= other.renew;
        self.removed |= other.removed;
    }
}

impl fmt::Debug for UpkeepHints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UpkeepHints(..)")
    }
}

impl UpkeepHints {
    /// Does what a notification asks for: syncs the accounts whose watch it is about, or renews that. One about a watch that no
    /// account has leads to one look at the store and is then forgotten.
    pub fn notified(&self, notification: &Notification) {
        let (watch, hint) = (
            notification.subscription.clone(),
            Hint::of(notification.news),
        );
        self.told().watches.entry(watch).or_default().add(hint);
        self.0.news.notify_one();
    }

    /// Something happened in the account's mailbox.
    pub fn changed(&self, account: &AccountId) {
        self.tell(account, SyncReason::Told);
    }

    /// Something may have happened that was not told.
    pub fn missed(&self, account: &AccountId) {
        self.tell(account, SyncReason::Missed);
    }

    fn tell(&self, account: &AccountId, reason: SyncReason) {
        let mut told = self.told();
        let hint = told.accounts.entry(account.clone()).or_default();
        hint.add(Hint::sync(reason));
        drop(told);
        self.0.news.notify_one();
    }

    /// What was told since this was last asked.
    pub(super) fn take(&self) -> Told {
        std::mem::take(&mut self.told())
    }

    /// Returns when something was told since it last returned.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Only whole entries are put in or taken out.
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
