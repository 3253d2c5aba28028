//! What Microsoft Graph posts: the question whether an address wants to be told, and notifications, which are believed once
//! they repeat what only Graph was told.
//!
//! Sources: <https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>,
//! <https://learn.microsoft.com/graph/change-notifications-lifecycle-events>.

use serde::Deserialize;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;

use super::notification::{News, Notification, Reason, Rejected};
use crate::model::{SubscriptionId, Watch};
use crate::secret::Secret;

/// Notifications have some hundred bytes and come by the dozen; those with the mail itself are not asked for.
const LONGEST_BODY: usize = 1024 * 1024;

/// Graph's tokens have about 130 characters.
const LONGEST_VALIDATION: usize = 4 * 1024;

/// No id is longer, of a subscription or of a directory. What is not verified yet may be kept for a while, and anybody may
/// post it.
const LONGEST_FIELD: usize = 256;

/// The longest client state, in characters (<https://learn.microsoft.com/graph/api/resources/subscription>).
const LONGEST_STATE: usize = 128;

/// What Graph posted to an address of the host's, which serves for all of its accounts, and for notifications and lifecycle
/// notifications alike.
///
/// ```
/// use postroom::push::GraphPost;
/// # use postroom::Watch;
///
/// # fn watch_of(subscription: &postroom::SubscriptionId) -> Option<Watch> { None }
/// # fn example(query: Option<&str>, body: &[u8]) -> (u16, String) {
/// match GraphPost::read(query, body) {
///     // As text/plain, within ten seconds.
///     Ok(GraphPost::Validation(answer)) => (200, answer),
///     Ok(GraphPost::Notifications(notifications)) => {
///         for told in notifications {
///             let watch = watch_of(told.subscription());
///             if let Some(notification) = watch.and_then(|watch| told.verify(&watch).ok()) {
///                 // … hint(notification.subscription) …
///             }
///         }
///         (202, String::new()) // Also where nothing was believed: whoever forges learns nothing.
///     }
///     Ok(_) => (202, String::new()),
///     Err(rejected) => (rejected.status(), String::new()),
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GraphPost {
    /// Graph asks whether this address wants to be told. Answer 200 with this text as `text/plain`, within ten seconds and
    /// whoever asks: while a watch is being set up nobody knows it yet. It may be anything, so that it must not be shown as
    /// anything else than text.
    Validation(String),
    /// What was told, none of it believed yet. Answer 202 within three seconds, whatever comes of it: Graph holds back, and in
    /// the end discards, what it has for an address that is slow.
    Notifications(Vec<Unverified>),
}

impl GraphPost {
    /// Reads a request: the query of its address, still encoded, and its body. What cannot be read of a body with
    /// several notifications is left out.
    ///
    /// # Errors
    /// [`Rejected`] for what is nothing of the kind, with the status to answer: 413 or 400.
    pub fn read(query: Option<&str>, body: &[u8]) -> Result<Self, Rejected> {
        if let Some(token) = validation(query.unwrap_or_default())? {
            return Ok(Self::Validation(token));
        }
        if body.len() > LONGEST_BODY {
            return Err(Rejected::new(Reason::TooLarge, 413));
        }
        let posted: Posted<'_> =
            serde_json::from_slice(body).map_err(|_| Rejected::new(Reason::Malformed, 400))?;
        let items = posted.value.into_iter();
        Ok(Self::Notifications(
            items
                .filter_map(|item| Unverified::read(item.get()))
                .collect(),
        ))
    }
}

/// The token that an address has to repeat.
fn validation(query: &str) -> Result<Option<String>, Rejected> {
    if query.len() > LONGEST_VALIDATION {
        return Err(Rejected::new(Reason::TooLarge, 413));
    }
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let token = pairs.find(|(name, _)| name.eq_ignore_ascii_case("validationToken"));
    let Some((_, token)) = token else {
        return Ok(None);
    };
    if token.is_empty() || token.chars().any(char::is_control) {
        return Err(Rejected::new(Reason::Malformed, 400));
    }
    Ok(Some(token.into_owned()))
}

