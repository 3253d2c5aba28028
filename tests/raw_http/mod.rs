//! A plain HTTP client for tests that look at an emulator as any client in any language would: no
//! redirects followed, nothing added, answers as status, headers and bytes.

#![allow(
    dead_code,
    reason = "each test crate that includes this uses a part of it"
)]

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The vendor's code in an error body of Graph.
    pub(crate) fn error_code(&self) -> String {
        let body = self.json();
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// The client.
#[derive(Clone, Debug)]
pub(crate) struct RawHttp {
    client: reqwest::Client,
}

impl RawHttp {
    pub(crate) fn new() -> Self {
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { client }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await.unwrap();
        let status = response.status();
        let headers = response.headers().clone();
        let body = response.bytes().await.unwrap().to_vec();
        Answer {
            status,
            headers,
            body,
        }
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, &[], "").await
    }

    /// A form, as token endpoints take it.
    pub(crate) async fn form(&self, url: &str, fields: &[(&str, &str)]) -> Answer {
        self.form_with(url, fields, &[]).await
    }

    /// The same with further headers.
    pub(crate) async fn form_with(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send(Method::POST, url, &[&[kind], headers].concat(), form)
            .await
    }
}
