//! Whose limit a refusal is about, and what is left alone for it: one mailbox, all of a registration, or a service that
//! fails. Services of a few lines answer as no well-behaved one does; time is a virtual clock's.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

#[path = "limits/charged.rs"]
mod charged;
#[path = "limits/noted.rs"]
mod noted;
#[path = "limits/parted.rs"]
mod parted;
#[path = "support/scripted.rs"]
mod scripted;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures_util::{StreamExt, poll};
use postroom::clock::Clock;
use postroom::credentials::StaticToken;
use postroom::http::{
    CircuitPolicy, Connection, Lane, Limits, Project, Regime, RetryPolicy, Transport,
    TransportError,
};
use postroom::testing::VirtualClock;
use postroom::{
    ByteStream, Content, Delivery, Detail, Error, ErrorKind, Gmail, MailProvider, MessageId,
    Outlook, Result, Work,
};
use scripted::{Reply, Request, Scripted};
use tokio::sync::oneshot;

const HOUR: u64 = 60 * 60;

/// Google's refusal with this reason and text, and what its newer form says of the limit.
fn refusal(reason: &str, message: &str, unit: &str) -> Reply {
    let details = serde_json::json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {"quota_unit": unit, "service": "gmail.googleapis.com"},
    }]);
    let details = if unit.is_empty() {
        serde_json::json!([])
    } else {
        details
    };
    let error = serde_json::json!({"error": {
        "code": 403,
        "message": message,
        "errors": [{"message": message, "domain": "usageLimits", "reason": reason}],
        "status": "PERMISSION_DENIED",
        "details": details,
    }});
    Reply::error(403, error)
}

