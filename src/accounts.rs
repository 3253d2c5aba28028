//! [`Accounts`]: many mailboxes over one store. Connect → complete → open → work → disconnect. It is the top of the crate
//! and alone names both providers; how to sign in is `oauth`'s, how to keep tokens is `credentials`'.

mod configuration;
mod ways;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use url::Url;

use self::configuration::Configured;
pub use self::configuration::ProviderConfiguration;
pub use self::ways::ConnectingDevice;
use crate::clock::{Clock, SystemClock};
use crate::credentials::{
    AccountRecord, AccountState, Credential, CredentialStore, LoadedAccount, RecordKey, Save,
    Saved, Service, StoredTokens, TokenOptions,
};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Connection, RetryPolicy, Transport};
use crate::mailbox::Mailbox;
use crate::model::{Access, AccountId};
use crate::oauth::{Grant, PendingAuthorization, Revoked, SignInOptions};

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
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    token_options: TokenOptions,
    share_mailboxes: bool,
    configurations: HashMap<String, Configured>,
    /// One mailbox per account, so that all its handles share tokens and limits.
    open: Mutex<HashMap<AccountId, Opened>>,
}

/// A mailbox, and what of its account's record it was made from.
struct Opened {
    mailbox: Mailbox,
    configuration: String,
    granted: Access,
    /// Whether its account signed in again since.
    outdated: bool,
}

impl Opened {
    fn is_of(&self, record: &AccountRecord) -> bool {
        !self.outdated
            && self.configuration == record.configuration
            && self.granted == record.granted
    }
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

/// Settings of [`Accounts`].
#[derive(Debug)]
pub struct AccountsBuilder {
    store: Arc<dyn CredentialStore>,
    namespace: Option<String>,
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    token_options: TokenOptions,
    share_mailboxes: bool,
    configurations: HashMap<String, ProviderConfiguration>,
}

impl AccountsBuilder {
    /// Adds what an administrator registered with a service, under a name. Accounts remember the name, so it must not
    /// change.
    #[must_use]
    pub fn configuration(
        mut self,
        name: impl Into<String>,
        configuration: ProviderConfiguration,
    ) -> Self {
        self.configurations.insert(name.into(), configuration);
        self
    }

    /// Keeps these accounts apart from those of other tenants of the host in the same store.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sends requests through another transport than the default one, which needs the feature `reqwest`.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Repeats failed requests by another policy.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Renews tokens by other rules.
    #[must_use]
    pub fn token_options(mut self, options: TokenOptions) -> Self {
        self.token_options = options;
        self
    }

    /// Allows two accounts to have the same mailbox. Without it the second is refused as
    /// [`ErrorKind::AlreadyConnected`].
    #[must_use]
    pub fn share_mailboxes(mut self, share: bool) -> Self {
        self.share_mailboxes = share;
        self
    }

    /// Builds it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when no transport was given and there is no default one, or a configuration cannot be
    /// right: without a client id, with a tenant that is none, with endpoints that are not safe to send tokens to.
    pub fn build(self) -> Result<Accounts> {
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport()?,
        };
        let configurations = self
            .configurations
            .into_iter()
            .map(|(name, configuration)| {
                let (transport, clock) = (Arc::clone(&transport), Arc::clone(&self.clock));
                Ok((name, configuration.configure(transport, clock, self.retry)?))
            })
            .collect::<Result<_>>()?;
        Ok(Accounts(Arc::new(Inner {
            store: self.store,
            namespace: self.namespace,
            transport,
            clock: self.clock,
            retry: self.retry,
            token_options: self.token_options,
            share_mailboxes: self.share_mailboxes,
            configurations,
            open: Mutex::default(),
        })))
    }
}

#[cfg(feature = "reqwest")]
fn default_transport() -> Result<Arc<dyn Transport>> {
    Ok(Arc::new(crate::http::ReqwestTransport::new()?))
}

#[cfg(not(feature = "reqwest"))]
fn default_transport() -> Result<Arc<dyn Transport>> {
    Err(Error::new(
        ErrorKind::Configuration,
        "give a transport, or enable the feature `reqwest`",
    ))
}

