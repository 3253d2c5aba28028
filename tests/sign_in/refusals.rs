//! Every refusal that Google and Microsoft document becomes an error of one kind that says who must act and where to click.
//! One row of a table is one case, seen through a sign-in's own calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::scripted::{Reply, Scripted};
use postroom::ErrorKind::{
    AdminConsentRequired, Configuration, Declined, InvalidCallback, PermissionDenied, Protocol,
    RateLimited, SignInRequired, Unavailable,
};
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, MemoryStore, RecordKey, Refresh, Save, Service,
    StoredTokens, TokenSource,
};
use postroom::oauth::{Authorization, OAuthFlow, OAuthFlowBuilder};
use postroom::{Action, Error, ErrorKind, Secret};
use serde_json::{Value, json};
use url::Url;

const REDIRECT: &str = "https://desk.example/callback";

const SIGN_IN: Action = Action::SignInAgain;
const OTHER: Action = Action::UseAnotherAccount;
const ADMINISTRATOR: Action = Action::AdministratorActs;
const DEVELOPER: Action = Action::DeveloperFixes;
const WAIT: Action = Action::Wait(None);
const AGAIN: Action = Action::TryAgain;

fn flow(google: bool, transport: &Scripted) -> OAuthFlow {
    let builder: OAuthFlowBuilder = if google {
        OAuthFlow::google("client")
    } else {
        OAuthFlow::microsoft("client")
    };
    builder
        .client_secret("planted-secret")
        .redirect_uri(REDIRECT)
        .transport(Arc::new(transport.clone()))
        .clock(Arc::new(transport.clock.clone()))
        .build()
        .unwrap()
}

fn record(google: bool) -> AccountRecord {
    let service = if google {
        Service::Google
    } else {
        Service::Microsoft
    };
    let mut record = AccountRecord::new("reader", "default", service);
    record.credential.refresh_token = Some(Secret::new("planted-refresh"));
    record
}

/// The error of a renewal that the token endpoint answers so.
async fn refused_renewal(google: bool, status: u16, body: Value) -> Error {
    let transport = Scripted::new(move |_| Reply::error(status, &body));
    let outcome = flow(google, &transport).refresh(&record(google)).await;
    outcome.map(|_| ()).unwrap_err()
}

/// The error of a sign-in whose code the token endpoint refuses so.
async fn refused_code(google: bool, body: Value) -> Error {
    let transport = Scripted::new(move |_| Reply::error(400, &body));
    let flow = flow(google, &transport);
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = callback(&url, &[("code", "planted-code")]);
    flow.complete(pending, &callback).await.unwrap_err()
}

/// The error of a sign-in whose callback says so.
async fn refused_callback(google: bool, error: &str, description: &str) -> Error {
    let transport = Scripted::new(|_| Reply::status(500));
    let flow = flow(google, &transport);
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = callback(
        &url,
        &[("error", error), ("error_description", description)],
    );
    let refused = flow.complete(pending, &callback).await.unwrap_err();
    assert!(
        transport.requests().is_empty(),
        "nothing is asked after a refusal"
    );
    refused
}

fn callback(url: &Url, parameters: &[(&str, &str)]) -> Url {
    let state = url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1;
    let mut callback = Url::parse(REDIRECT).unwrap();
    callback
        .query_pairs_mut()
        .append_pair("state", &state)
        .extend_pairs(parameters);
    callback
}

fn microsoft_body(number: u32) -> Value {
    json!({
        "error": "invalid_grant", "error_codes": [number],
        "error_description": format!("AADSTS{number}: about planted@outlook.example\r\nTrace ID: 0"),
    })
}

fn hold(error: &Error, kind: ErrorKind, action: Action, code: &str) {
    assert_eq!(
        (error.kind(), error.action(), error.code()),
        (kind, action, Some(code)),
        "{error}"
    );
    let text = format!("{error} {error:?} {:?}", std::error::Error::source(error));
    assert!(!text.contains("planted"), "{text}");
}

