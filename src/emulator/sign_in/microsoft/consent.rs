//! Microsoft's consent page: what it refuses, on a page or in a redirect, what it shows, and the code it
//! sends to the application.
//! <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow>

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{StatusCode, Uri, header};

use super::super::super::tokens::{AuthorizationCode, CodeChallenge, Grant};
use super::super::super::world::World;
use super::super::super::{Consent, State, Vendor};
use super::super::page::{self, ConsentPage};
use super::super::{
    Asked, Decision, Parameters, is_loopback, is_pkce_text, issue_code, scope, with_query,
};
use super::error::{AadError, error_page};
use super::misconfigured::{refuse_application, refuse_user};
use super::{Door, ORGANISATION_DOMAIN, PERSONAL, admin_consent, read_scopes};

/// How long a code can be redeemed.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow#successful-response>
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// How the answer travels to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Query,
    Fragment,
    FormPost,
}

/// A request for consent that is in order, with what only Microsoft has.
struct MicrosoftAsked {
    asked: Asked,
    door: Door,
    mode: Mode,
}

/// `GET /{tenant}/oauth2/v2.0/authorize`
pub(in super::super) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    uri: Uri,
) -> Response {
    let request = match check(&state, &tenant, &uri) {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    let (accounts, hinted) = {
        let world = state.world();
        let accounts: Vec<(String, String)> = world
            .accounts
            .iter()
            .filter(|account| account.vendor() == Vendor::Microsoft)
            .filter(|account| request.door.lets_in(account))
            .map(|account| (account.address.clone(), account.display_name.clone()))
            .collect();
        let hint = request.asked.login_hint.as_deref().unwrap_or_default();
        (accounts, find(&world, hint))
    };
    if request.asked.prompt.contains("none") {
        return without_asking(&state, &request, hinted.as_deref());
    }
    if state.settings.consent == Consent::Automatic {
        let account = hinted.or_else(|| accounts.first().map(|(address, _)| address.clone()));
        return grant(&state, &request, &account.unwrap_or_default());
    }
    page::consent(&ConsentPage {
        service: "Microsoft",
        application: "Postroom",
        accounts,
        hint: hinted,
        // All or nothing: Microsoft shows a list, not boxes.
        asked: request
            .asked
            .scopes
            .iter()
            .map(|name| ((*name).to_owned(), scope::describe(name).to_owned(), false))
            .collect(),
        action: uri.to_string(),
    })
}

/// The consent page's form.
pub(in super::super) async fn decide(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let request = match check(&state, &tenant, &uri) {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    let decision = Decision::read(&body);
    if decision.allowed {
        return grant(&state, &request, &decision.account);
    }
    // The two kinds of account refuse in different words: seen at
    // <https://github.com/MicrosoftDocs/azure-docs/issues/114009> and <https://github.com/HTBox/allReady/issues/521>.
    let personal = {
        let world = state.world();
        world
            .account(&decision.account)
            .is_some_and(|account| account.tenant == PERSONAL)
    };
    let description = if personal {
        "The user has denied access to the scope requested by the client application.".to_owned()
    } else {
        AadError::new(
            "access_denied",
            65004,
            "User declined to consent to access the app.",
        )
        .describe(&state)
    };
    send_back(
        &request.asked,
        request.mode,
        &[
            ("error", "access_denied"),
            ("error_subcode", "cancel"),
            ("error_description", &description),
        ],
    )
}

/// Holds the query against Microsoft's rules. Without a client and a redirect that belong together, what
/// is wrong is shown on a page; after that it is sent to the application.
fn check(state: &State, tenant: &str, uri: &Uri) -> Result<MicrosoftAsked, Box<Response>> {
    let query = Parameters::read(uri.query().unwrap_or_default().as_bytes());
    let Some(door) = Door::read(tenant) else {
        return Err(shown(state, AadError::tenant(tenant)));
    };
    let Some(client_id) = query.owned("client_id") else {
        return Err(shown(state, AadError::missing("client_id")));
    };
    if !client_id.eq_ignore_ascii_case(&state.microsoft.client_id) {
        return Err(shown(state, AadError::client(&client_id)));
    }
    refuse_application(state, door, &client_id, None).map_err(|error| shown(state, error))?;
    let Some(redirect_uri) = query.owned("redirect_uri") else {
        return Err(shown(
            state,
            AadError::new("invalid_request", 900971, "No reply address provided."),
        ));
    };
    // The port is not looked at for the machine's own addresses; IPv6's is not supported.
    // <https://learn.microsoft.com/en-us/entra/identity-platform/reply-url#localhost-exceptions>
    let registered = state.settings.redirect_uris.contains(&redirect_uri);
    if !registered && !is_loopback(&redirect_uri, &["localhost", "127.0.0.1"]) {
        let message = format!(
            "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs \
             configured for the application '{client_id}'. Make sure the redirect URI sent in the request \
             matches one added to your application in the Azure portal."
        );
        return Err(shown(
            state,
            AadError::new("invalid_request", 50011, message),
        ));
    }
    let mut asked = Asked {
        client_id: state.microsoft.client_id.clone(),
        redirect_uri,
        scopes: Vec::new(),
        state: query.owned("state"),
        challenge: None,
        nonce: query.owned("nonce"),
        login_hint: query.owned("login_hint"),
        prompt: query
            .words("prompt")
            .into_iter()
            .map(str::to_owned)
            .collect(),
    };
    let mode = match query.value("response_mode") {
        None | Some("query") => Mode::Query,
        Some("fragment") => Mode::Fragment,
        Some("form_post") => Mode::FormPost,
        Some(_) => {
            let error = AadError::new(
                "invalid_request",
                900_144,
                "The request contains an unsupported value for the following parameter: 'response_mode'.",
            );
            return Err(Box::new(send_error(state, &asked, Mode::Query, &error)));
        }
    };
    match check_rest(state, &query, door, &mut asked) {
        Ok(()) => Ok(MicrosoftAsked { asked, door, mode }),
        Err(error) => Err(Box::new(send_error(state, &asked, mode, &error))),
    }
}

fn shown(state: &State, error: AadError) -> Box<Response> {
    Box::new(error_page(state, error))
}

fn check_rest(
    state: &State,
    query: &Parameters,
    door: Door,
    asked: &mut Asked,
) -> Result<(), AadError> {
    if let Some(name) = &query.repeated {
        return Err(AadError::new(
            "invalid_request",
            9_002_313,
            format!(
                "Invalid request. Request is malformed or invalid. The parameter '{name}' is repeated."
            ),
        ));
    }
    let response_type = query
        .value("response_type")
        .ok_or_else(|| AadError::missing("response_type"))?;
    if response_type != "code" {
        // The hybrid and implicit answers have to be switched on for an application, and are not.
        let disabled = response_type.split(' ').find(|part| *part != "code");
        let number = if disabled == Some("id_token") {
            700_054
        } else {
            700_051
        };
        return Err(AadError::new(
            "unsupported_response_type",
            number,
            format!(
                "response_type '{}' is not enabled for the application.",
                disabled.unwrap_or_default()
            ),
        ));
    }
    let known = ["login", "none", "consent", "select_account"];
    if let Some(word) = asked
        .prompt
        .iter()
        .find(|word| !known.contains(&word.as_str()))
    {
        return Err(AadError::new(
            "invalid_request",
            90_023,
            format!("Unsupported 'prompt' value. Value: '{word}'."),
        ));
    }
    if query.value("scope").is_none() {
        return Err(AadError::missing("scope"));
    }
    asked.scopes = read_scopes(query, door, state)?;
    asked.challenge = challenge(query)?;
    // <https://learn.microsoft.com/en-us/entra/identity-platform/claims-challenge>
    let claims = query.value("claims");
    let is_object =
        |text| serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(text).is_ok();
    if !claims.is_none_or(is_object) {
        let message = "The claims parameter is empty or not valid.";
        return Err(AadError::new("invalid_request", 90_100, message));
    }
    Ok(())
}

fn challenge(query: &Parameters) -> Result<Option<CodeChallenge>, AadError> {
    let Some(challenge) = query.owned("code_challenge") else {
        return Ok(None);
    };
    if !is_pkce_text(&challenge) {
        let message = "Invalid size of Code_Challenge parameter.";
        return Err(AadError::new("invalid_request", 501_491, message));
    }
    // A challenge without a method is taken as plain.
    match query.value("code_challenge_method") {
        Some("S256") => Ok(Some(CodeChallenge::S256(challenge))),
        None | Some("plain") => Ok(Some(CodeChallenge::Plain(challenge))),
        Some(other) => Err(AadError::new(
            "invalid_request",
            50_147,
            format!("The code challenge method '{other}' is not supported."),
        )),
    }
}

fn find(world: &World, hint: &str) -> Option<String> {
    world
        .account(hint)
        .filter(|account| account.vendor() == Vendor::Microsoft)
        .map(|account| account.address.clone())
}

/// `prompt=none`: an answer at once or an error, never a page.
fn without_asking(state: &State, request: &MicrosoftAsked, account: Option<&str>) -> Response {
    let Some(account) = account else {
        let message = "A silent sign-in request was sent but no user is signed in.";
        let error = AadError::new("login_required", 50_058, message);
        return send_error(state, &request.asked, request.mode, &error);
    };
    let allowed = state
        .world()
        .tokens
        .consented(&request.asked.client_id, account);
    if request
        .asked
        .scopes
        .iter()
        .all(|name| allowed.contains(*name))
    {
        return grant(state, request, account);
    }
    let error =
        AadError::not_consented(&request.asked.client_id).with_error("interaction_required");
    send_error(state, &request.asked, request.mode, &error)
}

/// Keeps what the person allowed and sends the code to the application.
fn grant(state: &State, request: &MicrosoftAsked, account: &str) -> Response {
    match issue(state, request, account) {
        Ok(code) => send_back(&request.asked, request.mode, &[("code", &code)]),
        Err(Refusal::Shown(error)) => error_page(state, error),
        Err(Refusal::Sent(error)) => send_error(state, &request.asked, request.mode, &error),
    }
}

/// Why there is no code, and who learns of it.
pub(super) enum Refusal {
    Shown(AadError),
    Sent(AadError),
}

fn issue(state: &State, request: &MicrosoftAsked, account: &str) -> Result<String, Refusal> {
    let asked = &request.asked;
    let mut world = state.world();
    let personal = world
        .account(account)
        .is_some_and(|account| account.tenant == PERSONAL);
    refuse_user(state, personal)?;
    if admin_consent::is_missing(state, &world, account, &asked.scopes) {
        return Err(Refusal::Sent(admin_consent::needed()));
    }
    let grant = allow(
        &mut world,
        request.door,
        &asked.client_id,
        &asked.scopes,
        account,
    )?;
    let offline = grant.scopes.contains("offline_access");
    let code = AuthorizationCode {
        grant,
        expires: state.clock.monotonic() + CODE_LIFETIME,
        used: false,
        redirect_uri: asked.redirect_uri.clone(),
        challenge: asked.challenge.clone(),
        nonce: asked.nonce.clone(),
        offline,
        tenant: Some(format!("{:?}", request.door)),
    };
    let prefix = if personal {
        "M.C544_BAY.2.U"
    } else {
        "1.AXoAUn8aPA"
    };
    Ok(issue_code(&mut world, prefix, code))
}

/// What a person who came through this door gives the application.
pub(super) fn allow(
    world: &mut World,
    door: Door,
    client_id: &str,
    asked: &[&'static str],
    account: &str,
) -> Result<Grant, Refusal> {
    let account = find(world, account)
        .and_then(|address| world.account(&address))
        .ok_or_else(|| {
            let message = "The user account does not exist in the directory. To sign into this application, the \
                           account must be added to the directory.";
            Refusal::Shown(AadError::new("invalid_grant", 50_034, message))
        })?;
    if account.shared.is_some() {
        // <https://learn.microsoft.com/en-us/microsoft-365/admin/email/create-a-shared-mailbox#block-sign-in-for-the-shared-mailbox-account>
        let message =
            "The user account is disabled. The account has been disabled by an administrator.";
        return Err(Refusal::Shown(AadError::new(
            "invalid_grant",
            50_057,
            message,
        )));
    }
    if !door.lets_in(account) {
        // <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>
        return Err(Refusal::Shown(match door {
            Door::Organisation => AadError::new(
                "invalid_grant",
                50_020,
                format!(
                    "User account '{{EmailHidden}}' from identity provider 'live.com' does not exist in tenant \
                     '{ORGANISATION_DOMAIN}' and cannot access the application in that tenant."
                ),
            ),
            _ => AadError::new(
                "invalid_request",
                500_208,
                "The domain is not a valid login domain for the account type.",
            ),
        }));
    }
    let (address, personal) = (account.address.clone(), account.tenant == PERSONAL);
    if personal && asked.iter().any(|name| name.ends_with(".Shared")) {
        // Other people's mailboxes exist only in organisations.
        // <https://learn.microsoft.com/en-us/graph/permissions-reference#mailreadshared>
        let message = "The provided value for the input parameter 'scope' is not valid. The scope requested is \
                       not available to personal accounts.";
        return Err(Refusal::Sent(AadError::new(
            "invalid_scope",
            70_011,
            message,
        )));
    }
    let mut scopes: BTreeSet<String> = asked.iter().map(|name| (*name).to_owned()).collect();
    if !personal {
        // An organisation's tokens carry what was granted before, too.
        // <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow>
        scopes.extend(
            world
                .tokens
                .consented(client_id, &address)
                .into_iter()
                .filter(|name| !scope::is_identity(name)),
        );
    }
    world
        .tokens
        .consent(client_id, &address, scopes.iter().cloned());
    Ok(world.grant(address, client_id.to_owned(), scopes))
}

fn send_error(state: &State, asked: &Asked, mode: Mode, error: &AadError) -> Response {
    let uri = error.uri();
    let description = error.describe(state);
    send_back(
        asked,
        mode,
        &[
            ("error", error.error),
            ("error_description", &description),
            ("error_uri", &uri),
        ],
    )
}

fn send_back(asked: &Asked, mode: Mode, fields: &[(&str, &str)]) -> Response {
    let state = asked.state.iter().map(|state| ("state", state.as_str()));
    let fields: Vec<(String, String)> = fields
        .iter()
        .copied()
        .chain(state)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let target = match mode {
        Mode::Query => with_query(&asked.redirect_uri, &fields),
        Mode::Fragment => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&fields);
            format!("{}#{}", asked.redirect_uri, query.finish())
        }
        Mode::FormPost => return page::form_post(&asked.redirect_uri, &fields),
    };
    (StatusCode::FOUND, [(header::LOCATION, target)]).into_response()
}
