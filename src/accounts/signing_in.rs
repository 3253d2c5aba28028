//! Signing in through a browser: [`Accounts::connect`] sends it away, [`Accounts::complete`] takes it back, and what the
//! sign-in gave is kept. Other ways of connecting are `ways`' and `adopting`'s.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::claiming::Claim;
use super::configuration::Configured;
use super::{Account, Accounts};
use crate::credentials::{AccountRecord, Identity};
use crate::error::{Error, ErrorKind, Result};
use crate::model::AccountId;
use crate::oauth::{Grant, PendingAuthorization, SignInOptions};

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

impl Accounts {
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
        let configured = self.configuration(configuration)?;
        let flow = configured.flow()?;
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
    /// Unless the host [chose otherwise](super::AccountsBuilder::probe_mailboxes), it looks at the mailbox first, once and
    /// briefly. If that look fails for another reason than that there is no mailbox, the grant is kept all the same, and
    /// [`Account::mailbox_seen`] is `None`.
    ///
    /// # Errors
    /// [`ErrorKind::MailboxUnavailable`] when the user's account has no mailbox: nobody is connected, and the user may sign
    /// in with another account, or have an administrator give this one a licence. [`ErrorKind::Declined`], [`ErrorKind::AdminConsentRequired`], [`ErrorKind::InvalidCallback`] and
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
        self.keep(&account, &configuration, &configured, grant)
            .await
    }

    /// Keeps what a sign-in gave.
    pub(super) async fn keep(
        &self,
        account: &AccountId,
        configuration: &str,
        configured: &Configured,
        grant: Grant,
    ) -> Result<Account> {
        let granted = grant.clone().into_record(account.clone(), configuration);
        let seen = match self.probe(configured, &granted).await {
            // That the token is not taken a moment after it was issued says nothing about the grant.
            Err(error) if error.kind() == ErrorKind::SignInRequired => None,
            seen => seen?,
        };
        let missing = grant.missing;
        let identity = grant.identity.clone();
        let deciding = self.deciding(identity.as_ref().map(Claim::user), async {
            self.refuse_other_mailbox(account, identity.as_ref())
                .await?;
            self.change(account, configuration, |record| {
                refuse_other_user(record, identity.as_ref())?;
                grant.clone().apply_to(record);
                record.mailbox_seen = seen;
                Ok(())
            })
            .await
        });
        let changed = deciding.await?;
        self.0.events.connected(&changed);
        let mut connected = self.describe(&changed.record);
        connected.missing = missing;
        Ok(connected)
    }

    /// A mailbox belongs to one account, and an account to one mailbox, unless the host says otherwise. Records that cannot
    /// be read have no say.
    pub(super) async fn refuse_other_mailbox(
        &self,
        account: &AccountId,
        identity: Option<&Identity>,
    ) -> Result<()> {
        let Some(identity) = identity else {
            return Ok(());
        };
        for record in self.readable().await? {
            if &record.account == account {
                refuse_other_user(&record, Some(identity))?;
            } else if record.identity.as_ref() == Some(identity) && !self.0.share_mailboxes {
                return Err(Error::new(
                    ErrorKind::AlreadyConnected,
                    format!("this mailbox is already connected as {}", record.account),
                ));
            }
        }
        Ok(())
    }
}

/// An account keeps its user, where both are known.
pub(super) fn refuse_other_user(record: &AccountRecord, identity: Option<&Identity>) -> Result<()> {
    match (&record.identity, identity) {
        (Some(known), Some(identity)) if known != identity => Err(Error::new(
            ErrorKind::Conflict,
            "the user signed in to another mailbox than this account's",
        )
        .with_code("other_mailbox")),
        _ => Ok(()),
    }
}
