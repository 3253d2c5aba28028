//! The data of being told that something happened: where a service is to tell it, and a watch that it keeps for a mailbox.
//! Setting one up is each provider's, understanding what is told is `push`'s.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{FolderId, SubscriptionId, UnknownFields};
use crate::secret::{Secret, exposed_option};

/// Where a service is to tell that something happened in a mailbox, and about which folders.
///
/// Its serialized form is a secret: whoever knows the client state can forge what the service tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchTarget {
    /// Where to.
    pub place: WatchPlace,
    /// Only what happens in these folders; all if empty. Gmail takes any number of labels, Outlook one folder. What is filed
    /// past the inbox by a rule is told only where all folders are watched
    /// (<https://github.com/Nine-Minds/alga-psa/issues/1322>).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<FolderId>,
    /// What every notification of Outlook's repeats, so that it can be told from a forged one: at most 128 characters. One is
    /// made where none is given. Gmail has none: what Pub/Sub pushes is signed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "exposed_option"
    )]
    pub client_state: Option<Secret>,
}

/// Where a service tells.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WatchPlace {
    /// A topic of Google Cloud Pub/Sub, whose subscriptions push or are pulled.
    Topic {
        /// Its whole name, `projects/{project}/topics/{topic}`.
        name: String,
    },
    /// Addresses of the host's that the service posts to, over HTTPS.
    Webhook {
        /// Where it is told that something happened.
        url: Url,
        /// Where it is told what becomes of the watch itself; nowhere without. It cannot be added later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifecycle_url: Option<Url>,
    },
    /// A place that a later version of this crate knows.
    #[serde(untagged)]
    Unknown(UnknownFields),
}

/// Hosts put what only they and the service should know into the query, or before the host.
impl fmt::Debug for WatchPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |url: &Url| {
            let mut url = url.clone();
            // An address that can have no user has none.
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            url.set_query(None);
            url.set_fragment(None);
            url
        };
        match self {
            Self::Topic { name } => formatter.debug_struct("Topic").field("name", name).finish(),
            Self::Webhook { url, lifecycle_url } => formatter
                .debug_struct("Webhook")
                .field("url", &shown(url).as_str())
                .field(
                    "lifecycle_url",
                    &lifecycle_url.as_ref().map(|url| shown(url).to_string()),
                )
                .finish(),
            Self::Unknown(fields) => fields.fmt(formatter),
        }
    }
}

/// How a provider's service tells that something happened; see
/// [`Capabilities::watch`](crate::Capabilities::watch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchKind {
    /// To a topic of Google Cloud Pub/Sub: [`WatchTarget::topic`].
    Topic,
    /// To an address of the host's: [`WatchTarget::webhook`].
    Webhook,
}

impl WatchTarget {
    /// A topic of Google Cloud Pub/Sub, by its whole name, `projects/{project}/topics/{topic}`. It must be of the project in
    /// which the application is registered, and `gmail-api-push@system.gserviceaccount.com` must be allowed to publish to it
    /// (<https://developers.google.com/workspace/gmail/api/guides/push>).
    #[must_use]
    pub fn topic(name: impl Into<String>) -> Self {
        Self::new(WatchPlace::Topic { name: name.into() })
    }

    /// An address that the service posts to. It is asked while the watch is being set up, so whatever listens there must be
    /// up already (<https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>).
    #[must_use]
    pub fn webhook(url: Url) -> Self {
        Self::new(WatchPlace::Webhook {
            url,
            lifecycle_url: None,
        })
    }

    fn new(place: WatchPlace) -> Self {
        Self {
            place,
            folders: Vec::new(),
            client_state: None,
        }
    }

    /// Has the service also tell what becomes of the watch: that it was removed, that notifications were lost, that it
    /// wants to be renewed (<https://learn.microsoft.com/graph/change-notifications-lifecycle-events>). It may be the same
    /// address. A topic has none.
    #[must_use]
    pub fn with_lifecycle_url(mut self, address: Url) -> Self {
        if let WatchPlace::Webhook { lifecycle_url, .. } = &mut self.place {
            *lifecycle_url = Some(address);
        }
        self
    }

