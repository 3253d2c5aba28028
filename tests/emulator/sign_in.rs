//! What the emulator's sign-ins with both vendors have in common: pages, redirects, lives of tokens, signatures.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use postroom::clock::Clock;
use postroom::emulator::{Consent, Emulator};
use serde_json::Value;
use url::Url;

use crate::raw_sign_in::*;

#[tokio::test]
async fn a_person_can_click_through_the_page() {
    let sign_in = google().await;
    let url = sign_in.url(&format!("openid {MODIFY} {SETTINGS}"), &[]);
    let page = sign_in.http.get(url.as_str()).await;
    assert_eq!(page.status, StatusCode::OK);
    let html = page.text();
    assert!(html.contains("method=\"post\"") && html.contains("team@gmail.example"));
    assert_eq!(html.matches("type=\"checkbox\"").count(), 2);
    let fields = [
        ("account", READER),
        ("decision", "allow"),
        ("scope", MODIFY),
    ];
    let answer = sign_in.http.form(url.as_str(), &fields).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert!(answer.header("location").unwrap().contains("code=4%2F"));
}

#[tokio::test]
async fn a_registered_redirect_is_compared_to_the_letter() {
    let web = "https://app.example/callback?from=mail";
    let start = || Emulator::builder().redirect_uri(web).start();
    for (sign_in, address, scope) in [
        (SignIn::google(start().await.unwrap()), READER, MODIFY),
        (
            SignIn::microsoft(start().await.unwrap(), "common"),
            WORK,
            "Mail.Read",
        ),
    ] {
        let url = sign_in.url(scope, &[("redirect_uri", web)]);
        let callback = sign_in.emulator.sign_in(&url, address).await.unwrap();
        assert_eq!(value(&callback, "from").unwrap(), "mail");
        assert!(value(&callback, "code").is_some());
        for other in [
            "https://app.example/callback",
            "https://app.example/Callback?from=mail",
        ] {
            let url = sign_in.url(scope, &[("redirect_uri", other)]);
            assert!(sign_in.emulator.sign_in(&url, address).await.is_err());
        }
    }
}

#[tokio::test]
async fn expiry_can_come_as_text() {
    let emulator = Emulator::builder()
        .text_expires_in(true)
        .start()
        .await
        .unwrap();
    let sign_in = SignIn::microsoft(emulator, "common");
    let code = sign_in.code(WORK, "Mail.Read", &[]).await;
    assert_eq!(
        sign_in.redeem(&code, &[]).await.json()["expires_in"],
        "3599"
    );
}

#[tokio::test]
async fn a_sign_in_path_that_is_not_there_is_not_found() {
    let sign_in = microsoft("common").await;
    let base = &sign_in.emulator.microsoft().base_url;
    let path = base.join("common/oauth2/v2.0/introspect").unwrap();
    assert_eq!(
        sign_in
            .http
            .form(path.as_str(), &[("scope", "openid")])
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_refusal_comes_back_as_access_denied() {
    let sign_in = google().await;
    let callback = sign_in
        .emulator
        .decline(&sign_in.url(MODIFY, &[]))
        .await
        .unwrap();
    assert_eq!(value(&callback, "error").unwrap(), "access_denied");
    assert_eq!(value(&callback, "state").unwrap(), "state & more");
    assert!(value(&callback, "code").is_none());

    let sign_in = microsoft("common").await;
    let callback = sign_in
        .emulator
        .decline(&sign_in.url("Mail.Read", &[]))
        .await
        .unwrap();
    assert_eq!(value(&callback, "error").unwrap(), "access_denied");
    assert_eq!(value(&callback, "error_subcode").unwrap(), "cancel");
    assert!(
        value(&callback, "error_description")
            .unwrap()
            .contains("AADSTS65004")
    );
}

#[tokio::test]
async fn automatic_consent_redirects_at_once() {
    let start = || Emulator::builder().consent(Consent::Automatic).start();
    let sign_in = SignIn::google(start().await.unwrap());
    let answer = sign_in.http.get(sign_in.url(MODIFY, &[]).as_str()).await;
    let callback = Url::parse(answer.header("location").unwrap()).unwrap();
    let code = value(&callback, "code").unwrap();
    assert!(sign_in.redeem(&code, &[]).await.json()["access_token"].is_string());

    let sign_in = SignIn::microsoft(start().await.unwrap(), "common");
    let url = sign_in.url("openid profile email Mail.Read", &[("login_hint", WORK)]);
    let answer = sign_in.http.get(url.as_str()).await;
    let callback = Url::parse(answer.header("location").unwrap()).unwrap();
    let code = value(&callback, "code").unwrap();
    let body = sign_in.redeem(&code, &[]).await.json();
    assert_eq!(claims(&body)["preferred_username"], WORK);
}

#[tokio::test]
async fn both_take_the_client_secret_in_a_header_too() {
    for (sign_in, address, scope) in [
        (google().await, READER, MODIFY),
        (microsoft("common").await, WORK, "Mail.Read"),
    ] {
        let code = sign_in.code(address, scope, &[]).await;
        let encode =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!(
            "{}:{}",
            encode(&sign_in.client_id),
            encode(&sign_in.client_secret)
        );
        let basic = format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        );
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", VERIFIER),
            ])
            .finish();
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", basic.as_str()),
        ];
        let answer = sign_in
            .http
            .send(Method::POST, &sign_in.token, &headers, form)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

