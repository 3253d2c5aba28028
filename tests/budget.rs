//! What is asked of a mailbox stays within what its service allows, uses nearly all of it, and lets nobody wait who does
//! not have to. A service of one page of code counts units as Gmail does; time is a virtual clock's.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures_util::future::join_all;
use futures_util::poll;
use postroom::clock::Clock;
use postroom::credentials::StaticToken;
use postroom::http::{
    CircuitPolicy, Connection, Lane, Limits, RetryPolicy, Transport, TransportError,
};
use postroom::testing::VirtualClock;
use postroom::{
    ByteStream, Cap, Content, Detail, Error, ErrorKind, Gmail, MailProvider, Mailbox, MessageId,
    Result, Spent,
};

/// What a read of a message costs.
const READ: u32 = 20;
const LATENCY: Duration = Duration::from_millis(150);
const STEP: Duration = Duration::from_millis(25);

/// A service with a bucket of units, that answers after a while.
#[derive(Debug)]
struct Metered {
    clock: VirtualClock,
    bucket: Mutex<Bucket>,
    down: Mutex<bool>,
}

#[derive(Debug)]
struct Bucket {
    size: f64,
    per_second: f64,
    level: f64,
    at: Duration,
    asked_at: Vec<Duration>,
    refused: usize,
}

impl Metered {
    /// The size is what an account in the field went over by when it was refused.
    fn new(clock: &VirtualClock, units_per_minute: f64) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            bucket: Mutex::new(Bucket {
                size: 1_000.0,
                per_second: units_per_minute / 60.0,
                level: 1_000.0,
                at: Duration::ZERO,
                asked_at: Vec::new(),
                refused: 0,
            }),
            down: Mutex::new(false),
        })
    }

    fn gmail(self: &Arc<Self>, limits: Limits) -> Gmail {
        let connection = Connection::new(self.clone(), Arc::new(StaticToken::new("token")))
            .with_clock(Arc::new(self.clock.clone()))
            .with_limits(limits);
        Gmail::new(connection).unwrap()
    }

    fn requests(&self) -> Vec<Duration> {
        self.bucket.lock().unwrap().asked_at.clone()
    }

    fn refused(&self) -> usize {
        self.bucket.lock().unwrap().refused
    }
}

