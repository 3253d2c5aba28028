//! The emulator tells what happens as the services do: strictly about who may be told what where, with real requests, and as
//! unreliably as it is asked to. With `POSTROOM_RECORD` set to a directory, what is asked rightly is written there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gmail_client::{Gmail, HandClock, READER, TEAM, mail};
use crate::graph_client::{Graph, IMMUTABLE, PERSONAL, WORK};
use crate::receiver::{Posted, Receiver};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use postroom::emulator::{
    Emulator, EmulatorBuilder, LifecycleEvent, NotificationFaults, PushSubscription,
};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// For requests that are right.
fn recorded() -> EmulatorBuilder {
    Emulator::builder()
        .empty()
        .quota(false)
        .record(std::env::var_os("POSTROOM_RECORD").map(PathBuf::from))
}

fn unrecorded() -> EmulatorBuilder {
    Emulator::builder().empty().quota(false)
}

fn deliver(emulator: &Emulator, address: &str, subject: &str) {
    let raw = mail("billing@shop.example", address, subject);
    emulator.deliver(address, raw.as_bytes());
}

/// What Gmail published, out of what Pub/Sub pushed.
fn published(posted: &Posted) -> Value {
    let body = posted.json();
    assert!(
        body["subscription"]
            .as_str()
            .unwrap()
            .starts_with("projects/")
    );
    assert_eq!(body["message"]["messageId"], body["message"]["message_id"]);
    let data = STANDARD.decode(body["message"]["data"].as_str().unwrap());
    serde_json::from_slice(&data.unwrap()).unwrap()
}

#[tokio::test]
async fn gmail_watches_only_what_it_could_tell() {
    let emulator = unrecorded().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let watch = |body: Value| gmail.post("/watch", body);
    let (open, other) = (
        emulator.create_topic("open"),
        emulator.create_topic("other"),
    );
    let closed = emulator.create_topic("closed");
    emulator.close_topic(&closed);
    let unknown = open.replace("open", "unknown");
    for topic in [
        "",
        "open",
        "projects/another/topics/open",
        &format!("{open} "),
    ] {
        let answer = watch(json!({ "topicName": topic })).await;
        answer.assert_refused(400, "invalidArgument", "Invalid topicName does not match");
    }
    let answer = watch(json!({ "topicName": unknown })).await;
    answer.assert_refused(404, "notFound", "Resource not found (resource=unknown)");
    let answer = watch(json!({ "topicName": closed })).await;
    answer.assert_refused(
        403,
        "forbidden",
        "Error sending test message to Cloud PubSub",
    );
    let answer = watch(json!({"topicName": open, "labelIds": ["Label_99"]})).await;
    answer.assert_refused(400, "invalidArgument", "Invalid label");
    let answer = watch(json!({"topicName": open, "labelFilterBehavior": "only"})).await;
    assert_eq!(answer.status, 400);
    let answer = watch(json!({"topicName": open, "labels": ["INBOX"]})).await;
    assert_eq!(answer.status, 400);
    watch(json!({ "topicName": open })).await.ok();
    watch(json!({ "topicName": open })).await.ok();
    let answer = watch(json!({ "topicName": other })).await;
    answer.assert_refused(
        400,
        "invalidArgument",
        "Only one user push notification client",
    );
    for _ in 0..2 {
        assert_eq!(gmail.call("POST", "/stop", None).await.status, 204);
    }
    watch(json!({ "topicName": other })).await.ok();
    let scopes = ["https://www.googleapis.com/auth/gmail.send"];
    let sender = Gmail::with_token(&emulator, emulator.access_token_for(READER, &scopes));
    let answer = sender.post("/watch", json!({ "topicName": open })).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn gmail_publishes_what_happens_until_the_watch_ends() {
    let clock = Arc::new(HandClock::new());
    let emulator = recorded().clock(clock.clone()).start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let mut receiver = Receiver::start().await;
    let topic = emulator.create_topic("mail");
    emulator.push_topic(&topic, PushSubscription::new(receiver.at("push")));
    let request =
        json!({"topicName": topic, "labelIds": ["INBOX"], "labelFilterBehavior": "include"});
    let watch = gmail.post("/watch", request.clone()).await.ok();
    let week = "1795953600000";
    assert_eq!(watch["expiration"], week);
    // That it was set up is told at once.
    let first = receiver.next().await;
    assert_eq!(published(&first)["emailAddress"], READER);
    let id = published(&first)["historyId"].as_u64().unwrap();
    assert_eq!(watch["historyId"], id.to_string());

    deliver(&emulator, READER, "One");
    deliver(&emulator, TEAM, "Somebody else's");
    let second = receiver.next().await;
    assert!(published(&second)["historyId"].as_u64().unwrap() > id);
    emulator.until_notified().await;
    assert!(receiver.all().is_empty());

    // Who pushes proves it with a token for the address.
    let bearer = second
        .header("authorization")
        .strip_prefix("Bearer ")
        .unwrap();
    let claims = bearer.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["aud"], receiver.at("push").as_str());
    assert_eq!(claims["iss"], "https://accounts.google.com");
    assert_eq!(claims["email"], emulator.push_service_account());
    assert_eq!(claims["email_verified"], true);

    // What is not among the labels is not told.
    let id = gmail.find("One").await;
    let archive = json!({"removeLabelIds": ["INBOX"]});
    gmail
        .post(&format!("/messages/{id}/modify"), archive)
        .await
        .ok();
    emulator.until_notified().await;
    assert!(receiver.all().is_empty());

    gmail.post("/watch", request.clone()).await.ok();
    receiver.next().await;
    clock.advance(7 * DAY);
    deliver(&emulator, READER, "Too late");
    emulator.until_notified().await;
    assert!(receiver.all().is_empty());

    let token = emulator.access_token(READER);
    let gmail = Gmail::with_token(&emulator, token);
    gmail.post("/watch", request).await.ok();
    receiver.next().await;
    gmail.call("POST", "/stop", None).await;
    deliver(&emulator, READER, "Stopped");
    emulator.until_notified().await;
    assert!(receiver.all().is_empty());
}