#[tokio::test]
async fn codes_and_access_tokens_end() {
    let clock = Arc::new(HandClock::default());
    let shared: Arc<dyn Clock> = Arc::<HandClock>::clone(&clock);
    let emulator = Emulator::builder().clock(shared).start().await.unwrap();
    let sign_in = SignIn::microsoft(emulator, "common");
    let code = sign_in.code(WORK, "Mail.Read", &[]).await;
    clock.advance(Duration::from_secs(61));
    let late = sign_in.redeem(&code, &[]).await.json();
    assert_eq!(late["error"], "invalid_grant");
    assert_eq!(late["error_codes"][0], 70_008);

    let sign_in = SignIn::google(sign_in.emulator);
    let code = sign_in.code(READER, "openid email", &[OFFLINE]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    let user = sign_in
        .emulator
        .google()
        .base_url
        .join("v1/userinfo")
        .unwrap();
    let bearer = format!("Bearer {}", text(&body, "access_token"));
    let headers = [("authorization", bearer.as_str())];
    let get = || sign_in.http.send(Method::GET, user.as_str(), &headers, "");
    assert_eq!(get().await.json()["email"], READER);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(get().await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn withdrawn_consent_ends_refreshing() {
    let sign_in = microsoft("common").await;
    let code = sign_in.code(WORK, "offline_access Mail.Read", &[]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    sign_in.emulator.revoke(WORK);
    let answer = sign_in.refresh(text(&body, "refresh_token"), &[]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]),
        (400, &"invalid_grant".into())
    );

    let sign_in = google().await;
    let code = sign_in.code(READER, MODIFY, &[OFFLINE]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    sign_in.emulator.revoke(READER);
    let answer = sign_in.refresh(text(&body, "refresh_token"), &[]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]),
        (400, &"invalid_grant".into())
    );
}

#[tokio::test]
async fn a_policy_can_want_the_user_back() {
    let sign_in = microsoft("common").await;
    let scope = "offline_access Mail.Read";
    let code = sign_in.code(WORK, scope, &[]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    let token = text(&body, "refresh_token");
    sign_in.emulator.require_interaction(WORK);
    let answer = sign_in.refresh(token, &[]).await.json();
    assert_eq!(
        (text(&answer, "error"), text(&answer, "suberror")),
        ("interaction_required", "basic_action")
    );
    assert_eq!(answer["error_codes"][0], 50_076);
    assert!(
        serde_json::from_str::<Value>(text(&answer, "claims"))
            .unwrap()
            .is_object()
    );
    // Signing in again settles it, for the token that was there before too.
    sign_in.code(WORK, scope, &[]).await;
    assert_eq!(sign_in.refresh(token, &[]).await.status, StatusCode::OK);

    let sign_in = google().await;
    let code = sign_in.code(READER, MODIFY, &[OFFLINE]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    sign_in.emulator.require_interaction(READER);
    let answer = sign_in
        .refresh(text(&body, "refresh_token"), &[])
        .await
        .json();
    assert_eq!(
        (text(&answer, "error"), text(&answer, "error_subtype")),
        ("invalid_grant", "invalid_rapt")
    );
}

#[tokio::test]
async fn id_tokens_can_be_checked_with_the_published_keys() {
    let sign_in = microsoft("common").await;
    let base = &sign_in.emulator.microsoft().base_url;
    let discovery = base
        .join("common/v2.0/.well-known/openid-configuration")
        .unwrap();
    let document = sign_in.http.get(discovery.as_str()).await.json();
    assert_eq!(document["token_endpoint"], sign_in.token.as_str());
    let keys = sign_in.http.get(text(&document, "jwks_uri")).await.json();
    let part = |name: &str| {
        URL_SAFE_NO_PAD
            .decode(text(&keys["keys"][0], name))
            .unwrap()
    };

    let code = sign_in.code(WORK, "openid", &[]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    let (signed, signature) = text(&body, "id_token").rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let algorithm = &ring::signature::RSA_PKCS1_2048_8192_SHA256;
    let key = ring::signature::RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    };
    key.verify(algorithm, signed.as_bytes(), &signature)
        .unwrap();
    key.verify(algorithm, b"something else", &signature)
        .unwrap_err();
}
