//! A sign-in gives a grant only for the callback that belongs to it, and says who must act on any other.

use std::sync::Mutex;
use std::time::Duration;

use postroom::ErrorKind;
use postroom::oauth::{Authorization, OAuthFlow, PendingAuthorization, SignInOptions};
use serde_json::json;
use url::Url;
use wiremock::matchers::method;
use wiremock::{Mock, Request, ResponseTemplate};

use crate::oauth_service::*;

#[tokio::test]
async fn a_bad_callback_is_refused_before_anything_is_sent() {
    let world = World::google().await;
    let flow = world.flow();
    world.answers(ResponseTemplate::new(500)).await;
    let other = flow.authorize().unwrap().url;
    let foreign_state = parameter(&other, "state").unwrap();
    type Change = Box<dyn Fn(&Url) -> String>;
    let cases: Vec<(&str, Change)> = vec![
        (
            "wrong_state",
            Box::new(move |url| {
                url.as_str()
                    .replace(&parameter(url, "state").unwrap(), &foreign_state)
            }),
        ),
        (
            "wrong_state",
            Box::new(|url| url.as_str().replace("state=", "state=x")),
        ),
        (
            "wrong_state",
            Box::new(|url| url.as_str().replace(&parameter(url, "state").unwrap(), "")),
        ),
        (
            "missing_state",
            Box::new(|url| url.as_str().replace("state=", "stare=")),
        ),
        (
            "missing_state",
            Box::new(|_| format!("{REDIRECT}?error=access_denied")),
        ),
        ("missing_state", Box::new(|_| REDIRECT.to_owned())),
        (
            "missing_code",
            Box::new(|url| url.as_str().replace("code=", "coda=")),
        ),
        (
            "missing_code",
            Box::new(|url| url.as_str().replace("4%2Fplanted-code", "")),
        ),
        (
            "missing_state",
            Box::new(|url| url.as_str().replace('?', "#")),
        ),
        (
            "repeated_parameter",
            Box::new(|url| format!("{url}&code=other")),
        ),
        (
            "repeated_parameter",
            Box::new(|url| format!("{url}&state=other")),
        ),
        (
            "wrong_issuer",
            Box::new(|url| format!("{url}&iss=https%3A%2F%2Fevil.example")),
        ),
        (
            "wrong_address",
            Box::new(|url| url.as_str().replace("desk.example", "evil.example")),
        ),
        (
            "wrong_address",
            Box::new(|url| url.as_str().replace("https:", "http:")),
        ),
        (
            "wrong_address",
            Box::new(|url| url.as_str().replace("desk.example", "desk.example:8443")),
        ),
        (
            "wrong_address",
            Box::new(|url| url.as_str().replace("/oauth/callback", "/elsewhere")),
        ),
        (
            "wrong_address",
            Box::new(|url| {
                url.as_str()
                    .replace("https://desk", "https://127.0.0.1/desk")
            }),
        ),
    ];
    for (code, change) in cases {
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        let changed = change(&callback(&url));
        let changed = Url::parse(&changed).unwrap();
        let error = flow.complete(pending, &changed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{changed}");
        assert_eq!(error.code(), Some(code), "{changed}");
        assert!(!chain(&error).contains("planted"), "{error:?}");
    }
    assert!(world.requests().await.is_empty());
}

#[tokio::test]
async fn a_sign_in_ends_after_ten_minutes_and_belongs_to_its_application() {
    let world = World::google().await;
    let flow = world.flow();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    world.clock.advance(Duration::from_secs(600));
    let error = flow.complete(pending, &callback(&url)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::InvalidCallback, Some("too_late"))
    );

    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let another = OAuthFlow::google("another")
        .redirect_uri(REDIRECT)
        .build()
        .unwrap();
    let error = another
        .complete(pending, &callback(&url))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("another_application"));
}

