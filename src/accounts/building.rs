//! The settings of [`Accounts`], and how it begins. What is registered with a service is `configuration`'s.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use super::events::Events;
use super::{Accounts, Inner, ProviderConfiguration};
use crate::clock::{Clock, SystemClock};
use crate::credentials::{CredentialStore, TokenOptions};
use crate::error::Result;
#[cfg(not(feature = "reqwest"))]
use crate::error::{Error, ErrorKind};
use crate::http::{RetryPolicy, Transport};
use crate::journal::SendJournal;

/// Settings of [`Accounts`].
#[derive(Debug)]
pub struct AccountsBuilder {
    store: Arc<dyn CredentialStore>,
    namespace: Option<String>,
    journal: Option<Arc<dyn SendJournal>>,
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    token_options: TokenOptions,
    share_mailboxes: bool,
    probe_mailboxes: bool,
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

    /// Notes every account's sends in this journal, under keys of its own, so that a key sends once also across a crash, and
    /// across the processes that share the journal. Without one it does within this process, for as long as it runs.
    #[must_use]
    pub fn journal(mut self, journal: Arc<dyn SendJournal>) -> Self {
        self.journal = Some(journal);
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
    /// [`ErrorKind::AlreadyConnected`](crate::ErrorKind::AlreadyConnected).
    #[must_use]
    pub fn share_mailboxes(mut self, share: bool) -> Self {
        self.share_mailboxes = share;
        self
    }

    /// Whether a completed sign-in looks at the mailbox, which is the default: users of both services can have an account
    /// without one, sign in, and never get mail. See [`Accounts::complete`].
    #[must_use]
    pub fn probe_mailboxes(mut self, probe: bool) -> Self {
        self.probe_mailboxes = probe;
        self
    }

    /// Builds it. A configuration that cannot be right (without a client id, with a tenant that is none, with endpoints
    /// that are not safe to send tokens to) keeps no other one from being used: its error comes with its first use, and
    /// before that from [`Accounts::wrong_configurations`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) when no transport was given and there is no default one.
    pub fn build(self) -> Result<Accounts> {
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport()?,
        };
        let accounts = Accounts(Arc::new(Inner {
            store: self.store,
            namespace: self.namespace,
            journal: self.journal,
            transport,
            clock: self.clock,
            retry: self.retry,
            token_options: self.token_options,
            share_mailboxes: self.share_mailboxes,
            probe_mailboxes: self.probe_mailboxes,
            configurations: RwLock::default(),
            open: Mutex::default(),
            events: Arc::new(Events::new()),
        }));
        for (name, configuration) in self.configurations {
            // It is reported where it is used.
            let _ = accounts.configure(name, configuration);
        }
        Ok(accounts)
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

impl Accounts {
    /// Accounts that are kept in `store`.
    #[must_use]
    pub fn builder(store: Arc<dyn CredentialStore>) -> AccountsBuilder {
        AccountsBuilder {
            store,
            namespace: None,
            journal: None,
            transport: None,
            clock: Arc::new(SystemClock::new()),
            retry: RetryPolicy::default(),
            token_options: TokenOptions::default(),
            share_mailboxes: false,
            probe_mailboxes: true,
            configurations: HashMap::new(),
        }
    }
}
