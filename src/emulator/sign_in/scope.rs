//! Which scopes each vendor knows, what its consent page calls them, and the spelling it answers with.
//! Which scopes were granted to whom is left to the ledger.

/// Google's scopes for mail and identity, each with what the consent page says of it.
/// <https://developers.google.com/workspace/gmail/api/auth/scopes>
const GOOGLE: &[(&str, &str)] = &[
    ("openid", "Know who you are"),
    (
        "https://www.googleapis.com/auth/userinfo.email",
        "See your email address",
    ),
    (
        "https://www.googleapis.com/auth/userinfo.profile",
        "See your name and picture",
    ),
    (
        "https://mail.google.com/",
        "Read, compose, send and permanently delete all your email",
    ),
    (
        "https://www.googleapis.com/auth/gmail.modify",
        "Read, compose and send email",
    ),
    (
        "https://www.googleapis.com/auth/gmail.readonly",
        "View your email messages and settings",
    ),
    (
        "https://www.googleapis.com/auth/gmail.metadata",
        "View message headers and labels, but not bodies",
    ),
    (
        "https://www.googleapis.com/auth/gmail.compose",
        "Manage drafts and send email",
    ),
    (
        "https://www.googleapis.com/auth/gmail.send",
        "Send email on your behalf",
    ),
    (
        "https://www.googleapis.com/auth/gmail.insert",
        "Add email to your mailbox",
    ),
    (
        "https://www.googleapis.com/auth/gmail.labels",
        "See and edit your labels",
    ),
    (
        "https://www.googleapis.com/auth/gmail.settings.basic",
        "Change your email settings and filters",
    ),
    (
        "https://www.googleapis.com/auth/gmail.settings.sharing",
        "Manage sensitive mail settings",
    ),
];

/// The delegated Graph permissions that concern mail, with the words of the consent page.
/// <https://learn.microsoft.com/en-us/graph/permissions-reference>
const MICROSOFT: &[(&str, &str)] = &[
    ("openid", "Sign you in"),
    ("profile", "View your basic profile"),
    ("email", "View your email address"),
    (
        "offline_access",
        "Maintain access to data you have given it access to",
    ),
    ("User.Read", "Sign you in and read your profile"),
    ("User.ReadBasic.All", "Read all users' basic profiles"),
    ("Mail.ReadBasic", "Read your basic mail"),
    ("Mail.Read", "Read your mail"),
    ("Mail.ReadWrite", "Read and write access to your mail"),
    ("Mail.Send", "Send mail as you"),
    (
        "Mail.ReadBasic.Shared",
        "Read basic mail that you can access",
    ),
    ("Mail.Read.Shared", "Read mail that you can access"),
    (
        "Mail.ReadWrite.Shared",
        "Read and write mail that you can access",
    ),
    ("Mail.Send.Shared", "Send mail on behalf of others"),
    ("MailboxSettings.Read", "Read your mailbox settings"),
    (
        "MailboxSettings.ReadWrite",
        "Read and write to your mailbox settings",
    ),
];

/// The resource that a Microsoft scope without a prefix means.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/scopes-oidc>
pub(super) const GRAPH: &str = "https://graph.microsoft.com/";

/// Scopes that say who the user is; Google shows no box for them.
pub(super) fn is_identity(scope: &str) -> bool {
    matches!(
        scope,
        "openid"
            | "profile"
            | "email"
            | "offline_access"
            | "https://www.googleapis.com/auth/userinfo.email"
            | "https://www.googleapis.com/auth/userinfo.profile"
    )
}

/// The name under which Google grants a scope: `email` and `profile` come back in their long form.
/// `None` for a scope that Google does not know.
pub(super) fn google(asked: &str) -> Option<&'static str> {
    let long = match asked {
        "email" => "https://www.googleapis.com/auth/userinfo.email",
        "profile" => "https://www.googleapis.com/auth/userinfo.profile",
        other => other,
    };
    GOOGLE
        .iter()
        .find_map(|(name, _)| (*name == long).then_some(*name))
}

/// The name of a Microsoft scope without its resource, in the directory's own spelling. Prefix and case of
/// what was asked do not matter. `None` for a scope that Graph does not have.
pub(super) fn microsoft(asked: &str) -> Option<&'static str> {
    let short = match asked.get(..GRAPH.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(GRAPH) => asked.get(GRAPH.len()..)?,
        _ => asked,
    };
    MICROSOFT
        .iter()
        .find_map(|(name, _)| name.eq_ignore_ascii_case(short).then_some(*name))
}

/// What a consent page calls the scope.
pub(super) fn describe(scope: &str) -> &str {
    GOOGLE
        .iter()
        .chain(MICROSOFT)
        .find_map(|(name, words)| (*name == scope).then_some(*words))
        .unwrap_or(scope)
}

/// Every delegated permission of Microsoft's list above.
pub(super) fn every_microsoft() -> Vec<&'static str> {
    MICROSOFT.iter().map(|(name, _)| *name).collect()
}
