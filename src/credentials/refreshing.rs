//! The line between keeping a credential and renewing it: [`Refresh`], which the token source calls and a sign-in
//! flow implements.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::record::{AccountRecord, AccountState, Identity};
use crate::error::Result;
use crate::model::Access;
use crate::secret::Secret;

/// Renews an access token at the service.
#[async_trait]
pub trait Refresh: fmt::Debug + Send + Sync + 'static {
    /// Obtains a new access token for this account. It changes nothing that is stored.
    ///
    /// # Errors
    /// [`ErrorKind::SignInRequired`](crate::ErrorKind::SignInRequired) exactly when the service refused the grant
    /// itself: whoever calls this will look at the store once more and then ask the user. Anything else leaves the
    /// grant alone.
    async fn refresh(&self, account: &AccountRecord) -> Result<Refreshed>;

    /// Whether that takes the account's refresh token. Whoever obtains tokens by a right of its own, as an application
    /// does that an administrator trusts, needs none.
    fn needs_refresh_token(&self) -> bool {
        true
    }
}

/// What a refresh gave. What the service did not mention is `None` and stays as it was.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refreshed {
    /// The new access token.
    pub access_token: Secret,
    /// When it ends; `None` where the service did not say.
    pub expires_at: Option<DateTime<Utc>>,
    /// The refresh token that takes the old one's place.
    pub refresh_token: Option<Secret>,
    /// When the refresh token ends, where the service says so.
    pub refresh_token_expires_at: Option<DateTime<Utc>>,
    /// How the access token is to be used.
    pub token_type: Option<String>,
    /// What is granted now, in the service's own words and in levels.
    pub granted: Option<(Vec<String>, Access)>,
    /// Who the user is, with addresses and name, where the service says so: asked for only while nobody knows.
    pub user: Option<(Identity, Vec<String>, Option<String>)>,
}

impl Refreshed {
    /// A new access token and nothing else.
    #[must_use]
    pub fn new(access_token: Secret, expires_at: Option<DateTime<Utc>>) -> Self {
        Self {
            access_token,
            expires_at,
            refresh_token: None,
            refresh_token_expires_at: None,
            token_type: None,
            granted: None,
            user: None,
        }
    }

    /// Writes it, asked for at `obtained_at`, into the account's record, which is active with it. A refresh token is
    /// never replaced by nothing.
    pub(crate) fn apply_to(self, record: &mut AccountRecord, obtained_at: DateTime<Utc>) {
        let credential = &mut record.credential;
        credential.access_token = Some(self.access_token);
        credential.expires_at = self.expires_at;
        credential.obtained_at = Some(obtained_at);
        if let Some(refresh_token) = self.refresh_token.filter(|token| !token.is_empty()) {
            credential.refresh_token = Some(refresh_token);
            credential.refresh_token_expires_at = self.refresh_token_expires_at;
        } else if self.refresh_token_expires_at.is_some() {
            // The old one goes on, and its end was told again.
            credential.refresh_token_expires_at = self.refresh_token_expires_at;
        }
        if self.token_type.is_some() {
            credential.token_type = self.token_type;
        }
        if let Some((scopes, granted)) = self.granted {
            record.scopes = scopes;
            record.granted = granted;
        }
        if record.identity.is_none()
            && let Some((identity, addresses, name)) = self.user
        {
            record.identity = Some(identity);
            if record.addresses.is_empty() {
                record.addresses = addresses;
            }
            record.display_name = record.display_name.take().or(name);
        }
        record.state = AccountState::Active;
    }
}
