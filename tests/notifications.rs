//! What is posted is believed only if a service said it, leads to as many syncs as are worth while, and a watch that is dead
//! is found out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

#[path = "support/scripted.rs"]
mod scripted;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue};
use postroom::clock::Clock;
use postroom::emulator::Emulator;
use postroom::http::ReqwestTransport;
use postroom::oauth::Endpoints;
use postroom::push::{
    GraphPost, News, Notification, PubSubEndpoint, Reason, Rejected, Unverified, WatchHealth,
    WatchState, pulled,
};
use postroom::testing::VirtualClock;
use postroom::{ErrorKind, Secret, Watch, WatchTarget};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use scripted::{Reply, Scripted};
use serde_json::{Value, json};

const AUDIENCE: &str = "https://desk.example/push/google";
const ACCOUNT: &str = "push@project.iam.gserviceaccount.com";

fn started() -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

#[test]
fn a_watch_that_ended_is_told_by_itself_or_by_the_service() {
    let clock = VirtualClock::by_hand(started());
    let began = clock.now();
    let watch = Watch::new("watch", Some(began + TimeDelta::days(7)));
    let mut health = WatchHealth::new(&watch, began);
    assert_eq!(health.state(clock.now()), WatchState::Unproven);
    clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let since = began + TimeDelta::days(7);
    assert_eq!(health.state(clock.now()), WatchState::Lapsed { since });

    let renewed = Watch::new("watch", Some(clock.now() + TimeDelta::days(7)));
    health.renewed(&renewed);
    assert_eq!(health.state(clock.now()), WatchState::Unproven);
    health.notified(clock.now());
    assert_eq!(health.state(clock.now()), WatchState::Working);
    health.removed(clock.now());
    let since = clock.now();
    clock.advance(Duration::from_secs(60));
    assert_eq!(health.state(clock.now()), WatchState::Lapsed { since });
}

#[test]
fn a_watch_that_never_fires_is_told_after_syncs_found_what_nobody_had_told() {
    let clock = VirtualClock::by_hand(started());
    let watch = Watch::new("watch", None);
    let mut health = WatchHealth::new(&watch, clock.now());
    // What is on its way may come late, and quiet mailboxes have nothing to tell.
    health.synced(true, clock.now());
    for _ in 0..100 {
        clock.advance(Duration::from_secs(15 * 60));
        health.synced(false, clock.now());
    }
    assert_eq!(health.state(clock.now()), WatchState::Unproven);

    let since = clock.now();
    for _ in 0..3 {
        assert!(health.state(clock.now()).is_sound());
        health.synced(true, clock.now());
        clock.advance(Duration::from_secs(15 * 60));
    }
    let rounds = 3;
    assert_eq!(
        health.state(clock.now()),
        WatchState::Silent { since, rounds }
    );

    // Another one in its place has yet to prove itself, one that only goes on has not.
    let mut other = health.clone();
    other.renewed(&Watch::new("watch", None).with_beginning(started()));
    assert!(!other.state(clock.now()).is_sound());
    other.renewed(&Watch::new("other", None).with_beginning(clock.now()));
    assert_eq!(other.state(clock.now()), WatchState::Unproven);

    // It is kept between processes, and one notification proves that it works after all.
    let kept = serde_json::to_string(&health).unwrap();
    let mut health: WatchHealth = serde_json::from_str(&kept).unwrap();
    health.notified(clock.now());
    health.synced(true, clock.now());
    assert_eq!(health.state(clock.now()), WatchState::Working);
}

fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
}

fn wrapped(data: &str) -> Vec<u8> {
    let message = json!({"data": data, "messageId": "1", "publishTime": "2026-11-22T10:00:00Z"});
    let body = json!({"message": message, "subscription": "projects/p/subscriptions/s"});
    body.to_string().into_bytes()
}

const SAID: &str = r#"{"emailAddress": "Reader@Gmail.example", "historyId": 9876543210}"#;

/// Somebody's own key, and pushes that it signs.
struct Pusher {
    key: KeyPair,
    endpoint: PubSubEndpoint,
    transport: Scripted,
}

