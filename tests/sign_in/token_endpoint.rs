//! Every refusal of a token endpoint becomes an error that says who must act, and none but the service's own word costs a
//! user the grant.

use std::sync::Arc;

use postroom::ErrorKind;
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, MemoryStore, RecordKey, Refresh, Save, Service,
    StoredTokens, TokenSource,
};
use postroom::oauth::{Authorization, Refusal};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::oauth_service::*;

#[tokio::test]
async fn every_refusal_says_who_must_act() {
    let google = World::google().await;
    for (status, error, kind) in [
        (400, "invalid_grant", ErrorKind::SignInRequired),
        (401, "invalid_client", ErrorKind::Configuration),
        (401, "unauthorized_client", ErrorKind::Configuration),
        (400, "invalid_scope", ErrorKind::Configuration),
        (400, "invalid_request", ErrorKind::Configuration),
        (400, "unsupported_grant_type", ErrorKind::Configuration),
        (403, "org_internal", ErrorKind::Configuration),
        (401, "disabled_client", ErrorKind::Configuration),
        (401, "deleted_client", ErrorKind::Configuration),
        (
            400,
            "admin_policy_enforced",
            ErrorKind::AdminConsentRequired,
        ),
        (403, "access_denied", ErrorKind::PermissionDenied),
        (403, "rate_limit_exceeded", ErrorKind::RateLimited),
        (400, "never_heard_of", ErrorKind::Protocol),
    ] {
        let body = json!({"error": error, "error_description": "planted"});
        google
            .answers(ResponseTemplate::new(status).set_body_json(body))
            .await;
        let refused = google
            .flow()
            .refresh(&record(Service::Google))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (kind, Some(error)),
            "{error}"
        );
        assert_eq!(refused.operation(), Some("oauth.refresh"));
        assert!(!chain(&refused).contains("planted"));
    }

    let microsoft = World::microsoft().await;
    let cases: &[(ErrorKind, &[u32])] = &[
        (
            ErrorKind::SignInRequired,
            &[65001, 50072, 50074, 50076, 50078, 50079, 50158, 50097],
        ),
        (
            ErrorKind::SignInRequired,
            &[50173, 70008, 700_082, 700_084, 70043, 70000, 54005],
        ),
        (
            ErrorKind::SignInRequired,
            &[50089, 50132, 50133, 501_481, 50148],
        ),
        (
            ErrorKind::SignInRequired,
            &[50034, 50053, 50055, 50057, 50126],
        ),
        (ErrorKind::Declined, &[65004]),
        (ErrorKind::AdminConsentRequired, &[90094, 90095]),
        (
            ErrorKind::PermissionDenied,
            &[53000, 53001, 53003, 530_032, 530_035],
        ),
        (ErrorKind::PermissionDenied, &[50020, 90072, 500_208]),
        (
            ErrorKind::Configuration,
            &[700_005, 50011, 70004, 900_971, 7_000_215, 7_000_222],
        ),
        (
            ErrorKind::Configuration,
            &[9_002_325, 9_002_326, 9_002_327, 700_027, 7_000_218],
        ),
        (
            ErrorKind::Configuration,
            &[700_025, 700_016, 700_011, 7_000_112, 70001, 90002],
        ),
        (
            ErrorKind::Configuration,
            &[50194, 9_001_023, 90023, 70011, 28002, 700_022, 50196],
        ),
    ];
    for (kind, codes) in cases {
        for code in *codes {
            let body = json!({
                "error": "invalid_grant", "error_codes": [code], "suberror": "basic_action",
                "error_description": format!("AADSTS{code}: about planted@outlook.example"),
                "trace_id": "0a1b2c3d-0000-1111-2222-333344445555", "claims": "{\"access_token\":{}}",
            });
            microsoft
                .answers(ResponseTemplate::new(400).set_body_json(body))
                .await;
            let refused = microsoft
                .flow()
                .refresh(&record(Service::Microsoft))
                .await
                .unwrap_err();
            assert_eq!(refused.kind(), *kind, "{code}");
            assert_eq!(refused.code(), Some(format!("AADSTS{code}").as_str()));
            assert_eq!(
                refused.request_id(),
                Some("0a1b2c3d-0000-1111-2222-333344445555")
            );
            let source = std::error::Error::source(&refused).unwrap();
            let refusal = source.downcast_ref::<Refusal>().unwrap();
            assert_eq!(refusal.subtype.as_deref(), Some("basic_action"));
            assert_eq!(refusal.claims.as_deref(), Some("{\"access_token\":{}}"));
            assert!(!chain(&refused).contains("planted"));
        }
    }
    // A number that is in no table, and none at all: the name decides.
    for codes in [json!([123_456]), json!(null), json!("50173")] {
        let body = json!({"error": "invalid_grant", "error_codes": codes});
        microsoft
            .answers(ResponseTemplate::new(400).set_body_json(body))
            .await;
        let refused = microsoft
            .flow()
            .refresh(&record(Service::Microsoft))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::SignInRequired);
    }
}

