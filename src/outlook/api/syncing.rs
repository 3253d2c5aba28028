//! The endpoints that a sync needs beside the others, all of them as parts of batches.

use url::Url;

use super::{Api, read};
use crate::error::{Error, ErrorKind, Result};
use crate::http::ApiRequest;

/// What tells where a message is and what state it is in, and nothing that it says: some 400 bytes for each.
const STATE: &str = "id,parentFolderId,isRead,isDraft,flag,importance,categories,receivedDateTime,lastModifiedDateTime";

/// The longest page of a listing (<https://learn.microsoft.com/graph/api/user-list-messages>).
const LONGEST: &str = "1000";

impl Api {
    /// `GET {user}/mailFolders/{folder}/messages`: the state of as many as one page has
    /// (<https://learn.microsoft.com/graph/api/mailfolder-list-messages>).
    pub(in crate::outlook) fn states(
        &self,
        folder: &str,
        filter: Option<&str>,
    ) -> Result<ApiRequest> {
        let mut query = vec![("$select", STATE), ("$top", LONGEST)];
        query.extend(filter.map(|filter| ("$filter", filter)));
        let url = self.url(&["mailFolders", folder, "messages"], &query)?;
        Ok(read("outlook.messages.list", url))
    }

    /// `GET` of the address that the service gave for what follows, as it is (<https://learn.microsoft.com/graph/paging>).
    /// It comes from a cursor that a host stored, and the account's own access goes along: it must be one of the service's.
    pub(in crate::outlook) fn following(
        &self,
        operation: &'static str,
        link: &str,
    ) -> Result<ApiRequest> {
        let is_own = |url: &Url| {
            let last = url.path_segments().and_then(|mut all| all.next_back());
            url.origin() == self.base.origin()
                && url.path().starts_with(self.base.path())
                && last.is_some_and(|last| {
                    let name = last.trim_end_matches("()");
                    ["messages", "delta", "microsoft.graph.delta"].contains(&name)
                })
        };
        let url = Url::parse(link).ok().filter(is_own).ok_or_else(|| {
            let message = "the address of what follows is not one of this service's";
            Error::new(ErrorKind::InvalidRequest, message).with_operation(operation)
        })?;
        Ok(read(operation, url))
    }
}