impl Pusher {
    /// One whose key the service publishes under the name `known`.
    fn new() -> Self {
        let pem = include_str!("../src/emulator/sign_in/keys/application.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let public: PublicKeyComponents<Vec<u8>> = key.public().into();
        let published = json!({"keys": [{
            "kty": "RSA", "kid": "known", "use": "sig", "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
        }]});
        let transport = Scripted::new(move |_| Reply::json(&published));
        let clock = Arc::new(transport.clock.clone());
        let endpoints = Endpoints::google().unwrap();
        let through = Arc::new(transport.clone());
        let endpoint = PubSubEndpoint::with(AUDIENCE, ACCOUNT, endpoints, through, clock);
        Self {
            key,
            endpoint: endpoint.unwrap(),
            transport,
        }
    }

    fn claims(&self) -> Value {
        let now = self.transport.clock.now().timestamp();
        json!({
            "iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "117", "sub": "117",
            "email": ACCOUNT, "email_verified": true, "iat": now, "exp": now + 3600,
        })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    async fn push(&self, token: &str, body: &[u8]) -> Result<Notification, Rejected> {
        let received = self.endpoint.receive(&bearer(token), body).await;
        if let Err(rejected) = &received {
            let printed = format!("{rejected} {rejected:?} {:?}", rejected.source());
            for part in token.split('.').filter(|part| part.len() > 8) {
                assert!(!printed.contains(part), "{printed}");
            }
        }
        received
    }
}

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "known"})
}

fn refused(received: Result<Notification, Rejected>) -> (Reason, u16) {
    let rejected = received.unwrap_err();
    (rejected.reason(), rejected.status())
}

#[tokio::test]
async fn what_pub_sub_pushes_names_the_mailbox_in_every_form_that_it_has() {
    let pusher = Pusher::new();
    let token = pusher.sign(&header(), &pusher.claims());
    let text = r#"{"emailAddress": "reader@gmail.example", "historyId": "9876543210"}"#;
    for body in [
        wrapped(&STANDARD.encode(SAID)),
        wrapped(&URL_SAFE.encode(SAID)),
        wrapped(&URL_SAFE_NO_PAD.encode(text)),
        SAID.as_bytes().to_vec(),
    ] {
        // Repeated, it is the same hint once more.
        for _ in 0..2 {
            let notification = pusher.push(&token, &body).await.unwrap();
            assert_eq!(notification.subscription.as_str(), "reader@gmail.example");
            assert_eq!(notification.news, News::Changed);
        }
    }
    let mut claims = pusher.claims();
    claims["iss"] = json!("accounts.google.com");
    claims["email_verified"] = json!("true");
    let token = pusher.sign(&header(), &claims);
    assert!(pusher.push(&token, SAID.as_bytes()).await.is_ok());
    assert_eq!(pusher.transport.requests().len(), 1, "keys are kept");
}