fn subscription(receiver: &Receiver, expires: &str) -> Value {
    json!({
        "changeType": "created,updated,deleted",
        "notificationUrl": receiver.at("told"),
        "lifecycleNotificationUrl": receiver.at("lifecycle"),
        "resource": "me/messages",
        "expirationDateTime": expires,
        "clientState": "planted-state",
    })
}

#[tokio::test]
async fn graph_asks_an_address_whether_it_wants_to_be_told() {
    let graph = Graph::start(recorded().clock(Arc::new(HandClock::new())), WORK).await;
    let mut receiver = Receiver::start().await;
    let body = subscription(&receiver, "2026-11-24T12:00:00Z");
    let made = graph.post("/subscriptions", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["clientState"], "planted-state");
    let asked = receiver.all();
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/told", "/lifecycle"]);
    assert!(asked.iter().all(|asked| asked.method == Method::POST));
    assert!(asked.iter().all(|asked| asked.body.is_empty()));
    assert!(asked[0].query.as_deref().unwrap().contains('+'), "encoded");

    // The state is told once.
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let shown = graph.get(&format!("/subscriptions/{id}")).await.json();
    assert_eq!(shown["clientState"], Value::Null);
    let listed = graph.get("/subscriptions").await.json();
    assert_eq!(listed["value"].as_array().unwrap().len(), 1);
    let further = json!({"expirationDateTime": "2026-11-29T00:00:00Z"});
    let renewed = graph.patch(&format!("/subscriptions/{id}"), further).await;
    assert_eq!(renewed.json()["expirationDateTime"], "2026-11-29T00:00:00Z");
    let again = graph
        .post_nothing(&format!("/subscriptions/{id}/reauthorize"))
        .await;
    assert_eq!(again.status, 204);
    assert_eq!(
        graph.delete(&format!("/subscriptions/{id}")).await.status,
        204
    );
    assert_eq!(graph.emulator.subscriptions(WORK), 0);
}

#[tokio::test]
async fn graph_makes_no_subscription_that_its_address_does_not_want() {
    let graph = Graph::start(unrecorded().clock(Arc::new(HandClock::new())), WORK).await;
    let answers: [fn(&Posted) -> crate::receiver::Answer; 4] = [
        |_| (200, "text/plain", "something else".to_owned()),
        |posted| (202, "text/plain", posted.validation().unwrap()),
        |posted| (200, "text/html", posted.validation().unwrap()),
        |_| (404, "text/plain", String::new()),
    ];
    for answer in answers {
        let receiver = Receiver::answering(answer).await;
        let body = subscription(&receiver, "2026-11-24T12:00:00Z");
        let refused = graph.post("/subscriptions", body).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.error_code(), "ValidationError");
    }
    let receiver = Receiver::start().await;
    let body = subscription(&receiver, "2026-11-24T12:00:00Z");
    drop(receiver);
    let refused = graph.post("/subscriptions", body).await;
    assert_eq!(refused.error_code(), "ValidationError");
    assert_eq!(graph.emulator.subscriptions(WORK), 0);
}

