//! Tokens for an application that acts in its own name, in mailboxes whose users need not sign in: Google's service
//! accounts with domain-wide delegation and Microsoft's application permissions. What is signed is `assertion`'s.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use url::Url;

use super::assertion::{ClientCertificate, ServiceAccountKey};
use super::builder::api_client;
use super::endpoint::{self, Tokens};
use super::error::Place;
use super::flow::configuration;
use super::grant::Grant;
use super::proof::{Attempts, Proof, Proofs, other_time};
use super::scope::{graph, scopes_for};
use super::server::{Endpoints, require_tenant};
use crate::clock::{Clock, SystemClock};
use crate::credentials::{APPLICATION_MAILBOX, AccountRecord, Refresh, Refreshed, Service};
use crate::error::Result;
use crate::http::{ApiClient, RetryPolicy, Transport};
use crate::model::Access;
use crate::secret::Secret;

/// Obtains tokens for an application that an administrator trusts with an organisation's mailboxes. Clones are the same
/// flow.
///
/// There is no sign-in and no refresh token: each token is obtained anew, and as a
/// [`Refresh`] it serves accounts whose record names a [mailbox](Self::MAILBOX).
///
/// * Google: an administrator of the Workspace allows the service account's client id exactly
///   [these scopes](Self::scopes) (Admin console, Security, API controls, Domain-wide delegation). Accounts that are
///   no Workspace's cannot be reached.
/// * Microsoft: an administrator grants *application* permissions to the app registration. Without further policy they
///   hold for every mailbox of the tenant; personal accounts cannot be reached.
#[derive(Clone)]
pub struct ApplicationFlow(Arc<Inner>);

struct Inner {
    way: Way,
    access: Access,
    token: Url,
    api: ApiClient,
    clock: Arc<dyn Clock>,
}

/// How the application proves who it is.
#[derive(Clone, Debug)]
enum Way {
    Google(ServiceAccountKey),
    Microsoft {
        client_id: String,
        tenant: String,
        proofs: Proofs,
    },
}

/// The settings of an [`ApplicationFlow`].
#[derive(Clone, Debug)]
pub struct ApplicationFlowBuilder {
    way: Way,
    access: Access,
    token: Option<Url>,
    transport: Option<Arc<dyn Transport>>,
    clock: Option<Arc<dyn Clock>>,
    retry: RetryPolicy,
}

impl ApplicationFlow {
    /// The name of the setting of an [`AccountRecord`] that says whose mailbox it is: the primary address of a Workspace
    /// user, or the id or address of a Microsoft one.
    pub const MAILBOX: &'static str = APPLICATION_MAILBOX;

    /// A Google service account with domain-wide delegation.
    #[must_use]
    pub fn google(key: ServiceAccountKey) -> ApplicationFlowBuilder {
        ApplicationFlowBuilder::new(Way::Google(key))
    }

    /// An application with application permissions in a Microsoft tenant, which is named by its id or domain.
    #[must_use]
    pub fn microsoft(
        client_id: impl Into<String>,
        tenant: impl Into<String>,
    ) -> ApplicationFlowBuilder {
        ApplicationFlowBuilder::new(Way::Microsoft {
            client_id: client_id.into(),
            tenant: tenant.into(),
            proofs: Proofs::default(),
        })
    }

    /// Whose tokens they are.
    #[must_use]
    pub fn service(&self) -> &Service {
        match self.0.way {
            Way::Google(_) => &Service::Google,
            Way::Microsoft { .. } => &Service::Microsoft,
        }
    }

