//! What can be seen of a configuration by looking at its values, before anybody was asked. What each mistake means is in
//! `catalogue`.
//!
//! Sources: <https://developers.google.com/identity/protocols/oauth2/web-server#uri-validation>,
//! <https://developers.google.com/identity/protocols/oauth2/native-app#redirect-uri_loopback>,
//! <https://learn.microsoft.com/entra/identity-platform/reply-url>.

use url::{Host, Url};

use super::Mistake;
use crate::credentials::Service;
use crate::http::is_loopback;
use crate::model::Access;
use crate::oauth::flow::Flow;
use crate::oauth::proof::ClientProof;
#[cfg(feature = "app-only")]
use crate::oauth::proof::Proofs;
use crate::secret::Secret;

/// Mistakes, each with whether it is certain that it is one.
type Found = Vec<(Mistake, bool)>;

/// The same, each with which secret it is about, if that is not the only one.
type FoundOf = Vec<(Mistake, bool, Option<ClientProof>)>;

const CERTAIN: bool = true;
const LIKELY: bool = false;

/// The longest redirect address that Microsoft takes.
const MICROSOFT_LONGEST_REDIRECT: usize = 256;

pub(super) fn look_at(flow: &Flow) -> FoundOf {
    let mut found = Found::new();
    look_at_client_id(&flow.service, &flow.client_id, &mut found);
    let proofs = &flow.proofs;
    let given =
        |secret: &Option<Secret>| secret.clone().filter(|one| !one.expose().trim().is_empty());
    let look_at_secret = |secret: &str, found: &mut Found| {
        look_at_secret(&flow.service, &flow.client_id, secret, found)
    };
    match given(&proofs.secret) {
        Some(secret) => look_at_secret(secret.expose(), &mut found),
        None if proofs.has_certificate() => {}
        None => look_at_no_secret(flow, &mut found),
    }
    let mut next = Found::new();
    if let Some(secret) = given(&proofs.next_secret) {
        look_at_secret(secret.expose(), &mut next);
    }
    match &flow.redirect_uri {
        None => found.push((Mistake::RedirectMissing, LIKELY)),
        Some(redirect) => look_at_redirect(flow, redirect, &mut found),
    }
    if let Some(tenant) = &flow.tenant
        && is_same_id(tenant, &flow.client_id)
    {
        found.push((Mistake::TenantIsClientId, CERTAIN));
    }
    look_at_endpoints(flow, &mut found);
    if flow.access == Access::NONE {
        found.push((Mistake::AccessEmpty, LIKELY));
    }
    if let Some(prompt) = &flow.prompt {
        look_at_prompt(&flow.service, prompt, &mut found);
    }
    let of = |proof: Option<ClientProof>| move |(mistake, certain)| (mistake, certain, proof);
    let next = next.into_iter().map(of(Some(ClientProof::NextSecret)));
    found.into_iter().map(of(None)).chain(next).collect()
}

/// What the values of a Microsoft application show that acts in its own name.
#[cfg(feature = "app-only")]
pub(super) fn look_at_application(client_id: &str, tenant: &str, proofs: &Proofs) -> FoundOf {
    let service = &Service::Microsoft;
    let mut found = Found::new();
    look_at_client_id(service, client_id, &mut found);
    if is_same_id(tenant, client_id) {
        found.push((Mistake::TenantIsClientId, CERTAIN));
    }
    let mut all: FoundOf = found
        .into_iter()
        .map(|(mistake, certain)| (mistake, certain, None))
        .collect();
    for (secret, proof) in [
        (&proofs.secret, None),
        (&proofs.next_secret, Some(ClientProof::NextSecret)),
    ] {
        let mut found = Found::new();
        if let Some(secret) = secret {
            look_at_secret(service, client_id, secret.expose(), &mut found);
        }
        all.extend(
            found
                .into_iter()
                .map(|(mistake, certain)| (mistake, certain, proof)),
        );
    }
    all
}

