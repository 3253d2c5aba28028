//! The one loop that every request goes through: budget → token → send → classify → wait.

mod admission;
mod refused;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tracing::Instrument;

use self::admission::Admitted;
use super::limit::{Limiter, Permit, Trial};
use super::observe::{Observed, Stopwatch};
use super::origin::Origins;
use super::refusal::{TooLong, TooNarrow};
use super::request::{ApiRequest, Cost, Replay};
use super::retry::RetryPolicy;
use super::transport::{Transport, TransportError};
use crate::clock::Clock;
use crate::credentials::{AccessToken, TokenSource};
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::model::{ByteStream, Content, Lane, Purse, Terms};

/// How much of an error's body is read: vendors' error objects are far smaller, error pages are not worth more.
const ERROR_LIMIT: usize = 64 * 1024;

/// A token that is to be accepted now is taken to be for so long. After a longer wait for the request's turn it is asked for
/// again: it may have ended, and what is refused for that is charged and waits anew.
const TOKEN_HOLDS: Duration = Duration::from_secs(1);

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON, if it is some of this shape.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        from_json(&self.body).ok()
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the service asks to wait (RFC 9110 §10.2.3): seconds, or a date, which is read against the answer's own
    /// `Date`, so that a wrong clock here does not matter.
    pub(crate) fn retry_after(&self, now: DateTime<Utc>) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        let until = DateTime::parse_from_rfc2822(value).ok()?;
        (until.to_utc() - self.date().unwrap_or(now)).to_std().ok()
    }

    /// The same, said to be of `now`.
    fn dated(&self, now: DateTime<Utc>) -> Self {
        let mut headers = self.headers.clone();
        if let Ok(date) = HeaderValue::try_from(now.to_rfc2822()) {
            headers.insert(DATE, date);
        }
        Self {
            status: self.status,
            headers,
            body: self.body.clone(),
        }
    }

    /// When an instant of the service's clock is by the one here, which shows `now` and may go differently.
    pub(crate) fn by_clock_here(
        &self,
        instant: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let skew = self.date().map(|date| now - date).unwrap_or_default();
        instant.checked_add_signed(skew).unwrap_or(instant)
    }

    /// The service's clock when it answered.
    pub(crate) fn date(&self) -> Option<DateTime<Utc>> {
        let value = self.headers.get(DATE)?.to_str().ok()?;
        Some(DateTime::parse_from_rfc2822(value).ok()?.to_utc())
    }
}

/// What a service's error answer means. It must not take anything from the body but codes and ids.
pub(crate) type Classify = fn(&Answer) -> Error;

/// Sends requests of one account, or of none.
#[derive(Clone)]
pub(crate) struct ApiClient {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) tokens: Option<Arc<dyn TokenSource>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retry: RetryPolicy,
    pub(crate) limiter: Arc<Limiter>,
    /// The limits that it shares with other mailboxes of the same registration.
    pub(crate) project: Option<Arc<Limiter>>,
    pub(crate) lane: Lane,
    /// What its requests are paid from, if the host gave it so much and no more.
    pub(crate) purse: Option<Purse>,
    /// Codes of refusals that may mean that too much was asked.
    pub(crate) disguises: &'static [&'static str],
    pub(crate) origins: Origins,
    pub(crate) classify: Classify,
    /// Who wants to know how long its requests take.
    pub(crate) stopwatch: Option<Stopwatch>,
    /// Turns that its batches take until they are answered, where more of them wait than are to be under way.
    pub(crate) turns: Option<Arc<Semaphore>>,
}

impl ApiClient {
    /// The same for a sync, which gives way to people who wait, unless its lane was chosen.
    pub(crate) fn syncing(&self) -> Self {
        let mut client = self.clone();
        if client.lane == Lane::Interactive {
            client.lane = Lane::Sync;
        }
        client
    }
}

impl fmt::Debug for ApiClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApiClient")
            .field("transport", &self.transport)
            .field("tokens", &self.tokens)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

/// What an attempt gave: an answer whose body is still to be read, and the permit to hold until it was.
struct Opened {
    status: StatusCode,
    headers: HeaderMap,
    body: ByteStream,
    permit: Permit,
}

