//! A configuration's mistakes are found before users meet them: from the values, and by asking the token endpoint.

use std::sync::Arc;

use crate::scripted::{Reply, Scripted};
use postroom::credentials::{MemoryStore, Service};
use postroom::oauth::{
    Authorization, Diagnosis, Endpoints, Finding, Mistake, OAuthFlow, OAuthFlowBuilder, Probe, Seen,
};
use postroom::{Access, Accounts, Action, ProviderConfiguration, Secret};
use serde_json::json;

const GOOGLE_ID: &str = "1234-abc.apps.googleusercontent.com";
const GUID: &str = "2d4f6a8c-1b3d-4e5f-9a7b-8c6d4e2f0a1b";
const OTHER_GUID: &str = "11111111-2222-3333-4444-555555555555";
const GOOGLE_SECRET: &str = "GOCSPX-planted-google";
const MICROSOFT_SECRET: &str = "8Q~planted-microsoft";
const REDIRECT: &str = "https://desk.shop.com/callback";

/// Nothing is wrong with it.
fn google() -> OAuthFlowBuilder {
    OAuthFlow::google(GOOGLE_ID)
        .client_secret(GOOGLE_SECRET)
        .redirect_uri(REDIRECT)
}

/// Nothing is wrong with it.
fn microsoft() -> OAuthFlowBuilder {
    OAuthFlow::microsoft(GUID)
        .client_secret(MICROSOFT_SECRET)
        .redirect_uri(REDIRECT)
}

fn google_with(id: &str, secret: &str) -> OAuthFlowBuilder {
    OAuthFlow::google(id)
        .client_secret(secret)
        .redirect_uri(REDIRECT)
}

fn microsoft_with(id: &str, secret: &str) -> OAuthFlowBuilder {
    OAuthFlow::microsoft(id)
        .client_secret(secret)
        .redirect_uri(REDIRECT)
}

/// A token endpoint that knows every application, and no code.
fn accepting() -> Scripted {
    Scripted::new(|_| {
        Reply::error(
            400,
            json!({"error": "invalid_grant", "error_codes": [70000]}),
        )
    })
}

async fn check(builder: OAuthFlowBuilder, transport: &Scripted) -> Diagnosis {
    let flow = builder
        .transport(Arc::new(transport.clone()))
        .build()
        .unwrap();
    flow.check().await
}

#[tokio::test]
async fn a_right_configuration_has_no_findings() {
    let transport = accepting();
    for builder in [
        google(),
        microsoft(),
        google().redirect_uri("http://127.0.0.1:4321/callback"),
        google().redirect_uri("http://localhost"),
        microsoft().redirect_uri("http://localhost:4321"),
        microsoft().tenant("customer.onmicrosoft.com"),
        microsoft()
            .tenant(OTHER_GUID)
            .redirect_uri("https://desk.shop.com/callback?app=1"),
        // A desktop application.
        OAuthFlow::microsoft(GUID).redirect_uri("http://localhost"),
        google().prompt("select_account consent"),
        microsoft().prompt("login"),
    ] {
        let diagnosis = check(builder, &transport).await;
        assert_eq!(diagnosis.findings, [], "{diagnosis:?}");
        assert_eq!(diagnosis.token_endpoint, Probe::Accepted);
        assert!(diagnosis.is_sound());
    }
}

