//! What an administrator registers once with a service, and what the crate makes of it: a sign-in flow and a
//! provider. What a user does with them is `signing_in`'s and `opening`'s.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use url::Url;

use super::Accounts;
use crate::clock::Clock;
use crate::credentials::{AccountRecord, Refresh, Service};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Connection, Project, Regime, RetryPolicy, Transport, require_confidential};
use crate::mailbox::Mailbox;
use crate::model::Access;
#[cfg(any(feature = "gmail", feature = "outlook"))]
use crate::model::AccountType;
#[cfg(all(feature = "gmail", feature = "app-only"))]
use crate::oauth::ServiceAccountKey;
#[cfg(feature = "app-only")]
use crate::oauth::{ApplicationFlow, ApplicationFlowBuilder};
use crate::oauth::{ClientCertificate, Diagnosis, Endpoints, OAuthFlow, OAuthFlowBuilder};
use crate::secret::Secret;

/// A registration with Google or Microsoft: client id, secret, and where the service is.
///
/// A host may have several for one service, each under a name of its own: "company Gmail", "customer X's own app".
#[derive(Clone, Debug)]
pub struct ProviderConfiguration {
    way: WayBuilder,
    tenant: String,
    auth_endpoint: Option<Url>,
    api_endpoint: Option<Url>,
    regime: Regime,
    project: Option<Project>,
}

/// Who signs in, before the settings are complete.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(all(feature = "gmail", feature = "outlook")),
    allow(dead_code, reason = "there may be no service to configure")
)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are a few of them in a whole program"
)]
enum WayBuilder {
    /// Users do.
    Users(Service, OAuthFlowBuilder),
    /// Nobody does: the application acts in its own name.
    #[cfg(feature = "app-only")]
    Application(ApplicationFlowBuilder),
}

impl ProviderConfiguration {
    /// An application registered with Google, by its client id.
    #[cfg(feature = "gmail")]
    #[must_use]
    pub fn google(client_id: impl Into<String>) -> Self {
        Self::new(WayBuilder::Users(
            Service::Google,
            OAuthFlow::google(client_id),
        ))
    }

    /// An application registered with Microsoft, by its client id.
    #[cfg(feature = "outlook")]
    #[must_use]
    pub fn microsoft(client_id: impl Into<String>) -> Self {
        Self::new(WayBuilder::Users(
            Service::Microsoft,
            OAuthFlow::microsoft(client_id),
        ))
    }

    /// A Google service account to which an administrator delegated a Workspace's domain. Its accounts are connected with
    /// [`Accounts::connect_application`](crate::Accounts::connect_application).
    #[cfg(all(feature = "gmail", feature = "app-only"))]
    #[must_use]
    pub fn google_service_account(key: ServiceAccountKey) -> Self {
        Self::new(WayBuilder::Application(ApplicationFlow::google(key)))
    }

    /// An application with application permissions in a Microsoft tenant, by its client id and the tenant's id or domain;
    /// it needs a secret or a certificate. Its accounts are connected with
    /// [`Accounts::connect_application`](crate::Accounts::connect_application).
    #[cfg(all(feature = "outlook", feature = "app-only"))]
    #[must_use]
    pub fn microsoft_application(client_id: impl Into<String>, tenant: impl Into<String>) -> Self {
        let tenant = tenant.into();
        let flow = ApplicationFlow::microsoft(client_id, tenant.clone());
        Self::new(WayBuilder::Application(flow)).with_tenant(tenant)
    }