impl ApiClient {
    /// The answer's body as JSON of this shape.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: ApiRequest) -> Result<T> {
        let operation = request.operation;
        let answer = self.answer(request).await?;
        parse(operation, &answer.body)
    }

    /// The whole answer.
    pub(crate) async fn answer(&self, request: ApiRequest) -> Result<Answer> {
        self.judged_answer(request).await.map(|(answer, _)| answer)
    }

    /// The whole answer. Where its parts tell how the service is, whoever reads them says so with
    /// [`judge`](Self::judge).
    pub(super) async fn judged_answer(
        &self,
        request: ApiRequest,
    ) -> Result<(Answer, Option<Trial>)> {
        let seen = self.observed(&request);
        self.repeat(&request, |opened| async move {
            let answer = read(opened, request.answer_limit).await?;
            seen.received(answer.body.len());
            if let Some(stopwatch) = &self.stopwatch {
                stopwatch.received(answer.body.len());
            }
            Ok(answer)
        })
        .await
    }

    /// Only whether it succeeded.
    pub(crate) async fn done(&self, request: ApiRequest) -> Result<()> {
        self.answer(request).await.map(drop)
    }

    /// The answer's body as a stream, for what may be too large for memory. A break in the middle is the reader's to
    /// notice: it is an error of the stream.
    pub(crate) async fn stream(&self, request: ApiRequest) -> Result<ByteStream> {
        let seen = self.observed(&request);
        self.repeat(&request, |opened| async move {
            // The request counts as running until its last byte was read.
            let Opened {
                mut body, permit, ..
            } = opened;
            let mut permit = Some(permit.streaming());
            let read = stream::poll_fn(move |context| {
                let polled = body.poll_next_unpin(context);
                match &polled {
                    Poll::Ready(Some(Ok(bytes))) => seen.received(bytes.len()),
                    Poll::Ready(None | Some(Err(_))) => drop(permit.take()),
                    Poll::Pending => {}
                }
                polled
            });
            Ok(read.boxed())
        })
        .await
        .map(|(stream, _)| stream)
    }

    /// The loop. `finish` makes of a successful answer what the caller wants; if reading it breaks, that counts as a
    /// failed attempt.
    async fn repeat<T, F, Fut>(&self, request: &ApiRequest, finish: F) -> Result<(T, Option<Trial>)>
    where
        F: Fn(Opened) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        let span = self.observed(request).span();
        let mut unsettled = false;
        let outcome = self.repeated(request, finish, &mut unsettled);
        outcome.instrument(span).await.map_err(|error| {
            // That the last attempt was not sent says nothing of those before it.
            match unsettled {
                true => error.with_delivery(Delivery::Unknown),
                false => error,
            }
        })
    }

    async fn repeated<T, F, Fut>(
        &self,
        request: &ApiRequest,
        finish: F,
        unsettled: &mut bool,
    ) -> Result<(T, Option<Trial>)>
    where
        F: Fn(Opened) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T>> + Send,
    {
        self.origins
            .check(&request.url, request.authorize)
            .map_err(|error| error.with_operation(request.operation))?;
        let seen = self.observed(request);
        let mut attempt = 1;
        let mut token_renewed = false;
        let mut suspected = false;
        loop {
            let mut token = self.token(request).await?;
            let admitting = self.clock.monotonic();
            let admitted = self.admit(seen.cost).await;
            let began = self.clock.monotonic();
            let waited = began.saturating_sub(admitting);
            seen.waited(waited);
            if waited > TOKEN_HOLDS && admitted.is_ok() {
                token = self.token(request).await?;
            }
            let began = self.clock.monotonic();
            let mut trial = None;
            let mut sent = false;
            let outcome = match admitted {
                Ok(admitted) if request.in_parts && admitted.places() < self.at_once(seen.cost) => {
                    // How much is in it is known by who made it.
                    return Err(TooNarrow::error().with_operation(request.operation));
                }
                Ok(mut admitted) => {
                    trial = admitted.trial();
                    match outgoing(request, token.as_ref()) {
                        Ok(outgoing) => {
                            sent = true;
                            match self.attempt(request, outgoing, admitted).await {
                                Ok(opened) => finish(opened).await,
                                Err(error) => Err(error),
                            }
                        }
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            let outcome = outcome.map_err(|error| error.with_operation(request.operation));
            if outcome.is_err() || !request.in_parts {
                self.note_health(outcome.as_ref().err(), trial.take());
            }
            let took = self.clock.monotonic().saturating_sub(began);
            seen.attempted(attempt, took, outcome.as_ref().err());
            if sent {
                seen.sent(attempt, took, outcome.as_ref().err());
            }
            let error = match outcome {
                Ok(value) => {
                    if let Some(stopwatch) = &self.stopwatch {
                        stopwatch.note(took);
                    }
                    return Ok((value, trial));
                }
                Err(error) => error,
            };
            *unsettled |= may_have_happened(request, &error);
            // A refused token is renewed once; nothing was done with the request, so it may be repeated whatever it is.
            if error.status() == Some(401)
                && !token_renewed
                && let (Some(tokens), Some(token)) = (&self.tokens, &token)
            {
                tokens.reject(token).await;
                token_renewed = true;
                continue;
            }
            let suspicion = match suspected {
                true => None,
                false => self.suspicion(&error),
            };
            suspected |= suspicion.is_some();
            let reason = suspicion.as_ref().unwrap_or(&error);
            if !self.wait_to_repeat(reason, request.replay, attempt).await {
                self.believe(&error);
                return Err(error);
            }
            attempt += 1;
            seen.repeats(attempt);
        }
    }

    fn observed(&self, request: &ApiRequest) -> Observed {
        Observed {
            operation: request.operation,
            lane: self.lane,
            cost: self.cost(request),
        }
    }

    /// What a request costs.
    pub(super) fn cost(&self, request: &ApiRequest) -> Cost {
        Cost {
            units: self.units(request.operation, request.cost.units),
            ..request.cost
        }
    }

    /// What an operation costs that usually costs this much.
    pub(crate) fn units(&self, operation: &str, usual: u32) -> u32 {
        self.limiter.units(operation, usual)
    }

    /// How many parts of a request run at the same time, if they may.
    fn at_once(&self, cost: Cost) -> u32 {
        cost.at_once.clamp(1, self.limiter.concurrency())
    }

    /// Notes what an outcome says of the service itself. An answer that cannot be read says nothing.
    fn note_health(&self, error: Option<&Error>, trial: Option<Trial>) {
        match error.map(|error| (error.kind(), error.status())) {
            None => self.judge(true, trial),
            // Another change that got in between shows that the service works, though it is to be tried again.
            Some((ErrorKind::Network, _) | (_, Some(408 | 500..=599))) => self.judge(false, trial),
            Some((_, Some(_))) => self.judge(true, trial),
            Some((_, None)) => {}
        }
    }

    /// Notes whether the service works.
    pub(super) fn judge(&self, works: bool, trial: Option<Trial>) {
        let Some(policy) = self.retry.circuit else {
            return;
        };
        if works {
            self.limiter.works(trial);
        } else if self.limiter.fails(trial, policy, self.clock.as_ref()) {
            tracing::warn!("a service that fails again and again is left alone for a while");
        }
    }

    /// The same for calls on these terms.
    pub(crate) fn agree(&mut self, terms: &Terms) {
        if let Some(lane) = terms.lane {
            self.lane = lane;
        }
        if let Some(purse) = &terms.purse {
            self.purse = Some(purse.clone());
        }
    }

    async fn attempt(
        &self,
        request: &ApiRequest,
        outgoing: http::Request<Content>,
        admitted: Admitted<'_>,
    ) -> Result<Opened> {
        let permit = admitted.sent();
        let response = self.transport.send(outgoing).await.map_err(network)?;
        let (head, body) = response.into_parts();
        let opened = Opened {
            status: head.status,
            headers: head.headers,
            body,
            permit,
        };
        if opened.status.is_success() || request.also_accept == Some(opened.status.as_u16()) {
            return Ok(opened);
        }
        Err(self.refused(opened).await)
    }

    /// The error that an unsuccessful answer means.
    async fn refused(&self, opened: Opened) -> Error {
        let headers = opened.headers.clone();
        // An error page that is too long or breaks off still has a status to go by.
        let body = read_up_to(opened.body, ERROR_LIMIT).await;
        self.error(&Answer {
            status: opened.status,
            headers,
            body,
        })
    }

    /// The error that an unsuccessful answer means. A part of a batch can be given as an answer too.
    pub(crate) fn error(&self, answer: &Answer) -> Error {
        let dated;
        let answer = if answer.date().is_some() {
            answer
        } else {
            // An instant that it names is read against its own clock, or else against this one.
            dated = answer.dated(self.clock.now());
            &dated
        };
        let error = (self.classify)(answer).with_status(answer.status.as_u16());
        match (error.retry_after(), answer.retry_after(self.clock.now())) {
            (None, Some(delay)) => error.with_retry_after(delay),
            (Some(told), Some(delay)) if delay > told => error.with_retry_after(delay),
            _ => error,
        }
    }
}

/// Whether a request that failed like this may have changed something at the service.
pub(super) fn may_have_happened(request: &ApiRequest, error: &Error) -> bool {
    request.replay != Replay::Read && error.delivery() == Delivery::Unknown
}

/// Reads JSON whose text is checked as a whole: a list of messages has many short strings, each of which would be checked by
/// itself. What is no text in it is replaced. All that the services answer is read here: each further way of reading makes the
/// compiler write all the shapes out once more.
pub(crate) fn from_json<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    // `from_utf8_lossy` goes byte by byte, also where all of it is text: a sixth of what a list of messages took.
    let text = match std::str::from_utf8(json) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(json),
    };
    serde_json::from_str(&text)
}