#[tokio::test]
async fn what_the_values_show_is_found() {
    use Mistake as M;
    let long = format!("https://desk.shop.com/{}", "a".repeat(256));
    let cases: Vec<(OAuthFlowBuilder, Mistake, bool)> = vec![
        (
            google_with(&format!(" {GOOGLE_ID}\n"), GOOGLE_SECRET),
            M::ClientIdHasSpaces,
            true,
        ),
        (
            google_with(&format!("\"{GOOGLE_ID}\""), GOOGLE_SECRET),
            M::ClientIdHasSpaces,
            true,
        ),
        (
            microsoft_with(&format!("{GUID} "), MICROSOFT_SECRET),
            M::ClientIdHasSpaces,
            true,
        ),
        (
            google_with(GUID, GOOGLE_SECRET),
            M::ClientIdOfOtherService,
            true,
        ),
        (
            microsoft_with(GOOGLE_ID, MICROSOFT_SECRET),
            M::ClientIdOfOtherService,
            true,
        ),
        (
            google_with("1234-abc", GOOGLE_SECRET),
            M::ClientIdMalformed,
            true,
        ),
        (
            google_with(".apps.googleusercontent.com", GOOGLE_SECRET),
            M::ClientIdMalformed,
            true,
        ),
        (
            microsoft_with("mail-for-the-shop", MICROSOFT_SECRET),
            M::ClientIdMalformed,
            true,
        ),
        (
            google_with("103456789012345678901", GOOGLE_SECRET),
            M::ClientIdOfServiceAccount,
            true,
        ),
        (
            google_with("mail@p.iam.gserviceaccount.com", GOOGLE_SECRET),
            M::ClientIdOfServiceAccount,
            true,
        ),
        (
            OAuthFlow::google(GOOGLE_ID).redirect_uri(REDIRECT),
            M::SecretMissing,
            false,
        ),
        (google_with(GOOGLE_ID, " "), M::SecretMissing, false),
        (
            OAuthFlow::microsoft(GUID).redirect_uri(REDIRECT),
            M::SecretMissing,
            false,
        ),
        (
            google_with(GOOGLE_ID, &format!("{GOOGLE_SECRET}\n")),
            M::SecretHasSpaces,
            true,
        ),
        (
            microsoft_with(GUID, &format!(" {MICROSOFT_SECRET}")),
            M::SecretHasSpaces,
            true,
        ),
        (microsoft_with(GUID, OTHER_GUID), M::SecretIsItsId, true),
        (
            microsoft_with(GUID, GOOGLE_SECRET),
            M::SecretOfOtherService,
            true,
        ),
        (
            google_with(GOOGLE_ID, MICROSOFT_SECRET),
            M::SecretOfOtherService,
            true,
        ),
        (
            google_with(GOOGLE_ID, GOOGLE_ID),
            M::SecretIsSomethingElse,
            true,
        ),
        (microsoft_with(GUID, GUID), M::SecretIsSomethingElse, true),
        (
            google_with(GOOGLE_ID, "AIzaPlanted"),
            M::SecretIsSomethingElse,
            true,
        ),
        (
            google_with(GOOGLE_ID, "ya29.planted"),
            M::SecretIsSomethingElse,
            true,
        ),
        (
            google_with(GOOGLE_ID, "{\"web\": {}}"),
            M::SecretIsSomethingElse,
            true,
        ),
        (
            microsoft_with(GUID, "eyJplanted"),
            M::SecretIsSomethingElse,
            true,
        ),
        (
            OAuthFlow::google(GOOGLE_ID).client_secret(GOOGLE_SECRET),
            M::RedirectMissing,
            false,
        ),
        (
            google().redirect_uri("http://desk.shop.com/callback"),
            M::RedirectNotHttps,
            true,
        ),
        (
            microsoft().redirect_uri("http://desk.shop.com/callback"),
            M::RedirectNotHttps,
            true,
        ),
        (
            google().redirect_uri(" https://desk.shop.com/callback"),
            M::RedirectHasSpaces,
            true,
        ),
        (
            microsoft().redirect_uri("https://*.shop.com/callback"),
            M::RedirectHasWildcard,
            true,
        ),
        (
            google().redirect_uri("https://203.0.113.7/callback"),
            M::RedirectIsIpAddress,
            true,
        ),
        (
            google().redirect_uri("https://desk.internal/callback"),
            M::RedirectNotPublic,
            true,
        ),
        (
            google().redirect_uri("https://desk/callback"),
            M::RedirectNotPublic,
            true,
        ),
        (
            google().redirect_uri("https://Desk.shop.com/callback"),
            M::RedirectUpperCase,
            true,
        ),
        (
            microsoft().redirect_uri("HTTPS://desk.shop.com/callback"),
            M::RedirectUpperCase,
            true,
        ),
        (
            google().redirect_uri("https://desk.shop.com/callback/"),
            M::RedirectTrailingSlash,
            false,
        ),
        (
            google().redirect_uri("urn:ietf:wg:oauth:2.0:oob"),
            M::RedirectOutOfBand,
            true,
        ),
        (
            microsoft().redirect_uri("http://[::1]:4321"),
            M::RedirectIpv6Loopback,
            true,
        ),
        (
            microsoft().redirect_uri("http://127.0.0.1:4321"),
            M::RedirectLoopbackByNumber,
            false,
        ),
        (
            microsoft().redirect_uri("https://desk.shop.com/c(1)"),
            M::RedirectSpecialCharacters,
            true,
        ),
        (microsoft().redirect_uri(long), M::RedirectTooLong, true),
        (
            microsoft().redirect_uri("https://desk.shop.com/callback?app=1"),
            M::RedirectHasQuery,
            true,
        ),
        (
            google().redirect_uri("https://me:pass@desk.shop.com/callback"),
            M::RedirectHasUserInfo,
            true,
        ),
        (microsoft().tenant(GUID), M::TenantIsClientId, true),
        (
            google().endpoints(Endpoints::microsoft("common").unwrap()),
            M::EndpointOfOtherService,
            true,
        ),
        (
            microsoft().endpoints(Endpoints::google().unwrap()),
            M::EndpointOfOtherService,
            true,
        ),
        (google().access(Access::NONE), M::AccessEmpty, false),
        (
            google().prompt("select_account"),
            M::PromptWithoutConsent,
            false,
        ),
        (microsoft().prompt("none"), M::PromptNone, false),
        (google().prompt("login"), M::PromptUnknown, true),
        (microsoft().prompt("admin_consent"), M::PromptUnknown, true),
    ];
    let transport = accepting();
    for (builder, mistake, certain) in cases {
        let diagnosis = check(builder, &transport).await;
        let found: Vec<_> = diagnosis
            .findings
            .iter()
            .map(|finding| (finding.mistake, finding.seen, finding.certain))
            .collect();
        assert_eq!(found, [(mistake, Seen::Values, certain)]);
        assert_eq!(diagnosis.is_sound(), !certain, "{mistake:?}");
        assert!(mistake.seen().contains(&Seen::Values), "{mistake:?}");
    }
}

