//! Google's consent page: what it refuses, what it shows, and the code it sends to the application.
//! <https://developers.google.com/identity/protocols/oauth2/web-server>

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{StatusCode, Uri, header};

use super::super::super::tokens::{AuthorizationCode, CodeChallenge};
use super::super::super::world::World;
use super::super::super::{Consent, Misconfiguration, State, Vendor};
use super::super::page::{self, ConsentPage};
use super::super::{
    Asked, Decision, Parameters, is_loopback, is_pkce_text, issue_code, scope, with_query,
};
use super::spelled;

/// How long a code can be redeemed; Google says only that it is short.
const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// What the consent page may be given. It refuses anything else by name.
const PARAMETERS: [&str; 18] = [
    "access_type",
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "display",
    "enable_granular_consent",
    "hd",
    "hl",
    "include_granted_scopes",
    "login_hint",
    "max_age",
    "nonce",
    "prompt",
    "redirect_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// A request for consent that is in order, with what only Google has.
struct GoogleAsked {
    asked: Asked,
    offline: bool,
    include_granted: bool,
}

/// `GET /o/oauth2/v2/auth`
pub(in super::super) async fn show(Shared(state): Shared<Arc<State>>, uri: Uri) -> Response {
    let request = match check(&state, &uri) {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    let accounts = state.world().people(Vendor::Google);
    let hinted = request
        .asked
        .login_hint
        .as_ref()
        .and_then(|hint| find(&state.world(), hint));
    if request.asked.prompt.contains("none") {
        return without_asking(&state, &request, hinted.as_deref());
    }
    if state.settings.consent == Consent::Automatic {
        let account = hinted.or_else(|| accounts.first().map(|(address, _)| address.clone()));
        let all = request.asked.scopes.iter().map(|name| (*name).to_owned());
        return grant(
            &state,
            &request,
            &account.unwrap_or_default(),
            all.collect(),
        );
    }
    // A box for each scope, unless there is only one to tick.
    // <https://developers.google.com/identity/protocols/oauth2/resources/granular-permissions>
    let boxes = request
        .asked
        .scopes
        .iter()
        .filter(|name| !scope::is_identity(name))
        .count();
    page::consent(&ConsentPage {
        service: "Google",
        application: "Postroom",
        accounts,
        hint: hinted,
        asked: request
            .asked
            .scopes
            .iter()
            .map(|name| {
                let may_refuse = boxes > 1 && !scope::is_identity(name);
                (
                    (*name).to_owned(),
                    scope::describe(name).to_owned(),
                    may_refuse,
                )
            })
            .collect(),
        action: uri.to_string(),
    })
}

/// The consent page's form.
pub(in super::super) async fn decide(
    Shared(state): Shared<Arc<State>>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let request = match check(&state, &uri) {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    let decision = Decision::read(&body);
    if !decision.allowed {
        return send_back(&request.asked, &[("error", "access_denied")]);
    }
    let ticked = request
        .asked
        .scopes
        .iter()
        .filter(|name| scope::is_identity(name) || decision.ticked.contains(**name))
        .map(|name| (*name).to_owned())
        .collect();
    grant(&state, &request, &decision.account, ticked)
}

/// Holds the query against Google's rules. What is wrong is shown on a page and never sent to the
/// application, whose redirect could be anyone's.
/// <https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors>
fn check(state: &State, uri: &Uri) -> Result<GoogleAsked, Box<Response>> {
    let query = Parameters::read(uri.query().unwrap_or_default().as_bytes());
    let invalid =
        |message: String| Box::new(refuse(StatusCode::BAD_REQUEST, "invalid_request", &message));
    if let Some(name) = &query.repeated {
        return Err(invalid(format!(
            "OAuth 2 parameters can only have a single value: {name}"
        )));
    }
    for name in query.values.keys() {
        if !PARAMETERS.contains(&name.as_str()) {
            return Err(invalid(format!(
                "Parameter not allowed for this message type: {name}"
            )));
        }
    }
    for name in ["client_id", "redirect_uri", "response_type", "scope"] {
        if query.value(name).is_none() {
            return Err(invalid(format!("Missing required parameter: {name}")));
        }
    }
    let client_id = query.owned("client_id").unwrap_or_default();
    if client_id != state.google.client_id {
        return Err(refused(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "The OAuth client was not found.",
        ));
    }
    for (how, code, message) in [
        (
            Misconfiguration::ClientDeleted,
            "deleted_client",
            "The OAuth client was deleted.",
        ),
        (
            Misconfiguration::ClientDisabled,
            "disabled_client",
            "The OAuth client was disabled.",
        ),
    ] {
        if state.is_misconfigured(how) {
            return Err(refused(StatusCode::UNAUTHORIZED, code, message));
        }
    }
    let redirect_uri = query.owned("redirect_uri").unwrap_or_default();
    // The client is of the desktop kind too: any port and path of the loopback addresses.
    // <https://developers.google.com/identity/protocols/oauth2/native-app#redirect-uri_loopback>
    let registered = state.settings.redirect_uris.contains(&redirect_uri);
    let desktop = !state.is_misconfigured(Misconfiguration::WebClient)
        && is_loopback(&redirect_uri, &["127.0.0.1", "[::1]", "localhost"]);
    if !registered && !desktop {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "redirect_uri_mismatch",
            "You can't sign in to this app because it doesn't comply with Google's OAuth 2.0 policy.",
        ));
    }
    let response_type = query.value("response_type").unwrap_or_default();
    if response_type != "code" {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "unsupported_response_type",
            &format!("Invalid response_type: {response_type}"),
        ));
    }
    if let Some(mode) = query.value("response_mode").filter(|mode| *mode != "query") {
        return Err(invalid(format!("Invalid response_mode: {mode}")));
    }
    let offline = match query.value("access_type") {
        None | Some("online") => false,
        Some("offline") => true,
        Some(other) => {
            return Err(invalid(format!(
                "Invalid parameter value for access_type: {other}"
            )));
        }
    };
    let prompt: BTreeSet<String> = query
        .words("prompt")
        .into_iter()
        .map(str::to_owned)
        .collect();
    let known = prompt
        .iter()
        .all(|word| matches!(word.as_str(), "none" | "consent" | "select_account"));
    if !known || (prompt.contains("none") && prompt.len() > 1) {
        return Err(invalid(format!(
            "Invalid parameter value for prompt: {}",
            query.value("prompt").unwrap_or_default()
        )));
    }
    let mut scopes = Vec::new();
    for asked in query.words("scope") {
        let Some(name) = scope::google(asked) else {
            return Err(refused(
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                &format!("Some requested scopes were invalid. {{invalid=[{asked}]}}"),
            ));
        };
        if !scopes.contains(&name) {
            scopes.push(name);
        }
    }
    let challenge = challenge(&query).map_err(invalid)?;
    Ok(GoogleAsked {
        offline,
        include_granted: query.value("include_granted_scopes") == Some("true"),
        asked: Asked {
            client_id,
            redirect_uri,
            scopes,
            state: query.owned("state"),
            challenge,
            nonce: query.owned("nonce"),
            login_hint: query.owned("login_hint"),
            prompt,
        },
    })
}

