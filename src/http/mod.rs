//! One HTTP request, from its description to its classified answer: budget, token, send, classify, wait. Every
//! request of the crate goes through one client; [`Transport`] is the only seam to an HTTP implementation. What a
//! request means, and what an error body says, is known by those who build it.

#![cfg_attr(
    not(all(feature = "gmail", feature = "outlook")),
    allow(dead_code, unused_imports, reason = "each provider uses its own part")
)]

mod batch;
mod client;
mod connection;
mod limit;
mod origin;
mod request;
#[cfg(feature = "reqwest")]
mod reqwest;
mod retry;
mod transport;

#[cfg(feature = "reqwest")]
pub use self::reqwest::{ReqwestTransport, ReqwestTransportBuilder};
pub use connection::Connection;
pub use limit::{CircuitPolicy, Limits, Spent};
pub use request::{Cost, Lane, Replay};
pub use retry::RetryPolicy;
pub use transport::{Transport, TransportError};

pub(crate) use batch::Batch;
pub(crate) use batch::{body as batch_body, replay as batch_replay, send as send_batches};
pub(crate) use client::{Answer, ApiClient, Classify, parse, protocol};
pub(crate) use limit::Limiter;
pub(crate) use origin::{Origins, is_loopback, require_confidential};
pub(crate) use request::ApiRequest;
