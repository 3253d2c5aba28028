//! The configuration of an application that acts in its own name is examined as that of users' sign-ins is.

use std::sync::Arc;

use crate::scripted::{Reply, Scripted};
use postroom::credentials::{AccountRecord, MemoryStore, Refresh as _, Service};
use postroom::emulator::{Emulator, Misconfiguration};
use postroom::http::RetryPolicy;
use postroom::oauth::{
    ApplicationFlow, ApplicationFlowBuilder, ClientCertificate, ClientProof, Diagnosis, Finding,
    Mistake, OAuthFlow, Probe, ServiceAccountKey,
};
use postroom::{Access, Accounts, ErrorKind, ProviderConfiguration, Secret};
use serde_json::json;

const READER: &str = "reader@gmail.example";
const TEAM: &str = "team@outlook.example";
const TENANT: &str = "outlook.example";
const GUID: &str = "11111111-2222-3333-4444-555555555555";

fn google(emulator: &Emulator) -> ApplicationFlowBuilder {
    let key = ServiceAccountKey::from_json(emulator.service_account_key()).unwrap();
    ApplicationFlow::google(key)
}

fn microsoft(emulator: &Emulator, client_id: &str, tenant: &str) -> ApplicationFlowBuilder {
    ApplicationFlow::microsoft(client_id, tenant)
        .auth_endpoint(&emulator.microsoft().base_url)
        .unwrap()
}

fn unregistered() -> ClientCertificate {
    let pem = include_str!("../certificates/unregistered.pem");
    ClientCertificate::from_pem(pem, pem).unwrap()
}

async fn check(flow: ApplicationFlowBuilder, mailbox: &str) -> Diagnosis {
    let diagnosis = flow.build().unwrap().check(mailbox).await;
    let text = format!("{diagnosis:?}");
    assert!(!text.contains("planted"), "{text}");
    assert!(diagnosis.if_no_callback_comes.is_empty());
    for finding in &diagnosis.findings {
        assert!(finding.guide.starts_with("docs/set-up-"));
    }
    diagnosis
}

fn mistakes(diagnosis: &Diagnosis) -> Vec<Mistake> {
    let findings = diagnosis.findings.iter();
    findings.map(|finding| finding.mistake).collect()
}

#[tokio::test]
async fn what_is_right_is_found_right() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let service = emulator.microsoft();
    let (certificate, key) = emulator.client_certificate();
    let certificate = ClientCertificate::from_pem(certificate, key).unwrap();
    let microsoft = || microsoft(&emulator, &service.client_id, TENANT);
    for (flow, mailbox) in [
        (google(&emulator), READER),
        (microsoft().client_secret(&*service.client_secret), TEAM),
        (microsoft().certificate(certificate), TEAM),
    ] {
        let diagnosis = check(flow, mailbox).await;
        assert_eq!(diagnosis.findings, []);
        assert_eq!(diagnosis.token_endpoint, Probe::Accepted);
        assert!(diagnosis.is_sound());
    }
}

#[tokio::test]
async fn what_a_workspace_does_not_allow_is_explained() {
    let mail = "https://www.googleapis.com/auth/gmail.modify";
    let emulator = Emulator::builder().empty().delegated_scopes(&[mail]);
    let emulator = emulator.start().await.unwrap();
    let more = google(&emulator).access(Access::DELETE);
    let diagnosis = check(more, READER).await;
    assert_eq!(mistakes(&diagnosis), [Mistake::DomainNotDelegated]);
    assert_eq!(diagnosis.token_endpoint, Probe::Refused);
    let diagnosis = check(google(&emulator), "nobody@gmail.example").await;
    assert_eq!(mistakes(&diagnosis), [Mistake::ServiceAccountRefused]);
}

