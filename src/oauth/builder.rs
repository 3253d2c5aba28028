//! The settings of a flow, and whether one can be built of them.

use std::sync::Arc;

use url::Url;

use super::assertion::ClientCertificate;
use super::error::classify;
use super::flow::{Flow, OAuthFlow, configuration, require_redirect};
use super::key_set::KeySet;
use super::proof::Proofs;
use super::server::Endpoints;
use crate::clock::{Clock, SystemClock};
use crate::credentials::Service;
use crate::error::{Error, Result};
use crate::http::{ApiClient, Lane, Limiter, Limits, Origins, RetryPolicy, Transport};
use crate::model::Access;
use crate::secret::Secret;

/// The settings of an [`OAuthFlow`].
#[derive(Clone, Debug)]
pub struct OAuthFlowBuilder {
    service: Service,
    client_id: String,
    proofs: Proofs,
    redirect_uri: Option<String>,
    tenant: Option<String>,
    access: Access,
    shared_mailboxes: bool,
    login_hint: Option<String>,
    prompt: Option<String>,
    domain_hint: Option<String>,
    endpoints: Option<Endpoints>,
    transport: Option<Arc<dyn Transport>>,
    clock: Option<Arc<dyn Clock>>,
    retry: RetryPolicy,
}

impl OAuthFlowBuilder {
    pub(super) fn new(service: Service, client_id: String) -> Self {
        Self {
            service,
            client_id,
            proofs: Proofs::default(),
            redirect_uri: None,
            tenant: None,
            access: Access::default(),
            shared_mailboxes: false,
            login_hint: None,
            prompt: None,
            domain_hint: None,
            endpoints: None,
            transport: None,
            clock: None,
            retry: RetryPolicy::default(),
        }
    }

