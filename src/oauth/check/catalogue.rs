//! Every mistake that is known: where it can be seen, by which code, what is wrong, what to do, and which section of the
//! guides is about it. Looking for them is the parent module's and `values`'.

use serde::{Serialize, Serializer};

use super::Seen;
use super::Seen::{Callback, FirstApiCall, TokenEndpoint, Values, VendorPage};
use crate::credentials::Service;

/// Whose mistake it can be, and the section of that service's guide.
#[derive(Clone, Copy, Debug)]
enum Of {
    Google(&'static str),
    Microsoft(&'static str),
    Both(&'static str, &'static str),
}

use Of::{Both, Google, Microsoft};

/// What is known of a mistake.
#[derive(Clone, Copy, Debug)]
struct Entry {
    of: Of,
    seen: &'static [Seen],
    /// The codes of errors that show it.
    codes: &'static [&'static str],
    what: &'static str,
    remedy: &'static str,
    /// What to do at Microsoft, if that is something else.
    at_microsoft: &'static [&'static str],
}

macro_rules! catalogue {
    ($($mistake:ident $name:literal: $of:expr, $seen:expr, $codes:expr, $what:literal, $remedy:literal $(/ $microsoft:literal)?;)*) => {
        /// A mistake in the registration or the configuration of an application, or something that keeps its users out.
        ///
        /// Each says where it can be [seen](Self::seen): some in the values alone, some only on the service's own page.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Mistake {
            $(#[doc = concat!($what, ".")] $mistake,)*
        }

        impl Mistake {
            /// Every mistake that is known.
            pub const ALL: &'static [Self] = &[$(Self::$mistake,)*];

            fn entry(self) -> Entry {
                match self {
                    $(Self::$mistake => Entry { of: $of, seen: $seen, codes: $codes, what: $what, remedy: $remedy, at_microsoft: &[$($microsoft)?] },)*
                }
            }

            /// A name for programs, such as `secret_expired`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$mistake => $name,)*
                }
            }
        }
    };
}

impl Mistake {
    /// Where it can be seen, the earliest place first.
    #[must_use]
    pub fn seen(self) -> &'static [Seen] {
        self.entry().seen
    }

    /// What is wrong, in a few words.
    #[must_use]
    pub fn what(self) -> &'static str {
        self.entry().what
    }

    /// What to do about it, and where to click.
    #[must_use]
    pub fn remedy(self, service: &Service) -> &'static str {
        let entry = self.entry();
        let at_microsoft = entry.at_microsoft.first().copied();
        match service {
            Service::Microsoft => at_microsoft.unwrap_or(entry.remedy),
            _ => entry.remedy,
        }
    }

    /// Whether it can be made with this service.
    #[must_use]
    pub fn concerns(self, service: &Service) -> bool {
        self.section(service).is_some()
    }

    /// The section about it in [`guides`](crate::guides): a page of the repository's `docs` folder and an anchor.
    #[must_use]
    pub fn guide(self, service: &Service) -> Option<String> {
        let page = match service {
            Service::Microsoft => "microsoft",
            _ => "google",
        };
        Some(format!("docs/set-up-{page}.md#{}", self.section(service)?))
    }

    fn section(self, service: &Service) -> Option<&'static str> {
        match (self.entry().of, service) {
            (Google(section) | Both(section, _), Service::Google)
            | (Microsoft(section) | Both(_, section), Service::Microsoft) => Some(section),
            _ => None,
        }
    }

    /// The mistake that an error code of this service shows.
    pub(super) fn of_code(code: &str, service: &Service) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|mistake| mistake.concerns(service) && mistake.entry().codes.contains(&code))
    }

    /// The mistake that a code on the service's page, or in any text, shows. On Google's page some codes mean something else
    /// than in the answers of its servers
    /// (<https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors>,
    /// <https://support.google.com/cloud/answer/15549945>).
    pub(super) fn of_page(code: &str, service: &Service) -> Option<Self> {
        match (service, code) {
            (Service::Google, "access_denied") => Some(Self::InTestingWithoutUser),
            (Service::Google, "invalid_client") => Some(Self::ClientUnknown),
            _ => Self::of_code(code, service),
        }
    }
}

impl Serialize for Mistake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

