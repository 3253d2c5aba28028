//! What tokens are worth: access tokens, refresh tokens and authorization codes, each with the account,
//! client and scopes it stands for and the moment it ends. Who gets one is decided in `sign_in`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Vendor;

/// Every token that is out. Instants are those of the emulator's monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) access: BTreeMap<String, AccessToken>,
    pub(crate) refresh: BTreeMap<String, RefreshToken>,
    pub(crate) codes: BTreeMap<String, AuthorizationCode>,
}

/// What stands behind any token: who allowed what to which client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) account: String,
    pub(crate) client_id: String,
    pub(crate) scopes: BTreeSet<String>,
    /// One consent: what was issued from it shares this number.
    pub(crate) family: u64,
}

/// A bearer token.
#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    pub(crate) grant: Grant,
    pub(crate) expires: Duration,
}

/// A refresh token.
#[derive(Clone, Debug)]
pub(crate) struct RefreshToken {
    pub(crate) grant: Grant,
    /// Replaced by a newer one. Whether it still works is the vendor's rule.
    pub(crate) superseded: bool,
}

/// A code on its way through the user's browser.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationCode {
    pub(crate) grant: Grant,
    pub(crate) expires: Duration,
    pub(crate) used: bool,
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: Option<String>,
    pub(crate) nonce: Option<String>,
    /// Whether redeeming it gives a refresh token.
    pub(crate) offline: bool,
}

impl Tokens {
    /// The grant behind an access token that still holds at `now`.
    pub(crate) fn bearer(&self, token: &str, now: Duration) -> Option<&Grant> {
        self.access
            .get(token)
            .filter(|access| access.expires > now)
            .map(|access| &access.grant)
    }

    /// Everything of `account` dies: the user withdrew consent.
    pub(crate) fn revoke(&mut self, account: &str) {
        self.access
            .retain(|_, token| token.grant.account != account);
        self.refresh
            .retain(|_, token| token.grant.account != account);
        self.codes.retain(|_, code| code.grant.account != account);
    }

    /// Access tokens of `account` end now; refresh tokens live on.
    pub(crate) fn expire_access(&mut self, account: &str) {
        self.access
            .retain(|_, token| token.grant.account != account);
    }
}

/// The scopes of a ready-made token: all that mail needs, and none whose presence takes anything away
/// (a token with `gmail.metadata` may not search, whatever else it holds).
pub(crate) fn mail_scopes(vendor: Vendor) -> &'static [&'static str] {
    match vendor {
        Vendor::Google => &[
            "openid",
            "https://www.googleapis.com/auth/userinfo.email",
            "https://www.googleapis.com/auth/userinfo.profile",
            "https://mail.google.com/",
            "https://www.googleapis.com/auth/gmail.modify",
            "https://www.googleapis.com/auth/gmail.settings.basic",
        ],
        Vendor::Microsoft => &[
            "openid",
            "profile",
            "email",
            "offline_access",
            "User.Read",
            "Mail.ReadWrite",
            "Mail.Send",
            "MailboxSettings.ReadWrite",
        ],
    }
}
