//! An application proves who it is with a secret or a certificate, in sign-ins of users and in its own name, and may have
//! two of each while one is being replaced; an examination tells which of them is wrong.

use std::sync::Arc;
use std::time::Duration;

use crate::scripted::{Reply, Scripted};
use postroom::clock::Clock as _;
use postroom::credentials::{AccountRecord, MemoryStore, Refresh as _, Service};
use postroom::emulator::{Emulator, Misconfiguration};
use postroom::oauth::{
    ApplicationFlow, ApplicationFlowBuilder, Authorization, ClientCertificate, ClientProof,
    Diagnosis, Endpoints, Finding, Grant, Mistake, OAuthFlow, OAuthFlowBuilder, Probe,
    SignInOptions,
};
use postroom::testing::VirtualClock;
use postroom::{AccountId, Accounts, Error, ErrorKind, ProviderConfiguration, Secret};
use serde_json::json;

const WORK: &str = "team@outlook.example";
const TENANT: &str = "outlook.example";
const REDIRECT: &str = "http://localhost/callback";

fn registered(emulator: &Emulator) -> ClientCertificate {
    let (certificate, key) = emulator.client_certificate();
    ClientCertificate::from_pem(certificate, key).unwrap()
}

fn unregistered() -> ClientCertificate {
    let pem = include_str!("../certificates/unregistered.pem");
    ClientCertificate::from_pem(pem, pem).unwrap()
}

fn users(emulator: &Emulator, tenant: &str) -> OAuthFlowBuilder {
    let service = emulator.microsoft();
    OAuthFlow::microsoft(&service.client_id)
        .tenant(tenant)
        .redirect_uri(REDIRECT)
        .endpoints(Endpoints::microsoft_at(&service.base_url, tenant).unwrap())
}

fn application(emulator: &Emulator) -> ApplicationFlowBuilder {
    let service = emulator.microsoft();
    ApplicationFlow::microsoft(&service.client_id, TENANT)
        .auth_endpoint(&service.base_url)
        .unwrap()
}

async fn sign_in(flow: &OAuthFlow, emulator: &Emulator) -> Result<Grant, Error> {
    let options = SignInOptions::new().prompt("consent");
    let Authorization { url, pending, .. } = flow.authorize_with(options).unwrap();
    let callback = emulator.sign_in(&url, WORK).await.unwrap();
    flow.complete(pending, &callback).await
}

fn token_requests(emulator: &Emulator) -> usize {
    let requests = emulator.requests();
    let asks = requests
        .iter()
        .filter(|request| request.path.ends_with("/token"));
    asks.count()
}

#[tokio::test]
async fn a_certificate_takes_the_place_of_a_secret_when_users_sign_in() {
    for tenant in ["common", "organizations", TENANT] {
        let clock = VirtualClock::eager("2026-11-22T08:00:00Z".parse().unwrap());
        let emulator = Emulator::builder().empty().clock(Arc::new(clock.clone()));
        let emulator = emulator.start().await.unwrap();
        let flow = users(&emulator, tenant)
            .certificate(registered(&emulator))
            .clock(Arc::new(clock))
            .build()
            .unwrap();
        let grant = sign_in(&flow, &emulator).await.unwrap();
        let mut record = grant.into_record("team", "microsoft");
        flow.refresh(&record).await.unwrap();
        // What it signs is for the tenant that it asks.
        record.tenant = Some("organizations".to_owned());
        flow.refresh(&record).await.unwrap();

        let device = flow.start_device().await.unwrap();
        emulator.enter_code(&device.user_code, WORK).await.unwrap();
        flow.wait_for_device(&device).await.unwrap();
        let refused = emulator
            .requests()
            .into_iter()
            .filter(|entry| entry.status >= 400);
        assert_eq!(refused.count(), 0);
    }
}

