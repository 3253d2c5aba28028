//! Google's token endpoint, revocation and user information.
//! <https://developers.google.com/identity/protocols/oauth2/web-server>

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::super::tokens::{Grant, RefreshLife, idle_life, remaining};
use super::super::super::world::World;
use super::super::super::{Misconfiguration, State, Vendor};
use super::super::{
    Parameters, issue_access, issue_refresh, lifetime, scope, token_form, verifies,
};
use super::{service_account, spelled};

/// `POST /token`
pub(in super::super) async fn exchange(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = token_form(&headers, &body);
    match answer(&state, &form) {
        Ok(body) => (no_store(), Json(body)).into_response(),
        Err(error) => error.into_response(),
    }
}

fn answer(state: &State, form: &Parameters) -> Result<Value, TokenError> {
    let bad =
        |error, description: &str| TokenError::new(StatusCode::BAD_REQUEST, error, description);
    if let Some(name) = &form.repeated {
        return Err(bad(
            "invalid_request",
            &format!("OAuth 2 parameters can only have a single value: {name}"),
        ));
    }
    if form.value("grant_type") == Some(service_account::GRANT_TYPE) {
        return service_account::answer(state, form);
    }
    let client_id = form.value("client_id").ok_or_else(|| {
        bad(
            "invalid_request",
            "Could not determine client ID from request.",
        )
    })?;
    if client_id != state.google.client_id {
        return Err(TokenError::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "The OAuth client was not found.",
        ));
    }
    // <https://developers.google.com/identity/protocols/oauth2/web-server#exchange-errors>
    for (how, error, description) in [
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
            return Err(TokenError::new(
                StatusCode::UNAUTHORIZED,
                error,
                description,
            ));
        }
    }
    // Desktop clients have a secret too, and must send it.
    // <https://developers.google.com/identity/protocols/oauth2/native-app#exchange-authorization-code>
    let secret = form
        .value("client_secret")
        .ok_or_else(|| bad("invalid_request", "client_secret is missing."))?;
    if secret != state.google.client_secret {
        return Err(TokenError::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "The provided client secret is invalid.",
        ));
    }
    match form.value("grant_type") {
        None => Err(bad(
            "invalid_request",
            "Required parameter is missing: grant_type",
        )),
        Some("authorization_code") => redeem(state, form, client_id),
        Some("refresh_token") => refresh(state, form, client_id),
        Some(other) => Err(bad(
            "unsupported_grant_type",
            &format!("Invalid grant_type: {other}"),
        )),
    }
}

fn redeem(state: &State, form: &Parameters, client_id: &str) -> Result<Value, TokenError> {
    let bad =
        |error, description: &str| TokenError::new(StatusCode::BAD_REQUEST, error, description);
    let text = form
        .value("code")
        .ok_or_else(|| bad("invalid_request", "Missing required parameter: code"))?;
    let redirect_uri = form
        .value("redirect_uri")
        .ok_or_else(|| bad("invalid_request", "Missing parameter: redirect_uri"))?;
    let now = state.clock.monotonic();
    let mut world = state.world();
    let Some(code) = world.tokens.codes.get_mut(text) else {
        return Err(bad("invalid_grant", "Malformed auth code."));
    };
    if code.used || code.expires <= now || code.grant.client_id != client_id {
        return Err(bad("invalid_grant", "Bad Request"));
    }
    // The very URL that the code was sent to. <https://github.com/morgoth/picasa/issues/39>
    if code.redirect_uri != redirect_uri {
        return Err(bad("redirect_uri_mismatch", "Bad Request"));
    }
    match (&code.challenge, form.value("code_verifier")) {
        (Some(challenge), Some(verifier)) if verifies(challenge, verifier) => {}
        (Some(_), Some(_)) | (None, Some(_)) => {
            return Err(bad("invalid_grant", "Invalid code verifier."));
        }
        (Some(_), None) => return Err(bad("invalid_grant", "Missing code verifier.")),
        (None, None) => {}
    }
    code.used = true;
    let code = code.clone();
    let life = RefreshLife {
        ends: longest(state, &code.grant).map(|life| now + life),
        in_browser: false,
    };
    let (grant, vendor) = (code.grant.clone(), Vendor::Google);
    let refresh = code
        .offline
        .then(|| issue_refresh(&mut world, state, vendor, grant, life));
    let mut body = tokens(&mut world, state, &code.grant, code.nonce.as_deref());
    if let (Some(token), Some(fields)) = (refresh, body.as_object_mut()) {
        fields.insert("refresh_token".to_owned(), Value::String(token));
        if let Some(seconds) = remaining(life, now) {
            fields.insert("refresh_token_expires_in".to_owned(), json!(seconds));
        }
    }
    Ok(body)
}

