//! Accounts of tokens that the host already holds, from another library say: [`Accounts::adopt`]. How they are renewed
//! afterwards is `credentials`'.

use std::sync::Arc;

use futures_util::future::{self, Either};

use super::claiming::Claim;
use super::configuration::Configured;
use super::signing_in::refuse_other_user;
use super::{Account, Accounts};
use crate::credentials::{AccountRecord, AccountState, Credential, Refresh, StaticToken};
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::http::Connection;
use crate::model::{Access, AccountId};
use crate::oauth::OAuthFlow;
use crate::secret::Secret;

/// Tokens that were obtained elsewhere, and what is known about them.
///
/// ```
/// use postroom::{Access, Adoption};
///
/// let adoption = Adoption::refresh_token("from another library").granted(Access::READ | Access::SEND);
/// # assert!(!format!("{adoption:?}").contains("another library"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Adoption {
    credential: Credential,
    granted: Access,
    scopes: Vec<String>,
    tenant: Option<String>,
    id_token: Option<Secret>,
}

impl Adoption {
    /// A refresh token that was issued to the configuration's client.
    pub fn refresh_token(token: impl Into<Secret>) -> Self {
        Self::credential(Credential::from_refresh_token(token))
    }

    /// An access token alone, for trials: the account works until it ends.
    pub fn access_token(token: impl Into<Secret>) -> Self {
        let mut credential = Credential::default();
        credential.access_token = Some(token.into());
        Self::credential(credential)
    }

    /// Tokens with all that is known of their ends.
    pub fn credential(credential: Credential) -> Self {
        Self {
            credential,
            granted: Access::default(),
            scopes: Vec::new(),
            tenant: None,
            id_token: None,
        }
    }

    /// What the user granted, in levels. A service that says it itself is believed more. Without this it is what a sign-in
    /// asks for by default.
    pub fn granted(mut self, access: Access) -> Self {
        self.granted = access;
        self
    }

    /// What the user granted, in the service's own words.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// An id_token of the same user for the same client, which says whose tokens they are where the grant itself does not. It
    /// is believed only if [the service signed it](OAuthFlow::verify_id_token) and it holds still: leave an old one out.
    pub fn id_token(mut self, token: impl Into<Secret>) -> Self {
        self.id_token = Some(token.into());
        self
    }

    /// The Microsoft tenant that issued the tokens, if it is not the configuration's.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }
}

