//! A configuration's mistakes are found before users meet them where that is possible, and explained after where it is not:
//! from the values, by asking the token endpoint, at the end of a sign-in, at the first mail, and on the service's own page.
#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

#[path = "support/scripted.rs"]
mod scripted;

use std::collections::BTreeSet;
use std::sync::Arc;

use postroom::credentials::{Credential, MemoryStore, Service};
use postroom::emulator::{Emulator, EmulatorBuilder, Fault, FaultKind, Misconfiguration};
use postroom::http::RetryPolicy;
use postroom::oauth::{
    Authorization, Diagnosis, Endpoints, Finding, Mistake, OAuthFlow, OAuthFlowBuilder, Probe, Seen,
};
use postroom::{
    Access, AccountId, Accounts, Action, Error, ErrorKind, ProviderConfiguration, Secret,
};
use scripted::{Reply, Scripted};
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

/// A flow that signs in at the emulator.
fn at(emulator: &Emulator, google: bool) -> OAuthFlowBuilder {
    let (service, tenant) = if google {
        (emulator.google(), None)
    } else {
        (emulator.microsoft(), Some("common"))
    };
    let builder = match tenant {
        None => OAuthFlow::google(&service.client_id)
            .endpoints(Endpoints::google_at(&service.base_url).unwrap()),
        Some(tenant) => OAuthFlow::microsoft(&service.client_id)
            .endpoints(Endpoints::microsoft_at(&service.base_url, tenant).unwrap()),
    };
    builder
        .client_secret(service.client_secret.as_str())
        .redirect_uri("http://localhost:49152/callback")
}

