//! What the targets share: services that answer with one body, a sign-in that has begun and is the same every time, and
//! what an error would print.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use postroom::credentials::StaticToken;
use postroom::http::{Connection, Limits, RetryPolicy, Transport, TransportError};
use postroom::oauth::{Grant, OAuthFlow, PendingAuthorization};
use postroom::{ByteStream, Content, Error, Gmail, Mailbox, Outlook};
use tokio::runtime::Runtime;
use url::Url;

/// What a browser has to bring back for [`pending`].
pub const STATE: &str = "state-of-this-sign-in";
/// What an `id_token` for [`pending`] has to repeat.
pub const NONCE: &str = "nonce-of-this-sign-in";
/// What no error may print.
pub const VERIFIER: &str = "planted-verifier-that-nobody-may-see-0123456789";
/// Where the browser comes back to.
pub const REDIRECT: &str = "https://app.example/callback";

/// A service that answers everything alike.
#[derive(Default)]
pub struct Service(Mutex<Answer>);

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    media_type: &'static str,
    body: Bytes,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            media_type: "application/json",
            body: Bytes::new(),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Service")
    }
}

impl Service {
    /// What it answers from now on.
    pub fn answers(&self, status: StatusCode, body: impl Into<Bytes>) {
        self.answer(Answer {
            status,
            body: body.into(),
            ..Answer::default()
        });
    }

    /// The same, well, and of another type than JSON.
    pub fn answers_as(&self, media_type: &'static str, body: impl Into<Bytes>) {
        self.answer(Answer {
            media_type,
            body: body.into(),
            ..Answer::default()
        });
    }

    fn answer(&self, answer: Answer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

#[async_trait]
impl Transport for Service {
    async fn send(
        &self,
        _request: Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let answer = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut response = Response::new(stream::iter([Ok(answer.body)]).boxed());
        *response.status_mut() = answer.status;
        let media_type = http::HeaderValue::from_static(answer.media_type);
        response.headers_mut().insert("content-type", media_type);
        Ok(response)
    }
}

/// Everything that a target needs, made once.
pub struct Bench {
    /// The service behind all of them.
    pub service: Arc<Service>,
    /// Google's sign-in, and Microsoft's.
    pub flows: [OAuthFlow; 2],
    /// A Gmail mailbox, and an Outlook one.
    pub mailboxes: [Mailbox; 2],
    /// Where futures run.
    pub runtime: Runtime,
}

/// The one that there is.
pub static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let service = Arc::new(Service::default());
    let flow = |builder: postroom::oauth::OAuthFlowBuilder| {
        builder
            .client_secret("planted-secret")
            .redirect_uri(REDIRECT)
            .retry(RetryPolicy::never())
            .transport(Arc::clone(&service) as Arc<dyn Transport>)
            .build()
            .expect("a flow that can be right")
    };
    let flows = [
        flow(OAuthFlow::google("client")),
        flow(OAuthFlow::microsoft("client")),
    ];
    let mailboxes = mailboxes(&service);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    Bench {
        service,
        flows,
        mailboxes,
        runtime,
    }
});

/// A Gmail mailbox and an Outlook one that never wait, and that remember of no answer how the service was.
pub fn mailboxes(service: &Arc<Service>) -> [Mailbox; 2] {
    let connection = || {
        let token = StaticToken::new("planted-token");
        let mut retry = RetryPolicy::never();
        retry.circuit = None;
        retry.patience = Duration::ZERO;
        Connection::new(Arc::clone(service) as Arc<dyn Transport>, Arc::new(token))
            .with_retry(retry)
            // The services' own limits are minutes of waiting.
            .with_limits(Limits::concurrency(4))
    };
    [
        Mailbox::new(Gmail::new(connection()).expect("the vendor's own address is safe")),
        Mailbox::new(Outlook::new(connection()).expect("the vendor's own address is safe")),
    ]
}

/// A sign-in at Google (0) or Microsoft (1) that has begun, and does not end while anybody looks.
pub fn pending(service: usize) -> PendingAuthorization {
    let name = ["google", "microsoft"][service];
    let pending = serde_json::json!({
        "version": 1, "service": name, "client_id": "client",
        "redirect_uri": REDIRECT, "access": ["read_write", "send"], "state": STATE, "nonce": NONCE,
        "verifier": VERIFIER, "ends_at": "2999-01-01T00:00:00Z",
    });
    serde_json::from_value(pending).expect("the stored form of a sign-in")
}

/// Completes that sign-in with this callback.
pub fn complete(service: usize, callback: &Url) -> Result<Grant, Error> {
    let flow = &BENCH.flows[service];
    let outcome = BENCH
        .runtime
        .block_on(flow.complete(pending(service), callback));
    if let Err(error) = &outcome {
        let printed = printed(error);
        assert!(!printed.contains("planted"), "a secret in {printed}");
    }
    outcome
}

/// The callback that belongs to [`pending`].
pub fn callback() -> Url {
    let mut url = Url::parse(REDIRECT).expect("an address");
    url.query_pairs_mut()
        .append_pair("state", STATE)
        .append_pair("code", "code");
    url
}

/// All that an error shows, with what is underneath.
pub fn printed(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}
