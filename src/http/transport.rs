//! The seam to an HTTP implementation. It moves bytes; retries, tokens and limits are decided above it.

use std::fmt;

use async_trait::async_trait;

use crate::error::Delivery;
use crate::model::{ByteStream, Content};

/// An HTTP client. The default is [`ReqwestTransport`](crate::http::ReqwestTransport) (feature `reqwest`); a host
/// implements this to bring its own.
///
/// # Contract
/// * A body of known length goes out with `Content-Length`, never chunked: `POST`, `PUT` and `PATCH` without a body say
///   `Content-Length: 0` (<https://learn.microsoft.com/graph/api/message-send> lists the header as required).
/// * Redirects are returned, not followed: `308` means "go on" in resumable uploads.
/// * The answer's body is decompressed and streamed; reading it may fail.
/// * Nothing of a request is logged or kept: it carries tokens.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends the request and returns as soon as the answer's head is there, whatever its status.
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<http::Response<ByteStream>, TransportError>;
}

/// The connection failed: no answer came, or none that settles the matter.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    message: &'static str,
    delivery: Delivery,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl TransportError {
    /// The request never left: the service cannot have seen it.
    #[must_use]
    pub fn not_sent(message: &'static str) -> Self {
        Self {
            message,
            delivery: Delivery::NotSent,
            source: None,
        }
    }

    /// The request left, or may have.
    #[must_use]
    pub fn unknown(message: &'static str) -> Self {
        Self {
            message,
            delivery: Delivery::Unknown,
            source: None,
        }
    }

    /// Adds the error underneath. It must hold no address with a query, no header and no body.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the service may have seen the request.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }
}