#[tokio::test]
async fn graph_refuses_subscriptions_that_it_does_not_take() {
    let graph = Graph::start(unrecorded().clock(Arc::new(HandClock::new())), WORK).await;
    let receiver = Receiver::start().await;
    let right = subscription(&receiver, "2026-11-24T12:00:00Z");
    let long = "s".repeat(129);
    let cases = [
        ("changeType", json!("created,moved"), 400, "InvalidRequest"),
        ("changeType", Value::Null, 400, "InvalidRequest"),
        (
            "notificationUrl",
            json!("http://desk.example/push"),
            400,
            "InvalidRequest",
        ),
        ("notificationUrl", Value::Null, 400, "InvalidRequest"),
        (
            "lifecycleNotificationUrl",
            json!("ftp://desk.example"),
            400,
            "InvalidRequest",
        ),
        ("resource", json!("me/events"), 400, "InvalidRequest"),
        (
            "resource",
            json!("me/mailFolders('nowhere')/messages"),
            404,
            "ErrorItemNotFound",
        ),
        (
            "resource",
            json!(format!("users/{PERSONAL}/messages")),
            403,
            "ErrorAccessDenied",
        ),
        (
            "expirationDateTime",
            json!("2026-11-22T11:00:00Z"),
            400,
            "InvalidRequest",
        ),
        (
            "expirationDateTime",
            json!("2026-11-29T12:00:01Z"),
            400,
            "ErrorInvalidParameter",
        ),
        (
            "expirationDateTime",
            json!("tomorrow"),
            400,
            "RequestBodyRead",
        ),
        ("clientState", json!(long), 400, "InvalidRequest"),
        ("encryptionCertificate", json!("MII"), 400, "InvalidRequest"),
        ("secret", json!("s"), 400, "RequestBodyRead"),
    ];
    for (name, value, status, code) in cases {
        let mut body = right.clone();
        body[name] = value.clone();
        let refused = graph.post("/subscriptions", body).await;
        let got = (refused.status.as_u16(), refused.error_code());
        assert_eq!(got, (status, code.to_owned()), "{name}: {value}");
    }
    let made = graph.post("/subscriptions", right.clone()).await.json();
    let second = graph.post("/subscriptions", right.clone()).await;
    assert_eq!(second.status, 409);
    let id = made["id"].as_str().unwrap();
    let other = json!({"notificationUrl": receiver.at("elsewhere")});
    let refused = graph.patch(&format!("/subscriptions/{id}"), other).await;
    assert_eq!(refused.status, 400);
    let mut stranger = graph;
    stranger.token = stranger.emulator.access_token(PERSONAL);
    let refused = stranger.delete(&format!("/subscriptions/{id}")).await;
    assert_eq!(refused.error_code(), "ResourceNotFound");
    let batched = json!([{
        "id": "1", "method": "POST", "url": "/subscriptions", "body": right,
        "headers": {"Content-Type": "application/json"},
    }]);
    let answers = stranger.batch(batched).await.json();
    assert_eq!(answers["responses"][0]["status"], 400);
}

