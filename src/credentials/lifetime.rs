//! How long a grant lasts: [`GrantLifetime`] holds what is certain, because the service itself said when the grant ends,
//! apart from what may end it by the service's published rules. Finding out that it has ended is `tokens`'s.

use std::fmt;

use chrono::{DateTime, Months, TimeDelta, Utc};
use serde::Serialize;

use super::record::{AccountRecord, Credential, Identity, Service};

/// When a grant ends, and what may end it before. It ends for its user, who must sign in again then; the account's record
/// is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GrantLifetime {
    /// What the service said when it gave the tokens. No use of the grant puts it off.
    pub certain: Option<CertainEnd>,
    /// What may happen at any time, or at a time that is only known if the rule applies at all.
    pub possible: Vec<PossibleEnd>,
}

/// The end that a service announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CertainEnd {
    /// When it is.
    pub at: DateTime<Utc>,
    /// Why, the likeliest first: services announce the time and not the reason.
    pub why: Vec<Lapse>,
}

/// An end that may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PossibleEnd {
    /// What would end the grant.
    pub why: Lapse,
    /// When, if it does and the rule has a time that can be reckoned.
    pub at: Option<DateTime<Utc>>,
}

/// What ends a grant. `Display` is a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lapse {
    /// Google: the application is External and in testing, whose grants last seven days.
    ApplicationInTesting,
    /// Google: the user granted access for some time only.
    TimeLimitedAccess,
    /// Google: the organisation asks users of Google Cloud to sign in again from time to time.
    CloudSession,
    /// Google: an account keeps a hundred grants for one client id, and forgets the oldest.
    TooManyGrants,
    /// Microsoft: the redirect address is registered as a single-page application, whose grants last 24 hours.
    SinglePageApplication,
    /// Microsoft: a guest signed in with a one-time passcode sent by mail, which is good for 24 hours.
    OneTimePasscode,
    /// Microsoft: the organisation asks its users to sign in again from time to time.
    SignInFrequency,
    /// Nothing used the grant for a long time: six months at Google, 90 days at Microsoft. Each use puts it off.
    Unused,
    /// The password was changed, or reset by an administrator.
    PasswordChanged,
    /// The user withdrew it on the service's own pages.
    Withdrawn,
    /// An administrator revoked it, closed the account or forbade the application.
    AdministratorActed,
    /// There is no refresh token, so that it lasts as long as the access token.
    NoRefreshToken,
    /// The application's own key, secret or certificate ends or is removed.
    ApplicationProofEnded,
    /// The service said when it ends, and nothing is known of why.
    Announced,
}

impl Lapse {
    /// Where the service says so.
    #[must_use]
    pub fn source(self, service: &Service) -> &'static str {
        let google = *service == Service::Google;
        match self {
            Self::ApplicationInTesting | Self::TooManyGrants => {
                "https://developers.google.com/identity/protocols/oauth2#expiration"
            }
            Self::TimeLimitedAccess => {
                "https://developers.google.com/identity/protocols/oauth2/web-server#exchange-authorization-code"
            }
            Self::CloudSession => "https://developers.google.com/identity/protocols/oauth2#gcp",
            Self::SinglePageApplication | Self::OneTimePasscode => {
                "https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime"
            }
            Self::SignInFrequency => {
                "https://learn.microsoft.com/entra/identity/conditional-access/concept-session-lifetime"
            }
            Self::Unused | Self::PasswordChanged | Self::Withdrawn | Self::AdministratorActed
                if google =>
            {
                "https://developers.google.com/identity/protocols/oauth2#expiration"
            }
            Self::Unused => {
                "https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime"
            }
            Self::PasswordChanged | Self::Withdrawn | Self::AdministratorActed => {
                "https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-revocation"
            }
            Self::NoRefreshToken if google => {
                "https://developers.google.com/identity/protocols/oauth2/web-server#offline"
            }
            Self::NoRefreshToken => {
                "https://learn.microsoft.com/entra/identity-platform/scopes-oidc#the-offline_access-scope"
            }
            Self::ApplicationProofEnded if google => {
                "https://developers.google.com/identity/protocols/oauth2/service-account"
            }
            Self::ApplicationProofEnded => {
                "https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow"
            }
            Self::Announced => "https://www.rfc-editor.org/rfc/rfc6749#section-5.1",
        }
    }
}