/// A sign-in that has begun.
#[non_exhaustive]
pub struct Connecting {
    /// Where to send the user's browser.
    pub url: Url,
    /// What completes the sign-in; keep it where only this user's session reaches it.
    pub pending: PendingConnection,
}

/// The address holds the state and the nonce of the sign-in.
impl fmt::Debug for Connecting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connecting")
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// What the host keeps between sending the browser away and its coming back. Its serialized form is a secret.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingConnection {
    account: AccountId,
    configuration: String,
    authorization: PendingAuthorization,
}

impl PendingConnection {
    /// The account that is being connected.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The sign-in itself, by which a `LoopbackReceiver` knows its callback.
    #[must_use]
    pub fn authorization(&self) -> &PendingAuthorization {
        &self.authorization
    }
}

/// What a host may show of a connected account. It holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Account {
    /// The host's key for it.
    pub id: AccountId,
    /// The configuration that it was connected with.
    pub configuration: String,
    /// Whose account it is.
    pub service: Service,
    /// The mailbox's address, as far as the service said.
    pub address: Option<String>,
    /// The user's name.
    pub display_name: Option<String>,
    /// What the user granted.
    pub granted: Access,
    /// What was asked for in this sign-in and not granted; empty in a list.
    pub missing: Access,
    /// Whether the user must sign in again before the account can be used.
    pub needs_sign_in: bool,
}

impl From<&AccountRecord> for Account {
    fn from(record: &AccountRecord) -> Self {
        Self {
            id: record.account.clone(),
            configuration: record.configuration.clone(),
            service: record.service.clone(),
            address: record.addresses.first().cloned(),
            display_name: record.display_name.clone(),
            granted: record.granted,
            missing: Access::NONE,
            needs_sign_in: matches!(record.state, AccountState::NeedsSignIn { .. }),
        }
    }
}

/// How a disconnected account was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnected {
    /// Whether the grant ended at the service. It does not where the service has no way to (Microsoft), where another
    /// account shares the mailbox, or where the service could not be reached.
    pub revoked: bool,
}

impl Accounts {
    /// Accounts that are kept in `store`.
    #[must_use]
    pub fn builder(store: Arc<dyn CredentialStore>) -> AccountsBuilder {
        AccountsBuilder {
            store,
            namespace: None,
            transport: None,
            clock: Arc::new(SystemClock::new()),
            retry: RetryPolicy::default(),
            token_options: TokenOptions::default(),
            share_mailboxes: false,
            configurations: HashMap::new(),
        }
    }

    /// Begins a sign-in for a new account, or again for one that exists. `options` say where the browser comes back to,
    /// unless the configuration does, and what to ask the user for; an account that exists is asked for what it has
    /// granted as well, so that it loses nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when there is no such configuration, or no redirect address;
    /// [`ErrorKind::CredentialStore`].
    pub async fn connect(
        &self,
        account: &AccountId,
        configuration: &str,
        options: SignInOptions,
    ) -> Result<Connecting> {
        let flow = self.configuration(configuration)?.flow()?;
        let options = self.keeping(account, flow, options).await?;
        let authorization = flow.authorize_with(options)?;
        Ok(Connecting {
            url: authorization.url,
            pending: PendingConnection {
                account: account.clone(),
                configuration: configuration.to_owned(),
                authorization: authorization.pending,
            },
        })
    }

    /// Ends a sign-in with the address that the browser came back to, and keeps the account.
    ///
    /// # Errors
    /// [`ErrorKind::Declined`], [`ErrorKind::AdminConsentRequired`], [`ErrorKind::InvalidCallback`] and
    /// [`ErrorKind::Configuration`] say what became of the sign-in; [`ErrorKind::AlreadyConnected`] that the mailbox is
    /// another account's; [`ErrorKind::Conflict`] that the account has another mailbox already. An existing account is
    /// left as it was.
    pub async fn complete(&self, pending: PendingConnection, callback: &Url) -> Result<Account> {
        let PendingConnection {
            account,
            configuration,
            authorization,
        } = pending;
        let configured = self.configuration(&configuration)?;
        let grant = configured.flow()?.complete(authorization, callback).await?;
        self.keep(&account, &configuration, grant).await
    }

