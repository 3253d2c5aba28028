//! Many calls in one request (<https://developers.google.com/workspace/gmail/api/guides/batch>): how one is written and
//! read. What becomes of parts that fail is `http/batch.rs`'s; which calls to make is known by the callers.

use std::collections::HashMap;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mail_parser::{MessageParser, MimeHeaders, PartType};

use super::api::{self, Api};
use crate::error::Result;
use crate::http::{
    Answer, ApiClient, ApiRequest, Batch, Cost, batch_body, batch_replay, protocol,
    send_and_read_batches, send_batches,
};
use crate::model::Content;

/// Calls in one batch. A hundred are allowed and fifty advised, but above about twenty-five the service answers "Too many
/// concurrent requests for user" (<https://github.com/googleapis/google-api-dotnet-client/issues/1982>).
const LARGEST: usize = 25;

/// Quota units in one batch: as much as 25 messages, for which the service's smooth limit leaves room (see `quota.rs`).
const MOST_UNITS: u32 = 500;

/// Makes all the calls: one answer each, in order.
pub(super) async fn send(api: &Api, calls: Vec<Result<ApiRequest>>) -> Vec<Result<Answer>> {
    send_batches(api, calls).await
}

/// The same with each answer read as soon as it is there.
pub(super) async fn send_and_read<T: Send>(
    api: &Api,
    calls: Vec<Result<ApiRequest>>,
    read: impl Fn(usize, Result<Answer>) -> T + Send + Sync,
) -> Vec<T> {
    send_and_read_batches(api, calls, read).await
}

#[async_trait]
impl Batch for Api {
    const LARGEST: usize = LARGEST;
    const MOST_UNITS: u32 = MOST_UNITS;

    fn client(&self) -> &ApiClient {
        &self.client
    }

    async fn once(&self, calls: &[ApiRequest]) -> Result<Vec<Option<Answer>>> {
        let boundary = api::boundary()?;
        let mut text = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            let head = format!(
                "--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <i{index}>\r\n\r\n{} {} HTTP/1.1\r\n",
                call.method,
                self.target(&call.url)
            );
            text.extend_from_slice(head.as_bytes());
            for (name, value) in &call.headers {
                text.extend_from_slice(format!("{name}: ").as_bytes());
                text.extend_from_slice(value.as_bytes());
                text.extend_from_slice(b"\r\n");
            }
            let body = batch_body(call).await?;
            if !body.is_empty() {
                text.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
            }
            text.extend_from_slice(b"\r\n");
            text.extend_from_slice(&body);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let cost = Cost::units(calls.iter().map(|call| call.cost.units).sum());
        let content = Content::from_bytes(text);
        let answer = self
            .batch(&boundary, content, cost, batch_replay(calls))
            .await?;
        let mut parts = parts(&answer)?;
        Ok((0..calls.len()).map(|index| parts.remove(&index)).collect())
    }
}

/// The parts of an answer by the number that their `Content-ID` gives back; they may come in any order. Where no part has
/// one, their order counts.
fn parts(answer: &Answer) -> Result<HashMap<usize, Answer>> {
    let media_type = answer.header("content-type").unwrap_or_default();
    if !media_type.to_ascii_lowercase().starts_with("multipart/") {
        return Err(protocol("the answer to a batch is no multipart"));
    }
    let mut text = format!("Content-Type: {media_type}\r\n\r\n").into_bytes();
    text.extend_from_slice(&answer.body);
    let parsed = MessageParser::new()
        .parse(&text)
        .ok_or_else(|| protocol("the answer to a batch cannot be read"))?;
    let root = parsed.parts.first().map(|root| &root.body);
    let Some(PartType::Multipart(children)) = root else {
        return Err(protocol("the answer to a batch has no parts"));
    };
    let mut parts = HashMap::new();
    let mut unnumbered = Vec::new();
    for child in children {
        let Some(part) = usize::try_from(*child)
            .ok()
            .and_then(|child| parsed.parts.get(child))
        else {
            continue;
        };
        let Some(inner) = inner(part.contents(), answer) else {
            continue;
        };
        match part.content_id().and_then(number) {
            Some(number) => _ = parts.insert(number, inner),
            None => unnumbered.push(inner),
        }
    }
    if parts.is_empty() {
        parts.extend(unnumbered.into_iter().enumerate());
    }
    Ok(parts)
}

/// The number in `response-i7`.
fn number(content_id: &str) -> Option<usize> {
    let id = content_id.trim_matches(['<', '>']);
    let id = id.strip_prefix("response-").unwrap_or(id);
    id.strip_prefix('i')?.parse().ok()
}

/// The HTTP answer within a part.
fn inner(bytes: &[u8], outer: &Answer) -> Option<Answer> {
    // An answer without a body may end without the blank line that ends its head.
    let mut text = bytes.to_vec();
    text.extend_from_slice(b"\r\n\r\n");
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(body) = head.parse(&text).ok()? else {
        return None;
    };
    let status = StatusCode::from_u16(head.code?).ok()?;
    // A part has no clock of its own.
    let mut headers = HeaderMap::new();
    if let Some(date) = outer.headers.get(http::header::DATE) {
        headers.insert(http::header::DATE, date.clone());
    }
    for line in head.headers.iter() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(line.name.as_bytes()),
            HeaderValue::from_bytes(line.value),
        ) {
            headers.insert(name, value);
        }
    }
    Some(Answer {
        status,
        headers,
        body: bytes.get(body..).unwrap_or_default().to_vec().into(),
    })
}
