//! What an authorization server's refusals mean: tables from its codes to what the host should do, with one sentence
//! for whoever has to act. Descriptions are not read: they are undocumented, change, and name users.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::error::ErrorKind::{
    AdminConsentRequired, Configuration, Declined, InvalidCallback, PermissionDenied, Protocol,
    RateLimited, SignInRequired, Unavailable,
};
use crate::error::{Delivery, Error, ErrorKind};
use crate::http::{Answer, Classify};

/// What the server said, in its own codes; the source of an [`Error`] that a refusal caused.
///
/// It holds no description and no token.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The code of RFC 6749, such as `invalid_grant`.
    pub error: String,
    /// Microsoft: the numbers after `AADSTS`, most specific first.
    pub codes: Vec<u32>,
    /// Google: `error_subtype`. Microsoft: `suberror`.
    pub subtype: Option<String>,
    /// Microsoft: a claims challenge, to be sent along with the next sign-in
    /// (<https://learn.microsoft.com/entra/identity-platform/claims-challenge>).
    pub claims: Option<String>,
    /// Microsoft: the name of the request for its support.
    pub trace_id: Option<String>,
    /// The server's own clock when it refused: a request that is signed may have been refused for ours.
    pub(super) answered_at: Option<DateTime<Utc>>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the server answered {}", self.error)?;
        if let Some(subtype) = &self.subtype {
            write!(formatter, "/{subtype}")?;
        }
        for code in &self.codes {
            write!(formatter, " AADSTS{code}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Claims are text of any kind that is to be sent back, not shown.
        formatter
            .debug_struct("Refusal")
            .field("error", &self.error)
            .field("codes", &self.codes)
            .field("subtype", &self.subtype)
            .field("claims", &self.claims.as_ref().map(|_| ".."))
            .field("trace_id", &self.trace_id)
            .finish()
    }
}

impl std::error::Error for Refusal {}

/// Where a refusal was given: the same code asks for different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the way back from the browser.
    Callback,
    /// By the token endpoint, for an authorization code.
    CodeExchange,
    /// By the token endpoint, for a grant that we have.
    Refresh,
    /// By the token endpoint or the one for devices, for a code that a user types elsewhere.
    Device,
}

/// The error answer of RFC 6749 §5.2 with the vendors' additions, each read if it is what it should be.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
    #[serde(default)]
    error_description: serde_json::Value,
    #[serde(default)]
    error_codes: serde_json::Value,
    #[serde(default)]
    error_subtype: serde_json::Value,
    #[serde(default)]
    suberror: serde_json::Value,
    #[serde(default)]
    claims: serde_json::Value,
    #[serde(default)]
    trace_id: serde_json::Value,
}

/// What it means that a token endpoint refused a grant that we have, or anything else but a code.
pub(super) fn classify(answer: &Answer) -> Error {
    classify_at(answer, Place::Refresh)
}

/// What it means that a token endpoint refused a code.
pub(super) fn classify_code(answer: &Answer) -> Error {
    classify_at(answer, Place::CodeExchange)
}

/// What it means that a server refused a device.
fn classify_device(answer: &Answer) -> Error {
    classify_at(answer, Place::Device)
}

impl Place {
    /// How answers that were given here are read.
    pub(super) fn classify(self) -> Classify {
        match self {
            Self::CodeExchange => classify_code,
            Self::Device => classify_device,
            Self::Callback | Self::Refresh => classify,
        }
    }
}

fn classify_at(answer: &Answer, place: Place) -> Error {
    let status = answer.status;
    if status.as_u16() == 429 {
        return Error::new(RateLimited, "the sign-in service asks to slow down");
    }
    let refusal = refusal(&answer.body).map(|refusal| Refusal {
        answered_at: answer.date(),
        ..refusal
    });
    if status.is_server_error() {
        let error = Error::new(Unavailable, "the sign-in service is failing")
            .with_delivery(Delivery::Unknown);
        return match refusal {
            Some(refusal) => error.with_source(refusal),
            None => error,
        };
    }
    match refusal {
        Some(refusal) => explain(refusal, place),
        // A proxy's or a portal's page says nothing about the grant.
        None => Error::new(
            Protocol,
            "the sign-in service answered something other than documented",
        )
        .with_delivery(Delivery::Answered),
    }
}