    /// What is asked for: for Google, exactly what an administrator must allow.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        match self.0.way {
            Way::Google(_) => {
                let scopes = scopes_for(&Service::Google, self.0.access);
                let says_who = ["openid", "email", "profile"];
                let mail = scopes.into_iter().filter(|scope| !says_who.contains(scope));
                mail.map(str::to_owned).collect()
            }
            // All application permissions that an administrator granted; single ones cannot be asked for
            // (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>).
            Way::Microsoft { .. } => vec![format!("{}.default", graph(&self.0.token))],
        }
    }

    /// Obtains a token for a mailbox. What an administrator granted at Microsoft is not told: the grant says what the flow
    /// was built for, and calls that exceed what was granted are refused.
    ///
    /// # Errors
    /// [`ErrorKind::AdminConsentRequired`](crate::ErrorKind::AdminConsentRequired) when an administrator has to act first,
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) when key, secret, tenant or mailbox is wrong; never
    /// [`ErrorKind::SignInRequired`](crate::ErrorKind::SignInRequired).
    pub async fn grant(&self, mailbox: &str) -> Result<Grant> {
        let tokens = self.tokens(mailbox).await?;
        Ok(Grant {
            service: self.service().clone(),
            credential: tokens.credential(),
            identity: None,
            addresses: Some(mailbox)
                .filter(|mailbox| mailbox.contains('@'))
                .map(str::to_owned)
                .into_iter()
                .collect(),
            display_name: None,
            granted: self.0.access,
            missing: Access::NONE,
            scopes: self.scopes(),
            tenant: match &self.0.way {
                Way::Google(_) => None,
                Way::Microsoft { tenant, .. } => Some(tenant.clone()),
            },
            by_application: true,
        })
    }

    async fn tokens(&self, mailbox: &str) -> Result<Tokens> {
        let none = Proofs::default();
        let (_, _, proofs) = self.client().unwrap_or(("", "", &none));
        let attempts = Attempts::new(proofs, self.0.clock.now());
        self.tokens_with(mailbox, attempts).await
    }

    /// At Microsoft: client id, tenant, and what proves the client's identity.
    pub(super) fn client(&self) -> Option<(&str, &str, &Proofs)> {
        match &self.0.way {
            Way::Google(_) => None,
            Way::Microsoft {
                client_id,
                tenant,
                proofs,
            } => Some((client_id, tenant, proofs)),
        }
    }

    /// What to show one proof with.
    pub(super) fn attempt(&self, proof: Proof) -> Attempts {
        Attempts::of([proof], self.0.clock.now())
    }

    /// A token, at Microsoft by these attempts.
    pub(super) async fn tokens_with(
        &self,
        mailbox: &str,
        mut attempts: Attempts,
    ) -> Result<Tokens> {
        const OPERATION: &str = "oauth.application";
        let Inner {
            way, token, api, ..
        } = &*self.0;
        let (now, place) = (self.0.clock.now(), Place::Application);
        let scopes = self.scopes().join(" ");
        match way {
            Way::Google(key) => {
                let ask = async |now: DateTime<Utc>| {
                    let assertion = key.assertion(token, mailbox, &scopes, now.timestamp())?;
                    let form = [
                        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                        ("assertion", assertion.expose()),
                    ];
                    endpoint::ask(api, OPERATION, place, token, &form).await
                };
                let asked = ask(now).await;
                let error = asked.as_ref().err();
                match error.and_then(|error| other_time(error, now)) {
                    Some(theirs) => ask(theirs).await,
                    None => asked,
                }
            }
            Way::Microsoft { client_id, .. } => loop {
                let shown = attempts.parameters(client_id, token)?;
                let mut form = vec![
                    ("grant_type", "client_credentials"),
                    ("client_id", client_id.as_str()),
                    ("scope", scopes.as_str()),
                ];
                form.extend(shown.iter().map(|(name, value)| (*name, value.expose())));
                let asked = endpoint::ask(api, OPERATION, place, token, &form).await;
                if !attempts.go_on(&asked) {
                    return asked;
                }
            },
        }
    }
}

#[async_trait]
impl Refresh for ApplicationFlow {
    async fn refresh(&self, account: &AccountRecord) -> Result<Refreshed> {
        let mailbox = account.settings.get(Self::MAILBOX).ok_or_else(|| {
            configuration(
                "the account does not say whose mailbox it is: connect it as an application's",
            )
        })?;
        let credential = self.tokens(mailbox).await?.credential();
        let mut refreshed = Refreshed::new(
            credential.access_token.unwrap_or_else(|| Secret::new("")),
            credential.expires_at,
        );
        refreshed.token_type = credential.token_type;
        Ok(refreshed)
    }

