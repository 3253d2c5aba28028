//! Between levels of access and the scopes that each service knows: the fewest that serve, and what granted ones allow.

use url::Url;

use crate::credentials::Service;
use crate::model::Access;

/// Full access to a Gmail mailbox, the only scope with which mail is deleted for good
/// (<https://developers.google.com/workspace/gmail/api/auth/scopes>).
const GMAIL_FULL: &str = "https://mail.google.com/";
const GMAIL_MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
const GMAIL_READ: &str = "https://www.googleapis.com/auth/gmail.readonly";
const GMAIL_SEND: &str = "https://www.googleapis.com/auth/gmail.send";
const GMAIL_COMPOSE: &str = "https://www.googleapis.com/auth/gmail.compose";
const GMAIL_SETTINGS: &str = "https://www.googleapis.com/auth/gmail.settings.basic";

/// The fewest scopes with which `access` can be had, and those that say who the user is.
pub(super) fn scopes_for(service: &Service, access: Access) -> Vec<&'static str> {
    match service {
        Service::Microsoft => microsoft_scopes(access),
        _ => google_scopes(access),
    }
}

/// One Gmail scope wherever one will do: with two, users get a box to tick for each and may leave one out
/// (<https://developers.google.com/identity/protocols/oauth2/resources/granular-permissions>).
fn google_scopes(access: Access) -> Vec<&'static str> {
    let mut scopes = vec!["openid", "email", "profile"];
    if access.contains(Access::DELETE) {
        scopes.push(GMAIL_FULL);
    } else if access.contains(Access::READ_WRITE) {
        // It sends and writes drafts as well.
        scopes.push(GMAIL_MODIFY);
    } else {
        if access.contains(Access::READ) {
            scopes.push(GMAIL_READ);
        }
        if access.contains(Access::DRAFT) {
            // It sends as well.
            scopes.push(GMAIL_COMPOSE);
        } else if access.contains(Access::SEND) {
            scopes.push(GMAIL_SEND);
        }
    }
    if access.contains(Access::SETTINGS) {
        scopes.push(GMAIL_SETTINGS);
    }
    scopes
}

/// <https://learn.microsoft.com/graph/permissions-reference#mail-permissions>; without `offline_access` there is no
/// refresh token (<https://learn.microsoft.com/entra/identity-platform/scopes-oidc#offline_access>).
fn microsoft_scopes(access: Access) -> Vec<&'static str> {
    let mut scopes = vec!["openid", "email", "profile", "offline_access", "User.Read"];
    if access.contains(Access::READ_WRITE) || access.contains(Access::DRAFT) {
        scopes.push("Mail.ReadWrite");
    } else if access.contains(Access::READ) {
        scopes.push("Mail.Read");
    }
    if access.contains(Access::SEND) {
        scopes.push("Mail.Send");
    }
    if access.contains(Access::SETTINGS) {
        scopes.push("MailboxSettings.ReadWrite");
    }
    scopes
}

/// What opens mailboxes that others share with the user, beside what opens the user's own
/// (<https://learn.microsoft.com/graph/outlook-share-messages-folders>). Whose they are says `User.ReadBasic.All`, which
/// users may consent to (<https://learn.microsoft.com/graph/permissions-reference#userreadbasicall>).
pub(super) fn shared_scopes_for(access: Access) -> Vec<&'static str> {
    let mut scopes = vec!["User.ReadBasic.All"];
    if access.contains(Access::READ_WRITE) || access.contains(Access::DRAFT) {
        scopes.push("Mail.ReadWrite.Shared");
    } else if access.contains(Access::READ) {
        scopes.push("Mail.Read.Shared");
    }
    if access.contains(Access::SEND) {
        scopes.push("Mail.Send.Shared");
    }
    scopes
}

/// What these scopes allow in mailboxes that others share with the user. Of settings there is no such scope.
#[cfg(feature = "outlook")]
pub(crate) fn shared_access_of(scopes: &[String]) -> Access {
    let levels = scopes.iter().map(|scope| {
        let name = scope.rsplit('/').next().unwrap_or(scope);
        match name.to_ascii_lowercase().as_str() {
            "mail.readwrite.shared" => Access::DELETE | Access::DRAFT,
            "mail.read.shared" => Access::READ,
            "mail.send.shared" => Access::SEND,
            _ => Access::NONE,
        }
    });
    levels.fold(Access::NONE, |access, level| access | level)
}

/// The address of Graph, as what scopes are of, in the cloud with this sign-in server
/// (<https://learn.microsoft.com/graph/deployments>).
pub(super) fn graph(sign_in: &Url) -> &'static str {
    match sign_in.host_str() {
        Some("login.microsoftonline.us") => "https://graph.microsoft.us/",
        Some("login.partner.microsoftonline.cn" | "login.chinacloudapi.cn") => {
            "https://microsoftgraph.chinacloudapi.cn/"
        }
        _ => "https://graph.microsoft.com/",
    }
}

/// What these scopes allow, however the service wrote them: order, case and prefix vary between its answers.
pub(super) fn access_of(service: &Service, scopes: &[String]) -> Access {
    let levels = scopes.iter().map(|scope| match service {
        Service::Microsoft => microsoft_access(scope),
        _ => google_access(scope),
    });
    levels.fold(Access::NONE, |access, level| access | level)
}

fn google_access(scope: &str) -> Access {
    match scope {
        GMAIL_FULL => Access::DELETE | Access::SEND | Access::DRAFT,
        GMAIL_MODIFY => Access::READ_WRITE | Access::SEND | Access::DRAFT,
        GMAIL_READ => Access::READ,
        GMAIL_COMPOSE => Access::DRAFT | Access::SEND,
        GMAIL_SEND => Access::SEND,
        GMAIL_SETTINGS => Access::SETTINGS,
        _ => Access::NONE,
    }
}

fn microsoft_access(scope: &str) -> Access {
    // The prefix is the resource's address, which in other clouds has another host.
    let name = scope.rsplit('/').next().unwrap_or(scope);
    match name.to_ascii_lowercase().as_str() {
        "mail.readwrite" => Access::DELETE | Access::DRAFT,
        "mail.read" => Access::READ,
        "mail.send" => Access::SEND,
        "mailboxsettings.readwrite" => Access::SETTINGS,
        _ => Access::NONE,
    }
}

/// The levels that were asked for and are not granted, each whole: without the right to write, it is "read and write"
/// that is missing.
pub(super) fn missing(asked: Access, granted: Access) -> Access {
    [
        Access::READ,
        Access::READ_WRITE,
        Access::SEND,
        Access::DRAFT,
        Access::DELETE,
        Access::SETTINGS,
    ]
    .into_iter()
    .filter(|level| asked.contains(*level) && !granted.contains(*level))
    .fold(Access::NONE, |missing, level| missing | level)
}

/// Scopes of a grant that no level stands for: what a host asked for beside them, and must ask for again to keep.
pub(super) fn beyond_levels(service: &Service, scopes: &[String]) -> Vec<String> {
    let known = scopes_for(service, Access::NONE);
    let beyond = scopes.iter().filter(|scope| {
        let name = scope.rsplit('/').next().unwrap_or(scope);
        let name = name.strip_prefix("userinfo.").unwrap_or(name);
        access_of(service, std::slice::from_ref(scope)).is_empty()
            && !known.iter().any(|known| known.eq_ignore_ascii_case(name))
    });
    beyond.cloned().collect()
}
