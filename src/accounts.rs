//! [`Accounts`]: many mailboxes over one store. Connect → complete → open → work → disconnect. It is the top of the crate
//! and alone names both providers; how to sign in is `oauth`'s, how to keep tokens is `credentials`'. Each step has a file
//! of its own; here is what they share: records and configurations.

mod account;
mod adopting;
mod building;
mod claiming;
mod configuration;
mod events;
mod holding;
mod leaving;
mod opening;
mod probing;
#[cfg(feature = "outlook")]
mod shared;
mod signing_in;
mod upkeep;
mod ways;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use self::account::{Account, AccountStatus, Obstacle, SignInReason};
pub use self::adopting::Adoption;
pub use self::building::AccountsBuilder;
use self::configuration::Configured;
pub use self::configuration::ProviderConfiguration;
use self::events::Events;
pub use self::events::{AccountEvent, AccountEvents};
pub use self::leaving::{Disconnected, Kept};
use self::opening::Opened;
pub use self::signing_in::{Connecting, PendingConnection};
pub use self::upkeep::{
    Attended, Due, DueWork, SyncReason, Synced, Upkeep, UpkeepHints, UpkeepHost, UpkeepPlan,
};
pub use self::ways::ConnectingDevice;
use crate::clock::Clock;
use crate::credentials::{
    AccountRecord, CredentialStore, LoadedAccount, RecordKey, Save, Saved, StoreError, TokenOptions,
};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{RetryPolicy, Transport};
use crate::journal::SendJournal;
use crate::model::AccountId;

/// Every connected mailbox of a host. Clones are cheap and share everything: tokens that are being renewed, connections,
/// limits.
///
/// ```no_run
/// # async fn example() -> postroom::Result<()> {
/// use std::sync::Arc;
/// use postroom::credentials::FileStore;
/// use postroom::oauth::SignInOptions;
/// use postroom::{AccountId, Accounts, ProviderConfiguration, Secret};
///
/// let accounts = Accounts::builder(Arc::new(FileStore::new("accounts")))
///     .configuration(
///         "company gmail",
///         ProviderConfiguration::google("client-id")
///             .with_client_secret(Secret::new("client-secret"))
///             .with_redirect_uri("https://app.example/callback"),
///     )
///     .build()?;
///
/// // Send the user to `connecting.url`, and keep `connecting.pending` in their session.
/// let account = AccountId::new("user 7");
/// let connecting = accounts.connect(&account, "company gmail", SignInOptions::new()).await?;
///
/// // When the browser comes back:
/// # let callback: url::Url = "https://app.example/callback?code=…&state=…".parse().expect("a URL");
/// accounts.complete(connecting.pending, &callback).await?;
/// let mailbox = accounts.open(&account).await?;
/// println!("{}", mailbox.profile().await?.address);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    store: Arc<dyn CredentialStore>,
    namespace: Option<String>,
    journal: Option<Arc<dyn SendJournal>>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    token_options: TokenOptions,
    share_mailboxes: bool,
    probe_mailboxes: bool,
    /// By name; one that cannot be right is kept as the error that says why.
    configurations: RwLock<HashMap<String, Result<Arc<Configured>>>>,
    /// One mailbox per account, so that all its handles share tokens and limits.
    open: Mutex<HashMap<AccountId, Box<Opened>>>,
    events: Arc<Events>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Accounts")
            .field("store", &self.0.store)
            .field("namespace", &self.0.namespace)
            .field("configurations", &self.0.configurations)
            .finish_non_exhaustive()
    }
}

/// What a change made of a record.
struct Changed {
    before: Option<AccountRecord>,
    record: AccountRecord,
}

impl Accounts {
    /// What happens to these accounts from now on, as far as this process does it or comes across it; see
    /// [`AccountEvent`]. Every call gives a stream of its own. Nothing has to read it: a reader that falls behind is told
    /// so by [`AccountEvent::Missed`].
    #[must_use]
    pub fn events(&self) -> AccountEvents {
        self.0.events.subscribe()
    }

    /// Every account, by id: also those that cannot be used, with [`status`](Account::status) saying why. One whose record
    /// cannot be read is among them, and keeps no other one out.
    ///
    /// # Errors
    /// [`ErrorKind::CredentialStore`] when the store itself fails.
    pub async fn list(&self) -> Result<Vec<Account>> {
        let records = self.records().await?;
        let mut accounts: Vec<Account> = records
            .into_iter()
            .map(|(id, record)| match record {
                Ok(record) => self.describe(&record),
                Err(_) => Account::unreadable(id),
            })
            .collect();
        accounts.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(accounts)
    }

    /// One account, as [`list`](Self::list) shows it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such account, [`ErrorKind::CredentialStore`].
    pub async fn account(&self, account: &AccountId) -> Result<Account> {
        match AccountRecord::load(self.0.store.as_ref(), &self.key(account)).await {
            Ok(Some(loaded)) => Ok(self.describe(&loaded.record)),
            Ok(None) => Err(unknown_account(account)),
            Err(error) if error.is_unreadable() => Ok(Account::unreadable(account.clone())),
            Err(error) => Err(error.into()),
        }
    }