/// A service that answers the first request with `refusal`, and what others ask as it should be.
fn refusing_once(refusal: Reply) -> Scripted {
    let refusals = Mutex::new(vec![refusal]);
    Scripted::new(move |_| {
        let refusal = refusals.lock().unwrap().pop();
        refusal.unwrap_or_else(|| Reply::json(r#"{"emailAddress":"reader@gmail.example"}"#))
    })
}

fn once() -> RetryPolicy {
    RetryPolicy::never()
}

fn gmail(service: &Scripted, project: &Project) -> Gmail {
    let connection = service.connection().with_retry(once());
    Gmail::new(connection.with_project(project.clone())).unwrap()
}

#[tokio::test]
async fn a_refusal_slows_down_those_whose_limit_it_is_about() {
    let of_user = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of service \
        'gmail.googleapis.com' for consumer 'project_number:1'.";
    let of_project = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service \
        'gmail.googleapis.com' for consumer 'project_number:1'.";
    for (reason, message, unit, waits) in [
        ("rateLimitExceeded", of_project, "", true),
        ("rateLimitExceeded", "Slow down.", "1/min/{project}", true),
        ("rateLimitExceeded", of_user, "", false),
        (
            "rateLimitExceeded",
            of_user,
            "1/min/{project}/{user}",
            false,
        ),
        ("rateLimitExceeded", "Rate Limit Exceeded", "", false),
        (
            "userRateLimitExceeded",
            "User Rate Limit Exceeded",
            "",
            false,
        ),
    ] {
        let refusal = refusal(reason, message, unit).with_header("retry-after", "30");
        let service = refusing_once(refusal);
        let (ours, theirs) = (Project::default(), Project::default());
        let refused = gmail(&service, &ours).profile().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::RateLimited, "{message} {unit}");
        assert_eq!(refused.delivery(), Delivery::NotSent);
        // Another application's mailbox has nothing to do with it, whatever the limit was.
        gmail(&service, &theirs).profile().await.unwrap();
        assert_eq!(service.waited(), Duration::ZERO, "{message} {unit}");
        gmail(&service, &ours).profile().await.unwrap();
        let waited = service.waited() >= Duration::from_secs(30);
        assert_eq!(waited, waits, "{message} {unit}");
    }
}

#[tokio::test]
async fn while_one_waits_for_the_registrations_limit_all_of_it_do() {
    let service = refusing_once(refusal(
        "rateLimitExceeded",
        "Slow down.",
        "1/min/{project}",
    ));
    let project = Project::default();
    let clock = VirtualClock::by_hand(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let connection = || {
        let connection = service.connection().with_clock(Arc::new(clock.clone()));
        connection.with_project(project.clone())
    };
    let mailboxes = [connection(), connection()].map(|connection| Gmail::new(connection).unwrap());
    let mut refused = Box::pin(mailboxes[0].profile());
    let mut other = Box::pin(mailboxes[1].profile());
    // As far as each gets while no time passes.
    for asked in [&mut refused, &mut other] {
        for _ in 0..8 {
            assert!(poll!(&mut *asked).is_pending());
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(service.requests().len(), 1);
    clock.advance(Duration::from_secs(40));
    refused.await.unwrap();
    other.await.unwrap();
}

#[tokio::test]
async fn a_day_that_is_used_up_is_told_and_nothing_is_asked_before_the_next() {
    for (date, hours) in [
        ("Sun, 22 Nov 2026 20:00:00 GMT", 12),
        ("Wed, 22 Jul 2026 20:00:00 GMT", 11),
        // The nights in which the clocks change.
        ("Sun, 08 Mar 2026 09:00:00 GMT", 22),
        ("Sun, 01 Nov 2026 08:00:00 GMT", 24),
    ] {
        let day = refusal("dailyLimitExceeded", "Daily Limit Exceeded", "");
        let service = refusing_once(day.with_header("date", date));
        let project = Project::default();
        let day = Duration::from_secs(hours * HOUR);
        let used_up = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{date}");
            assert_eq!(error.delivery(), Delivery::NotSent);
            assert_eq!(error.retry_after(), Some(day), "{date}");
        };
        used_up(gmail(&service, &project).profile().await.unwrap_err());
        // Nor for another mailbox of the application, however often it is asked.
        let other = gmail(&service, &project);
        for _ in 0..3 {
            used_up(other.profile().await.unwrap_err());
        }
        let ids: Vec<MessageId> = (0..200)
            .map(|id| MessageId::new(format!("{id:x}")))
            .collect();
        for read in other.get(&ids, Detail::Headers).await.unwrap() {
            used_up(read.unwrap_err());
        }
        assert_eq!(service.requests().len(), 1, "{date}");
        assert_eq!(service.waited(), Duration::ZERO);
        service.clock.advance(day);
        other.profile().await.unwrap();
    }
}

#[tokio::test]
async fn a_day_that_is_used_up_within_a_batch_stops_those_after_it() {
    let daily = refusal("dailyLimitExceeded", "Daily Limit Exceeded", "");
    let service = Scripted::new(move |request| batch(request, |_| daily.clone()));
    let gmail = gmail(&service, &Project::default());
    let ids: Vec<MessageId> = (0..1_000)
        .map(|id| MessageId::new(format!("{id:x}")))
        .collect();
    for read in gmail.get(&ids, Detail::Headers).await.unwrap() {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::QuotaExceeded);
    }
    let asked = service.requests().len();
    assert!(asked <= 4, "{asked} batches were asked for");
}

#[tokio::test]
async fn a_user_who_may_send_no_more_today_keeps_nobody_from_reading() {
    let sending = refusal(
        "dailyLimitExceeded",
        "Daily user sending limit exceeded.",
        "",
    );
    let service = refusing_once(sending);
    let gmail = gmail(&service, &Project::default());
    let error = gmail.profile().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    gmail.profile().await.unwrap();
    assert_eq!(service.waited(), Duration::ZERO);
}

/// The answer to a batch of Gmail's, whose parts are answered one by one.
fn batch(request: &Request, answer: impl Fn(&str) -> Reply) -> Reply {
    let mut body: Vec<Bytes> = Vec::new();
    let paths = request.text().lines();
    let paths = paths.filter(|line| line.starts_with("GET /gmail/"));
    for (number, line) in paths.enumerate() {
        let id = line.split(['/', '?']).nth(6).unwrap();
        let Reply::Answer(inner) = answer(id) else {
            continue;
        };
        let head = format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: <response-i{number}>\r\n\r\nHTTP/1.1 {} X\r\n",
            inner.status
        );
        body.push(head.into());
        for (name, value) in inner.headers {
            body.push(format!("{name}: {value}\r\n").into());
        }
        body.push("\r\n".into());
        body.extend(inner.body);
        body.push("\r\n".into());
    }
    body.push("--b--\r\n".into());
    Reply::status(200)
        .with_header("content-type", "multipart/mixed; boundary=b")
        .with_body(body)
}

fn message(id: &str) -> Reply {
    Reply::json(format!(r#"{{"id":"{id}","threadId":"{id}"}}"#))
}

fn ids(count: usize) -> Vec<MessageId> {
    let ids = 0..count;
    ids.map(|id| MessageId::new(format!("{id:x}"))).collect()
}

fn circuit(failures: u32) -> RetryPolicy {
    let mut circuit = CircuitPolicy::default();
    circuit.failures = failures;
    let mut retry = once();
    retry.circuit = Some(circuit);
    retry
}

#[tokio::test]
async fn a_service_that_fails_within_its_batches_is_left_alone_like_one_that_fails() {
    let works = Arc::new(Mutex::new(None));
    let working = Arc::clone(&works);
    let service = Scripted::new(move |request| {
        batch(request, |id| match *working.lock().unwrap() {
            Some(working) if working == id => message(id),
            _ => Reply::status(503),
        })
    });
    let connection = service.connection().with_retry(circuit(3));
    let gmail = Gmail::new(connection).unwrap();
    let statuses = async || -> Vec<Option<u16>> {
        let read = gmail.get(&ids(5), Detail::Headers).await.unwrap();
        let errors = read.into_iter().filter_map(Result::err);
        errors.map(|error| error.status()).collect()
    };
    // As long as a part is answered, it works.
    for _ in 0..2 {
        assert_eq!(statuses().await, [Some(503); 5]);
    }
    *works.lock().unwrap() = Some("3");
    assert_eq!(statuses().await, [Some(503); 4]);
    *works.lock().unwrap() = None;
    for _ in 0..3 {
        assert_eq!(statuses().await, [Some(503); 5]);
    }
    assert_eq!(service.requests().len(), 6);
    assert_eq!(statuses().await, [None; 5], "it is left alone");
    assert_eq!(service.requests().len(), 6);
}

#[tokio::test]
async fn nobody_waits_for_a_service_that_is_left_alone() {
    let service = Scripted::new(|_| Reply::status(503));
    let clock = VirtualClock::eager(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let connection = service.connection().with_clock(Arc::new(clock.clone()));
    let policy = RetryPolicy::default();
    let gmail = Gmail::new(connection.with_retry(policy)).unwrap();
    gmail.profile().await.unwrap_err();
    // Within this call it has failed often enough.
    gmail.profile().await.unwrap_err();
    assert_eq!(service.requests().len(), 10);
    let before = clock.monotonic();
    let error = gmail.profile().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Unavailable, None)
    );
    assert!(
        error
            .retry_after()
            .is_some_and(|wait| wait <= policy.circuit.unwrap().pause)
    );
    assert_eq!(clock.monotonic(), before);
    assert_eq!(service.requests().len(), 10);
}

/// A service whose answers are given by hand, in any order.
#[derive(Debug, Default)]
struct ByHand(Mutex<Vec<Option<Asked>>>);

#[derive(Debug)]
struct Asked {
    path: String,
    parts: usize,
    answer: oneshot::Sender<(u16, Sending)>,
}

/// The rest of an answer: pieces that may never end.
struct Sending(ByteStream);

impl std::fmt::Debug for Sending {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sending")
    }
}

impl ByHand {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn path(&self, number: usize) -> String {
        let asked = self.0.lock().unwrap();
        asked[number].as_ref().unwrap().path.clone()
    }

    fn parts(&self, number: usize) -> usize {
        self.0.lock().unwrap()[number].as_ref().unwrap().parts
    }

    fn answer(&self, number: usize, status: u16, body: impl Into<Bytes>) {
        let body = futures_util::stream::iter([Ok(body.into())]);
        self.stream(number, status, Box::pin(body));
    }

    fn stream(&self, number: usize, status: u16, body: ByteStream) {
        let asked = self.0.lock().unwrap()[number].take().unwrap();
        // Who asked may be gone.
        let _ = asked.answer.send((status, Sending(body)));
    }
}

#[async_trait]
impl Transport for ByHand {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> std::result::Result<http::Response<ByteStream>, TransportError> {
        let body = request.body().to_bytes(1 << 20).await.unwrap();
        let batch: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let parts = batch.and_then(|batch| Some(batch.get("requests")?.as_array()?.len()));
        let (answer, answered) = oneshot::channel();
        self.0.lock().unwrap().push(Some(Asked {
            path: request.uri().path().to_owned(),
            parts: parts.unwrap_or(1),
            answer,
        }));
        let (status, body) = answered.await.unwrap();
        let mut response = http::Response::new(body.0);
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

#[tokio::test]
async fn one_request_alone_tries_a_service_that_was_left_alone() {
    let service = Arc::new(ByHand::default());
    let clock = VirtualClock::by_hand(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let retry = circuit(2);
    let connection = Connection::new(service.clone(), Arc::new(StaticToken::new("token")))
        .with_clock(Arc::new(clock.clone()))
        .with_retry(retry);
    let gmail = Gmail::new(connection).unwrap();
    let profile = || Box::pin(gmail.profile());
    let is_left_alone = async || {
        let error = profile().await.unwrap_err();
        error.kind() == ErrorKind::Unavailable && error.status().is_none()
    };
    // Three are under way when the service goes down; one of them takes its time.
    let (mut slow, mut one, mut two) = (profile(), profile(), profile());
    for asked in [&mut slow, &mut one, &mut two] {
        assert!(poll!(asked).is_pending());
    }
    service.answer(1, 503, "");
    service.answer(2, 503, "");
    one.await.unwrap_err();
    two.await.unwrap_err();
    assert!(is_left_alone().await);

    clock.advance(retry.circuit.unwrap().pause);
    let mut trial = profile();
    assert!(poll!(&mut trial).is_pending());
    assert_eq!(service.count(), 4);
    assert!(is_left_alone().await, "one is enough to find out");
    // What was asked before says nothing new, and lets nobody else try.
    service.answer(0, 503, "");
    slow.await.unwrap_err();
    assert!(is_left_alone().await);
    // The one that tries is given up: another may.
    drop(trial);
    let mut trial = profile();
    assert!(poll!(&mut trial).is_pending());
    assert_eq!(service.count(), 5);
    let answer = r#"{"emailAddress":"reader@gmail.example"}"#;
    service.answer(4, 200, answer);
    trial.await.unwrap();
    let mut next = profile();
    assert!(poll!(&mut next).is_pending());
    service.answer(5, 200, answer);
    next.await.unwrap();
}

#[tokio::test]
async fn what_tried_before_says_nothing_of_a_service_that_went_down_again() {
    let service = Arc::new(ByHand::default());
    let clock = VirtualClock::by_hand(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let retry = circuit(2);
    let connection = Connection::new(service.clone(), Arc::new(StaticToken::new("token")))
        .with_clock(Arc::new(clock.clone()))
        .with_retry(retry);
    let gmail = Gmail::new(connection).unwrap();
    let answer = r#"{"emailAddress":"reader@gmail.example"}"#;
    for is_given_up in [true, false] {
        let begun = service.count();
        let mut calls: Vec<_> = (0..3).map(|_| Box::pin(gmail.profile())).collect();
        for call in &mut calls {
            assert!(poll!(call).is_pending());
        }
        service.answer(begun, 503, "");
        service.answer(begun + 1, 503, "");
        let slow = calls.pop().unwrap();
        for call in calls {
            call.await.unwrap_err();
        }
        clock.advance(retry.circuit.unwrap().longest);
        let mut stale = Box::pin(gmail.profile());
        assert!(poll!(&mut stale).is_pending());
        service.answer(begun + 2, 200, answer);
        slow.await.unwrap();
        // It works, and then it does not again.
        for number in 4..6 {
            let mut failing = Box::pin(gmail.profile());
            assert!(poll!(&mut failing).is_pending());
            service.answer(begun + number, 503, "");
            failing.await.unwrap_err();
        }
        clock.advance(retry.circuit.unwrap().longest);
        let mut trial = Box::pin(gmail.profile());
        assert!(poll!(&mut trial).is_pending());
        if is_given_up {
            drop(stale);
        } else {
            service.answer(begun + 3, 200, answer);
            stale.await.unwrap();
        }
        let mut other = Box::pin(gmail.profile());
        assert!(poll!(&mut other).is_ready(), "another one tries");
        service.answer(begun + 6, 200, answer);
        trial.await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_leaves_the_places_of_streams_that_opened_while_it_waited() {
    let service = Arc::new(ByHand::default());
    let connection = Connection::new(service.clone(), Arc::new(StaticToken::new("token")));
    let outlook = Outlook::new(connection).unwrap();
    let copying = outlook.clone().with_lane(Lane::Backfill);
    // One is under way: the batch waits for all four places.
    let mut first = Box::pin(outlook.profile());
    assert!(poll!(&mut first).is_pending());
    let wanted = ids(12);
    let mut batch = Box::pin(copying.get(&wanted, Detail::Ids));
    assert!(poll!(&mut batch).is_pending());
    assert_eq!(service.count(), 1);
    // Meanwhile somebody begins to read a stream, which stays open.
    let raw_id = MessageId::new("raw");
    let mut raw = Box::pin(outlook.raw(&raw_id));
    assert!(poll!(&mut raw).is_pending());
    service.stream(1, 200, futures_util::stream::pending().boxed());
    let open = raw.await.unwrap();
    service.answer(0, 200, r#"{"mail":"reader@mail.example"}"#);
    first.await.unwrap();
    assert!(poll!(&mut batch).is_pending());
    assert_eq!(service.count(), 3);
    assert!(service.path(2).ends_with("$batch"));
    assert_eq!(service.parts(2), 3, "with the stream it is four");
    drop(open);
}

#[tokio::test]
async fn a_batch_that_is_too_long_for_one_answer_is_halved_and_the_next_is_short_enough() {
    // Beside each part stands something else that nobody asked for.
    let padding = Bytes::from(vec![b' '; 4 * 1024 * 1024]);
    let service = Scripted::new(move |request| {
        if !request.path().contains("/batch/") {
            return Reply::error(404, "{}");
        }
        batch(request, |id| {
            let Reply::Answer(mut inner) = message(id) else {
                return Reply::Lost;
            };
            inner
                .body
                .push("\r\n--b\r\nContent-ID: <other>\r\n\r\n".into());
            inner.body.push(padding.clone());
            Reply::Answer(inner)
        })
    });
    let connection = service.connection().with_regime(Regime::Off);
    let gmail = Gmail::new(connection).unwrap();
    let read = gmail.get(&ids(16), Detail::Headers).await.unwrap();
    assert!(read.iter().all(Result::is_ok));
    let sizes = || -> Vec<usize> {
        let asked = service.requests();
        let size = |asked: &Request| asked.text().matches("Content-ID").count();
        asked.iter().map(size).collect()
    };
    assert_eq!(sizes(), [16, 8, 8]);
    let read = gmail.get(&ids(16), Detail::Headers).await.unwrap();
    assert!(read.iter().all(Result::is_ok));
    assert_eq!(sizes(), [16, 8, 8, 8, 8]);
}

#[tokio::test]
async fn what_a_call_costs_is_what_the_regime_says() {
    const RAISED: &[(&str, u32)] = &[("gmail.messages.get", 50), ("gmail.threads.get", 60)];
    let custom = Limits::concurrency(5).with_units_per_minute(1_000_000);
    for (regime, each) in [
        (Regime::Since2026, 20),
        (Regime::Legacy, 5),
        (Regime::Custom(custom), 20),
        (Regime::Custom(custom.with_costs(RAISED)), 50),
    ] {
        let service = Scripted::new(|request| {
            if request.path().contains("/batch/") {
                return batch(request, message);
            }
            message(request.path().rsplit('/').next().unwrap())
        });
        let gmail = Gmail::new(service.connection().with_regime(regime)).unwrap();
        let one = gmail.get(&ids(1), Detail::Headers).await.unwrap();
        assert!(one[0].is_ok());
        assert_eq!(gmail.spent().units, each, "{regime:?}");
        let many = gmail.get(&ids(30), Detail::Headers).await.unwrap();
        assert!(many.iter().all(Result::is_ok));
        assert_eq!(gmail.spent().units, each * 31, "{regime:?}");
        let estimate = gmail.cost(&Work::Get(30, Detail::Headers)).unwrap();
        assert_eq!(estimate.likely.units, each * 30, "{regime:?}");
    }
}
