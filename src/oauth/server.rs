//! Where a service's authorization server is, and by which names it signs what it says.

use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// The addresses of an authorization server, replaced as a whole for sovereign clouds, proxies and emulators.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoints {
    /// Where browsers are sent.
    pub authorize: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token: Url,
    /// Where tokens are revoked (RFC 7009); Microsoft has no such place.
    pub revoke: Option<Url>,
    /// Where devices without a browser begin a sign-in (RFC 8628); Google has such a place, though not for mail.
    pub device: Option<Url>,
    /// Where the keys are that the server signs id_tokens with (RFC 7517).
    pub keys: Option<Url>,
    /// How the server names itself in what it signs. `{tenantid}` stands for the tenant that the signed text names, as in
    /// Microsoft's own metadata.
    pub issuers: Vec<String>,
}

impl Endpoints {
    /// Google's (<https://developers.google.com/identity/protocols/oauth2/web-server>).
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn google() -> Result<Self> {
        Ok(Self {
            authorize: parse("https://accounts.google.com/o/oauth2/v2/auth")?,
            token: parse("https://oauth2.googleapis.com/token")?,
            revoke: Some(parse("https://oauth2.googleapis.com/revoke")?),
            device: None,
            keys: Some(parse("https://www.googleapis.com/oauth2/v3/certs")?),
            issuers: google_issuers(),
        })
    }

    /// A server that has Google's paths below `base`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if nothing can be below `base`.
    pub fn google_at(base: &Url) -> Result<Self> {
        let mut issuers = google_issuers();
        issuers.push(text(base));
        Ok(Self {
            authorize: below(base, "o/oauth2/v2/auth")?,
            token: below(base, "token")?,
            revoke: Some(below(base, "revoke")?),
            device: None,
            keys: Some(below(base, "oauth2/v3/certs")?),
            issuers,
        })
    }

    /// Microsoft's, for a tenant: `common`, `organizations`, `consumers`, or a directory's id or domain
    /// (<https://learn.microsoft.com/entra/identity-platform/v2-protocols#endpoints>).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the tenant is no such name.
    pub fn microsoft(tenant: &str) -> Result<Self> {
        Self::microsoft_at(&parse(MICROSOFT)?, tenant)
    }

    /// A server that has Microsoft's paths below `base`, such as a national cloud
    /// (<https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if nothing can be below `base`, or the tenant is no name of one.
    pub fn microsoft_at(base: &Url, tenant: &str) -> Result<Self> {
        require_tenant(tenant)?;
        let mut issuers = vec![format!("{MICROSOFT}/{{tenantid}}/v2.0")];
        let own = format!("{}/{{tenantid}}/v2.0", text(base));
        if !issuers.contains(&own) {
            issuers.push(own);
        }
        Ok(Self {
            authorize: below(base, &format!("{tenant}/oauth2/v2.0/authorize"))?,
            token: below(base, &format!("{tenant}/oauth2/v2.0/token"))?,
            revoke: None,
            device: Some(below(base, &format!("{tenant}/oauth2/v2.0/devicecode"))?),
            keys: Some(below(base, &format!("{tenant}/discovery/v2.0/keys"))?),
            issuers,
        })
    }

    /// The token endpoint for another tenant than the one these endpoints are for: tokens must be renewed at the tenant
    /// that issued them.
    pub(super) fn token_for(&self, tenant: &str) -> Result<Url> {
        require_tenant(tenant)?;
        let mut url = self.token.clone();
        let segments: Option<Vec<&str>> = self.token.path_segments().map(Iterator::collect);
        if let Some([before @ .., _, "oauth2", "v2.0", "token"]) = segments.as_deref() {
            let path = [before, &[tenant, "oauth2", "v2.0", "token"]].concat();
            url.set_path(&path.join("/"));
        }
        Ok(url)
    }

    /// Microsoft: where an administrator consents for a whole organisation
    /// (<https://learn.microsoft.com/entra/identity-platform/v2-admin-consent>). `common` is no organisation, and personal
    /// accounts have no administrator.
    pub(super) fn admin_consent(&self) -> Option<Url> {
        let segments: Vec<&str> = self.authorize.path_segments()?.collect();
        let [before @ .., tenant, "oauth2", "v2.0", "authorize"] = segments.as_slice() else {
            return None;
        };
        let tenant = match *tenant {
            "consumers" => return None,
            "common" => "organizations",
            tenant => tenant,
        };
        let path = [before, &[tenant, "v2.0", "adminconsent"]].concat();
        let mut url = self.authorize.clone();
        url.set_path(&path.join("/"));
        Some(url)
    }

    /// Whether the server calls itself this. `tenant` is the one that was named beside it; without, any is right.
    pub(super) fn is_issuer(&self, issuer: &str, tenant: Option<&str>) -> bool {
        self.issuers
            .iter()
            .any(|known| is_named(known, issuer, tenant))
    }
}

/// Whether a server that is known by this name, in which `{tenantid}` stands for a tenant, calls itself `issuer`.
pub(super) fn is_named(known: &str, issuer: &str, tenant: Option<&str>) -> bool {
    let Some((before, after)) = known.split_once("{tenantid}") else {
        return known == issuer;
    };
    let named = issuer
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    named.is_some_and(|named| match tenant {
        Some(tenant) => named == tenant,
        None => !named.is_empty() && !named.contains('/'),
    })
}

const MICROSOFT: &str = "https://login.microsoftonline.com";

/// Google signs with either name (<https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken>).
fn google_issuers() -> Vec<String> {
    ["https://accounts.google.com", "accounts.google.com"]
        .map(str::to_owned)
        .into()
}

fn parse(address: &str) -> Result<Url> {
    Url::parse(address).map_err(|error| {
        Error::new(ErrorKind::Configuration, "an endpoint is no address").with_source(error)
    })
}

fn text(base: &Url) -> String {
    base.as_str().trim_end_matches('/').to_owned()
}

fn below(base: &Url, path: &str) -> Result<Url> {
    parse(&format!("{}/{path}", text(base)))
}

/// A tenant becomes a part of a path, so it is nothing but a name.
pub(super) fn require_tenant(tenant: &str) -> Result<()> {
    let is_name = tenant
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_name && !tenant.is_empty() && !tenant.starts_with('.') {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Configuration,
        "a tenant is `common`, `organizations`, `consumers`, or a directory's id or domain",
    )
    .with_code("tenant_malformed"))
}
