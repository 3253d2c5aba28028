//! The JSON of `users.history` (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.history/list>).

use serde::Deserialize;

use super::{Message, number};

/// `users.history.list`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::gmail) struct HistoryList {
    /// Absent when there are none, also on a page that is not the last.
    pub(in crate::gmail) history: Option<Vec<Option<History>>>,
    pub(in crate::gmail) next_page_token: Option<String>,
    /// The mailbox's own, whatever the page has got to.
    #[serde(deserialize_with = "number")]
    pub(in crate::gmail) history_id: Option<i64>,
}

/// What happened in one step, in any number of ways to any number of messages.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::gmail) struct History {
    pub(in crate::gmail) messages_added: Option<Vec<Option<Changed>>>,
    pub(in crate::gmail) messages_deleted: Option<Vec<Option<Changed>>>,
    pub(in crate::gmail) labels_added: Option<Vec<Option<Changed>>>,
    pub(in crate::gmail) labels_removed: Option<Vec<Option<Changed>>>,
}

/// One message that something happened to.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::gmail) struct Changed {
    pub(in crate::gmail) message: Option<Message>,
    /// The labels that came or went.
    pub(in crate::gmail) label_ids: Option<Vec<Option<String>>>,
}
