//! Who signed in: the claims of an `id_token` that came straight from the token endpoint over TLS, where its signature
//! need not be checked (<https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>, point 6).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::server::Endpoints;
use crate::credentials::{Identity, Service};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// What is expected of an `id_token`.
pub(super) struct Expected<'a> {
    pub(super) service: &'a Service,
    pub(super) endpoints: &'a Endpoints,
    pub(super) client_id: &'a str,
    pub(super) tenant: Option<&'a str>,
    /// What the sign-in asked the token to repeat; a device's asks nothing, as no browser comes back from it.
    pub(super) nonce: Option<&'a Secret>,
    pub(super) now: DateTime<Utc>,
}

/// Who signed in, and what else the token says about them.
pub(super) struct User {
    pub(super) identity: Identity,
    pub(super) addresses: Vec<String>,
    pub(super) display_name: Option<String>,
}

/// Claims of both services (<https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload>,
/// <https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference>).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: f64,
    sub: String,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    tid: Option<String>,
    #[serde(default)]
    oid: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    preferred_username: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// How far the service's clock and the one that we compare with may be apart.
const LEEWAY: TimeDelta = TimeDelta::minutes(5);

/// The tenant of all personal Microsoft accounts
/// (<https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference#payload-claims>).
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Reads an `id_token` and checks that it is for this sign-in.
pub(super) fn read(token: &Secret, expected: &Expected<'_>) -> Result<User> {
    let claims = decode(token).ok_or_else(|| {
        refused(
            "id_token_malformed",
            "the service's id_token cannot be read",
        )
    })?;
    let issuer_tenant = match expected.service {
        Service::Microsoft => Some(claims.tid.as_deref().unwrap_or_default()),
        _ => None,
    };
    if !expected.endpoints.is_issuer(&claims.iss, issuer_tenant) {
        return Err(refused(
            "id_token_issuer",
            "the id_token is another issuer's",
        ));
    }
    let (for_us, for_others) = match &claims.aud {
        Audience::One(one) => (one == expected.client_id, false),
        Audience::Many(many) => (
            many.iter().any(|one| one == expected.client_id),
            many.len() > 1,
        ),
    };
    let party = claims.azp.as_deref();
    if !for_us || (for_others && party != Some(expected.client_id)) {
        return Err(refused(
            "id_token_audience",
            "the id_token is for another application",
        ));
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a float saturates, and both ends are refused or centuries away"
    )]
    let expires_at = DateTime::from_timestamp(claims.exp as i64, 0);
    if expires_at.is_none_or(|expires_at| expires_at < expected.now - LEEWAY) {
        return Err(refused("id_token_expired", "the id_token has expired"));
    }
    // The code was issued for somebody else's sign-in and slipped into this one.
    let same = |expected: &Secret| {
        let nonce = claims.nonce.as_deref();
        nonce.is_some_and(|nonce| super::callback::same(nonce, expected.expose()))
    };
    if !expected.nonce.is_none_or(same) {
        return Err(Error::new(
            ErrorKind::InvalidCallback,
            "the code belongs to another sign-in",
        )
        .with_code("wrong_nonce"));
    }
    let subject = match expected.service {
        Service::Microsoft => microsoft_subject(&claims, expected.tenant)?,
        _ => claims.sub,
    };
    if subject.is_empty() {
        return Err(refused("id_token_subject", "the id_token names nobody"));
    }
    let mut addresses: Vec<String> = Vec::new();
    for address in [claims.email, claims.preferred_username]
        .into_iter()
        .flatten()
    {
        let known = addresses
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&address));
        if address.contains('@') && !known {
            addresses.push(address);
        }
    }
    Ok(User {
        identity: Identity::new(expected.service.clone(), subject),
        addresses,
        display_name: claims.name.filter(|name| !name.trim().is_empty()),
    })
}

fn microsoft_subject(claims: &Claims, tenant: Option<&str>) -> Result<String> {
    let (Some(tid), Some(oid)) = (&claims.tid, &claims.oid) else {
        return Err(refused(
            "id_token_subject",
            "the id_token names neither directory nor user",
        ));
    };
    let right_tenant = match tenant {
        None | Some("common") => true,
        Some("organizations") => tid != PERSONAL,
        Some("consumers") => tid == PERSONAL,
        // A domain's id is not known here; the service itself keeps other directories out.
        Some(tenant) => tenant.contains('.') || tenant.eq_ignore_ascii_case(tid),
    };
    if right_tenant {
        Ok(format!("{tid}/{oid}"))
    } else {
        Err(refused(
            "id_token_tenant",
            "the user is of another directory than the configured one",
        ))
    }
}

fn decode(token: &Secret) -> Option<Claims> {
    let mut parts = token.expose().split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = BASE64_URL_SAFE_NO_PAD
        .decode(payload.trim_end_matches('='))
        .ok()?;
    serde_json::from_slice(&payload).ok()
}

fn refused(code: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, message).with_code(code)
}
