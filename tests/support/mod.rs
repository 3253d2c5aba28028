//! What several test files need: emulators that record, providers on them, and a transport that follows a script.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod direct;
pub(crate) mod elsewhere;
pub(crate) mod random;
#[path = "../receiver/mod.rs"]
pub(crate) mod receiver;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Response, StatusCode};
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, EmulatorBuilder};
use postroom::http::{Connection, Regime, ReqwestTransport, Transport, TransportError};
use postroom::testing::provider_suite::ProviderFixture;
use postroom::{Access, ByteStream, Content, Gmail, Mailbox, Outlook, WatchTarget};
use url::Url;

/// An emulator with empty mailboxes whose traffic is recorded where the environment says so, for what is sent right.
pub(crate) fn emulator() -> EmulatorBuilder {
    Emulator::builder()
        .empty()
        .record(std::env::var_os("POSTROOM_RECORD").map(PathBuf::from))
}

/// A transport that trusts the emulator.
pub(crate) fn transport(emulator: &Emulator) -> Arc<dyn Transport> {
    let mut builder = ReqwestTransport::builder();
    if let Some(authority) = emulator.authority_pem() {
        builder = builder.root_certificates(authority);
    }
    Arc::new(builder.build().unwrap())
}

pub(crate) const GMAIL: &str = "reader@gmail.example";
pub(crate) const OUTLOOK: &str = "reader@outlook.example";

/// The mailbox of an account of the emulator, by a ready-made token.
pub(crate) fn mailbox(emulator: &Emulator, address: &str) -> Mailbox {
    mailbox_over(emulator, transport(emulator), address)
}

pub(crate) fn mailbox_over(
    emulator: &Emulator,
    transport: Arc<dyn Transport>,
    address: &str,
) -> Mailbox {
    let token = StaticToken::new(emulator.access_token(address));
    mailbox_on(
        emulator,
        Connection::new(transport, Arc::new(token)),
        address,
    )
}

/// The same without the pace that the services' quotas ask for, on an emulator that has none: so that nobody waits.
pub(crate) fn unpaced(emulator: &Emulator, address: &str) -> Mailbox {
    let token = StaticToken::new(emulator.access_token(address));
    let connection = Connection::new(transport(emulator), Arc::new(token));
    mailbox_on(emulator, connection.with_regime(Regime::Off), address)
}

/// What the emulator's ready-made tokens allow.
pub(crate) fn everything() -> Access {
    Access::DELETE | Access::SEND | Access::DRAFT | Access::SETTINGS
}

pub(crate) fn mailbox_on(emulator: &Emulator, connection: Connection, address: &str) -> Mailbox {
    if address.ends_with("gmail.example") {
        let gmail = Gmail::new(connection).unwrap().with_access(everything());
        Mailbox::new(
            gmail
                .with_api_endpoint(emulator.google().base_url.clone())
                .unwrap(),
        )
    } else {
        let outlook = Outlook::new(connection).unwrap().with_access(everything());
        Mailbox::new(
            outlook
                .with_api_endpoint(emulator.microsoft().base_url.clone())
                .unwrap(),
        )
    }
}

/// Two mailboxes of one service, for the provider suite.
#[derive(Debug)]
pub(crate) struct Fixture {
    emulator: Emulator,
    transport: Arc<dyn Transport>,
    domain: &'static str,
    receivers: Mutex<Vec<receiver::Receiver>>,
}

impl Fixture {
    pub(crate) async fn gmail() -> Self {
        Self::start("gmail.example", false).await
    }

    pub(crate) async fn outlook() -> Self {
        Self::start("outlook.example", false).await
    }

    pub(crate) async fn gmail_over_tls() -> Self {
        Self::start("gmail.example", true).await
    }

    pub(crate) async fn outlook_over_tls() -> Self {
        Self::start("outlook.example", true).await
    }

    async fn start(domain: &'static str, tls: bool) -> Self {
        // Quotas have tests of their own; here nobody waits for them.
        let emulator = emulator().tls(tls).quota(false).start().await.unwrap();
        let transport = transport(&emulator);
        Self {
            emulator,
            transport,
            domain,
            receivers: Mutex::default(),
        }
    }

    pub(crate) fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    fn mailbox_of(&self, address: &str) -> Mailbox {
        let token = StaticToken::new(self.emulator.access_token(address));
        let connection = Connection::new(Arc::clone(&self.transport), Arc::new(token));
        mailbox_on(&self.emulator, connection.with_regime(Regime::Off), address)
    }
}

#[async_trait]
impl ProviderFixture for Fixture {
    fn mailbox(&self) -> Mailbox {
        self.mailbox_of(&self.address())
    }

    fn address(&self) -> String {
        format!("reader@{}", self.domain)
    }

    fn other(&self) -> Mailbox {
        self.mailbox_of(&self.other_address())
    }

    fn other_address(&self) -> String {
        format!("team@{}", self.domain)
    }

    async fn deliver(&self, raw: &[u8]) {
        self.emulator.deliver(&self.address(), raw);
    }

    async fn watch_target(&self) -> Option<WatchTarget> {
        if self.domain == "gmail.example" {
            return Some(WatchTarget::topic(self.emulator.create_topic("suite")));
        }
        let receiver = receiver::Receiver::start().await;
        let target = WatchTarget::webhook(receiver.at("told"));
        self.receivers.lock().unwrap().push(receiver);
        Some(target)
    }
}

/// One request as a scripted transport saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A transport that answers from a script and notes what it was asked. When the script ends, its last answer goes on.
#[derive(Debug, Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Scripted>>,
    pub(crate) seen: Mutex<Vec<Seen>>,
}

/// One answer of a script.
#[derive(Clone, Debug)]
pub(crate) enum Scripted {
    /// This status, these headers and this body.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// This body, cut off by a broken connection.
    Truncated(Bytes),
    /// The connection broke before any answer, after the request had left.
    Lost,
    /// No connection could be made.
    Unreachable,
}

impl Scripted {
    pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::Answer(
            status,
            vec![("content-type", "application/json".to_owned())],
            body.into(),
        )
    }
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Scripted>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let (head, content) = request.into_parts();
        let body = content.to_bytes(u64::MAX).await.unwrap();
        self.seen.lock().unwrap().push(Seen {
            method: head.method,
            url: head.uri.to_string().parse().unwrap(),
            headers: head.headers,
            body,
        });
        let next = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 {
                answers.pop_front()
            } else {
                answers.front().cloned()
            }
        };
        let stream = |chunks: Vec<std::io::Result<Bytes>>| stream::iter(chunks).boxed();
        match next.unwrap() {
            Scripted::Lost => Err(TransportError::unknown("the connection broke")),
            Scripted::Unreachable => Err(TransportError::not_sent("no connection")),
            Scripted::Truncated(body) => {
                let broken = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "cut off");
                Ok(Response::new(stream(vec![Ok(body), Err(broken)])))
            }
            Scripted::Answer(status, headers, body) => {
                let mut response = Response::new(stream(vec![Ok(body)]));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                for (name, value) in headers {
                    response.headers_mut().append(name, value.parse().unwrap());
                }
                Ok(response)
            }
        }
    }
}
