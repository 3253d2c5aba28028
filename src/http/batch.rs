//! Many calls in one request, whose parts fail one by one: those that failed for a while are sent again, the others are
//! not. How a batch is written and read is each provider's; which calls to make is known by its callers.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::task::yield_now;

use super::client::{Answer, ApiClient, may_have_happened};
use super::limit::Sizes;
use super::refusal::{TooLong, TooNarrow, is_of_registration};
use super::request::{ApiRequest, Cost, Replay};
use crate::error::{Delivery, Error, ErrorKind, Result};

/// What a call may say at most: its body is a change of a few properties.
const LARGEST_BODY: u64 = 1024 * 1024;

/// Batches on their way at once, if the mailbox has places for them.
const AT_ONCE: usize = 4;

/// As few calls as a batch is cut down to.
const SMALLEST: usize = 4;

/// A service that takes batches.
#[async_trait]
pub(crate) trait Batch: Sync {
    /// Calls in one batch, which every account takes as far as is known.
    const LARGEST: usize;
    /// Calls in one batch of an account that has taken all of the others.
    const GROWN: usize;
    /// Quota units in one batch: it waits until all of them are there.
    const MOST_UNITS: u32;
    /// Calls of a batch that the service runs at the same time, where it counts those.
    const RUN_AT_ONCE: u32;

    /// What sends the calls that are left alone.
    fn client(&self) -> &ApiClient;

    /// The request that makes these calls, which cost so much together.
    async fn written(&self, calls: &[ApiRequest], cost: Cost) -> Result<ApiRequest>;

    /// The answer to each of so many calls, in order, whatever its status; none where it did not come back.
    fn parts(answer: &Answer, calls: usize) -> Result<Vec<Option<Answer>>>;
}

/// Makes all the calls: one answer each, in order. A call that could not even be described keeps its error.
///
/// All calls are made once, in batches as large as they may be, before those that failed for a while are made again,
/// those together in as few batches as they fill. A call of the kind that happens once is made again only if the service
/// refused to do it.
pub(crate) async fn send<B: Batch>(
    service: &B,
    calls: Vec<Result<ApiRequest>>,
) -> Vec<Result<Answer>> {
    send_and_read(service, calls, |_, answer| answer).await
}

/// The same with each answer `read` as soon as it is there, so that not all of them are held as they came.
pub(crate) async fn send_and_read<B: Batch, T: Send>(
    service: &B,
    calls: Vec<Result<ApiRequest>>,
    read: impl Fn(usize, Result<Answer>) -> T + Send + Sync,
) -> Vec<T> {
    let mut results: Vec<Option<T>> = calls.iter().map(|_| None).collect();
    let settle = |results: &mut Vec<Option<T>>, place: usize, outcome: Result<Answer>| {
        if let Some(result) = results.get_mut(place) {
            *result = Some(read(place, outcome));
        }
    };
    let mut open = Vec::with_capacity(calls.len());
    let client = service.client();
    for (place, call) in calls.into_iter().enumerate() {
        let cost = |call: ApiRequest| ApiRequest {
            cost: client.cost(&call),
            ..call
        };
        match call.map(cost) {
            Ok(call) => open.push(Part {
                place,
                call,
                token_renewed: false,
                suspected: false,
                unsettled: false,
            }),
            Err(error) => settle(&mut results, place, Err(error)),
        }
    }
    let mut attempt = 1;
    while !open.is_empty() {
        let mut failed = Vec::new();
        let mut got_through = false;
        while !open.is_empty() {
            let mut waiting = VecDeque::from(std::mem::take(&mut open));
            // How large the next may be is known when those before it were answered.
            let chunks = std::iter::from_fn(|| chunk(&mut waiting, largest(service)));
            let mut rounds = stream::iter(chunks)
                .map(|chunk| round(service, chunk))
                .buffer_unordered(AT_ONCE);
            while let Some(round) = rounds.next().await {
                for (place, outcome) in round.settled {
                    settle(&mut results, place, outcome);
                    got_through = true;
                }
                failed.extend(round.failed);
                open.extend(round.again);
            }
        }
        let reasons = failed.iter().map(|failed: &Failed| &failed.reason);
        let Some(longest) = reasons.max_by_key(|reason| reason.retry_after()) else {
            break;
        };
        // What must not be made again is not among them.
        let Some(wait) = client.retry.wait(longest, Replay::Idempotent, attempt) else {
            for failed in failed.drain(..) {
                let (place, outcome) = failed.settled(client);
                settle(&mut results, place, outcome);
            }
            break;
        };
        client.back_off(longest, wait).await;
        // As long as some get through, none fails because others were in its way.
        let only_limits = failed
            .iter()
            .all(|failed| failed.reason.kind() == ErrorKind::RateLimited);
        attempt = if only_limits && got_through {
            1
        } else {
            attempt + 1
        };
        open.extend(failed.into_iter().map(|failed| failed.part));
    }
    let results = results.into_iter().enumerate();
    results
        .map(|(place, result)| result.unwrap_or_else(|| read(place, Err(unanswered()))))
        .collect()
}

