//! A client for tests that look at the emulated Gmail from the outside: HTTP/1.1 over a bare socket, so
//! that a test can send what no proper client would, and see a connection that is closed.

#![allow(
    dead_code,
    reason = "each test crate that includes this uses a part of it"
)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use chrono::{DateTime, Utc};
use postroom::clock::Clock;
use postroom::emulator::Emulator;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const READER: &str = "reader@gmail.example";
pub(crate) const TEAM: &str = "team@gmail.example";
pub(crate) const OUTLOOK: &str = "reader@outlook.example";

/// A user's mailbox, reached over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Gmail {
    authority: String,
    pub(crate) token: String,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Gmail {
    pub(crate) fn new(emulator: &Emulator, address: &str) -> Self {
        Self::with_token(emulator, emulator.access_token(address))
    }

    pub(crate) fn with_token(emulator: &Emulator, token: String) -> Self {
        let url = &emulator.google().base_url;
        Self {
            authority: format!("127.0.0.1:{}", url.port().unwrap()),
            token,
        }
    }

    /// A request below `/gmail/v1/users/me`, with a JSON body or an empty one.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let path = format!("/gmail/v1/users/me{path}");
        match body {
            Some(body) => {
                let kind = ("Content-Type", "application/json");
                self.send(method, &path, &[kind], body.to_string().as_bytes())
                    .await
            }
            None => self.send(method, &path, &[], b"").await,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    /// A GET that succeeds, as JSON.
    pub(crate) async fn read(&self, path: &str) -> Value {
        self.get(path).await.ok()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    /// A request with the user's token and a right length.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let authorization = format!("Bearer {}", self.token);
        let length = body.len().to_string();
        let mut all = vec![("Authorization", authorization.as_str())];
        if method != "GET" && method != "DELETE" || !body.is_empty() {
            all.push(("Content-Length", &length));
        }
        all.extend_from_slice(headers);
        self.exchange(method, target, &all, body)
            .await
            .expect("an answer")
    }

    /// Exactly this request. Nothing comes back if the connection is closed before an answer.
    pub(crate) async fn exchange(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.authority).await.unwrap();
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.authority
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        stream.write_all(&request).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is reset ends the answer as one that is closed does.
        let _ = stream.read_to_end(&mut answer).await;
        Answer::read(&answer)
    }

    /// The id of the one message that a search finds.
    pub(crate) async fn find(&self, query: &str) -> String {
        let found = self.search(query).await;
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        found.into_iter().next().unwrap()
    }

    /// The ids of all messages that a search finds, newest first.
    pub(crate) async fn search(&self, query: &str) -> Vec<String> {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let list = self
            .read(&format!("/messages?maxResults=500&q={query}"))
            .await;
        let messages = list["messages"].as_array().cloned().unwrap_or_default();
        messages
            .iter()
            .map(|message| message["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Some(Self {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of a success.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// Status, reason and message of a refusal in Google's JSON.
    pub(crate) fn refusal(&self) -> (u16, String, String) {
        let body = self.json();
        let error = &body["error"];
        assert_eq!(error["code"], self.status);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            self.status,
            text(&error["errors"][0]["reason"]),
            text(&error["message"]),
        )
    }

    /// Asserts a refusal with this status and reason, and this text in its message.
    pub(crate) fn assert_refused(&self, status: u16, reason: &str, message: &str) {
        let refusal = self.refusal();
        assert_eq!(
            (refusal.0, refusal.1.as_str()),
            (status, reason),
            "{refusal:?}"
        );
        assert!(refusal.2.contains(message), "{refusal:?}");
    }
}

/// A message as `raw` wants it.
pub(crate) fn raw(message: &str) -> Value {
    json!({ "raw": URL_SAFE.encode(message) })
}

/// A short message.
pub(crate) fn mail(from: &str, to: &str, subject: &str) -> String {
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Fri, 20 Nov 2026 09:30:00 +0000\r\n\
         Message-ID: <{}@shop.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nText of {subject}.\r\n",
        subject.replace(' ', "-")
    )
}

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
pub(crate) struct HandClock {
    began: DateTime<Utc>,
    passed: Mutex<Duration>,
}

impl HandClock {
    pub(crate) fn new() -> Self {
        Self {
            began: "2026-11-22T12:00:00Z".parse().unwrap(),
            passed: Mutex::default(),
        }
    }

    pub(crate) fn advance(&self, duration: Duration) {
        *self.passed.lock().unwrap() += duration;
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        self.began + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.passed.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}