impl Accounts {
    /// Makes an account of tokens that the host already holds, or gives them to one that exists. A refresh token is used at
    /// once, which shows whether it is good and, where the grant tells, whose it is; the answer is kept even if nobody
    /// waits for it any more.
    ///
    /// The account is examined as after a sign-in: another account's mailbox is refused, an account keeps its mailbox, and
    /// one without a mailbox is none. Where the tokens do not say whose they are, an account that exists takes them only if
    /// the mailbox has an address of its own.
    ///
    /// A new account whose tokens the service refuses is kept and [needs a sign-in](super::AccountStatus::NeedsSignIn).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when there is no such configuration; [`ErrorKind::InvalidCallback`] when an id_token came
    /// along that proves nothing; [`ErrorKind::AlreadyConnected`], [`ErrorKind::Conflict`] and
    /// [`ErrorKind::MailboxUnavailable`] as [`complete`](Self::complete);
    /// [`ErrorKind::SignInRequired`] when the account exists and the tokens are refused: it is left as it was. What kept the
    /// service from answering: try again.
    pub async fn adopt(
        &self,
        account: &AccountId,
        configuration: &str,
        adoption: Adoption,
    ) -> Result<Account> {
        let adopting = {
            let (accounts, account) = (self.clone(), account.clone());
            let configuration = configuration.to_owned();
            async move { accounts.adopt_now(&account, &configuration, adoption).await }
        };
        // Where every refresh gives a new refresh token, one that is not saved is lost: a caller that goes away must not
        // stop this. It ends by itself, as its requests do.
        tokio::spawn(adopting).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unavailable,
                "the adoption was cut off",
            ))
        })
    }

    async fn adopt_now(
        &self,
        account: &AccountId,
        configuration: &str,
        adoption: Adoption,
    ) -> Result<Account> {
        let configured = self.configuration(configuration)?;
        let flow = configured.flow()?;
        let existing = self.load(account).await?.map(|loaded| loaded.record);
        let mut adopted =
            AccountRecord::new(account.clone(), configuration, flow.service().clone());
        adopted.credential = adoption.credential;
        adopted.granted = adoption.granted;
        adopted.scopes = adoption.scopes;
        adopted.tenant = adoption.tenant.or_else(|| flow.tenant().map(str::to_owned));

        // Before the refresh token is spent on what may be refused anyway.
        let vouched = match &adoption.id_token {
            Some(token) => Some(flow.verify_id_token(token, None).await?),
            None => None,
        };
        let vouched_for = vouched.as_ref().map(|user| &user.identity);
        self.refuse_other_mailbox(account, vouched_for).await?;

        match self.try_tokens(flow, &configured, &mut adopted).await {
            Err(error) if error.kind() == ErrorKind::SignInRequired && existing.is_none() => {
                adopted.state = AccountState::NeedsSignIn {
                    since: self.0.clock.now(),
                    code: error.code().map(str::to_owned),
                };
            }
            outcome => outcome?,
        }
        if let Some(user) = vouched {
            let same = adopted.identity.as_ref() == Some(&user.identity);
            if adopted.identity.is_some() && !same {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "the id_token is of another user than the tokens",
                )
                .with_code("other_mailbox"));
            }
            adopted.identity = Some(user.identity);
            if adopted.addresses.is_empty() {
                adopted.addresses = user.addresses;
            }
            adopted.display_name = adopted.display_name.take().or(user.display_name);
        }
        let mut compared = None;
        if let Some(existing) = existing.filter(|existing| existing.identity.is_some())
            && adopted.identity.is_none()
        {
            self.compare_address(&configured, &existing, &adopted)
                .await?;
            compared = existing.identity;
        }
        let identity = adopted.identity.as_ref();
        let deciding = self.deciding(identity.map(Claim::user), async {
            self.refuse_other_mailbox(account, identity).await?;
            self.change(account, configuration, |record| {
                refuse_other_user(record, identity)?;
                if identity.is_none() && record.identity.is_some() && record.identity != compared {
                    return Err(identity_unknown());
                }
                record.credential = adopted.credential.clone();
                record.granted = adopted.granted;
                record.scopes.clone_from(&adopted.scopes);
                record.granted_at = adopted.granted_at;
                record.tenant.clone_from(&adopted.tenant);
                record.state = adopted.state.clone();
                record.mailbox_seen = adopted.mailbox_seen;
                if identity.is_some() {
                    record.identity.clone_from(&adopted.identity);
                }
                if !adopted.addresses.is_empty() {
                    record.addresses.clone_from(&adopted.addresses);
                }
                if adopted.display_name.is_some() {
                    record.display_name.clone_from(&adopted.display_name);
                }
                Ok(())
            })
            .await
        });
        let changed = deciding.await?;
        self.0.events.connected(&changed);
        Ok(self.describe(&changed.record))
    }

    /// Uses the tokens, and writes down what that says about them.
    async fn try_tokens(
        &self,
        flow: &OAuthFlow,
        configured: &Configured,
        adopted: &mut AccountRecord,
    ) -> Result<()> {
        let clock = &self.0.clock;
        let renews = adopted
            .credential
            .refresh_token
            .as_ref()
            .is_some_and(|token| !token.is_empty());
        if renews {
            let asked_at = clock.now();
            let deadline = clock.sleep(self.0.token_options.deadline);
            let refreshed = match future::select(flow.refresh(adopted), deadline).await {
                Either::Left((refreshed, _)) => refreshed?,
                Either::Right(_) => {
                    return Err(Error::new(
                        ErrorKind::Network,
                        "the refresh of the access token took too long",
                    )
                    .with_delivery(Delivery::Unknown));
                }
            };
            refreshed.apply_to(adopted, asked_at);
        }
        adopted.mailbox_seen = match self.probe(configured, adopted).await {
            Err(error) if error.kind() == ErrorKind::SignInRequired && !renews => {
                return Err(error.with_code("no_refresh_token"));
            }
            seen => seen?,
        };
        Ok(())
    }

    /// An account's identity is compared where it is known. Where the tokens do not tell, the mailbox's own address has to.
    async fn compare_address(
        &self,
        configured: &Configured,
        existing: &AccountRecord,
        adopted: &AccountRecord,
    ) -> Result<()> {
        let token = adopted.credential.access_token.clone();
        let mailbox =
            self.mailbox_with(configured, adopted, token.ok_or_else(identity_unknown)?)?;
        let profile = mailbox
            .profile()
            .await
            .map_err(|error| identity_unknown().with_source(error))?;
        let mut known = existing.addresses.iter();
        if known.any(|known| known.eq_ignore_ascii_case(&profile.address)) {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Conflict,
                "the tokens are of another mailbox than this account's",
            )
            .with_code("other_mailbox"))
        }
    }

    /// A mailbox by a token that is not kept yet. It is for a few requests while somebody waits.
    pub(super) fn mailbox_with(
        &self,
        configured: &Configured,
        record: &AccountRecord,
        token: Secret,
    ) -> Result<crate::mailbox::Mailbox> {
        let mut retry = self.0.retry;
        retry.attempts = retry.attempts.min(2);
        let connection = Connection::new(
            Arc::clone(&self.0.transport),
            Arc::new(StaticToken::new(token)),
        )
        .with_clock(Arc::clone(&self.0.clock))
        .with_retry(retry);
        configured.mailbox(connection, record)
    }
}

fn identity_unknown() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "nothing says whose tokens these are, and the account has a mailbox already: disconnect it first",
    )
    .with_code("identity_unknown")
}