impl fmt::Display for Lapse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ApplicationInTesting => {
                "the application is in testing at Google, whose grants end after seven days: publish it under Google Auth \
                 Platform, Audience"
            }
            Self::TimeLimitedAccess => "the user granted access for some time only",
            Self::CloudSession => {
                "the organisation asks users of Google Cloud to sign in again from time to time"
            }
            Self::TooManyGrants => {
                "a Google account keeps a hundred grants for one client id, and forgets the oldest"
            }
            Self::SinglePageApplication => {
                "the redirect address is registered as a single-page application, whose grants end after 24 hours: register \
                 it as Web, or as Mobile and desktop"
            }
            Self::OneTimePasscode => {
                "a guest who signed in with a passcode sent by mail must do so again after 24 hours"
            }
            Self::SignInFrequency => {
                "the organisation may ask its users to sign in again from time to time"
            }
            Self::Unused => "a grant that nothing uses for a long time ends",
            Self::PasswordChanged => "a changed password may end the grant",
            Self::Withdrawn => "the user may withdraw the grant on the service's own pages",
            Self::AdministratorActed => {
                "an administrator may revoke the grant, close the account or forbid the application"
            }
            Self::NoRefreshToken => {
                "there is no refresh token: the grant lasts as long as its access token"
            }
            Self::ApplicationProofEnded => {
                "the application's own key, secret or certificate may end or be removed"
            }
            Self::Announced => "the service said when the grant ends",
        })
    }
}

impl GrantLifetime {
    /// The earliest instant at which the grant ends or may end, of those that are known.
    #[must_use]
    pub fn earliest(&self) -> Option<DateTime<Utc>> {
        let certain = self.certain.as_ref().map(|end| end.at);
        let possible = self.possible.iter().filter_map(|end| end.at);
        certain.into_iter().chain(possible).min()
    }

    /// Whether this may end the grant, for certain or perhaps.
    #[must_use]
    pub fn names(&self, lapse: Lapse) -> bool {
        let certain = self.certain.iter().flat_map(|end| &end.why);
        let possible = self.possible.iter().map(|end| &end.why);
        certain.chain(possible).any(|why| *why == lapse)
    }
}

impl AccountRecord {
    /// When the account's grant ends, as far as that is known, and what may end it.
    #[must_use]
    pub fn lifetime(&self) -> GrantLifetime {
        Facts {
            service: &self.service,
            credential: &self.credential,
            identity: self.identity.as_ref(),
            scopes: &self.scopes,
            granted_at: self.granted_at,
            by_application: self.settings.contains_key(APPLICATION_MAILBOX),
        }
        .lifetime()
    }
}

/// The setting of a record that says whose mailbox it is that an application opens in its own name.
pub(crate) const APPLICATION_MAILBOX: &str = "application_mailbox";

/// What a lifetime follows from.
pub(crate) struct Facts<'a> {
    pub(crate) service: &'a Service,
    pub(crate) credential: &'a Credential,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) scopes: &'a [String],
    /// When the user signed in, if that was here.
    pub(crate) granted_at: Option<DateTime<Utc>>,
    /// Whether an application has it in its own name.
    pub(crate) by_application: bool,
}

/// <https://developers.google.com/identity/protocols/oauth2#expiration>
const TESTING: TimeDelta = TimeDelta::days(7);
const GOOGLE_UNUSED: Months = Months::new(6);

/// <https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime>
const MICROSOFT_UNUSED: TimeDelta = TimeDelta::days(90);
const ONE_DAY: TimeDelta = TimeDelta::hours(24);

