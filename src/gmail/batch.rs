//! Many calls in one request (<https://developers.google.com/workspace/gmail/api/guides/batch>): how one is written and
//! read. What becomes of parts that fail is `http/batch.rs`'s; which calls to make is known by the callers.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use memchr::memmem;

use super::api::{self, Api};
use crate::error::Result;
use crate::http::{Answer, ApiClient, ApiRequest, Batch, Cost, batch_body, batch_replay, protocol};
use crate::mime;
use crate::model::Content;

pub(super) use crate::http::{
    largest_batch as largest, send_and_read_batches as send_and_read, send_batches as send,
};

/// Calls in one batch. A hundred are allowed, but above about twenty-five the service answers some accounts "Too many
/// concurrent requests for user" (<https://github.com/googleapis/google-api-dotnet-client/issues/1982>).
pub(super) const LARGEST: usize = 25;

/// Calls in one batch of an account that has taken all of the others. More than fifty are not advised
/// (<https://developers.google.com/workspace/gmail/api/guides/batch>), and other requests are under way beside it.
const GROWN: usize = 28;

/// Quota units in one batch: as much as 25 messages, for which the service's smooth limit leaves room (see `quota.rs`).
const MOST_UNITS: u32 = 500;

#[async_trait]
impl Batch for Api {
    const LARGEST: usize = LARGEST;
    const GROWN: usize = GROWN;
    const MOST_UNITS: u32 = MOST_UNITS;
    const RUN_AT_ONCE: u32 = 1;

    fn client(&self) -> &ApiClient {
        &self.client
    }

    async fn written(&self, calls: &[ApiRequest], cost: Cost) -> Result<ApiRequest> {
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
        let content = Content::from_bytes(text);
        self.batch(&boundary, content, cost, batch_replay(calls))
    }

    fn parts(answer: &Answer, calls: usize) -> Result<Vec<Option<Answer>>> {
        let mut parts = parts(answer, calls)?;
        Ok((0..calls).map(|number| parts.remove(&number)).collect())
    }
}

/// The parts of an answer by the number that their `Content-ID` gives back; they may come in any order. Where no part has
/// one, their order counts, if there is a part for each call. Nothing is copied: an answer of 25 messages can be long.
fn parts(answer: &Answer, calls: usize) -> Result<HashMap<usize, Answer>> {
    let media_type = answer.header("content-type").unwrap_or_default();
    let boundary =
        boundary(media_type).ok_or_else(|| protocol("the answer to a batch is no multipart"))?;
    let mut parts = HashMap::new();
    let mut in_order = Vec::new();
    let mut is_numbered = false;
    for part in split(&answer.body, &boundary) {
        let mut lines = [httparse::EMPTY_HEADER; 16];
        let Ok(httparse::Status::Complete((head, lines))) =
            httparse::parse_headers(&part, &mut lines)
        else {
            in_order.push(None);
            continue;
        };
        let id = lines
            .iter()
            .find(|line| line.name.eq_ignore_ascii_case("content-id"))
            .and_then(|line| std::str::from_utf8(line.value).ok());
        let inner = inner(&part.slice(head..), answer);
        is_numbered |= id.is_some();
        if let Some(number) = id.and_then(number) {
            parts.extend(inner.map(|inner| (number, inner)));
        } else {
            in_order.push(inner);
        }
    }
    // One that cannot be read has its place too, or those after it would be taken for one another.
    if !is_numbered && in_order.len() == calls {
        let in_order = in_order.into_iter().enumerate();
        parts.extend(in_order.filter_map(|(number, part)| Some((number, part?))));
    }
    Ok(parts)
}

/// The boundary that a media type of several parts names (RFC 2046 §5.1.1).
fn boundary(media_type: &str) -> Option<String> {
    let kind = media_type.trim_start().get(.."multipart/".len())?;
    if !kind.eq_ignore_ascii_case("multipart/") {
        return None;
    }
    mime::parameter(media_type, "boundary").filter(|boundary| !boundary.is_empty())
}

/// What stands between the lines of a boundary. What follows the last such line was cut off, or is no part.
fn split(body: &Bytes, boundary: &str) -> Vec<Bytes> {
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut start = None;
    for at in memmem::find_iter(body, mark.as_bytes()) {
        let before = body.get(..at).unwrap_or_default();
        let after = body.get(at + mark.len()..).unwrap_or_default();
        let begins_line = before.last().is_none_or(|byte| *byte == b'\n');
        // A longer boundary that begins alike is another one.
        let ends = after.first().is_none_or(|byte| b"\r\n \t-".contains(byte));
        if !begins_line || !ends {
            continue;
        }
        if let Some(start) = start {
            let part = before.strip_suffix(b"\n").unwrap_or(before);
            let part = part.strip_suffix(b"\r").unwrap_or(part);
            parts.push(body.slice(usize::min(start, part.len())..part.len()));
        }
        if after.starts_with(b"--") {
            break;
        }
        let Some(line) = after.iter().position(|byte| *byte == b'\n') else {
            break;
        };
        start = Some(at + mark.len() + line + 1);
    }
    parts
}

/// The number in `response-i7`.
fn number(content_id: &str) -> Option<usize> {
    let id = content_id.trim().trim_matches(['<', '>']);
    let id = id.strip_prefix("response-").unwrap_or(id);
    id.strip_prefix('i')?.parse().ok()
}

/// The HTTP answer within a part.
fn inner(part: &Bytes, outer: &Answer) -> Option<Answer> {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut lines);
    if let httparse::Status::Complete(body) = head.parse(part).ok()? {
        return answer(&head, part.slice(body..), outer);
    }
    // An answer without a body may end without the blank line that ends its head.
    let ended = [part.as_ref(), b"\r\n\r\n"].concat();
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut lines);
    head.parse(&ended).ok()?.is_complete().then_some(())?;
    answer(&head, Bytes::new(), outer)
}

fn answer(head: &httparse::Response<'_, '_>, body: Bytes, outer: &Answer) -> Option<Answer> {
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
        body,
    })
}
