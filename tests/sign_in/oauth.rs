//! A sign-in asks for no more than it needs, gives a grant that says who and what, and the grant is renewed and revoked as
//! each service wants it.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use postroom::clock::Clock;
use postroom::credentials::{Refresh, Service};
use postroom::oauth::{Authorization, Endpoints, OAuthFlow, Revoked, SignInOptions};
use postroom::{Access, ErrorKind};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

use crate::oauth_service::*;

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
