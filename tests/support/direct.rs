//! A way to the emulator's servers without a connection, for tests that ask more than sockets could carry in time. Answers,
//! faults and the log are the same.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use http::{HeaderValue, Method, Response, header};
use postroom::emulator::{Emulator, Vendor};
use postroom::http::{Transport, TransportError};
use postroom::{ByteStream, Content};

/// A transport that ends in this process.
#[derive(Clone, Debug)]
pub(crate) struct Direct(pub(crate) Arc<Emulator>);

#[async_trait]
impl Transport for Direct {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let (mut head, content) = request.into_parts();
        let is_google = head.uri.port_u16() == self.0.google().base_url.port();
        let vendor = if is_google {
            Vendor::Google
        } else {
            Vendor::Microsoft
        };
        let lost = |error| TransportError::unknown("the connection broke").with_source(error);
        let body = content.to_bytes(u64::MAX).await.map_err(lost)?;
        if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            let length = HeaderValue::from(body.len());
            head.headers.insert(header::CONTENT_LENGTH, length);
        }
        // What follows the host, as it comes to a server.
        head.uri = head.uri.path_and_query().unwrap().as_str().parse().unwrap();
        let request = http::Request::from_parts(head, body);
        let answer = self.0.answer(vendor, request).await.map_err(lost)?;
        Ok(answer.map(StreamExt::boxed))
    }
}