fn look_at_client_id(service: &Service, given: &str, found: &mut Found) {
    let id = given.trim_matches(is_stray);
    if id.len() != given.len() || id.contains(is_stray) {
        found.push((Mistake::ClientIdHasSpaces, CERTAIN));
    }
    let (google, microsoft) = (is_google_client(id), is_guid(id));
    match service {
        Service::Google if microsoft => found.push((Mistake::ClientIdOfOtherService, CERTAIN)),
        Service::Microsoft if google => found.push((Mistake::ClientIdOfOtherService, CERTAIN)),
        Service::Google if is_service_account(id) => {
            found.push((Mistake::ClientIdOfServiceAccount, CERTAIN));
        }
        Service::Google if !google => found.push((Mistake::ClientIdMalformed, CERTAIN)),
        Service::Microsoft if !microsoft => found.push((Mistake::ClientIdMalformed, CERTAIN)),
        _ => {}
    }
}

/// Microsoft's public clients have none, and only they come back to this machine.
fn look_at_no_secret(flow: &Flow, found: &mut Found) {
    let microsoft = flow.service == Service::Microsoft;
    if !microsoft || flow.redirect_uri.as_deref().is_some_and(is_web) {
        found.push((Mistake::SecretMissing, LIKELY));
    }
}

fn look_at_secret(service: &Service, client_id: &str, given: &str, found: &mut Found) {
    let microsoft = *service == Service::Microsoft;
    let secret = given.trim_matches(is_stray);
    // Nobody looks for stray spaces in what is no secret at all.
    if is_same_id(secret, client_id) || is_something_else(secret) {
        found.push((Mistake::SecretIsSomethingElse, CERTAIN));
        return;
    }
    if secret.len() != given.len() || secret.contains(char::is_whitespace) {
        found.push((Mistake::SecretHasSpaces, CERTAIN));
    }
    let (of_google, of_microsoft) = (secret.starts_with("GOCSPX-"), secret.contains('~'));
    let mistake = match (microsoft, is_guid(secret)) {
        (true, true) => Some((Mistake::SecretIsItsId, CERTAIN)),
        // Google has none of this shape; whose it is cannot be told.
        (false, true) => Some((Mistake::SecretIsSomethingElse, LIKELY)),
        (true, false) if of_google => Some((Mistake::SecretOfOtherService, CERTAIN)),
        (false, false) if of_microsoft => Some((Mistake::SecretOfOtherService, CERTAIN)),
        _ => None,
    };
    found.extend(mistake);
}

fn look_at_redirect(flow: &Flow, given: &str, found: &mut Found) {
    let microsoft = flow.service == Service::Microsoft;
    if given.contains(is_stray) {
        found.push((Mistake::RedirectHasSpaces, CERTAIN));
    }
    if given.contains('*') {
        found.push((Mistake::RedirectHasWildcard, CERTAIN));
    }
    let given = given.trim_matches(is_stray);
    if given.starts_with("urn:ietf:wg:oauth:2.0:oob") {
        if !microsoft {
            found.push((Mistake::RedirectOutOfBand, CERTAIN));
        }
        return;
    }
    let Ok(url) = Url::parse(given) else {
        found.push((Mistake::RedirectMalformed, CERTAIN));
        return;
    };
    if !url.username().is_empty() || url.password().is_some() {
        found.push((Mistake::RedirectHasUserInfo, CERTAIN));
    }
    // A scheme of an application's own is neither: those are registered for mobile applications.
    if !matches!(url.scheme(), "http" | "https") {
        return;
    }
    let loopback = is_loopback(&url);
    if url.scheme() == "http" && !loopback {
        found.push((Mistake::RedirectNotHttps, CERTAIN));
    }
    if has_upper_case_host(given) {
        found.push((Mistake::RedirectUpperCase, CERTAIN));
    }
    if url.path() != "/" && url.path().ends_with('/') {
        found.push((Mistake::RedirectTrailingSlash, LIKELY));
    }
    if microsoft {
        look_at_microsoft_redirect(flow, given, &url, found);
    } else if !loopback {
        match url.host() {
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => {
                found.push((Mistake::RedirectIsIpAddress, CERTAIN));
            }
            Some(Host::Domain(name)) if !is_public(name) => {
                found.push((Mistake::RedirectNotPublic, CERTAIN));
            }
            _ => {}
        }
    }
}

