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
    /// What machines without a browser wait for, by the code that they keep to themselves.
    pub(crate) devices: BTreeMap<String, DeviceCode>,
    /// What each account allows each client, by client and account.
    consents: BTreeMap<(String, String), BTreeSet<String>>,
    /// Refresh tokens that were good once: their end is told in other words than nonsense.
    revoked: BTreeSet<String>,
    /// Clients to which an administrator has consented.
    pub(crate) admin_consents: BTreeSet<String>,
    /// Accounts that have to sign in again before anything is refreshed.
    challenged: BTreeSet<String>,
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
    pub(crate) life: RefreshLife,
    /// When it ends unless it is used before.
    pub(crate) idle_until: Duration,
}

/// How long what came from one consent may be refreshed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RefreshLife {
    /// When it ends, however much it is used; if set, answers say so.
    pub(crate) ends: Option<Duration>,
    /// Whether only browsers may use it: a single-page application's.
    pub(crate) in_browser: bool,
}

/// How long refresh tokens live that nobody uses: about six months at Google, 90 days at Microsoft.
/// <https://developers.google.com/identity/protocols/oauth2#expiration>,
/// <https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens#token-lifetime>
pub(crate) fn idle_life(vendor: Vendor) -> Duration {
    const DAY: u64 = 24 * 60 * 60;
    Duration::from_secs(match vendor {
        Vendor::Google => 182 * DAY,
        Vendor::Microsoft => 90 * DAY,
    })
}

/// The value of `refresh_token_expires_in`.
pub(crate) fn remaining(life: RefreshLife, now: Duration) -> Option<u64> {
    // A second less: the service answers a little later than it issues.
    let ends = life.ends?;
    Some(ends.saturating_sub(now).as_secs().saturating_sub(1))
}

/// A code on its way through the user's browser.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationCode {
    pub(crate) grant: Grant,
    pub(crate) expires: Duration,
    pub(crate) used: bool,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<CodeChallenge>,
    pub(crate) nonce: Option<String>,
    /// Whether redeeming it gives a refresh token.
    pub(crate) offline: bool,
    /// The door through which the user came, where there are several.
    pub(crate) tenant: Option<String>,
}

/// A machine without a browser that waits for a user.
#[derive(Clone, Debug)]
pub(crate) struct DeviceCode {
    /// What the user types.
    pub(crate) user_code: String,
    pub(crate) client_id: String,
    pub(crate) tenant: String,
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) expires: Duration,
    /// When the machine may ask again.
    pub(crate) patient_until: Duration,
    pub(crate) decision: DeviceDecision,
}

/// What the user said to a machine.
#[derive(Clone, Debug)]
pub(crate) enum DeviceDecision {
    /// Nothing yet.
    Pending,
    /// No.
    Declined,
    /// Yes.
    Allowed(Grant),
    /// Yes, and the machine knows.
    Told,
}

/// What the redeemer of a code has to know. <https://www.rfc-editor.org/rfc/rfc7636>
#[derive(Clone, Debug)]
pub(crate) enum CodeChallenge {
    /// The verifier itself.
    Plain(String),
    /// Its SHA-256 in base64url.
    S256(String),
}

impl Tokens {
    /// The grant behind an access token that still holds at `now`.
    pub(crate) fn bearer(&self, token: &str, now: Duration) -> Option<&Grant> {
        self.access
            .get(token)
            .filter(|access| access.expires > now)
            .map(|access| &access.grant)
    }

    /// What `account` has allowed `client_id` so far.
    pub(crate) fn consented(&self, client_id: &str, account: &str) -> BTreeSet<String> {
        self.consents
            .get(&(client_id.to_owned(), account.to_owned()))
            .cloned()
            .unwrap_or_default()
    }

    /// The user has to sign in again before anything of `account` is refreshed.
    pub(crate) fn challenge(&mut self, account: &str) {
        self.challenged.insert(account.to_owned());
    }

    /// Whether the user has to sign in again.
    pub(crate) fn is_challenged(&self, account: &str) -> bool {
        self.challenged.contains(account)
    }

    /// Adds to what `account` allows `client_id`. Whoever consents is there, and has proved it.
    pub(crate) fn consent(
        &mut self,
        client_id: &str,
        account: &str,
        scopes: impl Iterator<Item = String>,
    ) {
        self.challenged.remove(account);
        self.consents
            .entry((client_id.to_owned(), account.to_owned()))
            .or_default()
            .extend(scopes);
    }

    /// Whether this refresh token was good once.
    pub(crate) fn is_revoked(&self, token: &str) -> bool {
        self.revoked.contains(token)
    }

    /// Everything of `account` dies: the user withdrew consent.
    pub(crate) fn revoke(&mut self, account: &str) {
        self.consents.retain(|(_, owner), _| owner != account);
        self.end(|grant| grant.account == account);
    }

    /// Everything that `account` gave to `client_id` dies.
    pub(crate) fn revoke_client(&mut self, account: &str, client_id: &str) {
        self.consents
            .remove(&(client_id.to_owned(), account.to_owned()));
        self.end(|grant| grant.account == account && grant.client_id == client_id);
    }

    /// Everything that came from one consent dies.
    pub(crate) fn revoke_family(&mut self, family: u64) {
        self.end(|grant| grant.family == family);
    }

    fn end(&mut self, ends: impl Fn(&Grant) -> bool) {
        self.access.retain(|_, token| !ends(&token.grant));
        self.codes.retain(|_, code| !ends(&code.grant));
        let Self {
            refresh, revoked, ..
        } = self;
        refresh.retain(|text, token| {
            let stays = !ends(&token.grant);
            if !stays {
                revoked.insert(text.clone());
            }
            stays
        });
    }

    /// Access tokens of `account` end now; refresh tokens live on.
    pub(crate) fn expire_access(&mut self, account: &str) {
        self.access
            .retain(|_, token| token.grant.account != account);
    }
}

/// Whose account a token is that an application has in its own name: nobody's.
pub(crate) const APPLICATION: &str = "application";

/// The application permissions that mail needs.
/// <https://learn.microsoft.com/en-us/graph/permissions-reference>
pub(crate) const MAIL_ROLES: &[&str] = &[
    "User.Read.All",
    "Mail.ReadWrite",
    "Mail.Send",
    "MailboxSettings.ReadWrite",
];

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
