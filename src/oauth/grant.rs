//! What a completed sign-in gives: [`Grant`], and how it becomes an account's record.

use crate::credentials::{
    AccountRecord, AccountState, Credential, Facts, GrantLifetime, Identity, Service,
};
use crate::model::{Access, AccountId};

/// What a user granted: tokens, who the user is, and what may be done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grant {
    /// Who granted it.
    pub service: Service,
    /// The tokens. Google leaves the refresh token out when the user had consented before and was not asked again.
    pub credential: Credential,
    /// Who the user is. `None` only if the server answered without an `id_token`.
    pub identity: Option<Identity>,
    /// The user's addresses as far as the sign-in says; they may not be the mailbox's.
    pub addresses: Vec<String>,
    /// The user's name, for people.
    pub display_name: Option<String>,
    /// What was granted, in levels.
    pub granted: Access,
    /// What was asked for and not granted: users may leave boxes unticked. Ask again with the reason, or do without.
    pub missing: Access,
    /// What was granted, in the service's own words.
    pub scopes: Vec<String>,
    /// The Microsoft tenant that the sign-in went through, at which tokens must be renewed.
    pub tenant: Option<String>,
    /// Whether an application has it in its own name.
    pub(super) by_application: bool,
}

impl Grant {
    /// When the grant ends, as far as the service said, and what may end it by the service's rules.
    #[must_use]
    pub fn lifetime(&self) -> GrantLifetime {
        Facts {
            service: &self.service,
            credential: &self.credential,
            identity: self.identity.as_ref(),
            scopes: &self.scopes,
            granted_at: self.credential.obtained_at,
            by_application: self.by_application,
        }
        .lifetime()
    }

    /// A new account's record with this grant. `configuration` is the host's name for the flow that gave it.
    #[must_use]
    pub fn into_record(
        self,
        account: impl Into<AccountId>,
        configuration: impl Into<String>,
    ) -> AccountRecord {
        let mut record = AccountRecord::new(account, configuration, self.service.clone());
        self.apply_to(&mut record);
        record
    }

    /// Renews an account's record with this grant: the account is active again and keeps everything that the grant says
    /// nothing about, above all a refresh token that the service did not repeat. Whether the grant is the same user's is
    /// for the caller to decide by [`identity`](Self::identity).
    pub fn apply_to(self, record: &mut AccountRecord) {
        let kept = record.credential.refresh_token.take();
        let kept_until = record.credential.refresh_token_expires_at.take();
        let same_user = record.identity.is_none() || record.identity == self.identity;
        record.granted_at = self.credential.obtained_at;
        record.credential = self.credential;
        if record.credential.refresh_token.is_none() && same_user {
            record.credential.refresh_token = kept;
            record.credential.refresh_token_expires_at = kept_until;
        }
        if self.identity.is_some() {
            record.identity = self.identity;
        }
        if !self.addresses.is_empty() {
            record.addresses = self.addresses;
        }
        if self.display_name.is_some() {
            record.display_name = self.display_name;
        }
        record.service = self.service;
        record.tenant = self.tenant;
        record.scopes = self.scopes;
        record.granted = self.granted;
        record.state = AccountState::Active;
    }
}