#[tokio::test]
async fn what_the_token_endpoint_says_is_explained() {
    let numbers = |number: u32| json!({"error": "invalid_client", "error_codes": [number]});
    for (number, mistake) in [
        (7_000_215, Mistake::SecretWrong),
        (7_000_222, Mistake::SecretExpired),
        (7_000_218, Mistake::SecretMissing),
        (700_025, Mistake::SecretOfPublicClient),
        (700_027, Mistake::CertificateWrong),
        (700_016, Mistake::ClientUnknown),
        (90112, Mistake::ClientIdMalformed),
        (7_000_112, Mistake::ClientDisabled),
        (90002, Mistake::TenantUnknown),
        (90038, Mistake::TenantInOtherCloud),
        (50194, Mistake::SingleTenantOnCommon),
        (9_001_023, Mistake::TenantNeeded),
        (53003, Mistake::BlockedByPolicy),
        (424_242, Mistake::RequestRefused),
    ] {
        let transport = Scripted::new(move |_| Reply::error(400, numbers(number)));
        let diagnosis = check(microsoft(), &transport).await;
        let finding = diagnosis.findings.first().unwrap();
        assert_eq!(
            (finding.mistake, finding.seen, finding.certain),
            (mistake, Seen::TokenEndpoint, true)
        );
        assert_eq!(finding.code, Some(format!("AADSTS{number}")));
        assert_eq!(diagnosis.token_endpoint, Probe::Refused);
        assert_eq!(transport.requests().len(), 1);
    }
    for (error, mistake) in [
        ("deleted_client", Mistake::ClientDeleted),
        ("disabled_client", Mistake::ClientDisabled),
        ("unsupported_grant_type", Mistake::RequestRefused),
    ] {
        let transport = Scripted::new(move |_| Reply::error(401, json!({"error": error})));
        let diagnosis = check(google(), &transport).await;
        assert!(
            diagnosis.has(mistake) && !diagnosis.is_sound(),
            "{diagnosis:?}"
        );
    }
    // Microsoft refused the code before it looked at the secret: nothing is proved, and nothing is wrong.
    let transport = Scripted::new(move |_| Reply::error(400, numbers(9_002_313)));
    let diagnosis = check(microsoft(), &transport).await;
    assert_eq!(
        (diagnosis.token_endpoint, diagnosis.findings.len()),
        (Probe::Undecided, 0)
    );
}

