//! What a check finds and explains at services that behave as the real ones: each seeded mistake, at the token endpoint, at
//! the end of a sign-in, on the service's own page and at the first mail.

use std::sync::Arc;

use postroom::credentials::{MemoryStore, Service};
use postroom::emulator::{Emulator, EmulatorBuilder, Fault, FaultKind, Misconfiguration};
use postroom::http::RetryPolicy;
use postroom::oauth::{
    Authorization, Endpoints, Finding, Mistake, OAuthFlow, OAuthFlowBuilder, Probe, Seen,
};
use postroom::{AccountId, Accounts, Action, Adoption, Error, ProviderConfiguration};

const GOOGLE_ID: &str = "1234-abc.apps.googleusercontent.com";
const OTHER_GUID: &str = "11111111-2222-3333-4444-555555555555";

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
    let adoption = Adoption::access_token(emulator.access_token(address));
    let id = AccountId::new("reader");
    accounts.adopt(&id, "default", adoption).await.unwrap();
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
