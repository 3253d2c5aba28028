//! The JSON of `users.watch` (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/watch>).

use serde::{Deserialize, Serialize};

use super::number;

/// What `users.watch` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gmail) struct WatchRequest<'a> {
    pub(in crate::gmail) topic_name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::gmail) label_ids: Vec<&'a str>,
    /// `include`; the older `labelFilterAction` did not always do what it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) label_filter_behavior: Option<&'static str>,
}

/// What it answers. The history id in it is not the host's to begin at: its cursor is.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::gmail) struct WatchResponse {
    /// Milliseconds since 1970.
    #[serde(deserialize_with = "number")]
    pub(in crate::gmail) expiration: Option<i64>,
}