    #[cfg_attr(
        not(any(feature = "gmail", feature = "outlook")),
        expect(dead_code, reason = "there is no service to configure")
    )]
    fn new(way: WayBuilder) -> Self {
        Self {
            way,
            tenant: "common".to_owned(),
            auth_endpoint: None,
            api_endpoint: None,
            regime: Regime::default(),
            project: None,
        }
    }

    /// The client secret. Microsoft's is the *value* of a secret, not its id; its public clients have none.
    #[must_use]
    pub fn with_client_secret(self, secret: Secret) -> Self {
        let users = |flow: OAuthFlowBuilder| flow.client_secret(secret.clone());
        #[cfg(feature = "app-only")]
        let application = |flow: ApplicationFlowBuilder| flow.client_secret(secret.clone());
        self.map(
            users,
            #[cfg(feature = "app-only")]
            application,
        )
    }

    /// A second client secret, tried where the service does not accept the first: while one is being replaced.
    #[must_use]
    pub fn with_next_client_secret(self, secret: Secret) -> Self {
        let users = |flow: OAuthFlowBuilder| flow.next_client_secret(secret.clone());
        #[cfg(feature = "app-only")]
        let application = |flow: ApplicationFlowBuilder| flow.next_client_secret(secret.clone());
        self.map(
            users,
            #[cfg(feature = "app-only")]
            application,
        )
    }

    /// A certificate in place of the secret of a Microsoft application, or before it.
    #[must_use]
    pub fn with_certificate(self, certificate: ClientCertificate) -> Self {
        let users = |flow: OAuthFlowBuilder| flow.certificate(certificate.clone());
        #[cfg(feature = "app-only")]
        let application = |flow: ApplicationFlowBuilder| flow.certificate(certificate.clone());
        self.map(
            users,
            #[cfg(feature = "app-only")]
            application,
        )
    }

    /// A second certificate, tried where Microsoft does not accept the first.
    #[must_use]
    pub fn with_next_certificate(self, certificate: ClientCertificate) -> Self {
        let users = |flow: OAuthFlowBuilder| flow.next_certificate(certificate.clone());
        #[cfg(feature = "app-only")]
        let application = |flow: ApplicationFlowBuilder| flow.next_certificate(certificate.clone());
        self.map(
            users,
            #[cfg(feature = "app-only")]
            application,
        )
    }

    /// What to do in the mailboxes, and so what users are asked for; by default to read, change and send mail.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        self.map(
            |flow| flow.access(access),
            #[cfg(feature = "app-only")]
            |flow| flow.access(access),
        )
    }

    /// Microsoft: asks users for the same access to the mailboxes that are shared with them, which
    /// [`Accounts::open_shared`](crate::Accounts::open_shared) opens.
    #[must_use]
    pub fn with_shared_mailboxes(self) -> Self {
        self.map(
            |flow| flow.shared_mailboxes(true),
            #[cfg(feature = "app-only")]
            |flow| flow,
        )
    }

    fn map(
        mut self,
        users: impl FnOnce(OAuthFlowBuilder) -> OAuthFlowBuilder,
        #[cfg(feature = "app-only")] application: impl FnOnce(
            ApplicationFlowBuilder,
        ) -> ApplicationFlowBuilder,
    ) -> Self {
        self.way = match self.way {
            WayBuilder::Users(service, flow) => WayBuilder::Users(service, users(flow)),
            #[cfg(feature = "app-only")]
            WayBuilder::Application(flow) => WayBuilder::Application(application(flow)),
        };
        self
    }

    /// Where browsers come back to unless a sign-in says otherwise, exactly as registered.
    #[must_use]
    pub fn with_redirect_uri(self, redirect_uri: impl Into<String>) -> Self {
        self.map(
            |flow| flow.redirect_uri(redirect_uri),
            #[cfg(feature = "app-only")]
            |flow| flow,
        )
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

    /// Which of the service's limits hold for this registration. Without it those of new ones.
    #[must_use]
    pub fn with_regime(mut self, regime: Regime) -> Self {
        self.regime = regime;
        self
    }

    /// Shares the registration's limits with whatever else of this process has the same project: other [`Accounts`] with the
    /// same registration, such as one for each customer, or connections of the host's own. Without it the accounts of this
    /// configuration share them among themselves, also with those of the configuration that it replaces.
    #[must_use]
    pub fn with_project(mut self, project: Project) -> Self {
        self.project = Some(project);
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
        let way = match self.way {
            WayBuilder::Users(service, flow) => {
                let endpoints = match (&service, &self.auth_endpoint) {
                    (_, None) => None,
                    (Service::Google, Some(base)) => Some(Endpoints::google_at(base)?),
                    (_, Some(base)) => Some(Endpoints::microsoft_at(base, &self.tenant)?),
                };
                let mut flow = flow
                    .tenant(self.tenant)
                    .transport(transport)
                    .clock(clock)
                    .retry(retry);
                if let Some(endpoints) = endpoints {
                    flow = flow.endpoints(endpoints);
                }
                Way::Users(flow.build()?)
            }
            #[cfg(feature = "app-only")]
            WayBuilder::Application(flow) => {
                let mut flow = flow.transport(transport).clock(clock).retry(retry);
                if let Some(base) = &self.auth_endpoint {
                    flow = flow.auth_endpoint(base)?;
                }
                Way::Application(flow.build()?)
            }
        };
        Ok(Configured {
            way,
            own_sign_in: self.auth_endpoint.is_some(),
            api_endpoint: self.api_endpoint,
            regime: self.regime,
            project: self.project.unwrap_or_default(),
        })
    }
}