#[tokio::test]
async fn a_failing_token_endpoint_is_asked_again_and_costs_nobody_the_grant() {
    let world = World::google().await;
    let store = Arc::new(MemoryStore::new());
    let key = RecordKey::account("reader");
    let before = record(Service::Google);
    before.save(&*store, &key, Save::Always).await.unwrap();
    let revision = store.load(&key).await.unwrap().unwrap().revision;
    let tokens = StoredTokens::new(
        Arc::clone(&store) as Arc<dyn CredentialStore>,
        key.clone(),
        Arc::new(world.flow()),
    )
    .unwrap();

    let garbage = "planted ".repeat(1_250_000);
    for (answer, kind, attempts) in [
        (ResponseTemplate::new(503), ErrorKind::Unavailable, 6),
        (
            ResponseTemplate::new(500).set_body_json(json!({"error": "invalid_grant"})),
            ErrorKind::Unavailable,
            6,
        ),
        (
            ResponseTemplate::new(502).set_body_string("<html>planted"),
            ErrorKind::Unavailable,
            6,
        ),
        (
            ResponseTemplate::new(400).set_body_string("<html>planted"),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(400).set_body_string("{\"error\": \"invalid_gr"),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(400).set_body_json(json!({"error": null})),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(400).set_body_json(json!({"error": {"code": 400}})),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(302).insert_header("location", "https://evil.example/"),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(200).set_body_string("<html>planted"),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(200).set_body_string("{\"access_token\": \"plante"),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({"access_token": null})),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({"access_token": ""})),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({"access_token": 12, "planted": 1})),
            ErrorKind::Protocol,
            1,
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!(null)),
            ErrorKind::Protocol,
            1,
        ),
        (ResponseTemplate::new(200), ErrorKind::Protocol, 1),
        (
            ResponseTemplate::new(200).set_body_string(&garbage),
            ErrorKind::Protocol,
            1,
        ),
    ] {
        world.answers(answer).await;
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert_eq!(error.operation(), Some("oauth.refresh"), "{error:?}");
        assert!(!chain(&error).contains("plante"), "{error:?}");
        assert_eq!(world.requests().await.len(), attempts, "{error:?}");
        let stored = store.load(&key).await.unwrap().unwrap();
        assert_eq!(stored.revision, revision, "the record is untouched");
    }
    // Once it works again, so does the account.
    let body = json!({"access_token": "a", "expires_in": 3600});
    world
        .answers(ResponseTemplate::new(200).set_body_json(body))
        .await;
    assert_eq!(tokens.token().await.unwrap().expose(), "a");
}

#[tokio::test]
async fn a_revoked_grant_asks_for_a_sign_in_and_keeps_the_account() {
    let world = World::google().await;
    let store = Arc::new(MemoryStore::new());
    let key = RecordKey::account("reader");
    let before = record(Service::Google);
    before.save(&*store, &key, Save::Always).await.unwrap();
    let tokens = StoredTokens::new(
        Arc::clone(&store) as Arc<dyn CredentialStore>,
        key.clone(),
        Arc::new(world.flow()),
    )
    .unwrap();
    let body = json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."});
    world
        .answers(ResponseTemplate::new(400).set_body_json(body))
        .await;
    let error = tokens.token().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::SignInRequired, Some("invalid_grant"))
    );
    let loaded = AccountRecord::load(&*store, &key).await.unwrap().unwrap();
    assert!(matches!(
        loaded.record.state,
        AccountState::NeedsSignIn { .. }
    ));

    // A new sign-in that repeats no refresh token keeps the one there is.
    let flow = world.flow();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let mut body = world.tokens(&url);
    body.as_object_mut().unwrap().remove("refresh_token");
    world
        .answers(ResponseTemplate::new(200).set_body_json(body))
        .await;
    let grant = flow.complete(pending, &callback(&url)).await.unwrap();
    let mut record = loaded.record;
    grant.apply_to(&mut record);
    assert_eq!(record.state, AccountState::Active);
    assert_eq!(
        record.credential.refresh_token.as_ref().unwrap().expose(),
        "planted-refresh"
    );
    record.save(&*store, &key, Save::Always).await.unwrap();
    assert_eq!(tokens.token().await.unwrap().expose(), "planted-access");
}
