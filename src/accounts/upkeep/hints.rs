//! What is told about accounts while an upkeep runs: [`UpkeepHints`]. What it leads to is `running`'s.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::SyncReason;
use crate::model::{AccountId, SubscriptionId, Watch};
use crate::push::{News, Notification, Rejected, Unverified};

/// How much is kept that nobody could verify yet: anybody may post it.
pub(super) const MOST_UNVERIFIED: usize = 1_000;

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
    /// What the upkeep knows of watches, as far as notifications need it.
    watched: Mutex<HashMap<SubscriptionId, Watched>>,
}

/// Whom notifications by one name are about, and by what they are known.
struct Watched {
    watch: Watch,
    accounts: BTreeSet<AccountId>,
}

/// What was told, each at most once.
#[derive(Default)]
pub(super) struct Told {
    pub(super) accounts: BTreeMap<AccountId, Hint>,
    /// By the name of a watch, which some account has.
    pub(super) watches: BTreeMap<SubscriptionId, Hint>,
    /// About watches that nobody is known to have.
    pub(super) unverified: Vec<Unverified>,
}

/// What is to be done because of what was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) sync: Option<SyncReason>,
    /// Whether watches are to be renewed, first of all.
    pub(super) renew: bool,
    /// Whether the service ended one.
    pub(super) removed: bool,
    /// Whether a watch told it: what a host tells says nothing of how its watches are doing.
    pub(super) by_watch: bool,
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
            by_watch: true,
        }
    }

    /// Does what either says.
    pub(super) fn add(&mut self, other: Self) {
        self.sync = self.sync.max(other.sync);
        self.renew |= other.renew;
        self.removed |= other.removed;
        self.by_watch |= other.by_watch;
    }
}

fn add(table: &mut HashMap<SubscriptionId, Watched>, account: &AccountId, watches: Vec<Watch>) {
    for watch in watches {
        let id = watch.id.clone();
        let known = table.entry(id).or_insert_with(|| Watched {
            watch: watch.clone(),
            accounts: BTreeSet::new(),
        });
        known.watch = watch;
        known.accounts.insert(account.clone());
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
        self.heard().watches.entry(watch).or_default().add(hint);
        self.0.news.notify_one();
    }

    /// Does the same for what Graph posted, once it is verified. If it is about a watch that is not known here, that is done
    /// after the next look at the store: another worker may have just set it up.
    ///
    /// # Errors
    /// [`Rejected`] if it is not believed. Answer 202 all the same.
    pub fn told(&self, told: &Unverified) -> Result<(), Rejected> {
        if let Some(verified) = self.verify(told) {
            self.notified(&verified?);
            return Ok(());
        }
        let mut waiting = self.heard();
        if waiting.unverified.len() < MOST_UNVERIFIED {
            waiting.unverified.push(told.clone());
        }
        drop(waiting);
        self.0.news.notify_one();
        Ok(())
    }

    /// Holds something against the watch that it says it is about; `None` if that is not known.
    pub(super) fn verify(&self, told: &Unverified) -> Option<Result<Notification, Rejected>> {
        let watched = self.watched();
        let known = watched.get(told.subscription())?;
        Some(told.verify(&known.watch))
    }

    /// Whom a watch is about.
    pub(super) fn accounts_of(&self, watch: &SubscriptionId) -> Option<BTreeSet<AccountId>> {
        let watched = self.watched();
        watched.get(watch).map(|known| known.accounts.clone())
    }

    /// An account has these watches.
    pub(super) fn has_watches(&self, account: &AccountId, watches: Vec<Watch>) {
        add(&mut self.watched(), account, watches);
    }

    /// These are the watches that a look found, of all accounts. Of those for which `is_newer` says so more was learnt while it
    /// looked. Whoever asks meanwhile finds what was known before or all of this.
    pub(super) fn has_only_watches(
        &self,
        found: impl IntoIterator<Item = (AccountId, Vec<Watch>)>,
        is_newer: impl Fn(&AccountId) -> bool,
    ) {
        let mut anew = HashMap::new();
        for (account, watches) in found {
            add(&mut anew, &account, watches);
        }
        let mut watched = self.watched();
        for (_, mut known) in watched.drain() {
            known.accounts.retain(&is_newer);
            for account in known.accounts {
                add(&mut anew, &account, vec![known.watch.clone()]);
            }
        }
        *watched = anew;
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
        let mut told = self.heard();
        let hint = told.accounts.entry(account.clone()).or_default();
        hint.add(Hint::sync(reason));
        drop(told);
        self.0.news.notify_one();
    }

    /// What was told since this was last asked.
    pub(super) fn take(&self) -> Told {
        std::mem::take(&mut self.heard())
    }

    /// Returns when something was told since it last returned.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Watched>> {
        // Only whole entries are put in or taken out.
        self.0
            .watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, Told> {
        // Only whole entries are put in or taken out.
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
