//! The endpoints that a sync needs beside the others: what happened, where the mailbox stands, and ids by the page, all of
//! them as parts of batches.

use super::{Api, LONGEST_PAGE, Search, fields, list_parameters, units};
use crate::error::Result;
use crate::http::{ApiRequest, Cost};

/// The most records that one page of the history has
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.history/list>).
const LONGEST_HISTORY: &str = "500";

impl Api {
    /// `GET users/{user}/history`: what happened to messages after `start`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.history/list>).
    pub(in crate::gmail) fn history(&self, start: u64, page: Option<&str>) -> Result<ApiRequest> {
        let mut url = self.url("", &["history"])?;
        let mut query = url.query_pairs_mut();
        query.append_pair("startHistoryId", &start.to_string());
        query.append_pair("maxResults", LONGEST_HISTORY);
        if let Some(page) = page {
            query.append_pair("pageToken", page);
        }
        drop(query);
        fields(
            &mut url,
            "history(messagesAdded(message(id,threadId)),messagesDeleted(message(id,threadId)),\
             labelsAdded(labelIds,message(id,threadId)),labelsRemoved(labelIds,message(id,threadId))),\
             historyId,nextPageToken",
        );
        let cost = Cost::units(units::HISTORY_LIST);
        Ok(ApiRequest::read("gmail.history.list", url, cost))
    }

    /// `GET users/{user}/profile`: where the mailbox's history stands
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/getProfile>).
    pub(in crate::gmail) fn baseline(&self) -> Result<ApiRequest> {
        let mut url = self.url("", &["profile"])?;
        fields(&mut url, "historyId,messagesTotal");
        let cost = Cost::units(units::PROFILE);
        Ok(ApiRequest::read("gmail.users.getProfile", url, cost))
    }

    /// `GET users/{user}/messages`, for as many ids as one page has
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list>).
    pub(in crate::gmail) fn ids(&self, search: &Search, page: Option<&str>) -> Result<ApiRequest> {
        let mut url = self.url("", &["messages"])?;
        list_parameters(&mut url, search, LONGEST_PAGE, page);
        fields(&mut url, "messages(id,threadId),nextPageToken");
        let cost = Cost::units(units::MESSAGES_LIST);
        Ok(ApiRequest::read("gmail.messages.list", url, cost))
    }
}
