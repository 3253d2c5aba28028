//! While a copy is filled at full speed, what somebody waits for goes almost at once, and the copy loses next to nothing by
//! it. Services of one page of code count units and take their time; time is a virtual clock's.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::fmt;
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures_util::future::{join, join_all};
use futures_util::{StreamExt, poll};
use postroom::clock::Clock;
use postroom::credentials::StaticToken;
use postroom::http::{Connection, Limits, Transport, TransportError};
use postroom::testing::VirtualClock;
use postroom::{
    Access, Address, ByteStream, Content, Detail, FolderId, Gmail, Lane, Mailbox, MessageId,
    Outgoing, Outlook, PageRequest, Query,
};

const STEP: Duration = Duration::from_millis(10);

/// Whatever takes longer hangs.
const LONGEST_RUN: Duration = Duration::from_secs(3_600);

/// An answer, what it costs and how long it takes.
struct Reply {
    units: u32,
    took: Duration,
    media_type: &'static str,
    body: String,
}

impl Reply {
    fn json(units: u32, took: u64, body: impl Into<String>) -> Self {
        Self {
            units,
            took: Duration::from_millis(took),
            media_type: "application/json",
            body: body.into(),
        }
    }
}

/// A service with a bucket of units.
struct Service {
    clock: VirtualClock,
    answer: fn(&str, &str) -> Reply,
    /// What is left, and since when.
    units: Mutex<(f64, Duration)>,
    refused: Mutex<usize>,
    spent: Mutex<u32>,
    asked: Mutex<Vec<String>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Service")
    }
}

impl Service {
    fn new(clock: &VirtualClock, answer: fn(&str, &str) -> Reply) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            answer,
            units: Mutex::new((1_000.0, Duration::ZERO)),
            refused: Mutex::new(0),
            spent: Mutex::new(0),
            asked: Mutex::default(),
        })
    }

    fn connection(self: &Arc<Self>) -> Connection {
        Connection::new(self.clone(), Arc::new(StaticToken::new("token")))
            .with_clock(Arc::new(self.clock.clone()))
    }
}

#[async_trait]
impl Transport for Service {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<http::Response<ByteStream>, TransportError> {
        let target = request.uri().to_string();
        let body = request.body().to_bytes(1 << 20).await.unwrap();
        let reply = (self.answer)(&target, &String::from_utf8_lossy(&body));
        self.asked.lock().unwrap().push(target);
        {
            let now = self.clock.monotonic();
            let mut units = self.units.lock().unwrap();
            let flowed = (now - units.1).as_secs_f64() * 100.0;
            *units = ((units.0 + flowed).min(1_000.0), now);
            units.0 -= f64::from(reply.units);
            *self.spent.lock().unwrap() += reply.units;
            if units.0 < 0.0 {
                *self.refused.lock().unwrap() += 1;
            }
        }
        self.clock.sleep(reply.took).await;
        let body = futures_util::stream::iter([Ok(reply.body.into())]);
        let mut response = http::Response::new(Box::pin(body) as ByteStream);
        let media_type = http::HeaderValue::from_static(reply.media_type);
        response.headers_mut().insert("content-type", media_type);
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
        assert!(clock.monotonic() < LONGEST_RUN, "it never ends");
    }
}

/// How long each of some calls takes, one now and then.
async fn timed<F: Future<Output = ()>>(
    clock: &VirtualClock,
    times: u64,
    pause: Duration,
    call: impl Fn(u64) -> F,
) -> Vec<Duration> {
    let mut waits = Vec::new();
    for number in 0..times {
        clock
            .sleep(pause + Duration::from_millis(37 * (number % 7)))
            .await;
        let began = clock.monotonic();
        call(number).await;
        waits.push(clock.monotonic() - began);
    }
    waits.sort();
    waits
}

fn median(waits: &[Duration]) -> Duration {
    waits[waits.len() / 2]
}

fn outgoing() -> Outgoing {
    Outgoing::new()
        .to("billing@shop.example".parse::<Address>().unwrap())
        .subject("Order")
        .text("Thank you")
}

/// How long Gmail takes, without any wait.
const MESSAGE: u64 = 100;
const BATCH: u64 = 600;

