//! Many calls in one request (<https://learn.microsoft.com/graph/json-batching>). Parts fail one by one; only those that
//! failed for a while are sent again. Which calls to make is known by the callers.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::api::Api;
use super::wire;
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::http::{Answer, ApiRequest, Replay, protocol};

/// Calls in one batch: more are refused.
const LARGEST: usize = 20;

/// What a call may say at most: its body is a change of a few properties.
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
            let replay = Replay::Idempotent;
            if !api.client.wait_to_repeat(error, replay, attempt).await {
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

/// One batch request: one answer for each call, in order. Parts are numbered: ids of messages differ in case only, and
/// those of parts are compared without it (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/4449>).
async fn once(api: &Api, calls: &[Call]) -> Result<Vec<Result<Answer>>> {
    let mut bodies = Vec::with_capacity(calls.len());
    for (_, call) in calls {
        bodies.push(body(call).await?);
    }
    let mut replay = Replay::Read;
    let requests = calls
        .iter()
        .zip(bodies)
        .enumerate()
        .map(|(index, ((_, call), body))| {
            if call.replay != Replay::Read {
                replay = Replay::Idempotent;
            }
            wire::BatchRequest {
                id: index.to_string(),
                method: call.method.as_str(),
                url: api.target(&call.url),
                headers: headers(call),
                body,
            }
        })
        .collect();
    let answer = api.batch(&wire::Batch { requests }, replay).await?;
    let responses = answer
        .responses
        .ok_or_else(|| protocol("the answer to a batch has no parts"))?;
    let mut parts: HashMap<String, Answer> =
        responses.into_iter().flatten().filter_map(part).collect();
    Ok((0..calls.len())
        .map(|index| match parts.remove(&index.to_string()) {
            Some(part) if part.status.is_success() => Ok(part),
            Some(part) => Err(api.client.error(&part)),
            None => Err(unanswered()),
        })
        .collect())
}

/// The headers of a part. The ids asked for are of the kind that the part names, not the batch
/// (<https://github.com/microsoftgraph/msgraph-sdk-dotnet/issues/680>).
fn headers(call: &ApiRequest) -> BTreeMap<&str, &str> {
    call.headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect()
}

async fn body(call: &ApiRequest) -> Result<Option<Box<RawValue>>> {
    if call.content.is_empty() {
        return Ok(None);
    }
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Content, "what is to be sent could not be read").with_source(error)
    };
    let bytes = call.content.to_bytes(LARGEST_BODY).await;
    let bytes = bytes.map_err(|error| unusable(error.into()))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| unusable(error.into()))
}

/// The number and the answer of a part.
fn part(response: wire::BatchResponse) -> Option<(String, Answer)> {
    let mut headers = HeaderMap::new();
    for (name, value) in response.headers.unwrap_or_default() {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(&value),
        ) {
            headers.insert(name, value);
        }
    }
    let body = response.body.map_or_else(Bytes::new, |body| {
        Bytes::from(body.get().as_bytes().to_vec())
    });
    let answer = Answer {
        status: StatusCode::from_u16(response.status?).ok()?,
        headers,
        body,
    };
    Some((response.id?, answer))
}

/// A part that did not come back. It may well have been done.
fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the service did not answer this part of a batch",
    )
    .with_delivery(Delivery::Unknown)
}
