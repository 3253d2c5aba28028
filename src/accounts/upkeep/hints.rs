//! What is told about accounts while an upkeep runs: [`UpkeepHints`]. What it leads to is `running`'s.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::SyncReason;
use crate::model::AccountId;

/// Tells a running [`Upkeep`](super::Upkeep) that something happened to an account. Clones tell the same one.
///
/// However often it is told, one round follows; and one more if it is told while that one runs, since nobody knows whether it
/// saw what happened. Nothing is kept across a restart: a poll finds it then.
#[derive(Clone, Default)]
pub struct UpkeepHints(Arc<Inner>);

#[derive(Default)]
struct Inner {
    told: Mutex<BTreeMap<AccountId, SyncReason>>,
    news: Notify,
}

impl fmt::Debug for UpkeepHints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UpkeepHints(..)")
    }
}

impl UpkeepHints {
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
        let known = told.entry(account.clone()).or_insert(reason);
        *known = (*known).max(reason);
        drop(told);
        self.0.news.notify_one();
    }

    /// What was told since this was last asked.
    pub(super) fn take(&self) -> BTreeMap<AccountId, SyncReason> {
        std::mem::take(&mut self.told())
    }

    /// Returns when something was told since it last returned.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<AccountId, SyncReason>> {
        // Only whole entries are put in or taken out.
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
