//! The emulator's sign-in with Microsoft is as strict as Microsoft's: each wrong thing gets Microsoft's own answer.

use http::StatusCode;
use postroom::emulator::{Emulator, Rotation};
use url::Url;

use crate::raw_sign_in::*;

#[tokio::test]
async fn microsoft_gives_tokens_and_says_who_the_user_is() {
    for (address, tenant) in [
        (WORK, "organizations"),
        (PERSONAL, "consumers"),
        (WORK, "common"),
    ] {
        let sign_in = microsoft(tenant).await;
        let scope =
            "openid profile email offline_access https://graph.microsoft.com/mail.readwrite";
        let url = sign_in.url(scope, &[("nonce", "n-2")]);
        let callback = sign_in.emulator.sign_in(&url, address).await.unwrap();
        let code = value(&callback, "code").unwrap();
        let body = sign_in.redeem(&code, &[("scope", scope)]).await.json();
        assert!(body["expires_in"].is_u64() && body["refresh_token"].is_string());
        let granted = text(&body, "scope").to_lowercase();
        assert!(granted.contains("mail.readwrite") && !granted.contains("offline_access"));
        let claims = claims(&body);
        assert_eq!(claims["aud"], sign_in.client_id.as_str());
        assert_eq!(claims["nonce"], "n-2");
        assert_eq!(claims["preferred_username"], address);
        assert!(claims["oid"].is_string());
        let tid = claims["tid"].as_str().unwrap();
        assert_eq!(
            tid == "9188040d-6c67-4c5b-b112-36a304b66dad",
            address == PERSONAL
        );
        assert_eq!(
            claims["iss"],
            format!("https://login.microsoftonline.com/{tid}/v2.0")
        );
    }
}

#[tokio::test]
async fn microsoft_names_the_user_only_where_profile_was_asked() {
    let sign_in = microsoft("common").await;
    let code = sign_in.code(WORK, "openid Mail.Read", &[]).await;
    let claims = claims(&sign_in.redeem(&code, &[]).await.json());
    assert!(claims["sub"].is_string() && claims.get("oid").is_none());
    let code = sign_in.code(WORK, "Mail.Read", &[]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    assert!(body.get("id_token").is_none() && body.get("refresh_token").is_none());
}

#[tokio::test]
async fn microsoft_shows_what_is_wrong_with_client_redirect_and_tenant() {
    let sign_in = microsoft("common").await;
    let wrong = [
        (
            ("client_id", "11111111-2222-4333-8444-555555555555"),
            "AADSTS700016",
        ),
        (("client_id", ""), "AADSTS900144"),
        (
            ("redirect_uri", "https://evil.example/callback"),
            "AADSTS50011",
        ),
        (
            ("redirect_uri", "http://[::1]:49152/callback"),
            "AADSTS50011",
        ),
        (("redirect_uri", ""), "AADSTS900971"),
    ];
    for (change, code) in wrong {
        let answer = sign_in
            .http
            .get(sign_in.url("Mail.Read", &[change]).as_str())
            .await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(code), "{change:?}");
        assert!(answer.header("location").is_none());
    }
    let url = sign_in.url("Mail.Read", &[]);
    let elsewhere = url.as_str().replacen("/common/", "/nowhere.example/", 1);
    assert!(
        sign_in
            .http
            .get(&elsewhere)
            .await
            .text()
            .contains("AADSTS90002")
    );
}

