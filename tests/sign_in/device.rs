//! A machine without a browser signs a user in with a code that is typed elsewhere, asks no more often than it should,
//! and says what became of it.

use std::sync::Arc;
use std::time::Duration;

use crate::raw_http::RawHttp;
use crate::support::{OUTLOOK, Script, Scripted, transport};
use chrono::{DateTime, Utc};
use http::Method;
use postroom::clock::Clock;
use postroom::credentials::MemoryStore;
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::oauth::{Endpoints, OAuthFlow, OAuthFlowBuilder, SignInOptions};
use postroom::testing::VirtualClock;
use postroom::{Access, AccountId, Accounts, Error, ErrorKind, ProviderConfiguration, Secret};

/// An emulator and a flow by one clock, which passes as fast as it is slept on.
async fn service() -> (Emulator, VirtualClock) {
    let clock =
        VirtualClock::eager(DateTime::<Utc>::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let emulator = Emulator::builder().empty().clock(Arc::new(clock.clone()));
    (emulator.start().await.unwrap(), clock)
}

fn flow(emulator: &Emulator, clock: &VirtualClock) -> OAuthFlowBuilder {
    let service = emulator.microsoft();
    OAuthFlow::microsoft(&service.client_id)
        .client_secret(service.client_secret.as_str())
        .endpoints(Endpoints::microsoft_at(&service.base_url, "common").unwrap())
        .transport(transport(emulator))
        .clock(Arc::new(clock.clone()))
}

fn polls(emulator: &Emulator) -> usize {
    let requests = emulator.requests();
    let polls = requests
        .iter()
        .filter(|request| request.path.ends_with("/token"));
    polls.count()
}

/// Lets the flow wait while, after some questions, the user does something.
async fn meanwhile(
    flow: &OAuthFlow,
    emulator: &Emulator,
    act: impl AsyncFnOnce(&str),
) -> Result<postroom::oauth::Grant, Error> {
    let sign_in = flow.start_device().await.unwrap();
    let waits = flow.wait_for_device(&sign_in);
    let acts = async {
        while polls(emulator) < 3 {
            tokio::task::yield_now().await;
        }
        act(&sign_in.user_code).await;
    };
    let (outcome, ()) = futures_util::join!(waits, acts);
    outcome
}

#[tokio::test]
async fn a_user_types_the_code_elsewhere_and_the_machine_is_signed_in() {
    let (emulator, clock) = service().await;
    let flow = flow(&emulator, &clock).build().unwrap();
    let grant = meanwhile(&flow, &emulator, async |code: &str| {
        emulator.enter_code(code, OUTLOOK).await.unwrap();
    })
    .await
    .unwrap();
    assert_eq!(grant.missing, Access::NONE);
    assert_eq!(grant.addresses, [OUTLOOK]);
    assert!(grant.identity.is_some());
    assert!(grant.credential.refresh_token.is_some());
}

#[tokio::test]
async fn a_public_client_shows_no_secret() {
    let clock = VirtualClock::eager(Utc::now());
    let emulator = Emulator::builder()
        .empty()
        .clock(Arc::new(clock.clone()))
        .microsoft_public_client(true)
        .start()
        .await
        .unwrap();
    let with_secret = flow(&emulator, &clock).build().unwrap();
    let sign_in = with_secret.start_device().await.unwrap();
    let error = with_secret.wait_for_device(&sign_in).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.code(), Some("AADSTS700025"));

    let service = emulator.microsoft();
    let without = OAuthFlow::microsoft(&service.client_id)
        .endpoints(Endpoints::microsoft_at(&service.base_url, "common").unwrap())
        .transport(transport(&emulator))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let sign_in = without.start_device().await.unwrap();
    emulator
        .enter_code(&sign_in.user_code, OUTLOOK)
        .await
        .unwrap();
    without.wait_for_device(&sign_in).await.unwrap();
}

#[tokio::test]
async fn a_no_is_a_no_and_a_code_that_nobody_types_ends() {
    let (emulator, clock) = service().await;
    let flow = flow(&emulator, &clock).build().unwrap();
    let declined = meanwhile(&flow, &emulator, async |code: &str| {
        emulator.decline_code(code).await.unwrap();
    })
    .await
    .unwrap_err();
    assert_eq!(declined.kind(), ErrorKind::Declined);

    let sign_in = flow.start_device().await.unwrap();
    let began = clock.monotonic();
    let error = flow.wait_for_device(&sign_in).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCallback);
    assert_eq!(error.code(), Some("expired_token"));
    assert!(clock.monotonic() - began >= sign_in.expires_in);
    let page = emulator.enter_code(&sign_in.user_code, OUTLOOK).await;
    assert!(page.unwrap_err().to_string().contains("AADSTS70019"));
}

#[tokio::test]
async fn a_code_is_good_for_one_sign_in() {
    let (emulator, clock) = service().await;
    let flow = flow(&emulator, &clock).build().unwrap();
    let sign_in = flow.start_device().await.unwrap();
    emulator
        .enter_code(&sign_in.user_code, OUTLOOK)
        .await
        .unwrap();
    flow.wait_for_device(&sign_in).await.unwrap();
    let error = flow.wait_for_device(&sign_in).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCallback);
    let again = emulator.enter_code(&sign_in.user_code, OUTLOOK).await;
    assert!(again.is_err());
    let unknown = emulator.enter_code("NOSUCHCODE", OUTLOOK).await;
    assert!(unknown.unwrap_err().to_string().contains("AADSTS70018"));
}

