//! Google's sign-in: the consent page in `consent`, the token endpoint in `token`, and here what both need.

pub(super) mod consent;
pub(in super::super) mod service_account;
pub(super) mod token;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::super::State;
use super::scope;

/// The discovery document, with the emulator's own addresses.
pub(super) async fn discovery(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let base = &state.google.base_url;
    Json(json!({
        "issuer": "https://accounts.google.com",
        "authorization_endpoint": format!("{base}o/oauth2/v2/auth"),
        "token_endpoint": format!("{base}token"),
        "revocation_endpoint": format!("{base}revoke"),
        "userinfo_endpoint": format!("{base}v1/userinfo"),
        "jwks_uri": format!("{base}oauth2/v3/certs"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["plain", "S256"],
    }))
}

/// Scopes in Google's own order, which is not the order in which they were asked: sorted, identity last.
fn spelled(scopes: &BTreeSet<String>) -> String {
    let (identity, others): (Vec<&str>, Vec<&str>) = scopes
        .iter()
        .map(String::as_str)
        .partition(|name| scope::is_identity(name));
    [others, identity].concat().join(" ")
}