/// The refusal that a body is, if it is one.
pub(super) fn refusal(body: &[u8]) -> Option<Refusal> {
    let answer: ErrorAnswer = serde_json::from_slice(body).ok()?;
    let mut codes: Vec<u32> = answer
        .error_codes
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|code| u32::try_from(code.as_u64()?).ok())
        .collect();
    if codes.is_empty() {
        codes.extend(answer.error_description.as_str().and_then(aadsts));
    }
    let subtype = answer.error_subtype.as_str().or(answer.suberror.as_str());
    Some(Refusal {
        error: name(&answer.error),
        codes,
        subtype: subtype.map(name),
        claims: answer.claims.as_str().map(str::to_owned),
        trace_id: answer.trace_id.as_str().and_then(trace_id),
        answered_at: None,
    })
}

/// The refusal that a callback carries.
pub(super) fn callback_refusal(error: &str, description: Option<&str>) -> Refusal {
    Refusal {
        error: name(error),
        codes: description.and_then(aadsts).into_iter().collect(),
        ..Refusal::default()
    }
}

/// A code as text that may be shown: codes are words with underscores, and whatever else stands in their place may be
/// anything, even a secret.
fn name(text: &str) -> String {
    let is_name = !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if is_name { text } else { "unrecognized" }.to_owned()
}

fn trace_id(text: &str) -> Option<String> {
    let is_id = text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then(|| text.to_owned())
}

/// The number with which Microsoft's descriptions begin. Callbacks carry it nowhere else.
fn aadsts(description: &str) -> Option<u32> {
    let (_, rest) = description.split_once("AADSTS")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok()
}

/// What a refusal asks of the host.
pub(super) fn explain(refusal: Refusal, place: Place) -> Error {
    let code = refusal.codes.iter().find_map(|code| {
        MICROSOFT
            .iter()
            .find(|(codes, ..)| codes.contains(code))
            .map(|row| (format!("AADSTS{code}"), row))
    });
    let (code, kind, sentence) = match code {
        Some((code, (_, kind, sentence))) => (code, *kind, Cow::Borrowed(*sentence)),
        None => {
            let (kind, sentence) = by_name(&refusal, place);
            let code = refusal.codes.first().map(|code| format!("AADSTS{code}"));
            (
                code.unwrap_or_else(|| refusal.error.clone()),
                kind,
                sentence,
            )
        }
    };
    // A refused code is a callback that cannot be used, not a grant that is gone.
    let kind = match (kind, place) {
        (SignInRequired, Place::CodeExchange | Place::Device) => InvalidCallback,
        _ => kind,
    };
    let mut error = Error::new(kind, sentence)
        .with_code(code)
        .with_delivery(Delivery::Answered);
    if let Some(trace_id) = &refusal.trace_id {
        error = error.with_request_id(trace_id.clone());
    }
    error.with_source(refusal)
}

fn by_name(refusal: &Refusal, place: Place) -> (ErrorKind, Cow<'static, str>) {
    let row = COMMON.iter().find(|(error, subtype, at, ..)| {
        *error == refusal.error
            && subtype.is_none_or(|subtype| refusal.subtype.as_deref() == Some(subtype))
            && at.is_none_or(|at| at == place)
    });
    match row {
        Some((.., kind, sentence)) => (*kind, Cow::Borrowed(*sentence)),
        None => (
            Protocol,
            Cow::Borrowed("the sign-in service refused with a code that is not documented"),
        ),
    }
}

type Row = (
    &'static str,
    Option<&'static str>,
    Option<Place>,
    ErrorKind,
    &'static str,
);

