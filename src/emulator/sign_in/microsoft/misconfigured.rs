//! What Microsoft answers for an application that is registered wrongly, and for users that their organisation keeps out.
//! <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>

use super::super::super::{Misconfiguration, State};
use super::Door;
use super::consent::Refusal;
use super::error::AadError;

/// What is wrong with the application itself, whatever it asks for.
pub(super) fn refuse_application(
    state: &State,
    door: Door,
    client_id: &str,
    secret: Option<&str>,
) -> Result<(), AadError> {
    if state.is_misconfigured(Misconfiguration::ClientDisabled) {
        let message = format!("Application '{client_id}' is disabled.");
        return Err(AadError::new("unauthorized_client", 7_000_112, message));
    }
    if state.is_misconfigured(Misconfiguration::SingleTenant) && door != Door::Organisation {
        let message = format!(
            "Application '{client_id}' is not configured as a multi-tenant application. Usage of the /common endpoint \
             is not supported for such applications. Use a tenant-specific endpoint or configure the application to be \
             multi-tenant."
        );
        return Err(AadError::new("invalid_request", 50_194, message));
    }
    let right = secret == Some(state.microsoft.client_secret.as_str());
    if right && state.is_misconfigured(Misconfiguration::SecretExpired) {
        let message = format!(
            "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create new \
             keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added \
             security: https://aka.ms/certCreds."
        );
        return Err(AadError::new("invalid_client", 7_000_222, message));
    }
    Ok(())
}

/// What an organisation has against a sign-in.
pub(super) fn refuse_user(state: &State, personal: bool) -> Result<(), Refusal> {
    if state.is_misconfigured(Misconfiguration::AssignmentRequired) {
        let message = "Your administrator has configured the application to block users unless they are \
                       specifically granted ('assigned') access to the application.";
        return Err(Refusal::Shown(AadError::new(
            "access_denied",
            50_105,
            message,
        )));
    }
    if state.is_misconfigured(Misconfiguration::PolicyBlocks) {
        let message = "Access has been blocked by Conditional Access policies. The access policy does not allow \
                       token issuance.";
        return Err(Refusal::Sent(AadError::new(
            "access_denied",
            53_003,
            message,
        )));
    }
    // Personal accounts have no administrator.
    if state.is_misconfigured(Misconfiguration::AdministratorConsent) && !personal {
        let message =
            "Admin consent is required for the permissions requested by this application.";
        return Err(Refusal::Sent(AadError::new(
            "consent_required",
            90_094,
            message,
        )));
    }
    Ok(())
}

/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow#redirect-uris-for-single-page-apps-spas>
pub(super) fn refuse_code(state: &State, in_browser: bool) -> Result<(), AadError> {
    let for_browsers = state.is_misconfigured(Misconfiguration::SinglePageRedirect);
    match (for_browsers, in_browser) {
        (true, false) => Err(AadError::only_in_browsers()),
        (false, true) => Err(AadError::new(
            "invalid_request",
            9_002_326,
            "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type.",
        )),
        _ => Ok(()),
    }
}
