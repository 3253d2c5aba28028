//! Microsoft's sign-in errors: their numbers, words and shape, in JSON, on a page and in a redirect. When
//! which one is due is left to `consent` and `token`.
//! <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use chrono::SecondsFormat;
use http::{StatusCode, header};
use serde_json::json;

use super::super::super::State;
use super::super::page;

/// An error of the identity platform.
#[derive(Debug)]
pub(in super::super) struct AadError {
    /// The OAuth code, the only one that programs should look at.
    pub(super) error: &'static str,
    number: u32,
    message: Cow<'static, str>,
    suberror: Option<&'static str>,
    /// What has to travel back to the consent page.
    claims: Option<&'static str>,
}

impl AadError {
    pub(super) fn new(
        error: &'static str,
        number: u32,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            error,
            number,
            message: message.into(),
            suberror: None,
            claims: None,
        }
    }

    pub(super) fn with_error(mut self, error: &'static str) -> Self {
        self.error = error;
        self
    }

    fn with_suberror(mut self, suberror: &'static str) -> Self {
        self.suberror = Some(suberror);
        self
    }

    pub(super) fn missing(parameter: &str) -> Self {
        let message =
            format!("The request body must contain the following parameter: '{parameter}'.");
        Self::new("invalid_request", 900_144, message)
    }

    pub(super) fn tenant(tenant: &str) -> Self {
        let message = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into \
             the correct cloud."
        );
        Self::new("invalid_request", 90_002, message)
    }

    pub(super) fn client(client_id: &str) -> Self {
        let message = format!(
            "Application with identifier '{client_id}' was not found in the directory. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user \
             in the tenant."
        );
        Self::new("unauthorized_client", 700_016, message)
    }

    pub(super) fn not_consented(client_id: &str) -> Self {
        let message = format!(
            "The user or administrator has not consented to use the application with ID '{client_id}'. Send an \
             interactive authorization request for this user and resource."
        );
        Self::new("invalid_grant", 65_001, message).with_suberror("consent_required")
    }

    /// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow#redirect-uris-for-single-page-apps-spas>
    pub(super) fn only_in_browsers() -> Self {
        let message = "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via \
                       cross-origin requests.";
        Self::new("invalid_request", 9_002_327, message)
    }

    pub(super) fn malformed_token() -> Self {
        Self::new(
            "invalid_grant",
            70_000,
            "The user could not be authenticated or the grant is expired. The user must first sign in and if \
             needed grant the client application access to the scope requested.",
        )
    }

    pub(super) fn revoked() -> Self {
        Self::new(
            "invalid_grant",
            50_173,
            "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user \
             might have changed or reset their password.",
        )
        .with_suberror("bad_token")
    }

    /// <https://learn.microsoft.com/en-us/entra/identity-platform/claims-challenge>
    pub(super) fn interaction_required() -> Self {
        let message = "Due to a configuration change made by your administrator, or because you moved to a new \
                       location, you must use multi-factor authentication to access \
                       '00000003-0000-0000-c000-000000000000'.";
        Self {
            claims: Some(
                r#"{"access_token":{"capolids":{"essential":true,"values":["emulator"]}}}"#,
            ),
            ..Self::new("interaction_required", 50_076, message).with_suberror("basic_action")
        }
    }

    pub(super) fn uri(&self) -> String {
        format!(
            "https://login.microsoftonline.com/error?code={}",
            self.number
        )
    }

    /// The text of `error_description`, with the numbers that support asks for.
    pub(super) fn describe(&self, state: &State) -> String {
        let [trace, correlation] = ids(state);
        self.description(state, &trace, &correlation)
    }

    fn description(&self, state: &State, trace: &str, correlation: &str) -> String {
        format!(
            "AADSTS{}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {}",
            self.number,
            self.message,
            timestamp(state)
        )
    }

    /// The answer of the token endpoint.
    pub(in super::super) fn into_response(self, state: &State) -> Response {
        let [trace, correlation] = ids(state);
        let mut body = json!({
            "error": self.error,
            "error_description": self.description(state, &trace, &correlation),
            "error_codes": [self.number],
            "timestamp": timestamp(state),
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": self.uri(),
        });
        if let (Some(suberror), Some(fields)) = (self.suberror, body.as_object_mut()) {
            fields.insert("suberror".to_owned(), json!(suberror));
        }
        if let (Some(claims), Some(fields)) = (self.claims, body.as_object_mut()) {
            fields.insert("claims".to_owned(), json!(claims));
        }
        let status = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        (
            status,
            [(header::CACHE_CONTROL, "no-store, no-cache")],
            Json(body),
        )
            .into_response()
    }
}

/// An error that is shown instead of being sent to the application.
pub(super) fn error_page(state: &State, error: AadError) -> Response {
    let code = format!("AADSTS{}", error.number);
    let message = error.describe(state);
    page::error(StatusCode::BAD_REQUEST, "Microsoft", &code, &message)
}

fn timestamp(state: &State) -> String {
    let now = state.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true);
    now.replace('T', " ")
}

fn ids(state: &State) -> [String; 2] {
    let mut world = state.world();
    [world.guid(), world.guid()]
}