#[tokio::test]
async fn microsoft_sends_back_what_else_is_wrong() {
    let sign_in = microsoft("common").await;
    let wrong = [
        (("response_type", ""), "invalid_request", "AADSTS900144"),
        (
            ("response_type", "code id_token"),
            "unsupported_response_type",
            "AADSTS700054",
        ),
        (("scope", ""), "invalid_request", "AADSTS900144"),
        (
            ("scope", "openid mailread"),
            "invalid_client",
            "AADSTS650053",
        ),
        (
            (
                "scope",
                "Mail.Read https://outlook.office.com/IMAP.AccessAsUser.All",
            ),
            "invalid_scope",
            "AADSTS70011",
        ),
        (
            ("scope", "Mail.Read https://graph.microsoft.com/.default"),
            "invalid_scope",
            "AADSTS70011",
        ),
        (("prompt", "maybe"), "invalid_request", "AADSTS90023"),
        (("prompt", "none"), "login_required", "AADSTS50058"),
        (
            ("code_challenge", "short"),
            "invalid_request",
            "AADSTS501491",
        ),
    ];
    for (change, error, code) in wrong {
        let answer = sign_in
            .http
            .get(sign_in.url("Mail.Read", &[change]).as_str())
            .await;
        assert_eq!(answer.status, StatusCode::FOUND, "{change:?}");
        let callback = Url::parse(answer.header("location").unwrap()).unwrap();
        assert_eq!(value(&callback, "error").unwrap(), error, "{change:?}");
        assert!(
            value(&callback, "error_description")
                .unwrap()
                .starts_with(code),
            "{change:?}"
        );
        assert_eq!(value(&callback, "state").unwrap(), "state & more");
    }
}

#[tokio::test]
async fn microsofts_doors_let_in_their_own_kind_of_account() {
    let cases = [
        ("consumers", WORK, "AADSTS500208"),
        ("organizations", PERSONAL, "AADSTS500208"),
        ("outlook.example", PERSONAL, "AADSTS50020"),
    ];
    for (tenant, address, code) in cases {
        let sign_in = microsoft(tenant).await;
        let url = sign_in.url("Mail.Read", &[]);
        let error = sign_in.emulator.sign_in(&url, address).await.unwrap_err();
        assert!(error.to_string().contains(code), "{tenant}: {error}");
        assert!(
            !sign_in
                .http
                .get(url.as_str())
                .await
                .text()
                .contains(address)
        );
    }
    // What other people share exists in organisations only.
    let sign_in = microsoft("common").await;
    let url = sign_in.url("Mail.Read.Shared", &[]);
    let callback = sign_in.emulator.sign_in(&url, PERSONAL).await.unwrap();
    assert_eq!(value(&callback, "error").unwrap(), "invalid_scope");
    let callback = sign_in.emulator.sign_in(&url, WORK).await.unwrap();
    assert!(value(&callback, "code").is_some());
}

#[tokio::test]
async fn microsofts_answer_travels_as_asked() {
    let sign_in = microsoft("common").await;
    let url = sign_in.url("Mail.Read", &[("response_mode", "fragment")]);
    let callback = sign_in.emulator.sign_in(&url, WORK).await.unwrap();
    assert!(callback.fragment().unwrap().contains("code=") && callback.query().is_none());
    let url = sign_in.url("Mail.Read", &[("response_mode", "form_post")]);
    let fields = [("account", WORK), ("decision", "allow")];
    let page = sign_in.http.form(url.as_str(), &fields).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("name=\"code\"") && page.text().contains(CALLBACK));
}

#[tokio::test]
async fn microsofts_token_endpoint_refuses_in_its_own_words() {
    let sign_in = microsoft("common").await;
    let wrong = [
        (("client_id", ""), 400, "invalid_request", 900_144),
        (
            ("client_id", "11111111-2222-4333-8444-555555555555"),
            400,
            "unauthorized_client",
            700_016,
        ),
        (("client_secret", ""), 401, "invalid_client", 7_000_218),
        (("client_secret", "guess"), 401, "invalid_client", 7_000_215),
        (("grant_type", ""), 400, "invalid_request", 900_144),
        (
            ("grant_type", "urn:x"),
            400,
            "unsupported_grant_type",
            70_003,
        ),
        (("code", "nonsense"), 400, "invalid_grant", 70_000),
        (
            ("redirect_uri", "http://127.0.0.1:49152/other"),
            400,
            "invalid_grant",
            500_112,
        ),
        (("code_verifier", ""), 400, "invalid_grant", 50_148),
        (
            (
                "code_verifier",
                "a-verifier-that-is-long-enough-but-not-the-one-x",
            ),
            400,
            "invalid_grant",
            501_481,
        ),
        (("scope", "Mail.Send"), 400, "invalid_grant", 65_001),
    ];
    let code = sign_in.code(WORK, "Mail.Read", &[]).await;
    for (change, status, error, number) in wrong {
        let answer = sign_in.redeem(&code, &[change]).await;
        let body = answer.json();
        assert_eq!(answer.status, status, "{change:?}: {body}");
        assert_eq!(body["error"], error, "{change:?}");
        assert_eq!(body["error_codes"][0], number, "{change:?}");
        assert!(text(&body, "error_description").starts_with(&format!("AADSTS{number}: ")));
        for field in ["timestamp", "trace_id", "correlation_id"] {
            assert!(body[field].is_string(), "{field}");
        }
    }
    let elsewhere = sign_in.token.replacen("/common/", "/organizations/", 1);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", &sign_in.client_id),
        ("client_secret", &sign_in.client_secret),
    ];
    let answer = sign_in.http.form(&elsewhere, &form).await;
    assert_eq!(answer.json()["error_codes"][0], 700_005);
    assert_eq!(sign_in.redeem(&code, &[]).await.status, StatusCode::OK);
    assert_eq!(
        sign_in.redeem(&code, &[]).await.json()["error_codes"][0],
        54_005
    );
}