#[tokio::test]
async fn a_token_endpoint_that_is_none_is_a_finding() {
    let page = || Reply::text(200, "<html>Sign in to the hotel's network</html>");
    for (reply, mistake, certain) in [
        (Reply::Lost, Mistake::TokenEndpointUnreachable, true),
        (page(), Mistake::TokenEndpointStrange, true),
        (
            Reply::text(404, "nothing here"),
            Mistake::TokenEndpointStrange,
            true,
        ),
        (
            Reply::json(json!({"access_token": "planted"})),
            Mistake::TokenEndpointStrange,
            true,
        ),
        (Reply::status(503), Mistake::TokenEndpointBusy, false),
        (Reply::status(429), Mistake::TokenEndpointBusy, false),
    ] {
        let transport = Scripted::new(move |_| reply.clone());
        let diagnosis = check(google(), &transport).await;
        let found: Vec<_> = diagnosis
            .findings
            .iter()
            .map(|finding| (finding.mistake, finding.certain))
            .collect();
        assert_eq!(found, [(mistake, certain)]);
        assert_eq!(diagnosis.token_endpoint, Probe::Unanswered);
        assert_eq!(
            transport.requests().len(),
            1,
            "whoever waits can ask again themselves"
        );
    }
}

#[tokio::test]
async fn what_the_values_explain_is_said_once() {
    let transport = Scripted::new(|_| {
        Reply::error(
            401,
            json!({"error": "invalid_client", "error_codes": [7_000_215]}),
        )
    });
    let diagnosis = check(microsoft_with(GUID, OTHER_GUID), &transport).await;
    let finding = diagnosis.findings.first().unwrap();
    assert_eq!(diagnosis.findings.len(), 1, "{diagnosis:?}");
    assert_eq!(finding.mistake, Mistake::SecretIsItsId);
    assert_eq!(finding.code.as_deref(), Some("AADSTS7000215"));
}

#[tokio::test]
async fn a_check_tells_nobody_a_secret() {
    let transport = Scripted::new(|_| {
        Reply::error(
            401,
            json!({"error": "invalid_client", "error_description": "planted-by-server"}),
        )
    });
    for builder in [
        google(),
        microsoft(),
        google_with(GOOGLE_ID, "ya29.planted"),
    ] {
        let diagnosis = check(builder, &transport).await;
        let text = format!(
            "{diagnosis:?}{}",
            serde_json::to_string(&diagnosis).unwrap()
        );
        assert!(!text.contains("planted"), "{text}");
        assert!(
            diagnosis
                .findings
                .iter()
                .all(|finding| !finding.to_string().contains("planted"))
        );
    }
}

#[tokio::test]
async fn what_was_found_right_is_not_looked_for_on_the_page() {
    let unseen = |diagnosis: &Diagnosis, mistake| {
        let list = &diagnosis.if_no_callback_comes;
        list.iter().any(|finding| finding.mistake == mistake)
    };
    let diagnosis = check(google(), &accepting()).await;
    assert!(unseen(&diagnosis, Mistake::RedirectMismatch));
    assert!(!unseen(&diagnosis, Mistake::ClientUnknown));
    assert!(!unseen(&diagnosis, Mistake::RedirectNotHttps));
    assert!(
        !unseen(&diagnosis, Mistake::UserNotAssigned),
        "Google knows no such thing"
    );
    // Where nobody answered, nothing is settled.
    let diagnosis = check(google(), &Scripted::new(|_| Reply::Lost)).await;
    assert!(unseen(&diagnosis, Mistake::ClientUnknown));
    let all = Diagnosis::on_the_services_page(&Service::Google);
    assert!(
        all.iter()
            .any(|finding| finding.mistake == Mistake::RedirectNotHttps)
    );
}

