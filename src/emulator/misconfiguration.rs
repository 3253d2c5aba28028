//! Registrations that are not as they should be: what an administrator got wrong, or an organisation forbids, as far as it
//! shows at the sign-in. Which answer it causes is `sign_in`'s; a wrong client id, secret, tenant or redirect address needs
//! no setting, a public client has one of its own ([`EmulatorBuilder::microsoft_public_client`]), and what goes wrong at the mail APIs is a [`Fault`](super::Fault).

use super::{EmulatorBuilder, State};

macro_rules! misconfigurations {
    ($($(#[$documentation:meta])* $name:ident,)*) => {
        /// Something that is wrong with a registered application.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Misconfiguration {
            $($(#[$documentation])* $name,)*
        }

        impl Misconfiguration {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

misconfigurations! {
    /// Google: the client was deleted (`deleted_client`).
    /// <https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors-deleted-client>
    ClientDeleted,
    /// Google: the client is disabled (`disabled_client`). Microsoft: the application is disabled in the tenant
    /// (AADSTS7000112).
    ClientDisabled,
    /// Google: the client is of the web kind, so that no loopback address is right unless it is registered.
    /// <https://developers.google.com/identity/protocols/oauth2/web-server#uri-validation>
    WebClient,
    /// Google: the application is in testing and nobody is a test user: a page with `access_denied`. For one that has test
    /// users see [`EmulatorBuilder::google_test_users`].
    InTesting,
    /// Google: the application is Internal, and everybody is of another organisation: a page with `org_internal`.
    Internal,
    /// Google: the Workspace's administrators do not trust the application: a page with `admin_policy_enforced`.
    /// Microsoft: an administrator has to consent (AADSTS90094), for accounts of the organisation.
    /// <https://learn.microsoft.com/entra/identity/enterprise-apps/manage-app-consent-policies>
    AdministratorConsent,
    /// Microsoft: the client secret has expired (AADSTS7000222).
    SecretExpired,
    /// Microsoft: the redirect address is of the kind Single-page application, whose codes are redeemed only by browsers
    /// (AADSTS9002327).
    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#redirect-uris-for-single-page-apps-spas>
    SinglePageRedirect,
    /// Microsoft: the application is for its own tenant only, so that `common` is wrong (AADSTS50194).
    SingleTenant,
    /// Microsoft: the application is for assigned users only, and nobody is: a page with AADSTS50105.
    AssignmentRequired,
    /// Microsoft: Conditional Access blocks every sign-in (AADSTS53003).
    PolicyBlocks,
}

impl EmulatorBuilder {
    /// Gets something wrong. It may be called several times.
    pub fn misconfigured(mut self, how: Misconfiguration) -> Self {
        self.settings.misconfigured.push(how);
        self
    }
}

impl State {
    pub(super) fn is_misconfigured(&self, how: Misconfiguration) -> bool {
        self.settings.misconfigured.contains(&how)
    }
}
