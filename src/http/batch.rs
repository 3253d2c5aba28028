//! Many calls in one request, whose parts fail one by one: those that failed for a while are sent again, the others are
//! not. How a batch is written and read is each provider's; which calls to make is known by its callers.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::client::{Answer, ApiClient};
use super::request::{ApiRequest, Replay};
use crate::error::{Delivery, Error, ErrorKind, Result};

/// What a call may say at most: its body is a change of a few properties.
const LARGEST_BODY: u64 = 1024 * 1024;

/// A service that takes batches.
#[async_trait]
pub(crate) trait Batch: Sync {
    /// Calls in one batch.
    const LARGEST: usize;

    /// What sends the calls that are left alone.
    fn client(&self) -> &ApiClient;

    /// One batch request: the answer to each call, in order, whatever its status; none where it did not come back.
    async fn once(&self, calls: &[ApiRequest]) -> Result<Vec<Option<Answer>>>;
}

/// Makes all the calls, which must not be of the kind that happens once: one answer each, in order. A call that could not
/// even be described keeps its error.
pub(crate) async fn send(
    service: &impl Batch,
    calls: Vec<Result<ApiRequest>>,
) -> Vec<Result<Answer>> {
    let mut results = Results::with_capacity(calls.len());
    let count = calls.len();
    let mut open = Vec::with_capacity(count);
    for (place, call) in calls.into_iter().enumerate() {
        match call {
            Ok(call) => open.push((place, call)),
            Err(error) => _ = results.insert(place, Err(error)),
        }
    }
    while !open.is_empty() {
        let rest = open.split_off(open.len().min(largest(service)));
        rounds(service, open, &mut results).await;
        open = rest;
    }
    (0..count)
        .map(|place| results.remove(&place).unwrap_or_else(|| Err(unanswered())))
        .collect()
}

/// The bytes of a call's body.
pub(crate) async fn body(call: &ApiRequest) -> Result<Bytes> {
    call.content.to_bytes(LARGEST_BODY).await.map_err(|error| {
        Error::new(ErrorKind::Content, "what is to be sent could not be read").with_source(error)
    })
}

/// Whether the calls together may be sent again.
pub(crate) fn replay(calls: &[ApiRequest]) -> Replay {
    if calls.iter().all(|call| call.replay == Replay::Read) {
        Replay::Read
    } else {
        Replay::Idempotent
    }
}

fn largest<B: Batch>(_: &B) -> usize {
    B::LARGEST
}

type Results = HashMap<usize, Result<Answer>>;

/// One batch, and again those of its parts that failed for a while, until none is left or patience ends.
async fn rounds(service: &impl Batch, mut open: Vec<(usize, ApiRequest)>, results: &mut Results) {
    let client = service.client();
    let mut attempt = 1;
    let mut token_renewed = false;
    loop {
        // The loop for single requests knows all there is to know about failures.
        if let [(place, call)] = open.as_slice() {
            results.insert(*place, client.answer(call.clone()).await);
            return;
        }
        let (places, calls): (Vec<usize>, Vec<ApiRequest>) = open.into_iter().unzip();
        let parts = match service.once(&calls).await {
            Ok(parts) => parts,
            // A batch that cannot be read may be one part's fault: an answer too long, or broken.
            Err(error) if error.kind() == ErrorKind::Protocol => {
                for (place, call) in places.into_iter().zip(calls) {
                    results.insert(place, client.answer(call).await);
                }
                return;
            }
            Err(error) => {
                results.extend(places.into_iter().map(|place| (place, Err(error.clone()))));
                return;
            }
        };
        let mut again = Vec::new();
        let mut refused = Vec::new();
        for ((place, call), part) in places.into_iter().zip(calls).zip(parts) {
            match outcome(client, &call, part) {
                Err(error) if error.status() == Some(401) && !token_renewed => {
                    refused.push((place, call));
                }
                Err(error) if error.is_transient() => again.push(((place, call), error)),
                part => _ = results.insert(place, part),
            }
        }
        // One call alone makes the client renew the token, once; the others then have the new one.
        if !refused.is_empty() {
            token_renewed = true;
            let (place, call) = refused.swap_remove(0);
            results.insert(place, client.answer(call).await);
        }
        let longest = again
            .iter()
            .map(|(_, error)| error)
            .max_by_key(|error| error.retry_after());
        if let Some(error) = longest {
            // Every call in a batch is a read or can be repeated, whatever became of it.
            let replay = Replay::Idempotent;
            if !client.wait_to_repeat(error, replay, attempt).await {
                results.extend(
                    again
                        .drain(..)
                        .map(|((place, _), error)| (place, Err(error))),
                );
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

/// What a part of a batch means for its call.
fn outcome(client: &ApiClient, call: &ApiRequest, part: Option<Answer>) -> Result<Answer> {
    let error = match part {
        Some(part) if part.status.is_success() => return Ok(part),
        Some(part) => client.error(&part),
        None => unanswered(),
    };
    Err(error.with_operation(call.operation))
}

/// A part that did not come back. It may well have been done.
fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the service did not answer this part of a batch",
    )
    .with_delivery(Delivery::Unknown)
}
