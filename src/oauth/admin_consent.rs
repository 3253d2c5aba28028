//! Consent of an administrator for a whole Microsoft organisation: the page to visit, and what comes back from it.

use std::fmt;

use oauth2::CsrfToken;
use serde::{Deserialize, Serialize};
use url::Url;

use super::callback::{came_back_to, invalid, same};
use super::error::{Place, callback_refusal, explain};
use super::flow::{Flow, OAuthFlow, require_redirect};
use super::scope::graph;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Access;
use crate::secret::{Secret, exposed};

/// Where an administrator must go, and what to keep until they come back.
#[non_exhaustive]
pub struct AdminConsent {
    /// The address to visit.
    pub url: Url,
    /// What [`OAuthFlow::complete_admin_consent`] needs.
    pub pending: PendingAdminConsent,
}

impl fmt::Debug for AdminConsent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query holds the state.
        let mut url = self.url.clone();
        url.set_query(None);
        formatter
            .debug_struct("AdminConsent")
            .field("url", &url.as_str())
            .field("pending", &self.pending)
            .finish()
    }
}

/// What must be remembered until an administrator comes back. Its serialized form is for their own session only.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingAdminConsent {
    client_id: String,
    redirect_uri: String,
    #[serde(serialize_with = "exposed")]
    state: Secret,
}

/// An administrator consented. Their users can sign in now; nobody has yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdminConsentGiven {
    /// The directory that the callback names. Anybody can write a callback: nothing may be allowed because of it.
    pub tenant: Option<String>,
    /// What the callback says was consented to.
    pub scopes: Vec<String>,
}

impl OAuthFlow {
    /// The page on which an administrator consents to the flow's access for all users of their organisation
    /// (<https://learn.microsoft.com/entra/identity-platform/v2-admin-consent>). The redirect address must be registered,
    /// as that of a sign-in.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where there is no such page: at Google, whose administrators allow applications in their
    /// own console, and for personal accounts; [`ErrorKind::Configuration`] when the redirect address is none.
    pub fn admin_consent_url(&self, redirect_uri: impl Into<String>) -> Result<AdminConsent> {
        let redirect_uri = require_redirect(redirect_uri.into())?.to_string();
        let state = Secret::new(CsrfToken::new_random_len(32).into_secret());
        let page = self
            .0
            .consent_page(self.0.access, &redirect_uri, Some(&state));
        let url = page.ok_or_else(|| {
            Error::unsupported(
                "only Microsoft's organisations have a page for this; at Google, an administrator allows the \
                 application in the Admin console, under Security, API controls",
            )
        })?;
        Ok(AdminConsent {
            url,
            pending: PendingAdminConsent {
                client_id: self.0.client_id.clone(),
                redirect_uri,
                state,
            },
        })
    }

    /// Reads the address that the administrator's browser came back with.
    ///
    /// # Errors
    /// [`ErrorKind::Declined`] when they did not consent, [`ErrorKind::InvalidCallback`] when the address does not belong
    /// to this consent or says nothing of one; otherwise as [`complete`](Self::complete).
    pub fn complete_admin_consent(
        &self,
        pending: PendingAdminConsent,
        callback: &Url,
    ) -> Result<AdminConsentGiven> {
        if pending.client_id != self.0.client_id {
            return Err(invalid(
                "another_application",
                "the consent was asked for with another configuration",
            ));
        }
        if !came_back_to(&pending.redirect_uri, callback) {
            return Err(invalid(
                "wrong_address",
                "the callback came to another address than the one that was given for it",
            ));
        }
        let value = |wanted: &str| {
            let mut values = callback.query_pairs().filter(|(name, _)| name == wanted);
            values.next().map(|(_, value)| value.into_owned())
        };
        match value("state") {
            None => return Err(invalid("missing_state", "the callback carries no state")),
            Some(state) if !same(&state, pending.state.expose()) => {
                return Err(invalid(
                    "wrong_state",
                    "the callback belongs to another consent",
                ));
            }
            Some(_) => {}
        }
        // A refusal says `admin_consent=True` as well, so that it has to be looked for first.
        if let Some(error) = value("error") {
            let refusal = callback_refusal(&error, value("error_description").as_deref());
            return Err(explain(refusal, Place::Callback).with_operation("oauth.admin_consent"));
        }
        if !value("admin_consent").is_some_and(|given| given.eq_ignore_ascii_case("true")) {
            return Err(invalid(
                "missing_consent",
                "the callback does not say that an administrator consented",
            ));
        }
        let scopes = value("scope").unwrap_or_default();
        Ok(AdminConsentGiven {
            tenant: value("tenant").filter(|tenant| !tenant.is_empty()),
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

impl Flow {
    /// Says with an error that an administrator can mend where they do it. When a renewal finds that nobody has consented
    /// (AADSTS65001), that may be their turn as well as the user's.
    pub(super) fn name_the_page(&self, error: Error, access: Access, redirect_uri: &str) -> Error {
        let not_consented = error.code() == Some("AADSTS65001");
        if error.kind() != ErrorKind::AdminConsentRequired && !not_consented {
            return error;
        }
        match self.consent_page(access, redirect_uri, None) {
            Some(url) => error.with_admin_consent_url(url),
            None => error,
        }
    }

    fn consent_page(
        &self,
        access: Access,
        redirect_uri: &str,
        state: Option<&Secret>,
    ) -> Option<Url> {
        let mut url = self.endpoints.admin_consent()?;
        let graph = graph(&url);
        let says_who = ["openid", "email", "profile", "offline_access"];
        let scopes: Vec<String> = self
            .scopes(access, Vec::new())
            .into_iter()
            .map(|scope| match says_who.contains(&scope.as_str()) {
                true => scope,
                false => format!("{graph}{scope}"),
            })
            .collect();
        url.query_pairs_mut()
            .append_pair("client_id", &self.client_id)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("redirect_uri", redirect_uri);
        if let Some(state) = state {
            url.query_pairs_mut().append_pair("state", state.expose());
        }
        Some(url)
    }
}
