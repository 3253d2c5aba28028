//! An application that an administrator trusts works in mailboxes whose users never sign in: its tokens are obtained
//! anew, never refreshed, and what an administrator has not allowed is said to be theirs to allow.

use std::sync::Arc;

use crate::raw_http::RawHttp;
use crate::support::{GMAIL, emulator, transport};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use futures_util::TryStreamExt;
use postroom::clock::{Clock, SystemClock};
use postroom::credentials::{AccountRecord, CredentialStore, MemoryStore, RecordKey};
use postroom::emulator::{Emulator, EmulatorBuilder};
use postroom::oauth::{ApplicationFlow, ClientCertificate, ServiceAccountKey, SignInOptions};
use postroom::testing::VirtualClock;
use postroom::{
    Access, AccountId, Accounts, Address, Error, ErrorKind, Outgoing, ProviderConfiguration, Query,
    Secret,
};
use serde_json::{Value, json};

const TEAM: &str = "team@outlook.example";
const TENANT: &str = "outlook.example";
const MAIL: &str = "https://www.googleapis.com/auth/gmail.modify";

fn key(emulator: &Emulator) -> ServiceAccountKey {
    ServiceAccountKey::from_json(emulator.service_account_key()).unwrap()
}

fn certificate(emulator: &Emulator) -> ClientCertificate {
    let (certificate, key) = emulator.client_certificate();
    ClientCertificate::from_pem(certificate, key).unwrap()
}

fn google(emulator: &Emulator) -> ProviderConfiguration {
    ProviderConfiguration::google_service_account(key(emulator))
        .with_api_endpoint(emulator.google().base_url.clone())
}

fn microsoft(emulator: &Emulator) -> ProviderConfiguration {
    let service = emulator.microsoft();
    ProviderConfiguration::microsoft_application(&service.client_id, TENANT)
        .with_auth_endpoint(service.base_url.clone())
        .with_api_endpoint(service.base_url.clone())
}

fn accounts(
    emulator: &Emulator,
    store: &Arc<MemoryStore>,
    clock: impl Clock,
    configuration: ProviderConfiguration,
) -> Accounts {
    Accounts::builder(Arc::clone(store) as Arc<dyn CredentialStore>)
        .transport(transport(emulator))
        .clock(Arc::new(clock))
        .configuration("application", configuration)
        .build()
        .unwrap()
}

/// The two services, and both proofs that Microsoft takes.
fn ways(emulator: &Emulator) -> Vec<(ProviderConfiguration, &'static str)> {
    let secret = Secret::new(emulator.microsoft().client_secret.as_str());
    vec![
        (google(emulator), GMAIL),
        (microsoft(emulator).with_client_secret(secret), TEAM),
        (
            microsoft(emulator).with_certificate(certificate(emulator)),
            TEAM,
        ),
    ]
}

async fn started(builder: EmulatorBuilder) -> (Emulator, VirtualClock) {
    let clock = VirtualClock::eager(Utc::now());
    let emulator = builder.clock(Arc::new(clock.clone())).start().await;
    (emulator.unwrap(), clock)
}

fn token_requests(emulator: &Emulator) -> usize {
    let requests = emulator.requests();
    let tokens = requests
        .iter()
        .filter(|request| request.path.ends_with("/token"));
    tokens.count()
}

async fn refused(
    emulator: &Emulator,
    clock: &VirtualClock,
    configuration: ProviderConfiguration,
    mailbox: &str,
) -> Error {
    let store = Arc::new(MemoryStore::new());
    let accounts = accounts(emulator, &store, clock.clone(), configuration);
    let id = AccountId::new("account");
    let error = accounts
        .connect_application(&id, "application", mailbox)
        .await
        .unwrap_err();
    assert_ne!(error.kind(), ErrorKind::SignInRequired, "{error}");
    assert!(accounts.list().await.unwrap().is_empty());
    error
}

#[tokio::test]
async fn an_application_reads_and_sends_in_a_mailbox_whose_user_never_signed_in() {
    let emulator = emulator().start().await.unwrap();
    for (configuration, address) in ways(&emulator) {
        emulator.deliver(address, b"Subject: One\r\n\r\nText\r\n");
        let store = Arc::new(MemoryStore::new());
        let accounts = accounts(&emulator, &store, SystemClock::new(), configuration);
        let id = AccountId::new("account");
        let account = accounts
            .connect_application(&id, "application", address)
            .await
            .unwrap();
        assert_eq!(account.address.as_deref(), Some(address));
        let mailbox = accounts.open(&id).await.unwrap();
        assert_eq!(mailbox.profile().await.unwrap().address, address);
        let before = mailbox.messages(Query::inbox());
        let before: Vec<_> = before.try_collect().await.unwrap();
        assert!(!before.is_empty());
        let outgoing = Outgoing::new()
            .to(Address::new(address).unwrap())
            .subject("From the application")
            .text("Text");
        mailbox.send(&outgoing).await.unwrap();

        // Tokens end; new ones are obtained without a refresh token.
        let key = RecordKey::account("account");
        let loaded = AccountRecord::load(&*store, &key).await.unwrap().unwrap();
        assert!(loaded.record.credential.refresh_token.is_none());
        let asked = token_requests(&emulator);
        for owner in [address, "application"] {
            emulator.expire_access_tokens(owner);
        }
        mailbox.profile().await.unwrap();
        assert_eq!(token_requests(&emulator), asked + 1);

        let ended = accounts.disconnect(&id).await.unwrap();
        assert!(!ended.revoked, "there is no grant of a user to end");
    }
}

