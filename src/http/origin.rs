//! Where tokens and uploads may go. A server hands back whole addresses (next pages, upload sessions); none is
//! followed before it was checked here.

use std::sync::Arc;

use url::{Host, Origin, Url};

use crate::error::{Error, ErrorKind, Result};

/// The origins (scheme, host and port) that a service is known by. Clones share them: a host may have as many mailboxes
/// open as it has users.
#[derive(Clone, Debug)]
pub(crate) struct Origins(Arc<Known>);

#[derive(Debug)]
struct Known {
    api: Vec<Origin>,
    upload: Vec<Origin>,
}

impl Origins {
    /// Tokens go to the origins of `api` only; uploads that need no token go to those of `upload` too.
    pub(crate) fn new(api: &[Url], upload: &[Url]) -> Result<Self> {
        for url in api.iter().chain(upload) {
            require_confidential(url)?;
        }
        let origins = |urls: &[Url]| urls.iter().map(Url::origin).collect();
        Ok(Self(Arc::new(Known {
            api: origins(api),
            upload: origins(upload),
        })))
    }

    /// Refuses an address that a token, or an upload, must not go to.
    pub(crate) fn check(&self, url: &Url, with_token: bool) -> Result<()> {
        let origin = url.origin();
        let known =
            self.0.api.contains(&origin) || (!with_token && self.0.upload.contains(&origin));
        if known {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "refused an address at {}, which is not a host of this service",
                url.host_str().unwrap_or("no host")
            ),
        )
        .with_code("foreign_host"))
    }
}

/// `https`, or a loopback address, which never leaves the machine.
pub(crate) fn require_confidential(url: &Url) -> Result<()> {
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Configuration,
        "an endpoint must be https, or http on a loopback address",
    ))
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}