#[tokio::test]
async fn the_emulator_slows_down_whoever_asks_too_often() {
    let (emulator, clock) = service().await;
    let (base, client) = (emulator.microsoft().base_url.clone(), RawHttp::new());
    let id = &emulator.microsoft().client_id;
    let form = async |path: &str, body: String| {
        let url = format!("{base}common/oauth2/v2.0/{path}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        client.send(Method::POST, &url, &headers, body).await.json()
    };
    let begun = form("devicecode", format!("client_id={id}&scope=Mail.Read")).await;
    let device_code = begun["device_code"].as_str().unwrap();
    let encoded = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
        .append_pair("client_id", id)
        .append_pair("client_secret", &emulator.microsoft().client_secret)
        .append_pair("device_code", device_code)
        .finish();
    let ask = async || form("token", encoded.clone()).await["error"].clone();
    assert_eq!(ask().await, "authorization_pending");
    assert_eq!(ask().await, "slow_down");
    clock.advance(Duration::from_secs(5));
    assert_eq!(ask().await, "slow_down", "its patience grows");
    clock.advance(Duration::from_secs(10));
    assert_eq!(ask().await, "authorization_pending");
    clock.advance(Duration::from_secs(900));
    assert_eq!(ask().await, "expired_token");
}

#[tokio::test]
async fn the_machine_waits_five_seconds_longer_after_each_slow_down() {
    let clock = VirtualClock::by_hand(Utc::now());
    let begun = r#"{"device_code":"planted-device","user_code":"ABCD","expires_in":900,"interval":5,
        "verification_uri":"https://microsoft.com/devicelogin"}"#;
    let refused = |error: &str| Scripted::json(400, format!(r#"{{"error":"{error}"}}"#));
    let script = Script::new([
        Scripted::json(200, begun),
        refused("authorization_pending"),
        refused("slow_down"),
        refused("slow_down"),
        refused("authorization_pending"),
        Scripted::json(
            200,
            r#"{"access_token":"planted-access","expires_in":"3599","scope":"Mail.ReadWrite Mail.Send"}"#,
        ),
    ]);
    let flow = OAuthFlow::microsoft("client")
        .transport(script.clone())
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let sign_in = flow.start_device().await.unwrap();
    assert_eq!(sign_in.user_code, "ABCD");
    assert!(!format!("{sign_in:?}").contains("planted"));
    let waits = flow.wait_for_device(&sign_in);
    let passes = async {
        for (asked, seconds) in [5, 5, 10, 15, 15].into_iter().enumerate() {
            clock.until_sleeping(1).await;
            clock.advance(Duration::from_secs(seconds - 1));
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            assert_eq!(script.requests(), asked + 1, "it asked too early");
            clock.advance(Duration::from_secs(1));
            while script.requests() < asked + 2 {
                tokio::task::yield_now().await;
            }
        }
    };
    let (grant, ()) = futures_util::join!(waits, passes);
    assert_eq!(grant.unwrap().missing, Access::NONE);
}

#[tokio::test]
async fn a_service_that_fails_for_a_while_is_asked_again() {
    let (emulator, clock) = service().await;
    let flow = flow(&emulator, &clock).build().unwrap();
    let sign_in = flow.start_device().await.unwrap();
    emulator
        .enter_code(&sign_in.user_code, OUTLOOK)
        .await
        .unwrap();
    let fault = Fault::new(FaultKind::unavailable(None));
    emulator.fault(fault.on(Method::POST, "/token").times(12));
    flow.wait_for_device(&sign_in).await.unwrap();
}

#[tokio::test]
async fn google_lets_no_device_read_mail() {
    let script = Script::new([Scripted::Unreachable]);
    let flow = OAuthFlow::google("client")
        .transport(script.clone())
        .build()
        .unwrap();
    let error = flow.start_device().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("loopback"), "{error}");
    assert_eq!(script.requests(), 0);
}

#[tokio::test]
async fn a_person_is_sent_to_no_address_that_others_can_read() {
    let begun = r#"{"device_code":"d","user_code":"ABCD","verification_uri":"http://login.example/device"}"#;
    let script = Script::new([Scripted::json(200, begun)]);
    let flow = OAuthFlow::microsoft("client")
        .transport(script)
        .build()
        .unwrap();
    let error = flow.start_device().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn an_account_is_connected_without_a_browser() {
    let (emulator, clock) = service().await;
    let service = emulator.microsoft();
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .transport(transport(&emulator))
        .clock(Arc::new(clock))
        .configuration(
            "microsoft",
            ProviderConfiguration::microsoft(&service.client_id)
                .with_client_secret(Secret::new(service.client_secret.as_str()))
                .with_auth_endpoint(service.base_url.clone())
                .with_api_endpoint(service.base_url.clone()),
        )
        .build()
        .unwrap();
    let id = AccountId::new("machine");
    let connecting = accounts
        .connect_device(&id, "microsoft", SignInOptions::new())
        .await
        .unwrap();
    emulator
        .enter_code(&connecting.sign_in.user_code, OUTLOOK)
        .await
        .unwrap();
    let account = accounts.complete_device(&connecting).await.unwrap();
    assert_eq!(account.address.as_deref(), Some(OUTLOOK));
    let profile = accounts.open(&id).await.unwrap().profile().await.unwrap();
    assert_eq!(profile.address, OUTLOOK);
}
