//! Who signed in: the claims of an `id_token`, and whether they are for this application. The signature of one that came
//! straight from the token endpoint over TLS need not be checked
//! (<https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>, point 6); that of any other is `key_set`'s.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::flow::OAuthFlow;
use super::server::{Endpoints, is_named};
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
    /// Whose fault it is if the token is not right: the service's that answered with it, or that of whoever brought it.
    pub(super) unfit: ErrorKind,
}

/// Who a user is, as a service vouches for it in an `id_token`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedUser {
    /// Who the user is, for good.
    pub identity: Identity,
    /// The user's addresses as far as the token says; they may not be the mailbox's.
    pub addresses: Vec<String>,
    /// The user's name, for people.
    pub display_name: Option<String>,
}

/// Who signed a token, by its own words: the issuer, and the Microsoft tenant that it names beside it.
pub(super) struct Issuer {
    name: String,
    tenant: Option<String>,
}

impl Issuer {
    /// Whether it is the one that is known by this name, in which `{tenantid}` may stand for the tenant.
    pub(super) fn is(&self, known: &str) -> bool {
        is_named(known, &self.name, self.tenant.as_deref())
    }
}

/// Claims of both services (<https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload>,
/// <https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference>).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
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
    /// True or false; some servers say so in text.
    #[serde(default)]
    email_verified: Option<serde_json::Value>,
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
pub(super) fn read(token: &Secret, expected: &Expected<'_>) -> Result<(VerifiedUser, Issuer)> {
    let refused = |code, message| Error::new(expected.unfit, message).with_code(code);
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
    // The party that the token was issued to; where there are several audiences it must be said.
    let party = claims.azp.as_deref();
    let to_us = party.map_or(!for_others, |party| party == expected.client_id);
    if !for_us || !to_us {
        return Err(refused(
            "id_token_audience",
            "the id_token is for another application",
        ));
    }
    claims.hold_at(expected.now, expected.unfit)?;
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
        Service::Microsoft => microsoft_subject(&claims, expected)?,
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
    let user = VerifiedUser {
        identity: Identity::new(expected.service.clone(), subject),
        addresses,
        display_name: claims.name.filter(|name| !name.trim().is_empty()),
    };
    let issuer = Issuer {
        name: claims.iss,
        tenant: claims.tid,
    };
    Ok((user, issuer))
}

impl Claims {
    /// Whether it is the time for the token.
    fn hold_at(&self, now: DateTime<Utc>, unfit: ErrorKind) -> Result<()> {
        let refused = |code, message| Err(Error::new(unfit, message).with_code(code));
        let expires_at = instant(self.exp);
        if expires_at.is_none_or(|expires_at| expires_at < now - LEEWAY) {
            return refused("id_token_expired", "the id_token has expired");
        }
        let holds_already = |from| instant(from).is_some_and(|from| from <= now + LEEWAY);
        if !self.nbf.is_none_or(holds_already) {
            return refused(
                "id_token_not_yet",
                "the id_token does not hold yet: compare this machine's clock",
            );
        }
        Ok(())
    }
}

/// Reads a token by which a service account proves who it is, and checks that it is for this audience and that account's
/// (<https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions#validate_tokens>). The party that it was issued
/// to is the account itself.
pub(super) fn read_service(
    token: &Secret,
    endpoints: &Endpoints,
    audience: &str,
    account: &str,
    now: DateTime<Utc>,
) -> Result<Issuer> {
    const UNFIT: ErrorKind = ErrorKind::InvalidCallback;
    let refused = |code, message| Error::new(UNFIT, message).with_code(code);
    let claims =
        decode(token).ok_or_else(|| refused("id_token_malformed", "the token cannot be read"))?;
    if !endpoints.is_issuer(&claims.iss, None) {
        return Err(refused("id_token_issuer", "the token is another issuer's"));
    }
    let for_us = match &claims.aud {
        Audience::One(one) => one == audience,
        Audience::Many(many) => many.as_slice() == [audience],
    };
    if !for_us {
        return Err(refused(
            "id_token_audience",
            "the token is for another audience",
        ));
    }
    let is_accounts = claims
        .email
        .as_deref()
        .is_some_and(|email| email.eq_ignore_ascii_case(account));
    let is_verified = match &claims.email_verified {
        Some(serde_json::Value::Bool(verified)) => *verified,
        Some(serde_json::Value::String(verified)) => verified == "true",
        _ => false,
    };
    if !is_accounts || !is_verified {
        return Err(refused(
            "id_token_account",
            "the token is another service account's",
        ));
    }
    claims.hold_at(now, UNFIT)?;
    Ok(Issuer {
        name: claims.iss,
        tenant: None,
    })
}

impl OAuthFlow {
    /// Who an `id_token` names that did not come straight from the service, such as one that another library kept beside a
    /// refresh token, or one that a browser brought. Everything about it is checked: that a key of the service signed it
    /// (RS256; the keys are fetched once and kept for as long as the service says), issuer, audience, the party it was
    /// issued to, that it has not expired by more than five minutes, and `nonce`, if the host asked for one.
    ///
    /// The sign-ins of this crate need no such check: their tokens come from the token endpoint over TLS.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCallback`] when the token proves nothing, with a code that begins with `id_token_` or is
    /// `wrong_nonce`; whatever keeps the keys from being fetched, such as [`ErrorKind::Network`];
    /// [`ErrorKind::Unsupported`] when the flow's endpoints name no keys.
    pub async fn verify_id_token(
        &self,
        id_token: &Secret,
        nonce: Option<&Secret>,
    ) -> Result<VerifiedUser> {
        const OPERATION: &str = "oauth.verify_id_token";
        let flow = &self.0;
        let Some(keys) = &flow.endpoints.keys else {
            return Err(Error::unsupported(
                "the flow's endpoints do not say where the keys of the service are",
            ));
        };
        let expected = flow.expected(nonce, flow.clock.now(), ErrorKind::InvalidCallback);
        let verified = async {
            let (user, issuer) = read(id_token, &expected)?;
            let keys = flow.keys.verify(&flow.api, keys, id_token, &issuer);
            keys.await.map(|()| user)
        };
        verified
            .await
            .map_err(|error| error.with_operation(OPERATION))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a float saturates, and both ends are refused or centuries away"
)]
fn instant(seconds: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds as i64, 0)
}

fn microsoft_subject(claims: &Claims, expected: &Expected<'_>) -> Result<String> {
    let refused = |code, message| Error::new(expected.unfit, message).with_code(code);
    let (Some(tid), Some(oid)) = (&claims.tid, &claims.oid) else {
        return Err(refused(
            "id_token_subject",
            "the id_token names neither directory nor user",
        ));
    };
    let right_tenant = match expected.tenant {
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
