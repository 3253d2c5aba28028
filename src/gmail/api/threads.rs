//! The endpoints of `users.threads`, which are the messages' once more for whole conversations.

use http::Method;

use super::{Api, Format, Search, fields, list_parameters, units, wire};
use crate::error::Result;
use crate::http::{ApiRequest, Cost, Replay};

impl Api {
    /// `GET users/{user}/threads`: ids and previews
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/list>).
    pub(in crate::gmail) async fn threads(
        &self,
        search: &Search,
        size: u32,
        page: Option<&str>,
    ) -> Result<wire::ThreadList> {
        let mut url = self.url("", &["threads"])?;
        list_parameters(&mut url, search, size, page);
        fields(&mut url, "threads(id,snippet),nextPageToken");
        let cost = Cost::units(units::THREADS_LIST);
        let request = ApiRequest::read("gmail.threads.list", url, cost);
        self.client.json(request).await
    }

    /// `GET users/{user}/threads/{id}`: all messages, oldest first, those in the trash included
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/get>).
    pub(in crate::gmail) fn thread(&self, id: &str, format: Format) -> Result<ApiRequest> {
        let mut url = self.url("", &["threads", id])?;
        format.write(&mut url);
        fields(&mut url, &format!("id,messages({})", format.fields()));
        let cost = Cost::units(units::THREADS_GET);
        Ok(ApiRequest::read("gmail.threads.get", url, cost))
    }

    /// `POST users/{user}/threads/{id}/modify`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads/modify>).
    pub(in crate::gmail) fn modify_thread(
        &self,
        id: &str,
        change: &wire::Modification,
    ) -> Result<ApiRequest> {
        let mut url = self.url("", &["threads", id, "modify"])?;
        fields(&mut url, "id");
        let cost = Cost::units(units::THREADS_MODIFY);
        // Labels are a set: setting one twice is setting it once.
        let replay = Replay::Idempotent;
        Ok(
            ApiRequest::new("gmail.threads.modify", Method::POST, url, cost, replay)
                .with_json(change),
        )
    }
}
