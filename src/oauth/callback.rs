//! The way back from the browser: what has to be remembered meanwhile, and every check of the address that it came back
//! with. What the code in it is good for is the token endpoint's to say.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use url::Url;

use super::error::{Place, callback_refusal, explain};
use super::server::Endpoints;
use crate::credentials::Service;
use crate::error::{Error, ErrorKind, Result};
use crate::http::is_loopback;
use crate::model::Access;
use crate::secret::{Secret, exposed};

/// How long a user may take on the service's pages.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// A sign-in that has begun: what must be remembered until the browser comes back.
///
/// It can be serialized into the user's own web session, where nobody else may read it: with it and the callback's
/// address anybody could complete the sign-in. It ends after ten minutes.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingAuthorization {
    version: u32,
    pub(super) service: Service,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) access: Access,
    #[serde(serialize_with = "exposed")]
    pub(super) state: Secret,
    #[serde(serialize_with = "exposed")]
    pub(super) nonce: Secret,
    #[serde(serialize_with = "exposed")]
    pub(super) verifier: Secret,
    pub(super) ends_at: DateTime<Utc>,
}

impl PendingAuthorization {
    const VERSION: u32 = 1;

    pub(super) fn new(
        service: Service,
        client_id: String,
        redirect_uri: String,
        access: Access,
        (state, nonce, verifier): (Secret, Secret, Secret),
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            version: Self::VERSION,
            service,
            client_id,
            redirect_uri,
            access,
            state,
            nonce,
            verifier,
            ends_at: now + PATIENCE,
        }
    }

    /// When it is too late to complete it.
    #[must_use]
    pub fn ends_at(&self) -> DateTime<Utc> {
        self.ends_at
    }

    /// What was asked for.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether a callback belongs to this sign-in: whether it carries its `state`.
    #[must_use]
    pub fn is_answered_by(&self, callback: &Url) -> bool {
        let mut states = callback.query_pairs().filter(|(name, _)| name == "state");
        let state = states.next();
        state.is_some_and(|(_, state)| same(&state, self.state.expose())) && states.next().is_none()
    }

    /// The authorization code of a callback that belongs to this sign-in (RFC 6749 §4.1.2, RFC 9700 §2.1).
    pub(super) fn code(
        &self,
        callback: &Url,
        endpoints: &Endpoints,
        now: DateTime<Utc>,
    ) -> Result<Secret> {
        if self.version != Self::VERSION {
            return Err(invalid(
                "another_version",
                "the sign-in was begun by another version of this program; begin a new one",
            ));
        }
        if now >= self.ends_at {
            return Err(invalid(
                "too_late",
                "the sign-in took longer than ten minutes; begin a new one",
            ));
        }
        if !came_back_to(&self.redirect_uri, callback) {
            return Err(invalid(
                "wrong_address",
                "the callback came to another address than the one that was registered for it",
            ));
        }
        let answer = Answer::read(callback)?;
        // First of all: whatever else a callback says, without the state anybody may have said it.
        match &answer.state {
            None => return Err(invalid("missing_state", "the callback carries no state")),
            Some(state) if !same(state, self.state.expose()) => {
                return Err(invalid(
                    "wrong_state",
                    "the callback belongs to another sign-in",
                ));
            }
            Some(_) => {}
        }
        // RFC 9207: where a server says who it is, it must be the right one.
        if let Some(issuer) = &answer.issuer
            && !endpoints.is_issuer(issuer, None)
        {
            return Err(invalid(
                "wrong_issuer",
                "the callback comes from another service",
            ));
        }
        if let Some(error) = &answer.error {
            let refusal = callback_refusal(error, answer.description.as_deref());
            return Err(explain(refusal, Place::Callback).with_operation("oauth.authorize"));
        }
        match answer.code {
            Some(code) if !code.is_empty() => Ok(Secret::new(code.into_owned())),
            _ => Err(invalid("missing_code", "the callback carries no code")),
        }
    }
}

/// Scheme, host, port and path are those of the redirect address. A loopback address may come back under any of this
/// machine's names and ports (RFC 8252 §7.3): both are chosen anew for each sign-in.
pub(super) fn came_back_to(redirect_uri: &str, callback: &Url) -> bool {
    let Ok(redirect) = Url::parse(redirect_uri) else {
        return false;
    };
    let same_place = if is_loopback(&redirect) {
        is_loopback(callback) && callback.scheme() == redirect.scheme()
    } else {
        callback.scheme() == redirect.scheme()
            && callback.host() == redirect.host()
            && callback.port_or_known_default() == redirect.port_or_known_default()
    };
    same_place && callback.path() == redirect.path()
}

/// What a callback says.
#[derive(Default)]
struct Answer<'a> {
    state: Option<Cow<'a, str>>,
    code: Option<Cow<'a, str>>,
    issuer: Option<Cow<'a, str>>,
    error: Option<Cow<'a, str>>,
    description: Option<Cow<'a, str>>,
}

impl<'a> Answer<'a> {
    fn read(callback: &'a Url) -> Result<Self> {
        let mut answer = Self::default();
        for (name, value) in callback.query_pairs() {
            let place = match name.as_ref() {
                "state" => &mut answer.state,
                "code" => &mut answer.code,
                "iss" => &mut answer.issuer,
                "error" => &mut answer.error,
                "error_description" => &mut answer.description,
                _ => continue,
            };
            // RFC 6749 §3.1: twice is wrong, and which one counts is what an attacker would play with.
            if place.replace(value).is_some() {
                return Err(invalid(
                    "repeated_parameter",
                    "the callback says something twice",
                ));
            }
        }
        Ok(answer)
    }
}

pub(super) fn invalid(code: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidCallback, message)
        .with_code(code)
        .with_operation("oauth.authorize")
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