#[tokio::test]
async fn graph_tells_what_happens_in_what_is_watched() {
    let clock = Arc::new(HandClock::new());
    let graph = Graph::start(recorded().clock(clock.clone()), WORK).await;
    let mut receiver = Receiver::start().await;
    let mut inbox = subscription(&receiver, "2026-11-22T12:01:00Z");
    inbox["resource"] = json!("me/mailFolders('inbox')/messages");
    inbox["notificationUrl"] = json!(receiver.at("inbox"));
    let made = graph.post("/subscriptions", inbox).await.json();
    // Less than that there is not.
    assert_eq!(made["expirationDateTime"], "2026-11-22T12:45:00Z");
    let kind = ("content-type", "application/json");
    let all = subscription(&receiver, "2026-11-24T12:00:00Z").to_string();
    let url = graph.url("/subscriptions");
    let made = graph
        .send(Method::POST, &url, &[kind, IMMUTABLE], all)
        .await
        .json();
    receiver.all();

    deliver(&graph.emulator, WORK, "One");
    graph.emulator.until_notified().await;
    let told = receiver.told();
    assert_eq!(told.len(), 2);
    let everywhere = told.iter().find(|posted| posted.path == "/told").unwrap();
    let item = &everywhere.json()["value"][0];
    assert_eq!(item["subscriptionId"], made["id"]);
    assert_eq!(item["clientState"], "planted-state");
    assert_eq!(item["changeType"], "created");
    let truth = graph.emulator.messages(WORK);
    assert_eq!(item["resourceData"]["id"], truth[0].immutable_id);
    let inbox = told.iter().find(|posted| posted.path == "/inbox").unwrap();
    assert_eq!(inbox.json()["value"][0]["resourceData"]["id"], truth[0].id);

    let path = format!("/me/messages/{}", truth[0].id);
    graph.patch(&path, json!({"isRead": true})).await;
    graph.emulator.until_notified().await;
    let told = receiver.told();
    assert_eq!(told[0].json()["value"][0]["changeType"], "updated");

    clock.advance(Duration::from_secs(46 * 60));
    graph.delete(&path).await;
    graph.emulator.until_notified().await;
    let paths: Vec<String> = receiver.told().into_iter().map(|told| told.path).collect();
    assert_eq!(paths, ["/told"], "the other has ended");
}

#[tokio::test]
async fn bursts_lifecycles_and_faults_come_as_they_are_asked_for() {
    let clock = Arc::new(HandClock::new());
    let graph = Graph::start(unrecorded().clock(clock), WORK).await;
    let emulator = &graph.emulator;
    let mut receiver = Receiver::start().await;
    let body = subscription(&receiver, "2026-11-28T12:00:00Z");
    graph.post("/subscriptions", body).await;
    receiver.all();

    // Of many at once nothing single is told.
    emulator.hold_notifications(true);
    for number in 0..26 {
        deliver(emulator, WORK, &number.to_string());
    }
    emulator.hold_notifications(false);
    emulator.until_notified().await;
    let posted = receiver.told();
    let items: Vec<Value> = posted.iter().map(Posted::json).collect();
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0]["value"][0]["lifecycleEvent"], "missed");
    assert_eq!(posted[0].path, "/lifecycle");
    emulator.lifecycle_event(WORK, LifecycleEvent::ReauthorizationRequired);
    emulator.until_notified().await;
    let told = receiver.told()[0].json();
    assert_eq!(
        told["value"][0]["lifecycleEvent"],
        "reauthorizationRequired"
    );

    emulator.notification_faults(NotificationFaults::default().losing(1.0));
    deliver(emulator, WORK, "lost");
    emulator.until_notified().await;
    assert!(receiver.all().is_empty());
    emulator.notification_faults(NotificationFaults::default().repeating(1.0));
    deliver(emulator, WORK, "twice");
    emulator.until_notified().await;
    assert_eq!(receiver.all().len(), 2);
    emulator.notification_faults(NotificationFaults::default());
    emulator.hold_notifications(true);
    deliver(emulator, WORK, "held");
    assert!(receiver.all().is_empty());
    emulator.hold_notifications(false);
    receiver.next().await;

    emulator.lifecycle_event(WORK, LifecycleEvent::SubscriptionRemoved);
    emulator.until_notified().await;
    assert_eq!(receiver.all().len(), 1);
    assert_eq!(emulator.subscriptions(WORK), 0);
}

#[tokio::test]
async fn what_is_not_taken_is_posted_again() {
    let graph = Graph::start(unrecorded().clock(Arc::new(HandClock::new())), WORK).await;
    let attempts = std::sync::atomic::AtomicUsize::new(0);
    let receiver = Receiver::answering(move |posted| {
        if posted.validation().is_some() {
            return crate::receiver::properly(posted);
        }
        match attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 | 1 => (503, "text/plain", String::new()),
            _ => (202, "text/plain", String::new()),
        }
    })
    .await;
    let body = subscription(&receiver, "2026-11-24T12:00:00Z");
    graph.post("/subscriptions", body).await;
    deliver(&graph.emulator, WORK, "One");
    graph.emulator.until_notified().await;
    let log = graph.emulator.notifications();
    let went: Vec<_> = log
        .iter()
        .map(|entry| (entry.attempt, entry.status))
        .collect();
    assert_eq!(went, [(1, Some(503)), (2, Some(503)), (3, Some(202))]);
}
