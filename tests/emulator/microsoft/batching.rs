//! Batches, and how many requests go at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use http::Method;
use postroom::clock::Clock;
use postroom::emulator::{Emulator, Fault, FaultKind};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::refused;
use crate::graph_client::{Answer, Graph, WORK, text};

/// Status by id.
fn statuses(answer: &Answer) -> Vec<(String, u64)> {
    let body = answer.json();
    let responses = body["responses"].as_array().unwrap();
    let mut statuses: Vec<(String, u64)> = responses
        .iter()
        .map(|response| (text(&response["id"]), response["status"].as_u64().unwrap()))
        .collect();
    statuses.sort();
    statuses
}

#[tokio::test]
async fn batches_have_their_rules() {
    let graph = Graph::unrecorded().await;
    let get = |id: &str| json!({"id": id, "method": "GET", "url": "/me/mailFolders/inbox"});
    let many: Vec<Value> = (0..21).map(|number| get(&number.to_string())).collect();
    let wrong = [
        json!([]),
        Value::Array(many),
        json!([get("a"), get("A")]),
        json!([{"method": "GET", "url": "/me"}]),
        json!([{"id": "1", "method": "GET", "url": "https://graph.microsoft.com/v1.0/me"}]),
        json!([{"id": "1", "method": "GET", "url": "/v1.0/me"}]),
        json!([{"id": "1", "method": "GET", "url": "/me", "dependsOn": ["2"]}]),
        json!([{"id": "1", "method": "PATCH", "url": "/me/messages/x", "body": {"isRead": true}}]),
        json!([{"id": "1", "method": "POST", "url": "/$batch", "headers": {"Content-Type": "application/json"}, "body": {}}]),
        json!([{"id": "1", "method": "GET", "url": "/me", "extra": 1}]),
    ];
    for requests in wrong {
        refused(&graph.batch(requests).await, 400, "BadRequest");
    }
    let circle = json!([
        {"id": "1", "method": "GET", "url": "/me", "dependsOn": ["2"]},
        {"id": "2", "method": "GET", "url": "/me", "dependsOn": ["1"]},
    ]);
    refused(&graph.batch(circle).await, 400, "BadRequest");
}

#[tokio::test]
async fn parts_of_a_batch_fail_one_by_one() {
    let graph = Graph::unrecorded().await;
    let get = |id: &str, url: &str| json!({"id": id, "method": "GET", "url": url});
    let mut after = get("c", "/me");
    after["dependsOn"] = json!(["b"]);
    let answer = graph
        .batch(json!([
            get("a", "/me"),
            get("b", "/me/messages/nonsense"),
            after
        ]))
        .await;
    let expected = [
        ("a".to_owned(), 200),
        ("b".to_owned(), 400),
        ("c".to_owned(), 424),
    ];
    assert_eq!(statuses(&answer), expected);
    // In another order than asked.
    assert_eq!(answer.json()["responses"][0]["id"], "c");

    // More than four side by side are too many for some of them, one after the other they are not.
    let crowd: Vec<Value> = ('a'..='h')
        .map(|id| get(&id.to_string(), "/me/mailFolders/inbox"))
        .collect();
    let answer = graph.batch(Value::Array(crowd.clone())).await;
    let refused: Vec<u64> = statuses(&answer)
        .into_iter()
        .map(|(_, status)| status)
        .collect();
    assert_eq!(refused, [200, 200, 200, 200, 200, 429, 200, 429]);
    let body = answer.json();
    let throttled = body["responses"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["status"] == 429)
        .unwrap();
    assert_eq!(throttled["headers"]["Retry-After"], "1");
    assert_eq!(throttled["body"]["error"]["code"], "ApplicationThrottled");
    let mut chain = crowd;
    for index in 1..chain.len() {
        chain[index]["dependsOn"] = json!([chain[index - 1]["id"]]);
    }
    let answer = graph.batch(Value::Array(chain)).await;
    assert!(statuses(&answer).iter().all(|(_, status)| *status == 200));
}

#[tokio::test]
async fn a_fault_strikes_inside_a_batch_too() {
    let graph = Graph::unrecorded().await;
    let wait = Some(Duration::from_secs(7));
    graph
        .emulator
        .fault(Fault::new(FaultKind::rate_limited(wait)).on(Method::GET, "/mailFolders/drafts"));
    let get = |id: &str, url: &str| json!({"id": id, "method": "GET", "url": url});
    let requests = json!([
        get("a", "/me/mailFolders/inbox"),
        get("b", "/me/mailFolders/drafts")
    ]);
    let answer = graph.batch(requests.clone()).await;
    assert_eq!(
        statuses(&answer),
        [("a".to_owned(), 200), ("b".to_owned(), 429)]
    );
    assert_eq!(answer.json()["responses"][0]["headers"]["Retry-After"], "7");
    assert!(
        statuses(&graph.batch(requests).await)
            .iter()
            .all(|(_, status)| *status == 200)
    );
}

/// A clock on which a wait ends when eight wait: so that many requests are under way at once.
#[derive(Debug)]
struct Gathering(Barrier);

#[tokio::test]
async fn four_requests_at_a_time_are_enough() {
    let builder = || Emulator::builder().latency(Duration::from_secs(1));
    let graph = Graph::start(builder().clock(Gathering::of_eight()), WORK).await;
    let asks = (0..8).map(|_| graph.get("/me/mailFolders/inbox"));
    let answers = join_all(asks).await;
    let refused: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert_eq!(refused.len(), 4);
    assert_eq!(refused[0].error_code(), "ApplicationThrottled");
    assert_eq!(refused[0].header("retry-after").unwrap(), "1");

    let free = builder().clock(Gathering::of_eight()).quota(false);
    let graph = Graph::start(free, WORK).await;
    let asks = (0..8).map(|_| graph.get("/me/mailFolders/inbox"));
    let answers = join_all(asks).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

impl Gathering {
    fn of_eight() -> Arc<Self> {
        Arc::new(Self(Barrier::new(8)))
    }
}

#[async_trait]
impl Clock for Gathering {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn sleep(&self, _: Duration) {
        self.0.wait().await;
    }
}
