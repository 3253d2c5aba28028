//! What is kept about a connected account: [`AccountRecord`] and its parts, in a form that later versions can add
//! to. Where it is kept is a store's; how its tokens are renewed is `tokens`'s.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::store::{CredentialStore, RecordKey, Revision, Save, Saved, StoreError};
use crate::model::{Access, AccountId, UnknownFields, Watch, WatchHealth};
use crate::secret::{Secret, exposed_option};

/// Everything that is kept about one connected account.
///
/// Its serialized form is a secret: it holds the tokens. It is JSON with a version, and what a later version of this
/// crate adds to it survives being read and written by this one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccountRecord {
    version: FormatVersion,
    /// The host's own key for the account.
    pub account: AccountId,
    /// The name of the provider configuration that the account was connected with.
    pub configuration: String,
    /// Whose account it is.
    pub service: Service,
    /// The directory that tokens were issued by and must be renewed at; Microsoft only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Who the user is, as far as the service said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The mailbox's addresses, the main one first. They change; [`identity`](Self::identity) does not.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// The user's name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What the user granted, in levels.
    #[serde(default, deserialize_with = "known_levels")]
    pub granted: Access,
    /// What the user granted, in the service's own words.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When the user last granted it in a sign-in; `None` for an account that was never signed in here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<DateTime<Utc>>,
    /// The tokens.
    #[serde(default)]
    pub credential: Credential,
    /// Whether the account can be used.
    #[serde(default)]
    pub state: AccountState,
    /// When the host told the account to rest. Until it resumes it, no token is given out or renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_since: Option<DateTime<Utc>>,
    /// When the mailbox itself was looked for and found, as the account was connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox_seen: Option<DateTime<Utc>>,
    /// What the service tells about by itself: the watches that it keeps for this account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Watch>,
    /// How far the account's upkeep has got, among all workers.
    #[serde(default, skip_serializing_if = "UpkeepRecord::is_empty")]
    pub upkeep: UpkeepRecord,
    /// What the host or the provider keeps with the account, such as other endpoints. Not for secrets: it is shown by
    /// `Debug`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

/// A record as it was loaded, with what to compare when it is saved again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadedAccount {
    /// The record.
    pub record: AccountRecord,
    /// The revision it has.
    pub revision: Revision,
}

impl AccountRecord {
    /// A record of an account that has no credential yet.
    #[must_use]
    pub fn new(
        account: impl Into<AccountId>,
        configuration: impl Into<String>,
        service: Service,
    ) -> Self {
        Self {
            version: FormatVersion,
            account: account.into(),
            configuration: configuration.into(),
            service,
            tenant: None,
            identity: None,
            addresses: Vec::new(),
            display_name: None,
            granted: Access::NONE,
            scopes: Vec::new(),
            granted_at: None,
            credential: Credential::default(),
            state: AccountState::Active,
            suspended_since: None,
            mailbox_seen: None,
            subscriptions: Vec::new(),
            upkeep: UpkeepRecord::default(),
            settings: BTreeMap::new(),
            unknown: UnknownFields::default(),
        }
    }

    /// The record as a store keeps it.
    ///
    /// # Errors
    /// It cannot be written as JSON, which only a record that was read from elsewhere could cause.
    pub fn to_secret(&self) -> Result<Secret, StoreError> {
        // The cause may quote what it could not write, so it stays here.
        serde_json::to_string(self)
            .map(Secret::new)
            .map_err(|_| StoreError::new("the account's record cannot be written as JSON"))
    }

    /// Reads what [`to_secret`](Self::to_secret) gave.
    ///
    /// # Errors
    /// It is no record, or one of a version that this crate does not know.
    pub fn from_secret(record: &Secret) -> Result<Self, StoreError> {
        // A parser's message quotes what it found, and that may be a token: only the place is told.
        serde_json::from_str(record.expose()).map_err(|error| {
            StoreError::unreadable(format!(
                "the account's record is damaged or of a later version (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    /// Loads the record under `key`.
    ///
    /// # Errors
    /// The store failed, the record cannot be read, or it is another account's.
    pub async fn load(
        store: &dyn CredentialStore,
        key: &RecordKey,
    ) -> Result<Option<LoadedAccount>, StoreError> {
        let Some(stored) = store.load(key).await? else {
            return Ok(None);
        };
        let record = Self::from_secret(&stored.record)?;
        if record.account != key.account {
            return Err(StoreError::unreadable(
                "the store gave the record of another account",
            ));
        }
        Ok(Some(LoadedAccount {
            record,
            revision: stored.revision,
        }))
    }

    /// Saves the record under `key`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn save(
        &self,
        store: &dyn CredentialStore,
        key: &RecordKey,
        save: Save,
    ) -> Result<Saved, StoreError> {
        store.save(key, &self.to_secret()?, save).await
    }
}

/// The tokens of one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Credential {
    /// What requests carry.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "exposed_option"
    )]
    pub access_token: Option<Secret>,
    /// When the access token ends; `None` where the service did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When the access token was asked for, by the clock that its end was reckoned with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obtained_at: Option<DateTime<Utc>>,
    /// What new access tokens are obtained with.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "exposed_option"
    )]
    pub refresh_token: Option<Secret>,
    /// When the refresh token ends, where the service says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_at: Option<DateTime<Utc>>,
    /// How the access token is to be used; `Bearer` where nothing was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Credential {
    /// A refresh token that was obtained elsewhere. The first access token is obtained when it is needed.
    #[must_use]
    pub fn from_refresh_token(token: impl Into<Secret>) -> Self {
        Self {
            refresh_token: Some(token.into()),
            ..Self::default()
        }
    }
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// Google: Gmail.
    Google,
    /// Microsoft: Outlook.com and Microsoft 365.
    Microsoft,
    /// A service that another crate provides, by a name of its own.
    Other(String),
}

