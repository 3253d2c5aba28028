//! Graph's mail endpoints, one function each: path, verb, cost in requests and whether it may be repeated. What to ask
//! for, and what an answer means, is known by the callers.
//!
//! What can go into a batch is made as a request; the rest is sent here. Changes of messages are in `api/changing.rs`,
//! drafts in `api/drafts.rs`, folders in `api/folders.rs`, sending in `api/sending.rs`, settings in `api/settings.rs`.

mod changing;
mod drafts;
mod folders;
mod sending;
mod settings;
mod syncing;
mod threads;
mod watching;

use std::sync::{Arc, OnceLock};

use http::header::HeaderName;
use http::{HeaderValue, Method};
use url::Url;

use super::query::Search;
use super::quota;
use super::wire;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{ApiClient, ApiRequest, Connection, Cost, Origins, Replay, parse};
use crate::model::{ByteStream, Detail};

/// Where Microsoft serves the API. Sovereign clouds have hosts of their own
/// (<https://learn.microsoft.com/graph/deployments>).
pub(super) const ENDPOINT: &str = "https://graph.microsoft.com/";

/// Names a batch in errors and spans.
pub(super) const BATCH: &str = "outlook.batch";

/// How many parts of a batch Outlook works on at once: all that it runs for one mailbox.
pub(super) const BATCH_CONCURRENCY: u32 = 4;

/// The longest page that can be asked for (<https://learn.microsoft.com/graph/api/user-list-messages>).
pub(super) const LONGEST_PAGE: u32 = 1_000;

/// The most bytes that one request may have (<https://learn.microsoft.com/graph/api/resources/mail-api-overview>).
pub(super) const LARGEST_REQUEST: u64 = 4 * 1024 * 1024;

/// Ids that stay when a message moves (<https://learn.microsoft.com/graph/outlook-immutable-id>). Asked for with every
/// request and every part of a batch: an id of one kind is of no use among the other.
const PREFER: HeaderName = HeaderName::from_static("prefer");
const IMMUTABLE_ID: HeaderValue = HeaderValue::from_static("IdType=\"ImmutableId\"");
/// The same, with bodies as text.
const TEXT_BODY: HeaderValue =
    HeaderValue::from_static("IdType=\"ImmutableId\", outlook.body-content-type=\"text\"");

const MIME: HeaderValue = HeaderValue::from_static("text/plain");

/// What tells a draft from a sent message.
const STATE_FIELDS: &str = "id,isDraft,conversationId,parentFolderId";

/// When it came tells where a long listing of ids can be divided.
const IDS: &str = "id,conversationId,parentFolderId,receivedDateTime";

/// What is needed to put the messages of a conversation in order and to change them.
const CONVERSATION_FIELDS: &str =
    "id,conversationId,parentFolderId,isRead,isDraft,receivedDateTime";

const LISTED_FIELDS: &str = "id,conversationId,parentFolderId,isRead,isDraft,flag,importance,categories,\
    receivedDateTime,sentDateTime,subject,from,sender,replyTo,toRecipients,ccRecipients,bccRecipients,\
    internetMessageId,bodyPreview";

/// Headers come only when they are named (<https://learn.microsoft.com/graph/api/resources/message>).
const FULL_FIELDS: &str = "id,conversationId,parentFolderId,isRead,isDraft,flag,importance,categories,\
    receivedDateTime,sentDateTime,subject,from,sender,replyTo,toRecipients,ccRecipients,bccRecipients,\
    internetMessageId,bodyPreview,body,internetMessageHeaders";

/// The attachments without their bytes. The content id belongs to one kind of attachment only, so it is named with its
/// type (<https://github.com/microsoftgraph/microsoft-graph-explorer-v4/issues/3916>).
const ATTACHMENTS: &str = "attachments($select=id,name,contentType,size,\
    microsoft.graph.fileAttachment/contentId)";

/// One mailbox at Graph.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) client: ApiClient,
    base: Arc<Url>,
    user: String,
    /// Whether bodies are asked for as text.
    text_bodies: bool,
}

/// Where the service is.
#[derive(Clone)]
struct Place {
    base: Arc<Url>,
    origins: Origins,
}

impl Place {
    /// All mailboxes at the vendor's own address share what is known of it.
    fn of(base: Url) -> Result<Self> {
        static VENDORS: OnceLock<Place> = OnceLock::new();
        match VENDORS.get() {
            Some(place) if place.base.as_ref() == &base => Ok(place.clone()),
            _ if base.as_str() == ENDPOINT => {
                let place = Self::new(base)?;
                Ok(VENDORS.get_or_init(|| place).clone())
            }
            _ => Self::new(base),
        }
    }

    fn new(mut base: Url) -> Result<Self> {
        if base.cannot_be_a_base() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "an endpoint must be an address with a host",
            ));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.set_query(None);
        base.set_fragment(None);
        let mut upload = vec![base.clone()];
        upload.extend(sending::upload_hosts(&base));
        let origins = Origins::new(std::slice::from_ref(&base), &upload)?;
        Ok(Self {
            base: Arc::new(base),
            origins,
        })
    }
}

