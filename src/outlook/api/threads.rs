//! Conversations, which Graph knows as a property of messages only.

use super::{Api, CONVERSATION_FIELDS, message_fields, read};
use crate::error::Result;
use crate::http::ApiRequest;
use crate::model::Detail;

impl Api {
    /// `GET {user}/messages?$filter=conversationId eq '…'`: the messages of a conversation in all folders
    /// (<https://learn.microsoft.com/graph/api/user-list-messages>). They come in no order: `$orderby` makes the service
    /// find the query too complex (<https://github.com/mpalermiti/outlook-mcp/issues/31>).
    pub(in crate::outlook) fn conversation(
        &self,
        id: &str,
        detail: Detail,
        size: u32,
    ) -> Result<ApiRequest> {
        let size = size.to_string();
        let filter = format!("conversationId eq '{}'", id.replace('\'', "''"));
        let mut query = vec![("$top", size.as_str())];
        match detail {
            Detail::Ids => query.push(("$select", CONVERSATION_FIELDS)),
            detail => query.extend(message_fields(detail)),
        }
        query.push(("$filter", &filter));
        let url = self.url(&["messages"], &query)?;
        Ok(self.preferring(read("outlook.messages.list", url)))
    }
}