fn challenge(query: &Parameters) -> Result<Option<CodeChallenge>, String> {
    let method = query.value("code_challenge_method");
    let Some(challenge) = query.owned("code_challenge") else {
        return match method {
            Some(_) => Err("Missing required parameter: code_challenge".to_owned()),
            None => Ok(None),
        };
    };
    if !is_pkce_text(&challenge) {
        return Err("Invalid code_challenge".to_owned());
    }
    // Without a method the challenge is the verifier itself.
    // <https://developers.google.com/identity/protocols/oauth2/native-app#step-2:-send-a-request-to-googles-oauth-2.0-server>
    match method {
        Some("S256") => Ok(Some(CodeChallenge::S256(challenge))),
        None | Some("plain") => Ok(Some(CodeChallenge::Plain(challenge))),
        Some(other) => Err(format!(
            "Invalid parameter value for code_challenge_method: {other}"
        )),
    }
}

/// Finds an account by address or subject, as `login_hint` allows.
fn find(world: &World, hint: &str) -> Option<String> {
    world
        .accounts
        .iter()
        .find(|account| {
            account.vendor() == Vendor::Google
                && (account.address.eq_ignore_ascii_case(hint) || account.subject == hint)
        })
        .map(|account| account.address.clone())
}

/// `prompt=none`: an answer at once or an error, never a page.
/// <https://developers.google.com/identity/openid-connect/openid-connect#authenticationuriparameters>
fn without_asking(state: &State, request: &GoogleAsked, account: Option<&str>) -> Response {
    let Some(account) = account else {
        return send_back(&request.asked, &[("error", "interaction_required")]);
    };
    let allowed = state
        .world()
        .tokens
        .consented(&request.asked.client_id, account);
    let asked: BTreeSet<String> = request
        .asked
        .scopes
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    if asked.is_subset(&allowed) {
        grant(state, request, account, asked)
    } else {
        send_back(&request.asked, &[("error", "consent_required")])
    }
}

