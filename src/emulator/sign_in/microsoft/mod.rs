//! Microsoft's sign-in: the consent page in `consent`, the token endpoint in `token`, its errors in `error`,
//! and here what they share: who may enter by which door, and what scopes mean.

pub(super) mod admin_consent;
pub(super) mod application;
pub(super) mod consent;
pub(super) mod device;
pub(super) mod error;
mod misconfigured;
pub(super) mod token;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, Uri, header};
use serde_json::json;

use super::super::State;
use super::super::world::Account;
use super::{Parameters, is_loopback, page, scope};
use error::AadError;

/// The tenant of every personal account.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc#find-your-apps-openid-configuration-document-uri>
pub(crate) const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The one organisation that the emulator knows, and its domain.
pub(crate) const ORGANISATION: &str = "3c1a7f52-8e0d-4b96-9a57-6d2f4e8b1c03";
const ORGANISATION_DOMAIN: &str = "outlook.example";

/// The first segment of the path: whom the door lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Common,
    Organizations,
    Consumers,
    Organisation,
}

impl Door {
    fn read(segment: &str) -> Option<Self> {
        match segment.to_ascii_lowercase().as_str() {
            "common" => Some(Self::Common),
            "organizations" => Some(Self::Organizations),
            "consumers" | PERSONAL => Some(Self::Consumers),
            ORGANISATION | ORGANISATION_DOMAIN => Some(Self::Organisation),
            _ => None,
        }
    }

    fn lets_in(self, account: &Account) -> bool {
        match self {
            Self::Common => true,
            Self::Consumers => account.tenant == PERSONAL,
            Self::Organizations | Self::Organisation => account.tenant != PERSONAL,
        }
    }
}

/// What scopes mean, and in which combinations they are refused.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/scopes-oidc>
fn read_scopes(
    query: &Parameters,
    door: Door,
    state: &State,
) -> Result<Vec<&'static str>, AadError> {
    let words = query.words("scope");
    let of_other_resource =
        |word: &&&str| word.contains("://") && !starts_with_ignore_case(word, scope::GRAPH);
    if let Some(foreign) = words.iter().find(of_other_resource) {
        // Scopes of two resources in one token: <https://github.com/assast/outlookEmail/issues/58>
        let message = format!(
            "The provided value for the input parameter 'scope' is not valid. One or more scopes in '{}' are \
             not compatible with each other.",
            query.value("scope").unwrap_or(foreign)
        );
        return Err(AadError::new("invalid_scope", 70_011, message));
    }
    let is_default = |word: &str| {
        word.eq_ignore_ascii_case(".default")
            || word.eq_ignore_ascii_case("https://graph.microsoft.com/.default")
    };
    if words.iter().any(|word| is_default(word)) {
        let mixed = words
            .iter()
            .any(|word| !is_default(word) && !scope::is_identity(word));
        if mixed {
            let message = "The provided value for the input parameter 'scope' is not valid. .default scope \
                           can't be combined with resource-specific scopes.";
            return Err(AadError::new("invalid_scope", 70_011, message));
        }
        // <https://github.com/ZeroPointSix/outlookEmailPlus/issues/94>
        if door == Door::Consumers {
            let message = "No applicable permissions were found for this user.";
            return Err(AadError::new("invalid_request", 90_023, message));
        }
        let mut scopes: Vec<&'static str> = words
            .iter()
            .filter(|word| !is_default(word))
            .filter_map(|word| scope::microsoft(word))
            .collect();
        scopes.extend(
            scope::every_microsoft()
                .into_iter()
                .filter(|name| !scope::is_identity(name) && !name.ends_with(".Shared")),
        );
        return Ok(scopes);
    }
    let mut scopes = Vec::new();
    for word in words {
        let Some(name) = scope::microsoft(word) else {
            // <https://github.com/MicrosoftDocs/azure-docs/issues/67211>
            let message = format!(
                "The application '{}' asked for scope '{word}' that doesn't exist on the resource \
                 '00000003-0000-0000-c000-000000000000'. Contact the app vendor.",
                state.microsoft.client_id
            );
            return Err(AadError::new("invalid_client", 650_053, message));
        };
        if !scopes.contains(&name) {
            scopes.push(name);
        }
    }
    Ok(scopes)
}

fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// `GET /{tenant}/oauth2/v2.0/logout` ends the browser's session, and no token.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc#send-a-sign-out-request>
pub(super) async fn logout(uri: Uri) -> Response {
    let query = Parameters::read(uri.query().unwrap_or_default().as_bytes());
    match query.value("post_logout_redirect_uri") {
        Some(target) if is_loopback(target, &["localhost", "127.0.0.1"]) => {
            (StatusCode::FOUND, [(header::LOCATION, target)]).into_response()
        }
        _ => page::notice("Microsoft", "You signed out of your account."),
    }
}

/// Who signs for those whom a door lets in.
pub(super) fn issuer(tenant: &str) -> Result<String, AadError> {
    let of = match Door::read(tenant) {
        None => return Err(AadError::tenant(tenant)),
        Some(Door::Common | Door::Organizations) => "{tenantid}",
        Some(Door::Consumers) => PERSONAL,
        Some(Door::Organisation) => ORGANISATION,
    };
    Ok(format!("https://login.microsoftonline.com/{of}/v2.0"))
}

/// The discovery document, with the emulator's own addresses.
pub(super) async fn discovery(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
) -> Response {
    let issuer = match issuer(&tenant) {
        Ok(issuer) => issuer,
        Err(error) => return error.into_response(&state),
    };
    let base = &state.microsoft.base_url;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}{tenant}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{base}{tenant}/oauth2/v2.0/devicecode"),
        "end_session_endpoint": format!("{base}{tenant}/oauth2/v2.0/logout"),
        "jwks_uri": format!("{base}{tenant}/discovery/v2.0/keys"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }))
    .into_response()
}
