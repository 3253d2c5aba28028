//! The emulator's sign-in is as strict as the vendors': each wrong thing gets the vendor's own answer.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod raw_http;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use postroom::clock::Clock;
use postroom::emulator::{Consent, Emulator, Rotation};
use raw_http::{Answer, RawHttp};
use serde_json::Value;
use url::Url;

const READER: &str = "reader@gmail.example";
const PERSONAL: &str = "reader@outlook.example";
const WORK: &str = "team@outlook.example";
const CALLBACK: &str = "http://127.0.0.1:49152/callback";
const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
const SETTINGS: &str = "https://www.googleapis.com/auth/gmail.settings.basic";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A clock that stands still until it is told to go on.
#[derive(Debug, Default)]
struct HandClock(Mutex<Duration>);

impl HandClock {
    fn advance(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

/// One vendor's sign-in, seen by an application.
struct SignIn {
    emulator: Emulator,
    http: RawHttp,
    authorize: Url,
    token: String,
    client_id: String,
    client_secret: String,
}

impl SignIn {
    fn google(emulator: Emulator) -> Self {
        let service = emulator.google().clone();
        Self {
            authorize: service.base_url.join("o/oauth2/v2/auth").unwrap(),
            token: service.base_url.join("token").unwrap().into(),
            client_id: service.client_id,
            client_secret: service.client_secret,
            http: RawHttp::new(),
            emulator,
        }
    }

    fn microsoft(emulator: Emulator, tenant: &str) -> Self {
        let service = emulator.microsoft().clone();
        let base = service
            .base_url
            .join(&format!("{tenant}/oauth2/v2.0/"))
            .unwrap();
        Self {
            authorize: base.join("authorize").unwrap(),
            token: base.join("token").unwrap().into(),
            client_id: service.client_id,
            client_secret: service.client_secret,
            http: RawHttp::new(),
            emulator,
        }
    }

    /// An authorize URL that is right but for `changes`; a change to nothing leaves the parameter out.
    fn url(&self, scope: &str, changes: &[(&str, &str)]) -> Url {
        let mut parameters = vec![
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", scope),
            ("state", "state & more"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for change in changes {
            parameters.retain(|(name, _)| *name != change.0);
            if !change.1.is_empty() {
                parameters.push(*change);
            }
        }
        let mut url = self.authorize.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    async fn code(&self, address: &str, scope: &str, changes: &[(&str, &str)]) -> String {
        let url = self.url(scope, changes);
        let callback = self.emulator.sign_in(&url, address).await.unwrap();
        value(&callback, "code").unwrap()
    }

    /// A token request that is right but for `changes`.
    async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.ask(&form, changes).await
    }

    async fn refresh(&self, token: &str, changes: &[(&str, &str)]) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.ask(&form, changes).await
    }

    async fn ask(&self, form: &[(&str, &str)], changes: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.push(("client_id", &self.client_id));
        form.push(("client_secret", &self.client_secret));
        for change in changes {
            form.retain(|(name, _)| *name != change.0);
            if !change.1.is_empty() {
                form.push(*change);
            }
        }
        self.http.form(&self.token, &form).await
    }
}

fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

fn claims(body: &Value) -> Value {
    let token = body["id_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_default()
}

fn words(body: &Value) -> Vec<&str> {
    text(body, "scope").split(' ').collect()
}

async fn google() -> SignIn {
    SignIn::google(Emulator::start().await.unwrap())
}

async fn microsoft(tenant: &str) -> SignIn {
    SignIn::microsoft(Emulator::start().await.unwrap(), tenant)
}

const OFFLINE: (&str, &str) = ("access_type", "offline");

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