#[tokio::test]
async fn proofs_are_shown_in_turn_until_one_is_accepted() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let right = emulator.microsoft().client_secret.clone();
    let (good, bad) = (registered(&emulator), unregistered());
    let users = || users(&emulator, "common");
    for (flow, shown) in [
        (
            users()
                .certificate(bad.clone())
                .next_certificate(good.clone()),
            2,
        ),
        (users().certificate(bad.clone()).client_secret(&*right), 2),
        (
            users()
                .client_secret("planted-old")
                .next_client_secret(&*right),
            2,
        ),
        (
            users()
                .certificate(bad.clone())
                .next_certificate(bad.clone())
                .client_secret("planted-old")
                .next_client_secret(&*right),
            4,
        ),
        (
            users()
                .certificate(good.clone())
                .client_secret("planted-old"),
            1,
        ),
    ] {
        let flow = flow.build().unwrap();
        assert!(!format!("{flow:?}").contains("planted"));
        let before = token_requests(&emulator);
        let grant = sign_in(&flow, &emulator).await.unwrap();
        assert_eq!(token_requests(&emulator) - before, shown);
        let record = grant.into_record("team", "microsoft");
        flow.refresh(&record).await.unwrap();
        assert_eq!(token_requests(&emulator) - before, 2 * shown);
    }
    for (flow, shown) in [
        (
            application(&emulator)
                .client_secret("planted-old")
                .next_client_secret(&*right),
            2,
        ),
        (
            application(&emulator)
                .certificate(bad.clone())
                .next_certificate(good),
            2,
        ),
        (
            application(&emulator)
                .certificate(bad.clone())
                .client_secret(&*right),
            2,
        ),
    ] {
        let flow = flow.build().unwrap();
        assert!(!format!("{flow:?}").contains("planted"));
        let before = token_requests(&emulator);
        flow.grant(WORK).await.unwrap();
        assert_eq!(token_requests(&emulator) - before, shown);
    }

    // Where none is, it is the configuration that is wrong.
    let flow = users()
        .certificate(bad)
        .client_secret("planted-old")
        .build()
        .unwrap();
    let error = sign_in(&flow, &emulator).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.code(), Some("AADSTS7000215"));
}

#[tokio::test]
async fn an_account_is_connected_with_what_is_to_come() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let service = emulator.microsoft();
    let configuration = || {
        ProviderConfiguration::microsoft(&service.client_id)
            .with_auth_endpoint(service.base_url.clone())
            .with_api_endpoint(service.base_url.clone())
            .with_redirect_uri(REDIRECT)
    };
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .configuration(
            "secret",
            configuration()
                .with_client_secret(Secret::new("planted-old"))
                .with_next_client_secret(Secret::new(&*service.client_secret)),
        )
        .configuration(
            "certificate",
            configuration()
                .with_certificate(unregistered())
                .with_next_certificate(registered(&emulator)),
        )
        .share_mailboxes(true)
        .build()
        .unwrap();
    for name in ["secret", "certificate"] {
        let id = AccountId::new(name);
        let connecting = accounts
            .connect(&id, name, SignInOptions::new())
            .await
            .unwrap();
        let callback = emulator.sign_in(&connecting.url, WORK).await.unwrap();
        let connected = accounts.complete(connecting.pending, &callback).await;
        assert_eq!(connected.unwrap().address.as_deref(), Some(WORK));
        emulator.expire_access_tokens(WORK);
        let mailbox = accounts.open(&id).await.unwrap();
        assert_eq!(mailbox.profile().await.unwrap().address, WORK);
    }
}

#[tokio::test]
async fn a_wrong_clock_here_spoils_no_certificate() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let clock = VirtualClock::eager(chrono::Utc::now());
    clock.set_forward(Duration::from_secs(3 * 3600));
    let flow = users(&emulator, "common")
        .certificate(registered(&emulator))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let grant = sign_in(&flow, &emulator).await.unwrap();
    let record = grant.into_record("team", "microsoft");
    flow.refresh(&record).await.unwrap();
    assert!(clock.now() > chrono::Utc::now() + Duration::from_secs(3600));
    let diagnosis = flow.check().await;
    assert_eq!(diagnosis.findings, []);
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_is_seen_at_once() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let (certificate, _) = emulator.client_certificate();
    let other_key = include_str!("../certificates/unregistered.pem");
    let error = ClientCertificate::from_pem(certificate, other_key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let finding = Finding::of(&error, &Service::Microsoft).unwrap();
    assert_eq!(finding.mistake, Mistake::CertificateOfOtherKey);

    let error = OAuthFlow::google("1234-abc.apps.googleusercontent.com")
        .certificate(registered(&emulator))
        .build()
        .unwrap_err();
    let finding = Finding::of(&error, &Service::Google).unwrap();
    assert_eq!(finding.mistake, Mistake::CertificateAtGoogle);
}

/// What a check says about which proof, and whether that is certain.
fn said(diagnosis: &Diagnosis) -> Vec<(Mistake, Option<ClientProof>, bool)> {
    let findings = diagnosis.findings.iter();
    findings
        .map(|finding| (finding.mistake, finding.proof, finding.certain))
        .collect()
}