/// What a sign-in takes beside: services count from when they issued the code.
const TOLERANCE: TimeDelta = TimeDelta::hours(1);

/// The tenant of all personal Microsoft accounts, who are nobody's guests
/// (<https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference#payload-claims>).
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad/";

impl Facts<'_> {
    pub(crate) fn lifetime(&self) -> GrantLifetime {
        if self.by_application {
            return GrantLifetime {
                certain: None,
                possible: [Lapse::ApplicationProofEnded, Lapse::AdministratorActed]
                    .map(|why| PossibleEnd { why, at: None })
                    .into(),
            };
        }
        let certain = self.certain();
        let mut possible = Vec::new();
        let mut may = |why, at| possible.push(PossibleEnd { why, at });
        let last_used = self.credential.obtained_at;
        let credential_end = self.credential.refresh_token_expires_at;
        let announced = certain.is_some();
        let after = |life| self.granted_at.and_then(|at| at.checked_add_signed(life));
        if self.credential.refresh_token.is_some() {
            match self.service {
                Service::Google => {
                    // Whether Google announces it for every application in testing is not documented.
                    if !announced {
                        may(Lapse::ApplicationInTesting, after(TESTING));
                    }
                    let unused = last_used.and_then(|at| at.checked_add_months(GOOGLE_UNUSED));
                    may(Lapse::Unused, unused);
                    may(Lapse::TooManyGrants, None);
                    if self.reaches_google_cloud() {
                        may(Lapse::CloudSession, None);
                    }
                }
                Service::Microsoft => {
                    let personal = self.identity.is_some_and(|identity| {
                        identity.subject.to_ascii_lowercase().starts_with(PERSONAL)
                    });
                    // Grants of this crate's own sign-ins are never a single-page application's: their codes are refused.
                    if !announced && self.granted_at.is_none() {
                        may(Lapse::SinglePageApplication, None);
                    }
                    if !announced && !personal {
                        may(Lapse::OneTimePasscode, after(ONE_DAY));
                    }
                    let unused = last_used.and_then(|at| at.checked_add_signed(MICROSOFT_UNUSED));
                    let announced = credential_end.filter(|_| !announced);
                    may(Lapse::Unused, announced.or(unused));
                    if !personal {
                        may(Lapse::SignInFrequency, None);
                    }
                }
                Service::Other(_) => {}
            }
        }
        for why in [
            Lapse::PasswordChanged,
            Lapse::Withdrawn,
            Lapse::AdministratorActed,
        ] {
            may(why, None);
        }
        GrantLifetime { certain, possible }
    }

    fn certain(&self) -> Option<CertainEnd> {
        let credential = self.credential;
        if credential.refresh_token.is_none() {
            return credential.expires_at.map(|at| CertainEnd {
                at,
                why: vec![Lapse::NoRefreshToken],
            });
        }
        let at = credential.refresh_token_expires_at?;
        // Without the sign-in the time since is not known, and both may be.
        let within = |life| {
            let begun = self.granted_at.or(credential.obtained_at);
            begun.is_none_or(|begun| at - begun <= life + TOLERANCE)
        };
        let why = match self.service {
            Service::Google if within(TESTING) => {
                vec![Lapse::ApplicationInTesting, Lapse::TimeLimitedAccess]
            }
            Service::Google => vec![Lapse::TimeLimitedAccess],
            Service::Microsoft if within(ONE_DAY) => {
                vec![Lapse::SinglePageApplication, Lapse::OneTimePasscode]
            }
            // Each use puts it off.
            Service::Microsoft if within(MICROSOFT_UNUSED) => return None,
            _ => vec![Lapse::Announced],
        };
        Some(CertainEnd { at, why })
    }

    /// Session control of Google Cloud is for grants with scopes of Google Cloud.
    fn reaches_google_cloud(&self) -> bool {
        let cloud = ["/cloud-platform", "/pubsub", "/cloud-platform.read-only"];
        self.scopes
            .iter()
            .any(|scope| cloud.iter().any(|end| scope.ends_with(end)))
    }
}