#[tokio::test]
async fn one_mailbox_is_one_account_and_nobody_signs_in() {
    let (emulator, clock) = started(emulator()).await;
    let store = Arc::new(MemoryStore::new());
    let accounts = accounts(&emulator, &store, clock, google(&emulator));
    let (first, second) = (AccountId::new("first"), AccountId::new("second"));
    for _ in 0..2 {
        accounts
            .connect_application(&first, "application", GMAIL)
            .await
            .unwrap();
    }
    let again = accounts.connect_application(&second, "application", GMAIL);
    assert_eq!(again.await.unwrap_err().kind(), ErrorKind::AlreadyConnected);
    let options = SignInOptions::new().redirect_uri("http://127.0.0.1:1234");
    let sign_in = accounts.connect_device(&second, "application", options);
    assert_eq!(sign_in.await.unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn an_account_keeps_its_mailbox_whoever_connects_it_again() {
    let (emulator, clock) = started(emulator()).await;
    let service = emulator.google();
    let user = ProviderConfiguration::google(&service.client_id)
        .with_client_secret(Secret::new(service.client_secret.as_str()))
        .with_auth_endpoint(service.base_url.clone())
        .with_api_endpoint(service.base_url.clone());
    let other = "team@gmail.example";
    for signs_in in [false, true] {
        let store = Arc::new(MemoryStore::new());
        let accounts = accounts(&emulator, &store, clock.clone(), google(&emulator));
        accounts.configure("user", user.clone()).unwrap();
        let id = AccountId::new("account");
        if signs_in {
            let options = SignInOptions::new().redirect_uri("http://127.0.0.1:1234");
            let connecting = accounts.connect(&id, "user", options).await.unwrap();
            let callback = emulator.sign_in(&connecting.url, GMAIL).await.unwrap();
            let completed = accounts.complete(connecting.pending, &callback).await;
            completed.unwrap();
        } else {
            let connecting = accounts.connect_application(&id, "application", GMAIL);
            connecting.await.unwrap();
        }
        let before = accounts.account(&id).await.unwrap();
        let connecting = accounts.connect_application(&id, "application", other);
        let error = connecting.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{signs_in}");
        assert_eq!(error.code(), Some("other_mailbox"));
        assert_eq!(accounts.account(&id).await.unwrap(), before);

        // The same mailbox in another way is no other mailbox.
        let again = GMAIL.to_uppercase();
        let connecting = accounts.connect_application(&id, "application", &again);
        connecting.await.unwrap();
        let mailbox = accounts.open(&id).await.unwrap();
        assert_eq!(mailbox.profile().await.unwrap().address, GMAIL);
    }
}

#[tokio::test]
async fn an_administrator_allows_exactly_what_the_flow_says() {
    let (emulator, clock) = started(emulator().delegated_scopes(&[MAIL])).await;
    let flow = ApplicationFlow::google(key(&emulator))
        .transport(transport(&emulator))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    assert_eq!(flow.scopes(), [MAIL]);
    flow.grant(GMAIL).await.unwrap();

    let more = google(&emulator).with_access(Access::DELETE);
    let error = refused(&emulator, &clock, more, GMAIL).await;
    assert_eq!(error.kind(), ErrorKind::AdminConsentRequired);
    assert!(error.to_string().contains("Domain-wide delegation"));

    let error = refused(&emulator, &clock, google(&emulator), "nobody@gmail.example").await;
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn what_microsofts_administrator_did_not_grant_is_refused_at_use() {
    let (emulator, clock) = started(emulator().application_roles(&[])).await;
    let store = Arc::new(MemoryStore::new());
    let configuration = microsoft(&emulator).with_certificate(certificate(&emulator));
    let accounts = accounts(&emulator, &store, clock, configuration);
    let id = AccountId::new("account");
    accounts
        .connect_application(&id, "application", TEAM)
        .await
        .unwrap();
    let mailbox = accounts.open(&id).await.unwrap();
    let error = mailbox.folders().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn wrong_proofs_are_the_configurations_fault() {
    let (emulator, clock) = started(emulator()).await;
    let wrong = microsoft(&emulator).with_client_secret(Secret::new("planted-secret"));
    let error = refused(&emulator, &clock, wrong, TEAM).await;
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.code(), Some("AADSTS7000215"));
    assert!(!format!("{error:?}").contains("planted"));

    for tenant in ["common", "consumers", "organizations", "no tenant"] {
        let flow = ApplicationFlow::microsoft("client", tenant)
            .client_secret("secret")
            .build();
        assert_eq!(flow.unwrap_err().kind(), ErrorKind::Configuration);
    }
    let without = ApplicationFlow::microsoft("client", TENANT).build();
    assert_eq!(without.unwrap_err().kind(), ErrorKind::Configuration);

    for file in ["", "{}", r#"{"installed":{"client_id":"x"}}"#] {
        let error = ServiceAccountKey::from_json(file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    let garbled = emulator
        .service_account_key()
        .replace("BEGIN PRIVATE KEY", "BEGIN");
    let error = ServiceAccountKey::from_json(garbled).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(std::error::Error::source(&error).is_none());
}

#[tokio::test]
async fn a_wrong_clock_here_is_made_up_for_with_the_services() {
    for wrong_by in [-7200_i64, 7200] {
        let (emulator, _) = started(emulator()).await;
        let certified = microsoft(&emulator).with_certificate(certificate(&emulator));
        for (configuration, address) in [(google(&emulator), GMAIL), (certified, TEAM)] {
            let ours = VirtualClock::eager(Utc::now() + chrono::TimeDelta::seconds(wrong_by));
            let store = Arc::new(MemoryStore::new());
            let accounts = accounts(&emulator, &store, ours, configuration);
            let before = token_requests(&emulator);
            let id = AccountId::new("account");
            accounts
                .connect_application(&id, "application", address)
                .await
                .unwrap();
            assert_eq!(token_requests(&emulator), before + 2);
        }
    }
}

#[tokio::test]
async fn keys_are_not_shown() {
    let emulator = emulator().start().await.unwrap();
    for (configuration, _) in ways(&emulator) {
        let shown = format!("{configuration:?}");
        assert!(!shown.contains("MII"), "{shown}");
        assert!(!shown.contains(&emulator.microsoft().client_secret));
    }
}

/// A token of this key's shape whose signature is another's.
fn forged(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header =
        json!({"alg": "RS256", "typ": "JWT", "kid": "0f3f6a2f1c6b4f0e9d8c7b6a5f4e3d2c1b0a9f8e"});
    format!("{}.{}.c2lnbmF0dXJl", part(&header), part(claims))
}

#[tokio::test]
async fn the_emulated_google_reads_what_is_signed() {
    let emulator = emulator().start().await.unwrap();
    let client = RawHttp::new();
    let token = format!("{}token", emulator.google().base_url);
    let ask = async |assertion: &str| {
        let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let form = [("grant_type", grant_type), ("assertion", assertion)];
        let answer = client.form(&token, &form).await;
        (
            answer.status.as_u16(),
            answer.json()["error_description"].clone(),
        )
    };
    assert_eq!(ask("nonsense").await.0, 400);
    let stranger = forged(&json!({"iss": "somebody@else.example"}));
    assert_eq!(ask(&stranger).await.1, "Invalid grant: account not found");
    let iss = "postroom@emulator.iam.gserviceaccount.example";
    let unsigned = forged(&json!({"iss": iss, "sub": GMAIL, "scope": MAIL}));
    assert_eq!(ask(&unsigned).await.1, "Invalid JWT Signature.");
}

#[tokio::test]
async fn the_emulated_microsoft_gives_applications_tokens_of_one_tenant_only() {
    let emulator = emulator().start().await.unwrap();
    let service = emulator.microsoft();
    let client = RawHttp::new();
    let ask = async |tenant: &str, scope: &str| {
        let url = format!("{}{tenant}/oauth2/v2.0/token", service.base_url);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", service.client_id.as_str()),
            ("client_secret", service.client_secret.as_str()),
            ("scope", scope),
        ];
        client.form(&url, &form).await.json()
    };
    let default = "https://graph.microsoft.com/.default";
    assert_eq!(ask("common", default).await["error_codes"][0], 9_001_023);
    assert_eq!(ask(TENANT, "Mail.Read").await["error_codes"][0], 1_002_012);
    let tokens = ask(TENANT, default).await;
    assert!(tokens.get("refresh_token").is_none());
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let get = async |path: &str| {
        let url = format!("{}v1.0/{path}", service.base_url);
        let headers = [("authorization", bearer.as_str())];
        client.send(http::Method::GET, &url, &headers, "").await
    };
    assert_eq!(get("users/team@outlook.example").await.status, 200);
    assert_eq!(get("me").await.status, 400);
    let personal = get("users/reader@outlook.example").await;
    assert_eq!(
        (personal.status.as_u16(), personal.error_code()),
        (404, "ErrorInvalidUser".to_owned())
    );
}