/// Codes of RFC 6749, OpenID Connect and Google, narrower rows first
/// (<https://developers.google.com/identity/protocols/oauth2/web-server#exchange-errors>).
#[rustfmt::skip]
const COMMON: &[Row] = &[
    ("invalid_grant", None, Some(Place::CodeExchange), InvalidCallback,
        "the code cannot be used: it was used already, has expired, or belongs to another sign-in; begin a new one"),
    ("authorization_pending", None, Some(Place::Device), SignInRequired,
        "the user has not typed the code yet"),
    // Kept from being repeated with the patience of every other request: whoever polls knows better.
    ("slow_down", None, Some(Place::Device), SignInRequired,
        "the service was asked too often whether the user has typed the code"),
    ("authorization_declined", None, None, Declined,
        "the user did not consent"),
    ("access_denied", None, Some(Place::Device), Declined,
        "the user did not consent"),
    ("expired_token", None, Some(Place::Device), InvalidCallback,
        "the code was not typed in time; begin a new sign-in"),
    ("bad_verification_code", None, Some(Place::Device), InvalidCallback,
        "the service does not know the device's code; begin a new sign-in"),
    ("invalid_grant", None, Some(Place::Device), InvalidCallback,
        "the device's code was used already; begin a new sign-in"),
    ("invalid_grant", Some("invalid_rapt"), None, SignInRequired,
        "the organisation's policy asks its users to sign in again from time to time (Google Cloud session control)"),
    ("invalid_grant", Some("consent_required"), None, SignInRequired,
        "the user, or an administrator, has to consent again"),
    ("invalid_grant", None, None, SignInRequired,
        "the grant is gone: revoked, expired, or the password was changed; the user must sign in again. If this happens \
         every seven days, the Google project's publishing status is still Testing"),
    ("access_denied", None, Some(Place::Callback), Declined,
        "the user did not consent"),
    ("access_denied", None, None, PermissionDenied,
        "a policy of the user's organisation refuses this application"),
    ("admin_policy_enforced", None, None, AdminConsentRequired,
        "an administrator of the user's Google Workspace must allow this application and its scopes (Admin console, \
         Security, API controls)"),
    ("consent_required", None, None, SignInRequired,
        "the user, or an administrator, has to consent first"),
    ("interaction_required", None, None, SignInRequired,
        "the user has to do something on the service's own page: sign in again"),
    ("login_required", None, None, SignInRequired,
        "the user has to sign in"),
    ("account_selection_required", None, None, SignInRequired,
        "the user has to choose an account"),
    ("invalid_client", None, None, Configuration,
        "the service does not accept the client id and secret: compare both with the application's registration"),
    ("unauthorized_client", None, None, Configuration,
        "the application is not allowed to ask in this way, or the token was issued to another client id"),
    ("invalid_scope", None, None, Configuration,
        "the service does not know one of the scopes for this application"),
    ("invalid_request", None, None, Configuration,
        "the service finds the request malformed; often the client secret is missing"),
    ("invalid_resource", None, None, Configuration,
        "the service does not know the API that access is asked for"),
    ("unsupported_grant_type", None, None, Configuration,
        "the service does not offer this way of signing in"),
    ("unsupported_response_type", None, None, Configuration,
        "the service does not offer this way of signing in"),
    ("redirect_uri_mismatch", None, None, Configuration,
        "the redirect address is not the registered one, character by character"),
    ("org_internal", None, None, Configuration,
        "the application is for one Google Workspace only, and this user is not in it"),
    ("disabled_client", None, None, Configuration,
        "Google has disabled this client id; see the Google Cloud console"),
    ("deleted_client", None, None, Configuration,
        "this client id was deleted; it can be restored in the Google Cloud console for 30 days"),
    ("rate_limit_exceeded", None, None, RateLimited,
        "too many users sign in to this application at once"),
    ("slow_down", None, None, RateLimited,
        "the sign-in service asks to slow down"),
    ("temporarily_unavailable", None, None, Unavailable,
        "the sign-in service is busy"),
    ("server_error", None, None, Unavailable,
        "the sign-in service is failing"),
    ("invalid_token", None, None, SignInRequired,
        "the token is not valid any more"),
];