#[tokio::test]
async fn a_push_that_is_not_from_pub_sub_is_refused() {
    let pusher = Pusher::new();
    let now = pusher.transport.clock.now().timestamp();
    let cases = [
        ("iss", json!("https://evil.example"), Reason::Forged, 403),
        (
            "iss",
            json!("https://accounts.google.com.evil.example"),
            Reason::Forged,
            403,
        ),
        (
            "aud",
            json!("https://desk.example/other"),
            Reason::Foreign,
            403,
        ),
        ("aud", json!([AUDIENCE, "another"]), Reason::Foreign, 403),
        (
            "email",
            json!("other@project.iam.gserviceaccount.com"),
            Reason::Foreign,
            403,
        ),
        ("email", Value::Null, Reason::Foreign, 403),
        ("email_verified", json!(false), Reason::Foreign, 403),
        ("email_verified", Value::Null, Reason::Foreign, 403),
        ("exp", json!(now - 301), Reason::Expired, 401),
        ("exp", json!(-1e300), Reason::Expired, 401),
        ("exp", json!("soon"), Reason::Forged, 403),
        ("nbf", json!(now + 301), Reason::Expired, 401),
    ];
    for (claim, value, reason, status) in cases {
        let mut claims = pusher.claims();
        claims[claim] = value.clone();
        let token = pusher.sign(&header(), &claims);
        let got = refused(pusher.push(&token, SAID.as_bytes()).await);
        assert_eq!(got, (reason, status), "{claim}: {value}");
    }
    // Clocks differ a little.
    let mut claims = pusher.claims();
    claims["exp"] = json!(now - 299);
    let token = pusher.sign(&header(), &claims);
    assert!(pusher.push(&token, SAID.as_bytes()).await.is_ok());

    let right = pusher.sign(&header(), &pusher.claims());
    for (name, value) in [("alg", "none"), ("alg", "HS256"), ("kid", "another")] {
        let mut header = header();
        header[name] = json!(value);
        let token = pusher.sign(&header, &pusher.claims());
        let got = refused(pusher.push(&token, SAID.as_bytes()).await);
        assert_eq!(got, (Reason::Forged, 403), "{name}: {value}");
    }
    let (signed, _) = right.rsplit_once('.').unwrap();
    for token in [
        format!("{signed}."),
        format!("{signed}.c2ln"),
        signed.to_owned(),
        "planted-nonsense".to_owned(),
        "planted.".repeat(4_000),
    ] {
        let got = refused(pusher.push(&token, SAID.as_bytes()).await);
        assert_eq!(got, (Reason::Forged, 403));
    }
    let both: HeaderMap = [bearer(&right), bearer(&right)]
        .into_iter()
        .flat_map(|headers| headers.into_iter().map(|(_, value)| value))
        .map(|value| (http::header::AUTHORIZATION, value))
        .fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        });
    let basic = HeaderMap::from_iter([(
        http::header::AUTHORIZATION,
        HeaderValue::from_static("Basic cGxhbnRlZA=="),
    )]);
    for headers in [HeaderMap::new(), basic, both] {
        let received = pusher.endpoint.receive(&headers, SAID.as_bytes()).await;
        assert_eq!(refused(received), (Reason::Unsigned, 401));
    }
}