    /// Keeps what a sign-in gave.
    async fn keep(
        &self,
        account: &AccountId,
        configuration: &str,
        grant: Grant,
    ) -> Result<Account> {
        self.refuse_other_mailbox(account, &grant).await?;
        let missing = grant.missing;
        let record = self
            .change(account, configuration, |record| {
                grant.clone().apply_to(record)
            })
            .await?;
        let mut connected = Account::from(&record);
        connected.missing = missing;
        Ok(connected)
    }

    /// Makes an account of tokens that the host already holds, from another library say: a refresh token alone will do, if
    /// it was issued to the configuration's client. Who the user is is learned with the first refresh, where the grant
    /// tells. Without a refresh token the account works until the access token ends.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when there is no such configuration, [`ErrorKind::CredentialStore`].
    pub async fn adopt(
        &self,
        account: &AccountId,
        configuration: &str,
        credential: Credential,
        granted: Access,
    ) -> Result<Account> {
        let record = self
            .change(account, configuration, |record| {
                record.credential = credential.clone();
                record.granted = granted;
                record.state = AccountState::Active;
            })
            .await?;
        Ok(Account::from(&record))
    }

    /// Asks the service whose mailbox an account is, and keeps the answer. An adopted account has no address before it, and
    /// an address may change.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`Mailbox::profile`].
    pub async fn update_profile(&self, account: &AccountId) -> Result<Account> {
        let profile = self.open(account).await?.profile().await?;
        let key = self.key(account);
        loop {
            let LoadedAccount {
                mut record,
                revision,
            } = self
                .load(account)
                .await?
                .ok_or_else(|| unknown_account(account))?;
            let before = (record.addresses.clone(), record.display_name.clone());
            record
                .addresses
                .retain(|known| !known.eq_ignore_ascii_case(&profile.address));
            record.addresses.insert(0, profile.address.clone());
            if profile.display_name.is_some() {
                record.display_name.clone_from(&profile.display_name);
            }
            let changed = before != (record.addresses.clone(), record.display_name.clone());
            let save = Save::IfRevision(revision);
            let store = self.0.store.as_ref();
            // Another save meanwhile was somebody's progress, such as a renewed token: look at the record again.
            if !changed || matches!(record.save(store, &key, save).await?, Saved::Written(_)) {
                return Ok(Account::from(&record));
            }
        }
    }

    /// The mailbox of a connected account. Opening asks nothing of the service.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such account, [`ErrorKind::Configuration`] when its configuration is
    /// gone, [`ErrorKind::CredentialStore`].
    pub async fn open(&self, account: &AccountId) -> Result<Mailbox> {
        let LoadedAccount { record, .. } = self
            .load(account)
            .await?
            .ok_or_else(|| unknown_account(account))?;
        if let Some(opened) = self.opened().get(account)
            && opened.is_of(&record)
        {
            return Ok(opened.mailbox.clone());
        }
        let configuration = self.configuration(&record.configuration)?;
        let tokens = StoredTokens::with_options(
            Arc::clone(&self.0.store),
            self.key(account),
            configuration.refresh(),
            Arc::clone(&self.0.clock),
            self.0.token_options,
        )?;
        let connection = Connection::new(Arc::clone(&self.0.transport), Arc::new(tokens))
            .with_clock(Arc::clone(&self.0.clock))
            .with_retry(self.0.retry);
        let mailbox = configuration
            .mailbox(connection, &record)?
            .with_clock(Arc::clone(&self.0.clock));
        let mut open = self.opened();
        let mailbox = match open.get(account) {
            // Whoever opened it first meanwhile wins, so that there is one set of limits.
            Some(opened) if opened.is_of(&record) => return Ok(opened.mailbox.clone()),
            // What was sent stays known.
            Some(opened) => mailbox.continuing(&opened.mailbox),
            None => mailbox,
        };
        let opened = Opened {
            mailbox: mailbox.clone(),
            configuration: record.configuration,
            granted: record.granted,
            outdated: false,
        };
        open.insert(account.clone(), opened);
        Ok(mailbox)
    }

    /// Every connected account, by id.
    ///
    /// # Errors
    /// [`ErrorKind::CredentialStore`].
    pub async fn list(&self) -> Result<Vec<Account>> {
        let mut accounts: Vec<Account> = self.records().await?.iter().map(Account::from).collect();
        accounts.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(accounts)
    }

