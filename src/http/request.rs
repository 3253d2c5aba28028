//! A request before it is sent: what to send, and the three facts that the loop needs to treat it right: its cost,
//! whether it may be repeated, and (from the client that sends it) its lane.

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::model::{Content, Spent};

/// What a request costs at the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Cost {
    /// Quota units, where the service counts them: Gmail
    /// (<https://developers.google.com/workspace/gmail/api/reference/quota>).
    pub units: u32,
    /// Requests, where the service counts those: each part of a batch is one.
    pub requests: u32,
    /// How many of them run at the same time.
    pub at_once: u32,
}

impl Cost {
    /// One request of so many units.
    #[must_use]
    pub const fn units(units: u32) -> Self {
        Self {
            units,
            requests: 1,
            at_once: 1,
        }
    }

    /// So many requests one after the other, for a service that counts requests only.
    #[must_use]
    pub const fn requests(requests: u32) -> Self {
        Self {
            units: 0,
            requests,
            at_once: 1,
        }
    }

    /// The same as something spent.
    pub(super) fn spent(self) -> Spent {
        Spent::new(u64::from(self.units), u64::from(self.requests))
    }

    /// So many of them run at the same time.
    #[must_use]
    pub const fn with_at_once(mut self, at_once: u32) -> Self {
        self.at_once = at_once;
        self
    }
}

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Replay {
    /// It changes nothing.
    Read,
    /// Doing it twice is the same as doing it once.
    Idempotent,
    /// It must not happen twice. It is repeated only if the service certainly did nothing.
    Once,
}

/// How many bytes of an answer are read unless the request says otherwise. Well above the largest page that is asked
/// for, well below what would hurt a host.
const ANSWER_LIMIT: usize = 48 * 1024 * 1024;

/// One request to a service.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest {
    /// Names it in errors and spans, such as `gmail.messages.get`.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    pub(crate) cost: Cost,
    pub(crate) replay: Replay,
    /// Whether it carries the account's token. Upload sessions are authorized by their address alone.
    pub(crate) authorize: bool,
    /// A status other than 2xx that is an answer and not an error.
    pub(crate) also_accept: Option<u16>,
    /// How many bytes of an answer are read at most.
    pub(crate) answer_limit: usize,
    /// Whether it is a batch: the parts of its answer say how the service is, and they run at the same time.
    pub(crate) in_parts: bool,
}

impl ApiRequest {
    pub(crate) fn new(
        operation: &'static str,
        method: Method,
        url: Url,
        cost: Cost,
        replay: Replay,
    ) -> Self {
        Self {
            operation,
            method,
            url,
            headers: HeaderMap::new(),
            content: Content::empty(),
            cost,
            replay,
            authorize: true,
            also_accept: None,
            answer_limit: ANSWER_LIMIT,
            in_parts: false,
        }
    }

    /// A request that changes nothing.
    pub(crate) fn read(operation: &'static str, url: Url, cost: Cost) -> Self {
        Self::new(operation, Method::GET, url, cost, Replay::Read)
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn with_content(
        mut self,
        media_type: HeaderValue,
        content: impl Into<Content>,
    ) -> Self {
        self.headers.insert(CONTENT_TYPE, media_type);
        self.content = content.into();
        self
    }

    /// Sends `value` as JSON. What the crate serializes always can be: wire types hold text, numbers and lists.
    pub(crate) fn with_json(self, value: &impl serde::Serialize) -> Self {
        let json = serde_json::to_vec(value).unwrap_or_default();
        self.with_content(HeaderValue::from_static("application/json"), json)
    }

    /// Sends no token along.
    pub(crate) fn unauthorized(mut self) -> Self {
        self.authorize = false;
        self
    }

    pub(crate) fn also_accepting(mut self, status: u16) -> Self {
        self.also_accept = Some(status);
        self
    }

    /// It is a batch.
    pub(crate) fn in_parts(mut self) -> Self {
        self.in_parts = true;
        self
    }

    pub(crate) fn with_answer_limit(mut self, bytes: usize) -> Self {
        self.answer_limit = bytes;
        self
    }
}