    /// Watches these folders only.
    #[must_use]
    pub fn with_folders(mut self, folders: impl IntoIterator<Item = FolderId>) -> Self {
        self.folders = folders.into_iter().collect();
        self
    }

    /// Has every notification repeat this in place of a random text.
    #[must_use]
    pub fn with_client_state(mut self, secret: impl Into<Secret>) -> Self {
        self.client_state = Some(secret.into());
        self
    }

    /// What kind of place it is, if this version knows it.
    #[must_use]
    pub fn kind(&self) -> Option<WatchKind> {
        match self.place {
            WatchPlace::Topic { .. } => Some(WatchKind::Topic),
            WatchPlace::Webhook { .. } => Some(WatchKind::Webhook),
            WatchPlace::Unknown(_) => None,
        }
    }
}

/// A watch that a service keeps for a mailbox, as the host keeps it until it ends:
/// [`AccountRecord::subscriptions`](crate::credentials::AccountRecord::subscriptions) is where.
///
/// Its serialized form is a secret, as its [target](WatchTarget)'s is. What a later version of this crate adds to it
/// survives being read and written by this one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Watch {
    /// What notifications name it by: look here for the account that one is about. Outlook: the subscription's id. Gmail, whose
    /// watches have none: the mailbox's address in lower case.
    pub id: SubscriptionId,
    /// What was asked for, with the client state that was made up for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<WatchTarget>,
    /// Since when it has been watching. Renewing it leaves that as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<DateTime<Utc>>,
    /// When it ends unless it is renewed, by the clock of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When to renew it: well before it ends, so that a few failed attempts do no harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Watch {
    /// A watch and its end.
    #[must_use]
    pub fn new(id: impl Into<SubscriptionId>, expires_at: Option<DateTime<Utc>>) -> Self {
        Self {
            id: id.into(),
            target: None,
            began_at: None,
            expires_at,
            renew_at: None,
            unknown: UnknownFields::default(),
        }
    }

    /// Says what it is watching for.
    #[must_use]
    pub fn with_target(mut self, target: WatchTarget) -> Self {
        self.target = Some(target);
        self
    }

    /// Says since when it has been watching.
    #[must_use]
    pub fn with_beginning(mut self, began_at: DateTime<Utc>) -> Self {
        self.began_at = Some(began_at);
        self
    }

    /// Says when to renew it.
    #[must_use]
    pub fn with_renewal(mut self, renew_at: DateTime<Utc>) -> Self {
        self.renew_at = Some(renew_at);
        self
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_lapsed(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it is time to renew it.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.renew_at
            .or(self.expires_at)
            .is_some_and(|due| due <= now)
    }
}

/// A watch that goes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renewed {
    /// What to keep in place of the former one. Its [id](Watch::id) may be another one.
    pub watch: Watch,
    /// Whether something may have happened that nobody told, because there was no watch for a while: sync now. A
    /// watch that was prolonged leaves no gap.
    pub sync: bool,
}

impl Renewed {
    /// The same watch, for longer.
    #[must_use]
    pub fn prolonged(watch: Watch) -> Self {
        Self { watch, sync: false }
    }

    /// Another watch in place of one that is gone.
    #[must_use]
    pub fn anew(watch: Watch) -> Self {
        Self { watch, sync: true }
    }
}

/// When to renew what ends then: daily, as Google advises (<https://developers.google.com/workspace/gmail/api/guides/push>),
/// and in the middle of what is shorter.
#[cfg(any(feature = "gmail", feature = "outlook"))]
pub(crate) fn renewal_before(
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    let day = chrono::TimeDelta::days(1);
    let left = |end: DateTime<Utc>| (end - now).max(chrono::TimeDelta::zero());
    now + expires_at.map_or(day, |end| (left(end) / 2).min(day))
}