/// Keeps what the person allowed and sends the code to the application.
fn grant(
    state: &State,
    request: &GoogleAsked,
    account: &str,
    mut scopes: BTreeSet<String>,
) -> Response {
    let asked = &request.asked;
    let mut world = state.world();
    let Some(account) = find(&world, account) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Choose an account.",
        );
    };
    if let Some(refusal) = kept_out(state, &account) {
        return refusal;
    }
    let before = world.tokens.consented(&asked.client_id, &account);
    // A refresh token comes with the first consent, and again only when consent was asked for anew.
    // <https://developers.google.com/identity/protocols/oauth2/web-server#offline>
    let refreshes = request.offline && (before.is_empty() || asked.prompt.contains("consent"));
    if request.include_granted {
        scopes.extend(before);
    }
    world
        .tokens
        .consent(&asked.client_id, &account, scopes.iter().cloned());
    let grant = world.grant(account, asked.client_id.clone(), scopes.clone());
    let code = issue_code(
        &mut world,
        "4",
        AuthorizationCode {
            grant,
            expires: state.clock.monotonic() + CODE_LIFETIME,
            used: false,
            redirect_uri: asked.redirect_uri.clone(),
            challenge: asked.challenge.clone(),
            nonce: asked.nonce.clone(),
            offline: refreshes,
            tenant: None,
        },
    );
    drop(world);
    let granted = spelled(&scopes);
    send_back(
        asked,
        &[
            ("code", &code),
            ("scope", &granted),
            ("authuser", "0"),
            ("prompt", "consent"),
        ],
    )
}

/// Whom Google does not let in, it tells so itself.
/// <https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors>
fn kept_out(state: &State, account: &str) -> Option<Response> {
    let testers = &state.settings.test_users;
    let no_tester = !testers.is_empty()
        && !testers
            .iter()
            .any(|tester| tester.eq_ignore_ascii_case(account));
    [
        (
            Misconfiguration::InTesting,
            StatusCode::FORBIDDEN,
            "access_denied",
            "The app is currently being tested, and can only be accessed by developer-approved testers.",
        ),
        (
            Misconfiguration::Internal,
            StatusCode::FORBIDDEN,
            "org_internal",
            "This app is restricted to users within its organization.",
        ),
        (
            Misconfiguration::AdministratorConsent,
            StatusCode::BAD_REQUEST,
            "admin_policy_enforced",
            "Your institution's admin needs to review the app.",
        ),
    ]
    .into_iter()
    .find(|(how, ..)| {
        state.is_misconfigured(*how) || (no_tester && *how == Misconfiguration::InTesting)
    })
    .map(|(_, status, code, message)| refuse(status, code, message))
}

fn send_back(asked: &Asked, fields: &[(&str, &str)]) -> Response {
    let state = asked.state.iter().map(|state| ("state", state.as_str()));
    let fields: Vec<(String, String)> = state
        .chain(fields.iter().copied())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let target = with_query(&asked.redirect_uri, &fields);
    (StatusCode::FOUND, [(header::LOCATION, target)]).into_response()
}

fn refused(status: StatusCode, code: &str, message: &str) -> Box<Response> {
    Box::new(refuse(status, code, message))
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    page::error(status, "Google", code, message)
}
