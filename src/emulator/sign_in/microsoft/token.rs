//! Microsoft's token endpoint: codes and refresh tokens against access tokens and id_tokens.
//! <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow>

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::super::super::tokens::{Grant, RefreshLife, remaining};
use super::super::super::world::World;
use super::super::super::{Rotation, State, Vendor};
use super::super::{
    Parameters, issue_access, issue_refresh, lifetime, scope, token_form, verifies,
};
use super::error::AadError;
use super::misconfigured::{refuse_application, refuse_code};
use super::{Door, PERSONAL, application, device, read_scopes};

/// `POST /{tenant}/oauth2/v2.0/token`
pub(in super::super) async fn exchange(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = token_form(&headers, &body);
    let in_browser = headers.contains_key(header::ORIGIN);
    match answer(&state, &tenant, &form, in_browser) {
        Ok(body) => {
            let headers = [
                (header::CACHE_CONTROL, "no-store, no-cache"),
                (header::PRAGMA, "no-cache"),
            ];
            (headers, Json(body)).into_response()
        }
        Err(error) => error.into_response(&state),
    }
}

fn answer(
    state: &State,
    tenant: &str,
    form: &Parameters,
    in_browser: bool,
) -> Result<Value, AadError> {
    let door = Door::read(tenant).ok_or_else(|| AadError::tenant(tenant))?;
    let grant_type = form
        .value("grant_type")
        .ok_or_else(|| AadError::missing("grant_type"))?;
    let client_id = form
        .value("client_id")
        .ok_or_else(|| AadError::missing("client_id"))?;
    if !client_id.eq_ignore_ascii_case(&state.microsoft.client_id) {
        return Err(AadError::client(client_id));
    }
    refuse_application(state, door, client_id, form.value("client_secret"))?;
    application::authenticate(state, door, client_id, form, in_browser)?;
    match grant_type {
        "authorization_code" => redeem(state, door, form, in_browser),
        "refresh_token" => refresh(state, door, form, in_browser),
        "client_credentials" => application::answer(state, door, form),
        device::GRANT_TYPE => device::redeem(state, door, form),
        other => Err(AadError::new(
            "unsupported_grant_type",
            70_003,
            format!("The app requested an unsupported grant type '{other}'."),
        )),
    }
}

fn redeem(
    state: &State,
    door: Door,
    form: &Parameters,
    in_browser: bool,
) -> Result<Value, AadError> {
    let text = form
        .value("code")
        .ok_or_else(|| AadError::missing("code"))?;
    let redirect_uri = form
        .value("redirect_uri")
        .ok_or_else(|| AadError::missing("redirect_uri"))?;
    let now = state.clock.monotonic();
    let mut world = state.world();
    let Some(code) = world.tokens.codes.get(text).cloned() else {
        let message = "Provided grant is invalid or malformed.";
        return Err(AadError::new("invalid_grant", 70_000, message));
    };
    refuse_code(state, in_browser)?;
    if code.used {
        let message = "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use \
                       an existing refresh token.";
        return Err(AadError::new("invalid_grant", 54_005, message));
    }
    if code.expires <= now {
        let message = "The provided authorization code or refresh token has expired due to inactivity. Send a \
                       new interactive authorization request for this user and resource.";
        return Err(AadError::new("invalid_grant", 70_008, message));
    }
    if code.tenant.as_deref() != Some(&format!("{door:?}")) {
        let message =
            "Provided Authorization Code is intended to use against other tenant, thus rejected.";
        return Err(AadError::new("invalid_grant", 700_005, message));
    }
    if code.redirect_uri != redirect_uri {
        let message = format!(
            "The reply address '{redirect_uri}' does not match the reply address '{}' provided when requesting \
             Authorization code.",
            code.redirect_uri
        );
        return Err(AadError::new("invalid_grant", 500_112, message));
    }
    match (&code.challenge, form.value("code_verifier")) {
        (None, None) => {}
        (Some(challenge), Some(verifier)) if verifies(challenge, verifier) => {}
        (Some(_), None) => {
            let message = "The size of the code verifier parameter isn't valid: it is required.";
            return Err(AadError::new("invalid_grant", 50_148, message));
        }
        _ => {
            let message = "The Code_Verifier does not match the code_challenge supplied in the authorization \
                           request.";
            return Err(AadError::new("invalid_grant", 501_481, message));
        }
    }
    let grant = narrowed(form, state, door, &world, &code.grant)?;
    if let Some(code) = world.tokens.codes.get_mut(text) {
        code.used = true;
    }
    // <https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens#token-lifetime>
    let life = RefreshLife {
        ends: in_browser.then(|| now + Duration::from_secs(24 * 60 * 60)),
        in_browser,
    };
    let (whole, vendor) = (code.grant.clone(), Vendor::Microsoft);
    let refresh = code
        .offline
        .then(|| issue_refresh(&mut world, state, vendor, whole, life));
    let nonce = code.nonce.as_deref();
    let mut body = tokens(&mut world, state, &grant, nonce, refresh);
    announce(&mut body, life, now);
    Ok(body)
}

