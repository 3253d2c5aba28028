//! Gmail's endpoints for drafts. What writes a draft takes a whole message and is in `uploading.rs`.

use http::Method;

use super::{Api, Format, fields, units};
use crate::error::Result;
use crate::gmail::wire;
use crate::http::{Answer, ApiRequest, Cost, Replay};
use crate::model::ByteStream;

impl Api {
    /// `GET users/{user}/drafts`: ids only
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/list>).
    pub(in crate::gmail) async fn drafts(
        &self,
        size: u32,
        page: Option<&str>,
    ) -> Result<wire::DraftList> {
        let mut url = self.url("", &["drafts"])?;
        url.query_pairs_mut()
            .append_pair("maxResults", &size.to_string());
        if let Some(page) = page {
            url.query_pairs_mut().append_pair("pageToken", page);
        }
        fields(&mut url, "drafts(id,message(id,threadId)),nextPageToken");
        let cost = Cost::units(units::DRAFTS_LIST);
        let request = ApiRequest::read("gmail.drafts.list", url, cost);
        self.client.json(request).await
    }

    /// `GET users/{user}/drafts/{id}`. It takes no list of headers, so all of them come
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/get>).
    pub(in crate::gmail) fn draft(&self, id: &str, format: Format) -> Result<ApiRequest> {
        let mut url = self.url("", &["drafts", id])?;
        url.query_pairs_mut().append_pair("format", format.name());
        fields(&mut url, &format!("id,message({})", format.fields()));
        let cost = Cost::units(units::DRAFTS_GET);
        Ok(ApiRequest::read("gmail.drafts.get", url, cost))
    }

    /// `GET users/{user}/drafts/{id}?format=raw`: JSON that holds the whole message in the field `raw` of its message
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/get>).
    pub(in crate::gmail) async fn raw_draft(&self, id: &str) -> Result<ByteStream> {
        let mut url = self.url("", &["drafts", id])?;
        url.query_pairs_mut().append_pair("format", "raw");
        fields(&mut url, "message/raw");
        let cost = Cost::units(units::DRAFTS_GET);
        let request = ApiRequest::read("gmail.drafts.get", url, cost);
        self.client.stream(request).await
    }

    /// `POST users/{user}/drafts/send`: the one that people receive
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/send>).
    pub(in crate::gmail) async fn send_draft(&self, id: &str) -> Result<Answer> {
        let mut url = self.url("", &["drafts", "send"])?;
        fields(&mut url, "id,threadId");
        let cost = Cost::units(units::DRAFTS_SEND);
        let request = ApiRequest::new("gmail.drafts.send", Method::POST, url, cost, Replay::Once);
        self.client
            .answer(request.with_json(&wire::DraftReference { id }))
            .await
    }

    /// `DELETE users/{user}/drafts/{id}`: for good, not into the trash
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/delete>).
    pub(in crate::gmail) async fn delete_draft(&self, id: &str) -> Result<()> {
        let url = self.url("", &["drafts", id])?;
        let request = ApiRequest::new(
            "gmail.drafts.delete",
            Method::DELETE,
            url,
            Cost::units(units::DRAFTS_DELETE),
            Replay::Idempotent,
        );
        self.client.done(request).await
    }
}
