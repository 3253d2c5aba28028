//! The way in to both servers: sockets, TLS and HTTP/2, and what happens to every request before and
//! after a face answers it: the log, scripted faults, latency, the count of requests under way. What
//! the answer is, the faces decide.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::fault::{self, FaultKind};
use super::quota::UnderWay;
use super::record::Exchange;
use super::{Emulator, State, Vendor};

/// More than any request may be long: the largest message that Gmail takes, with something around it.
const MAXIMUM_BODY: usize = 256 * 1024 * 1024;

/// A port that is open but not yet served, so that its number is known.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: std::net::TcpListener,
}

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener(AbortHandle);

/// An authority of the emulator's own and a certificate for this machine from it.
pub(crate) struct Identity {
    acceptor: TlsAcceptor,
    authority_pem: String,
}

/// The connection has to be closed without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection is dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

impl Socket {
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// The name in certificates is `localhost`, as names are what clients check.
    pub(crate) fn base_url(&self, tls: bool) -> io::Result<Url> {
        let SocketAddr::V4(address) = self.listener.local_addr()? else {
            return Err(io::Error::other("the listener has no IPv4 address"));
        };
        let port = address.port();
        let text = if tls {
            format!("https://localhost:{port}/")
        } else {
            format!("http://127.0.0.1:{port}/")
        };
        Url::parse(&text).map_err(io::Error::other)
    }

    /// Begins to accept connections.
    pub(crate) fn serve(
        self,
        vendor: Vendor,
        state: &Arc<State>,
        router: axum::Router,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Listener> {
        let listener = TcpListener::from_std(self.listener)?;
        let state = Arc::clone(state);
        let accept = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let (state, router, tls) = (Arc::clone(&state), router.clone(), tls.clone());
                connections.spawn(connection(stream, vendor, state, router, tls));
            }
        });
        Ok(Listener(accept.abort_handle()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Identity {
    pub(crate) fn generate() -> io::Result<Self> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "postroom emulator authority");
        let authority_key = KeyPair::generate().map_err(io::Error::other)?;
        let authority =
            CertifiedIssuer::self_signed(authority, authority_key).map_err(io::Error::other)?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = CertificateParams::new(names)
            .and_then(|parameters| parameters.signed_by(&key, &authority))
            .map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], private_key)
            })
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority_pem: authority.pem(),
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    pub(crate) fn authority_pem(self) -> String {
        self.authority_pem
    }
}

async fn connection(
    stream: TcpStream,
    vendor: Vendor,
    state: Arc<State>,
    router: axum::Router,
    tls: Option<TlsAcceptor>,
) {
    // Answers are small and a client waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    match tls {
        None => talk(stream, vendor, state, router).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => talk(stream, vendor, state, router).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        },
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    vendor: Vendor,
    state: Arc<State>,
    router: axum::Router,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (state, router) = (Arc::clone(&state), router.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(Body::new(body), MAXIMUM_BODY)
                .await
                .map_err(|_| Dropped)?;
            let exchange = Exchange { parts, body };
            answer(exchange, vendor, &state, router).await
        }
    });
    let served = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(error, "a connection ended early");
    }
}

impl Emulator {
    /// What the vendor's server answers to a request, without a connection to it: the same in every other way, logs, faults
    /// and quotas included. It is for tests that ask a great deal.
    ///
    /// The body fails where a connection would break within it.
    ///
    /// # Errors
    /// [`ConnectionAborted`](ErrorKind::ConnectionAborted) where the connection would be closed without an answer.
    pub async fn answer(
        &self,
        vendor: Vendor,
        request: Request<Bytes>,
    ) -> io::Result<Response<impl Stream<Item = io::Result<Bytes>> + Send + Unpin + use<>>> {
        let (parts, body) = request.into_parts();
        let router = match vendor {
            Vendor::Google => &self.routers[0],
            Vendor::Microsoft => &self.routers[1],
        };
        let exchange = Exchange { parts, body };
        let answered = answer(exchange, vendor, &self.state, router.clone()).await;
        let aborted = |error| io::Error::new(ErrorKind::ConnectionAborted, error);
        let response = answered.map_err(aborted)?;
        Ok(response.map(|body| body.into_data_stream().map_err(io::Error::other)))
    }
}

/// One request and its answer.
async fn answer(
    exchange: Exchange,
    vendor: Vendor,
    state: &Arc<State>,
    router: axum::Router,
) -> Result<Response<Body>, Dropped> {
    for late in state.faults.due(state.clock.now(), vendor) {
        // Nobody is there any more to be answered.
        carried_out(&late, router.clone(), 1).await;
    }
    let fault = state
        .faults
        .strike(vendor, &exchange.parts.method, exchange.parts.uri.path());
    if matches!(fault, Some(FaultKind::DropBefore)) {
        state.record.note(&exchange, None);
        return Err(Dropped);
    }
    let slot = mailbox(&exchange, state).map(|mailbox| state.quotas.enter(&mailbox));
    let mut wait = state.settings.latency;
    if let Some(FaultKind::Delay(delay)) = fault {
        wait += delay;
    }
    if !wait.is_zero() {
        state.clock.sleep(wait).await;
    }
    let response = match &fault {
        Some(FaultKind::Status {
            code,
            body,
            headers,
        }) => scripted(vendor, state, *code, body.as_deref(), headers),
        _ if lacks_length(&exchange) => length_required(vendor),
        Some(FaultKind::EffectLater { code, delay }) => {
            let due = state.clock.now() + *delay;
            state.faults.put_off(due, vendor, exchange.clone());
            scripted(vendor, state, *code, None, &[])
        }
        _ => {
            let under_way = slot.as_ref().map_or(1, |slot| slot.position);
            carried_out(&exchange, router, under_way).await
        }
    };
    let response = match fault {
        Some(FaultKind::FailAfter(code)) => scripted(vendor, state, code, None, &[]),
        _ => response,
    };
    drop(slot);
    state.push.stir();
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Dropped)?;
    let date = state.clock.now().format("%a, %d %b %Y %H:%M:%S GMT");
    if let Ok(date) = HeaderValue::from_str(&date.to_string()) {
        parts.headers.insert(header::DATE, date);
    }
    if matches!(fault, Some(FaultKind::DropAfter)) {
        state.record.note(&exchange, None);
        return Err(Dropped);
    }
    state
        .record
        .note(&exchange, Some((parts.status.as_u16(), &body)));
    Ok(distorted(fault, parts, body))
}

