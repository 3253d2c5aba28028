//! What a provider needs to reach its service for one account.

use std::sync::Arc;

use super::client::{ApiClient, Classify};
use super::limit::{Limiter, Limits};
use super::origin::Origins;
use super::request::Lane;
use super::retry::RetryPolicy;
use super::transport::Transport;
use crate::clock::{Clock, SystemClock};
use crate::credentials::TokenSource;

/// A transport, an account's tokens, and how to wait.
#[derive(Clone, Debug)]
pub struct Connection {
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    limits: Option<Limits>,
}

impl Connection {
    /// Requests go through `transport` and carry the tokens of `tokens`.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            transport,
            tokens,
            clock: Arc::new(SystemClock::new()),
            retry: RetryPolicy::default(),
            limits: None,
        }
    }

    /// Waits on another clock than the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Repeats failed requests by another policy.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Keeps to other limits than the provider's own.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The loop for one mailbox. `limits` are the service's, unless the host chose others.
    pub(crate) fn client(&self, origins: Origins, limits: Limits, classify: Classify) -> ApiClient {
        ApiClient {
            transport: Arc::clone(&self.transport),
            tokens: Some(Arc::clone(&self.tokens)),
            clock: Arc::clone(&self.clock),
            retry: self.retry,
            limiter: Arc::new(Limiter::new(self.limits.unwrap_or(limits))),
            lane: Lane::Interactive,
            origins,
            classify,
        }
    }
}
