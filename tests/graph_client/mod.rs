//! A client of the emulated Graph that adds nothing of its own: what a test says is what is sent.

#![allow(
    dead_code,
    reason = "each test crate that includes this uses a part of it"
)]

#[path = "../raw_http/mod.rs"]
mod raw_http;

use std::path::PathBuf;

use http::Method;
use postroom::emulator::{Emulator, EmulatorBuilder};
use serde_json::{Value, json};

pub(crate) use raw_http::Answer;
use raw_http::RawHttp;

/// An account of an organisation, and a personal one.
pub(crate) const WORK: &str = "team@outlook.example";
pub(crate) const PERSONAL: &str = "reader@outlook.example";

/// Asks for ids that never change.
pub(crate) const IMMUTABLE: (&str, &str) = ("prefer", "IdType=\"ImmutableId\"");

/// One mailbox at the emulated Graph.
pub(crate) struct Graph {
    pub(crate) emulator: Emulator,
    http: RawHttp,
    pub(crate) token: String,
}

impl Graph {
    pub(crate) async fn start(builder: EmulatorBuilder, address: &str) -> Self {
        let emulator = builder.start().await.unwrap();
        Self {
            token: emulator.access_token(address),
            http: RawHttp::new(),
            emulator,
        }
    }

    /// For requests that are right: they are recorded where the environment asks for it.
    pub(crate) async fn recorded(address: &str) -> Self {
        let directory = std::env::var_os("POSTROOM_RECORD").map(PathBuf::from);
        Self::start(Emulator::builder().record(directory), address).await
    }

    /// For requests that are wrong on purpose.
    pub(crate) async fn unrecorded() -> Self {
        Self::start(Emulator::builder(), WORK).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let base = &self.emulator.microsoft().base_url;
        base.join(&format!("v1.0{path}")).unwrap().into()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        self.http.send(method, url, &all, body).await
    }

    /// Without a token.
    pub(crate) async fn bare(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        self.http.send(method, url, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, &self.url(path), &[], "").await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, &self.url(path), headers, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let kind = ("content-type", "application/json");
        self.send(Method::POST, &self.url(path), &[kind], body.to_string())
            .await
    }

    pub(crate) async fn post_nothing(&self, path: &str) -> Answer {
        let none = ("content-length", "0");
        self.send(Method::POST, &self.url(path), &[none], "").await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        let kind = ("content-type", "application/json");
        self.send(Method::PATCH, &self.url(path), &[kind], body.to_string())
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, &self.url(path), &[], "").await
    }

    pub(crate) async fn batch(&self, requests: Value) -> Answer {
        self.post("/$batch", json!({"requests": requests})).await
    }

    /// Every item of a list, following its links, and the sizes of the pages.
    pub(crate) async fn all(&self, path: &str) -> (Vec<Value>, Vec<usize>) {
        let (mut items, mut sizes) = (Vec::new(), Vec::new());
        let mut next = Some(self.url(path));
        while let Some(url) = next {
            let answer = self.send(Method::GET, &url, &[], "").await;
            assert_eq!(answer.status, 200, "{url}: {}", answer.text());
            let body = answer.json();
            let page = body["value"].as_array().unwrap();
            sizes.push(page.len());
            items.extend(page.iter().cloned());
            next = body["@odata.nextLink"].as_str().map(str::to_owned);
        }
        (items, sizes)
    }

    /// The id of the newest message with this subject, in the whole mailbox.
    pub(crate) async fn id_of(&self, subject: &str) -> String {
        let filter = encoded(&format!("subject eq '{subject}'"));
        let answer = self
            .get(&format!("/me/messages?$select=id&$filter={filter}"))
            .await
            .json();
        answer["value"][0]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no {subject}"))
            .to_owned()
    }
}

/// A query value with everything encoded.
pub(crate) fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// The text of a JSON value.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Subjects of a list.
pub(crate) fn subjects(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| text(&item["subject"])).collect()
}
