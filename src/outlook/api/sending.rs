//! Graph's endpoints that make drafts, attach files to them, send them and find them again.

use http::header::CONTENT_RANGE;
use http::{HeaderValue, Method};
use url::Url;

use super::{ATTACHMENTS, Api, MIME, STATE_FIELDS, read, request};
use crate::error::{Delivery, Result};
use crate::http::{Answer, ApiRequest, Cost, Replay, protocol};
use crate::model::Content;
use crate::outlook::wire;

/// Where upload sessions of attachments are, by the host of the API: sovereign clouds have hosts of their own
/// (<https://learn.microsoft.com/graph/outlook-large-attachments>,
/// <https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/8880>,
/// <https://learn.microsoft.com/graph/deployments>,
/// <https://learn.microsoft.com/microsoft-365/enterprise/microsoft-365-u-s-government-gcc-high-endpoints>,
/// <https://learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges-21vianet>). The addresses of the clouds
/// other than the first are those that Outlook has there; no session was seen at one.
const UPLOAD_HOSTS: [(&str, &[&str]); 4] = [
    (
        "graph.microsoft.com",
        &["outlook.office.com", "outlook.office365.com"],
    ),
    ("graph.microsoft.us", &["outlook.office365.us"]),
    ("dod-graph.microsoft.us", &["outlook-dod.office365.us"]),
    ("microsoftgraph.chinacloudapi.cn", &["partner.outlook.cn"]),
];

/// Where uploads may go if the API is at `base`. A proxy is taken for one in front of the worldwide service.
pub(super) fn upload_hosts(base: &Url) -> impl Iterator<Item = Url> {
    let [worldwide, others @ ..] = UPLOAD_HOSTS;
    let is_it = |(api, _): &&(&str, _)| base.host_str() == Some(*api);
    let (_, hosts) = others.iter().find(is_it).copied().unwrap_or(worldwide);
    let address = |host: &&str| Url::parse(&format!("https://{host}/")).ok();
    hosts.iter().filter_map(address)
}

/// How many messages with the same mark are looked at: there is one, or a few that were left behind.
const FOUND: &str = "10";

impl Api {
    /// `POST {user}/messages` with a whole message as base64: a draft
    /// (<https://learn.microsoft.com/graph/outlook-send-mime-message>). Nobody receives a draft, but two of them would be
    /// one too many.
    pub(in crate::outlook) async fn create_mime_draft(
        &self,
        mime_text: Content,
    ) -> Result<wire::Message> {
        let url = self.url(&["messages"], &[])?;
        let request = request("outlook.messages.create", Method::POST, url, Replay::Once);
        self.client
            .json(request.with_content(MIME, mime_text))
            .await
    }

    /// `POST {user}/messages`: a draft, attachments to be added
    /// (<https://learn.microsoft.com/graph/api/user-post-messages>).
    pub(in crate::outlook) async fn create_draft(
        &self,
        message: &wire::NewMessage,
    ) -> Result<wire::Message> {
        let url = self.url(&["messages"], &[])?;
        let request = request("outlook.messages.create", Method::POST, url, Replay::Once);
        self.client.json(request.with_json(message)).await
    }

    /// `DELETE {user}/messages/{id}`, for a draft that came to nothing
    /// (<https://learn.microsoft.com/graph/api/message-delete>).
    pub(in crate::outlook) async fn delete_draft(&self, id: &str) -> Result<()> {
        let url = self.url(&["messages", id], &[])?;
        let replay = Replay::Idempotent;
        let request = request("outlook.messages.delete", Method::DELETE, url, replay);
        self.client.done(request).await
    }

    /// `POST {user}/messages/{id}/attachments`, for those of less than 3 MB
    /// (<https://learn.microsoft.com/graph/api/message-post-attachments>). Done twice it would be there twice.
    pub(in crate::outlook) async fn attach(
        &self,
        id: &str,
        attachment: &wire::NewAttachment,
    ) -> Result<()> {
        let url = self.url(&["messages", id, "attachments"], &[])?;
        let request = request(
            "outlook.attachments.create",
            Method::POST,
            url,
            Replay::Once,
        );
        self.client.done(request.with_json(attachment)).await
    }

    /// `POST {user}/messages/{id}/attachments/createUploadSession`
    /// (<https://learn.microsoft.com/graph/api/attachment-createuploadsession>). A session that is never completed
    /// attaches nothing.
    pub(in crate::outlook) async fn start_upload(
        &self,
        id: &str,
        session: &wire::NewUploadSession,
    ) -> Result<wire::UploadSession> {
        let path = ["messages", id, "attachments", "createUploadSession"];
        let url = self.url(&path, &[])?;
        let replay = Replay::Idempotent;
        let request = request(
            "outlook.attachments.createUploadSession",
            Method::POST,
            url,
            replay,
        );
        self.client.json(request.with_json(session)).await
    }