#[tokio::test]
async fn microsofts_refresh_tokens_are_replaced_and_the_old_ones_go_on() {
    let sign_in = microsoft("common").await;
    let code = sign_in.code(WORK, "offline_access Mail.Read", &[]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    let old = text(&body, "refresh_token");
    let refreshed = sign_in.refresh(old, &[]).await.json();
    assert_ne!(text(&refreshed, "refresh_token"), old);
    assert_eq!(sign_in.refresh(old, &[]).await.status, StatusCode::OK);
    assert_eq!(
        sign_in.refresh("nonsense", &[]).await.json()["error_codes"][0],
        70_000
    );
}

#[tokio::test]
async fn a_strict_server_ends_the_family_when_an_old_token_comes_back() {
    let rotation = Rotation::RevokesOld;
    let emulator = Emulator::builder()
        .rotate_refresh_tokens(rotation)
        .start()
        .await
        .unwrap();
    let sign_in = SignIn::microsoft(emulator, "common");
    let code = sign_in.code(WORK, "offline_access Mail.Read", &[]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    let old = text(&body, "refresh_token");
    let refreshed = sign_in.refresh(old, &[]).await.json();
    assert_eq!(
        sign_in.refresh(old, &[]).await.json()["error"],
        "invalid_grant"
    );
    let newest = sign_in
        .refresh(text(&refreshed, "refresh_token"), &[])
        .await;
    assert_eq!(newest.json()["error_codes"][0], 50_173);
}

#[tokio::test]
async fn a_personal_account_refreshes_by_named_scopes() {
    let sign_in = microsoft("consumers").await;
    let code = sign_in
        .code(PERSONAL, "offline_access Mail.Read", &[])
        .await;
    let body = sign_in.redeem(&code, &[]).await.json();
    let token = text(&body, "refresh_token");
    let without = sign_in
        .refresh(token, &[("scope", "Mail.Read")])
        .await
        .json();
    assert!(without["access_token"].is_string() && without.get("refresh_token").is_none());
    let with = sign_in
        .refresh(token, &[("scope", "offline_access Mail.Read")])
        .await
        .json();
    assert!(with["refresh_token"].is_string());
    let more = sign_in
        .refresh(token, &[("scope", "offline_access Mail.Send")])
        .await
        .json();
    assert_eq!(
        (&more["error"], &more["error_codes"][0]),
        (&"invalid_grant".into(), &70_000.into())
    );
    let default = ("scope", "https://graph.microsoft.com/.default");
    assert_eq!(
        sign_in.refresh(token, &[default]).await.json()["error_codes"][0],
        90_023
    );
}

#[tokio::test]
async fn an_organisations_tokens_carry_what_was_granted_before() {
    let sign_in = microsoft("organizations").await;
    sign_in.code(WORK, "Mail.Send", &[]).await;
    let code = sign_in.code(WORK, "Mail.Read", &[]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    assert!(words(&body).contains(&"https://graph.microsoft.com/Mail.Send"));
}