fn look_at_microsoft_redirect(flow: &Flow, given: &str, url: &Url, found: &mut Found) {
    match url.host() {
        Some(Host::Ipv6(address)) if address.is_loopback() => {
            found.push((Mistake::RedirectIpv6Loopback, CERTAIN));
        }
        Some(Host::Ipv4(address)) if address.is_loopback() && url.scheme() == "http" => {
            found.push((Mistake::RedirectLoopbackByNumber, LIKELY));
        }
        _ => {}
    }
    if given.contains(['!', '$', '\'', '(', ')', ',', ';']) {
        found.push((Mistake::RedirectSpecialCharacters, CERTAIN));
    }
    if given.len() > MICROSOFT_LONGEST_REDIRECT {
        found.push((Mistake::RedirectTooLong, CERTAIN));
    }
    let personal = matches!(flow.tenant.as_deref(), Some("common" | "consumers"));
    if url.query().is_some() && personal {
        found.push((Mistake::RedirectHasQuery, CERTAIN));
    }
}

fn look_at_endpoints(flow: &Flow, found: &mut Found) {
    let host = flow.endpoints.token.host_str().unwrap_or_default();
    let of_other = match flow.service {
        Service::Google => host.contains("microsoftonline"),
        Service::Microsoft => host.ends_with(".googleapis.com") || host.ends_with(".google.com"),
        _ => false,
    };
    if of_other {
        found.push((Mistake::EndpointOfOtherService, CERTAIN));
    }
}

fn look_at_prompt(service: &Service, prompt: &str, found: &mut Found) {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let known: &[&str] = match service {
        Service::Google => &["none", "consent", "select_account"],
        _ => &["login", "none", "consent", "select_account"],
    };
    if words.iter().any(|word| !known.contains(word)) {
        found.push((Mistake::PromptUnknown, CERTAIN));
    } else if words.contains(&"none") {
        found.push((Mistake::PromptNone, LIKELY));
    } else if *service == Service::Google && !words.contains(&"consent") {
        found.push((Mistake::PromptWithoutConsent, LIKELY));
    }
}

/// What a copy from a page or a shell brings along.
fn is_stray(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '"' | '\u{201c}' | '\u{201d}' | '\u{feff}')
}

fn is_google_client(id: &str) -> bool {
    let name = id.strip_suffix(".apps.googleusercontent.com");
    name.is_some_and(|name| !name.is_empty() && !name.contains(is_stray))
}

/// The numeric id or the address of a service account, which no user can sign in with.
fn is_service_account(id: &str) -> bool {
    let number = id.len() >= 20 && id.bytes().all(|byte| byte.is_ascii_digit());
    number || id.ends_with(".gserviceaccount.com")
}

pub(super) fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_same_id(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

/// An API key, an access token, a refresh token, a signed token, or a file.
fn is_something_else(secret: &str) -> bool {
    ["AIza", "ya29.", "1//", "eyJ", "{", "-----BEGIN"]
        .iter()
        .any(|start| secret.starts_with(start))
}

fn is_web(redirect: &str) -> bool {
    Url::parse(redirect.trim()).is_ok_and(|url| url.scheme() == "https" && !is_loopback(&url))
}

/// The scheme and the host as they were written: parsing has made them lower case already.
fn has_upper_case_host(given: &str) -> bool {
    let (scheme, rest) = given.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    scheme
        .chars()
        .chain(host.chars())
        .any(|character| character.is_ascii_uppercase())
}

/// Names that can never be under a public top-level domain (RFC 6761, RFC 6762, RFC 8375, RFC 9476, and `.internal`, which
/// ICANN reserved). `.example` is left to those who write documentation.
fn is_public(host: &str) -> bool {
    let last = host
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or_default();
    let private = [
        "local",
        "localhost",
        "internal",
        "lan",
        "home",
        "corp",
        "intranet",
        "test",
        "invalid",
        "arpa",
        "alt",
    ];
    host.contains('.') && !private.contains(&last)
}