/// Microsoft's numbers, which say more than its names
/// (<https://learn.microsoft.com/entra/identity-platform/reference-error-codes>).
#[rustfmt::skip]
const MICROSOFT: &[(&[u32], ErrorKind, &str)] = &[
    (&[65001], SignInRequired,
        "nobody has consented to this access yet: the user, or an administrator, has to"),
    (&[65004], Declined,
        "the user did not consent"),
    (&[90094, 90095], AdminConsentRequired,
        "an administrator of the user's organisation must consent to this application first"),
    (&[50072, 50074, 50076, 50078, 50079, 50158, 50097], SignInRequired,
        "the organisation asks for a second factor or another proof: the user must sign in again"),
    (&[53000, 53001, 53003, 530_032, 530_035], PermissionDenied,
        "a policy of the user's organisation blocks this sign-in; its administrators can say which"),
    (&[50173], SignInRequired,
        "the grant was revoked, by a changed password for instance: the user must sign in again"),
    (&[70008, 700_082], SignInRequired,
        "the grant expired, as it does when it is not used for 90 days, or the code did: the user must sign in again"),
    (&[700_084], SignInRequired,
        "the grant ended after 24 hours, because the redirect address is registered as a single-page application: \
         register it as Web, or as Mobile and desktop"),
    (&[70043], SignInRequired,
        "the organisation's policy asks its users to sign in again from time to time"),
    (&[70000], SignInRequired,
        "the service does not accept the grant any more: the user must sign in again"),
    (&[54005], SignInRequired,
        "the code was used already; the same callback may have come twice"),
    (&[50089, 50132, 50133], SignInRequired,
        "the user's session has ended: the user must sign in again"),
    (&[501_481, 50148], SignInRequired,
        "the code belongs to another sign-in (PKCE)"),
    (&[50034, 50053, 50055, 50057, 50126], SignInRequired,
        "the user's account is locked, disabled or gone, or its password has expired: the user must sign in again"),
    (&[50020, 90072, 500_208], PermissionDenied,
        "this kind of account, or an account of this organisation, cannot sign in here: use another one, or another tenant \
         in the configuration"),
    (&[700_005], Configuration,
        "the code was issued by another tenant than the one it was redeemed at"),
    (&[50011, 70004, 900_971], Configuration,
        "the redirect address is not the registered one: compare it in the app registration, under Authentication"),
    (&[9_002_325, 9_002_326, 9_002_327], Configuration,
        "the redirect address is registered as a single-page application: register it as Web, or as Mobile and desktop"),
    (&[7_000_215], Configuration,
        "the client secret is wrong; often the secret's id was pasted and not its value"),
    (&[7_000_222], Configuration,
        "the client secret has expired: create a new one under Certificates & secrets. Users need not sign in again"),
    (&[700_027], Configuration,
        "the client's certificate does not fit the registered one"),
    (&[7_000_218], Configuration,
        "the service asks for a client secret: give one, or allow public client flows in the app registration"),
    (&[700_025], Configuration,
        "the application is registered as a public client: give no client secret"),
    (&[700_016, 700_011], Configuration,
        "the application does not exist in this tenant: compare client id and tenant"),
    (&[7_000_112, 70001], Configuration,
        "the application is disabled in this tenant"),
    (&[90002], Configuration,
        "the tenant does not exist, or not in this cloud"),
    (&[50194], Configuration,
        "the application is for one tenant only: configure that tenant's id in place of `common`"),
    (&[9_001_023, 90023, 70011, 28002, 700_022], Configuration,
        "the service does not grant these scopes to this kind of account at this tenant"),
    (&[50196], Configuration,
        "the service found the application asking for the same token again and again, and stopped it"),
];