/// Kind and action of every number, for a grant that is being renewed.
const MICROSOFT: &[(&[u32], ErrorKind, Action)] = &[
    (&[65001], SignInRequired, SIGN_IN),
    (&[65004], Declined, SIGN_IN),
    (
        &[90094, 90095, 90093, 90099],
        AdminConsentRequired,
        ADMINISTRATOR,
    ),
    (
        &[650_052, 650_054, 500_014],
        PermissionDenied,
        ADMINISTRATOR,
    ),
    (&[65005, 650_056, 650_057], Configuration, DEVELOPER),
    (
        &[50072, 50079, 50074, 50076, 50078, 50158, 50097, 50187],
        SignInRequired,
        SIGN_IN,
    ),
    (
        &[50058, 16000, 16001, 160_021, 700_020],
        SignInRequired,
        SIGN_IN,
    ),
    (
        &[50140, 50199, 50125, 50135, 50137, 50142],
        SignInRequired,
        SIGN_IN,
    ),
    (
        &[53000, 53001, 53002, 53003, 50005, 50131],
        PermissionDenied,
        ADMINISTRATOR,
    ),
    (
        &[530_032, 530_034, 530_035, 53011, 50105],
        PermissionDenied,
        ADMINISTRATOR,
    ),
    (
        &[500_021, 500_022, 50002, 500_212, 500_213],
        PermissionDenied,
        ADMINISTRATOR,
    ),
    (
        &[50173, 70008, 700_082, 700_084, 70043, 70000],
        SignInRequired,
        SIGN_IN,
    ),
    (
        &[50089, 50132, 50133, 50085, 50139, 54005],
        SignInRequired,
        SIGN_IN,
    ),
    (
        &[501_481, 50148, 50147, 501_491, 50149],
        SignInRequired,
        SIGN_IN,
    ),
    (&[50034, 51004, 50014, 16003], SignInRequired, OTHER),
    (
        &[50053, 50055, 50144, 50126, 50056, 50064],
        SignInRequired,
        SIGN_IN,
    ),
    (&[50057], SignInRequired, ADMINISTRATOR),
    (&[50020, 90072, 500_208, 500_207], PermissionDenied, OTHER),
    (
        &[50011, 70004, 500_112, 500_113, 900_971],
        Configuration,
        DEVELOPER,
    ),
    (&[9_002_325, 9_002_326, 9_002_327], Configuration, DEVELOPER),
    (&[7_000_215, 70002, 7_000_222], Configuration, DEVELOPER),
    (
        &[700_027, 700_030, 50012, 50013, 500_133],
        Configuration,
        DEVELOPER,
    ),
    (&[7_000_218, 7_000_216, 700_025], Configuration, DEVELOPER),
    (
        &[700_016, 700_011, 90112, 7_000_112, 70001, 1_000_031],
        Configuration,
        DEVELOPER,
    ),
    (
        &[90002, 90019, 50059, 50128, 900_023],
        Configuration,
        DEVELOPER,
    ),
    (
        &[90038, 90043, 90051, 900_382, 900_432],
        Configuration,
        DEVELOPER,
    ),
    (
        &[50194, 650_059, 90130, 90124, 9_002_332],
        Configuration,
        DEVELOPER,
    ),
    (
        &[700_021, 700_023, 700_024, 1_002_012],
        Configuration,
        DEVELOPER,
    ),
    (&[700_005, 9_001_023], Configuration, DEVELOPER),
    (
        &[90023, 70011, 28002, 28003, 700_022],
        Configuration,
        DEVELOPER,
    ),
    (&[650_053, 500_011, 50001], Configuration, DEVELOPER),
    (
        &[70003, 70005, 70007, 700_054, 700_051],
        Configuration,
        DEVELOPER,
    ),
    (
        &[900_144, 90014, 90100, 90004, 90005, 9_002_313, 50196],
        Configuration,
        DEVELOPER,
    ),
    (
        &[70018, 90119, 70019, 70020, 90120],
        InvalidCallback,
        SIGN_IN,
    ),
    (
        &[
            50000, 50033, 50087, 70012, 90006, 90012, 90024, 90033, 90090,
        ],
        Unavailable,
        AGAIN,
    ),
    (&[90055, 50088], RateLimited, WAIT),
];

