//! The sign-in of both vendors: routes to the consent pages and token endpoints, and what the two have in
//! common. Each vendor's rules are in the folder of its name; who holds which token is in `tokens`.

mod assertion;
mod google;
mod identity;
mod microsoft;
mod page;
mod scope;
mod visitor;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::State;
use super::Vendor;
use super::tokens::{
    AuthorizationCode, CodeChallenge, Grant, RefreshLife, RefreshToken, idle_life,
};
use super::world::World;

pub(crate) use assertion::{CERTIFICATE, PRIVATE_KEY};
pub(crate) use google::service_account::key_file as service_account_key;
pub(crate) use identity::SigningKeys;
pub(crate) use microsoft::{ORGANISATION, PERSONAL};
pub(crate) use visitor::{Choice, visit, visit_device};

/// Google's `/o/oauth2/v2/auth`, `/token`, `/revoke` and what its discovery document names beside them.
pub(crate) fn google(state: &Arc<State>) -> Router {
    Router::new()
        .route(
            "/o/oauth2/v2/auth",
            get(google::consent::show).post(google::consent::decide),
        )
        .route("/token", post(google::token::exchange))
        .route("/revoke", post(google::token::revoke))
        .route(
            "/v1/userinfo",
            get(google::token::user).post(google::token::user),
        )
        .route("/.well-known/openid-configuration", get(google::discovery))
        .route("/oauth2/v3/certs", get(identity::google_keys))
        .with_state(Arc::clone(state))
}

/// Microsoft's `/{tenant}/oauth2/v2.0/...` and its discovery documents.
pub(crate) fn microsoft(state: &Arc<State>) -> Router {
    Router::new()
        .route(
            "/{tenant}/oauth2/v2.0/authorize",
            get(microsoft::consent::show).post(microsoft::consent::decide),
        )
        .route(
            "/{tenant}/oauth2/v2.0/token",
            post(microsoft::token::exchange),
        )
        .route(
            "/{tenant}/oauth2/v2.0/devicecode",
            post(microsoft::device::begin),
        )
        .route(
            "/{tenant}/oauth2/deviceauth",
            get(microsoft::device::show).post(microsoft::device::decide),
        )
        .route(
            "/{tenant}/v2.0/adminconsent",
            get(microsoft::admin_consent::show).post(microsoft::admin_consent::decide),
        )
        .route("/{tenant}/oauth2/v2.0/logout", get(microsoft::logout))
        .route(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            get(microsoft::discovery),
        )
        .route(
            "/{tenant}/discovery/v2.0/keys",
            get(identity::microsoft_keys),
        )
        .with_state(Arc::clone(state))
}

/// What an application asked of the consent page, after all checks.
#[derive(Debug)]
struct Asked {
    client_id: String,
    redirect_uri: String,
    /// In the vendor's own spelling, in the order in which they were asked.
    scopes: Vec<&'static str>,
    state: Option<String>,
    challenge: Option<CodeChallenge>,
    nonce: Option<String>,
    login_hint: Option<String>,
    prompt: BTreeSet<String>,
}

/// What the person at the consent page decided.
#[derive(Debug, Default)]
struct Decision {
    account: String,
    allowed: bool,
    ticked: BTreeSet<String>,
}

impl Decision {
    fn read(form: &[u8]) -> Self {
        let mut decision = Self::default();
        for (name, value) in url::form_urlencoded::parse(form) {
            match name.as_ref() {
                "account" => decision.account = value.into_owned(),
                "decision" => decision.allowed = value == "allow",
                "scope" => {
                    decision.ticked.insert(value.into_owned());
                }
                _ => {}
            }
        }
        decision
    }
}

/// Named values of a query or form; the name of the first value that came twice is kept, because the
/// vendors refuse such requests.
#[derive(Debug, Default)]
struct Parameters {
    values: BTreeMap<String, String>,
    repeated: Option<String>,
}

impl Parameters {
    fn read(encoded: &[u8]) -> Self {
        let mut parameters = Self::default();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            let before = parameters
                .values
                .insert(name.clone().into_owned(), value.into_owned());
            if before.is_some() && parameters.repeated.is_none() {
                parameters.repeated = Some(name.into_owned());
            }
        }
        parameters
    }

    /// A value that is there and not empty.
    fn value(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }

    fn words(&self, name: &str) -> Vec<&str> {
        self.value(name)
            .map(|value| value.split_ascii_whitespace().collect())
            .unwrap_or_default()
    }
}

/// The form of a token request, with the client's credentials taken from the `Authorization` header if
/// they are there: both vendors accept either place.
/// <https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1>
fn token_form(headers: &HeaderMap, body: &[u8]) -> Parameters {
    let is_form = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let mut form = if is_form {
        Parameters::read(body)
    } else {
        Parameters::default()
    };
    let basic = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|decoded| String::from_utf8(decoded).ok());
    if let Some((id, secret)) = basic.as_deref().and_then(|pair| pair.split_once(':')) {
        for (name, value) in [("client_id", id), ("client_secret", secret)] {
            let decoded = url::form_urlencoded::parse(format!("v={value}").as_bytes())
                .next()
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default();
            form.values.insert(name.to_owned(), decoded);
        }
    }
    form
}

/// Whether a redirect goes to the user's own machine, at any port.
fn is_loopback(redirect_uri: &str, hosts: &[&str]) -> bool {
    Url::parse(redirect_uri).is_ok_and(|url| {
        url.scheme() == "http"
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.host_str().is_some_and(|host| hosts.contains(&host))
    })
}

/// The redirect with `fields` added to its query.
fn with_query(redirect_uri: &str, fields: &[(String, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(fields);
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    format!("{redirect_uri}{separator}{}", query.finish())
}

/// Why a PKCE challenge cannot be right, if so: 43 to 128 unreserved characters.
/// <https://www.rfc-editor.org/rfc/rfc7636#section-4.1>
fn is_pkce_text(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Whether `verifier` is what the challenge was made of.
fn verifies(challenge: &CodeChallenge, verifier: &str) -> bool {
    if !is_pkce_text(verifier) {
        return false;
    }
    match challenge {
        CodeChallenge::Plain(expected) => expected == verifier,
        CodeChallenge::S256(expected) => {
            *expected == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
        }
    }
}

fn issue_access(world: &mut World, state: &State, vendor: Vendor, grant: Grant) -> String {
    let expires = state.clock.monotonic() + state.settings.access_token_lifetime;
    world.issue_access_token(vendor, grant, expires)
}

/// The value of `expires_in`.
fn lifetime(state: &State) -> Value {
    let seconds = state.settings.access_token_lifetime.as_secs();
    if state.settings.text_expires_in {
        Value::String(seconds.to_string())
    } else {
        Value::from(seconds)
    }
}

fn issue_refresh(
    world: &mut World,
    state: &State,
    vendor: Vendor,
    grant: Grant,
    life: RefreshLife,
) -> String {
    // Both vendors' refresh tokens have characters that a form must encode.
    let prefix = match vendor {
        Vendor::Google => "1//0",
        Vendor::Microsoft => "M.C544_BAY.-",
    };
    let token = format!("{prefix}{}!*$", world.opaque(90));
    world.tokens.refresh.insert(
        token.clone(),
        RefreshToken {
            grant,
            superseded: false,
            life,
            idle_until: state.clock.monotonic() + idle_life(vendor),
        },
    );
    token
}

fn issue_code(world: &mut World, prefix: &str, code: AuthorizationCode) -> String {
    // Codes have characters that a query must encode.
    let text = format!("{prefix}/{}", world.opaque(60));
    world.tokens.codes.insert(text.clone(), code);
    text
}