catalogue! {
    // The client id.
    ClientIdMissing "client_id_missing": Both("client", "registration"), &[Values], &["client_id_missing"],
        "The client id is missing",
        "Copy it: Google Auth Platform, Clients, the client, Client ID"
        / "Copy it: App registrations, the application, Overview, Application (client) ID";
    ClientIdHasSpaces "client_id_has_spaces": Both("client", "registration"), &[Values], &[],
        "The client id has spaces, line ends or quotation marks in it",
        "Copy it again with the button beside it, and look at how it is quoted in your configuration";
    ClientIdOfOtherService "client_id_of_other_service": Both("client", "registration"), &[Values], &[],
        "The client id is the other service's",
        "Google's end in .apps.googleusercontent.com, Microsoft's are like 00000000-0000-0000-0000-000000000000: look \
         whether the two were exchanged";
    ClientIdMalformed "client_id_malformed": Both("client", "registration"), &[Values, TokenEndpoint], &["AADSTS90112"],
        "The client id has not the form of this service's client ids",
        "Copy the whole of it: it ends in .apps.googleusercontent.com"
        / "Copy the whole of it: Application (client) ID on the Overview, neither Object ID nor the name";
    ClientIdOfServiceAccount "client_id_of_service_account": Google("client"), &[Values], &[],
        "The client id is a service account's",
        "Users sign in with an OAuth client: Google Auth Platform, Clients, Create client, Web application or Desktop app";
    ClientUnknown "client_unknown": Both("client", "registration"), &[TokenEndpoint, VendorPage],
        &["AADSTS700016", "AADSTS700011"],
        "There is no application with this client id, or not in this tenant",
        "Compare the client ID character by character under Google Auth Platform, Clients"
        / "Compare the client ID with Application (client) ID on the Overview, and the tenant with Directory (tenant) \
         ID";
    ClientDeleted "client_deleted": Google("client"), &[TokenEndpoint, VendorPage], &["deleted_client"],
        "The client id was deleted; Google deletes those that nobody uses",
        "Restore it within 30 days: Google Auth Platform, Clients; or create a new one and let users sign in again";
    ClientDisabled "client_disabled": Both("client", "registration"), &[TokenEndpoint, VendorPage],
        &["disabled_client", "AADSTS7000112", "AADSTS70001", "AADSTS1000031"],
        "The application is disabled",
        "Google Auth Platform, Clients says why"
        / "Enterprise apps, the application, Properties: set Enabled for users to sign in to Yes";

    // The secret.
    SecretMissing "secret_missing": Both("client", "secret"), &[Values, TokenEndpoint],
        &["AADSTS7000218", "AADSTS7000216"],
        "The client secret is missing",
        "Google gives desktop applications one too, and wants it: Google Auth Platform, Clients, the client, Add \
         secret"
        / "Certificates & secrets, New client secret, and of that the column Value. A desktop application needs none \
         if its redirect address is registered under Mobile and desktop and public client flows are allowed";
    SecretHasSpaces "secret_has_spaces": Both("client", "secret"), &[Values], &[],
        "The client secret has spaces or line ends in it",
        "Copy it again, and look at how it is quoted in your configuration";
    SecretIsItsId "secret_is_its_id": Microsoft("secret"), &[Values, TokenEndpoint], &[],
        "The client secret is a Secret ID, not the secret",
        "Under Certificates & secrets it is the column Value that counts. It is shown only right after New client secret: \
         create another one and copy its value";
    SecretOfOtherService "secret_of_other_service": Both("client", "secret"), &[Values], &[],
        "The client secret is the other service's",
        "Google's begin with GOCSPX-, Microsoft's have a ~ in them: look whether the two were exchanged";
    SecretIsSomethingElse "secret_is_something_else": Both("client", "secret"), &[Values], &[],
        "What is configured as client secret is something else: an API key, a token, a file or the client id",
        "It is under Google Auth Platform, Clients, the client, Client secrets, and begins with GOCSPX-"
        / "It is under Certificates & secrets, New client secret, in the column Value";
    SecretWrong "secret_wrong": Both("client", "secret"), &[TokenEndpoint],
        &["invalid_client", "AADSTS7000215", "AADSTS70002"],
        "The client secret is not this application's, or was deleted",
        "Google Auth Platform, Clients, the client, Add secret: configure the new one. Users need not sign in again"
        / "Certificates & secrets, New client secret: configure the column Value, not Secret ID. Users need not sign \
         in again";
    SecretExpired "secret_expired": Microsoft("secret"), &[TokenEndpoint], &["AADSTS7000222"],
        "The client secret has expired",
        "Certificates & secrets, New client secret; configure its Value. Users need not sign in again: their tokens are fine";
    SecretOfPublicClient "secret_of_public_client": Microsoft("secret"), &[TokenEndpoint], &["AADSTS700025"],
        "A secret is given for a redirect address of the kind Mobile and desktop, which has none",
        "Configure no secret; or, for a web application, register the address as Web";
    CertificateWrong "certificate_wrong": Microsoft("secret"), &[TokenEndpoint],
        &["AADSTS700027", "AADSTS700030", "AADSTS700021", "AADSTS700023", "AADSTS700024", "AADSTS50012", "AADSTS50013",
          "AADSTS500133"],
        "The certificate is not a registered one, it was used for another tenant or client id, or this machine's clock is wrong",
        "Compare the thumbprint under Certificates & secrets, Certificates, then client id and tenant with the Overview, and \
         look at the clock";
    CertificateOfOtherKey "certificate_of_other_key": Microsoft("secret"), &[Values], &["certificate_of_other_key"],
        "The private key is not the certificate's",
        "Both come from the same request: look whether one of them was renewed without the other";
    CertificateAtGoogle "certificate_at_google": Google("client"), &[Values], &["certificate_at_google"],
        "A certificate is configured for users who sign in with Google, which takes none",
        "Configure the client secret: Google Auth Platform, Clients, the client, Client secrets";

    // Applications that act in their own name.
    DomainNotDelegated "domain_not_delegated": Google("service-accounts"), &[TokenEndpoint], &["unauthorized_client"],
        "No administrator delegated the domain to the service account for these very scopes",
        "Admin console, Security, Access and data control, API controls, Domain-wide delegation: add the numeric client ID \
         with exactly the scopes of ApplicationFlow::scopes. It may take a day to have effect";
    ServiceAccountRefused "service_account_refused": Google("service-accounts"), &[TokenEndpoint], &[],
        "Google does not accept what the service account signed for this mailbox",
        "Give the primary address of a user of the domain, not an alias or a group; look whether the key was deleted under IAM \
         & Admin, Service accounts, Keys; and at this machine's clock";

    // The redirect address.
    RedirectMissing "redirect_missing": Both("redirect-addresses", "redirect-addresses"), &[Values, VendorPage],
        &["redirect_missing", "AADSTS900971"],
        "There is no redirect address",
        "Configure the address of your application's own callback page, and register the very same text with the service. \
         Command-line programs use a loopback receiver's instead";
    RedirectMalformed "redirect_malformed": Both("redirect-addresses", "redirect-addresses"), &[Values],
        &["redirect_malformed"],
        "The redirect address is no whole address",
        "It begins with https:// and names host and path, such as https://desk.example/oauth/callback";
    RedirectHasFragment "redirect_has_fragment": Both("redirect-addresses", "redirect-addresses"), &[Values],
        &["redirect_has_fragment"],
        "The redirect address has a # in it",
        "Neither service takes one. Use a path of your server, not a page inside a browser application";
    RedirectNotHttps "redirect_not_https": Both("redirect-addresses", "redirect-addresses"), &[Values, VendorPage], &[],
        "The redirect address is http and not this machine",
        "Both services take http only for localhost: put TLS before the callback and register the https address";
    RedirectHasSpaces "redirect_has_spaces": Both("redirect-addresses", "redirect-addresses"), &[Values, VendorPage], &[],
        "The redirect address has spaces, line ends or quotation marks in it",
        "It is compared character by character: write it without, here and in the registration";
    RedirectHasWildcard "redirect_has_wildcard": Both("redirect-addresses", "redirect-addresses"), &[Values], &[],
        "The redirect address has a * in it",
        "Neither service knows wildcards for applications that read mail: register every address, or one that sends people \
         on";
    RedirectIsIpAddress "redirect_is_ip_address": Google("redirect-addresses"), &[Values, VendorPage], &[],
        "The redirect address names its host by number",
        "Google takes numbers for this machine only: use a domain name";
    RedirectNotPublic "redirect_not_public": Google("redirect-addresses"), &[Values, VendorPage], &[],
        "The redirect address is in a domain that is not public",
        "Google takes only domains under a public top-level domain, besides localhost: use one that you own; it need not be \
         reachable from outside";
    RedirectUpperCase "redirect_upper_case": Both("redirect-addresses", "redirect-addresses"), &[Values], &[],
        "The redirect address has upper case letters in its scheme or host",
        "Browsers turn them into lower case, and the services compare character by character: write lower case, here and in \
         the registration";
    RedirectTrailingSlash "redirect_trailing_slash": Both("redirect-addresses", "redirect-addresses"), &[Values, VendorPage],
        &[],
        "The redirect address ends with a slash",
        "That is right only if the registered one does too: https://desk.example/callback and https://desk.example/callback/ \
         are two addresses";
    RedirectOutOfBand "redirect_out_of_band": Google("redirect-addresses"), &[Values, VendorPage], &[],
        "The redirect address is the copy-and-paste one (oob), which Google ended in 2023",
        "Use a loopback receiver; on a machine without a browser paste back the address at which the browser ended";
    RedirectIpv6Loopback "redirect_ipv6_loopback": Microsoft("redirect-addresses"), &[Values, VendorPage], &[],
        "The redirect address is this machine's IPv6 number, which Microsoft does not take",
        "Use http://localhost, registered under Mobile and desktop; any port is right then";
    RedirectLoopbackByNumber "redirect_loopback_by_number": Microsoft("redirect-addresses"), &[Values, VendorPage], &[],
        "The redirect address is http://127.0.0.1, which Microsoft's page does not let you register",
        "Use http://localhost; or write http://127.0.0.1 into the manifest of the app registration by hand";
    RedirectSpecialCharacters "redirect_special_characters": Microsoft("redirect-addresses"), &[Values], &[],
        "The redirect address has one of the characters ! $ ' ( ) , ; in it",
        "Microsoft does not take them: use letters, digits, hyphens and slashes";
    RedirectTooLong "redirect_too_long": Microsoft("redirect-addresses"), &[Values], &[],
        "The redirect address is longer than 256 characters",
        "Microsoft takes no longer ones: keep what varies in the session, not in the address";
    RedirectHasQuery "redirect_has_query": Microsoft("redirect-addresses"), &[Values], &[],
        "The redirect address has a query, and personal accounts may sign in",
        "Microsoft takes a query only for applications that are for work and school accounts alone: keep what varies in \
         the session";
    RedirectHasUserInfo "redirect_has_user_info": Both("redirect-addresses", "redirect-addresses"), &[Values], &[],
        "The redirect address has a name or a password before its host",
        "Neither service takes one: remove everything up to the @";
    RedirectMismatch "redirect_mismatch": Both("redirect-addresses", "redirect-addresses"), &[VendorPage, Callback],
        &["redirect_uri_mismatch", "AADSTS50011", "AADSTS70004", "AADSTS500112", "AADSTS500113"],
        "The redirect address is not a registered one (redirect_uri_mismatch, AADSTS50011)",
        "The page shows under error details which one was sent: add exactly that under Google Auth Platform, \
         Clients, the client, Authorized redirect URIs. Look at http and https, www., the port, the slash at the \
         end. Changes take some minutes"
        / "The page shows which one was sent: add exactly that under App registrations, Authentication, Add redirect \
         URI. Look at http and https, the port, the slash at the end, upper and lower case";
    RedirectSinglePage "redirect_single_page": Microsoft("redirect-addresses"), &[Callback],
        &["AADSTS9002325", "AADSTS9002326", "AADSTS9002327", "AADSTS700084"],
        "The redirect address is registered as Single-page application",
        "App registrations, Authentication: remove it there and add it as Web (with a secret), or as Mobile and desktop. Grants \
         of a single-page application end after 24 hours";
    CallbackUnreachable "callback_unreachable": Both("when-the-callback-never-comes", "when-the-callback-never-comes"),
        &[VendorPage], &[],
        "The browser comes back and finds nobody (this site can't be reached)",
        "Your callback page is not running, or the browser is on another machine than the program that waits on localhost: \
         paste back the address from the browser's address bar, or forward the port";

    // The tenant, and where the service is.
    TenantMalformed "tenant_malformed": Microsoft("tenants-and-clouds"), &[Values], &["tenant_malformed"],
        "The tenant is no name of one",
        "It is `common`, `organizations`, `consumers`, Directory (tenant) ID from the Overview, or a domain such as \
         customer.example; no address and no URL";
    TenantIsClientId "tenant_is_client_id": Microsoft("tenants-and-clouds"), &[Values], &[],
        "The tenant is the client id",
        "The Overview shows both below each other: the tenant is Directory (tenant) ID";
    TenantUnknown "tenant_unknown": Microsoft("tenants-and-clouds"), &[TokenEndpoint, VendorPage],
        &["AADSTS90002", "AADSTS90019", "AADSTS50059", "AADSTS50128", "AADSTS900023"],
        "There is no such tenant in this cloud",
        "Compare with Directory (tenant) ID on the Overview, or use `common`; tenants in the US Government's and China's clouds \
         have another sign-in address";
    TenantInOtherCloud "tenant_in_other_cloud": Microsoft("tenants-and-clouds"), &[TokenEndpoint, VendorPage],
        &["AADSTS90038", "AADSTS90043", "AADSTS90051", "AADSTS900382", "AADSTS900432"],
        "The tenant is in another cloud",
        "Give the sign-in address of that cloud (login.microsoftonline.us, login.partner.microsoftonline.cn), and register the \
         application there";
    SingleTenantOnCommon "single_tenant_on_common": Microsoft("tenants-and-clouds"), &[TokenEndpoint, VendorPage],
        &["AADSTS50194", "AADSTS650059", "AADSTS90130", "AADSTS90124"],
        "The application is for one tenant only, and the tenant is `common`",
        "Configure that tenant's id; or, to let others in, choose accounts in any organizational directory under \
         Authentication, Supported account types";
    TenantNeeded "tenant_needed": Microsoft("tenants-and-clouds"), &[TokenEndpoint], &["AADSTS9001023"],
        "This way of signing in needs a tenant's id",
        "Configure Directory (tenant) ID in place of `common` or `consumers`";
    EndpointOfOtherService "endpoint_of_other_service": Both("client", "tenants-and-clouds"), &[Values], &[],
        "The sign-in address is the other service's",
        "Leave it out for the real services: it is for national clouds and emulators only";
    TokenEndpointUnreachable "token_endpoint_unreachable": Both("when-something-goes-wrong", "when-something-goes-wrong"),
        &[TokenEndpoint], &[],
        "The token endpoint cannot be reached from this machine",
        "The server itself must reach https://oauth2.googleapis.com and https://gmail.googleapis.com: look at \
         proxy, firewall and DNS"
        / "The server itself must reach https://login.microsoftonline.com and https://graph.microsoft.com: look at \
         proxy, firewall and DNS";
    TokenEndpointStrange "token_endpoint_strange": Both("when-something-goes-wrong", "when-something-goes-wrong"),
        &[TokenEndpoint], &[],
        "What answers at the token endpoint is no authorization server",
        "A proxy, a firewall or a login page of the network may answer in its place; or the sign-in address is wrong";
    TokenEndpointBusy "token_endpoint_busy": Both("when-something-goes-wrong", "when-something-goes-wrong"),
        &[TokenEndpoint], &[],
        "The token endpoint is failing or asks to slow down",
        "Nothing can be said about the secret now: check again later";
    RequestRefused "request_refused": Both("when-something-goes-wrong", "when-something-goes-wrong"), &[TokenEndpoint], &[],
        "The token endpoint refuses the application with a code that is not known",
        "Look the code up on Google's page about OAuth errors, \
         https://developers.google.com/identity/protocols/oauth2/web-server"
        / "Look the number up at https://login.microsoftonline.com/error";

    // What is asked for.
    AccessEmpty "access_empty": Both("scopes", "permissions"), &[Values], &[],
        "Nothing is asked for but who the user is",
        "Ask for the access that your application needs, such as READ_WRITE and SEND";
    PromptWithoutConsent "prompt_without_consent": Google("scopes"), &[Values], &[],
        "The prompt leaves out `consent`: Google gives users who consented before no refresh token then",
        "Leave the prompt to the crate, or add `consent` to it";
    PromptNone "prompt_none": Both("scopes", "permissions"), &[Values], &[],
        "The prompt is `none`: nobody can sign in with a page that is not shown",
        "Leave the prompt to the crate";
    PromptUnknown "prompt_unknown": Both("scopes", "permissions"), &[Values, VendorPage], &[],
        "The prompt has a word that the service does not know",
        "Google knows none, consent and select_account"
        / "Microsoft knows login, none, consent and select_account";
    ScopesRefused "scopes_refused": Both("scopes", "permissions"), &[VendorPage, Callback],
        &["invalid_scope", "AADSTS70011", "AADSTS90023", "AADSTS28002", "AADSTS28003", "AADSTS700022", "AADSTS650053"],
        "The service does not grant these scopes to this application or kind of account",
        "Enable the Gmail API, then list the scopes under Google Auth Platform, Data Access"
        / "Add Microsoft Graph's Mail permissions under API permissions; those for IMAP, POP and SMTP are for other \
         protocols and of no use here";
    PermissionsNotListed "permissions_not_listed": Microsoft("permissions"), &[VendorPage, Callback],
        &["AADSTS65005", "AADSTS650056", "AADSTS650057", "AADSTS500011", "AADSTS50001"],
        "The app registration does not list the permissions that are asked for",
        "API permissions, Add a permission, Microsoft Graph, Delegated: Mail.ReadWrite, Mail.Send, User.Read, offline_access";

    // The user and their organisation.
    UserDeclined "user_declined": Both("when-something-goes-wrong", "consent"), &[Callback],
        &["access_denied", "AADSTS65004", "authorization_declined"],
        "The user chose Cancel on the consent page",
        "Offer to try again and say why the access is needed";
    AccessNotGranted "access_not_granted": Both("scopes", "permissions"), &[Callback, FirstApiCall],
        &["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"],
        "The user did not tick every box, or the application asked for less than it uses",
        "Ask again for the missing access, and say why it is needed; with one Gmail scope there are no boxes"
        / "Ask again for the missing access, and say why it is needed";
    NoRefreshToken "no_refresh_token": Both("scopes", "permissions"), &[Callback], &["no_refresh_token"],
        "The sign-in gave no refresh token: the account works for an hour",
        "Sign in with the prompt `consent`, as the crate does by default"
        / "Add offline_access to the delegated permissions under API permissions, and sign in again";
    ConsentNeedsAdministrator "consent_needs_administrator": Both("google-workspace-administrators", "consent"),
        &[VendorPage, Callback],
        &["admin_policy_enforced", "AADSTS90094", "AADSTS90095", "AADSTS90093", "AADSTS90099", "AADSTS65001"],
        "The user's organisation wants an administrator's approval (Need admin approval, admin_policy_enforced)",
        "Its administrator opens the Admin console, Security, Access and data control, API controls, Manage app \
         access, and trusts the client ID"
        / "Its administrator grants consent under Enterprise apps, the application, Permissions, or opens the admin \
         consent address from the guide; since 2025 that is usual for reading mail";
    BlockedByPolicy "blocked_by_policy": Microsoft("consent"), &[Callback, TokenEndpoint],
        &["AADSTS53000", "AADSTS53001", "AADSTS53002", "AADSTS53003", "AADSTS530032", "AADSTS530034", "AADSTS530035",
          "AADSTS50005", "AADSTS50131", "AADSTS53011", "AADSTS500021", "AADSTS500022", "AADSTS500212", "AADSTS500213"],
        "A policy of the user's organisation blocks the sign-in",
        "Its administrators see which under Entra admin center, Monitoring & health, Sign-in logs";
    UserNotAssigned "user_not_assigned": Microsoft("consent"), &[VendorPage, Callback], &["AADSTS50105"],
        "The application is for assigned users only, and this user is not",
        "An administrator adds them under Enterprise apps, the application, Users and groups; or switches Assignment required \
         off under Properties";
    AccountNotInTenant "account_not_in_tenant": Microsoft("tenants-and-clouds"), &[VendorPage, Callback],
        &["AADSTS50020", "AADSTS90072", "AADSTS50034", "AADSTS51004", "AADSTS50014", "AADSTS16003"],
        "The account is not one of the tenant that is configured",
        "Use `organizations` or `common` as the tenant to let other organisations in, or an account of this tenant";
    WrongKindOfAccount "wrong_kind_of_account": Microsoft("tenants-and-clouds"), &[VendorPage, Callback],
        &["AADSTS500208", "AADSTS500207", "AADSTS9002332"],
        "Personal accounts, or work and school accounts, are not let in",
        "Authentication, Supported account types: include both; and use `common` as the tenant";
    InTestingWithoutUser "in_testing_without_user": Google("publishing-and-verification"), &[VendorPage], &[],
        "The application is in testing and this user is no test user (Error 403: access_denied)",
        "Google Auth Platform, Audience: add the address under Test users, or choose Publish app";
    TestingGrantsEnd "testing_grants_end": Google("publishing-and-verification"), &[Callback], &[],
        "The grant ends after seven days or less",
        "Google ends the grants of applications in testing: Google Auth Platform, Audience, Publish app, then let users sign \
         in again. Users may also have granted access for some time only";
    OrganisationInternal "organisation_internal": Google("branding-and-audience"), &[VendorPage], &["org_internal"],
        "The application is Internal, and this user is of another organisation (Error 403: org_internal)",
        "Google Auth Platform, Audience, Make external; or sign in with an account of the organisation";
    NotVerified "not_verified": Google("publishing-and-verification"), &[VendorPage], &[],
        "Google has not verified the application (Google hasn't verified this app; This app is blocked)",
        "Users can go on with Advanced, up to 100 of them; for more let Google verify it: Verification Center. For your own \
         organisation make it Internal";
    NewUsersLimited "new_users_limited": Google("publishing-and-verification"), &[VendorPage], &["rate_limit_exceeded"],
        "Too many new users sign in at once (rate_limit_exceeded)",
        "Verified applications have a higher limit, and more can be asked for under Google Auth Platform, Overview";
    EmbeddedBrowser "embedded_browser": Google("when-the-callback-never-comes"), &[VendorPage], &["disallowed_useragent"],
        "The page was opened inside an application (Error 403: disallowed_useragent)",
        "Open the address in the user's own browser";
    SignInLost "sign_in_lost": Both("when-something-goes-wrong", "when-something-goes-wrong"), &[Callback],
        &["wrong_state", "missing_state", "too_late", "another_application", "another_version", "wrong_address"],
        "The callback does not belong to the sign-in that is kept",
        "Keep what is pending in the session of the user who began it, one for each sign-in; look whether the session's cookie \
         survives the way back from another site (SameSite=Lax)";
    CodeUsedTwice "code_used_twice": Both("when-something-goes-wrong", "when-something-goes-wrong"), &[Callback],
        &["invalid_grant", "AADSTS54005", "AADSTS501481", "AADSTS50148"],
        "The code was used already, has expired, or belongs to another sign-in",
        "Complete each sign-in once and at once: Microsoft's codes hold for a minute. A reloaded callback page must not complete \
         again";
    CodeOfOtherTenant "code_of_other_tenant": Microsoft("tenants-and-clouds"), &[Callback], &["AADSTS700005"],
        "The code was asked for at one tenant and redeemed at another",
        "Complete a sign-in with the flow that began it";

    // The mail API.
    ApiNotEnabled "api_not_enabled": Google("project-and-api"), &[FirstApiCall], &["accessNotConfigured", "SERVICE_DISABLED"],
        "The Gmail API is not enabled in the project of this client id",
        "Google Cloud console, APIs & Services, Library, Gmail API, Enable; in the project whose number the client id begins \
         with. It takes some minutes";
    NoMailbox "no_mailbox": Both("when-something-goes-wrong", "when-something-goes-wrong"), &[FirstApiCall],
        &["failedPrecondition", "MailboxNotEnabledForRESTAPI", "MailboxNotSupportedForRESTAPI"],
        "The account can sign in and has no mailbox that the API reaches",
        "Sign in with an account that has one: a Google account can have another service's address and no Gmail, \
         and an organisation can have Gmail switched off"
        / "Sign in with an account that has one: a Microsoft account can have a foreign address and no mailbox, and \
         an account of an organisation needs a licence for Exchange Online";
    GmailForbidden "gmail_forbidden": Google("google-workspace-administrators"), &[FirstApiCall], &["domainPolicy"],
        "The organisation's administrators do not let this application use Gmail",
        "Admin console, Security, Access and data control, API controls: trust the client id, and let applications use Gmail";
    MailAccessDenied "mail_access_denied": Microsoft("permissions"), &[FirstApiCall],
        &["ErrorAccessDenied", "Authorization_RequestDenied", "AccessDenied"],
        "The token does not allow to use this mailbox",
        "API permissions must have Microsoft Graph's Mail permissions, and users must have consented since they were added; \
         an application that signs in as itself may be kept to certain mailboxes by the organisation";
}