impl Api {
    /// The mailbox of `user`, which is `me` or names another one, at the service at `base`.
    pub(super) fn new(connection: &Connection, base: Url, user: String) -> Result<Self> {
        let Place { base, origins } = Place::of(base)?;
        Ok(Self {
            client: connection.client(origins, &quota::ALLOWANCE, super::error::classify),
            base,
            user,
            text_bodies: false,
        })
    }

    /// The same service, whose bodies come as text or as HTML.
    pub(super) fn with_text_bodies(mut self, text: bool) -> Self {
        self.text_bodies = text;
        self
    }

    /// The same mailbox at a service elsewhere.
    pub(super) fn at(mut self, base: Url) -> Result<Self> {
        let Place { base, origins } = Place::of(base)?;
        self.client.origins = origins;
        self.base = base;
        Ok(self)
    }

    /// The same service, seen through another mailbox.
    pub(super) fn with_user(mut self, user: String) -> Self {
        self.user = user;
        self
    }

    /// `GET {user}` (<https://learn.microsoft.com/graph/api/user-get>).
    pub(super) async fn profile(&self) -> Result<wire::User> {
        let query = [("$select", "displayName,mail,userPrincipalName")];
        let url = self.url(&[], &query)?;
        self.client.json(read("outlook.users.get", url)).await
    }

    /// `GET {user}` with the mailbox's further addresses
    /// (<https://learn.microsoft.com/graph/api/resources/user#properties>).
    pub(super) async fn addresses(&self) -> Result<wire::User> {
        let query = [(
            "$select",
            "displayName,mail,userPrincipalName,proxyAddresses",
        )];
        let url = self.url(&[], &query)?;
        self.client.json(read("outlook.users.get", url)).await
    }

    /// `GET {user}/messages` or `GET {user}/mailFolders/{folder}/messages`
    /// (<https://learn.microsoft.com/graph/api/user-list-messages>).
    pub(super) async fn messages(
        &self,
        search: &Search,
        detail: Detail,
        size: u32,
    ) -> Result<wire::MessagePage> {
        let size = size.to_string();
        let mut query = vec![("$top", size.as_str())];
        query.extend(message_fields(detail));
        query.extend(search.parameters());
        let url = match &search.folder {
            Some(folder) => self.url(&["mailFolders", folder, "messages"], &query)?,
            None => self.url(&["messages"], &query)?,
        };
        let request = self.preferring(read("outlook.messages.list", url));
        self.message_page(request).await
    }

    async fn message_page(&self, request: ApiRequest) -> Result<wire::MessagePage> {
        let operation = request.operation;
        let answer = self.client.answer(request).await?;
        if let Some(page) = answer.json() {
            return Ok(page);
        }
        parse::<wire::Collection>(operation, &answer.body).map(wire::MessagePage::from)
    }

    /// `GET` of the address that the service gave for the next page, as it is
    /// (<https://learn.microsoft.com/graph/paging>). The loop refuses it if it is no address of the service.
    pub(super) async fn next_page(
        &self,
        operation: &'static str,
        link: &str,
    ) -> Result<wire::Collection> {
        let request = self.next(operation, link)?;
        self.client.json(request).await
    }

    /// The same for a page of messages.
    pub(super) async fn next_messages(
        &self,
        operation: &'static str,
        link: &str,
    ) -> Result<wire::MessagePage> {
        let request = self.next(operation, link)?;
        self.message_page(request).await
    }

    fn next(&self, operation: &'static str, link: &str) -> Result<ApiRequest> {
        let listed = [
            "messages",
            "mailFolders",
            "childFolders",
            "messageRules",
            "masterCategories",
            "subscriptions",
        ];
        let leads_to_list = |url: &Url| {
            let last = url
                .path_segments()
                .and_then(|mut segments| segments.next_back());
            last.is_some_and(|last| listed.contains(&last))
        };
        // A host may have got the token back from somebody else, and this sends the account's own access along.
        let url = Url::parse(link).ok().filter(leads_to_list).ok_or_else(|| {
            let message = "the page token is not one of this service's";
            Error::new(ErrorKind::InvalidRequest, message).with_operation(operation)
        })?;
        Ok(self.preferring(read(operation, url)))
    }

    /// `GET {user}/messages/{id}` (<https://learn.microsoft.com/graph/api/message-get>).
    pub(super) fn message(&self, id: &str, detail: Detail) -> Result<ApiRequest> {
        self.message_with(id, &message_fields(detail))
    }

    /// The same, with the categories and the version of the message.
    pub(super) fn message_categories(&self, id: &str) -> Result<ApiRequest> {
        self.message_with(id, &[("$select", "id,categories")])
    }