/// Says when refreshing ends, where that is settled.
fn announce(body: &mut Value, life: RefreshLife, now: Duration) {
    if let (Some(seconds), Some(fields)) = (remaining(life, now), body.as_object_mut())
        && fields.contains_key("refresh_token")
    {
        fields.insert("refresh_token_expires_in".to_owned(), json!(seconds));
    }
}

/// A new refresh token comes with each answer; what becomes of the old one is the emulator's setting.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens>
fn refresh(
    state: &State,
    door: Door,
    form: &Parameters,
    in_browser: bool,
) -> Result<Value, AadError> {
    let text = form
        .value("refresh_token")
        .ok_or_else(|| AadError::missing("refresh_token"))?;
    let mut world = state.world();
    let Some(known) = world.tokens.refresh.get(text).cloned() else {
        let was_known = world.tokens.is_revoked(text);
        return Err(if was_known {
            AadError::revoked()
        } else {
            AadError::malformed_token()
        });
    };
    let now = state.clock.monotonic();
    if known.life.in_browser && !in_browser {
        return Err(AadError::only_in_browsers());
    }
    if known.life.ends.is_some_and(|ends| ends <= now) {
        let message = "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited \
                       lifetime, which cannot be extended. It is now expired and a new sign in request must be sent \
                       by the SPA to the sign in page.";
        return Err(AadError::new("invalid_grant", 700_084, message));
    }
    if known.idle_until <= now {
        let message = "The refresh token has expired due to inactivity. The token was inactive for 90.00:00:00.";
        return Err(AadError::new("invalid_grant", 700_082, message));
    }
    let account = world
        .account(&known.grant.account)
        .ok_or_else(AadError::malformed_token)?;
    let personal = account.tenant == PERSONAL;
    // A token goes back to the door it came from, or to `common`.
    // <https://github.com/huacnlee/omamail/issues/230>
    if !door.lets_in(account) {
        return Err(AadError::malformed_token());
    }
    if world.tokens.is_challenged(&known.grant.account) {
        return Err(AadError::interaction_required());
    }
    if known.superseded && state.settings.rotation == Rotation::RevokesOld {
        let grant = known.grant.clone();
        world.tokens.revoke_family(grant.family);
        return Err(AadError::revoked());
    }
    let grant = narrowed(form, state, door, &world, &known.grant)?;
    // A personal account's answer has a refresh token only if the named scopes ask for one.
    // <https://github.com/AzureAD/microsoft-authentication-library-for-js/issues/2195>
    let named = form.words("scope");
    let asks_offline = named.is_empty()
        || named
            .iter()
            .any(|word| word.eq_ignore_ascii_case("offline_access"));
    let refresh = (!personal || asks_offline).then(|| {
        if let Some(old) = world.tokens.refresh.get_mut(text) {
            old.superseded = true;
        }
        let (whole, vendor) = (known.grant.clone(), Vendor::Microsoft);
        issue_refresh(&mut world, state, vendor, whole, known.life)
    });
    let mut body = tokens(&mut world, state, &grant, None, refresh);
    announce(&mut body, known.life, now);
    Ok(body)
}