    /// The application's secret. Google gives desktop applications one too and wants it; Microsoft's public clients have
    /// none.
    #[must_use]
    pub fn client_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.proofs.secret = Some(secret.into());
        self
    }

    /// Where browsers come back to: registered with the service, character by character; for loopback addresses any
    /// port.
    #[must_use]
    pub fn redirect_uri(mut self, redirect_uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(redirect_uri.into());
        self
    }

    /// Whose accounts may sign in with Microsoft: `common` (the default: all), `organizations`, `consumers`, or one
    /// directory's id or domain. Without meaning for Google.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// What to ask users for; by default to read, change and send mail.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Microsoft: asks users for the same access to mailboxes that are shared with them, or whose delegates they are, too.
    /// Only accounts of organisations have any; personal ones are refused with these scopes.
    #[must_use]
    pub fn shared_mailboxes(mut self, ask: bool) -> Self {
        self.shared_mailboxes = ask;
        self
    }

    /// Suggests to the service whose sign-ins these are.
    #[must_use]
    pub fn login_hint(mut self, hint: impl Into<String>) -> Self {
        self.login_hint = Some(hint.into());
        self
    }

    /// What the service must ask users; see [`SignInOptions::prompt`](super::SignInOptions::prompt). By default Google asks for consent each time, without
    /// which it gives no refresh token the second time, and both let users choose an account.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// Suggests to the service of which organisation users are; see
    /// [`SignInOptions::domain_hint`](super::SignInOptions::domain_hint).
    #[must_use]
    pub fn domain_hint(mut self, domain: impl Into<String>) -> Self {
        self.domain_hint = Some(domain.into());
        self
    }

    /// A second secret, tried where the service does not accept the first: while one is being replaced, hosts need not
    /// change theirs in the same moment.
    #[must_use]
    pub fn next_client_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.proofs.next_secret = Some(secret.into());
        self
    }

    /// Microsoft: a certificate that was uploaded to the app registration, in place of a secret. With a secret as well, that
    /// is tried where the certificate is not accepted.
    #[must_use]
    pub fn certificate(mut self, certificate: ClientCertificate) -> Self {
        self.proofs.certificate = Some(certificate);
        self
    }

    /// A second certificate, tried where the service does not accept the first: while one is being replaced.
    #[must_use]
    pub fn next_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.proofs.next_certificate = Some(certificate);
        self
    }

    /// Another server in place of the service's own. For Microsoft they must be for the flow's tenant.
    #[must_use]
    pub fn endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = Some(endpoints);
        self
    }

    /// The HTTP client to use; by default a `ReqwestTransport` (feature `reqwest`).
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The clock to use in place of the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How often and how patiently requests to the token endpoint are repeated.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Builds the flow.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) when the client id is missing, the redirect address or the tenant is none, an
    /// endpoint is not confidential, a certificate is given for Google, or there is no HTTP client;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for shared mailboxes at Google.
    pub fn build(self) -> Result<OAuthFlow> {
        if self.client_id.trim().is_empty() {
            return Err(configuration("the client id is missing").with_code("client_id_missing"));
        }
        if self.service == Service::Google && self.proofs.has_certificate() {
            return Err(configuration(
                "Google takes a client secret of applications that users sign in to, and no certificate",
            )
            .with_code("certificate_at_google"));
        }
        if self.service == Service::Google && self.shared_mailboxes {
            return Err(Error::unsupported(
                "Google lets users open no mailbox of somebody else's: an administrator delegates the domain to a service \
                 account instead",
            ));
        }
        if let Some(redirect_uri) = &self.redirect_uri {
            require_redirect(redirect_uri.clone())?;
        }
        let tenant = (self.service == Service::Microsoft)
            .then(|| self.tenant.unwrap_or_else(|| "common".to_owned()));
        let endpoints = match (self.endpoints, &tenant) {
            (Some(endpoints), _) => endpoints,
            (None, Some(tenant)) => Endpoints::microsoft(tenant)?,
            (None, None) => Endpoints::google()?,
        };
        let clock = self
            .clock
            .unwrap_or_else(|| Arc::new(SystemClock::new()) as Arc<dyn Clock>);
        let mut places = vec![endpoints.authorize.clone(), endpoints.token.clone()];
        places.extend(endpoints.revoke.clone());
        places.extend(endpoints.device.clone());
        places.extend(endpoints.keys.clone());
        let api = api_client(self.transport, Arc::clone(&clock), self.retry, &places)?;
        Ok(OAuthFlow(Arc::new(Flow {
            service: self.service,
            client_id: self.client_id,
            proofs: self.proofs,
            redirect_uri: self.redirect_uri,
            tenant,
            access: self.access,
            shared_mailboxes: self.shared_mailboxes,
            login_hint: self.login_hint,
            prompt: self.prompt,
            domain_hint: self.domain_hint,
            endpoints,
            keys: KeySet::default(),
            api,
            clock,
        })))
    }
}

/// What asks the token endpoints among `places`.
pub(super) fn api_client(
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    places: &[Url],
) -> Result<ApiClient> {
    let transport = match transport {
        Some(transport) => transport,
        None => default_transport()?,
    };
    Ok(ApiClient {
        transport,
        tokens: None,
        clock,
        retry: RetryPolicy {
            // One account's trouble must not keep another from its tokens.
            circuit: None,
            ..retry
        },
        // Sign-ins of many users at once; the services do not say how many they take.
        limiter: Arc::new(Limiter::new(Limits::concurrency(64))),
        project: None,
        lane: Lane::Interactive,
        purse: None,
        stopwatch: None,
        turns: None,
        disguises: &[],
        origins: Origins::new(places, &[])?,
        classify,
    })
}

#[cfg(feature = "reqwest")]
fn default_transport() -> Result<Arc<dyn Transport>> {
    Ok(Arc::new(crate::http::ReqwestTransport::new()?))
}

#[cfg(not(feature = "reqwest"))]
fn default_transport() -> Result<Arc<dyn Transport>> {
    Err(configuration(
        "without the feature `reqwest` the flow needs a transport",
    ))
}
