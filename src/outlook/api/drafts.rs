//! Graph's endpoints that read and change drafts, and make them as answers.

use http::header::IF_MATCH;
use http::{HeaderValue, Method};
use serde::Serialize;

use super::{Api, LISTED_FIELDS, message_fields, read, request};
use crate::error::Result;
use crate::http::{ApiRequest, Replay};
use crate::model::Detail;
use crate::outlook::wire;

/// What there is to know of a draft before it is changed or sent.
const DRAFT_FIELDS: &str =
    "id,isDraft,conversationId,parentFolderId,toRecipients,ccRecipients,bccRecipients";

/// The folder of drafts, by the name that is the same in every language.
const DRAFTS: &str = "drafts";

impl Api {
    /// `GET {user}/mailFolders/drafts/messages` (<https://learn.microsoft.com/graph/api/mailfolder-list-messages>).
    pub(in crate::outlook) async fn drafts(
        &self,
        detail: Detail,
        size: u32,
    ) -> Result<wire::Collection> {
        let size = size.to_string();
        let mut query = vec![("$top", size.as_str())];
        query.extend(draft_fields(detail));
        let url = self.url(&["mailFolders", DRAFTS, "messages"], &query)?;
        let request = self.preferring(read("outlook.messages.list", url));
        self.client.json(request).await
    }

    /// `GET {user}/messages/{id}` with what tells a draft from other messages
    /// (<https://learn.microsoft.com/graph/api/message-get>).
    pub(in crate::outlook) fn draft(&self, id: &str, detail: Detail) -> Result<ApiRequest> {
        self.message_with(id, &draft_fields(detail))
    }

    /// The same, with an extended property
    /// (<https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get>).
    pub(in crate::outlook) async fn property_of(
        &self,
        id: &str,
        property: &str,
    ) -> Result<wire::Message> {
        let expand = format!("singleValueExtendedProperties($filter=id eq '{property}')");
        let query = [("$select", "id"), ("$expand", expand.as_str())];
        self.client.json(self.message_with(id, &query)?).await
    }

    /// `PATCH {user}/messages/{id}` of what only a draft may have changed
    /// (<https://learn.microsoft.com/graph/api/message-update>). With a version it is changed only if that is still the
    /// current one, so that a second try would not know the first from somebody else's.
    pub(in crate::outlook) async fn update_draft(
        &self,
        id: &str,
        patch: &(impl Serialize + Sync),
        version: Option<&str>,
    ) -> Result<wire::Message> {
        let url = self.url(&["messages", id], &[])?;
        let version = version.and_then(|version| HeaderValue::from_str(version).ok());
        let replay = match version {
            Some(_) => Replay::Once,
            None => Replay::Idempotent,
        };
        let mut request = request("outlook.messages.update", Method::PATCH, url, replay);
        if let Some(version) = version {
            request = request.with_header(IF_MATCH, version);
        }
        self.client.json(request.with_json(patch)).await
    }

    /// `DELETE {user}/messages/{id}/attachments/{attachment}`
    /// (<https://learn.microsoft.com/graph/api/attachment-delete>).
    pub(in crate::outlook) async fn detach(&self, id: &str, attachment: &str) -> Result<()> {
        let url = self.url(&["messages", id, "attachments", attachment], &[])?;
        let replay = Replay::Idempotent;
        let request = request("outlook.attachments.delete", Method::DELETE, url, replay);
        self.client.done(request).await
    }

    /// `POST {user}/messages/{id}/createReply` or `createForward`
    /// (<https://learn.microsoft.com/graph/api/message-createreply>). Nobody receives a draft, but two of them would be one
    /// too many.
    pub(in crate::outlook) async fn create_answer(
        &self,
        id: &str,
        action: &str,
        answer: &wire::NewAnswer,
    ) -> Result<wire::Message> {
        let url = self.url(&["messages", id, action], &[])?;
        let request = request(
            "outlook.messages.createAnswer",
            Method::POST,
            url,
            Replay::Once,
        );
        self.client.json(request.with_json(answer)).await
    }

    /// `GET {user}/messages/{id}`: whether it was read.
    pub(in crate::outlook) async fn read_state(&self, id: &str) -> Result<wire::Message> {
        let request = self.message_with(id, &[("$select", "id,isRead")])?;
        self.client.json(request).await
    }

    /// `PATCH {user}/messages/{id}`: it was not read.
    pub(in crate::outlook) async fn mark_unread(&self, id: &str) -> Result<()> {
        let patch = wire::MessagePatch {
            is_read: Some(false),
            ..wire::MessagePatch::default()
        };
        self.client.done(self.update(id, &patch, None)?).await
    }

    /// `POST {user}/mailFolders/{folder}/messages` of a message that is no draft
    /// (<https://learn.microsoft.com/graph/api/mailfolder-post-messages>).
    pub(in crate::outlook) async fn create_in(
        &self,
        folder: &str,
        message: &wire::NewMessage,
    ) -> Result<wire::Message> {
        let url = self.url(&["mailFolders", folder, "messages"], &[])?;
        let request = request("outlook.messages.create", Method::POST, url, Replay::Once);
        self.client.json(request.with_json(message)).await
    }
}

fn draft_fields(detail: Detail) -> Vec<(&'static str, &'static str)> {
    match detail {
        Detail::Ids => vec![("$select", DRAFT_FIELDS)],
        Detail::Headers => vec![("$select", LISTED_FIELDS)],
        Detail::Full => message_fields(detail),
    }
}
