//! Many calls in one request (<https://developers.google.com/workspace/gmail/api/guides/batch>). Parts fail one by one;
//! only those that failed for a while are sent again. Which calls to make is known by the callers.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mail_parser::{MessageParser, MimeHeaders, PartType};

use super::api::{self, Api};
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::http::{Answer, ApiRequest, Cost, Replay, protocol};
use crate::model::Content;

/// Calls in one batch. A hundred are allowed and fifty advised, but above about twenty-five the service answers "Too many
/// concurrent requests for user" (<https://github.com/googleapis/google-api-dotnet-client/issues/1982>).
const LARGEST: usize = 25;

/// What a call may say at most: its body is a list of labels.
const LARGEST_BODY: u64 = 1024 * 1024;

/// Makes all the calls, which must not be of the kind that happens once: one answer each, in order. A call that could not
/// even be described keeps its error.
pub(super) async fn send(api: &Api, calls: Vec<Result<ApiRequest>>) -> Vec<Result<Answer>> {
    let mut results: HashMap<usize, Result<Answer>> = HashMap::with_capacity(calls.len());
    let count = calls.len();
    let mut open = Vec::with_capacity(count);
    for (place, call) in calls.into_iter().enumerate() {
        match call {
            Ok(call) => open.push((place, call)),
            Err(error) => _ = results.insert(place, Err(error)),
        }
    }
    while !open.is_empty() {
        let rest = open.split_off(open.len().min(LARGEST));
        rounds(api, open, &mut results).await;
        open = rest;
    }
    (0..count)
        .map(|place| results.remove(&place).unwrap_or_else(|| Err(unanswered())))
        .collect()
}

type Call = (usize, ApiRequest);

/// One batch, and again those of its parts that failed for a while, until none is left or patience ends.
async fn rounds(api: &Api, mut open: Vec<Call>, results: &mut HashMap<usize, Result<Answer>>) {
    let mut attempt = 1;
    let mut token_renewed = false;
    loop {
        // The loop for single requests knows all there is to know about failures.
        if let [(place, call)] = open.as_slice() {
            results.insert(*place, api.client.answer(call.clone()).await);
            return;
        }
        let parts = match once(api, &open).await {
            Ok(parts) => parts,
            // A batch that cannot be read may be one part's fault: an answer too long, or broken.
            Err(error) if error.kind() == ErrorKind::Protocol => {
                for (place, call) in open {
                    results.insert(place, api.client.answer(call).await);
                }
                return;
            }
            Err(error) => {
                for (place, _) in open {
                    results.insert(place, Err(error.clone()));
                }
                return;
            }
        };
        let mut again = Vec::new();
        let mut refused = Vec::new();
        for ((place, call), part) in open.into_iter().zip(parts) {
            let operation = call.operation;
            match part {
                Err(error) if error.status() == Some(401) && !token_renewed => {
                    refused.push((place, call));
                }
                Err(error) if error.is_transient() => {
                    again.push(((place, call), error.with_operation(operation)));
                }
                part => {
                    let part = part.map_err(|error| error.with_operation(operation));
                    results.insert(place, part);
                }
            }
        }
        // One call alone makes the client renew the token, once; the others then have the new one.
        if !refused.is_empty() {
            token_renewed = true;
            let (place, call) = refused.swap_remove(0);
            results.insert(place, api.client.answer(call).await);
        }
        let longest = again
            .iter()
            .map(|(_, error)| error)
            .max_by_key(|error| error.retry_after());
        if let Some(error) = longest {
            // Every call in a batch is a read or can be repeated, whatever became of it.
            if !api
                .client
                .wait_to_repeat(error, Replay::Idempotent, attempt)
                .await
            {
                for ((place, _), error) in again {
                    results.insert(place, Err(error));
                }
                again = Vec::new();
            }
            attempt += 1;
        }
        open = again
            .into_iter()
            .map(|(call, _)| call)
            .chain(refused)
            .collect();
        if open.is_empty() {
            return;
        }
    }
}

/// One batch request: one answer for each call, in order.
async fn once(api: &Api, calls: &[Call]) -> Result<Vec<Result<Answer>>> {
    let boundary = api::boundary()?;
    let mut text = Vec::new();
    let mut units = 0;
    let mut replay = Replay::Read;
    for (index, (_, call)) in calls.iter().enumerate() {
        units += call.cost.units;
        if call.replay != Replay::Read {
            replay = Replay::Idempotent;
        }
        let body = call.content.to_bytes(LARGEST_BODY).await.map_err(|error| {
            Error::new(ErrorKind::Content, "what is to be sent could not be read")
                .with_source(error)
        })?;
        let target = api.target(&call.url);
        text.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <i{index}>\r\n\r\n{} {target} HTTP/1.1\r\n",
                call.method
            )
            .as_bytes(),
        );
        for (name, value) in &call.headers {
            text.extend_from_slice(format!("{name}: ").as_bytes());
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        if !body.is_empty() {
            text.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(&body);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let cost = Cost::units(units);
    let answer = api
        .batch(&boundary, Content::from_bytes(text), cost, replay)
        .await?;
    let mut parts = parts(&answer)?;
    Ok((0..calls.len())
        .map(|index| match parts.remove(&index) {
            Some(part) if part.status.is_success() => Ok(part),
            Some(part) => Err(api.client.error(&part)),
            None => Err(unanswered()),
        })
        .collect())
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

/// A part that did not come back. It may well have been done.
fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the service did not answer this part of a batch",
    )
    .with_delivery(Delivery::Unknown)
}
