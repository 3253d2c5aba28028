//! Receives the browser at the end of a sign-in on the user's own machine (RFC 8252 §7.3), once, without an HTTP server:
//! it reads one request line and shows one page.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::callback::PendingAuthorization;
use crate::error::{Error, ErrorKind, Result};

/// Waits on 127.0.0.1 for a browser to come back from a sign-in.
///
/// ```no_run
/// # async fn example(flow: postroom::oauth::OAuthFlow) -> postroom::Result<()> {
/// use postroom::oauth::{Authorization, LoopbackReceiver, SignInOptions};
///
/// let receiver = LoopbackReceiver::bind().await?;
/// let options = SignInOptions::new().redirect_uri(receiver.redirect_uri());
/// let Authorization { url, pending, .. } = flow.authorize_with(options)?;
/// println!("Visit {url}");
/// let callback = receiver.receive_for(&pending).await?;
/// let grant = flow.complete(pending, &callback).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LoopbackReceiver {
    listener: TcpListener,
    address: SocketAddr,
}

/// How much of a request is read: a line with a code of a few kilobytes, and what a browser sends along.
const LONGEST_REQUEST: usize = 32 * 1024;

/// How many connections are held at once. Browsers open a few and leave some of them silent.
const MOST_CONNECTIONS: usize = 64;

impl LoopbackReceiver {
    /// Takes a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] when there is none.
    pub async fn bind() -> Result<Self> {
        Self::bind_port(0).await
    }

    /// Takes this port of 127.0.0.1, for applications that registered it.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] when it is taken.
    pub async fn bind_port(port: u16) -> Result<Self> {
        let unusable = |error: io::Error| {
            Error::new(ErrorKind::Network, "no port of 127.0.0.1 is to be had").with_source(error)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        Ok(Self { listener, address })
    }

    /// The redirect address for Google's desktop clients, such as `http://127.0.0.1:49152`
    /// (<https://developers.google.com/identity/protocols/oauth2/native-app#redirect-uri_loopback>).
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.address.port())
    }

    /// The redirect address for Microsoft's, such as `http://localhost:49152`: registered is `http://localhost`, for
    /// which any port is right
    /// (<https://learn.microsoft.com/entra/identity-platform/reply-url#localhost-exceptions>).
    #[must_use]
    pub fn localhost_redirect_uri(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// Waits for a callback, and gives the whole address that it came with. It shows the user a page that says to go
    /// back, and does not answer for other things that browsers ask for.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] when the port cannot be listened at any more.
    pub async fn receive(&self) -> Result<Url> {
        self.receive_if(|_| true).await
    }

    /// As [`receive`](Self::receive), for the callback of this sign-in: one that does not carry its `state` is turned away,
    /// so that another page in the user's browser cannot end the sign-in.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_for(&self, pending: &PendingAuthorization) -> Result<Url> {
        self.receive_if(|callback| pending.is_answered_by(callback))
            .await
    }

    async fn receive_if(&self, expected: impl Fn(&Url) -> bool + Send + Sync) -> Result<Url> {
        // All at once: a browser's silent spare connection must not keep the one with the callback waiting.
        let mut connections = FuturesUnordered::new();
        loop {
            let room = connections.len() < MOST_CONNECTIONS;
            let accepted = async {
                if room {
                    self.listener.accept().await
                } else {
                    std::future::pending().await
                }
            };
            let next = futures_util::future::select(Box::pin(accepted), connections.next());
            match next.await {
                futures_util::future::Either::Left((accepted, _)) => {
                    let (stream, _) = accepted.map_err(|error| {
                        Error::new(ErrorKind::Network, "the callback could not be awaited")
                            .with_source(error)
                    })?;
                    connections.push(self.serve(stream, &expected));
                }
                futures_util::future::Either::Right((Some(Some(callback)), _)) => {
                    return Ok(callback);
                }
                // A connection ended without one; or there is none, and then accepting is what is waited for.
                futures_util::future::Either::Right((Some(None), _)) => {}
                futures_util::future::Either::Right((None, accepted)) => {
                    let (stream, _) = accepted.await.map_err(|error| {
                        Error::new(ErrorKind::Network, "the callback could not be awaited")
                            .with_source(error)
                    })?;
                    connections.push(self.serve(stream, &expected));
                }
            }
        }
    }

    /// Answers one connection. What goes wrong with it concerns nobody else.
    async fn serve(
        &self,
        mut stream: TcpStream,
        expected: &(impl Fn(&Url) -> bool + Send + Sync),
    ) -> Option<Url> {
        let target = read_target(&mut stream).await?;
        let callback = Url::parse(&format!("{}{target}", self.redirect_uri())).ok();
        let callback = callback.filter(is_callback);
        let (status, title, text) = match &callback {
            Some(callback) if !expected(callback) => (
                "400 Bad Request",
                "Not this sign-in",
                "This page belongs to another sign-in. Go back to the application and use the address it shows.",
            ),
            Some(callback) if callback.query_pairs().any(|(name, _)| name == "error") => (
                "200 OK",
                "Not signed in",
                "The sign-in was not completed. Go back to the application: it says why.",
            ),
            Some(_) => (
                "200 OK",
                "Almost done",
                "The application has received your answer and completes the sign-in. You can close this page.",
            ),
            None => (
                "404 Not Found",
                "Nothing here",
                "This address only receives the end of a sign-in.",
            ),
        };
        // Whether the page arrives does not matter to the sign-in.
        let _ = answer(&mut stream, status, title, text).await;
        callback.filter(expected)
    }
}

/// A sign-in's end comes to the root, with a state and either a code or an error.
fn is_callback(url: &Url) -> bool {
    let has = |wanted: &str| url.query_pairs().any(|(name, _)| name == wanted);
    url.path() == "/" && (has("code") || has("error"))
}

/// The target of a `GET` request, once its head is complete.
async fn read_target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut chunk = [0_u8; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await.ok()?;
        if read == 0 || head.len() + read > LONGEST_REQUEST {
            return None;
        }
        head.extend_from_slice(chunk.get(..read)?);
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_request = method == "GET" && version.starts_with("HTTP/1.") && words.next().is_none();
    (is_request && target.starts_with('/')).then(|| target.to_owned())
}

async fn answer(stream: &mut TcpStream, status: &str, title: &str, text: &str) -> io::Result<()> {
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;\
         padding:0 1rem;color-scheme:light dark}}</style><h1>{title}</h1><p>{text}</p></html>"
    );
    // The address holds the code: it must not be kept, framed or told to another site.
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
         frame-ancestors 'none'\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}
