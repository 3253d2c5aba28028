//! Whatever is posted where services tell what happens: nothing panics, nobody is believed who does not know what only the
//! service knows, and nothing of it is printed. The first line is the query or the token, the rest the body.
#![no_main]

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use postroom::clock::SystemClock;
use postroom::http::Transport;
use postroom::oauth::Endpoints;
use postroom::push::{GraphPost, PubSubEndpoint, pulled};
use postroom::{Watch, WatchTarget};
use postroom_fuzz::BENCH;

const STATE: &str = "planted-state";

static ENDPOINT: LazyLock<PubSubEndpoint> = LazyLock::new(|| {
    PubSubEndpoint::with(
        "https://desk.example/push",
        "push@project.iam.gserviceaccount.com",
        Endpoints::google().expect("Google's own"),
        Arc::clone(&BENCH.service) as Arc<dyn Transport>,
        Arc::new(SystemClock::new()),
    )
    .expect("an endpoint that can be right")
});

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (first, body) = match end {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&b""[..], data),
    };
    graph(std::str::from_utf8(first).ok(), body);
    graph(None, data);

    // Nobody has a key that would sign anything.
    BENCH.service.answers(StatusCode::OK, r#"{"keys": []}"#);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", first].concat()) {
        headers.insert("authorization", value);
    }
    let received = BENCH.runtime.block_on(ENDPOINT.receive(&headers, body));
    let rejected = received.expect_err("nobody signed it");
    assert!(matches!(rejected.status(), 401 | 403), "{rejected}");

    let _ = pulled(data);
    let message = format!(
        r#"{{"receivedMessages": [{{"ackId": "a", "message": {{"data": "{}"}}}}]}}"#,
        BASE64_STANDARD.encode(data)
    );
    for one in pulled(message.as_bytes()).expect("an answer in the documented form") {
        if let Ok(told) = one.notification {
            assert!(told.subscription.as_str().contains('@'));
        }
    }
});

fn graph(query: Option<&str>, body: &[u8]) {
    let url = "https://desk.example/push".parse().expect("an address");
    let target = WatchTarget::webhook(url).with_client_state(STATE);
    match GraphPost::read(query, body) {
        Ok(GraphPost::Validation(answer)) => assert!(!answer.chars().any(char::is_control)),
        Ok(GraphPost::Notifications(notifications)) => {
            for told in notifications {
                assert!(!format!("{told:?}").contains("planted"));
                let watch = Watch::new(told.subscription().clone(), None);
                assert!(told.verify(&watch).is_err(), "it knows no state");
                let believed = told.verify(&watch.with_target(target.clone())).is_ok();
                // As JSON the state may be written with escapes.
                let text = String::from_utf8_lossy(body);
                assert!(!believed || text.contains(STATE) || text.contains('\\'));
            }
        }
        Ok(_) => {}
        Err(rejected) => assert!(matches!(rejected.status(), 400 | 413)),
    }
}
