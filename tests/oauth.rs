//! A sign-in gives a grant only for the callback that belongs to it, asks for no more than it needs, and turns every
//! refusal into an error that says who must act.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{SubsecRound, Utc};
use postroom::clock::Clock;
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, MemoryStore, RecordKey, Refresh, Save, Service,
    StoredTokens, TokenSource,
};
use postroom::oauth::{
    Authorization, Endpoints, OAuthFlow, OAuthFlowBuilder, PendingAuthorization, Refusal, Revoked,
    SignInOptions,
};
use postroom::testing::VirtualClock;
use postroom::{Access, Error, ErrorKind, Secret};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const REDIRECT: &str = "https://desk.example/oauth/callback";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// A service with a token endpoint that a test scripts.
struct World {
    server: MockServer,
    clock: VirtualClock,
    google: bool,
}

impl World {
    async fn google() -> Self {
        Self::new(true).await
    }

    async fn microsoft() -> Self {
        Self::new(false).await
    }

    async fn new(google: bool) -> Self {
        Self {
            server: MockServer::start().await,
            // The mock server says the real time in its answers, and an id_token is read against that.
            clock: VirtualClock::eager(Utc::now().trunc_subsecs(0)),
            google,
        }
    }

    fn builder(&self) -> OAuthFlowBuilder {
        let base = Url::parse(&self.server.uri()).unwrap();
        let builder = if self.google {
            OAuthFlow::google("client").endpoints(Endpoints::google_at(&base).unwrap())
        } else {
            let endpoints = Endpoints::microsoft_at(&base, "common").unwrap();
            OAuthFlow::microsoft("client").endpoints(endpoints)
        };
        builder
            .client_secret("planted-secret")
            .redirect_uri(REDIRECT)
            .clock(Arc::new(self.clock.clone()))
    }

    fn flow(&self) -> OAuthFlow {
        self.builder().build().unwrap()
    }