/// What the service makes of a request, with so many of them under way in its mailbox.
async fn carried_out(
    exchange: &Exchange,
    router: axum::Router,
    under_way: usize,
) -> Response<Body> {
    let mut request =
        Request::from_parts(exchange.parts.clone(), Body::from(exchange.body.clone()));
    request.extensions_mut().insert(UnderWay(under_way));
    let answered = TowerToHyperService::new(router).call(request).await;
    answered.unwrap_or_else(|never: Infallible| match never {})
}

/// Whose mailbox the request is about, judging by its token.
fn mailbox(exchange: &Exchange, state: &State) -> Option<String> {
    let token = bearer(&exchange.parts.headers)?;
    let world = state.world();
    let grant = world.tokens.bearer(token, state.clock.monotonic())?;
    Some(grant.account.clone())
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// An answer that a test asked for.
pub(crate) fn scripted(
    vendor: Vendor,
    state: &State,
    code: u16,
    body: Option<&str>,
    headers: &[(String, String)],
) -> Response<Body> {
    let body = body.map_or_else(
        || fault::vendor_body(vendor, code, state.clock.now()),
        str::to_owned,
    );
    let mut builder = Response::builder().status(code);
    if body.starts_with(['{', '[']) {
        builder = builder.header(header::CONTENT_TYPE, "application/json; charset=UTF-8");
    } else if !body.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, "text/html; charset=UTF-8");
    }
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(body)).unwrap_or_else(|error| {
        // A header that cannot be sent is a mistake in the test, which has to see it.
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        response
    })
}

/// Both vendors' front ends refuse a POST or PUT over HTTP/1 that says nothing about its length, even
/// an empty one: <https://github.com/sreeise/graph-rs-sdk/issues/524>.
fn lacks_length(exchange: &Exchange) -> bool {
    let headers = &exchange.parts.headers;
    matches!(exchange.parts.method.as_str(), "POST" | "PUT" | "PATCH")
        && exchange.parts.version <= Version::HTTP_11
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
}

fn length_required(vendor: Vendor) -> Response<Body> {
    let page = match vendor {
        Vendor::Google => {
            "<!DOCTYPE html>\n<html lang=en>\n<title>Error 411 (Length Required)!!1</title>\n\
             <p><b>411.</b> <ins>That\u{2019}s an error.</ins>\n<p>POST requests require a \
             <code>Content-length</code> header.  <ins>That\u{2019}s all we know.</ins>\n"
        }
        Vendor::Microsoft => {
            "<!DOCTYPE HTML><html><head><title>Length Required</title></head><body>\
             <h2>Length Required</h2><hr><p>HTTP Error 411. The request must be chunked or have a \
             content length.</p></body></html>\r\n"
        }
    };
    html(StatusCode::LENGTH_REQUIRED, page)
}

/// A page of HTML, as front ends send it.
pub(crate) fn html(status: StatusCode, page: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(page.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=UTF-8"),
    );
    response
}

/// The answer, or what a fault makes of it.
fn distorted(
    fault: Option<FaultKind>,
    mut parts: http::response::Parts,
    body: Bytes,
) -> Response<Body> {
    let body = match fault {
        Some(FaultKind::Truncate) => {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
            // What was written so far is sent before the connection breaks, not thrown away with it.
            let end = stream::once(async {
                tokio::task::yield_now().await;
                Err::<Bytes, Dropped>(Dropped)
            });
            return Response::from_parts(parts, Body::from_stream(half.chain(end)));
        }
        Some(FaultKind::Garbage(length)) => {
            parts.status = StatusCode::OK;
            Bytes::from(
                b"\x00\xff{[\"garbage "
                    .iter()
                    .copied()
                    .cycle()
                    .take(length)
                    .collect::<Vec<_>>(),
            )
        }
        Some(FaultKind::NotJson) => {
            return html(
                StatusCode::OK,
                "<!DOCTYPE html><html><head><title>Please wait</title></head><body>...</body></html>",
            );
        }
        Some(FaultKind::Nulls) => match serde_json::from_slice(&body) {
            Ok(serde_json::Value::Object(mut fields)) => {
                for value in fields.values_mut() {
                    *value = serde_json::Value::Null;
                }
                Bytes::from(serde_json::Value::Object(fields).to_string())
            }
            _ => body,
        },
        _ => body,
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}
