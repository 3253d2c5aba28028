//! One registered application at one service: [`OAuthFlow`], from the address that a user's browser must visit to the
//! grant, and what becomes of grants later. Its settings, and the checks of the
//! callback and of the answers, are their own files'.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use oauth2::{CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};
use url::Url;

use super::builder::OAuthFlowBuilder;
use super::callback::{PendingAuthorization, invalid};
use super::endpoint::{self, OAuthClient, Tokens};
use super::grant::Grant;
use super::identity::{self, Expected};
use super::key_set::KeySet;
use super::options::SignInOptions;
use super::proof::{Attempts, Proofs};
use super::scope::{access_of, beyond_levels, missing, scopes_for, shared_scopes_for};
use super::server::Endpoints;
use crate::clock::Clock;
use crate::credentials::{AccountRecord, Identity, Refresh, Refreshed, Service};
use crate::error::{Error, ErrorKind, Result};
use crate::http::ApiClient;
use crate::model::Access;
use crate::secret::Secret;

/// Signs users of one registered application in. Clones are the same flow.
///
/// ```
/// # fn main() -> postroom::Result<()> {
/// use postroom::Access;
/// use postroom::oauth::{Authorization, OAuthFlow};
///
/// let flow = OAuthFlow::google("id.apps.googleusercontent.com")
///     .client_secret("from the Google Cloud console")
///     .redirect_uri("https://desk.example/oauth/google")
///     .access(Access::READ_WRITE | Access::SEND)
///     .build()?;
/// let Authorization { url, pending, .. } = flow.authorize()?;
/// assert_eq!(url.host_str(), Some("accounts.google.com"));
/// // Send the user's browser to `url`, keep `pending` in their session, and when the browser comes back:
/// // let grant = flow.complete(pending, &callback_url).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OAuthFlow(pub(super) Arc<Flow>);

pub(super) struct Flow {
    pub(super) service: Service,
    pub(super) client_id: String,
    pub(super) proofs: Proofs,
    pub(super) redirect_uri: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) access: Access,
    pub(super) shared_mailboxes: bool,
    pub(super) login_hint: Option<String>,
    pub(super) prompt: Option<String>,
    pub(super) domain_hint: Option<String>,
    pub(super) endpoints: Endpoints,
    pub(super) keys: KeySet,
    pub(super) api: ApiClient,
    pub(super) clock: Arc<dyn Clock>,
}

/// Where the user's browser must go, and what to keep until it comes back.
#[non_exhaustive]
pub struct Authorization {
    /// The address to visit. It is good for one sign-in.
    pub url: Url,
    /// What [`OAuthFlow::complete`] needs.
    pub pending: PendingAuthorization,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query holds what only this user's browser may know.
        let mut url = self.url.clone();
        url.set_query(None);
        formatter
            .debug_struct("Authorization")
            .field("url", &url.as_str())
            .field("pending", &self.pending)
            .finish()
    }
}

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revoked {
    /// The service ended the grant: **every** grant of this user to any client of the same Google project
    /// (<https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke>).
    AtService,
    /// The service has no way to revoke a grant, or there was no token to revoke: forgetting the tokens is all that can
    /// be done here. On Microsoft the user can remove the application at <https://myapps.microsoft.com> or
    /// <https://account.live.com/consent/Manage>.
    LocallyOnly,
}

impl OAuthFlow {
    /// Sign-in with Google for the application with this client id.
    #[must_use]
    pub fn google(client_id: impl Into<String>) -> OAuthFlowBuilder {
        OAuthFlowBuilder::new(Service::Google, client_id.into())
    }