/// Reads JSON of a known shape; the error says where it broke, not what stood there.
pub(crate) fn parse<T: DeserializeOwned>(operation: &'static str, body: &[u8]) -> Result<T> {
    from_json(body).map_err(|error| unreadable(operation, &error))
}

fn unreadable(operation: &'static str, error: &serde_json::Error) -> Error {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the answer breaks off",
        serde_json::error::Category::Data => "the answer has another shape than documented",
        _ => "the answer is not JSON",
    };
    protocol(format!(
        "{what} (line {}, column {})",
        error.line(),
        error.column()
    ))
    .with_operation(operation)
}

/// The service answered something that cannot be used.
pub(crate) fn protocol(message: impl Into<Cow<'static, str>>) -> Error {
    // The request was answered, so whatever it asked for may well have been done.
    Error::new(ErrorKind::Protocol, message).with_delivery(Delivery::Unknown)
}

/// The request as it is sent.
fn outgoing(request: &ApiRequest, token: Option<&AccessToken>) -> Result<http::Request<Content>> {
    let mut outgoing = http::Request::new(request.content.clone());
    *outgoing.method_mut() = request.method.clone();
    *outgoing.uri_mut() = request.url.as_str().parse().map_err(|_| {
        Error::new(
            ErrorKind::InvalidRequest,
            "the address cannot be written as a request",
        )
    })?;
    *outgoing.headers_mut() = request.headers.clone();
    if let Some(token) = token {
        outgoing.headers_mut().insert(AUTHORIZATION, bearer(token)?);
    }
    Ok(outgoing)
}

