//! The JSON of subscriptions (<https://learn.microsoft.com/graph/api/resources/subscription>).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A subscription to be made. It carries the client state, which is a secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct NewSubscription<'a> {
    pub(in crate::outlook) change_type: &'static str,
    pub(in crate::outlook) notification_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) lifecycle_notification_url: Option<&'a str>,
    pub(in crate::outlook) resource: &'a str,
    pub(in crate::outlook) expiration_date_time: DateTime<Utc>,
    pub(in crate::outlook) client_state: &'a str,
}

/// For how much longer a subscription is to last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct SubscriptionPatch {
    pub(in crate::outlook) expiration_date_time: DateTime<Utc>,
}

/// A subscription as the service has it. The client state is not told.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct Subscription {
    pub(in crate::outlook) id: Option<String>,
    pub(in crate::outlook) resource: Option<String>,
    pub(in crate::outlook) change_type: Option<String>,
    pub(in crate::outlook) notification_url: Option<String>,
    pub(in crate::outlook) expiration_date_time: Option<DateTime<Utc>>,
}
