//! The emulator's sign-in with Google is as strict as Google's: each wrong thing gets Google's own answer.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::raw_sign_in::*;

#[tokio::test]
async fn google_gives_tokens_and_says_who_the_user_is() {
    let sign_in = google().await;
    let scope = format!("openid email profile {MODIFY}");
    let url = sign_in.url(&scope, &[OFFLINE, ("nonce", "n-1")]);
    let callback = sign_in.emulator.sign_in(&url, READER).await.unwrap();
    assert!(callback.as_str().starts_with(CALLBACK));
    assert_eq!(value(&callback, "state").unwrap(), "state & more");

    let answer = sign_in
        .redeem(&value(&callback, "code").unwrap(), &[])
        .await;
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert!(body["expires_in"].is_u64());
    // Long names, in another order than asked.
    assert_eq!(words(&body).first(), Some(&MODIFY));
    assert!(words(&body).contains(&"https://www.googleapis.com/auth/userinfo.email"));
    let claims = claims(&body);
    assert_eq!(claims["aud"], sign_in.client_id.as_str());
    assert_eq!(claims["email"], READER);
    assert_eq!(claims["nonce"], "n-1");
    assert!(claims["sub"].is_string());

    // Google's refresh token stays as it is.
    let refreshed = sign_in
        .refresh(text(&body, "refresh_token"), &[])
        .await
        .json();
    assert!(refreshed["access_token"].is_string());
    assert!(refreshed.get("refresh_token").is_none());
}

#[tokio::test]
async fn google_shows_what_is_wrong_and_redirects_nowhere() {
    let sign_in = google().await;
    let bare = [
        (("client_id", "someone-else"), 401, "invalid_client"),
        (("client_id", ""), 400, "invalid_request"),
        (
            ("redirect_uri", "https://evil.example/callback"),
            400,
            "redirect_uri_mismatch",
        ),
        (("redirect_uri", ""), 400, "invalid_request"),
        (("response_type", ""), 400, "invalid_request"),
        (("response_type", "token"), 400, "unsupported_response_type"),
        (("scope", ""), 400, "invalid_request"),
        (
            ("scope", "openid https://www.googleapis.com/auth/gmail"),
            400,
            "invalid_scope",
        ),
        (("prompt", "none consent"), 400, "invalid_request"),
        (("code_challenge", "short"), 400, "invalid_request"),
        (("code_challenge_method", "S512"), 400, "invalid_request"),
        (("access_type", "always"), 400, "invalid_request"),
        (("client_secret", "anything"), 400, "invalid_request"),
    ];
    for (change, status, code) in bare {
        let answer = sign_in
            .http
            .get(sign_in.url(MODIFY, &[change]).as_str())
            .await;
        assert_eq!(answer.status, status, "{change:?}");
        assert!(
            answer.text().contains(code),
            "{change:?}: {}",
            answer.text()
        );
        assert!(answer.header("location").is_none(), "{change:?}");
    }
    let twice = format!("{}&state=again", sign_in.url(MODIFY, &[]));
    assert_eq!(sign_in.http.get(&twice).await.status, 400);
}

#[tokio::test]
async fn google_takes_any_loopback_port_and_path() {
    let sign_in = google().await;
    for redirect in [
        "http://127.0.0.1:1/",
        "http://[::1]:65000/a/b",
        "http://localhost:8080",
    ] {
        let url = sign_in.url(MODIFY, &[("redirect_uri", redirect)]);
        let callback = sign_in.emulator.sign_in(&url, READER).await.unwrap();
        assert!(callback.as_str().starts_with(redirect));
    }
}

#[tokio::test]
async fn google_gives_a_refresh_token_only_offline_and_at_first_or_renewed_consent() {
    let sign_in = google().await;
    let cases: [(&[(&str, &str)], bool); 4] = [
        (&[], false),
        (&[OFFLINE], false),
        (&[OFFLINE, ("prompt", "consent")], true),
        (&[("prompt", "consent")], false),
    ];
    for (changes, expected) in cases {
        let code = sign_in.code(READER, MODIFY, changes).await;
        let body = sign_in.redeem(&code, &[]).await.json();
        assert_eq!(body.get("refresh_token").is_some(), expected, "{changes:?}");
    }
    let code = sign_in.code("team@gmail.example", MODIFY, &[OFFLINE]).await;
    let first = sign_in.redeem(&code, &[]).await.json();
    assert!(first.get("refresh_token").is_some());
}

