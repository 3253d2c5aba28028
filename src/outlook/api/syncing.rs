//! The endpoints that a sync needs beside the others, all of them as parts of batches.

use http::HeaderValue;
use url::Url;

use super::{Api, PREFER, message_fields, read};
use crate::error::{Error, ErrorKind, Result};
use crate::http::ApiRequest;
use crate::model::Detail;

/// What tells where a message is and what state it is in, and nothing that it says: some 400 bytes for each.
const STATE: &str = "id,parentFolderId,isRead,isDraft,flag,importance,categories,receivedDateTime,lastModifiedDateTime";

/// What tells what a folder is.
const FOLDER: &str = "id,displayName,parentFolderId,totalItemCount,isHidden";

/// Ids that stay, and long pages: `$top` would end the whole round
/// (<https://github.com/microsoftgraph/msgraph-sdk-java/issues/536>).
const LONG_PAGES: HeaderValue =
    HeaderValue::from_static("IdType=\"ImmutableId\", odata.maxpagesize=1000");

/// The longest page of a listing (<https://learn.microsoft.com/graph/api/user-list-messages>).
const LONGEST: &str = "1000";

impl Api {
    /// `GET {user}/mailFolders/{folder}/messages`: the state of as many as one page has, newest first
    /// (<https://learn.microsoft.com/graph/api/mailfolder-list-messages>).
    pub(in crate::outlook) fn states(
        &self,
        folder: &str,
        filter: Option<&str>,
    ) -> Result<ApiRequest> {
        let order = ("$orderby", "receivedDateTime desc");
        let mut query = vec![("$select", STATE), order, ("$top", LONGEST)];
        query.extend(filter.map(|filter| ("$filter", filter)));
        let url = self.url(&["mailFolders", folder, "messages"], &query)?;
        Ok(read("outlook.messages.list", url))
    }

    /// `GET {user}/mailFolders/{folder}/messages/delta`: everything, and then what changes. What is selected holds for as long
    /// as its tokens do, so that it is the same for every scope
    /// (<https://learn.microsoft.com/graph/delta-query-messages>).
    pub(in crate::outlook) fn changes(&self, folder: &str) -> Result<ApiRequest> {
        let query = [("$select", STATE)];
        let url = self.url(&["mailFolders", folder, "messages", "delta"], &query)?;
        Ok(read("outlook.messages.delta", url).with_header(PREFER, LONG_PAGES))
    }

    /// `GET {user}/mailFolders/delta`: all folders, however deep, and then what changes of them
    /// (<https://learn.microsoft.com/graph/api/mailfolder-delta>).
    pub(in crate::outlook) fn folder_changes(&self) -> Result<ApiRequest> {
        let url = self.url(&["mailFolders", "delta"], &[("$select", FOLDER)])?;
        Ok(read("outlook.mailFolders.delta", url).with_header(PREFER, LONG_PAGES))
    }

    /// `GET {user}/messages`, or those of one folder, newest first: the first of those that `filter` leaves
    /// (<https://learn.microsoft.com/graph/api/user-list-messages>).
    pub(in crate::outlook) fn newest(
        &self,
        folder: Option<&str>,
        filter: Option<&str>,
        detail: Detail,
        size: &str,
    ) -> Result<ApiRequest> {
        let mut query = vec![("$top", size)];
        query.extend(message_fields(detail));
        query.extend(filter.map(|filter| ("$filter", filter)));
        query.push(("$orderby", "receivedDateTime desc"));
        let url = match folder {
            Some(folder) => self.url(&["mailFolders", folder, "messages"], &query)?,
            None => self.url(&["messages"], &query)?,
        };
        Ok(self.preferring(read("outlook.messages.list", url)))
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
        let request = read(operation, url);
        Ok(if operation.ends_with(".delta") {
            request.with_header(PREFER, LONG_PAGES)
        } else {
            self.preferring(request)
        })
    }
}
