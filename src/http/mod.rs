//! One HTTP request, from its description to its classified answer: budget, token, send, classify, wait. Every
//! request of the crate goes through one client; [`Transport`] is the only seam to an HTTP implementation. What a
//! request means, and what an error body says, is known by those who build it.
//!
//! # Limits
//! What a service allows for a mailbox and for a registration is kept to before it complains. [`Regime`] says which figures
//! hold, [`Limits`] which others a host knows of, [`Project`] which mailboxes share a registration, [`Lane`] who goes
//! first. [`RetryPolicy`] says what is sent again, and [`CircuitPolicy`] when a failing service is left alone.
//!
//! A [`ProviderConfiguration`](crate::ProviderConfiguration) takes the regime and an
//! [`AccountsBuilder`](crate::AccountsBuilder) the retries. Hosts without them give all of it to a [`Connection`], and the
//! lane to the provider.
//!
//! # Seen from outside
//! Events go to `tracing` with the target `postroom::http::observe`: `request answered`, `request failed` and `request is sent
//! again` at debug level, `request waited for its turn` at trace level, with `operation` (such as `gmail.messages.get`),
//! `attempt`, `lane`, `units`, `took` and `waited` in seconds, and of errors `kind`, `status` and `code`. All that is done for a
//! request, its repetitions included, is within a span `request` of debug level with `operation`, `lane` and `units`.
//!
//! With the feature `metrics` the same is counted through the `metrics` facade, to whatever recorder the host installs, of what
//! was sent: a request that a limit, a cap or a failing service kept back is `request failed` and no more.
//! `postroom_requests_total`, `postroom_units_total`, `postroom_retries_total`, `postroom_received_bytes_total`, and the
//! histograms `postroom_wait_seconds` and `postroom_request_seconds`, all with `provider` and `operation`.

#![cfg_attr(
    not(all(feature = "gmail", feature = "outlook")),
    allow(dead_code, unused_imports, reason = "each provider uses its own part")
)]

mod ahead;
mod batch;
mod client;
mod connection;
mod limit;
mod observe;
mod origin;
mod refusal;
mod request;
#[cfg(feature = "reqwest")]
mod reqwest;
mod retry;
mod transport;

#[cfg(feature = "reqwest")]
pub use self::reqwest::{ReqwestTransport, ReqwestTransportBuilder};
pub use crate::model::{Lane, Spent};
pub use connection::Connection;
pub(crate) use connection::Spending;
pub use limit::{CircuitPolicy, Limits, Project, Regime};
pub use request::{Cost, Replay};
pub use retry::RetryPolicy;
pub use transport::{Transport, TransportError};

pub(crate) use ahead::Ahead;
pub(crate) use batch::Batch;
pub(crate) use batch::{
    body as batch_body, largest as largest_batch, replay as batch_replay, send as send_batches,
    send_and_read as send_and_read_batches,
};
pub(crate) use client::{Answer, ApiClient, Classify, from_json, parse, protocol};
pub(crate) use limit::{Allowance, Limiter};
pub(crate) use observe::Stopwatch;
pub(crate) use origin::{Origins, is_loopback, require_confidential};
pub(crate) use refusal::of_registration;
pub(crate) use request::ApiRequest;
