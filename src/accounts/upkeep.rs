//! The upkeep of many accounts: [`Upkeep`], which renews, polls and audits when it is time, on any number of workers, and tells
//! hosts that prefer cron what is due. What a round does with its pages is the host's, who implements [`UpkeepHost`].

mod agenda;
mod attending;
mod hints;
mod plan;
mod running;
mod watching;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

pub use self::attending::Attended;
pub use self::hints::UpkeepHints;
pub use self::plan::{Due, DueWork, SyncReason, UpkeepPlan};
use super::{Account, AccountStatus, Accounts};
use crate::credentials::AccountRecord;
use crate::error::Result;
use crate::mailbox::Mailbox;
use crate::model::{AccountId, Watch, WatchTarget};

/// How many records are read at the same time.
const READ_AT_ONCE: usize = 8;

/// What a host does in the upkeep of its accounts.
#[async_trait]
pub trait UpkeepHost: Send + Sync + 'static {
    /// Syncs the mailbox of an account to its end and stores what that tells; with [`SyncReason::Audit`] by
    /// [`Mailbox::sync_audited`].
    ///
    /// It may be dropped at any await: when the upkeep is stopped, or when this worker lost the account to another one. A
    /// panic in it is caught and counts as a failure.
    ///
    /// # Errors
    /// What the sync reports, or the host's own storage, as [`Known::page`](crate::Known::page) does. The account is left
    /// alone for a while then, by all workers, for longer and longer.
    async fn sync(&self, account: &Account, mailbox: Mailbox, reason: SyncReason)
    -> Result<Synced>;

    /// Where the service is to tell what happens in this account's mailbox, for those that are to be watched: a
    /// [topic](WatchTarget::topic) for Google's accounts, a [webhook](WatchTarget::webhook) for Microsoft's. By default nobody is,
    /// and all are polled.
    ///
    /// The watch is set up, renewed before it ends, made anew where the service dropped it, and replaced when this changes; it
    /// is in the account's [record](crate::credentials::AccountRecord::subscriptions). Other watches there end, except that
    /// without a target those that the host put there itself are renewed and otherwise left alone. Where a mailbox cannot be
    /// watched, or the service refuses, polls take over.
    fn watch_target(&self, account: &Account) -> Option<WatchTarget> {
        let _ = account;
        None
    }
}

/// What a host's sync brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Synced {
    /// Nothing had happened.
    Unchanged,
    /// There were changes.
    Changed,
}

