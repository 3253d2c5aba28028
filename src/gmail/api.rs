//! Gmail's endpoints, one function each: path, verb, cost in quota units and whether it may be repeated. What to ask
//! for, and what an answer means, is known by the callers.
//!
//! What can go into a batch is made as a request; the rest is sent here. Changes of messages are in `api/changing.rs`,
//! folders in `api/folders.rs`, settings in `api/settings.rs`.

mod changing;
mod folders;
mod settings;

mod threads;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONTENT_RANGE, HeaderName, LOCATION};
use http::{HeaderValue, Method};
use url::Url;

use super::query::Search;
use super::quota;
use super::wire;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, ApiClient, ApiRequest, Connection, Cost, Origins, Replay, protocol};
use crate::mime::KEY_HEADER;
use crate::model::{ByteStream, Content};

/// Where Google serves the API. `www.googleapis.com` is its older name, which upload sessions may still be at.
pub(super) const ENDPOINT: &str = "https://gmail.googleapis.com/";
const OLDER_ENDPOINT: &str = "https://www.googleapis.com/";

/// The largest message that can be sent, in bytes as it is encoded
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send>).
pub(super) const LARGEST_MESSAGE: u64 = 36_700_160;

/// The most ids that one `batchModify` takes
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/batchModify>).
pub(super) const MOST_IDS: usize = 1_000;

/// The most messages that one page lists
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list>).
pub(super) const LONGEST_PAGE: u32 = 500;

/// Quota units of each method, as of 2026-05 (<https://developers.google.com/workspace/gmail/api/reference/quota>).
mod units {
    pub(super) const PROFILE: u32 = 1;
    pub(super) const LABELS_LIST: u32 = 1;
    pub(super) const LABELS_GET: u32 = 1;
    pub(super) const LABELS_CHANGE: u32 = 5;
    pub(super) const MESSAGES_LIST: u32 = 5;
    pub(super) const MESSAGES_GET: u32 = 20;
    pub(super) const ATTACHMENTS_GET: u32 = 20;
    pub(super) const MESSAGES_MODIFY: u32 = 5;
    pub(super) const MESSAGES_BATCH_MODIFY: u32 = 50;
    pub(super) const MESSAGES_DELETE: u32 = 10;
    pub(super) const MESSAGES_BATCH_DELETE: u32 = 50;
    pub(super) const MESSAGES_SEND: u32 = 100;
    pub(super) const DRAFTS_CREATE: u32 = 10;
    pub(super) const DRAFTS_GET: u32 = 20;
    pub(super) const DRAFTS_SEND: u32 = 100;
    pub(super) const THREADS_LIST: u32 = 10;
    pub(super) const THREADS_GET: u32 = 40;
    pub(super) const THREADS_MODIFY: u32 = 10;
    pub(super) const SETTINGS_READ: u32 = 1;
    pub(super) const SETTINGS_CHANGE: u32 = 5;
}

/// How much of a message to ask for
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/Format>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Labels, dates, preview and size.
    Minimal,
    /// The headers that lists show, too.
    Metadata,
    /// Everything, as a tree of parts; large parts are left to be fetched.
    Full,
    /// Only the tree of parts.
    Parts,
    /// Labels, and the header that names a send.
    Mark,
}

/// The headers that a list of messages shows.
const LISTED_HEADERS: [&str; 11] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
];

impl Format {
    /// The parameters that ask for this much of a message.
    fn write(self, url: &mut Url) {
        let mut query = url.query_pairs_mut();
        query.append_pair(
            "format",
            match self {
                Self::Minimal => "minimal",
                Self::Metadata | Self::Mark => "metadata",
                Self::Full | Self::Parts => "full",
            },
        );
        let headers = match self {
            Self::Metadata => LISTED_HEADERS.as_slice(),
            Self::Mark => &[KEY_HEADER],
            _ => &[],
        };
        for header in headers {
            query.append_pair("metadataHeaders", header);
        }
    }