#[tokio::test]
async fn every_number_of_microsofts_says_who_must_act() {
    for (numbers, kind, action) in MICROSOFT {
        for number in *numbers {
            let error = refused_renewal(false, 400, microsoft_body(*number)).await;
            hold(&error, *kind, *action, &format!("AADSTS{number}"));
        }
    }
}

/// A row that is added to the source needs a row here.
#[test]
fn no_number_goes_without_a_test() {
    let table = include_str!("../../src/oauth/error/microsoft.rs");
    let known: BTreeSet<u32> = table
        .split("(&[")
        .skip(1)
        .filter_map(|row| row.split_once(']'))
        .flat_map(|(numbers, _)| numbers.split(','))
        .filter_map(|number| number.trim().replace('_', "").parse().ok())
        .collect();
    let tested: BTreeSet<u32> = MICROSOFT
        .iter()
        .flat_map(|(numbers, ..)| numbers.iter().copied())
        .collect();
    assert!(known.len() > 100);
    assert_eq!(known, tested);
}

#[tokio::test]
async fn a_number_in_the_callback_says_the_same() {
    for (error, number, kind, action) in [
        ("access_denied", 65004, Declined, SIGN_IN),
        (
            "consent_required",
            90094,
            AdminConsentRequired,
            ADMINISTRATOR,
        ),
        ("interaction_required", 50076, SignInRequired, SIGN_IN),
        ("access_denied", 53003, PermissionDenied, ADMINISTRATOR),
        ("access_denied", 50105, PermissionDenied, ADMINISTRATOR),
        ("unauthorized_client", 700_016, Configuration, DEVELOPER),
        ("invalid_client", 650_053, Configuration, DEVELOPER),
        ("temporarily_unavailable", 90033, Unavailable, AGAIN),
    ] {
        let description = format!("AADSTS{number}: about planted@outlook.example");
        let refused = refused_callback(false, error, &description).await;
        hold(&refused, kind, action, &format!("AADSTS{number}"));
        assert_eq!(refused.operation(), Some("oauth.authorize"));
    }
}

#[tokio::test]
async fn a_refused_code_costs_one_sign_in_and_no_grant() {
    for number in [54005, 70008, 501_481, 50148, 70000] {
        let error = refused_code(false, microsoft_body(number)).await;
        hold(&error, InvalidCallback, SIGN_IN, &format!("AADSTS{number}"));
    }
    let error = refused_code(true, json!({"error": "invalid_grant"})).await;
    hold(&error, InvalidCallback, SIGN_IN, "invalid_grant");
    // What is wrong with the application is the same at every step.
    let error = refused_code(false, microsoft_body(7_000_222)).await;
    hold(&error, Configuration, DEVELOPER, "AADSTS7000222");
}

#[tokio::test]
async fn the_word_beside_an_unknown_number_decides() {
    for (word, kind, action) in [
        ("consent_required", SignInRequired, SIGN_IN),
        ("basic_action", SignInRequired, SIGN_IN),
        ("additional_action", SignInRequired, SIGN_IN),
        ("message_only", PermissionDenied, ADMINISTRATOR),
        ("user_password_expired", SignInRequired, SIGN_IN),
        ("bad_token", SignInRequired, SIGN_IN),
        ("token_expired", SignInRequired, SIGN_IN),
        (
            "protection_policy_required",
            PermissionDenied,
            ADMINISTRATOR,
        ),
        ("client_mismatch", SignInRequired, SIGN_IN),
        ("device_authentication_failed", PermissionDenied, SIGN_IN),
    ] {
        let mut body = microsoft_body(987_654);
        body["suberror"] = json!(word);
        let error = refused_renewal(false, 400, body).await;
        hold(&error, kind, action, "AADSTS987654");
    }
}