/// How many calls a batch has now, and what they cost together at the most; one call may always cost more.
pub(crate) fn largest<B: Batch>(service: &B) -> (usize, u32) {
    let client = service.client();
    let (limiter, clock) = (&client.limiter, client.clock.as_ref());
    let size = limiter.batch_size(sizes::<B>(), clock);
    let most = limiter.batch_calls(B::RUN_AT_ONCE, clock);
    let size = size.max(SMALLEST).min(most.unwrap_or(usize::MAX));
    (size, limiter.batch_units(B::MOST_UNITS, clock))
}

fn sizes<B: Batch>() -> Sizes {
    Sizes {
        usual: B::LARGEST,
        most: B::GROWN,
    }
}

/// The first of those that wait: as many as one batch may have, if there are any.
fn chunk(waiting: &mut VecDeque<Part>, (most, most_units): (usize, u32)) -> Option<Vec<Part>> {
    let mut chunk = vec![waiting.pop_front()?];
    let cost = |part: &Part| part.call.cost.units;
    let mut units = chunk.iter().map(cost).fold(0, u32::saturating_add);
    while chunk.len() < most
        && let Some(next) = waiting.front()
        && units.saturating_add(cost(next)) <= most_units
    {
        units = units.saturating_add(cost(next));
        chunk.extend(waiting.pop_front());
    }
    Some(chunk)
}

/// The bytes of a call's body.
pub(crate) async fn body(call: &ApiRequest) -> Result<Bytes> {
    call.content.to_bytes(LARGEST_BODY).await.map_err(|error| {
        Error::new(ErrorKind::Content, "what is to be sent could not be read").with_source(error)
    })
}

/// Whether the calls together may be sent again.
pub(crate) fn replay(calls: &[ApiRequest]) -> Replay {
    let any = |replay| calls.iter().any(|call| call.replay == replay);
    if any(Replay::Once) {
        Replay::Once
    } else if any(Replay::Idempotent) {
        Replay::Idempotent
    } else {
        Replay::Read
    }
}

/// A call on its way.
struct Part {
    place: usize,
    call: ApiRequest,
    /// Whether the token was renewed since it was refused.
    token_renewed: bool,
    /// Whether its refusal was not believed once.
    suspected: bool,
    /// Whether it may have happened in an earlier attempt, whatever becomes of it.
    unsettled: bool,
}

impl Part {
    /// It failed like this.
    fn failed(&mut self, error: &Error) {
        self.unsettled |= may_have_happened(&self.call, error);
    }

    /// What is told of it in the end.
    fn settled(self, outcome: Result<Answer>) -> (usize, Result<Answer>) {
        let outcome = outcome.map_err(|error| match self.unsettled {
            true => error.with_delivery(Delivery::Unknown),
            false => error,
        });
        (self.place, outcome)
    }

    /// Makes it alone.
    async fn alone(self, client: &ApiClient) -> (usize, Result<Answer>) {
        let outcome = client.answer(self.call.clone()).await;
        self.settled(outcome)
    }
}

/// What became of one batch.
#[derive(Default)]
struct Round {
    settled: Vec<(usize, Result<Answer>)>,
    /// To be sent again at once: the token is another one now, or they were too many for one batch.
    again: Vec<Part>,
    /// Failed for a while.
    failed: Vec<Failed>,
}

/// A call that failed for a while.
struct Failed {
    part: Part,
    /// What is waited for.
    reason: Error,
    /// What the service said, where that was not believed.
    denial: Option<Error>,
}

impl Failed {
    /// What is told of it if it is not made again: then a denial is believed.
    fn settled(self, client: &ApiClient) -> (usize, Result<Answer>) {
        if let Some(denial) = &self.denial {
            client.believe(denial);
        }
        self.part.settled(Err(self.denial.unwrap_or(self.reason)))
    }
}