    /// The fields of a message that are read.
    fn fields(self) -> &'static str {
        match self {
            Self::Minimal => "id,threadId,labelIds,snippet,internalDate,sizeEstimate",
            Self::Metadata => {
                "id,threadId,labelIds,snippet,internalDate,sizeEstimate,payload/headers"
            }
            Self::Full => "id,threadId,labelIds,snippet,internalDate,sizeEstimate,payload",
            Self::Parts => "payload",
            Self::Mark => "id,threadId,labelIds,payload/headers",
        }
    }
}

/// One mailbox at Gmail.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) client: ApiClient,
    base: Url,
    user: String,
}

impl Api {
    /// The mailbox of `user` at the service at `base`.
    pub(super) fn new(connection: &Connection, mut base: Url, user: String) -> Result<Self> {
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
        let mut origins = vec![base.clone()];
        if base.as_str() == ENDPOINT
            && let Ok(older) = Url::parse(OLDER_ENDPOINT)
        {
            origins.push(older);
        }
        let origins = Origins::new(&origins, &[])?;
        Ok(Self {
            client: connection.client(origins, &quota::ALLOWANCE, super::error::classify),
            base,
            user,
        })
    }

    /// Another mailbox at the same service.
    pub(super) fn with_user(mut self, user: String) -> Self {
        self.user = user;
        self
    }

    /// The mailbox's name in paths.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// `GET users/{user}/profile`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/getProfile>).
    pub(super) async fn profile(&self) -> Result<wire::Profile> {
        let url = self.url("", &["profile"])?;
        let cost = Cost::units(units::PROFILE);
        let request = ApiRequest::read("gmail.users.getProfile", url, cost);
        self.client.json(request).await
    }