#[async_trait]
impl Transport for Metered {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> std::result::Result<http::Response<ByteStream>, TransportError> {
        let now = self.clock.monotonic();
        let paid = {
            let mut bucket = self.bucket.lock().unwrap();
            let passed = (now - bucket.at).as_secs_f64();
            bucket.level = (bucket.level + passed * bucket.per_second).min(bucket.size);
            bucket.at = now;
            bucket.asked_at.push(now);
            let paid = bucket.level >= f64::from(READ);
            if paid {
                bucket.level -= f64::from(READ);
            } else {
                bucket.refused += 1;
            }
            paid
        };
        self.clock.sleep(LATENCY).await;
        let id = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let (status, body) = if *self.down.lock().unwrap() {
            (503, "{}".to_owned())
        } else if paid {
            (200, format!(r#"{{"id":"{id}","threadId":"{id}"}}"#))
        } else {
            let refusal = r#"{"error":{"code":403,"errors":[{"domain":"usageLimits","reason":"rateLimitExceeded"}]}}"#;
            (403, refusal.to_owned())
        };
        let body = futures_util::stream::iter([Ok(body.into())]);
        let mut response = http::Response::new(Box::pin(body) as ByteStream);
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

fn clock() -> VirtualClock {
    VirtualClock::by_hand(DateTime::from_timestamp(1_790_000_000, 0).unwrap())
}

/// Lets time pass until `work` is done.
async fn run<T>(clock: &VirtualClock, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        for _ in 0..4 {
            if let Poll::Ready(done) = poll!(&mut work) {
                return done;
            }
            tokio::task::yield_now().await;
        }
        clock.advance(STEP);
    }
}

async fn read(gmail: &Gmail, number: usize) -> Result<()> {
    let id = MessageId::new(format!("{number:x}"));
    let mut messages = gmail.get(&[id], Detail::Headers).await?;
    messages.remove(0).map(drop)
}

/// How long a read takes from now on.
async fn timed(gmail: &Gmail, clock: &VirtualClock, number: usize) -> Duration {
    let began = clock.monotonic();
    read(gmail, number).await.unwrap();
    clock.monotonic() - began
}

#[tokio::test]
async fn nearly_all_units_are_used_and_none_is_asked_for_too_early() {
    let clock = clock();
    let service = Metered::new(&clock, 6_000.0);
    let gmail = service.gmail(Limits::concurrency(8).with_units_per_minute(6_000));
    let backfill = gmail.clone().with_lane(Lane::Backfill);
    let reads = 1_000;
    let work = join_all((0..reads).map(|number| read(&backfill, number)));
    for outcome in run(&clock, work).await {
        outcome.unwrap();
    }
    assert_eq!(service.refused(), 0);
    let possible = f64::from(READ) * 1_000.0 / 100.0;
    let took = clock.monotonic().as_secs_f64();
    assert!(
        took < possible * 1.03,
        "{took} s where {possible} s are needed"
    );
    assert_eq!(gmail.spent().units, 20_000);
}

#[tokio::test]
async fn what_somebody_waits_for_goes_at_once_while_a_copy_is_filled_at_full_speed() {
    let clock = clock();
    let service = Metered::new(&clock, 6_000.0);
    let gmail = service.gmail(Limits::concurrency(5).with_units_per_minute(6_000));
    let backfill = gmail.clone().with_lane(Lane::Backfill);
    let filling = join_all((0..1_000).map(|number| read(&backfill, number)));
    let reading = async {
        let mut longest = Duration::ZERO;
        for number in 0..60 {
            clock.sleep(Duration::from_secs(3)).await;
            longest = longest.max(timed(&gmail, &clock, 10_000 + number).await);
        }
        longest
    };
    let (_, longest) = run(&clock, async { futures_util::join!(filling, reading) }).await;
    assert!(longest <= LATENCY * 2 + STEP * 2, "{longest:?}");
    assert_eq!(service.refused(), 0);
}

#[tokio::test]
async fn nobody_waits_for_ever_while_others_are_more_urgent() {
    let clock = clock();
    let service = Metered::new(&clock, 6_000.0);
    let gmail = service.gmail(Limits::concurrency(5).with_units_per_minute(6_000));
    let backfill = gmail.clone().with_lane(Lane::Backfill);
    // More than there is budget for, without end.
    let pressing = join_all((0..20).map(|task| {
        let gmail = &gmail;
        async move {
            for number in 0.. {
                read(gmail, task * 1_000_000 + number).await.unwrap();
            }
        }
    }));
    let mut pressing = pin!(pressing);
    let patient = async {
        for number in 0..5 {
            let waited = timed(&backfill, &clock, number).await;
            assert!(waited < Duration::from_secs(20), "{waited:?}");
        }
    };
    let mut patient = pin!(patient);
    let both = futures_util::future::poll_fn(|context| {
        assert!(pressing.as_mut().poll(context).is_pending());
        patient.as_mut().poll(context)
    });
    run(&clock, both).await;
}

#[tokio::test]
async fn no_window_of_time_holds_more_requests_than_the_service_allows() {
    let clock = clock();
    let service = Metered::new(&clock, 1e9);
    let window = Duration::from_secs(60);
    let gmail = service.gmail(Limits::concurrency(4).with_requests_per(100, window));
    let work = join_all((0..450).map(|number| read(&gmail, number)));
    for outcome in run(&clock, work).await {
        outcome.unwrap();
    }
    let asked = service.requests();
    for (first, since) in asked.iter().enumerate() {
        let within = asked[first..]
            .iter()
            .take_while(|at| **at - *since < window)
            .count();
        assert!(within <= 100, "{within} in one window");
    }
    assert!(
        clock.monotonic() < window * 5,
        "four windows and a bit are enough: {:?}",
        clock.monotonic()
    );
}

#[tokio::test]
async fn a_window_of_requests_is_spent_smoothly_and_somebody_who_waits_draws_on_what_is_saved() {
    let clock = clock();
    let service = Metered::new(&clock, 1e9);
    let window = Duration::from_secs(20);
    // Without a pace it would be used up in half of the time.
    let gmail = service.gmail(Limits::concurrency(4).with_requests_per(300, window));
    let backfill = gmail.clone().with_lane(Lane::Backfill);
    let filling = join_all((0..8).map(|worker| {
        let backfill = &backfill;
        async move {
            for number in 0..125 {
                read(backfill, worker * 1_000 + number).await.unwrap();
            }
        }
    }));
    let reading = async {
        let mut longest = Duration::ZERO;
        for number in 0..20 {
            clock.sleep(Duration::from_secs(3)).await;
            longest = longest.max(timed(&gmail, &clock, 10_000 + number).await);
        }
        longest
    };
    let (_, longest) = run(&clock, async { futures_util::join!(filling, reading) }).await;
    assert!(longest <= LATENCY * 2 + STEP * 2, "{longest:?}");
    let asked = service.requests();
    let silent = asked.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(silent < Duration::from_secs(1), "nothing for {silent:?}");
    for (first, since) in asked.iter().enumerate() {
        let within = asked[first..].iter();
        let within = within.take_while(|at| **at - *since < window).count();
        assert!(within <= 300, "{within} in one window");
    }
    let possible = window.mul_f64(1_020.0 / 300.0);
    let took = clock.monotonic();
    assert!(took < possible.mul_f64(1.06), "{took:?} of {possible:?}");
}

#[tokio::test]
async fn a_service_that_allows_less_than_it_says_is_asked_for_less() {
    let clock = clock();
    // Half of the quota is used by another program.
    let service = Metered::new(&clock, 3_000.0);
    let gmail = service.gmail(Limits::concurrency(8).with_units_per_minute(6_000));
    let work = join_all((0..600).map(|number| read(&gmail, number)));
    for outcome in run(&clock, work).await {
        outcome.unwrap();
    }
    let refused = service.refused();
    assert!(refused < 90, "{refused} refusals for 600 reads");
}

#[tokio::test]
async fn a_service_that_is_down_is_left_alone_and_tried_again() {
    let clock = clock();
    let service = Metered::new(&clock, 1e9);
    *service.down.lock().unwrap() = true;
    let mut circuit = CircuitPolicy::default();
    circuit.failures = 3;
    let mut retry = RetryPolicy::never();
    retry.circuit = Some(circuit);
    let connection = Connection::new(service.clone(), Arc::new(StaticToken::new("token")))
        .with_clock(Arc::new(clock.clone()))
        .with_retry(retry);
    let gmail = Gmail::new(connection).unwrap();
    let fails = async |number| -> Error {
        let error = run(&clock, read(&gmail, number)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        error
    };
    for number in 0..3 {
        assert_eq!(fails(number).await.status(), Some(503));
    }
    let error = fails(3).await;
    assert_eq!(error.status(), None, "the service was not asked");
    assert!(error.retry_after().is_some());
    assert_eq!(service.requests().len(), 3);

    // One request tries; it fails, and the pause is longer.
    clock.advance(circuit.pause);
    assert_eq!(fails(4).await.status(), Some(503));
    clock.advance(circuit.pause);
    assert_eq!(fails(5).await.status(), None);
    clock.advance(circuit.pause);

    *service.down.lock().unwrap() = false;
    for number in 6..9 {
        run(&clock, read(&gmail, number)).await.unwrap();
    }
}

/// What a subscriber was told on one thread: the name of each span and the sentence of each event, with its fields. It is the
/// whole program's, since what one thread's subscriber is interested in may be found out by another thread.
#[derive(Clone)]
struct Told(Arc<Mutex<Vec<Named>>>, std::thread::ThreadId);

type Named = (String, Vec<String>);

impl Told {
    fn note(&self, name: String, fields: Vec<String>) {
        if std::thread::current().id() == self.1 {
            self.0.lock().unwrap().push((name, fields));
        }
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "postroom::http::observe"
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let name = format!("span {}", span.metadata().name());
        let fields = span
            .metadata()
            .fields()
            .iter()
            .map(|field| field.to_string());
        self.note(name, fields.collect());
        tracing::span::Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Sentence(String);
        impl tracing::field::Visit for Sentence {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut sentence = Sentence(String::new());
        event.record(&mut sentence);
        let fields = event
            .metadata()
            .fields()
            .iter()
            .map(|field| field.to_string());
        let fields = fields.filter(|field| field != "message");
        self.note(sentence.0, fields.collect());
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn what_is_traced_has_names_that_stay() {
    let told = Told(Arc::default(), std::thread::current().id());
    tracing::subscriber::set_global_default(told.clone()).unwrap();
    let clock = clock();
    let service = Metered::new(&clock, 1_000.0);
    let gmail = service.gmail(Limits::concurrency(8).with_units_per_minute(6_000));
    let work = join_all((0..80).map(|number| read(&gmail, number)));
    for outcome in run(&clock, work).await {
        outcome.unwrap();
    }
    let told = told.0.lock().unwrap();
    let count = |name: &str, fields: &[&str]| {
        let told = told.iter().filter(|(told, _)| told == name);
        told.inspect(|(_, told)| assert_eq!(told, fields, "{name}"))
            .count()
    };
    let refused = service.refused();
    assert_eq!(count("span request", &["operation", "lane", "units"]), 80);
    let answered = ["operation", "attempt", "lane", "units", "took"];
    assert_eq!(count("request answered", &answered), 80);
    let failed = [&answered[..], &["kind", "status", "code"]].concat();
    assert_eq!(count("request failed", &failed), refused);
    assert_eq!(
        count("request is sent again", &["operation", "attempt"]),
        refused
    );
    assert!(
        count(
            "request waited for its turn",
            &["operation", "lane", "waited"]
        ) > 0
    );
    assert!(refused > 0);
}

#[cfg(feature = "metrics")]
mod seen {
    use std::collections::{BTreeMap, BTreeSet};

    use metrics::{
        Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
        SharedString, Unit,
    };

    use super::*;

    /// What was counted, by name, with the labels that it came with.
    #[derive(Clone, Default)]
    struct Counted(Arc<Mutex<BTreeMap<String, Sum>>>);

    /// The labels that came with it, and the sum.
    type Sum = (BTreeSet<String>, f64);

    struct One(Counted, Key);

    impl One {
        fn add(&self, amount: f64) {
            let mut counted = self.0.0.lock().unwrap();
            let (labels, sum) = counted.entry(self.1.name().to_owned()).or_default();
            let given = self.1.labels();
            labels.extend(given.map(|label| format!("{}={}", label.key(), label.value())));
            *sum += amount;
        }
    }

    impl CounterFn for One {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        fn increment(&self, value: u64) {
            self.add(value as f64);
        }

        fn absolute(&self, _: u64) {
            panic!("nothing here is set");
        }
    }

    impl HistogramFn for One {
        fn record(&self, value: f64) {
            self.add(value);
        }
    }

    impl Recorder for Counted {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(Arc::new(One(self.clone(), key.clone())))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            panic!("there are no gauges");
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(Arc::new(One(self.clone(), key.clone())))
        }
    }

    #[tokio::test]
    async fn requests_units_waits_and_retries_are_counted_under_names_that_stay() {
        let counted = Counted::default();
        let guard = metrics::set_default_local_recorder(&counted);
        let clock = clock();
        // A service that allows less than it says, so that some is asked again.
        let service = Metered::new(&clock, 1_000.0);
        let gmail = service.gmail(Limits::concurrency(8).with_units_per_minute(6_000));
        let work = join_all((0..80).map(|number| read(&gmail, number)));
        for outcome in run(&clock, work).await {
            outcome.unwrap();
        }
        drop(guard);
        let requests = service.requests().len();
        let counted = counted.0.lock().unwrap();
        let of = |name: &str| {
            let (labels, sum) = &counted[name];
            assert!(labels.contains("provider=gmail"), "{name}: {labels:?}");
            assert!(
                labels.contains("operation=gmail.messages.get"),
                "{name}: {labels:?}"
            );
            (labels.clone(), *sum)
        };
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let number = |count: usize| count as f64;
        let (labels, sum) = of("postroom_requests_total");
        assert_eq!(sum, number(requests));
        for label in ["outcome=ok", "outcome=RateLimited", "lane=interactive"] {
            assert!(labels.contains(label), "{labels:?}");
        }
        assert_eq!(of("postroom_units_total").1, number(requests * 20));
        assert_eq!(of("postroom_retries_total").1, number(requests - 80));
        assert!(of("postroom_wait_seconds").1 > 1.0);
        assert!(of("postroom_request_seconds").1 > 1.0);
        assert!(of("postroom_received_bytes_total").1 > 80.0);
        assert_eq!(counted.len(), 6, "{:?}", counted.keys());
    }

    #[tokio::test]
    async fn only_what_was_sent_is_counted() {
        let counted = Counted::default();
        let guard = metrics::set_default_local_recorder(&counted);
        let clock = clock();
        let service = Metered::new(&clock, 6_000.0);
        let gmail = service.gmail(Limits::concurrency(8).with_units_per_minute(6_000));
        let capped = Mailbox::new(gmail).with_cap(Cap::units(u64::from(READ) * 2));
        let capped = capped.unwrap();
        for number in 0..5 {
            let id = MessageId::new(format!("{number:x}"));
            let read = run(&clock, capped.message(&id)).await;
            assert_eq!(read.is_ok(), number < 2);
        }
        drop(guard);
        let counted = counted.0.lock().unwrap();
        let sent = |name: &str| counted[name].1;
        assert_eq!(sent("postroom_requests_total"), 2.0);
        assert_eq!(sent("postroom_units_total"), f64::from(READ) * 2.0);
    }
}

#[tokio::test]
async fn what_was_never_sent_costs_nothing() {
    let clock = clock();
    let service = Metered::new(&clock, 6_000.0);
    let gmail = service.gmail(Limits::concurrency(1).with_units_per_minute(6_000));
    let mut first = Box::pin(read(&gmail, 1));
    assert!(poll!(&mut first).is_pending());
    let mut second = Box::pin(read(&gmail, 2));
    assert!(poll!(&mut second).is_pending());
    run(&clock, first).await.unwrap();
    // It lets the second go, which is given up before it went.
    let mut third = Box::pin(read(&gmail, 3));
    assert!(poll!(&mut third).is_pending());
    drop(second);
    run(&clock, third).await.unwrap();
    assert_eq!(gmail.spent(), Spent::new(2 * u64::from(READ), 2));
}
