//! The default transport: reqwest over rustls, with the operating system's trust store.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use super::origin::is_loopback;
use super::transport::{Transport, TransportError};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ByteStream, Content};
use crate::secret::Secret;

/// The substring `gzip` is what Google's servers look for before they compress
/// (<https://developers.google.com/workspace/gmail/api/guides/performance>).
const USER_AGENT: &str = concat!("postroom/", env!("CARGO_PKG_VERSION"), " (gzip)");

/// Bytes a second that an upload is given time for at least.
const SLOWEST_UPLOAD: u64 = 16 * 1024;

/// reqwest as a [`Transport`]. Clones share their connections; one is enough for a whole process.
#[derive(Clone)]
pub struct ReqwestTransport {
    client: reqwest::Client,
    /// Loopback addresses are reached without the system's proxy, which could not reach them.
    direct: reqwest::Client,
    read_timeout: Duration,
}

impl ReqwestTransport {
    /// A transport with default settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when the system's trust store or proxy settings cannot be read.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A transport with other settings.
    #[must_use]
    pub fn builder() -> ReqwestTransportBuilder {
        ReqwestTransportBuilder::default()
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReqwestTransport")
    }
}

/// Settings of a [`ReqwestTransport`].
#[derive(Clone, Debug)]
pub struct ReqwestTransportBuilder {
    root_certificates: Vec<Vec<u8>>,
    /// It may carry a password.
    proxy: Option<Secret>,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl Default for ReqwestTransportBuilder {
    fn default() -> Self {
        Self {
            root_certificates: Vec::new(),
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
        }
    }
}

impl ReqwestTransportBuilder {
    /// Trusts the authorities in this PEM text as well as the system's: for proxies of companies that look inside TLS.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Sends every request through this proxy in place of the system's, but for those to this machine itself. Its address
    /// may hold user name and password.
    #[must_use]
    pub fn proxy(mut self, address: impl Into<Secret>) -> Self {
        self.proxy = Some(address.into());
        self
    }

    /// How long a connection may take to be made; 10 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a connection may stay silent while an answer is awaited, or while one is read; 60 s by default. Sending a
    /// body adds a second for every 16 KiB of it, so that slow lines can send large messages.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Builds it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when a certificate, the system's trust store or its proxy settings cannot be read.
    pub fn build(self) -> Result<ReqwestTransport> {
        let tls = self.tls()?;
        let client = || {
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(self.connect_timeout)
                .tls_backend_preconfigured(tls.clone())
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| {
                configuration("the HTTP client could not be set up").with_source(error)
            })
        };
        let mut proxied = client();
        if let Some(address) = &self.proxy {
            // The cause may quote the address.
            let proxy = reqwest::Proxy::all(address.expose())
                .map_err(|_| configuration("the proxy's address is none"))?;
            proxied = proxied.proxy(proxy);
        }
        Ok(ReqwestTransport {
            client: build(proxied)?,
            direct: build(client().no_proxy())?,
            read_timeout: self.read_timeout,
        })
    }

    fn tls(&self) -> Result<ClientConfig> {
        let mut roots = Vec::new();
        for pem in &self.root_certificates {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.push(certificate.map_err(|error| {
                    configuration("a root certificate is not PEM").with_source(error)
                })?);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |error: rustls::Error| {
            configuration("the system's trusted certificates could not be loaded")
                .with_source(error)
        };
        let verifier =
            Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(unusable)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn configuration(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<http::Response<ByteStream>, TransportError> {
        let (head, content) = request.into_parts();
        let url = reqwest::Url::parse(&head.uri.to_string()).map_err(|_| {
            TransportError::not_sent("the address is not one that can be requested")
        })?;
        let client = if is_loopback(&url) {
            &self.direct
        } else {
            &self.client
        };
        let takes_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        let mut outgoing = reqwest::Request::new(head.method, url);
        *outgoing.headers_mut() = head.headers;
        if takes_body || !content.is_empty() {
            // Without the header a stream goes out chunked and an empty body goes out unannounced.
            outgoing
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
        }
        if !content.is_empty() {
            let stream = content.read_from(0).await.map_err(|error| {
                TransportError::not_sent("the content to send could not be read").with_source(error)
            })?;
            *outgoing.body_mut() = Some(reqwest::Body::wrap_stream(stream));
        }
        let sending = Duration::from_secs(content.len() / SLOWEST_UPLOAD);
        // Whoever waits for ever says so with the longest time there is.
        let longest = self.read_timeout.saturating_add(sending);
        let response = tokio::time::timeout(longest, client.execute(outgoing))
            .await
            .map_err(|_| TransportError::unknown("no answer came in time"))?
            .map_err(failed)?;
        let mut answer = http::Response::new(());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        let body = response
            .bytes_stream()
            .map_err(|error| io::Error::other(error.without_url()));
        Ok(answer.map(|()| never_silent(body.boxed(), self.read_timeout)))
    }
}

/// Fails when nothing comes for too long.
fn never_silent(body: ByteStream, longest: Duration) -> ByteStream {
    stream::try_unfold(body, move |mut body| async move {
        let next = tokio::time::timeout(longest, body.try_next()).await;
        let chunk = next.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(chunk.map(|chunk| (chunk, body)))
    })
    .boxed()
}

/// Addresses are removed from reqwest's errors: their queries hold searches.
fn failed(error: reqwest::Error) -> TransportError {
    let failure = if error.is_connect() {
        TransportError::not_sent("no connection could be made")
    } else if error.is_builder() {
        TransportError::not_sent("the request could not be built")
    } else if error.is_timeout() {
        TransportError::unknown("no answer came in time")
    } else {
        TransportError::unknown("the connection broke before an answer came")
    };
    failure.with_source(error.without_url())
}