    /// Ends the grant at the service if nothing else needs it, and forgets the account. It is forgotten also when the
    /// service cannot be reached.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such account, [`ErrorKind::CredentialStore`].
    pub async fn disconnect(&self, account: &AccountId) -> Result<Disconnected> {
        let LoadedAccount { record, .. } = self
            .load(account)
            .await?
            .ok_or_else(|| unknown_account(account))?;
        // Google's revoke ends every grant of the user to this application, so a shared mailbox keeps its grant.
        let shared = match &record.identity {
            None => false,
            Some(identity) => self.records().await?.iter().any(|other| {
                &other.account != account && other.identity.as_ref() == Some(identity)
            }),
        };
        let revoked = !shared && self.revoke(&record).await;
        self.0.store.remove(&self.key(account)).await?;
        self.opened().remove(account);
        Ok(Disconnected { revoked })
    }

    async fn revoke(&self, record: &AccountRecord) -> bool {
        // What an application has in its own name is not its users' to end.
        if record.credential.refresh_token.is_none() {
            let configuration = self.configuration(&record.configuration);
            if configuration.is_ok_and(|configuration| configuration.flow().is_err()) {
                return false;
            }
        }
        let revoked = async {
            self.configuration(&record.configuration)?
                .flow()?
                .revoke(record)
                .await
        };
        match revoked.await {
            Ok(outcome) => outcome == Revoked::AtService,
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), code = error.code(), "a grant could not be revoked");
                false
            }
        }
    }

    /// A mailbox belongs to one account, and an account to one mailbox, unless the host says otherwise.
    async fn refuse_other_mailbox(&self, account: &AccountId, grant: &Grant) -> Result<()> {
        let Some(identity) = &grant.identity else {
            return Ok(());
        };
        for record in self.records().await? {
            let same = record.identity.as_ref() == Some(identity);
            if &record.account == account {
                if record.identity.is_some() && !same {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        "the user signed in to another mailbox than this account's",
                    )
                    .with_code("other_mailbox"));
                }
            } else if same && !self.0.share_mailboxes {
                return Err(Error::new(
                    ErrorKind::AlreadyConnected,
                    format!("this mailbox is already connected as {}", record.account),
                ));
            }
        }
        Ok(())
    }

    /// Changes an account's record, or makes it, whoever else changes it meanwhile.
    async fn change(
        &self,
        account: &AccountId,
        configuration: &str,
        change: impl Fn(&mut AccountRecord),
    ) -> Result<AccountRecord> {
        let service = self.configuration(configuration)?.service();
        let key = self.key(account);
        // Each turn lost means that somebody else's save was done, so this ends.
        loop {
            let (mut record, save) = match self.load(account).await? {
                Some(loaded) => (loaded.record, Save::IfRevision(loaded.revision)),
                None => (
                    AccountRecord::new(account.clone(), configuration, service.clone()),
                    Save::IfAbsent,
                ),
            };
            record.configuration = configuration.to_owned();
            record.service.clone_from(service);
            change(&mut record);
            if let Saved::Written(_) = record.save(self.0.store.as_ref(), &key, save).await? {
                // Handles opened later must see what was granted now.
                if let Some(opened) = self.opened().get_mut(account) {
                    opened.outdated = true;
                }
                return Ok(record);
            }
        }
    }

    async fn records(&self) -> Result<Vec<AccountRecord>> {
        let mut records = Vec::new();
        for account in self.0.store.list(self.0.namespace.as_deref()).await? {
            // One that was removed meanwhile is no longer connected.
            if let Some(loaded) = self.load(&account).await? {
                records.push(loaded.record);
            }
        }
        Ok(records)
    }

    async fn load(&self, account: &AccountId) -> Result<Option<LoadedAccount>> {
        Ok(AccountRecord::load(self.0.store.as_ref(), &self.key(account)).await?)
    }

    fn key(&self, account: &AccountId) -> RecordKey {
        let key = RecordKey::account(account.clone());
        match &self.0.namespace {
            Some(namespace) => key.in_namespace(namespace.as_str()),
            None => key,
        }
    }

    fn configuration(&self, name: &str) -> Result<&Configured> {
        self.0.configurations.get(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                format!("there is no provider configuration named {name}"),
            )
        })
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<AccountId, Opened>> {
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
