//! Who signed in is believed only from an id_token that is for this sign-in.

use std::time::Duration;

use postroom::clock::Clock;
use postroom::oauth::{Authorization, Endpoints};
use serde_json::{Value, json};
use url::Url;
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

use crate::oauth_service::*;

#[tokio::test]
async fn an_id_token_of_another_sign_in_is_refused() {
    let google: Vec<(&str, &str, Value)> = vec![
        ("id_token_issuer", "iss", json!("https://evil.example")),
        ("id_token_audience", "aud", json!("another application")),
        ("id_token_audience", "aud", json!(["another application"])),
        ("id_token_expired", "exp", json!(1_700_000_000)),
        ("id_token_expired", "exp", json!(-1e300)),
        ("wrong_nonce", "nonce", json!("another sign-in's")),
        ("wrong_nonce", "nonce", Value::Null),
        ("id_token_subject", "sub", json!("")),
        ("id_token_malformed", "sub", Value::Null),
        ("id_token_malformed", "exp", json!("soon")),
    ];
    let microsoft = vec![
        (
            "id_token_issuer",
            "iss",
            json!("https://login.microsoftonline.com/another-tenant/v2.0"),
        ),
        ("id_token_issuer", "tid", json!("another-tenant")),
        ("id_token_issuer", "tid", Value::Null),
        ("id_token_subject", "oid", Value::Null),
    ];
    for (world, cases) in [
        (World::google().await, google),
        (World::microsoft().await, microsoft),
    ] {
        let flow = world.flow();
        for (code, claim, value) in cases {
            let Authorization { url, pending, .. } = flow.authorize().unwrap();
            let mut claims = world.claims(&url);
            claims[claim] = value.clone();
            let mut tokens = world.tokens(&url);
            tokens["id_token"] = json!(id_token(&claims));
            world
                .answers(ResponseTemplate::new(200).set_body_json(tokens))
                .await;
            let error = flow.complete(pending, &callback(&url)).await.unwrap_err();
            assert_eq!(error.code(), Some(code), "{claim}: {value}");
        }
    }
}

#[tokio::test]
async fn an_id_token_is_read_against_the_services_own_clock() {
    let world = World::google().await;
    let flow = world.flow();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let tokens = world.tokens(&url);
    // This machine's clock is two hours ahead; the service says so in its answer.
    let date = world.clock.now().to_rfc2822().replace("+0000", "GMT");
    world.clock.set_forward(Duration::from_secs(2 * 3600));
    let pending_text = serde_json::to_string(&pending).unwrap();
    let mut pending: Value = serde_json::from_str(&pending_text).unwrap();
    pending["ends_at"] = json!(world.clock.now() + Duration::from_secs(60));
    let pending = serde_json::from_value(pending).unwrap();
    let answer = ResponseTemplate::new(200).set_body_json(tokens);
    world
        .answers(answer.insert_header("date", date.as_str()))
        .await;
    let grant = flow.complete(pending, &callback(&url)).await.unwrap();
    // What is a duration stays one.
    let lifetime = Duration::from_secs(3599);
    assert_eq!(
        grant.credential.expires_at,
        Some(world.clock.now() + lifetime)
    );
}

#[tokio::test]
async fn users_of_another_directory_are_refused() {
    let world = World::microsoft().await;
    for (tenant, right) in [
        ("common", true),
        ("organizations", true),
        ("consumers", false),
        (TENANT, true),
        ("99999999-2222-3333-4444-555555555555", false),
        ("customer.example", true),
    ] {
        let base = Url::parse(&world.server.uri()).unwrap();
        let flow = world
            .builder()
            .tenant(tenant)
            .endpoints(Endpoints::microsoft_at(&base, tenant).unwrap())
            .build()
            .unwrap();
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        world.server.reset().await;
        Mock::given(path(format!("/{tenant}/oauth2/v2.0/token")))
            .respond_with(ResponseTemplate::new(200).set_body_json(world.tokens(&url)))
            .mount(&world.server)
            .await;
        let outcome = flow.complete(pending, &callback(&url)).await;
        assert_eq!(outcome.is_ok(), right, "{tenant}: {outcome:?}");
    }
}
