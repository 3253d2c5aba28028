//! What sign-ins meet in organisations and over time: an administrator who has to consent first, more access for an
//! account that exists, a secret that is being replaced, a proxy, tokens of another library.

use std::sync::Arc;

use crate::support::{GMAIL, OUTLOOK, emulator, transport};
use postroom::credentials::{AccountRecord, CredentialStore, MemoryStore, RecordKey, Service};
use postroom::emulator::Emulator;
use postroom::http::{ReqwestTransport, Transport};
use postroom::oauth::{Authorization, Endpoints, OAuthFlow, OAuthFlowBuilder, SignInOptions};
use postroom::{
    Access, AccountId, Accounts, Adoption, Content, ErrorKind, ProviderConfiguration, Secret,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

const REDIRECT: &str = "http://127.0.0.1:49152/callback";
const TEAM: &str = "team@outlook.example";

fn google(emulator: &Emulator) -> OAuthFlowBuilder {
    let service = emulator.google();
    OAuthFlow::google(&service.client_id)
        .client_secret(service.client_secret.as_str())
        .endpoints(Endpoints::google_at(&service.base_url).unwrap())
        .redirect_uri(REDIRECT)
}

fn microsoft(emulator: &Emulator) -> OAuthFlowBuilder {
    let service = emulator.microsoft();
    OAuthFlow::microsoft(&service.client_id)
        .client_secret(service.client_secret.as_str())
        .endpoints(Endpoints::microsoft_at(&service.base_url, "common").unwrap())
        .redirect_uri(REDIRECT)
}

fn accounts(emulator: &Emulator, store: &Arc<MemoryStore>) -> Accounts {
    let (google, microsoft) = (emulator.google(), emulator.microsoft());
    Accounts::builder(Arc::clone(store) as Arc<dyn CredentialStore>)
        .transport(transport(emulator))
        .configuration(
            "google",
            ProviderConfiguration::google(&google.client_id)
                .with_client_secret(Secret::new(google.client_secret.as_str()))
                .with_redirect_uri(REDIRECT)
                .with_auth_endpoint(google.base_url.clone())
                .with_api_endpoint(google.base_url.clone()),
        )
        .configuration(
            "microsoft",
            ProviderConfiguration::microsoft(&microsoft.client_id)
                .with_client_secret(Secret::new(microsoft.client_secret.as_str()))
                .with_redirect_uri(REDIRECT)
                .with_auth_endpoint(microsoft.base_url.clone())
                .with_api_endpoint(microsoft.base_url.clone()),
        )
        .build()
        .unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs().filter(|(key, _)| key == name);
    pairs.next().map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn an_administrator_consents_first_and_then_users_sign_in() {
    let emulator = emulator().admin_consent_needed(true).start().await.unwrap();
    let flow = microsoft(&emulator).build().unwrap();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = emulator.sign_in(&url, TEAM).await.unwrap();
    let error = flow.complete(pending, &callback).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AdminConsentRequired);
    let page = error.admin_consent_url().unwrap();
    assert_eq!(page.path(), "/organizations/v2.0/adminconsent");

    // Personal accounts have nobody to ask.
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = emulator.sign_in(&url, OUTLOOK).await.unwrap();
    flow.complete(pending, &callback).await.unwrap();

    // Whoever visits the page of the error can already consent.
    emulator.sign_in(page, TEAM).await.unwrap();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = emulator.sign_in(&url, TEAM).await.unwrap();
    flow.complete(pending, &callback).await.unwrap();
}

#[tokio::test]
async fn what_an_administrator_says_is_read_from_the_callback() {
    let emulator = emulator().admin_consent_needed(true).start().await.unwrap();
    let flow = microsoft(&emulator).build().unwrap();
    let asked = flow.admin_consent_url(REDIRECT).unwrap();
    let session = serde_json::to_string(&asked.pending).unwrap();
    assert!(!format!("{asked:?}").contains(&parameter(&asked.url, "state").unwrap()));
    let callback = emulator.sign_in(&asked.url, TEAM).await.unwrap();
    let given = flow
        .complete_admin_consent(asked.pending, &callback)
        .unwrap();
    assert!(given.tenant.is_some());
    assert!(given.scopes.iter().any(|scope| scope == "Mail.ReadWrite"));

    let pending = || serde_json::from_str(&session).unwrap();
    let mut foreign = callback.clone();
    foreign.set_query(Some("admin_consent=True&state=another"));
    let mut stateless = callback.clone();
    stateless.set_query(Some("admin_consent=True"));
    let elsewhere: Url = "http://evil.example/callback?admin_consent=True"
        .parse()
        .unwrap();
    for bad in [foreign, stateless, elsewhere] {
        let error = flow.complete_admin_consent(pending(), &bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{error}");
    }

    // A refusal says `admin_consent=True` as well.
    let asked = flow.admin_consent_url(REDIRECT).unwrap();
    let callback = emulator.decline(&asked.url).await.unwrap();
    assert_eq!(parameter(&callback, "admin_consent").unwrap(), "True");
    let error = flow
        .complete_admin_consent(asked.pending, &callback)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Declined);

    let google = google(&emulator).build().unwrap();
    let error = google.admin_consent_url(REDIRECT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let base = &emulator.microsoft().base_url;
    let consumers = microsoft(&emulator)
        .endpoints(Endpoints::microsoft_at(base, "consumers").unwrap())
        .build()
        .unwrap();
    let error = consumers.admin_consent_url(REDIRECT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn an_account_that_is_asked_for_more_keeps_what_it_has() {
    let emulator = emulator().start().await.unwrap();
    for (configuration, address) in [("google", GMAIL), ("microsoft", OUTLOOK)] {
        let store = Arc::new(MemoryStore::new());
        let accounts = accounts(&emulator, &store);
        let id = AccountId::new(configuration);
        let mut granted = Access::NONE;
        for access in [Access::READ, Access::SEND, Access::SETTINGS] {
            let options = SignInOptions::new().access(access);
            let connecting = accounts.connect(&id, configuration, options).await.unwrap();
            if !granted.is_empty() {
                let hint = parameter(&connecting.url, "login_hint");
                assert_eq!(hint.as_deref(), Some(address));
            }
            let callback = emulator.sign_in(&connecting.url, address).await.unwrap();
            let account = accounts.complete(connecting.pending, &callback).await;
            let account = account.unwrap();
            granted |= access;
            assert!(account.granted.contains(granted), "{account:?}");
            assert_eq!(account.missing, Access::NONE);
        }
    }
}

#[tokio::test]
async fn a_scope_beyond_all_levels_is_kept_too() {
    let emulator = emulator().start().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    let accounts = accounts(&emulator, &store);
    let id = AccountId::new("account");
    let labels = "https://www.googleapis.com/auth/gmail.labels";
    for options in [SignInOptions::new().scope(labels), SignInOptions::new()] {
        let connecting = accounts.connect(&id, "google", options).await.unwrap();
        let scopes = parameter(&connecting.url, "scope").unwrap();
        let words: Vec<&str> = scopes.split(' ').collect();
        assert!(words.contains(&labels));
        // One name for each: `email` comes back under another.
        assert_eq!(words.len(), 5, "{words:?}");
        let callback = emulator.sign_in(&connecting.url, GMAIL).await.unwrap();
        accounts
            .complete(connecting.pending, &callback)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_next_secret_is_tried_where_the_first_is_not_accepted() {
    let emulator = emulator().start().await.unwrap();
    for (builder, right, address) in [
        (google(&emulator), &emulator.google().client_secret, GMAIL),
        (
            microsoft(&emulator),
            &emulator.microsoft().client_secret,
            OUTLOOK,
        ),
    ] {
        let replaced = builder
            .clone()
            .client_secret("planted-old")
            .build()
            .unwrap();
        let Authorization { url, pending, .. } = replaced.authorize().unwrap();
        let callback = emulator.sign_in(&url, address).await.unwrap();
        let error = replaced.complete(pending, &callback).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);

        let both = builder
            .client_secret("planted-old")
            .next_client_secret(right.as_str())
            .build()
            .unwrap();
        assert!(!format!("{both:?}").contains("planted"));
        let Authorization { url, pending, .. } = both.authorize().unwrap();
        let callback = emulator.sign_in(&url, address).await.unwrap();
        let grant = both.complete(pending, &callback).await.unwrap();
        let record = grant.into_record("account", "default");
        postroom::credentials::Refresh::refresh(&both, &record)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_sign_in_says_of_which_organisation_the_user_is() {
    let emulator = emulator().start().await.unwrap();
    for (builder, name) in [
        (google(&emulator), "hd"),
        (microsoft(&emulator), "domain_hint"),
    ] {
        let flow = builder.domain_hint("desk.example").build().unwrap();
        let url = flow.authorize().unwrap().url;
        assert_eq!(parameter(&url, name).as_deref(), Some("desk.example"));
        let options = SignInOptions::new().domain_hint("other.example");
        let url = flow.authorize_with(options).unwrap().url;
        assert_eq!(parameter(&url, name).as_deref(), Some("other.example"));
    }
}

#[tokio::test]
async fn a_refresh_token_of_another_library_becomes_an_account() {
    let emulator = emulator().start().await.unwrap();
    for (builder, configuration, address, service) in [
        (google(&emulator), "google", GMAIL, Service::Google),
        (
            microsoft(&emulator),
            "microsoft",
            OUTLOOK,
            Service::Microsoft,
        ),
    ] {
        let flow = builder.build().unwrap();
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        let callback = emulator.sign_in(&url, address).await.unwrap();
        let grant = flow.complete(pending, &callback).await.unwrap();
        let token = grant.credential.refresh_token.unwrap();

        let store = Arc::new(MemoryStore::new());
        let accounts = accounts(&emulator, &store);
        let id = AccountId::new("adopted");
        let adoption = Adoption::refresh_token(token);
        let adopted = accounts.adopt(&id, configuration, adoption).await.unwrap();
        assert_eq!(adopted.address.as_deref(), Some(address));
        let mailbox = accounts.open(&id).await.unwrap();
        mailbox.folders().await.unwrap();
        let key = RecordKey::account("adopted");
        let loaded = AccountRecord::load(&*store, &key).await.unwrap().unwrap();
        assert_eq!(loaded.record.identity, grant.identity);
        assert_eq!(loaded.record.addresses, [address]);
        assert_eq!(loaded.record.service, service);
    }
}

#[tokio::test]
async fn requests_go_through_the_proxy_that_the_host_names() {
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://user:planted@{}", proxy.local_addr().unwrap());
    let builder = ReqwestTransport::builder().proxy(address.as_str());
    assert!(!format!("{builder:?}").contains("planted"));
    let transport = builder.build().unwrap();
    let request = http::Request::get("http://mail.example/path")
        .body(Content::empty())
        .unwrap();
    let serves = async {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        String::from_utf8(head).unwrap()
    };
    let (answer, head) = futures_util::join!(transport.send(request), serves);
    assert_eq!(answer.unwrap().status(), 204);
    assert!(head.starts_with("GET http://mail.example/path HTTP/1.1\r\n"));
    assert!(
        head.to_ascii_lowercase()
            .contains("proxy-authorization: basic")
    );

    let error = ReqwestTransport::builder().proxy("http://[planted").build();
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(!format!("{error:?}").contains("planted"));
}

#[tokio::test]
async fn the_next_sign_in_answers_what_a_policy_asked_for() {
    let emulator = emulator().start().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    let accounts = accounts(&emulator, &store);
    let id = AccountId::new("account");
    let connect = async |options: SignInOptions| {
        let connecting = accounts.connect(&id, "microsoft", options).await.unwrap();
        let claims = parameter(&connecting.url, "claims");
        let callback = emulator.sign_in(&connecting.url, TEAM).await.unwrap();
        accounts
            .complete(connecting.pending, &callback)
            .await
            .unwrap();
        claims
    };
    assert_eq!(connect(SignInOptions::new()).await, None);
    emulator.require_interaction(TEAM);
    emulator.expire_access_tokens(TEAM);
    let mailbox = accounts.open(&id).await.unwrap();
    let error = mailbox.folders().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    assert!(!format!("{error:?}").contains("capolids"));

    let claims = connect(SignInOptions::new().answering(&error)).await;
    let claims: serde_json::Value = serde_json::from_str(&claims.unwrap()).unwrap();
    assert!(claims["access_token"]["capolids"].is_object());
    accounts.open(&id).await.unwrap().folders().await.unwrap();

    // Most errors ask for nothing of the kind, and Google knows nothing of it.
    let other = postroom::Error::new(ErrorKind::SignInRequired, "the grant is gone");
    assert_eq!(SignInOptions::new().answering(&other).claims, None);
    let google = google(&emulator).build().unwrap();
    let options = SignInOptions::new().answering(&error);
    let url = google.authorize_with(options).unwrap().url;
    assert_eq!(parameter(&url, "claims"), None);
}

#[test]
fn national_clouds_are_asked_at_their_own_addresses() {
    for base in [
        "https://login.microsoftonline.us",
        "https://login.partner.microsoftonline.cn",
        "https://sign-in.customer.example/proxy",
    ] {
        let base: Url = base.parse().unwrap();
        let endpoints = Endpoints::microsoft_at(&base, "organizations").unwrap();
        let below = |url: &Url| {
            let base = base.as_str().trim_end_matches('/');
            url.as_str().strip_prefix(base).unwrap().to_owned()
        };
        assert_eq!(below(&endpoints.token), "/organizations/oauth2/v2.0/token");
        assert_eq!(
            below(endpoints.keys.as_ref().unwrap()),
            "/organizations/discovery/v2.0/keys"
        );
        let flow = OAuthFlow::microsoft("2d4f6a8c-1b3d-4e5f-9a7b-8c6d4e2f0a1b")
            .endpoints(endpoints)
            .redirect_uri(REDIRECT)
            .build()
            .unwrap();
        let url = flow.authorize().unwrap().url;
        assert_eq!(
            below(&url).split('?').next(),
            Some("/organizations/oauth2/v2.0/authorize")
        );
        let page = flow.admin_consent_url(REDIRECT).unwrap().url;
        assert_eq!(
            below(&page).split('?').next(),
            Some("/organizations/v2.0/adminconsent")
        );
        // What is consented to is of the cloud's own Graph.
        let graph = match base.host_str() {
            Some("login.microsoftonline.us") => "https://graph.microsoft.us/Mail.ReadWrite",
            Some("login.partner.microsoftonline.cn") => {
                "https://microsoftgraph.chinacloudapi.cn/Mail.ReadWrite"
            }
            _ => "https://graph.microsoft.com/Mail.ReadWrite",
        };
        let scopes = parameter(&page, "scope").unwrap();
        assert!(scopes.split(' ').any(|scope| scope == graph), "{scopes}");
    }
}