impl Accounts {
    /// Adds a configuration, or replaces the one of this name, while everything runs: for hosts whose customers bring their
    /// own registrations, and for new secrets. Mailboxes that are opened later use it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when it cannot be right: without a client id, with a tenant that is none, with
    /// endpoints that are not safe to send tokens to. It is kept all the same, so that its accounts say so.
    pub fn configure(
        &self,
        name: impl Into<String>,
        configuration: ProviderConfiguration,
    ) -> Result<()> {
        let name = name.into();
        let mut configuration = configuration;
        // Another secret of a registration is no other registration.
        if configuration.project.is_none() {
            let replaced = self.configuration(&name).ok();
            configuration.project = replaced.map(|replaced| replaced.project.clone());
        }
        let (transport, clock) = (Arc::clone(&self.0.transport), Arc::clone(&self.0.clock));
        let configured = configuration
            .configure(transport, clock, self.0.retry)
            .map(Arc::new);
        let outcome = configured.as_ref().map(drop).map_err(Clone::clone);
        let mut configurations = self
            .0
            .configurations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        configurations.insert(name, configured);
        outcome
    }

    /// The configurations that cannot be right, by name, and why. Hosts look here after they have begun;
    /// [`check`](Self::check) finds what only the service knows.
    #[must_use]
    pub fn wrong_configurations(&self) -> BTreeMap<String, Error> {
        let configurations = self.configurations();
        configurations
            .iter()
            .filter_map(|(name, configured)| {
                Some((name.clone(), configured.as_ref().err()?.clone()))
            })
            .collect()
    }

    /// Examines a configuration, as [`OAuthFlow::check`] does: what is wrong with it, and what to do.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when there is no such configuration, or it cannot be right;
    /// [`Finding::of`](crate::oauth::Finding::of) explains that.
    pub async fn check(&self, configuration: &str) -> Result<Diagnosis> {
        let configured = self.configuration(configuration)?;
        Ok(configured.flow()?.check().await)
    }

    /// Examines the configuration of an application that acts in its own name, as
    /// [`ApplicationFlow::check`] does.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    #[cfg(feature = "app-only")]
    pub async fn check_application(&self, configuration: &str, mailbox: &str) -> Result<Diagnosis> {
        let configured = self.configuration(configuration)?;
        Ok(configured.application()?.check(mailbox).await)
    }
}

/// A registration that can be used.
#[derive(Debug)]
pub(super) struct Configured {
    way: Way,
    /// Whether it signs in elsewhere than at the vendor's.
    own_sign_in: bool,
    api_endpoint: Option<Url>,
    regime: Regime,
    /// What its mailboxes share.
    project: Project,
}

/// Who signs in.
#[derive(Debug)]
enum Way {
    Users(OAuthFlow),
    #[cfg(feature = "app-only")]
    Application(ApplicationFlow),
}

impl Configured {
    pub(super) fn service(&self) -> &Service {
        match &self.way {
            Way::Users(flow) => flow.service(),
            #[cfg(feature = "app-only")]
            Way::Application(flow) => flow.service(),
        }
    }

    /// How users sign in.
    pub(super) fn flow(&self) -> Result<&OAuthFlow> {
        match &self.way {
            Way::Users(flow) => Ok(flow),
            #[cfg(feature = "app-only")]
            Way::Application(_) => Err(Error::new(
                ErrorKind::Configuration,
                "with this configuration no user signs in: connect its accounts as an application's",
            )),
        }
    }

    /// How an application has tokens in its own name.
    #[cfg(feature = "app-only")]
    pub(super) fn application(&self) -> Result<&ApplicationFlow> {
        match &self.way {
            Way::Application(flow) => Ok(flow),
            Way::Users(_) => Err(Error::new(
                ErrorKind::Configuration,
                "with this configuration users sign in themselves",
            )),
        }
    }

    /// Whether its tokens are those of the sign-in service that it knows. If only the mail is said to be elsewhere, they
    /// may be for there alone, and are nothing to show to the vendor.
    pub(super) fn knows_where_grants_end(&self) -> bool {
        let is_vendors = |url: &Url| {
            url.host_str()
                .is_some_and(|host| host.ends_with(".googleapis.com"))
        };
        self.own_sign_in || self.api_endpoint.as_ref().is_none_or(is_vendors)
    }