/// The part of a grant that a token request names, or all of it.
fn narrowed(
    form: &Parameters,
    state: &State,
    door: Door,
    world: &World,
    grant: &Grant,
) -> Result<Grant, AadError> {
    if form.value("scope").is_none() {
        return Ok(grant.clone());
    }
    let personal = world
        .account(&grant.account)
        .is_some_and(|account| account.tenant == PERSONAL);
    let asked = read_scopes(form, door, state)?;
    let is_default = form
        .words("scope")
        .iter()
        .any(|word| word.ends_with(".default"));
    let not_granted = asked
        .iter()
        .any(|name| !grant.scopes.contains(*name) && !scope::is_identity(name));
    if not_granted && !is_default {
        // The same mistake under two names: <https://github.com/ZeroPointSix/outlookEmailPlus/issues/107>
        return Err(if personal {
            AadError::new(
                "invalid_grant",
                70_000,
                "The request was denied because one or more scopes requested are unauthorized or expired. \
                 The user must first sign in and grant the client application access to the requested scope.",
            )
        } else {
            AadError::not_consented(&grant.client_id)
        });
    }
    let mut narrowed = grant.clone();
    if personal {
        narrowed.scopes = asked
            .iter()
            .filter(|name| grant.scopes.contains(**name))
            .map(|name| (*name).to_owned())
            .collect();
    }
    Ok(narrowed)
}

pub(super) fn tokens(
    world: &mut World,
    state: &State,
    grant: &Grant,
    nonce: Option<&str>,
    refresh: Option<String>,
) -> Value {
    let access = issue_access(world, state, Vendor::Microsoft, grant.clone());
    let id_token = id_token(world, state, grant, nonce);
    let personal = world
        .account(&grant.account)
        .is_some_and(|account| account.tenant == PERSONAL);
    let lifetime = lifetime(state);
    let mut body = json!({
        "token_type": "Bearer",
        "scope": spelled(&grant.scopes, personal),
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": access,
    });
    if let Some(fields) = body.as_object_mut() {
        if let Some(token) = refresh {
            fields.insert("refresh_token".to_owned(), Value::String(token));
        }
        if let Some(token) = id_token {
            fields.insert("id_token".to_owned(), Value::String(token));
        }
    }
    body
}

/// Scopes as the answer spells them: never `offline_access`, and with or without the resource's prefix.
/// <https://github.com/O365/python-o365/issues/518>
fn spelled(scopes: &BTreeSet<String>, personal: bool) -> String {
    let words: Vec<String> = scopes
        .iter()
        .rev()
        .filter(|name| *name != "offline_access")
        .map(|name| {
            if personal || scope::is_identity(name) {
                name.clone()
            } else {
                format!("{}{name}", scope::GRAPH)
            }
        })
        .collect();
    words.join(" ")
}

/// <https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference>
fn id_token(world: &World, state: &State, grant: &Grant, nonce: Option<&str>) -> Option<String> {
    let has = |scope: &str| grant.scopes.contains(scope);
    if !has("openid") {
        return None;
    }
    let account = world.account(&grant.account)?;
    let now = state.clock.now().timestamp();
    let mut claims = json!({
        "ver": "2.0",
        "iss": format!("https://login.microsoftonline.com/{}/v2.0", account.tenant),
        // Pairwise: another application would see another value.
        "sub": format!("AAAA{}", account.subject.replace('-', "")),
        "aud": grant.client_id,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "tid": account.tenant,
    });
    let fields = claims.as_object_mut()?;
    if let Some(nonce) = nonce {
        fields.insert("nonce".to_owned(), json!(nonce));
    }
    // What names the user across applications comes only with `profile`.
    if has("profile") {
        fields.insert("oid".to_owned(), json!(account.subject));
        fields.insert("name".to_owned(), json!(account.display_name));
        fields.insert("preferred_username".to_owned(), json!(account.address));
    }
    if has("email") {
        fields.insert("email".to_owned(), json!(account.address));
    }
    state.signing_keys.sign(Vendor::Microsoft, &claims)
}
