//! What a host may show of an account: [`Account`], with whether it can be used and, if not, why and since when. What
//! happened to it is told by `events`, and what is kept of it by `credentials`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::credentials::{AccountRecord, AccountState, GrantLifetime, Service};
use crate::model::{Access, AccountId};

/// What a host may show of an account. It holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Account {
    /// The host's key for it.
    pub id: AccountId,
    /// Whether it can be used, and why not.
    pub status: AccountStatus,
    /// The configuration that it was connected with; `None` only if its record cannot be read.
    pub configuration: Option<String>,
    /// Whose account it is; `None` only if its record cannot be read.
    pub service: Option<Service>,
    /// The mailbox's address, as far as the service said.
    pub address: Option<String>,
    /// The user's name.
    pub display_name: Option<String>,
    /// What the user granted.
    pub granted: Access,
    /// What was asked for in this sign-in and not granted; empty in a list.
    pub missing: Access,
    /// When the mailbox itself was last looked for and found as the account was connected; `None` if that was not done or
    /// could not be.
    pub mailbox_seen: Option<DateTime<Utc>>,
    /// When the grant ends and why it might; `None` only if the record cannot be read.
    pub lifetime: Option<GrantLifetime>,
}

impl Account {
    /// Whether its user has to sign in again before it can be used.
    #[must_use]
    pub fn needs_sign_in(&self) -> bool {
        matches!(self.status, AccountStatus::NeedsSignIn { .. })
    }

    pub(super) fn of(record: &AccountRecord, obstacle: Option<Obstacle>) -> Self {
        Self {
            id: record.account.clone(),
            status: AccountStatus::of(record, obstacle),
            configuration: Some(record.configuration.clone()),
            service: Some(record.service.clone()),
            address: record.addresses.first().cloned(),
            display_name: record.display_name.clone(),
            granted: record.granted,
            missing: Access::NONE,
            mailbox_seen: record.mailbox_seen,
            lifetime: Some(record.lifetime()),
        }
    }

    pub(super) fn unreadable(id: AccountId) -> Self {
        Self {
            id,
            status: AccountStatus::Unusable {
                obstacle: Obstacle::UnreadableRecord,
            },
            configuration: None,
            service: None,
            address: None,
            display_name: None,
            granted: Access::NONE,
            missing: Access::NONE,
            mailbox_seen: None,
            lifetime: None,
        }
    }
}

/// Whether an account can be used. Where several things stand in the way, the one that must be dealt with first is told:
/// what the host itself decided, then what its developers or administrators have to mend, then what the user does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccountStatus {
    /// It can, as far as is known.
    Active,
    /// Its user must sign in again: [`Accounts::connect`](crate::Accounts::connect) for the same account.
    NeedsSignIn {
        /// When that was found out.
        since: DateTime<Utc>,
        /// Why, as far as the service says.
        reason: SignInReason,
        /// The service's own code for it.
        code: Option<String>,
    },
    /// The host [suspended](crate::Accounts::suspend) it.
    Suspended {
        /// When it did.
        since: DateTime<Utc>,
    },
    /// Whoever runs the application has to mend something first. Its tokens are untouched.
    Unusable {
        /// What stands in the way.
        obstacle: Obstacle,
    },
}

impl AccountStatus {
    fn of(record: &AccountRecord, obstacle: Option<Obstacle>) -> Self {
        if let Some(since) = record.suspended_since {
            return Self::Suspended { since };
        }
        if let Some(obstacle) = obstacle {
            return Self::Unusable { obstacle };
        }
        match &record.state {
            AccountState::NeedsSignIn { since, code } => Self::NeedsSignIn {
                since: *since,
                reason: SignInReason::of(record, code.as_deref(), *since),
                code: code.clone(),
            },
            _ => Self::Active,
        }
    }
}

/// What stands in the way of an account that is [unusable](AccountStatus::Unusable).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Obstacle {
    /// There is no configuration of the name that the account was connected with.
    NoConfiguration,
    /// That configuration cannot be right: [`Accounts::wrong_configurations`](crate::Accounts::wrong_configurations).
    WrongConfiguration,
    /// The account's record is damaged, of a later version of this crate, or encrypted with a key that was not given. Mend
    /// the store, or [disconnect](crate::Accounts::disconnect) the account and connect it again.
    UnreadableRecord,
}

/// Why a user must sign in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignInReason {
    /// The grant is gone and the service does not say why. Google never does: the user removed the application or changed
    /// the password, the grant was unused for six months, had the seven days of an application in testing, or was one of
    /// more than a hundred (<https://developers.google.com/identity/protocols/oauth2#expiration>).
    GrantGone,
    /// The password was changed or an administrator ended the user's grants.
    Revoked,
    /// Nothing used the grant for too long.
    Unused,
    /// The grant had an end from the beginning, and it came.
    Expired,
    /// The organisation asks for something on the service's page: a second factor, a known device, a new sign-in from time to
    /// time.
    ProofNeeded,
    /// The user, or an administrator, has to consent again.
    ConsentNeeded,
    /// The user has to see to the account: it is disabled, locked, gone, or its password has expired.
    AccountBlocked,
    /// There is nothing to renew the access token with, and it has ended or is refused.
    NoRefreshToken,
}

impl SignInReason {
    /// What this code of a service means, at `since`, for the account with this record. Microsoft's numbers:
    /// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
    pub(super) fn of(record: &AccountRecord, code: Option<&str>, since: DateTime<Utc>) -> Self {
        match code.unwrap_or_default() {
            "no_refresh_token" => return Self::NoRefreshToken,
            "AADSTS50173" | "AADSTS50133" => return Self::Revoked,
            "AADSTS700082" | "AADSTS70008" => return Self::Unused,
            "AADSTS700084" | "token_expired" => return Self::Expired,
            "AADSTS50072"
            | "AADSTS50074"
            | "AADSTS50076"
            | "AADSTS50078"
            | "AADSTS50079"
            | "AADSTS50097"
            | "AADSTS50158"
            | "AADSTS50187"
            | "AADSTS50085"
            | "AADSTS50089"
            | "AADSTS50125"
            | "AADSTS50132"
            | "AADSTS50135"
            | "AADSTS50137"
            | "AADSTS50139"
            | "AADSTS50140"
            | "AADSTS50142"
            | "AADSTS50199"
            | "AADSTS70043"
            | "invalid_rapt"
            | "interaction_required"
            | "login_required" => return Self::ProofNeeded,
            "AADSTS65001" | "consent_required" => return Self::ConsentNeeded,
            "AADSTS50034" | "AADSTS50053" | "AADSTS50055" | "AADSTS50057" | "AADSTS50144"
            | "AADSTS51004" => return Self::AccountBlocked,
            _ => {}
        }
        let end = record.credential.refresh_token_expires_at;
        if end.is_some_and(|end| end <= since) {
            Self::Expired
        } else {
            Self::GrantGone
        }
    }
}

/// One sentence for a person, without what to do, which is to sign in again.
impl fmt::Display for SignInReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GrantGone => "the service does not accept the grant any more",
            Self::Revoked => "the password was changed, or an administrator ended the grant",
            Self::Unused => "the grant was not used for too long",
            Self::Expired => "the grant has reached its end",
            Self::ProofNeeded => "the organisation asks for another proof of who signs in",
            Self::ConsentNeeded => "somebody has to consent again",
            Self::AccountBlocked => "the user's account at the service needs attention",
            Self::NoRefreshToken => {
                "the access token has ended, and there is nothing to renew it with"
            }
        })
    }
}
