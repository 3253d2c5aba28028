//! Microsoft's sign-in for machines without a browser: the codes, the page at which one is typed, and the question
//! whether that is done.
//! <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-device-code>

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::super::super::tokens::{DeviceCode, DeviceDecision, RefreshLife};
use super::super::super::{State, Vendor};
use super::super::page::{self, ConsentPage};
use super::super::{Decision, Parameters, issue_refresh, scope, token_form};
use super::consent::{Refusal, allow};
use super::error::{AadError, error_page};
use super::{Door, read_scopes, token};

pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How long a code can be typed, and how long to wait between two questions.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-device-code#device-authorization-response>
const LIFETIME: Duration = Duration::from_secs(900);
const INTERVAL: Duration = Duration::from_secs(5);

/// `POST /{tenant}/oauth2/v2.0/devicecode`
pub(in super::super) async fn begin(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = token_form(&headers, &body);
    match issue(&state, &tenant, &form) {
        Ok(body) => Json(body).into_response(),
        Err(error) => error.into_response(&state),
    }
}

fn issue(state: &State, tenant: &str, form: &Parameters) -> Result<Value, AadError> {
    let door = Door::read(tenant).ok_or_else(|| AadError::tenant(tenant))?;
    let client_id = form
        .value("client_id")
        .ok_or_else(|| AadError::missing("client_id"))?;
    if !client_id.eq_ignore_ascii_case(&state.microsoft.client_id) {
        return Err(AadError::client(client_id));
    }
    if form.value("scope").is_none() {
        return Err(AadError::missing("scope"));
    }
    let scopes = read_scopes(form, door, state)?;
    let now = state.clock.monotonic();
    let mut world = state.world();
    let user_code = world.opaque(9).to_ascii_uppercase();
    let device_code = format!("{}!*", world.opaque(100));
    world.tokens.devices.insert(
        device_code.clone(),
        DeviceCode {
            user_code: user_code.clone(),
            client_id: state.microsoft.client_id.clone(),
            tenant: format!("{door:?}"),
            scopes,
            expires: now + LIFETIME,
            patient_until: now,
            decision: DeviceDecision::Pending,
        },
    );
    let page = format!("{}common/oauth2/deviceauth", state.microsoft.base_url);
    let message = format!(
        "To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate."
    );
    Ok(json!({
        "user_code": user_code,
        "device_code": device_code,
        "verification_uri": page,
        "expires_in": LIFETIME.as_secs(),
        "interval": INTERVAL.as_secs(),
        "message": message,
    }))
}

/// `GET /{tenant}/oauth2/deviceauth`
pub(in super::super) async fn show(Shared(state): Shared<Arc<State>>, uri: Uri) -> Response {
    let query = Parameters::read(uri.query().unwrap_or_default().as_bytes());
    let Some(user_code) = query.value("otc") else {
        return page::type_code("Microsoft");
    };
    let waiting = match find(&state, user_code) {
        Ok((_, waiting)) => waiting,
        Err(error) => return error_page(&state, error),
    };
    let world = state.world();
    let people = world.people(Vendor::Microsoft);
    page::consent(&ConsentPage {
        service: "Microsoft",
        application: "Postroom",
        accounts: people,
        hint: None,
        asked: waiting
            .scopes
            .iter()
            .map(|name| ((*name).to_owned(), scope::describe(name).to_owned(), false))
            .collect(),
        action: uri.to_string(),
    })
}

/// The page's form.
pub(in super::super) async fn decide(
    Shared(state): Shared<Arc<State>>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let query = Parameters::read(uri.query().unwrap_or_default().as_bytes());
    let user_code = query.value("otc").unwrap_or_default();
    let decision = Decision::read(&body);
    match settle(&state, user_code, &decision) {
        Ok(message) => page::notice("Microsoft", message),
        Err(error) => error_page(&state, error),
    }
}