    fn token_path(&self) -> &'static str {
        if self.google {
            "/token"
        } else {
            "/common/oauth2/v2.0/token"
        }
    }

    /// Answers at the token endpoint from now on.
    async fn answers(&self, answer: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(method("POST"))
            .and(path(self.token_path()))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// What an honest server answers to the code of this sign-in.
    fn tokens(&self, url: &Url) -> Value {
        let scope = if self.google {
            "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/gmail.modify"
        } else {
            "Mail.Send https://graph.microsoft.com/mail.readwrite User.Read openid profile email"
        };
        json!({
            "access_token": "planted-access", "expires_in": 3599, "refresh_token": "planted-refresh",
            "scope": scope, "token_type": "Bearer", "id_token": id_token(&self.claims(url)),
        })
    }

    fn claims(&self, url: &Url) -> Value {
        let expires_at = self.clock.now().timestamp() + 3600;
        let nonce = parameter(url, "nonce").unwrap();
        if self.google {
            json!({
                "iss": "https://accounts.google.com", "aud": "client", "azp": "client", "sub": "1234",
                "email": "reader@gmail.example", "email_verified": true, "name": "Reader",
                "exp": expires_at, "nonce": nonce,
            })
        } else {
            json!({
                "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "aud": "client",
                "sub": "pairwise", "oid": "object", "tid": TENANT, "name": "Reader",
                "preferred_username": "reader@outlook.example", "exp": expires_at, "nonce": nonce,
            })
        }
    }

    async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

fn id_token(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs().filter(|(key, _)| key == name);
    let value = pairs.next().map(|(_, value)| value.into_owned());
    assert!(pairs.next().is_none(), "{name} came twice");
    value
}

fn form(request: &Request) -> HashMap<String, String> {
    url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect()
}

/// The address that a browser comes back with.
fn callback(url: &Url) -> Url {
    let state = parameter(url, "state").unwrap();
    Url::parse_with_params(
        REDIRECT,
        [("state", state.as_str()), ("code", "4/planted-code")],
    )
    .unwrap()
}

fn words(url: &Url) -> Vec<String> {
    let scope = parameter(url, "scope").unwrap();
    scope.split(' ').map(str::to_owned).collect()
}

fn record(service: Service) -> AccountRecord {
    let mut record = AccountRecord::new("reader", "default", service);
    record.credential.refresh_token = Some(Secret::new("planted-refresh"));
    record
}

fn chain(error: &Error) -> String {
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(level) = cause {
        text += &format!("\n{level}\n{level:?}");
        cause = level.source();
    }
    text
}

#[tokio::test]
async fn the_address_to_visit_asks_google_for_a_lasting_grant() {
    let world = World::google().await;
    let Authorization { url, .. } = world.flow().authorize().unwrap();
    assert_eq!(url.path(), "/o/oauth2/v2/auth");
    for (name, value) in [
        ("client_id", "client"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
        ("prompt", "select_account consent"),
    ] {
        assert_eq!(parameter(&url, name).as_deref(), Some(value), "{name}");
    }
    for name in ["state", "nonce", "code_challenge"] {
        assert!(parameter(&url, name).unwrap().len() >= 43, "{name}");
    }
    assert!(!url.as_str().contains("planted"));
    let other = world.flow().authorize().unwrap().url;
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(parameter(&url, name), parameter(&other, name), "{name}");
    }
}

#[tokio::test]
async fn the_address_to_visit_is_the_tenants_at_microsoft() {
    let flow = OAuthFlow::microsoft("client")
        .tenant("customer.example")
        .redirect_uri("http://localhost:4321")
        .build()
        .unwrap();
    let options = SignInOptions::new().login_hint("reader@outlook.example");
    let Authorization { url, .. } = flow.authorize_with(options).unwrap();
    assert_eq!(
        url.as_str().split('?').next().unwrap(),
        "https://login.microsoftonline.com/customer.example/oauth2/v2.0/authorize"
    );
    // Services compare it character by character: no slash is added.
    assert_eq!(
        parameter(&url, "redirect_uri").as_deref(),
        Some("http://localhost:4321")
    );
    assert_eq!(parameter(&url, "response_mode").as_deref(), Some("query"));
    assert_eq!(
        parameter(&url, "login_hint").as_deref(),
        Some("reader@outlook.example")
    );
    // It conflicts with the hint.
    assert_eq!(parameter(&url, "prompt"), None);
}

#[tokio::test]
async fn no_more_is_asked_for_than_serves() {
    let read_and_write = Access::READ_WRITE | Access::SEND | Access::DRAFT;
    let google = World::google().await.flow();
    let microsoft = World::microsoft().await.flow();
    for (access, at_google, at_microsoft) in [
        (Access::NONE, vec![], vec![]),
        (Access::READ, vec!["gmail.readonly"], vec!["Mail.Read"]),
        (
            Access::READ_WRITE,
            vec!["gmail.modify"],
            vec!["Mail.ReadWrite"],
        ),
        (
            read_and_write,
            vec!["gmail.modify"],
            vec!["Mail.ReadWrite", "Mail.Send"],
        ),
        (Access::SEND, vec!["gmail.send"], vec!["Mail.Send"]),
        (
            Access::READ | Access::SEND,
            vec!["gmail.readonly", "gmail.send"],
            vec!["Mail.Read", "Mail.Send"],
        ),
        (Access::DRAFT, vec!["gmail.compose"], vec!["Mail.ReadWrite"]),
        (
            Access::READ | Access::DRAFT,
            vec!["gmail.readonly", "gmail.compose"],
            vec!["Mail.ReadWrite"],
        ),
        (
            Access::DELETE | Access::SEND,
            vec!["https://mail.google.com/"],
            vec!["Mail.ReadWrite", "Mail.Send"],
        ),
        (
            Access::READ | Access::SETTINGS,
            vec!["gmail.readonly", "gmail.settings.basic"],
            vec!["Mail.Read", "MailboxSettings.ReadWrite"],
        ),
    ] {
        let options = SignInOptions::new().access(access);
        let asked = words(&google.authorize_with(options.clone()).unwrap().url);
        let full = |scope: &&str| match scope.starts_with("https:") {
            true => (*scope).to_owned(),
            false => format!("https://www.googleapis.com/auth/{scope}"),
        };
        let mut expected: Vec<_> = ["openid", "email", "profile"].map(str::to_owned).into();
        expected.extend(at_google.iter().map(full));
        assert_eq!(asked, expected, "{access}");

        let asked = words(&microsoft.authorize_with(options).unwrap().url);
        let mut expected = vec!["openid", "email", "profile", "offline_access", "User.Read"];
        expected.extend(at_microsoft);
        assert_eq!(asked, expected, "{access}");
    }
}

#[tokio::test]
async fn a_completed_sign_in_says_who_and_what() {
    for world in [World::google().await, World::microsoft().await] {
        let flow = world.flow();
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        world
            .answers(ResponseTemplate::new(200).set_body_json(world.tokens(&url)))
            .await;
        let grant = flow.complete(pending, &callback(&url)).await.unwrap();
        assert_eq!(grant.display_name.as_deref(), Some("Reader"));
        let (subject, address) = if world.google {
            ("1234".to_owned(), "reader@gmail.example")
        } else {
            (format!("{TENANT}/object"), "reader@outlook.example")
        };
        assert_eq!(grant.identity.as_ref().unwrap().subject, subject);
        assert_eq!(grant.addresses, [address]);
        assert!(grant.granted.contains(Access::READ_WRITE | Access::SEND));
        assert_eq!(grant.missing, Access::NONE);
        assert_eq!(
            grant.credential.expires_at,
            Some(world.clock.now() + Duration::from_secs(3599))
        );
        let record = grant.into_record("reader", "default");
        assert_eq!(
            record.credential.refresh_token.unwrap().expose(),
            "planted-refresh"
        );

        let requests = world.requests().await;
        let [request] = requests.as_slice() else {
            panic!("one request: {requests:?}");
        };
        let form = form(request);
        for (name, value) in [
            ("grant_type", "authorization_code"),
            ("code", "4/planted-code"),
            ("client_id", "client"),
            ("client_secret", "planted-secret"),
            ("redirect_uri", REDIRECT),
        ] {
            assert_eq!(form.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!request.headers.contains_key("authorization"));
        // RFC 7636 §4.6.
        let verifier = form.get("code_verifier").unwrap();
        assert_eq!(
            parameter(&url, "code_challenge").unwrap(),
            BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
        );
    }
}

#[tokio::test]
async fn a_box_left_unticked_is_missing_access_and_no_error() {
    let world = World::google().await;
    let flow = world.builder().access(Access::READ_WRITE).build().unwrap();
    for (scope, missing) in [
        (
            "openid https://www.googleapis.com/auth/userinfo.email",
            Access::READ_WRITE,
        ),
        (
            "https://www.googleapis.com/auth/gmail.readonly",
            Access::READ_WRITE,
        ),
        ("https://mail.google.com/", Access::NONE),
        ("", Access::READ_WRITE),
    ] {
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        let mut tokens = world.tokens(&url);
        tokens["scope"] = json!(scope);
        world
            .answers(ResponseTemplate::new(200).set_body_json(tokens))
            .await;
        let grant = flow.complete(pending, &callback(&url)).await.unwrap();
        assert_eq!(
            grant.missing.contains(Access::READ_WRITE),
            !missing.is_empty(),
            "{scope}"
        );
        assert_eq!(grant.missing, missing, "{scope}");
    }
}

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

#[tokio::test]
async fn an_answer_is_read_however_it_is_written() {
    let world = World::google().await;
    let flow = world.flow();
    let hour = Some(world.clock.now() + Duration::from_secs(3600));
    for (answer, expires_at) in [
        (json!({"access_token": "a", "expires_in": 3600}), hour),
        (
            json!({"access_token": "a", "expires_in": "3600", "token_type": "bearer"}),
            hour,
        ),
        (
            json!({"access_token": "a", "expires_in": 3600.0, "scope": null, "id_token": null}),
            hour,
        ),
        (json!({"access_token": "a"}), None),
        (
            json!({"access_token": "a", "expires_in": null, "refresh_token": null, "token_type": null}),
            None,
        ),
        (
            json!({"access_token": "a", "expires_in": "soon", "refresh_token": "", "scope": ["x"]}),
            None,
        ),
        (
            json!({"access_token": "a", "expires_in": -5, "unheard_of": {"deep": [1]}}),
            None,
        ),
    ] {
        world
            .answers(ResponseTemplate::new(200).set_body_json(&answer))
            .await;
        let refreshed = flow.refresh(&record(Service::Google)).await.unwrap();
        assert_eq!(refreshed.access_token.expose(), "a", "{answer}");
        assert_eq!(refreshed.expires_at, expires_at, "{answer}");
        assert!(refreshed.refresh_token.is_none(), "{answer}");
    }
}

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

#[tokio::test]
async fn a_grant_is_renewed_as_each_service_wants_it() {
    let world = World::google().await;
    let body = json!({"access_token": "a", "expires_in": 3600});
    world
        .answers(ResponseTemplate::new(200).set_body_json(&body))
        .await;
    world
        .flow()
        .refresh(&record(Service::Google))
        .await
        .unwrap();
    let sent = form(&world.requests().await[0]);
    assert_eq!(sent.get("grant_type").unwrap(), "refresh_token");
    assert_eq!(sent.get("refresh_token").unwrap(), "planted-refresh");
    assert_eq!(sent.get("scope"), None);

    let world = World::microsoft().await;
    Mock::given(path("/organizations/oauth2/v2.0/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "access_token": "a", "expires_in": 3600, "refresh_token": "rotated", "scope": "Mail.Read"
        })))
        .mount(&world.server)
        .await;
    let mut account = record(Service::Microsoft);
    account.tenant = Some("organizations".to_owned());
    account.scopes = vec!["Mail.Read".to_owned(), "User.Read".to_owned()];
    let refreshed = world.flow().refresh(&account).await.unwrap();
    assert_eq!(refreshed.refresh_token.unwrap().expose(), "rotated");
    assert_eq!(refreshed.granted.unwrap().1, Access::READ);
    let sent = form(&world.requests().await[0]);
    assert_eq!(
        sent.get("scope").unwrap(),
        "Mail.Read User.Read offline_access"
    );
}

