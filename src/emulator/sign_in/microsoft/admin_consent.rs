//! Consent that only an administrator can give: whom it concerns, and the page on which they give it.
//! <https://learn.microsoft.com/en-us/entra/identity-platform/v2-admin-consent>

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{StatusCode, Uri, header};

use super::super::super::State;
use super::super::super::world::World;
use super::super::page::{self, ConsentPage};
use super::super::{Decision, Parameters, is_loopback, scope, with_query};
use super::error::{AadError, error_page};
use super::{Door, ORGANISATION, PERSONAL, read_scopes};

/// Whether this user may not consent to this alone: the policy names what reads mail and settings, and not what sends.
/// <https://learn.microsoft.com/en-us/entra/identity/enterprise-apps/manage-app-consent-policies>
pub(super) fn is_missing(state: &State, world: &World, account: &str, asked: &[&str]) -> bool {
    let of_organisation = world
        .account(account)
        .is_some_and(|account| account.tenant != PERSONAL);
    let is_named =
        |name: &&str| name.starts_with("Mail.Read") || name.starts_with("MailboxSettings");
    state.settings.admin_consent
        && of_organisation
        && asked.iter().any(is_named)
        && !world
            .tokens
            .admin_consents
            .contains(&state.microsoft.client_id)
}

/// What a user brings back who may not consent.
pub(super) fn needed() -> AadError {
    let message = "Postroom needs permission to access resources in your organization that only an admin can grant. \
                   Please ask an admin to grant permission to this app before you can use it.";
    AadError::new("consent_required", 90_094, message)
}

/// `GET /{tenant}/v2.0/adminconsent`
pub(in super::super) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    uri: Uri,
) -> Response {
    let (_, scopes) = match check(&state, &tenant, &uri) {
        Ok(checked) => checked,
        Err(error) => return error_page(&state, error),
    };
    let world = state.world();
    let administrators = world
        .accounts
        .iter()
        .filter(|account| account.tenant == ORGANISATION)
        .map(|account| (account.address.clone(), account.display_name.clone()));
    page::consent(&ConsentPage {
        service: "Microsoft",
        application: "For the whole organization: Postroom",
        accounts: administrators.collect(),
        hint: None,
        asked: scopes
            .iter()
            .map(|name| ((*name).to_owned(), scope::describe(name).to_owned(), false))
            .collect(),
        action: uri.to_string(),
    })
}

/// The page's form.
pub(in super::super) async fn decide(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let (query, scopes) = match check(&state, &tenant, &uri) {
        Ok(checked) => checked,
        Err(error) => return error_page(&state, error),
    };
    let decision = Decision::read(&body);
    let mut fields = vec![("admin_consent".to_owned(), "True".to_owned())];
    if decision.allowed {
        let mut world = state.world();
        let is_administrator = world
            .account(&decision.account)
            .is_some_and(|account| account.tenant == ORGANISATION);
        if !is_administrator {
            drop(world);
            return error_page(&state, needed());
        }
        let client_id = state.microsoft.client_id.clone();
        world.tokens.admin_consents.insert(client_id);
        fields.push(("tenant".to_owned(), ORGANISATION.to_owned()));
        fields.push(("scope".to_owned(), scopes.join(" ")));
    } else {
        // A refusal says that it is consent, too.
        let error = AadError::new(
            "consent_required",
            65_004,
            "User declined to consent to access the app.",
        );
        fields.push(("error".to_owned(), error.error.to_owned()));
        fields.push(("error_description".to_owned(), error.describe(&state)));
    }
    if let Some(text) = query.owned("state") {
        fields.push(("state".to_owned(), text));
    }
    let target = with_query(query.value("redirect_uri").unwrap_or_default(), &fields);
    (StatusCode::FOUND, [(header::LOCATION, target)]).into_response()
}

fn check(
    state: &State,
    tenant: &str,
    uri: &Uri,
) -> Result<(Parameters, Vec<&'static str>), AadError> {
    let query = Parameters::read(uri.query().unwrap_or_default().as_bytes());
    // Nobody administers everybody.
    let Some(door @ (Door::Organizations | Door::Organisation)) = Door::read(tenant) else {
        return Err(AadError::tenant(tenant));
    };
    let client_id = query
        .value("client_id")
        .ok_or_else(|| AadError::missing("client_id"))?;
    if !client_id.eq_ignore_ascii_case(&state.microsoft.client_id) {
        return Err(AadError::client(client_id));
    }
    let redirect_uri = query.owned("redirect_uri").unwrap_or_default();
    let registered = state.settings.redirect_uris.contains(&redirect_uri);
    if !registered && !is_loopback(&redirect_uri, &["localhost", "127.0.0.1"]) {
        let message = format!(
            "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs \
             configured for the application '{client_id}'."
        );
        return Err(AadError::new("invalid_request", 50_011, message));
    }
    if query.value("scope").is_none() {
        return Err(AadError::missing("scope"));
    }
    let scopes = read_scopes(&query, door, state)?;
    Ok((query, scopes))
}