fn settle(state: &State, user_code: &str, decision: &Decision) -> Result<&'static str, AadError> {
    let (device_code, waiting) = find(state, user_code)?;
    let mut world = state.world();
    let (decision, message) = if decision.allowed {
        let door = [
            Door::Common,
            Door::Organizations,
            Door::Consumers,
            Door::Organisation,
        ]
        .into_iter()
        .find(|door| format!("{door:?}") == waiting.tenant)
        .unwrap_or(Door::Common);
        let grant = allow(
            &mut world,
            door,
            &waiting.client_id,
            &waiting.scopes,
            &decision.account,
        )
        .map_err(|(Refusal::Shown(error) | Refusal::Sent(error))| error)?;
        (
            DeviceDecision::Allowed(grant),
            "You have signed in to the application on your device. You may now close this window.",
        )
    } else {
        (
            DeviceDecision::Declined,
            "You have cancelled the sign-in on your device.",
        )
    };
    if let Some(waiting) = world.tokens.devices.get_mut(&device_code) {
        waiting.decision = decision;
    }
    Ok(message)
}

/// The machine that shows this code and still waits.
fn find(state: &State, user_code: &str) -> Result<(String, DeviceCode), AadError> {
    let now = state.clock.monotonic();
    let world = state.world();
    let found = world
        .tokens
        .devices
        .iter()
        .find(|(_, waiting)| waiting.user_code.eq_ignore_ascii_case(user_code.trim()));
    let Some((device_code, waiting)) = found else {
        let message =
            "Invalid verification code due to user typing in wrong user code for device code flow.";
        return Err(AadError::new("bad_verification_code", 70_018, message));
    };
    if waiting.expires <= now || !matches!(waiting.decision, DeviceDecision::Pending) {
        let message = "Verification code expired. Have the user retry the sign-in.";
        return Err(AadError::new("code_expired", 70_019, message));
    }
    Ok((device_code.clone(), waiting.clone()))
}

/// The token endpoint's answer to a machine that asks.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-device-code#expected-errors>
pub(super) fn redeem(state: &State, door: Door, form: &Parameters) -> Result<Value, AadError> {
    let text = form
        .value("device_code")
        .ok_or_else(|| AadError::missing("device_code"))?;
    let now = state.clock.monotonic();
    let mut world = state.world();
    let Some(waiting) = world.tokens.devices.get_mut(text) else {
        let message =
            "Invalid verification code due to user typing in wrong user code for device code flow.";
        return Err(AadError::new("bad_verification_code", 70_018, message));
    };
    if waiting.tenant != format!("{door:?}") {
        let message =
            "Provided Authorization Code is intended to use against other tenant, thus rejected.";
        return Err(AadError::new("invalid_grant", 700_005, message));
    }
    if waiting.expires <= now {
        let message = "The provided value for the input parameter 'device_code' is not valid. This device code has \
                       expired.";
        return Err(AadError::new("expired_token", 70_020, message));
    }
    // Whoever asks too often has to wait longer from then on. <https://www.rfc-editor.org/rfc/rfc8628#section-3.5>
    if now < waiting.patient_until {
        waiting.patient_until = now + INTERVAL * 2;
        let message = "The request was sent too soon after the one before it.";
        return Err(AadError::new("slow_down", 70_016, message));
    }
    waiting.patient_until = now + INTERVAL;
    match waiting.decision.clone() {
        DeviceDecision::Pending => {
            let message =
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
            Err(AadError::new("authorization_pending", 70_016, message))
        }
        DeviceDecision::Declined => {
            let message = "User declined to consent to access the app.";
            Err(AadError::new("authorization_declined", 65_004, message))
        }
        DeviceDecision::Told => {
            let message = "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use \
                           an existing refresh token.";
            Err(AadError::new("invalid_grant", 54_005, message))
        }
        DeviceDecision::Allowed(grant) => {
            waiting.decision = DeviceDecision::Told;
            let offline = grant.scopes.contains("offline_access");
            let (whole, vendor) = (grant.clone(), Vendor::Microsoft);
            let life = RefreshLife::default();
            let refresh = offline.then(|| issue_refresh(&mut world, state, vendor, whole, life));
            Ok(token::tokens(&mut world, state, &grant, None, refresh))
        }
    }
}