/// The upkeep of all accounts: has them watched, syncs them when something was told, polls all (the less often, the better the
/// watch), audits all, uses grants that would end unused, and leaves alone who needs their user. Any number of workers over one store may run it.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use futures_util::StreamExt;
/// use postroom::{Account, Accounts, Known, Mailbox, Result, Scope, SyncPage, SyncReason, Synced, UpkeepHost};
/// # #[derive(Debug)]
/// # struct Copy;
/// # impl Copy {
/// #     async fn of(_: &Account) -> Result<Self> { Ok(Self) }
/// #     fn cursor(&self) -> Option<postroom::SyncCursor> { None }
/// #     async fn store_if_follows(&self, _: &SyncPage) -> Result<bool> { Ok(true) }
/// # }
/// # #[async_trait]
/// # impl Known for Copy {
/// #     async fn page(&self, _: Option<&postroom::MessageId>, _: usize) -> Result<Vec<postroom::KnownMessage>> { Ok(Vec::new()) }
/// # }
///
/// struct Mirrors;
///
/// #[async_trait]
/// impl UpkeepHost for Mirrors {
///     async fn sync(&self, account: &Account, mailbox: Mailbox, reason: SyncReason) -> Result<Synced> {
///         let copy = Arc::new(Copy::of(account).await?);
///         let (cursor, known) = (copy.cursor(), copy.clone());
///         let mut pages = match reason {
///             SyncReason::Audit => mailbox.sync_audited(cursor, Scope::default(), known),
///             _ => mailbox.sync(cursor, Scope::default(), known),
///         };
///         let mut synced = Synced::Unchanged;
///         while let Some(page) = pages.next().await {
///             let page = page?;
///             if !page.changes.is_empty() {
///                 synced = Synced::Changed;
///             }
///             // Changes and cursor in one transaction, where the stored cursor is still the page's `after`.
///             if !copy.store_if_follows(&page).await? {
///                 break; // Another worker was faster.
///             }
///         }
///         Ok(synced)
///     }
/// }
///
/// # async fn example(accounts: Accounts, shutdown: impl Future<Output = ()> + Send) {
/// let upkeep = accounts.upkeep(Arc::new(Mirrors));
/// let hints = upkeep.hints(); // For the receiver of notifications.
/// upkeep.run_until(shutdown).await;
/// # let _ = hints;
/// # }
/// ```
///
/// # With cron
/// [`due`](Self::due) tells what is to be done and from when on, and [`attend`](Self::attend) does what is due for one account:
///
/// ```no_run
/// # async fn example(upkeep: postroom::Upkeep) -> postroom::Result<()> {
/// let now = chrono::Utc::now();
/// for due in upkeep.due(now).await? {
///     if due.at <= now {
///         upkeep.attend(&due.account).await?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Many workers
/// Whatever is done for an account is done under its lease in the store, with the account's record read anew, so that each
/// piece of work is done once however many workers find it due. A worker that dies is waited for two minutes, a sync
/// that it had begun five. How far each account's upkeep has got is in its record
/// ([`AccountRecord::upkeep`]), so that nothing is forgotten when workers are started again.
/// What is due is reckoned by the workers' clocks: they should agree to a minute or so.
///
/// # What fails
/// After an error an account is left alone for a while, for longer each time ([`UpkeepPlan::pauses`]) and at least for as long
/// as the service asks for; that is told by [`AccountEvent::UpkeepFailing`](crate::AccountEvent::UpkeepFailing), and with
/// [`UpkeepRecovered`](crate::AccountEvent::UpkeepRecovered) that it is over. For an account that is suspended or needs its user
/// nothing is done at all, until that is over. While the store fails, nothing is done and it is tried again; it ends nothing.
#[derive(Clone)]
pub struct Upkeep {
    accounts: Accounts,
    host: Arc<dyn UpkeepHost>,
    plan: UpkeepPlan,
    hints: UpkeepHints,
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Upkeep")
            .field("accounts", &self.accounts)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl Accounts {
    /// The upkeep of these accounts. Nothing is done before it is [run](Upkeep::run).
    #[must_use]
    pub fn upkeep(&self, host: Arc<dyn UpkeepHost>) -> Upkeep {
        Upkeep {
            accounts: self.clone(),
            host,
            plan: UpkeepPlan::default(),
            hints: UpkeepHints::default(),
        }
    }
}

/// A look at one account.
struct Looked {
    account: AccountId,
    /// By what its notifications are known.
    watches: Vec<Watch>,
    /// What is due for it, in the order of time.
    due: Vec<Due>,
}

impl Upkeep {
    /// Does things by another plan than the default one.
    #[must_use]
    pub fn with_plan(mut self, plan: UpkeepPlan) -> Self {
        self.plan = plan;
        self
    }

    /// Where to tell that something happened to an account.
    #[must_use]
    pub fn hints(&self) -> UpkeepHints {
        self.hints.clone()
    }

    /// What is due for all accounts or will be, the next of each kind for each, in the order of time. It reads every record
    /// once. There is nothing for accounts that cannot be used.
    ///
    /// # Errors
    /// [`ErrorKind::CredentialStore`](crate::ErrorKind::CredentialStore).
    pub async fn due(&self, now: DateTime<Utc>) -> Result<Vec<Due>> {
        let looked = self.look(now).await?;
        let mut due: Vec<Due> = looked.into_iter().flat_map(|looked| looked.due).collect();
        due.sort();
        Ok(due)
    }

    /// Reads every record. One that cannot be read keeps no other one out.
    async fn look(&self, now: DateTime<Utc>) -> Result<Vec<Looked>> {
        let inner = &self.accounts.0;
        let accounts = inner.store.list(inner.namespace.as_deref()).await?;
        let mut reading = stream::iter(accounts)
            .map(|account| async move {
                let key = self.accounts.key(&account);
                let loaded = AccountRecord::load(inner.store.as_ref(), &key).await;
                (account, loaded)
            })
            .buffer_unordered(READ_AT_ONCE);
        let mut looked = Vec::new();
        while let Some((account, loaded)) = reading.next().await {
            let (watches, due) = match loaded {
                Ok(Some(loaded)) => (
                    watching::marks(&loaded.record),
                    self.due_for(&loaded.record, now),
                ),
                Ok(None) => continue,
                Err(error) if error.is_unreadable() => (Vec::new(), Vec::new()),
                Err(error) => return Err(error.into()),
            };
            looked.push(Looked {
                account,
                watches,
                due,
            });
        }
        Ok(looked)
    }

    fn due_for(&self, record: &AccountRecord, now: DateTime<Utc>) -> Vec<Due> {
        let described = self.accounts.describe(record);
        match described.status {
            AccountStatus::Active => {
                let wanted = self.wanted_watch(&described);
                let amiss =
                    wanted.is_some_and(|wanted| !watching::are(&record.subscriptions, &wanted));
                self.plan
                    .due(record, amiss || record.upkeep.renewal_owed, now)
            }
            _ => Vec::new(),
        }
    }
}
