//! A transport whose answers a test writes by hand, and which remembers what was asked: for shapes that no well-behaved
//! server sends.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::HeaderMap;
use postroom::clock::Clock;
use postroom::credentials::StaticToken;
use postroom::http::{Connection, Transport, TransportError};
use postroom::testing::VirtualClock;
use postroom::{ByteStream, Content};

/// A request as it reached the service.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: url::Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    /// Verb and path.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path())
    }

    /// All values of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Vec<String> {
        let pairs = self.url.query_pairs();
        pairs
            .filter(|(given, _)| given == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What the service does about a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer(Answer),
    /// The connection breaks before an answer comes.
    Lost,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The pieces that the body comes in.
    pub(crate) body: Vec<Bytes>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        })
    }

    pub(crate) fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self::status(status).with_body(vec![body.into()])
    }

    pub(crate) fn json(body: impl fmt::Display) -> Self {
        Self::error(200, body)
    }

    pub(crate) fn error(status: u16, body: impl fmt::Display) -> Self {
        Self::text(status, body.to_string()).with_header("content-type", "application/json")
    }

    pub(crate) fn with_body(self, body: Vec<Bytes>) -> Self {
        match self {
            Self::Answer(answer) => Self::Answer(Answer { body, ..answer }),
            Self::Lost => Self::Lost,
        }
    }

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// The transport. Clones share their script and their memory.
#[derive(Clone)]
pub(crate) struct Scripted {
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Request>>>,
    pub(crate) clock: VirtualClock,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            seen: Arc::default(),
            clock: VirtualClock::eager("2026-11-22T08:00:00Z".parse::<DateTime<Utc>>().unwrap()),
        }
    }

    /// A connection through it, with a token that never ends.
    pub(crate) fn connection(&self) -> Connection {
        let tokens = Arc::new(StaticToken::new("the-token"));
        Connection::new(Arc::new(self.clone()), tokens).with_clock(Arc::new(self.clock.clone()))
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Verb and path of every request.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }

    /// How long has been waited.
    pub(crate) fn waited(&self) -> std::time::Duration {
        self.clock.monotonic()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scripted")
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<http::Response<ByteStream>, TransportError> {
        // As on a network, others get to run meanwhile.
        tokio::task::yield_now().await;
        let (head, content) = request.into_parts();
        let request = Request {
            method: head.method.to_string(),
            url: head.uri.to_string().parse().unwrap(),
            headers: head.headers,
            body: content.to_bytes(64 * 1024 * 1024).await.unwrap(),
        };
        let reply = (self.script)(&request);
        self.seen.lock().unwrap().push(request);
        let Reply::Answer(answer) = reply else {
            return Err(TransportError::unknown("the connection broke"));
        };
        let mut response = http::Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        let body = stream::iter(answer.body.into_iter().map(Ok)).boxed();
        Ok(response.body(body).unwrap())
    }
}

/// A stream read to its end.
pub(crate) async fn read(stream: ByteStream) -> std::io::Result<Vec<u8>> {
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(chunks.concat())
}