#[tokio::test]
async fn a_push_that_makes_no_sense_is_taken_so_that_it_does_not_come_again() {
    let pusher = Pusher::new();
    let token = pusher.sign(&header(), &pusher.claims());
    let long = format!(
        "{{\"emailAddress\": \"{}@gmail.example\", \"historyId\": 1}}",
        "a".repeat(400)
    );
    for body in [
        b"".to_vec(),
        b"[]".to_vec(),
        br#"{"message": {}}"#.to_vec(),
        br#"{"message": {"data": 7}}"#.to_vec(),
        wrapped("%%%"),
        wrapped(&STANDARD.encode("not JSON")),
        wrapped(&STANDARD.encode(r#"{"emailAddress": "nobody", "historyId": 1}"#)),
        wrapped(&STANDARD.encode("{\"emailAddress\": \"a@b\\n.example\", \"historyId\": 1}")),
        wrapped(&STANDARD.encode(long)),
        vec![b'['; 60_000],
    ] {
        let got = refused(pusher.push(&token, &body).await);
        assert_eq!(got, (Reason::Malformed, 204));
    }
    let got = refused(pusher.push(&token, &vec![b' '; 70_000]).await);
    assert_eq!(got, (Reason::TooLarge, 204));
    // Whoever has no token learns nothing of that.
    let received = pusher.endpoint.receive(&HeaderMap::new(), b"").await;
    assert_eq!(refused(received), (Reason::Unsigned, 401));
}

#[tokio::test]
async fn keys_change_and_what_cannot_be_verified_comes_again() {
    let clock = Arc::new(VirtualClock::eager(started()));
    let emulator = Emulator::builder().empty().clock(clock.clone());
    let emulator = emulator.start().await.unwrap();
    let account = emulator.push_service_account();
    let endpoints = Endpoints::google_at(&emulator.google().base_url).unwrap();
    let transport = Arc::new(ReqwestTransport::new().unwrap());
    let endpoint =
        PubSubEndpoint::with(AUDIENCE, account, endpoints, transport, clock.clone()).unwrap();
    for _ in 0..2 {
        let headers = bearer(&emulator.push_token(AUDIENCE));
        endpoint.receive(&headers, SAID.as_bytes()).await.unwrap();
        clock.advance(Duration::from_secs(60));
        emulator.rotate_signing_keys();
    }
    let stale = bearer(&emulator.push_token(AUDIENCE));
    drop(emulator);
    let received = endpoint.receive(&stale, SAID.as_bytes()).await;
    let rejected = received.unwrap_err();
    assert_eq!(
        (rejected.reason(), rejected.status()),
        (Reason::Unverified, 503)
    );
    assert!(rejected.source().is_some());
}

#[test]
fn an_endpoint_needs_to_know_whom_to_believe() {
    let transport = Scripted::new(|_| Reply::status(500));
    for (audience, account, keys) in [
        ("", ACCOUNT, true),
        (AUDIENCE, "", true),
        (AUDIENCE, ACCOUNT, false),
    ] {
        let mut endpoints = Endpoints::google().unwrap();
        if !keys {
            endpoints.keys = None;
        }
        let clock = Arc::new(transport.clock.clone());
        let through = Arc::new(transport.clone());
        let made = PubSubEndpoint::with(audience, account, endpoints, through, clock);
        let kind = made.unwrap_err().kind();
        assert!(matches!(
            kind,
            ErrorKind::Configuration | ErrorKind::Unsupported
        ));
    }
}

#[test]
fn pulled_messages_are_each_acknowledged_whatever_they_say() {
    let message = |data: &str| json!({"data": data, "messageId": "1"});
    let answer = json!({"receivedMessages": [
        {"ackId": "one", "message": message(&STANDARD.encode(SAID)), "deliveryAttempt": 2},
        {"ackId": "two", "message": message("%%%")},
        {"ackId": "three"},
        {"message": message(&STANDARD.encode(SAID))},
        7,
    ]});
    let all = pulled(answer.to_string().as_bytes()).unwrap();
    let names: Vec<&str> = all.iter().map(|one| one.ack_id.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"]);
    let first = all[0].notification.as_ref().unwrap();
    assert_eq!(first.subscription.as_str(), "reader@gmail.example");
    assert!(all[1].notification.is_err() && all[2].notification.is_err());
    assert!(pulled(b"{}").unwrap().is_empty());
    assert_eq!(pulled(b"<html>").unwrap_err().reason(), Reason::Malformed);
    let large = vec![b' '; 5 * 1024 * 1024];
    assert_eq!(pulled(&large).unwrap_err().reason(), Reason::TooLarge);
}

fn graph_watch() -> Watch {
    let url = "https://desk.example/push/graph?key=planted-key";
    let url: url::Url = url.parse().unwrap();
    let target = WatchTarget::webhook(url.clone())
        .with_lifecycle_url(url)
        .with_client_state("planted-state");
    Watch::new("subscription", None).with_target(target)
}

fn item(changes: Value) -> Value {
    let mut item = json!({
        "subscriptionId": "subscription",
        "subscriptionExpirationDateTime": "2026-11-28T00:00:00Z",
        "changeType": "created",
        "resource": "Users/u/Messages/m",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "id": "m"},
        "clientState": "planted-state",
        "tenantId": "11111111-2222-3333-4444-555555555555",
    });
    for (name, value) in changes.as_object().unwrap() {
        item[name] = value.clone();
    }
    item
}

fn posted(items: Value) -> Vec<Unverified> {
    let body = json!({ "value": items }).to_string();
    match GraphPost::read(None, body.as_bytes()).unwrap() {
        GraphPost::Notifications(notifications) => notifications,
        other => panic!("{other:?}"),
    }
}

#[test]
fn graph_is_told_that_an_address_wants_to_be_told() {
    let query =
        "tenant=7&validationToken=Validation%3a+Testing+client+application+reachability+%c3%a9%2B";
    for body in ["", "{}", "not JSON"] {
        let read = GraphPost::read(Some(query), body.as_bytes()).unwrap();
        let GraphPost::Validation(answer) = read else {
            panic!("{read:?}");
        };
        assert_eq!(
            answer,
            "Validation: Testing client application reachability \u{e9}+"
        );
    }
    let long = format!("validationToken={}", "a".repeat(5_000));
    for (query, reason, status) in [
        ("validationToken=", Reason::Malformed, 400),
        (
            "validationToken=a%0d%0aSet-Cookie:%20a",
            Reason::Malformed,
            400,
        ),
        (long.as_str(), Reason::TooLarge, 413),
    ] {
        let rejected = GraphPost::read(Some(query), b"").unwrap_err();
        assert_eq!((rejected.reason(), rejected.status()), (reason, status));
    }
}

#[test]
fn of_several_notifications_each_is_believed_for_itself() {
    let rich = json!({"encryptedContent": {"data": "AAAA", "dataKey": "AAAA"}});
    let event = |name: &str| item(json!({"lifecycleEvent": name, "changeType": null}));
    let told = posted(json!([
        item(json!({})),
        item(json!({"clientState": "a guess"})),
        item(rich),
        event("missed"),
        event("subscriptionRemoved"),
        event("reauthorizationRequired"),
        event("something of next year"),
        {"subscriptionId": "subscription"},
        7,
    ]));
    let watch = graph_watch();
    let news: Vec<Option<News>> = told
        .iter()
        .map(|told| told.verify(&watch).ok().map(|told| told.news))
        .collect();
    assert_eq!(
        news,
        [
            Some(News::Changed),
            None,
            Some(News::Changed),
            Some(News::Missed),
            Some(News::Removed),
            Some(News::RenewalWanted),
            Some(News::Missed),
        ]
    );
    assert!(News::Removed.asks_for_renewal() && News::Removed.asks_for_sync());
    assert!(News::RenewalWanted.asks_for_renewal() && !News::RenewalWanted.asks_for_sync());
    assert!(News::Missed.asks_for_sync() && !News::Missed.asks_for_renewal());
}

#[test]
fn graph_is_not_believed_about_other_watches_and_by_who_does_not_know_the_state() {
    let watch = graph_watch();
    let none = Watch::new("subscription", None);
    for (changes, watch) in [
        (json!({"clientState": "planted-stat"}), &watch),
        (json!({"clientState": "planted-state-and-more"}), &watch),
        (json!({"clientState": ""}), &watch),
        (json!({"clientState": null}), &watch),
        (json!({"subscriptionId": "another"}), &watch),
        // A watch that knows no state believes nobody.
        (json!({}), &none),
        (json!({"clientState": null}), &none),
        (json!({"clientState": ""}), &none),
    ] {
        let told = posted(json!([item(changes.clone())]));
        let rejected = told[0].verify(watch).unwrap_err();
        let got = (rejected.reason(), rejected.status());
        assert_eq!(got, (Reason::NotOurs, 202), "{changes}");
        let printed = format!("{rejected} {rejected:?} {:?} {watch:?}", told[0]);
        assert!(!printed.contains("planted"), "{printed}");
    }
    let told = posted(json!([item(json!({}))]));
    let all_have = Secret::new("planted-state");
    assert_eq!(told[0].verify_with(&all_have).unwrap().news, News::Changed);
    for state in ["planted-guess", ""] {
        assert!(told[0].verify_with(&Secret::new(state)).is_err());
    }
    let ours = "11111111-2222-3333-4444-555555555555".to_uppercase();
    assert!(told[0].verify_in(&watch, &ours).is_ok());
    let foreign = "99999999-2222-3333-4444-555555555555";
    assert!(told[0].verify_in(&watch, foreign).is_err());
}

#[test]
fn what_graph_never_posts_is_refused() {
    let huge = vec![b' '; 2 * 1024 * 1024];
    for (body, reason, status) in [
        (&b""[..], Reason::Malformed, 400),
        (b"[]", Reason::Malformed, 400),
        (br#"{"value": 7}"#, Reason::Malformed, 400),
        (&[b'['; 100_000], Reason::Malformed, 400),
        (&huge, Reason::TooLarge, 413),
    ] {
        let rejected = GraphPost::read(None, body).unwrap_err();
        assert_eq!((rejected.reason(), rejected.status()), (reason, status));
    }
    assert!(posted(json!([])).is_empty());
    for (field, longest) in [
        ("subscriptionId", 256),
        ("clientState", 128),
        ("tenantId", 256),
    ] {
        let of = |length| posted(json!([item(json!({field: "s".repeat(length)}))]));
        assert_eq!(
            (of(longest).len(), of(longest + 1).len()),
            (1, 0),
            "{field}"
        );
    }
}
