//! What the benches share: the services as a script in the same process, which reads what it is sent, and answers without
//! thinking. What is measured on it is in the files beside this one.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, Response};
use postroom::credentials::StaticToken;
use postroom::http::{Connection, Regime, Transport, TransportError};
use postroom::{ByteStream, Content, Gmail, Mailbox, Outlook};

/// An answer to a request, by its method and address, and its body where `keeps` says that it matters.
type Answer = dyn Fn(&str, &str, &[u8]) -> (&'static str, Bytes) + Send + Sync;

/// A service that answers at once.
pub struct Scripted {
    answer: Box<Answer>,
    keeps_bodies: bool,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scripted")
    }
}

impl Scripted {
    /// A service whose answers depend on what it is sent.
    pub fn reading(
        answer: impl Fn(&str, &str, &[u8]) -> (&'static str, Bytes) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            keeps_bodies: true,
        })
    }

    /// A service that takes bodies of any length in, piece by piece, and lets go of them.
    pub fn draining(
        answer: impl Fn(&str, &str) -> (&'static str, Bytes) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(move |method, url, _| answer(method, url)),
            keeps_bodies: false,
        })
    }

    fn connection(self: Arc<Self>) -> Connection {
        // What is measured is work, and no pace.
        Connection::new(self, Arc::new(StaticToken::new("token"))).with_regime(Regime::Off)
    }

    /// A Gmail mailbox at this service.
    pub fn gmail(self: Arc<Self>) -> Mailbox {
        Mailbox::new(Gmail::new(self.connection()).expect("the vendor's own address is safe"))
    }

    /// An Outlook mailbox at this service.
    pub fn outlook(self: Arc<Self>) -> Mailbox {
        Mailbox::new(Outlook::new(self.connection()).expect("the vendor's own address is safe"))
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(
        &self,
        request: Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let (head, content) = request.into_parts();
        let unreadable = |_| TransportError::not_sent("the body could not be read");
        let mut body = content.read_from(0).await.map_err(unreadable)?;
        let mut kept = Vec::new();
        while let Some(chunk) = body.try_next().await.map_err(unreadable)? {
            if self.keeps_bodies {
                kept.extend_from_slice(&chunk);
            }
        }
        let (media_type, bytes) = (self.answer)(head.method.as_str(), &head.uri.to_string(), &kept);
        let mut response = Response::new(stream::iter([Ok(bytes)]).boxed());
        let media_type = http::HeaderValue::from_static(media_type);
        response.headers_mut().insert("content-type", media_type);
        Ok(response)
    }
}
