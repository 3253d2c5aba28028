//! What services post to: a server on a free port that notes what comes, and answers as the test says.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a failure in a test is a panic"
)]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use url::Url;

/// Something that was posted.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Posted {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The token that Graph wants to be repeated, if it asks.
    pub(crate) fn validation(&self) -> Option<String> {
        let query = self.query.as_deref().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(name, _)| name == "validationToken")
            .map(|(_, token)| token.into_owned())
    }
}

/// Status, media type and body.
pub(crate) type Answer = (u16, &'static str, String);

/// It listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: Url,
    posts: mpsc::UnboundedReceiver<Posted>,
    server: AbortHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// As a host should answer.
pub(crate) fn properly(posted: &Posted) -> Answer {
    match posted.validation() {
        Some(token) => (200, "text/plain", token),
        None => (202, "text/plain", String::new()),
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::answering(properly).await
    }

    pub(crate) async fn answering(
        answer: impl Fn(&Posted) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, posts) = mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        let router = Router::new().fallback(move |request: Request| {
            let (sender, answer) = (sender.clone(), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let posted = Posted {
                    method: parts.method,
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().map(str::to_owned),
                    headers: parts.headers,
                    body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
                };
                let (status, kind, body) = answer(&posted);
                // A test that has ended wants to know nothing any more.
                let _ = sender.send(posted);
                Response::builder()
                    .status(status)
                    .header("content-type", kind)
                    .body(Body::from(body))
                    .unwrap()
            }
        });
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            url: url.parse().unwrap(),
            posts,
            server: server.abort_handle(),
        }
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// What comes next, whenever that is.
    pub(crate) async fn next(&mut self) -> Posted {
        self.posts.recv().await.unwrap()
    }

    /// What has come and was not looked at.
    pub(crate) fn all(&mut self) -> Vec<Posted> {
        std::iter::from_fn(|| self.posts.try_recv().ok()).collect()
    }

    /// The same without the questions whether it wants to be told.
    pub(crate) fn told(&mut self) -> Vec<Posted> {
        let all = self.all().into_iter();
        all.filter(|posted| posted.validation().is_none()).collect()
    }
}