/// How long the grant may be refreshed at most: what its user allowed, and seven days of an application in testing that
/// asks for more than who the user is.
/// <https://developers.google.com/identity/protocols/oauth2#expiration>
fn longest(state: &State, grant: &Grant) -> Option<Duration> {
    const TESTING: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    let testing = !state.settings.test_users.is_empty()
        && !grant.scopes.iter().all(|name| scope::is_identity(name));
    let limits = [
        testing.then_some(TESTING),
        state.settings.time_limited_access,
    ];
    limits.into_iter().flatten().min()
}

/// Google gives a new access token and keeps the refresh token as it is.
/// <https://developers.google.com/identity/protocols/oauth2/web-server#offline>
fn refresh(state: &State, form: &Parameters, client_id: &str) -> Result<Value, TokenError> {
    let bad =
        |error, description: &str| TokenError::new(StatusCode::BAD_REQUEST, error, description);
    let text = form.value("refresh_token").ok_or_else(|| {
        bad(
            "invalid_request",
            "Missing required parameter: refresh_token",
        )
    })?;
    let mut world = state.world();
    let Some(known) = world.tokens.refresh.get(text) else {
        let description = if world.tokens.is_revoked(text) {
            "Token has been expired or revoked."
        } else {
            "Bad Request"
        };
        return Err(bad("invalid_grant", description));
    };
    if known.grant.client_id != client_id {
        return Err(TokenError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized_client",
            "Unauthorized",
        ));
    }
    if world.tokens.is_challenged(&known.grant.account) {
        // <https://developers.google.com/identity/protocols/oauth2#gcp>
        return Err(TokenError {
            subtype: Some("invalid_rapt"),
            ..bad("invalid_grant", "reauth related error (invalid_rapt)")
        });
    }
    let now = state.clock.monotonic();
    if known.idle_until <= now || known.life.ends.is_some_and(|ends| ends <= now) {
        return Err(bad("invalid_grant", "Token has been expired or revoked."));
    }
    let (mut grant, life) = (known.grant.clone(), known.life);
    if let Some(known) = world.tokens.refresh.get_mut(text) {
        known.idle_until = now + idle_life(Vendor::Google);
    }
    if form.value("scope").is_some() {
        let mut narrowed = BTreeSet::new();
        for asked in form.words("scope") {
            match scope::google(asked).filter(|name| grant.scopes.contains(*name)) {
                Some(name) => narrowed.insert(name.to_owned()),
                None => {
                    return Err(bad("invalid_scope", "Some requested scopes were invalid."));
                }
            };
        }
        grant.scopes = narrowed;
    }
    let mut body = tokens(&mut world, state, &grant, None);
    if let (Some(seconds), Some(fields)) = (remaining(life, now), body.as_object_mut()) {
        fields.insert("refresh_token_expires_in".to_owned(), json!(seconds));
    }
    Ok(body)
}

/// The answer with an access token, and an id_token where identity was asked for.
fn tokens(world: &mut World, state: &State, grant: &Grant, nonce: Option<&str>) -> Value {
    let access = issue_access(world, state, Vendor::Google, grant.clone());
    let id_token = id_token(world, state, grant, nonce, &access);
    let mut body = json!({
        "access_token": access,
        "expires_in": lifetime(state),
        "scope": spelled(&grant.scopes),
        "token_type": "Bearer",
    });
    if let (Some(token), Some(fields)) = (id_token, body.as_object_mut()) {
        fields.insert("id_token".to_owned(), Value::String(token));
    }
    body
}

