//! Google's tokens for service accounts to which a domain was delegated: what they sign, and what an administrator has
//! allowed them.
//! <https://developers.google.com/identity/protocols/oauth2/service-account>

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::super::tokens::APPLICATION;
use super::super::super::{State, Vendor};
use super::super::assertion::{Assertion, PRIVATE_KEY};
use super::super::{Parameters, issue_access, lifetime, scope};
use super::token::TokenError;

pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

const EMAIL: &str = "postroom@emulator.iam.gserviceaccount.example";
const KEY_ID: &str = "0f3f6a2f1c6b4f0e9d8c7b6a5f4e3d2c1b0a9f8e";

/// The file that an administrator downloads.
pub(crate) fn key_file(state: &State) -> String {
    json!({
        "type": "service_account",
        "project_id": "postroom-emulator",
        "private_key_id": KEY_ID,
        "private_key": PRIVATE_KEY,
        "client_email": EMAIL,
        "client_id": "104857600000000000001",
        "token_uri": format!("{}token", state.google.base_url),
    })
    .to_string()
}

/// An access token for what was signed. There is no refresh token: whoever needs another token signs again.
pub(super) fn answer(state: &State, form: &Parameters) -> Result<Value, TokenError> {
    let invalid =
        |description: &str| TokenError::new(StatusCode::BAD_REQUEST, "invalid_grant", description);
    let text = form.value("assertion").ok_or_else(|| {
        TokenError::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Missing required parameter: assertion",
        )
    })?;
    let assertion = Assertion::read(text)
        .ok_or_else(|| invalid("Invalid JWT: Failed to parse the JWT payload"))?;
    if assertion.claim("iss") != EMAIL {
        return Err(invalid("Invalid grant: account not found"));
    }
    if assertion.header("alg") != "RS256"
        || assertion.header("kid") != KEY_ID
        || !assertion.is_signed()
    {
        return Err(invalid("Invalid JWT Signature."));
    }
    let own = format!("{}token", state.google.base_url);
    if ![own.as_str(), "https://oauth2.googleapis.com/token"].contains(&assertion.claim("aud")) {
        return Err(invalid(
            "Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token",
        ));
    }
    // An hour at most, and not begun in the future: that is why clients date back.
    let now = state.clock.now().timestamp();
    let in_time = match (assertion.instant("iat"), assertion.instant("exp")) {
        (Some(issued), Some(expires)) => issued <= now && now < expires && expires - issued <= 3600,
        _ => false,
    };
    if !in_time {
        return Err(invalid(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your \
             iat and exp values in the JWT claim.",
        ));
    }
    let words: Vec<&str> = assertion.claim("scope").split_whitespace().collect();
    let known: Option<BTreeSet<String>> = words
        .iter()
        .map(|word| scope::google(word).map(str::to_owned))
        .collect();
    let scopes = known.filter(|scopes| !scopes.is_empty()).ok_or_else(|| {
        TokenError::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "Invalid OAuth scope or ID token audience provided.",
        )
    })?;
    let mut world = state.world();
    let account = match assertion.claim("sub") {
        // Without a user it is the service account's own token.
        "" | EMAIL => APPLICATION.to_owned(),
        user => {
            let account = world
                .account(user)
                .filter(|account| account.vendor() == Vendor::Google)
                .ok_or_else(|| invalid("Invalid email or User ID"))?;
            let delegated = &state.settings.delegated_scopes;
            if !scopes.iter().all(|scope| delegated.contains(scope)) {
                return Err(TokenError::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized_client",
                    "Client is unauthorized to retrieve access tokens using this method, or client not authorized \
                     for any of the scopes requested.",
                ));
            }
            account.address.clone()
        }
    };
    let grant = world.grant(account, EMAIL.to_owned(), scopes);
    let access = issue_access(&mut world, state, Vendor::Google, grant);
    Ok(json!({"access_token": access, "expires_in": lifetime(state), "token_type": "Bearer"}))
}