    /// How tokens are renewed.
    pub(super) fn refresh(&self) -> Arc<dyn Refresh> {
        match &self.way {
            Way::Users(flow) => Arc::new(flow.clone()),
            #[cfg(feature = "app-only")]
            Way::Application(flow) => Arc::new(flow.clone()),
        }
    }

    /// A mailbox at this service, as an account's record has it.
    pub(super) fn mailbox(
        &self,
        connection: Connection,
        record: &AccountRecord,
    ) -> Result<Mailbox> {
        let granted = record.granted;
        match self.service() {
            #[cfg(feature = "gmail")]
            Service::Google => {
                let connection = self.within_limits(connection);
                let mut gmail = crate::gmail::Gmail::new(connection)?
                    .with_access(granted)
                    .with_account_type(account_type(record));
                if let Some(endpoint) = &self.api_endpoint {
                    gmail = gmail.with_api_endpoint(endpoint.clone())?;
                }
                Ok(Mailbox::new(gmail))
            }
            #[cfg(feature = "outlook")]
            Service::Microsoft => {
                #[cfg_attr(
                    not(feature = "app-only"),
                    expect(unused_mut, reason = "there is nobody else")
                )]
                let mut outlook = self
                    .outlook(connection)?
                    .with_access(granted)
                    .with_account_type(account_type(record));
                // An application is nobody, so that it has to say whose mailbox it means.
                #[cfg(feature = "app-only")]
                if let Way::Application(_) = self.way
                    && let Some(user) = record.settings.get(ApplicationFlow::MAILBOX)
                {
                    outlook = outlook.with_user(user).with_application_tokens();
                }
                Ok(Mailbox::new(outlook))
            }
            service => {
                // Every use of these is behind a feature.
                let _ = (connection, granted, &self.api_endpoint);
                let _ = (self.regime, &self.project);
                Err(Error::new(
                    ErrorKind::Configuration,
                    format!("this build of postroom has no provider for {service}"),
                ))
            }
        }
    }

    /// A mailbox that is shared with the user of an account.
    #[cfg(feature = "outlook")]
    pub(super) fn shared_mailbox(
        &self,
        connection: Connection,
        access: Access,
        mailbox: &str,
    ) -> Result<Mailbox> {
        // Only organisations have mailboxes that are shared.
        let outlook = self
            .outlook(connection)?
            .with_access(access)
            .with_account_type(AccountType::Organisation);
        Ok(Mailbox::new(outlook.with_user(mailbox)))
    }

    pub(super) fn within_limits(&self, connection: Connection) -> Connection {
        connection
            .with_regime(self.regime)
            .with_project(self.project.clone())
    }

    #[cfg(feature = "outlook")]
    fn outlook(&self, connection: Connection) -> Result<crate::outlook::Outlook> {
        let outlook = crate::outlook::Outlook::new(self.within_limits(connection))?;
        match &self.api_endpoint {
            Some(endpoint) => outlook.with_api_endpoint(endpoint.clone()),
            None => Ok(outlook),
        }
    }
}

/// Whose account it is, as far as its record tells: without an address or a tenant, a person's.
#[cfg(any(feature = "gmail", feature = "outlook"))]
fn account_type(record: &AccountRecord) -> AccountType {
    // Google's own domains for people; everybody else's mail is a Workspace's.
    let is_personal = |address: &String| {
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        domain.is_none_or(|domain| {
            domain.eq_ignore_ascii_case("gmail.com")
                || domain.eq_ignore_ascii_case("googlemail.com")
        })
    };
    let organisations = match record.service {
        Service::Google => record
            .addresses
            .first()
            .is_some_and(|one| !is_personal(one)),
        // The tenant of all personal accounts
        // (<https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference>).
        Service::Microsoft => {
            let identity = record.identity.as_ref();
            let tenant = identity.and_then(|identity| identity.subject.split('/').next());
            tenant.or(record.tenant.as_deref()).is_some_and(|tenant| {
                !tenant.eq_ignore_ascii_case("9188040d-6c67-4c5b-b112-36a304b66dad")
                    && !tenant.eq_ignore_ascii_case("consumers")
                    && !tenant.eq_ignore_ascii_case("common")
            })
        }
        _ => false,
    };
    if organisations {
        AccountType::Organisation
    } else {
        AccountType::Personal
    }
}