/// <https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload>
fn id_token(
    world: &World,
    state: &State,
    grant: &Grant,
    nonce: Option<&str>,
    access: &str,
) -> Option<String> {
    let has = |scope: &str| grant.scopes.contains(scope);
    if !has("openid") {
        return None;
    }
    let account = world.account(&grant.account)?;
    let now = state.clock.now().timestamp();
    let digest = Sha256::digest(access);
    let half = digest.get(..16).unwrap_or_default();
    let mut claims = json!({
        "iss": "https://accounts.google.com",
        "azp": grant.client_id,
        "aud": grant.client_id,
        "sub": account.subject,
        "at_hash": URL_SAFE_NO_PAD.encode(half),
        "iat": now,
        "exp": now + 3600,
    });
    let fields = claims.as_object_mut()?;
    if let Some(nonce) = nonce {
        fields.insert("nonce".to_owned(), json!(nonce));
    }
    if has("https://www.googleapis.com/auth/userinfo.email") {
        fields.insert("email".to_owned(), json!(account.address));
        fields.insert("email_verified".to_owned(), json!(true));
    }
    if has("https://www.googleapis.com/auth/userinfo.profile") {
        fields.insert("name".to_owned(), json!(account.display_name));
    }
    state.signing_keys.sign(Vendor::Google, &claims)
}

/// `POST /revoke`: whichever token is given, every grant of that user to the client ends.
/// <https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke>
pub(in super::super) async fn revoke(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    let form = token_form(&headers, &body);
    let query = Parameters::read(uri.query().unwrap_or_default().as_bytes());
    let Some(token) = form.value("token").or_else(|| query.value("token")) else {
        return TokenError::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Missing required parameter: token",
        )
        .into_response();
    };
    let now = state.clock.monotonic();
    let mut world = state.world();
    let grant = world
        .tokens
        .refresh
        .get(token)
        .map(|refresh| refresh.grant.clone())
        .or_else(|| world.tokens.bearer(token, now).cloned());
    match grant {
        Some(grant) => {
            world.tokens.revoke_client(&grant.account, &grant.client_id);
            Json(json!({})).into_response()
        }
        None => TokenError::new(
            StatusCode::BAD_REQUEST,
            "invalid_token",
            "Token expired or revoked",
        )
        .into_response(),
    }
}

/// The OpenID Connect user information.
pub(in super::super) async fn user(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    let world = state.world();
    let grant = world.tokens.bearer(token, state.clock.monotonic());
    let account = grant.and_then(|grant| world.account(&grant.account));
    let (Some(grant), Some(account)) = (grant, account) else {
        return TokenError::new(
            StatusCode::UNAUTHORIZED,
            "invalid_request",
            "Invalid Credentials",
        )
        .into_response();
    };
    let mut body = json!({"sub": account.subject});
    if let Some(fields) = body.as_object_mut() {
        if grant
            .scopes
            .contains("https://www.googleapis.com/auth/userinfo.email")
        {
            fields.insert("email".to_owned(), json!(account.address));
            fields.insert("email_verified".to_owned(), json!(true));
        }
        if grant
            .scopes
            .contains("https://www.googleapis.com/auth/userinfo.profile")
        {
            fields.insert("name".to_owned(), json!(account.display_name));
        }
    }
    Json(body).into_response()
}

fn no_store() -> [(header::HeaderName, &'static str); 2] {
    [
        (
            header::CACHE_CONTROL,
            "no-cache, no-store, max-age=0, must-revalidate",
        ),
        (header::PRAGMA, "no-cache"),
    ]
}

/// An error of the token endpoint.
/// <https://developers.google.com/identity/protocols/oauth2/web-server#exchange-errors>
pub(super) struct TokenError {
    status: StatusCode,
    error: &'static str,
    description: String,
    /// Google's own field.
    subtype: Option<&'static str>,
}

impl TokenError {
    pub(super) fn new(
        status: StatusCode,
        error: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self {
            status,
            error,
            description: description.into(),
            subtype: None,
        }
    }

    fn into_response(self) -> Response {
        let mut body = json!({"error": self.error, "error_description": self.description});
        if let (Some(subtype), Some(fields)) = (self.subtype, body.as_object_mut()) {
            fields.insert("error_subtype".to_owned(), json!(subtype));
        }
        (self.status, no_store(), Json(body)).into_response()
    }
}