    /// The same, with what tells a draft from a sent message.
    pub(super) fn message_state(&self, id: &str) -> Result<ApiRequest> {
        self.message_with(id, &[("$select", STATE_FIELDS)])
    }

    fn message_with(&self, id: &str, query: &[(&'static str, &str)]) -> Result<ApiRequest> {
        let url = self.url(&["messages", id], query)?;
        Ok(self.preferring(read("outlook.messages.get", url)))
    }

    /// A request for messages, whose bodies come in the form that is wanted
    /// (<https://learn.microsoft.com/graph/api/message-get#request-headers>).
    fn preferring(&self, request: ApiRequest) -> ApiRequest {
        if self.text_bodies {
            request.with_header(PREFER, TEXT_BODY)
        } else {
            request
        }
    }

    /// `GET {user}/messages/{id}/$value`: the message as RFC 5322
    /// (<https://learn.microsoft.com/graph/outlook-get-mime-message>).
    pub(super) async fn raw(&self, id: &str) -> Result<ByteStream> {
        let url = self.url(&["messages", id, "$value"], &[])?;
        self.client
            .stream(read("outlook.messages.getMime", url))
            .await
    }

    /// `GET {user}/messages/{message}/attachments/{id}/$value`: a file's bytes, an item as RFC 5322, iCalendar or vCard;
    /// a link has none (<https://learn.microsoft.com/graph/api/attachment-get>).
    pub(super) async fn attachment(&self, message: &str, id: &str) -> Result<ByteStream> {
        let url = self.url(&["messages", message, "attachments", id, "$value"], &[])?;
        self.client
            .stream(read("outlook.attachments.get", url))
            .await
    }

    /// `GET {user}/messages/{message}/attachments/{id}?$expand=microsoft.graph.itemattachment/item`: what an attached item
    /// is, which nothing else tells (<https://learn.microsoft.com/graph/api/attachment-get>).
    pub(super) fn attached_item(&self, message: &str, id: &str) -> Result<ApiRequest> {
        let query = [("$expand", "microsoft.graph.itemattachment/item")];
        let url = self.url(&["messages", message, "attachments", id], &query)?;
        Ok(read("outlook.attachments.get", url))
    }

    /// `POST $batch` (<https://learn.microsoft.com/graph/json-batching>).
    pub(super) fn batch(
        &self,
        batch: &wire::Batch<'_>,
        cost: Cost,
        replay: Replay,
    ) -> Result<ApiRequest> {
        let url = self.address(&["$batch"], &[])?;
        let request = ApiRequest::new(BATCH, Method::POST, url, cost, replay);
        Ok(immutable(request).with_json(batch))
    }

    /// The path and query of a request to this service, as a part of a batch names it: relative to the version.
    pub(super) fn target(&self, url: &Url) -> String {
        let path = url.path();
        let path = path.strip_prefix(self.base.path()).unwrap_or(path);
        let path = path.strip_prefix("v1.0").unwrap_or(path);
        match url.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }

    /// An address below this mailbox.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let mailbox = match self.user.as_str() {
            "me" => vec!["me"],
            user => vec!["users", user],
        };
        self.address(&[&mailbox, path].concat(), query)
    }

    /// An address below the version. Ids are data: none may become another path.
    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        if path
            .iter()
            .any(|segment| matches!(*segment, "" | "." | ".."))
        {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "an id that is empty or consists of dots names nothing",
            ));
        }
        let mut url = self.base.as_ref().clone();
        let segments: Vec<String> = path.iter().map(|segment| escaped(segment, "$")).collect();
        url.set_path(&format!("{}v1.0/{}", self.base.path(), segments.join("/")));
        if !query.is_empty() {
            let pairs: Vec<String> = query
                .iter()
                .map(|(name, value)| format!("{name}={}", escaped(value, "$,/:()'")))
                .collect();
            url.set_query(Some(&pairs.join("&")));
        }
        Ok(url)
    }
}

fn message_fields(detail: Detail) -> Vec<(&'static str, &'static str)> {
    match detail {
        Detail::Ids => vec![("$select", IDS)],
        Detail::Headers => vec![("$select", LISTED_FIELDS)],
        Detail::Full => vec![("$select", FULL_FIELDS), ("$expand", ATTACHMENTS)],
    }
}

fn read(operation: &'static str, url: Url) -> ApiRequest {
    request(operation, Method::GET, url, Replay::Read)
}

fn request(operation: &'static str, method: Method, url: Url, replay: Replay) -> ApiRequest {
    immutable(ApiRequest::new(
        operation,
        method,
        url,
        Cost::requests(1),
        replay,
    ))
}

fn immutable(request: ApiRequest) -> ApiRequest {
    request.with_header(PREFER, IMMUTABLE_ID)
}

/// Percent-encoded (RFC 3986 §2.1) but for unreserved characters and those in `plain`. A space is never a `+`, which
/// OData reads as itself, and a `+` of an id is encoded.
fn escaped(text: &str, plain: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let character = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(character) || plain.contains(character) {
            escaped.push(character);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