#[tokio::test]
async fn every_name_says_who_must_act() {
    for (name, subtype, kind, action) in [
        ("invalid_grant", None, SignInRequired, SIGN_IN),
        (
            "invalid_grant",
            Some("invalid_rapt"),
            SignInRequired,
            SIGN_IN,
        ),
        (
            "invalid_grant",
            Some("consent_required"),
            SignInRequired,
            SIGN_IN,
        ),
        ("invalid_client", None, Configuration, DEVELOPER),
        ("unauthorized_client", None, Configuration, DEVELOPER),
        ("invalid_scope", None, Configuration, DEVELOPER),
        ("invalid_request", None, Configuration, DEVELOPER),
        ("invalid_resource", None, Configuration, DEVELOPER),
        ("unsupported_grant_type", None, Configuration, DEVELOPER),
        ("unsupported_response_type", None, Configuration, DEVELOPER),
        ("access_denied", None, PermissionDenied, ADMINISTRATOR),
        ("consent_required", None, SignInRequired, SIGN_IN),
        ("interaction_required", None, SignInRequired, SIGN_IN),
        ("invalid_token", None, SignInRequired, SIGN_IN),
        ("temporarily_unavailable", None, Unavailable, AGAIN),
        ("server_error", None, Unavailable, AGAIN),
        ("redirect_uri_mismatch", None, Configuration, DEVELOPER),
        (
            "admin_policy_enforced",
            None,
            AdminConsentRequired,
            ADMINISTRATOR,
        ),
        ("org_internal", None, Configuration, DEVELOPER),
        ("disabled_client", None, Configuration, DEVELOPER),
        ("deleted_client", None, Configuration, DEVELOPER),
        ("invalid_dpop_proof", None, Configuration, DEVELOPER),
        ("use_dpop_nonce", None, Configuration, DEVELOPER),
        ("rate_limit_exceeded", None, RateLimited, WAIT),
        ("slow_down", None, RateLimited, WAIT),
        ("authorization_declined", None, Declined, SIGN_IN),
        ("never_heard_of", None, Protocol, DEVELOPER),
    ] {
        let body = json!({
            "error": name, "error_subtype": subtype, "error_description": "about planted@gmail.example",
        });
        let error = refused_renewal(true, 400, body).await;
        hold(&error, kind, action, name);
    }
    for (name, kind, action) in [
        ("access_denied", Declined, SIGN_IN),
        ("admin_policy_enforced", AdminConsentRequired, ADMINISTRATOR),
        ("login_required", SignInRequired, SIGN_IN),
        ("interaction_required", SignInRequired, SIGN_IN),
        ("consent_required", SignInRequired, SIGN_IN),
        ("account_selection_required", SignInRequired, SIGN_IN),
        ("disallowed_useragent", Configuration, DEVELOPER),
        ("server_error", Unavailable, AGAIN),
    ] {
        let error = refused_callback(true, name, "about planted@gmail.example").await;
        hold(&error, kind, action, name);
    }
}

#[tokio::test]
async fn trouble_that_is_not_the_users_never_costs_tokens() {
    for (google, status, body) in [
        (false, 401, microsoft_body(7_000_222)),
        (false, 401, microsoft_body(7_000_215)),
        (false, 400, microsoft_body(90094)),
        (false, 400, microsoft_body(53003)),
        (false, 400, microsoft_body(700_016)),
        (true, 401, json!({"error": "invalid_client"})),
        (true, 401, json!({"error": "deleted_client"})),
        (true, 400, json!({"error": "admin_policy_enforced"})),
        (true, 503, json!({"error": "invalid_grant"})),
    ] {
        let transport = Scripted::new(move |_| Reply::error(status, &body));
        let store: Arc<dyn CredentialStore> = Arc::new(MemoryStore::new());
        let key = RecordKey::account("reader");
        let record = record(google);
        record.save(&*store, &key, Save::Always).await.unwrap();
        let flow = Arc::new(flow(google, &transport));
        let tokens = StoredTokens::new(Arc::clone(&store), key.clone(), flow).unwrap();
        let error = tokens.token().await.unwrap_err();
        assert!(!matches!(error.kind(), SignInRequired), "{error}");
        let kept = AccountRecord::load(&*store, &key)
            .await
            .unwrap()
            .unwrap()
            .record;
        assert!(matches!(kept.state, AccountState::Active), "{error}");
        assert_eq!(
            kept.credential.refresh_token.unwrap().expose(),
            "planted-refresh"
        );
    }
}
