//! What came in and what went out: a log in memory for tests, and, where asked for, a file that holds
//! every request to the mail APIs with its answer, one JSON object a line. No tokens, no secrets.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// One request, without what it must keep to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestLogEntry {
    /// Such as `GET`.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent, if there was one; nothing of sign-in pages.
    pub query: Option<String>,
    /// The answer's status; 0 if the connection was closed instead.
    pub status: u16,
    /// Whether it came with an `Authorization` header.
    pub had_authorization: bool,
    /// The protocol it came by, such as `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
}

/// An emulator may run for days: of more requests than these, the oldest are forgotten.
const MAXIMUM_ENTRIES: usize = 100_000;

/// The log and the file.
#[derive(Debug)]
pub(crate) struct Record {
    entries: Mutex<VecDeque<RequestLogEntry>>,
    file: Option<Mutex<File>>,
}

/// A request while it is being answered.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) parts: http::request::Parts,
    pub(crate) body: Bytes,
}

impl Record {
    /// With a directory, a new file in it that no other emulator writes to.
    pub(crate) fn new(directory: Option<&Path>) -> io::Result<Self> {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let file = match directory {
            Some(directory) => {
                std::fs::create_dir_all(directory)?;
                let count = STARTED.fetch_add(1, Ordering::Relaxed);
                let name = format!("{}-{count}.jsonl", std::process::id());
                Some(Mutex::new(File::create(directory.join(name))?))
            }
            None => None,
        };
        Ok(Self {
            entries: Mutex::default(),
            file,
        })
    }

    pub(crate) fn entries(&self) -> Vec<RequestLogEntry> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// Notes a request and what became of it; no answer means that the connection was closed.
    pub(crate) fn note(&self, exchange: &Exchange, answer: Option<(u16, &[u8])>) {
        let uri = &exchange.parts.uri;
        let is_sign_in = is_sign_in(uri.path());
        let status = answer.map_or(0, |(status, _)| status);
        let entry = RequestLogEntry {
            method: exchange.parts.method.to_string(),
            path: uri.path().to_owned(),
            query: uri.query().filter(|_| !is_sign_in).map(without_token),
            status,
            had_authorization: exchange
                .parts
                .headers
                .contains_key(http::header::AUTHORIZATION),
            protocol: format!("{:?}", exchange.parts.version),
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAXIMUM_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(entry);
        drop(entries);
        if is_sign_in {
            return;
        }
        if let (Some(file), Some((status, answer))) = (&self.file, answer) {
            let line = line(exchange, status, answer).to_string();
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = writeln!(file, "{line}") {
                tracing::warn!(%error, "a request could not be recorded");
            }
        }
    }
}

fn line(exchange: &Exchange, status: u16, answer: &[u8]) -> Value {
    let mut headers = Map::new();
    for (name, value) in &exchange.parts.headers {
        let value = if name == http::header::AUTHORIZATION {
            "Bearer x".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        headers.insert(name.to_string(), json!(value));
    }
    let (body, body_encoding) = match std::str::from_utf8(&exchange.body) {
        Ok("") => (Value::Null, "utf8"),
        Ok(text) => (json!(text), "utf8"),
        Err(_) => (json!(STANDARD.encode(&exchange.body)), "base64"),
    };
    let uri = &exchange.parts.uri;
    let mut line = json!({
        "method": exchange.parts.method.as_str(),
        "path": uri.path(),
        "query": uri.query().map(without_token).unwrap_or_default(),
        "headers": headers,
        "body": body,
        "body_encoding": body_encoding,
        "status": status,
    });
    if !answer.is_empty() {
        let response = serde_json::from_slice(answer)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(answer)));
        if let Some(line) = line.as_object_mut() {
            line.insert("response".to_owned(), response);
        }
    }
    line
}

/// Pages and endpoints whose parameters are secret, and which no description of a mail API covers.
fn is_sign_in(path: &str) -> bool {
    path.contains("/oauth2/")
        || path.contains("/.well-known/")
        || path.contains("/sign-in")
        || matches!(path, "/token" | "/revoke")
}

/// The query without the value of a token that should not have been there.
fn without_token(query: &str) -> String {
    query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name @ ("access_token" | "oauth_token"), _)) => format!("{name}=x"),
            _ => pair.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("&")
}