fn bearer(token: &AccessToken) -> Result<HeaderValue> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Error::new(
            ErrorKind::Protocol,
            "the access token holds characters that no header can carry",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn network(error: TransportError) -> Error {
    let delivery = error.delivery();
    Error::new(
        ErrorKind::Network,
        "the service could not be reached or the connection broke",
    )
    .with_delivery(delivery)
    .with_source(error)
}

fn broken(error: io::Error) -> Error {
    Error::new(ErrorKind::Network, "the connection broke within the answer")
        .with_delivery(Delivery::Unknown)
        .with_source(error)
}

/// As much memory is taken for an answer before it comes, whatever it says of its length.
const EXPECTED: usize = 4 * 1024 * 1024;

async fn read(opened: Opened, limit: usize) -> Result<Answer> {
    let mut body = opened.body;
    let length = opened.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    // Grown step by step, it would be copied as often, and take up to twice as much.
    let mut all = BytesMut::with_capacity(length.unwrap_or(0).min(limit).min(EXPECTED));
    while let Some(chunk) = body.try_next().await.map_err(broken)? {
        if all.len() + chunk.len() > limit {
            return Err(TooLong::error());
        }
        all.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: opened.status,
        headers: opened.headers,
        body: all.freeze(),
    })
}

async fn read_up_to(mut body: ByteStream, limit: usize) -> Bytes {
    let mut all = BytesMut::new();
    while let Ok(Some(chunk)) = body.try_next().await {
        all.extend_from_slice(&chunk);
        if all.len() >= limit {
            all.truncate(limit);
            break;
        }
    }
    all.freeze()
}
