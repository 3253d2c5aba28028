//! How Microsoft's application proves who it is, and the tokens that it has in its own name.
//! <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use serde_json::{Value, json};

use super::super::super::tokens::APPLICATION;
use super::super::super::{State, Vendor};
use super::super::assertion::{Assertion, thumbprint};
use super::super::{Parameters, issue_access, lifetime, scope};
use super::Door;
use super::error::AadError;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Holds secret or certificate against the registration.
pub(super) fn authenticate(
    state: &State,
    door: Door,
    client_id: &str,
    form: &Parameters,
    in_browser: bool,
) -> Result<(), AadError> {
    let refused = |number, message: String| AadError::new("invalid_client", number, message);
    let assertion = form.value("client_assertion");
    let secret = form.value("client_secret");
    // What comes from a browser has nothing to prove itself with.
    if state.settings.public_client || in_browser {
        // <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>
        return match (assertion, secret) {
            (None, None) => Ok(()),
            _ => Err(refused(
                700_025,
                "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."
                    .to_owned(),
            )),
        };
    }
    match (assertion, secret) {
        (Some(assertion), _) if form.value("client_assertion_type") == Some(ASSERTION_TYPE) => {
            certify(state, door, client_id, assertion)
        }
        (Some(_), _) => Err(AadError::missing("client_assertion_type")),
        (None, Some(secret)) if secret == state.microsoft.client_secret => Ok(()),
        (None, Some(_)) => Err(refused(
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client \
                 secret value, not the client secret ID, for a secret added to app '{client_id}'."
            ),
        )),
        (None, None) => Err(refused(
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
                .to_owned(),
        )),
    }
}

/// <https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials#assertion-format>
fn certify(state: &State, door: Door, client_id: &str, text: &str) -> Result<(), AadError> {
    let refused =
        |number, message: &str| Err(AadError::new("invalid_client", number, message.to_owned()));
    let Some(assertion) = Assertion::read(text) else {
        return refused(50_027, "JWT token is invalid or malformed.");
    };
    let named = assertion.header("x5t#S256") == thumbprint();
    if assertion.header("alg") != "PS256" || !named || !assertion.is_signed() {
        return refused(
            700_027,
            "Client assertion contains an invalid signature. [Reason - The key was not found.]",
        );
    }
    if assertion.claim("iss") != client_id || assertion.claim("sub") != client_id {
        return refused(
            700_021,
            "Client assertion application identifier doesn't match 'client_id' parameter.",
        );
    }
    let audience = assertion.claim("aud");
    let base = state.microsoft.base_url.as_str();
    let path = audience
        .strip_prefix(base)
        .or_else(|| audience.strip_prefix("https://login.microsoftonline.com/"));
    let tenant = path.and_then(|path| path.strip_suffix("/oauth2/v2.0/token"));
    if tenant.and_then(Door::read) != Some(door) {
        return refused(
            700_023,
            "Client assertion audience claim does not match Realm issuer.",
        );
    }
    let now = state.clock.now().timestamp();
    let in_time = match (assertion.instant("nbf"), assertion.instant("exp")) {
        (Some(from), Some(until)) => from <= now && now < until,
        _ => false,
    };
    if !in_time {
        return refused(
            700_024,
            "Client assertion is not within its valid time range.",
        );
    }
    if assertion.claim("jti").is_empty() {
        return refused(50_027, "JWT token is invalid or malformed.");
    }
    Ok(())
}

/// A token with all that an administrator has granted the application; there is no refresh token.
pub(super) fn answer(state: &State, door: Door, form: &Parameters) -> Result<Value, AadError> {
    if matches!(door, Door::Common | Door::Consumers) {
        let message = "The grant type is not supported over the /common or /consumers endpoints. Please use the \
                       /organizations or tenant-specific endpoint.";
        return Err(AadError::new("invalid_request", 9_001_023, message));
    }
    let asked = form
        .value("scope")
        .ok_or_else(|| AadError::missing("scope"))?;
    if asked.strip_suffix(".default") != Some(scope::GRAPH) {
        // <https://github.com/microsoftgraph/microsoft-graph-docs/issues/14323>
        let message = format!(
            "The provided value for scope {asked} is not valid. Client credential flows must have a scope value \
             with /.default suffixed to the resource identifier (application ID URI)."
        );
        return Err(AadError::new("invalid_scope", 1_002_012, message));
    }
    let roles = state.settings.application_roles.iter().cloned().collect();
    let mut world = state.world();
    let grant = world.grant(
        APPLICATION.to_owned(),
        state.microsoft.client_id.clone(),
        roles,
    );
    let access = issue_access(&mut world, state, Vendor::Microsoft, grant);
    let lifetime = lifetime(state);
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": access,
    }))
}
