//! What a provider needs to reach its service for one account. Which requests it sends is the provider's own affair.

use std::sync::{Arc, OnceLock};

use super::client::{ApiClient, Classify};
use super::limit::{Allowance, Limiter, Limits, Project, Regime};
use super::origin::Origins;
use super::retry::RetryPolicy;
use super::transport::Transport;
use crate::clock::{Clock, SystemClock};
use crate::credentials::TokenSource;
use crate::model::Lane;

/// A transport, an account's tokens, and how to wait. Clones share what was asked of the mailbox so far, so that all
/// handles made from them keep to its limits together.
#[derive(Clone, Debug)]
pub struct Connection {
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    regime: Regime,
    project: Project,
    limiter: Spending,
}

/// What was asked of a mailbox so far. Made by the first provider that uses it, which knows what its service allows.
pub(crate) type Spending = Arc<OnceLock<Arc<Limiter>>>;

impl Connection {
    /// Requests go through `transport` and carry the tokens of `tokens`.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            transport,
            tokens,
            clock: Arc::new(SystemClock::new()),
            retry: RetryPolicy::default(),
            regime: Regime::default(),
            project: Project::default(),
            limiter: Arc::default(),
        }
    }

    /// Waits on another clock than the system's. Connections that share a [`Project`] must have clones of one.
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

    /// Keeps to other limits than those of new registrations.
    #[must_use]
    pub fn with_regime(mut self, regime: Regime) -> Self {
        if self.regime != regime {
            self.regime = regime;
            self.limiter = Arc::default();
        }
        self
    }

    /// Keeps to these limits; the same as [`Regime::Custom`].
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        self.with_regime(Regime::Custom(limits))
    }

    /// Shares a registration's limits with its other mailboxes.
    #[must_use]
    pub fn with_project(mut self, project: Project) -> Self {
        self.project = project;
        self
    }

    /// What was asked of the mailbox by this connection and its clones.
    pub(crate) fn spending(&self) -> Spending {
        Arc::clone(&self.limiter)
    }

    /// Goes on with what was asked of the same mailbox, by the same regime, before.
    pub(crate) fn going_on(mut self, spending: Spending) -> Self {
        self.limiter = spending;
        self
    }

    /// The loop for one mailbox of a service that allows this much.
    pub(crate) fn client(
        &self,
        origins: Origins,
        allowance: &Allowance,
        classify: Classify,
    ) -> ApiClient {
        let limiter = |cell: &OnceLock<Arc<Limiter>>, limits| {
            Arc::clone(cell.get_or_init(|| Arc::new(Limiter::new(limits))))
        };
        ApiClient {
            transport: Arc::clone(&self.transport),
            tokens: Some(Arc::clone(&self.tokens)),
            clock: Arc::clone(&self.clock),
            retry: self.retry,
            limiter: limiter(&self.limiter, allowance.mailbox(self.regime)),
            project: Some(limiter(&self.project.0, allowance.project(self.regime))),
            lane: Lane::Interactive,
            purse: None,
            disguises: allowance.disguises,
            origins,
            classify,
            stopwatch: None,
            turns: None,
        }
    }
}