async fn emulator(configure: impl FnOnce(EmulatorBuilder) -> EmulatorBuilder) -> Emulator {
    configure(Emulator::builder().empty())
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn servers_that_check_everything_find_a_right_configuration_right() {
    let emulator = emulator(|builder| builder).await;
    for google in [true, false] {
        let diagnosis = at(&emulator, google).build().unwrap().check().await;
        assert_eq!(diagnosis.findings, []);
        assert_eq!(diagnosis.token_endpoint, Probe::Accepted);
    }
}

#[tokio::test]
async fn each_seeded_mistake_is_found_at_the_token_endpoint() {
    use Misconfiguration as Seed;
    for (google, seed, mistake) in [
        (true, Some(Seed::ClientDeleted), Mistake::ClientDeleted),
        (true, Some(Seed::ClientDisabled), Mistake::ClientDisabled),
        (false, Some(Seed::ClientDisabled), Mistake::ClientDisabled),
        (false, Some(Seed::SecretExpired), Mistake::SecretExpired),
        (
            false,
            Some(Seed::SingleTenant),
            Mistake::SingleTenantOnCommon,
        ),
        (false, None, Mistake::SecretOfPublicClient),
    ] {
        let emulator = emulator(|builder| match seed {
            Some(seed) => builder.misconfigured(seed),
            None => builder.microsoft_public_client(true),
        })
        .await;
        let diagnosis = at(&emulator, google).build().unwrap().check().await;
        let found: Vec<_> = diagnosis
            .findings
            .iter()
            .map(|finding| finding.mistake)
            .collect();
        assert_eq!(found, [mistake], "{seed:?}");
        assert!(mistake.seen().contains(&Seen::TokenEndpoint));
    }
    let emulator = emulator(|builder| builder).await;
    let (google, microsoft) = (emulator.google(), emulator.microsoft());
    let google_id =
        |id: &str| OAuthFlow::google(id).endpoints(Endpoints::google_at(&google.base_url).unwrap());
    let tenant = |tenant: &str| {
        at(&emulator, false)
            .tenant(tenant)
            .endpoints(Endpoints::microsoft_at(&microsoft.base_url, tenant).unwrap())
    };
    let microsoft_id = |id: &str| {
        OAuthFlow::microsoft(id)
            .endpoints(Endpoints::microsoft_at(&microsoft.base_url, "common").unwrap())
    };
    for (builder, mistake) in [
        (
            at(&emulator, true).client_secret("GOCSPX-another"),
            Mistake::SecretWrong,
        ),
        (
            google_id(GOOGLE_ID).client_secret(google.client_secret.as_str()),
            Mistake::ClientUnknown,
        ),
        (google_id(&google.client_id), Mistake::SecretMissing),
        (
            at(&emulator, false).client_secret("8Q~another"),
            Mistake::SecretWrong,
        ),
        (
            at(&emulator, false).client_secret(OTHER_GUID),
            Mistake::SecretIsItsId,
        ),
        (microsoft_id(&microsoft.client_id), Mistake::SecretMissing),
        (
            microsoft_id(OTHER_GUID).client_secret(microsoft.client_secret.as_str()),
            Mistake::ClientUnknown,
        ),
        (tenant("nobody.example"), Mistake::TenantUnknown),
    ] {
        let builder = builder.redirect_uri("http://localhost:49152/callback");
        let diagnosis = builder.build().unwrap().check().await;
        let found: Vec<_> = diagnosis
            .findings
            .iter()
            .filter(|finding| finding.certain)
            .map(|finding| finding.mistake)
            .collect();
        assert_eq!(found, [mistake], "{diagnosis:?}");
    }
}

/// The error of a sign-in of this account.
async fn refused_sign_in(emulator: &Emulator, google: bool, address: &str) -> Error {
    let flow = at(emulator, google).build().unwrap();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = emulator.sign_in(&url, address).await.unwrap();
    flow.complete(pending, &callback).await.unwrap_err()
}

#[tokio::test]
async fn each_seeded_mistake_is_explained_at_the_end_of_a_sign_in() {
    use Misconfiguration as Seed;
    for (seed, mistake, action) in [
        (
            Seed::AdministratorConsent,
            Mistake::ConsentNeedsAdministrator,
            Action::AdministratorActs,
        ),
        (
            Seed::PolicyBlocks,
            Mistake::BlockedByPolicy,
            Action::AdministratorActs,
        ),
        (
            Seed::SinglePageRedirect,
            Mistake::RedirectSinglePage,
            Action::DeveloperFixes,
        ),
    ] {
        let emulator = emulator(|builder| builder.misconfigured(seed)).await;
        // None of them shows before.
        let diagnosis = at(&emulator, false).build().unwrap().check().await;
        assert_eq!(diagnosis.findings, [], "{seed:?}");
        let error = refused_sign_in(&emulator, false, "team@outlook.example").await;
        let finding = Finding::of(&error, &Service::Microsoft).unwrap();
        assert_eq!((finding.mistake, finding.seen), (mistake, Seen::Callback));
        assert!(mistake.seen().contains(&Seen::Callback));
        assert_eq!(error.action(), action);
    }
    let emulator = emulator(|builder| builder).await;
    let flow = at(&emulator, true).build().unwrap();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = emulator.decline(&url).await.unwrap();
    let error = flow.complete(pending, &callback).await.unwrap_err();
    let finding = Finding::of(&error, &Service::Google).unwrap();
    assert_eq!(finding.mistake, Mistake::UserDeclined);
}

#[tokio::test]
async fn what_only_the_services_page_shows_is_told_when_no_callback_comes() {
    use Misconfiguration as Seed;
    for (google, seed, shown, mistake) in [
        (
            true,
            Seed::WebClient,
            "redirect_uri_mismatch",
            Mistake::RedirectMismatch,
        ),
        (
            true,
            Seed::InTesting,
            "access_denied",
            Mistake::InTestingWithoutUser,
        ),
        (
            true,
            Seed::Internal,
            "org_internal",
            Mistake::OrganisationInternal,
        ),
        (
            true,
            Seed::AdministratorConsent,
            "admin_policy_enforced",
            Mistake::ConsentNeedsAdministrator,
        ),
        (
            false,
            Seed::AssignmentRequired,
            "AADSTS50105",
            Mistake::UserNotAssigned,
        ),
        (
            false,
            Seed::SingleTenant,
            "AADSTS50194",
            Mistake::SingleTenantOnCommon,
        ),
    ] {
        let emulator = emulator(|builder| builder.misconfigured(seed)).await;
        let flow = at(&emulator, google).build().unwrap();
        let address = if google {
            "reader@gmail.example"
        } else {
            "reader@outlook.example"
        };
        let page = emulator
            .sign_in(&flow.authorize().unwrap().url, address)
            .await;
        assert!(page.unwrap_err().to_string().ends_with(shown), "{seed:?}");
        let diagnosis = flow.check().await;
        assert!(
            diagnosis
                .if_no_callback_comes
                .iter()
                .any(|finding| finding.mistake == mistake && finding.seen == Seen::VendorPage),
            "{seed:?}"
        );
    }
}

/// Mail is asked for, and this goes wrong.
async fn refused_mail(google: bool, fault: FaultKind) -> Error {
    let emulator = emulator(|builder| builder).await;
    let (service, address) = if google {
        (emulator.google(), "reader@gmail.example")
    } else {
        (emulator.microsoft(), "reader@outlook.example")
    };
    let configuration = if google {
        ProviderConfiguration::google(&service.client_id)
    } else {
        ProviderConfiguration::microsoft(&service.client_id)
    };
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .retry(RetryPolicy::never())
        .configuration(
            "default",
            configuration.with_api_endpoint(service.base_url.clone()),
        )
        .build()
        .unwrap();
    let mut credential = Credential::default();
    credential.access_token = Some(Secret::new(emulator.access_token(address)));
    let id = AccountId::new("reader");
    accounts
        .adopt(&id, "default", credential, Access::default())
        .await
        .unwrap();
    emulator.fault(Fault::new(fault));
    let mailbox = accounts.open(&id).await.unwrap();
    mailbox.profile().await.unwrap_err()
}

#[tokio::test]
async fn what_shows_at_the_first_mail_is_explained() {
    let graph = |code, name| FaultKind::graph_error(code, name, "planted");
    let gmail = |code, reason| FaultKind::google_error(code, reason, "planted");
    let no_mailbox = FaultKind::google_error(400, "failedPrecondition", "Mail service not enabled");
    for (google, fault, mistake) in [
        (
            true,
            gmail(403, "accessNotConfigured"),
            Mistake::ApiNotEnabled,
        ),
        (true, gmail(403, "domainPolicy"), Mistake::GmailForbidden),
        (
            true,
            gmail(403, "insufficientPermissions"),
            Mistake::AccessNotGranted,
        ),
        (true, no_mailbox, Mistake::NoMailbox),
        (
            false,
            graph(404, "MailboxNotEnabledForRESTAPI"),
            Mistake::NoMailbox,
        ),
        (
            false,
            graph(403, "ErrorAccessDenied"),
            Mistake::MailAccessDenied,
        ),
    ] {
        let error = refused_mail(google, fault).await;
        let service = if google {
            Service::Google
        } else {
            Service::Microsoft
        };
        let finding = Finding::of(&error, &service).unwrap();
        assert_eq!(
            (finding.mistake, finding.seen),
            (mistake, Seen::FirstApiCall),
            "{error}"
        );
        assert!(mistake.seen().contains(&Seen::FirstApiCall));
    }
    // Neither is anybody's mistake.
    for fault in [
        gmail(400, "failedPrecondition"),
        gmail(403, "rateLimitExceeded"),
    ] {
        let error = refused_mail(true, fault.clone()).await;
        assert_eq!(Finding::of(&error, &Service::Google), None, "{fault:?}");
    }
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
fn a_grant_that_a_user_revoked_is_nobodys_mistake() {
    let error = Error::new(ErrorKind::SignInRequired, "gone")
        .with_code("invalid_grant")
        .with_operation("oauth.refresh");
    assert_eq!(Finding::of(&error, &Service::Google), None);
}

/// The anchor that a page's heading has.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_mistake_says_what_to_do_and_points_to_a_section_that_is_there() {
    let names: BTreeSet<_> = Mistake::ALL.iter().map(|mistake| mistake.name()).collect();
    assert_eq!(names.len(), Mistake::ALL.len());
    assert!(Mistake::ALL.len() >= 25);
    let everywhere = [
        Seen::Values,
        Seen::TokenEndpoint,
        Seen::Callback,
        Seen::FirstApiCall,
        Seen::VendorPage,
    ];
    for seen in everywhere {
        assert!(
            Mistake::ALL
                .iter()
                .any(|mistake| mistake.seen().first() == Some(&seen)),
            "{seen}"
        );
    }
    let anchors = |page: &str| -> BTreeSet<String> {
        let headings = page.lines().filter(|line| line.starts_with("## "));
        headings
            .map(|line| anchor(line.trim_start_matches("## ")))
            .collect()
    };
    for (service, page, name) in [
        (
            Service::Google,
            include_str!("../docs/set-up-google.md"),
            "google",
        ),
        (
            Service::Microsoft,
            include_str!("../docs/set-up-microsoft.md"),
            "microsoft",
        ),
    ] {
        let anchors = anchors(page);
        for mistake in Mistake::ALL
            .iter()
            .filter(|mistake| mistake.concerns(&service))
        {
            assert!(
                !mistake.seen().is_empty() && mistake.remedy(&service).len() > 20,
                "{mistake:?}"
            );
            let guide = mistake.guide(&service).unwrap();
            let section = guide
                .strip_prefix(&format!("docs/set-up-{name}.md#"))
                .unwrap();
            assert!(anchors.contains(section), "{guide}");
        }
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
