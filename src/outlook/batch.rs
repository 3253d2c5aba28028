//! Many calls in one request (<https://learn.microsoft.com/graph/json-batching>): how one is written and read. What
//! becomes of parts that fail is `http/batch.rs`'s; which calls to make is known by the callers.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::DATE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::api::{Api, BATCH, BATCH_CONCURRENCY};
use super::wire;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{
    Answer, ApiClient, ApiRequest, Batch, Cost, batch_body, batch_replay, parse, protocol,
};

pub(super) use crate::http::{send_and_read_batches as send_and_read, send_batches as send};

/// Calls in one batch: more are refused.
pub(super) const LARGEST: usize = 20;

/// Parts are numbered: ids of messages differ in case only, and those of parts are compared without it
/// (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/4449>).
#[async_trait]
impl Batch for Api {
    const LARGEST: usize = LARGEST;
    const GROWN: usize = LARGEST;
    const MOST_UNITS: u32 = u32::MAX;
    const RUN_AT_ONCE: u32 = BATCH_CONCURRENCY;

    fn client(&self) -> &ApiClient {
        &self.client
    }

    async fn written(&self, calls: &[ApiRequest], cost: Cost) -> Result<ApiRequest> {
        let mut requests = Vec::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            requests.push(wire::BatchRequest {
                id: index.to_string(),
                method: call.method.as_str(),
                url: self.target(&call.url),
                headers: headers(call),
                body: body(call).await?,
            });
        }
        let batch = wire::Batch { requests };
        self.batch(&batch, cost, batch_replay(calls))
    }

    fn parts(answer: &Answer, calls: usize) -> Result<Vec<Option<Answer>>> {
        let read: wire::BatchAnswer = parse(BATCH, &answer.body)?;
        let responses = read
            .responses
            .ok_or_else(|| protocol("the answer to a batch has no parts"))?;
        let date = answer.headers.get(DATE);
        let responses = responses.into_iter().flatten();
        let mut parts: HashMap<String, Answer> =
            responses.filter_map(|part| read_part(part, date)).collect();
        let numbers = 0..calls;
        Ok(numbers
            .map(|index| parts.remove(&index.to_string()))
            .collect())
    }
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
    let bytes = batch_body(call).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Error::new(ErrorKind::Content, "what is to be sent is not JSON").with_source(error)
    })
}

/// The number and the answer of a part. It has no clock of its own, and was answered at this date.
fn read_part(
    response: wire::BatchResponse,
    date: Option<&HeaderValue>,
) -> Option<(String, Answer)> {
    let mut headers = HeaderMap::new();
    if let Some(date) = date {
        headers.insert(DATE, date.clone());
    }
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