impl Service {
    /// The service's name: `google`, `microsoft`, or the other one's own.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Service {
    fn from(name: &str) -> Self {
        match name {
            "google" => Self::Google,
            "microsoft" => Self::Microsoft,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from(name.as_str()))
    }
}

/// Who a user is, for good: a service and its stable subject, never an address, which can be renamed and given to
/// somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// Who vouches for it.
    pub service: Service,
    /// Google: the claim `sub` (<https://developers.google.com/identity/openid-connect/openid-connect#obtainuserinfo>).
    /// Microsoft: the claims `tid` and `oid`, with a slash between them
    /// (<https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference>).
    pub subject: String,
}

impl Identity {
    /// An identity.
    #[must_use]
    pub fn new(service: Service, subject: impl Into<String>) -> Self {
        Self {
            service,
            subject: subject.into(),
        }
    }
}

/// Whether an account can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccountState {
    /// It can.
    #[default]
    Active,
    /// Its grant is gone; its user must sign in again. Everything else about it is kept.
    NeedsSignIn {
        /// When that was found out.
        since: DateTime<Utc>,
        /// The service's own code for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// A state of a later version of this crate, kept as it is and treated as active.
    #[serde(untagged)]
    Unknown(UnknownFields),
}

/// How far an account's upkeep has got: what [`Upkeep`](crate::Upkeep) reckons from when what is due next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UpkeepRecord {
    /// When the last sync that came to its end was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<DateTime<Utc>>,
    /// When the last one was begun that was audited, or was the first of all, which reads everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audited_at: Option<DateTime<Utc>>,
    /// Whether something may have happened since that no sync has looked for: there was no watch for a while, or the sync
    /// failed that followed what was told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sync_owed: bool,
    /// Whether the service asked for the watches to be renewed, or ended one, and that was not done yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renewal_owed: bool,
    /// What failed since, of syncs and of using the grant.
    #[serde(default, skip_serializing_if = "Failures::is_none")]
    pub failures: Failures,
    /// What failed of audited syncs, which keeps no other one from being done.
    #[serde(default, skip_serializing_if = "Failures::is_none")]
    pub audit_failures: Failures,
    /// What failed of setting up and renewing watches, which keeps no sync from being done.
    #[serde(default, skip_serializing_if = "Failures::is_none")]
    pub watch_failures: Failures,
    /// How the watch is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_health: Option<WatchHealth>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl UpkeepRecord {
    /// Whether nothing was done and nothing failed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Forgets what failed: somebody mended it, or says so.
    pub fn try_again(&mut self) {
        self.failures = Failures::default();
        self.audit_failures = Failures::default();
        self.watch_failures = Failures::default();
    }
}

/// What failed again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failures {
    /// How many times in a row.
    #[serde(default)]
    pub count: u32,
    /// Until when it is not tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<DateTime<Utc>>,
}

impl Failures {
    /// Whether nothing did.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The format's version. It changes only when a reader of the older one would be wrong; additions leave it alone.
#[derive(Clone, Copy, Debug)]
struct FormatVersion;

impl FormatVersion {
    const CURRENT: u32 = 1;
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(Self::CURRENT)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            Self::CURRENT => Ok(Self),
            _ => Err(serde::de::Error::custom("a version that is not known")),
        }
    }
}

/// Reads the levels that this version knows. The scopes beside them keep what a later one granted.
fn known_levels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Access, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let levels = names.into_iter().filter_map(|name| {
        let level = serde::de::value::SeqDeserializer::<_, serde::de::value::Error>::new(
            std::iter::once(name),
        );
        Access::deserialize(level).ok()
    });
    Ok(levels.fold(Access::NONE, |access, level| access | level))
}