    /// `PUT {session}` with some bytes of the file: 200 while some are missing, 201 with the last
    /// (<https://learn.microsoft.com/graph/outlook-large-attachments>). The address alone authorizes it; a token is
    /// refused (<https://github.com/microsoftgraph/msgraph-sdk-java/issues/409>).
    pub(in crate::outlook) async fn upload(
        &self,
        session: &Url,
        start: u64,
        length: u64,
        content: Content,
    ) -> Result<Answer> {
        let end = start + content.len().saturating_sub(1);
        let range = HeaderValue::from_str(&format!("bytes {start}-{end}/{length}"))
            .map_err(|_| protocol("the range cannot be written"))?;
        let request = ApiRequest::new(
            "outlook.attachments.upload",
            Method::PUT,
            session.clone(),
            Cost::requests(1),
            // What the session has got is asked before anything is sent again.
            Replay::Once,
        )
        .with_content(
            HeaderValue::from_static("application/octet-stream"),
            content,
        )
        .with_header(CONTENT_RANGE, range)
        .unauthorized();
        self.client.answer(request).await
    }

    /// `GET {session}`: which bytes it still expects
    /// (<https://learn.microsoft.com/graph/api/resources/uploadsession>).
    pub(in crate::outlook) async fn upload_state(
        &self,
        session: &Url,
    ) -> Result<wire::UploadSession> {
        let cost = Cost::requests(1);
        let request = ApiRequest::read("outlook.attachments.upload", session.clone(), cost);
        self.client.json(request.unauthorized()).await
    }

    /// `POST {user}/messages/{id}/send`: the one that people receive
    /// (<https://learn.microsoft.com/graph/api/message-send>).
    pub(in crate::outlook) async fn send_draft(&self, id: &str) -> Result<()> {
        let url = self.url(&["messages", id, "send"], &[])?;
        let request = request("outlook.messages.send", Method::POST, url, Replay::Once);
        accepted(&self.client.answer(request).await?)
    }

    /// `POST {user}/sendMail` with a whole message as base64
    /// (<https://learn.microsoft.com/graph/api/user-sendmail>).
    pub(in crate::outlook) async fn send_mime(&self, mime_text: Content) -> Result<()> {
        let url = self.url(&["sendMail"], &[])?;
        let request = request("outlook.sendMail", Method::POST, url, Replay::Once);
        let request = request.with_content(MIME, mime_text);
        accepted(&self.client.answer(request).await?)
    }

    /// `GET {user}/messages/{id}` with what is attached by now, without its bytes
    /// (<https://learn.microsoft.com/graph/api/message-get>).
    pub(in crate::outlook) async fn attached(&self, id: &str) -> Result<wire::Message> {
        let query = [("$select", "id"), ("$expand", ATTACHMENTS)];
        self.client.json(self.message_with(id, &query)?).await
    }

    /// `PATCH {user}/messages/{id}` with an extended property
    /// (<https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-post-singlevalueextendedproperties>).
    pub(in crate::outlook) async fn set_properties(
        &self,
        id: &str,
        properties: &wire::Properties,
    ) -> Result<wire::Message> {
        let url = self.url(&["messages", id], &[])?;
        let replay = Replay::Idempotent;
        let request = request("outlook.messages.update", Method::PATCH, url, replay);
        self.client.json(request.with_json(properties)).await
    }

    /// `GET {user}/mailFolders/{folder}/messages` of those whose extended property has this value, with the property
    /// (<https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get>). One folder is asked: the whole
    /// mailbox is no place for a search that no index helps.
    pub(in crate::outlook) async fn messages_with_property(
        &self,
        folder: &str,
        property: &str,
        value: &str,
    ) -> Result<wire::Collection> {
        let (property, value) = (quoted(property), quoted(value));
        let filter = format!(
            "singleValueExtendedProperties/Any(ep: ep/id eq {property} and ep/value eq {value})"
        );
        let expand = format!("singleValueExtendedProperties($filter=id eq {property})");
        let fields = format!("{STATE_FIELDS},lastModifiedDateTime");
        let query = [
            ("$filter", filter.as_str()),
            ("$expand", expand.as_str()),
            ("$select", fields.as_str()),
            ("$top", FOUND),
        ];
        let url = self.url(&["mailFolders", folder, "messages"], &query)?;
        self.client.json(read("outlook.messages.list", url)).await
    }

    /// The same of those with this `Message-ID`.
    pub(in crate::outlook) async fn messages_with_message_id(
        &self,
        folder: &str,
        message_id: &str,
    ) -> Result<wire::Collection> {
        let filter = format!(
            "internetMessageId eq {}",
            quoted(&format!("<{message_id}>"))
        );
        let query = [
            ("$filter", filter.as_str()),
            ("$select", STATE_FIELDS),
            ("$top", FOUND),
        ];
        let url = self.url(&["mailFolders", folder, "messages"], &query)?;
        self.client.json(read("outlook.messages.list", url)).await
    }
}

/// A text literal of OData: a quote within it is doubled.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What is accepted for sending is answered without a word (<https://learn.microsoft.com/graph/api/message-send>). Whoever says
/// something may be somebody else, who answers in the service's place.
fn accepted(answer: &Answer) -> Result<()> {
    if answer.body.trim_ascii().is_empty() {
        return Ok(());
    }
    Err(
        protocol("the answer does not say that the message was accepted")
            .with_delivery(Delivery::Unknown),
    )
}