async fn round<B: Batch>(service: &B, mut chunk: Vec<Part>) -> Round {
    let client = service.client();
    let mut round = Round::default();
    let calls: Vec<ApiRequest> = chunk.iter().map(|part| part.call.clone()).collect();
    // The loop for single requests knows all there is to know about failures.
    let answers = if calls.len() == 1 {
        None
    } else {
        let answers = once(service, &calls).await;
        if let Err(error) = &answers {
            chunk.iter_mut().for_each(|part| part.failed(error));
        }
        match answers {
            Ok(answers) => Some(answers),
            Err(error) if TooNarrow::is(&error) => {
                round.again = chunk;
                return round;
            }
            Err(error) if TooLong::is(&error) && replay(&calls) != Replay::Once => {
                let clock = client.clock.as_ref();
                client.limiter.shorten_batches(calls.len(), clock);
                round.again = chunk;
                return round;
            }
            // It may be one part's fault that the batch could not be written or read. One that is refused as a whole, or
            // not found, says nothing of what its calls are about: taken for each one's answer it would have messages
            // taken for deleted.
            Err(error) if !error.concerns_all() && may_be_made_alone(&calls, &error) => None,
            Err(error) => {
                let error = of_each(error);
                let failed = chunk.into_iter();
                let failed = failed.map(|part| part.settled(Err(error.clone())));
                round.settled.extend(failed);
                return round;
            }
        }
    };
    let Some((answers, bytes)) = answers else {
        for part in chunk {
            round.settled.push(part.alone(client).await);
        }
        return round;
    };
    let count = chunk.len();
    for (mut part, answer) in chunk.into_iter().zip(answers) {
        let outcome = outcome(client, &part.call, answer);
        if let Err(error) = &outcome {
            part.failed(error);
        }
        match outcome {
            Err(error) if error.status() == Some(401) && !part.token_renewed => {
                round.again.push(Part {
                    token_renewed: true,
                    ..part
                });
            }
            Err(reason) if may_repeat(&part.call, &reason) => round.failed.push(Failed {
                part,
                reason,
                denial: None,
            }),
            Err(error) if !part.suspected => match client.suspicion(&error) {
                Some(reason) => {
                    part.suspected = true;
                    round.failed.push(Failed {
                        part,
                        reason,
                        denial: Some(error),
                    });
                }
                None => round.settled.push(part.settled(Err(error))),
            },
            Err(error) => {
                client.believe(&error);
                round.settled.push(part.settled(Err(error)));
            }
            outcome => round.settled.push(part.settled(outcome)),
        }
    }
    // The batches that are still to come wait as well, and are smaller. What is used up for the day is not asked again.
    let failed = round.failed.iter().map(|failed| &failed.reason);
    let settled = round.settled.iter();
    let settled = settled.filter_map(|(_, outcome)| outcome.as_ref().err());
    for kind in [ErrorKind::RateLimited, ErrorKind::QuotaExceeded] {
        // Parts may have gone over the mailbox's limit, and others over the registration's.
        for of_registration in [false, true] {
            let limits = failed.clone().chain(settled.clone());
            let limits = limits.filter(|error| {
                error.kind() == kind && is_of_registration(error) == of_registration
            });
            if let Some(longest) = limits.max_by_key(|error| error.retry_after()) {
                client.note_limit(longest);
            }
        }
    }
    if round.failed.is_empty() {
        let (limiter, clock) = (&client.limiter, client.clock.as_ref());
        limiter.batch_went_through(count, bytes, sizes::<B>(), clock);
    }
    // One call alone makes the client renew the token, once; the others then have the new one.
    if !round.again.is_empty() {
        let part = round.again.remove(0);
        round.settled.push(part.alone(client).await);
    }
    round
}

/// One batch request: the answers to its parts, and how many bytes they have together. Whether the service works is told by
/// them: the batch itself is answered in any case.
async fn once<B: Batch>(service: &B, calls: &[ApiRequest]) -> Result<(Vec<Option<Answer>>, usize)> {
    let count = |calls: usize| u32::try_from(calls).unwrap_or(u32::MAX);
    let units = calls
        .iter()
        .fold(0_u32, |units, call| units.saturating_add(call.cost.units));
    let cost = Cost {
        units,
        ..Cost::requests(count(calls.len()))
    };
    let cost = cost.with_at_once(cost.requests.min(B::RUN_AT_ONCE));
    let request = service.written(calls, cost).await?.in_parts();
    let operation = request.operation;
    let client = service.client();
    let turn = match &client.turns {
        // They are never closed.
        Some(turns) => turns.acquire().await.ok(),
        None => None,
    };
    let (answer, trial) = client.judged_answer(request).await?;
    if turn.is_some() {
        // What waits for the turn is sent before this answer is read, which takes a while.
        drop(turn);
        yield_now().await;
    }
    let parts = B::parts(&answer, calls.len()).map_err(|error| error.with_operation(operation))?;
    let works = |part: &Answer| !matches!(part.status.as_u16(), 408 | 500..=599);
    client.judge(parts.iter().flatten().any(works), trial);
    Ok((parts, answer.body.len()))
}

/// Whether calls whose batch failed may be made one by one.
fn may_be_made_alone(calls: &[ApiRequest], error: &Error) -> bool {
    replay(calls) != Replay::Once || error.delivery() == Delivery::NotSent
}

/// What is told of each call of a batch that failed as a whole.
fn of_each(error: Error) -> Error {
    // An answer that cannot be read says nothing of them either way.
    if error.concerns_all() || error.kind() == ErrorKind::Protocol {
        return error;
    }
    let refused = Error::new(
        ErrorKind::Unavailable,
        "the service refused the batch that this was a part of",
    );
    let refused = refused.with_delivery(error.delivery());
    match error.operation() {
        Some(operation) => refused.with_operation(operation),
        None => refused,
    }
    .with_source(error)
}

fn may_repeat(call: &ApiRequest, error: &Error) -> bool {
    error.is_transient()
        && (call.replay != Replay::Once
            || (error.kind() == ErrorKind::RateLimited && error.delivery() == Delivery::NotSent))
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