/// Gmail, of which every message is another conversation.
fn gmail(target: &str, body: &str) -> Reply {
    if target.contains("/batch/") {
        let boundary = body.split("\r\n").next().unwrap();
        let mut text = String::new();
        let mut count = 0;
        for line in body
            .lines()
            .filter(|line| line.contains(" /gmail/v1/users/"))
        {
            let id = line.split(['/', '?']).nth(6).unwrap();
            write!(
                text,
                "{boundary}\r\nContent-Type: application/http\r\nContent-ID: <response-i{count}>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}\r\n",
                message(id)
            )
            .unwrap();
            count += 1;
        }
        write!(text, "{boundary}--\r\n").unwrap();
        let mut reply = Reply::json(20 * count, BATCH, text);
        reply.media_type = "multipart/mixed; boundary=b";
        reply.body = reply.body.replace(boundary, "--b");
        return reply;
    }
    if target.contains("/modify") {
        return Reply::json(10, MESSAGE, message("a1"));
    }
    if target.contains("/batchModify") {
        return Reply::json(50, MESSAGE, "");
    }
    if target.contains("/drafts/send") {
        return Reply::json(100, MESSAGE, message("a1"));
    }
    if target.contains("/drafts") {
        return Reply::json(
            10,
            MESSAGE,
            r#"{"id":"d1","message":{"id":"a1","threadId":"a1"}}"#,
        );
    }
    if target.contains("/messages/") {
        let id = target.split(['/', '?']).nth(8).unwrap();
        return Reply::json(20, MESSAGE, message(id));
    }
    let page = target.split("pageToken=").nth(1);
    let page: u64 = page.map_or(0, |rest| rest.split('&').next().unwrap().parse().unwrap());
    let listed: Vec<String> = (0..500)
        .map(|number| message(&format!("{:x}", page * 500 + number)))
        .collect();
    Reply::json(
        5,
        MESSAGE,
        format!(
            r#"{{"messages":[{}],"nextPageToken":"{}"}}"#,
            listed.join(","),
            page + 1
        ),
    )
}