#[tokio::test]
async fn a_callback_says_who_is_to_act() {
    let world = World::microsoft().await;
    let flow = world.flow();
    for (error, description, kind, code) in [
        ("access_denied", "", ErrorKind::Declined, "access_denied"),
        (
            "access_denied",
            "AADSTS65004: User declined to consent",
            ErrorKind::Declined,
            "AADSTS65004",
        ),
        (
            "access_denied",
            "AADSTS90094: ask an admin",
            ErrorKind::AdminConsentRequired,
            "AADSTS90094",
        ),
        (
            "consent_required",
            "AADSTS90095: requested",
            ErrorKind::AdminConsentRequired,
            "AADSTS90095",
        ),
        (
            "access_denied",
            "AADSTS53003: blocked",
            ErrorKind::PermissionDenied,
            "AADSTS53003",
        ),
        (
            "admin_policy_enforced",
            "",
            ErrorKind::AdminConsentRequired,
            "admin_policy_enforced",
        ),
        (
            "unauthorized_client",
            "",
            ErrorKind::Configuration,
            "unauthorized_client",
        ),
        (
            "invalid_scope",
            "",
            ErrorKind::Configuration,
            "invalid_scope",
        ),
        (
            "login_required",
            "",
            ErrorKind::SignInRequired,
            "login_required",
        ),
        (
            "interaction_required",
            "",
            ErrorKind::SignInRequired,
            "interaction_required",
        ),
        ("server_error", "", ErrorKind::Unavailable, "server_error"),
        (
            "temporarily_unavailable",
            "",
            ErrorKind::Unavailable,
            "temporarily_unavailable",
        ),
        (
            "planted-by-somebody",
            "planted",
            ErrorKind::Protocol,
            "unrecognized",
        ),
    ] {
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        let state = parameter(&url, "state").unwrap();
        let parameters = [
            ("state", state.as_str()),
            ("error", error),
            ("error_description", description),
        ];
        let callback = Url::parse_with_params(REDIRECT, parameters).unwrap();
        let refused = flow.complete(pending, &callback).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (kind, Some(code)),
            "{error}"
        );
        assert!(!chain(&refused).contains("planted"));
    }
}

#[tokio::test]
async fn a_callback_works_once() {
    let world = World::google().await;
    let flow = world.flow();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    // A web host keeps it in a session, which somebody replays.
    let session = serde_json::to_string(&pending).unwrap();
    let codes = Mutex::new(Vec::new());
    let tokens = world.tokens(&url);
    Mock::given(method("POST"))
        .respond_with(move |request: &Request| {
            let code = form(request).remove("code").unwrap();
            let mut codes = codes.lock().unwrap();
            if codes.contains(&code) {
                let body = json!({"error": "invalid_grant", "error_description": "Bad Request"});
                return ResponseTemplate::new(400).set_body_json(body);
            }
            codes.push(code);
            ResponseTemplate::new(200).set_body_json(&tokens)
        })
        .mount(&world.server)
        .await;
    flow.complete(pending, &callback(&url)).await.unwrap();
    let replayed: PendingAuthorization = serde_json::from_str(&session).unwrap();
    let error = flow.complete(replayed, &callback(&url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCallback);
    assert_eq!(error.code(), Some("invalid_grant"));
    assert_eq!(error.status(), Some(400));
}

#[tokio::test]
async fn a_loopback_callback_may_come_to_any_port() {
    let world = World::google().await;
    let flow = world.flow();
    for (redirect, came, right) in [
        ("http://127.0.0.1:49152", "http://127.0.0.1:50000/", true),
        ("http://localhost:49152", "http://127.0.0.1:49152/", true),
        (
            "http://127.0.0.1:49152/a",
            "http://127.0.0.1:49152/b",
            false,
        ),
        ("http://127.0.0.1:49152", "https://127.0.0.1:49152/", false),
        (
            "http://127.0.0.1:49152",
            "http://desk.example:49152/",
            false,
        ),
    ] {
        let options = SignInOptions::new().redirect_uri(redirect);
        let Authorization { url, pending, .. } = flow.authorize_with(options).unwrap();
        let state = parameter(&url, "state").unwrap();
        let callback = Url::parse_with_params(came, [("state", state.as_str()), ("code", "c")]);
        let tokens = world.tokens(&url);
        world
            .answers(ResponseTemplate::new(200).set_body_json(tokens))
            .await;
        let outcome = flow.complete(pending, &callback.unwrap()).await;
        assert_eq!(outcome.is_ok(), right, "{redirect} {came} {outcome:?}");
        if let Some(request) = world.requests().await.first() {
            assert_eq!(form(request).get("redirect_uri").unwrap(), redirect);
        }
    }
}
