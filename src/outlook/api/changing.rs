//! Graph's endpoints that change messages, move, copy and delete them.

use http::header::IF_MATCH;
use http::{HeaderValue, Method};

use super::{Api, request};
use crate::error::Result;
use crate::http::{ApiRequest, Replay};
use crate::outlook::wire;

impl Api {
    /// `PATCH {user}/messages/{id}` (<https://learn.microsoft.com/graph/api/message-update>). With a version it is
    /// changed only if that is still the current one.
    pub(in crate::outlook) fn update(
        &self,
        id: &str,
        patch: &wire::MessagePatch,
        version: Option<&str>,
    ) -> Result<ApiRequest> {
        let url = self.url(&["messages", id], &[])?;
        let replay = Replay::Idempotent;
        let request = request("outlook.messages.update", Method::PATCH, url, replay);
        let request = request.with_json(patch);
        match version.map(HeaderValue::from_str) {
            Some(Ok(version)) => Ok(request.with_header(IF_MATCH, version)),
            _ => Ok(request),
        }
    }

    /// `POST {user}/messages/{id}/move` (<https://learn.microsoft.com/graph/api/message-move>). The id stays, so that
    /// moving twice to the same place is moving once.
    pub(in crate::outlook) fn move_to(&self, id: &str, destination: &str) -> Result<ApiRequest> {
        let url = self.url(&["messages", id, "move"], &[])?;
        let request = request(
            "outlook.messages.move",
            Method::POST,
            url,
            Replay::Idempotent,
        );
        Ok(request.with_json(&wire::Destination {
            destination_id: destination,
        }))
    }

    /// `POST {user}/messages/{id}/copy` (<https://learn.microsoft.com/graph/api/message-copy>). Done twice there would be
    /// two copies.
    pub(in crate::outlook) fn copy(&self, id: &str, destination: &str) -> Result<ApiRequest> {
        let url = self.url(&["messages", id, "copy"], &[])?;
        let request = request("outlook.messages.copy", Method::POST, url, Replay::Once);
        Ok(request.with_json(&wire::Destination {
            destination_id: destination,
        }))
    }

    /// `POST {user}/messages/{id}/permanentDelete`: for good, where `DELETE` ends in a place that is not documented
    /// (<https://learn.microsoft.com/graph/api/message-permanentdelete>).
    pub(in crate::outlook) fn permanent_delete(&self, id: &str) -> Result<ApiRequest> {
        let url = self.url(&["messages", id, "permanentDelete"], &[])?;
        Ok(request(
            "outlook.messages.permanentDelete",
            Method::POST,
            url,
            Replay::Idempotent,
        ))
    }
}