fn message(id: &str) -> String {
    format!(r#"{{"id":"{id}","threadId":"{id}"}}"#)
}

#[tokio::test]
async fn at_gmail_a_get_and_a_send_hardly_wait_for_a_backfill() {
    let clock = clock();
    let service = Service::new(&clock, gmail);
    let provider = Gmail::new(service.connection()).unwrap();
    let mailbox = Mailbox::new(provider.with_access(Access::READ_WRITE | Access::SEND));
    let copying = mailbox.with_lane(Lane::Backfill);
    let copy = copying.messages_with(Query::All, Detail::Full, PageRequest::first());
    let copy = copy
        .take(1_500)
        .for_each(async |message| drop(message.unwrap()));
    let waiting = async {
        let gets = timed(&clock, 30, Duration::from_secs(4), |number| {
            let id = MessageId::new(format!("f{number:x}"));
            let mailbox = &mailbox;
            async move {
                let read = mailbox.messages_by_id(&[id], Detail::Full).await.unwrap();
                read.into_iter().for_each(|message| drop(message.unwrap()));
            }
        })
        .await;
        let sends = timed(&clock, 15, Duration::from_secs(6), |_| async {
            mailbox.send(&outgoing()).await.unwrap();
        })
        .await;
        (gets, sends)
    };
    let (_, (gets, sends)) = run(&clock, join(copy, waiting)).await;
    let took = |calls: u64| Duration::from_millis(calls * MESSAGE);
    assert!(
        median(&gets) - took(1) < Duration::from_millis(250),
        "{gets:?}"
    );
    assert!(
        median(&sends) - took(2) < Duration::from_secs(1),
        "{sends:?}"
    );
    // All together spend what there is.
    assert_eq!(*service.refused.lock().unwrap(), 0);
    let spent = f64::from(*service.spent.lock().unwrap());
    let possible = clock.monotonic().as_secs_f64() * 100.0;
    assert!(spent > possible * 0.95, "{spent} of {possible} units");
}

#[tokio::test]
async fn where_units_are_few_a_backfill_that_waited_long_keeps_nobody_waiting_long() {
    let clock = clock();
    let service = Service::new(&clock, gmail);
    let few = Limits::concurrency(5).with_units_per_minute(900);
    let mailbox = Mailbox::new(Gmail::new(service.connection().with_limits(few)).unwrap());
    let copying = mailbox.with_lane(Lane::Backfill);
    let copy = copying.messages_with(Query::All, Detail::Full, PageRequest::first());
    let copy = copy
        .take(50)
        .for_each(async |message| drop(message.unwrap()));
    let gets = timed(&clock, 12, Duration::from_secs(1), |number| {
        let id = MessageId::new(format!("f{number:x}"));
        let mailbox = &mailbox;
        async move {
            let read = mailbox.messages_by_id(&[id], Detail::Full).await.unwrap();
            read.into_iter().for_each(|message| drop(message.unwrap()));
        }
    });
    let (_, gets) = run(&clock, join(copy, gets)).await;
    assert!(gets[11] < Duration::from_secs(10), "{gets:?}");
}

/// How long a page of Outlook's takes, and a message.
const PAGE: u64 = 450;

/// Outlook, whose folder never ends.
fn outlook(target: &str, _: &str) -> Reply {
    let item = r#"{"id":"m1","parentFolderId":"f1","isRead":true,"subject":"Order"}"#;
    if target.contains("/messages/") {
        return Reply::json(0, MESSAGE, item);
    }
    let items = vec![item; 20].join(",");
    let next = "https://graph.microsoft.com/v1.0/me/mailFolders/f1/messages?$skip=";
    let skip = target
        .split("skip=")
        .nth(1)
        .map_or(0, |skip| skip.parse().unwrap());
    let skip: u64 = skip + 20;
    Reply::json(
        0,
        PAGE,
        format!(r#"{{"value":[{items}],"@odata.nextLink":"{next}{skip}"}}"#),
    )
}

#[tokio::test]
async fn at_outlook_nobody_waits_for_more_than_a_page_of_a_backfill() {
    let clock = clock();
    let service = Service::new(&clock, outlook);
    let mailbox = Mailbox::new(Outlook::new(service.connection()).unwrap());
    let copying = mailbox.with_lane(Lane::Backfill);
    // More copies than there are places.
    let query = || Query::InFolder(FolderId::new("f1"));
    let copies = join_all((0..6).map(|_| {
        let copy = copying.messages_with(query(), Detail::Full, PageRequest::first());
        copy.take(1_000)
            .for_each(async |message| drop(message.unwrap()))
    }));
    let gets = timed(&clock, 20, Duration::from_secs(1), |_| async {
        let ids = [MessageId::new("m1")];
        let read = mailbox.messages_by_id(&ids, Detail::Headers).await.unwrap();
        read.into_iter().for_each(|message| drop(message.unwrap()));
    });
    let (_, gets) = run(&clock, join(copies, gets)).await;
    let longest = *gets.last().unwrap();
    assert!(
        longest <= Duration::from_millis(PAGE + MESSAGE) + STEP * 2,
        "{gets:?}"
    );
    let pages = 6 * 1_000 / 20;
    let possible = Duration::from_millis(pages * PAGE) / 4;
    assert!(
        clock.monotonic() < possible.mul_f64(1.05) + Duration::from_millis(PAGE),
        "{:?}",
        clock.monotonic()
    );
}

/// Outlook, with a message for each minute since long ago, of which many have a message attached.
fn outlook_by_time(target: &str, body: &str) -> Reply {
    if target.contains("/$batch") {
        let calls: serde_json::Value = serde_json::from_str(body).unwrap();
        let answers = calls["requests"].as_array().unwrap().iter().map(|call| {
            let body = serde_json::json!({"id": "m1", "parentFolderId": "f1"});
            serde_json::json!({"id": call["id"], "status": 200, "body": body})
        });
        let answers: Vec<serde_json::Value> = answers.collect();
        return Reply::json(
            0,
            MESSAGE,
            serde_json::json!({"responses": answers}).to_string(),
        );
    }
    if !target.contains("/messages?") {
        return Reply::json(0, MESSAGE, r#"{"id":"m1","parentFolderId":"f1"}"#);
    }
    let minute = |operator: &str| {
        let time = target.split(operator).nth(1)?.get(..20)?;
        Some(
            DateTime::parse_from_rfc3339(time)
                .unwrap()
                .timestamp()
                .div_euclid(60),
        )
    };
    let top = target.split("$top=").nth(1).unwrap();
    let top: i64 = top.split('&').next().unwrap().parse().unwrap();
    let newest = minute("lt%20").map_or(1_790_000_000 / 60, |until| until - 1);
    let oldest = minute("ge%20").unwrap_or(0);
    let last = oldest.max(newest - top + 1);
    let items: Vec<String> = (last..=newest)
        .rev()
        .map(|minute| {
            let time = DateTime::from_timestamp(minute * 60, 0).unwrap().format("%FT%TZ");
            let attached = r##"[{"@odata.type":"#microsoft.graph.itemAttachment","id":"a1","name":"Order","size":1}]"##;
            let attached = if minute % 3 == 0 { attached } else { "[]" };
            format!(r#"{{"id":"m{minute}","parentFolderId":"f1","receivedDateTime":"{time}","attachments":{attached}}}"#)
        })
        .collect();
    let time = |minute: i64| {
        DateTime::from_timestamp(minute * 60, 0)
            .unwrap()
            .format("%FT%TZ")
    };
    let more = format!(
        r#","@odata.nextLink":"https://graph.microsoft.com/v1.0/me/mailFolders/f1/messages?$top={top}&$filter=receivedDateTime%20ge%20{}%20and%20receivedDateTime%20lt%20{}""#,
        time(oldest),
        time(last)
    );
    let more = if last > oldest { more.as_str() } else { "" };
    Reply::json(
        0,
        PAGE,
        format!(r#"{{"value":[{}]{more}}}"#, items.join(",")),
    )
}

#[tokio::test]
async fn a_host_may_use_the_mailbox_between_two_messages_of_all() {
    for name in ["gmail", "outlook"] {
        for size in [1, 5] {
            let clock = clock();
            let mailbox = if name == "gmail" {
                let provider = Gmail::new(Service::new(&clock, gmail).connection()).unwrap();
                Mailbox::new(provider.with_access(Access::READ_WRITE))
            } else {
                let service = Service::new(&clock, outlook_by_time);
                let provider = Outlook::new(service.connection()).unwrap();
                Mailbox::new(provider.with_access(Access::READ_WRITE))
            };
            let work = async {
                let query =
                    Query::InFolder(FolderId::new(if name == "gmail" { "INBOX" } else { "f1" }));
                let copying = mailbox.with_lane(Lane::Backfill);
                let mut messages = copying.messages_with(query, Detail::Full, PageRequest::first());
                for _ in 0..60 {
                    let mut ids = Vec::new();
                    for _ in 0..5 {
                        ids.push(messages.next().await.unwrap().unwrap().id);
                    }
                    let changed = copying.mark_read(&ids[..size]).await.unwrap();
                    changed.into_iter().for_each(|outcome| outcome.unwrap());
                }
            };
            run(&clock, work).await;
        }
    }
}

/// How long the pages are that several copies at once ask for, the first of each left out.
async fn sizes(answer: fn(&str, &str) -> Reply) -> Vec<u32> {
    let clock = clock();
    let service = Service::new(&clock, answer);
    let mailbox = Mailbox::new(Outlook::new(service.connection()).unwrap());
    let copying = mailbox.with_lane(Lane::Backfill);
    let copies = join_all((0..6).map(|_| {
        let query = Query::InFolder(FolderId::new("f1"));
        let copy = copying.messages_with(query, Detail::Headers, PageRequest::first());
        copy.take(800)
            .for_each(async |message| drop(message.unwrap()))
    }));
    run(&clock, copies).await;
    let asked = service.asked.lock().unwrap();
    let size = |target: &String| {
        let top = target.split("$top=").nth(1)?;
        top.split('&').next()?.parse().ok()
    };
    asked.iter().filter_map(size).skip(6).collect()
}

#[tokio::test]
async fn pages_shrink_where_the_service_is_slow_and_not_where_others_go_first() {
    let quick = sizes(outlook_by_time).await;
    assert!(quick.iter().all(|size| *size >= 50), "{quick:?}");
    let slow = sizes(|target, body| {
        let mut reply = outlook_by_time(target, body);
        reply.took = Duration::from_millis(700);
        reply
    })
    .await;
    assert_eq!(slow.last(), Some(&10), "{slow:?}");
}

#[tokio::test]
async fn no_batch_runs_more_calls_at_once_than_its_share_of_the_places() {
    let clock = clock();
    let service = Service::new(&clock, |target, body| {
        if target.contains("/$batch") {
            let batch: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(batch["requests"].as_array().unwrap().len() <= 2, "{body}");
        }
        outlook_by_time(target, body)
    });
    let half = service
        .connection()
        .with_limits(Limits::concurrency(4).share(0.5));
    let mailbox = Mailbox::new(Outlook::new(half).unwrap());
    let ids: Vec<MessageId> = (0..9).map(|_| MessageId::new("m1")).collect();
    let read = run(&clock, mailbox.messages_by_id(&ids, Detail::Headers)).await;
    assert!(read.unwrap().iter().all(Result::is_ok));
}