    fn needs_refresh_token(&self) -> bool {
        false
    }
}

impl fmt::Debug for ApplicationFlow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApplicationFlow")
            .field("way", &self.0.way)
            .field("access", &self.0.access)
            .field("token", &self.0.token.as_str())
            .finish_non_exhaustive()
    }
}

impl ApplicationFlowBuilder {
    fn new(way: Way) -> Self {
        Self {
            way,
            access: Access::default(),
            token: None,
            transport: None,
            clock: None,
            retry: RetryPolicy::default(),
        }
    }

    /// What the application does in the mailboxes; by default it reads, changes and sends mail.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Microsoft: the application's secret, its value and not its id. A service account's key needs none.
    #[must_use]
    pub fn client_secret(mut self, value: impl Into<Secret>) -> Self {
        if let Way::Microsoft { proofs, .. } = &mut self.way {
            proofs.secret = Some(value.into());
        }
        self
    }

    /// Microsoft: a second secret, tried where the service does not accept the first: while one is being replaced, hosts
    /// need not change theirs in the same moment.
    #[must_use]
    pub fn next_client_secret(mut self, value: impl Into<Secret>) -> Self {
        if let Way::Microsoft { proofs, .. } = &mut self.way {
            proofs.next_secret = Some(value.into());
        }
        self
    }

    /// Microsoft: the certificate in place of a secret. With a secret as well, that is tried where the certificate is not
    /// accepted.
    #[must_use]
    pub fn certificate(mut self, value: ClientCertificate) -> Self {
        if let Way::Microsoft { proofs, .. } = &mut self.way {
            proofs.certificate = Some(value);
        }
        self
    }

    /// Microsoft: a second certificate, tried where the service does not accept the first.
    #[must_use]
    pub fn next_certificate(mut self, value: ClientCertificate) -> Self {
        if let Way::Microsoft { proofs, .. } = &mut self.way {
            proofs.next_certificate = Some(value);
        }
        self
    }

    /// Another server with the service's own paths below `base`: a national cloud, or the emulator.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if nothing can be below `base`, or the tenant is no name of one.
    pub fn auth_endpoint(mut self, base: &Url) -> Result<Self> {
        let endpoints = match &self.way {
            Way::Google(_) => Endpoints::google_at(base)?,
            Way::Microsoft { tenant, .. } => Endpoints::microsoft_at(base, tenant)?,
        };
        self.token = Some(endpoints.token);
        Ok(self)
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
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) when the client id, the tenant or every proof of who
    /// the application is is missing, an endpoint is not confidential, or there is no HTTP client.
    pub fn build(self) -> Result<ApplicationFlow> {
        let token = match &self.way {
            Way::Google(key) => key.token_endpoint().clone(),
            Way::Microsoft {
                client_id,
                tenant,
                proofs,
            } => {
                if client_id.trim().is_empty() {
                    return Err(configuration("the client id is missing"));
                }
                require_tenant(tenant)?;
                // AADSTS9001023 would say so.
                if ["common", "organizations", "consumers"].contains(&tenant.as_str()) {
                    return Err(configuration(
                        "an application acts in one tenant: give its id or domain",
                    ));
                }
                if proofs.is_empty() {
                    return Err(configuration(
                        "an application needs a client secret or a certificate",
                    ));
                }
                Endpoints::microsoft(tenant)?.token
            }
        };
        let token = self.token.unwrap_or(token);
        let clock = self
            .clock
            .unwrap_or_else(|| Arc::new(SystemClock::new()) as Arc<dyn Clock>);
        let places = [token.clone()];
        let api = api_client(self.transport, Arc::clone(&clock), self.retry, &places)?;
        Ok(ApplicationFlow(Arc::new(Inner {
            way: self.way,
            access: self.access,
            token,
            api,
            clock,
        })))
    }
}