    /// Sign-in with Microsoft for the application with this client id.
    #[must_use]
    pub fn microsoft(client_id: impl Into<String>) -> OAuthFlowBuilder {
        OAuthFlowBuilder::new(Service::Microsoft, client_id.into())
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when there is no redirect address.
    pub fn authorize(&self) -> Result<Authorization> {
        self.authorize_with(SignInOptions::new())
    }

    /// Begins a sign-in that differs from the flow's usual one.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when there is no redirect address, or none that a browser could come back to.
    pub fn authorize_with(&self, options: SignInOptions) -> Result<Authorization> {
        let flow = &self.0;
        let access = options.access.unwrap_or(flow.access);
        let redirect_uri = options
            .redirect_uri
            .or_else(|| flow.redirect_uri.clone())
            .ok_or_else(|| {
                configuration("the flow has no redirect address").with_code("redirect_missing")
            })?;
        let redirect_uri = require_redirect(redirect_uri)?;
        let login_hint = options.login_hint.or_else(|| flow.login_hint.clone());
        let prompt = options
            .prompt
            .or_else(|| flow.prompt.clone())
            .or_else(|| flow.usual_prompt(login_hint.is_some()).map(str::to_owned));

        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        // As many bits as the verifier has.
        let nonce = CsrfToken::new_random_len(32);
        let client = flow.client(&flow.endpoints.token);
        let scopes = flow.scopes(access, options.scopes);
        let mut request = client
            .authorize_url(|| CsrfToken::new_random_len(32))
            .set_redirect_uri(std::borrow::Cow::Borrowed(&redirect_uri))
            .add_scopes(scopes.into_iter().map(Scope::new))
            .set_pkce_challenge(challenge)
            .add_extra_param("nonce", nonce.secret().clone());
        if flow.service == Service::Google {
            // Without it web applications get no refresh token
            // (<https://developers.google.com/identity/protocols/oauth2/web-server#offline>).
            request = request.add_extra_param("access_type", "offline");
        } else {
            request = request.add_extra_param("response_mode", "query");
        }
        if let Some(claims) = options
            .claims
            .filter(|_| flow.service == Service::Microsoft)
        {
            request = request.add_extra_param("claims", claims);
        }
        if let Some(prompt) = prompt {
            request = request.add_extra_param("prompt", prompt);
        }
        if let Some(hint) = login_hint {
            request = request.add_extra_param("login_hint", hint);
        }
        if let Some(domain) = options.domain_hint.or_else(|| flow.domain_hint.clone()) {
            // <https://developers.google.com/identity/openid-connect/openid-connect#hd-param>,
            // <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#request-an-authorization-code>
            let name = match flow.service {
                Service::Google => "hd",
                _ => "domain_hint",
            };
            request = request.add_extra_param(name, domain);
        }
        let (url, state) = request.url();
        let pending = PendingAuthorization::new(
            flow.service.clone(),
            flow.client_id.clone(),
            redirect_uri.to_string(),
            access,
            (
                Secret::new(state.into_secret()),
                Secret::new(nonce.into_secret()),
                Secret::new(verifier.into_secret()),
            ),
            flow.clock.now(),
        );
        Ok(Authorization { url, pending })
    }

    /// Completes a sign-in with the whole address that the browser came back with. Whatever comes of it, the pending
    /// authorization is spent.
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidCallback`]: the address does not belong to this sign-in, or its code is empty, used, expired or
    ///   another's; [`Error::code`] says which.
    /// * [`ErrorKind::Declined`]: the user said no.
    /// * [`ErrorKind::AdminConsentRequired`], [`ErrorKind::PermissionDenied`]: the user's organisation has to allow it.
    /// * [`ErrorKind::Configuration`]: the application's registration or its settings here are wrong.
    /// * [`ErrorKind::Protocol`]: the service's answer is not the documented one.
    pub async fn complete(&self, pending: PendingAuthorization, callback: &Url) -> Result<Grant> {
        let flow = &self.0;
        if pending.client_id != flow.client_id || pending.service != flow.service {
            return Err(invalid(
                "another_application",
                "the sign-in was begun with another configuration",
            ));
        }
        let code = pending
            .code(callback, &flow.endpoints, flow.clock.now())
            .map_err(|error| flow.name_the_page(error, pending.access, &pending.redirect_uri))?;
        let token_endpoint = &flow.endpoints.token;
        let client = flow.client(token_endpoint);
        let (verifier, redirect_uri) = (&pending.verifier, &pending.redirect_uri);
        let mut attempts = Attempts::new(&flow.proofs, flow.clock.now());
        let tokens = loop {
            let shown = attempts.parameters(&flow.client_id, token_endpoint)?;
            let api = &flow.api;
            let tokens =
                endpoint::exchange_code(api, &client, &code, verifier, redirect_uri, &shown).await;
            if !attempts.go_on(&tokens) {
                break tokens;
            }
        };
        let tokens = tokens
            .map_err(|error| flow.name_the_page(error, pending.access, &pending.redirect_uri))?;
        flow.grant(
            &tokens,
            pending.access,
            Some(&pending.nonce),
            "oauth.exchange_code",
        )
    }

    /// Ends the account's grant at the service, if the service can. Nothing that is stored is changed.
    ///
    /// On Google this ends every grant that the user gave to any client of the same project: a host that has the same
    /// mailbox connected twice must not do it while the other one is needed.
    ///
    /// # Errors
    /// The service could not be reached or refused for another reason than that the token is dead already.
    pub async fn revoke(&self, account: &AccountRecord) -> Result<Revoked> {
        let credential = &account.credential;
        let token = credential
            .refresh_token
            .as_ref()
            .or(credential.access_token.as_ref());
        match (&self.0.endpoints.revoke, token) {
            (Some(endpoint), Some(token)) => {
                endpoint::revoke(&self.0.api, endpoint, token).await?;
                Ok(Revoked::AtService)
            }
            _ => Ok(Revoked::LocallyOnly),
        }
    }

    /// Whether the service has a way to [`revoke`](Self::revoke).
    pub(crate) fn ends_grants(&self) -> bool {
        self.0.endpoints.revoke.is_some()
    }

    /// What to ask the user of an account for, so that nothing is lost that was granted before: the union of both. Google's
    /// own parameter for that does not serve desktop applications
    /// (<https://developers.google.com/identity/protocols/oauth2/native-app>).
    #[must_use]
    pub fn keeping(&self, account: &AccountRecord, mut options: SignInOptions) -> SignInOptions {
        let access = options.access.unwrap_or(self.0.access);
        options.access = Some(access | account.granted);
        let beyond = beyond_levels(&self.0.service, &account.scopes);
        options.scopes.extend(beyond);
        if options.login_hint.is_none() {
            options.login_hint = account.addresses.first().cloned();
        }
        options
    }

    /// Whose sign-in it is.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.0.service
    }

    /// The access that the flow asks for.
    #[must_use]
    pub fn access(&self) -> Access {
        self.0.access
    }

    /// The Microsoft tenant that the flow signs in at.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }
}

impl Flow {
    fn client(&self, token: &Url) -> OAuthClient {
        endpoint::client(&self.client_id, &self.endpoints.authorize, token)
    }

    /// What to ask for: what the access takes, and `more` in the service's own words.
    pub(super) fn scopes(&self, access: Access, more: Vec<String>) -> Vec<String> {
        let mut scopes = scopes_for(&self.service, access);
        if self.shared_mailboxes {
            scopes.extend(shared_scopes_for(access));
        }
        let mut scopes: Vec<String> = scopes.into_iter().map(str::to_owned).collect();
        for scope in more {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// What to make the service ask. Google repeats the refresh token only to those who consent again
    /// (<https://developers.google.com/identity/protocols/oauth2/web-server#offline>); and both would otherwise take
    /// whichever account the browser is signed in with, unless it is known which one it should be.
    fn usual_prompt(&self, knows_who: bool) -> Option<&'static str> {
        match (&self.service, knows_who) {
            (Service::Google, true) => Some("consent"),
            (Service::Google, false) => Some("select_account consent"),
            (_, true) => None,
            (_, false) => Some("select_account"),
        }
    }

    /// What an `id_token` for this application must say.
    pub(super) fn expected<'a>(
        &'a self,
        nonce: Option<&'a Secret>,
        now: DateTime<Utc>,
        unfit: ErrorKind,
    ) -> Expected<'a> {
        Expected {
            service: &self.service,
            endpoints: &self.endpoints,
            client_id: &self.client_id,
            tenant: self.tenant.as_deref(),
            nonce,
            now,
            unfit,
        }
    }

    /// What these tokens, given for a sign-in that asked for `asked`, come to.
    pub(super) fn grant(
        &self,
        tokens: &Tokens,
        asked: Access,
        nonce: Option<&Secret>,
        operation: &'static str,
    ) -> Result<Grant> {
        let expected = self.expected(nonce, tokens.answered_at, ErrorKind::Protocol);
        let user = tokens
            .id_token()
            .map(|token| identity::read(token, &expected).map(|(user, _)| user))
            .transpose()
            .map_err(|error| error.with_operation(operation))?;
        // RFC 6749 §5.1: a server that does not say has granted what was asked for.
        let scopes = tokens.scopes().unwrap_or_else(|| {
            let scopes = scopes_for(&self.service, asked);
            scopes.into_iter().map(str::to_owned).collect()
        });
        let granted = access_of(&self.service, &scopes);
        let (identity, addresses, display_name) = user.map_or_else(Default::default, |user| {
            (Some(user.identity), user.addresses, user.display_name)
        });
        Ok(Grant {
            service: self.service.clone(),
            credential: tokens.credential(),
            identity,
            addresses,
            display_name,
            granted,
            missing: missing(asked, granted),
            scopes,
            tenant: self.tenant.clone(),
            by_application: false,
        })
    }

    /// Who the user is, if the answer to a refresh says so. Without, renewing goes on: it is the grant that counts.
    fn learn(&self, tokens: &Tokens) -> Option<(Identity, Vec<String>, Option<String>)> {
        let expected = self.expected(None, tokens.answered_at, ErrorKind::Protocol);
        let (user, _) = identity::read(tokens.id_token()?, &expected).ok()?;
        Some((user.identity, user.addresses, user.display_name))
    }

    /// The scopes to name when renewing: Microsoft's personal accounts give no new refresh token unless `offline_access` is
    /// among them (<https://github.com/AzureAD/microsoft-authentication-library-for-js/issues/2195>), and refuse those
    /// that were not granted. Google renews what was granted unless told otherwise.
    fn refresh_scopes(&self, account: &AccountRecord) -> Vec<String> {
        if self.service != Service::Microsoft {
            return Vec::new();
        }
        let mut scopes = account.scopes.clone();
        if scopes.is_empty() {
            let access = match account.granted {
                Access::NONE => self.access,
                granted => granted,
            };
            // A grant that another library obtained may well lack what mail does not need.
            let asked = scopes_for(&self.service, access);
            let needed = asked.into_iter().filter(|scope| *scope != "User.Read");
            scopes.extend(needed.map(str::to_owned));
        }
        if !scopes.iter().any(|scope| scope == "offline_access") {
            scopes.push("offline_access".to_owned());
        }
        scopes
    }
}

#[async_trait]
impl Refresh for OAuthFlow {
    async fn refresh(&self, account: &AccountRecord) -> Result<Refreshed> {
        let flow = &self.0;
        let Some(refresh_token) = &account.credential.refresh_token else {
            return Err(Error::new(
                ErrorKind::SignInRequired,
                "there is no refresh token: the user must sign in again",
            )
            .with_code("no_refresh_token"));
        };
        let token_endpoint = match &account.tenant {
            Some(tenant) if flow.service == Service::Microsoft => {
                flow.endpoints.token_for(tenant)?
            }
            _ => flow.endpoints.token.clone(),
        };
        let scopes = flow.refresh_scopes(account);
        let client = flow.client(&token_endpoint);
        let mut attempts = Attempts::new(&flow.proofs, flow.clock.now());
        let tokens = loop {
            let shown = attempts.parameters(&flow.client_id, &token_endpoint)?;
            let scopes = scopes.clone();
            let tokens = endpoint::refresh(&flow.api, &client, refresh_token, scopes, &shown).await;
            if !attempts.go_on(&tokens) {
                break tokens;
            }
        };
        let tokens = tokens.map_err(|error| {
            // Where desktop applications are told to come back to, for want of a better address.
            let redirect_uri = flow.redirect_uri.as_deref().unwrap_or("http://localhost");
            flow.name_the_page(error, flow.access | account.granted, redirect_uri)
        })?;
        let credential = tokens.credential();
        let mut refreshed = Refreshed::new(
            credential.access_token.unwrap_or_else(|| Secret::new("")),
            credential.expires_at,
        );
        refreshed.refresh_token = credential.refresh_token;
        refreshed.refresh_token_expires_at = credential.refresh_token_expires_at;
        refreshed.token_type = credential.token_type;
        if account.identity.is_none() {
            refreshed.user = flow.learn(&tokens);
        }
        refreshed.granted = tokens.scopes().map(|scopes| {
            let access = access_of(&flow.service, &scopes);
            (scopes, access)
        });
        Ok(refreshed)
    }
}

impl fmt::Debug for OAuthFlow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OAuthFlow")
            .field("service", &self.0.service)
            .field("client_id", &self.0.client_id)
            .field("proofs", &self.0.proofs)
            .field("redirect_uri", &self.0.redirect_uri)
            .field("tenant", &self.0.tenant)
            .field("access", &self.0.access)
            .field("endpoints", &self.0.endpoints)
            .finish_non_exhaustive()
    }
}

/// The text is kept as it is: services compare it character by character.
pub(super) fn require_redirect(redirect_uri: String) -> Result<RedirectUrl> {
    let redirect = RedirectUrl::new(redirect_uri).map_err(|error| {
        configuration("the redirect address is no address")
            .with_code("redirect_malformed")
            .with_source(error)
    })?;
    if redirect.url().fragment().is_some() {
        return Err(
            configuration("a redirect address has no fragment").with_code("redirect_has_fragment")
        );
    }
    Ok(redirect)
}

pub(super) fn configuration(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, message)
}