    /// `GET users/{user}/messages`: ids only
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list>).
    pub(super) async fn messages(
        &self,
        search: &Search,
        size: u32,
        page: Option<&str>,
    ) -> Result<wire::MessageList> {
        let mut url = self.url("", &["messages"])?;
        list_parameters(&mut url, search, size, page);
        fields(&mut url, "messages(id,threadId),nextPageToken");
        let cost = Cost::units(units::MESSAGES_LIST);
        let request = ApiRequest::read("gmail.messages.list", url, cost);
        self.client.json(request).await
    }

    /// `GET users/{user}/messages/{id}`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/get>).
    pub(super) fn message(&self, id: &str, format: Format) -> Result<ApiRequest> {
        let mut url = self.url("", &["messages", id])?;
        format.write(&mut url);
        fields(&mut url, format.fields());
        let cost = Cost::units(units::MESSAGES_GET);
        Ok(ApiRequest::read("gmail.messages.get", url, cost))
    }

    /// `GET users/{user}/messages/{id}?format=raw`: JSON whose only field is `raw`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/get>).
    pub(super) async fn raw(&self, id: &str) -> Result<ByteStream> {
        let mut url = self.url("", &["messages", id])?;
        url.query_pairs_mut().append_pair("format", "raw");
        fields(&mut url, "raw");
        let cost = Cost::units(units::MESSAGES_GET);
        let request = ApiRequest::read("gmail.messages.get", url, cost);
        self.client.stream(request).await
    }

    /// `GET users/{user}/messages/{id}/attachments/{token}`: JSON whose only field is `data`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages.attachments/get>).
    pub(super) fn attachment(&self, message: &str, token: &str) -> Result<ApiRequest> {
        let mut url = self.url("", &["messages", message, "attachments", token])?;
        fields(&mut url, "data");
        let cost = Cost::units(units::ATTACHMENTS_GET);
        Ok(ApiRequest::read(
            "gmail.messages.attachments.get",
            url,
            cost,
        ))
    }

    /// `POST upload/users/{user}/drafts?uploadType=multipart`
    /// (<https://developers.google.com/workspace/gmail/api/guides/uploads#multipart>). Nobody receives a draft, but two
    /// of them would be one too many.
    pub(super) async fn create_draft(
        &self,
        metadata: &wire::DraftMetadata<'_>,
        message: Content,
    ) -> Result<wire::Draft> {
        let mut url = self.url("upload/", &["drafts"])?;
        url.query_pairs_mut().append_pair("uploadType", "multipart");
        fields(&mut url, "id,message(id,threadId)");
        let boundary = boundary()?;
        let metadata = serde_json::to_string(metadata).unwrap_or_default();
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n\
             --{boundary}\r\nContent-Type: message/rfc822\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let content = Content::concatenate(vec![
            Content::from_bytes(head),
            message,
            Content::from_bytes(tail),
        ]);
        let media_type = header(&format!("multipart/related; boundary={boundary}"))?;
        let cost = Cost::units(units::DRAFTS_CREATE);
        let request = ApiRequest::new("gmail.drafts.create", Method::POST, url, cost, Replay::Once);
        let request = request.with_content(media_type, content);
        self.client.json(request).await
    }

    /// `GET users/{user}/drafts/{id}`: whether it is there
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/get>).
    pub(super) async fn draft(&self, id: &str) -> Result<wire::Draft> {
        let mut url = self.url("", &["drafts", id])?;
        url.query_pairs_mut().append_pair("format", "minimal");
        fields(&mut url, "id,message(id,threadId)");
        let cost = Cost::units(units::DRAFTS_GET);
        let request = ApiRequest::read("gmail.drafts.get", url, cost);
        self.client.json(request).await
    }

    /// `POST users/{user}/drafts/send`: the one that people receive
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/send>).
    pub(super) async fn send_draft(&self, id: &str) -> Result<Answer> {
        let mut url = self.url("", &["drafts", "send"])?;
        fields(&mut url, "id,threadId");
        let cost = Cost::units(units::DRAFTS_SEND);
        let request = ApiRequest::new("gmail.drafts.send", Method::POST, url, cost, Replay::Once);
        self.client
            .answer(request.with_json(&wire::DraftReference { id }))
            .await
    }

    /// `POST upload/users/{user}/messages/send?uploadType=resumable`: opens a session and gives its address
    /// (<https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>). A session that is never completed
    /// sends nothing.
    pub(super) async fn start_upload(
        &self,
        metadata: &wire::MessageMetadata<'_>,
        length: u64,
    ) -> Result<Url> {
        const OPERATION: &str = "gmail.messages.send";
        let mut url = self.url("upload/", &["messages", "send"])?;
        url.query_pairs_mut().append_pair("uploadType", "resumable");
        let cost = Cost::units(0);
        let request = ApiRequest::new(OPERATION, Method::POST, url, cost, Replay::Idempotent)
            .with_json(metadata)
            .with_header(
                HeaderName::from_static("x-upload-content-type"),
                HeaderValue::from_static("message/rfc822"),
            )
            .with_header(
                HeaderName::from_static("x-upload-content-length"),
                HeaderValue::from(length),
            );
        let answer = self.client.answer(request).await?;
        answer
            .header(LOCATION.as_str())
            .and_then(|location| self.base.join(location).ok())
            .ok_or_else(|| {
                protocol("the answer does not say where to upload to").with_operation(OPERATION)
            })
    }

    /// `PUT {session}` with some bytes of the message: 308 while some are missing, 200 or 201 once it is sent
    /// (<https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>).
    pub(super) async fn upload(
        &self,
        session: &Url,
        start: u64,
        bytes: Content,
        length: u64,
    ) -> Result<Answer> {
        let last = (start + bytes.len()).saturating_sub(1);
        // The bytes that complete the message send it, and only they cost what sending costs.
        let cost = Cost::units(if last + 1 == length {
            units::MESSAGES_SEND
        } else {
            0
        });
        let request = ApiRequest::new(
            "gmail.messages.send",
            Method::PUT,
            session.clone(),
            cost,
            Replay::Once,
        )
        .with_content(HeaderValue::from_static("message/rfc822"), bytes)
        .with_header(
            CONTENT_RANGE,
            header(&format!("bytes {start}-{last}/{length}"))?,
        )
        .also_accepting(308);
        self.client.answer(request).await
    }

    /// `PUT {session}` with nothing: how much of the message has arrived, 200 or 201 if it was sent
    /// (<https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>).
    pub(super) async fn upload_status(&self, session: &Url, length: u64) -> Result<Answer> {
        let request = ApiRequest::new(
            "gmail.messages.send",
            Method::PUT,
            session.clone(),
            Cost::units(0),
            Replay::Read,
        )
        .with_header(CONTENT_RANGE, header(&format!("bytes */{length}"))?)
        .also_accepting(308);
        self.client.answer(request).await
    }

    /// `POST batch/gmail/v1` (<https://developers.google.com/workspace/gmail/api/guides/batch>).
    pub(super) async fn batch(
        &self,
        boundary: &str,
        content: Content,
        cost: Cost,
        replay: Replay,
    ) -> Result<Answer> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["batch", "gmail", "v1"]);
        }
        let media_type = header(&format!("multipart/mixed; boundary={boundary}"))?;
        let request = ApiRequest::new("gmail.batch", Method::POST, url, cost, replay);
        self.client
            .answer(request.with_content(media_type, content))
            .await
    }

    /// The path and query of a request to this service, as a part of a batch names it.
    pub(super) fn target(&self, url: &Url) -> String {
        let path = url.path();
        // What a proxy puts before the service's own paths means nothing to the service.
        let path = path.strip_prefix(self.base.path()).unwrap_or(path);
        let path = path.trim_start_matches('/');
        match url.query() {
            Some(query) => format!("/{path}?{query}"),
            None => format!("/{path}"),
        }
    }

    /// An address below this mailbox. Ids are data: none may become another path.
    fn url(&self, face: &str, path: &[&str]) -> Result<Url> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            if let Some(face) = face.strip_suffix('/') {
                segments.push(face);
            }
            segments.extend(["gmail", "v1", "users", self.user.as_str()]);
            segments.extend(path);
        }
        let usable = |segment: &&str| !matches!(*segment, "" | "." | "..");
        if !path.iter().all(usable) || !usable(&self.user.as_str()) {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "an id that is empty or consists of dots names nothing",
            ));
        }
        // Indented answers are longer and say no more.
        url.query_pairs_mut().append_pair("prettyPrint", "false");
        Ok(url)
    }
}

/// What lists of messages and of threads take alike.
fn list_parameters(url: &mut Url, search: &Search, size: u32, page: Option<&str>) {
    let mut query = url.query_pairs_mut();
    query.append_pair("maxResults", &size.to_string());
    if let Some(text) = &search.text {
        query.append_pair("q", text);
    }
    for label in &search.labels {
        query.append_pair("labelIds", label);
    }
    if search.junk_and_trash {
        query.append_pair("includeSpamTrash", "true");
    }
    if let Some(page) = page {
        query.append_pair("pageToken", page);
    }
}

/// Asks for these fields only (<https://developers.google.com/workspace/gmail/api/guides/performance#partial>).
fn fields(url: &mut Url, fields: &str) {
    url.query_pairs_mut().append_pair("fields", fields);
}

/// A line that occurs in no message: 128 random bits.
pub(super) fn boundary() -> Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| {
        Error::new(
            ErrorKind::Configuration,
            "the system gives no random numbers",
        )
        .with_source(std::io::Error::other(error))
    })?;
    Ok(format!("postroom_{}", URL_SAFE_NO_PAD.encode(random)))
}

fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        Error::new(
            ErrorKind::InvalidRequest,
            "a header cannot hold this character",
        )
    })
}