#[tokio::test]
async fn what_is_wrong_at_microsoft_is_explained() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let service = emulator.microsoft();
    let right = &*service.client_secret;
    let flow = || microsoft(&emulator, &service.client_id, TENANT);
    for (flow, expected) in [
        (
            flow().client_secret("8Q~planted"),
            vec![Mistake::SecretWrong],
        ),
        (flow().client_secret(GUID), vec![Mistake::SecretIsItsId]),
        (
            flow().certificate(unregistered()),
            vec![Mistake::CertificateWrong],
        ),
        (
            microsoft(&emulator, GUID, TENANT).client_secret(right),
            vec![Mistake::ClientUnknown],
        ),
        (
            microsoft(&emulator, &service.client_id, "nobody.example").client_secret(right),
            vec![Mistake::TenantUnknown],
        ),
        (
            microsoft(&emulator, &service.client_id, &service.client_id).client_secret(right),
            vec![Mistake::TenantIsClientId],
        ),
    ] {
        let diagnosis = check(flow, TEAM).await;
        assert_eq!(mistakes(&diagnosis), expected);
        assert_eq!(diagnosis.token_endpoint, Probe::Refused);
        assert!(!diagnosis.is_sound());
    }
    let both = flow().client_secret("8Q~planted").next_client_secret(right);
    let diagnosis = check(both, TEAM).await;
    assert_eq!(mistakes(&diagnosis), [Mistake::SecretWrong]);
    assert_eq!(diagnosis.findings[0].proof, Some(ClientProof::Secret));
    assert!(diagnosis.is_sound(), "the second one is accepted");

    let expired = Emulator::builder()
        .empty()
        .misconfigured(Misconfiguration::SecretExpired);
    let expired = expired.start().await.unwrap();
    let service = expired.microsoft();
    let flow = microsoft(&expired, &service.client_id, TENANT);
    let diagnosis = check(flow.client_secret(&*service.client_secret), TEAM).await;
    assert_eq!(mistakes(&diagnosis), [Mistake::SecretExpired]);
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_a_finding() {
    for (reply, mistake) in [
        (Reply::Lost, Mistake::TokenEndpointUnreachable),
        (Reply::status(503), Mistake::TokenEndpointBusy),
        (
            Reply::text(200, "<html>planted"),
            Mistake::TokenEndpointStrange,
        ),
        (
            Reply::error(400, json!({"error": "never_heard_of"})),
            Mistake::RequestRefused,
        ),
    ] {
        let transport = Scripted::new(move |_| reply.clone());
        let flow = ApplicationFlow::microsoft(GUID, TENANT)
            .client_secret("8Q~planted")
            .next_client_secret("8Q~planted-too")
            .retry(RetryPolicy::never())
            .transport(Arc::new(transport.clone()));
        let diagnosis = check(flow, TEAM).await;
        assert_eq!(mistakes(&diagnosis), [mistake]);
        // Another secret would not be answered either.
        assert_eq!(transport.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_host_examines_the_configurations_of_its_accounts() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let service = emulator.microsoft();
    let configuration = |application| {
        let configuration = match application {
            true => ProviderConfiguration::microsoft_application(&service.client_id, TENANT),
            false => ProviderConfiguration::microsoft(&service.client_id),
        };
        configuration
            .with_client_secret(Secret::new("8Q~planted"))
            .with_auth_endpoint(service.base_url.clone())
    };
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .configuration("application", configuration(true))
        .configuration("users", configuration(false))
        .build()
        .unwrap();
    let diagnosis = accounts.check_application("application", TEAM).await;
    assert!(diagnosis.unwrap().has(Mistake::SecretWrong));
    let error = accounts.check_application("users", TEAM).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_refused_client_of_users_is_not_taken_for_a_service_account() {
    let body = json!({"error": "unauthorized_client"});
    let transport = Scripted::new(move |_| Reply::error(401, &body));
    let flow = OAuthFlow::google("1234-abc.apps.googleusercontent.com")
        .client_secret("GOCSPX-planted")
        .transport(Arc::new(transport))
        .build()
        .unwrap();
    let mut record = AccountRecord::new("reader", "google", Service::Google);
    record.credential.refresh_token = Some(Secret::new("planted"));
    let error = flow.refresh(&record).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(Finding::of(&error, &Service::Google), None);
}