#[tokio::test]
async fn a_check_tells_which_of_several_proofs_is_wrong() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let right = emulator.microsoft().client_secret.clone();
    let (good, bad) = (registered(&emulator), unregistered());
    let users = || users(&emulator, "common");
    let wrong = "8Q~planted-wrong";
    for (flow, probe, findings) in [
        (users().certificate(good.clone()), Probe::Accepted, vec![]),
        (
            users().certificate(bad.clone()),
            Probe::Refused,
            vec![(Mistake::CertificateWrong, None, true)],
        ),
        (
            users().client_secret(&*right).next_client_secret(wrong),
            Probe::Accepted,
            vec![(Mistake::SecretWrong, Some(ClientProof::NextSecret), false)],
        ),
        (
            users().client_secret(wrong).next_client_secret(&*right),
            Probe::Accepted,
            vec![(Mistake::SecretWrong, Some(ClientProof::Secret), false)],
        ),
        (
            users().client_secret(wrong).next_client_secret(wrong),
            Probe::Refused,
            vec![
                (Mistake::SecretWrong, Some(ClientProof::Secret), true),
                (Mistake::SecretWrong, Some(ClientProof::NextSecret), true),
            ],
        ),
        (
            users()
                .certificate(bad)
                .next_certificate(good)
                .client_secret(&*right),
            Probe::Accepted,
            vec![(
                Mistake::CertificateWrong,
                Some(ClientProof::Certificate),
                false,
            )],
        ),
        // What the values show of the second is said once, too.
        (
            users()
                .client_secret(&*right)
                .next_client_secret("11111111-2222-3333-4444-555555555555"),
            Probe::Accepted,
            vec![(Mistake::SecretIsItsId, Some(ClientProof::NextSecret), false)],
        ),
    ] {
        let diagnosis = flow.build().unwrap().check().await;
        assert_eq!(said(&diagnosis), findings);
        assert_eq!(diagnosis.token_endpoint, probe);
        assert_eq!(diagnosis.is_sound(), probe == Probe::Accepted);
        let text = format!("{diagnosis:?}");
        assert!(!text.contains("planted"), "{text}");
    }
    let flow = users().client_secret(wrong).next_client_secret(wrong);
    let diagnosis = flow.build().unwrap().check().await;
    let text = diagnosis.findings[1].to_string();
    assert!(text.starts_with("Of the next client secret: "), "{text}");
}

#[tokio::test]
async fn a_check_asks_no_further_once_something_else_is_wrong() {
    let emulator = Emulator::builder().empty();
    let emulator = emulator.misconfigured(Misconfiguration::SingleTenant);
    let emulator = emulator.start().await.unwrap();
    let flow = users(&emulator, "common")
        .client_secret("8Q~planted-one")
        .next_client_secret("8Q~planted-two")
        .build()
        .unwrap();
    let diagnosis = flow.check().await;
    assert!(diagnosis.has(Mistake::SingleTenantOnCommon));
    assert_eq!(token_requests(&emulator), 1);
}

#[tokio::test]
async fn a_certificate_that_signed_for_another_tenant_is_told_from_wrong_scopes() {
    let body = json!({
        "error": "invalid_client", "error_codes": [700_023],
        "error_description": "AADSTS700023: Client assertion audience claim does not match Realm issuer.",
    });
    let transport = Scripted::new(move |_| Reply::error(401, &body));
    let flow = OAuthFlow::microsoft("2d4f6a8c-1b3d-4e5f-9a7b-8c6d4e2f0a1b")
        .certificate(unregistered())
        .transport(Arc::new(transport))
        .build()
        .unwrap();
    let mut record = AccountRecord::new("team", "microsoft", Service::Microsoft);
    record.credential.refresh_token = Some(Secret::new("planted"));
    let error = flow.refresh(&record).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("certificate"), "{error}");
    let finding = Finding::of(&error, &Service::Microsoft).unwrap();
    assert_eq!(finding.mistake, Mistake::CertificateWrong);
}

#[tokio::test]
async fn a_renewal_that_fails_for_consent_says_where_an_administrator_gives_it() {
    for (number, error) in [(65_001, "invalid_grant"), (90_094, "invalid_grant")] {
        let body = json!({
            "error": error, "error_codes": [number], "suberror": "consent_required",
            "error_description": format!("AADSTS{number}: consent."),
        });
        let transport = Scripted::new(move |_| Reply::error(400, &body));
        let client_id = "2d4f6a8c-1b3d-4e5f-9a7b-8c6d4e2f0a1b";
        let mut record = AccountRecord::new("team", "microsoft", Service::Microsoft);
        record.credential.refresh_token = Some(Secret::new("planted"));
        for redirect in [Some("https://desk.example/oauth/microsoft"), None] {
            let mut flow = OAuthFlow::microsoft(client_id)
                .client_secret("8Q~planted")
                .transport(Arc::new(transport.clone()));
            if let Some(redirect) = redirect {
                flow = flow.redirect_uri(redirect);
            }
            let error = flow.build().unwrap().refresh(&record).await.unwrap_err();
            let page = error.admin_consent_url().unwrap();
            assert_eq!(page.path(), "/organizations/v2.0/adminconsent");
            let mut pairs = page.query_pairs();
            let (_, back) = pairs.find(|(name, _)| name == "redirect_uri").unwrap();
            assert_eq!(back, redirect.unwrap_or("http://localhost"));
        }
    }
}