#[tokio::test]
async fn a_grant_is_revoked_where_the_service_can() {
    let world = World::google().await;
    let revoke = |answer: ResponseTemplate| {
        let server = &world.server;
        async move {
            server.reset().await;
            Mock::given(path("/revoke"))
                .respond_with(answer)
                .mount(server)
                .await;
        }
    };
    revoke(ResponseTemplate::new(200).set_body_json(json!({}))).await;
    let flow = world.flow();
    let account = record(Service::Google);
    assert_eq!(flow.revoke(&account).await.unwrap(), Revoked::AtService);
    let request = &world.requests().await[0];
    assert_eq!(request.url.query(), None);
    assert_eq!(form(request).get("token").unwrap(), "planted-refresh");

    let dead = json!({"error": "invalid_token", "error_description": "Token expired or revoked"});
    revoke(ResponseTemplate::new(400).set_body_json(dead)).await;
    assert_eq!(flow.revoke(&account).await.unwrap(), Revoked::AtService);
    revoke(ResponseTemplate::new(503)).await;
    let error = flow.revoke(&account).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Unavailable, Some("oauth.revoke"))
    );

    let microsoft = World::microsoft().await;
    let outcome = microsoft.flow().revoke(&record(Service::Microsoft)).await;
    assert_eq!(outcome.unwrap(), Revoked::LocallyOnly);
    assert!(microsoft.requests().await.is_empty());
}

#[tokio::test]
async fn a_flow_that_cannot_work_is_not_built() {
    let evil = Url::parse("http://login.example").unwrap();
    for builder in [
        OAuthFlow::google(" "),
        OAuthFlow::google("client").redirect_uri("not an address"),
        OAuthFlow::google("client").redirect_uri("https://desk.example/#fragment"),
        OAuthFlow::google("client").endpoints(Endpoints::google_at(&evil).unwrap()),
        OAuthFlow::microsoft("client").tenant("../common"),
        OAuthFlow::microsoft("client").tenant(""),
    ] {
        let text = format!("{builder:?}");
        let error = builder.build().map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
    }
    let flow = OAuthFlow::google("client").build().unwrap();
    let error = flow.authorize().map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
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
