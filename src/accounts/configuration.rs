//! What an administrator registers once with a service, and what the crate makes of it: a sign-in flow and a provider.

use std::sync::Arc;

use url::Url;

use super::Accounts;
use crate::clock::Clock;
use crate::credentials::Service;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Connection, RetryPolicy, Transport, require_confidential};
use crate::mailbox::Mailbox;
use crate::model::Access;
use crate::oauth::{Diagnosis, Endpoints, OAuthFlow, OAuthFlowBuilder};
use crate::secret::Secret;

/// A registration with Google or Microsoft: client id, secret, and where the service is.
///
/// A host may have several for one service, each under a name of its own: "company Gmail", "customer X's own app".
#[derive(Clone, Debug)]
pub struct ProviderConfiguration {
    service: Service,
    flow: OAuthFlowBuilder,
    tenant: String,
    auth_endpoint: Option<Url>,
    api_endpoint: Option<Url>,
}

impl ProviderConfiguration {
    /// An application registered with Google, by its client id.
    #[cfg(feature = "gmail")]
    #[must_use]
    pub fn google(client_id: impl Into<String>) -> Self {
        Self::new(Service::Google, OAuthFlow::google(client_id))
    }

    /// An application registered with Microsoft, by its client id.
    #[cfg(feature = "outlook")]
    #[must_use]
    pub fn microsoft(client_id: impl Into<String>) -> Self {
        Self::new(Service::Microsoft, OAuthFlow::microsoft(client_id))
    }

    #[cfg_attr(
        not(any(feature = "gmail", feature = "outlook")),
        expect(dead_code, reason = "there is no service to configure")
    )]
    fn new(service: Service, flow: OAuthFlowBuilder) -> Self {
        Self {
            service,
            flow,
            tenant: "common".to_owned(),
            auth_endpoint: None,
            api_endpoint: None,
        }
    }

    /// The client secret. Microsoft's is the *value* of a secret, not its id; its public clients have none.
    #[must_use]
    pub fn with_client_secret(mut self, secret: Secret) -> Self {
        self.flow = self.flow.client_secret(secret);
        self
    }

    /// Where browsers come back to unless a sign-in says otherwise, exactly as registered.
    #[must_use]
    pub fn with_redirect_uri(mut self, redirect_uri: impl Into<String>) -> Self {
        self.flow = self.flow.redirect_uri(redirect_uri);
        self
    }

    /// Whose accounts may sign in with Microsoft: `common` (the default), `organizations`, `consumers`, or one
    /// directory's id or domain. Google has no such thing.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// A server with the vendor's own sign-in paths, in place of the vendor's: a national cloud, or the emulator.
    #[must_use]
    pub fn with_auth_endpoint(mut self, base: Url) -> Self {
        self.auth_endpoint = Some(base);
        self
    }

    /// A server with the vendor's own mail paths, in place of the vendor's.
    #[must_use]
    pub fn with_api_endpoint(mut self, base: Url) -> Self {
        self.api_endpoint = Some(base);
        self
    }

    /// The flow and provider of this registration.
    pub(super) fn configure(
        self,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        retry: RetryPolicy,
    ) -> Result<Configured> {
        if let Some(endpoint) = &self.api_endpoint {
            require_confidential(endpoint)?;
        }
        let endpoints = match (&self.service, &self.auth_endpoint) {
            (_, None) => None,
            (Service::Google, Some(base)) => Some(Endpoints::google_at(base)?),
            (_, Some(base)) => Some(Endpoints::microsoft_at(base, &self.tenant)?),
        };
        let mut flow = self
            .flow
            .tenant(self.tenant)
            .transport(transport)
            .clock(clock)
            .retry(retry);
        if let Some(endpoints) = endpoints {
            flow = flow.endpoints(endpoints);
        }
        Ok(Configured {
            flow: flow.build()?,
            api_endpoint: self.api_endpoint,
        })
    }
}

impl Accounts {
    /// Examines a configuration, as [`OAuthFlow::check`] does: what is wrong with it, and what to do.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when there is no such configuration.
    pub async fn check(&self, configuration: &str) -> Result<Diagnosis> {
        Ok(self.configuration(configuration)?.flow.check().await)
    }
}

/// A registration that can be used.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) flow: OAuthFlow,
    api_endpoint: Option<Url>,
}

impl Configured {
    pub(super) fn service(&self) -> &Service {
        self.flow.service()
    }

    /// A mailbox at this service.
    pub(super) fn mailbox(&self, connection: Connection, granted: Access) -> Result<Mailbox> {
        match self.service() {
            #[cfg(feature = "gmail")]
            Service::Google => {
                let mut gmail = crate::gmail::Gmail::new(connection)?.with_access(granted);
                if let Some(endpoint) = &self.api_endpoint {
                    gmail = gmail.with_api_endpoint(endpoint.clone())?;
                }
                Ok(Mailbox::new(gmail))
            }
            #[cfg(feature = "outlook")]
            Service::Microsoft => {
                let mut outlook = crate::outlook::Outlook::new(connection)?.with_access(granted);
                if let Some(endpoint) = &self.api_endpoint {
                    outlook = outlook.with_api_endpoint(endpoint.clone())?;
                }
                Ok(Mailbox::new(outlook))
            }
            service => {
                // Every use of these is behind a feature.
                let _ = (connection, granted, &self.api_endpoint);
                Err(Error::new(
                    ErrorKind::Configuration,
                    format!("this build of postroom has no provider for {service}"),
                ))
            }
        }
    }
}