#[tokio::test]
async fn google_grants_what_stays_ticked() {
    let sign_in = google().await;
    let url = sign_in.url(&format!("openid email {MODIFY} {SETTINGS}"), &[]);
    let callback = sign_in
        .emulator
        .grant_only(&url, READER, &[SETTINGS])
        .await
        .unwrap();
    assert!(!value(&callback, "scope").unwrap().contains(MODIFY));
    let code = value(&callback, "code").unwrap();
    let body = sign_in.redeem(&code, &[]).await.json();
    assert!(words(&body).contains(&SETTINGS) && words(&body).contains(&"openid"));
    assert!(!words(&body).contains(&MODIFY));
}

#[tokio::test]
async fn google_adds_earlier_grants_where_asked() {
    let sign_in = google().await;
    sign_in.code(READER, MODIFY, &[]).await;
    let changes = [("include_granted_scopes", "true")];
    let code = sign_in.code(READER, SETTINGS, &changes).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    assert!(words(&body).contains(&MODIFY) && words(&body).contains(&SETTINGS));
}

#[tokio::test]
async fn without_a_page_google_answers_at_once() {
    let sign_in = google().await;
    let silent = ("prompt", "none");
    let hint = ("login_hint", READER);
    let nobody = sign_in
        .http
        .get(sign_in.url(MODIFY, &[silent]).as_str())
        .await;
    assert!(
        nobody
            .header("location")
            .unwrap()
            .contains("error=interaction_required")
    );
    let unknown = sign_in
        .http
        .get(sign_in.url(MODIFY, &[silent, hint]).as_str())
        .await;
    assert!(
        unknown
            .header("location")
            .unwrap()
            .contains("error=consent_required")
    );
    sign_in.code(READER, MODIFY, &[]).await;
    let known = sign_in
        .http
        .get(sign_in.url(MODIFY, &[silent, hint]).as_str())
        .await;
    assert!(known.header("location").unwrap().contains("code="));
}

#[tokio::test]
async fn googles_token_endpoint_refuses_in_its_own_words() {
    let sign_in = google().await;
    let wrong = [
        (("client_id", ""), 400, "invalid_request"),
        (("client_id", "someone-else"), 401, "invalid_client"),
        (("client_secret", ""), 400, "invalid_request"),
        (("client_secret", "guess"), 401, "invalid_client"),
        (("grant_type", ""), 400, "invalid_request"),
        (("grant_type", "password"), 400, "unsupported_grant_type"),
        (("code", "4/nonsense"), 400, "invalid_grant"),
        (
            ("redirect_uri", "http://127.0.0.1:49152/other"),
            400,
            "redirect_uri_mismatch",
        ),
        (("code_verifier", ""), 400, "invalid_grant"),
        (
            (
                "code_verifier",
                "a-verifier-that-is-long-enough-but-not-the-one-x",
            ),
            400,
            "invalid_grant",
        ),
    ];
    let code = sign_in.code(READER, MODIFY, &[]).await;
    for (change, status, error) in wrong {
        let answer = sign_in.redeem(&code, &[change]).await;
        assert_eq!(answer.status, status, "{change:?}");
        assert_eq!(answer.json()["error"], error, "{change:?}");
        assert!(answer.json()["error_description"].is_string());
    }
    // None of that used the code up; the second redemption does.
    assert_eq!(sign_in.redeem(&code, &[]).await.status, StatusCode::OK);
    assert_eq!(
        sign_in.redeem(&code, &[]).await.json()["error"],
        "invalid_grant"
    );

    // JSON is no form.
    let json = [("content-type", "application/json")];
    let answer = sign_in
        .http
        .send(Method::POST, &sign_in.token, &json, "{}")
        .await;
    assert_eq!(answer.json()["error"], "invalid_request");
}

#[tokio::test]
async fn googles_revocation_ends_every_token_of_the_user() {
    let sign_in = google().await;
    let code = sign_in.code(READER, MODIFY, &[OFFLINE]).await;
    let first = sign_in.redeem(&code, &[]).await.json();
    let again = [OFFLINE, ("prompt", "consent")];
    let code = sign_in.code(READER, MODIFY, &again).await;
    let second = sign_in.redeem(&code, &[]).await.json();

    let revoke: String = sign_in
        .emulator
        .google()
        .base_url
        .join("revoke")
        .unwrap()
        .into();
    let token = [("token", text(&first, "access_token"))];
    let answer = sign_in.http.form(&revoke, &token).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::OK, "{}")
    );
    let answer = sign_in.refresh(text(&second, "refresh_token"), &[]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "invalid_grant");
    assert_eq!(
        answer.json()["error_description"],
        "Token has been expired or revoked."
    );
    let answer = sign_in.http.form(&revoke, &token).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]),
        (400, &Value::from("invalid_token"))
    );
    // Consent is gone too: the next sign-in is a first one.
    let code = sign_in.code(READER, MODIFY, &[OFFLINE]).await;
    assert!(
        sign_in
            .redeem(&code, &[])
            .await
            .json()
            .get("refresh_token")
            .is_some()
    );
}
