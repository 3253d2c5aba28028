//! Gmail's endpoints, one function each: path, verb, cost in quota units and whether it may be repeated. What to ask
//! for, and what an answer means, is known by the callers.
//!
//! What can go into a batch is made as a request; the rest is sent here. Changes of messages are in `api/changing.rs`,
//! folders in `api/folders.rs`, settings in `api/settings.rs`, drafts in `api/drafts.rs`, and whatever takes a whole message in
//! `api/uploading.rs`.

mod changing;
mod drafts;
mod folders;
mod settings;
mod syncing;
mod threads;
mod uploading;
mod watching;

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method};
use url::Url;

pub(super) use self::uploading::Upload;
use super::query::Search;
use super::quota;
use super::wire;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{ApiClient, ApiRequest, Connection, Cost, Origins, Replay};
use crate::mime::KEY_HEADER;
use crate::model::{ByteStream, Content};

/// Where Google serves the API. `www.googleapis.com` is its older name, which upload sessions may still be at.
pub(super) const ENDPOINT: &str = "https://gmail.googleapis.com/";
const OLDER_ENDPOINT: &str = "https://www.googleapis.com/";

/// The largest message that can be sent, in bytes as it is encoded
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send>).
pub(super) const LARGEST_MESSAGE: u64 = 36_700_160;

/// The largest message that can be imported
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/import>).
pub(super) const LARGEST_IMPORT: u64 = 157_286_400;

/// The most ids that one `batchModify` takes
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/batchModify>).
pub(super) const MOST_IDS: usize = 1_000;

/// The most messages that one page lists
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list>).
pub(super) const LONGEST_PAGE: u32 = 500;

/// Quota units of each method, as of 2026-05 (<https://developers.google.com/workspace/gmail/api/reference/quota>).
pub(super) mod units {
    pub(in crate::gmail) const PROFILE: u32 = 1;
    pub(in crate::gmail) const HISTORY_LIST: u32 = 2;
    pub(in crate::gmail) const LABELS_LIST: u32 = 1;
    pub(in crate::gmail) const LABELS_GET: u32 = 1;
    pub(in crate::gmail) const LABELS_CHANGE: u32 = 5;
    pub(in crate::gmail) const MESSAGES_LIST: u32 = 5;
    pub(in crate::gmail) const MESSAGES_GET: u32 = 20;
    pub(in crate::gmail) const ATTACHMENTS_GET: u32 = 20;
    pub(in crate::gmail) const MESSAGES_MODIFY: u32 = 5;
    pub(in crate::gmail) const MESSAGES_BATCH_MODIFY: u32 = 50;
    pub(in crate::gmail) const MESSAGES_DELETE: u32 = 10;
    pub(in crate::gmail) const MESSAGES_BATCH_DELETE: u32 = 50;
    pub(in crate::gmail) const MESSAGES_SEND: u32 = 100;
    pub(in crate::gmail) const MESSAGES_IMPORT: u32 = 25;
    pub(in crate::gmail) const DRAFTS_LIST: u32 = 5;
    pub(in crate::gmail) const DRAFTS_CREATE: u32 = 10;
    pub(in crate::gmail) const DRAFTS_UPDATE: u32 = 15;
    pub(in crate::gmail) const DRAFTS_DELETE: u32 = 10;
    pub(in crate::gmail) const DRAFTS_GET: u32 = 20;
    pub(in crate::gmail) const DRAFTS_SEND: u32 = 100;
    pub(in crate::gmail) const THREADS_LIST: u32 = 10;
    pub(in crate::gmail) const THREADS_GET: u32 = 40;
    pub(in crate::gmail) const THREADS_MODIFY: u32 = 10;
    pub(in crate::gmail) const SETTINGS_READ: u32 = 1;
    pub(in crate::gmail) const SETTINGS_CHANGE: u32 = 5;
    pub(in crate::gmail) const WATCH: u32 = 100;
    pub(in crate::gmail) const STOP: u32 = 50;
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
    fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Metadata | Self::Mark => "metadata",
            Self::Full | Self::Parts => "full",
        }
    }

    /// The parameters that ask for this much of a message.
    fn write(self, url: &mut Url) {
        let mut query = url.query_pairs_mut();
        query.append_pair("format", self.name());
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
    base: Arc<Url>,
    user: String,
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
        let mut origins = vec![base.clone()];
        if base.as_str() == ENDPOINT
            && let Ok(older) = Url::parse(OLDER_ENDPOINT)
        {
            origins.push(older);
        }
        let origins = Origins::new(&origins, &[])?;
        Ok(Self {
            base: Arc::new(base),
            origins,
        })
    }
}

impl Api {
    /// The mailbox of `user` at the service at `base`.
    pub(super) fn new(connection: &Connection, base: Url, user: String) -> Result<Self> {
        let Place { base, origins } = Place::of(base)?;
        Ok(Self {
            client: connection.client(origins, &quota::ALLOWANCE, super::error::classify),
            base,
            user,
        })
    }

    /// The same mailbox at a service elsewhere.
    pub(super) fn at(mut self, base: Url) -> Result<Self> {
        let Place { base, origins } = Place::of(base)?;
        self.client.origins = origins;
        self.base = base;
        Ok(self)
    }

    /// Another mailbox at the same service.
    pub(super) fn with_user(mut self, user: String) -> Self {
        self.user = user;
        self
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

    /// `POST batch/gmail/v1` (<https://developers.google.com/workspace/gmail/api/guides/batch>).
    pub(super) fn batch(
        &self,
        boundary: &str,
        content: Content,
        cost: Cost,
        replay: Replay,
    ) -> Result<ApiRequest> {
        let mut url = self.base.as_ref().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["batch", "gmail", "v1"]);
        }
        let media_type = header(&format!("multipart/mixed; boundary={boundary}"))?;
        let request = ApiRequest::new("gmail.batch", Method::POST, url, cost, replay);
        Ok(request.with_content(media_type, content))
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
        let mut url = self.base.as_ref().clone();
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