#[tokio::test]
async fn the_configurations_of_accounts_can_be_examined() {
    let transport = Scripted::new(|_| Reply::error(401, json!({"error": "deleted_client"})));
    let configuration = ProviderConfiguration::google(GOOGLE_ID)
        .with_client_secret(Secret::new(GOOGLE_SECRET))
        .with_redirect_uri(REDIRECT);
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .configuration("company gmail", configuration)
        .transport(Arc::new(transport))
        .build()
        .unwrap();
    let diagnosis = accounts.check("company gmail").await.unwrap();
    assert!(diagnosis.has(Mistake::ClientDeleted));
    let error = accounts.check("another").await.unwrap_err();
    assert_eq!(error.action(), Action::DeveloperFixes);
}

#[tokio::test]
async fn a_sign_in_that_leaves_something_to_be_desired_says_so() {
    for (answer, mistakes) in [
        (
            json!({"refresh_token": "planted", "scope": "https://www.googleapis.com/auth/gmail.modify"}),
            vec![],
        ),
        (
            json!({"refresh_token": "planted", "scope": "openid"}),
            vec![Mistake::AccessNotGranted],
        ),
        (
            json!({"scope": "https://www.googleapis.com/auth/gmail.modify"}),
            vec![Mistake::NoRefreshToken],
        ),
        (
            json!({
                "refresh_token": "planted", "refresh_token_expires_in": 604_799,
                "scope": "https://www.googleapis.com/auth/gmail.modify",
            }),
            vec![Mistake::TestingGrantsEnd],
        ),
    ] {
        let transport = Scripted::new(move |_| {
            let mut answer = answer.clone();
            answer
                .as_object_mut()
                .unwrap()
                .insert("access_token".to_owned(), json!("planted"));
            Reply::json(answer)
        });
        let flow = google().transport(Arc::new(transport)).build().unwrap();
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        let state = url
            .query_pairs()
            .find(|(name, _)| name == "state")
            .unwrap()
            .1;
        let callback = url::Url::parse_with_params(REDIRECT, [("state", &*state), ("code", "4/x")]);
        let grant = flow.complete(pending, &callback.unwrap()).await.unwrap();
        let found: Vec<_> = Finding::of_grant(&grant)
            .into_iter()
            .map(|finding| finding.mistake)
            .collect();
        assert_eq!(found, mistakes);
    }
}

#[test]
fn what_no_flow_can_be_built_of_is_explained() {
    for (builder, mistake) in [
        (OAuthFlow::google(" "), Mistake::ClientIdMissing),
        (
            google().redirect_uri("desk.shop.com/callback"),
            Mistake::RedirectMalformed,
        ),
        (
            google().redirect_uri("https://desk.shop.com/#/callback"),
            Mistake::RedirectHasFragment,
        ),
        (
            microsoft().tenant("reader@customer.example"),
            Mistake::TenantMalformed,
        ),
        (
            microsoft().tenant("https://login.microsoftonline.com/common"),
            Mistake::TenantMalformed,
        ),
    ] {
        let error = builder
            .transport(Arc::new(accepting()))
            .build()
            .unwrap_err();
        // Only Microsoft has tenants.
        let finding = Finding::of(&error, &Service::Microsoft).unwrap();
        assert_eq!((finding.mistake, finding.seen), (mistake, Seen::Values));
        assert_eq!(error.action(), Action::DeveloperFixes);
    }
    let flow = OAuthFlow::google(GOOGLE_ID)
        .transport(Arc::new(accepting()))
        .build();
    let error = flow.unwrap().authorize().unwrap_err();
    let finding = Finding::of(&error, &Service::Google).unwrap();
    assert_eq!(finding.mistake, Mistake::RedirectMissing);
}
