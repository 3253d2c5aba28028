//! What refusals by name ask for: the codes of RFC 6749, OpenID Connect and RFC 8628, and those that only Google has.
//! Microsoft's numbers come first and are `microsoft`'s.
//!
//! Sources: <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>,
//! <https://openid.net/specs/openid-connect-core-1_0.html#AuthError>,
//! <https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors>,
//! <https://developers.google.com/identity/protocols/oauth2/web-server#exchange-errors>.

use super::{Meaning, Place};
use crate::error::Action::AdministratorActs;
use crate::error::ErrorKind::{
    AdminConsentRequired, Configuration, Declined, InvalidCallback, PermissionDenied, RateLimited,
    SignInRequired, Unavailable,
};

/// A name, the subtype beside it and the place where it was given (any, if none), and what they mean.
type Row = (&'static str, Option<&'static str>, Option<Place>, Meaning);

/// Narrower rows first.
#[rustfmt::skip]
pub(super) const NAMES: &[Row] = &[
    ("invalid_grant", None, Some(Place::CodeExchange), Meaning::new(InvalidCallback,
        "the code cannot be used: it was used already, has expired, or belongs to another sign-in; begin a new one")),
    ("invalid_grant", None, Some(Place::Device), Meaning::new(InvalidCallback,
        "the device's code was used already: begin a new sign-in")),
    #[cfg(feature = "app-only")]
    ("invalid_grant", None, Some(Place::Application), Meaning::new(Configuration,
        "Google does not accept what the service account signed: the mailbox is no primary address of a user of the \
         domain, the key was deleted, or this machine's clock is wrong")),
    #[cfg(feature = "app-only")]
    ("unauthorized_client", None, Some(Place::Application), Meaning::new(AdminConsentRequired,
        "an administrator of the Google Workspace must allow the service account's client id these very scopes (Admin \
         console, Security, API controls, Domain-wide delegation); it may take a day to have effect")),
    // <https://developers.google.com/identity/protocols/oauth2#gcp>
    ("invalid_grant", Some("invalid_rapt"), None, Meaning::new(SignInRequired,
        "the organisation asks users of Google Cloud to sign in again from time to time (Admin console, Security, Google \
         Cloud session control): sign in again, and ask for no Google Cloud scope beside mail")),
    ("invalid_grant", Some("consent_required"), None, Meaning::new(SignInRequired,
        "the user, or an administrator, has to consent again")),
    // <https://developers.google.com/identity/protocols/oauth2#expiration>
    ("invalid_grant", None, None, Meaning::new(SignInRequired,
        "the grant is gone: revoked, expired, or the password was changed; the user must sign in again. If this happens \
         every seven days at Google, the project is in testing: Google Auth Platform, Audience, Publish app")),
    ("access_denied", None, Some(Place::Callback), Meaning::new(Declined,
        "the user chose Cancel, or may not sign in here: sign in again and allow access")),
    ("access_denied", None, Some(Place::Device), Meaning::new(Declined,
        "the user did not consent: begin a new sign-in, and allow access")),
    ("access_denied", None, None, Meaning::new(PermissionDenied,
        "a policy of the user's organisation refuses this application").by(AdministratorActs)),
    ("consent_required", None, None, Meaning::new(SignInRequired,
        "the user, or an administrator, has to consent first: sign in again")),
    ("interaction_required", None, None, Meaning::new(SignInRequired,
        "the user has to do something on the service's own page: sign in again")),
    ("login_required", None, None, Meaning::new(SignInRequired,
        "the user has to sign in on the service's page")),
    ("account_selection_required", None, None, Meaning::new(SignInRequired,
        "the user has to choose an account on the service's page")),
    ("invalid_client", None, None, Meaning::new(Configuration,
        "the service does not accept the client id and secret: compare both with the registration, at Google under Google \
         Auth Platform, Clients, at Microsoft under App registrations, Certificates & secrets")),
    ("unauthorized_client", None, None, Meaning::new(Configuration,
        "the application may not ask in this way, or the token was issued to another client id; a service account needs its \
         numeric id and these very scopes in the Admin console, Security, API controls, Domain-wide delegation")),
    ("invalid_scope", None, None, Meaning::new(Configuration,
        "the service does not know one of the scopes for this application, or not in this way of signing in")),
    ("invalid_request", None, None, Meaning::new(Configuration,
        "the service finds the request malformed; often the client secret is missing, which Google wants of desktop \
         applications too")),
    ("invalid_resource", None, None, Meaning::new(Configuration,
        "the service does not know the API that access is asked for")),
    ("unsupported_grant_type", None, None, Meaning::new(Configuration,
        "the service does not offer this way of signing in")),
    ("unsupported_response_type", None, None, Meaning::new(Configuration,
        "the service does not offer this way of signing in")),
    ("invalid_token", None, None, Meaning::new(SignInRequired,
        "the token is not valid any more")),
    ("temporarily_unavailable", None, None, Meaning::new(Unavailable,
        "the sign-in service is busy")),
    ("server_error", None, None, Meaning::new(Unavailable,
        "the sign-in service is failing")),

    // Google's own.
    ("redirect_uri_mismatch", None, None, Meaning::new(Configuration,
        "the redirect address is not a registered one: Google Auth Platform, Clients, this client, Authorized redirect URIs; \
         it is compared character by character, with the slash at its end")),
    ("admin_policy_enforced", None, None, Meaning::new(AdminConsentRequired,
        "an administrator of the user's Google Workspace must trust this application: Admin console, Security, Access and \
         data control, API controls, Manage app access")),
    ("org_internal", None, None, Meaning::new(Configuration,
        "the application is for one Google Workspace only, and this user is not in it: make it External under Google Auth \
         Platform, Audience, or sign in with an account of that organisation")),
    ("disabled_client", None, None, Meaning::new(Configuration,
        "Google has disabled this client id: Google Auth Platform, Clients says why")),
    ("deleted_client", None, None, Meaning::new(Configuration,
        "this client id was deleted, as Google does with unused ones: restore it within 30 days under Google Auth Platform, \
         Clients, or create another and let users sign in again")),
    ("disallowed_useragent", None, None, Meaning::new(Configuration,
        "Google refuses to show its page inside an application: open the address in the user's own browser")),
    ("invalid_dpop_proof", None, None, Meaning::new(Configuration,
        "the token is bound to a key that this crate does not have: create it without DPoP")),
    ("use_dpop_nonce", None, None, Meaning::new(Configuration,
        "the token is bound to a key that this crate does not have: create it without DPoP")),
    ("rate_limit_exceeded", None, None, Meaning::new(RateLimited,
        "too many new users sign in to this application at once; Google raises the limit on request and after verification")),

    // RFC 8628 section 3.5, and Microsoft's words for the same. Whoever polls knows how long to wait: what is pending must not
    // be repeated with the patience of every other request.
    ("permission_denied", None, Some(Place::Callback), Meaning::new(Declined,
        "the administrator did not consent")),
    ("authorization_pending", None, Some(Place::Device), Meaning::new(SignInRequired,
        "the user has not typed the code yet")),
    ("slow_down", None, Some(Place::Device), Meaning::new(SignInRequired,
        "the service was asked too often whether the user has typed the code")),
    ("authorization_declined", None, None, Meaning::new(Declined,
        "the user said no on the other device: begin a new sign-in, and allow access")),
    ("expired_token", None, Some(Place::Device), Meaning::new(InvalidCallback,
        "the code was not typed in time: begin a new sign-in")),
    ("bad_verification_code", None, Some(Place::Device), Meaning::new(InvalidCallback,
        "the service does not know the device's code: begin a new sign-in")),
    ("slow_down", None, None, Meaning::new(RateLimited,
        "the sign-in service asks to slow down")),
];
