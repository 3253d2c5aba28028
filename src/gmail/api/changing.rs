//! Gmail's endpoints that change messages and delete them.

use http::Method;

use super::{Api, fields, units};
use crate::error::Result;
use crate::gmail::wire;
use crate::http::{ApiRequest, Cost, Replay};

impl Api {
    /// `POST users/{user}/messages/{id}/modify`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/modify>).
    pub(in crate::gmail) fn modify(
        &self,
        id: &str,
        change: &wire::Modification,
    ) -> Result<ApiRequest> {
        let mut url = self.url("", &["messages", id, "modify"])?;
        fields(&mut url, "id");
        let cost = Cost::units(units::MESSAGES_MODIFY);
        // Labels are a set: setting one twice is setting it once.
        let replay = Replay::Idempotent;
        Ok(
            ApiRequest::new("gmail.messages.modify", Method::POST, url, cost, replay)
                .with_json(change),
        )
    }

    /// `POST users/{user}/messages/batchModify`: 204, without a word about single messages
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/batchModify>).
    pub(in crate::gmail) async fn batch_modify(
        &self,
        change: &wire::BatchModification<'_>,
    ) -> Result<()> {
        let url = self.url("", &["messages", "batchModify"])?;
        let cost = Cost::units(units::MESSAGES_BATCH_MODIFY);
        let replay = Replay::Idempotent;
        let request = ApiRequest::new(
            "gmail.messages.batchModify",
            Method::POST,
            url,
            cost,
            replay,
        );
        self.client.done(request.with_json(change)).await
    }

    /// `DELETE users/{user}/messages/{id}`: for good
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/delete>).
    pub(in crate::gmail) fn delete(&self, id: &str) -> Result<ApiRequest> {
        let url = self.url("", &["messages", id])?;
        let cost = Cost::units(units::MESSAGES_DELETE);
        let replay = Replay::Idempotent;
        Ok(ApiRequest::new(
            "gmail.messages.delete",
            Method::DELETE,
            url,
            cost,
            replay,
        ))
    }

    /// `POST users/{user}/messages/batchDelete`: 204, whether or not the messages were there
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/batchDelete>).
    pub(in crate::gmail) async fn batch_delete(&self, ids: &wire::BatchDeletion<'_>) -> Result<()> {
        let url = self.url("", &["messages", "batchDelete"])?;
        let cost = Cost::units(units::MESSAGES_BATCH_DELETE);
        let replay = Replay::Idempotent;
        let request = ApiRequest::new(
            "gmail.messages.batchDelete",
            Method::POST,
            url,
            cost,
            replay,
        );
        self.client.done(request.with_json(ids)).await
    }
}