#[derive(Deserialize)]
struct Posted<'a> {
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
}

/// A notification of either kind (<https://learn.microsoft.com/graph/api/resources/changenotification>). What there may be
/// beside it, mail above all, is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    subscription_id: String,
    #[serde(default)]
    client_state: Option<Secret>,
    #[serde(default)]
    tenant_id: Option<String>,
    #[serde(default)]
    lifecycle_event: Option<String>,
    #[serde(default)]
    change_type: Option<String>,
}

/// What somebody told, perhaps Graph. It is of no use until it is [verified](Self::verify).
#[derive(Clone, Debug)]
pub struct Unverified {
    subscription: SubscriptionId,
    client_state: Option<Secret>,
    tenant: Option<String>,
    news: News,
}

impl Unverified {
    fn read(json: &str) -> Option<Self> {
        let item: Item = serde_json::from_str(json).ok()?;
        let fits = |text: &str| !text.is_empty() && text.len() <= LONGEST_FIELD;
        let state = item.client_state.as_ref().map_or("", Secret::expose);
        let tenant = item.tenant_id.as_deref().unwrap_or_default();
        if !fits(&item.subscription_id)
            || state.chars().count() > LONGEST_STATE
            || tenant.len() > LONGEST_FIELD
        {
            return None;
        }
        let news = match (item.lifecycle_event.as_deref(), item.change_type) {
            (Some("subscriptionRemoved"), _) => News::Removed,
            (Some("reauthorizationRequired"), _) => News::RenewalWanted,
            // What a later Graph has to say of a watch is worth a sync.
            (Some(_), _) => News::Missed,
            (None, Some(_)) => News::Changed,
            (None, None) => return None,
        };
        Some(Self {
            subscription: SubscriptionId::new(item.subscription_id),
            client_state: item.client_state,
            tenant: item.tenant_id,
            news,
        })
    }

    /// Which watch it says that it is about: look for the account with this [`Watch::id`].
    #[must_use]
    pub fn subscription(&self) -> &SubscriptionId {
        &self.subscription
    }

    /// Believes it if it is about this watch and repeats its client state. How long that takes does not tell how much of it
    /// was right.
    ///
    /// # Errors
    /// [`Rejected`]: go on with the others, and answer 202 all the same.
    pub fn verify(&self, watch: &Watch) -> Result<Notification, Rejected> {
        let expected = watch.target.as_ref();
        match expected.and_then(|target| target.client_state.as_ref()) {
            Some(expected) if watch.id == self.subscription => self.verify_with(expected),
            _ => Err(not_ours()),
        }
    }

    /// The same for hosts that gave all of their watches one client state
    /// ([`WatchTarget::with_client_state`](crate::WatchTarget::with_client_state)): nothing has to be looked up before the
    /// answer. Whoever knows the state can have any account synced once more.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_with(&self, client_state: &Secret) -> Result<Notification, Rejected> {
        let told = self.client_state.as_ref().ok_or_else(not_ours)?;
        let same = client_state
            .expose()
            .as_bytes()
            .ct_eq(told.expose().as_bytes());
        if client_state.is_empty() || !bool::from(same) {
            return Err(not_ours());
        }
        Ok(Notification {
            subscription: self.subscription.clone(),
            news: self.news,
        })
    }

    /// The same, if it is also of this directory: of an account of an organisation,
    /// [`AccountRecord::tenant`](crate::credentials::AccountRecord::tenant).
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_in(&self, watch: &Watch, tenant: &str) -> Result<Notification, Rejected> {
        let told = self.tenant.as_deref().unwrap_or_default();
        if !told.eq_ignore_ascii_case(tenant) {
            return Err(not_ours());
        }
        self.verify(watch)
    }
}

fn not_ours() -> Rejected {
    Rejected::new(Reason::NotOurs, 202)
}
