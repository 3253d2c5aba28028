//! The mailbox as a whole.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::call::Call;
use super::error::Failure;

/// <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/getProfile>
pub(crate) fn get(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, _| {
        let threads: BTreeSet<u64> = mailbox
            .messages
            .values()
            .map(|message| message.thread)
            .collect();
        Ok(Some(json!({
            "emailAddress": call.account,
            "messagesTotal": mailbox.messages.len(),
            "threadsTotal": threads.len(),
            "historyId": mailbox.history_id.to_string(),
        })))
    })
}