    fn describe(&self, record: &AccountRecord) -> Account {
        let obstacle = match self.configurations().get(&record.configuration) {
            None => Some(Obstacle::NoConfiguration),
            Some(Err(_)) => Some(Obstacle::WrongConfiguration),
            Some(Ok(_)) => None,
        };
        Account::of(record, obstacle)
    }

    /// Changes an account's record, or makes it, whoever else changes it meanwhile. `change` sees the record as it will be
    /// replaced, and may refuse.
    async fn change(
        &self,
        account: &AccountId,
        configuration: &str,
        change: impl Fn(&mut AccountRecord) -> Result<()>,
    ) -> Result<Changed> {
        let configured = self.configuration(configuration)?;
        let service = configured.service();
        let key = self.key(account);
        // Each turn lost means that somebody else's save was done, so this ends.
        loop {
            let (before, save) = match self.load(account).await? {
                Some(loaded) => (Some(loaded.record), Save::IfRevision(loaded.revision)),
                None => (None, Save::IfAbsent),
            };
            let mut record = before.clone().unwrap_or_else(|| {
                AccountRecord::new(account.clone(), configuration, service.clone())
            });
            record.configuration = configuration.to_owned();
            record.service.clone_from(service);
            change(&mut record)?;
            // Whatever failed before, the user did something about it.
            record.upkeep.try_again();
            if let Saved::Written(_) = record.save(self.0.store.as_ref(), &key, save).await? {
                // Handles opened later must see what was granted now.
                if let Some(opened) = self.opened().get_mut(account) {
                    opened.is_outdated();
                }
                return Ok(Changed { before, record });
            }
        }
    }

    /// Changes the record of an account that exists; `false` from `change` leaves it as it was.
    async fn amend(
        &self,
        account: &AccountId,
        change: impl Fn(&mut AccountRecord) -> bool,
    ) -> Result<(AccountRecord, bool)> {
        let key = self.key(account);
        loop {
            let LoadedAccount {
                mut record,
                revision,
            } = self
                .load(account)
                .await?
                .ok_or_else(|| unknown_account(account))?;
            if !change(&mut record) {
                return Ok((record, false));
            }
            let save = Save::IfRevision(revision);
            // Another save meanwhile was somebody's progress, such as a renewed token: look at the record again.
            if let Saved::Written(_) = record.save(self.0.store.as_ref(), &key, save).await? {
                return Ok((record, true));
            }
        }
    }

    /// Every account's record, or why it cannot be read.
    async fn records(&self) -> Result<Vec<(AccountId, Result<AccountRecord, StoreError>)>> {
        let mut records = Vec::new();
        for account in self.0.store.list(self.0.namespace.as_deref()).await? {
            let loaded = AccountRecord::load(self.0.store.as_ref(), &self.key(&account)).await;
            match loaded {
                Ok(Some(loaded)) => records.push((account, Ok(loaded.record))),
                // One that was removed meanwhile is no longer connected.
                Ok(None) => {}
                Err(error) if error.is_unreadable() => {
                    tracing::warn!(%account, %error, "an account's record cannot be read");
                    records.push((account, Err(error)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(records)
    }

    /// The records that can be read.
    async fn readable(&self) -> Result<Vec<AccountRecord>> {
        let records = self.records().await?;
        Ok(records
            .into_iter()
            .filter_map(|(_, record)| record.ok())
            .collect())
    }

    async fn load(&self, account: &AccountId) -> Result<Option<LoadedAccount>> {
        let loaded = AccountRecord::load(self.0.store.as_ref(), &self.key(account)).await;
        loaded.map_err(|error| {
            if error.is_unreadable() {
                Error::new(
                    ErrorKind::CredentialStore,
                    format!(
                        "the record of {account} cannot be read: mend the store, or disconnect the account and connect it \
                         again"
                    ),
                )
                .with_source(error)
            } else {
                error.into()
            }
        })
    }

    fn key(&self, account: &AccountId) -> RecordKey {
        let key = RecordKey::account(account.clone());
        match &self.0.namespace {
            Some(namespace) => key.in_namespace(namespace.as_str()),
            None => key,
        }
    }

    fn configuration(&self, name: &str) -> Result<Arc<Configured>> {
        self.configurations().get(name).cloned().unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::Configuration,
                format!("there is no provider configuration named {name}"),
            ))
        })
    }

    fn configurations(
        &self,
    ) -> std::sync::RwLockReadGuard<'_, HashMap<String, Result<Arc<Configured>>>> {
        // Only whole entries are put in or taken out.
        let configurations = &self.0.configurations;
        configurations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<AccountId, Box<Opened>>> {
        // Only whole entries are put in or taken out.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown_account(account: &AccountId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("no account {account} is connected"),
    )
}
